//! What differs between the architectures that machines are emulated for: Debian's names, emulators, boards, consoles. What
//! an image's architecture is called elsewhere, `images/catalog.toml` says; a test compares what both have to say.

use fault::{Fault, Kind};
use serde::Serialize;

/// An architecture, as images name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARM.
    Arm32v7,
}

impl Arch {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Amd64, Self::Arm64, Self::Arm32v7];

    /// This machine's own, if it is one of these.
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::Amd64),
            "aarch64" => Some(Self::Arm64),
            "arm" => Some(Self::Arm32v7),
            _ => None,
        }
    }

    /// As images name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Arm32v7 => "arm32v7",
        }
    }

    /// The architecture that images of this name are for.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that none has.
    pub fn parse(name: &str) -> Result<Self, Fault> {
        Self::ALL.into_iter().find(|arch| arch.name() == name).ok_or_else(|| {
            Fault::new(Kind::Usage, format!("`{name}` is not an architecture of images"))
                .help("amd64, arm64 or arm32v7")
        })
    }

    /// The OCI platform.
    pub(crate) fn platform(self) -> &'static str {
        match self {
            Self::Amd64 => "linux/amd64",
            Self::Arm64 => "linux/arm64/v8",
            Self::Arm32v7 => "linux/arm/v7",
        }
    }

    /// As Debian names it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Arm32v7 => "armhf",
        }
    }

    /// Debian's package of the kernel.
    pub(crate) fn kernel_package(self) -> &'static str {
        match self {
            Self::Amd64 => "linux-image-cloud-amd64",
            Self::Arm64 => "linux-image-cloud-arm64",
            Self::Arm32v7 => "linux-image-armmp",
        }
    }

    /// The emulator.
    pub fn qemu(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86_64",
            Self::Arm64 => "qemu-system-aarch64",
            Self::Arm32v7 => "qemu-system-arm",
        }
    }

    /// Debian's package of the emulator.
    pub fn qemu_package(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86",
            _ => "qemu-system-arm",
        }
    }

    /// The board. A 32-bit kernel without large physical addresses finds no PCI above 4 GiB.
    pub(crate) fn board(self) -> &'static str {
        match self {
            Self::Amd64 => "q35",
            Self::Arm64 => "virt",
            Self::Arm32v7 => "virt,highmem=off",
        }
    }

    /// The kernel's name of the first serial port.
    pub(crate) fn console(self) -> &'static str {
        match self {
            Self::Amd64 => "ttyS0",
            _ => "ttyAMA0",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::Catalog;

    #[test]
    fn names_and_platforms_are_the_catalogs() {
        let text = include_str!("../../../../images/catalog.toml");
        let arches = Catalog::parse(text, "catalog.toml").unwrap().arches;
        for arch in Arch::ALL {
            let of_images = arches.iter().find(|of_images| of_images.name == *arch.name());
            assert_eq!(of_images.map(catalog::Arch::platform).as_deref(), Some(arch.platform()));
        }
    }
}
