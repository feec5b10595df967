//! What edits and newer pins may not change: the unit tests that modules bring end as they do without.

mod common;

use common::{Scratch, edits, host_target, images, tools};
use gobuild::units::{self, Outcome, Outcomes};
use gobuild::{Closure, Common, Compilers, Flags, JoinSource, Program, Recipe, Spec, Stamps, Tools};
use progress::Silent;

/// The newest release of the catalog.
const RELEASE: &str = "v1.37.2";
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
const KUBERNETES: [&str; 2] = ["k8s.io/kubernetes/pkg/kubelet/...", "k8s.io/kubernetes/cmd/kubeadm/..."];

/// Runs them with the edits and without.
fn both(tools: &Tools, packages: &[&str]) -> [Outcomes; 2] {
    let dir = Scratch::new();
    let closure = Closure::read(&images(), &Spec::Kube { release: RELEASE.into() }).unwrap();
    let (edits, join) = (edits(), JoinSource::read(&images().join("join")).unwrap());
    let programs = ["kubeadm", "kubelet"].map(Program::kubernetes).into();
    let common = Common { edits: &edits, join: &join };
    let compilers = Compilers { go: common::COMPILERS.go, zig: common::COMPILERS.zig };
    let recipe =
        Recipe::new(programs, closure, host_target(), Stamps::new(), Flags::default(), compilers, common)
            .unwrap();
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
#[ignore = "compiles and runs the unit tests of the kubelet and of kubeadm, twice"]
fn kubelet_and_kubeadm_pass_their_own_unit_tests() {
    compare(&KUBERNETES, &[], 5000);
}
