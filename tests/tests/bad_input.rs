//! Bad input and bad luck: a clear error that names the thing, the documented exit code, nothing half-made left, and
//! the next build succeeds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fault::Kind;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::overlay::{self, Store};
use tests::{image, made, scratch, skip, wait_for, xtask};

const ATTR: &str = "kubelet-v1_26_0-amd64";
const CNI: &str = "kubelet-v1_26_0-flannel-amd64";

#[test]
fn an_unknown_attribute_is_answered_with_the_nearest_ones() -> Result<()> {
    let out = scratch::dir()?;
    let misspelt = "kubelet-v1_26_0-flanel-amd64";
    let args = xtask::build_args(misspelt, out.path())?;
    xtask::Xtask::new()?.fails(&args, Kind::NotFound, &[misspelt, CNI])?;
    ensure!(image::names(out.path())?.is_empty(), "something was built");
    Ok(())
}

#[test]
fn a_flipped_bit_in_a_cached_layer_is_found_and_repaired() -> Result<()> {
    if skip::without(&overlay::PROGRAMS)? {
        return Ok(());
    }
    let good = xtask::layout(ATTR)?;
    let scratch = scratch::dir()?;
    let out = scratch.path().join("out");
    let store = Store::copy()?;
    let xtask = store.xtask(&tests::root())?;
    // The base: cheap to make again.
    let (digest, size) =
        image::layers(&good)?.into_iter().min_by_key(|(_, size)| *size).context("no layers")?;
    // Several keys may have given these bytes, of which the build reads one.
    let layers = objects(&store.path(), &digest, size)?;
    for layer in &layers {
        scratch::flip(layer)?;
    }
    let failed = xtask.fails(&xtask::build_args(ATTR, &out)?, Kind::Mismatch, &["gc --corrupt"])?;
    let named = |layer: &PathBuf| {
        let key = layer.parent().and_then(Path::file_name);
        key.is_some_and(|key| failed.stderr.contains(&*key.to_string_lossy()))
    };
    ensure!(layers.iter().any(named), "the message names no layer:\n{}", failed.stderr);
    xtask::nothing_half_made(&store.path(), &out)?;

    xtask.ok(&["gc", "--corrupt"])?;
    ensure!(layers.iter().all(|layer| !layer.exists()), "gc left a corrupt layer");
    assert_eq!(image::digest(&xtask.build(ATTR, &out)?)?, image::digest(&good)?);
    Ok(())
}

/// The files in the store that are this layer.
fn objects(store: &Path, digest: &str, size: u64) -> Result<Vec<PathBuf>> {
    let hex = digest.strip_prefix("sha256:").context("no SHA-256")?;
    let is_it = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|meta| meta.len() == size)
            && scratch::sha256(file).is_ok_and(|found| found == hex)
    };
    let found: Vec<_> = scratch::files(&store.join("objects")).into_iter().filter(is_it).collect();
    ensure!(!found.is_empty(), "the store has no object {digest}");
    Ok(found)
}

#[test]
fn a_flipped_bit_in_a_fetched_input_is_found_and_repaired() -> Result<()> {
    if skip::without(&overlay::PROGRAMS)? {
        return Ok(());
    }
    xtask::layout(ATTR)?;
    let scratch = scratch::dir()?;
    let out = scratch.path().join("out");
    let store = Store::copy()?;
    let xtask = store.xtask(&tests::root())?;
    // Without what was made from them, the build has to read its inputs again.
    for made in ["objects", "trees"] {
        fs::remove_dir_all(store.path().join(made))?;
    }
    let inputs = scratch::files(&store.path().join("inputs/sha256"));
    ensure!(!inputs.is_empty(), "the store has no inputs");
    for input in &inputs {
        scratch::flip(input)?;
    }
    let args = [xtask::build_args(ATTR, &out)?, vec!["--offline"]].concat();
    let failed = xtask.output(&args)?;
    assert_eq!(failed.code(), Some(i32::from(Kind::Mismatch.exit_code())), "{}", failed.stderr);
    let named = |input: &PathBuf| {
        input.file_name().is_some_and(|name| failed.stderr.contains(&*name.to_string_lossy()))
    };
    ensure!(inputs.iter().any(named), "the message names no input:\n{}", failed.stderr);
    ensure!(scratch::files(&out).is_empty(), "something was built");

    xtask.ok(&["gc", "--corrupt"])?;
    ensure!(inputs.iter().all(|input| !input.exists()), "gc left a corrupt input");
    xtask.ok(&["fetch", ATTR])?;
    xtask::nothing_half_made(&store.path(), &out)
}

