//! What edits and newer pins may not change: the unit tests that modules bring end as they do without.

mod common;

use common::{Scratch, edits, host_target, images, tools};
use gobuild::units::{self, Outcome, Outcomes};
use gobuild::{Closure, Common, Compilers, Flags, JoinSource, LinkerVars, Program, Recipe, Spec, Tools};
use progress::Silent;

/// The newest release of the catalog, and its crictl.
const RELEASE: &str = "v1.37.2";
const CRICTL: (&str, &str) = ("v1.37.0", "sigs.k8s.io/cri-tools/cmd/crictl");
/// Modules that are edited or have another version than the release's own.
const EDITED: [&str; 6] = [
    "github.com/google/go-cmp/...",
    "github.com/modern-go/reflect2/...",
    "github.com/spf13/cobra/...",
    "github.com/spf13/pflag/...",
    "golang.org/x/net/trace",
    "google.golang.org/protobuf/...",
];
/// What edits are seen to change, and may, as they say of themselves in images/go/edits.toml: how an interface without a name
/// and a descriptor are printed.
const CHANGED: [(&str, &str); 2] = [
    ("github.com/google/go-cmp/cmp/internal/value", "TestTypeString"),
    ("google.golang.org/protobuf/internal/filedesc", "TestFile"),
];
/// Of Kubernetes, whose programs are made of them.
const KUBELET: &str = "k8s.io/kubernetes/pkg/kubelet/...";
/// Where kubeadm and crictl make text by templates.
const TEMPLATES: [&str; 4] = [
    "github.com/urfave/cli/v2/...",
    "k8s.io/cli-runtime/pkg/printers",
    "k8s.io/kubernetes/cmd/kubeadm/...",
    "sigs.k8s.io/cri-tools/cmd/crictl/...",
];

/// Runs them with the edits and without.
fn both(tools: &Tools, packages: &[&str]) -> [Outcomes; 2] {
    let dir = Scratch::new();
    let (crictl, package) = CRICTL;
    let spec = Spec::Kubeadm { release: RELEASE.into(), crictl: crictl.into(), package: package.into() };
    let closure = Closure::read(&images(), &spec).unwrap();
    let (edits, join) = (edits(), JoinSource::read(&images().join("join")).unwrap());
    let crictl = Program { name: "crictl".into(), package: package.into(), init_flags: false };
    let programs = vec![crictl, Program::kubernetes("kubeadm"), Program::kubernetes("kubelet")];
    let flags = Flags { templates: true, ..Flags::default() };
    let common = Common { edits: &edits, join: &join };
    let compilers = Compilers { go: common::COMPILERS.go, zig: common::COMPILERS.zig };
    let recipe =
        Recipe::new(programs, closure, host_target(), LinkerVars::new(), flags, compilers, common).unwrap();
    [true, false].map(|edited| units::run(&recipe, tools, packages, edited, 2, dir.path(), &Silent).unwrap())
}

/// Each test ends with the edits as without, but for `changed`, which fails with them.
fn compare(packages: &[&str], changed: &[(&str, &str)], at_least: usize) {
    let Some(tools) = tools() else { return };
    let [edited, plain] = both(&tools, packages);
    let count = |outcomes: &Outcomes, wanted| outcomes.values().filter(|outcome| **outcome == wanted).count();
    let passed = count(&edited, Outcome::Pass);
    println!(
        "with the edits {passed} passed, {} failed; without {} and {}",
        count(&edited, Outcome::Fail),
        count(&plain, Outcome::Pass),
        count(&plain, Outcome::Fail)
    );
    let is_changed = |(package, test): &(String, String)| {
        changed.iter().any(|(of, name)| package == of && (test.is_empty() || test.starts_with(name)))
    };
    let tests = plain.keys().chain(edited.keys());
    let different: Vec<_> = tests.filter(|test| edited.get(test) != plain.get(test)).collect();
    let unknown: Vec<_> = different.iter().filter(|test| !is_changed(test)).collect();
    assert!(unknown.is_empty(), "with the edits otherwise than without: {unknown:#?}");
    for (package, name) in changed {
        let of = ((*package).to_owned(), (*name).to_owned());
        assert_eq!((edited[&of], plain[&of]), (Outcome::Fail, Outcome::Pass), "{package} {name}");
    }
    assert!(passed >= at_least, "only {passed} passed");
}

#[test]
#[ignore = "compiles tests of modules, some of which are fetched"]
fn edited_modules_pass_their_own_unit_tests() {
    compare(&EDITED, &CHANGED, 6000);
}

#[test]
#[ignore = "compiles and runs the unit tests of the kubelet, twice"]
fn kubelet_passes_its_own_unit_tests() {
    compare(&[KUBELET], &[], 4000);
}

#[test]
#[ignore = "compiles and runs the unit tests of kubeadm, crictl and what they print with, twice"]
fn kubeadm_and_crictl_pass_their_own_unit_tests() {
    compare(&TEMPLATES, &[], 1000);
}
