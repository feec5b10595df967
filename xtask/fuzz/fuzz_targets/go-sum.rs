#![no_main]

use gobuild::SumFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(file) = SumFile::parse("go.sum", text) else { return };
    for line in text.lines() {
        let [path, version, sum] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        assert_eq!(file.module(path, version), Some(sum));
    }
});
