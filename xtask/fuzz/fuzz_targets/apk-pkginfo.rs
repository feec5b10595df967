#![no_main]

use apk::pkginfo::PackageInfo;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = PackageInfo::parse(text);
});
