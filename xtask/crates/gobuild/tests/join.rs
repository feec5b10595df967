//! Joining programs made for the purpose: files with build constraints, embedded files, equal names, flags
//! registered by packages, imports that only their own module may use.

mod common;

use std::fs;
use std::path::Path;

use common::{COMPILERS, Scratch, ask, call, host_target, images, run, serve, tools};
use gobuild::{Closure, Common, Edits, Flags, JoinSource, LinkerVars, Program, Recipe, Tools, compile};
use progress::Silent;

const FILES: [(&str, &str); 11] = [
    ("go.mod", "module example.test/tools\n\ngo 1.19\n"),
    (
        "alpha/main.go",
        "// +build linux\n\n/* package main */\npackage main // the program\n\nimport (\n\t_ \"embed\"\n\t\"flag\"\n\t\"fmt\"\n\t\"os\"\n\n\
         \t\"example.test/tools/registers\"\n)\n\n//go:embed text/greeting.txt\nvar greeting string\n\nconst version = \"alpha 1\"\n\n\
         func main() {\n\tflag.Parse()\n\tfmt.Print(greeting)\n\tfmt.Println(version, os.Args[0], system, *registers.Loud, flag.NArg())\n}\n",
    ),
    ("alpha/text/greeting.txt", "hello\n"),
    ("alpha/system_linux.go", "package main\n\nconst system = \"linux\"\n"),
    ("alpha/system_windows.go", "package main\n\nconst system = \"windows\"\n"),
    ("alpha/main_test.go", "package main\n\nvar _ = doesNotExist\n"),
    ("alpha/ignored.go", "//go:build ignore\n\npackage main\n\nconst system = 1\n"),
    (
        "registers/registers.go",
        "package registers\n\nimport \"flag\"\n\nvar Loud = flag.Bool(\"loud\", false, \"shout\")\n",
    ),
    (
        "beta/main.go",
        "package main\n\nimport (\n\t\"flag\"\n\t\"fmt\"\n\t\"os\"\n)\n\nconst version = \"beta 2\"\n\n\
         func main() {\n\tflag.VisitAll(func(f *flag.Flag) { fmt.Println(\"flag\", f.Name) })\n\tflag.Parse()\n\
         \tfmt.Println(version)\n\tos.Exit(3)\n}\n",
    ),
    (
        "gamma/main.go",
        "package main\n\nimport \"example.test/tools/internal/secret\"\n\nfunc main() { println(secret.Word) }\n",
    ),
    ("internal/secret/secret.go", "package secret\n\nconst Word = \"x\"\n"),
];

/// A module proxy in a directory, serving the module above; and its closure.
fn proxy(dir: &Path, tools: &mut Tools) -> Closure {
    serve(dir, "example.test/tools", "v1.0.0", &FILES);
    let unpacked = dir.join("unpacked");
    for (name, text) in FILES {
        fs::create_dir_all(unpacked.join(name).parent().unwrap()).unwrap();
        fs::write(unpacked.join(name), text).unwrap();
    }
    ask(dir, tools);
    // The sum of a lone go.mod is that of golang.org/x/mod's dirhash.Hash1 over one file of that name.
    let sum = gobuild::hash_dir(&unpacked, "example.test/tools", "v1.0.0").unwrap();
    Closure {
        go_mod: "module containerized-kubelet\n\ngo 1.19\n\nrequire example.test/tools v1.0.0\n".into(),
        go_sum: format!(
            "example.test/tools v1.0.0 {sum}\nexample.test/tools v1.0.0/go.mod h1:1SdWQhE6LbDgTrkDAbBlOTkpXuQZ9qGp22rRRceTHDs=\n"
        ),
    }
}

fn program(name: &str, init_flags: bool) -> Program {
    Program { name: name.into(), package: format!("example.test/tools/{name}"), init_flags }
}

