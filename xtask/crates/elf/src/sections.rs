//! Where in a file its sections are.

use std::ops::Range;

use object::read::elf::{ElfFile32, ElfFile64};
use object::{Endianness, Object, ObjectSection};

/// A part of a program that has a name.
#[derive(Debug)]
pub struct Section {
    name: String,
    /// Where it is in memory.
    pub address: u64,
    /// Where it is in the file.
    pub file: Range<usize>,
}

/// All sections of a little-endian program.
#[derive(Debug)]
pub struct Sections {
    all: Vec<Section>,
    /// The bytes of a pointer.
    pub pointer: usize,
}

impl Sections {
    /// Lists them. None if it is not a little-endian ELF file, or one of them is not within the file.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let pointer = crate::pointer(bytes)?;
        let all = if pointer == 8 {
            collect(&ElfFile64::<Endianness>::parse(bytes).ok()?)?
        } else {
            collect(&ElfFile32::<Endianness>::parse(bytes).ok()?)?
        };
        let inside = |section: &Section| section.file.end <= bytes.len();
        all.iter().all(inside).then_some(Self { all, pointer })
    }

    /// The section of this name.
    pub fn get(&self, name: &str) -> Option<&Section> {
        self.all.iter().find(|section| section.name == name)
    }

    /// Its bytes, of those that the sections are of.
    pub fn bytes<'b>(&self, bytes: &'b [u8], name: &str) -> Option<&'b [u8]> {
        bytes.get(self.get(name)?.file.clone())
    }
}

fn collect<'d>(file: &impl Object<'d>) -> Option<Vec<Section>> {
    if !file.is_little_endian() {
        return None;
    }
    let mut all = Vec::new();
    for section in file.sections() {
        let (Some((start, length)), Ok(name)) = (section.file_range(), section.name()) else { continue };
        let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(length)) else { continue };
        let Some(end) = start.checked_add(length) else { continue };
        all.push(Section { name: name.to_owned(), address: section.address(), file: start..end });
    }
    Some(all)
}
