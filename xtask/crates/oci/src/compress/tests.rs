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
        flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut back).unwrap();
        assert_eq!(back, data);
    }
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
    for (name, version) in [("zlib-rs", ZLIB_RS), ("libdeflate-sys", LIBDEFLATE)] {
        assert!(
            lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")),
            "{name} {version} is not in Cargo.lock: change the constant, and expect other digests of all layers"
        );
    }
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
