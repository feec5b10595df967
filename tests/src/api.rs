//! As much of a Kubernetes API server as kube-proxy asks for: lists and watches of a few objects, in JSON, over plain
//! HTTP. It keeps no state of its own but what a test puts in, and answers 404 to everything else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Serves until the process ends, or nobody connects any more.
#[derive(Clone, Debug, Default)]
pub struct Api {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Objects by the path of their list, and by name.
    lists: BTreeMap<String, List>,
    /// Raised with each change, as a real server's.
    version: u64,
    /// What was asked for, and the answer's code.
    log: Vec<String>,
}

#[derive(Debug)]
struct List {
    /// `v1`, and `ServiceList`.
    api_version: String,
    kind: String,
    items: BTreeMap<String, Value>,
    watchers: Vec<TcpStream>,
}

/// What a client sent.
struct Request {
    method: String,
    path: String,
    query: String,
    body: Vec<u8>,
}

impl Api {
    /// Knows the lists of these paths: `/api/v1/services` with its API version and the kind of one object.
    pub fn new(lists: &[(&str, &str, &str)]) -> Self {
        let list = |(path, api_version, kind): &(&str, &str, &str)| {
            let (api_version, kind) = ((*api_version).to_owned(), (*kind).to_owned());
            let list = List { api_version, kind, items: BTreeMap::new(), watchers: Vec::new() };
            ((*path).to_owned(), list)
        };
        let state = State { lists: lists.iter().map(list).collect(), version: 1, log: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Serves on this socket, a thread for each connection.
    pub fn serve(&self, listener: TcpListener) {
        let api = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let api = api.clone();
                // A client that went away needs no answer.
                thread::spawn(move || api.connection(&stream));
            }
        });
    }

    /// Adds an object to the list of a path; who watches it is told.
    pub fn add(&self, path: &str, mut object: Value) -> Result<()> {
        let mut state = self.state();
        state.version += 1;
        let version = state.version.to_string();
        let list = state.lists.get_mut(path).with_context(|| format!("no list {path}"))?;
        object["apiVersion"] = list.api_version.as_str().into();
        object["kind"] = list.kind.as_str().into();
        object["metadata"]["resourceVersion"] = version.as_str().into();
        let name = object["metadata"]["name"].as_str().context("an object without a name")?.to_owned();
        let event = json!({ "type": "ADDED", "object": object }).to_string() + "\n";
        list.items.insert(name, object);
        list.watchers.retain_mut(|watcher| chunk(watcher, &event).is_ok());
        Ok(())
    }

    /// What was asked for so far, a request a line with the answer's code.
    pub fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, stream: &TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = Request::read(&mut reader)? {
            if self.answer(&request, stream)? {
                // The watcher has it now.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Answers; true if the connection is a watch from now on.
    fn answer(&self, request: &Request, mut stream: &TcpStream) -> Result<bool> {
        let mut state = self.state();
        let version = state.version.to_string();
        let Request { method, path, query, .. } = request;
        let (code, body) = match state.find(method, path) {
            Some(Resource::List(list))
                if query.split('&').any(|part| matches!(part, "watch=true" | "watch=1")) =>
            {
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes())?;
                let mut watcher = stream.try_clone()?;
                if query.split('&').any(|part| part == "sendInitialEvents=true") {
                    list.send_all(&version, &mut watcher)?;
                }
                list.watchers.push(watcher);
                state.log.push(format!("200 {method} {path}?{query}"));
                return Ok(true);
            }
            Some(Resource::List(list)) => {
                let items: Vec<&Value> = list.items.values().collect();
                let kind = format!("{}List", list.kind);
                let meta = json!({ "resourceVersion": version });
                (
                    200,
                    json!({ "apiVersion": list.api_version, "kind": kind, "metadata": meta, "items": items }),
                )
            }
            Some(Resource::Object(object)) => (200, object.clone()),
            None if method == "POST" && path.ends_with("/events") => {
                (201, serde_json::from_slice(&request.body).context("an event that is not JSON")?)
            }
            None => {
                let status = json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound" });
                (404, status)
            }
        };
        state.log.push(format!("{code} {method} {path}"));
        drop(state);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {code} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        Ok(false)
    }
}

enum Resource<'a> {
    List(&'a mut List),
    Object(&'a Value),
}

impl List {
    /// All that there is, as who watches instead of listing asks for it, and the bookmark that ends it
    /// (Kubernetes' API concepts, streaming lists).
    fn send_all(&self, version: &str, watcher: &mut TcpStream) -> std::io::Result<()> {
        for object in self.items.values() {
            chunk(watcher, &(json!({ "type": "ADDED", "object": object }).to_string() + "\n"))?;
        }
        let annotations = json!({ "k8s.io/initial-events-end": "true" });
        let metadata = json!({ "resourceVersion": version, "annotations": annotations });
        let object = json!({ "apiVersion": self.api_version, "kind": self.kind, "metadata": metadata });
        chunk(watcher, &(json!({ "type": "BOOKMARK", "object": object }).to_string() + "\n"))
    }
}

impl State {
    fn find(&mut self, method: &str, path: &str) -> Option<Resource<'_>> {
        if method != "GET" {
            return None;
        }
        if self.lists.contains_key(path) {
            return self.lists.get_mut(path).map(Resource::List);
        }
        let (list, name) = path.rsplit_once('/')?;
        self.lists.get(list)?.items.get(name).map(Resource::Object)
    }
}

impl Request {
    /// The next one; none where the connection ends.
    fn read(reader: &mut impl BufRead) -> Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let method = words.next().context("no method")?.to_owned();
        let target = words.next().context("no target")?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("a length that is not a number")?;
            }
        }
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body)?;
        Ok(Some(Self { method, path, query, body }))
    }
}

/// Sends a piece of an answer that has no end yet.
fn chunk(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}
