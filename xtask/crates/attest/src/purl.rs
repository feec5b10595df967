//! Package URLs. Source: <https://github.com/package-url/purl-spec>.

/// `pkg:TYPE/NAME@VERSION`; what is empty is left out. A name's slashes part its namespace.
pub fn purl(kind: &str, name: &str, version: &str, qualifiers: &[(&str, &str)]) -> String {
    // "The namespace and name must be lowercased", says the specification of these types.
    let name = if matches!(kind, "golang" | "apk" | "oci") { name.to_lowercase() } else { name.to_owned() };
    let name: Vec<String> = name.split('/').map(escape).collect();
    let mut out = format!("pkg:{kind}/{}", name.join("/"));
    if !version.is_empty() {
        out += &format!("@{}", escape(version));
    }
    for (index, (key, value)) in qualifiers.iter().filter(|(_, value)| !value.is_empty()).enumerate() {
        out += &format!("{}{key}={}", if index == 0 { '?' } else { '&' }, escape(value));
    }
    out
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_lowercased_as_their_type_says() {
        for (found, expected) in [
            (
                purl("golang", "github.com/NYTimes/gziphandler", "v1.1.1", &[]),
                "pkg:golang/github.com/nytimes/gziphandler@v1.1.1",
            ),
            (purl("golang", "a/b", "v2.0.0+incompatible", &[]), "pkg:golang/a/b@v2.0.0%2Bincompatible"),
            (purl("golang", "joined", "", &[]), "pkg:golang/joined"),
            (
                purl("apk", "alpine/libstdc++", "1-r0", &[("arch", "x86_64"), ("distro", "")]),
                "pkg:apk/alpine/libstdc%2B%2B@1-r0?arch=x86_64",
            ),
        ] {
            assert_eq!(found, expected);
        }
    }
}
