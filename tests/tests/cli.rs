//! What people and programs see of the command itself: exit codes, JSON, colours, completions. Nothing is built.

use std::fs::File;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::Value;
use tests::{cmd, made, scratch, skip, xtask};

/// What a verb answers with `--json`: one object with a version, whatever it says on standard error.
fn json(xtask: &xtask::Xtask, args: &[&str]) -> Result<Value> {
    let text = xtask.ok(&[args, &["--json"]].concat())?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{args:?} answers {text:?}"))?;
    ensure!(value["version"] == 1, "{args:?}: no version in {text}");
    Ok(value)
}

#[test]
fn every_answer_for_machines_has_a_version() -> Result<()> {
    let scratch = scratch::dir()?;
    let xtask = xtask::Xtask::new()?;
    let list = json(&xtask, &["list"])?;
    ensure!(list["attributes"].as_array().is_some_and(|all| all.len() > 100), "{list}");
    ensure!(json(&xtask, &["doctor"])?["checks"].is_array(), "no checks");
    ensure!(json(&xtask, &["fuzz", "--list"])?["targets"].is_array(), "no targets");
    let locks = json(&xtask, &["lock", "go", "v1.26.0", "--check", "--offline"])?;
    let names: Vec<_> =
        locks["locks"].as_array().context("no locks")?.iter().map(|lock| &lock["name"]).collect();
    assert_eq!(names, ["cni-plugins-v0.9.1", "v1.26.0/kube", "v1.26.0/kube-unedited", "v1.26.0/kubeadm"]);
    let gc = json(&xtask.store(&scratch.path().join("store")), &["gc"])?;
    assert_eq!(gc["freed"], 0);
    Ok(())
}

/// What writes a file of the repository says so for machines, too, whether it wrote or looked.
#[test]
fn what_writes_a_file_answers_for_machines_what_came_of_it() -> Result<()> {
    let scratch = scratch::dir()?;
    let checkout = scratch.path().join("checkout");
    scratch::checkout(&checkout)?;
    let xtask = xtask::Xtask::new()?.cwd(&checkout);
    for (verb, file, word) in [("table", "README.md", "| kubelet |"), ("chart", "docs/sizes.svg", " MiB")] {
        let state = |words: &[&str]| {
            let said = json(&xtask, &[&["size", verb], words].concat())?;
            ensure!(said["file"] == file, "{said}");
            Ok(said["state"].as_str().unwrap_or_default().to_owned())
        };
        assert_eq!((state(&[])?, state(&["--check"])?), ("unchanged".to_owned(), "unchanged".to_owned()));
        let text = std::fs::read_to_string(checkout.join(file))?;
        let (before, made) = text.split_at(text.find("size table` -->").unwrap_or(0));
        ensure!(made.contains(word), "{file} has no {word:?}");
        std::fs::write(checkout.join(file), format!("{before}{}", made.replacen(word, "spoilt", 1)))?;
        xtask.fails(&["size", verb, "--check", "--json"], Kind::Stale, &[file])?;
        assert_eq!(state(&[])?, "written");
        ensure!(std::fs::read_to_string(checkout.join(file))? == text, "{file} is another");
    }
    let layout = made::image(scratch.path(), "v1", &[made::layer(1, 1000)?], 0)?;
    let out = scratch.path().join("sbom.json");
    let (layout, out) = (layout.to_string_lossy(), out.to_string_lossy());
    let said = json(&xtask, &["sbom", &layout, "--out", &out])?;
    ensure!(said["file"] == *out, "{said}");
    Ok(())
}

#[test]
fn what_makes_no_sense_has_its_exit_code() -> Result<()> {
    let scratch = scratch::dir()?;
    let xtask = xtask::Xtask::new()?;
    xtask.fails(&["biuld"], Kind::Usage, &["biuld", "build"])?;
    xtask.fails(&["build", "--jobs", "0"], Kind::Usage, &["--jobs"])?;
    xtask.fails(&["list", "--quiet", "--verbose"], Kind::Usage, &["--quiet", "--verbose"])?;
    xtask.fails(&["lock", "go", "v0.0.1"], Kind::NotFound, &["v0.0.1", "v1.26.0"])?;
    xtask.fails(&["fuzz", "no-such-target"], Kind::NotFound, &["no-such-target", "oci-layer"])?;
    // Layouts are pushed from anywhere; what is to be built first is not.
    let outside = xtask.cwd(scratch.path());
    for args in [&["list"][..], &["push", "kubelet-v1_26_0-amd64", "--to", "localhost:1/kubelet"]] {
        outside.fails(args, Kind::Usage, &["images/catalog.toml", "checkout"])?;
    }
    Ok(())
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error_and_a_reader_that_left_is_none() -> Result<()> {
    let xtask = xtask::Xtask::new()?;
    let full = File::options().write(true).open("/dev/full")?;
    let status = xtask.command(&["list"])?.stdout(full).stderr(Stdio::null()).status()?;
    assert_eq!(status.code(), Some(i32::from(Kind::Storage.exit_code())));
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let status = xtask.command(&["list"])?.stdout(writer).status()?;
    assert_eq!(status.code(), Some(0));
    Ok(())
}

/// What an error looks like on a terminal, which `script` is.
fn on_a_terminal(no_color: &str, args: &str) -> Result<String> {
    let command = format!("'{}' {args}", xtask::program()?.display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    script.env("NO_COLOR", no_color).env("TERM", "xterm").current_dir(tests::root());
    let out = cmd::output(&mut script)?;
    ensure!(out.stdout.contains("error"), "{args}: {}{}", out.stdout, out.stderr);
    Ok(out.stdout)
}

#[test]
fn colours_are_for_terminals_and_no_color_is_heeded() -> Result<()> {
    if skip::without(&["script"])? {
        return Ok(());
    }
    let paints = |text: &str| text.contains('\x1b');
    // Our own errors and clap's.
    for args in ["build no-such", "no-such"] {
        ensure!(paints(&on_a_terminal("", args)?), "`{args}` has no colours on a terminal");
        ensure!(!paints(&on_a_terminal("1", args)?), "`{args}` paints though NO_COLOR is set");
        ensure!(
            !paints(&on_a_terminal("", &format!("--color never {args}"))?),
            "`{args}` paints though told not to"
        );
    }
    let piped = xtask::Xtask::new()?.output(&["build", "no-such"])?;
    ensure!(!paints(&piped.stderr), "colours in a pipe: {}", piped.stderr);
    Ok(())
}

#[test]
fn completions_complete() -> Result<()> {
    let scratch = scratch::dir()?;
    let xtask = xtask::Xtask::new()?;
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = xtask.ok(&["completions", shell])?;
        ensure!(script.contains("completions") && script.contains("omit"), "{shell}: {script}");
    }
    let script = scratch.path().join("completion");
    std::fs::write(&script, xtask.ok(&["completions", "bash"])?)?;
    let ask = "source \"$1\"; COMP_WORDS=(xtask bui); COMP_CWORD=1; _xtask xtask bui xtask; echo \"${COMPREPLY[@]}\"";
    let answer = cmd::ok(Command::new("bash").args(["-c", ask, "bash"]).arg(script))?;
    assert_eq!(answer, "build\n");
    Ok(())
}
