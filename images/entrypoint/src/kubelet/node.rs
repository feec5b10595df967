//! What a start depends on besides the user's flags: the image, the host's files, and variables of the container.

use std::path::Path;

use super::release::Image;
use crate::stop::{Stop, USAGE};

/// `1`: the kubelet is to run without a cluster.
pub(crate) const STANDALONE: &str = "KUBELET_STANDALONE";
/// More flags, as systemd's units for the kubelet have them.
pub(crate) const EXTRA_ARGS: &str = "KUBELET_EXTRA_ARGS";

/// A node to be.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) image: Image,
    /// Where the container's files are.
    pub(crate) root: &'a Path,
    /// Is it to be without a cluster, by its variable?
    pub(crate) standalone: bool,
    /// The value of [`EXTRA_ARGS`], if the container has it.
    pub(crate) extra: Option<String>,
    /// Does the host run systemd? None where it cannot be seen.
    pub(crate) systemd: Option<bool>,
}

impl<'a> Node<'a> {
    /// A node of this image on a host that is not known.
    pub(crate) fn new(image: Image, root: &'a Path) -> Self {
        Self { image, root, standalone: false, extra: None, systemd: None }
    }

    /// By the environment of this process.
    pub(crate) fn here() -> Result<Self, Stop> {
        let mut node = Self::new(Image::here(), Path::new("/"));
        node.standalone = switch(&variable(STANDALONE).unwrap_or_default())?;
        node.extra = variable(EXTRA_ARGS);
        Ok(node)
    }
}

fn variable(name: &str) -> Option<String> {
    Some(std::env::var_os(name)?.to_string_lossy().into_owned())
}

fn switch(value: &str) -> Result<bool, Stop> {
    match value {
        "1" | "on" | "true" | "yes" => Ok(true),
        "" | "0" | "off" | "false" | "no" => Ok(false),
        other => Err(Stop::new(USAGE, format!("{STANDALONE}={other}: expected 1 or 0"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_or_off() {
        for on in ["1", "on", "true", "yes"] {
            assert_eq!(switch(on), Ok(true), "{on}");
        }
        for off in ["", "0", "off", "false", "no"] {
            assert_eq!(switch(off), Ok(false), "{off}");
        }
        assert_eq!(switch("perhaps").unwrap_err().code, USAGE);
    }
}
