//! A world, an empty line, and an index.
#![no_main]

use apk::depend::Dependency;
use apk::resolve::{Request, resolve};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (world, index) = text.split_once("\n\n").unwrap_or_default();
    let (Ok(world), Ok(packages)) = (Dependency::parse_all(world), apk::index::parse(index)) else {
        return;
    };
    let _ = resolve(&Request { world: &world, repositories: &[&packages], installed: &[] });
});
