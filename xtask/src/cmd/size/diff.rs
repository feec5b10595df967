//! `size diff`: what changed between two states.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use catalog::Attributes;
use fault::{Fault, Kind};
use project::record::RECORD;
use project::source::{Source, is_path};
use project::weigh;
use registry::Take;
use serde::Serialize;
use sizes::Image;
use sizes::record::Record;

use crate::context::{Context, write_out};
use crate::flags::ConnectionFlags;

/// Show which layer, package, Go module or file of images changed by how much.
///
/// A and B are each: a layout, or a directory of layouts; a git revision, of which images/sizes.json is read; such a file;
/// or an image in a registry, which is fetched.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size diff main HEAD --markdown
  cargo xtask size diff HEAD target/images
  cargo xtask size diff old/kubelet-v1_26_0-amd64 target/images/kubelet-v1_26_0-amd64
  cargo xtask size diff registry.example.org/kubelet:v1.25.5-micro registry.example.org/kubelet:v1.26.0-micro")]
pub(crate) struct DiffSizes {
    /// The state before.
    #[arg(value_name = "A")]
    before: String,
    /// The state after.
    #[arg(value_name = "B")]
    after: String,
    /// For a comment on a pull request.
    #[arg(long)]
    markdown: bool,
    #[command(flatten)]
    connection: ConnectionFlags,
}

/// The answer for machines.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) diff: &'a sizes::diff::Diff,
}

/// One side of the comparison.
struct Side {
    images: BTreeMap<String, Image>,
    /// From a record, which has no small parts?
    coarse: bool,
}

impl DiffSizes {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let mut before = Side::read(context, &self.before, &self.connection)?;
        let mut after = Side::read(context, &self.after, &self.connection)?;
        pair(&mut before.images, &mut after.images);
        if before.coarse != after.coarse {
            let (fine, coarse) = if before.coarse { (&mut after, &before) } else { (&mut before, &after) };
            for (name, image) in &mut fine.images {
                *image = image.coarse(coarse.images.get(name));
            }
            // A record knows every image, a directory those that were built: what is in both is compared.
            let common = |name: &String| fine.images.contains_key(name);
            let only: Vec<String> = coarse.images.keys().filter(|name| !common(name)).cloned().collect();
            for name in only {
                before.images.remove(&name);
                after.images.remove(&name);
            }
        }
        let diff = sizes::diff::images(&before.images, &after.images);
        if context.json {
            return context.print_json(&Answer { version: 1, diff: &diff });
        }
        write_out(&if self.markdown { sizes::render::markdown(&diff) } else { sizes::render::text(&diff) })
    }
}

/// Two single images are compared whatever they are called.
fn pair(before: &mut BTreeMap<String, Image>, after: &mut BTreeMap<String, Image>) {
    if before.len() != 1 || after.len() != 1 || before.keys().eq(after.keys()) {
        return;
    }
    if let (Some((old, a)), Some((new, b))) = (before.pop_first(), after.pop_first()) {
        let name = format!("{old} → {new}");
        before.insert(name.clone(), a);
        after.insert(name, b);
    }
}

impl Side {
    fn read(context: &Context, what: &str, connection: &ConnectionFlags) -> Result<Self> {
        let path = Path::new(what);
        if path.is_dir() {
            return Self::layouts(context, path);
        }
        if path.exists() {
            let text = files::read_text(path, files::DOCUMENT)?;
            return Self::record(context, &text, what);
        }
        let named = what.strip_prefix("docker://");
        if named.is_none()
            && let Some(text) = revision(context, what)?
        {
            return Self::record(context, &text, &format!("{what}:{RECORD}"));
        }
        let reference = named.unwrap_or(what);
        if named.is_some() || reference.contains(['/', ':']) && !is_path(reference) {
            let source = Source::registry(reference, Take::Image, &connection.options(context))?;
            let images =
                weigh::named(&context.checkout, &context.checkout.catalog()?, &source.layout, reference)?;
            return Ok(Self { images, coarse: false });
        }
        Err(Fault::new(
            Kind::Unknown,
            format!("`{what}` is not a file or directory, git revision or image in a registry"),
        )
        .help("a layout's directory, `HEAD~1`, or `registry.example.org/kubelet:v1.26.0-micro`")
        .into())
    }

    fn layouts(context: &Context, dir: &Path) -> Result<Self> {
        let catalog = context.checkout.catalog()?;
        let mut images = BTreeMap::new();
        for layout in weigh::layouts(dir)? {
            images.extend(weigh::layout(&context.checkout, &catalog, &layout)?);
        }
        Ok(Self { images, coarse: false })
    }

    fn record(context: &Context, text: &str, name: &str) -> Result<Self> {
        let catalog = context.checkout.catalog()?;
        let attributes = Attributes::of(&catalog);
        // An older record may call images by what is now another name of theirs.
        let renamed = |(name, image): (String, Image)| {
            (attributes.find(&name).map_or(name.clone(), |found| found.name.clone()), image)
        };
        Ok(Self {
            images: Record::parse(text, name)?.images.into_iter().map(renamed).collect(),
            coarse: true,
        })
    }
}

/// `images/sizes.json` of a git revision; None if there is no such revision.
fn revision(context: &Context, name: &str) -> Result<Option<String>> {
    let commit = format!("{name}^{{commit}}");
    let Some(found) =
        context.checkout.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])?
    else {
        return Ok(None);
    };
    let text = context.checkout.git(&["cat-file", "blob", &format!("{}:{RECORD}", found.trim())])?;
    text.map(Some).ok_or_else(|| {
        let message = format!("revision `{name}` has no {RECORD}");
        Fault::new(Kind::Unknown, message).help("sizes are recorded since a later one").into()
    })
}
