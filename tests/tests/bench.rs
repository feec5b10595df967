//! `bench kubelet`, `bench growth` and `bench assemble`: a short run through all of each, and what they refuse. How good their figures are is
//! for longer runs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::Value;
use tests::xtask::Xtask;
use tests::{containerd, host, image, scratch, skip, xtask};

const ATTR: &str = "kubelet-v1_26_0-amd64";
/// As short as it can be.
const SHORT: [&str; 9] = ["--pods", "2", "--cycles", "1", "--rounds", "1", "--rest", "5", "--json"];

fn skipped() -> Result<bool> {
    Ok(skip::without(&host::PROGRAMS)? || skip::without(&containerd::PROGRAMS)?)
}

/// The image against its own kubelet as a binary, made slower by a garbage collector that never rests: one round sees
/// that, and yet is not taken for a proof. It is the limit that keeps the collector at work (at half the processor, by
/// Go's own cap): `GOGC=2` alone costs less than two starts of the same kubelet differ.
#[test]
fn a_kubelet_that_is_made_slower_is_seen_to_be() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let layout = xtask::layout(ATTR)?;
    let rootfs = image::unpack(&layout, &scratch.path().join("bundle"))?;
    let program = rootfs.join("usr/bin/kubelet");
    let (a, b) = (utf8(&layout)?, utf8(&program)?);
    let env = ["GOGC=2", "GOMEMLIMIT=4MiB"];
    let args = ["bench", "kubelet", a, b, "--check", "--env-b", env[0], "--env-b", env[1]];
    let args = [&args[..], &SHORT].concat();
    let out = Xtask::new()?.fails(&args, Kind::ToolFailed, &["pod_cpu, sync_cpu", "--rounds"])?;

    let report: Value = serde_json::from_str(&out.stdout)?;
    assert_eq!((&report["version"], &report["rounds"]), (&1.into(), &1.into()));
    assert_eq!(report["b"]["env"], serde_json::json!(env));
    ensure!(report["a"]["program"].is_null() && report["b"]["program"] == b, "{report}");
    let metrics = report["metrics"].as_array().context("no metrics")?;
    for metric in metrics {
        let [a, b] = ["a", "b"].map(|side| metric[side]["median"].as_f64().unwrap_or(0.0));
        ensure!(a > 0.0 && b > 0.0, "{metric}");
        ensure!(metric["verdict"] == "unsure" && metric["interval"].is_null(), "{metric}");
        let name = metric["metric"].as_str().unwrap_or_default();
        ensure!(name != "pod_cpu" || b > 1.2 * a, "a busy garbage collector is not seen: {metric}");
        ensure!(name != "rss_anonymous" || b < a, "a busy garbage collector is not seen: {metric}");
    }
    ensure!(metrics.len() == 15, "{report}");
    let sample = &report["samples_a"][0];
    ensure!(sample["syncs"].as_u64() >= Some(2), "{sample}");
    let bytes = |field: &str| sample[field].as_u64().unwrap_or(0);
    assert_eq!(bytes("rss"), bytes("rss_anonymous") + bytes("rss_file"));
    Ok(())
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().context("not UTF-8")
}

#[test]
fn what_is_no_kubelet_is_refused_before_anything_starts() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let xtask = Xtask::new()?;
    let dir = utf8(scratch.path())?;
    xtask.fails(&["bench", "kubelet", dir, dir], Kind::InvalidData, &[dir, "not an OCI layout"])?;
    xtask.fails(&["bench", "kubelet", "kubelet-v9_9_9", "x"], Kind::NotFound, &["kubelet-v9_9_9"])?;
    xtask.fails(&["bench", "kubelet", dir, dir, "--env-a", "GOGC"], Kind::Usage, &["NAME=VALUE"])?;

    let text = scratch.path().join("text");
    fs::write(&text, "not a program")?;
    fs::write(scratch.path().join("index.json"), r#"{"manifests": [{"annotations": {}}]}"#)?;
    xtask.fails(
        &["bench", "kubelet", dir, dir],
        Kind::InvalidData,
        &["not an OCI layout of one image with a name"],
    )?;
    let text = utf8(&text)?;
    xtask.fails(
        &["bench", "kubelet", text, text, "--image", dir],
        Kind::InvalidData,
        &[text, "not a program"],
    )?;
    Ok(())
}

/// All paths, without the largest sizes. What processors' caches do to time is not judged here, but a square is.
#[test]
fn nothing_grows_as_a_square() -> Result<()> {
    let out = Xtask::new()?.ok(&["bench", "growth", "--quick", "--check", "--limit", "1.6", "--json"])?;
    let report: Value = serde_json::from_str(&out)?;
    assert_eq!(report["version"], 1);
    let curves = report["curves"].as_array().context("no curves")?;
    ensure!(curves.len() > 15, "{report}");
    for curve in curves {
        let points = curve["points"].as_array().context("no points")?;
        ensure!(points.len() >= 3 && points.iter().all(|it| it["cpu"].as_f64() > Some(0.0)), "{curve}");
        ensure!(curve["time"]["top"].is_f64(), "{curve}");
    }
    Ok(())
}

