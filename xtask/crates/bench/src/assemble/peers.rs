//! The programs: ours, and what people use instead.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use exec::Run;
use oci::layout::{self, Layout, LayoutImage, Limits};
use progress::Task;

use super::Plan;

/// Ours for builds that one waits for, ours as released, and what that may take as long as.
pub(super) const FAST: &str = "ours, --fast";
pub(super) const BEST: &str = "ours, as released";
pub(super) const GZIP: &str = "gzip -9, of the archive alone";

/// A program that makes a layer of a tree that it was given before.
pub(super) struct Assembler {
    pub(super) name: &'static str,
    /// The command of a round.
    pub(super) command: Box<dyn Fn(usize) -> Vec<OsString>>,
    /// The bytes of the layer that it made.
    pub(super) layer: Box<dyn Fn(usize) -> Result<u64>>,
    /// The command that removes what it keeps outside of the directory.
    leave: Option<Vec<OsString>>,
}

impl Assembler {
    fn new(
        name: &'static str,
        command: impl Fn(usize) -> Vec<OsString> + 'static,
        layer: impl Fn(usize) -> Result<u64> + 'static,
    ) -> Self {
        Self { name, command: Box::new(command), layer: Box::new(layer), leave: None }
    }

    pub(super) fn clean(&self) -> Result<()> {
        self.leave.as_ref().map_or(Ok(()), |words| said(words).map(drop))
    }
}

/// All that are here, each with the tree given to it, and the names of those that are missing.
pub(super) fn all(
    plan: &Plan<'_>,
    scratch: &Path,
    tree: &Path,
    task: &dyn Task,
) -> Result<(Vec<Assembler>, Vec<&'static str>)> {
    let mut all = vec![ours(plan, scratch, tree, FAST), ours(plan, scratch, tree, BEST)];
    let mut missing = Vec::new();
    task.detail("giving the tree to the others");
    all.push(gzip(scratch, tree)?);
    if exec::which("umoci").is_some() {
        all.push(umoci(scratch, tree)?);
    } else {
        missing.push("umoci");
    }
    if exec::which("buildah").is_some() {
        all.push(buildah(scratch, tree)?);
    } else {
        missing.push("buildah");
    }
    match plan.crane.clone().or_else(|| exec::which("crane")) {
        Some(program) => all.push(crane(&program, scratch, tree)),
        None => missing.push("crane"),
    }
    Ok((all, missing))
}

fn ours(plan: &Plan<'_>, scratch: &Path, tree: &Path, name: &'static str) -> Assembler {
    let (program, tree, fast) = (plan.program.to_owned(), tree.to_owned(), name == FAST);
    let out = scratch.join(if fast { "ours-fast" } else { "ours" });
    let to = out.clone();
    let command = move |_| {
        let mut words = words([program.as_os_str(), "bench".as_ref(), "layout".as_ref()]);
        words.extend([tree.clone().into(), to.clone().into()]);
        words.extend(fast.then(|| "--fast".into()));
        words
    };
    let made = move |_| {
        let size = layer_of(&out, "v0")?;
        fs::remove_dir_all(&out)?;
        Ok(size)
    };
    Assembler::new(name, command, made)
}

/// One thread of gzip on the archive that ours is of: no image, but what the time of ours is held to.
fn gzip(scratch: &Path, tree: &Path) -> Result<Assembler> {
    let archive = scratch.join("archive");
    let layout = scratch.join("for-gzip");
    super::assemble(tree, &layout, true)?;
    let (opened, image) = image_of(&layout, "v0")?;
    opened.decompress(&image, 0, &mut File::create(&archive)?)?;
    fs::remove_dir_all(&layout)?;
    let out = scratch.join("archive.gz");
    let script = format!("gzip -9 -n < {} > {}", quoted(&archive), quoted(&out));
    let made = move |_| Ok(fs::metadata(&out)?.len());
    Ok(Assembler::new(GZIP, move |_| words(["sh", "-c", &script]), made))
}

