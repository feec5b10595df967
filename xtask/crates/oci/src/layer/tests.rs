use std::path::Path;

use super::*;
use crate::compress::Gzip;
use crate::read::{self, Encoding, EntryKind, Limits};
use fstree::tree::Entry;
use progress::Silent;

const FAST: Options = Options { mtime: 1_670_529_103, compression: Compression::Gzip(Gzip::Fast) };
const BEST: Options = Options { mtime: 1_670_529_103, compression: Compression::Gzip(Gzip::Best) };
const ZSTD: Options = Options { mtime: 1_670_529_103, compression: Compression::Zstd };

/// One of everything.
fn sample() -> Tree {
    let long = format!("opt/{}/{}", "d".repeat(120), "f".repeat(110));
    let mut tree = Tree::new();
    for (path, entry) in [
        ("usr/bin/kubelet", Entry::file(0o755, &b"#!/bin/true\n"[..])),
        ("usr/bin/kubeadm", Entry::hard_link("usr/bin/kubelet")),
        ("etc/ssl/Főtanúsítvány.crt", Entry::file(0o644, vec![7; 1000].as_slice())),
        ("etc/mtab", Entry::symlink("/proc/mounts")),
        ("etc/long", Entry::symlink("../".repeat(60))),
        ("tmp", Entry::directory(0o1777)),
        ("run", Entry::directory(0o750).owner(10, 20)),
        ("bin/ping", Entry::file(0o755, &b""[..]).xattr("security.capability", *b"\x01\n\0\x02=\n")),
        (&long, Entry::file(0o600, &b"deep"[..])),
        (&format!("{long}.link"), Entry::hard_link(&*long)),
    ] {
        tree.insert(path, entry).unwrap();
    }
    tree
}

fn bytes(tree: &Tree, options: &Options) -> (Layer, Vec<u8>) {
    let mut out = Vec::new();
    let layer = write(tree, options, &mut out, &Silent).unwrap();
    (layer, out)
}

/// These are the bytes that people's images consist of: a change here changes the digest of every image.
#[test]
fn digests_are_sacred() {
    let (fast, _) = bytes(&sample(), &FAST);
    let (best, _) = bytes(&sample(), &BEST);
    let (zstd, _) = bytes(&sample(), &ZSTD);
    assert_eq!([fast.diff_id, zstd.diff_id], [best.diff_id; 2]);
    assert_eq!(
        [best.diff_id, fast.digest, best.digest, zstd.digest].map(|digest| digest.hex()),
        [
            "16f1fa761f41dee24db402a576df121d97c1d0428099f723b0b3b5e9e33ddde1",
            "de49ed6890e0d313f41b08e113d3844e8247e0b5944f0050510701cf9ad5423e",
            "dffbedbdd0d3cc14477d294c96ddcc4d910eb18c909515b3ba6b25888790e6d8",
            "7794061241280ef9882a0d91eb348623a4c5c7ae8bf4c19e417697c479129d69",
        ]
    );
}

#[test]
fn what_is_written_is_what_is_told() {
    for options in [FAST, BEST, ZSTD] {
        let (layer, blob) = bytes(&sample(), &options);
        assert_eq!((layer.digest, layer.size), (Digest::of(&blob), blob.len() as u64));
        let listing =
            read::list(&*blob, Encoding::of(&layer.media_type).unwrap(), &Limits::default()).unwrap();
        assert_eq!((listing.diff_id, listing.tar_size), (layer.diff_id, layer.tar_size));
        assert_eq!(listing.unpacked_size, 12 + 1000 + 4);
        assert_eq!(layer.unpacked_size, listing.unpacked_size);
        let json = serde_json::to_string(&layer).unwrap();
        assert_eq!(serde_json::from_str::<Layer>(&json).unwrap(), layer);
    }
}

