//! Images as machines take them: the node's own, and those that kubeadm asks for.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exec::Run;
use oci::layout::{self, Layout};
use progress::Progress;
use tempfile::TempDir;
use testimage::{Lab, Set};
use vm::Arch;

/// An image on its way into machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archive {
    /// What a runtime calls it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// The node's image first, then all that the kubeadm of an image asks for, as archives in a directory.
pub(crate) fn archives(
    lab: &Lab<'_>,
    release: &str,
    (node, kubeadm): (&Path, &Path),
    dir: &Path,
) -> Result<Vec<Archive>> {
    let mut archives = vec![pack(node, dir, 0)?];
    let bin = unpack(kubeadm, "usr/bin")?;
    let list = Run::new(bin.path().join("kubeadm"));
    let list = list.args(["config", "images", "list", "--kubernetes-version", release]);
    let names = String::from_utf8(list.run()?.stdout).context("kubeadm's list of images")?;
    for name in names.lines() {
        let layout = lab.image(release, name)?.layout;
        archives.push(pack(&layout, dir, archives.len())?);
    }
    Ok(archives)
}

/// Writes the archive of a layout into a directory, by its place among the others.
pub(crate) fn pack(layout: &Path, dir: &Path, index: usize) -> Result<Archive> {
    let path = dir.join(format!("image{index}.tar"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let names = vm::archive::pack(layout, Arch::Amd64, &file)?;
    let name = names.into_iter().next().context("a layout without a name")?;
    Ok(Archive { name, path })
}

/// Unpacks the programs in a directory of an image, which may be links of one another.
fn unpack(node: &Path, directory: &str) -> Result<TempDir> {
    let to = TempDir::with_prefix("programs-").context("cannot make a temporary directory")?;
    let layout: Layout = layout::open(node, &layout::Limits::default())?;
    let image = layout.images.first().context("a layout without an image")?;
    for index in 0..image.config.rootfs().diff_ids().len() {
        let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
        layout.decompress(image, index, &mut file)?;
        file.seek(SeekFrom::Start(0))?;
        let mut archive = tar::Archive::new(file);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let Some(name) = path.strip_prefix(directory).ok().and_then(Path::file_name) else { continue };
            let place = to.path().join(name);
            match entry.link_name()? {
                Some(link) if entry.header().entry_type().is_hard_link() => {
                    let link = to.path().join(link.file_name().context("a link to nothing")?);
                    fs::hard_link(&link, &place).with_context(|| format!("linking {}", place.display()))?;
                }
                _ if entry.header().entry_type().is_file() => drop(entry.unpack(&place)?),
                _ => {}
            }
        }
    }
    Ok(to)
}

/// flannel's manifest, and the images that it names as archives in a directory from a place among the others on. The plugin that it
/// puts on nodes is that of the node's image.
pub(crate) fn flannel(
    lab: &Lab<'_>,
    release: &str,
    node: &Path,
    dir: &Path,
    first: usize,
) -> Result<(PathBuf, Vec<Archive>)> {
    let plugins = unpack(node, "opt/cni/bin")?;
    let (manifest, made) = lab.flannel(release, &plugins.path().join("flannel"))?;
    let archives = made.iter().enumerate().map(|(index, image)| pack(&image.layout, dir, first + index));
    Ok((manifest, archives.collect::<Result<_>>()?))
}

/// The images that Kubernetes' own tests ask for, as archives in a directory from a place among the others on.
pub(crate) fn suite(
    lab: &Lab<'_>,
    release: &str,
    dir: &Path,
    first: usize,
    progress: &dyn Progress,
) -> Result<Vec<Archive>> {
    let (made, unknown) = lab.suite_images(release)?;
    progress.note(&format!(
        "images that conformance tests find: {}; not made: {}",
        made.len(),
        unknown.join(" ")
    ));
    made.iter().enumerate().map(|(index, image)| pack(&image.layout, dir, first + index)).collect()
}

/// An archive of what a person works with: kubectl and crictl, and `files`; and Kubernetes' own tests.
pub(crate) fn tools(
    lab: &Lab<'_>,
    release: &str,
    files: &[PathBuf],
    suite: bool,
    dir: &Path,
) -> Result<PathBuf> {
    let archive = dir.join("tools.tar");
    let mut tar = tar::Builder::new(File::create(&archive)?);
    let plane = Set::ControlPlane { release: release.to_owned() };
    let own = Set::Suite { release: release.to_owned() };
    let mut programs = vec![(&plane, "kubectl"), (&Set::Crictl, "crictl")];
    if suite {
        programs.extend([(&own, "e2e.test"), (&own, "ginkgo")]);
    }
    for (set, name) in programs {
        tar.append_path_with_name(lab.program(set, name)?, name)?;
    }
    for file in files {
        tar.append_path_with_name(file, file.file_name().context("a file without a name")?)?;
    }
    tar.into_inner()?.sync_all()?;
    Ok(archive)
}
