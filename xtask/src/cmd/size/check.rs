//! `size check`: are images within their budget?

use anyhow::Result;
use fault::{Fault, Kind};
use project::record::{self, judge, notes};
use project::weigh;
use serde::Serialize;
use sizes::budget::Verdict;

use crate::context::{Context, write_out};
use crate::flags::{BuildFlags, WeighFlags};

/// Compare images with the last release and with the published ones; fail if one is over its budget.
///
/// An image is over it if it, or one of its layers, grew by more than [budget] in images/catalog.toml allows, or if it is
/// too large beside the published one; the message names layer, component, file and Go modules. Exit code 11. Images with
/// zstd layers, in layouts that are here, are compared with the published ones alone.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size check                                    all recorded images that are built here
  cargo xtask size check kubelet-v1_26_0-cni-amd64    builds it first
  cargo xtask size check --layouts target/images")]
pub(crate) struct Check {
    #[command(flatten)]
    which: WeighFlags,
    #[command(flatten)]
    how: BuildFlags,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

impl Check {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let catalog = context.checkout.catalog()?;
        let record = record::read(&context.checkout)?;
        let mut weighed =
            weigh::weigh(&context.checkout, &self.which.request(), &self.how.options(), &record)?;
        let attributes = catalog::Attributes::of(&catalog);
        let any = !weighed.is_empty();
        weighed.retain(|name, _| {
            let (attribute, suffix) = plan::split_name(name);
            let known = attributes.iter().any(|known| known.name == attribute);
            let why = match (known, suffix.starts_with(plan::UNEDITED)) {
                (true, false) => return true,
                (true, true) => "unedited: the budget is of edited images, so there is none for it",
                (false, _) => "not an image of the catalog, so there is no budget for it",
            };
            context.note(&format!("{name}: {why}"));
            false
        });
        if any && weighed.is_empty() {
            let message = "no image that was weighed has a budget: there was nothing to check";
            let help = "`cargo xtask list` names the images that have a budget";
            return Err(Fault::new(Kind::NotFound, message).help(help).into());
        }
        let verdict = judge(&context.checkout, &catalog, &record, &weighed)?;
        if context.json {
            context.print_json(&Answer { version: 1, verdict: &verdict })?;
        } else {
            for note in notes(&verdict) {
                context.note(&note);
            }
            write_out(&sizes::render::verdict(&verdict))?;
        }
        verdict.check()
    }
}
