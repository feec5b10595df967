//! What is mounted: a device by path, label or UUID, a directory, or a mere name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Ways to name a device other than by its path, and where udev keeps links for them.
const TAGS: [(&str, &str); 5] = [
    ("LABEL=", "by-label"),
    ("UUID=", "by-uuid"),
    ("PARTLABEL=", "by-partlabel"),
    ("PARTUUID=", "by-partuuid"),
    ("ID=", "by-id"),
];

/// The device behind `LABEL=x` and the like; any other source as it is. `None`: there is no such device.
pub(crate) fn resolve(source: &OsStr, disks: &Path) -> Option<OsString> {
    let bytes = source.as_bytes();
    let Some((tag, dir)) = TAGS.iter().find(|(tag, _)| bytes.starts_with(tag.as_bytes())) else {
        return Some(source.to_owned());
    };
    let name = &bytes[tag.len()..];
    let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
    let link = disks.join(dir).join(OsString::from_vec(escape(name)));
    std::fs::canonicalize(link).ok().map(Into::into)
}

/// As udev writes names of links: what is not plain becomes `\xNN`.
fn escape(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name {
        if byte.is_ascii_alphanumeric() || b"#+-.:=@_".contains(byte) || *byte >= 0x80 {
            escaped.push(*byte);
        } else {
            escaped.extend(format!("\\x{byte:02x}").bytes());
        }
    }
    escaped
}

/// The type a network source shows by its form: `host:/dir` or `//host/share`.
pub(crate) fn network_type(source: &OsStr) -> Option<&'static str> {
    let bytes = source.as_bytes();
    if bytes.starts_with(b"//") {
        return Some("cifs");
    }
    let colon = bytes.windows(2).position(|pair| pair == b":/")?;
    (colon > 0 && !bytes[..colon].contains(&b'/')).then_some("nfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_links_of_udev() {
        let disks = std::env::temp_dir().join(format!("entrypoint-disks-{}", std::process::id()));
        let labels = disks.join("by-label");
        std::fs::create_dir_all(&labels).unwrap();
        let _ = std::fs::remove_file(labels.join("my\\x20disk"));
        std::os::unix::fs::symlink("/dev/null", labels.join("my\\x20disk")).unwrap();
        let find = |source: &str| resolve(OsStr::new(source), &disks);
        assert_eq!(find("LABEL=my disk"), Some("/dev/null".into()));
        assert_eq!(find("LABEL=\"my disk\""), Some("/dev/null".into()));
        assert_eq!(find("LABEL=other"), None);
        assert_eq!(find("LABEL=../by-label/my\\x20disk"), None);
        assert_eq!(find("/dev/vda"), Some("/dev/vda".into()));
        std::fs::remove_dir_all(&disks).unwrap();
    }

    #[test]
    fn network_sources_show() {
        for (source, fstype) in [
            ("h:/x", Some("nfs")),
            ("[::1]:/x", Some("nfs")),
            ("//h/x", Some("cifs")),
            ("/dev/x:/y", None),
            (":/x", None),
            ("tmpfs", None),
            ("/a", None),
        ] {
            assert_eq!(network_type(OsStr::new(source)), fstype, "{source}");
        }
    }
}
