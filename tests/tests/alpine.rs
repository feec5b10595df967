//! Images on Alpine: Alpine's real root filesystems, and packages of the tests' own in a signed repository beside them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use apk::testrepo::ArchiveMember;
use fault::Kind;
use serde_json::Value;
use tests::alpine::{ARCHES, LOCK, MISSING, OMITTED, Place, real};
use tests::inside::Inside;
use tests::{cmd, debian, image, skip, xtask};

/// How many packages Alpine's root filesystem has.
const REAL: usize = 14;

#[test]
fn a_missing_lock_is_made_and_locked_refuses_to() -> Result<()> {
    let Some(real) = real() else { return Ok(()) };
    let place = Place::new(&real)?;
    let xtask = &place.xtask;
    let attr = "kubelet-v1_26_0-alpine3_15-amd64";
    xtask.fails(&["fetch", attr, "--locked"], Kind::Stale, &[MISSING, "--locked"])?;
    ensure!(!place.lock().exists(), "a lock was made all the same");
    let lonely = xtask.clone().env("KUBELET_IMAGES_MIRROR", "").store(&place.dir.path().join("store"));
    let words = ["https://", "minirootfs-3.15.11-x86_64", "SHA-256 1040dc3c", "--mirror"];
    lonely.fails(&["lock", "alpine", "--offline"], Kind::Unavailable, &words)?;
    ensure!(!place.lock().exists(), "a lock was made of nothing");
    let said = xtask.output(&["fetch", attr, "--offline"])?;
    ensure!(said.status.success(), "{}", said.stderr);
    ensure!(said.stderr.contains(&format!("{MISSING}: making it")), "{}", said.stderr);
    ensure!(!said.stderr.contains("git add"), "this is not a git checkout: {}", said.stderr);

    // The same again; and what `--check` sees.
    let lock = fs::read(place.lock())?;
    xtask.ok(&["lock", "alpine", "--check", "--offline"])?;
    xtask.ok(&["lock", "alpine", "--branch", "v3.15", "--offline"])?;
    ensure!(fs::read(place.lock())? == lock, "the lock is another the second time");
    a_git_checkout_is_told_what_to_add(&place)?;
    xtask.fails(&["lock", "alpine", "--branch", "v3.16"], Kind::NotFound, &["v3.16", "v3.15"])?;
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
    let place = Place::with(&real, &[ArchiveMember::directory("usr/bin").mode(0o700)])?;
    let xtask = place.xtask.clone().store(&place.dir.path().join("store"));
    let out = place.dir.path().join("out");
    let attr = "kubelet-v1_26_0-alpine3_15-amd64";
    let args = [xtask::build_args(attr, &out)?, vec!["--offline"]].concat();
    xtask.fails(&args, Kind::InvalidData, &[attr, "usr/bin", "mode 700", "mode 755"])?;
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
        let attr = format!("kubelet-v1_26_0-alpine3_15-{arch}");
        let micro = format!("kubelet-v1_26_0-cni-{arch}");
        // Alpine's part of the image is tried on every machine; other tests compile amd64's kubelet anyway.
        let whole = arch == "amd64"
            || xtask::at_hand(&micro)?
            || !skip::unless_full(&format!("the kubelet in {attr}: none for {arch} was ever built here"));
        let mut args = xtask::build_args(&attr, &out)?;
        if !whole {
            args.extend(OMITTED);
        }
        place.xtask.ok(&args)?;
        let layout = out.join(&attr);
        assert_eq!(image::layers(&layout)?.len(), if whole { 2 } else { 1 }, "{attr}");
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
        if whole {
            assert_eq!(inside.ok(&["/usr/bin/kubelet", "--version"])?, "Kubernetes v1.26.0\n");
        }
        check_files(&root, whole).with_context(|| attr.clone())?;
    }
    Ok(())
}

