//! Images on Alpine: Alpine's real root filesystems, and a package of the tests' own in a signed repository beside them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use apk::testrepo::{Item, PackageMaker, Signer};
use fault::Kind;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{cmd, image, qemu, scratch, skip, xtask};

/// The catalog's names of architectures, and Alpine's.
const ARCHES: [(&str, &str); 3] = [("amd64", "x86_64"), ("arm64", "aarch64"), ("arm32v7", "armv7")];
const LOCK: &str = "images/locks/alpine-3.15.json";
/// How many packages Alpine's root filesystem has.
const REAL: usize = 14;

/// Alpine's real files: beside the repository, or where `ALPINE_TEST_MIRROR` says, as the `apk` crate's tests have it.
fn real() -> Option<PathBuf> {
    match std::env::var_os("ALPINE_TEST_MIRROR") {
        Some(dir) => Some(dir.into()),
        None => skip::beside("shared").map(|dir| dir.join("mirror/alpine")),
    }
}

/// A checkout that trusts a key of the tests' and asks for a package of theirs, and a mirror that has all it needs.
struct Place {
    dir: TempDir,
    xtask: xtask::Xtask,
}

impl Place {
    fn new(real: &Path) -> Result<Self> {
        Self::with(real, &[])
    }

    /// With more in one of the packages.
    fn with(real: &Path, more: &[Item]) -> Result<Self> {
        let dir = scratch::dir()?;
        let [checkout, mirror] = ["checkout", "mirror"].map(|name| dir.path().join(name));
        scratch::checkout(&checkout)?;
        // Those of the real packages, should they be locked by now.
        let _ = fs::remove_file(checkout.join(LOCK));
        let catalog = checkout.join("images/catalog.toml");
        let text = fs::read_to_string(&catalog)?;
        let worlds = |line: &str| {
            let product =
                ["kubelet = [", "kube-proxy = ["].into_iter().find(|product| line.starts_with(product));
            product.map_or_else(|| line.to_owned(), |product| format!("{product}\"test-tool\"]"))
        };
        fs::write(&catalog, text.lines().map(worlds).collect::<Vec<_>>().join("\n"))?;
        let signer = Signer::new("test.rsa.pub", 9)?;
        for (_, arch) in ARCHES {
            fs::write(checkout.join("images/keys/alpine").join(arch).join(signer.name()), signer.pem())?;
            let name = format!("v3.15/releases/{arch}/alpine-minirootfs-3.15.11-{arch}.tar.gz");
            put(&mirror.join(&name), &fs::read(real.join(&name)).with_context(|| format!("no {name}"))?)?;
            let main = mirror.join("v3.15/main").join(arch);
            let mut packages = Vec::new();
            for name in ["test-tool", "test-libs"] {
                let mut package = package(name, arch);
                package.items.extend_from_slice(more);
                let parts = package.make(&signer)?;
                put(&main.join(parts.record.file_name()), &parts.file())?;
                packages.push(parts.record);
            }
            put(&main.join("APKINDEX.tar.gz"), &signer.index("v3.15.11-1-gtest", &packages)?)?;
        }
        let xtask = xtask::Xtask::new()?.cwd(&checkout).env("KUBELET_IMAGES_MIRROR", &mirror);
        Ok(Self { dir, xtask })
    }

    fn lock(&self) -> PathBuf {
        self.dir.path().join("checkout").join(LOCK)
    }
}

fn put(to: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(to.parent().context("no directory")?)?;
    fs::write(to, bytes).with_context(|| format!("writing {}", to.display()))
}

/// `test-tool` needs `test-libs`; its files try what layers can hold, and it takes the place of a link to busybox.
fn package(name: &str, arch: &str) -> PackageMaker {
    let mut items =
        vec![Item::directory("usr"), Item::directory("usr/share"), Item::directory("usr/share/test")];
    items.push(Item::file(&format!("usr/share/test/{name}"), name.as_bytes()));
    if name == "test-tool" {
        items.extend([
            Item::directory("bin"),
            Item::file("bin/test-tool", b"#!/bin/sh\necho a tool\n").mode(0o755),
            Item::hardlink("bin/test-tool-too", "bin/test-tool").mode(0o755),
            Item::file("bin/rev", b"#!/bin/sh\necho not busybox\n").mode(0o755),
            Item { group: (42, "shadow".into()), ..Item::file("usr/share/test/shadowed", b"s").mode(0o2640) },
        ]);
    }
    let mut maker = PackageMaker::new(name, "1.0-r0", arch, items);
    if name == "test-tool" {
        maker.index = "D:test-libs /bin/sh\n".into();
    }
    maker
}

