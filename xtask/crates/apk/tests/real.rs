//! Alpine's own files: keys, a signed index, a signed package, root filesystems.

mod common;

use apk::database::{self, Database};
use apk::depend::{Dependency, Versions};
use apk::digest::Checksum;
use apk::index::Index;
use apk::install::Rootfs;
use apk::package::Package;
use apk::record::Record;
use apk::resolve::{Request, resolve};
use apk::tree::Tree;
use common::{ARCHES, INDEX, PACKAGE, keyring, minirootfs, mirror};
use digest::Expected;
use fstree::tree::Node;

const WORLD: &str = "alpine-baselayout alpine-keys apk-tools busybox libc-utils util-linux coreutils findutils \
                         ca-certificates conntrack-tools iptables";

/// As Alpine publishes them, computed from two public copies.
const KEYS: [(&str, &str, &str); 7] = [
    ("x86_64", "4a6a0840", "9c102bcc376af1498d549b77bdbfa815ae86faa1d2d82f040e616b18ef2df2d4"),
    ("x86_64", "5261cecb", "12f899e55a7691225603d6fb3324940fc51cd7f133e7ead788663c2b7eecb00c"),
    ("x86_64", "6165ee59", "207e4696d3c05f7cb05966aee557307151f1f00217af4143c1bcaf33b8df733f"),
    ("aarch64", "58199dcc", "73867d92083f2f8ab899a26ccda7ef63dfaa0032a938620eda605558958a8041"),
    ("aarch64", "616ae350", "d11f6b21c61b4274e182eb888883a8ba8acdbf820dcc7a6d82a7d9fc2fd2836d"),
    ("armv7", "524d27bb", "1bb2a846c0ea4ca9d0e7862f970863857fc33c32f5506098c636a62a726a847b"),
    ("armv7", "616adfeb", "ebe717d228555aa58133c202314a451f81e71f174781fd7ff8d8970d6cfa60da"),
];

fn key_name(id: &str) -> String {
    format!("alpine-devel@lists.alpinelinux.org-{id}.rsa.pub")
}