#[test]
fn a_truncated_download_is_refused_and_not_kept() -> Result<()> {
    xtask::Xtask::new()?.ok(&["fetch", ATTR])?;
    let scratch = scratch::dir()?;
    let [mirror, store, out] = ["mirror", "store", "out"].map(|name| scratch.path().join(name));
    fs::create_dir(&mirror)?;
    // All wheels of the lock that this machine has, cut off in the middle.
    let lock: Value = serde_json::from_slice(&fs::read(tests::root().join("images/locks/toolchains.json"))?)?;
    let mut truncated = Vec::new();
    for (name, sha256) in files_of(&lock) {
        let input = xtask::default_store()?.join("inputs/sha256").join(sha256);
        if let Ok(bytes) = fs::read(input) {
            fs::write(mirror.join(&name), &bytes[..bytes.len() / 2])?;
            truncated.push(name);
        }
    }
    ensure!(!truncated.is_empty(), "the store has no file that the lock names");
    let xtask = xtask::Xtask::new()?.store(&store).env("KUBELET_IMAGES_MIRROR", &mirror);
    let failed = xtask.output(&["fetch", ATTR])?;
    assert_eq!(failed.code(), Some(i32::from(Kind::Mismatch.exit_code())), "{}", failed.stderr);
    ensure!(
        truncated.iter().any(|name| failed.stderr.contains(name)),
        "the message names no file:\n{}",
        failed.stderr
    );
    xtask::nothing_half_made(&store, &out)?;

    // The same store, without the bad mirror.
    xtask.env("KUBELET_IMAGES_MIRROR", "").ok(&["fetch", ATTR]).map(|_| ())
}

/// The files that a lock names anywhere, with their SHA-256.
fn files_of(lock: &Value) -> Vec<(String, String)> {
    let own = match (lock["file"].as_str(), lock["sha256"].as_str()) {
        (Some(file), Some(sha256)) => vec![(file.to_owned(), sha256.to_owned())],
        _ => Vec::new(),
    };
    let below = lock.as_object().into_iter().flat_map(|object| object.values().flat_map(files_of));
    own.into_iter().chain(below).collect()
}

#[test]
fn a_wrong_hash_in_a_lock_is_refused() -> Result<()> {
    let scratch = scratch::dir()?;
    let [checkout, store, out] = ["checkout", "store", "out"].map(|name| scratch.path().join(name));
    scratch::checkout(&checkout)?;
    let lock = checkout.join("images/locks/toolchains.json");
    let text = fs::read_to_string(&lock)?;
    let wrong = spoil_digests(&text);
    ensure!(wrong != text, "the lock has no digest");
    fs::write(&lock, wrong)?;
    let xtask = xtask::Xtask::new()?.cwd(&checkout).store(&store);
    xtask.fails(&["fetch", ATTR], Kind::Mismatch, &["expected", "found"])?;
    ensure!(scratch::files(&store.join("inputs/sha256")).is_empty(), "the input was kept");
    xtask::nothing_half_made(&store, &out)
}

/// Gives every SHA-256 in a text another first digit.
fn spoil_digests(text: &str) -> String {
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let spoil = |word: &str| {
        let first = if word.starts_with('0') { '1' } else { '0' };
        format!("{first}{}", &word[1..])
    };
    let words = text.split('"').map(|word| if is_digest(word) { spoil(word) } else { word.to_owned() });
    words.collect::<Vec<_>>().join("\"")
}

