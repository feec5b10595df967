//! What is ours in the host's directory: a file in it that names each plugin with its SHA-256.

use std::fmt::Write;

/// Its name.
pub(crate) const FILE: &str = ".containerized-kubelet-cni";

const HEADER: &str =
    "# CNI plugins from the kubelet's container image; `entrypoint cni remove` takes them away.\nversion 1\n";

/// Plugins that were installed. A name may have two hashes while one is replaced by the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The release of the image that they are from.
    pub(crate) release: String,
    /// SHA-256 in hexadecimal digits, and name.
    pub(crate) files: Vec<(String, String)>,
}

impl Manifest {
    /// Reads one; none where it is not of a form that is known here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(HEADER)?.lines();
        let release = lines.next()?.strip_prefix("release ")?.to_owned();
        let mut files = Vec::new();
        for line in lines {
            let (hash, name) = line.split_once("  ")?;
            let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_hash || name.is_empty() || name.contains('/') || name.starts_with('.') {
                return None;
            }
            files.push((hash.to_owned(), name.to_owned()));
        }
        Some(Self { release, files })
    }

    /// Its text; the files are in the form of sha256sum(1).
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{HEADER}release {}\n", self.release);
        for (hash, name) in &self.files {
            let _ = writeln!(text, "{hash}  {name}");
        }
        text
    }

    /// Is a file of this name with this hash ours?
    pub(crate) fn owns(&self, name: &str, hash: &str) -> bool {
        self.files.iter().any(|(known, file)| file == name && known == hash)
    }

    /// Is any content of this name ours?
    pub(crate) fn names(&self, name: &str) -> bool {
        self.files.iter().any(|(_, file)| file == name)
    }

    /// Adds a file, once.
    pub(crate) fn add(&mut self, name: &str, hash: &str) {
        if !self.owns(name, hash) {
            self.files.push((hash.to_owned(), name.to_owned()));
            self.files.sort_by(|one, other| one.1.cmp(&other.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        let mut manifest = Manifest { release: "v1.26.0".to_owned(), files: vec![] };
        manifest.add("vlan", &"b".repeat(64));
        manifest.add("bridge", &"a".repeat(64));
        manifest.add("bridge", &"a".repeat(64));
        assert_eq!(manifest.files.len(), 2);
        assert_eq!(Manifest::parse(&manifest.text()), Some(manifest.clone()));
        assert!(manifest.owns("bridge", &"a".repeat(64)) && !manifest.owns("bridge", &"b".repeat(64)));
        assert!(manifest.names("vlan") && !manifest.names("ptp"));
    }

    #[test]
    fn anything_else_is_refused() {
        let good =
            Manifest { release: "x".to_owned(), files: vec![("a".repeat(64), "bridge".to_owned())] }.text();
        for bad in [
            "",
            "version 2\n",
            &good.replace("version 1", "version 2"),
            &good.replace("bridge", "../bridge"),
            &good.replace("bridge", ".hidden"),
            &good.replace("  bridge", " bridge"),
            &good.replace("aaa", "zzz"),
            &good[..good.len() - 4][..good.len() - 20],
        ] {
            assert_eq!(Manifest::parse(bad), None, "{bad}");
        }
    }
}
