//! Several programs in one binary: their `main` packages, re-packaged so that they can be imported.
//!
//! A package's only hindrance to being imported is its name, so that one word is all that changes in its sources;
//! a file beside them exports their `main`, which is an ordinary function in a package of another name.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::closure::MODULE;
use crate::edit;
use crate::modules::{Listing, Package};
use crate::recipe::{JoinSource, Program};

/// The file added to each package, and the function in it: names that no program has.
const ENTRY_FILE: &str = "joined_entry.go";
const ENTRY: &str = "JoinedMain";

/// Writes into the module at `module` a program that is all of `programs`.
pub(crate) fn write(
    module: &Path,
    source: &JoinSource,
    programs: &[Program],
    listing: &Listing,
) -> Result<()> {
    for (program, package) in programs.iter().zip(&listing.mains) {
        let from = edit::place(&package.dir, listing, module);
        repackage(program, package, &from, &module.join("program").join(&program.name))?;
    }
    for (name, text) in &source.0 {
        // Without spf13's flags among the packages they cannot be imported, and need no resetting.
        if name != "pflags.go" || listing.pflag {
            write_file(&module.join(name), text.as_bytes())?;
        }
    }
    write_file(&module.join("programs.go"), table(programs).as_bytes())
}

/// The table of programs that the dispatcher reads.
fn table(programs: &[Program]) -> String {
    let mut imports = String::new();
    let mut rows = String::new();
    for (index, Program { name, init_flags, .. }) in programs.iter().enumerate() {
        let _ = writeln!(imports, "\tp{index} \"{MODULE}/program/{name}\"");
        let _ = writeln!(rows, "\t{{\"{name}\", p{index}.{ENTRY}, {init_flags}}},");
    }
    format!("package main\n\nimport (\n{imports})\n\nvar programs = []program{{\n{rows}}}\n")
}

/// Copies a `main` package, whose files are in `from`, to `to` as a package that can be imported.
fn repackage(program: &Program, package: &Package, from: &Path, to: &Path) -> Result<()> {
    let refuse = |what: String| {
        let message = format!("{} ({}) cannot be joined: {what}", program.name, program.package);
        anyhow::Error::from(Fault::new(Kind::InvalidData, message))
    };
    let internal = |path: &&String| path.split('/').any(|part| part == "internal") && path.contains('.');
    if let Some(path) = package.imports.iter().find(internal) {
        return Err(refuse(format!("it imports {path}, which Go lets only its own module use")));
    }
    let copied = [&package.c_files, &package.h_files, &package.s_files, &package.embed_files];
    for name in copied.into_iter().flatten() {
        write_file(&to.join(name), &read_file(&from.join(name))?)?;
    }
    for name in package.go_files.iter().chain(&package.cgo_files) {
        if name == ENTRY_FILE {
            return Err(refuse(format!("it has a file {ENTRY_FILE}")));
        }
        let file = from.join(name);
        let text =
            rename(&read_file(&file)?).map_err(|what| refuse(format!("{}: {what}", file.display())))?;
        write_file(&to.join(name), &text)?;
    }
    let entry =
        format!("package program\n\n// {ENTRY} is the program's main.\nfunc {ENTRY}() {{ main() }}\n");
    write_file(&to.join(ENTRY_FILE), entry.as_bytes())
}

fn read_file(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("reading {}", file.display()))
}

fn write_file(file: &Path, bytes: &[u8]) -> Result<()> {
    let dir = file.parent().context("a file without a directory")?;
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(file, bytes))
        .with_context(|| format!("writing {}", file.display()))
}

/// Go source of `package main` with its package clause changed, and nothing else.
fn rename(source: &[u8]) -> Result<Vec<u8>, String> {
    let start = skip_blank(source, if source.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 })?;
    let name = match source[start..].strip_prefix(b"package") {
        Some(after) if !after.first().is_some_and(|byte| is_word(*byte)) => {
            skip_blank(source, start + b"package".len())?
        }
        _ => return Err("no package clause".into()),
    };
    let end = name + source[name..].iter().take_while(|byte| is_word(**byte)).count();
    if &source[name..end] != b"main" {
        return Err(format!("package `{}`, not `main`", String::from_utf8_lossy(&source[name..end])));
    }
    Ok([&source[..name], b"program", &source[end..]].concat())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The index of the first byte from `at` on that is neither white space nor comment.
