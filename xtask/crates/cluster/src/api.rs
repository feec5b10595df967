//! Versions of kubeadm's configuration API, and what they call what an emulated machine needs.

/// A version of `kubeadm.k8s.io`, that kubeadm itself writes from one release to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// From 1.22 to 1.30; read until 1.36.
    V1Beta3,
    /// From 1.31 on.
    V1Beta4,
}

impl Api {
    /// What kubeadm of a release (`v1.26.0`) writes.
    pub(crate) fn of(release: &str) -> Self {
        let minor = release.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        if minor.is_some_and(|minor| minor < 31) { Self::V1Beta3 } else { Self::V1Beta4 }
    }

    /// As in `apiVersion: kubeadm.k8s.io/VERSION`.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::V1Beta3 => "v1beta3",
            Self::V1Beta4 => "v1beta4",
        }
    }

    /// The kubelet's configuration where a kernel is shared: its cgroups may be of version 1, which a kubelet from 1.35 on refuses
    /// unless it is told; one before 1.31 does not know the word.
    pub(crate) fn kubelet_shared(self) -> &'static str {
        match self {
            Self::V1Beta3 => "",
            Self::V1Beta4 => {
                "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailCgroupV1: false\n"
            }
        }
    }

    /// For an `InitConfiguration`: a processor that is emulated is slow.
    pub(crate) fn init_patience(self) -> &'static str {
        match self {
            Self::V1Beta3 => "",
            Self::V1Beta4 => {
                "timeouts: {controlPlaneComponentHealthCheck: 20m0s, kubeletHealthCheck: 20m0s, kubernetesAPICall: 20m0s}\n"
            }
        }
    }

    /// For a `ClusterConfiguration`: there is one of each, and a slow one loses elections.
    pub(crate) fn cluster_patience(self) -> &'static str {
        match self {
            Self::V1Beta3 => {
                "apiServer: {timeoutForControlPlane: 20m0s}\n\
                 controllerManager: {extraArgs: {leader-elect: \"false\"}}\n\
                 scheduler: {extraArgs: {leader-elect: \"false\"}}\n"
            }
            Self::V1Beta4 => {
                "controllerManager: {extraArgs: [{name: leader-elect, value: \"false\"}]}\n\
                 scheduler: {extraArgs: [{name: leader-elect, value: \"false\"}]}\n"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_the_version_that_its_kubeadm_writes() {
        let written =
            [("v1.26.0", "v1beta3"), ("v1.30.14", "v1beta3"), ("v1.31.0", "v1beta4"), ("v1.37.2", "v1beta4")];
        for (release, version) in written {
            assert_eq!(Api::of(release).version(), version, "{release}");
        }
    }
}
