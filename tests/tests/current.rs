//! The repository stays current: what is new upstream, and a release added to a copy of the checkout.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::Value;
use tests::xtask::{self, Xtask};
use tests::{image, scratch, skip};

const RELEASE: &str = "v1.34.1";
/// What `kubectl version` of that release says of itself.
const COMMIT: &str = "93248f9ae092f571eb870b7664c534bfc7d00f03";
const DATE: &str = "2025-09-09T19:37:19Z";
/// What Nix reads of the catalog.
const PLAN: &str = "images/plan.json";

#[test]
fn what_is_new_is_told_from_a_list_of_versions() -> Result<()> {
    let dir = scratch::dir()?;
    let file = dir.path().join("versions");
    let name = file.to_string_lossy();
    let upstream = |versions: &str, today: &str, more: &[&str]| {
        fs::write(&file, versions)?;
        let args = [&["upstream", "--versions", &name, "--today", today], more].concat();
        Xtask::new()?.output(&args)
    };
    let list = "k8s.io/kubernetes v1.26.0 v1.26.15 v1.33.0-rc.1 v1.33.0 v1.33.5 v1.60.0";
    let out = upstream(list, "2026-01-01", &["--json"])?;
    ensure!(out.status.success(), "{}", out.stderr);
    let told: Value = serde_json::from_str(&out.stdout)?;
    ensure!(told["version"] == 1 && told["today"] == "2026-01-01", "{told}");
    ensure!(told["patches"][0]["version"] == "v1.26.15" && told["patches"][0]["have"] == "v1.26.0", "{told}");
    ensure!(told["minors"][0]["version"] == "v1.33.5" && told["minors"][0]["ends"] == "2026-06-23", "{told}");
    ensure!(told["unknown"][0] == "1.60", "{told}");
    ensure!(told["ended"].as_array().is_some_and(|ended| ended.len() == 3), "{told}");
    // Nothing was over then, and nothing newer there.
    let out = upstream("v1.26.0 v1.25.5", "2023-01-01", &["--check"])?;
    ensure!(out.status.success() && out.stdout.trim() == "nothing is new", "{}{}", out.stdout, out.stderr);
    let out = upstream(list, "2023-01-01", &["--check"])?;
    ensure!(out.code() == Some(i32::from(Kind::Stale.exit_code())), "{}", out.stderr);
    let out = upstream("v1.26.0-rc.1 nonsense", "2023-01-01", &[])?;
    ensure!(out.code() == Some(i32::from(Kind::InvalidData.exit_code())), "{}", out.stderr);
    Ok(())
}

#[test]
fn a_release_that_cannot_be_added_changes_no_file() -> Result<()> {
    let dir = scratch::dir()?;
    let root = dir.path().join("checkout");
    scratch::checkout(&root)?;
    let before = state(&root)?;
    let xtask = Xtask::new()?.cwd(&root);
    let known = ["--commit", COMMIT, "--date", DATE];
    let add = |version, kind, words: &[&str], more: &[&str]| {
        let args = [&["add-release", version], &known[..], more].concat();
        xtask.fails(&args, kind, words).map(drop)
    };
    add("v1.26.0", Kind::Usage, &["the catalog has v1.26.0 already"], &[])?;
    add("1.34", Kind::Usage, &["not a version vX.Y.Z"], &[])?;
    add(RELEASE, Kind::InvalidData, &["not a Go version"], &["--go", "new"])?;
    // Without a network its modules are not available.
    xtask.fails(&["add-release", "v1.98.0", "--offline"], Kind::Unavailable, &["--offline"])?;
    let offline = Xtask::new()?.cwd(&root).env("GOPROXY", "off");
    let args = [&["add-release", "v1.98.0"], &known[..]].concat();
    offline.fails(&args, Kind::Unavailable, &["k8s.io/kubernetes@v1.98.0"])?;
    ensure!(state(&root)? == before, "a file was changed");
    Ok(())
}

