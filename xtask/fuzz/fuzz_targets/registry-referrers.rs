#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(listed) = registry::listed(bytes) {
        assert!(listed.iter().all(|(digest, _)| digest.hex().len() == 64));
    }
});