#[test]
fn the_archive_says_what_the_tree_says() {
    let (_, blob) = bytes(&sample(), &FAST);
    let listing = read::list(&*blob, Encoding::Gzip, &Limits::default()).unwrap();
    let item = |path: &str| &listing.items[path];
    // The first name in order is the file.
    assert!(matches!(item("usr/bin/kubeadm").what, EntryKind::File { size: 12, .. }));
    assert_eq!(item("usr/bin/kubelet").what, EntryKind::HardLink("usr/bin/kubeadm".to_owned()));
    assert_eq!(item("usr/bin").attributes.mode, 0o755);
    assert_eq!(item("tmp").attributes.mode, 0o1777);
    assert_eq!((item("run").attributes.uid, item("run").attributes.gid), (10, 20));
    assert_eq!(item("bin/ping").attributes.xattrs["security.capability"], b"\x01\n\0\x02=\n");
    assert_eq!(item("etc/long").what, EntryKind::Symlink("../".repeat(60)));
    assert!(listing.items.values().all(|item| item.mtime == FAST.mtime));
}

#[test]
fn a_file_from_disk_gives_the_same_bytes_as_from_memory_over_many_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..900_000_u32).flat_map(u32::to_le_bytes).collect();
    let path = dir.path().join("x");
    std::fs::write(&path, &content).unwrap();
    let tree = |source: Source| {
        let mut tree = Tree::new();
        tree.insert("x", Entry::file(0o755, source)).unwrap();
        tree
    };
    for options in [FAST, BEST, ZSTD] {
        assert_eq!(
            bytes(&tree(Source::Path(path.clone())), &options),
            bytes(&tree(Source::from(&*content)), &options)
        );
    }
}

#[test]
fn progress_adds_up_to_the_archive() {
    struct Count(std::sync::atomic::AtomicU64);
    impl Task for Count {
        fn advance(&self, bytes: u64) {
            self.0.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        }
        fn detail(&self, _text: &str) {}
    }
    for options in [FAST, BEST, ZSTD] {
        let count = Count(0.into());
        let layer = write(&sample(), &options, io::sink(), &count).unwrap();
        assert_eq!(count.0.into_inner(), layer.tar_size);
    }
}

#[test]
fn what_cannot_be_archived_is_refused() {
    let refused = |source: &Path, options: &Options| {
        let mut tree = Tree::new();
        tree.insert("x", Entry::file(0o755, Source::Path(source.to_owned()))).unwrap();
        fault::exit_code(&write(&tree, options, io::sink(), &Silent).unwrap_err())
    };
    assert_eq!(refused(Path::new("/"), &FAST), 3);
    assert_eq!(refused(Path::new("/no/such/file"), &FAST), 10);
    assert_eq!(refused(Path::new("/dev/null"), &FAST), 3);
    let dir = tempfile::tempdir().unwrap();
    let (pipe, socket) = (dir.path().join("pipe"), dir.path().join("socket"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!([&pipe, &socket].map(|path| refused(path, &FAST)), [3, 3], "and nothing waits");
    assert_eq!(refused(Path::new("/proc/self/status"), &FAST), 6, "it has a size of 0 but gives bytes");
    assert_eq!(refused(Path::new("/"), &Options { mtime: u64::MAX, ..FAST }), 3);
}

#[test]
fn an_empty_tree_is_an_empty_archive() {
    let (layer, _) = bytes(&Tree::new(), &BEST);
    assert_eq!((layer.tar_size, layer.unpacked_size), (1024, 0));
    assert_eq!(layer.diff_id, Digest::of(&[0; 1024]));
}

fn stacked(entries: &[(&str, Entry)]) -> Tree {
    let mut tree = Tree::new();
    for (path, entry) in entries {
        tree.insert(path, entry.clone()).unwrap();
    }
    tree
}

#[test]
fn layers_that_undo_each_other_are_refused() {
    let base = stacked(&[("tmp", Entry::directory(0o1777)), ("bin", Entry::symlink("usr/bin"))]);
    let over = |path: &str| {
        let upper = stacked(&[(path, Entry::file(0o644, &b"x"[..]))]);
        check_stack(&[&base, &upper]).map_err(|error| error.to_string())
    };
    assert!(over("tmp/x").unwrap_err().contains("mode 1777"));
    assert!(over("bin/x").unwrap_err().contains("in one layer and not in another"));
    over("usr/bin/x").unwrap();
    check_stack(&[&base, &base]).unwrap();
}
