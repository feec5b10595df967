use fstree::archive::BLOCK;
use fstree::pax;
use tar::{EntryType, Header};

use super::*;

/// A ustar header with a checksum that is right, then data.
fn entry(name: &str, kind: EntryType, link: &str, data: &[u8]) -> Vec<u8> {
    entry_of_size(name, kind, link, data, data.len() as u64)
}

fn entry_of_size(name: &str, kind: EntryType, link: &str, data: &[u8], size: u64) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(size);
    let fields = header.as_ustar_mut().unwrap();
    fields.name[..name.len()].copy_from_slice(name.as_bytes());
    fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    [header.as_bytes(), data, &vec![0; data.len().next_multiple_of(BLOCK) - data.len()]].concat()
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

fn read(bytes: &[u8]) -> Result<Listing> {
    list(bytes, Encoding::Tar, &Limits::default())
}

fn refused(entries: &[Vec<u8>]) -> String {
    refused_bytes(&tar(entries))
}

fn refused_bytes(bytes: &[u8]) -> String {
    let error = read(bytes).unwrap_err();
    assert_eq!(fault::exit_code(&error), 3, "{error:#}");
    error.to_string()
}

fn file(name: &str) -> Vec<u8> {
    entry(name, EntryType::Regular, "", b"x")
}

#[test]
fn archives_of_others_are_read() {
    let long = "n".repeat(200);
    let listing = read(&tar(&[
        entry("pax_global_header", EntryType::XGlobalHeader, "", b"16 comment=abcd\n"),
        entry("./", EntryType::Directory, "", b""),
        entry("./etc/", EntryType::Directory, "", b""),
        entry("././@LongLink", EntryType::GNULongName, "", format!("./etc/{long}\0").as_bytes()),
        entry("cut", EntryType::Regular, "", b"abc"),
        entry("dev/null", EntryType::Char, "", b""),
    ]))
    .unwrap();
    let paths: Vec<_> = listing.items.keys().cloned().collect();
    assert_eq!(paths, ["dev/null", "etc", &format!("etc/{long}")]);
    assert_eq!(listing.items["dev/null"].what, EntryKind::Special(b'3'));
    assert_eq!(listing.items[&paths[2]].what, EntryKind::File { size: 3, digest: Digest::of(b"abc") });
}

/// Names that others write, and what containerd, umoci and skopeo make of them; tests/acceptance.rs asks two of those.
#[test]
fn names_of_others_begin_at_the_root() {
    for name in ["usr/x", "/usr/x", "./usr/x", "//usr//x", "/./usr/./x", "usr/./x"] {
        for link in ["usr/x", "/usr/x", "./usr/x", "//usr//x", "usr//x/"] {
            let listing = read(&tar(&[
                entry("/", EntryType::Directory, "", b""),
                entry("/usr/", EntryType::Directory, "", b""),
                file(name),
                entry("/y", EntryType::Link, link, b""),
                // By way of another link.
                entry("./z/", EntryType::Link, "/y", b""),
                entry("/s", EntryType::Symlink, "//usr/../x", b""),
            ]))
            .unwrap();
            let found: Vec<_> =
                listing.items.iter().map(|(path, item)| (path.as_str(), &item.what)).collect();
            let (target, to) =
                (EntryKind::HardLink("usr/x".to_owned()), EntryKind::Symlink("//usr/../x".to_owned()));
            let file = EntryKind::File { size: 1, digest: Digest::of(b"x") };
            let expected = [
                ("s", &to),
                ("usr", &EntryKind::Directory),
                ("usr/x", &file),
                ("y", &target),
                ("z", &target),
            ];
            assert_eq!(found, expected, "{name:?} {link:?}");
        }
    }
    for root in ["/", ".", "./", "//", "/.", "././"] {
        let listing = read(&tar(&[entry(root, EntryType::Directory, "", b""), file("x")])).unwrap();
        assert_eq!(listing.items.len(), 1, "{root:?}");
        for (kind, link) in [(EntryType::Symlink, "x"), (EntryType::Link, "x")] {
            let why = refused(&[file("x"), entry(root, kind, link, b"")]);
            assert!(why.contains("names the root"), "{root:?} {kind:?}: {why}");
        }
        assert!(refused(&[file("x"), entry("y", EntryType::Link, root, b"")]).contains("not a regular file"));
        assert!(refused(&[entry(root, EntryType::Directory, "", b"x")]).contains("has data"));
        refused(&[entry(root, EntryType::Regular, "", b"")]);
    }
}

#[test]
fn of_two_entries_of_a_directory_the_later_counts() {
    let directory = |name: &str, mode: u32| {
        let mut bytes = entry(name, EntryType::Directory, "", b"");
        let header = Header::from_byte_slice(&bytes);
        let mut header = header.clone();
        header.set_mode(mode);
        header.set_cksum();
        bytes.copy_from_slice(header.as_bytes());
        bytes
    };
    let listing = read(&tar(&[directory("a/", 0o700), file("a/x"), directory("/a", 0o755)])).unwrap();
    assert_eq!(listing.items.len(), 2);
    assert_eq!(listing.items["a"].attributes.mode, 0o755);
    for (one, other) in [
        (directory("a", 0o755), entry("/a", EntryType::Symlink, "etc", b"")),
        (entry("/a", EntryType::Symlink, "etc", b""), directory("a", 0o755)),
        (directory("a", 0o755), file("./a")),
        (file("/a"), directory("a/", 0o755)),
    ] {
        assert!(refused(&[one, other]).contains("two entries"));
    }
}

