#![no_main]

use apk::index::Index;
use apk::key::Keyring;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let mut start = 0;
    while let Ok(segment) = apk::gzip::unpack(file, start, 1 << 20, "it") {
        let _ = apk::signature::read(&segment, "it");
        let _ = apk::tarball::entries(&segment.data, "it");
        start = segment.range.end;
    }
    let _ = Index::open(file, None, &Keyring::new(), "x86_64", "it");
});