#[test]
fn a_missing_lock_is_made_and_locked_refuses_to() -> Result<()> {
    let Some(real) = real() else { return Ok(()) };
    let place = Place::new(&real)?;
    let xtask = &place.xtask;
    let attr = "kubelet-v1_26_0-amd64";
    xtask.fails(&["fetch", attr, "--locked"], Kind::Stale, &[LOCK, "--locked", "cargo xtask lock alpine"])?;
    ensure!(!place.lock().exists(), "a lock was made all the same");
    let lonely = xtask.clone().env("KUBELET_IMAGES_MIRROR", "").store(&place.dir.path().join("store"));
    let words = ["https://", "minirootfs-3.15.11-x86_64", "SHA-256 1040dc3c", "--mirror"];
    lonely.fails(&["lock", "alpine", "--offline"], Kind::Unavailable, &words)?;
    ensure!(!place.lock().exists(), "a lock was made of nothing");
    let said = xtask.output(&["fetch", attr, "--offline"])?;
    ensure!(said.status.success(), "{}", said.stderr);
    ensure!(said.stderr.contains(&format!("{LOCK} is missing: making it")), "{}", said.stderr);

    // The same again; and what `--check` sees.
    let lock = fs::read(place.lock())?;
    xtask.ok(&["lock", "alpine", "--check", "--offline"])?;
    xtask.ok(&["lock", "alpine", "--branch", "v3.15", "--offline"])?;
    ensure!(fs::read(place.lock())? == lock, "the lock is another the second time");
    xtask.fails(&["lock", "alpine", "--branch", "v3.16"], Kind::Unknown, &["v3.16", "v3.15"])?;
    let text = String::from_utf8(lock)?;
    fs::write(place.lock(), text.replace("v3.15.11-1-gtest", "v3.15.11-2-gtest"))?;
    xtask.fails(&["lock", "alpine", "--offline"], Kind::Mismatch, &["APKINDEX.tar.gz was rolled back"])?;
    fs::write(place.lock(), text.replace("v3.15.11-1-gtest", "v3.15.11-0-gtest"))?;
    xtask.fails(
        &["lock", "alpine", "--check", "--offline"],
        Kind::Stale,
        &[LOCK, "cargo xtask lock alpine"],
    )?;

    // A build believes neither a lock of another catalog nor a wrong sum in it.
    let locked: Value = serde_json::from_str(&text)?;
    let package = &locked["arches"]["amd64"]["packages"][0];
    let sum = package["sha256"].as_str().context("a package without SHA-256")?;
    fs::write(place.lock(), text.replace(sum, &sum.chars().rev().collect::<String>()))?;
    let path = package["path"].as_str().context("a package without a path")?;
    xtask.fails(&["fetch", attr, "--offline"], Kind::Mismatch, &[path, sum])?;
    fs::write(place.lock(), &text)?;
    let catalog = place.dir.path().join("checkout/images/catalog.toml");
    let asks = fs::read_to_string(&catalog)?.replace("[\"test-tool\"]", "[\"test-libs\"]");
    fs::write(&catalog, asks)?;
    xtask.fails(
        &["fetch", attr, "--offline"],
        Kind::Stale,
        &[LOCK, "expected test-libs", "found    test-tool"],
    )?;
    xtask.ok(&["lock", "alpine", "--offline"])?;
    xtask.ok(&["fetch", attr, "--offline"]).map(drop)
}

#[test]
fn layers_that_undo_what_a_package_says_are_refused_before_anything_is_compiled() -> Result<()> {
    let Some(real) = real() else { return Ok(()) };
    let place = Place::with(&real, &[Item::directory("usr/bin").mode(0o700)])?;
    let xtask = place.xtask.clone().store(&place.dir.path().join("store"));
    let out = place.dir.path().join("out");
    let attr = "kubelet-v1_26_0-amd64";
    let args = [xtask::build_args(attr, &out)?, vec!["--offline"]].concat();
    xtask.fails(&args, Kind::Data, &[attr, "usr/bin", "mode 700", "mode 755"])?;
    xtask::nothing_half_made(&place.dir.path().join("store"), &out)
}

