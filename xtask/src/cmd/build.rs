//! `build`: images and indexes as OCI layouts.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use executor::{Built, BuiltImage};
use plan::Plan;
use progress::timings::{Step, Timings, Watch};
use project::load::Runtime;
use project::{IMAGES, Session, support};
use serde::Serialize;

use crate::context::{Context, write_out};
use crate::flags::{BuildFlags, SelectionFlags};
use crate::ui::mib;

/// Where the page on a build's time goes.
const TIMINGS: &str = "target/timings.html";

/// Build images and multi-arch indexes into OCI layouts.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask build --run                             the newest micro kubelet for this machine, and show it running
  cargo xtask build kubelet-v1_26_0-cni-arm64
  cargo xtask build kubelet-v1_26_0             three architectures and their index
  cargo xtask build kubelet-v1_26_0-kubeadm-amd64 --omit crictl --load
  cargo xtask build kubelet-v1_26_0-cni --zstd  the same images with smaller layers, as ...-zstd")]
pub(crate) struct Build {
    #[command(flatten)]
    what: SelectionFlags,
    #[command(flatten)]
    how: BuildFlags,
    /// Put the layouts here, each in a directory named like its attribute [default: target/images].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Import the images into docker or containerd, whichever runs here.
    #[arg(long)]
    load: bool,
    /// Load the images too, and show that their kubelet runs, where docker or containerd runs here.
    #[arg(long)]
    run: bool,
    /// Say how long each step took, and write it to target/timings.html, with processors and memory.
    #[arg(long)]
    timings: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    built: &'a [Built],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    said: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    timings: Vec<Timing>,
}

#[derive(Serialize)]
struct Timing {
    step: String,
    /// After the beginning.
    begin: f64,
    seconds: f64,
}

impl Build {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(&context.checkout, self.how.options())?;
        let plan = session.plan(&self.what.selection())?;
        self.what.omit.check(&session.catalog, plan.targets.iter().map(plan::Target::attribute))?;
        support::tell_ended(&session, &plan)?;
        let out = self.out.clone().unwrap_or_else(|| context.checkout.root.join(IMAGES));
        let executor = session.executor()?;
        let watch = self.timings.then(|| executor.timings.watch());
        let built = executor.build(&plan, &out)?;
        let timings = match watch {
            Some(watch) => timings(context, &plan, &executor.timings, watch)?,
            None => Vec::new(),
        };
        let said = self.load_and_run(context, &built)?;
        if context.json {
            return context.print_json(&Report { version: 1, built: &built, said, timings });
        }
        for Timing { step, seconds, .. } in &timings {
            context.note(&format!("{seconds:8.2} s  {step}"));
        }
        built.iter().try_for_each(|built| write_out(&table(built)))?;
        said.iter().try_for_each(|line| write_out(line))
    }

    /// Does what --load and --run ask for; returns what the images' programs said.
    fn load_and_run(&self, context: &Context, built: &[Built]) -> Result<Vec<String>> {
        if !self.load && !self.run {
            return Ok(Vec::new());
        }
        let runtime = if self.load {
            Runtime::required()?
        } else if let Some(found) = Runtime::find()? {
            found
        } else {
            context.note("neither docker nor containerd answers: built, but not run");
            return Ok(Vec::new());
        };
        built
            .iter()
            .try_for_each(|built| runtime.load(&built.layout, &*context.checkout.progress).map(drop))?;
        if !self.run {
            return Ok(Vec::new());
        }
        let show = |built: &Built| {
            let said = runtime.run(&built.name, &["kubelet", "--version"])?;
            Ok(format!("  {} says: {said}", built.name))
        };
        built.iter().map(show).collect()
    }
}

/// How long each step took; of all of it, a page is written.
fn timings(context: &Context, plan: &Plan, timings: &Timings, watch: Watch) -> Result<Vec<Timing>> {
    let seconds = timings.seconds();
    let steps = timings.take();
    let targets: Vec<&str> = plan.targets.iter().map(plan::Target::attribute).collect();
    let page = report::timings(&report::Timings {
        title: targets.join(", "),
        seconds,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        steps: steps.clone(),
        samples: watch.end(),
    });
    let to = context.checkout.root.join(TIMINGS);
    // Cargo's own may be elsewhere.
    to.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .with_context(|| format!("cannot make room for {TIMINGS}"))?;
    files::write(&to, page.as_bytes())?;
    context.note(&format!("{TIMINGS} shows it"));
    let timing = |Step { name, begin, end }| Timing { step: name, begin, seconds: end - begin };
    Ok(steps.into_iter().map(timing).collect())
}

/// What people want to know of what was built.
fn table(built: &Built) -> String {
    let mut lines = vec![format!("{}  {}", built.layout.display(), built.digest)];
    for image in &built.images {
        let BuiltImage { platform, compressed, extracted, .. } = image;
        let sizes = format!("{:7.2} MiB compressed  {:7.2} MiB extracted", mib(*compressed), mib(*extracted));
        lines.push(format!("  {platform:14} {sizes}"));
    }
    lines.join("\n")
}
