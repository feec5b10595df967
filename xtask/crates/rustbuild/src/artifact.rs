//! What a finished program must be before it may go into an image.

use std::path::Path;

use elf::NotStatic;
use fault::{Fault, Kind};

use crate::Inputs;

/// Checks that these bytes are a static program of the inputs' architecture in which none of `paths` appears.
pub(crate) fn check(bytes: &[u8], inputs: &Inputs, paths: &[&Path]) -> Result<(), Fault> {
    let wrong =
        |what: String| Fault::new(Kind::ToolFailed, format!("the entrypoint for {} {what}", inputs.arch));
    elf::check_static(bytes, inputs.elf_machine).map_err(|why| {
        wrong(match why {
            NotStatic::OtherMachine(machine) => {
                format!("is built for another machine (ELF machine {machine})")
            }
            NotStatic::Dynamic => "is not static: it asks for a dynamic linker".into(),
            _ => "is not an ELF program".into(),
        })
    })?;
    for path in paths {
        let needle = path.as_os_str().as_encoded_bytes();
        // A short one, such as `/` or `/tmp`, is the same on other machines.
        if needle.len() > 5 && bytes.windows(needle.len()).any(|window| window == needle) {
            let message =
                format!("holds the path {}, so another machine would build other bytes", path.display());
            return Err(wrong(message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u8, segment: u8, tail: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        bytes[18] = machine;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64] = segment;
        bytes.extend(tail);
        bytes
    }

    fn says(bytes: &[u8]) -> String {
        let inputs = Inputs {
            format: 2,
            arch: "amd64".to_owned(),
            target: String::new(),
            elf_machine: 62,
            rust: String::new(),
            zig: String::new(),
            zigbuild: String::new(),
            rustflags: Vec::new(),
            profile: Vec::new(),
            arguments: Vec::new(),
            source: String::new(),
        };
        check(bytes, &inputs, &[Path::new("/"), Path::new("/build/here")])
            .map_or_else(|fault| fault.to_string(), |()| "fine".into())
    }

    #[test]
    fn programs_are_told_from_what_must_not_pass() {
        assert_eq!(says(&elf(62, 1, b"/")), "fine");
        assert!(says(&elf(183, 1, b"")).contains("another machine (ELF machine 183)"));
        assert!(says(&elf(62, 3, b"")).contains("not static"));
        assert!(says(&elf(62, 1, b"x/build/here/y")).contains("holds the path /build/here"));
        assert!(says(b"#!/bin/sh").contains("not an ELF"));
        let whole = elf(62, 1, b"");
        for length in 0..whole.len() - 52 {
            assert!(says(&whole[..length]).contains("not an ELF"), "{length}");
        }
        let mut far = whole.clone();
        far[32..40].fill(0xff);
        assert!(says(&far).contains("not an ELF"));
    }
}
