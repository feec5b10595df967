//! For whatever a registry does, finitely: a push ends, with success or a message, within its deadline, and sets no tag
//! before it was told that all is there.

use std::time::{Duration, Instant};

use oci::digest::Digest;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use testregistry::{Act, Answer, Row, Rows, Server};

use super::{layout, options, reference};
use crate::{Options, push};

/// How long a registry may be silent.
const SILENCE: Duration = Duration::from_millis(150);
/// A push asks some sixty times, tries each three times, and each waits for twice that at most.
const DEADLINE: Duration = Duration::from_secs(40);

/// What a registry may do with a request.
fn act() -> impl Strategy<Value = Act> {
    let statuses = prop::sample::select(vec![
        200, 201, 202, 204, 206, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 411, 413,
        415, 416, 422, 425, 429, 500, 501, 502, 503, 504, 507, 520,
    ]);
    let location = prop::sample::select(vec![
        "",
        "/v2/kubelet/blobs/uploads/id-1",
        "/v2/",
        "https://127.0.0.1:1/x",
        "http://127.0.0.1:1/x",
        "x",
        "//",
        "ftp://a/b",
        "http://u:p@a/",
    ]);
    // Challenges of the registry's own, of others', and of nobody's; the address is put in once there is one.
    let challenge = prop::sample::select(vec![
        "Basic realm=\"x\"",
        "Bearer realm=\"http://REGISTRY/token\",service=\"the registry\"",
        "Bearer realm=\"http://REGISTRY/v2/\"",
        "Bearer realm=\"http://127.0.0.1:1/token\"",
        "Bearer",
        "",
    ]);
    let later =
        prop::sample::select(vec!["0", "1", "18446744073709551616", "Fri, 31 Dec 9999 23:59:59 GMT", "x"]);
    let said = (statuses, location, challenge, later, 0..4, any::<bool>());
    let said = said.prop_map(|(status, location, challenge, later, kind, last)| {
        let answer = match kind {
            0 => Answer::status(status),
            1 => Answer::error(status, "BLOB_UNKNOWN"),
            2 => Answer { status, ..Answer::ok("<!DOCTYPE html>") },
            _ => Answer { status, ..Answer::ok(r#"{"manifests":[],"token":"x"}"#) },
        };
        let answer = if location.is_empty() { answer } else { answer.with("Location", location) };
        let answer = answer.with("WWW-Authenticate", challenge).with("Retry-After", later);
        // 204 and 304 have no body; one would be taken for the next answer.
        let answer = if matches!(status, 204 | 304) { Answer { body: Vec::new(), ..answer } } else { answer };
        if last { Act::Last(answer) } else { Act::Say(answer) }
    });
    let lies = prop::sample::select(vec![
        ("Docker-Content-Digest", Digest::of(b"x").to_string()),
        ("Docker-Content-Digest", "SHA256:0".to_owned()),
        ("Content-Length", "7".to_owned()),
        ("Content-Length", "99999999999".to_owned()),
        ("Content-Type", "text/html".to_owned()),
        ("Range", "0-99999999".to_owned()),
        ("Range", "9-0".to_owned()),
        ("Location", "/v2/kubelet/blobs/uploads/none".to_owned()),
        ("OCI-Chunk-Min-Length", "18446744073709551615".to_owned()),
        ("OCI-Chunk-Min-Length", "1".to_owned()),
        ("Link", "</v2/kubelet/referrers/x>; rel=\"next\"".to_owned()),
        ("OCI-Subject", "x".to_owned()),
    ]);
    let lies = lies.prop_map(|(name, value)| Act::Header(name, value));
    prop_oneof![
        6 => Just(Act::Usual),
        5 => said,
        2 => lies,
        1 => (0..200_u64).prop_map(|late| Act::Late(Duration::from_millis(late))),
        1 => Just(Act::Break),
        1 => Just(Act::Cut),
        1 => Just(Act::Drip),
        1 => Just(Act::Stall(SILENCE * 3)),
        1 => Just(Act::Deaf(SILENCE * 3)),
    ]
}

/// An act in which the registry knows its own address.
fn at(address: &str, act: Act) -> Act {
    let named = |mut answer: Answer| {
        answer.headers.iter_mut().for_each(|(_, value)| *value = value.replace("REGISTRY", address));
        answer
    };
    match act {
        Act::Say(answer) => Act::Say(named(answer)),
        Act::Last(answer) => Act::Last(named(answer)),
        other => other,
    }
}

/// Up to three; one on port 80 needs root.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let rows: Vec<Row> = Row::ALL.into_iter().filter(|row| *row != Row::NoPort).collect();
    prop::sample::subsequence(rows, 0..4)
}

#[test]
fn a_push_ends_within_its_deadline_and_sets_no_tag_too_early() {
    // The same cases each time; `SEED` gives others.
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101_u64);
    let cases = std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60);
    println!("SEED={seed} CASES={cases}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let random = proptest::test_runner::TestRng::from_seed(config.rng_algorithm, &bytes);
    let mut runner = TestRunner::new_with_rng(config, random);
    let dir = tempfile::tempdir().unwrap();
    let from = layout(&dir.path().join("from"), &vec![7; 200_000]);
    let auth_file = dir.path().join("config.json");
    let script = prop::collection::vec(act(), 0..30);
    let outcomes = std::cell::Cell::new((0, 0));
    let done = runner.run(&(script, any::<bool>(), rows()), |(script, again, rows)| {
        let Some(rows) = Rows::of(&rows) else { return Ok(()) };
        let acts = script.clone();
        // What was done is done again and again, or all is usual after it.
        let server = Server::with(rows, move |request, number| {
            let number = if again && !acts.is_empty() { number % acts.len() } else { number };
            at(request.header("host"), acts.get(number).cloned().unwrap_or(Act::Usual))
        });
        std::fs::write(&auth_file, server.docker_config().to_string()).unwrap();
        let options = Options {
            timeout: SILENCE,
            pause: Duration::from_micros(500),
            parallel: 2,
            mount_from: vec!["base".to_owned()],
            auth_file: Some(auth_file.clone()),
            ..options()
        };
        let since = Instant::now();
        let pushed = push(std::slice::from_ref(&from), &reference(&server.address), &options);
        let took = since.elapsed();
        let state = server.state();
        prop_assert!(took < DEADLINE, "it took {took:?}, {} requests", state.seen.len());
        prop_assert!(state.early.is_empty(), "tags too early: {:?}", state.early);
        let (well, badly) = outcomes.get();
        match pushed {
            Ok(_) => outcomes.set((well + 1, badly)),
            Err(error) => {
                let known = fault::of(&error).is_some();
                prop_assert!(known && !error.to_string().is_empty(), "no clear error: {error:#}");
                outcomes.set((well, badly + 1));
            }
        }
        Ok(())
    });
    if let Err(error) = done {
        panic!("SEED={seed}: {error}");
    }
    let (well, badly) = outcomes.get();
    println!("{well} ended well, {badly} with a message");
    assert!(well > 3 && badly > 3, "the cases do not differ: {well} and {badly}");
}
