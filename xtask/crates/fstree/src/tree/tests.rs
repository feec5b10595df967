use super::*;

fn tree(entries: &[(&str, Entry)]) -> Result<Tree> {
    let mut tree = Tree::new();
    for (path, entry) in entries {
        tree.insert(path, entry.clone())?;
    }
    Ok(tree)
}

fn file() -> Entry {
    Entry::file(0o644, &b"x"[..])
}

fn refused(entries: &[(&str, Entry)]) -> String {
    let error = tree(entries).and_then(|tree| tree.resolve().map(|_| ())).unwrap_err();
    assert_eq!(fault::exit_code(&error), 3);
    error.to_string()
}

#[test]
fn directories_above_are_made_explicit_and_given_ones_are_kept() {
    let tree = tree(&[("a/b/c", file()), ("a", Entry::directory(0o700))]).unwrap();
    let resolved = tree.resolve().unwrap();
    let modes: Vec<_> = resolved.iter().map(|(path, (_, attributes))| (*path, attributes.mode)).collect();
    assert_eq!(modes, [("a", 0o700), ("a/b", 0o755), ("a/b/c", 0o644)]);
}

#[test]
fn a_path_is_taken_in_every_spelling() {
    assert!(refused(&[("a/b", file()), ("./a//b", file())]).contains("two entries"));
    assert!(
        refused(&[("a", Entry::directory(0o755)), ("a/", Entry::directory(0o755))]).contains("two entries")
    );
}

#[test]
fn nothing_lies_under_what_is_not_a_directory_in_either_order() {
    for above in [file(), Entry::symlink("b"), Entry::hard_link("b")] {
        assert!(
            refused(&[("b", file()), ("a", above.clone()), ("a/c", file())]).contains("lies under \"a\"")
        );
        assert!(refused(&[("b", file()), ("a/c", file()), ("a", above)]).contains("\"a/c\" lies under it"));
    }
    // Names that only begin alike are not a hindrance.
    tree(&[("a-b", file()), ("a.b", file()), ("a", file()), ("ab/c", file())]).unwrap();
}

#[test]
fn the_first_name_in_order_is_the_file_whichever_was_given_the_bytes() {
    let tree = tree(&[
        ("bin/b", Entry::hard_link("z")),
        ("bin/a", Entry::hard_link("./bin/b")),
        ("z", Entry::file(0o4755, &b"real"[..]).owner(1, 2).xattr("user.k", *b"v")),
    ])
    .unwrap();
    let resolved = tree.resolve().unwrap();
    assert_eq!(resolved["bin/a"].0, Resolved::File(&Source::from(&b"real"[..])));
    assert_eq!(resolved["bin/b"].0, Resolved::HardLink("bin/a"));
    assert_eq!(resolved["z"].0, Resolved::HardLink("bin/a"));
    for name in ["bin/a", "bin/b", "z"] {
        assert_eq!((resolved[name].1.mode, resolved[name].1.uid, resolved[name].1.gid), (0o4755, 1, 2));
    }
}

#[test]
fn hard_links_must_lead_to_a_file_of_the_tree() {
    assert!(refused(&[("a", Entry::hard_link("b"))]).contains("not in the tree"));
    assert!(refused(&[("a", Entry::hard_link("a"))]).contains("back to itself"));
    assert!(
        refused(&[("a", Entry::hard_link("b")), ("b", Entry::hard_link("a"))]).contains("back to itself")
    );
    assert!(
        refused(&[("a", Entry::hard_link("b")), ("b", Entry::symlink("c"))]).contains("not a regular file")
    );
    assert!(refused(&[("a", Entry::hard_link("b")), ("b/c", file())]).contains("not in the tree"));
    assert!(refused(&[("a", Entry::hard_link("../b"))]).contains("leaves"));
}

#[test]
fn attributes_an_archive_cannot_hold_are_refused() {
    assert!(refused(&[("a", Entry::file(0o100_644, &b""[..]))]).contains("mode 100644"));
    assert!(refused(&[("a", file().owner(MAX_ID + 1, 0))]).contains("owner"));
    assert!(refused(&[("a", file().xattr("a=b", *b""))]).contains("attribute name"));
    assert!(refused(&[("a", file().xattr("a", vec![0; MAX_XATTR_VALUE + 1]))]).contains("65537 bytes"));
    assert!(refused(&[("a", Entry::symlink(""))]).contains("symlink target"));
    assert!(refused(&[("a", Entry::symlink("b\0c"))]).contains("symlink target"));
    assert!(refused(&[("b", file()), ("a", Entry::hard_link("b").owner(1, 1))]).contains("hard link takes"));
    assert!(refused(&[("a/.wh.b", file())]).contains("deletes"));
}
