#![no_main]

use apk::key::{Hash, Key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|pem: &[u8]| {
    if let Ok(key) = Key::from_pem("fuzz.rsa.pub", pem) {
        let _ = key.verifies(Hash::Sha1, b"", pem);
    }
});
