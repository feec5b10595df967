//! Is a file a static program for the right machine?

use crate::recipe::Target;

/// A program header that names a dynamic linker.
const PT_INTERP: u32 = 3;

/// Says what is wrong with `bytes` as a static ELF program for `target`, if anything is.
pub(crate) fn check(bytes: &[u8], target: &Target) -> Result<(), String> {
    if !bytes.starts_with(b"\x7fELF") {
        return Err("it is not an ELF file".into());
    }
    let found = (bytes.get(5).copied(), number(bytes, 18, 2));
    if found != (Some(1), Some(target.elf_machine.into())) {
        return Err(format!("it is for another machine than {}", target.goarch));
    }
    let (table, size, count) = if bytes.get(4) == Some(&2) {
        (number(bytes, 32, 8), number(bytes, 54, 2), number(bytes, 56, 2))
    } else {
        (number(bytes, 28, 4), number(bytes, 42, 2), number(bytes, 44, 2))
    };
    let (Some(table), Some(size), Some(count)) = (table, size, count) else {
        return Err("its header is cut off".into());
    };
    if count == 0 {
        return Err("it has no program headers".into());
    }
    for index in 0..count {
        let at = index.checked_mul(size).and_then(|offset| offset.checked_add(table));
        let kind = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| number(bytes, at, 4));
        match kind {
            None => return Err("its program headers are cut off".into()),
            Some(kind) if kind == u64::from(PT_INTERP) => return Err("it needs a dynamic linker".into()),
            Some(_) => {}
        }
    }
    Ok(())
}

/// A little-endian number of `width` bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(elf_machine: u16) -> Target {
        Target { elf_machine, ..Target::plain("amd64") }
    }

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

    #[test]
    fn only_a_static_program_for_the_machine_passes() {
        let amd64 = target(62);
        assert_eq!(check(&elf(62, 1), &amd64), Ok(()));
        assert_eq!(check(&elf(183, 1), &target(183)), Ok(()));
        insta::assert_snapshot!(check(&elf(62, 3), &amd64).unwrap_err(), @"it needs a dynamic linker");
        insta::assert_snapshot!(check(&elf(183, 1), &amd64).unwrap_err(), @"it is for another machine than amd64");
        insta::assert_snapshot!(check(&elf(62, 1)[..64], &amd64).unwrap_err(), @"its program headers are cut off");
        insta::assert_snapshot!(check(b"#!/bin/sh", &amd64).unwrap_err(), @"it is not an ELF file");
        let own = std::fs::read("/proc/self/exe").unwrap();
        let dynamic = check(&own, &target(if cfg!(target_arch = "x86_64") { 62 } else { 183 }));
        assert_eq!(dynamic.is_err(), cfg!(not(target_feature = "crt-static")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
            if magic && bytes.len() > 20 {
                bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
                bytes[18..20].copy_from_slice(&[62, 0]);
            }
            let _ = check(&bytes, &target(62));
        }
    }
}
