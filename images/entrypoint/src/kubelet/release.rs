//! Which release and variant this image is: two variables that the image's configuration sets.

use std::fmt;

/// Has the release of the image's kubelet, such as `v1.26.0`.
pub(crate) const RELEASE: &str = "KUBELET_IMAGE_RELEASE";
/// Has the variant of the image, such as `kubeadm-cni`.
pub(crate) const VARIANT: &str = "KUBELET_IMAGE_VARIANT";

/// A minor release of Kubernetes. Flags do not change within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release {
    major: u16,
    minor: u16,
}

impl Release {
    /// Reads `v1.26.0` or `1.26`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { major, minor })
    }

    /// The minor release 1.`minor`.
    pub(crate) const fn one(minor: u16) -> Self {
        Self { major: 1, minor }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}.{}", self.major, self.minor)
    }
}

/// What the image is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// Its release; none where the container's environment does not have the image's variables.
    pub(crate) release: Option<Release>,
    /// Does it bring CNI plugins?
    pub(crate) cni: bool,
}

impl Image {
    /// By what the variables say.
    pub(crate) fn of(release: &str, variant: &str) -> Self {
        let cni = variant.split('-').any(|part| matches!(part, "cni" | "flannel"));
        Self { release: Release::parse(release), cni }
    }

    /// By the environment of this process.
    pub(crate) fn here() -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        Self::of(&variable(RELEASE), &variable(VARIANT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        for (text, shown) in [
            ("v1.26.0", Some("1.26")),
            ("1.9", Some("1.9")),
            ("v1.34.1-rc.0", Some("1.34")),
            ("v2.0.0", Some("2.0")),
            ("", None),
            ("v1", None),
            ("-", None),
            ("v1.x.0", None),
            ("1.-2", None),
        ] {
            assert_eq!(Release::parse(text).map(|release| release.to_string()).as_deref(), shown, "{text}");
        }
        assert!(Release::one(9) < Release::one(24) && Release::parse("v2.0.0") > Some(Release::one(99)));
    }

    #[test]
    fn variants_with_plugins() {
        let with = |variant| Image::of("v1.26.0", variant).cni;
        assert!(with("cni") && with("flannel") && with("kubeadm-cni"));
        assert!(!with("kubelet") && !with("kubeadm") && !with(""));
    }
}