#[test]
fn paths_that_leave_the_root_are_refused() {
    for bad in ["../x", "/../etc/passwd", "a/../../x", "a/..", "/a/../b"] {
        assert!(refused(&[file(bad)]).contains("path in a layer"), "{bad}");
    }
    for bad in ["../x", "/../x", "a/../x", ".."] {
        assert!(refused(&[file("x"), entry("y", EntryType::Link, bad, b"")]).contains("`..`"), "{bad}");
    }
}

#[test]
fn what_readers_could_understand_differently_is_refused() {
    let directory = entry("a", EntryType::Directory, "", b"");
    let symlink = entry("a", EntryType::Symlink, "/etc", b"");
    assert!(refused(&[file("a"), file("./a")]).contains("two entries"));
    assert!(refused(&[file("a"), file("a/b")]).contains("not a directory"));
    assert!(refused(&[symlink, file("a/b/c")]).contains("not a directory"));
    assert!(refused(&[file("a/b"), file("a")]).contains("lies under it"));
    assert!(refused(&[entry("a", EntryType::Directory, "", b"data")]).contains("has data"));
    assert!(refused(&[file("a/")]).contains("ends with `/`"));
    assert!(refused(&[entry("a", EntryType::Link, "b", b""), file("b")]).contains("before it"));
    assert!(refused(&[directory, entry("b", EntryType::Link, "a", b"")]).contains("not a regular file"));
    assert!(refused(&[entry("a", EntryType::Symlink, "", b"")]).contains("without a target"));
    refused(&[entry("a", EntryType::GNUSparse, "", b"")]);
    assert!(refused(&[entry("a", EntryType::Continuous, "", b"")]).contains("not supported"));
    assert!(
        refused(&[entry("h", EntryType::XHeader, "", b"9 size=9\n"), file("a")]).contains("PAX size differs")
    );
    assert!(
        refused(&[entry("h", EntryType::XHeader, "", b"24 GNU.sparse.major=1\n")]).contains("PAX record")
    );
    assert!(refused(&[entry("h", EntryType::XHeader, "", b"22 GNU.sparse.major=1\n")]).contains("sparse"));
    assert!(refused(&[entry("h", EntryType::XGlobalHeader, "", b"10 path=a\n")]).contains("global"));
    assert!(refused(&[entry("h", EntryType::XHeader, "", b"10 path=a\n")]).contains("followed by nothing"));
    assert!(refused(&[entry("h", EntryType::XHeader, "", b"9 path=\xff\n"), file("a")]).contains("UTF-8"));
}

#[test]
fn truncated_and_continued_archives_are_refused() {
    let whole = tar(&[file("a"), entry("b", EntryType::Regular, "", &[b'x'; 700]), file("c")]);
    let all = read(&whole).unwrap();
    assert_eq!(all.items.len(), 3);
    // Between two entries, with their padding or without, it is an archive of those before; in their midst it is none.
    let ends = |length: usize| match length {
        513..=1024 => Some(1),
        2236..=2560 => Some(2),
        3073..=3584 | 4096.. => Some(3),
        _ => None,
    };
    for length in 0..=whole.len() {
        match ends(length) {
            Some(count) => assert_eq!(read(&whole[..length]).unwrap().items.len(), count, "{length}"),
            None => drop(refused_bytes(&whole[..length])),
        }
    }
    let cut = &whole[..3073];
    assert_eq!(read(cut).unwrap().diff_id, Digest::of(cut));
    assert!(refused_bytes(&[&*whole, &file("b")].concat()).contains("follows the end"));
    assert!(refused_bytes(&[&*tar(&[]), b"x"].concat()).contains("follows the end"));
    read(&[&*whole, &[0; 9000]].concat()).unwrap();
    refused_bytes(&[]);
    // A size far beyond what follows.
    let lie = entry_of_size("a", EntryType::Regular, "", b"x", 0o77_777_777_777);
    assert!(refused(&[lie]).contains("ends inside"));
    let mut flipped = whole;
    flipped[0] ^= 1;
    assert!(refused_bytes(&flipped).contains("checksum"));
}

#[test]
fn limits_hold() {
    let bytes = tar(&[file("a"), file("b")]);
    let limited = |limits: Limits| list(&*bytes, Encoding::Tar, &limits).unwrap_err().to_string();
    assert!(limited(Limits { entries: 1, ..Limits::default() }).contains("more than 1 entries"));
    assert!(limited(Limits { tar_size: 1500, ..Limits::default() }).contains("more than 1500 bytes"));
    list(&*bytes, Encoding::Tar, &Limits { entries: 2, tar_size: bytes.len() as u64, ..Limits::default() })
        .unwrap();
    let header = entry_of_size("h", EntryType::XHeader, "", b"", 1 << 30);
    assert!(refused(&[header]).contains("limit 1048576"));
}