#[test]
fn real_root_filesystems_with_packages_become_images_that_run() -> Result<()> {
    if skip::without(&["umoci", "runc", "qemu-aarch64-static", "qemu-arm-static"])? {
        return Ok(());
    }
    let Some(real) = real() else { return Ok(()) };
    let place = Place::new(&real)?;
    let out = place.dir.path().join("out");
    for (arch, _) in ARCHES {
        let attr = format!("kubelet-v1_26_0-{arch}");
        let micro = format!("kubelet-v1_26_0-cni-micro-{arch}");
        if !xtask::at_hand(&micro)?
            && skip::unless_full(&format!("the kubelet for {arch} was never built here"))
        {
            continue;
        }
        let layout = place.xtask.build(&attr, &out)?;
        assert_eq!(image::layers(&layout)?.len(), 2, "{attr}");
        let bundle = place.dir.path().join(arch);
        let root = image::unpack(&layout, &bundle)?;
        let inside = Inside::new(arch, &bundle)?;
        let packages = inside.ok(&["/sbin/apk", "info", "-v"])?;
        let packages: BTreeSet<&str> = packages.lines().collect();
        assert_eq!(packages.len(), REAL + 2, "{arch}: {packages:?}");
        for package in ["busybox-1.34.1-r7", "musl-1.2.2-r9", "test-tool-1.0-r0", "test-libs-1.0-r0"] {
            ensure!(packages.contains(package), "{arch}: no {package} among {packages:?}");
        }
        // apk finds every file of its packages as its database has it.
        let audit = inside.ok(&["/sbin/apk", "audit", "--system"])?;
        let changed: Vec<&str> = audit.lines().filter(|line| !line.starts_with("A ")).collect();
        ensure!(changed.is_empty(), "{arch}: {changed:?}");
        assert_eq!(
            inside.ok(&["/sbin/apk", "info", "-W", "/bin/rev"])?.trim(),
            "/bin/rev is owned by test-tool-1.0-r0"
        );
        ensure!(inside.ok(&["/bin/busybox"])?.starts_with("BusyBox v1.34.1"), "{arch}: no busybox");
        ensure!(inside.ok(&["/bin/mount"])?.contains(" on "), "{arch}: mount lists nothing");
        assert_eq!(inside.ok(&["/usr/bin/kubelet", "--version"])?, "Kubernetes v1.26.0\n");
        check_files(&root).with_context(|| attr.clone())?;
    }
    Ok(())
}

#[test]
fn kube_proxy_has_its_own_packages_and_starts_by_default() -> Result<()> {
    if skip::without(&["umoci", "runc"])? || skip::unless_full("kube-proxy is compiled") {
        return Ok(());
    }
    let Some(real) = real() else { return Ok(()) };
    let place = Place::new(&real)?;
    let layout = place.xtask.build("kube-proxy-v1_26_0-amd64", &place.dir.path().join("out"))?;
    assert_eq!(image::entrypoint(&layout)?, ["/usr/bin/entrypoint", "kube-proxy"]);
    let bundle = place.dir.path().join("proxy");
    let root = image::unpack(&layout, &bundle)?;
    ensure!(
        !root.join("var/lib/kubelet").exists() && !root.join("usr/bin/kubelet").exists(),
        "it has the kubelet's files"
    );
    let inside = Inside::new("amd64", &bundle)?;
    let said = inside.ok(&["/usr/bin/entrypoint", "kube-proxy", "--version"])?;
    assert_eq!(said, "Kubernetes v1.26.0\n");
    assert_eq!(inside.ok(&["/sbin/apk", "info"])?.lines().count(), REAL + 2);
    Ok(())
}

