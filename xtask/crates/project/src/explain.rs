//! One component plain and packed, side by side.

mod advice;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use catalog::{Arch, Pack, Release};
use executor::{Executor, Machine, Probe};
use fault::{Fault, Kind};
use gobuild::Recipe;
use oci::compress::Compression;
use plan::{Component, Made, Options};
use serde::Serialize;
use sizes::render::bytes as grouped;

use self::advice::Advice;
use crate::Session;

/// The methods, in the order of the table.
const METHODS: [Pack; 3] = [Pack::None, Pack::Nrv, Pack::Lzma];
/// A program whose runs take this long together is not started again.
const ENOUGH: Duration = Duration::from_secs(5);
/// But so often at least.
const FEWEST: usize = 3;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// A component of Go programs.
    pub component: &'a str,
    /// For this architecture. None: this machine's.
    pub arch: Option<&'a str>,
    /// Of this release. None: the newest.
    pub release: Option<&'a str>,
    /// Programs that are left out.
    pub omit: &'a [String],
    /// How often each command is started.
    pub runs: u16,
}

/// What was found.
#[derive(Serialize)]
pub struct Report {
    version: u32,
    component: String,
    release: String,
    arch: String,
    programs: Vec<String>,
    upx: String,
    gzip_encoder: String,
    zstd_encoder: String,
    policy: Pack,
    #[serde(flatten)]
    advice: Advice,
    methods: Vec<Method>,
}

/// The figures of one method; none if UPX refuses the program, or what it made was not taken.
#[derive(Serialize)]
struct Method {
    pack: Pack,
    #[serde(flatten)]
    figures: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

#[derive(Debug, Serialize)]
struct Figures {
    /// Of the file: what an image grows by once it is extracted.
    bytes: u64,
    /// Compressed as releases are.
    gzip: u64,
    /// Compressed as with `--zstd`.
    zstd: u64,
    /// Of each program, if the machine is its own.
    starts: Vec<Start>,
}

/// How long a command takes to say its version.
#[derive(Debug, Serialize)]
struct Start {
    program: String,
    runs: usize,
    best_ms: f64,
    median_ms: f64,
}

/// A method's file on disk.
struct Packed {
    pack: Pack,
    file: Result<PathBuf, String>,
}

/// Measures a component plain and packed with UPX, and compares the catalog's policy with what the figures recommend.
pub fn explain(session: &Session<'_>, request: &Request<'_>) -> Result<Report> {
    let options = Options { omit: request.omit.to_vec(), ..session.options(Compression::default())? };
    let (release, arch) = (request.release(session)?, request.arch(session)?);
    let policy = plan::go_content(&session.catalog, request.component)?.pack;
    // Before minutes of compiling.
    session.upx()?;
    let machine = Machine::of(&gobuild::Target::of(arch), session.setup()?.host)?;
    let planner = session.planner(&options);
    session.ensure_closures(&[planner.go_closure(request.component, release)?])?;
    let component = |pack| planner.go_component(request.component, release, arch, pack);
    let executor = session.executor()?;
    let methods = METHODS.iter().map(|pack| made(&executor, *pack, &component(*pack)?));
    let methods = methods.collect::<Result<Vec<_>>>()?;
    let plain = component(Pack::None)?;
    let Made::Go { recipe, .. } = &plain.made else { anyhow::bail!("not of Go") };
    let methods = request.measure(session, &machine, recipe, methods)?;
    Ok(Report {
        version: 1,
        component: request.component.to_owned(),
        release: release.version.to_string(),
        arch: arch.name.to_string(),
        programs: recipe.programs.iter().map(|program| program.name.clone()).collect(),
        upx: component(Pack::Nrv)?.upx().map(ToString::to_string).unwrap_or_default(),
        gzip_encoder: Compression::default().encoder(),
        zstd_encoder: Compression::Zstd.encoder(),
        policy,
        advice: Advice::on(&methods),
        methods,
    })
}

impl Request<'_> {
    fn release<'s>(&self, session: &'s Session<'_>) -> Result<&'s Release> {
        let known = &session.catalog.releases;
        let found = match self.release {
            Some(name) => session.catalog.release(name),
            None => known.first(),
        };
        found.ok_or_else(|| unknown("release", self.release, known.iter().map(|r| &r.version)))
    }

    fn arch<'s>(&self, session: &'s Session<'_>) -> Result<&'s Arch> {
        let known = &session.catalog.arches;
        let host = session.setup()?.host.arch();
        let name = self.arch.unwrap_or(host);
        let found = known.iter().find(|arch| arch.name == *name);
        found.ok_or_else(|| unknown("architecture", Some(name), known.iter().map(|arch| &arch.name)))
    }

