//! Images of those programs, by the names that kubeadm asks for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result};
use digest::hash_file;
use fault::{Fault, Kind};
use fstree::tree::{Entry, Source, Tree};
use oci::compress::{Compression, Gzip};
use oci::image::{Image, LayerBlob, Spec};
use oci::layout::{Contents, Names};
use store::Key;
use toolchain::Host;

use crate::{Lab, Set, debian};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its whole name, as in `registry.k8s.io/etcd:3.5.6-0`.
    pub name: String,
    /// The OCI layout, in the store.
    pub layout: PathBuf,
}

/// What is in an image, and what of it is started where nobody says.
#[derive(Default)]
pub(crate) struct Content {
    /// By path, without a `/` before it.
    pub(crate) files: BTreeMap<String, ImageEntry>,
    pub(crate) entrypoint: Vec<String>,
    /// Arguments that a user's own replace.
    pub(crate) cmd: Vec<String>,
}

/// What lies at a path.
#[derive(Clone)]
pub(crate) enum ImageEntry {
    /// A file that everybody may run, with the bytes of this one.
    File(PathBuf),
    /// The same, as root whoever runs it.
    SetUid(PathBuf),
    /// A file with this text.
    Text(String),
    /// A symbolic link to this.
    Link(String),
    /// A directory of this mode, which may be empty.
    Directory(u32),
}

impl Lab<'_> {
    /// The image of this name, as `kubeadm config images list` prints it, for a release. What is in it goes by the last
    /// word of its repository; its version, but for that of a release's own programs, is ours and not the tag's.
    pub fn image(&self, release: &str, name: &str) -> Result<Made> {
        self.image_of(release, name, &self.content(release, name)?)
    }

    /// The same of this content.
    pub(crate) fn image_of(&self, release: &str, name: &str, content: &Content) -> Result<Made> {
        let release = self.release(release)?;
        let hashed = |(path, item): (&String, &ImageEntry)| {
            let what = match item {
                ImageEntry::File(from) => hash_file(from)?.0.to_string(),
                ImageEntry::SetUid(from) => format!("set-user-ID {}", hash_file(from)?.0),
                ImageEntry::Text(text) => format!("= {text}"),
                ImageEntry::Link(to) => format!("-> {to}"),
                ImageEntry::Directory(mode) => format!("directory {mode:o}"),
            };
            Ok((path.clone(), what))
        };
        let files = content.files.iter().map(hashed).collect::<Result<BTreeMap<_, _>>>()?;
        let inputs = (2, name, files, &content.entrypoint, &content.cmd, release.date.as_str());
        let key = Key::of("test-image", &inputs)?;
        let object = self.store.object(&key, &format!("test image {name}"), self.progress, |dir| {
            let spec = spec(content, oci::date::parse(release.date.as_str())?)?;
            let work = self.store.scratch_dir()?;
            let layer = layer(content, spec.created, work.path().join("layer"), self.progress)?;
            let image = Image::new(&spec, vec![layer])?;
            let names = Names {
                reference: name.rsplit(':').next().map(str::to_owned),
                containerd: Some(name.to_owned()),
            };
            let contents = Contents::image(&image, &names)?;
            let task = self.progress.task(&format!("layout of {name}"), Some(contents.size()));
            oci::layout::write(&dir.join("layout"), &contents, &*task)
        })?;
        Ok(Made { name: name.to_owned(), layout: object.dir.join("layout") })
    }

    fn content(&self, release: &str, name: &str) -> Result<Content> {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, ""));
        let program = repository.rsplit('/').next().unwrap_or(repository);
        let plane = Set::ControlPlane { release: release.to_owned() };
        let mut content = Content::default();
        let mut add = |path: &str, from| content.files.insert(path.to_owned(), ImageEntry::File(from));
        match program {
            "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" | "etcd" | "kube-proxy" => {
                add(&format!("usr/local/bin/{program}"), self.program(&plane, program)?);
            }
            "coredns" => {
                add("coredns", self.program(&Set::coredns(tag), program)?);
                content.entrypoint = vec!["/coredns".to_owned()];
            }
            "pause" => {
                add("bin/busybox", debian::busybox()?);
                content.entrypoint = ["/bin/busybox", "sleep", "2147483647"].map(str::to_owned).into();
            }
            _ => {
                return self.suite_content(release, program)?.ok_or_else(|| {
                    let message = format!("nothing is known to put into an image called `{name}`");
                    Fault::new(Kind::NotFound, message).into()
                });
            }
        }
        if program == "kube-proxy" {
            content.files.extend(debian::iptables()?);
        }
        Ok(content)
    }
}

fn spec(content: &Content, created: u64) -> Result<Spec> {
    let platform = match Host::current()? {
        Host::LinuxAmd64 => "linux/amd64",
        Host::LinuxArm64 => "linux/arm64/v8",
    };
    Ok(Spec {
        platform: platform.parse()?,
        created,
        env: BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]),
        entrypoint: content.entrypoint.clone(),
        cmd: content.cmd.clone(),
        healthcheck: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    })
}

fn layer(
    content: &Content,
    mtime: u64,
    path: PathBuf,
    progress: &dyn progress::Progress,
) -> Result<LayerBlob> {
    let mut tree = Tree::new();
    for (path, item) in &content.files {
        let entry = match item {
            ImageEntry::File(from) => Entry::file(0o755, Source::Path(from.clone())),
            ImageEntry::SetUid(from) => Entry::file(0o4755, Source::Path(from.clone())),
            ImageEntry::Text(text) => Entry::file(0o644, text.as_bytes()),
            ImageEntry::Directory(mode) => Entry::directory(*mode),
            ImageEntry::Link(to) => Entry::symlink(to),
        };
        tree.insert(path, entry)?;
    }
    // Read where it is made: well compressed is not worth the time.
    let options = oci::layer::Options { mtime, compression: Compression::Gzip(Gzip::Fast) };
    let out = File::create(&path).context("a layer cannot be created")?;
    let task = progress.task("layer", None);
    let layer = oci::layer::write(&tree, &options, BufWriter::new(out), &*task)?;
    Ok(LayerBlob { layer, path, created_by: "testimage".to_owned() })
}
