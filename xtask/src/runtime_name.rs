//! The container runtimes of machines, as flags name them.

use vm::Runtime;

/// A runtime's name.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum RuntimeName {
    #[default]
    Containerd,
    Docker,
    Podman,
}

impl From<RuntimeName> for Runtime {
    fn from(name: RuntimeName) -> Self {
        match name {
            RuntimeName::Containerd => Self::Containerd,
            RuntimeName::Docker => Self::Docker,
            RuntimeName::Podman => Self::Podman,
        }
    }
}
