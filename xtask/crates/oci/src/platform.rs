//! The platforms that images are for.

use std::fmt;

use anyhow::Result;
use fault::{Fault, Kind};
use oci_spec::image::{self, Arch, Os, PlatformBuilder};
use serde::{Deserialize, Serialize};

/// Linux on one processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// `linux/amd64`.
    Amd64,
    /// `linux/arm64`, written with its variant `v8`.
    ///
    /// The image specification's table has `v8` for it, and it is what satisfies most clients: containerd and Docker take
    /// `arm64` and `arm64/v8` for the same, while those that compare to the letter find `linux/arm64/v8` only if the
    /// variant is there and `linux/arm64` either way.
    Arm64,
    /// `linux/arm/v7`.
    ArmV7,
}

impl Platform {
    /// The platform of this architecture and variant, as the image specification names them.
    ///
    /// # Errors
    /// [`Kind::Data`] for one that is not known here.
    pub fn new(architecture: &str, variant: Option<&str>) -> Result<Self> {
        let known = [Self::Amd64, Self::Arm64, Self::ArmV7].into_iter();
        let mut same = known
            .filter(|known| known.architecture().to_string() == architecture && known.variant() == variant);
        same.next().ok_or_else(|| {
            let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
            Fault::new(Kind::Data, format!("images for linux/{architecture}{variant} are not known here"))
                .into()
        })
    }

    /// The architecture by Go's name.
    pub fn architecture(self) -> Arch {
        match self {
            Self::Amd64 => Arch::Amd64,
            Self::Arm64 => Arch::ARM64,
            Self::ArmV7 => Arch::ARM,
        }
    }

    /// The variant of the architecture, if it has one.
    pub fn variant(self) -> Option<&'static str> {
        match self {
            Self::Amd64 => None,
            Self::Arm64 => Some("v8"),
            Self::ArmV7 => Some("v7"),
        }
    }

    /// As it stands in a descriptor.
    pub(crate) fn spec(self) -> Result<image::Platform> {
        let builder = PlatformBuilder::default().os(Os::Linux).architecture(self.architecture());
        Ok(match self.variant() {
            Some(variant) => builder.variant(variant).build()?,
            None => builder.build()?,
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture())?;
        self.variant().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_known_by_their_names() {
        for (architecture, variant, text) in [
            ("amd64", None, "linux/amd64"),
            ("arm64", Some("v8"), "linux/arm64/v8"),
            ("arm", Some("v7"), "linux/arm/v7"),
        ] {
            assert_eq!(Platform::new(architecture, variant).unwrap().to_string(), text);
        }
        let error = Platform::new("arm", None).unwrap_err();
        assert_eq!(
            (fault::exit_code(&error), error.to_string().as_str()),
            (3, "images for linux/arm are not known here")
        );
    }
}
