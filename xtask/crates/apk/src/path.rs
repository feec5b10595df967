//! Paths in packages: relative, plain, and never out of the root.

use anyhow::Result;
use fault::{Fault, Kind};

use crate::limits;

/// Checks a path that an archive names, without a slash at its end: [`fstree::path::check`], and within the limit.
pub fn check(path: &str) -> Result<()> {
    if path.len() > limits::PATH_LENGTH {
        return Err(refused(path, "it is too long"));
    }
    fstree::path::check(path).map_err(|why| refused(path, why))
}

/// Checks the target of a symbolic link at `path`: it must not climb out of the root, counting from the
/// link's directory, or from the root if it is absolute.
pub fn check_link(path: &str, target: &str) -> Result<()> {
    let refuse = |why: &str| Err(refused(path, &format!("its target `{}` {why}", target.escape_debug())));
    if target.is_empty() || target.len() > limits::PATH_LENGTH {
        return refuse("is empty or too long");
    }
    if target.chars().any(char::is_control) {
        return refuse("holds a control character");
    }
    let mut depth = if target.starts_with('/') { 0 } else { path.matches('/').count() };
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return refuse("leads out of the root"),
            },
            _ => depth += 1,
        }
    }
    Ok(())
}

/// The directory a path is in (empty: the root) and its name there.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// `name` in `dir`, which may be empty: the root.
pub fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

pub(crate) fn refused(path: &str, why: &str) -> anyhow::Error {
    let shown: String = path.chars().take(200).collect();
    Fault::new(Kind::Mismatch, format!("the path `{}` is refused: {why}", shown.escape_debug())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tricks_are_refused() {
        assert!(check(&"a/b".repeat(400)).is_err());
        insta::assert_snapshot!(check("etc/../../passwd").unwrap_err(), @"the path `etc/../../passwd` is refused: it holds `..`");
        insta::assert_snapshot!(check("etc/x\0.conf").unwrap_err(), @r"the path `etc/x\0.conf` is refused: it holds a NUL");
    }

    #[test]
    fn links_stay_in_the_root() {
        for (path, target) in [
            ("bin/sh", "/bin/busybox"),
            ("bin/sh", "busybox"),
            ("etc/mtab", "../proc/mounts"),
            ("a/b/c", "../../d"),
            ("a", "."),
            ("a/b", ".."),
        ] {
            check_link(path, target).unwrap_or_else(|error| panic!("{error}"));
        }
        for (path, target) in [
            ("a", ".."),
            ("a/b", "../.."),
            ("a/b", "../../etc/shadow"),
            ("a/b", "/.."),
            ("a/b", "/../etc"),
            ("a/b", "x/../../.."),
            ("a/b", ""),
            ("a/b", "x\0"),
        ] {
            assert!(check_link(path, target).is_err(), "{path} {target:?}");
        }
        insta::assert_snapshot!(check_link("a/b", "../../x").unwrap_err(), @"the path `a/b` is refused: its target `../../x` leads out of the root");
    }

    #[test]
    fn a_path_is_split_and_joined() {
        assert_eq!((split("a/b/c"), split("a")), (("a/b", "c"), ("", "a")));
        assert_eq!((join("", "a"), join("a/b", "c")), ("a".into(), "a/b/c".into()));
    }

    proptest! {
        #[test]
        fn a_link_that_is_taken_never_leaves_the_root(path in "[a./]{0,12}", target in "[a./]{0,12}") {
            if check(&path).is_ok() && check_link(&path, &target).is_ok() {
                let (dir, _) = split(&path);
                let whole = if target.starts_with('/') { target.clone() } else { format!("{dir}/{target}") };
                let mut depth = 0_i32;
                for name in whole.split('/') {
                    depth += match name { "" | "." => 0, ".." => -1, _ => 1 };
                    prop_assert!(depth >= 0);
                }
            }
        }
    }
}
