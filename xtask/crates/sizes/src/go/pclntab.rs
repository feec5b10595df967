//! Go's table of functions, and whose each of its bytes is.
//!
//! Source: Go's src/runtime/symtab.go (`pcHeader`, `functab`), runtime2.go (`_func`) and
//! src/cmd/link/internal/ld/pcln.go, which lays it out: header, function names, compilation units' files, file names,
//! tables of numbers by program counter, functions. The same since Go 1.20.

use std::collections::HashMap;
use std::ops::Range;

/// The first four bytes, little-endian, from Go 1.20 on.
const MAGIC: u32 = 0xffff_fff1;
/// The fixed part of a function's entry, in bytes.
const FUNC: usize = 44;
/// How many functions a table may have: ten times a kubelet's.
const MAX_FUNCTIONS: usize = 1_000_000;
/// The longest name of a function, in bytes: each is read for itself, and hostile ones could overlap.
const MAX_NAME: usize = 16 << 10;
/// What stands for "no such data" among a function's data.
const NONE: u32 = u32::MAX;

/// Whose the bytes of a program's code and of the table itself are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Functions<'a> {
    /// Bytes of code and table by function; of names in the table that are not a function of their own (it was inlined) too.
    pub(super) by_symbol: HashMap<&'a str, u64>,
    /// Bytes of the table's list of source files.
    pub(super) by_file: HashMap<&'a str, u64>,
    /// Of these, the bytes of machine code, which lie elsewhere.
    pub(super) code: u64,
    /// Of these, the bytes of the table.
    pub(super) table: u64,
}

/// Reads a table; `go_func` is where in `table` the data of functions lie, empty if they do not.
/// None for a table that is cut off, of another version, or contradicts itself, and once the user has interrupted: a large
/// program's takes seconds.
pub(super) fn read<'a>(table: &'a [u8], go_func: &Range<usize>) -> Option<Functions<'a>> {
    let header = Header::read(table)?;
    let mut found = Functions::default();
    let functions = header.functions(table)?;
    for function in &functions {
        found.code += function.code;
        *found.by_symbol.entry(function.name).or_default() += function.code;
    }
    let names = strings(table.get(header.names..header.units)?);
    for (name, bytes) in names {
        found.give(name, bytes);
    }
    for (file, bytes) in strings(table.get(header.files..header.tables)?) {
        found.table += bytes;
        *found.by_file.entry(file).or_default() += bytes;
    }
    let units = functions.iter().map(|function| (Some(function.unit.saturating_mul(4)), function.name));
    found.split(units, header.files.checked_sub(header.units)?)?;
    let tables = functions.iter().flat_map(|function| function.tables().map(|at| (at, function.name)));
    found.split(tables, header.functions.checked_sub(header.tables)?)?;
    // Each function has a row in the index, and its entry.
    for function in &functions {
        found.give(function.name, ROW as u64);
    }
    let start = functions.len() * ROW;
    let end = go_func.start.max(header.functions);
    let entries = functions.iter().map(|function| (function.entry.checked_sub(start), function.name));
    let last = functions.iter().map(|function| function.entry + function.size()).max()?;
    let length = if go_func.is_empty() { last } else { (end - header.functions).min(last) };
    found.split(entries, length.checked_sub(start)?)?;
    if !go_func.is_empty() {
        let data = functions.iter().flat_map(|function| function.data().map(|at| (at, function.name)));
        found.split(data, go_func.len())?;
    }
    (found.table <= table.len() as u64).then_some(found)
}

/// Bytes of a row of the functions' index: where its code starts, where its entry is.
const ROW: usize = 8;

impl<'a> Functions<'a> {
    fn give(&mut self, name: &'a str, bytes: u64) {
        self.table += bytes;
        *self.by_symbol.entry(name).or_default() += bytes;
    }

