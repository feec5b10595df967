//! Is a file a static program for the right machine?

use std::fmt;

use object::Endianness;
use object::elf::{FileHeader32, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader as _};

/// Why a file is not a static program for a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStatic {
    /// It is not an ELF file.
    NotElf,
    /// It is for the machine with this `e_machine`, or for the right one in big-endian order.
    OtherMachine(u16),
    /// Its header does not end within the file.
    HeaderCutOff,
    /// Its program headers do not end within the file, or are not of the size that they have.
    ProgramHeadersCutOff,
    /// It has no program headers, so nothing of it would be loaded.
    NoProgramHeaders,
    /// It asks for a dynamic linker.
    Dynamic,
}

impl fmt::Display for NotStatic {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => to.write_str("it is not an ELF file"),
            Self::OtherMachine(machine) => write!(to, "it is for another machine (ELF machine {machine})"),
            Self::HeaderCutOff => to.write_str("its header is cut off"),
            Self::ProgramHeadersCutOff => to.write_str("its program headers are cut off"),
            Self::NoProgramHeaders => to.write_str("it has no program headers"),
            Self::Dynamic => to.write_str("it needs a dynamic linker"),
        }
    }
}

/// Checks that these bytes are a static program for the machine with this `e_machine`.
pub fn check_static(bytes: &[u8], machine: u16) -> Result<(), NotStatic> {
    match crate::pointer(bytes).ok_or(NotStatic::NotElf)? {
        4 => check::<FileHeader32<Endianness>>(bytes, machine),
        _ => check::<FileHeader64<Endianness>>(bytes, machine),
    }
}

fn check<H: FileHeader<Endian = Endianness>>(bytes: &[u8], machine: u16) -> Result<(), NotStatic> {
    let header = H::parse(bytes).map_err(|_| NotStatic::HeaderCutOff)?;
    let endian = header.endian().map_err(|_| NotStatic::NotElf)?;
    let found = header.e_machine(endian);
    if endian != Endianness::Little || found != machine {
        return Err(NotStatic::OtherMachine(found));
    }
    let segments = header.program_headers(endian, bytes).map_err(|_| NotStatic::ProgramHeadersCutOff)?;
    if segments.is_empty() {
        return Err(NotStatic::NoProgramHeaders);
    }
    if segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP) {
        return Err(NotStatic::Dynamic);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A 64-bit ELF with one program header of this type.
    fn elf(machine: u8, kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        bytes[18] = machine;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64] = kind;
        bytes
    }

    /// A 32-bit one.
    fn elf32(machine: u8, kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 52 + 32];
        bytes[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
        bytes[18] = machine;
        bytes[28] = 52;
        bytes[42] = 32;
        bytes[44] = 1;
        bytes[52] = kind;
        bytes
    }

    #[test]
    fn only_a_static_program_for_the_machine_passes() {
        for (bytes, machine) in [(elf(62, 1), 62), (elf(183, 1), 183), (elf32(40, 1), 40)] {
            assert_eq!(check_static(&bytes, machine), Ok(()));
            assert_eq!(check_static(&bytes, 1), Err(NotStatic::OtherMachine(machine)));
        }
        assert_eq!(check_static(&elf(62, 3), 62), Err(NotStatic::Dynamic));
        assert_eq!(check_static(&elf32(40, 3), 40), Err(NotStatic::Dynamic));
        assert_eq!(check_static(b"#!/bin/sh", 62), Err(NotStatic::NotElf));
        let own = std::fs::read("/proc/self/exe").unwrap();
        let dynamic = check_static(&own, if cfg!(target_arch = "x86_64") { 62 } else { 183 });
        assert_eq!(dynamic.is_err(), cfg!(not(target_feature = "crt-static")));
    }

    #[test]
    fn what_does_not_make_sense_does_not_pass() {
        let whole = elf(62, 1);
        for length in 5..whole.len() {
            let expected =
                if length < 64 { NotStatic::HeaderCutOff } else { NotStatic::ProgramHeadersCutOff };
            assert_eq!(check_static(&whole[..length], 62), Err(expected), "{length}");
        }
        let with = |at: usize, bytes: &[u8]| {
            let mut changed = whole.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            check_static(&changed, 62)
        };
        assert_eq!(with(32, &[0xff; 8]), Err(NotStatic::ProgramHeadersCutOff));
        assert_eq!(with(56, &[0]), Err(NotStatic::NoProgramHeaders));
        assert_eq!(with(4, &[3]), Err(NotStatic::NotElf));
        // Big-endian, and the machine's number in that order.
        assert_eq!(with(5, &[2]), Err(NotStatic::OtherMachine(62 << 8)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            start in prop::sample::select(vec![&b""[..], b"\x7fELF\x01\x01\x01", b"\x7fELF\x02\x01\x01"]),
        ) {
            if bytes.len() > 20 {
                bytes[..start.len()].copy_from_slice(start);
                bytes[18..20].copy_from_slice(&[62, 0]);
            }
            let _ = check_static(&bytes, 62);
        }
    }
}
