//! Uploads of blobs.

use crate::answer::{Answer, Request, unescape};
use crate::row::Row;
use crate::state::State;
use crate::{REPOSITORY, digest};

/// The smallest chunk, where there is one, in bytes.
const CHUNK_MINIMUM: usize = 5 << 20;
/// The largest PATCH, where there is one, in bytes.
const PATCH_MAXIMUM: u64 = 4 << 20;
/// How often a blob is asked for until it shows, where that is late.
const LATE: u32 = 2;

/// One that is under way.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    pub(crate) bytes: Vec<u8>,
    /// The first and the last chunk, by their first and last byte.
    chunks: Option<[(usize, usize); 2]>,
    writes: u32,
    /// A chunk was too small: it must be the last.
    ended: bool,
}

impl State {
    pub(crate) fn upload(&mut self, request: &Request, id: &str, query: &str) -> Answer {
        if request.method == "POST" {
            if let Some(wanted) = query.strip_prefix("mount=").and_then(|rest| rest.split('&').next())
                && let Some(bytes) = self.mountable.get(&unescape(wanted))
            {
                let name = unescape(wanted);
                self.blobs.insert(name.clone(), bytes.clone());
                return self.stored_now(name);
            }
            self.begun += 1;
            let id = format!("id-{}", self.begun);
            self.uploads.insert(id.clone(), Upload::default());
            let answer = self.at(202, &id).with("Range", "0-0");
            if self.rows.has(Row::ChunksOf5MiBAtLeast) {
                return answer.with("OCI-Chunk-Min-Length", CHUNK_MINIMUM.to_string());
            }
            return answer;
        }
        let named = query.split('&').find_map(|pair| pair.strip_prefix("upload="));
        let id = named.filter(|_| self.rows.has(Row::QueriesAlone)).unwrap_or(id);
        if !self.uploads.contains_key(id) {
            return Answer::error(404, "BLOB_UPLOAD_UNKNOWN");
        }
        match request.method.as_str() {
            "PATCH" => self.patch(request, id),
            "PUT" => self.put(request, id, query),
            "DELETE" => {
                self.uploads.remove(id);
                Answer::status(204)
            }
            _ => self.progress(204, id),
        }
    }

    fn at(&self, status: u16, id: &str) -> Answer {
        if self.rows.has(Row::QueriesAlone) {
            return Answer::status(status).with("Location", format!("?upload={id}"));
        }
        let path = format!("/v2/{REPOSITORY}/blobs/uploads/{id}?state=a%2Fb");
        let host = self.address.trim_end_matches(":80");
        let url = if self.rows.has(Row::NoPort) { format!("http://{host}{path}") } else { path };
        Answer::status(status).with("Location", url)
    }

    fn progress(&self, status: u16, id: &str) -> Answer {
        let upload = &self.uploads[id];
        let (first, last) = match upload.chunks {
            Some([first, _]) if self.rows.has(Row::RangeOfTheFirstChunk) => first,
            Some([_, last]) if self.rows.has(Row::RangeOfTheLastChunk) => last,
            _ => (0, upload.bytes.len().saturating_sub(1)),
        };
        self.at(status, id).with("Range", format!("{first}-{last}"))
    }

    fn write(&mut self, request: &Request, id: &str) -> Result<(), Answer> {
        let one = self.rows.has(Row::OneWrite);
        let minimum = if self.rows.has(Row::ChunksOf5MiBAtLeast) { CHUNK_MINIMUM } else { 0 };
        let Some(upload) = self.uploads.get_mut(id) else { return Err(Answer::status(404)) };
        if one && upload.writes > 0 || upload.ended {
            return Err(Answer::error(400, "BLOB_UPLOAD_INVALID"));
        }
        let start = upload.bytes.len();
        let range = request.header("content-range");
        if !range.is_empty() && range.split('-').next() != Some(&start.to_string()) {
            return Err(self.progress(416, id));
        }
        upload.bytes.extend(&request.body);
        upload.writes += 1;
        upload.ended = request.body.len() < minimum;
        let chunk = (start, upload.bytes.len().saturating_sub(1));
        upload.chunks = Some([upload.chunks.map_or(chunk, |[first, _]| first), chunk]);
        Ok(())
    }

    fn patch(&mut self, request: &Request, id: &str) -> Answer {
        if self.rows.has(Row::PatchesUpTo4MiB) && request.body_length() > PATCH_MAXIMUM {
            return self.progress(416, id);
        }
        self.received += request.body.len() as u64;
        match self.write(request, id) {
            Ok(()) => self.progress(202, id),
            Err(answer) => answer,
        }
    }

    fn put(&mut self, request: &Request, id: &str, query: &str) -> Answer {
        if !request.body.is_empty() {
            if self.rows.has(Row::NoWholePut) {
                return Answer::error(400, "UNSUPPORTED");
            }
            self.received += request.body.len() as u64;
            if let Err(answer) = self.write(request, id) {
                return answer;
            }
        }
        let Some(upload) = self.uploads.remove(id) else { return Answer::status(404) };
        let found = digest(&upload.bytes);
        if !query.split('&').any(|pair| unescape(pair) == format!("digest={found}")) {
            return Answer::error(400, "DIGEST_INVALID");
        }
        if self.rows.has(Row::BlobsLate) {
            self.hidden.insert(found.clone(), LATE);
        }
        self.blobs.insert(found.clone(), upload.bytes);
        self.stored_now(found)
    }

    /// The answer for a blob that is there now.
    fn stored_now(&self, name: String) -> Answer {
        self.taken(format!("/v2/{REPOSITORY}/blobs/{name}"), name)
    }
}
