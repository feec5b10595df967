//! Layouts made here, in the hands of the tools that people use. A tool that is not installed is skipped, with a line that
//! says so.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci::compress::{Compression, Gzip};
use oci::config::Healthcheck;
use oci::image::{Image, LayerBlob, Spec};
use oci::index::Index;
use oci::layer::{self, Options};
use oci::layout::{self, Contents, Names};
use oci::platform::Platform;
use oci::tree::{Entry, Tree};
use progress::Silent;
use tempfile::TempDir;

const NAME: &str = "example.org/kubelet:v1.26.0-micro";

/// Whether all of these programs are there; says what is skipped otherwise.
fn have(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| exec::which(program).is_none()).collect();
    if !missing.is_empty() {
        skip::say(&format!("{missing:?} not installed"));
    }
    missing.is_empty()
}

fn run(program: &str, args: &[&str]) -> String {
    let run = exec::Run::new(program).args(args).inherit("PATH").inherit("HOME").inherit("TMPDIR");
    String::from_utf8(run.run().unwrap().stdout).unwrap()
}

const GZIP: [Compression; 2] = [Compression::Gzip(Gzip::Fast), Compression::Gzip(Gzip::Best)];
const ZSTD: [Compression; 2] = [Compression::Zstd; 2];

fn image(dir: &Path, platform: Platform, [fast, best]: [Compression; 2]) -> Image {
    let mut base = Tree::new();
    base.insert("tmp", Entry::directory(0o1777)).unwrap();
    base.insert("etc/mtab", Entry::symlink("/proc/mounts")).unwrap();
    let mut upper = Tree::new();
    let long = format!("opt/{}/{}", "d".repeat(120), "f".repeat(110));
    upper.insert(&long, Entry::file(0o600, &b"deep"[..])).unwrap();
    upper.insert("usr/bin/kubelet", Entry::file(0o4755, format!("{platform:?}").as_bytes())).unwrap();
    upper.insert("usr/bin/kubeadm", Entry::hard_link("usr/bin/kubelet")).unwrap();
    upper.insert("usr/bin/ping", Entry::file(0o755, &b"x"[..]).xattr("user.note", *b"a\nb")).unwrap();
    let layers = [("base", base, fast), ("upper", upper, best)].map(|(name, tree, compression)| {
        let path = dir.join(format!("{platform:?}-{name}"));
        let options = Options { mtime: 1_670_529_103, compression };
        let layer = layer::write(&tree, &options, fs::File::create(&path).unwrap(), &Silent).unwrap();
        LayerBlob { layer, path, created_by: name.to_owned() }
    });
    let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let spec = Spec {
        platform,
        created: 1_670_529_103,
        env: map("PATH", "/usr/bin"),
        entrypoint: vec!["/usr/bin/kubelet".to_owned()],
        cmd: vec!["--help".to_owned()],
        healthcheck: Some(Healthcheck {
            command: vec!["/usr/bin/kubelet".to_owned()],
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(5),
            start_period: Duration::from_mins(1),
            retries: 3,
        }),
        labels: map("a", "b"),
        annotations: map("org.opencontainers.image.version", "v1.26.0"),
    };
    Image::new(&spec, layers.into()).unwrap()
}

fn names() -> Names {
    Names { reference: Some("v1".to_owned()), containerd: Some(NAME.to_owned()) }
}

/// A layout of one image, and one of all platforms.
fn layouts() -> (TempDir, PathBuf, PathBuf) {
    layouts_of(GZIP)
}

fn layouts_of(layers: [Compression; 2]) -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let images = [Platform::Amd64, Platform::Arm64, Platform::ArmV7]
        .map(|platform| image(dir.path(), platform, layers));
    let (one, all) = (dir.path().join("one"), dir.path().join("all"));
    layout::write(&one, &Contents::image(&images[0], &names()).unwrap(), &Silent).unwrap();
    let index = Index::new(images.into(), &BTreeMap::new()).unwrap();
    layout::write(&all, &Contents::index(&index, &names()).unwrap(), &Silent).unwrap();
    (dir, one, all)
}

#[test]
fn skopeo_inspects_an_image_and_each_platform_of_an_index() {
    if !have(&["skopeo"]) {
        return;
    }
    for layers in [GZIP, ZSTD] {
        skopeo_inspects(layers);
    }
}

fn skopeo_inspects(layers: [Compression; 2]) {
    let (_dir, one, all) = layouts_of(layers);
    let inspect = |layout: &Path, options: &[&str]| -> serde_json::Value {
        let name = format!("oci:{}:v1", layout.display());
        serde_json::from_str(&run("skopeo", &[options, &["inspect", &name]].concat())).unwrap()
    };
    let value = inspect(&one, &[]);
    assert_eq!(value["Architecture"], "amd64");
    assert_eq!(value["Created"], "2022-12-08T19:51:43Z");
    assert_eq!(value["Layers"].as_array().unwrap().len(), 2);
    for (arch, variant) in [("amd64", ""), ("arm64", "v8"), ("arm64", ""), ("arm", "v7")] {
        let mut options = vec!["--override-arch", arch];
        if !variant.is_empty() {
            options.extend(["--override-variant", variant]);
        }
        assert_eq!(inspect(&all, &options)["Architecture"], arch);
    }
}