/// What the catalog asks for, made of this machine's programs: they are there, they are the ones that are called, and
/// they work.
#[test]
fn the_kubelets_image_has_the_tools_that_the_catalog_names() -> Result<()> {
    if skip::without(&["umoci", "runc"])? || skip::without(&debian::PROGRAMS)? {
        return Ok(());
    }
    let Some(real) = real() else { return Ok(()) };
    let place = Place::of_this_machine(&real)?;
    let layout = place.xtask.build("kubelet-v1_26_0-alpine3_15-amd64", &place.dir.path().join("out"))?;
    let bundle = place.dir.path().join("bundle");
    let root = image::unpack(&layout, &bundle)?;
    let inside = Inside::new("amd64", &bundle)?;
    for (words, says) in [
        (&["mount", "--version"], "mount from util-linux"),
        (&["nsenter", "--version"], "nsenter from util-linux"),
        (&["ls", "--version"], "ls (GNU coreutils)"),
        (&["find", "--version"], "find (GNU findutils)"),
        (&["conntrack", "--version"], "conntrack v"),
        // Whichever the host has, and it has no rules; Alpine's own is legacy.
        (&["iptables", "--version"], "(nf_tables)"),
        (&["/sbin/iptables", "--version"], "(legacy)"),
        (&["iptables-nft", "--version"], "(nf_tables)"),
    ] {
        // By way of the entrypoint, so that PATH decides between them and busybox's.
        let said = inside.ok(&[&["/usr/bin/entrypoint"], words.as_slice()].concat())?;
        ensure!(said.contains(says), "{words:?}: {said}");
    }
    assert_eq!(inside.ok(&["/usr/bin/entrypoint", "kubelet", "--version"])?, "Kubernetes v1.26.0\n");
    ensure!(inside.ok(&["/usr/bin/entrypoint", "mount"])?.contains(" on /proc "), "mount lists nothing");
    let mode = fs::symlink_metadata(root.join("bin/mount"))?.permissions().mode();
    assert_eq!(mode & 0o7777, 0o4755, "mount is setuid, as in the package");
    ensure!(!root.join("usr/local/sbin/ip6tables").exists(), "it has kube-proxy's ip6tables");

    let packages = inside.ok(&["/sbin/apk", "info", "-v"])?;
    let world = ["util-linux", "coreutils", "findutils", "ca-certificates", "conntrack-tools", "iptables"];
    for name in world.iter().chain(&["debian-libraries"]) {
        let package = format!("{name}-{}", debian::VERSION);
        ensure!(packages.lines().any(|line| line == package), "no {package} among {packages}");
    }
    assert_eq!(packages.lines().count(), REAL + world.len() + 1, "{packages}");
    let audit = inside.ok(&["/sbin/apk", "audit", "--system"])?;
    let changed: Vec<&str> = audit.lines().filter(|line| !line.starts_with("A ")).collect();
    ensure!(changed.is_empty(), "{changed:?}");
    // apk itself finds that all that is needed is there.
    inside.ok(&["/sbin/apk", "add", "--no-network", "--simulate", "iptables"]).map(drop)
}

