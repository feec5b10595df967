//! `push`: layouts into a registry.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};
use project::{IMAGES, Selection, Session};
use registry::Reference;
use serde::Serialize;

use crate::context::{Context, write_out};
use crate::flags::{BuildFlags, PushFlags};

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
    remote: PushFlags,
    #[command(flatten)]
    how: BuildFlags,
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
                return Err(Fault::new(Kind::NotFound, message).into());
            } else {
                attributes.push(name.clone());
            }
        }
        if !attributes.is_empty() {
            let session = Session::open(&context.checkout, self.how.options())?;
            let plan = session.plan(&Selection::of(attributes))?;
            let built = session.executor()?.build(&plan, &context.checkout.root.join(IMAGES))?;
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
