use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use progress::Silent;
use tempfile::TempDir;

use super::*;
use crate::compress::{Compression, Gzip};
use crate::image::{LayerBlob, Spec};
use crate::layer;
use fstree::tree::{Entry, Tree};

struct Bench {
    dir: TempDir,
    contents: Contents,
}

fn image(dir: &Path, platform: &str) -> Image {
    let layers = ["base", "kubelet"].map(|name| {
        let mut tree = Tree::new();
        let content = format!("{name} {platform}");
        // The base is shared by all platforms.
        let content = if name == "base" { name } else { &content };
        tree.insert(&format!("opt/{name}"), Entry::file(0o755, content.as_bytes())).unwrap();
        let path = dir.join(format!("{name}-{}.tar.gz", platform.replace('/', "-")));
        let options = layer::Options { mtime: 1, compression: Compression::Gzip(Gzip::Fast) };
        let layer = layer::write(&tree, &options, fs::File::create(&path).unwrap(), &Silent).unwrap();
        LayerBlob { layer, path, created_by: name.to_owned() }
    });
    let none = BTreeMap::new();
    let spec = Spec {
        platform: platform.parse().unwrap(),
        created: 1,
        env: none.clone(),
        entrypoint: vec!["/opt/kubelet".to_owned()],
        cmd: Vec::new(),
        healthcheck: None,
        labels: none.clone(),
        annotations: none,
    };
    Image::new(&spec, layers.into()).unwrap()
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let contents = Contents::image(&image(dir.path(), "linux/arm/v7"), &Names::default()).unwrap();
    Bench { dir, contents }
}

impl Bench {
    fn to(&self) -> PathBuf {
        self.dir.path().join("out/layout")
    }

    fn write(&self) -> Result<()> {
        write(&self.to(), &self.contents, &Silent)
    }

    fn blob(&self, ends: impl Fn(&Blob) -> bool) -> PathBuf {
        let (digest, _) = self.contents.blobs.iter().find(|(_, blob)| ends(blob)).unwrap();
        self.to().join("blobs/sha256").join(digest.hex())
    }

    fn verify(&self) -> Result<()> {
        open(&self.to(), &Limits::default())?.verify(&Silent)
    }

    /// Puts a document in the place of another and makes all digests above it right again.
    fn refused_with(&self, index: &str) -> String {
        fs::write(self.to().join("index.json"), index).unwrap();
        let error = self.verify().unwrap_err();
        assert!([3, 6].contains(&fault::exit_code(&error)), "{error:#}");
        format!("{error:#}")
    }

