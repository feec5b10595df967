//! How answers are written: by which version of HTTP, with a length or in chunks, compressed or not.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::answer::{Answer, Request};
use crate::row::{Row, Rows};

/// The way that a registry, or the proxy before it, writes its answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// HTTP/1.0, whose connections end after each answer.
    pub(crate) old: bool,
    lengths: bool,
    gzip: bool,
}

impl Way {
    pub(crate) fn of(rows: &Rows) -> Self {
        Self { old: rows.has(Row::Http10), lengths: !rows.has(Row::NoLengths), gzip: rows.has(Row::Gzip) }
    }

    /// An answer, with so many bytes of its body.
    pub(crate) fn bytes(self, request: &Request, answer: &Answer, end: usize) -> Vec<u8> {
        let head = request.method == "HEAD";
        let version = if self.old { "1.0" } else { "1.1" };
        let mut text = format!("HTTP/{version} {} x\r\n", answer.status);
        for (name, value) in &answer.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let document = !request.path.contains("/blobs/") && !request.storage && !head;
        let gzip =
            self.gzip && document && !answer.body.is_empty() && answer.header("Content-Encoding").is_none();
        let body = if gzip { compress(&answer.body) } else { answer.body.clone() };
        if gzip {
            text.push_str("Content-Encoding: gzip\r\n");
        }
        let own = answer.header("Content-Length").is_some() || answer.header("Transfer-Encoding").is_some();
        let chunked = !self.lengths && !self.old && !head && answer.status != 204 && !own;
        if chunked {
            text.push_str("Transfer-Encoding: chunked\r\n");
        } else if self.lengths && answer.status != 204 && !own {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        if !head {
            let part = &body[..end.min(body.len())];
            if chunked {
                bytes.extend(in_chunks(part, end >= body.len()));
            } else {
                bytes.extend(part);
            }
        }
        bytes
    }
}

/// RFC 9112, section 7.1: in chunks of several sizes, and the last, which is empty.
fn in_chunks(body: &[u8], whole: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let middle = body.len() / 3;
    for part in [&body[..middle], &body[middle..]].into_iter().filter(|part| !part.is_empty()) {
        bytes.extend(format!("{:X};x=y\r\n", part.len()).into_bytes());
        bytes.extend(part);
        bytes.extend(b"\r\n");
    }
    if whole {
        bytes.extend(b"0\r\n\r\n");
    }
    bytes
}

fn compress(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Into memory: neither can fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}
