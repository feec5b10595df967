//! Packing with UPX: which one, where it can be tested, and what it is measured to be worth.

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::Value;
use tests::{scratch, skip, xtask};

const EXPLAIN: [&str; 5] = ["size", "explain", "cni-flannel", "--release", "v1.26.0"];

#[test]
fn another_upx_than_the_locked_one_is_refused() -> Result<()> {
    let dir = scratch::dir()?;
    let path = scratch::path_with(dir.path(), "upx", "#!/bin/sh\necho upx 9.9.9\n")?;
    let xtask = xtask::Xtask::new()?.env("PATH", path);
    xtask.fails(&EXPLAIN, Kind::Tool, &["9.9.9", "the locked one is", "sha256sum -c"]).map(drop)
}

#[test]
fn what_cannot_be_run_here_is_not_packed_here() -> Result<()> {
    let dir = scratch::dir()?;
    let arch = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
    let emulators = ["qemu-aarch64", "qemu-aarch64-static", "qemu-x86_64", "qemu-x86_64-static"];
    let path = scratch::path_without(dir.path(), &emulators)?;
    let args = [&EXPLAIN[..], &["--arch", arch, "--any-upx"]].concat();
    xtask::Xtask::new()?.env("PATH", path).fails(&args, Kind::Tool, &["qemu-", "cannot be tested"]).map(drop)
}

/// The plugins in one binary, packed: UPX's own test, and a run by each hard link, are the gate that both methods pass.
#[test]
fn joined_plugins_are_measured_plain_and_packed() -> Result<()> {
    if skip::without(&["upx"])? {
        return Ok(());
    }
    let args = [&EXPLAIN[..], &["--any-upx", "--runs", "5", "--json"]].concat();
    let report: Value = serde_json::from_str(&xtask::Xtask::new()?.ok(&args)?)?;
    let methods = report["methods"].as_array().context("no methods")?;
    let figure = |at: usize, name: &str| methods[at][name].as_u64().with_context(|| format!("{report}"));
    assert_eq!(methods.iter().map(|method| &method["pack"]).collect::<Vec<_>>(), ["none", "nrv", "lzma"]);
    for (at, method) in methods.iter().enumerate() {
        let starts = method["starts"].as_array().with_context(|| format!("{report}"))?;
        ensure!(
            starts.len() == 5 && starts.iter().all(|start| start["best_ms"].as_f64() > Some(0.0)),
            "{report}"
        );
        ensure!(figure(at, "zstd")? < figure(at, "bytes")?, "{report}");
    }
    ensure!(
        figure(2, "bytes")? < figure(1, "bytes")? && figure(1, "bytes")? < figure(0, "bytes")?,
        "{report}"
    );
    // A start of an unpacked plugin is milliseconds; unpacking one takes many times that on any machine.
    assert_eq!((&report["recommended"], &report["policy"]), (&Value::from("none"), &Value::from("none")));
    Ok(())
}
