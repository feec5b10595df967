//! kubelet and kubeadm in one binary behave as their own programs. Compiling them takes minutes where Go's build cache
//! does not hold them yet, so only `cargo xtask test --full` runs this.

mod common;

use common::{RELEASE, Scratch, call, host_target, recipe, run, tools};
use gobuild::{Program, Spec, compile, fetch};
use progress::Silent;

#[test]
#[ignore = "compiles the kubelet"]
fn kubelet_and_kubeadm_joined_behave_as_their_own_programs() {
    let Some(tools) = tools() else { return };
    let dir = Scratch::new();
    let spec = Spec::Kube { release: RELEASE.version.into() };
    let build = |names: &[&str]| {
        let programs = names.iter().map(|name| Program::kubernetes(name)).collect();
        let recipe = recipe(&spec, programs, host_target());
        let out = dir.path().join(names.join("+"));
        fetch(&recipe, &tools, dir.path(), &Silent).unwrap();
        compile(&recipe, &tools, 2, dir.path(), &out, &Silent).unwrap();
        out
    };
    let joined = build(&["kubeadm", "kubelet"]);
    let bad = dir.path().join("bad.yaml");
    std::fs::write(&bad, "kind: Nonsense\n").unwrap();
    let bad = format!("--config={}", bad.display());
    let kubelet: &[&[&str]] = &[
        &["--version"],
        &["--version=raw"],
        &["--help"],
        &["version"],
        &["--no-such-flag"],
        &[&bad],
        &["--config=/nonexistent"],
    ];
    let kubeadm: &[&[&str]] = &[
        &[],
        &["version"],
        &["version", "-o", "json"],
        &["--version"],
        &["--help"],
        &["init", "--help"],
        &["token", "generate", "--help"],
        &["config", "images", "list", "--kubernetes-version=v1.26.0"],
        &["config", "print", "init-defaults"],
        &["nosuch"],
        &["--nosuch"],
        &["init", "--dry-run", &bad],
        // A flag of cAdvisor, which the kubelet alone has.
        &["version", "--docker_only"],
    ];
    for (name, calls) in [("kubelet", kubelet), ("kubeadm", kubeadm)] {
        let own = build(&[name]);
        for args in calls {
            assert_eq!(run(&joined, name, &call(args)), run(&own, name, &call(args)), "{name} {args:?}");
        }
    }
    assert_eq!(run(&joined, "kubelet", &call(&["--version"])).1, "Kubernetes v1.26.0\n");
    let (code, json, _) = run(&joined, "/usr/bin/kubeadm", &call(&["version", "-o", "json"]));
    assert!(
        code == Some(0)
            && RELEASE.commit.is_some_and(|commit| json.contains(commit))
            && json.contains(RELEASE.date),
        "{json}"
    );
    let (code, token, _) = run(&joined, "kubeadm", &call(&["token", "generate"]));
    assert!(code == Some(0) && token.len() == 24, "{token}");
}
