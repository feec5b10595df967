#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use toolchain::Lock;

fuzz_target!(|text: &str| {
    let path = Path::new("lock.json");
    if let Ok(lock) = Lock::parse(text, path) {
        assert_eq!(Lock::parse(&lock.to_text().unwrap(), path).unwrap(), lock);
    }
});
