//! Compression of layers. Which encoder made a layer is part of what it is: another one, or another version of it,
//! gives other bytes, so [`Compression::encoder`] belongs in every cache key and every record of a build.

mod encoders;
mod members;

use std::io::Write;

use anyhow::Result;
use oci_spec::image::MediaType;
use progress::Task;
use serde::{Deserialize, Serialize};

use encoders::{Threaded, Whole};
use members::Members;

/// Levels are part of every layer's digest.
const FAST_LEVEL: i32 = 4;
/// How much of the data each member of a quick gzip has: it costs 0.15 % of the layer that none refers to another.
const MEMBER: usize = 1 << 20;
const BEST_LEVEL: u32 = 12;
const ZSTD_LEVEL: i32 = 22;
/// The base-2 logarithm of how far back a zstd layer refers to itself, and of the memory that a decoder needs for that.
const ZSTD_WINDOW: u32 = 25;
/// The versions that Cargo.lock pins; a test compares.
const LIBDEFLATE: &str = "1.26.1";
const ZSTD: &str = "1.5.7";

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compression {
    /// gzip, which every runtime and registry reads.
    Gzip(Gzip),
    /// zstd at its strongest, with the whole archive and its compressed form in memory: smaller, for runtimes that read
    /// it (containerd 1.5, Docker 23, Podman, CRI-O).
    Zstd,
}

/// Which encoder writes gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gzip {
    /// libdeflate's level 4 in members that are compressed side by side, for builds one waits for.
    Fast,
    /// libdeflate's slowest level: the smallest layers, on two threads.
    Best,
}

impl Default for Compression {
    /// What is released: [`Gzip::Best`].
    fn default() -> Self {
        Self::Gzip(Gzip::Best)
    }
}

impl Compression {
    /// Every one.
    pub const ALL: [Compression; 3] = [Self::Gzip(Gzip::Fast), Self::Gzip(Gzip::Best), Self::Zstd];

    /// The encoder with its version and level, such as `libdeflate 1.26.1/12`.
    pub fn encoder(self) -> String {
        match self {
            Self::Gzip(Gzip::Fast) => format!("libdeflate {LIBDEFLATE}/{FAST_LEVEL} members of {MEMBER}"),
            Self::Gzip(Gzip::Best) => format!("libdeflate {LIBDEFLATE}/{BEST_LEVEL}"),
            Self::Zstd => format!("zstd {ZSTD}/{ZSTD_LEVEL} window {ZSTD_WINDOW}"),
        }
    }

    /// What sets the layouts and tags of images compressed so apart from the released ones: `-zstd`.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gzip(_) => "",
            Self::Zstd => "-zstd",
        }
    }

    /// The media type of a layer compressed so.
    /// Source: OCI image-spec, layer.md, `+gzip` and `+zstd` media types.
    pub fn media_type(self) -> MediaType {
        match self {
            Self::Gzip(_) => MediaType::ImageLayerGzip,
            Self::Zstd => MediaType::ImageLayerZstd,
        }
    }

    /// How many bytes `data` has once compressed, without keeping them.
    ///
    /// # Errors
    /// `Interrupted`, and what the encoder gives.
    pub fn measure(self, data: &[u8]) -> Result<u64> {
        struct Count(u64);
        impl Write for Count {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0 += bytes.len() as u64;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut encoder = self.start(Count(0), &progress::Silent)?;
        encoder.piece(data)?;
        encoder.finish().map(|count| count.0)
    }

    /// An encoder that writes to `out` and reports bytes to `task` once they are compressed.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start<'a, W: Write + 'a>(
        self,
        out: W,
        task: &'a dyn Task,
    ) -> Result<Box<dyn Encoder<W> + 'a>> {
        Ok(match self {
            Self::Gzip(Gzip::Fast) => Box::new(Members::new(out, task)?),
            Self::Gzip(Gzip::Best) => Box::new(Threaded::new(out, task)?),
            Self::Zstd => Box::new(Whole::new(out, task)),
        })
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

#[cfg(test)]
mod tests;
