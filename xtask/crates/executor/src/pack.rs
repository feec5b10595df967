//! Packs programs with UPX, and takes what it made only if UPX finds it whole and it runs like what was packed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use catalog::Pack;
use fault::{Fault, Kind};
use gobuild::{Program, Recipe};
use plan::Upx;

use super::{Executor, Machine, Probe};

/// UPX's options for a method. `-9` and not `--best`, which takes an hour for a kubelet and saves some hundredths.
fn options(pack: Pack) -> &'static [&'static str] {
    match pack {
        Pack::None => &[],
        Pack::Nrv => &["-9"],
        Pack::Lzma => &["-9", "--lzma"],
    }
}

impl Executor<'_> {
    /// Packs the program `plain` into `out`.
    ///
    /// # Errors
    /// `Tool` without the UPX of the plan, or without what runs programs of a foreign architecture here; `Failed` if UPX
    /// refuses the program or what it made is not taken.
    pub(super) fn pack(
        &self,
        recipe: &Recipe,
        pack: Pack,
        upx: &Upx,
        plain: &Path,
        out: &Path,
    ) -> Result<()> {
        // Both before minutes of packing.
        let upx = self.find_upx(upx)?;
        let machine = Machine::of(&recipe.target, self.tools.setup.host)?;
        fs::copy(plain, out).context("the program cannot be copied")?;
        fs::set_permissions(out, Permissions::from_mode(0o755)).context("the program's mode")?;
        let task = self.progress.task(&format!("pack {} with UPX", recipe.name()), None);
        let run =
            |args: &[&str]| exec::Run::new(&upx).args(args).arg(out).on_line(|line| task.detail(line)).run();
        run(&[&["-q", "--no-progress"], options(pack)].concat())?;
        run(&["-q", "-t"])?;
        let work = self.store.scratch_dir()?;
        same_behaviour(&recipe.programs, &machine, plain, out, work.path())
    }

    /// The UPX of the plan: the locked version, or the very program that the user accepted.
    fn find_upx(&self, planned: &Upx) -> Result<PathBuf> {
        let found = self.tools.setup.find_upx(planned.other.is_some())?;
        match &planned.other {
            Some(sha256) if found.sha256 != *sha256 => {
                Err(Fault::mismatch(found.program.display(), sha256, found.sha256)
                    .help("it changed during the build: build again")
                    .into())
            }
            _ => Ok(found.program),
        }
    }
}

/// Runs plain and packed program by each of its names, hard links as in an image, and compares what they say.
fn same_behaviour(
    programs: &[Program],
    machine: &Machine,
    plain: &Path,
    packed: &Path,
    work: &Path,
) -> Result<()> {
    for program in programs {
        let probe = Probe::of(program);
        let [before, after] = [("plain", plain), ("packed", packed)].map(|(dir, file)| {
            let finished = machine.run(&probe, file, &work.join(dir))?;
            Ok::<_, anyhow::Error>((finished.status.code(), finished.stdout, finished.stderr_tail))
        });
        let ((before, said, _), (after, packed_said, complaint)) = (before?, after?);
        if before != Some(0) {
            let message = format!("{probe} failed before it was packed, so packing cannot be tested");
            return Err(Fault::new(Kind::ToolFailed, message).into());
        }
        if (after, &packed_said) != (before, &said) {
            let text = |said: &[u8]| String::from_utf8_lossy(said).trim_end().to_owned();
            let ended = after.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
            let message = format!(
                "packed, {probe} does not do what it did before\n  expected exit code 0, {:?}\n  found    {ended}, {:?}\n  {complaint}",
                text(&said),
                text(&packed_said),
            );
            return Err(Fault::new(Kind::ToolFailed, message.trim_end())
                .help("set `pack = \"none\"` for its component in images/catalog.toml")
                .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn compare(plain: &str, packed: &str) -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let (plain, packed) = (script(dir.path(), "a", plain), script(dir.path(), "b", packed));
        let programs = ["kubelet", "kubeadm"].map(|name| Program {
            name: name.to_owned(),
            package: format!("k8s.io/kubernetes/cmd/{name}"),
            init_flags: false,
        });
        same_behaviour(&programs, &Machine::own(), &plain, &packed, dir.path())
    }

    #[test]
    fn only_what_says_the_same_by_every_name_is_taken() {
        let by_name = "echo ${0##*/} $1";
        compare(by_name, by_name).unwrap();
        let error = compare(by_name, "echo kubelet $1").unwrap_err();
        assert_eq!(fault::exit_code(&error), 8);
        insta::assert_snapshot!(error, @r#"
        packed, `kubeadm version` does not do what it did before
          expected exit code 0, "kubeadm version"
          found    exit code 0, "kubelet version"
        "#);
        insta::assert_snapshot!(compare(by_name, "echo oops >&2; kill -9 $$").unwrap_err(), @r#"
        packed, `kubelet --version` does not do what it did before
          expected exit code 0, "kubelet --version"
          found    a signal, ""
          oops
        "#);
        insta::assert_snapshot!(compare("exit 1", "exit 1").unwrap_err(), @"`kubelet --version` failed before it was packed, so packing cannot be tested");
    }
}
