//! The gzip members that Alpine's files are put together from: a signature, a control segment, data.

use std::io::Read;
use std::ops::Range;

use anyhow::Result;
use fault::{Fault, Kind};
use flate2::bufread::GzDecoder;

/// What files of apk-tools 3 begin with: as they are, packed by deflate, or by a method that follows (apk-v3(5)).
const V3: [&[u8]; 3] = [b"ADB.", b"ADBd", b"ADBc"];

/// One gzip member of a file.
#[derive(Debug)]
pub struct Segment {
    /// Where it lies in the file, compressed.
    pub range: Range<usize>,
    /// What it holds.
    pub data: Vec<u8>,
}

/// Unpacks the member that starts at `start` of `file`. `what` names it in errors, and more than `limit` bytes
/// are one: nothing beyond them is unpacked.
pub fn unpack(file: &[u8], start: usize, limit: usize, what: &str) -> Result<Segment> {
    let invalid = |why: String| Fault::new(Kind::Mismatch, format!("{what} {why}"));
    let rest =
        file.get(start..).filter(|rest| !rest.is_empty()).ok_or_else(|| invalid("is missing".to_owned()))?;
    if start == 0 && V3.iter().any(|magic| rest.starts_with(magic)) {
        return Err(Fault::new(Kind::Mismatch, format!("{what} is in the format of apk-tools 3 (ADB)"))
            .help("only format 2 is read: name a branch or a mirror that has it")
            .into());
    }
    let mut decoder = GzDecoder::new(rest);
    let mut data = Vec::new();
    (&mut decoder)
        .take(limit as u64 + 1)
        .read_to_end(&mut data)
        .map_err(|error| invalid(format!("is not a complete gzip file: {error}")))?;
    if data.len() > limit {
        return Err(invalid(format!("unpacks to more than {limit} bytes")).into());
    }
    let end = file.len() - decoder.into_inner().len();
    Ok(Segment { range: start..end, data })
}

/// Fails unless the file ends where its last segment does.
pub fn end(file: &[u8], last: &Segment, what: &str) -> Result<()> {
    let extra = file.len() - last.range.end;
    if extra == 0 {
        return Ok(());
    }
    Err(Fault::new(Kind::Mismatch, format!("{what} has {extra} bytes after its last segment")).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, GzBuilder};
    use proptest::prelude::*;
    use std::io::Write;

    fn pack(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzBuilder::new().operating_system(3).write(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_are_told_apart() {
        let file = [pack(b"one"), pack(b"two"), b"tail".to_vec()].concat();
        let one = unpack(&file, 0, 3, "the first").unwrap();
        let two = unpack(&file, one.range.end, 3, "the second").unwrap();
        assert_eq!((one.data, two.data.as_slice()), (b"one".to_vec(), b"two".as_slice()));
        insta::assert_snapshot!(end(&file, &two, "it").unwrap_err(), @"it has 4 bytes after its last segment");
        insta::assert_snapshot!(unpack(&file, 0, 2, "it").unwrap_err(), @"it unpacks to more than 2 bytes");
        insta::assert_snapshot!(unpack(&file, file.len(), 2, "it").unwrap_err(), @"it is missing");
        assert!(unpack(&file, two.range.end, 99, "it").is_err());
        assert!(unpack(&file, file.len() + 1, 99, "it").is_err());
    }

    #[test]
    fn the_format_of_apk_3_is_named() {
        insta::assert_snapshot!(unpack(b"ADBd\x05\x80", 0, 9, "the index").unwrap_err(), @"the index is in the format of apk-tools 3 (ADB)");
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_limit() {
        let bomb = pack(&vec![0; 32 << 20]);
        assert!(bomb.len() < 64 << 10);
        let error = unpack(&bomb, 0, 1 << 20, "the bomb").unwrap_err();
        insta::assert_snapshot!(error, @"the bomb unpacks to more than 1048576 bytes");
    }

    proptest! {
        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            // The header that `gzip -n -9` writes.
            let file = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3], &bytes[..]].concat();
            for file in [bytes, file] {
                if let Ok(segment) = unpack(&file, 0, 1000, "it") {
                    prop_assert!(segment.range.end <= file.len());
                }
            }
        }
    }
}
