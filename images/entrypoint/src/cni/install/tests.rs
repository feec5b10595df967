use super::*;

/// An image's directory with joined plugins of this content, and a host's.
struct Dirs(PathBuf);

impl Dirs {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("entrypoint-cni-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("host")).unwrap();
        Self(dir)
    }

    fn host(&self) -> PathBuf {
        self.0.join("host")
    }

    fn install(&self, content: &str, names: &[&str]) -> Result<Done, String> {
        let image = self.0.join("image");
        let _ = fs::remove_dir_all(&image);
        fs::create_dir(&image).unwrap();
        fs::write(image.join(names[0]), content).unwrap();
        for name in &names[1..] {
            fs::hard_link(image.join(names[0]), image.join(name)).unwrap();
        }
        let source = Source::of(File::open(image).unwrap().into()).unwrap();
        install(&source, &self.host(), content)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.host()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Dirs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_version_replaces_another_and_keeps_what_it_no_longer_has() {
    let dirs = Dirs::new("versions");
    assert_eq!(dirs.install("one", &["bridge", "vlan"]).unwrap().installed, ["bridge", "vlan"]);
    assert_eq!(dirs.install("one", &["bridge", "vlan"]).unwrap().current, ["bridge", "vlan"]);
    let done = dirs.install("two", &["bridge", "ptp"]).unwrap();
    assert_eq!((done.installed.len(), done.foreign.len()), (2, 0));
    assert_eq!(fs::read_to_string(dirs.host().join("vlan")).unwrap(), "one");
    let manifest = read(&dirs.host()).unwrap().unwrap();
    assert_eq!((manifest.release.as_str(), manifest.files.len()), ("two", 3));
    assert!(remove(&dirs.host()).unwrap().ends_with(": 3 plugins removed"));
    assert!(dirs.names().is_empty());
}

#[test]
fn an_interrupted_run_is_made_good() {
    let dirs = Dirs::new("interrupted");
    dirs.install("one", &["bridge", "vlan"]).unwrap();
    // As if the second version's run had ended after its first rename: both hashes are in the manifest.
    let mut manifest = read(&dirs.host()).unwrap().unwrap();
    fs::write(temporary(&dirs.host(), "file"), "two").unwrap();
    let hash = sha256(File::open(temporary(&dirs.host(), "file")).unwrap()).unwrap();
    manifest.add("bridge", &hash);
    manifest.add("vlan", &hash);
    write_manifest(&dirs.host(), &manifest).unwrap();
    fs::rename(temporary(&dirs.host(), "file"), dirs.host().join("bridge")).unwrap();
    fs::write(temporary(&dirs.host(), "link"), "half").unwrap();

    let done = dirs.install("two", &["bridge", "vlan"]).unwrap();
    assert_eq!((done.installed, done.current), (vec!["vlan".to_owned()], vec!["bridge".to_owned()]));
    assert_eq!(dirs.names(), [FILE, "bridge", "vlan"]);
    assert!(remove(&dirs.host()).unwrap().contains("2 plugins removed"));
}

#[test]
fn every_byte_is_compared() {
    for length in [0, 1, 15, 16, 17, 40] {
        let bytes: Vec<u8> = (0..length).collect();
        assert!(same_bytes(&bytes, &bytes));
        assert!(!same_bytes(&bytes, &[&bytes[..], &[0]].concat()));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(!same_bytes(&bytes, &other), "{at} of {length}");
        }
    }
}

#[test]
fn what_is_no_file_is_the_hosts() {
    let dirs = Dirs::new("foreign");
    fs::create_dir(dirs.host().join("bridge")).unwrap();
    std::os::unix::fs::symlink("nowhere", dirs.host().join("vlan")).unwrap();
    let done = dirs.install("one", &["bridge", "ptp", "vlan"]).unwrap();
    assert_eq!((done.installed, done.foreign.len()), (vec!["ptp".to_owned()], 2));
    assert!(dirs.host().join("vlan").is_symlink());
}

#[test]
fn a_directory_by_a_temporary_name_blocks_nothing_and_is_left_alone() {
    let dirs = Dirs::new("blocked");
    for name in ["file", "file.1", "link", "new"] {
        fs::create_dir_all(dirs.host().join(format!("{FILE}.{name}")).join("x")).unwrap();
    }
    let before = dirs.names().len();
    assert_eq!(dirs.install("one", &["bridge", "vlan"]).unwrap().installed, ["bridge", "vlan"]);
    assert_eq!(dirs.install("two", &["bridge"]).unwrap().installed, ["bridge"]);
    assert_eq!(dirs.names().len(), before + 3, "{:?}", dirs.names());
    assert!(dirs.host().join(format!("{FILE}.file.1/x")).is_dir());
    assert!(remove(&dirs.host()).unwrap().ends_with(": 2 plugins removed"));
}

#[test]
fn pipes_in_the_directory_are_waited_for_by_nobody() {
    use crate::regular::tests::{in_time, specials};
    let others = Dirs::new("specials");
    for (number, (special, what)) in specials(&others.0).into_iter().enumerate() {
        let dirs = Dirs::new(&format!("special-{number}"));
        std::os::unix::fs::symlink(&special, dirs.host().join(FILE)).unwrap();
        // A plugin of this name is not from here, and a temporary one is nobody's.
        std::os::unix::fs::symlink(&special, dirs.host().join("vlan")).unwrap();
        std::os::unix::fs::symlink(&special, dirs.host().join(format!("{FILE}.file"))).unwrap();
        in_time(move || {
            let why = dirs.install("one", &["bridge", "vlan"]).unwrap_err();
            assert_eq!(why, format!("{FILE}: it is {what}, not a regular file"));
            assert_eq!(remove(&dirs.host()).unwrap_err(), why);
            fs::remove_file(dirs.host().join(FILE)).unwrap();
            assert_eq!(dirs.install("one", &["bridge", "vlan"]).unwrap().foreign, ["vlan"]);
            assert_eq!(dirs.names(), [FILE, "bridge", "vlan"]);
        });
    }
}

#[test]
fn who_locks_the_directory_keeps_only_those_waiting_who_have_to_write() {
    let dirs = Dirs::new("locked");
    dirs.install("one", &["bridge"]).unwrap();
    let held = lock(&dirs.host()).unwrap();
    let begin = std::time::Instant::now();
    assert_eq!(dirs.install("one", &["bridge"]).unwrap().current, ["bridge"]);
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
    let why = dirs.install("two", &["bridge"]).unwrap_err();
    assert!(why.contains("locked (flock) by process"), "{why}");
    assert!(begin.elapsed() < std::time::Duration::from_mins(1));
    drop(held);
    assert_eq!(dirs.install("two", &["bridge"]).unwrap().installed, ["bridge"]);
    // Of an interrupted run there is something to be removed.
    fs::write(dirs.host().join(format!("{FILE}.link")), "").unwrap();
    assert!(dirs.install("two", &["bridge"]).unwrap().installed.is_empty());
    assert_eq!(dirs.names(), [FILE, "bridge"]);
}
