//! An archive, unpacked below a directory that nothing may leave.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::unzip::{Limits, unzip};

fuzz_target!(|archive: &[u8]| {
    let dir = tempfile::tempdir().unwrap();
    let (file, to) = (dir.path().join("archive"), dir.path().join("to"));
    std::fs::write(&file, archive).unwrap();
    std::fs::create_dir(&to).unwrap();
    let _ = unzip(&file, &to, "", Limits { entries: 100, bytes: 1 << 20 });
    let beside = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(beside, 2, "something was written beside the directory");
});
