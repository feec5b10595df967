#![no_main]

use apk::depend::Dependency;
use apk::resolve::{Request, resolve};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (Ok(world), Ok(packages)) = (Dependency::parse_all(texts.0), apk::index::parse(texts.1)) else {
        return;
    };
    let _ = resolve(&Request { world: &world, repositories: &[&packages], installed: &[] });
});
