//! A registry in memory that keeps to the distribution API, but for what a test has it do wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use oci::digest::Digest;
use serde_json::{Value, json};

/// What is done in place of the usual.
pub(super) enum Act {
    /// Nothing: the usual.
    Usual,
    /// This answer.
    Say(Answer),
    /// The usual, so much later.
    Late(Duration),
    /// Half of the request's body is read and kept; then the connection ends.
    Break,
    /// The usual answer, with half of its body.
    Cut,
    /// The usual answer, with this header, which it may have, changed.
    Header(&'static str, String),
}

pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(super) fn body_length(&self) -> u64 {
        self.headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0)
    }
}

#[derive(Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What it holds and saw.
#[derive(Default)]
pub(super) struct State {
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) uploads: BTreeMap<String, Vec<u8>>,
    /// Method and path of each request.
    pub(super) seen: Vec<String>,
    /// Bytes of blobs that came.
    pub(super) received: u64,
    /// Has it the referrers API? One entry a page.
    pub(super) api: bool,
}

impl State {
    fn has(&self, digest: &Value) -> bool {
        let digest = digest.as_str().unwrap_or_default();
        self.blobs.contains_key(digest) || self.manifests.contains_key(digest)
    }

    fn complete(&self, manifest: &[u8]) -> bool {
        let value: Value = serde_json::from_slice(manifest).unwrap_or_default();
        let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
        let named = [list("manifests"), list("layers"), value.get("config").cloned().into_iter().collect()];
        named.iter().flatten().all(|it| self.has(&it["digest"]))
    }

    /// Is all there that a tag names?
    pub(super) fn tags_are_whole(&self) -> bool {
        self.tags.values().all(|digest| {
            self.manifests.get(digest).is_some_and(|(_, manifest)| {
                let value: Value = serde_json::from_slice(manifest).unwrap_or_default();
                let children = value["manifests"].as_array().cloned().unwrap_or_default();
                let whole = |it: &Value| {
                    let digest = it["digest"].as_str().unwrap_or_default();
                    self.manifests.get(digest).is_some_and(|(_, bytes)| self.complete(bytes))
                };
                self.complete(manifest) && children.iter().all(whole)
            })
        })
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if path == "/v2/" {
            return Answer::status(200);
        }
        if let Some(name) = path.strip_prefix("/v2/kubelet/manifests/") {
            return self.manifest(request, name);
        }
        if let Some(subject) = path.strip_prefix("/v2/kubelet/referrers/").filter(|_| self.api) {
            return self.referrers(subject, query);
        }
        if let Some(rest) = path.strip_prefix("/v2/kubelet/blobs/") {
            return match rest.strip_prefix("uploads/") {
                Some(id) => self.upload(request, id, query),
                None => match self.blobs.get(rest) {
                    Some(blob) => Answer { status: 200, body: blob.clone(), ..Answer::default() },
                    None => Answer::status(404),
                },
            };
        }
        Answer::status(404)
    }

    fn manifest(&mut self, request: &Request, name: &str) -> Answer {
        if request.method == "PUT" {
            if !self.complete(&request.body) {
                return Answer::status(400);
            }
            let digest = Digest::of(&request.body).to_string();
            let kind = request.headers.get("content-type").cloned().unwrap_or_default();
            self.manifests.insert(digest.clone(), (kind, request.body.clone()));
            if name != digest {
                self.tags.insert(name.to_owned(), digest.clone());
            }
            let answer = Answer::status(201).with("Docker-Content-Digest", digest);
            let value: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            return match value["subject"]["digest"].as_str().filter(|_| self.api) {
                Some(subject) => answer.with("OCI-Subject", subject),
                None => answer,
            };
        }
        let digest = self.tags.get(name).map_or(name, String::as_str);
        match self.manifests.get(digest) {
            Some((kind, bytes)) => Answer { status: 200, headers: Vec::new(), body: bytes.clone() }
                .with("Content-Type", kind)
                .with("Docker-Content-Digest", digest),
            None => Answer::status(404),
        }
    }

