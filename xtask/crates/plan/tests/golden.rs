//! What a small checkout comes to, whatever the real one is by now: keys of the store, and digests of a layer, an image and
//! an index. A change here orphans every store, or gives every image another digest: it is deliberate, and its commit says
//! so. A new pinned tool (`golden/toolchains.json`) is such a change, a new release is none.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use catalog::Catalog;
use fstree::tree::{Entry, Tree};
use oci::compress::{Compression, Gzip};
use oci::image::{Image, LayerBlob, Spec};
use oci::index::Index;
use plan::{Options, Plan, Planner, Sources};
use progress::{Progress, Silent};

const CATALOG: &str = include_str!("../../catalog/tests/data/catalog.toml");
const TOOLCHAINS: &str = include_str!("golden/toolchains.json");
const EDITS: &str = r#"version = 1

[[edit]]
module = "example.org/edited"
versions = ["v1.0.0"]
file = "a/a.go"
within = "func a() {"
find = "one"
replace = "two"
why = "a reason"
"#;
/// What a key must not depend on is the time of a file; this is the content of all of them.
const FILES: [(&str, &str); 14] = [
    ("images/locks/toolchains.json", TOOLCHAINS),
    ("images/go/edits.toml", EDITS),
    ("images/go/join/flags.go", "package main\n"),
    ("images/go/join/main.go", "package main\n\nfunc main() {}\n"),
    ("images/go/join/pflags.go", "package main\n\n// pflags\n"),
    (
        "images/go/v1.26.0/kube/go.mod",
        "module containerized-kubelet\n\ngo 1.19\n\nrequire (\n\texample.org/edited v1.0.0\n\tk8s.io/kubernetes v1.26.0\n)\n",
    ),
    ("images/go/v1.26.0/kube/go.sum", "k8s.io/kubernetes v1.26.0 h1:kube=\n"),
    (
        "images/go/v1.26.0/kubeadm/go.mod",
        "module containerized-kubelet\n\ngo 1.19\n\nrequire k8s.io/kubernetes v1.26.0\n",
    ),
    ("images/go/v1.26.0/kubeadm/go.sum", "k8s.io/kubernetes v1.26.0 h1:kubeadm=\n"),
    (
        "images/go/cni-plugins-v0.9.1/go.mod",
        "module containerized-kubelet\n\ngo 1.19\n\nrequire github.com/containernetworking/plugins v0.9.1\n",
    ),
    ("images/go/cni-plugins-v0.9.1/go.sum", "github.com/containernetworking/plugins v0.9.1 h1:cni=\n"),
    ("images/entrypoint/Cargo.toml", "[package]\nname = \"entrypoint\"\n"),
    ("images/entrypoint/Cargo.lock", "version = 4\n"),
    ("images/rootfs/kubelet/etc/nsswitch.conf", "hosts: files dns\n"),
];

fn plan(dir: &Path, names: &[&str], options: &Options) -> Plan {
    for (path, text) in FILES {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(dir.join("images/entrypoint/src")).unwrap();
    fs::write(dir.join("images/entrypoint/src/main.rs"), "fn main() {}\n").unwrap();
    let catalog = Catalog::parse(CATALOG, "catalog.toml").unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Planner { catalog: &catalog, sources: &Sources::read(dir).unwrap(), options }.plan(&names).unwrap()
}

fn keys(plan: &Plan) -> String {
    let mut text = String::new();
    for (key, component) in &plan.components {
        writeln!(text, "{key} {}", component.name).unwrap();
    }
    for (key, layer) in &plan.layers {
        writeln!(text, "{key} {}", layer.name).unwrap();
    }
    for (attribute, image) in &plan.images {
        writeln!(text, "{attribute} {} {}", image.reference, image.layers.len()).unwrap();
        for (name, value) in &image.annotations {
            writeln!(text, "  {name}={value}").unwrap();
        }
    }
    text
}

#[test]
fn keys_of_a_small_checkout_stay() {
    let dir = tempfile::tempdir().unwrap();
    let all = ["kubelet-v1_26_0-cni", "kubelet-v1_26_0-flannel-amd64", "kubelet-v1_26_0-kubeadm-amd64"];
    insta::assert_snapshot!("keys", keys(&plan(dir.path(), &all, &Options::default())));
}

#[test]
fn keys_with_options_stay() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        omit: vec!["cni".to_owned()],
        arches: vec!["arm64".to_owned()],
        compression: Compression::Zstd,
        ..Options::default()
    };
    insta::assert_snapshot!("keys-with-options", keys(&plan(dir.path(), &["kubelet-v1_26_0-cni"], &options)));
}

/// Every kind of entry, a name and an attribute that only an extended header holds, and content that compresses and does
/// not.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let long = format!("opt/{}/{}", "d".repeat(120), "f".repeat(110));
    let noise: Vec<u8> = (0..60_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for (path, entry) in [
        ("tmp", Entry::directory(0o1777)),
        ("etc/mtab", Entry::symlink("/proc/mounts")),
        (long.as_str(), Entry::file(0o600, &b"deep"[..])),
        ("usr/bin/kubelet", Entry::file(0o755, noise.as_slice())),
        ("usr/bin/kubeadm", Entry::hard_link("usr/bin/kubelet")),
        (
            "usr/bin/ping",
            Entry::file(0o4755, vec![0; 100_000].as_slice()).xattr("user.note", *b"a\nb").owner(7, 8),
        ),
    ] {
        tree.insert(path, entry).unwrap();
    }
    tree
}

fn file(dir: &Path, platform: &str, compression: Compression) -> PathBuf {
    dir.join(format!("{}-{compression:?}", platform.replace('/', "-")))
}

fn image(dir: &Path, platform: &str, compression: Compression) -> Image {
    let path = file(dir, platform, compression);
    let options = oci::layer::Options { mtime: 1_670_529_103, compression };
    let task = Silent.task("layer", None);
    let layer = oci::layer::write(&tree(), &options, fs::File::create(&path).unwrap(), &*task).unwrap();
    let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let spec = Spec {
        platform: platform.parse().unwrap(),
        created: 1_670_529_103,
        env: map("PATH", "/usr/bin"),
        entrypoint: vec!["/usr/bin/entrypoint".to_owned()],
        cmd: Vec::new(),
        healthcheck: None,
        labels: map("io.containerized-kubelet.variant", "cni"),
        annotations: map("org.opencontainers.image.version", "v1.26.0"),
    };
    Image::new(&spec, vec![LayerBlob { layer, path, created_by: "kubelet".to_owned() }]).unwrap()
}

#[test]
fn digests_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for compression in [Compression::Gzip(Gzip::Best), Compression::Gzip(Gzip::Fast), Compression::Zstd] {
        let image = image(dir.path(), "linux/amd64", compression);
        let layer = fs::read(file(dir.path(), "linux/amd64", compression)).unwrap();
        let (layer, size) = (oci::digest::Digest::of(&layer), layer.len());
        writeln!(text, "{}\n  layer {layer} {size}\n  manifest {}", compression.encoder(), image.digest())
            .unwrap();
    }
    let images = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]
        .map(|platform| image(dir.path(), platform, Compression::Gzip(Gzip::Best)));
    let index = Index::new(images.into(), &BTreeMap::from([("a".to_owned(), "b".to_owned())])).unwrap();
    writeln!(text, "index {}", index.digest()).unwrap();
    insta::assert_snapshot!("digests", text);
}
