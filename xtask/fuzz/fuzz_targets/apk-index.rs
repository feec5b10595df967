#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for record in apk::index::parse(text).unwrap_or_default() {
        let _ = record.to_lines();
    }
});
