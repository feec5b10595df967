//! Answers with headers that nobody should send: each time success, or a message that says whose and which.

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use fault::Kind;
use testregistry::{Act, Answer, Request, Server};

use super::{blobs, layout, options, reference};
use crate::{Options, PullScope, pull, push};

/// What is found in headers. Of a row that is an error, the message names the header.
const VALUES: [&str; 37] = [
    "",
    " ",
    "0",
    "-1",
    "1.5",
    "99999999999999999999999999",
    "7",
    "\u{e9}\u{fc}\u{4e2d}",
    "a b c",
    "a\tb",
    "\u{1}",
    "\u{7f}",
    "//",
    "//host.invalid",
    "//host.invalid/v2/x",
    "//127.0.0.1:1/x",
    "/",
    "?",
    "#",
    "?x=\u{e9} y",
    "relative/\u{fc} x",
    "../../../..",
    "ftp://a.invalid/b",
    "https://127.0.0.1:1/x",
    "http://127.0.0.1:99999/x",
    "http://user:secret@127.0.0.1:1/",
    "http://[::1",
    "javascript:alert(1)",
    "<>; rel=next",
    "<//127.0.0.1:1/x>; rel=\"next\"",
    "<ftp://a.invalid>; rel=\"next\"",
    "sha256:",
    "sha512:0000",
    "Bearer realm=\"\"",
    "Bearer realm=\"token\", service",
    ", ,;;\"\\\"",
    "gzip",
];

/// Headers that are read, by us or by HTTP's own rules, and when they count.
const HEADERS: [(&str, When); 14] = [
    ("Location", When::Usual),
    ("Location", When::Status(307)),
    ("WWW-Authenticate", When::Status(401)),
    ("Retry-After", When::Status(503)),
    ("Range", When::Usual),
    ("Content-Range", When::Usual),
    ("OCI-Chunk-Min-Length", When::Usual),
    ("OCI-Subject", When::Usual),
    ("Docker-Content-Digest", When::Usual),
    ("Content-Length", When::Usual),
    ("Content-Type", When::Usual),
    ("Link", When::Usual),
    ("Transfer-Encoding", When::Usual),
    ("Content-Encoding", When::Usual),
];

#[derive(Clone, Copy, Debug)]
enum When {
    /// In each usual answer.
    Usual,
    /// In an answer of this status to each request but the first, once.
    Status(u16),
}

/// What a registry does that has this header.
fn act(header: &'static str, value: &str, when: When, seen: &Mutex<Vec<String>>, request: &Request) -> Act {
    match when {
        When::Usual => Act::Header(header, value.to_owned()),
        When::Status(status) => {
            // Of uploads each has another name.
            let line = request.line();
            let line = line.split("/uploads/").next().unwrap_or_default().to_owned();
            let mut seen = seen.lock().unwrap();
            if request.path == "/v2/" || seen.contains(&line) {
                return Act::Usual;
            }
            seen.push(line);
            Act::Say(Answer::status(status).with(header, value))
        }
    }
}

/// Pushes to such a registry and pulls from it; what is wrong with how it ends.
fn judge(header: &'static str, value: &'static str, when: When, dir: &Path) -> Vec<String> {
    let row = format!("{when:?} {header}: {:?}", value.chars().take(60).collect::<String>());
    let from = layout(&dir.join("from"), b"layer");
    let options = Options { timeout: Duration::from_secs(3), retries: 1, ..options() };
    let mut wrong = Vec::new();
    for pulls in [false, true] {
        let full = Server::start(|_, _| Act::Usual);
        let seen = Mutex::default();
        let server = Server::start(move |request, _| act(header, value, when, &seen, request));
        if pulls {
            push(std::slice::from_ref(&from), &reference(&full.address), &options).unwrap();
            let (mut to, mut contents) = (server.state(), full.state());
            to.blobs = std::mem::take(&mut contents.blobs);
            to.manifests = std::mem::take(&mut contents.manifests);
            to.tags = std::mem::take(&mut contents.tags);
        }
        let to = dir.join("to");
        let done = if pulls {
            pull(&reference(&server.address), PullScope::Attached, &options, &to).map(drop)
        } else {
            push(std::slice::from_ref(&from), &reference(&server.address), &options).map(drop)
        };
        let row = format!("{row}, {}", if pulls { "pull" } else { "push" });
        let Err(error) = done else {
            if pulls && blobs(&to).len() < 4 {
                wrong.push(format!("{row}: ended well without the image"));
            }
            let _ = std::fs::remove_dir_all(&to);
            continue;
        };
        if to.join("index.json").exists() {
            wrong.push(format!("{row}: failed, and left a layout"));
        }
        let text = format!("{error:#}");
        // What leads to another place of the registry leads to nothing there.
        let leads = header == "Location" && web::join("http://127.0.0.1:1/", value.as_bytes()).is_some();
        match fault::of(&error).map(fault::Fault::kind) {
            Some(Kind::Unavailable | Kind::Mismatch | Kind::InvalidData) => {}
            Some(Kind::NotFound) if leads => {}
            other => wrong.push(format!("{row}: {other:?}: {text}")),
        }
        let lower = text.to_ascii_lowercase();
        let named = match header {
            // A body without end, or too short for its digest.
            "Transfer-Encoding" => lower.contains("not to its end"),
            "Content-Length" => lower.contains("digest"),
            _ => leads || lower.contains("redirects"),
        };
        let named = named || lower.contains(&header.to_ascii_lowercase()) || lower.contains("header");
        if !named || !text.contains("127.0.0.1") {
            wrong.push(format!("{row}: says neither who nor what: {text}"));
        }
        if !text.chars().all(|c| !c.is_control() || c == '\n') || text.len() > 1000 {
            wrong.push(format!("{row}: repeats what was said as it is: {text:?}"));
        }
    }
    wrong
}

#[test]
fn a_header_that_makes_no_sense_is_passed_over_or_named_with_whose_it_is() {
    let (long, huge) = ("x".repeat(20_000).leak(), "x".repeat(300_000).leak());
    let values = VALUES.iter().copied().chain([&*long, &*huge]);
    let rows: Vec<_> = values.flat_map(|value| HEADERS.map(|(header, when)| (header, value, when))).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let (dir, mut wrong) = (tempfile::tempdir().unwrap(), Vec::new());
        while let Some((header, value, when)) =
            rows.get(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
        {
            wrong.extend(judge(header, value, *when, dir.path()));
        }
        wrong
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let all: Vec<_> = (0..16).map(|_| scope.spawn(work)).collect();
        all.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), 2 * rows.len(), wrong.join("\n"));
}
