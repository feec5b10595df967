//! `push`: layouts into a registry.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use fault::{Fault, Kind};
use registry::{Options, Reference};
use serde::Serialize;

use super::session::{How, Session, What};
use crate::context::{Context, IMAGES, write_out};

/// Push images and indexes to a registry: each blob once, tags last.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask push kubelet-v1_26_0 --to registry.example.org/kubelet
  cargo xtask push target/images/kubelet-v1_26_0 --to localhost:5000/mirror/kubelet --mount-from kubelet

Credentials are those of `docker login`. What the registry has is not sent again: after a push that was killed the next
sends what is missing.")]
pub(crate) struct Push {
    /// Images and indexes, as `cargo xtask list` names them, which are built if needed; or directories of OCI layouts.
    #[arg(value_name = "ATTR|LAYOUT", required = true)]
    what: Vec<String>,
    /// The repository, with its host: HOST[:PORT]/REPOSITORY; a `:TAG` replaces the tag that the layout gives.
    #[arg(long, value_name = "REPOSITORY")]
    to: Reference,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    how: How,
}

/// How to reach a registry.
#[derive(clap::Args)]
pub(crate) struct Connection {
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

impl Connection {
    /// For the client.
    pub(super) fn options<'a>(&self, context: &'a Context) -> Options<'a> {
        Options {
            plain_http: self.plain_http,
            ca: self.ca.clone(),
            parallel: 1,
            retries: self.retries,
            timeout: Duration::from_secs(self.timeout.into()),
            pause: Duration::from_millis(200),
            auth_file: self.auth_file.clone().filter(|file| !file.as_os_str().is_empty()),
            mount_from: Vec::new(),
            progress: &*context.progress,
        }
    }
}

/// How to push to a registry.
#[derive(clap::Args)]
pub(crate) struct Remote {
    #[command(flatten)]
    connection: Connection,
    /// Take blobs that this repository of the same registry has from there. May be given several times.
    #[arg(long, value_name = "REPOSITORY")]
    mount_from: Vec<String>,
    /// How many blobs to send at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
}

impl Remote {
    /// For the client.
    pub(super) fn options<'a>(&self, context: &'a Context) -> Options<'a> {
        Options {
            parallel: self.parallel.into(),
            mount_from: self.mount_from.clone(),
            ..self.connection.options(context)
        }
    }
}

#[derive(Serialize)]
struct Report {
    version: u32,
    present: usize,
    mounted: usize,
    sent: usize,
    bytes: u64,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
struct Tag {
    reference: String,
    digest: String,
}

impl Push {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let is_layout = |name: &str| Path::new(name).join("index.json").is_file();
        let mut layouts = Vec::new();
        let mut attributes = Vec::new();
        for name in &self.what {
            if is_layout(name) {
                layouts.push(PathBuf::from(name));
            } else if name.contains('/') {
                // No attribute has one.
                let message = format!("there is no layout `{name}`: it has no index.json");
                return Err(Fault::new(Kind::Unknown, message).into());
            } else {
                attributes.push(name.clone());
            }
        }
        if !attributes.is_empty() {
            let session = Session::open(context, &self.how)?;
            let plan = session.plan(&What::of(attributes))?;
            let built = session.executor()?.build(&plan, &context.root.join(IMAGES))?;
            layouts.extend(built.into_iter().map(|built| built.layout));
        }
        let pushed = registry::push(&layouts, &self.to, &self.remote.options(context))?;
        let name = format!("{}/{}", self.to.host, self.to.repository);
        let tags: Vec<Tag> = pushed
            .tags
            .iter()
            .map(|it| Tag { reference: format!("{name}:{}", it.tag), digest: it.digest.to_string() })
            .collect();
        let registry::Pushed { present, mounted, sent, bytes, .. } = pushed;
        if context.json {
            return context.print_json(&Report { version: 1, present, mounted, sent, bytes, tags });
        }
        tags.iter().try_for_each(|tag| write_out(&format!("{}@{}", tag.reference, tag.digest)))?;
        write_out(&format!("blobs: {sent} sent ({bytes} bytes), {mounted} mounted, {present} there already"))
    }
}
