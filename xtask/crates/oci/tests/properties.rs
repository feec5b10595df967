//! What holds for any tree, and for any bytes that pass for a layer or a layout.

use std::collections::BTreeMap;
use std::fs;

use fstree::tree::{Attributes, Entry, Resolved, Source, Tree};
use oci::compress::{Compression, Gzip};
use oci::layer::{self, Options};
use oci::layout;
use oci::read::{self, Encoding, EntryKind, Limits};
use progress::Silent;
use proptest::prelude::*;

const OPTIONS: Options = Options { mtime: 1_670_529_103, compression: Compression::Gzip(Gzip::Fast) };

/// Few names, so that paths meet; some long, some not ASCII.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]", 1 => "[a-z.ő -]{1,8}", 1 => "[x-ző]{40,120}"]
        .prop_filter("not a path's own", |name| !matches!(&**name, "." | ".."))
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..5).prop_map(|names| names.join("/"))
}

fn entry() -> impl Strategy<Value = Entry> {
    let xattrs =
        prop::collection::vec(("user\\.[a-z]{1,4}", prop::collection::vec(any::<u8>(), 0..40)), 0..3);
    let node = prop_oneof![
        (0..0o10_000_u32).prop_map(Entry::directory),
        (0..0o10_000_u32, prop::collection::vec(any::<u8>(), 0..1500))
            .prop_map(|(mode, bytes)| Entry::file(mode, &*bytes)),
        "[^\0]{1,150}".prop_map(Entry::symlink),
    ];
    (node, 0..2_097_152_u32, 0..2_097_152_u32, xattrs).prop_map(|(node, uid, gid, xattrs)| {
        xattrs.into_iter().fold(node.owner(uid, gid), |entry, (name, value)| entry.xattr(name, value))
    })
}

/// Entries that fit together: those that a tree takes, and hard links to files among them.
fn entries() -> impl Strategy<Value = Vec<(String, Entry)>> {
    let some = prop::collection::vec((path(), entry()), 0..25);
    (some, prop::collection::vec((path(), any::<prop::sample::Index>()), 0..6)).prop_map(|(some, links)| {
        let mut tree = Tree::new();
        let mut taken: Vec<_> =
            some.into_iter().filter(|(path, entry)| tree.insert(path, entry.clone()).is_ok()).collect();
        let resolved = tree.resolve().unwrap();
        let files: Vec<String> = resolved
            .iter()
            .filter(|(_, (what, _))| matches!(what, Resolved::File(_)))
            .map(|(path, _)| (*path).to_owned())
            .collect();
        for (path, target) in links {
            if !files.is_empty() {
                let link = Entry::hard_link(target.get(&files).clone());
                if tree.insert(&path, link.clone()).is_ok() {
                    taken.push((path, link));
                }
            }
        }
        taken
    })
}

fn tree(entries: &[(String, Entry)]) -> Tree {
    let mut tree = Tree::new();
    for (path, entry) in entries {
        tree.insert(path, entry.clone()).unwrap();
    }
    tree
}

fn blob(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    layer::write(tree, &OPTIONS, &mut out, &Silent).unwrap();
    out
}

/// A tree in the words of a listing.
fn expected(tree: &Tree) -> BTreeMap<String, (EntryKind, Attributes)> {
    let what = |resolved: Resolved<'_>| match resolved {
        Resolved::Directory => EntryKind::Directory,
        Resolved::HardLink(target) => EntryKind::HardLink(target.to_owned()),
        Resolved::Symlink(target) => EntryKind::Symlink(target.to_owned()),
        Resolved::File(Source::Bytes(bytes)) => {
            EntryKind::File { size: bytes.len() as u64, digest: oci::digest::Digest::of(bytes) }
        }
        Resolved::File(Source::Path(_)) => unreachable!("no such entries are made here"),
    };
    let item = |(path, (resolved, mut attributes)): (&str, (Resolved<'_>, Attributes))| {
        if matches!(resolved, Resolved::HardLink(_)) {
            attributes.xattrs.clear();
        }
        (path.to_owned(), (what(resolved), attributes))
    };
    tree.resolve().unwrap().into_iter().map(item).collect()
}

