//! Layouts and registries that want what is not theirs: files of this machine, and secrets.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use oci::digest::Digest;
use serde_json::{Value, json};

use testregistry::{Act, Answer, Server};

use super::{MANIFEST, layout, options, put, reference};
use crate::{PullScope, pull, push};

/// What must not leave this machine: of the size of the layout's layer.
const SECRET: &[u8] = b"root:$y$j9T$secret";
const LAYER: &[u8] = b"eighteen bytes long";

/// A change of a layout, which lies beside a file `secret`; it is given the path of its layer.
type Damage = fn(&Path, &Path);

fn link(layout: &Path, blob: &Path) {
    fs::remove_file(blob).unwrap();
    symlink(layout.with_file_name("secret"), blob).unwrap();
}

/// Puts a directory of the layout elsewhere, and a link in its place.
fn elsewhere(dir: &Path) {
    let to = dir.with_file_name("elsewhere");
    fs::rename(dir, &to).unwrap();
    symlink(to, dir).unwrap();
}

#[test]
fn a_push_sends_no_file_that_a_link_leads_to_and_none_that_is_not_what_the_layout_says() {
    let rows: [(&str, Damage); 8] = [
        ("a layer that is a link", link),
        ("a layer that is a link through another", |layout, blob| {
            fs::remove_file(blob).unwrap();
            symlink(layout.with_file_name("secret"), layout.join("hop")).unwrap();
            symlink(layout.join("hop"), blob).unwrap();
        }),
        ("other bytes of the same size", |_, blob| fs::write(blob, SECRET).unwrap()),
        ("a hard link", |layout, blob| {
            fs::remove_file(blob).unwrap();
            fs::hard_link(layout.with_file_name("secret"), blob).unwrap();
        }),
        ("blobs that are a link", |layout, blob| {
            fs::write(blob, LAYER).unwrap();
            elsewhere(&layout.join("blobs"));
        }),
        ("blobs/sha256 that is a link", |layout, _| elsewhere(&layout.join("blobs/sha256"))),
        ("an index that is a link", |layout, _| elsewhere(&layout.join("index.json"))),
        ("a pipe", |_, blob| {
            fs::remove_file(blob).unwrap();
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mkfifoat(rustix::fs::CWD, blob, mode).unwrap();
        }),
    ];
    for (name, damage) in rows {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), SECRET).unwrap();
        let from = layout(&dir.path().join("layout"), &LAYER[..SECRET.len()]);
        let blob = from.join("blobs/sha256").join(Digest::of(&LAYER[..SECRET.len()]).hex());
        damage(&from, &blob);
        let server = Server::start(|_, _| Act::Usual);
        let error = push(&[from], &reference(&server.address), &options()).expect_err(name);
        assert!([3, 6].contains(&fault::exit_code(&error)), "{name}: {error:#}");
        let state = server.state();
        let sent = state.came().any(|bytes| bytes.windows(6).any(|part| part == b"secret"));
        assert!(!sent && state.tags.is_empty(), "{name}: it was sent");
    }
}

#[test]
fn a_config_or_manifest_that_is_a_link_is_not_followed_either() {
    for document in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let from = layout(&dir.path().join("layout"), b"layer");
        let is = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            if document { text.contains("schemaVersion") } else { text == "{}" }
        };
        let blob = fs::read_dir(from.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
        let blob = blob.into_iter().find(|path| is(path)).unwrap();
        fs::rename(&blob, dir.path().join("secret")).unwrap();
        // Even where the bytes are right.
        symlink(dir.path().join("secret"), &blob).unwrap();
        let server = Server::start(|_, _| Act::Usual);
        let error = push(&[from], &reference(&server.address), &options()).unwrap_err();
        assert_eq!(fault::exit_code(&error), 3, "{error:#}");
        assert!(server.state().blobs.is_empty());
    }
}

#[test]
fn wide_and_nested_indexes_are_read_once() {
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let dir = tempfile::tempdir().unwrap();
    let from = layout(dir.path(), b"layer");
    let mut inner = put(&from, INDEX, br#"{"schemaVersion":2,"manifests":[]}"#);
    for _ in 0..3 {
        let all = vec![&inner; 20_000];
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": all}).to_string();
        inner = put(&from, INDEX, index.as_bytes());
    }
    let index: Value = serde_json::from_slice(&fs::read(from.join("index.json")).unwrap()).unwrap();
    let mut all = index["manifests"].as_array().unwrap().clone();
    all.push(inner);
    fs::write(from.join("index.json"), json!({"schemaVersion": 2, "manifests": all}).to_string()).unwrap();
    let server = Server::start(|_, _| Act::Usual);
    let since = std::time::Instant::now();
    push(&[from], &reference(&server.address), &options()).unwrap();
    assert!(since.elapsed().as_secs() < 60, "{:?}", since.elapsed());
}

/// The same from a registry, which is asked for each once.
#[test]
fn what_is_named_or_listed_again_and_again_is_asked_for_once() {
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Usual);
    let hold = |bytes: Vec<u8>| {
        let digest = Digest::of(&bytes).to_string();
        let entry = json!({"mediaType": INDEX, "digest": digest, "size": bytes.len()});
        server.state().manifests.insert(digest, (INDEX.to_owned(), bytes));
        entry
    };
    let mut inner = hold(br#"{"schemaVersion":2,"manifests":[]}"#.to_vec());
    for _ in 0..3 {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![&inner; 10_000]});
        inner = hold(index.to_string().into_bytes());
    }
    let root = inner["digest"].as_str().unwrap().to_owned();
    server.state().tags.insert("v1".to_owned(), root);
    let asked = || server.state().seen.iter().filter(|line| line.contains("/manifests/sha256:")).count();
    pull(&reference(&server.address), PullScope::Attached, &options(), &dir.path().join("to")).unwrap();
    assert_eq!(asked(), 3, "{:?}", server.state().seen);

    // Under the tags that take the place of the API: one document again and again, and very many.
    server.state().api = false;
    let tag = server.state().tags["v1"].replace(':', "-");
    for (number, few) in [(10_000, true), (2_000, false)] {
        server.state().seen.clear();
        let entry = |at: usize| {
            let bytes = format!("{{\"at\":{}}}", if few { 0 } else { at });
            hold(bytes.into_bytes())
        };
        let list: Vec<Value> = (0..number).map(entry).collect();
        let list = hold(json!({"schemaVersion": 2, "manifests": list}).to_string().into_bytes());
        let list = list["digest"].as_str().unwrap().to_owned();
        server.state().tags.insert(tag.clone(), list);
        let to = dir.path().join(format!("to-{few}"));
        let done = pull(&reference(&server.address), PullScope::Attached, &options(), &to);
        assert_eq!(done.is_ok(), few, "{done:?}");
        assert!(asked() < if few { 10 } else { 1_100 }, "{}", asked());
    }
}