#[test]
fn lock_and_root_filesystems_are_the_same_from_another_machine() -> Result<()> {
    let Some(real) = real() else { return Ok(()) };
    let mut found = Vec::new();
    for other in [false, true] {
        let place = Place::new(&real)?;
        let [store, out] = ["store", "out"].map(|name| place.dir.path().join(name));
        let mut xtask = place.xtask.clone().store(&store);
        let out_name = out.to_str().context("the directory's name is not UTF-8")?;
        // All architectures' bases alone: what is compiled has tests of its own.
        let attr = "kubelet-v1_26_0";
        let mut args =
            vec!["build", attr, "--omit", "kubelet", "--omit", "entrypoint", "--out", out_name, "--offline"];
        if other {
            xtask = xtask.under(["sh", "-c", "umask 077; exec \"$@\"", "sh"]);
            xtask = xtask.env("TZ", "Asia/Kathmandu").env("LC_ALL", "tr_TR.UTF-8").env("USER", "nobody");
            args.extend(["--jobs", "1"]);
        }
        xtask.ok(&args)?;
        found.push((fs::read_to_string(place.lock())?, image::digest(&out.join(attr))?));
    }
    assert_eq!(found[0].0, found[1].0, "the lock");
    assert_eq!(found[0].1, found[1].1, "the index");
    Ok(())
}

/// What is where, of whom and with which mode, as umoci unpacked it.
fn check_files(root: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let meta = |path: &str| fs::symlink_metadata(root.join(path)).with_context(|| format!("no {path}"));
    for (path, mode, gid) in [
        ("tmp", 0o41777, 0),
        ("var/tmp", 0o41777, 0),
        ("root", 0o40700, 0),
        ("var/empty", 0o40555, 0),
        ("usr/bin", 0o40755, 0),
        ("usr/bin/kubelet", 0o100_755, 0),
        ("usr/bin/entrypoint", 0o100_755, 0),
        ("var/lib/kubelet/config.yaml", 0o100_644, 0),
        ("etc/shadow", 0o100_640, 42),
        ("usr/share/test/shadowed", 0o102_640, 42),
        ("etc/ssl/certs/ca-certificates.crt", 0o100_644, 0),
    ] {
        let found = meta(path)?;
        assert_eq!((found.mode(), found.uid(), found.gid()), (mode, 0, gid), "{path}");
    }
    assert_eq!(meta("bin/test-tool")?.ino(), meta("bin/test-tool-too")?.ino(), "hard links");
    let world = fs::read_to_string(root.join("etc/apk/world"))?;
    assert_eq!(world, "alpine-baselayout\nalpine-keys\napk-tools\nbusybox\nlibc-utils\ntest-tool\n");
    Ok(())
}

/// Runs programs in an unpacked image: in a container of runc's where they are this machine's, else by qemu in a chroot.
struct Inside {
    arch: String,
    bundle: PathBuf,
}

impl Inside {
    fn new(arch: &str, bundle: &Path) -> Result<Self> {
        if arch != "amd64" {
            let emulator = qemu::program(arch)?;
            let to = bundle.join("rootfs").join(emulator);
            fs::copy(skip::which(emulator).context("no emulator")?, to)?;
        }
        Ok(Self { arch: arch.to_owned(), bundle: bundle.to_owned() })
    }

    fn ok(&self, args: &[&str]) -> Result<String> {
        if self.arch == "amd64" { self.container(args) } else { self.emulated(args) }
    }

    fn container(&self, args: &[&str]) -> Result<String> {
        let file = self.bundle.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&file)?)?;
        config["process"]["args"] = args.into();
        config["process"]["terminal"] = false.into();
        // Its own mounts, processes and names; the machine's cgroups are left alone.
        config["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "pid" }, { "type": "uts" }]);
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.retain(|mount| {
                mount["type"] != "cgroup" && mount["type"] != "mqueue" && mount["type"] != "sysfs"
            });
        }
        fs::write(&file, serde_json::to_vec(&config)?)?;
        let id = format!("kubelet-images-test-{}", std::process::id());
        cmd::ok(Command::new("runc").arg("run").arg("--bundle").arg(&self.bundle).arg(id))
    }

    fn emulated(&self, args: &[&str]) -> Result<String> {
        // With /proc, for mount's list; in a mount namespace of its own, so that nothing of it stays.
        let script = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(self.bundle.join("rootfs"));
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg(format!("/{}", qemu::program(&self.arch)?));
        cmd::ok(command.args(args))
    }
}