fn list(bytes: &[u8], encoding: Encoding) -> anyhow::Result<read::Listing> {
    read::list(
        bytes,
        encoding,
        &Limits { tar_size: 1 << 20, entries: 500, extended_header: 1 << 16, extended_headers: 1 << 20 },
    )
}

fn unpacked(blob: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(blob), &mut tar).unwrap();
    tar
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn any_tree_comes_back(entries in entries()) {
        let tree = tree(&entries);
        let listing = list(&blob(&tree), Encoding::Gzip).unwrap();
        let found: BTreeMap<_, _> =
            listing.items.into_iter().map(|(path, item)| (path, (item.what, item.attributes))).collect();
        prop_assert_eq!(found, expected(&tree));
    }

    #[test]
    fn the_order_of_insertion_does_not_matter((one, other) in entries().prop_flat_map(|one| {
        let other = Just(one.clone()).prop_shuffle();
        (Just(one), other)
    })) {
        prop_assert_eq!(blob(&tree(&one)), blob(&tree(&other)));
    }

    #[test]
    fn any_bytes_are_listed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        for encoding in [Encoding::Tar, Encoding::Gzip, Encoding::Zstd] {
            let error = list(&bytes, encoding).unwrap_err();
            prop_assert_eq!(fault::exit_code(&error), 3, "{:#}", error);
        }
    }

    #[test]
    fn damaged_layers_are_listed_or_refused(
        entries in entries(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        fix in any::<bool>(),
    ) {
        let mut tar = unpacked(&blob(&tree(&entries)));
        let blocks = tar.len() / 512;
        for (at, value) in damage {
            // Headers are where it hurts; with the checksum made right again the damage is really read.
            let block = at.index(blocks) * 512;
            let at = block + usize::from(value) * 2 % 345;
            tar[at] = value;
            if fix {
                tar[block + 148..block + 156].fill(b' ');
                let sum: u32 = tar[block..block + 512].iter().map(|byte| u32::from(*byte)).sum();
                tar[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        for bytes in [&tar[..], &tar[..cut.index(tar.len())]] {
            if let Err(error) = list(bytes, Encoding::Tar) {
                prop_assert_eq!(fault::exit_code(&error), 3, "{:#}", error);
            }
        }
    }

    #[test]
    fn damaged_layouts_are_read_or_refused(
        index in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            Just(VALID.as_bytes().to_vec()),
        ],
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut index = index;
        for (at, value) in damage {
            if !index.is_empty() {
                let at = at.index(index.len());
                index[at] = value;
            }
        }
        let blobs = dir.path().join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        fs::write(dir.path().join("index.json"), &index).unwrap();
        // The same bytes as a manifest, so that the way down is taken as well.
        let digest = oci::digest::Digest::of(&index);
        fs::write(blobs.join(digest.hex()), &index).unwrap();
        for outer in [None, Some("index.v1"), Some("manifest.v1")] {
            if let Some(kind) = outer {
                let size = index.len();
                let json = format!(r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.{kind}+json","digest":"{digest}","size":{size}}}]}}"#);
                fs::write(dir.path().join("index.json"), json).unwrap();
            }
            if let Err(error) = layout::open(dir.path(), &layout::Limits::default()).and_then(|layout| layout.verify(&Silent)) {
                prop_assert!([3, 6, 10].contains(&fault::exit_code(&error)), "{:#}", error);
            }
        }
    }
}

const VALID: &str = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}]}"#;

/// Layers are made on many threads at once.
#[test]
fn threads_have_no_say_in_the_bytes() {
    use rayon::prelude::*;
    let mut tree = Tree::new();
    for n in 0..50 {
        let content = vec![n; 60_000];
        tree.insert(&format!("d/{n}"), Entry::file(0o644, &*content)).unwrap();
    }
    for compression in Compression::ALL {
        let options = Options { mtime: 1, compression };
        let make = |_| layer::write(&tree, &options, std::io::sink(), &Silent).unwrap();
        let layers: Vec<_> = (0..8).into_par_iter().map(make).collect();
        assert!(layers.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
