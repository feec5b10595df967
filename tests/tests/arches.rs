//! Other architectures' images, under qemu's user mode.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use tests::{cmd, image, qemu, scratch, skip, xtask};

const ARCHES: [(&str, &str); 2] = [("arm64", "ARM aarch64"), ("arm32v7", "ARM, EABI5")];

#[test]
fn their_kubelets_and_plugins_run() -> Result<()> {
    if skip::without(&["umoci", "qemu-aarch64-static", "qemu-arm-static", "file"])? {
        return Ok(());
    }
    for (arch, machine) in ARCHES {
        let attr = format!("kubelet-v1_26_0-cni-{arch}");
        if !xtask::at_hand(&attr)?
            && skip::unless_full(&format!("`{attr}` was never built here, and compiles for long"))
        {
            continue;
        }
        let scratch = scratch::dir()?;
        let root = image::unpack(&xtask::layout(&attr)?, &scratch.path().join("bundle"))?;
        for program in ["usr/bin/kubelet", "usr/bin/mount", "opt/cni/bin/bridge"] {
            check_static(&root.join(program), machine)?;
        }
        let version = qemu::output(arch, &root.join("usr/bin/kubelet"), &["--version"])?;
        assert_eq!(version.stdout, "Kubernetes v1.26.0\n", "{arch}: {}", version.stderr);
        let mount =
            qemu::output(arch, &root.join("usr/bin/mount"), &["--bind", "/no/such", "/no/such/either"])?;
        ensure!(mount.code() == Some(32), "{arch}: mount ended with {}: {}", mount.status, mount.stderr);
    }
    Ok(())
}

fn check_static(file: &Path, machine: &str) -> Result<()> {
    let says = cmd::ok(Command::new("file").args(["--brief", "--dereference"]).arg(file))?;
    ensure!(says.contains(machine), "{}: {says}", file.display());
    ensure!(says.contains("statically linked") || says.contains("static-pie"), "{}: {says}", file.display());
    Ok(())
}
