//! Programs that make text by templates, linked without the methods that nobody calls.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{COMPILERS, Scratch, ask, call, edits, host_target, images, run, serve, tools};
use gobuild::units::{self, Outcome};
use gobuild::{
    Closure, Common, Edits, Flags, JoinSource, LinkerVars, Program, Recipe, Spec, Tools, compile, fetch,
};
use progress::Silent;

/// What the method says that only a user's template names.
const UNCALLED: &str = "no template of the program names me";
/// One writes by templates from a constant, a sum, another package and a file, and by that of its user; the other makes
/// templates of what its user says.
const FILES: [(&str, &str); 5] = [
    ("go.mod", "module example.test/text\n\ngo 1.19\n"),
    (
        "writes/main.go",
        r#"package main

import (
	_ "embed"
	"fmt"
	"os"
	"text/template"

	"example.test/text/words"
)

//go:embed page.html
var page string

type thing struct{ Field string }

func (thing) Called() string           { return "called" }
func (thing) With(n int) int           { return n + 1 }
func (*thing) Pointed() *thing         { return &thing{"pointed"} }
func (thing) InVariable() string       { return "in a variable" }
func (thing) InFile() string           { return "in a file" }
func (thing) InPipe() string           { return "in a pipe" }
func (thing) InDefinition() string     { return "in a definition" }
func (thing) Elsewhere() string        { return "elsewhere" }
func (thing) Uncalled() string         { return "no template of the program names me" }

const middle = "|"

func main() {
	texts := append([]string{
		"{{.Field}} {{.Called}} {{.With 1}}",
		"{{if .Pointed}}{{.Pointed.Field}}" + middle + "{{end}}",
		"{{with $it := .}}{{$it.InVariable}}{{else}}{{.Absent}}{{end}}",
		"{{define `it`}}{{.InDefinition}}{{end}}{{template `it` .}} {{(or . nil).InPipe | printf `%q`}}",
		words.Text,
		page,
	}, os.Args[1:]...)
	for _, text := range texts {
		err := template.Must(template.New("").Parse(text)).Execute(os.Stdout, &thing{"field"})
		fmt.Println(err)
	}
}
"#,
    ),
    ("writes/page.html", "<b>{{.InFile}}</b>"),
    ("words/words.go", "package words\n\nconst Text = `{{.Elsewhere}}`\n"),
    (
        "asks/main.go",
        "package main\n\nimport (\n\t\"os\"\n\t\"text/template\"\n)\n\nfunc main() {\n\
         \ttext := \"of {{.\" + os.Args[1] + \"}}\"\n\ttemplate.Must(template.New(``).Parse(text)).Execute(os.Stdout, nil)\n}\n",
    ),
];

/// A module proxy in a directory, serving the module above; and its closure.
fn proxy(dir: &Path, tools: &mut Tools) -> Closure {
    serve(dir, "example.test/text", "v1.0.0", &FILES);
    let unpacked = dir.join("unpacked");
    for (name, text) in FILES {
        fs::create_dir_all(unpacked.join(name).parent().unwrap()).unwrap();
        fs::write(unpacked.join(name), text).unwrap();
    }
    ask(dir, tools);
    let sum = |path: &Path| gobuild::hash_dir(path, "example.test/text", "v1.0.0").unwrap();
    Closure {
        go_mod: "module containerized-kubelet\n\ngo 1.19\n\nrequire example.test/text v1.0.0\n".into(),
        go_sum: format!(
            "example.test/text v1.0.0 {}\nexample.test/text v1.0.0/go.mod h1:16tA1fXGmxygnNnJ9ZVztoA6NVB0c/5pobmpFnIxtPw=\n",
            sum(&unpacked)
        ),
    }
}

fn recipe(closure: &Closure, name: &str, flags: Flags) -> Recipe {
    let (edits, join) = (edits(), JoinSource::read(&images().join("join")).unwrap());
    let program =
        Program { name: name.into(), package: format!("example.test/text/{name}"), init_flags: false };
    let common = Common { edits: &edits, join: &join };
    Recipe::new(vec![program], closure.clone(), host_target(), LinkerVars::new(), flags, COMPILERS, common)
        .unwrap()
}

fn flags(prune: bool, templates: bool) -> Flags {
    Flags { prune, templates, ..Flags::default() }
}

