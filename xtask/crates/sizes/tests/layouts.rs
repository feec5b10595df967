//! Layouts are weighed as publishers count; those that lie are refused, whatever about.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use fstree::tree::{Entry, Tree};
use oci::compress::{Compression, Gzip};
use oci::digest::Digest;
use oci::image::{Image, LayerBlob, Spec};
use oci::layer;
use oci::layout::{Contents, Limits, Names};
use progress::Silent;
use sizes::measure::{self, Measurer};
use tempfile::TempDir;

const OPTIONS: layer::Options = layer::Options { mtime: 1, compression: Compression::Gzip(Gzip::Fast) };

/// A layout of an image.
struct Bench {
    dir: TempDir,
}

/// A layer: its name, and files with their sizes.
type Row<'a> = (&'a str, &'a [(&'a str, usize)]);

fn bench(layers: &[Row<'_>]) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let blob = |(index, (name, files)): (usize, &Row<'_>)| {
        let mut tree = Tree::new();
        for (path, size) in *files {
            tree.insert(path, Entry::file(0o755, &*vec![0; *size])).unwrap();
        }
        if let Some((first, _)) = files.first() {
            tree.insert("opt/link", Entry::hard_link(*first)).unwrap();
            tree.insert("opt/symlink", Entry::symlink("x")).unwrap();
        }
        let path = dir.path().join(format!("{index}.tar.gz"));
        let layer = layer::write(&tree, &OPTIONS, File::create(&path).unwrap(), &Silent).unwrap();
        LayerBlob { layer, path, created_by: (*name).to_owned() }
    };
    let blobs: Vec<LayerBlob> = layers.iter().enumerate().map(blob).collect();
    let annotations = [("io.containerized-kubelet.omitted".to_owned(), "crictl,x".to_owned())];
    let spec = Spec {
        platform: "linux/amd64".parse().unwrap(),
        created: 1,
        env: BTreeMap::new(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        healthcheck: None,
        labels: BTreeMap::new(),
        annotations: annotations.into(),
    };
    let contents = Contents::image(&Image::new(&spec, blobs).unwrap(), &Names::default()).unwrap();
    oci::layout::write(&dir.path().join("layout"), &contents, &Silent).unwrap();
    Bench { dir }
}

fn plain() -> Bench {
    bench(&[("micro", &[("usr/bin/entrypoint", 300), ("etc/x", 1)]), ("cni", &[("usr/bin/bridge", 5_000)])])
}

impl Bench {
    fn layout(&self) -> PathBuf {
        self.dir.path().join("layout")
    }

    fn weigh(&self, limits: &Limits) -> anyhow::Result<sizes::Image> {
        let owner = |layer: &str, path: &str| (path != "etc/x").then(|| layer.to_owned());
        let layout = oci::layout::open(&self.layout(), limits)?;
        Measurer::new(&owner).measure(&layout, &layout.images[0])
    }

    /// The exit code, and what is said in one line a cause, with digests shortened.
    fn refused(&self, limits: &Limits) -> String {
        let error = self.weigh(limits).expect_err("it is accepted");
        let text: Vec<_> = error.chain().map(ToString::to_string).collect();
        let mut text = text.join("\n  ");
        while let Some(at) = text.find("sha256:") {
            text.replace_range(at..at + 7 + 64, "DIGEST");
        }
        format!("{}: {text}", fault::exit_code(&error))
            .replace(&self.layout().display().to_string(), "LAYOUT")
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.layout().join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
    }

    fn json(&self, file: &Path) -> serde_json::Value {
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }

    fn index(&self) -> serde_json::Value {
        self.json(&self.layout().join("index.json"))
    }

    fn manifest(&self) -> serde_json::Value {
        self.json(&self.blob(self.index()["manifests"][0]["digest"].as_str().unwrap()))
    }

    fn layer(&self, index: usize) -> PathBuf {
        self.blob(self.manifest()["layers"][index]["digest"].as_str().unwrap())
    }

    /// Puts a document in the place of another's blob; returns its descriptor's digest and size.
    fn put(&self, bytes: &[u8]) -> (String, usize) {
        let digest = Digest::of(bytes);
        fs::write(self.blob(&digest.to_string()), bytes).unwrap();
        (digest.to_string(), bytes.len())
    }

    /// Changes the manifest, and makes the index right again: whoever lies takes that trouble.
    fn change(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let mut manifest = self.manifest();
        change(&mut manifest);
        let (digest, size) = self.put(&serde_json::to_vec(&manifest).unwrap());
        let mut index = self.index();
        index["manifests"][0]["digest"] = digest.into();
        index["manifests"][0]["size"] = size.into();
        fs::write(self.layout().join("index.json"), index.to_string()).unwrap();
    }

    /// Changes the config, and makes manifest and index right again.
    fn change_config(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let mut config = self.json(&self.blob(self.manifest()["config"]["digest"].as_str().unwrap()));
        change(&mut config);
        let (digest, size) = self.put(&serde_json::to_vec(&config).unwrap());
        self.change(|manifest| {
            manifest["config"]["digest"] = digest.into();
            manifest["config"]["size"] = size.into();
        });
    }
}

#[test]
fn an_image_is_weighed_as_publishers_count() {
    // The file of the first layer is replaced by the second: it counts in both.
    let bench = bench(&[("micro", &[("a/b", 300), ("etc/x", 1)]), ("cni", &[("a/b", 5_000)])]);
    let image = bench.weigh(&measure::limits()).unwrap();
    let blobs = [bench.layer(0), bench.layer(1)].map(|blob| fs::metadata(blob).unwrap().len());
    let config = bench.manifest()["config"]["size"].as_u64().unwrap();
    assert_eq!(image.compressed, blobs[0] + blobs[1] + config);
    assert_eq!(image.extracted, 5_301, "hard links count once");
    assert_eq!(image.config, config);
    assert_eq!(image.omitted, ["crictl", "x"]);
    let names: Vec<_> = image.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["micro", "cni"]);
    let parts: Vec<_> = image.layers[0]
        .parts
        .iter()
        .map(|part| (part.name.as_str(), part.component.as_deref(), part.size))
        .collect();
    assert_eq!(parts, [("a/b", Some("micro"), 300), ("etc/x", None, 1)]);
    let layout = measure::open(&bench.layout()).unwrap();
    let sizes = layout.sizes(&layout.images[0]).unwrap();
    assert_eq!((image.compressed, image.extracted), (sizes.compressed, sizes.extracted));
}