#[test]
fn the_trusted_keys_are_the_published_ones_and_no_others() {
    let keyring = keyring();
    assert_eq!(keyring.arches().collect::<Vec<_>>(), ["aarch64", "armv7", "x86_64"]);
    let mut found: Vec<(String, String, String)> = Vec::new();
    for arch in ARCHES {
        found.extend(keyring.keys(arch).map(|key| (arch.into(), key.name().into(), key.sha256().into())));
    }
    let expected = KEYS.map(|(arch, id, sha256)| (arch.to_owned(), key_name(id), sha256.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn the_trusted_keys_are_those_of_the_root_filesystems() {
    for arch in ARCHES {
        let Some(tree) = minirootfs(arch) else { return };
        let prefix = format!("usr/share/apk/keys/{arch}/");
        let names: Vec<String> = tree
            .iter()
            .filter_map(|(path, _)| path.strip_prefix(prefix.as_str()).map(str::to_owned))
            .collect();
        let keyring = keyring();
        assert_eq!(keyring.keys(arch).map(|key| key.name().to_owned()).collect::<Vec<_>>(), names);
        for key in keyring.keys(arch) {
            let there = tree.read(&format!("usr/share/apk/keys/{}", key.name())).unwrap();
            assert_eq!(digest::Digest::of(there).to_string(), key.sha256());
        }
    }
}

fn index() -> Option<Index> {
    let file = mirror(INDEX)?;
    Some(Index::open(&file, None, &keyring(), "x86_64", "the index").unwrap())
}

#[test]
fn the_real_index_is_verified_and_read_whole() {
    let Some(index) = index() else { return };
    assert_eq!(index.key, key_name("6165ee59"));
    assert_eq!(index.packages.len(), 4929);
    assert_eq!(index.freshness.description, "v3.16.3-13-g4d933a1fa3");
    let count = |of: fn(&Record) -> bool| index.packages.iter().filter(|package| of(package)).count();
    assert_eq!(count(|package| !package.depends.is_empty()), 3253);
    assert_eq!(count(|package| !package.provides.is_empty()), 2024);
    assert_eq!(count(|package| !package.install_if.is_empty()), 1538);
    assert_eq!(count(|package| package.provider_priority != 0), 72);
    assert_eq!(count(|package| package.maintainer.is_some()), 4789);
    assert_eq!(count(|package| package.build_time.is_some() && package.commit.is_some()), 4929);
    index.freshness.check_not_older_than(&index.freshness.clone(), "the index").unwrap();
}

#[test]
fn the_real_index_is_written_as_it_was_read() {
    let (Some(file), Some(index)) = (mirror(INDEX), index()) else { return };
    let signature = apk::gzip::unpack(&file, 0, 65536, "signature").unwrap();
    let content = apk::gzip::unpack(&file, signature.range.end, 1 << 26, "content").unwrap();
    let written: String = index.packages.iter().map(|package| package.to_lines() + "\n").collect();
    let text = String::from_utf8_lossy(&content.data);
    assert!(text.contains(&written), "the records differ from the index's own text");
}

#[test]
fn a_changed_bit_of_the_index_is_refused_or_says_nothing() {
    let Some(mut file) = mirror(INDEX) else { return };
    let keyring = keyring();
    let real = index().unwrap();
    let signature = apk::gzip::unpack(&file, 0, 65536, "signature").unwrap().range.end;
    // No signature covers its own segment, whose bits may change without a change of what it says.
    for bit in 0..signature * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        if let Ok(index) = Index::open(&file, None, &keyring, "x86_64", "the index") {
            assert_eq!((&index.packages, &index.key), (&real.packages, &real.key), "bit {bit}");
        }
        file[bit / 8] ^= 1 << (bit % 8);
    }
    // Every bit of the next one's header, then one in some hundred bytes of the rest, and its end.
    let bits = (signature * 8..(signature + 12) * 8)
        .chain((signature * 8..file.len() * 8).step_by(16_411))
        .chain((file.len() - 12) * 8..file.len() * 8);
    let mut tried = 0;
    for bit in bits {
        file[bit / 8] ^= 1 << (bit % 8);
        let opened = Index::open(&file, None, &keyring, "x86_64", "the index");
        assert!(opened.is_err(), "bit {bit} of {signature} + {}", file.len() - signature);
        file[bit / 8] ^= 1 << (bit % 8);
        tried += 1;
    }
    assert!(tried > 300, "{tried}");
    Index::open(&file, None, &keyring, "x86_64", "the index").unwrap();
    for cut in [0, 1, signature - 1, signature, signature + 1, file.len() - 1] {
        assert!(Index::open(&file[..cut], None, &keyring, "x86_64", "the index").is_err(), "cut at {cut}");
    }
    file.push(0);
    assert!(Index::open(&file, None, &keyring, "x86_64", "the index").is_err());
}

#[test]
fn the_index_is_refused_for_another_architecture() {
    let Some(file) = mirror(INDEX) else { return };
    let error = Index::open(&file, None, &keyring(), "aarch64", "the index of main").unwrap_err();
    insta::assert_snapshot!(error, @"the index of main is signed by `alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub`, a key for x86_64, not for aarch64");
    let expected = Expected::of(&file);
    Index::open(&file, Some(&expected), &keyring(), "x86_64", "the index").unwrap();
    let wrong = Expected { sha256: digest::Digest::of(b""), size: None };
    assert!(Index::open(&file, Some(&wrong), &keyring(), "x86_64", "the index").is_err());
}

#[test]
fn the_world_resolves_and_each_library_is_there() {
    let Some(index) = index() else { return };
    let world = Dependency::parse_all(WORLD).unwrap();
    let found =
        resolve(&Request { world: &world, repositories: &[&index.packages], installed: &[] }).unwrap();
    assert_eq!(found.len(), 60);
    for package in &found {
        for need in &package.depends {
            let fulfilled = |other: &&&Record| {
                let mut names =
                    other.provides.iter().map(|provide| (&provide.name, provide.version.as_ref()));
                let own = other.name == need.name && need.means(Some(&other.version), other.checksum);
                own || names.any(|(name, version)| *name == need.name && need.means(version, other.checksum))
            };
            assert_eq!(
                found.iter().any(|other| fulfilled(&other)),
                !need.conflict,
                "{need} of {}",
                package.id()
            );
        }
    }
    assert!(
        found.iter().flat_map(|package| &package.depends).filter(|need| need.name.starts_with("so:")).count()
            > 100
    );
    let place = |name: &str| found.iter().position(|package| package.name == name).unwrap();
    assert!(place("musl") < place("busybox") && place("libnftnl") < place("iptables"));
    assert!(world.iter().all(|need| need.versions == Versions::Any));
}

/// `ebtables` is not a package there, but iptables provides it; and the entrypoint of kube-proxy's image starts programs by
/// names that must be iptables'.
#[test]
fn kube_proxys_world_resolves_and_brings_both_kinds_of_iptables() {
    let Some(index) = index() else { return };
    let world = Dependency::parse_all(
        "alpine-baselayout busybox conntrack-tools iptables ip6tables ebtables ipset kmod",
    )
    .unwrap();
    let found =
        resolve(&Request { world: &world, repositories: &[&index.packages], installed: &[] }).unwrap();
    let get = |name: &str| found.iter().find(|package| package.name == name);
    for name in ["conntrack-tools", "iptables", "ip6tables", "ipset", "kmod"] {
        assert!(get(name).is_some(), "no {name}");
    }
    assert!(get("ebtables").is_none());
    let provides = |name: &str| get("iptables").unwrap().provides.iter().any(|provide| provide.name == name);
    for name in ["ebtables", "cmd:xtables-nft-multi", "cmd:xtables-legacy-multi", "cmd:iptables"] {
        assert!(provides(name), "iptables provides no {name}");
    }
    let place = |name: &str| found.iter().position(|package| package.name == name).unwrap();
    assert!(place("libnftnl") < place("iptables") && place("iptables") < place("ip6tables"));
}

/// What an index would say of the real package.
fn package_record(file: &[u8]) -> Record {
    let signature = apk::gzip::unpack(file, 0, 65536, "signature").unwrap();
    let control = apk::gzip::unpack(file, signature.range.end, 1 << 20, "control").unwrap();
    let checksum = Checksum::sha1_of(&file[control.range]);
    let lines =
        format!("C:{checksum}\nP:alpine-baselayout\nV:3.2.0-r23\nA:aarch64\nS:{}\nI:339968\n", file.len());
    apk::index::parse(&lines).unwrap().remove(0)
}

#[test]
fn the_real_package_is_verified_for_its_architecture_only() {
    let Some(file) = mirror(PACKAGE) else { return };
    let record = package_record(&file);
    let package = Package::open(&file, None, &record, &keyring(), "aarch64").unwrap();
    assert_eq!(package.key, key_name("616ae350"));
    assert_eq!(package.scripts.len(), 4);
    assert!(package.entries.iter().any(|entry| entry.path == "sbin/mkmntdirs"));
    let error = Package::open(&file, None, &record, &keyring(), "x86_64").unwrap_err();
    insta::assert_snapshot!(format!("{error:#}"), @"opening alpine-baselayout-3.2.0-r23.apk: alpine-baselayout-3.2.0-r23.apk is signed by `alpine-devel@lists.alpinelinux.org-616ae350.rsa.pub`, a key for aarch64, not for x86_64");
    let rootfs = Rootfs::empty("aarch64").install(&package).unwrap();
    let tree = rootfs.finish(&Dependency::parse_all("alpine-baselayout").unwrap(), 0).unwrap();
    assert_eq!(tree.get("tmp").unwrap().attributes.mode, 0o1777);
    assert!(rootfs_has_script(&tree));
}

fn rootfs_has_script(tree: &Tree) -> bool {
    let scripts = tree.read(database::SCRIPTS).unwrap();
    apk::tarball::entries(scripts, "scripts").unwrap().len() == 4
}

#[test]
fn a_changed_byte_anywhere_in_the_package_is_refused() {
    let Some(mut file) = mirror(PACKAGE) else { return };
    let record = package_record(&file);
    let keyring = keyring();
    let signature = apk::gzip::unpack(&file, 0, 65536, "signature").unwrap().range.end;
    for at in signature..file.len() {
        file[at] ^= 0x10;
        assert!(Package::open(&file, None, &record, &keyring, "aarch64").is_err(), "byte {at}");
        file[at] ^= 0x10;
    }
    Package::open(&file, None, &record, &keyring, "aarch64").unwrap();
}

#[test]
fn a_root_filesystem_is_read_and_its_database_written_as_it_was() {
    for arch in ARCHES {
        let Some(tree) = minirootfs(arch) else { return };
        let text = |path: &str| String::from_utf8(tree.read(path).unwrap().to_vec()).unwrap();
        let scripts = tree.read(database::SCRIPTS).unwrap();
        let read = Database::parse(&text(database::INSTALLED), scripts, &text(database::TRIGGERS)).unwrap();
        assert_eq!(read.packages.len(), 14);
        assert_eq!(read.installed(), text(database::INSTALLED));
        assert_eq!(read.triggers(), text(database::TRIGGERS));
        let again = Database::parse(&read.installed(), &read.scripts(0).unwrap(), &read.triggers()).unwrap();
        assert_eq!(again, read);
        // Each file that the database has is there, as it says.
        for (path, file) in read.packages.iter().flat_map(database::Installed::files) {
            let found = match &tree.get(&path).unwrap_or_else(|| panic!("{path}")).node {
                Node::Symlink(target) => target.as_bytes(),
                _ => tree.read(&path).unwrap(),
            };
            // These two the root filesystem's makers changed.
            if path != "etc/shadow" && path != "etc/motd" {
                assert!(file.checksum.unwrap().is_of(found), "{path}");
            }
        }
        let world = Dependency::parse_all(&text(apk::install::WORLD)).unwrap();
        let rootfs = Rootfs::from_base(tree.clone(), arch).unwrap();
        assert_eq!(rootfs.pending_scripts(), []);
        assert_eq!(rootfs.privileged(), Vec::<&str>::new());
        let finished = rootfs.finish(&world, 0).unwrap();
        for path in [apk::install::WORLD, apk::install::ARCH, database::INSTALLED, database::TRIGGERS] {
            assert_eq!(finished.read(path), tree.read(path), "{path}");
        }
        assert!(Rootfs::from_base(tree, "riscv64").is_err());
    }
}
