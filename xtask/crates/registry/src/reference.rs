//! References: `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use fault::{Fault, Kind};
use oci::digest::Digest;
use web::Origin;

/// What programs call Docker Hub.
pub(crate) const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// A repository in a registry, and perhaps an image in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host, and port if it is given.
    pub host: String,
    /// The repository's name, without the host.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest, which wins over the tag.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The host that serves the repository: Docker Hub is called by a name that is not its registry's.
    pub(crate) fn server(&self) -> &str {
        if self.is_hub() { "registry-1.docker.io" } else { &self.host }
    }

    /// The repository, as its registry calls it: Docker Hub's own images have a directory.
    pub(crate) fn path(&self) -> String {
        let own = self.is_hub() && !self.repository.contains('/');
        format!("{}{}", if own { "library/" } else { "" }, self.repository)
    }

    pub(crate) fn is_hub(&self) -> bool {
        HUB.contains(&&*self.host)
    }

    /// Is the host this machine, by a name or address that is never another's?
    pub(crate) fn loopback(&self) -> bool {
        Origin::of(&format!("http://{}", self.host)).is_ok_and(|origin| origin.loopback())
    }
}

/// A host without its port and brackets.
pub(crate) fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.split(':').next().unwrap_or(host)
}

/// Is this a repository's name, as the distribution specification has it (a little wider in separators)?
pub(crate) fn is_repository(name: &str) -> bool {
    let alnum = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().all(|byte| alnum(byte) || b"._-".contains(&byte))
            && part.bytes().next().is_some_and(alnum)
            && part.bytes().last().is_some_and(alnum)
    };
    name.len() <= 255 && name.split('/').all(part)
}

/// Is this a tag?
pub(crate) fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

impl FromStr for Reference {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Fault::new(Kind::Usage, format!("{text:?} is not a reference: {why}"))
                .help("write HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]")
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| bad("its digest is not one"))?)),
            None => (text, None),
        };
        let (host, path) = rest.split_once('/').ok_or_else(|| bad("it has no host"))?;
        let name = host_name(host);
        // Neither `.` nor `..` is one, though a directory may be meant.
        let begins = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'[';
        let legal = host.bytes().next().is_some_and(begins)
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
        if !legal || (name != "localhost" && !host.contains(['.', ':'])) {
            return Err(bad("it must begin with a host").into());
        }
        if Origin::of(&format!("https://{host}")).is_err() {
            return Err(bad("its host or port is not one").into());
        }
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        if !is_repository(repository) {
            return Err(bad("the repository's name is not one").into());
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("the tag is not one").into());
        }
        Ok(Self { host: host.to_owned(), repository: repository.to_owned(), tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written() {
        let digest = Digest::of(b"");
        for text in ["localhost/a", "127.0.0.1:5000/a/b-c:v1.26.0-micro", "[::1]:5000/a"] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
            let text = format!("{text}@{digest}");
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        for text in [
            "a",
            "a/b",
            "a.b/",
            "localhost:99999/a",
            "a.b:0/c",
            "a.b:/c:d:e",
            "a:b/c",
            "[::1/a",
            "a.b/C",
            "a.b/c:",
            "a.b/c:-x",
            "a.b/c@sha256:0",
            "u:p@a.b/c",
            "./a",
            "../a",
            ".:5000/a",
            "a.b/../c",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn docker_hub_has_a_registry_and_a_directory_of_its_own() {
        let asked = |text: &str| {
            let reference: Reference = text.parse().unwrap();
            format!("{}/{}", reference.server(), reference.path())
        };
        assert_eq!(asked("docker.io/busybox"), "registry-1.docker.io/library/busybox");
        assert_eq!(asked("index.docker.io/me/x"), "registry-1.docker.io/me/x");
        assert_eq!(asked("a.b/busybox"), "a.b/busybox");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |host: &str| format!("{host}/a").parse::<Reference>().unwrap().loopback();
        assert!(loopback("localhost:5000") && loopback("127.0.0.2") && loopback("[::1]:5000"));
        assert!(!loopback("localhost.example.org") && !loopback("10.0.0.1:5000"));
    }
}
