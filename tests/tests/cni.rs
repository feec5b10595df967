//! The image's CNI plugins on the host: there after a start, run by the host, replaced by version, and removable; and what
//! the host had itself stays.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::bundle::{self, Bundle, Style, stand_in_kubelet};
use tests::host::Host;
use tests::{cmd, host, image, scratch, skip, xtask};

const PLUGINS: &str = "/opt/cni/bin";
const MANIFEST: &str = ".containerized-kubelet-cni";

struct Stage {
    host: Host,
    kubelet: PathBuf,
    scratch: tempfile::TempDir,
}

impl Stage {
    fn new() -> Result<Option<Self>> {
        if skip::without(&host::PROGRAMS)? || skip::without(&bundle::PROGRAMS)? {
            return Ok(None);
        }
        let scratch = scratch::dir()?;
        let kubelet = stand_in_kubelet(scratch.path(), "echo started")?;
        let host = Host::start()?;
        fs::create_dir_all(host.path(PLUGINS))?;
        Ok(Some(Self { host, kubelet, scratch }))
    }

    fn unpack(&self, variant: &str) -> Result<PathBuf> {
        let layout = xtask::layout(&format!("kubelet-v1_26_0{variant}-amd64"))?;
        image::unpack(&layout, &self.scratch.path().join(format!("bundle{variant}")))
    }

    /// Runs the entrypoint with the host's directory mounted at `at`, if anywhere.
    fn run(&self, rootfs: &Path, at: Option<(&str, &[&str])>, args: &[&str]) -> Result<cmd::Output> {
        let mut bundle = Bundle::new(Style::Docker, rootfs, &self.host.cgroup(), args);
        if let Some((at, options)) = at {
            bundle.bind_from(PLUGINS, at, options);
        }
        bundle.bind_from(&self.kubelet.to_string_lossy(), "/stand-in", &["rbind"]);
        bundle.list("/process/env")[0] = json!("PATH=/stand-in:/usr/bin");
        // It lacks much else, which is not what this is about.
        bundle.env("KUBELET_PREFLIGHT=warn");
        bundle.run(&self.host, "runc")
    }

    fn names(&self) -> Result<BTreeSet<String>> {
        image::names(&self.host.path(PLUGINS))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.host.path(PLUGINS).join(name)
    }
}

const HOST_DIR: Option<(&str, &[&str])> = Some(("/host/opt/cni/bin", &["rbind"]));
const OVER: Option<(&str, &[&str])> = Some((PLUGINS, &["rbind"]));

