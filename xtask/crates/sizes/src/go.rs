//! Which Go module how many bytes of a program are for, read from the program itself.
//!
//! Programs ship without symbols, but Go's own table of functions (pclntab) stays: the runtime needs it to unwind
//! stacks. It gives each function's machine code, and of its own bytes each function's share; the build information
//! names the modules. What only a symbol table could tell apart (types, constants, variables) is given by section,
//! never guessed at. The parts always add up to the file.

mod buildinfo;
mod modules;
mod pclntab;

use std::collections::BTreeMap;
use std::ops::Range;

use object::read::elf::{ElfFile32, ElfFile64};
use object::{Endianness, Object, ObjectSection};

pub use buildinfo::{BuildInfo, MAGIC, Module};
use modules::Modules;

/// What is not a module's: its name starts with this, which no module path does.
const SHARED: char = '(';
/// Read-only data: types, constants, strings.
const TYPES: &str = "(types and constants)";
/// Variables that have a value from the start.
const VARIABLES: &str = "(variables)";
/// Machine code that Go did not compile: the C library, and what cgo calls.
const C_CODE: &str = "(C code)";
/// Parts of the function table that belong to no one function.
const TABLES: &str = "(function tables, shared)";
/// Headers, padding, and small sections.
const OTHER: &str = "(headers and the rest)";

/// Is this what a module is called, and not a part of the program that modules share?
pub fn is_module(name: &str) -> bool {
    !name.starts_with(SHARED)
}

/// The list of modules in a program, as `go version -m` shows it. None if it is not a Go program, was packed, or its list
/// is damaged.
pub fn build_info(bytes: &[u8]) -> Option<BuildInfo> {
    buildinfo::read(Sections::read(bytes)?.bytes(bytes, ".go.buildinfo")?)
}

/// Takes a program apart. None if it is not a Go program for a known machine, or its tables contradict each other:
/// what is not known is not reported.
pub fn breakdown(bytes: &[u8]) -> Option<BTreeMap<String, u64>> {
    let sections = Sections::read(bytes)?;
    let modules = Modules::new(&buildinfo::read(sections.bytes(bytes, ".go.buildinfo")?)?);
    let table = sections.get(".gopclntab").or_else(|| sections.get(".data.rel.ro.gopclntab"))?;
    let functions = pclntab::read(bytes.get(table.file.clone())?, &sections.go_func(bytes, table))?;

    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    let mut add = |name: &str, bytes: u64| {
        if bytes > 0 {
            *parts.entry(name.to_owned()).or_default() += bytes;
        }
    };
    for (symbol, bytes) in &functions.by_symbol {
        add(&modules.of_symbol(symbol), *bytes);
    }
    for (file, bytes) in &functions.by_file {
        add(&modules.of_file(file), *bytes);
    }
    let table_size = size(&table.file);
    add(TABLES, table_size.checked_sub(functions.table)?);
    let text = sections.get(".text").map_or(0, |section| size(&section.file));
    add(C_CODE, text.checked_sub(functions.code)?);
    let mut rest = (bytes.len() as u64).checked_sub(table_size)?.checked_sub(text)?;
    for (name, part) in [
        (".rodata", TYPES),
        (".typelink", TYPES),
        (".itablink", TYPES),
        (".data", VARIABLES),
        (".noptrdata", VARIABLES),
    ] {
        let section = sections.get(name).map_or(0, |section| size(&section.file));
        rest = rest.checked_sub(section)?;
        add(part, section);
    }
    add(OTHER, rest);
    Some(parts)
}

fn size(range: &Range<usize>) -> u64 {
    range.len() as u64
}

struct Section {
    name: String,
    address: u64,
    file: Range<usize>,
}

struct Sections {
    all: Vec<Section>,
    /// Bytes of a pointer.
    pointer: usize,
}

impl Sections {
    fn read(bytes: &[u8]) -> Option<Self> {
        let wide = match bytes.get(..6)? {
            [0x7f, b'E', b'L', b'F', 2, 1] => true,
            [0x7f, b'E', b'L', b'F', 1, 1] => false,
            _ => return None,
        };
        let all = if wide {
            collect(&ElfFile64::<Endianness>::parse(bytes).ok()?)
        } else {
            collect(&ElfFile32::<Endianness>::parse(bytes).ok()?)
        };
        let inside = |section: &Section| section.file.end <= bytes.len();
        all.iter().all(inside).then_some(Self { all, pointer: if wide { 8 } else { 4 } })
    }

    fn get(&self, name: &str) -> Option<&Section> {
        self.all.iter().find(|section| section.name == name)
    }

    fn bytes<'b>(&self, bytes: &'b [u8], name: &str) -> Option<&'b [u8]> {
        bytes.get(self.get(name)?.file.clone())
    }

    /// Where in the function table's section the data of functions (stack maps, inlined calls) lie that the linker puts
    /// behind it: Go 1.26 and later. Empty where that is not known.
    ///
    /// Source: `moduledata` in Go's src/runtime/symtab.go; the linker gives it a section of its own.
    fn go_func(&self, bytes: &[u8], table: &Section) -> Range<usize> {
        const PC_HEADER: usize = 0;
        const GO_FUNC: usize = 40;
        const END: usize = 41;
        let data = self.bytes(bytes, ".go.module").unwrap_or_default();
        let word = |index: usize| {
            let at = index * self.pointer;
            Some(data.get(at..at + self.pointer)?.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)))
        };
        let offset = |index| usize::try_from(word(index)?.checked_sub(table.address)?).ok();
        match (offset(PC_HEADER), offset(GO_FUNC), offset(END)) {
            (Some(0), Some(start), Some(end)) if start > 0 && start <= end && end <= table.file.len() => {
                start..end
            }
            _ => 0..0,
        }
    }
}

fn collect<'d>(file: &impl Object<'d>) -> Vec<Section> {
    let mut all = Vec::new();
    for section in file.sections() {
        let (Some((start, length)), Ok(name)) = (section.file_range(), section.name()) else { continue };
        let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(length)) else { continue };
        let Some(end) = start.checked_add(length) else { continue };
        all.push(Section { name: name.to_owned(), address: section.address(), file: start..end });
    }
    all
}

#[cfg(test)]
mod tests;