fn umoci(scratch: &Path, tree: &Path) -> Result<Assembler> {
    let (layout, bundle) = (scratch.join("umoci"), scratch.join("bundle"));
    let image = |tag: &str| OsString::from(format!("{}:{tag}", layout.display()));
    said(&[words(["umoci", "init", "--layout"]), vec![layout.clone().into()]].concat())?;
    said(&[words(["umoci", "new", "--image"]), vec![image("v")]].concat())?;
    said(&[words(["umoci", "unpack", "--image"]), vec![image("v"), bundle.clone().into()]].concat())?;
    copy(tree, &bundle.join("rootfs"))?;
    let (to, at) = (layout.clone(), layout);
    let command = move |round| {
        let image = format!("{}:v{round}", to.display());
        [words(["umoci", "repack", "--image"]), vec![image.into(), bundle.clone().into()]].concat()
    };
    Ok(Assembler::new("umoci repack", command, move |round| layer_of(&at, &format!("v{round}"))))
}

fn buildah(scratch: &Path, tree: &Path) -> Result<Assembler> {
    let (state, out) = (scratch.join("buildah"), scratch.join("committed"));
    let run = scratch.join("buildah-run");
    let buildah = move |rest: &[&str]| {
        let mut all = words(["buildah", "--storage-driver", "vfs", "--root"]);
        all.extend([state.clone().into(), "--runroot".into(), run.clone().into()]);
        [all, words(rest)].concat()
    };
    let container = said(&buildah(&["from", "scratch"]))?;
    copy(tree, Path::new(&said(&buildah(&["mount", &container]))?))?;
    let leave = buildah(&["rm", "--all"]);
    let to = out.clone();
    let command = move |_| {
        let to = format!("oci:{}:v0", to.display());
        buildah(&["commit", "--quiet", "--disable-compression=false", "--format", "oci", &container, &to])
    };
    let made = move |_| {
        let size = layer_of(&out, "v0")?;
        fs::remove_dir_all(&out)?;
        Ok(size)
    };
    Ok(Assembler { leave: Some(leave), ..Assembler::new("buildah commit", command, made) })
}

/// It takes an archive, so tar is part of the command; and it writes one, of docker's kind.
fn crane(program: &Path, scratch: &Path, tree: &Path) -> Assembler {
    let (archive, out) = (scratch.join("crane.tar"), scratch.join("crane-image.tar"));
    let script = format!(
        "tar --sort=name -cf {0} -C {1} . && {2} append --oci-empty-base -f {0} -o {3} -t example.com/tree:v0",
        quoted(&archive),
        quoted(tree),
        quoted(program),
        quoted(&out)
    );
    let made = move |_| {
        let mut image = tar::Archive::new(File::open(&out)?);
        let mut size = 0;
        for entry in image.entries()? {
            let entry = entry?;
            if entry.path()?.extension().is_some_and(|it| it == "gz") {
                size += entry.size();
            }
        }
        Ok(size)
    };
    Assembler::new("tar, crane append", move |_| words(["sh", "-c", &script]), made)
}

fn words<S: Into<OsString>>(words: impl IntoIterator<Item = S>) -> Vec<OsString> {
    words.into_iter().map(Into::into).collect()
}

fn said(words: &[OsString]) -> Result<String> {
    let (program, args) = words.split_first().context("no program")?;
    let run = Run::new(program).inherit("PATH").inherit("HOME").inherit("TMPDIR");
    // What they keep is in the scratch directory.
    Ok(String::from_utf8(run.args(args).grace(Duration::ZERO).run()?.stdout)?.trim().to_owned())
}

/// Copies what is in a directory as it is.
fn copy(from: &Path, to: &Path) -> Result<()> {
    said(&[words(["cp", "-a", "--"]), vec![from.join(".").into(), to.into()]].concat()).map(drop)
}

/// For a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// The size of the newest layer of a layout's image of this name.
pub(super) fn layer_of(layout: &Path, tag: &str) -> Result<u64> {
    let (_, image) = image_of(layout, tag)?;
    Ok(image.manifest.layers().last().context("an image without layers")?.size())
}

fn image_of(layout: &Path, tag: &str) -> Result<(Layout, LayoutImage)> {
    let layout = layout::open(layout, &Limits { foreign: true, ..Limits::default() })?;
    let named = layout.roots.iter().find(|root| {
        let annotations = root.annotations().as_ref();
        annotations.and_then(|all| all.get("org.opencontainers.image.ref.name")).is_some_and(|it| it == tag)
    });
    let digest = named.context("no such image")?.digest();
    let image = layout.images.iter().find(|image| image.descriptor.digest() == digest);
    let image = image.context("an index in place of the image")?.clone();
    Ok((layout, image))
}
