//! Registries that misbehave: each time a clear error or a finished push, and never a tag on an incomplete image.

use std::thread;

use fault::Kind;
use oci::digest::Digest;

use testregistry::{Act, Answer, Server};

use super::{layout, options, reference};
use crate::{Options, PullScope, Reference, pull, push};

/// Pushes to a server that does `act` at its request `number`; did it end well? None if it was not asked so often.
fn push_with(act: fn() -> Act, number: usize) -> Option<anyhow::Result<()>> {
    let server = Server::start(move |_, now| if now == number { act() } else { Act::Usual });
    let dir = tempfile::tempdir().unwrap();
    let from = layout(dir.path(), b"layer");
    let done = push(&[from], &reference(&server.address), &Options { retries: 1, ..options() });
    let state = server.state();
    assert!(state.tags_are_whole(), "request {number}: a tag names what is not there");
    if let Err(error) = &done {
        let fault = fault::of(error).unwrap_or_else(|| panic!("request {number}: no clear error: {error:#}"));
        assert!(matches!(fault.kind(), Kind::Unavailable | Kind::Mismatch | Kind::InvalidData), "{error:#}");
        assert!(
            error.to_string().contains("127.0.0.1") || error.to_string().contains("registry"),
            "{error:#}"
        );
    } else {
        assert!(state.tags.contains_key("v1"), "request {number}");
    }
    (state.seen.len() > number).then(|| done.map(drop))
}

/// The same at each request of a push; how many ended well, and how many did not?
fn at_each_request(act: fn() -> Act) -> (usize, usize) {
    let lane = |first: usize| {
        let (mut well, mut badly) = (0, 0);
        for number in (first..).step_by(4) {
            match push_with(act, number) {
                Some(Ok(())) => well += 1,
                Some(Err(_)) => badly += 1,
                None => break,
            }
        }
        (well, badly)
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..4).map(|first| scope.spawn(move || lane(first))).collect();
        lanes.into_iter().fold((0, 0), |sum, lane| {
            let (well, badly) = lane.join().unwrap();
            (sum.0 + well, sum.1 + badly)
        })
    })
}

#[test]
fn what_passes_is_overcome_at_each_request() {
    for act in [
        || Act::Say(Answer::status(500)),
        || Act::Say(Answer::status(503).with("Retry-After", "0")),
        || Act::Break,
    ] {
        let (well, badly) = at_each_request(act);
        assert!(well > 40 && badly == 0, "{well} {badly}");
    }
}

#[test]
fn answers_that_are_cut_off_are_overcome() {
    let (well, badly) = at_each_request(|| Act::Cut);
    assert!(well > 40 && badly == 0, "{well} {badly}");
}

#[test]
fn a_wrong_digest_or_size_is_told_where_it_matters() {
    let (_, badly) = at_each_request(|| Act::Header("Docker-Content-Digest", Digest::of(b"x").to_string()));
    assert!(badly > 10, "{badly}");
    let (_, badly) = at_each_request(|| Act::Header("Content-Length", "7".to_owned()));
    assert!(badly > 5, "{badly}");
    let (_, badly) = at_each_request(|| Act::Say(Answer::status(403)));
    assert!(badly > 40, "{badly}");
}

#[test]
fn a_pull_overcomes_what_passes_and_leaves_no_layout_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let from = layout(&dir.path().join("from"), b"layer");
    let cases: [(fn() -> Act, bool); 4] = [
        (|| Act::Cut, true),
        (|| Act::Break, true),
        (|| Act::Say(Answer::status(403)), false),
        (|| Act::Say(Answer { status: 200, body: b"[]".to_vec(), ..Answer::default() }), false),
    ];
    for (at, (act, passes)) in cases.into_iter().enumerate() {
        for path in ["/blobs/", "/manifests/"] {
            let server = Server::start(|_, _| Act::Usual);
            push(std::slice::from_ref(&from), &reference(&server.address), &options()).unwrap();
            let contents = std::mem::take(&mut *server.state());
            let first = std::sync::atomic::AtomicBool::new(true);
            let broken = Server::start(move |request, _| {
                let ours = request.path.contains(path) && !request.path.contains(".sig");
                if ours && first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                    act()
                } else {
                    Act::Usual
                }
            });
            let seen = contents.seen.len();
            *broken.state() = contents;
            broken.state().seen.truncate(seen.min(1));
            let to = dir.path().join(format!("to-{at}{}", path.len()));
            let by_digest = Reference {
                digest: Some(broken.state().tags["v1"].parse().unwrap()),
                ..reference(&broken.address)
            };
            let pulled = pull(&by_digest, PullScope::Attached, &options(), &to);
            assert_eq!(pulled.is_ok(), passes, "{at} {path}: {pulled:?}");
            assert_eq!(to.join("index.json").exists(), passes);
        }
    }
}

#[test]
fn a_manifest_without_end_is_refused() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/v2/" => Act::Usual,
        _ => Act::Say(
            Answer { status: 200, body: vec![b' '; 5 << 20], ..Answer::default() }
                .with("Content-Length", "209715200"),
        ),
    });
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    let error = pull(&reference(&server.address), PullScope::Attached, &options(), &to).unwrap_err();
    assert_eq!(fault::of(&error).unwrap().kind(), Kind::Mismatch);
    assert!(error.to_string().contains("larger than 4194304 bytes"), "{error}");
    assert!(!to.exists());
}

#[test]
fn a_list_of_referrers_without_end_is_refused() {
    let endless = r#"</v2/kubelet/referrers/more>; rel="next""#;
    let server = Server::start(move |request, _| {
        if !request.path.contains("/referrers/") {
            return Act::Usual;
        }
        let page = Answer { status: 200, body: br#"{"manifests":[]}"#.to_vec(), ..Answer::default() };
        Act::Say(page.with("Link", endless))
    });
    let dir = tempfile::tempdir().unwrap();
    push(&[layout(dir.path(), b"layer")], &reference(&server.address), &options()).unwrap();
    let to = dir.path().join("to");
    let error = pull(&reference(&server.address), PullScope::Attached, &options(), &to).unwrap_err();
    assert!(error.to_string().contains("more than 16 pages"), "{error}");
}

#[test]
fn a_token_server_on_another_host_is_not_asked() {
    let other = Server::start(|_, _| Act::Usual);
    let realm = other.address.replace("127.0.0.1", "127.0.0.2");
    let challenge = format!("Bearer realm=\"http://{realm}/token\"");
    let server =
        Server::start(move |_, _| Act::Say(Answer::status(401).with("WWW-Authenticate", challenge.clone())));
    let dir = tempfile::tempdir().unwrap();
    let error = push(&[layout(dir.path(), b"")], &reference(&server.address), &options()).unwrap_err();
    assert!(error.to_string().contains("gets no credentials"), "{error}");
    assert!(other.state().seen.is_empty());
}

#[test]
fn no_manifest_is_put_where_blobs_fail() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "POST" => Act::Say(Answer::status(503).with("Retry-After", "0")),
        _ => Act::Usual,
    });
    let dir = tempfile::tempdir().unwrap();
    let error = push(&[layout(dir.path(), b"layer")], &reference(&server.address), &options()).unwrap_err();
    assert_eq!(fault::of(&error).unwrap().kind(), Kind::Unavailable);
    assert!(error.to_string().contains("given up after 3 tries: status 503"), "{error}");
    let seen = server.state().seen.clone();
    assert!(!seen.iter().any(|line| line.contains("/manifests/")), "{seen:?}");
    assert_eq!(seen.iter().filter(|line| line.starts_with("POST")).count(), 3);
}