/// The commit is added to a release that has none, from the tag of a repository; nothing else is changed.
#[test]
fn a_commit_is_taken_from_the_tag_of_a_repository() -> Result<()> {
    if skip::without(&["git"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let (root, repository) = (dir.path().join("checkout"), dir.path().join("kubernetes"));
    scratch::checkout(&root)?;
    let git = |args: &[&str]| git(&repository, args);
    fs::create_dir(&repository)?;
    git(&["init", "--quiet"])?;
    git(&["commit", "--quiet", "--allow-empty", "--message", "released"])?;
    let commit = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    // As Kubernetes' own tags are: an object that points to the commit.
    git(&["tag", "--annotate", "--message", "v1.26.0", "v1.26.0"])?;
    git(&["commit", "--quiet", "--allow-empty", "--message", "another"])?;
    ensure!(git(&["rev-parse", "v1.26.0"])?.trim() != commit, "the tag is the commit");
    let url = format!("file://{}", repository.display());

    let file = root.join("images/catalog.toml");
    let before = fs::read_to_string(&file)?;
    let known = "commit = \"b46a3f887ca979b1a5d14fd39cb1af43e7e5d12d\"\n";
    ensure!(before.contains(known), "the catalog has another commit for v1.26.0");
    fs::write(&file, before.replacen(known, "", 1))?;
    let xtask = Xtask::new()?.cwd(&root);
    let words = ["add-release", "v1.26.0"];
    xtask.fails(&words, Kind::Usage, &["the catalog has v1.26.0 already"])?;
    let said = xtask.ok(&[&words[..], &["--repository", &url]].concat())?;
    ensure!(said.contains(&commit), "{said}");
    let after = fs::read_to_string(&file)?;
    ensure!(after == before.replacen(known, &format!("commit = \"{commit}\"\n"), 1), "{after}");
    ensure!(said.contains(PLAN), "{said}");
    xtask.ok(&["lock", "plan", "--check"])?;
    // It has one now; and what has no such tag says so.
    let again = [&words[..], &["--repository", &url]].concat();
    xtask.fails(&again, Kind::Usage, &["the catalog has v1.26.0 already"])?;
    let other = ["add-release", "v1.26.9", "--repository", &url, "--date", DATE];
    xtask.fails(&other, Kind::NotFound, &["has no tag v1.26.9"])?;
    let nowhere = ["add-release", "v1.26.9", "--repository", "file:///none/such", "--date", DATE];
    xtask.fails(&nowhere, Kind::Unavailable, &["git cannot list the tags of file:///none/such"]).map(drop)
}

/// Whoever changes the catalog by hand is told to bring what Nix reads of it up to date.
#[test]
fn a_changed_catalog_makes_the_plan_for_nix_stale() -> Result<()> {
    let dir = scratch::dir()?;
    let root = dir.path().join("checkout");
    scratch::checkout(&root)?;
    let (catalog, plan) = (root.join("images/catalog.toml"), root.join(PLAN));
    let xtask = Xtask::new()?.cwd(&root);
    let change = |from: &str, to: &str| {
        let text = fs::read_to_string(&catalog)?;
        ensure!(text.contains(from), "the catalog has no {from}");
        fs::write(&catalog, text.replacen(from, to, 1)).context("writing the catalog")
    };
    let check = ["lock", "plan", "--check"];
    xtask.ok(&check)?;
    for (from, to) in [
        // Nix takes a date from the catalog itself, of which the plan has the digest.
        ("date = \"2022-12-08T10:08:09Z\"", "date = \"2022-12-08T10:08:10Z\""),
        ("name = \"flannel\"\ncomponents", "name = \"overlay\"\ncomponents"),
        ("since = \"v1.3.0\"", "since = \"v1.99.0\""),
        ("carry = [\"flannel\"]", "carry = []"),
        ("\"host-programs\", \"ca-certificates\"", "\"host-programs\""),
    ] {
        let before = fs::read_to_string(&plan)?;
        change(from, to)?;
        let words =
            ["images/plan.json is not what images/catalog.toml gives", "`cargo xtask lock plan` makes it"];
        xtask.fails(&check, Kind::Stale, &words)?;
        ensure!(fs::read_to_string(&plan)? == before, "{to}: a check has written");
        let told: Value = serde_json::from_str(&xtask.ok(&["lock", "plan", "--json"])?)?;
        ensure!(told["locks"][0]["name"] == PLAN && told["locks"][0]["state"] == "updated", "{told}");
        xtask.ok(&check)?;
    }
    // Nothing else needs it.
    fs::remove_file(&plan)?;
    xtask.ok(&["list"])?;
    xtask.fails(&check, Kind::Stale, &["images/plan.json is missing", "`cargo xtask lock plan`"]).map(drop)
}

/// The release before the newest ones, which the checkout has.
const THERE: &str = "v1.34.4";

/// A copy of the checkout without that release, and a repository of another one's with its tag; the tag's commit.
fn without_release(root: &Path, repository: &Path) -> Result<String> {
    scratch::checkout(root)?;
    let file = root.join("images/catalog.toml");
    let catalog = fs::read_to_string(&file)?;
    let blocks: Vec<&str> = catalog.split_inclusive("\n\n").collect();
    let is_it = |block: &&str| block.contains(&format!("\nversion = \"{THERE}\""));
    ensure!(blocks.iter().filter(|block| is_it(block)).count() == 1, "the catalog has not {THERE} once");
    fs::write(&file, blocks.into_iter().filter(|block| !is_it(block)).collect::<String>())?;
    fs::remove_dir_all(root.join("images/go").join(THERE))?;
    Xtask::new()?.cwd(root).ok(&["lock", "plan"])?;
    ensure!(!fs::read_to_string(root.join(PLAN))?.contains(THERE), "{PLAN} has {THERE}");
    fs::create_dir(repository)?;
    git(repository, &["init", "--quiet"])?;
    git(repository, &["commit", "--quiet", "--allow-empty", "--message", "released"])?;
    git(repository, &["tag", "--annotate", "--message", THERE, THERE])?;
    Ok(git(repository, &["rev-parse", "HEAD"])?.trim().to_owned())
}

/// The date of the release that begins with this line of a catalog.
fn date_of<'t>(catalog: &'t str, line: &str) -> Result<&'t str> {
    let of_release = catalog.split_once(line).context("no such release")?.1;
    let date = of_release.lines().find_map(|line| line.strip_prefix("date = \"")?.strip_suffix('"'));
    date.context("a release without a date")
}

