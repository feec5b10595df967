use std::io::{self, Read};

use super::*;

fn compress(compression: Compression, data: &[u8]) -> Vec<u8> {
    let mut encoder = compression.start(Vec::new(), &progress::Silent).unwrap();
    data.chunks(1000).for_each(|piece| encoder.piece(piece).unwrap());
    encoder.finish().unwrap()
}

fn numbers() -> Vec<u8> {
    (0..20_000_u32).flat_map(|n| (n * n).to_le_bytes()).collect()
}

#[test]
fn what_is_compressed_as_gzip_comes_back_and_the_header_tells_nothing() {
    let data = numbers();
    for gzip in [Gzip::Fast, Gzip::Best] {
        let bytes = compress(Compression::Gzip(gzip), &data);
        assert!(bytes.len() < data.len());
        assert_eq!(bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "{gzip:?}");
        assert_eq!(bytes[9], 255);
        let mut back = Vec::new();
        flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut back).unwrap();
        assert_eq!(back, data);
    }
}

#[test]
fn quick_gzip_is_a_member_for_each_piece_of_the_data_however_it_came() {
    let data: Vec<u8> = numbers().into_iter().cycle().take(2 * MEMBER + 1).collect();
    let gzip = Compression::Gzip(Gzip::Fast);
    let bytes = compress(gzip, &data);
    let whole = {
        let mut encoder = gzip.start(Vec::new(), &progress::Silent).unwrap();
        encoder.piece(&data).unwrap();
        encoder.finish().unwrap()
    };
    assert!(bytes == whole, "pieces have a say");
    let (mut left, mut members) = (&*bytes, Vec::new());
    while !left.is_empty() {
        let mut decoder = flate2::bufread::GzDecoder::new(left);
        members.push(io::copy(&mut decoder, &mut io::sink()).unwrap());
        left = decoder.into_inner();
    }
    assert_eq!(members, [MEMBER as u64, MEMBER as u64, 1]);
    // Nothing is a member as well, and what ends where a member does has none that is empty.
    assert!(!compress(gzip, &[]).is_empty());
    assert_eq!(compress(gzip, &data[..MEMBER])[..], bytes[..compress(gzip, &data[..MEMBER]).len()]);
}

#[test]
fn what_is_compressed_as_zstd_comes_back_from_one_frame_that_states_its_size() {
    let data = numbers();
    let bytes = compress(Compression::Zstd, &data);
    assert!(bytes.len() < data.len());
    assert_eq!(zstd::zstd_safe::find_frame_compressed_size(&bytes), Ok(bytes.len()));
    assert_eq!(zstd::zstd_safe::get_frame_content_size(&bytes).unwrap(), Some(data.len() as u64));
    assert_eq!(zstd::stream::decode_all(&*bytes).unwrap(), data);
}

#[test]
fn measuring_is_compressing() {
    let data = numbers();
    for compression in Compression::ALL {
        let expected = compress(compression, &data).len() as u64;
        assert_eq!(compression.measure(&data).unwrap(), expected, "{compression:?}");
    }
}

#[test]
fn the_recorded_encoders_are_the_locked_ones() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../Cargo.lock")).unwrap();
    assert!(
        lock.contains(&format!("name = \"libdeflate-sys\"\nversion = \"{LIBDEFLATE}\"\n")),
        "libdeflate {LIBDEFLATE} is not in Cargo.lock: change the constant, and expect other digests of all layers"
    );
    // The one that runs: the crate can be made to link the machine's own.
    assert_eq!(zstd::zstd_safe::version_string(), ZSTD, "expect other digests of all zstd layers");
}

#[test]
fn a_writer_that_fails_fails_the_compression() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for compression in Compression::ALL {
        let mut encoder = compression.start(Full, &progress::Silent).unwrap();
        let error = encoder.piece(b"x").and_then(|()| encoder.finish().map(|_| ())).unwrap_err();
        assert_eq!(fault::exit_code(&error), 10);
    }
}
