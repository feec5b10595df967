#![no_main]

use gobuild::ModFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(file) = ModFile::parse("go.mod", text) else { return };
    let written = file.text(&[]);
    let again = ModFile::parse("go.mod", &written).expect("what is written can be read");
    assert_eq!(again, file, "{written}");
});