fn git(at: &Path, args: &[&str]) -> Result<String> {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b.test", "-c", "init.defaultBranch=main"];
    tests::cmd::ok(std::process::Command::new("git").arg("-C").arg(at).args(identity).args(args))
}

/// As the workflow does it each night: a new patch needs no flag but where its commit is asked for, and the edit of no
/// file. What comes of it are the files that the checkout has.
#[test]
fn what_is_new_is_added_and_told_as_a_pull_request() -> Result<()> {
    if skip::without(&["git", "jq"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let at = |name: &str| dir.path().join(name);
    let commit = without_release(&at("checkout"), &at("kubernetes"))?;
    git(&at("checkout"), &["init", "--quiet"])?;
    git(&at("checkout"), &["add", "--all"])?;
    git(&at("checkout"), &["commit", "--quiet", "--message", "before"])?;
    fs::write(at("versions"), format!("k8s.io/kubernetes v1.26.0 v1.34.3 {THERE} v1.34.99-rc.0\n"))?;
    // `cargo xtask` is the program as it is built here.
    let cargo = format!("#!/bin/sh\nshift\nexec '{}' \"$@\"\n", xtask::program()?.display());
    let path = scratch::path_with(&at("bin"), "cargo", &cargo)?;
    let script = |versions: &str, out: &str| {
        let mut script = std::process::Command::new(at("checkout/.github/scripts/add-releases"));
        script.arg("--repository").arg(format!("file://{}", at("kubernetes").display()));
        script.args(["--today", "2026-03-01", "--no-build", "--versions", versions, "--out"]).arg(at(out));
        tests::cmd::ok(script.env("PATH", &path).current_dir(at("checkout")))
    };
    script(&at("versions").to_string_lossy(), "told")?;
    let body = fs::read_to_string(at("told/body.md"))?;
    ensure!(body.contains("CHANGELOG/CHANGELOG-1.34.md#v1344"), "{body}");
    assert_eq!(fs::read_to_string(at("told/title"))?, format!("catalog: Kubernetes {THERE}\n"));

    // The patch alone, where nothing else was done.
    git(dir.path(), &["clone", "--quiet", "checkout", "proposed"])?;
    let patch = at("told/change.patch");
    git(&at("proposed"), &["apply", "--index", "--include=images/*", &patch.to_string_lossy()])?;
    let line = format!("version = \"{THERE}\"\n");
    let expected = fs::read_to_string(tests::root().join("images/catalog.toml"))?
        .replace(&line, &format!("{line}commit = \"{commit}\"\n"));
    let proposed = fs::read_to_string(at("proposed/images/catalog.toml"))?;
    // The day is known; the hour is that of the commit or of the tag, as the module proxy at hand has it.
    let (old, told) = (date_of(&expected, &line)?, date_of(&proposed, &line)?);
    assert_eq!(old[..11], told[..11]);
    assert_eq!(proposed.replace(told, old), expected);
    let but_digest = |text: String| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("  \"catalog\": ")).map(str::to_owned).collect()
    };
    let plan = fs::read_to_string(at("proposed").join(PLAN))?;
    let there = fs::read_to_string(tests::root().join(PLAN))?;
    ensure!(but_digest(plan) == but_digest(there), "{PLAN} is another");
    Xtask::new()?.cwd(&at("proposed")).ok(&["lock", "plan", "--check"])?;
    let closures = Path::new("images/go").join(THERE);
    for file in scratch::files(&tests::root().join(&closures)) {
        let name = file.strip_prefix(tests::root())?;
        ensure!(fs::read(&file)? == fs::read(at("proposed").join(name))?, "{} is another", name.display());
    }

    // Nothing is new any more; and what has no tag is named.
    script(&at("versions").to_string_lossy(), "again")?;
    ensure!(!at("again/change.patch").exists() && !at("again/body.md").exists(), "something is new again");
    fs::write(at("versions"), "k8s.io/kubernetes v1.34.5\n")?;
    script(&at("versions").to_string_lossy(), "failed")?;
    let body = fs::read_to_string(at("failed/body.md"))?;
    ensure!(body.contains("Not added:") && body.contains("has no tag v1.34.5"), "{body}");
    ensure!(!at("failed/change.patch").exists(), "something was changed");
    Ok(())
}

