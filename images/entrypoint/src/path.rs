//! Paths as mount(8) understands them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The real path of what exists, else the path as it was given.
pub(crate) fn canonical(path: &OsStr) -> OsString {
    std::fs::canonicalize(path).map_or_else(|_| path.to_owned(), PathBuf::into_os_string)
}

/// Is it absolute and free of `.`, `..` and double slashes? Such a path may be compared with the mount table
/// without touching it, which could hang on a dead network filesystem.
pub(crate) fn is_plain(path: &OsStr) -> bool {
    let rebuilt: PathBuf = Path::new(path).components().collect();
    let climbs = Path::new(path).components().any(|part| part == Component::ParentDir);
    Path::new(path).is_absolute() && !climbs && rebuilt.as_os_str() == path
}

/// Finds `name` as execvp(3) does: a path as it is, else the first executable in `path_variable`.
/// `Err` tells a file that is there but cannot be executed (`true`) from none at all (`false`).
pub(crate) fn find_program(name: &OsStr, path_variable: &OsStr) -> Result<PathBuf, bool> {
    if name.is_empty() {
        return Err(false);
    }
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return if is_program(&path) { Ok(path) } else { Err(std::fs::symlink_metadata(name).is_ok()) };
    }
    let mut seen = false;
    for dir in std::env::split_paths(path_variable) {
        let path = dir.join(name);
        if is_program(&path) {
            return Ok(path);
        }
        seen |= path.is_file();
    }
    Err(seen)
}

/// Is there an executable file?
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths() {
        for (path, plain) in [
            ("/", true),
            ("/a/b", true),
            ("/a b/…", true),
            ("a", false),
            ("", false),
            ("/a/", false),
            ("/a//b", false),
            ("/a/./b", false),
            ("/a/../b", false),
        ] {
            assert_eq!(is_plain(OsStr::new(path)), plain, "{path}");
        }
    }

    #[test]
    fn programs_are_found_as_execvp_finds_them() {
        let find = |name: &str, path: &str| find_program(OsStr::new(name), OsStr::new(path));
        assert_eq!(find("sh", "/nowhere:/bin"), Ok("/bin/sh".into()));
        assert_eq!(find("/bin/sh", ""), Ok("/bin/sh".into()));
        assert_eq!(find("sh", "/nowhere"), Err(false));
        assert_eq!(find("passwd", "/etc"), Err(true));
        assert_eq!(find("/etc/passwd", "/bin"), Err(true));
        assert_eq!(find("/nowhere/sh", "/bin"), Err(false));
        assert_eq!(find("", "/bin"), Err(false));
        assert_eq!(find("/bin", "/bin"), Err(true));
    }
}
