#![no_main]

use apk::version::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    if let (Ok(a), Ok(b)) = (Version::parse(texts.0), Version::parse(texts.1)) {
        assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        let _ = a.compare_fuzzy(&b);
    }
});