fn recipe(closure: &Closure, programs: Vec<Program>) -> Recipe {
    let join = JoinSource::read(&images().join("join")).unwrap();
    let shared = Common { edits: &Edits::default(), join: &join };
    Recipe::new(
        programs,
        closure.clone(),
        host_target(),
        LinkerVars::new(),
        Flags::default(),
        COMPILERS,
        shared,
    )
    .unwrap()
}

#[test]
fn joined_programs_keep_their_own_files_names_and_flags() {
    let Some(mut tools) = tools() else { return };
    let dir = Scratch::new();
    let closure = proxy(dir.path(), &mut tools);
    let both = recipe(&closure, vec![program("beta", false), program("alpha", true)]);
    gobuild::fetch(&both, &tools, dir.path(), &Silent).unwrap();
    let joined = dir.path().join("joined");
    compile(&both, &tools, 2, dir.path(), &joined, &Silent).unwrap();
    for name in ["alpha", "beta"] {
        let own = dir.path().join(name);
        let one = recipe(&closure, vec![program(name, false)]);
        compile(&one, &tools, 2, dir.path(), &own, &Silent).unwrap();
        for args in [&[][..], &["-loud", "x"], &["-h"], &["-nope"]] {
            let how = call(args);
            assert_eq!(run(&joined, name, &how), run(&own, name, &how), "{name} {args:?}");
        }
    }
    let (code, stdout, _) = run(&joined, "/some/where/alpha", &call(&["-loud", "x", "y"]));
    assert_eq!((code, stdout.as_str()), (Some(0), "hello\nalpha 1 /some/where/alpha linux true 2\n"));
    let (code, stdout, _) = run(&joined, "beta", &call(&[]));
    assert_eq!((code, stdout.as_str()), (Some(3), "beta 2\n"), "no flag of alpha's packages");
}

#[test]
fn a_program_that_imports_what_only_its_module_may_builds_alone_but_is_not_joined() {
    let Some(mut tools) = tools() else { return };
    let dir = Scratch::new();
    let closure = proxy(dir.path(), &mut tools);
    let alone = recipe(&closure, vec![program("gamma", false)]);
    gobuild::fetch(&alone, &tools, dir.path(), &Silent).unwrap();
    compile(&alone, &tools, 2, dir.path(), &dir.path().join("gamma"), &Silent).unwrap();
    let joined = recipe(&closure, vec![program("alpha", true), program("gamma", false)]);
    let out = dir.path().join("joined");
    let error = compile(&joined, &tools, 2, dir.path(), &out, &Silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        "gamma (example.test/tools/gamma) cannot be joined: it imports example.test/tools/internal/secret, \
         which Go lets only its own module use"
    );
    assert!(!out.exists());
}

#[test]
fn a_compiler_error_and_a_package_that_is_no_program_are_named() {
    let Some(mut tools) = tools() else { return };
    let dir = Scratch::new();
    let mut closure = proxy(dir.path(), &mut tools);
    let mut library = program("registers", false);
    let compile = |tools: &Tools, recipe: &Recipe| {
        gobuild::fetch(recipe, tools, dir.path(), &Silent)?;
        gobuild::compile(recipe, tools, 2, dir.path(), &dir.path().join("out"), &Silent)
    };
    let error = compile(&tools, &recipe(&closure, vec![library.clone()])).unwrap_err();
    assert_eq!(error.to_string(), "example.test/tools/registers is not a program");
    library.package = "example.test/tools/nope".into();
    let error = compile(&tools, &recipe(&closure, vec![library])).unwrap_err();
    assert!(
        error.to_string().contains("cannot find module providing package example.test/tools/nope"),
        "{error}"
    );
    // Embedding came with Go 1.16: a language too old for it is an error of the compiler.
    let alpha = vec![program("alpha", true), program("beta", false)];
    closure.go_mod = closure.go_mod.replace("go 1.19", "go 1.15");
    let error = compile(&tools, &recipe(&closure, alpha)).unwrap_err();
    assert_eq!(fault::exit_code(&error), 8);
    assert!(error.to_string().contains("go:embed requires go1.16 or later"), "{error}");
}