#[test]
fn a_wrong_sum_in_a_go_closure_is_refused() -> Result<()> {
    if skip::without(&overlay::PROGRAMS)? {
        return Ok(());
    }
    xtask::layout(CNI)?;
    let scratch = scratch::dir()?;
    let [checkout, out] = ["checkout", "out"].map(|name| scratch.path().join(name));
    scratch::checkout(&checkout)?;
    let module = "github.com/containernetworking/plugins";
    let sums = scratch::files(&checkout.join("images/go")).into_iter().find(|file| {
        file.ends_with("go.sum")
            && fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("{module} ")))
    });
    let sums = sums.context("no closure has the CNI plugins")?;
    let text = fs::read_to_string(&sums)?;
    let row =
        text.lines().find(|row| row.starts_with(module) && !row.contains("/go.mod ")).context("no sum")?;
    let (name, sum) = row.rsplit_once("h1:").context("no h1")?;
    let wrong = format!("{name}h1:{}", sum.chars().rev().skip_while(|c| *c == '=').collect::<String>() + "=");
    fs::write(&sums, text.replace(row, &wrong))?;
    let store = Store::copy()?;
    let xtask = store.xtask(&checkout)?;
    xtask.fails(&xtask::build_args(CNI, &out)?, Kind::Mismatch, &[module])?;
    xtask::nothing_half_made(&store.path(), &out)
}

#[test]
fn a_release_whose_modules_cannot_be_had_is_named_and_no_pin_is_touched() -> Result<()> {
    if skip::without(&["go"])? {
        return Ok(());
    }
    xtask::layout(ATTR)?;
    let scratch = scratch::dir()?;
    let [checkout, modules] = ["checkout", "modules"].map(|name| scratch.path().join(name));
    scratch::checkout(&checkout)?;
    let pins = || {
        let files = scratch::files(&checkout.join("images/go")).into_iter();
        files.map(|file| Ok((scratch::sha256(&file)?, file))).collect::<Result<Vec<_>>>()
    };
    let before = pins()?;
    let xtask = xtask::Xtask::new()?.cwd(&checkout).env("GOMODCACHE", modules).env("GOFLAGS", "-modcacherw");
    let words =
        ["v1.25.5/kube: left as it is", "k8s.io/kubernetes@v1.25.5", "cri-tools@v1.25.0", "not locked"];
    xtask.fails(&["lock", "go", "v1.25.5", "--offline"], Kind::Unavailable, &words)?;
    ensure!(before.len() > 10, "{before:?}");
    assert_eq!(pins()?, before);
    Ok(())
}

#[test]
fn a_full_disk_is_named() -> Result<()> {
    if skip::without(&overlay::PROGRAMS)? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let [store, out] = ["store", "out"].map(|name| scratch.path().join(name));
    fs::create_dir(&store)?;
    let script = "mount -t tmpfs -o size=3m tmpfs \"$KUBELET_IMAGES_STORE\" && exec \"$@\"";
    let xtask = xtask::Xtask::new()?.store(&store).under(["unshare", "--mount", "sh", "-c", script, "sh"]);
    let store_name = store.display().to_string();
    xtask.fails(&["fetch", ATTR], Kind::Storage, &["No space left", &store_name, "KUBELET_IMAGES_STORE"])?;
    xtask::nothing_half_made(&store, &out)
}

#[test]
fn a_full_disk_where_layouts_go_is_named() -> Result<()> {
    if skip::without(&["unshare"])? {
        return Ok(());
    }
    xtask::layout(ATTR)?;
    let out = scratch::dir()?;
    let name = out.path().to_str().context("the directory's name is not UTF-8")?;
    // What is left is looked for inside, where the disk is.
    let script = "mount -t tmpfs -o size=3m tmpfs \"$1\" && shift && \"$@\"; code=$?; find \"$0\" -type f >&2; exit $code";
    let before = ["unshare", "--mount", "sh", "-c", script, name, name];
    let xtask = xtask::Xtask::new()?.under(before);
    let layout = out.path().join(ATTR).display().to_string();
    let words = ["No space left", layout.as_str(), "--out"];
    let failed = xtask.fails(&xtask::build_args(ATTR, out.path())?, Kind::Storage, &words)?;
    let left: Vec<_> = failed.stderr.lines().filter(|line| line.starts_with(name)).collect();
    ensure!(left.is_empty(), "left where layouts go: {left:?}");
    Ok(())
}

