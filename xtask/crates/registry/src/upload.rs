//! Blobs on their way to a registry.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use anyhow::Result;
use fault::{Fault, Kind};
use oci::layout::Stored;
use progress::Task;
use ureq::http::HeaderMap;

use crate::client::{Client, escape, header, passing};

/// How much one request sends, in bytes.
const CHUNK: u64 = 8 << 20;

/// How a blob came to be in the repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Present,
    Mounted,
    Sent,
}

/// Where an upload stands.
struct Session {
    location: String,
    offset: u64,
}

/// Sees to it that a blob is in the repository.
pub(crate) fn ensure(client: &Client<'_>, blob: &Stored, task: &dyn Task) -> Result<Came> {
    if present(client, blob)? {
        return Ok(Came::Present);
    }
    for from in client.options.mount_from.iter().filter(|from| **from != client.repository) {
        let query =
            format!("blobs/uploads/?mount={}&from={}", escape(&blob.digest.to_string()), escape(from));
        let answer = client.send("POST", &client.url(&query), &[], Some(b""))?;
        match answer.status().as_u16() {
            201 if present(client, blob)? => return Ok(Came::Mounted),
            // Not to be had there: the registry began an upload, which we end.
            202 => {
                let _ = client.send_once("DELETE", &client.location(answer.headers())?, &[], None)?;
            }
            _ => {}
        }
    }
    send(client, blob, task)?;
    Ok(Came::Sent)
}

fn present(client: &Client<'_>, blob: &Stored) -> Result<bool> {
    let answer = client.send("HEAD", &client.url(&format!("blobs/{}", blob.digest)), &[], None)?;
    match answer.status().as_u16() {
        200 | 307 => {}
        404 => return Ok(false),
        _ => return Err(client.refused(&format!("blob {}", blob.digest), answer)),
    }
    let size = header(answer.headers(), "content-length").and_then(|text| text.parse::<u64>().ok());
    match size.filter(|size| *size != blob.size && answer.status().as_u16() == 200) {
        Some(size) => {
            let what = format!("{}: the registry's blob {}", client.repository, blob.digest);
            let bytes = |size: u64| format!("{size} bytes");
            Err(Fault::mismatch(what, bytes(blob.size), bytes(size)).into())
        }
        None => Ok(true),
    }
}

fn begin(client: &Client<'_>) -> Result<Session> {
    let answer = client.send("POST", &client.url("blobs/uploads/"), &[], Some(b""))?;
    if answer.status().as_u16() != 202 {
        return Err(client.refused("an upload", answer));
    }
    Ok(Session { location: client.location(answer.headers())?, offset: 0 })
}

/// Sends a blob in chunks; after a failure goes on where the registry says it is.
fn send(client: &Client<'_>, blob: &Stored, task: &dyn Task) -> Result<()> {
    // Nothing leaves this machine that is not what the layout says it is.
    let mut file = blob.open()?;
    let mut session = begin(client)?;
    let (mut told, mut tried) = (0, 0);
    loop {
        let last = session.offset == blob.size;
        let answer = if last {
            let join = if session.location.contains('?') { '&' } else { '?' };
            let url = format!("{}{join}digest={}", session.location, escape(&blob.digest.to_string()));
            client.send_once("PUT", &url, &[], Some(b""))?
        } else {
            let chunk = chunk(&mut file, blob, session.offset)?;
            let range = format!("{}-{}", session.offset, session.offset + chunk.len() as u64 - 1);
            let headers = [("content-type", "application/octet-stream"), ("content-range", range.as_str())];
            client.send_once("PATCH", &session.location, &headers, Some(&chunk))?
        };
        match answer {
            Ok(answer) if last && answer.status().as_u16() == 201 => {
                let said = header(answer.headers(), "docker-content-digest").map(str::to_owned);
                if let Some(said) = said.filter(|said| *said != blob.digest.to_string()) {
                    return Err(Fault::mismatch("what the registry made of a blob", blob.digest, said).into());
                }
                return if present(client, blob)? {
                    Ok(())
                } else {
                    Err(client.odd("has not kept a blob that it took"))
                };
            }
            Ok(answer) if !last && matches!(answer.status().as_u16(), 202 | 204) => {
                let end = (session.offset + CHUNK).min(blob.size);
                // `0-0` is none or one byte; of one, the digest at the end will tell.
                let next = if end == 1 { 1 } else { range(answer.headers()).unwrap_or(end) };
                if next > end || next < session.offset {
                    return Err(client.odd("says that it has bytes that were not sent"));
                }
                session = Session { location: client.location(answer.headers())?, offset: next };
                task.advance(next.saturating_sub(told));
                told = told.max(next);
                if next < end {
                    client.pause(&mut tried, Ok(answer))?;
                }
            }
            // 404 and 416: the session is gone or elsewhere, as after a restart.
            Ok(answer)
                if !passing(answer.status().as_u16()) && !matches!(answer.status().as_u16(), 404 | 416) =>
            {
                return Err(client.refused(&format!("blob {}", blob.digest), answer));
            }
            other => {
                client.pause(&mut tried, other)?;
                if present(client, blob)? {
                    return Ok(());
                }
                session = resume(client, &session, blob.size)?;
            }
        }
    }
}

/// Where the registry stands with an upload; a new one where it has lost it.
fn resume(client: &Client<'_>, session: &Session, size: u64) -> Result<Session> {
    let answer = client.send("GET", &session.location, &[], None)?;
    if answer.status().as_u16() == 204
        && let Some(offset) = range(answer.headers()).filter(|offset| (1..=size).contains(offset))
    {
        return Ok(Session { location: client.location(answer.headers())?, offset });
    }
    begin(client)
}

/// The number of bytes that a `Range: 0-N` speaks of. `0-0` is what registries say of none.
fn range(headers: &HeaderMap) -> Option<u64> {
    let text = header(headers, "range")?.trim_start_matches("bytes=");
    let last: u64 = text.strip_prefix("0-")?.parse().ok()?;
    Some(if last == 0 { 0 } else { last.checked_add(1)? })
}

fn chunk(file: &mut File, blob: &Stored, offset: u64) -> Result<Vec<u8>> {
    let want = CHUNK.min(blob.size - offset);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(want).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != want {
        return Err(Fault::new(Kind::Mismatch, format!("blob {} became shorter", blob.digest)).into());
    }
    Ok(bytes)
}
