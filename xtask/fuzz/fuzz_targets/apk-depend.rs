#![no_main]

use apk::depend::{Dependency, Provide};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(dependency) = Dependency::parse(text) {
        assert_eq!(Dependency::parse(&dependency.to_string()).unwrap(), dependency);
    }
    let _ = Provide::parse_all(text);
});
