//! `WWW-Authenticate` and `Link`, as a registry sends them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use registry::{Challenge, challenges, next};

fuzz_target!(|header: &str| {
    for challenge in challenges(header) {
        if let Challenge::Bearer { realm, service } = challenge {
            assert!(header.contains(&realm));
            assert!(service.is_none_or(|service| header.contains(&service)));
        }
    }
    if let Some(target) = next(header) {
        assert!(header.contains(&format!("<{target}>")));
    }
});