    fn add(&self, bytes: &str) -> (Digest, usize) {
        let digest = Digest::of(bytes.as_bytes());
        fs::write(self.to().join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        (digest, bytes.len())
    }
}

fn siblings(bench: &Bench) -> Vec<String> {
    let out = bench.dir.path().join("out");
    fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_layout_is_written_matched_opened_and_verified() {
    let bench = bench();
    assert!(!matches(&bench.to(), &bench.contents).unwrap());
    bench.write().unwrap();
    assert!(matches(&bench.to(), &bench.contents).unwrap());
    bench.verify().unwrap();
    assert_eq!(siblings(&bench), ["layout"]);
    for entry in ["", "blobs", "blobs/sha256"] {
        assert_eq!(fs::metadata(bench.to().join(entry)).unwrap().permissions().mode() & 0o7777, 0o755);
    }
    let layer = fs::metadata(bench.blob(|blob| matches!(blob.bytes, Bytes::Path(_)))).unwrap();
    assert_eq!((layer.permissions().mode() & 0o7777, layer.nlink()), (0o644, 1));
    let layout = open(&bench.to(), &Limits::default()).unwrap();
    let sizes = layout.sizes(&layout.images[0]).unwrap();
    assert_eq!(sizes, image(bench.dir.path(), "linux/arm/v7").sizes());
}

#[test]
fn an_index_holds_all_images_and_shared_layers_once() {
    let dir = tempfile::tempdir().unwrap();
    let images =
        ["linux/arm/v7", "linux/amd64", "linux/arm64/v8"].map(|platform| image(dir.path(), platform));
    let index = Index::new(images.into(), &BTreeMap::new()).unwrap();
    let names = Names { reference: Some("v1".to_owned()), containerd: Some("example.org/k:v1".to_owned()) };
    let contents = Contents::index(&index, &names).unwrap();
    let to = dir.path().join("layout");
    write(&to, &contents, &Silent).unwrap();
    let layout = open(&to, &Limits::default()).unwrap();
    layout.verify(&Silent).unwrap();
    assert_eq!(layout.images.len(), 3);
    // Index, three manifests, configs and kubelets, one base.
    assert_eq!(contents.blobs.len(), 1 + 3 + 3 + 3 + 1);
    let annotations = layout.index.manifests()[0].annotations().clone().unwrap();
    assert_eq!(annotations[REF_NAME], "v1");
    assert_eq!(annotations[CONTAINERD_NAME], "example.org/k:v1");
}

#[test]
fn another_layout_is_replaced_and_nothing_else_is() {
    let bench = bench();
    bench.write().unwrap();
    fs::write(bench.to().join("blobs/sha256/old"), "").unwrap();
    assert!(!matches(&bench.to(), &bench.contents).unwrap());
    bench.write().unwrap();
    assert!(matches(&bench.to(), &bench.contents).unwrap());
    assert_eq!(siblings(&bench), ["layout"]);
    // Over a link: what it leads to.
    let link = bench.dir.path().join("link");
    symlink(bench.to(), &link).unwrap();
    write(&link, &bench.contents, &Silent).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    // A home directory.
    fs::write(bench.to().join("thesis.txt"), "years").unwrap();
    let error = bench.write().unwrap_err();
    assert_eq!(fault::exit_code(&error), 2);
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    assert_eq!(fs::read(bench.to().join("thesis.txt")).unwrap(), b"years");
}

#[test]
fn a_blob_that_is_not_what_it_should_be_leaves_nothing_behind() {
    for damage in [&b"longer than it should be"[..], b"", b"X"] {
        let bench = bench();
        let Some(Blob { bytes: Bytes::Path(path), .. }) =
            bench.contents.blobs.values().find(|blob| matches!(blob.bytes, Bytes::Path(_)))
        else {
            panic!("no layer");
        };
        let mut bytes = fs::read(path).unwrap();
        if damage == b"X" {
            // The same size.
            bytes[20] ^= 1;
        } else {
            bytes = damage.to_vec();
        }
        fs::write(path, bytes).unwrap();
        assert_eq!(fault::exit_code(&bench.write().unwrap_err()), 6);
        assert!(siblings(&bench).is_empty());
    }
}

#[test]
fn any_flipped_byte_of_any_file_is_found() {
    let bench = bench();
    bench.write().unwrap();
    let blobs = fs::read_dir(bench.to().join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    for path in blobs.collect::<Vec<_>>() {
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            fs::write(&path, bad).unwrap();
            assert_eq!(fault::exit_code(&bench.verify().unwrap_err()), 6);
            assert!(!matches(&bench.to(), &bench.contents).unwrap());
        }
        fs::write(&path, &good[1..]).unwrap();
        assert_eq!(fault::exit_code(&bench.verify().unwrap_err()), 6);
        fs::remove_file(&path).unwrap();
        assert_eq!(fault::exit_code(&bench.verify().unwrap_err()), 6);
        // The right bytes behind a link are not taken either.
        let aside = bench.dir.path().join("aside");
        fs::write(&aside, &good).unwrap();
        symlink(&aside, &path).unwrap();
        assert!(format!("{:#}", bench.verify().unwrap_err()).contains("not a regular file"));
        assert!(!matches(&bench.to(), &bench.contents).unwrap());
        fs::remove_file(&path).unwrap();
        fs::write(&path, &good).unwrap();
    }
    bench.verify().unwrap();
}

#[test]
fn hostile_documents_are_refused() {
    let bench = bench();
    bench.write().unwrap();
    let index = |media_type: &str, digest: &str, size: usize| {
        format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.{media_type}+json","digest":"{digest}","size":{size}}}]}}"#
        )
    };
    let refused = |media_type: &str, document: &str| {
        let (digest, size) = bench.add(document);
        bench.refused_with(&index(media_type, &digest.to_string(), size))
    };
    for digest in [
        "sha256:../../../../etc/passwd",
        "sha256:",
        "../x",
        "sha512:00",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
    ] {
        bench.refused_with(&index("manifest.v1", digest, 2));
    }
    let (digest, size) = bench.add("{}");
    assert!(
        bench.refused_with(&index("manifest.v1", &digest.to_string(), size + 1)).contains("expected 3 bytes")
    );
    assert!(bench.refused_with(&index("manifest.v2", &digest.to_string(), size)).contains("neither"));
    assert!(refused("manifest.v1", "{}").contains("schemaVersion"));
    assert!(refused("manifest.v1", r#"{"schemaVersion":2,"manifests":[]}"#).contains("does not belong"));
    let index_type = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}"#;
    assert!(refused("manifest.v1", index_type).contains("expected media type"));
    assert!(refused("manifest.v1", &"[".repeat(100_000)).contains("recursion"));
    assert!(refused("manifest.v1", &" ".repeat((4 << 20) + 1)).contains("more than 4194304 bytes"));
    bench.refused_with("");
    bench.refused_with("[]");
    bench.refused_with(r#"{"schemaVersion":1,"manifests":[]}"#);
    // Indexes in indexes in indexes.
    let mut inner = bench.add(r#"{"schemaVersion":2,"manifests":[]}"#);
    for _ in 0..3 {
        inner = bench.add(&index("index.v1", &inner.0.to_string(), inner.1));
    }
    assert!(bench.refused_with(&index("index.v1", &inner.0.to_string(), inner.1)).contains("3 deep"));
}

#[test]
fn a_diff_id_that_lies_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut layers = image(dir.path(), "linux/amd64").layers;
    layers[1].layer.diff_id = Digest::of(b"another archive");
    let none = BTreeMap::new();
    let spec = Spec {
        platform: "linux/amd64".parse().unwrap(),
        created: 1,
        env: none.clone(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        healthcheck: None,
        labels: none.clone(),
        annotations: none,
    };
    let contents = Contents::image(&Image::new(&spec, layers).unwrap(), &Names::default()).unwrap();
    let to = dir.path().join("layout");
    write(&to, &contents, &Silent).unwrap();
    let error = open(&to, &Limits::default()).unwrap().verify(&Silent).unwrap_err();
    assert!(error.to_string().contains("the archive in layer sha256:"), "{error}");
    assert_eq!(fault::exit_code(&error), 6);
}

/// What buildx attaches is passed over by who asks for that, and by nobody else; an image that calls itself so is not.
#[test]
fn attestations_of_buildx_are_passed_over_on_demand_alone() {
    let bench = bench();
    bench.write().unwrap();
    let root: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.to().join("index.json")).unwrap()).unwrap();
    let image = &root["manifests"][0];
    let put = |media_type: &str, value: &serde_json::Value| {
        let bytes = value.to_string();
        let digest = Digest::of(bytes.as_bytes());
        fs::write(bench.to().join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
        serde_json::json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let statement = put("application/vnd.in-toto+json", &json("{}"));
    let config = json(
        r#"{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#,
    );
    let config = put("application/vnd.oci.image.config.v1+json", &config);
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [statement]});
    let mut attestation = put("application/vnd.oci.image.manifest.v1+json", &manifest);
    attestation["platform"] = json(r#"{"architecture":"unknown","os":"unknown"}"#);
    attestation["annotations"] = serde_json::json!({"vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image["digest"]});
    let open_with = |child: &serde_json::Value, foreign: bool| {
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [image, child]});
        let index = put("application/vnd.oci.image.index.v1+json", &index);
        let top = serde_json::json!({"schemaVersion": 2, "manifests": [index]});
        fs::write(bench.to().join("index.json"), top.to_string()).unwrap();
        open(&bench.to(), &Limits { foreign, ..Limits::default() })
    };
    assert_eq!(open_with(&attestation, true).unwrap().images.len(), 1);
    assert!(open_with(&attestation, false).is_err());
    for key in ["platform", "annotations"] {
        let mut other = attestation.clone();
        other.as_object_mut().unwrap().remove(key);
        assert!(open_with(&other, true).is_err(), "without {key}");
    }
}

/// Docker's images, OCI's in an index of Docker's, Docker's in one of OCI's, and Docker's layers in an image of OCI's, as other
/// builders push them: each part under either name.
#[test]
fn images_in_dockers_format_are_read_on_demand_alone() {
    let names = |at: usize, docker: bool| {
        let (oci, dockers) = [
            ("image.index.v1+json", "distribution.manifest.list.v2+json"),
            ("image.manifest.v1+json", "distribution.manifest.v2+json"),
            ("image.config.v1+json", "container.image.v1+json"),
            ("image.layer.v1.tar+gzip", "image.rootfs.diff.tar.gzip"),
        ][at];
        if docker {
            format!("application/vnd.docker.{dockers}")
        } else {
            format!("application/vnd.oci.{oci}")
        }
    };
    let bench = bench();
    bench.write().unwrap();
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(bench.to().join(path)).unwrap()).unwrap()
    };
    let blob = |digest: &serde_json::Value| format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"));
    let put = |media_type: &str, value: &serde_json::Value| {
        let bytes = value.to_string();
        let digest = Digest::of(bytes.as_bytes());
        fs::write(bench.to().join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
        serde_json::json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    };
    let image = read(&blob(&read("index.json")["manifests"][0]["digest"]));
    let sizes = |found: &Layout| found.sizes(&found.images[0]).unwrap();
    let expected = sizes(&open(&bench.to(), &Limits::default()).unwrap());
    for mask in 0..16_usize {
        let called = |at: usize| names(at, mask >> at & 1 == 1);
        let mut manifest = image.clone();
        manifest["mediaType"] = called(1).into();
        manifest["config"]["mediaType"] = called(2).into();
        manifest["layers"][1]["mediaType"] = called(3).into();
        let child = put(&called(1), &manifest);
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": called(0), "manifests": [child]});
        let top = serde_json::json!({"schemaVersion": 2, "manifests": [put(&called(0), &index)]});
        fs::write(bench.to().join("index.json"), top.to_string()).unwrap();
        let found = open(&bench.to(), &Limits { foreign: true, ..Limits::default() }).unwrap();
        found.verify(&Silent).unwrap();
        assert_eq!(sizes(&found), expected, "{mask}");
        let strict = open(&bench.to(), &Limits::default());
        assert_eq!(strict.is_ok(), mask == 0, "{mask}");
        // What its descriptor calls it is what it has to call itself.
        manifest["mediaType"] = names(1, mask & 2 == 0).into();
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [put(&called(1), &manifest)]});
        fs::write(bench.to().join("index.json"), index.to_string()).unwrap();
        let error = open(&bench.to(), &Limits { foreign: true, ..Limits::default() }).unwrap_err();
        assert!(error.to_string().contains("expected media type"), "{error:#}");
    }
}
