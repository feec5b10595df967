//! `WWW-Authenticate` and `Link`, as a registry sends them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use registry::{Challenge, challenge, next};

fuzz_target!(|header: &str| {
    if let Some(Challenge::Bearer { realm, service }) = challenge(header) {
        assert!(header.contains(&realm));
        assert!(service.is_none_or(|service| header.contains(&service)));
    }
    if let Some(target) = next(header) {
        assert!(header.contains(&format!("<{target}>")));
    }
});
