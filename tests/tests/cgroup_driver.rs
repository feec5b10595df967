//! Whose cgroup driver counts: until 1.30 the kubelet's own, from 1.31 on that of a runtime which says it. Where this cannot
//! be known, nothing is said to be wrong.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::bundle::Style;
use tests::stage::Stage;

/// A file of a runtime that asks for systemd, the release of a kubelet that asks for cgroupfs, and what the row says.
const ROWS: [(&str, &str, &str, &str, &str); 8] = [
    (CONTAINERD, "", "v1.30.0", "error", "cgroupfs, but systemd by /etc/containerd/config.toml"),
    (CONTAINERD, "", "v1.31.0", "unknown", "unless it is containerd before 2.0"),
    (CONTAINERD, "", "v1.37.2", "unknown", "unless it is containerd before 2.0"),
    (CONTAINERD, "version = 2\n", "v1.31.0", "unknown", "unless it is containerd before 2.0"),
    (CONTAINERD, "version = 3\n", "v1.30.0", "error", "cgroupfs, but systemd"),
    (CONTAINERD, "version = 3\n", "v1.31.0", "ok", "systemd, as the runtime tells the kubelet"),
    (CRIO, "", "v1.30.0", "error", "cgroupfs, but systemd by /etc/crio/crio.conf"),
    (CRIO, "", "v1.31.0", "ok", "systemd, as the runtime tells the kubelet"),
];

const CONTAINERD: &str = "containerd/config.toml";
const CRIO: &str = "crio/crio.conf";

#[test]
fn the_runtimes_counts_from_1_31_on_if_it_tells_it() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let mut wrong = Vec::new();
    for (file, version, release, status, words) in ROWS {
        let (runtime, setting) = match file {
            CRIO => ("crio", "[crio.runtime]\ncgroup_manager = \"systemd\"\n"),
            _ => (
                "containerd",
                "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
            ),
        };
        let text = format!("{version}{setting}").replace('\n', "\\n").replace('\'', "\\047");
        stage
            .on_host(&format!("mkdir -p /run/systemd/system /etc/{runtime}; printf '{text}' >/etc/{file}"))?;
        let mut bundle = stage.whole(Style::Docker);
        let endpoint = format!("--container-runtime-endpoint=unix:///run/{runtime}/{runtime}.sock");
        bundle.config["process"]["args"] = json!(["/usr/bin/entrypoint", "preflight", "--json", endpoint]);
        bundle.env(&format!("KUBELET_IMAGE_RELEASE={release}"));
        let out = bundle.run(&stage.host, "runc")?;
        stage.on_host(&format!("rm -r /etc/{runtime} /run/systemd"))?;
        let report: Value = serde_json::from_str(&out.stdout).with_context(|| out.stderr.clone())?;
        let rows = report["rows"].as_array().context("no rows")?;
        let row = rows.iter().find(|row| row["name"] == "cgroup driver").context("no row")?;
        let found = row["found"].as_str().unwrap_or_default();
        if row["status"] != status || !found.contains(words) {
            wrong.push(format!("{file} {version:?} {release}: {row}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.host.stop()
}