#[test]
fn a_missing_tool_is_named_with_what_helps() -> Result<()> {
    let scratch = scratch::dir()?;
    let [store, out] = ["store", "out"].map(|name| scratch.path().join(name));
    let path = scratch::path_without(scratch.path(), &["go", "gofmt"])?;
    let xtask = xtask::Xtask::new()?.store(&store).env("PATH", path);
    xtask.fails(&["doctor"], Kind::Tool, &["go"])?;
    xtask.fails(&xtask::build_args(ATTR, &out)?, Kind::Tool, &["`go`", "install any Go"])?;
    xtask::nothing_half_made(&store, &out)
}

#[test]
fn an_interrupted_compile_ends_its_children_and_leaves_nothing() -> Result<()> {
    if skip::without(&overlay::PROGRAMS)? {
        return Ok(());
    }
    let good = image::digest(&xtask::layout(ATTR)?)?;
    let scratch = scratch::dir()?;
    let out = scratch.path().join("out");
    let store = Store::copy()?;
    // With its inputs and tools there, but nothing made, the next step is to compile.
    fs::remove_dir_all(store.path().join("objects"))?;
    let xtask = store.xtask(&tests::root())?;
    // A terminal's Ctrl-C, and what a service manager sends.
    for signal in [Signal::INT, Signal::TERM] {
        interrupt(&xtask, &out, signal)?;
        xtask::nothing_half_made(&store.path(), &out)?;
    }

    assert_eq!(image::digest(&xtask.build(ATTR, &out)?)?, good);
    Ok(())
}

/// A layer of ten megabytes, whose extended headers are a gigabyte: within a memory that could not hold them.
#[test]
fn headers_of_a_gigabyte_are_refused_and_not_kept() -> Result<()> {
    let dir = scratch::dir()?;
    let layout = made::image(dir.path(), "v1", &[made::headers(1_000, 1_000_000)?], 0)?;
    let (_, size) = image::layers(&layout)?.swap_remove(0);
    ensure!(size < 16 << 20, "the layer has {size} bytes");
    let layout = layout.to_str().context("not UTF-8")?;
    let xtask = xtask::Xtask::new()?.under(["sh", "-c", "ulimit -v 1000000; exec \"$0\" \"$@\""]);
    let words = ["extended headers of more than 134217728 bytes together"];
    for args in
        [&["sbom", layout][..], &["verify", layout, "--no-rebuild"], &["size", "diff", layout, layout]]
    {
        xtask.fails(args, Kind::InvalidData, &words)?;
    }
    Ok(())
}

/// Starts a build, and sends it a signal once it compiles.
fn interrupt(xtask: &xtask::Xtask, out: &Path, signal: Signal) -> Result<()> {
    let mut command = xtask.command(&xtask::build_args(ATTR, out)?)?;
    let scratch = scratch::dir()?;
    let said = scratch.path().join("said");
    let stderr = fs::File::create(&said)?;
    let mut build = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn()?;
    let id = i32::try_from(build.id())?;
    // nsenter and sh become xtask by exec, so the process is the same; what it starts has it as its parent.
    let child = wait_for("compiler under the build", Duration::from_mins(2), || {
        if let Some(status) = build.try_wait()? {
            let said = fs::read_to_string(&said)?;
            bail!("{signal:?}: the build ended before it compiled anything, {status}:\n{said}");
        }
        Ok(children(id).into_iter().find(|child| command_line(*child).contains("build")))
    })?;
    std::thread::sleep(Duration::from_millis(500));
    kill_process(Pid::from_raw(id).context("no process id")?, signal)?;
    let status = wait_for("end of the interrupted build", Duration::from_secs(10), || Ok(build.try_wait()?))?;
    assert_eq!(status.code(), Some(i32::from(Kind::Interrupted.exit_code())), "{signal:?}");
    ensure!(!Path::new(&format!("/proc/{child}")).exists(), "the compiler outlived the build");
    Ok(())
}

fn children(id: i32) -> Vec<i32> {
    let tasks = image::names(Path::new(&format!("/proc/{id}/task"))).unwrap_or_default();
    let list =
        |task: &String| fs::read_to_string(format!("/proc/{id}/task/{task}/children")).unwrap_or_default();
    let lists: Vec<String> = tasks.iter().map(list).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|id| id.parse().ok()).collect()
}

fn command_line(id: i32) -> String {
    fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default().replace('\0', " ")
}
