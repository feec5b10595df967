#![no_main]

use apk::tarball::{EntryKind, entries};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|archive: &[u8]| {
    for entry in entries(archive, "it").unwrap_or_default() {
        if let EntryKind::File(range) = entry.kind {
            assert!(archive.get(range).is_some());
        }
        let _ = apk::path::check(&entry.path);
    }
});
