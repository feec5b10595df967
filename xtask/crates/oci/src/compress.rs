//! Compression of layers. Which encoder made a layer is part of what it is: another one, or another version of it,
//! gives other bytes, so [`Compression::encoder`] belongs in every cache key and every record of a build.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flate2::write::GzEncoder;
use libdeflater::{CompressionLvl, Compressor};
use oci_spec::image::MediaType;
use progress::Task;
use serde::{Deserialize, Serialize};

/// Levels are part of every layer's digest.
const FAST_LEVEL: u32 = 6;
const BEST_LEVEL: i32 = 12;
/// The versions that Cargo.lock pins; a test compares.
const ZLIB_RS: &str = "0.6.8";
const LIBDEFLATE: &str = "1.26.1";
/// How often a wait looks whether the user interrupted.
const POLL: Duration = Duration::from_millis(50);

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compression {
    /// gzip, which every runtime and registry reads.
    Gzip(Gzip),
}

/// Which encoder writes gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gzip {
    /// zlib-rs: streaming, for builds one waits for.
    Fast,
    /// libdeflate's slowest level: the smallest layers, with the whole archive and its compressed form in memory.
    Best,
}

impl Compression {
    /// The encoder with its version and level, such as `libdeflate 1.26.1/12`.
    pub fn encoder(self) -> String {
        match self {
            Self::Gzip(Gzip::Fast) => format!("zlib-rs {ZLIB_RS}/{FAST_LEVEL}"),
            Self::Gzip(Gzip::Best) => format!("libdeflate {LIBDEFLATE}/{BEST_LEVEL}"),
        }
    }

    /// The media type of a layer compressed so.
    pub fn media_type(self) -> MediaType {
        match self {
            Self::Gzip(_) => MediaType::ImageLayerGzip,
        }
    }

    /// An encoder that writes to `out` and reports bytes to `task` once they are compressed.
    pub(crate) fn start<'a, W: Write + 'a>(self, out: W, task: &'a dyn Task) -> Box<dyn Encoder<W> + 'a> {
        match self {
            // No time, no name, no operating system in the header.
            Self::Gzip(Gzip::Fast) => Box::new(Streaming {
                encoder: flate2::GzBuilder::new()
                    .mtime(0)
                    .operating_system(255)
                    .write(out, flate2::Compression::new(FAST_LEVEL)),
                task,
            }),
            Self::Gzip(Gzip::Best) => Box::new(Whole { data: Vec::new(), out, task }),
        }
    }
}

/// Compresses what it is given in pieces. Pieces must not depend on the machine: a streaming encoder may give other
/// bytes for the same data in other pieces.
pub(crate) trait Encoder<W> {
    /// Takes the next piece.
    fn piece(&mut self, bytes: &[u8]) -> Result<()>;

    /// Compresses what is left and gives the writer back.
    fn finish(self: Box<Self>) -> Result<W>;
}

struct Streaming<'a, W: Write> {
    encoder: GzEncoder<W>,
    task: &'a dyn Task,
}

impl<W: Write> Encoder<W> for Streaming<'_, W> {
    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.encoder.write_all(bytes)?;
        self.task.advance(bytes.len() as u64);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<W> {
        Ok(self.encoder.finish()?)
    }
}

struct Whole<'a, W> {
    data: Vec<u8>,
    out: W,
    task: &'a dyn Task,
}

impl<W: Write> Encoder<W> for Whole<'_, W> {
    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.data.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<W> {
        let bytes = self.data.len() as u64;
        let compressed = on_a_thread(std::mem::take(&mut self.data))?;
        self.task.advance(bytes);
        self.out.write_all(&compressed)?;
        Ok(self.out)
    }
}

/// Compresses on a thread of its own: libdeflate cannot be stopped, so at an interrupt the thread is left behind to
/// end with the process.
fn on_a_thread(data: Vec<u8>) -> Result<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::Builder::new()
        .name("libdeflate".to_owned())
        .spawn(move || {
            // Nobody listens any more after an interrupt.
            let _ = send.send(libdeflate(&data));
        })
        .context("cannot start a thread to compress on")?;
    loop {
        match receive.recv_timeout(POLL) {
            Ok(compressed) => return compressed,
            Err(RecvTimeoutError::Timeout) => exec::interrupt::check()?,
            Err(RecvTimeoutError::Disconnected) => bail!("the compressing thread died"),
        }
    }
}

/// One gzip member; libdeflate's header has no time, no name and operating system 255 already.
fn libdeflate(data: &[u8]) -> Result<Vec<u8>> {
    let level = CompressionLvl::new(BEST_LEVEL).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut compressor = Compressor::new(level);
    let mut compressed = vec![0; compressor.gzip_compress_bound(data.len())];
    let length = compressor.gzip_compress(data, &mut compressed)?;
    compressed.truncate(length);
    Ok(compressed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const ALL: [Compression; 2] = [Compression::Gzip(Gzip::Fast), Compression::Gzip(Gzip::Best)];

    fn compress(compression: Compression, data: &[u8]) -> Vec<u8> {
        let mut encoder = compression.start(Vec::new(), &progress::Silent);
        data.chunks(1000).for_each(|piece| encoder.piece(piece).unwrap());
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_comes_back_and_the_header_tells_nothing() {
        let data: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        for compression in ALL {
            let bytes = compress(compression, &data);
            assert!(bytes.len() < data.len());
            assert_eq!(bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "{compression:?}");
            assert_eq!(bytes[9], 255);
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut back).unwrap();
            assert_eq!(back, data);
        }
    }

    #[test]
    fn the_recorded_encoders_are_the_locked_ones() {
        let lock =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../Cargo.lock")).unwrap();
        for (name, version) in [("zlib-rs", ZLIB_RS), ("libdeflate-sys", LIBDEFLATE)] {
            assert!(
                lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")),
                "{name} {version} is not in Cargo.lock: change the constant, and expect other digests of all layers"
            );
        }
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
        for compression in ALL {
            let mut encoder = compression.start(Full, &progress::Silent);
            let error = encoder.piece(b"x").and_then(|()| encoder.finish().map(|_| ())).unwrap_err();
            assert_eq!(fault::exit_code(&error), 10);
        }
    }
}