#[test]
fn lies_are_refused_and_named() {
    let limits = measure::limits();
    let refused = |spoil: &dyn Fn(&Bench)| {
        let bench = plain();
        spoil(&bench);
        bench.refused(&limits)
    };
    let flip = |file: PathBuf| {
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    let manifest = |bench: &Bench| bench.blob(bench.index()["manifests"][0]["digest"].as_str().unwrap());
    let config = |bench: &Bench| bench.blob(bench.manifest()["config"]["digest"].as_str().unwrap());
    let none = "sha256:".to_owned() + &"0".repeat(64);
    let said = [
        refused(&|bench| bench.change(|manifest| manifest["layers"][1]["size"] = 1.into())),
        refused(&|bench| bench.change(|manifest| manifest["layers"][1]["size"] = u64::MAX.into())),
        refused(&|bench| bench.change(|manifest| manifest["layers"][1]["size"] = (-1).into())),
        refused(&|bench| bench.change(|manifest| manifest["config"]["size"] = 1.into())),
        refused(&|bench| bench.change(|manifest| manifest["layers"][0]["digest"] = none.clone().into())),
        refused(&|bench| fs::remove_file(bench.layer(1)).unwrap()),
        refused(&|bench| fs::remove_file(config(bench)).unwrap()),
        refused(&|bench| fs::remove_file(manifest(bench)).unwrap()),
        refused(&|bench| flip(bench.layer(1))),
        refused(&|bench| flip(manifest(bench))),
        refused(&|bench| flip(config(bench))),
        refused(&|bench| bench.change_config(|config| config["rootfs"]["diff_ids"][0] = none.clone().into())),
        refused(&|bench| {
            bench.change(|manifest| manifest["layers"][1]["mediaType"] = "application/x-other".into());
        }),
        refused(&|bench| {
            // A layer that ends in the middle, and says so truthfully.
            let layer = fs::read(bench.layer(1)).unwrap();
            let (digest, size) = bench.put(&layer[..layer.len() / 2]);
            bench.change(|manifest| {
                manifest["layers"][1]["digest"] = digest.into();
                manifest["layers"][1]["size"] = size.into();
            });
        }),
        refused(&|bench| fs::write(bench.layout().join("index.json"), "{").unwrap()),
        refused(&|bench| fs::remove_file(bench.layout().join("index.json")).unwrap()),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_manifest_of_a_hundred_megabytes_is_not_read() {
    let bench = plain();
    bench.change(|manifest| manifest["annotations"]["x"] = "x".repeat(100 << 20).into());
    let said = bench.refused(&measure::limits());
    insta::assert_snapshot!(said, @"3: blob DIGEST: more than 4194304 bytes");
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    let bench = bench(&[("bomb", &[("zeros", 64 << 20)])]);
    assert!(fs::metadata(bench.layer(0)).unwrap().len() < 1 << 20, "it is small to pull");
    assert_eq!(measure::limits().layer.tar_size, 2 << 30, "as docs/size.md says");
    let layer = oci::read::Limits { tar_size: 1 << 20, ..measure::limits().layer };
    let said = bench.refused(&Limits { layer, ..measure::limits() });
    insta::assert_snapshot!(said, @r"
    3: layer DIGEST
      the layer cannot be read: it has more than 1048576 bytes once decompressed
    ");
}

#[test]
fn too_many_layers_are_refused() {
    let bench = plain();
    bench.change_config(|config| {
        let id = config["rootfs"]["diff_ids"][0].clone();
        config["rootfs"]["diff_ids"] = vec![id; 128].into();
    });
    bench.change(|manifest| {
        let layer = manifest["layers"][0].clone();
        manifest["layers"] = vec![layer; 128].into();
    });
    insta::assert_snapshot!(bench.refused(&measure::limits()), @"3: image DIGEST: 128 layers, more than the 127 that are read");
}