fn skip_blank(source: &[u8], mut at: usize) -> Result<usize, String> {
    loop {
        let rest = source.get(at..).unwrap_or_default();
        let length = match rest {
            [b' ' | b'\t' | b'\r' | b'\n', ..] => Some(1),
            [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').or(Some(rest.len())),
            [b'/', b'*', inside @ ..] => {
                let end = inside.windows(2).position(|pair| pair == b"*/");
                Some(end.ok_or("a comment is not closed")? + 4)
            }
            _ => None,
        };
        match length {
            Some(length) => at += length,
            None => return Ok(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn renamed(source: &str) -> String {
        String::from_utf8(rename(source.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn only_the_clause_changes() {
        let license = "// +build !windows\n\n/*\npackage main\n*/\n\n//go:build linux\n";
        let rest =
            "\n\nimport \"C\"\n\n// package main\nvar main_ = \"package main\"\nfunc main() { main() }\n";
        assert_eq!(
            renamed(&format!("{license}package main{rest}")),
            format!("{license}package program{rest}")
        );
        assert_eq!(renamed("package/*x*/main// y"), "package/*x*/program// y");
        assert_eq!(
            renamed("\u{feff}package\r\n\tmain;func main(){}"),
            "\u{feff}package\r\n\tprogram;func main(){}"
        );
    }

    #[test]
    fn what_is_no_main_package_is_refused() {
        let error = |source: &str| rename(source.as_bytes()).unwrap_err();
        insta::assert_snapshot!(error("package mainly"), @"package `mainly`, not `main`");
        insta::assert_snapshot!(error("packagemain"), @"no package clause");
        insta::assert_snapshot!(error("/* package main"), @"a comment is not closed");
        insta::assert_snapshot!(error(""), @"no package clause");
        insta::assert_snapshot!(error("package"), @"package ``, not `main`");
    }

    proptest! {
        #[test]
        fn any_comments_before_the_clause_stay(
            blank in "([ \t\r\n]|//[a-z \"`]{0,10}\n|/\\*[a-z\n/ ]{0,10}\\*/){0,8}", rest in "[ ;\n][ -~\n]{0,40}",
        ) {
            prop_assert_eq!(
                renamed(&format!("{blank}package {blank}main{rest}")),
                format!("{blank}package {blank}program{rest}")
            );
        }

        #[test]
        fn no_bytes_make_it_panic(source in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = rename(&source);
            let _ = rename(&[b"package ", source.as_slice()].concat());
        }
    }

    #[test]
    fn packages_are_copied_file_by_file_and_internal_imports_refused() {
        let from = tempfile::tempdir().unwrap();
        let to = tempfile::tempdir().unwrap();
        fs::create_dir(from.path().join("texts")).unwrap();
        for (name, text) in [
            ("main.go", "package main\n\nfunc main() {}\n"),
            ("main_linux.go", "//go:build linux\n\npackage main\n"),
            ("main_windows.go", "package main\n"),
            ("texts/a.txt", "package main"),
        ] {
            fs::write(from.path().join(name), text).unwrap();
        }
        let program = Program { name: "p".into(), package: "e.x/p".into(), init_flags: false };
        let mut package = Package {
            go_files: vec!["main.go".into(), "main_linux.go".into()],
            embed_files: vec!["texts/a.txt".into()],
            imports: vec!["internal/abi".into(), "e.x/internals/y".into()],
            ..Package::default()
        };
        repackage(&program, &package, from.path(), to.path()).unwrap();
        let read = |name: &str| fs::read_to_string(to.path().join(name)).unwrap();
        assert_eq!(read("main_linux.go"), "//go:build linux\n\npackage program\n");
        assert_eq!(read("texts/a.txt"), "package main");
        assert!(read(ENTRY_FILE).contains("func JoinedMain() { main() }"));
        assert!(!to.path().join("main_windows.go").exists());

        package.imports.push("e.x/internal/y".into());
        let error = repackage(&program, &package, from.path(), to.path()).unwrap_err();
        insta::assert_snapshot!(error, @"p (e.x/p) cannot be joined: it imports e.x/internal/y, which Go lets only its own module use");
    }

    #[test]
    fn the_table_names_every_program() {
        let programs = [Program::cni("main", "bridge"), Program::kubernetes("kubelet")];
        insta::assert_snapshot!(table(&programs), @r#"
        package main

        import (
        	p0 "containerized-kubelet/program/bridge"
        	p1 "containerized-kubelet/program/kubelet"
        )

        var programs = []program{
        	{"bridge", p0.JoinedMain, false},
        	{"kubelet", p1.JoinedMain, true},
        }
        "#);
    }
}
