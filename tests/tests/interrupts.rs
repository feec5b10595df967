//! Ctrl-C and SIGTERM at random moments: what runs ends within a second, whatever it waits for, and leaves nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use testregistry::{Act, Rows, Server};
use tests::interrupt::{MOMENTS, each, moments, whole};
use tests::random::Random;
use tests::xtask::Xtask;
use tests::{made, overlay, scratch, skip, wait_for};

const ATTR: &str = "kubelet-v1_26_0-amd64";
/// A registry that is slow, stalls in all the ways there are, or is quick, by turns.
fn slow() -> Server {
    let never = Duration::from_mins(1);
    Server::with(Rows::default(), move |_, number| match number % 11 {
        2 => Act::Late(Duration::from_millis(150)),
        5 => Act::Drip,
        7 => Act::Stall(never),
        8 => Act::Deaf(never),
        _ => Act::Usual,
    })
}

#[test]
fn a_push_ends_and_sets_no_tag_too_early() -> Result<()> {
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let layers = [made::layer(1, 20_000_000)?, made::layer(2, 300_000)?];
    let layout = made::index(dir.path(), "v1", &layers)?;
    let server = slow();
    let to = format!("{}/kubelet", server.address);
    let args = ["push", layout.to_str().context("not UTF-8")?, "--to", &to, "--quiet"];
    each(&xtask, &args, (MOMENTS, Duration::from_millis(1500)), dir.path(), &mut random, || {
        let mut state = server.state();
        ensure!(state.tags_are_whole() && state.early.is_empty(), "a tag was set too early");
        // All over again.
        (state.blobs, state.manifests, state.tags) = Default::default();
        Ok(())
    })
}

#[test]
fn a_pull_ends_and_leaves_no_layout() -> Result<()> {
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let layers = [made::layer(1, 20_000_000)?, made::layer(2, 300_000)?];
    let layout = made::image(dir.path(), "v1", &layers, 2)?;
    let layout = layout.to_str().context("not UTF-8")?;
    let full = Server::start(|_, _| Act::Usual);
    xtask.ok(&["push", layout, "--to", &format!("{}/kubelet", full.address)])?;
    let server = slow();
    {
        let (mut to, from) = (server.state(), full.state());
        to.blobs.clone_from(&from.blobs);
        to.manifests.clone_from(&from.manifests);
        to.tags.clone_from(&from.tags);
    }
    let image = format!("{}/kubelet:v1", server.address);
    for args in [&["verify", &image, "--no-rebuild", "--quiet"][..], &["size", "diff", &image, layout]] {
        each(&xtask, args, (MOMENTS, Duration::from_millis(1500)), dir.path(), &mut random, || Ok(()))?;
    }
    Ok(())
}

/// Files of a directory, with their hashes.
fn state(dir: &Path) -> Result<Vec<(String, std::path::PathBuf)>> {
    scratch::files(dir).into_iter().map(|file| Ok((scratch::sha256(&file)?, file))).collect()
}

