//! Blobs on their way to a registry.
//!
//! By default a blob goes as it does with the large clients: one PUT of the whole. What a registry does not take so it
//! gets in another [`Manner`]; where that succeeds, later blobs begin with it. An upload that broke off is begun again:
//! what a registry says of its progress is not to be relied on.

use std::fs::File;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use anyhow::Result;
use fault::Fault;
use oci::layout::Stored;
use progress::Task;
use web::{Answer, Ask, Body};

use crate::client::{Client, escape, header, length, said_digest};
use crate::retry::{Tries, is_transient};

/// The largest chunk that is tried first, and the smallest that is tried last, in bytes.
const CHUNK: u64 = 4 << 20;
const SMALLEST: u64 = 64 << 10;
/// How many bytes further than before are progress at least; of a large blob, a quarter.
const PROGRESS: u64 = 1 << 20;

/// How a blob came to be in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadOutcome {
    Present,
    Mounted,
    Sent,
}

/// How a blob is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One PUT.
    Put,
    /// One PATCH, and a PUT without a body.
    Patch,
    /// A PATCH for each so many bytes, and a PUT without a body.
    Chunks(u64),
}

impl Manner {
    /// What is tried where this was refused; none after the last. Chunks are as small as the registry allows.
    fn next(self, minimum: u64) -> Option<Self> {
        match self {
            Self::Put => Some(Self::Patch),
            Self::Patch => Some(Self::Chunks(CHUNK.max(minimum))),
            Self::Chunks(size) if size / 2 >= SMALLEST.max(minimum) => Some(Self::Chunks(size / 2)),
            Self::Chunks(_) => None,
        }
    }
}

/// What came of an attempt.
enum Attempt {
    Done,
    /// It may succeed if it is made again.
    Broken(Result<Answer, ureq::Error>),
    /// The registry does not want it so.
    Refused(Answer),
}

/// An upload that a registry began.
struct Session {
    location: String,
    /// The smallest chunk that it takes.
    minimum: u64,
}

/// Sees to it that a blob is in the repository.
pub(crate) fn ensure(client: &Client<'_>, blob: &Stored, task: &dyn Task) -> Result<UploadOutcome> {
    if present(client, blob)? {
        return Ok(UploadOutcome::Present);
    }
    for from in client.options.mount_from.iter().filter(|from| **from != client.repository) {
        if client.mounts_denied.load(Ordering::Relaxed) {
            break;
        }
        if mount(client, blob, from)? {
            return Ok(UploadOutcome::Mounted);
        }
    }
    send(client, blob, task)?;
    Ok(UploadOutcome::Sent)
}

/// Is a blob there? Where storage elsewhere has it, that counts, and not the registry's word.
fn present(client: &Client<'_>, blob: &Stored) -> Result<bool> {
    let url = client.url(&format!("blobs/{}", blob.digest));
    let answer = client.send(&Ask::new("HEAD", &url))?;
    let own = answer.from == client.origin;
    match answer.response.status().as_u16() {
        200..=299 => {}
        404 | 410 => return Ok(false),
        // Signed for GET alone, or lost.
        _ if !own => return first_byte(client, &url),
        405 | 501 => return first_byte(client, &url),
        _ => return Err(client.refused(&format!("blob {}", blob.digest), answer)),
    }
    match length(answer.response.headers()).filter(|found| *found != blob.size) {
        Some(found) => {
            let what = format!("{}: blob {}, by its `Content-Length`,", client.host, blob.digest);
            let bytes = |size: u64| format!("{size} bytes");
            Err(Fault::mismatch(what, bytes(blob.size), bytes(found)).into())
        }
        None => Ok(true),
    }
}

/// Can a blob be read? Asked of who refuses HEAD.
fn first_byte(client: &Client<'_>, url: &str) -> Result<bool> {
    let ask = Ask { headers: &[("range", "bytes=0-0")], large: true, ..Ask::new("GET", url) };
    let answer = client.send(&ask)?;
    match answer.response.status().as_u16() {
        // 416: it is empty.
        200..=299 | 416 => Ok(true),
        404 | 410 => Ok(false),
        _ if answer.from != client.origin => Ok(false),
        _ => Err(client.refused("a blob", answer)),
    }
}

