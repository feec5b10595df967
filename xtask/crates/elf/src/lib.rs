//! ELF files, as the crate `object` reads them: is one a static program for a machine, and where are its sections?

mod program;
mod sections;

pub use program::{NotStatic, check_static};
pub use sections::{Section, Sections};

/// What each ELF file begins with.
pub const MAGIC: [u8; 4] = object::elf::ELFMAG;

/// The bytes of a pointer in a program: 4 or 8, by the file's class. None if it is not an ELF file.
fn pointer(bytes: &[u8]) -> Option<usize> {
    match bytes.strip_prefix(&MAGIC)?.first()? {
        1 => Some(4),
        2 => Some(8),
        _ => None,
    }
}
