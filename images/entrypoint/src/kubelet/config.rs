//! The kubelet's configuration file, as far as it is needed here: keys at its top, with values on the same line.
//!
//! Not read: documents in flow style (`{...}`, JSON), keys in quotes, values over several lines. A file that has them
//! works for the kubelet all the same; nothing of it is known here.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// More is not read of a file: no configuration is that long.
const LIMIT: u64 = 1 << 20;

/// Keys with their values, in order. A value that is not on its key's line is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Config(Vec<(String, String)>);

impl Config {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Reads the files `*.conf` of a directory over this, as the kubelet does: by name, later ones win.
    pub(crate) fn read_over(&mut self, dir: &Path) {
        let Ok(entries) = dir.read_dir() else { return };
        let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
        files.sort();
        for file in files {
            self.0.extend(Self::read(&file).unwrap_or_default().0);
        }
    }

    /// Reads the text of a file.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            let plain = |c: char| c.is_ascii_alphanumeric();
            if key.is_empty()
                || !key.trim_end().chars().all(plain)
                || !value.starts_with([' ', '\t']) && !value.is_empty()
            {
                return None;
            }
            Some((key.trim_end().to_owned(), scalar(value.trim())))
        });
        Self(pairs.collect())
    }

    /// The value of a key, unless it has none.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rfind(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }
}

/// The value in what stands behind a key; empty for what is none, or no simple one.
fn scalar(text: &str) -> String {
    if let Some(rest) = text.strip_prefix('"') {
        return rest.split_once('"').map(|(value, _)| value.to_owned()).unwrap_or_default();
    }
    if let Some(rest) = text.strip_prefix('\'') {
        return rest.split_once('\'').map(|(value, _)| value.to_owned()).unwrap_or_default();
    }
    let text = text.find(" #").map_or(text, |comment| text[..comment].trim_end());
    if text.starts_with(['{', '[', '|', '>', '&', '*', '!', '#']) || matches!(text, "null" | "~") {
        return String::new();
    }
    text.to_owned()
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
            ("text", None),
            ("cgroupDriver", None),
            ("url", None),
        ] {
            assert_eq!(config.get(key), value, "{key}");
        }
        assert_eq!(config.keys().count(), 12);
        assert!(config.keys().any(|key| key == "evictionHard"));
    }

    #[test]
    fn other_styles_are_not_read() {
        assert_eq!(Config::parse("{\"healthzPort\": 1,\n\"kind\": \"x\"}"), Config::default());
        assert_eq!(Config::parse("\"healthzPort\": 1"), Config::default());
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