#[test]
fn templates_find_all_that_the_sources_name_and_the_linker_drops_the_rest() {
    let Some(mut tools) = tools() else { return };
    let dir = Scratch::new();
    let closure = proxy(dir.path(), &mut tools);
    let build = |name: &str, flags: Flags| {
        let out = dir.path().join(format!("{name}-{}", flags.templates));
        let recipe = recipe(&closure, name, flags);
        fetch(&recipe, &tools, dir.path(), &Silent)?;
        compile(&recipe, &tools, 2, dir.path(), &out, &Silent).map(|()| out)
    };
    let [plain, pruned] =
        [flags(false, false), flags(true, true)].map(|flags| build("writes", flags).unwrap());

    let (code, said, _) = run(&pruned, "writes", &call(&[]));
    insta::assert_snapshot!(said, @r#"
    field called 2<nil>
    pointed|<nil>
    in a variable<nil>
    in a definition "in a pipe"<nil>
    elsewhere<nil>
    <b>in a file</b><nil>
    "#);
    assert_eq!((code, &said), (Some(0), &run(&plain, "writes", &call(&[])).1));
    // A user's template finds fields, and methods that a template of the program names, too.
    let user = call(&["{{.Field}} {{.Called}} {{.With 2}}"]);
    assert_eq!(run(&pruned, "writes", &user), run(&plain, "writes", &user));
    let user = call(&["{{.Uncalled}}"]);
    let [was, is] = [&plain, &pruned].map(|file| run(file, "writes", &user).1);
    assert!(
        was.contains(UNCALLED) && is.contains("can't evaluate field Uncalled in type *main.thing"),
        "{is}"
    );
    let has = |file: &Path| String::from_utf8_lossy(&fs::read(file).unwrap()).contains(UNCALLED);
    assert_eq!([has(&plain), has(&pruned)], [true, false]);

    // Without the names, the linker keeps all methods.
    let error = build("writes", flags(true, false)).unwrap_err().to_string();
    assert!(error.starts_with("writes: text/template.(*state).evalField looks methods up"), "{error}");
    // Where a name is known only when the program runs, nothing is dropped unseen.
    let error = build("asks", flags(true, true)).unwrap_err().to_string();
    assert!(error.contains("asks/main.go:9:10: \"of {{.\\x00}}\""), "{error}");
    assert_eq!(error.lines().count(), 2, "{error}");
}

/// The names behind a dot in the tests of Go's packages of this name.
fn named_in_tests(tools: &Tools, package: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(tools.go_root.join("src").join(package)).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with("_test.go") {
            for part in fs::read_to_string(path).unwrap().split('.').skip(1) {
                let end = part.find(|c: char| !c.is_alphanumeric()).unwrap_or(part.len());
                if part.starts_with(char::is_uppercase) {
                    names.insert(part[..end].to_owned());
                }
            }
        }
    }
    names
}

/// With the names that they have, Go's templates do all that Go's own tests demand of them; without, they do not.
#[test]
#[ignore = "compiles Go's own tests of its templates, thrice"]
fn templates_pass_their_own_unit_tests() {
    let Some(tools) = tools() else { return };
    let dir = Scratch::new();
    let spec = Spec::Cni { version: "v1.10.0".into(), packages: Vec::new(), carried: Vec::new() };
    let closure = Closure::read(&images(), &spec).unwrap();
    let packages = ["text/template", "html/template"];
    let (edits, join) = (edits(), JoinSource::read(&images().join("join")).unwrap());
    let outcomes = |edits: &Edits, edited| {
        let common = Common { edits, join: &join };
        let programs = vec![Program::cni("main", "loopback")];
        let (closure, flags) = (closure.clone(), flags(true, true));
        let recipe =
            Recipe::new(programs, closure, host_target(), LinkerVars::new(), flags, COMPILERS, common);
        units::run(&recipe.unwrap(), &tools, &packages, edited, 2, dir.path(), &Silent).unwrap()
    };
    let plain = outcomes(&edits, false);
    assert!(plain.values().all(|outcome| *outcome != Outcome::Fail), "{plain:#?}");
    assert!(plain.len() > 100, "{}", plain.len());

    let few = outcomes(&edits, true);
    let failed = few.iter().filter(|(_, outcome)| **outcome == Outcome::Fail).count();
    assert!(failed > 5 && few != plain, "{failed}");

    let mut all = edits.clone();
    let methods = &mut all.templates.as_mut().unwrap().methods;
    methods.extend(packages.iter().flat_map(|package| named_in_tests(&tools, package)));
    assert_eq!(outcomes(&all, true), plain);
}
