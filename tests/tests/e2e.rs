//! `cargo xtask e2e`: a cluster by the commands of docs/cluster.md, what it has to do, and what is reported of it.

use std::{env, fs};

use anyhow::{Context, Result, ensure};
use e2e::{Able, CASES, Case, CaseReport, Group, Outcome, Phase, Pod, Report, VERSION};
use fault::Kind;
use serde_json::{Value, json};
use tests::browser::{self, Browser};
use tests::cluster::{self, Nodes};
use tests::{left, scratch, skip, xtask};
use vm::Init;

/// What virtual machines said, beside the report.
const CONSOLES: [&str; 2] = ["node.console.log", "node1.console.log"];

/// A run with what real ones have: many cases, one that failed with what a script said, and names that are not markup.
fn run() -> Report {
    let case = |index: u32, name: &str, group, outcome| CaseReport {
        group,
        name: name.to_owned(),
        about: format!("what `{name}` <asserts> & more"),
        start: 400.0 + f64::from(index) * 20.0,
        seconds: 15.0,
        outcome,
    };
    let mut cases: Vec<CaseReport> =
        (0..).zip(&CASES).map(|(index, one)| case(index, one.name, one.group, Outcome::Passed)).collect();
    cases[3].outcome = Outcome::Failed { message: "expected `<b>2</b>`, found `1`\n".repeat(30) };
    let last = cases.len() - 1;
    cases[last].outcome = Outcome::Skipped { reason: "not chosen".to_owned() };
    let phase = |name: &str, start| Phase { name: name.into(), node: "node".into(), start, seconds: 200.0 };
    let pod = |name: &str, seconds| Pod { name: name.into(), node: "node1".into(), start: 410.0, seconds };
    Report {
        version: VERSION,
        started: "2026-01-02T03:04:05Z".to_owned(),
        release: "v1.26.0".to_owned(),
        image: "localhost/kubelet:v1.26.0-kubeadm-cni-micro".to_owned(),
        runtime: "containerd".to_owned(),
        machines: "vm".to_owned(),
        emulated: true,
        nodes: vec!["node".to_owned(), "node1".to_owned()],
        seconds: 900.0,
        phases: vec![phase("kubeadm init", 0.0), phase("kubeadm join", 200.0)],
        cases,
        pods: vec![pod("default/web-1", 6.0), pod("default/web-2", 11.0)],
        error: None,
    }
}