/// What is read and weighed of layouts, and what is given to a runtime.
#[test]
fn what_reads_a_layout_ends_and_leaves_nothing() -> Result<()> {
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let layout = made::image(dir.path(), "v1", &[made::layer(1, 100_000_000)?, made::layer(2, 300_000)?], 2)?;
    let index = layout.join("index.json");
    let named = r#""org.opencontainers.image.ref.name":"v1""#;
    let name = r#""org.opencontainers.image.ref.name":"v1","io.containerd.image.name":"localhost/x:v1""#;
    fs::write(&index, fs::read_to_string(&index)?.replace(named, name))?;
    let before = state(&layout)?;
    let child = dir.path().join("child");
    // One that takes its time, to answer as well.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = load ] || exec sleep 0.5\necho $$ >'{}'\nexec sleep 60\n",
        child.display()
    );
    let xtask = Xtask::new()?.env("PATH", scratch::path_with(&dir.path().join("bin"), "docker", &script)?);
    let (text, out) = (layout.to_string_lossy(), dir.path().join("sbom.json"));
    let out_text = out.to_string_lossy();
    for args in [
        &["sbom", &text, "--out", &out_text, "--quiet"][..],
        &["verify", &text, "--no-rebuild", "--quiet"],
        &["size", "diff", &text, &text, "--quiet"],
        &["load", &text, "--quiet"],
    ] {
        let within =
            if args[0] == "load" { (moments(), Duration::from_secs(2)) } else { whole(&xtask, args)? };
        each(&xtask, args, within, dir.path(), &mut random, || {
            ensure!(state(&layout)? == before, "the layout was changed");
            if let Ok(text) = fs::read(&out) {
                serde_json::from_slice::<serde_json::Value>(&text).context("half an SBOM")?;
                fs::remove_file(&out)?;
            }
            let left = tests::image::names(dir.path())?;
            let known = ["v1", "bin", "child", "tmp"];
            ensure!(left.iter().all(|name| known.contains(&name.as_str())), "left: {left:?}");
            if let Ok(id) = fs::read_to_string(&child) {
                ensure!(!Path::new("/proc").join(id.trim()).exists(), "the runtime's client is left");
                fs::remove_file(&child)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What is whole in the store stays, however far it was looked at.
#[test]
fn cleaning_ends_and_removes_nothing_that_is_whole() -> Result<()> {
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let store = dir.path().join("store");
    let inputs = store.join("inputs/sha256");
    fs::create_dir_all(&inputs)?;
    // Large and yet of no size: all but the end is a hole.
    for number in 0..16_u8 {
        let file = dir.path().join("new");
        let (hole, end) = (fs::File::create(&file)?, 32 << 20);
        hole.set_len(end)?;
        std::os::unix::fs::FileExt::write_all_at(&hole, &[number], end)?;
        fs::rename(&file, inputs.join(scratch::sha256(&file)?))?;
    }
    let before = tests::image::names(&inputs)?;
    let xtask = Xtask::new()?.store(&store);
    let args = ["gc", "--corrupt", "--quiet"];
    let within = whole(&xtask, &args)?;
    each(&xtask, &args, within, dir.path(), &mut random, || {
        ensure!(tests::image::names(&inputs)? == before, "what is whole was removed");
        Ok(())
    })
}

/// From a store that has all, which is never changed.
#[test]
fn what_takes_from_the_store_ends_and_leaves_no_half_layout() -> Result<()> {
    if skip::without(&["openssl"])? {
        return Ok(());
    }
    let good = tests::xtask::layout(ATTR)?;
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let (out, layout) = (dir.path().join("out"), dir.path().join("layout"));
    let [key, public] = tests::key_pair::make(dir.path(), "ours")?;
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let copy = || {
        let _ = fs::remove_dir_all(&layout);
        let mut copy = Command::new("cp");
        tests::cmd::ok(copy.arg("-r").arg(&good).arg(&layout)).map(drop)
    };
    copy()?;
    let [out_text, layout_text] = [&out, &layout].map(|path| path.to_string_lossy().into_owned());
    let [key, public] = [&key, &public].map(|path| path.to_string_lossy().into_owned());
    let signed = ["attest", &layout_text, "--key", &key, "--quiet"];
    let within = whole(&xtask, &signed)?;
    let to = ["release", "kubelet-v1_26_0", "--to", "127.0.0.1:1/edge", "--arch", "amd64", "--partial"];
    let release = [&to[..], &["--dry-run", "--no-rebuild", "--quiet", "--out", &out_text]].concat();
    let attested = state(&layout)?;
    for args in [
        &["build", ATTR, "--out", &out_text, "--quiet"][..],
        &release,
        &["verify", &layout_text, "--key", &public, "--quiet"],
        &["size", "check", "--layouts", &layout_text, "--quiet"],
    ] {
        let within = whole(&xtask, args)?;
        let _ = fs::remove_dir_all(&out);
        each(&xtask, args, within, dir.path(), &mut random, || {
            ensure!(state(&layout)? == attested, "the layout was changed");
            for file in scratch::files(&out) {
                ensure!(file.extension().is_none_or(|end| end != "tmp"), "left: {}", file.display());
            }
            for name in tests::image::names(&out).unwrap_or_default() {
                let whole = out.join(&name).join("index.json").is_file();
                ensure!(whole, "left half a layout: {:?}", scratch::files(&out.join(&name)));
            }
            let _ = fs::remove_dir_all(&out);
            Ok(())
        })?;
    }
    // What is attached is there or not; the image is what it was.
    let digest = tests::image::digest(&good)?;
    each(&xtask, &signed, within, dir.path(), &mut random, || {
        let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
        ensure!(index["manifests"][0]["digest"] == *digest, "another image: {index}");
        let blobs = layout.join("blobs/sha256");
        for entry in index["manifests"].as_array().into_iter().flatten() {
            let name = entry["digest"].as_str().unwrap_or_default().replace("sha256:", "");
            ensure!(blobs.join(&name).is_file(), "named and missing: {name}");
        }
        for file in scratch::files(&blobs) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            ensure!(scratch::sha256(&file)? == name, "half a blob: {}", file.display());
        }
        let left = tests::image::names(&layout)?;
        ensure!(left.len() == 3, "left in the layout: {left:?}");
        copy()
    })
}

/// A program that is interrupted while it answers is not one that is missing.
#[test]
fn an_interrupt_is_no_answer_to_what_the_machine_has() -> Result<()> {
    let dir = scratch::dir()?;
    for program in ["rustup", "rustc", "go", "python3", "upx"] {
        let (bin, asked) = (dir.path().join(program), dir.path().join("asked"));
        if program == "rustc" {
            // One in PATH is asked where rustup has none.
            scratch::path_with(&bin, "rustup", "#!/bin/sh\nexit 1\n")?;
        }
        let script = format!("#!/bin/sh\ntouch '{}'\nexec sleep 60\n", asked.display());
        let xtask = Xtask::new()?.env("PATH", scratch::path_with(&bin, program, &script)?);
        let mut command = xtask.command(&["doctor"])?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        wait_for("question to the program", Duration::from_mins(1), || Ok(asked.exists().then_some(())))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no such process")?;
        kill_process(pid, Signal::INT)?;
        let done = child.wait_with_output()?;
        let [said, error] = [&done.stdout, &done.stderr].map(|text| String::from_utf8_lossy(text));
        ensure!(
            done.status.code() == Some(130) && said.is_empty(),
            "{program}: {} {said}{error}",
            done.status
        );
        fs::remove_file(&asked)?;
    }
    Ok(())
}

/// The verbs that fetch.
#[test]
fn what_fetches_ends_and_leaves_nothing_half_made() -> Result<()> {
    if skip::unless_full("fifty interrupted runs of each verb that asks the network") {
        return Ok(());
    }
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let (checkout, store) = (dir.path().join("checkout"), dir.path().join("store"));
    let (out, database) = (dir.path().join("out"), dir.path().join("vulndb"));
    scratch::checkout(&checkout)?;
    fs::create_dir_all(database.join("index"))?;
    fs::write(database.join("index/db.json"), r#"{"modified":"2026-01-01T00:00:00Z"}"#)?;
    fs::write(database.join("index/modules.json"), "[]")?;
    let before = state(&checkout.join("images"))?;
    let xtask = Xtask::new()?.cwd(&checkout).store(&store);
    let layout = tests::xtask::layout(ATTR)?;
    let (layout, database) = (layout.to_string_lossy(), database.to_string_lossy());
    for (args, seconds) in [
        (&["fetch", ATTR, "--quiet"][..], 10),
        (&["advisories", &layout, "--db", &database, "--quiet"], 20),
        (&["add-release", "v1.34.3", "--quiet"], 20),
        (&["lock", "alpine", "--quiet"], 10),
        (&["lock", "go", "v1.26.0", "--check", "--quiet"], 10),
        (&["upstream", "--quiet"], 5),
    ] {
        let within = (MOMENTS, Duration::from_secs(seconds));
        each(&xtask, args, within, dir.path(), &mut random, || {
            ensure!(state(&checkout.join("images"))? == before, "half of what is made was written");
            tests::xtask::nothing_half_made(&store, &out)
        })?;
    }
    Ok(())
}

/// From a store that has all inputs and nothing that was made of them: unpacking, compiling, packing.
#[test]
fn a_build_ends_and_leaves_nothing_half_made() -> Result<()> {
    if skip::unless_full("fifty builds from inputs alone, which are interrupted")
        || skip::without(&overlay::PROGRAMS)?
    {
        return Ok(());
    }
    Xtask::new()?.ok(&["fetch", ATTR])?;
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let (files, out) = (dir.path().join("store"), dir.path().join("out"));
    let inputs = files.join("inputs/sha256");
    fs::create_dir_all(&inputs)?;
    let from = tests::xtask::default_store()?.join("inputs/sha256");
    for name in tests::image::names(&from)? {
        // Both ways: it may be on another file system.
        let (from, to) = (from.join(&name), inputs.join(&name));
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop))?;
    }
    let store = overlay::Store::empty(&files)?;
    let xtask = store.xtask(&tests::root())?;
    let out_text = out.to_string_lossy();
    let args = ["build", ATTR, "--offline", "--quiet", "--out", &out_text];
    each(&xtask, &args, (MOMENTS, Duration::from_secs(20)), dir.path(), &mut random, || {
        tests::xtask::nothing_half_made(&files, &out)
    })
}
