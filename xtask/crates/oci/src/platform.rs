//! The platforms that images are for.

use std::fmt;
use std::str::FromStr;

use fault::{Fault, Kind};
use oci_spec::image::{self, Arch, Os, PlatformBuilder};
use serde::{Serialize, Serializer};

/// Linux on one processor architecture, as `linux/arm/v7`. Which there are is for the caller to say.
///
/// arm64 is best named with its variant `v8`. The image specification's table has it, and it is what satisfies most
/// clients: containerd and Docker take `arm64` and `arm64/v8` for the same, while those that compare to the letter find
/// `linux/arm64/v8` only if the variant is there and `linux/arm64` either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    architecture: Arch,
    variant: Option<String>,
}

impl FromStr for Platform {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let name = text.strip_prefix("linux/").unwrap_or_default();
        let (architecture, variant) =
            name.split_once('/').map_or((name, None), |(name, variant)| (name, Some(variant.to_owned())));
        match Arch::from(architecture) {
            Arch::Other(_) => {
                let message = format!("images for {text} are not known to the image specification");
                Err(Fault::new(Kind::InvalidData, message))
            }
            architecture => Ok(Self { architecture, variant }),
        }
    }
}

impl Platform {
    /// The architecture by Go's name.
    pub fn architecture(&self) -> &Arch {
        &self.architecture
    }

    /// The variant of the architecture, if it has one.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// As it stands in a descriptor.
    pub(crate) fn spec(&self) -> anyhow::Result<image::Platform> {
        let builder = PlatformBuilder::default().os(Os::Linux).architecture(self.architecture.clone());
        Ok(match self.variant() {
            Some(variant) => builder.variant(variant).build()?,
            None => builder.build()?,
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        self.variant().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_known_by_their_names() {
        for text in ["linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/riscv64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for text in ["linux/amd46", "windows/amd64", "linux/", "linux"] {
            let error = text.parse::<Platform>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("images for {text} are not known to the image specification")
            );
        }
    }
}