    /// Compresses each file, and starts each program of each in turns, so that what else the machine does hits all alike.
    fn measure(
        &self,
        session: &Session<'_>,
        machine: &Machine,
        recipe: &Recipe,
        methods: Vec<Packed>,
    ) -> Result<Vec<Method>> {
        let work = session.store.scratch_dir()?;
        let probes: Vec<Probe> = recipe.programs.iter().map(Probe::of).collect();
        let task = session.checkout.progress.task(&format!("measure {}", self.component), None);
        let mut times = vec![vec![Vec::new(); probes.len()]; methods.len()];
        if machine.is_own() {
            for run in 0..self.runs {
                task.detail(&format!("start {} of {}", run + 1, self.runs));
                for (method, times) in methods.iter().zip(&mut times) {
                    let Ok(file) = &method.file else { continue };
                    let dir = work.path().join(format!("{:?}", method.pack));
                    time_once(machine, &probes, file, &dir, times)?;
                }
            }
        }
        let measured = methods.into_iter().zip(times).map(|(Packed { pack, file }, times)| {
            let file = match file {
                Ok(file) => file,
                Err(refused) => return Ok(Method { pack, figures: None, refused: Some(refused) }),
            };
            task.detail(&format!("compress {}", name(pack)));
            let data = fs::read(&file).context("the program cannot be read")?;
            let starts = probes.iter().zip(times).filter_map(|(probe, times)| Start::of(&probe.name, times));
            let figures = Figures {
                bytes: data.len() as u64,
                gzip: Compression::default().measure(&data)?,
                zstd: Compression::Zstd.measure(&data)?,
                starts: starts.collect(),
            };
            Ok(Method { pack, figures: Some(figures), refused: None })
        });
        measured.collect()
    }
}

fn unknown<'n>(
    what: &str,
    name: Option<&str>,
    known: impl Iterator<Item = &'n catalog::Name>,
) -> anyhow::Error {
    let known: Vec<_> = known.map(catalog::Name::as_str).collect();
    let message = format!("there is no {what} `{}`", name.unwrap_or_default());
    Fault::new(Kind::NotFound, message).help(format!("images/catalog.toml has {}", known.join(", "))).into()
}

/// The component's file, or why there is none with this method.
fn made(executor: &Executor<'_>, pack: Pack, component: &Component) -> Result<Packed> {
    let file = match executor.component(&component.key()?, component) {
        Ok(object) => Ok(object.file(Component::FILE)?),
        Err(error) if pack != Pack::None && fault::exit_code(&error) == Kind::ToolFailed.exit_code() => {
            Err(error.root_cause().to_string())
        }
        Err(error) => return Err(error),
    };
    Ok(Packed { pack, file })
}

fn time_once(
    machine: &Machine,
    probes: &[Probe],
    file: &Path,
    dir: &Path,
    times: &mut [Vec<Duration>],
) -> Result<()> {
    for (probe, times) in probes.iter().zip(times) {
        if times.len() < FEWEST || times.iter().sum::<Duration>() < ENOUGH {
            times.push(machine.time(probe, file, dir)?);
        }
    }
    Ok(())
}

impl Start {
    fn of(program: &str, mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
        Some(Self {
            program: program.to_owned(),
            runs: times.len(),
            best_ms: ms(times.first()?),
            median_ms: ms(times.get(times.len() / 2)?),
        })
    }
}

/// As the catalog spells it.
fn name(pack: Pack) -> &'static str {
    match pack {
        Pack::None => "none",
        Pack::Nrv => "nrv",
        Pack::Lzma => "lzma",
    }
}

impl Report {
    /// For people.
    pub fn table(&self) -> String {
        let programs = self.programs.join(", ");
        let joined = if self.programs.len() > 1 { ", in one binary" } else { "" };
        let mut lines = vec![
            format!("{} {} {}: {programs}{joined}", self.component, self.release, self.arch),
            format!("packed by UPX {}; gzip: {}; zstd: {}", self.upx, self.gzip_encoder, self.zstd_encoder),
            String::new(),
            format!("{:8}{:>14}{:>14}{:>14}", "pack", "extracted", "gzip", "zstd"),
        ];
        for method in &self.methods {
            let mark = if method.pack == self.policy { " *" } else { "" };
            let label = format!("{}{mark}", name(method.pack));
            lines.push(match (&method.figures, &method.refused) {
                (Some(Figures { bytes, gzip, zstd, .. }), _) => {
                    let [bytes, gzip, zstd] = [bytes, gzip, zstd].map(|number| grouped(*number));
                    format!("{label:8}{bytes:>14}{gzip:>14}{zstd:>14}")
                }
                (None, refused) => format!("{label:8}refused: {}", refused.as_deref().unwrap_or_default()),
            });
        }
        lines.push("* the policy in images/catalog.toml".to_owned());
        lines.extend(self.starts());
        lines.push(String::new());
        lines.extend(self.advice.lines(self.policy));
        lines.join("\n")
    }

    /// The start of each command, best and median, a column a method.
    fn starts(&self) -> Vec<String> {
        let measured: Vec<_> =
            self.methods.iter().filter_map(|method| Some((method.pack, method.figures.as_ref()?))).collect();
        if measured.iter().all(|(_, figures)| figures.starts.is_empty()) {
            return vec![format!(
                "\nstarts are not measured: programs for {} do not run on this machine itself",
                self.arch
            )];
        }
        let width = self.programs.iter().map(String::len).max().unwrap_or(0).max("start, ms".len());
        let cells =
            |cells: Vec<String>| cells.iter().fold(String::new(), |row, cell| row + &format!("{cell:>20}"));
        let head = cells(measured.iter().map(|(pack, _)| format!("{} best/median", name(*pack))).collect());
        let mut lines = vec![String::new(), format!("{:width$}{head}", "start, ms")];
        for program in &self.programs {
            let cell = |figures: &Figures| {
                let start = figures.starts.iter().find(|start| start.program == *program);
                start.map_or_else(String::new, |start| {
                    format!("{:.1} / {:.1}", start.best_ms, start.median_ms)
                })
            };
            let row = cells(measured.iter().map(|(_, figures)| cell(figures)).collect());
            lines.push(format!("{program:width$}{row}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests;
