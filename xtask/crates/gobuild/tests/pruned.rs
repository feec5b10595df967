//! kubeadm, crictl and kube-proxy without the methods that nobody calls say what they say with all of them, in each of their
//! commands. Only `cargo xtask test --full` compiles them.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::{COMPILERS, Scratch, call, edits, host_target, images, run, tools};
use gobuild::{
    Closure, Common, Edits, Flags, JoinSource, LinkerVars, Program, Recipe, Release, Spec, Tools, compile,
    fetch,
};
use progress::Silent;

/// The newest release of the catalog, and its crictl.
const RELEASE: Release<'static> = Release { version: "v1.37.2", commit: None, date: "2026-10-27T12:01:04Z" };
const CRICTL: &str = "v1.37.0";
const PACKAGE: &str = "sigs.k8s.io/cri-tools/cmd/crictl";

/// kubeadm and crictl in one binary.
fn kubeadm(tools: &Tools, dir: &Path, pruned: bool) -> PathBuf {
    let spec =
        Spec::Kubeadm { release: RELEASE.version.into(), crictl: CRICTL.into(), package: PACKAGE.into() };
    let crictl = Program { name: "crictl".into(), package: PACKAGE.into(), init_flags: false };
    let stamps = LinkerVars::new().kubernetes(RELEASE).crictl(gobuild::module_of(PACKAGE), CRICTL);
    build(tools, dir, pruned, &spec, vec![Program::kubernetes("kubeadm"), crictl], stamps)
}

fn kube_proxy(tools: &Tools, dir: &Path, pruned: bool) -> PathBuf {
    let spec = Spec::Kube { release: RELEASE.version.into() };
    let stamps = LinkerVars::new().kubernetes(RELEASE);
    build(tools, dir, pruned, &spec, vec![Program::kubernetes("kube-proxy")], stamps)
}

fn build(
    tools: &Tools,
    dir: &Path,
    pruned: bool,
    spec: &Spec,
    programs: Vec<Program>,
    stamps: LinkerVars,
) -> PathBuf {
    let closure = Closure::read(&images(), spec).unwrap();
    // As in images/catalog.toml, so that what is compiled is compiled once.
    let own = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
    let gcflags =
        ["k8s.io/...=-l", "sigs.k8s.io/...=-l", "github.com/...=-l", "github.com/gogo/protobuf/...="];
    let (tags, gcflags) = (own(&["providerless"]), own(&gcflags));
    let flags = Flags { tags, gcflags, prune: pruned, templates: pruned, ..Flags::default() };
    let edits = if pruned { edits() } else { Edits::default() };
    let common = Common { edits: &edits, join: &JoinSource::read(&images().join("join")).unwrap() };
    let recipe = Recipe::new(programs, closure, host_target(), stamps, flags, COMPILERS, common).unwrap();
    let out = dir.join(format!("pruned-{pruned}"));
    fetch(&recipe, tools, dir, &Silent).unwrap();
    compile(&recipe, tools, 2, dir, &out, &Silent).unwrap();
    out
}

/// Both ways, in this directory; the second is to be smaller by a fifth.
fn both(dir: &Path, build: impl Fn(bool) -> PathBuf) -> [PathBuf; 2] {
    let both = [false, true].map(build);
    let [full, pruned] = both.each_ref().map(|file| fs::metadata(file).unwrap().len());
    println!("{}: {full} bytes, {pruned} pruned", dir.display());
    assert!(pruned < full * 4 / 5);
    both
}

/// Exit code, standard output and standard error; logrus writes `time="2026-11-30T15:30:08Z"`.
fn said(file: &Path, name: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let (code, stdout, stderr) = run(file, name, &call(args));
    let mut parts = stderr.split("time=\"");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('"').map_or(part, |(_, rest)| rest));
    (code, stdout, rest.fold(first, |all, part| all + "TIME" + part))
}

/// Every command of a program, with those that it is below: what its help lists under these headings.
fn commands(file: &Path, name: &str, headings: &[&str]) -> BTreeSet<Vec<String>> {
    let mut all = BTreeSet::new();
    let mut next = vec![Vec::new()];
    while let Some(words) = next.pop() {
        if !all.insert(words.clone()) {
            continue;
        }
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = run(file, name, &call(&args)).1;
        let lists = help.split("\n\n").filter_map(|part| part.split_once('\n'));
        for (_, list) in lists.filter(|(heading, _)| headings.contains(heading)) {
            let first =
                |line: &str| line.split_whitespace().next().map(|it| it.trim_end_matches(',').to_owned());
            let found = list.lines().filter_map(first).filter(|word| word != "help" && word != "h");
            next.extend(found.map(|word| [words.clone(), vec![word]].concat()));
        }
    }
    all
}

