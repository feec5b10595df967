//! A virtual machine: QEMU with a stock kernel, a root filesystem of the distribution's packages, a container runtime,
//! and a real process 1, with systemd or without.
//!
//! The way of one: a [`Flavour`] becomes a [`System`], made of packages once and kept in the store; a [`Machine`] boots
//! it on a disk that forgets, does what scripts say by an agent inside it, and ends with its owner. Several may run at a
//! time.

pub mod accel;
pub mod arch;
pub mod archive;
mod channel;
mod cpio;
mod disk;
mod flavour;
mod foreign;
pub mod guest;
mod hardware;
mod initramfs;
mod machine;
pub mod network;
mod packages;
mod pods;
mod process;
mod qemu;
mod system;

pub use crate::arch::Arch;
pub use crate::flavour::{Flavour, Init, Runtime};
pub use crate::hardware::{Console, Options};
pub use crate::machine::{Ended, Machine, Sink};
pub use crate::network::{Card, Network};
pub use crate::packages::Packages;
pub use crate::system::System;
