#![no_main]

use catalog::{Attributes, Catalog};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(catalog) = Catalog::parse(text, "catalog.toml") else { return };
    let attributes = Attributes::of(&catalog);
    for attribute in attributes.iter() {
        let _ = (attribute.tag(), attribute.reference());
        assert!(attributes.get(&attribute.name).is_ok(), "{}", attribute.name);
    }
});