#[test]
#[ignore = "compiles kubeadm and crictl, twice"]
fn each_command_says_the_same_with_and_without_methods_that_nobody_calls() {
    let Some(tools) = tools() else { return };
    let dir = Scratch::new();
    let [full, pruned] = both(dir.path(), |pruned| kubeadm(&tools, dir.path(), pruned));

    let mut calls: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, heading, at_least) in
        [("kubeadm", &["Available Commands:"][..], 100), ("crictl", &["COMMANDS:"], 30)]
    {
        let commands = commands(&pruned, name, heading);
        assert!(commands.len() >= at_least, "{name} has {} commands", commands.len());
        for words in commands {
            for last in ["--help", "--nosuch"] {
                calls.push((name, [words.clone(), vec![last.to_owned()]].concat()));
            }
        }
    }
    let config = dir.path().join("kubeadm.yaml");
    fs::write(
        &config,
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.37.2\n",
    )
    .unwrap();
    let config = format!("--config={}", config.display());
    let go = |template: &str| format!("-o=go-template={template}");
    let list = "config images list --kubernetes-version=v1.37.2";
    let mut say = |name, words: &str, last: &[String]| {
        let words = words.split_whitespace().map(str::to_owned).chain(last.iter().cloned());
        calls.push((name, words.collect()));
    };
    for words in [
        "",
        "nosuch",
        "version",
        "version -o short",
        "version -o json",
        "version -o yaml",
        "config print init-defaults",
        "config print join-defaults",
        "config print reset-defaults",
        "config print upgrade-defaults",
        "config print init-defaults --component-configs=KubeProxyConfiguration,KubeletConfiguration",
        "completion bash",
        "completion zsh",
        list,
        "__complete config ''",
        "init phase certs nosuch",
        "certs check-expiration",
        "token list",
        "token create --print-join-command",
        "join",
        "upgrade plan v1.37.2",
        "init --nosuch",
    ] {
        say("kubeadm", words, &[]);
    }
    for output in
        ["json", "yaml", "text", "jsonpath={.images[0]}", "nosuch", "go-template={{.nosuch", "kyaml"]
    {
        say("kubeadm", list, &[format!("-o={output}")]);
    }
    for template in [
        "{{range .images}}{{.}} {{len .}}{{end}}",
        "{{.kind}} {{.nosuch}} {{printf `%T` .}}",
        "{{.kind.String}}",
    ] {
        say("kubeadm", list, &[go(template)]);
    }
    for words in ["config validate", "config migrate", "config images list"] {
        say("kubeadm", words, std::slice::from_ref(&config));
    }
    for words in [
        "",
        "--version",
        "--help",
        "version",
        "nosuch",
        "completion",
        "completion zsh",
        "completion fish",
        "config --list",
        "ps",
    ] {
        say("crictl", words, &[]);
    }
    let mut told = 0;
    for (name, words) in &calls {
        let args: Vec<&str> = words.iter().map(String::as_str).collect();
        let is = said(&pruned, name, &args);
        told += is.1.len() + is.2.len();
        assert_eq!(is, said(&full, name, &args), "{name} {args:?}");
    }
    println!("{} calls, {told} bytes", calls.len());
    assert!(told > 500_000, "{told}");
    let (code, token, _) = run(&pruned, "kubeadm", &call(&["token", "generate"]));
    assert!(code == Some(0) && token.len() == 24, "{token}");
}

/// What it does in a cluster is tested with the image.
#[test]
#[ignore = "compiles kube-proxy, twice"]
fn kube_proxy_says_the_same_with_and_without_methods_that_nobody_calls() {
    let Some(tools) = tools() else { return };
    let dir = Scratch::new();
    let [full, pruned] = both(dir.path(), |pruned| kube_proxy(&tools, dir.path(), pruned));
    let [config, bad, out] = ["config.yaml", "bad.yaml", "out.yaml"].map(|name| dir.path().join(name));
    let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
    fs::write(&config, format!("{head}mode: nftables\nconntrack: {{tcpEstablishedTimeout: 1h}}\n")).unwrap();
    fs::write(&bad, format!("{head}mode: nosuch\nnosuch: 1\n")).unwrap();
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let write = flag("write-config-to", &out);
    let mut told = 0;
    for args in [
        vec!["--help"],
        vec!["--nosuch"],
        vec!["nosuch"],
        vec!["--version"],
        vec!["--version=raw"],
        vec!["--v=nosuch"],
        vec!["--feature-gates=NoSuch=true"],
        vec!["--proxy-mode=nosuch"],
        vec![&write],
        vec!["--cluster-cidr=10.0.0.0/8", "--healthz-bind-address=:1", &write],
        vec![&flag("config", &config), &write],
        vec![&flag("config", &bad)],
        vec![&flag("config", Path::new("/no/such"))],
    ] {
        let [is, was] = [&pruned, &full].map(|file| {
            let said = run(file, "kube-proxy", &call(&args));
            // What is logged begins with the time and the process.
            let message = |line: &str| line.split_once("] ").map_or(line, |(_, rest)| rest).to_owned();
            let logged: Vec<String> = said.2.lines().map(message).collect();
            let written = fs::read_to_string(&out).unwrap_or_default();
            let _ = fs::remove_file(&out);
            (said.0, said.1, logged, written)
        });
        told += is.1.len() + is.3.len();
        assert_eq!(is, was, "{args:?}");
    }
    assert!(told > 10_000, "{told}");
}