/// A challenge of whom the registry redirects to counts for nothing: not who is asked for a token, nor that a login is
/// demanded.
#[test]
fn a_third_host_names_no_token_server() {
    for by in
        ["Basic realm=\"x\"", "Bearer realm=\"http://OTHER/token\"", "Bearer realm=\"http://OWN/token\""]
    {
        for path in ["/manifests/v1", "/blobs/"] {
            let by = by.to_owned();
            let other = Server::start(move |request, _| {
                let own = request.headers.get("host").cloned().unwrap_or_default();
                Act::Say(Answer::status(401).with("WWW-Authenticate", by.replace("OTHER", &own)))
            });
            let to = other.address.clone();
            let server = Server::start(move |request, _| {
                let line = request.line();
                if line.starts_with("GET") && line.contains(path) {
                    let location = format!("http://{to}/elsewhere");
                    return Act::Say(Answer::status(307).with("Location", location));
                }
                Act::Usual
            });
            let dir = tempfile::tempdir().unwrap();
            let from = layout(&dir.path().join("from"), b"layer");
            push(&[from], &reference(&server.address), &options()).unwrap();
            let to = dir.path().join("to");
            let error = pull(&reference(&server.address), PullScope::Image, &options(), &to).unwrap_err();
            assert_eq!(fault::exit_code(&error), 5, "{error:#}");
            let seen = other.state().seen.clone();
            assert!(seen.iter().all(|line| line == "GET /elsewhere") && !seen.is_empty(), "{seen:?}");
            assert!(!server.state().seen.iter().any(|line| line.contains("token")));
        }
    }
}

#[test]
fn redirects_are_followed_to_their_end_and_no_further() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/v2/kubelet/manifests/v1" => Act::Say(Answer::status(302).with("Location", "../moved/v1?x=%20")),
        "/v2/kubelet/moved/v1?x=%20" => Act::Say(Answer::status(308).with("Location", "?round")),
        _ if request.path.ends_with("?round") => Act::Say(Answer::status(301).with("Location", "?round")),
        _ => Act::Usual,
    });
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    let error = pull(&reference(&server.address), PullScope::Image, &options(), &to).unwrap_err();
    assert!(error.to_string().contains("redirects more than"), "{error:#}");
    for location in ["ftp://a/b", "http://u:p@a/", "http://a:99999/"] {
        let server = Server::start(move |request, _| match request.path.as_str() {
            "/v2/" => Act::Usual,
            _ => Act::Say(Answer::status(302).with("Location", location)),
        });
        let error = pull(&reference(&server.address), PullScope::Image, &options(), &to).unwrap_err();
        assert_eq!(fault::exit_code(&error), 5, "{error:#}");
    }
}

/// What is pulled as attached could not be run; the name that was asked for stands first.
#[test]
fn a_registry_brings_no_image_as_an_attachment() {
    let server = Server::start(|_, _| Act::Usual);
    server.state().api = true;
    let dir = tempfile::tempdir().unwrap();
    let from = layout(&dir.path().join("from"), b"layer");
    let index: Value = serde_json::from_slice(&fs::read(from.join("index.json")).unwrap()).unwrap();
    let mut all = index["manifests"].as_array().unwrap().clone();
    let root = all[0].clone();
    let config = put(&from, "application/vnd.oci.image.config.v1+json", br#"{"os":"linux","rootfs":{}}"#);
    let layer = put(&from, "application/vnd.oci.image.layer.v1.tar", b"evil");
    let mut subject = root.clone();
    subject.as_object_mut().unwrap().remove("annotations");
    let evil = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "a/b", "config": config,
        "layers": [layer], "subject": subject});
    let evil = put(&from, MANIFEST, evil.to_string().as_bytes());
    all.push(evil.clone());
    // And one where a signature should be.
    let tag = oci::layout::signature_tag(root["digest"].as_str().unwrap());
    all.retain(|it| it["annotations"]["org.opencontainers.image.ref.name"] != tag.as_str());
    let mut signature = evil.clone();
    signature["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    all.push(signature);
    fs::write(from.join("index.json"), json!({"schemaVersion": 2, "manifests": all}).to_string()).unwrap();
    push(&[from], &reference(&server.address), &options()).unwrap();
    let pulled =
        pull(&reference(&server.address), PullScope::Attached, &options(), &dir.path().join("to")).unwrap();
    assert_eq!(pulled.digest.to_string(), root["digest"].as_str().unwrap());
    let names: Vec<String> = pulled.attached.iter().map(ToString::to_string).collect();
    assert!(names.len() > 4 && !names.contains(&evil["digest"].as_str().unwrap().to_owned()), "{names:?}");
}
