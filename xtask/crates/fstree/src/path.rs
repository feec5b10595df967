//! Paths below a root: relative, UTF-8, and never out of it.

use anyhow::Result;
use fault::{Fault, Kind};

/// The longest name that Linux takes, in bytes (`PATH_MAX` counts the closing NUL).
const MAX_NAME: usize = 255;
/// The same of a path.
pub const MAX_PATH: usize = 4096;
/// The most names in a path. Linux has no limit but the length; each name costs a look at the directory above, and no
/// real tree comes near it.
const MAX_DEPTH: usize = 256;

/// Fails, with what is wrong, unless a path has only one spelling, leads to something below the directory that it begins at,
/// and can be a line of text: relative, made of names alone, without control characters.
pub fn check(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.starts_with('/') {
        return Err("it is absolute");
    }
    if path.contains('\0') {
        return Err("it holds a NUL");
    }
    if path.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    for name in path.split('/') {
        match name {
            "" => return Err("it holds an empty name"),
            "." => return Err("it holds `.`"),
            ".." => return Err("it holds `..`"),
            _ if name.len() > MAX_NAME => return Err("it holds a name that is too long"),
            _ => {}
        }
    }
    Ok(())
}

/// The one spelling of a path in a layer: `./a//b/` is `a/b`.
///
/// # Errors
/// [`Kind::InvalidData`] for a path that is empty, absolute, the root itself, too long or too deep, or has a `..` or a NUL.
pub fn normalize(path: &str) -> Result<String> {
    if path.starts_with('/') {
        return Err(refused(path, "it is absolute; expected one relative to the root"));
    }
    rooted(path)?.ok_or_else(|| refused(path, "it names nothing below the root"))
}

/// The same of a path that others wrote, as container runtimes read it: from the image's root on, whether it begins with
/// `/` or not. None is the root itself.
///
/// # Errors
/// [`Kind::InvalidData`] for a path that is too long or too deep, or has a `..` or a NUL.
pub fn rooted(path: &str) -> Result<Option<String>> {
    if path.contains('\0') {
        return Err(refused(path, "it contains a NUL"));
    }
    let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") {
        return Err(refused(path, "`..` leaves its directory"));
    }
    let normalized = names.join("/");
    if normalized.len() >= MAX_PATH || names.iter().any(|name| name.len() > MAX_NAME) {
        return Err(refused(path, "it is longer than Linux takes"));
    }
    if names.len() > MAX_DEPTH {
        return Err(refused(path, &format!("it is more than {MAX_DEPTH} names deep")));
    }
    Ok((!names.is_empty()).then_some(normalized))
}

fn refused(path: &str, why: &str) -> anyhow::Error {
    Fault::new(Kind::InvalidData, format!("path in a layer {path:?}: {why}")).into()
}

/// The directories above a normalized path, outermost first.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    ancestors_beyond(path, 0)
}

/// Those of them whose names do not end within the path's first `shared` bytes.
pub fn ancestors_beyond(path: &str, shared: usize) -> impl Iterator<Item = &str> {
    let slashes = path.as_bytes()[shared..].iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(move |(at, _)| &path[..shared + at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_paths_are_taken() {
        for path in
            ["a", "bin/busybox", "usr/share/ca-certificates/Főtanúsítvány.crt", "a/..b/c..", "a/...", "a\\b"]
        {
            check(path).unwrap();
        }
    }

    #[test]
    fn tricks_are_refused() {
        for path in [
            "",
            "/",
            "/etc",
            "..",
            "../a",
            "a/..",
            "a/../b",
            ".",
            "./a",
            "a/./b",
            "a//b",
            "a/",
            "a\0b",
            "a\nR:b",
            "\x7f",
            &"a".repeat(256),
        ] {
            assert!(check(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn spellings_become_one() {
        for spelling in ["a/b", "./a/b", "a//b", "a/./b/", "a/b/."] {
            assert_eq!(normalize(spelling).unwrap(), "a/b");
        }
        assert_eq!(normalize("a/...").unwrap(), "a/...");
    }

    #[test]
    fn paths_that_leave_the_tree_or_name_nothing_are_refused() {
        assert!(normalize(&"a/".repeat(MAX_DEPTH)).is_ok());
        let deep = normalize(&"a/".repeat(MAX_DEPTH + 1)).unwrap_err().to_string();
        assert!(deep.ends_with("it is more than 256 names deep"), "{deep}");
        let long = "x".repeat(256);
        let deep = "x/".repeat(2048) + "x";
        for bad in ["", ".", "./", "/", "/a", "..", "../a", "a/..", "a/../b", "a\0b", &long, &deep] {
            assert_eq!(fault::exit_code(&normalize(bad).unwrap_err()), 3, "{bad:?}");
        }
    }

    #[test]
    fn paths_of_others_begin_at_the_root() {
        for spelling in ["a/b", "/a/b", "./a/b", "//a//b", "/./a/./b//", ".//a/b/."] {
            assert_eq!(rooted(spelling).unwrap().as_deref(), Some("a/b"), "{spelling:?}");
        }
        for root in ["", "/", ".", "./", "/.", "//", "././/"] {
            assert_eq!(rooted(root).unwrap(), None, "{root:?}");
        }
        for bad in ["..", "/..", "/../a", "../a", "a/..", "/a/../b", "a\0b", &"x".repeat(256)] {
            assert_eq!(fault::exit_code(&rooted(bad).unwrap_err()), 3, "{bad:?}");
        }
    }

    #[test]
    fn ancestors_come_outermost_first() {
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        let beyond = |path, shared| ancestors_beyond(path, shared).collect::<Vec<_>>();
        assert_eq!(beyond("a", 0), [""; 0]);
        // After `a/`, and after `a`.
        assert_eq!((beyond("a/b/c", 2), beyond("a/b/c", 1)), (vec!["a/b"], vec!["a", "a/b"]));
    }

    proptest! {
        #[test]
        fn a_path_that_is_taken_is_of_names_alone(path in "[a./\\x00]{0,12}") {
            let names = || std::path::Path::new(&path).components();
            let plain = names().all(|part| matches!(part, std::path::Component::Normal(_)));
            prop_assert!(check(&path).is_err() || plain && names().count() == path.split('/').count());
        }
    }
}