    /// Divides an area of this length among those who point into it: each piece, up to the next place that anyone
    /// points to, is its first user's. What several share was made for the first that needed it.
    fn split(
        &mut self,
        pointers: impl Iterator<Item = (Option<usize>, &'a str)>,
        length: usize,
    ) -> Option<()> {
        let mut places: HashMap<usize, &'a str> = HashMap::new();
        for (at, name) in pointers {
            if exec::interrupt::pending() {
                return None;
            }
            if let Some(at) = at.filter(|at| *at < length) {
                places.entry(at).or_insert(name);
            }
        }
        let mut sorted: Vec<(usize, &str)> = places.into_iter().collect();
        sorted.sort_unstable();
        let ends = sorted.iter().skip(1).map(|(at, _)| *at).chain([length]).collect::<Vec<_>>();
        for ((at, name), end) in sorted.into_iter().zip(ends) {
            if exec::interrupt::pending() {
                return None;
            }
            self.give(name, (end - at) as u64);
        }
        Some(())
    }
}

/// Where the parts of the table start, and how many functions there are.
struct Header {
    count: usize,
    names: usize,
    units: usize,
    files: usize,
    tables: usize,
    functions: usize,
}

impl Header {
    fn read(table: &[u8]) -> Option<Self> {
        let width = usize::from(*table.get(7)?);
        if word(table, 0, 4)? != MAGIC as usize || !matches!(width, 4 | 8) {
            return None;
        }
        let field = |index: usize| word(table, 8 + index * width, width);
        let header = Self {
            count: field(0)?,
            names: field(3)?,
            units: field(4)?,
            files: field(5)?,
            tables: field(6)?,
            functions: field(7)?,
        };
        let order = [header.names, header.units, header.files, header.tables, header.functions, table.len()];
        (order.is_sorted() && header.count > 0 && header.count <= MAX_FUNCTIONS).then_some(header)
    }

    fn functions<'a>(&self, table: &'a [u8]) -> Option<Vec<Function<'a>>> {
        let names = table.get(self.names..self.units)?;
        let all = table.get(self.functions..)?;
        let mut functions = Vec::new();
        for index in 0..self.count {
            let start = word(all, index * ROW, 4)?;
            let entry = word(all, index * ROW + 4, 4)?;
            let next = word(all, (index + 1) * ROW, 4)?;
            let code = next.checked_sub(start)? as u64;
            let fixed = all.get(entry..entry.checked_add(FUNC)?)?;
            let name = word(fixed, 4, 4)?;
            let name = names.get(name..)?;
            let name = &name[..name.iter().take(MAX_NAME).position(|byte| *byte == 0)?];
            let (tables, data) = (word(fixed, 28, 4)?, usize::from(*fixed.last()?));
            let end = tables.checked_add(data)?.checked_mul(4)?.checked_add(FUNC)?.checked_add(entry)?;
            functions.push(Function {
                name: std::str::from_utf8(name).ok()?,
                code,
                entry,
                unit: word(fixed, 32, 4)?,
                fixed,
                pointers: all.get(entry + FUNC..end)?,
                tables,
            });
        }
        Some(functions)
    }
}

/// A function's entry.
struct Function<'a> {
    name: &'a str,
    /// Bytes of machine code, padding included.
    code: u64,
    /// Where its entry is, from the start of the functions.
    entry: usize,
    /// Its compilation unit's first file.
    unit: usize,
    fixed: &'a [u8],
    /// Where its tables are, then its data.
    pointers: &'a [u8],
    tables: usize,
}

impl Function<'_> {
    fn size(&self) -> usize {
        FUNC + self.pointers.len()
    }

    /// Where its tables of stack depth, files, lines and more are; 0 is none.
    fn tables(&self) -> impl Iterator<Item = Option<usize>> {
        let fixed = [16, 20, 24].into_iter().map(|at| word(self.fixed, at, 4));
        let more = (0..self.tables).map(|index| word(self.pointers, index * 4, 4));
        fixed.chain(more).map(|at| at.filter(|at| *at != 0))
    }

    /// Where its data are.
    fn data(&self) -> impl Iterator<Item = Option<usize>> {
        let data = self.pointers.get(self.tables * 4..).unwrap_or_default();
        data.chunks_exact(4).map(|at| word(at, 0, 4).filter(|at| *at != NONE as usize))
    }
}

/// The strings of an area where each ends with a NUL, with their bytes, the NUL included.
fn strings(area: &[u8]) -> impl Iterator<Item = (&str, u64)> {
    area.split_inclusive(|byte| *byte == 0)
        .filter_map(|text| Some((std::str::from_utf8(text.strip_suffix(&[0])?).ok()?, text.len() as u64)))
}

/// A little-endian number of `width` bytes.
fn word(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    usize::try_from(bytes.iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte))).ok()
}
