//! Layouts made here, in the hands of the tools that people use. A tool that is not installed is skipped, with a line that
//! says so.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fstree::tree::{Entry, Tree};
use oci::compress::{Compression, Gzip};
use oci::config::Healthcheck;
use oci::digest::Digest;
use oci::image::{Image, LayerBlob, Spec};
use oci::index::Index;
use oci::layer::{self, Options};
use oci::layout::{self, Contents, Names};
use oci::read::{EntryInfo, EntryKind};
use progress::Silent;
use tar::{EntryType, Header};
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

fn image(dir: &Path, platform: &str, [fast, best]: [Compression; 2]) -> Image {
    let mut base = Tree::new();
    base.insert("tmp", Entry::directory(0o1777)).unwrap();
    base.insert("etc/mtab", Entry::symlink("/proc/mounts")).unwrap();
    let mut upper = Tree::new();
    let long = format!("opt/{}/{}", "d".repeat(120), "f".repeat(110));
    upper.insert(&long, Entry::file(0o600, &b"deep"[..])).unwrap();
    upper.insert("usr/bin/kubelet", Entry::file(0o4755, platform.as_bytes())).unwrap();
    upper.insert("usr/bin/kubeadm", Entry::hard_link("usr/bin/kubelet")).unwrap();
    upper.insert("usr/bin/ping", Entry::file(0o755, &b"x"[..]).xattr("user.note", *b"a\nb")).unwrap();
    let layers = [("base", base, fast), ("upper", upper, best)].map(|(name, tree, compression)| {
        let path = dir.join(format!("{}-{name}", platform.replace('/', "-")));
        let options = Options { mtime: 1_670_529_103, compression };
        let layer = layer::write(&tree, &options, fs::File::create(&path).unwrap(), &Silent).unwrap();
        LayerBlob { layer, path, created_by: name.to_owned() }
    });
    let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let spec = Spec {
        platform: platform.parse().unwrap(),
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
    let images =
        ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"].map(|platform| image(dir.path(), platform, layers));
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
    assert_eq!(fs::read(bundle.join("rootfs/usr/bin/kubeadm")).unwrap(), b"linux/amd64");
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
    assert_eq!(kubeadm.unwrap(), b"linux/amd64");
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

/// A layer with names as others write them, and an image of it: each name of the root, of directories and files, and of what
/// hard links go to.
fn spelled(dir: &Path) -> PathBuf {
    let mut tar = Vec::new();
    let mut add = |name: &str, kind: EntryType, link: &str, data: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o640 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(data.len() as u64);
        let fields = header.as_ustar_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        let padding = vec![0; data.len().next_multiple_of(512) - data.len()];
        tar.extend([header.as_bytes(), data, &padding].concat());
    };
    for root in ["/", "./", ".", "//", "/."] {
        add(root, EntryType::Directory, "", b"");
    }
    for (number, name) in
        ["plain/x", "/absolute/x", "./dot/x", "//double//x", "/./mixed/./x", "in/.//x"].iter().enumerate()
    {
        let content = format!("content {number}");
        let directory = name.strip_suffix('x').unwrap();
        add(directory, EntryType::Directory, "", b"");
        add(directory.trim_end_matches('/'), EntryType::Directory, "", b"");
        add(name, EntryType::Regular, "", content.as_bytes());
        let clean = name.split('/').filter(|name| !matches!(*name, "" | ".")).collect::<Vec<_>>().join("/");
        for (at, link) in [clean.clone(), format!("/{clean}"), format!("./{clean}"), format!("//{clean}")]
            .iter()
            .enumerate()
        {
            add(&format!("{directory}link-{at}"), EntryType::Link, link, b"");
        }
        add(&format!("{directory}chain"), EntryType::Link, &format!("{directory}link-1"), b"");
        add(&format!("{directory}symlink/"), EntryType::Symlink, "//x", b"");
    }
    // The end mark is missing, and the padding of the last file, as umoci leaves it.
    add("end", EntryType::Regular, "", b"end");
    tar.truncate(tar.len() - 512 + 3);
    let (path, digest) = (dir.join("spelled.tar"), Digest::of(&tar));
    fs::write(&path, &tar).unwrap();
    let layer = layer::Layer {
        media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
        digest,
        size: tar.len() as u64,
        diff_id: digest,
        tar_size: tar.len() as u64,
        unpacked_size: 0,
        encoder: String::new(),
    };
    let none = BTreeMap::new();
    let spec = Spec {
        platform: "linux/amd64".parse().unwrap(),
        created: 1,
        env: none.clone(),
        entrypoint: vec!["/plain/x".to_owned()],
        cmd: Vec::new(),
        healthcheck: None,
        labels: none.clone(),
        annotations: none,
    };
    let image = Image::new(&spec, vec![LayerBlob { layer, path, created_by: "others".to_owned() }]).unwrap();
    let layout = dir.join("layout");
    layout::write(&layout, &Contents::image(&image, &names()).unwrap(), &Silent).unwrap();
    layout
}

/// What lies below a directory: its kind, and the first of its names, target or content.
fn walk(root: &Path) -> BTreeMap<String, String> {
    let mut first: BTreeMap<u64, String> = BTreeMap::new();
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        let mut entries: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        // A file before its links, which are those of its directory here.
        entries.sort_by_key(|path| std::cmp::Reverse(path.clone()));
        for path in entries {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let meta = fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_dir() {
                todo.push(path);
                "directory".to_owned()
            } else if meta.is_symlink() {
                format!("symlink {}", fs::read_link(&path).unwrap().display())
            } else if let Some(file) = first.get(&meta.ino()) {
                format!("link {file}")
            } else {
                first.insert(meta.ino(), name.clone());
                format!("file {}", Digest::of(&fs::read(&path).unwrap()))
            };
            found.insert(name, what);
        }
    }
    found
}

#[test]
fn names_of_others_are_read_as_umoci_and_containerd_read_them() {
    if !have(&["umoci", "containerd", "ctr", "tar", "umount"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        skip::say("containerd needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let layout = spelled(dir.path());
    let opened = layout::open(&layout, &layout::Limits::default()).unwrap();
    let [listing] = &opened.list(&opened.images[0]).unwrap()[..] else { panic!("one layer") };
    let told = |item: &EntryInfo| match &item.what {
        EntryKind::Directory => "directory".to_owned(),
        EntryKind::File { digest, .. } => format!("file {digest}"),
        EntryKind::HardLink(target) => format!("link {target}"),
        EntryKind::Symlink(target) => format!("symlink {target}"),
        EntryKind::Special(_) => "special".to_owned(),
    };
    let read: BTreeMap<String, String> =
        listing.items.iter().map(|(path, item)| (path.clone(), told(item))).collect();
    assert_eq!(read.len(), 6 * 8 + 1);

    let bundle = dir.path().join("bundle");
    run("umoci", &["unpack", "--image", &format!("{}:v1", layout.display()), bundle.to_str().unwrap()]);
    assert_eq!(walk(&bundle.join("rootfs")), read, "umoci");

    let containerd = Containerd::start();
    let archive = dir.path().join("archive.tar");
    run("tar", &["-C", layout.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]);
    let native = ["--snapshotter", "native"];
    containerd.ctr(&[&["image", "import"][..], &native, &[archive.to_str().unwrap()]].concat());
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    containerd.ctr(&[&["image", "mount"][..], &native, &[NAME, root.to_str().unwrap()]].concat());
    let found = walk(&root);
    run("umount", &[root.to_str().unwrap()]);
    assert_eq!(found, read, "containerd");
}
