//! Closures made again are what is committed, and a release with modules that are not available says which. Needs the
//! user's module proxy, so only `cargo xtask test --full` runs this.

mod common;

use common::{Scratch, edits, images, plugins, tools};
use gobuild::{Closure, Spec, check, generate};
use progress::Silent;

#[test]
#[ignore = "fetches modules"]
fn closures_made_anew_are_those_committed() {
    let Some(tools) = tools() else { return };
    let dir = Scratch::new();
    for spec in [Spec::Kube { release: "v1.26.0".into() }, plugins()] {
        check(&images(), &spec, &edits(), &tools, dir.path(), &Silent).unwrap();
    }
}

#[test]
#[ignore = "fetches modules"]
fn a_changed_pin_is_stale_and_names_its_line() {
    let Some(tools) = tools() else { return };
    let dir = Scratch::new();
    let spec = plugins();
    let mut closure = Closure::read(&images(), &spec).unwrap();
    // One more than is needed, so that all offline checks pass.
    let needless = "github.com/none/such v0.0.1/go.mod h1:+4+5VIoxcDv35PnVELouMdDC58AQF/sWs+hjjr4Ra44=\n";
    let at = closure.go_sum.find("github.com/onsi").unwrap();
    closure.go_sum.insert_str(at, needless);
    closure.write(dir.path(), &spec).unwrap();
    let error = check(dir.path(), &spec, &edits(), &tools, dir.path(), &Silent).unwrap_err();
    assert_eq!(fault::exit_code(&error), 9, "{error}");
    assert!(error.to_string().contains(needless.trim()), "{error}");
}

#[test]
fn modules_that_cannot_be_had_are_named() {
    let Some(mut tools) = tools() else { return };
    let dir = Scratch::new();
    tools.offline = true;
    tools.host.mod_cache = dir.path().join("empty");
    let package = "github.com/kubernetes-sigs/cri-tools/cmd/crictl".into();
    let spec = Spec::Kubeadm { release: "v1.26.0".into(), crictl: "v1.26.0".into(), package };
    let error = generate(&spec, None, &edits(), &tools, dir.path(), &Silent).unwrap_err();
    assert_eq!(fault::exit_code(&error), 5, "{error}");
    for module in ["github.com/kubernetes-sigs/cri-tools@v1.26.0", "k8s.io/kubernetes@v1.26.0"] {
        assert!(error.to_string().contains(module), "{error}");
    }
}
