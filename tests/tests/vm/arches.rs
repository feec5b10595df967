//! Each architecture's kubelet in a machine of its own.

use anyhow::{Context, Result, ensure};
use tests::skip;
use tests::vm::{self, Kind};

fn runs_a_pod(kind: Kind, arch: &str, machine: &str) -> Result<()> {
    if skip::unless_full(&format!("a kubelet for {arch} in an emulated machine")) {
        return Ok(());
    }
    vm::with(kind, |session| {
        let image = session.image(&format!("kubelet-v1_26_0-{arch}"), "ctr")?;
        let command = vm::readme("ctr run -d")?.replace("localhost/kubelet:v1.26.0-micro", &image).replace(
            "ctr run -d",
            "ctr run -d --env KUBELET_STANDALONE=1 --log-uri file:///var/log/kubelet.log",
        );
        let said = session.run(&format!(
            "{}\nstatic_pod web\n{command}
if ! await 300 healthy || ! await 300 says web app=; then tail -n 60 /var/log/kubelet.log >&2; exit 1; fi
uname -m; pod_log web",
            vm::readme_first()?
        ))?;
        let first = said.lines().next().context("nothing said")?;
        ensure!(first == machine && said.contains("size=8192k"), "{said}");
        Ok(())
    })
}

#[test]
fn arm64_runs_a_static_pod() -> Result<()> {
    runs_a_pod(Kind::Arm64, "arm64", "aarch64")
}

#[test]
fn arm32v7_runs_a_static_pod() -> Result<()> {
    runs_a_pod(Kind::Arm32, "arm32v7", "armv7l")
}
