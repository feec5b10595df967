//! `lock go`: the Go closures in images/go.

use std::collections::BTreeMap;

use anyhow::Result;
use catalog::Release;
use fault::{Fault, Kind};
use gobuild::{Closure, Spec};
use project::Session;

use super::Report;
use crate::context::Context;
use crate::flags::BuildFlags;

/// Make the Go closures (go.mod, go.sum) of releases and of the CNI plugins, or check them.
///
/// A closure with modules that are not available is left unchanged, and they are listed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask lock go                     all releases
  cargo xtask lock go v1.26.0
  cargo xtask lock go --check --offline   only what needs no network, in a moment")]
pub(crate) struct LockGo {
    /// Releases, as vX.Y.Z [default: all].
    #[arg(value_name = "RELEASE")]
    releases: Vec<String>,
    /// Change nothing; fail if a closure is not what its modules give.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    how: BuildFlags,
}

impl LockGo {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(&context.checkout, self.how.options())?;
        let (mut failed, mut report) = (Vec::new(), Report::new());
        for (name, spec) in specs(&session, &self.releases)? {
            exec::interrupt::check()?;
            match self.one(context, &session, &spec) {
                Ok(done) => report.add(context, &name, done),
                Err(error) if fault::is(&error, Kind::Unavailable) => {
                    let why = format!("{error:#}").replace('\n', "\n  ");
                    report.add(context, &name, &format!("left as it is\n  {why}"));
                    failed.push(name);
                }
                Err(error) => return Err(error.context(name)),
            }
        }
        report.print(context)?;
        if failed.is_empty() || self.check {
            return Ok(());
        }
        Err(Fault::new(Kind::Unavailable, format!("not locked, modules are missing: {}", failed.join(", ")))
            .help("run it again where they are available; all other closures are done")
            .into())
    }

    fn one(&self, context: &Context, session: &Session<'_>, spec: &Spec) -> Result<&'static str> {
        let root = session.sources.go();
        if self.check && self.how.offline {
            // A closure that is not there is not wrong; building from it is the error.
            if !root.join(spec.dir()).is_dir() {
                return Ok("not made yet");
            }
            Closure::read(&root, spec)?.check(spec)?;
            return Ok("its versions and sums are complete; its modules were not asked for");
        }
        let work = session.store.scratch_dir()?;
        let tools = session.tools()?;
        let edits = &session.sources.edits;
        if self.check {
            gobuild::check(&root, spec, edits, tools.go()?, work.path(), &*context.checkout.progress)?;
            return Ok("as its modules give");
        }
        let known = Closure::read(&root, spec).ok();
        let made = gobuild::generate(
            spec,
            known.as_ref(),
            edits,
            tools.go()?,
            work.path(),
            &*context.checkout.progress,
        )?;
        if known.is_some_and(|known| known == made) {
            return Ok("unchanged");
        }
        made.write(&root, spec)?;
        Ok("updated")
    }
}

/// The closures of these releases, or of all, by directory. Those that `build --unedited` alone reads are among them if
/// one was ever built.
fn specs(session: &Session<'_>, releases: &[String]) -> Result<BTreeMap<String, Spec>> {
    let catalog = &session.catalog;
    let chosen: Vec<&Release> = if releases.is_empty() {
        catalog.releases.iter().collect()
    } else {
        let find = |version: &String| {
            catalog.release(version).ok_or_else(|| {
                let known: Vec<_> = catalog.releases.iter().map(|release| release.version.as_str()).collect();
                Fault::new(Kind::Unknown, format!("the catalog has no release `{version}`"))
                    .help(format!("it has {}", known.join(", ")))
            })
        };
        releases.iter().map(find).collect::<Result<_, _>>()?
    };
    let mut specs = BTreeMap::new();
    for release in chosen {
        let mut add = |release: &Release, closure| {
            let spec = plan::spec(catalog, release, closure)?;
            specs.insert(spec.dir().display().to_string(), spec);
            anyhow::Ok(())
        };
        for closure in [catalog::Closure::Kube, catalog::Closure::Kubeadm, catalog::Closure::CniPlugins] {
            add(release, closure)?;
        }
        // Components with a version of their own.
        for component in &catalog.components {
            if let catalog::Content::Go(go) = component.content() {
                add(&go.of(release), catalog::Closure::CniPlugins)?;
            }
        }
        let unedited = plan::unedited(catalog, release)?;
        let made = unedited.into_iter().filter(|spec| Closure::is_there(&session.sources.go(), spec));
        specs.extend(made.map(|spec| (spec.dir().display().to_string(), spec)));
    }
    Ok(specs)
}
