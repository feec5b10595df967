//! A registry that misbehaves: one answer for each request, from a table.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use fault::Kind;
use oci::digest::Digest;
use progress::Silent;
use serde_json::json;

use crate::{Options, Reference, pull, push};

/// Answers a request (method, path) with status, headers and body.
type Answer = dyn Fn(&str, &str) -> (u16, String, Vec<u8>) + Send + Sync;

/// Its address, and the request lines it saw.
fn serve(
    answer: impl Fn(&str, &str) -> (u16, String, Vec<u8>) + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (seen, answer): (Arc<Mutex<Vec<String>>>, Arc<Answer>) = (Arc::default(), Arc::new(answer));
    let told = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, seen) = (Arc::clone(&answer), Arc::clone(&told));
            thread::spawn(move || one(stream, &*answer, &seen));
        }
    });
    (address, seen)
}

fn one(mut stream: TcpStream, answer: &Answer, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    seen.lock().unwrap().push(first.trim().to_owned());
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, headers, body) = answer(method, path);
    let length = if headers.contains("Content-Length") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    write!(stream, "HTTP/1.1 {status} x\r\n{headers}{length}Connection: close\r\n\r\n")?;
    stream.write_all(&body)
}

fn options() -> Options<'static> {
    Options {
        plain_http: false,
        ca: None,
        parallel: 1,
        retries: 2,
        mount_from: Vec::new(),
        progress: &Silent,
    }
}

fn reference(address: &str) -> Reference {
    format!("{address}/kubelet:v1").parse().unwrap()
}

fn layout(dir: &Path) -> std::path::PathBuf {
    std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(dir.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        json!({"digest": digest.to_string(), "size": bytes.len(), "mediaType": "application/vnd.oci.image.manifest.v1+json"})
    };
    let manifest = json!({"schemaVersion": 2, "config": put(b"{}"), "layers": [put(b"layer")]});
    let mut root = put(manifest.to_string().as_bytes());
    root["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    std::fs::write(dir.join("index.json"), json!({"manifests": [root]}).to_string()).unwrap();
    dir.to_owned()
}

#[test]
fn a_manifest_without_end_is_refused() {
    let (address, _) = serve(|_, path| match path {
        "/v2/" => (200, String::new(), Vec::new()),
        _ => (200, "Content-Length: 209715200\r\n".to_owned(), vec![b' '; 5 << 20]),
    });
    let dir = tempfile::tempdir().unwrap();
    let error = pull(&reference(&address), &options(), &dir.path().join("to")).unwrap_err();
    assert_eq!(fault::of(&error).unwrap().kind(), Kind::Mismatch);
    assert!(error.to_string().contains("larger than 4194304 bytes"), "{error}");
    assert!(!dir.path().join("to").exists());
}

#[test]
fn another_manifest_than_the_digest_says_is_refused() {
    let (address, _) = serve(|_, _| (200, String::new(), b"{}".to_vec()));
    let dir = tempfile::tempdir().unwrap();
    let from = Reference { digest: Some(Digest::of(b"other")), ..reference(&address) };
    let error = pull(&from, &options(), dir.path()).unwrap_err();
    assert_eq!(fault::of(&error).unwrap().kind(), Kind::Mismatch);
}

#[test]
fn a_token_server_on_another_host_is_not_asked() {
    let (other, asked) = serve(|_, _| (200, String::new(), br#"{"token":"x"}"#.to_vec()));
    let realm = other.replace("127.0.0.1", "127.0.0.2");
    let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{realm}/token\"\r\n");
    let (address, _) = serve(move |_, _| (401, challenge.clone(), Vec::new()));
    let dir = tempfile::tempdir().unwrap();
    let error = push(&[layout(dir.path())], &reference(&address), &options()).unwrap_err();
    assert!(error.to_string().contains("gets no credentials"), "{error}");
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn no_manifest_is_put_where_blobs_fail_and_retry_after_is_heeded() {
    let (address, seen) = serve(|method, path| match (method, path) {
        ("GET", "/v2/") => (200, String::new(), Vec::new()),
        ("HEAD", _) => (404, String::new(), Vec::new()),
        _ => (503, "Retry-After: 0\r\n".to_owned(), Vec::new()),
    });
    let dir = tempfile::tempdir().unwrap();
    let error = push(&[layout(dir.path())], &reference(&address), &options()).unwrap_err();
    assert_eq!(fault::of(&error).unwrap().kind(), Kind::Unavailable);
    assert!(error.to_string().contains("given up after 3 tries: status 503"), "{error}");
    let seen = seen.lock().unwrap();
    assert!(!seen.iter().any(|line| line.contains("/manifests/")), "{seen:?}");
    assert_eq!(seen.iter().filter(|line| line.starts_with("POST")).count(), 3);
}
