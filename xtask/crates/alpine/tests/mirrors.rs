//! What mirrors and what is between them and us do, each on a server: what is coped with, what another mirror makes good, and
//! what is refused.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use alpine::fetch::{Fetcher, Mirror};
use alpine::lock::Lock;
use alpine::relock;
use anyhow::Result;
use apk::testrepo::{ArchiveMember, PackageMaker, Signer};
use common::serve::{Answer, file, serve, serve_by};
use common::{MAIN, Place};
use progress::{Progress, Silent, Task};

/// Remembers notes.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn task(&self, name: &str, total: Option<u64>) -> Box<dyn Task> {
        Silent.task(name, total)
    }

    fn note(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// Locks what is at these URLs alone, with a store of its own, for whom `place`'s key is good.
fn lock_from(place: &Place, urls: &[&str], previous: Option<&Lock>, progress: &dyn Progress) -> Result<Lock> {
    let store = tempfile::tempdir()?;
    let store = store::Store::open(store.path())?;
    let mirrors: Vec<Mirror> = urls.iter().filter_map(|url| Mirror::parse(url)).collect();
    let (alpine, arches) = (place.alpine(), [place.arch()]);
    let fetcher =
        Fetcher { store: &store, mirrors: &mirrors, url: "http://127.0.0.1:1", offline: false, progress };
    relock::make(&place.request(&alpine, &arches, previous), &fetcher)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same body with other headers.
fn with(answer: Answer, headers: &str) -> Answer {
    (format!("{}\r\n{headers}", answer.0), answer.1)
}

type Row<'a> = (&'a str, Box<dyn Fn(&Path, &str, u32) -> Answer + Send>);

#[test]
fn what_servers_do_is_coped_with() {
    let place = Place::new();
    let alpine = place.alpine();
    let expected = place.lock(&alpine, None).unwrap();
    let elsewhere = serve(place.path(""), false);
    let rows: Vec<Row<'_>> = vec![
        (
            "moved, below the same server",
            Box::new(|dir, path, _| match path.strip_prefix("moved/") {
                Some(path) => file(dir, path),
                None => {
                    with(("HTTP/1.1 302 Found".into(), Vec::new()), &format!("Location: /sub/moved/{path}"))
                }
            }),
        ),
        (
            "moved to another server",
            Box::new(move |_, path, _| {
                with(
                    ("HTTP/1.1 301 Moved Permanently".into(), Vec::new()),
                    &format!("Location: {elsewhere}{path}"),
                )
            }),
        ),
        // `AddEncoding x-gzip .gz`, as Apache's own configuration had it for years: the file is as it is.
        ("said to be encoded", Box::new(|dir, path, _| with(file(dir, path), "Content-Encoding: x-gzip"))),
        (
            "compressed again on the way",
            Box::new(|dir, path, _| {
                let (head, body) = file(dir, path);
                with((head, gzip(&body)), "Content-Encoding: gzip")
            }),
        ),
        (
            "in chunks",
            Box::new(|dir, path, _| {
                let (head, body) = file(dir, path);
                let mut chunks = Vec::new();
                for chunk in body.chunks(1000) {
                    write!(chunks, "{:x}\r\n", chunk.len()).unwrap();
                    chunks.extend_from_slice(chunk);
                    chunks.extend_from_slice(b"\r\n");
                }
                chunks.extend_from_slice(b"0\r\n\r\n");
                with((head, chunks), "Transfer-Encoding: chunked\r\nX-Without-Length: yes")
            }),
        ),
        (
            "to the end of the connection",
            Box::new(|dir, path, _| {
                let (head, body) = file(dir, path);
                (head.replace("HTTP/1.1", "HTTP/1.0"), body)
            }),
        ),
        (
            "cut off, twice",
            Box::new(|dir, path, times| {
                let (head, body) = file(dir, path);
                let sent = if times < 3 { body[..body.len() / 2].to_vec() } else { body.clone() };
                with((head, sent), &format!("Content-Length: {}", body.len()))
            }),
        ),
        (
            "too many requests, twice",
            Box::new(|dir, path, times| {
                if times < 3 {
                    ("HTTP/1.1 429 Too Many Requests".into(), Vec::new())
                } else {
                    file(dir, path)
                }
            }),
        ),
    ];
    for (name, answer) in rows {
        let dir = place.path("");
        let url = serve_by(move |path, times| answer(&dir, path, times));
        let lock =
            lock_from(&place, &[&url], None, &Silent).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(lock, expected, "{name}");
    }
}

/// Serves a directory with one file of it replaced.
fn replaced(dir: PathBuf, of: String, by: Answer) -> String {
    serve_by(move |path, _| if path == of { by.clone() } else { file(&dir, path) })
}

