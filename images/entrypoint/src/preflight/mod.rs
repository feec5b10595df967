//! Says what the kubelet's container lacks before the kubelet fails at it, and what repairs that.
//!
//! `entrypoint preflight` looks at everything and changes nothing; before the kubelet starts with the image's flags the
//! same checks say what is wrong, repair what can be repaired from inside, and refuse the start where it would fail.

mod cgroups;
mod drivers;
mod facts;
mod files;
mod finding;
mod flags;
mod glob;
mod identity;
mod kernel;
mod mounts;
mod network;
mod programs;
mod report;
mod runtime;
mod settings;
mod system;
mod table;
mod toml;
mod unified;

pub(crate) use facts::Facts;
pub(crate) use flags::{Repair, Starter};
pub(crate) use kernel::before_kubeadm;
pub(crate) use mounts::mounted_from_host;
pub(crate) use table::{Access, HOST_CNI, Propagation};

use std::ffi::OsString;
use std::path::Path;

use crate::args::{self, Command};
use crate::failure::{err, out};
use crate::repair::{self, Refusal};
use crate::stop::{HOST, Stop, USAGE};
use crate::{cni, host, kubelet};
use finding::{Finding, Status};
use settings::Settings;
use table::Part;

/// How much of what is wrong stops the start.
const MODE: &str = "KUBELET_PREFLIGHT";
/// `off`: nothing is repaired; `host`: also what takes a change on the host.
const REPAIR: &str = "KUBELET_REPAIR";

/// `preflight [--json | --markdown] [KUBELET-FLAG...]`; returns the exit code.
pub(crate) fn main(given: Vec<OsString>) -> u8 {
    let mut given = given;
    let form = given.first().and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    match form.as_str() {
        "--markdown" => {
            out(table::markdown().trim_end());
            return 0;
        }
        "--json" => drop(given.remove(0)),
        "--help" | "-h" => {
            out("entrypoint preflight [--json | --markdown] [KUBELET-FLAG...]\n\n\
                Looks at what this container was given of its host, for a kubelet with the image's flags and these; without\n\
                flags for the kubelet that runs in this container, if one does.\n\
                It changes nothing. --json: for programs. --markdown: the table of host paths.");
            return 0;
        }
        _ => {}
    }
    let mut command = args::command(given);
    if !command.defaults {
        let word = command.program.to_string_lossy();
        err(&format!("entrypoint: preflight: {word}: only flags of the kubelet are expected"));
        return USAGE;
    }
    let facts = Facts::gather();
    let running = kubelet::probe::find(Path::new("/proc")).filter(|_| command.args.is_empty());
    let (mut findings, refused) = if let Some(kubelet) = running {
        let mut findings = check(&Settings::in_directory(&kubelet.args, &kubelet.directory), &facts);
        findings.insert(0, Finding::ok("kubelet", "what is judged", "runs here; all is judged by its flags"));
        (findings, None)
    } else {
        let refused = kubelet::arrange(&mut command, facts.runs_systemd()).err();
        (check(&Settings::of(&command.args), &facts), refused)
    };
    // What the host lacks has rows of its own.
    if let Some(stop) = refused.filter(|stop| stop.code != HOST) {
        let repair = Repair::Text(stop.help.join("; "));
        findings.insert(
            0,
            Finding::bad(Status::Error, "command line", "what is to be started", stop.message, repair),
        );
    }
    let text = if form == "--json" { report::json(&findings) } else { report::human(&findings) };
    out(text.trim_end());
    if findings.iter().any(|finding| finding.status == Status::Error) { HOST } else { 0 }
}

/// Everything that is checked, in the order in which it is said.
fn check(settings: &Settings, facts: &Facts) -> Vec<Finding> {
    let plugins = cni::plugins(facts);
    let mut parts = runtime::parts(settings, plugins.is_some());
    // Without systemd there is no logind that the kubelet could tell.
    parts.retain(|part| *part != Part::Shutdown || facts.runs_systemd() != Some(false));
    let mut findings = system::check(facts, settings);
    findings.extend(identity::check(facts));
    findings.extend(cgroups::check(facts, settings, &parts));
    findings.extend(mounts::check(facts, settings, &parts, false));
    findings.extend(runtime::check(facts, settings));
    findings.extend(files::check(facts, settings));
    findings.extend(programs::check(facts, settings));
    findings.extend(network::check(facts, plugins.as_ref()));
    findings
}