/// By data alone: a release from another time, compiled with this one's code.
#[test]
fn a_release_is_added_built_and_starts() -> Result<()> {
    if !xtask::at_hand("kubelet-v1_34_1-amd64")? && skip::unless_full("a release added and compiled") {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let (root, out) = (dir.path().join("checkout"), dir.path().join("out"));
    scratch::checkout(&root)?;
    let xtask = Xtask::new()?.cwd(&root);
    let told = xtask.ok(&["add-release", RELEASE, "--commit", COMMIT, "--date", DATE, "--json"])?;
    let told: Value = serde_json::from_str(&told)?;
    ensure!(told["release"] == RELEASE, "{told}");
    let catalog = fs::read_to_string(root.join("images/catalog.toml"))?;
    ensure!(catalog.contains(COMMIT) && catalog.contains("# --- Releases: newest first"), "{catalog}");
    for check in [
        &["lock", "go", "--check", "--offline"][..],
        &["lock", "plan", "--check"],
        &["size", "table", "--check"],
    ] {
        xtask.ok(check)?;
    }
    let sizes = fs::read_to_string(root.join("images/sizes.json"))?;
    ensure!(sizes.contains("kubelet-v1_34_1-amd64"), "its size is not recorded");
    let layout = xtask.build("kubelet-v1_34_1-amd64", &out)?;
    if skip::without(&["umoci"])? {
        return Ok(());
    }
    let rootfs = image::unpack(&layout, dir.path())?;
    let version =
        tests::cmd::ok(std::process::Command::new(rootfs.join("usr/bin/kubelet")).arg("--version"))?;
    ensure!(version.trim() == format!("Kubernetes {RELEASE}"), "{version}");
    Ok(())
}

/// All files that a release is written in, with their hashes.
fn state(root: &Path) -> Result<Vec<(std::path::PathBuf, String)>> {
    let files = scratch::files(&root.join("images")).into_iter().chain(scratch::files(&root.join("docs")));
    files.chain([root.join("README.md")]).map(|file| Ok((file.clone(), scratch::sha256(&file)?))).collect()
}
