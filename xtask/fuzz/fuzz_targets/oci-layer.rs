//! A layer, bare or in gzip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oci::read::{Encoding, EntryKind, Limits, diff_id, list};

const LIMITS: Limits =
    Limits { tar_size: 1 << 22, entries: 1_000, extended_header: 1 << 16, extended_headers: 1 << 20 };

fuzz_target!(|layer: &[u8]| {
    for encoding in [Encoding::Tar, Encoding::Gzip] {
        let Ok(listing) = list(layer, encoding, &LIMITS) else { continue };
        // What is listed is what anyone else may rely on.
        assert_eq!(diff_id(layer, encoding, &LIMITS).unwrap(), (listing.diff_id, listing.tar_size));
        for (path, item) in &listing.items {
            assert!(path.split('/').all(|name| !matches!(name, "" | "." | "..")), "{path:?}");
            if let EntryKind::HardLink(target) = &item.what {
                assert!(
                    matches!(listing.items.get(target), Some(link) if matches!(link.what, EntryKind::File { .. }))
                );
            }
        }
    }
});
