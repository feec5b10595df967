//! What a registry requires of those who log in, and whom credentials are shown to.

use web::Origin;

/// What a registry requires with status 401.
#[derive(Debug, PartialEq, Eq)]
pub enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token.
    Bearer {
        /// The URL of the token server.
        realm: String,
        /// What the token server calls the registry.
        service: Option<String>,
    },
}

/// Reads a `WWW-Authenticate` header, which may hold several challenges: those that are known here.
#[must_use]
pub fn challenges(header: &str) -> Vec<Challenge> {
    let known = |(scheme, parameters): (&str, Vec<(&str, &str)>)| {
        let of = |name: &str| {
            let mut all = parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
            all.next().map(|(_, value)| (*value).to_owned())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        bearer.then(|| Some(Challenge::Bearer { realm: of("realm")?, service: of("service") })).flatten()
    };
    parse(header).into_iter().filter_map(known).collect()
}

/// Schemes with their parameters, as far as the header is one. Source: RFC 9110, 11.3; what is escaped stays so.
fn parse(header: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
    let token = |text: &str| text.find(|c| !is_token(c)).unwrap_or(text.len());
    let mut found: Vec<(&str, Vec<(&str, &str)>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches(|c| !is_token(c));
        let (word, after) = rest.split_at(token(rest));
        if word.is_empty() {
            return found;
        }
        let value = after.trim_start().strip_prefix('=').map(str::trim_start);
        let (Some(value), Some((_, parameters))) = (value, found.last_mut()) else {
            found.push((word, Vec::new()));
            rest = after;
            continue;
        };
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let Some(ended) = quoted.split_once('"') else {
                    // Cut off: of this challenge nothing is believed.
                    found.pop();
                    return found;
                };
                ended
            }
            None => value.split_at(token(value)),
        };
        parameters.push((word, value));
        rest = after;
    }
}

/// May a registry's credentials be shown to a realm? To the same host by a channel no weaker than the registry's; to
/// another only where both are reached by https: then the registry's own word, which nobody changed, sends us there.
pub(crate) fn may_send_credentials(registry: &Origin, realm: &Origin) -> bool {
    (realm.https && registry.https) || (realm.host == registry.host && realm.https >= registry.https)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        };
        for (header, expected) in [
            (
                r#"Bearer realm="https://a.b/token?x=1,2",service="s", scope="r:p:pull,push""#,
                vec![bearer("https://a.b/token?x=1,2", Some("s"))],
            ),
            (r#"Basic realm="x""#, vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                r#"Negotiate, NTLM abc==, bearer service = s , realm="https://a.b/t", Basic realm="y""#,
                vec![bearer("https://a.b/t", Some("s")), Challenge::Basic],
            ),
            (r#"Digest realm="d", nonce="Basic realm", Basic realm="x, Bearer y""#, vec![Challenge::Basic]),
            (r#"Basic realm="x", Bearer realm="y"#, vec![Challenge::Basic]),
        ] {
            assert_eq!(challenges(header), expected, "{header}");
        }
        for text in ["", "Bearer", r#"Bearer realm="x"#, "Negotiate", "=", "Bearer ,=,=", "\u{e9}"] {
            assert_eq!(challenges(text), [], "{text}");
        }
    }

    #[test]
    fn credentials_go_to_another_host_only_when_all_is_https() {
        let may = |registry: &str, realm: &str| {
            may_send_credentials(&Origin::of(registry).unwrap(), &Origin::of(realm).unwrap())
        };
        assert!(may("https://a.b", "https://auth.c"));
        assert!(may("http://127.0.0.1:1", "http://127.0.0.1:2"));
        assert!(!may("http://127.0.0.1:1", "http://127.0.0.2:1"));
        assert!(!may("http://127.0.0.1:1", "https://evil.example"));
        assert!(!may("https://a.b", "http://a.b"));
    }
}
