//! What registries may do, and a client must be able to.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::server::{Act, Answer, Server};
use super::{blobs, layout, options, reference};
use crate::{Options, Take, pull, push};

const CHUNK: usize = 8 << 20;

fn round_trip(api: bool) {
    let server = Server::start(|_, _| Act::Usual);
    server.state().api = api;
    let dir = tempfile::tempdir().unwrap();
    let from = layout(&dir.path().join("from"), b"layer");
    let pushed = push(std::slice::from_ref(&from), &reference(&server.address), &options()).unwrap();
    let listed = server.state().tags.keys().filter(|tag| !tag.contains('.') && *tag != "v1").count();
    assert_eq!(listed, usize::from(!api), "a list of referrers under a tag");
    let to = dir.path().join("to");
    let pulled = pull(&reference(&server.address), Take::Attached, &options(), &to).unwrap();
    assert_eq!(pulled.attached.len(), 6);
    assert_eq!(pulled.digest, pushed.tags.iter().find(|it| it.tag == "v1").unwrap().digest);
    assert_eq!(blobs(&to), blobs(&from));
    let alone = dir.path().join("alone");
    let pulled = pull(&reference(&server.address), Take::Image, &options(), &alone).unwrap();
    assert!(pulled.attached.is_empty() && blobs(&alone).len() == 4);

    server.state().seen.clear();
    let again = push(&[to], &reference(&server.address), &options()).unwrap();
    assert_eq!((again.sent, again.tags.len()), (0, pushed.tags.len()));
    let seen = server.state().seen.clone();
    assert!(seen.iter().all(|line| line.starts_with("GET") || line.starts_with("HEAD")), "{seen:#?}");
}

#[test]
fn what_is_pushed_is_pulled_with_all_that_is_attached_by_the_referrers_api() {
    round_trip(true);
}

#[test]
fn what_is_pushed_is_pulled_with_all_that_is_attached_by_tags() {
    round_trip(false);
}

#[test]
fn a_broken_upload_goes_on_where_the_registry_is() {
    // The second chunk breaks off in its middle.
    let chunks = Mutex::new(0);
    let server = Server::start(move |request, _| {
        let mut chunks = chunks.lock().unwrap();
        *chunks += usize::from(request.method == "PATCH" && request.body_length() > 1000);
        if *chunks == 2 && request.method == "PATCH" { Act::Break } else { Act::Usual }
    });
    let dir = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..CHUNK * 5 / 2).map(|at| at.to_le_bytes()[1]).collect();
    let from = layout(dir.path(), &large);
    let pushed = push(&[from], &reference(&server.address), &options()).unwrap();
    let state = server.state();
    assert!(state.tags_are_whole() && state.tags.contains_key("v1"));
    assert_eq!(state.received, pushed.bytes, "no byte twice");
}

#[test]
fn blobs_of_no_and_of_one_byte_are_sent() {
    for layer in [&b""[..], b"x"] {
        let server = Server::start(|_, _| Act::Usual);
        let dir = tempfile::tempdir().unwrap();
        push(&[layout(dir.path(), layer)], &reference(&server.address), &options()).unwrap();
        assert!(server.state().tags_are_whole());
    }
}

#[test]
fn a_token_is_got_and_got_again_when_it_has_expired() {
    let tokens = Mutex::new(0);
    let address = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let own = address.clone();
    let server = Server::start(move |request, number| {
        let mut tokens = tokens.lock().unwrap();
        if request.path.starts_with("/token?") {
            *tokens += 1;
            assert_eq!(
                request.path,
                "/token?service=our%20registry&scope=repository%3Akubelet%3Apull%2Cpush"
            );
            let body = format!(r#"{{"token":"secret-{tokens}"}}"#).into_bytes();
            return Act::Say(Answer { status: 200, body, ..Answer::default() });
        }
        let expired = number == 12;
        if !expired && request.headers.get("authorization") == Some(&format!("Bearer secret-{tokens}")) {
            return Act::Usual;
        }
        let realm = format!(
            "Bearer realm=\"http://{}/token\",service=\"our registry\"",
            own.get().map_or("", String::as_str)
        );
        Act::Say(Answer::status(401).with("WWW-Authenticate", realm))
    });
    address.set(server.address.clone()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    push(&[layout(dir.path(), b"layer")], &reference(&server.address), &options()).unwrap();
    let state = server.state();
    assert!(state.tags_are_whole() && state.tags.contains_key("v1"));
    assert_eq!(state.seen.iter().filter(|line| line.starts_with("GET /token")).count(), 2);
}

#[test]
fn retry_after_is_waited_for() {
    let server = Server::start(|_, number| match number {
        1 => Act::Say(Answer::status(429).with("Retry-After", "2")),
        _ => Act::Usual,
    });
    let dir = tempfile::tempdir().unwrap();
    let from = layout(dir.path(), b"layer");
    let start = Instant::now();
    push(&[from], &reference(&server.address), &options()).unwrap();
    // Without it a first pause is of 0.4 s.
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_slow_answer_is_asked_for_again_and_given_up_in_the_end() {
    let impatient = Options { timeout: Duration::from_millis(300), ..options() };
    let dir = tempfile::tempdir().unwrap();
    let from = layout(dir.path(), b"layer");
    let once = Server::start(|_, number| match number {
        5 => Act::Late(Duration::from_secs(1)),
        _ => Act::Usual,
    });
    push(std::slice::from_ref(&from), &reference(&once.address), &impatient).unwrap();
    assert!(once.state().tags_are_whole() && once.state().tags.contains_key("v1"));
    let always = Server::start(|request, _| match request.path.as_str() {
        "/v2/" => Act::Usual,
        _ => Act::Late(Duration::from_secs(1)),
    });
    let error = push(&[from], &reference(&always.address), &impatient).unwrap_err();
    assert_eq!(fault::of(&error).unwrap().kind(), fault::Kind::Unavailable);
    assert!(error.to_string().contains("timeout") && error.to_string().contains("3 tries"), "{error}");
}
