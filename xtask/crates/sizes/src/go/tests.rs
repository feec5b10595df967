//! A program made by hand, whose every byte is known; and programs that are not what they seem.

use proptest::prelude::*;

use super::buildinfo::tests::section;
use super::*;

const FUNC: usize = 44;

fn put(bytes: &mut Vec<u8>, number: usize, width: usize) {
    bytes.extend(&number.to_le_bytes()[..width]);
}

/// A function table of these functions: name, bytes of code, tables, data. Every function is a compilation unit.
fn table(
    functions: &[(&str, usize, &[usize], &[usize])],
    files: &[&str],
    tables: usize,
    data: usize,
) -> (Vec<u8>, Range<usize>) {
    let joined = |texts: &mut dyn Iterator<Item = &str>| {
        texts.flat_map(|text| text.bytes().chain([0])).collect::<Vec<u8>>()
    };
    let names = joined(&mut functions.iter().map(|function| function.0));
    let files = joined(&mut files.iter().copied());
    let units = vec![0; functions.len() * 4];
    let mut rows = Vec::new();
    let mut entries = Vec::new();
    let start = (functions.len()) * 8 + 4;
    let (mut pc, mut name_at) = (0, 0);
    for (index, (name, code, tables, data)) in functions.iter().enumerate() {
        put(&mut rows, pc, 4);
        put(&mut rows, start + entries.len(), 4);
        pc += code;
        let first = entries.len();
        put(&mut entries, pc, 4);
        put(&mut entries, name_at, 4);
        entries.resize(first + 28, 0);
        put(&mut entries, tables.len(), 4);
        put(&mut entries, index, 4);
        entries.resize(first + FUNC - 1, 0);
        put(&mut entries, data.len(), 1);
        tables.iter().chain(*data).for_each(|at| put(&mut entries, *at, 4));
        name_at += name.len() + 1;
    }
    put(&mut rows, pc, 4);
    let mut out = vec![0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    let mut at = 72;
    let mut places = vec![functions.len(), 1, 0];
    for part in [names.len(), units.len(), files.len(), tables, 0] {
        places.push(at);
        at += part;
    }
    for place in places {
        put(&mut out, place, 8);
    }
    for part in [names, units, files, vec![0; tables], rows, entries, vec![0; data]] {
        out.extend(part);
    }
    let end = out.len();
    (out, end - data..end)
}

/// A 64-bit program of these sections.
fn elf(sections: &[(&str, u64, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0; 64];
    let mut names = vec![0];
    let mut headers = vec![0; 64];
    let named: Vec<_> =
        sections.iter().map(|(name, address, bytes)| (*name, *address, bytes.clone())).collect();
    for (name, address, bytes) in named {
        let mut header = Vec::new();
        put(&mut header, names.len(), 4);
        put(&mut header, 1, 4);
        put(&mut header, 2, 8);
        put(&mut header, usize::try_from(address).unwrap(), 8);
        put(&mut header, out.len(), 8);
        put(&mut header, bytes.len(), 8);
        header.resize(64, 0);
        headers.extend(header);
        names.extend(name.as_bytes());
        names.push(0);
        out.extend(bytes);
    }
    let mut header = Vec::new();
    put(&mut header, 0, 4);
    put(&mut header, 3, 4);
    header.resize(24, 0);
    put(&mut header, out.len(), 8);
    put(&mut header, names.len(), 8);
    header.resize(64, 0);
    headers.extend(header);
    out.extend(names);
    let start = out.len();
    out.extend(headers);
    let mut ident = b"\x7fELF\x02\x01\x01".to_vec();
    ident.resize(16, 0);
    put(&mut ident, 2, 2);
    put(&mut ident, 62, 2);
    put(&mut ident, 1, 4);
    ident.resize(40, 0);
    put(&mut ident, start, 8);
    put(&mut ident, 0, 4);
    put(&mut ident, 64, 2);
    ident.resize(58, 0);
    put(&mut ident, 64, 2);
    put(&mut ident, sections.len() + 2, 2);
    put(&mut ident, sections.len() + 1, 2);
    out[..64].copy_from_slice(&ident);
    out
}

const NAMES: [&str; 3] = ["runtime.main", "k8s.io/api/core/v1.F", "main.main"];

fn program() -> Vec<u8> {
    let functions: [(&str, usize, &[usize], &[usize]); 3] = [
        (NAMES[0], 100, &[1], &[0]),
        (NAMES[1], 1_000, &[11, 1], &[50, 0]),
        (NAMES[2], 10, &[], &[u32::MAX as usize]),
    ];
    let (table, go_func) = table(&functions, &["runtime/proc.go", "k8s.io/api@v0.26.0/x.go"], 31, 300);
    let address = 0x1000;
    let mut module = Vec::new();
    put(&mut module, address, 8);
    module.resize(40 * 8, 0);
    put(&mut module, address + go_func.start, 8);
    put(&mut module, address + go_func.end, 8);
    elf(&[
        (".text", 0x9000, vec![0; 1_200]),
        (".rodata", 0x8000, vec![0; 77]),
        (".gopclntab", address as u64, table),
        (".go.buildinfo", 0, section("mod\tk8s.io/kubernetes\tv1.26.0\tx\ndep\tk8s.io/api\tv0.26.0\tx\n")),
        (".go.module", 0, module),
        (".data", 0, vec![0; 5]),
    ])
}

#[test]
fn every_byte_is_somebodys() {
    let bytes = program();
    let parts = breakdown(&bytes).unwrap();
    assert_eq!(parts.values().sum::<u64>(), bytes.len() as u64);
    // Names and index rows, entries, units, tables from 1 on, data from 0 on.
    let fixed = |name: &str| (name.len() + 1 + 8 + FUNC + 4) as u64;
    let std = 100 + fixed(NAMES[0]) + 2 * 4 + 10 + 50 + "runtime/proc.go".len() as u64 + 1;
    let api = 1_000 + fixed(NAMES[1]) + 4 * 4 + 20 + 250 + "k8s.io/api@v0.26.0/x.go".len() as u64 + 1;
    let kubernetes = 10 + fixed(NAMES[2]) + 4;
    assert_eq!(parts["std/runtime"], std);
    assert_eq!(parts["k8s.io/api"], api);
    assert_eq!(parts["k8s.io/kubernetes"], kubernetes);
    assert_eq!(parts[C_CODE], 1_200 - 1_110);
    assert_eq!((parts[TYPES], parts[VARIABLES]), (77, 5));
    // The header, the end of the index, and the first byte of the tables.
    assert_eq!(parts[TABLES], 72 + 4 + 1);
    assert!(parts.keys().filter(|name| is_module(name)).eq([
        "k8s.io/api",
        "k8s.io/kubernetes",
        "std/runtime"
    ]));
}

#[test]
fn what_is_no_go_program_is_not_taken_apart() {
    assert_eq!(breakdown(b""), None);
    assert_eq!(breakdown(b"#!/bin/sh\n"), None);
    assert_eq!(breakdown(&elf(&[(".text", 0, vec![0; 10])])), None);
    assert_eq!(breakdown(&std::fs::read("/proc/self/exe").unwrap()), None, "this test is Rust");
    let old = program().windows(4).position(|bytes| bytes == [0xf1, 0xff, 0xff, 0xff]).unwrap();
    let mut other = program();
    other[old] = 0xfa;
    assert_eq!(breakdown(&other), None, "Go 1.16's table");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_it_panic_or_miscount(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = program();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Some(parts) = breakdown(&bytes) {
            prop_assert_eq!(parts.values().sum::<u64>(), bytes.len() as u64);
        }
    }
}
