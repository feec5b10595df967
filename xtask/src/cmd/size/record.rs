//! `size record`: writes down what images weigh.

use anyhow::Result;
use catalog::Attributes;
use fault::{Fault, Kind};
use sizes::record::Record;

use super::{RECORD, Which, weigh};
use crate::cmd::session::How;
use crate::context::{Context, write_out};

/// Write what images weigh to images/sizes.json; what is recorded of others stays.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size record                                   all recorded images that are built here
  cargo xtask size record kubelet-v1_26_0-cni         the images of an index
  cargo xtask size record --layouts target/images")]
pub(crate) struct RecordSizes {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
}

impl RecordSizes {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let diff = write(context, &self.which, &self.how)?;
        if context.json {
            return context.print_json(&super::diff::Answer { version: 1, diff: &diff });
        }
        write_out(&sizes::render::text(&diff))
    }
}

/// Weighs images, writes the record, and says what is different in it.
pub(super) fn write(context: &Context, which: &Which, how: &How) -> Result<sizes::diff::Diff> {
    let catalog = context.catalog()?;
    let mut record = match super::record(context) {
        Err(error) if fault::is(&error, Kind::Unknown) => Record::default(),
        read => read?,
    };
    let weighed = weigh::weigh(context, which, how, &record)?;
    let before = record.images.clone();
    let attributes = Attributes::of(&catalog);
    let known = |name: &str| attributes.iter().any(|attribute| attribute.name == name);
    for (name, image) in weighed {
        if known(&name) {
            record.images.insert(name, image.coarse(None));
        } else {
            context.progress.note(&format!(
                "{name}: not recorded: the record is of the catalog's gzip images, and of no unedited ones"
            ));
        }
    }
    record.images.retain(|name, _| known(name));
    if record.images.is_empty() {
        return Err(Fault::new(Kind::Usage, "there is nothing to record")
            .help("name images: `cargo xtask size record ATTR...`")
            .into());
    }
    super::generated(context, RECORD, &record.text()?, false, "cargo xtask size record")?;
    Ok(sizes::diff::images(&before, &record.images))
}
