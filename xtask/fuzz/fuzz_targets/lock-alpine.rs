#![no_main]

use alpine::lock::Lock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(lock) = Lock::parse(text, "lock.json") {
        assert_eq!(Lock::parse(&lock.to_text().unwrap(), "lock.json").unwrap(), lock);
    }
});
