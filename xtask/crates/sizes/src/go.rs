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
use std::io::Read;
use std::ops::Range;

use elf::{Section, Sections};

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

/// The largest program that is read into memory to be taken apart, in bytes; a larger one is a file like any other.
const MAX_PROGRAM: u64 = 512 << 20;

/// The bytes of an image's file of this size, if it is a program that can be taken apart.
///
/// # Errors
/// What reading it gives.
pub fn read(size: u64, data: &mut dyn Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut start = [0; elf::MAGIC.len()];
    if !(64..=MAX_PROGRAM).contains(&size) || data.read_exact(&mut start).is_err() || start != elf::MAGIC {
        return Ok(None);
    }
    let mut bytes = start.to_vec();
    data.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

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
    let functions = pclntab::read(bytes.get(table.file.clone())?, &go_func(&sections, bytes, table))?;

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

/// Where in the function table's section the data of functions (stack maps, inlined calls) lie that the linker puts
/// behind it: Go 1.26 and later. Empty where that is not known.
///
/// Source: `moduledata` in Go's src/runtime/symtab.go; the linker gives it a section of its own.
fn go_func(sections: &Sections, bytes: &[u8], table: &Section) -> Range<usize> {
    const PC_HEADER: usize = 0;
    const GO_FUNC: usize = 40;
    const END: usize = 41;
    let data = sections.bytes(bytes, ".go.module").unwrap_or_default();
    let word = |index: usize| {
        let at = index * sections.pointer;
        Some(data.get(at..at + sections.pointer)?.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    };
    let offset = |index| usize::try_from(word(index)?.checked_sub(table.address)?).ok();
    match (offset(PC_HEADER), offset(GO_FUNC), offset(END)) {
        (Some(0), Some(start), Some(end)) if start > 0 && start <= end && end <= table.file.len() => {
            start..end
        }
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests;
