//! Closures of a release that is made for the purpose, with modules that are not served and others that crictl raises.

mod common;

use std::path::Path;

use common::{Scratch, ask, serve, tools};
use gobuild::{Closure, Edits, Spec, Tools, generate};
use progress::Silent;

const STAGING: [&str; 10] = [
    "api",
    "apimachinery",
    "apiserver",
    "client-go",
    "component-base",
    "component-helpers",
    "cri-api",
    "kube-proxy",
    "kubelet",
    "mount-utils",
];
const MAIN: &str = "package main\n\nimport _ \"e.x/dep\"\n\nfunc main() {}\n";

/// Kubernetes v1.99.0, which also requires `more` of its staging modules.
fn kubernetes(dir: &Path, more: &str) {
    let (mut require, mut replace) = (String::new(), String::new());
    for name in STAGING.into_iter().chain([more]) {
        require += &format!("\tk8s.io/{name} v0.0.0\n");
        replace += &format!("\tk8s.io/{name} => ./staging/src/k8s.io/{name}\n");
    }
    let go_mod = format!(
        "module k8s.io/kubernetes\n\ngo 1.19\n\nrequire (\n{require}\te.x/dep v1.0.0\n)\n\nreplace (\n{replace})\n"
    );
    let imports = STAGING.map(|name| format!("import _ \"k8s.io/{name}\"\n")).concat();
    let kubelet = MAIN.replacen("import", &format!("{imports}import"), 1);
    let files = [
        ("go.mod", go_mod.as_str()),
        ("cmd/kubelet/main.go", &kubelet),
        ("cmd/kubeadm/main.go", MAIN),
        ("cmd/kube-proxy/main.go", MAIN),
    ];
    serve(dir, "k8s.io/kubernetes", "v1.99.0", &files);
    for name in STAGING {
        let go_mod = format!("module k8s.io/{name}\n\ngo 1.19\n");
        serve(dir, &format!("k8s.io/{name}"), "v0.99.0", &[("go.mod", &go_mod), ("a.go", "package a\n")]);
    }
    for version in ["v1.0.0", "v1.1.0"] {
        serve(
            dir,
            "e.x/dep",
            version,
            &[("go.mod", "module e.x/dep\n\ngo 1.19\n"), ("dep.go", "package dep\n")],
        );
    }
}

fn made(dir: &Path, tools: &Tools, spec: &Spec) -> anyhow::Result<Closure> {
    generate(spec, None, &Edits::default(), tools, dir, &Silent)
}

fn kube() -> Spec {
    Spec::Kube { release: "v1.99.0".into() }
}

#[test]
fn a_module_that_only_tests_need_may_be_missing() {
    let Some(mut tools) = tools() else { return };
    let dir = Scratch::new();
    kubernetes(dir.path(), "sample-controller");
    ask(dir.path(), &mut tools);
    let closure = made(dir.path(), &tools, &kube()).unwrap();
    assert!(!closure.go_mod.contains("k8s.io/sample-controller v0.0.0"), "{}", closure.go_mod);
    // What a program imports may not.
    std::fs::remove_dir_all(dir.path().join("proxy/k8s.io/cri-api")).unwrap();
    tools.host.mod_cache = dir.path().join("other modules");
    let error = made(dir.path(), &tools, &kube()).unwrap_err();
    assert_eq!(fault::exit_code(&error), 5, "{error}");
    assert!(error.to_string().contains("k8s.io/cri-api@v0.99.0: "), "{error}");
}

#[test]
fn crictl_does_not_raise_what_kubernetes_is_made_of() {
    let Some(mut tools) = tools() else { return };
    let dir = Scratch::new();
    kubernetes(dir.path(), "sample-controller");
    ask(dir.path(), &mut tools);
    let module = "sigs.k8s.io/cri-tools";
    let go_mod = format!("module {module}\n\ngo 1.19\n\nrequire e.x/dep v1.1.0\n");
    serve(dir.path(), module, "v1.98.0", &[("go.mod", &go_mod), ("cmd/crictl/main.go", MAIN)]);
    let spec = |package: &str| Spec::Kubeadm {
        release: "v1.99.0".into(),
        crictl: "v1.98.0".into(),
        package: package.into(),
    };
    let closure = made(dir.path(), &tools, &spec("sigs.k8s.io/cri-tools/cmd/crictl")).unwrap();
    for line in ["\te.x/dep => e.x/dep v1.0.0\n", "\tsigs.k8s.io/cri-tools v1.98.0\n"] {
        assert!(closure.go_mod.contains(line), "{}", closure.go_mod);
    }
    assert!(closure.go_sum.contains("e.x/dep v1.0.0 h1:"), "{}", closure.go_sum);

    // By a name that is not its own, it says which it has.
    serve(dir.path(), "git.test/cri-tools", "v1.98.0", &[("go.mod", &go_mod), ("cmd/crictl/main.go", MAIN)]);
    let error = made(dir.path(), &tools, &spec("git.test/cri-tools/cmd/crictl")).unwrap_err();
    assert_eq!(fault::exit_code(&error), 5, "{error}");
    insta::assert_snapshot!(error, @r"
    a Go module is not available:
      git.test/cri-tools@v1.98.0: it is called sigs.k8s.io/cri-tools, as its go.mod says: ask for it by that name
    ");
}

#[test]
fn what_is_unedited_has_the_versions_of_its_own_release() {
    let Some(mut tools) = tools() else { return };
    let dir = Scratch::new();
    kubernetes(dir.path(), "sample-controller");
    ask(dir.path(), &mut tools);
    let module = "sigs.k8s.io/cri-tools";
    let go_mod = format!("module {module}\n\ngo 1.23\n\nrequire e.x/dep v1.0.0\n");
    serve(dir.path(), module, "v1.98.0", &[("go.mod", &go_mod), ("cmd/crictl/main.go", MAIN)]);
    let pin = "[[pin]]\nmodule = \"e.x/dep\"\nversion = \"v1.1.0\"\nwhy = \"w\"\n";
    let edits = Edits::parse(&format!("version = 1\n{pin}"), "edits.toml").unwrap();
    let made = |spec: &Spec| generate(spec, None, &edits, &tools, dir.path(), &Silent).unwrap();
    let crictl = Spec::Crictl { version: "v1.98.0".into(), package: format!("{module}/cmd/crictl") };
    let specs = [kube(), Spec::KubeUnedited { release: "v1.99.0".into() }, crictl];
    let dirs = specs.each_ref().map(|spec| spec.dir().display().to_string());
    assert_eq!(dirs, ["v1.99.0/kube", "v1.99.0/kube-unedited", "crictl-v1.98.0"]);
    let closures = specs.each_ref().map(made);
    let sums = closures.each_ref().map(|it| it.go_sum.contains("e.x/dep v1.1.0 h1:"));
    assert_eq!(sums, [true, false, false]);
    assert_eq!(closures.each_ref().map(|it| edits.raise(&it.go_mod).unwrap()), [true, false, false]);
    // Of crictl also the language, and with it the runtime's defaults.
    assert!(closures[2].go_mod.contains("\ngo 1.23\n"), "{}", closures[2].go_mod);
    // Without pins, the release's own is the same.
    let unpinned = generate(&specs[0], None, &Edits::default(), &tools, dir.path(), &Silent).unwrap();
    assert_eq!(unpinned, closures[1]);
}
