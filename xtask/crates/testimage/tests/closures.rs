//! The committed closures, and names that nothing is known of.

use std::path::{Path, PathBuf};

use gobuild::Closure;
use progress::Silent;
use store::Store;
use testimage::{CLOSURES, Lab, Set, committed};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

#[test]
fn every_committed_closure_is_whole() {
    let sets = committed(&root()).unwrap();
    assert!(sets.contains(&Set::ControlPlane { release: "v1.26.0".into() }), "{sets:?}");
    for set in sets {
        let closure = Closure::read(&root().join(CLOSURES), &set.spec()).unwrap();
        closure.check(&set.spec()).unwrap();
    }
}

/// Fetches what `go mod tidy` looks at, minutes the first time.
#[test]
#[ignore = "asks the module proxy"]
fn committed_closures_are_what_their_modules_give() {
    let store = Store::open(Store::default_root().unwrap()).unwrap();
    let lab = Lab::new(&root(), store, &Silent).unwrap();
    for set in committed(&root()).unwrap() {
        lab.check_closure(&set).unwrap();
    }
}

#[test]
fn what_is_not_known_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::new(&root(), Store::open(dir.path()).unwrap(), &Silent).unwrap();
    let error = lab.image("v1.26.0", "registry.k8s.io/kube-dns:1.0").unwrap_err();
    assert_eq!(
        (fault::exit_code(&error), error.to_string().as_str()),
        (4, "nothing is known to put into an image called `registry.k8s.io/kube-dns:1.0`")
    );
    let error = lab.image("v1.2.3", "registry.k8s.io/pause:3.9").unwrap_err();
    assert_eq!(
        (fault::exit_code(&error), error.to_string().as_str()),
        (4, "the catalog has no release `v1.2.3`")
    );
    let plane = Set::ControlPlane { release: "v1.26.0".into() };
    let error = lab.program(&plane, "kubelet").unwrap_err();
    assert_eq!(error.to_string(), "`kubelet` is not among the programs of v1.26.0");
}