#[test]
fn plugins_are_installed_run_replaced_and_removed() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let (flannel, cni) = (stage.unpack("-flannel")?, stage.unpack("-cni")?);
    // One of the host's own.
    fs::write(stage.file("portmap"), "the host's own")?;

    let out = stage.run(&flannel, HOST_DIR, &["--x=y"])?;
    assert_eq!(out.stdout, "started\n", "{}", out.stderr);
    let expected = "cni: /host/opt/cni/bin: 4 plugins installed, 0 up to date; left alone, as they are not from here: portmap";
    ensure!(out.stderr.contains(expected), "{}", out.stderr);
    assert_eq!(
        stage.names()?,
        [MANIFEST, "bridge", "flannel", "host-local", "loopback", "portmap"].map(str::to_owned).into()
    );
    assert_eq!(fs::read_to_string(stage.file("portmap"))?, "the host's own");
    // Joined: one file by several names, on the host as in the image.
    assert_eq!(fs::metadata(stage.file("bridge"))?.ino(), fs::metadata(stage.file("loopback"))?.ino());
    assert_eq!(fs::metadata(stage.file("bridge"))?.nlink(), 4);
    let manifest = fs::read_to_string(stage.file(MANIFEST))?;
    let hash = scratch::sha256(&stage.file("bridge"))?;
    ensure!(
        manifest.contains("release v1.26.0\n") && manifest.contains(&format!("{hash}  bridge\n")),
        "{manifest}"
    );
    // The host's runtime can run them.
    for name in ["bridge", "loopback"] {
        let mut plugin = stage.host.command("env");
        plugin.args(["CNI_COMMAND=VERSION", &format!("{PLUGINS}/{name}")]);
        let answer = cmd::ok(&mut plugin)?;
        ensure!(answer.contains("supportedVersions"), "{name}: {answer}");
    }

    // Again: nothing is written, nothing is said.
    let inode = fs::metadata(stage.file(MANIFEST))?.ino();
    let out = stage.run(&flannel, HOST_DIR, &["--x=y"])?;
    ensure!(!out.stderr.contains("cni:"), "{}", out.stderr);
    assert_eq!(fs::metadata(stage.file(MANIFEST))?.ino(), inode);

    // Another version, its directory mounted over the image's own: what is ours is replaced, the host's is not.
    let out = stage.run(&cni, OVER, &["cni", "install"])?;
    assert_eq!(
        out.stdout,
        "/opt/cni/bin: 16 plugins installed, 0 up to date; left alone, as they are not from here: portmap\n",
        "{}",
        out.stderr
    );
    assert_eq!(stage.names()?.len(), 18);
    let image_file = cni.join("opt/cni/bin/bridge");
    assert_eq!(scratch::sha256(&stage.file("flannel"))?, scratch::sha256(&image_file)?);

    // One that was changed since is the host's now.
    fs::remove_file(stage.file("vlan"))?;
    fs::write(stage.file("vlan"), "changed")?;
    let out = stage.run(&cni, HOST_DIR, &["cni", "remove"])?;
    assert_eq!(
        out.stdout, "/host/opt/cni/bin: 15 plugins removed; left alone, as they were changed: vlan\n",
        "{}",
        out.stderr
    );
    assert_eq!(stage.names()?, ["portmap", "vlan"].map(str::to_owned).into());
    let out = stage.run(&cni, HOST_DIR, &["cni", "remove"])?;
    ensure!(out.stdout.contains("nothing was installed from here"), "{}", out.stdout);
    stage.host.stop()
}

/// containerd's own example says 1.0.0, which plugins before v1.0.0 refuse; they are asked themselves.
#[test]
fn a_configuration_of_a_version_that_the_plugins_refuse_is_named() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let flannel = stage.unpack("-flannel")?;
    let newer = xtask::without_kubelet("kubelet-v1_37_2-cni-amd64", stage.scratch.path())?;
    let newer = image::unpack(&newer, &stage.scratch.path().join("bundle-newer"))?;
    let configs = "/etc/cni/net.d";
    fs::create_dir_all(stage.host.path(configs))?;
    let row_of = |rootfs: &Path, version: &str| -> Result<String> {
        let plugins = json!([{ "type": "bridge" }, { "type": "portmap" }, { "type": "somebody's" }]);
        let config = json!({ "cniVersion": version, "name": "n", "plugins": plugins });
        fs::write(stage.host.path(&format!("{configs}/10-n.conflist")), config.to_string())?;
        fs::write(stage.host.path(&format!("{configs}/20-later.conf")), r#"{"cniVersion": "9.0.0"}"#)?;
        let mut bundle =
            Bundle::new(Style::Docker, rootfs, &stage.host.cgroup(), &["preflight", "--kubeconfig="]);
        bundle.bind_from(PLUGINS, "/host/opt/cni/bin", &["rbind"]);
        bundle.bind_from(configs, configs, &["rbind"]);
        let said = bundle.run(&stage.host, "runc")?.stdout;
        let at = said.find("CNI configuration").with_context(|| said.clone())?;
        Ok(said[at..].to_owned())
    };
    // Those of newer releases know more, and say so themselves.
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        let said = row_of(&newer, version)?;
        ensure!(said.contains(&format!("cniVersion {version}, which the image's plugins know")), "{said}");
    }
    let said = row_of(&newer, "1.2.0")?;
    ensure!(said.contains("`\"cniVersion\": \"1.1.0\"` in /etc/cni/net.d/10-n.conflist"), "{said}");
    let row = |version: &str| row_of(&flannel, version);
    let said = row("1.0.0")?;
    ensure!(said.contains("bridge, portmap do not know, but 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0"), "{said}");
    ensure!(said.contains("`\"cniVersion\": \"0.4.0\"` in /etc/cni/net.d/10-n.conflist"), "{said}");
    // One that is the host's own is run instead of the image's, and it may know more.
    fs::write(stage.file("portmap"), "the host's own")?;
    let said = row("1.0.0")?;
    ensure!(said.contains("the image's bridge do not know"), "{said}");
    let said = row("0.4.0")?;
    ensure!(said.contains("cniVersion 0.4.0, which the image's plugins know"), "{said}");
    stage.host.stop()
}

