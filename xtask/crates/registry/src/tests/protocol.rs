//! What registries may do, and a client must be able to.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use testregistry::{Act, Answer, Row, Rows, Server};

use super::{blobs, layout, options, reference};
use crate::{Options, PullScope, pull, push};

fn round_trip(api: bool) {
    let server = Server::start(|_, _| Act::Usual);
    server.state().api = api;
    let dir = tempfile::tempdir().unwrap();
    let from = layout(&dir.path().join("from"), b"layer");
    let pushed = push(std::slice::from_ref(&from), &reference(&server.address), &options()).unwrap();
    let listed = server.state().tags.keys().filter(|tag| !tag.contains('.') && *tag != "v1").count();
    assert_eq!(listed, usize::from(!api), "a list of referrers under a tag");
    let to = dir.path().join("to");
    let pulled = pull(&reference(&server.address), PullScope::Attached, &options(), &to).unwrap();
    assert_eq!(pulled.attached.len(), 6);
    assert_eq!(pulled.digest, pushed.tags.iter().find(|it| it.tag == "v1").unwrap().digest);
    assert_eq!(blobs(&to), blobs(&from));
    let alone = dir.path().join("alone");
    let pulled = pull(&reference(&server.address), PullScope::Image, &options(), &alone).unwrap();
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
fn a_broken_upload_is_begun_again() {
    // Breaks off in the middle, twice; then it is there.
    let broken = Mutex::new(0);
    let server = Server::start(move |request, _| {
        let mut broken = broken.lock().unwrap();
        let large = request.method == "PUT" && request.body_length() > 1 << 20;
        *broken += usize::from(large);
        if large && *broken < 3 { Act::Break } else { Act::Usual }
    });
    let dir = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..10_usize << 20).map(|at| at.to_le_bytes()[1]).collect();
    let from = layout(dir.path(), &large);
    push(&[from], &reference(&server.address), &options()).unwrap();
    let state = server.state();
    assert!(state.tags_are_whole() && state.tags.contains_key("v1"));
    assert!(!state.seen.iter().any(|line| line.starts_with("PATCH")), "one PUT is enough");
}

/// Each pull gets a little further: a retry that goes on is not a retry of the same.
#[test]
fn a_blob_that_breaks_off_goes_on_where_it_was_and_counts_anew() {
    let large: Vec<u8> = (0..12_usize << 20).map(|at| at.to_le_bytes()[1]).collect();
    for ranges in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let from = layout(&dir.path().join("from"), &large);
        let name = oci::digest::Digest::of(&large).to_string();
        let (cut, size) = (Mutex::new(0), large.len());
        let body = large.clone();
        let server = Server::start(move |request, _| {
            let mut cut = cut.lock().unwrap();
            if !request.reads() || request.method == "HEAD" || !request.path.contains(&name) {
                return Act::Usual;
            }
            // Every answer ends some MiB later than the one before.
            *cut += 2 << 20;
            let from = request.header("range").strip_prefix("bytes=").map(|it| it.trim_end_matches('-'));
            let from: usize = from.and_then(|it| it.parse().ok()).filter(|_| ranges).unwrap_or(0);
            let end = size.min(*cut);
            let answer = Answer::ok(&body[from..end]).with("Content-Length", (size - from).to_string());
            let range = format!("bytes {from}-{}/{size}", size - 1);
            let answer = if from > 0 { Answer { status: 206, ..answer } } else { answer };
            Act::Last(answer.with("Content-Range", range))
        });
        push(&[from], &reference(&server.address), &options()).unwrap();
        let to = dir.path().join("to");
        pull(&reference(&server.address), PullScope::Image, &options(), &to).unwrap();
        assert!(
            server.state().seen.iter().filter(|line| line.contains("GET /v2/kubelet/blobs/")).count() > 5
        );
    }
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

/// A helper that is not installed matters to who is asked for a login.
#[test]
fn a_missing_helper_is_missed_once_a_login_is_required() {
    let dir = tempfile::tempdir().unwrap();
    let auth_file = dir.path().join("config.json");
    std::fs::write(&auth_file, r#"{"credsStore": "that-nobody-has-installed"}"#).unwrap();
    let from = [layout(dir.path(), b"layer")];
    let options = Options { auth_file: Some(auth_file), ..options() };
    for (rows, code) in [(&[][..], None), (&[Row::Basic][..], Some(7)), (&[Row::ManyChallenges][..], Some(7))]
    {
        let server = Server::of(Rows::of(rows).unwrap());
        let pushed = push(&from, &reference(&server.address), &options);
        let error = pushed.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert_eq!(pushed.as_ref().err().map(fault::exit_code), code, "{rows:?}: {error}");
        assert_eq!(error.contains("docker-credential-that-nobody-has-installed"), code.is_some(), "{error}");
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
fn retry_after_is_waited_for_in_both_its_forms_but_not_for_ever() {
    let date =
        (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(5)).strftime("%a, %d %b %Y %H:%M:%S GMT");
    for value in ["2".to_owned(), "99999".to_owned(), date.to_string()] {
        let server = Server::start(move |_, number| match number {
            1 => Act::Say(Answer::status(429).with("Retry-After", value.clone())),
            _ => Act::Usual,
        });
        let dir = tempfile::tempdir().unwrap();
        let from = layout(dir.path(), b"layer");
        let start = Instant::now();
        // A first pause is of twice that; the longest that a registry may ask for, of 300 times.
        let options = Options { pause: Duration::from_millis(8), ..options() };
        push(&[from], &reference(&server.address), &options).unwrap();
        let took = start.elapsed();
        // Far less than the hours that it asks for, on however busy a machine.
        assert!((2.0..60.0).contains(&took.as_secs_f64()), "{took:?}");
    }
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