#[test]
fn a_bomb_stops_at_the_limit() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(9));
    for _ in 0..64 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let gzip = encoder.finish().unwrap();
    let zstd = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    let limits = Limits { tar_size: 1 << 20, ..Limits::default() };
    for (bomb, encoding) in [(gzip, Encoding::Gzip), (zstd, Encoding::Zstd)] {
        assert!(bomb.len() < 100_000);
        for error in [
            list(&*bomb, encoding, &limits).map(|_| ()).unwrap_err(),
            diff_id(&*bomb, encoding, &limits).map(|_| ()).unwrap_err(),
        ] {
            assert!(error.to_string().contains("more than 1048576 bytes once decompressed"), "{error}");
            assert_eq!(fault::exit_code(&error), 3);
        }
    }
}

#[test]
fn a_zstd_layer_cannot_ask_for_more_memory_than_the_limit() {
    // RFC 8878, 3.1.1: magic number, a frame header with a window descriptor of exponent `log` - 10, one empty block.
    let frame = |log: u8| [&[0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3][..], &[1, 0, 0]].concat();
    let read = |log| diff_id(&*frame(log), Encoding::Zstd, &Limits::default());
    assert_eq!(read(27).unwrap(), (Digest::of(b""), 0));
    let error = read(28).unwrap_err();
    assert_eq!(fault::exit_code(&error), 3);
    assert!(error.to_string().contains("too much memory"), "{error}");
}

#[test]
fn a_truncated_zstd_layer_is_refused() {
    let layer = zstd::bulk::compress(&tar(&[file("a")]), 3).unwrap();
    assert_eq!(list(&*layer, Encoding::Zstd, &Limits::default()).unwrap().items.len(), 1);
    let error = list(&layer[..layer.len() - 1], Encoding::Zstd, &Limits::default()).unwrap_err();
    assert_eq!(fault::exit_code(&error), 3);
}

#[test]
fn only_layers_are_taken_for_layers() {
    for bad in [
        "",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.layer.v1.tar+xz",
    ] {
        assert_eq!(fault::exit_code(&Encoding::of(bad).unwrap_err()), 3);
    }
}

#[test]
fn an_outline_stacks_as_the_tree_that_was_written() {
    use crate::layer::check_stack;
    let mut tree = Tree::new();
    let directory = Entry::directory(0o2750).owner(0, 42).xattr("user.x", *b"y");
    for (path, entry) in [
        ("usr/bin", directory),
        ("usr/bin/a", Entry::file(0o755, &b"a program"[..])),
        ("usr/bin/b", Entry::hard_link("usr/bin/a")),
        ("bin", Entry::symlink("usr/bin")),
    ] {
        tree.insert(path, entry).unwrap();
    }
    let mut bytes = Vec::new();
    let options = crate::layer::Options { mtime: 1, compression: crate::compress::Compression::default() };
    crate::layer::write(&tree, &options, &mut bytes, &progress::Silent).unwrap();
    let outline = list(&*bytes, Encoding::Gzip, &Limits::default()).unwrap().outline().unwrap();
    check_stack(&[&tree, &outline]).unwrap();
    for (path, why) in [
        ("usr/bin/c", "mode 2750, owner 0:42 in a lower layer"),
        ("bin/c", "is a directory in one layer and not in another"),
    ] {
        let mut above = Tree::new();
        above.insert(path, Entry::file(0o755, &b""[..])).unwrap();
        let error = check_stack(&[&outline, &above]).unwrap_err().to_string();
        assert!(error.contains(why), "{path}: {error}");
    }
    let device = read(&tar(&[entry("dev/null", EntryType::Char, "", b"")])).unwrap();
    assert!(device.outline().unwrap_err().to_string().contains("a device or a pipe"));
}

/// Each of them small enough, they are kept with the entries they are of: a few megabytes of gzip were gigabytes in memory.
#[test]
fn extended_headers_are_limited_together() {
    let mut record = format!("100000 {}big=", pax::XATTR).into_bytes();
    record.resize(99_999, b'x');
    record.push(b'\n');
    let archive = |count: usize| {
        let entries = (0..count)
            .flat_map(|at| [entry("h", EntryType::XHeader, "", &record), file(&format!("file-{at}"))]);
        tar(&entries.collect::<Vec<_>>())
    };
    let limits = Limits { extended_headers: 1_000_000, ..Limits::default() };
    let list_with = |archive: Vec<u8>| list(&*archive, Encoding::Tar, &limits);
    assert_eq!(list_with(archive(10)).unwrap().items.len(), 10);
    let error = format!("{:#}", list_with(archive(11)).unwrap_err());
    assert!(error.contains("extended headers of more than 1000000 bytes together"), "{error}");
}