#[test]
fn umoci_unpacks_what_the_tree_says() {
    if !have(&["umoci"]) {
        return;
    }
    let (dir, one, _) = layouts();
    let bundle = dir.path().join("bundle");
    let mut args = vec!["unpack"];
    if !rustix::process::geteuid().is_root() {
        args.push("--rootless");
    }
    let from = format!("{}:v1", one.display());
    args.extend(["--image", &from, bundle.to_str().unwrap()]);
    run("umoci", &args);
    let meta = |path: &str| fs::symlink_metadata(bundle.join("rootfs").join(path)).unwrap();
    let mode = |path: &str| meta(path).permissions().mode() & 0o7777;
    assert_eq!(mode("tmp"), 0o1777);
    assert_eq!(mode("usr"), 0o755);
    assert_eq!(mode("usr/bin/kubelet"), 0o4755);
    assert_eq!(meta("usr/bin/kubelet").ino(), meta("usr/bin/kubeadm").ino());
    assert_eq!(meta("usr/bin/kubelet").mtime(), 1_670_529_103);
    assert_eq!(fs::read(bundle.join("rootfs/usr/bin/kubeadm")).unwrap(), b"Amd64");
    assert_eq!(fs::read_link(bundle.join("rootfs/etc/mtab")).unwrap(), Path::new("/proc/mounts"));
    let long = format!("opt/{}/{}", "d".repeat(120), "f".repeat(110));
    assert_eq!(mode(&long), 0o600);
}

/// A containerd of its own, ended with the test.
struct Containerd {
    child: Child,
    dir: TempDir,
}

impl Containerd {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
            at("root"),
            at("state"),
            at("sock"),
            at("sock.ttrpc")
        );
        fs::write(at("config.toml"), config).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let child = Command::new("containerd")
            .args(["--config", &at("config.toml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let started = Self { child, dir };
        let begin = Instant::now();
        while exec::Run::new("ctr").args(["--address", &at_sock(&started), "version"]).run().is_err() {
            let log = || fs::read_to_string(started.dir.path().join("log")).unwrap();
            assert!(begin.elapsed() < Duration::from_mins(1), "containerd does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
        started
    }

    fn ctr(&self, args: &[&str]) -> String {
        run("ctr", &[&["--address", &at_sock(self)], args].concat())
    }
}

fn at_sock(containerd: &Containerd) -> String {
    containerd.dir.path().join("sock").display().to_string()
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn containerd_imports_an_image_and_every_platform_of_an_index() {
    if !have(&["containerd", "ctr", "tar"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        skip::say("containerd needs root");
        return;
    }
    let (dir, one, all) = layouts();
    let containerd = Containerd::start();
    for (layout, platforms) in [
        (one, &["linux/amd64"][..]),
        (all, &["linux/amd64", "linux/arm64", "linux/arm64/v8", "linux/arm/v7"]),
    ] {
        let archive = dir.path().join("archive.tar");
        run("tar", &["-C", layout.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]);
        containerd.ctr(&["image", "import", "--all-platforms", "--no-unpack", archive.to_str().unwrap()]);
        let list = containerd.ctr(&["image", "ls"]);
        assert!(list.contains(NAME), "{list}");
        for platform in platforms {
            let check = containerd.ctr(&["image", "check"]);
            assert!(check.contains("complete"), "{check}");
            // Goes by the platform's matcher down to the layers.
            containerd.ctr(&["image", "export", "--platform", platform, "/dev/null", NAME]);
        }
        containerd.ctr(&["image", "rm", "--sync", NAME]);
    }
}

/// Decompressed by containerd itself, whose decoder is not libzstd.
#[test]
fn containerd_unpacks_zstd_layers() {
    if !have(&["containerd", "ctr", "tar", "umount"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        skip::say("containerd needs root");
        return;
    }
    let (dir, one, _) = layouts_of(ZSTD);
    let containerd = Containerd::start();
    let archive = dir.path().join("archive.tar");
    run("tar", &["-C", one.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]);
    let native = ["--snapshotter", "native"];
    containerd.ctr(&[&["image", "import"][..], &native, &[archive.to_str().unwrap()]].concat());
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    containerd.ctr(&[&["image", "mount"][..], &native, &[NAME, root.to_str().unwrap()]].concat());
    let kubeadm = fs::read(root.join("usr/bin/kubeadm"));
    run("umount", &[root.to_str().unwrap()]);
    assert_eq!(kubeadm.unwrap(), b"Amd64");
}

/// crane validates what it pulls or reads from a docker-save archive; skopeo makes one of a layout.
#[test]
fn crane_validates_an_image() {
    if !have(&["crane", "skopeo"]) {
        return;
    }
    let (dir, one, _) = layouts();
    let archive = dir.path().join("docker.tar");
    let to = format!("docker-archive:{}:{NAME}", archive.display());
    run("skopeo", &["--insecure-policy", "copy", &format!("oci:{}:v1", one.display()), &to]);
    run("crane", &["validate", "--tarball", archive.to_str().unwrap()]);
}