#[test]
fn the_page_shows_a_run_on_any_screen_and_asks_for_nothing() -> Result<()> {
    if skip::without(&browser::PROGRAMS)? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let file = dir.path().join("index.html");
    fs::write(&file, e2e::page(&run()))?;
    let browser = Browser::open(1280, 900)?;
    browser.go(&file)?;
    assert_eq!(browser.console()?, Vec::<String>::new());
    assert_eq!(browser.requests()?, [format!("file://{}", file.display())]);
    let title = browser.run("return document.title")?;
    let ran = CASES.len() - 1;
    assert_eq!(title, format!("Kubernetes v1.26.0: 1 of {ran} failed"));
    // A bar for each that ran, each where and as long as its time says, none covered by a name.
    let bars = browser.run(
        "return [...document.querySelectorAll('.timeline rect')].map((bar) => {
           const box = bar.getBoundingClientRect();
           return [bar.getAttribute('class'), box.left, box.width, getComputedStyle(bar).fill];
         })",
    )?;
    let bars = bars.as_array().context("no bars")?;
    assert_eq!(bars.len(), 2 + ran + 2);
    let left = |index: usize| bars[index][1].as_f64().unwrap_or_default();
    let width = |index: usize| bars[index][2].as_f64().unwrap_or_default();
    assert!((width(0) - width(1)).abs() < 0.5 && (left(0) + width(0) - left(1)).abs() < 0.5, "{bars:?}");
    assert!((width(0) / width(2) - 200.0 / 15.0).abs() < 0.5, "{bars:?}");
    let colours: std::collections::BTreeSet<_> = bars.iter().map(|bar| bar[3].to_string()).collect();
    assert_eq!(colours.len(), 4, "phases, passed, failed and pods differ: {colours:?}");
    let failed = "return document.querySelector('#failed').parentElement.innerText";
    let failed = browser.run(failed)?;
    ensure!(failed.as_str().is_some_and(|text| text.contains("expected `<b>2</b>`")), "{failed}");

    // On a phone the page is as wide as the screen: what is wider scrolls in its own box.
    browser.ask(
        "Emulation.setDeviceMetricsOverride",
        &json!({"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true}),
    )?;
    let overflow = browser.run("return document.documentElement.scrollWidth")?;
    assert_eq!(overflow, 360);
    let colour = |scheme: &str| -> Result<Value> {
        browser.prefer(scheme)?;
        browser.run("return getComputedStyle(document.body).backgroundColor")
    };
    assert_ne!(colour("light")?, colour("dark")?);
    Ok(())
}

/// `JUnit`'s file of a run, as an XML parser that is not ours counts it.
fn counted(browser: &Browser, junit: &str) -> Result<Value> {
    let script = format!(
        "const xml = new DOMParser().parseFromString({}, 'application/xml');
         const all = (name) => xml.querySelectorAll(name).length;
         const sum = (name) => [...xml.querySelectorAll('testsuite')]
           .reduce((sum, suite) => sum + Number(suite.getAttribute(name)), 0);
         return [all('parsererror'), all('testcase'), sum('tests'), all('failure'), sum('failures'), all('skipped'), sum('skipped')]",
        serde_json::to_string(junit)?
    );
    browser.run(&script)
}

#[test]
fn junits_file_is_xml_whose_counts_are_its_own() -> Result<()> {
    if skip::without(&browser::PROGRAMS)? {
        return Ok(());
    }
    // The browser's own first page lets no script parse.
    let (dir, browser) = (scratch::dir()?, Browser::open(800, 600)?);
    let page = dir.path().join("index.html");
    fs::write(&page, e2e::page(&run()))?;
    browser.go(&page)?;
    let counts = counted(&browser, &e2e::junit(&run()))?;
    let all = CASES.len() + 2;
    assert_eq!(counts, json!([0, all, all, 1, 1, 1, 1]));
    assert_ne!(counted(&browser, "<testsuites>")?[0], 0, "the parser finds mistakes");
    Ok(())
}

#[test]
fn cases_are_listed_and_an_unknown_one_is_refused_before_anything_is_made() -> Result<()> {
    let xtask = xtask::Xtask::new()?;
    let list: Value = serde_json::from_str(&xtask.ok(&["e2e", "--list", "--json"])?)?;
    assert_eq!(list["cases"].as_array().map(Vec::len), Some(CASES.len()));
    xtask.fails(&["e2e", "--case", "dsn"], Kind::NotFound, &["dsn", "dns"])?;
    xtask.fails(&["e2e", "--variant", "cni"], Kind::Usage, &["kubeadm-cni"])?;
    xtask.fails(&["e2e", "--case", "dns", "--repeat", "0"], Kind::Usage, &["--repeat"])?;
    let boots = ["e2e", "--nodes", "namespaces", "--case", "power-cut"];
    xtask.fails(&boots, Kind::Usage, &["`power-cut` needs", "--nodes vm"])?;
    xtask.fails(&["e2e", "--case", "graceful-shutdown"], Kind::Usage, &["--init systemd"])?;
    xtask.fails(&["e2e", "--nodes", "namespaces", "--init", "systemd"], Kind::Usage, &["--nodes vm"])?;
    xtask.fails(
        &["e2e", "--case", "another-release"],
        Kind::Usage,
        &["`another-release` needs", "--other"],
    )?;
    Ok(())
}

/// Runs `e2e` with these words; the report, which is whole, and beside it `more` files. Nothing is left on the machine.
fn run_e2e(words: &[&str], more: &[&str]) -> Result<Report> {
    let (out, tmp) = (scratch::dir()?, scratch::dir()?);
    let place = out.path().to_str().context("not UTF-8")?;
    let before = (left::of(tmp.path(), None)?, left::kernel()?);
    let program = xtask::Xtask::new()?.env("TMPDIR", tmp.path());
    let report = match program.ok(&[&["e2e", "--json", "--out", place], words].concat()) {
        Ok(report) => report,
        Err(error) => return Err(error.context(format!("all logs: {}", out.keep().display()))),
    };
    let report: Report = serde_json::from_str(&report)?;
    println!("{:?}\n{:#?}", report.phases, report.cases);
    for name in ["index.html", "junit.xml", "report.json"].iter().chain(more) {
        ensure!(fs::metadata(out.path().join(name))?.len() > 100, "{name} is empty");
    }
    ensure!(!out.path().join("logs").exists(), "nothing failed");
    assert_eq!((left::of(tmp.path(), None)?, left::kernel()?), before);
    Ok(report)
}

/// `RUNS` says how many clusters are made for it, one after another.
#[test]
fn a_cluster_of_namespaces_does_all_workloads_and_outlives_a_kubelet() -> Result<()> {
    if cluster::skip_without(Nodes::Namespaces)? {
        return Ok(());
    }
    let able = Able { nodes: Nodes::Namespaces, init: Init::Busybox, other: false };
    let wanted = |case: &&Case| case.group == Group::Workload || case.name == "kubelet-killed";
    let cases = CASES.iter().filter(wanted).filter(|case| able.lack(case).is_none());
    let names: Vec<&str> = cases.map(|case| case.name).collect();
    let mut words = vec!["--nodes", "namespaces"];
    words.extend(names.iter().flat_map(|name| ["--case", name]));
    let runs = env::var("RUNS").map_or(Ok(1), |runs| runs.parse()).context("RUNS is not a number")?;
    for number in 1..=runs {
        let report = run_e2e(&words, &[]).with_context(|| format!("run {number} of {runs}"))?;
        println!("run {number} of {runs}: {:.0} s", report.seconds);
        assert_eq!(report.counts(), (names.len(), 0, CASES.len() - names.len()));
        ensure!(report.pods.len() > 10, "{report:?}");
    }
    Ok(())
}

/// As its manifest has it, and with the plugins of the variant that is for it.
#[test]
fn a_cluster_of_namespaces_with_flannel_does_all_workloads() -> Result<()> {
    if skip::unless_full("a cluster with flannel's network: flannel is compiled")
        || cluster::skip_without(Nodes::Namespaces)?
    {
        return Ok(());
    }
    let report = run_e2e(&["--nodes", "namespaces", "--variant", "flannel"], &[])?;
    let (passed, failed, _) = report.counts();
    ensure!(passed > 15 && failed == 0, "{report:?}");
    ensure!(report.image.contains("-flannel-"), "{}", report.image);
    Ok(())
}

#[test]
fn machines_with_systemd_do_all_workloads() -> Result<()> {
    if skip::unless_full(
        "a cluster of two virtual machines with systemd, with all workloads: a quarter of an hour",
    ) || cluster::skip_without(Nodes::Vm)?
    {
        return Ok(());
    }
    let report = run_e2e(&["--init", "systemd", "--other", "v1.36.3"], &CONSOLES)?;
    let workloads = CASES.iter().filter(|case| case.group == Group::Workload).count();
    assert_eq!(report.counts(), (workloads, 0, CASES.len() - workloads));
    Ok(())
}

/// Machines have cgroups of version 2, as the newer ones of these ask for.
#[test]
fn each_release_of_today_is_joined_and_runs_pods() -> Result<()> {
    if skip::unless_full("a cluster of virtual machines of each newer release: six minutes each")
        || cluster::skip_without(Nodes::Vm)?
    {
        return Ok(());
    }
    for release in ["v1.36.3", "v1.35.4", "v1.34.4"] {
        let cases = ["deployment", "pod-to-pod", "dns", "streams", "swap"];
        let words: Vec<&str> = ["--release", release]
            .into_iter()
            .chain(cases.iter().flat_map(|name| ["--case", name]))
            .collect();
        let report = run_e2e(&words, &CONSOLES).with_context(|| release.to_owned())?;
        assert_eq!(report.counts(), (cases.len(), 0, CASES.len() - cases.len()), "{release}");
    }
    Ok(())
}

#[test]
fn a_cluster_by_the_pages_commands_does_all_that_it_has_to() -> Result<()> {
    if skip::unless_full("a cluster of two virtual machines, with all workloads and faults: half an hour")
        || cluster::skip_without(Nodes::Vm)?
    {
        return Ok(());
    }
    let report = run_e2e(&["--faults", "--other", "v1.36.3"], &CONSOLES)?;
    assert_eq!(report.counts(), (CASES.len() - 1, 0, 1), "without systemd, all but graceful-shutdown");
    ensure!(
        report.cases.iter().any(|case| case.group == Group::Fault) && report.pods.len() > 10,
        "{report:?}"
    );
    Ok(())
}
