//! The configuration that the kernel was built with, for kubeadm: its preflight reads it, and refuses a host whose it
//! cannot find. Many kernels do not have it in /proc; it is then in a file of the host, in one of several places.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::unified;
use crate::args::Command;
use crate::failure::err;
use crate::stop::Stop;

/// Commands of kubeadm that read it.
const READERS: [&str; 2] = ["init", "join"];

/// Where kubeadm looks, by system-validators: R is the kernel's release. tests/programs.rs compares.
const PLACES: [&str; 9] = [
    "/proc/config.gz",
    "/boot/config-R",
    "/usr/src/linux-R/.config",
    "/usr/src/linux/.config",
    "/usr/lib/modules/R/config",
    "/usr/lib/ostree-boot/config-R",
    "/usr/lib/kernel/config-R",
    "/usr/src/linux-headers-R/.config",
    "/lib/modules/R/build/.config",
];

/// Before kubeadm starts: puts the host's file in its place in this container, unless one is there, and mounts cgroups.
#[expect(clippy::unnecessary_wraps, reason = "as all that is done before a start")]
pub(crate) fn before_kubeadm(command: &mut Command) -> Result<(), Stop> {
    let reads = command.args.first().is_some_and(|word| READERS.iter().any(|reader| word == reader));
    if reads {
        let facts = Facts::gather();
        unified::provide(&facts.mounts);
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        match provide(Path::new("/"), &release, |path| facts.read_on_host(path)) {
            Ok(None) => {}
            Ok(Some(path)) => {
                err(&format!(
                    "entrypoint: {}: copied from the host, for kubeadm's preflight",
                    path.display()
                ));
            }
            // kubeadm says what it does not find.
            Err((path, error)) => err(&format!(
                "entrypoint: {0}: failed to copy it from the host, for kubeadm's preflight: {error}; mount it: -v {0}:{0}:ro",
                path.display()
            )),
        }
    }
    Ok(())
}

/// The path of what was copied from the host; none where nothing had to be, or nothing is there.
fn provide(
    root: &Path,
    release: &str,
    on_host: impl Fn(&str) -> Option<String>,
) -> Result<Option<PathBuf>, (PathBuf, io::Error)> {
    let places = || PLACES.iter().map(|place| place.replacen('R', release, 1));
    let inside = |place: &str| root.join(place.trim_start_matches('/'));
    if places().any(|place| inside(&place).exists()) {
        return Ok(None);
    }
    let Some((place, text)) = places().find_map(|place| Some((place.clone(), on_host(&place)?))) else {
        return Ok(None);
    };
    let path = inside(&place);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
    match written {
        Ok(()) => Ok(Some(path)),
        Err(error) => Err((path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_host_is_copied_once() {
        let root = std::env::temp_dir().join(format!("entrypoint-kernel-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let host = |path: &str| {
            let there = ["/usr/lib/modules/6.1-R/config", "/lib/modules/6.1-R/build/.config"];
            there.contains(&path).then(|| path.to_owned())
        };
        assert_eq!(provide(&root, "6.1-R", |_| None).unwrap(), None);
        let copied = provide(&root, "6.1-R", host).unwrap().unwrap();
        assert_eq!(copied, root.join("usr/lib/modules/6.1-R/config"));
        assert_eq!(fs::read_to_string(&copied).unwrap(), "/usr/lib/modules/6.1-R/config");
        assert_eq!(provide(&root, "6.1-R", host).unwrap(), None);
        fs::write(root.join("boot"), "").unwrap();
        let boot = |path: &str| (path == "/boot/config-7").then(String::new);
        assert_eq!(provide(&root, "7", boot).unwrap_err().0, root.join("boot/config-7"));
        fs::remove_dir_all(root).unwrap();
    }
}
