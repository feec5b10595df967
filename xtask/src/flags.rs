//! Flags that several verbs have, and the values they stand for.

use std::path::PathBuf;
use std::time::Duration;

use alpine::fetch::Mirror;
use anyhow::Result;
use catalog::Catalog;
use oci::compress::{Compression, Gzip};
use project::weigh::Request;
use project::{BuildOptions, Selection};
use registry::Options;

use crate::context::Context;

/// What to build.
#[derive(clap::Args)]
pub(crate) struct SelectionFlags {
    /// Images and indexes, as `cargo xtask list` names them [default: the newest kubelet for this machine].
    #[arg(value_name = "ATTR")]
    attributes: Vec<String>,
    #[command(flatten)]
    pub(crate) omit: OmitFlags,
    /// Compress quickly instead of well: larger, with other digests.
    #[arg(long, conflicts_with = "zstd")]
    fast: bool,
    /// Compress layers with zstd, for runtimes that read it: smaller. Layouts and tags end in `-zstd`.
    #[arg(long)]
    zstd: bool,
    /// Kubernetes exactly as released: no edits of modules, none newer than the release asks for, upstream's flags, each
    /// program by itself. Larger; layouts and tags have `-unedited`.
    #[arg(long)]
    unedited: bool,
}

impl SelectionFlags {
    pub(crate) fn selection(&self) -> Selection {
        let compression = match (self.fast, self.zstd) {
            (_, true) => Compression::Zstd,
            (true, _) => Compression::Gzip(Gzip::Fast),
            _ => Compression::default(),
        };
        Selection {
            attributes: self.attributes.clone(),
            omit: self.omit.names.clone(),
            compression,
            unedited: self.unedited,
        }
    }
}

/// What to leave out.
#[derive(clap::Args)]
pub(crate) struct OmitFlags {
    /// Leave out a program or component, such as crictl; the image says so.
    #[arg(long = "omit", value_name = "COMPONENT")]
    pub(crate) names: Vec<String>,
    /// Also what an image is named for: for tests of everything else in it.
    #[arg(long, hide = true)]
    allow_incomplete: bool,
}

impl OmitFlags {
    /// Refuses images without what they are named for, unless they are asked for.
    pub(crate) fn check<'a>(
        &self,
        catalog: &Catalog,
        attributes: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        if self.allow_incomplete { Ok(()) } else { project::check_omitted(catalog, &self.names, attributes) }
    }
}

/// How to build.
#[derive(clap::Args)]
pub(crate) struct BuildFlags {
    /// How many things to do at once [default: the number of processors].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Fetch nothing: use what is in the store and the caches.
    #[arg(long)]
    offline: bool,
    /// Refuse to make a lock that is missing.
    #[arg(long)]
    locked: bool,
    /// Ask this directory for files first, or for Alpine's files this URL; what comes from it is verified all the same.
    /// Several are separated by commas.
    #[arg(long, value_name = "DIR|URL", env = "KUBELET_IMAGES_MIRROR", value_delimiter = ',')]
    mirror: Vec<String>,
    /// Where a policy says to pack programs, use the UPX in PATH even if it is not the locked version: images record it.
    #[arg(long)]
    any_upx: bool,
}

impl BuildFlags {
    pub(crate) fn options(&self) -> BuildOptions {
        BuildOptions {
            jobs: self.jobs,
            offline: self.offline,
            locked: self.locked,
            mirrors: self.mirror.iter().filter_map(|text| Mirror::parse(text)).collect(),
            any_upx: self.any_upx,
        }
    }
}

/// Which images to weigh.
#[derive(clap::Args)]
pub(crate) struct WeighFlags {
    /// Images and indexes; they are built if needed [default: those of images/sizes.json that are built already].
    #[arg(value_name = "ATTR")]
    attributes: Vec<String>,
    /// Weigh layouts that are here, in directories named like their attributes, and build nothing.
    #[arg(long, value_name = "DIR")]
    layouts: Option<PathBuf>,
    /// Build without this program or component [default: what the recorded image lacks].
    #[arg(long, value_name = "COMPONENT", conflicts_with = "layouts")]
    omit: Vec<String>,
}

impl WeighFlags {
    pub(crate) fn request(&self) -> Request {
        Request {
            attributes: self.attributes.clone(),
            layouts: self.layouts.clone(),
            omit: self.omit.clone(),
        }
    }
}

/// How to reach a registry.
#[derive(clap::Args)]
pub(crate) struct ConnectionFlags {
    /// Speak plain HTTP; without it only to this machine.
    #[arg(long, visible_alias = "insecure", conflicts_with = "ca")]
    plain_http: bool,
    /// Trust the certificates in this PEM file, and no others.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How often to try a request again after status 429 or 5xx or a broken connection.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(..=20))]
    retries: u32,
    /// How long the registry may be silent: until it answers a request, and while something is transferred.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..))]
    timeout: u16,
    /// Look for credentials in this file alone, in docker's form.
    #[arg(long, value_name = "FILE", env = "REGISTRY_AUTH_FILE", hide_env_values = true)]
    auth_file: Option<PathBuf>,
}

impl ConnectionFlags {
    /// For the client.
    pub(crate) fn options<'a>(&self, context: &'a Context) -> Options<'a> {
        Options {
            plain_http: self.plain_http,
            ca: self.ca.clone(),
            parallel: 1,
            retries: self.retries,
            timeout: Duration::from_secs(self.timeout.into()),
            pause: Duration::from_millis(200),
            auth_file: self.auth_file.clone().filter(|file| !file.as_os_str().is_empty()),
            mount_from: Vec::new(),
            progress: &*context.checkout.progress,
        }
    }
}

/// How to push to a registry.
#[derive(clap::Args)]
pub(crate) struct PushFlags {
    #[command(flatten)]
    connection: ConnectionFlags,
    /// Take blobs that this repository of the same registry has from there. May be given several times.
    #[arg(long, value_name = "REPOSITORY")]
    mount_from: Vec<String>,
    /// How many blobs to send at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
}

impl PushFlags {
    /// For the client.
    pub(crate) fn options<'a>(&self, context: &'a Context) -> Options<'a> {
        Options {
            parallel: self.parallel.into(),
            mount_from: self.mount_from.clone(),
            ..self.connection.options(context)
        }
    }
}

/// A container runtime of machines.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum RuntimeName {
    #[default]
    Containerd,
    Docker,
    Podman,
}

impl From<RuntimeName> for vm::Runtime {
    fn from(name: RuntimeName) -> Self {
        match name {
            RuntimeName::Containerd => Self::Containerd,
            RuntimeName::Docker => Self::Docker,
            RuntimeName::Podman => Self::Podman,
        }
    }
}

/// Process 1 of machines.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum InitName {
    /// busybox's init, as on embedded hosts
    #[default]
    Busybox,
    Systemd,
}

impl From<InitName> for vm::Init {
    fn from(name: InitName) -> Self {
        match name {
            InitName::Busybox => Self::Busybox,
            InitName::Systemd => Self::Systemd,
        }
    }
}