/// All three architectures in one go, kube-proxy's packages too.
#[test]
fn what_the_catalog_asks_for_is_locked_for_every_architecture() -> Result<()> {
    if skip::without(&debian::PROGRAMS)? {
        return Ok(());
    }
    let Some(real) = real() else { return Ok(()) };
    let place = Place::of_this_machine(&real)?;
    place.xtask.ok(&["lock", "alpine", "--offline"])?;
    let lock: Value = serde_json::from_slice(&fs::read(place.lock())?)?;
    for (arch, _) in ARCHES {
        for (product, world) in [
            (
                "kubelet",
                &["util-linux", "coreutils", "findutils", "ca-certificates", "conntrack-tools", "iptables"],
            ),
            ("kube-proxy", &["conntrack-tools", "iptables", "ip6tables", "ebtables", "ipset", "kmod"]),
        ] {
            let locked = &lock["arches"][arch]["worlds"][product];
            let mut sorted = world.to_vec();
            sorted.sort_unstable();
            let mut found: Vec<&str> =
                locked["world"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            found.sort_unstable();
            assert_eq!(found, sorted, "{arch}, {product}");
            let install: Vec<&str> =
                locked["install"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let at = |name: &str| install.iter().position(|id| id.starts_with(name));
            ensure!(world.iter().all(|name| at(name).is_some()), "{arch}, {product}: {install:?}");
            if arch == "amd64" {
                // What others need comes before them.
                ensure!(at("debian-libraries") < at("iptables"), "{install:?}");
            }
        }
    }
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
        let attr = "kubelet-v1_26_0-alpine3_15";
        let mut args = vec!["build", attr, "--out", out_name, "--offline"];
        args.extend(OMITTED);
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

/// Packages that nobody has yet: the lock says so wherever it is read, and is completed when somebody has them.
#[test]
fn a_lock_of_what_the_index_pins_is_said_and_completed() -> Result<()> {
    let Some(real) = real() else { return Ok(()) };
    let place = Place::new(&real)?;
    let xtask = place.xtask.clone().store(&place.dir.path().join("store"));
    let (attr, out) = ("kubelet-v1_26_0-alpine3_15-arm64", place.dir.path().join("out"));
    let (index, out) = ("kubelet-v1_26_0-alpine3_15", out.to_str().context("not UTF-8")?);
    let said = xtask.output(&["lock", "alpine", "--index-only", "--offline"])?;
    ensure!(
        said.stderr.contains("6 packages are pinned by Alpine's index: `cargo xtask lock alpine --complete`"),
        "{}",
        said.stderr
    );
    let list = xtask.ok(&["list"])?;
    for (name, count) in [(attr, 2), (index, 6), ("kube-proxy-v1_26_0-amd64", 2)] {
        let line =
            list.lines().find(|line| line.split(' ').next() == Some(name)).context("not in the list")?;
        ensure!(line.contains(&format!("({count} packages pinned by Alpine's index)")), "{line}");
    }
    ensure!(
        list.lines().filter(|line| line.contains("-micro")).all(|line| !line.contains("pinned")),
        "micro"
    );
    xtask.ok(&["lock", "alpine", "--index-only", "--check", "--offline"])?;

    let build = |xtask: &xtask::Xtask, name: &str| {
        let args = [&["build", name, "--out", out, "--offline"], &OMITTED[..]].concat();
        xtask.ok(&args).map(drop)
    };
    build(&xtask, attr)?;
    let digest = image::digest(&Path::new(out).join(attr))?;
    let package = place.dir.path().join("mirror/v3.15/main/aarch64/test-tool-1.0-r0.apk");
    let bytes = fs::read(&package)?;
    fs::remove_file(&package)?;
    // What was fetched is in the store, and nowhere else.
    build(&xtask, attr)?;
    let fresh = xtask.clone().store(&place.dir.path().join("fresh"));
    let words = ["v3.15/main/aarch64/test-tool-1.0-r0.apk", "--mirror"];
    fresh.fails(&["fetch", attr, "--offline"], Kind::Unavailable, &words)?;
    let incomplete = [LOCK, "is not complete", words[0]];
    fresh.fails(&["lock", "alpine", "--complete", "--offline"], Kind::Unavailable, &incomplete)?;
    let pins = || Ok::<_, anyhow::Error>(fs::read_to_string(place.lock())?.matches("\"checksum\"").count());
    let sums = || Ok::<_, anyhow::Error>(fs::read_to_string(place.lock())?.matches("\"sha256\"").count());
    // Root filesystems and indexes have one each, too.
    assert_eq!((pins()?, sums()?), (6, 5 + 6));
    fs::write(&package, bytes)?;
    fresh.ok(&["lock", "alpine", "--complete", "--offline"])?;
    assert_eq!((pins()?, sums()?), (6, 6 + 6));
    ensure!(!xtask.ok(&["list"])?.contains("pinned by"), "a complete lock is not said to be one");
    xtask.ok(&["lock", "alpine", "--check", "--offline"])?;
    build(&fresh, attr)?;
    assert_eq!(image::digest(&Path::new(out).join(attr))?, digest, "the same packages give another image");
    Ok(())
}

/// The flake sees nothing that git does not know.
fn a_git_checkout_is_told_what_to_add(place: &Place) -> Result<()> {
    if skip::without(&["git"])? {
        return Ok(());
    }
    let (lock, add) = (place.lock(), format!("`git add {LOCK}`"));
    let root = lock.ancestors().nth(3).context("the lock is not in a checkout")?;
    let git = |args: &[&str]| cmd::ok(Command::new("git").args(args).current_dir(root));
    let said = || Ok::<_, anyhow::Error>(place.xtask.output(&["lock", "alpine", "--offline"])?.stderr);
    git(&["init", "--quiet"])?;
    let untracked = said()?;
    ensure!(untracked.contains(&add), "{untracked}");
    git(&["add", LOCK])?;
    let tracked = said()?;
    ensure!(!tracked.contains("git add"), "{tracked}");
    Ok(fs::remove_dir_all(root.join(".git"))?)
}

/// What is where, of whom and with which mode, as umoci unpacked it; `whole` with what is compiled.
fn check_files(root: &Path, whole: bool) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let meta = |path: &str| fs::symlink_metadata(root.join(path)).with_context(|| format!("no {path}"));
    for (path, mode, gid) in [
        ("tmp", 0o41777, 0),
        ("var/tmp", 0o41777, 0),
        ("root", 0o40700, 0),
        ("var/empty", 0o40555, 0),
        ("usr/bin", 0o40755, 0),
        ("var/lib/kubelet/config.yaml", 0o100_644, 0),
        ("etc/shadow", 0o100_640, 42),
        ("usr/share/test/shadowed", 0o102_640, 42),
        ("etc/ssl/certs/ca-certificates.crt", 0o100_644, 0),
    ] {
        let found = meta(path)?;
        assert_eq!((found.mode(), found.uid(), found.gid()), (mode, 0, gid), "{path}");
    }
    for program in ["usr/bin/kubelet", "usr/bin/entrypoint"].iter().filter(|_| whole) {
        let found = meta(program)?;
        assert_eq!((found.mode(), found.uid(), found.gid()), (0o100_755, 0, 0), "{program}");
    }
    assert_eq!(meta("bin/test-tool")?.ino(), meta("bin/test-tool-too")?.ino(), "hard links");
    let world = fs::read_to_string(root.join("etc/apk/world"))?;
    assert_eq!(world, "alpine-baselayout\nalpine-keys\napk-tools\nbusybox\nlibc-utils\ntest-tool\n");
    Ok(())
}