/// Takes a blob from another repository; whatever keeps the registry from that, it can still be sent.
fn mount(client: &Client<'_>, blob: &Stored, from: &str) -> Result<bool> {
    let digest = escape(&blob.digest.to_string());
    let url = client.url(&format!("blobs/uploads/?mount={digest}&from={}", escape(from)));
    let answer = match client.send_once(&Ask { body: Body::Bytes(b""), ..Ask::new("POST", &url) }) {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => return Ok(false),
        Err(_) => return exec::interrupt::check().map(|()| false),
    };
    match answer.response.status().as_u16() {
        201 => present(client, blob),
        // It has none there, and began an upload, which we end.
        202 => {
            if let Ok(location) = client.location(&answer) {
                let _ = client.send_once(&Ask::new("DELETE", &location))?;
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}

fn begin(client: &Client<'_>) -> Result<Session> {
    let url = client.url("blobs/uploads/");
    let answer = client.send(&Ask { body: Body::Bytes(b""), ..Ask::new("POST", &url) })?;
    if !matches!(answer.response.status().as_u16(), 200..=202) {
        return Err(client.refused("an upload", answer));
    }
    let minimum = header(answer.response.headers(), "oci-chunk-min-length");
    let minimum = minimum.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    Ok(Session { location: client.location(&answer)?, minimum })
}

/// Sends a blob, in the manners that a registry may want, until it has it.
fn send(client: &Client<'_>, blob: &Stored, task: &dyn Task) -> Result<()> {
    // Nothing leaves this machine that is not what the layout says it is.
    let file = blob.open()?;
    let first = *client.manner.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut manner, mut tries, mut best) = (first, Tries::new(client), 0);
    loop {
        let session = begin(client)?;
        let minimum = session.minimum;
        if let Manner::Chunks(size) = manner {
            manner = Manner::Chunks(size.max(minimum));
        }
        let mut attempt = Sending { client, blob, file: &file, session, sent: 0.into() };
        let done = attempt.by(manner)?;
        let sent = attempt.sent.get();
        if sent > best {
            task.advance(sent - best);
        }
        let further = sent.saturating_sub(best) >= PROGRESS.max(blob.size / 4);
        best = best.max(sent);
        match done {
            Attempt::Done => break,
            Attempt::Broken(after) => {
                if further {
                    tries.start_anew();
                } else if tries.are_spent()
                    && blob.size > SMALLEST
                    && let Some(next) = manner.next(minimum)
                {
                    // Whatever stands between may let smaller requests through.
                    (manner, tries) = (next, Tries::new(client));
                    continue;
                }
                tries.pause(after)?;
                if present(client, blob)? {
                    return Ok(());
                }
            }
            Attempt::Refused(answer) => match manner.next(minimum) {
                Some(next) => manner = next,
                None => return Err(client.refused(&format!("blob {}", blob.digest), answer)),
            },
        }
    }
    *client.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    kept(client, blob)
}

/// Waits until a blob that was taken is there: some registries show it a little later.
fn kept(client: &Client<'_>, blob: &Stored) -> Result<()> {
    let mut tries = Tries::new(client);
    while !present(client, blob)? {
        if tries.are_spent() {
            return Err(client.protocol_error("has not kept a blob that it took"));
        }
        tries.wait()?;
    }
    Ok(())
}

/// One attempt to send a blob.
struct Sending<'a> {
    client: &'a Client<'a>,
    blob: &'a Stored,
    file: &'a File,
    session: Session,
    sent: std::cell::Cell<u64>,
}

impl Sending<'_> {
    fn by(&mut self, manner: Manner) -> Result<Attempt> {
        let chunk = match manner {
            Manner::Put => return self.put(self.blob.size),
            Manner::Patch => self.blob.size,
            Manner::Chunks(size) => size,
        };
        let mut at = 0;
        while at < self.blob.size {
            let length = chunk.min(self.blob.size - at);
            let range = format!("{at}-{}", at + length - 1);
            let octets = ("content-type", "application/octet-stream");
            let both = [octets, ("content-range", range.as_str())];
            // Of the whole, the range is not said: who takes one PATCH may not know ranges.
            let headers = if manner == Manner::Patch { &both[..1] } else { &both };
            let url = self.session.location.clone();
            let answer = match self.ask("PATCH", &url, headers, at, length)? {
                Ok(answer) => answer,
                stopped => return Ok(stopped.err().unwrap_or(Attempt::Done)),
            };
            // What it says of its progress, in `Range`, is of the first chunk or of the last with some. The digest tells.
            self.session.location = self.client.location(&answer)?;
            at += length;
        }
        self.put(0)
    }

    /// The PUT that ends an upload, with as many bytes as a body.
    fn put(&self, length: u64) -> Result<Attempt> {
        let join = if self.session.location.contains('?') { '&' } else { '?' };
        let digest = escape(&self.blob.digest.to_string());
        let url = format!("{}{join}digest={digest}", self.session.location);
        let headers = [("content-type", "application/octet-stream")];
        let answer = match self.ask("PUT", &url, &headers, 0, length)? {
            Ok(answer) => answer,
            Err(attempt) => return Ok(attempt),
        };
        match said_digest(answer.response.headers()) {
            Some(said) if said != self.blob.digest => {
                let what =
                    format!("{}: what it made of a blob, by its `Docker-Content-Digest`,", self.client.host);
                Err(Fault::mismatch(what, self.blob.digest, said).into())
            }
            _ => Ok(Attempt::Done),
        }
    }

    /// Sends a part of the file; the answer, if it is a success.
    fn ask(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        from: u64,
        length: u64,
    ) -> Result<Result<Answer, Attempt>> {
        let sent = |bytes| self.sent.set(self.sent.get() + bytes);
        let body = Body::File { file: self.file, from, length, sent: &sent };
        let body = if length == 0 { Body::Bytes(b"") } else { body };
        let asked = self.client.send_once(&Ask { headers, body, large: true, ..Ask::new(method, url) })?;
        let answer = match asked {
            Ok(answer) if !is_transient(&answer) => answer,
            other => return Ok(Err(Attempt::Broken(other))),
        };
        Ok(match answer.response.status().as_u16() {
            200..=299 => Ok(answer),
            401 | 403 => return Err(self.client.refused(&format!("blob {}", self.blob.digest), answer)),
            _ => Err(Attempt::Refused(answer)),
        })
    }
}
