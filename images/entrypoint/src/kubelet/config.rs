//! The kubelet's configuration: its file and, over it, those of the drop-in directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::regular;
use crate::yaml::Scalars;

/// Values by the paths of their keys.
#[derive(Debug, Default)]
pub(crate) struct Config(Scalars);

impl Config {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(Self::parse(&String::from_utf8_lossy(&regular::read(path)?)))
    }

    /// Reads the files `*.conf` of a directory and of those in it over this, as the kubelet does: by name, later ones
    /// win. Source: `mergeKubeletConfigurations` in `cmd/kubelet/app/server.go` of Kubernetes.
    /// Returns those that the kubelet would wait for without end.
    pub(crate) fn read_over(&mut self, dir: &Path) -> Vec<PathBuf> {
        let Ok(entries) = dir.read_dir() else { return Vec::new() };
        let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut special = Vec::new();
        for entry in entries {
            // Of the entry itself: links to directories are not followed.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                special.extend(self.read_over(&entry.path()));
            } else if entry.file_name().as_encoded_bytes().ends_with(b".conf") {
                match Self::read(&entry.path()) {
                    Ok(config) => self.0.extend(config.0),
                    Err(error) if regular::is_special(&error) => special.push(entry.path()),
                    Err(_) => {}
                }
            }
        }
        special
    }

    /// Reads the text of a file.
    pub(crate) fn parse(text: &str) -> Self {
        Self(Scalars::parse(text))
    }

    /// The value of a key, by its path, unless it has none. An empty one is none: the kubelet takes its default then.
    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.stated(path).filter(|value| !value.is_empty())
    }

    /// The same, also if it is empty, which some keys (`resolvConf`) tell from none.
    pub(crate) fn stated(&self, path: &str) -> Option<&str> {
        self.0.get(path)
    }

    /// Has the key, or one that leads to it, a value that is not understood here? The kubelet understands it: it counts as
    /// decided.
    pub(crate) fn is_unknown(&self, path: &str) -> bool {
        self.0.is_unknown(path)
    }

    /// All keys at the top.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
---
# a comment: no key
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: \"unix:///run/containerd/containerd.sock\"  # quoted
healthzPort: 10999 # a comment
healthzBindAddress: '127.0.0.2'
authentication:
  anonymous:
    enabled: false
  healthzPort: 1
clusterDNS:
- 10.96.0.10
evictionHard: {memory.available: 1Mi}
url:http
staticPodPath:  /etc/kubernetes/manifests\t
logging : 1
nothing: ~
text: |
  cgroupDriver: none
";

    #[test]
    fn keys_at_the_top_are_read() {
        let config = Config::parse(FILE);
        for (key, value) in [
            ("apiVersion", Some("kubelet.config.k8s.io/v1beta1")),
            ("containerRuntimeEndpoint", Some("unix:///run/containerd/containerd.sock")),
            ("healthzPort", Some("10999")),
            ("healthzBindAddress", Some("127.0.0.2")),
            ("staticPodPath", Some("/etc/kubernetes/manifests")),
            ("logging", Some("1")),
            ("authentication", None),
            ("anonymous", None),
            ("evictionHard", None),
            ("nothing", None),
            ("text", Some("cgroupDriver: none\n")),
            ("cgroupDriver", None),
            ("url", None),
        ] {
            assert_eq!(config.get(key), value, "{key}");
        }
        assert_eq!(config.keys().count(), 12);
        assert!(config.keys().any(|key| key == "evictionHard"));
    }

    #[test]
    fn other_styles_are_read() {
        for text in [
            "{\"healthzPort\": 1,\n\"kind\": \"\"}",
            "\"healthzPort\": 1\n'kind': ''",
            "{healthzPort: 1, kind: ''}",
        ] {
            let config = Config::parse(text);
            assert_eq!(config.get("healthzPort"), Some("1"), "{text}");
            assert_eq!((config.get("kind"), config.stated("kind")), (None, Some("")), "{text}");
            assert_eq!(config.keys().collect::<Vec<_>>(), ["healthzPort", "kind"], "{text}");
        }
    }

    #[test]
    fn drop_ins_win_by_name_at_any_depth() {
        let dir = std::env::temp_dir().join(format!("entrypoint-drop-ins-{}", std::process::id()));
        for (file, text) in [
            ("10.conf", "a: 10\nb: {c: 1, d: 1}\ngone: 1"),
            ("20/x.conf", "a: 20\nb: {c: 2}\ngone: null"),
            ("15.conf", "a: 15"),
            ("30.yaml", "a: 30"),
            ("20/.conf", "new: 1\na: 19"),
        ] {
            let file = dir.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let mut config = Config::parse("a: 1\nkept: 1");
        config.read_over(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
        for (path, value) in [
            ("a", Some("20")),
            ("b.c", Some("2")),
            ("b.d", Some("1")),
            ("gone", None),
            ("kept", Some("1")),
            ("new", Some("1")),
        ] {
            assert_eq!(config.get(path), value, "{path}");
        }
    }

    #[test]
    fn any_text_is_survived() {
        for length in (0..FILE.len()).filter(|length| FILE.is_char_boundary(*length)) {
            Config::parse(&FILE[length..]);
            Config::parse(&FILE[..length]);
        }
        for text in [":", ": :", "a:\"", "a: '", "é: ü #", "\0: x"] {
            Config::parse(text);
        }
    }
}
