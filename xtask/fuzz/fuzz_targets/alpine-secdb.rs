#![no_main]

use alpine::secdb::{Branch, Database};
use apk::version::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut database = Database::default();
    let Ok((branch, _)) = database.add(bytes, "main.json") else { return };
    assert_eq!(Branch::parse(&branch.to_string()), Some(branch));
    for version in ["0", "1.34.1-r5", "2_pre1"] {
        for finding in database.look_up(branch, "busybox", &Version::parse(version).unwrap()).findings {
            assert!(!finding.vulnerability.id.contains(char::is_control));
        }
    }
});