/// Before the kubelet starts with the image's flags: completes them, says what is wrong, repairs what it can, and
/// refuses a start that would fail.
pub(crate) fn before_start(command: &mut Command) -> Result<(), Stop> {
    // What the host lacks has findings of its own, among all others.
    let facts = Facts::gather();
    let lacks = match kubelet::arrange(command, facts.runs_systemd()) {
        Err(stop) if stop.code == HOST => Some(stop),
        other => other.map(|()| None)?,
    };
    let settings = Settings::of(&command.args);
    if settings.only_prints() {
        return Ok(());
    }
    let mode = variable(MODE);
    let stops = match mode.as_str() {
        "" | "on" => Some(Status::Error),
        "strict" => Some(Status::Warning),
        "warn" | "off" => None,
        other => {
            let message = format!("{MODE}={other}: expected on, strict, warn or off");
            return Err(Stop::new(USAGE, message));
        }
    };
    let repair = variable(REPAIR);
    if !matches!(repair.as_str(), "" | "on" | "off" | "host") {
        return Err(Stop::new(USAGE, format!("{REPAIR}={repair}: expected on, off or host")));
    }
    if mode == "off" {
        // Nothing is looked at but what can be repaired, as nothing else comes of it.
        if repair != "off" {
            let parts = runtime::parts(&settings, false);
            let mut findings = mounts::check(&facts, &settings, &parts, true);
            findings.extend(identity::check(&facts));
            findings.extend(system::cgroup_namespace(&facts));
            for finding in &mut findings {
                repair_one(finding, &facts);
            }
        }
        return Ok(());
    }
    let mut findings = check(&settings, &facts);
    for finding in &mut findings {
        repair_one(finding, &facts);
    }
    let starter = starter();
    findings.retain(|finding| finding.status >= Status::Warning);
    for finding in &findings {
        err(&report::line(finding, starter));
    }
    let count = stops.map_or(0, |least| findings.iter().filter(|finding| finding.status >= least).count());
    if count == 0 {
        return lacks.filter(|_| stops.is_some()).map_or(Ok(()), Err);
    }
    Err(Stop::new(HOST, format!("the kubelet is not started: {count} of the above must be put right first"))
        .help("`entrypoint preflight` in this container shows everything that is checked")
        .help(format!("{MODE}=warn starts it nevertheless")))
}

/// Puts a row right, and says so of a mount; or says why that is not possible.
fn repair_one(finding: &mut Finding, facts: &Facts) {
    if finding.status != Status::Repairable {
        return;
    }
    let is_write = matches!(&finding.repair, Some(Repair::Mount { access: Access::Write, .. }));
    let is_mount = matches!(&finding.repair, Some(Repair::Mount { propagation: Propagation::Shared, .. }));
    let done = match &finding.repair {
        _ if variable(REPAIR) == "off" => {
            Err(Refusal::from(format!("repairs are switched off ({REPAIR}=off)")))
        }
        Some(Repair::Mount { path, .. }) if is_mount => {
            repair::propagation(Path::new(path), is_write && may_change_host())
        }
        Some(Repair::Mount { path, .. }) => identity::take(facts, path).map_err(Refusal::from),
        Some(Repair::HostCgroup) => host::enter_cgroup_namespace().map_err(Refusal::from),
        _ => return,
    };
    match done {
        Ok(()) => {
            if is_mount {
                err(&format!("entrypoint: repaired: {}: {}; now it is shared", finding.name, finding.found));
            }
            finding.status = Status::Ok;
        }
        Err(Refusal { reason, remedy }) => {
            // Without the others the kubelet starts nevertheless.
            let fatal = is_mount && is_write;
            finding.status = if fatal { Status::Error } else { Status::Warning };
            finding.found = format!("{}; it is not repaired: {reason}", finding.found);
            finding.repair = remedy.map(Repair::Text).or(finding.repair.take());
        }
    }
}

/// Has the user allowed repairs that change something on the host?
fn may_change_host() -> bool {
    variable(REPAIR) == "host"
}

/// A variable of the container's environment, empty where there is none.
pub(crate) fn variable(name: &str) -> String {
    std::env::var_os(name).unwrap_or_default().to_string_lossy().into_owned()
}

/// What started this container, by the marks that it leaves.
pub(crate) fn starter() -> Starter {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        Starter::Kubernetes
    } else if Path::new("/run/.containerenv").exists() {
        Starter::Podman
    } else if Path::new("/.dockerenv").exists() {
        Starter::Docker
    } else {
        Starter::Ctr
    }
}

/// An error as strerror(3) has it.
pub(crate) fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
