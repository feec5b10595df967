//! What once grew as a square, or worse, does not any more.

use std::path::Path;

use bench::hot::{self, Setup};

/// Paths, with a size and how many times that is still little work.
const PATHS: [(&str, u64, u64); 9] = [
    // Each directory above each file was looked up by its whole name.
    ("read-deep", 32, 8),
    ("layer-deep", 32, 8),
    ("sbom-deep", 32, 8),
    // Each link of a chain was followed from its start.
    ("layer-links", 500, 8),
    // All that was asked for was looked at again with each choice, and all packages with each that came along.
    ("resolver-world", 400, 8),
    // All that was there was copied with each package, in case that it fails.
    ("install", 30, 8),
    // All names were gone through with each file that was replaced, and the lists of directories and files with each taken.
    ("install-over", 400, 8),
    // Each name was compared with all before.
    ("database", 400, 8),
    ("push-tags", 10, 8),
];

/// One test, for it is this process's time that counts.
#[test]
fn time_grows_little_faster_than_the_input() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
    let cpu = |path: &str, size: u64| {
        let scratch = tempfile::tempdir().unwrap();
        let setup = Setup { root, index: None, scratch: scratch.path() };
        hot::find(path).unwrap().measure(&setup, size).unwrap().cpu
    };
    for (path, size, times) in PATHS {
        let (less, more) = (cpu(path, size), cpu(path, size * times));
        let power = (more / less).ln() / f64::from(u32::try_from(times).unwrap()).ln();
        assert!(power < 1.4, "{path}: {times} times the input takes {:.1} times as long", more / less);
    }
}