#[test]
fn what_keeps_plugins_from_the_host_is_said() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let (plain, flannel) = (stage.unpack("")?, stage.unpack("-flannel")?);

    // Not mounted: said at the start, and an error of the command.
    let out = stage.run(&flannel, None, &["--x=y"])?;
    assert_eq!(out.stdout, "started\n");
    ensure!(out.stderr.contains("warning: /host/opt/cni/bin: not mounted from the host"), "{}", out.stderr);
    ensure!(out.stderr.contains("src=/opt/cni/bin,dst=/host/opt/cni/bin"), "{}", out.stderr);
    let out = stage.run(&flannel, None, &["cni", "install"])?;
    assert_eq!(out.code(), Some(69));
    ensure!(out.stderr.contains("the host's directory of plugins is not mounted"), "{}", out.stderr);

    // An image without plugins has nothing to say of it.
    let out = stage.run(&plain, None, &["--x=y"])?;
    ensure!(!out.stderr.contains("cni"), "{}", out.stderr);
    let out = stage.run(&plain, HOST_DIR, &["cni", "install"])?;
    ensure!(
        out.stderr.contains("this image has no plugins: use a tag with -cni or -flannel"),
        "{}",
        out.stderr
    );

    // Read-only.
    let out = stage.run(&flannel, Some(("/host/opt/cni/bin", &["rbind", "ro"])), &["--x=y"])?;
    assert_eq!(out.stdout, "started\n");
    ensure!(out.stderr.contains("cni: .containerized-kubelet-cni: Read-only file system"), "{}", out.stderr);

    // Full: nothing half-installed, and the manifest claims nothing that is not there.
    cmd::ok(stage.host.command("mount").args(["-t", "tmpfs", "-o", "size=1m", "small", PLUGINS]))?;
    let out = stage.run(&flannel, HOST_DIR, &["cni", "install"])?;
    assert_eq!(out.code(), Some(69), "{}", out.stderr);
    ensure!(out.stderr.contains("No space left on device"), "{}", out.stderr);
    let names = stage.names().context("after a full disk")?;
    ensure!(names.iter().all(|name| name == MANIFEST), "{names:?}");
    // With room it goes on as if nothing had been.
    cmd::ok(stage.host.command("mount").args(["-o", "remount,size=64m", PLUGINS]))?;
    let out = stage.run(&flannel, HOST_DIR, &["cni", "install"])?;
    ensure!(out.stdout.contains("5 plugins installed"), "{}{}", out.stdout, out.stderr);

    // A manifest of a form that is not known: hands off.
    fs::write(stage.file(MANIFEST), "version 9\n")?;
    let before = scratch::sha256(&stage.file("bridge"))?;
    let out = stage.run(&flannel, HOST_DIR, &["cni", "remove"])?;
    assert_eq!(out.code(), Some(69));
    ensure!(out.stderr.contains("not of a form that this image knows"), "{}", out.stderr);
    assert_eq!(scratch::sha256(&stage.file("bridge"))?, before);
    stage.host.stop()
}
