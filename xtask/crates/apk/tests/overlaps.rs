//! Two packages with the same file: who keeps it, here and by the real apk 2.12.7.

mod common;

use std::fs;
use std::path::Path;

use apk::install::Rootfs;
use apk::key::Keyring;
use apk::package::Package;
use apk::record::Record;
use apk::testrepo::{ArchiveMember, PackageMaker, Parts, Signer};
use common::real_apk::RealApk;

/// What a package says of the other one.
#[derive(Clone, Copy, Debug)]
struct Says {
    replaces: bool,
    priority: Option<u32>,
    origin: Option<&'static str>,
}

fn all() -> Vec<Says> {
    let mut all = Vec::new();
    for replaces in [false, true] {
        for priority in [None, Some(1), Some(2)] {
            for origin in [None, Some("one"), Some("two")] {
                all.push(Says { replaces, priority, origin });
            }
        }
    }
    all
}

fn make(signer: &Signer, name: &str, other: &str, needs: &str, says: Says) -> Parts {
    let file = format!("f/{}", name.trim_start_matches(|c: char| c.is_ascii_alphabetic()));
    let items = vec![ArchiveMember::directory("f"), ArchiveMember::file(&file, name.as_bytes())];
    let mut maker = PackageMaker::new(name, "1-r0", "x86_64", items);
    maker.index = format!("{needs}{}", says.origin.map_or(String::new(), |origin| format!("o:{origin}\n")));
    if says.replaces {
        maker.info.push_str(&format!("replaces = {other}\n"));
    }
    if let Some(priority) = says.priority {
        maker.info.push_str(&format!("replaces_priority = {priority}\n"));
    }
    maker.make(signer).unwrap()
}

#[test]
fn the_same_file_is_kept_by_whom_apk_lets_keep_it() {
    let Some(apk) = RealApk::new() else { return };
    let signer = Signer::new("test.rsa.pub", 5).unwrap();
    let mut keyring = Keyring::new();
    keyring.trust("x86_64", signer.key().unwrap());
    let repository = apk.dir().join("repository");
    fs::create_dir_all(repository.join("x86_64")).unwrap();
    let mut cases = Vec::new();
    for first in all() {
        for second in all() {
            let (one, two) = (format!("one{}", cases.len()), format!("two{}", cases.len()));
            let parts = [
                make(&signer, &one, &two, "", first),
                make(&signer, &two, &one, &format!("D:{one}\n"), second),
            ];
            cases.push((first, second, parts));
        }
    }
    let parts = || cases.iter().flat_map(|(_, _, parts)| parts);
    let records: Vec<Record> = parts().map(|parts| parts.record.clone()).collect();
    fs::write(repository.join("x86_64/APKINDEX.tar.gz"), signer.index("test", &records).unwrap()).unwrap();
    for parts in parts() {
        fs::write(repository.join("x86_64").join(parts.record.file_name()), parts.file()).unwrap();
    }
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (root, keys) = (apk.dir().join("theirs"), apk.dir().join("keys"));
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("test.rsa.pub"), signer.pem()).unwrap();
    let (root_text, keys, repository) = (path(&root), path(&keys), path(&repository));
    let flags = ["--root", &root_text, "--arch", "x86_64", "--keys-dir", &keys, "--initdb"];
    let names: Vec<String> = (0..cases.len()).map(|at| format!("two{at}")).collect();
    let add = ["--repositories-file", "/dev/null", "-X", &repository, "add"];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // It fails for the files that it refuses, and goes on with the others.
    let refused = apk.complaints(&[&flags[..], &add, &names].concat());
    let mut differ = Vec::new();
    for (at, (first, second, parts)) in cases.iter().enumerate() {
        let theirs = if refused.contains(&format!("overwrite f/{at} owned")) {
            "refused".to_owned()
        } else {
            fs::read_to_string(root.join(format!("f/{at}"))).unwrap()
        };
        let mut rootfs = Rootfs::empty("x86_64");
        let mut placed = Ok(());
        for parts in parts {
            let package = Package::open(&parts.file(), None, &parts.record, &keyring, "x86_64").unwrap();
            placed = rootfs.clone().install(&package).map(|next| rootfs = next);
        }
        let ours = match placed {
            Ok(()) => String::from_utf8(rootfs.tree().read(&format!("f/{at}")).unwrap().to_vec()).unwrap(),
            Err(_) => "refused".to_owned(),
        };
        if ours != theirs {
            differ.push(format!("{first:?} then {second:?}: apk {theirs}, here {ours}"));
        }
    }
    let kept = |whom: &str| {
        (0..cases.len())
            .filter(|at| {
                fs::read_to_string(root.join(format!("f/{at}"))).is_ok_and(|text| text.starts_with(whom))
            })
            .count()
    };
    eprintln!("{} cases; the first keeps {}, the second takes {}", cases.len(), kept("one"), kept("two"));
    assert!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), cases.len(), differ.join("\n"));
}