    fn referrers(&self, subject: &str, query: &str) -> Answer {
        let all: Vec<Value> = self
            .manifests
            .iter()
            .filter(|(_, (_, bytes))| {
                let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
                value["subject"]["digest"] == subject
            })
            .map(|(digest, (kind, bytes))| json!({"mediaType": kind, "digest": digest, "size": bytes.len()}))
            .collect();
        let page = query.strip_prefix("page=").and_then(|text| text.parse().ok()).unwrap_or(0);
        let body = json!({"schemaVersion": 2, "manifests": all.get(page..(page + 1).min(all.len()))});
        let answer = Answer { status: 200, body: body.to_string().into_bytes(), ..Answer::default() };
        if page + 1 < all.len() {
            let next = format!("</v2/kubelet/referrers/{subject}?page={}>; rel=\"next\"", page + 1);
            return answer.with("Link", next);
        }
        answer
    }

    fn upload(&mut self, request: &Request, id: &str, query: &str) -> Answer {
        let told = |status, id: &str, length: usize| {
            Answer::status(status)
                .with("Location", format!("/v2/kubelet/blobs/uploads/{id}"))
                .with("Range", format!("0-{}", length.saturating_sub(1)))
        };
        if request.method == "POST" {
            let id = self.seen.len().to_string();
            self.uploads.insert(id.clone(), Vec::new());
            return told(202, &id, 0);
        }
        let Some(upload) = self.uploads.get_mut(id) else { return Answer::status(404) };
        match request.method.as_str() {
            "PATCH" => {
                let range = request.headers.get("content-range").map_or("", String::as_str);
                if range.split('-').next() != Some(&upload.len().to_string()) {
                    return told(416, id, upload.len());
                }
                upload.extend(&request.body);
                told(202, id, upload.len())
            }
            "PUT" => {
                let digest = Digest::of(upload).to_string();
                if query != format!("digest={}", digest.replace(':', "%3A")) {
                    return Answer::status(400);
                }
                let blob = self.uploads.remove(id).unwrap_or_default();
                self.blobs.insert(digest.clone(), blob);
                Answer::status(201).with("Docker-Content-Digest", digest)
            }
            _ => told(204, id, upload.len()),
        }
    }
}

/// A server; it ends with the test's process.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: String,
    state: Arc<Mutex<State>>,
}

/// Says what to do with a request, the how manieth it is given.
type Decide = dyn Fn(&Request, usize) -> Act + Send + Sync;

impl Server {
    pub(super) fn start(decide: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Self { address, state: Arc::default() };
        let (given, decide): (Self, Arc<Decide>) = (server.clone(), Arc::new(decide));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, decide) = (given.clone(), Arc::clone(&decide));
                // A client that went away is none of the test's errors.
                thread::spawn(move || server.serve(stream, &*decide));
            }
        });
        server
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: TcpStream, decide: &Decide) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        let mut words = first.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let mut request = Request { method: word(), path: word(), headers, body: Vec::new() };
        let length = request.body_length();
        let number = {
            let mut state = self.state();
            state.seen.push(request.line());
            state.seen.len() - 1
        };
        let act = decide(&request, number);
        let take = if matches!(act, Act::Break) { length / 2 } else { length };
        reader.take(take).read_to_end(&mut request.body)?;
        if request.method == "PATCH" {
            self.state().received += take;
        }
        if let Act::Late(by) = &act {
            thread::sleep(*by);
        }
        let (broken, cut) = (matches!(act, Act::Break), matches!(act, Act::Cut));
        if broken && request.method != "PATCH" {
            return Ok(());
        }
        let mut answer = match act {
            Act::Say(answer) => answer,
            Act::Header(name, value) => {
                let mut answer = self.state().answer(&request);
                answer.headers.retain(|(key, _)| *key != name);
                answer.with(name, value)
            }
            _ => self.state().answer(&request),
        };
        if broken {
            return Ok(());
        }
        if answer.status != 204 && !answer.headers.iter().any(|(name, _)| *name == "Content-Length") {
            let length = answer.body.len().to_string();
            answer.headers.push(("Content-Length", length));
        }
        write!(stream, "HTTP/1.1 {} x\r\nConnection: close\r\n", answer.status)?;
        for (name, value) in &answer.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        stream.write_all(b"\r\n")?;
        if request.method == "HEAD" {
            return Ok(());
        }
        let end = if cut { answer.body.len() / 2 } else { answer.body.len() };
        stream.write_all(&answer.body[..end])
    }
}
