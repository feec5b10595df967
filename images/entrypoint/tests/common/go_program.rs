//! Compiles `tests/mount_utils`, which calls the Go library that the kubelet and CSI drivers mount with.

use std::path::Path;
use std::process::Command;

/// Into this file; false, with a line that says so, where Go or its modules are missing.
pub(crate) fn mount_utils(test: &str, out: &Path) -> bool {
    let built = Command::new("go")
        .args(["build", "-o", out.to_str().unwrap(), "."])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mount_utils"))
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("CGO_ENABLED", "0")
        .output();
    match built {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(why.contains("dial tcp") || why.contains("GOPROXY=off"), "{why}");
            eprintln!("skipped {test}: Go's modules are not available");
            false
        }
        Err(error) => {
            eprintln!("skipped {test}: go: {error}");
            false
        }
    }
}
