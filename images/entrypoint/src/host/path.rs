//! PATH, on both sides.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::find::{PLACES, find_all};
use super::{LINKS, setting};

/// PATH of a program that is started in this container: what was given, then the links of what the host has. The
/// image's own programs come first.
pub(crate) fn for_children(given: &OsStr) -> OsString {
    if setting() == "off" {
        return given.to_owned();
    }
    let (own, links) = links(Path::new(LINKS));
    let names: Vec<&str> = own.iter().map(String::as_str).collect();
    // Of a host that cannot be looked at no program is there.
    let found = find_all(&names).unwrap_or_default();
    let there = names.iter().zip(found).filter(|(_, found)| found.is_ok());
    let dirs = there.map(|(name, _)| Path::new(LINKS).join(name)).chain(links.then(|| LINKS.into()));
    join(std::env::split_paths(given).chain(dirs)).unwrap_or_else(|| given.to_owned())
}

/// The programs that have a directory each; and are there others?
fn links(dir: &Path) -> (Vec<String>, bool) {
    let (mut own, mut links) = (Vec::new(), false);
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_name().into_string() {
            Ok(name) if entry.path().is_dir() => own.push(name),
            _ => links = true,
        }
    }
    own.sort_unstable();
    (own, links)
}

/// PATH of a program of the host, which starts others of the host: what was given without our links, and the usual
/// places that the host has.
pub(super) fn on_host(given: &OsStr, is_dir: impl Fn(&Path) -> bool) -> OsString {
    let mut dirs: Vec<PathBuf> = std::env::split_paths(given).filter(|dir| !dir.starts_with(LINKS)).collect();
    for place in PLACES.iter().map(PathBuf::from) {
        if !dirs.contains(&place) && is_dir(&place) {
            dirs.push(place);
        }
    }
    join(dirs.into_iter()).unwrap_or_default()
}

fn join(dirs: impl Iterator<Item = PathBuf>) -> Option<OsString> {
    std::env::join_paths(dirs).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_programs_find_those_of_the_host() {
        let given = OsStr::new("/usr/sbin:/usr/libexec/host/ip:/usr/libexec/host:/x");
        let path =
            on_host(given, |dir| dir == Path::new("/sbin") || dir.starts_with("/run/current-system/sw"));
        assert_eq!(path, "/usr/sbin:/x:/sbin:/run/current-system/sw/bin");
        assert_eq!(on_host(OsStr::new(""), |dir| dir == Path::new("/bin")), ":/bin");
    }

    #[test]
    fn links_are_told_by_where_they_are() {
        let dir = std::env::temp_dir().join(format!("links-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("tc")).unwrap();
        std::fs::create_dir_all(dir.join("ip")).unwrap();
        assert_eq!(links(&dir), (vec!["ip".to_owned(), "tc".to_owned()], false));
        std::fs::write(dir.join("blkid"), "").unwrap();
        assert!(links(&dir).1);
        assert_eq!(links(&dir.join("nothing")), (vec![], false));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
