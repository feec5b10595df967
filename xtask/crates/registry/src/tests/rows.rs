//! What real registries do, each alone and each with each other: pushed, pushed again without sending, pulled.

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use testregistry::{Row, Rows, Server};

use super::{blobs, layout, options};
use crate::{Options, PullScope, Reference, pull, push};

/// More than the largest PATCH that one takes, and than the smallest chunk of another.
fn layer() -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take((11 << 20) / 2).collect()
}

/// Pushes twice and pulls; why that is not as it should be.
fn round(rows: &Rows, from: &Path, dir: &Path) -> Result<(), String> {
    let server = Server::of(rows.clone());
    let auth_file = dir.join("config.json");
    std::fs::write(&auth_file, server.docker_config().to_string()).unwrap();
    let options = Options {
        retries: 6,
        timeout: Duration::from_secs(20),
        mount_from: vec!["base".to_owned()],
        auth_file: Some(auth_file),
        ..options()
    };
    let to: Reference = format!("{}/kubelet:v1", server.address).parse().unwrap();
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: anyhow::Error| format!("{what}: {error:#}")
    };
    let pushed = push(&[from.to_owned()], &to, &options).map_err(failed("push"))?;
    let whole = server.state().tags_are_whole() && server.state().early.is_empty();
    if !whole || !server.state().tags.contains_key("v1") {
        return Err("a tag is missing, or names what is missing".to_owned());
    }
    let manifests = server.state().seen.iter().filter(|line| line.starts_with("PUT")).count();
    let again = push(&[from.to_owned()], &to, &options).map_err(failed("push again"))?;
    if again.sent != 0 || again.present != pushed.sent + pushed.present {
        return Err(format!("sent again: {again:?}"));
    }
    let put_again = server.state().seen.iter().filter(|line| line.starts_with("PUT")).count() - manifests;
    if put_again != 0 {
        return Err(format!("{put_again} manifests were put again"));
    }
    let pulled = dir.join("pulled");
    let pulled_as = pull(&to, PullScope::Attached, &options, &pulled).map_err(failed("pull"))?;
    let tag = pushed.tags.iter().find(|it| it.tag == "v1").map(|it| it.digest);
    if Some(pulled_as.digest) != tag || pulled_as.attached.len() != 6 || blobs(&pulled) != blobs(from) {
        return Err(format!("another was pulled: {pulled_as:?}"));
    }
    Ok(())
}

/// Plays each; all that fail are reported at once.
fn play(all: Vec<Vec<Row>>) {
    let dir = tempfile::tempdir().unwrap();
    let from = layout(&dir.path().join("from"), &layer());
    let (queue, failed) = (Mutex::new(all.into_iter()), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().next();
    let work = || {
        while let Some(row) = next() {
            let Some(rows) = Rows::of(&row) else { continue };
            let dir = tempfile::tempdir().unwrap();
            if let Err(why) = round(&rows, &from, dir.path()) {
                failed.lock().unwrap().push(format!("{row:?}: {why}"));
            }
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} fail:\n{}", failed.len(), failed.join("\n"));
}

fn rows() -> Vec<Row> {
    let may = testregistry::may_have_port_80();
    if !may {
        println!("skipped: a registry on port 80, where only root may listen");
    }
    Row::ALL.into_iter().filter(|row| may || *row != Row::NoPort).collect()
}

#[test]
fn each_row_alone() {
    play(std::iter::once(Vec::new()).chain(rows().into_iter().map(|row| vec![row])).collect());
}

#[test]
fn each_row_with_each_other() {
    let rows = rows();
    let pairs = rows.iter().enumerate().flat_map(|(at, a)| rows[at + 1..].iter().map(|b| vec![*a, *b]));
    play(pairs.collect());
}

/// What is not wanted so is sent otherwise, and the next blob at once in the manner that was taken.
#[test]
fn a_manner_that_was_taken_is_kept() {
    let server = Server::of(Rows::of(&[Row::NoWholePut, Row::PatchesUpTo4MiB]).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let from = layout(dir.path(), &layer());
    push(&[from], &format!("{}/kubelet:v1", server.address).parse().unwrap(), &options()).unwrap();
    let state = server.state();
    let begun = state.seen.iter().filter(|line| line.starts_with("POST")).count();
    // Eight blobs: one refused in a PUT, the large one perhaps in a PATCH.
    assert!((9..=11).contains(&begun), "{begun} uploads were begun for {} blobs", state.blobs.len());
}