#[test]
fn what_grows_faster_than_is_meant_fails() -> Result<()> {
    let xtask = Xtask::new()?;
    let args = ["bench", "growth", "hash", "--quick", "--check", "--limit", "0.5"];
    // The exponent is measured: near 1, and as often 0.99 as 1.01.
    xtask.fails(&args, Kind::ToolFailed, &["faster than n^0.5", "hash: time by n^"])?;
    xtask.fails(&["bench", "growth", "no-such"], Kind::NotFound, &["no-such", "read-deep"])?;
    xtask.fails(&["bench", "growth", "index", "--index", "/no/such"], Kind::NotFound, &["/no/such"])?;
    Ok(())
}

/// From programs alone, each layer once, and then nothing.
#[test]
fn images_of_a_release_share_layers_and_are_made_once() -> Result<()> {
    let args = ["bench", "matrix", "--release", "v1.26.0", "--arch", "amd64", "--omit", "crictl"];
    let xtask = Xtask::new()?;
    let report: Value =
        serde_json::from_str(&xtask.ok(&[&args[..], &["--repeat", "1", "--json"]].concat())?)?;
    assert_eq!(report["size"], serde_json::json!({ "images": 5, "layers": 13, "distinct": 5 }), "{report}");
    assert_eq!(report["compressed"], serde_json::json!([5]), "{report}");
    let wall =
        |which: &str| report[which][0]["wall"].as_f64().with_context(|| format!("no {which} in {report}"));
    ensure!(wall("unchanged")? < wall("made")? / 4.0, "nothing to do takes long: {report}");
    xtask.fails(&["bench", "matrix", "--release", "v9.9.9"], Kind::NotFound, &["v9.9.9"])?;
    Ok(())
}

/// What is made of a small tree is what other programs read, and each program's row has its own figures.
#[test]
fn images_are_made_of_a_tree_by_all_programs() -> Result<()> {
    if skip::without(&["umoci"])? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let dir = scratch.path().join("rootfs");
    fs::create_dir_all(dir.join("usr/bin"))?;
    fs::copy("/bin/sh", dir.join("usr/bin/sh"))?;
    fs::hard_link(dir.join("usr/bin/sh"), dir.join("usr/bin/ash"))?;
    let args = ["bench", "assemble", utf8(&dir)?, "--files", "150", "--repeat", "2", "--json"];
    let report: Value = serde_json::from_str(&Xtask::new()?.ok(&args)?)?;
    let trees = report["trees"].as_array().context("no trees")?;
    ensure!(trees.len() == 2 && trees[0]["files"] == 2 && trees[1]["files"] == 150, "{report}");
    for tree in trees {
        let rows = tree["rows"].as_array().context("no rows")?;
        let layer = |program: &str| {
            let row = rows.iter().find(|row| row["program"] == program);
            row.and_then(|row| row["layer"].as_u64()).with_context(|| format!("no {program} in {tree}"))
        };
        let best = layer("ours, as released")?;
        for program in ["ours, --fast", "gzip -9, of the archive alone", "umoci repack"] {
            ensure!(best < layer(program)?, "{program}: {tree}");
        }
        for row in rows {
            let samples = row["samples"].as_array().context("no samples")?;
            ensure!(samples.len() == 2, "{row}");
            ensure!(
                samples.iter().all(|it| it["wall"].as_f64() > Some(0.0) && it["peak"].as_u64() > Some(0)),
                "{row}"
            );
        }
    }
    Ok(())
}

#[test]
fn what_no_image_can_be_made_of_is_refused() -> Result<()> {
    let xtask = Xtask::new()?;
    xtask.fails(&["bench", "assemble", "/no/such", "--files", "0"], Kind::NotFound, &["/no/such"])?;
    let scratch = scratch::dir()?;
    let _pipe = std::os::unix::net::UnixListener::bind(scratch.path().join("socket"))?;
    let out = scratch.path().join("out");
    xtask.fails(&["bench", "layout", utf8(scratch.path())?, utf8(&out)?], Kind::InvalidData, &["socket"])?;
    xtask.fails(&["bench", "once", "--", "false"], Kind::ToolFailed, &["`false` failed"])?;
    ensure!(!out.exists(), "a layout of what was refused");
    Ok(())
}

/// A build's own time: a page that has what was built, and nothing that is not there.
#[test]
fn a_build_says_where_its_time_went() -> Result<()> {
    let scratch = scratch::dir()?;
    let page = tests::root().join("target/timings.html");
    if page.exists() {
        fs::remove_file(&page)?;
    }
    let out = Xtask::new()?.ok(&["build", ATTR, "--timings", "--out", utf8(scratch.path())?, "--json"])?;
    let report: Value = serde_json::from_str(&out)?;
    ensure!(report["built"][0]["attribute"] == ATTR, "{report}");
    let text = fs::read_to_string(&page)?;
    ensure!(text.contains(ATTR) && text.contains("MiB resident") && !text.contains("NaN"), "{text}");
    Ok(())
}
