//! The image that a machine's pods are made from: busybox of the machine's own packages.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use fstree::tree::{Entry, Tree};
use oci::compress::{Compression, Gzip};
use oci::image::{Image, LayerBlob, Spec};
use oci::layer::{self, Options};
use oci::layout::{self, Contents, Names};
use progress::Silent;

use crate::{Arch, archive};

/// The programs of it that pods may call without busybox's name.
const APPLETS: [&str; 24] = [
    "blkid", "cat", "cp", "cut", "date", "dd", "df", "echo", "env", "false", "grep", "head", "ls", "mkdir",
    "mount", "nc", "ps", "rm", "sh", "sleep", "stat", "touch", "true", "wget",
];

/// Writes the archive of an image of this busybox, which sleeps.
pub(crate) fn make(arch: Arch, busybox: &Path, to: &Path) -> Result<()> {
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut tree = Tree::new();
    for dir in ["bin", "tmp", "proc", "sys", "dev", "etc"] {
        tree.insert(dir, Entry::directory(0o755))?;
    }
    tree.insert("bin/busybox", Entry::file(0o755, &*fs::read(busybox).context("cannot read busybox")?))?;
    for applet in APPLETS {
        tree.insert(&format!("bin/{applet}"), Entry::symlink("busybox"))?;
    }
    let blob = scratch.path().join("layer");
    let options = Options { mtime: 0, compression: Compression::Gzip(Gzip::Fast) };
    let layer = layer::write(&tree, &options, File::create(&blob)?, &Silent)?;
    let spec = Spec {
        platform: arch.platform().parse()?,
        created: 0,
        env: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
        entrypoint: vec!["/bin/sleep".to_owned()],
        cmd: vec!["1000000".to_owned()],
        healthcheck: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    };
    let image = Image::new(&spec, vec![LayerBlob { layer, path: blob, created_by: "busybox".to_owned() }])?;
    let names = Names {
        reference: Some("latest".to_owned()),
        containerd: Some("localhost/busybox:latest".to_owned()),
    };
    let dir = scratch.path().join("layout");
    layout::write(&dir, &Contents::image(&image, &names)?, &Silent)?;
    fs::create_dir_all(to.parent().context("no directory")?)?;
    archive::pack(&dir, arch, &File::create(to)?).map(drop)
}