/// What a server may have in place of the index or of a package, with a part of what is said of it.
fn wrong_files(place: &Place) -> Vec<(&'static str, String, Answer, &'static str)> {
    let index = format!("{MAIN}/APKINDEX.tar.gz");
    let package = format!("{MAIN}/tool-1.0-r0.apk");
    let ok = |body: Vec<u8>| ("HTTP/1.1 200 OK".to_owned(), body);
    let records = |place: &Place| place.packages().into_iter().map(|parts| parts.record).collect::<Vec<_>>();
    let whole = fs::read(place.path(&index)).unwrap();
    let rotated = Signer::new("alpine-devel@lists.alpinelinux.org-99999999.rsa.pub", 5).unwrap();
    let other =
        PackageMaker::new("tool", "1.0-r0", "x86_64", vec![ArchiveMember::file("bin-tool", b"built again")]);
    let page = b"<!DOCTYPE html><html><title>Log in to the network</title></html>".to_vec();
    let half = ("HTTP/1.0 200 OK".to_owned(), whole[..whole.len() / 2].to_vec());
    vec![
        ("a page for people", index.clone(), ok(page.clone()), "gzip"),
        ("nothing", index.clone(), ok(Vec::new()), "APKINDEX.tar.gz"),
        ("half an index, of no known length", index.clone(), half, "APKINDEX.tar.gz"),
        (
            "an index of 3.16",
            index.clone(),
            ok(place.signer.index("v3.16.3-13-gabc", &records(place)).unwrap()),
            "the branch of v3.15/main/x86_64/APKINDEX.tar.gz",
        ),
        (
            "an older index",
            index.clone(),
            ok(place.signer.index("v3.15.0-1-gabc", &records(place)).unwrap()),
            "was rolled back",
        ),
        (
            "an index by a new key",
            index,
            ok(rotated.index("v3.15.0-2-gabc", &records(place)).unwrap()),
            "signed by `alpine-devel@lists.alpinelinux.org-99999999.rsa.pub`, which no key here is",
        ),
        ("a page in place of a package", package.clone(), ok(page), "the size"),
        (
            "a package that was built again",
            package.clone(),
            ok(other.make(&place.signer).unwrap().file()),
            "tool-1.0-r0.apk",
        ),
        ("a package that is too long", package, ok(vec![0; 1 << 20]), "more than the"),
    ]
}

#[test]
fn what_one_mirror_has_wrong_another_makes_good() {
    let place = Place::new();
    let expected = place.lock(&place.alpine(), None).unwrap();
    let good = serve(place.path(""), false);
    for (name, path, answer, words) in wrong_files(&place) {
        let bad = replaced(place.path(""), path, answer);
        let notes = Notes::default();
        let lock = lock_from(&place, &[&bad, &good], Some(&expected), &notes)
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(lock, expected, "{name}");
        let notes = notes.0.into_inner().unwrap().join("\n");
        assert!(
            notes.contains(words) && notes.contains(&format!("was taken from {good}")),
            "{name}: {notes}"
        );
    }
}

#[test]
fn what_all_mirrors_have_wrong_is_refused_and_named_with_the_mirror() {
    let place = Place::new();
    let previous = place.lock(&place.alpine(), None).unwrap();
    for (name, path, answer, words) in wrong_files(&place) {
        let url = replaced(place.path(""), path.clone(), answer);
        let error = lock_from(&place, &[&url], Some(&previous), &Silent).unwrap_err();
        assert_eq!(fault::exit_code(&error), 6, "{name}: {error:#}");
        let message = format!("{error:#}");
        let place = format!("{}/{path}", url.trim_end_matches('/'));
        assert!(message.contains(words) && message.contains(&place), "{name}: {message}");
    }
}

/// Alpine keeps one version of each package: between an index and its package there is a moment in which the latter goes.
#[test]
fn a_package_that_went_since_its_index_was_read_is_said_to_be_replaced() {
    let place = Place::new();
    let gone = format!("{MAIN}/tool-1.0-r0.apk");
    let url = replaced(place.path(""), gone.clone(), ("HTTP/1.1 404 Not Found".into(), Vec::new()));
    let error = lock_from(&place, &[&url], None, &Silent).unwrap_err();
    assert_eq!(fault::exit_code(&error), 5, "{error:#}");
    let fault = fault::of(&error).unwrap();
    assert!(fault.to_string().contains("status 404"), "{fault}");
    assert!(fault.hint().unwrap().contains("it was replaced since the index was made"), "{fault:?}");
    // Of a lock that is older than the mirror.
    let lock = place.lock(&place.alpine(), None).unwrap();
    let file = lock.arches["amd64"].package("tool-1.0-r0").unwrap().file().unwrap();
    let store = tempfile::tempdir().unwrap();
    let store = store::Store::open(store.path()).unwrap();
    let fetcher = Fetcher {
        store: &store,
        mirrors: &[],
        url: url.trim_end_matches('/'),
        offline: false,
        progress: &Silent,
    };
    let error = fetcher.locked(&file).unwrap_err();
    let fault = fault::of(&error).unwrap();
    assert!(fault.hint().unwrap().contains("Alpine has replaced it: `cargo xtask lock alpine`"), "{fault:?}");
}

#[test]
fn redirects_without_an_end_are_refused() {
    let place = Place::new();
    let url = serve_by(|path, _| {
        with(("HTTP/1.1 302 Found".into(), Vec::new()), &format!("Location: /sub/{path}"))
    });
    let error = lock_from(&place, &[&url], None, &Silent).unwrap_err();
    assert_eq!(fault::exit_code(&error), 5, "{error:#}");
    assert!(format!("{error:#}").contains("redirects more than 5 times"), "{error:#}");
}

/// Whoever describes a package may be long-winded, and the lock, the database in the image and apk take it.
#[test]
fn a_description_may_be_long() {
    let place = Place::new();
    let mut packages = place.packages();
    packages[0].record.description = "long ".repeat(200_000);
    place.publish("v3.15.0-2-gabc", &packages);
    let lock = place.lock(&place.alpine(), None).unwrap();
    let tool = lock.arches["amd64"].package("tool-1.0-r0").unwrap();
    assert!(tool.record.iter().any(|line| line.len() > 900_000));
    assert_eq!(Lock::parse(&lock.to_text().unwrap(), "lock.json").unwrap(), lock);
}
