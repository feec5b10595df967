//! What the registry has, and what it answers by the distribution API.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::answer::{Answer, Request};
use crate::row::{Row, Rows};
use crate::upload::Upload;
use crate::{REPOSITORY, digest};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What it holds and saw.
#[derive(Debug, Default)]
pub struct State {
    /// Blobs by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// Media type and bytes of manifests by digest.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// Tags, and the digest of each.
    pub tags: BTreeMap<String, String>,
    /// Blobs that another repository has.
    pub mountable: BTreeMap<String, Vec<u8>>,
    /// Method and path of each request.
    pub seen: Vec<String>,
    /// Bytes of blobs that came.
    pub received: u64,
    /// Has it the referrers API? One entry a page.
    pub api: bool,
    /// Tags that were set before it had said that all they name is there.
    pub early: Vec<String>,
    pub(crate) rows: Rows,
    pub(crate) address: String,
    pub(crate) storage: String,
    pub(crate) uploads: BTreeMap<String, Upload>,
    pub(crate) begun: u64,
    /// How often a blob is still denied.
    pub(crate) hidden: BTreeMap<String, u32>,
    pub(crate) tokens: u32,
    pub(crate) token_requests: u32,
    /// How often it said that it is busy.
    pub(crate) busy: u32,
    /// Digests that it said are there.
    pub(crate) told: BTreeSet<String>,
    /// All manifests that were ever sent, taken or not.
    pub(crate) sent: BTreeMap<String, Vec<u8>>,
}

/// All digests that a manifest names.
fn names(manifest: &[u8]) -> Vec<String> {
    let value: Value = serde_json::from_slice(manifest).unwrap_or_default();
    let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    let all = [list("manifests"), list("layers"), value.get("config").cloned().into_iter().collect()];
    all.iter().flatten().filter_map(|it| it["digest"].as_str().map(str::to_owned)).collect()
}

/// The first and last byte that a `Range` of one part asks for of so many (RFC 9110, section 14.1.2), if there are any.
fn within(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1)?;
    if first.is_empty() {
        let suffix = last.parse::<usize>().ok().filter(|suffix| *suffix > 0)?;
        return Some((length.saturating_sub(suffix), end));
    }
    let first = first.parse().ok()?;
    let last = if last.is_empty() { end } else { last.parse::<usize>().ok()?.min(end) };
    (first <= last).then_some((first, last))
}

/// What a list of referrers says of a manifest, where it refers to this subject.
fn referrer(subject: &str, digest: &str, kind: &str, bytes: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if value["subject"]["digest"] != subject {
        return None;
    }
    let mut entry = json!({"mediaType": kind, "digest": digest, "size": bytes.len()});
    let artifact =
        [&value["artifactType"], &value["config"]["mediaType"]].into_iter().find(|it| it.is_string());
    for (key, value) in [("artifactType", artifact), ("annotations", value.get("annotations"))] {
        if let Some(value) = value {
            entry[key] = value.clone();
        }
    }
    Some(entry)
}

impl State {
    fn has(&self, digest: &str) -> bool {
        self.blobs.contains_key(digest) && !self.hidden.contains_key(digest)
            || self.manifests.contains_key(digest)
    }

    fn complete(&self, manifest: &[u8]) -> bool {
        names(manifest).iter().all(|digest| self.has(digest))
    }

    /// All bytes of blobs that came, those of uploads that did not end among them.
    pub fn came(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.blobs.values().map(Vec::as_slice);
        whole.chain(self.uploads.values().map(|upload| upload.bytes.as_slice()))
    }

    /// Is all there that a tag names?
    #[must_use]
    pub fn tags_are_whole(&self) -> bool {
        let manifest = |digest: &String| self.manifests.get(digest).map(|(_, bytes)| bytes);
        self.tags.values().all(|digest| {
            manifest(digest).is_some_and(|bytes| {
                let children = names(bytes);
                self.complete(bytes) && children.iter().filter_map(manifest).all(|it| self.complete(it))
            })
        })
    }

    /// Takes note of what a client heard, and of a tag that it sets.
    pub(crate) fn heard(&mut self, request: &Request, status: u16) {
        let path = request.path.split('?').next().unwrap_or_default();
        let (place, name) = path.rsplit_once('/').unwrap_or_default();
        let manifest = place.ends_with("/manifests") || place.ends_with("/moved");
        if (200..300).contains(&status) && name.starts_with("sha256:") {
            let blob = place.ends_with("/blobs") || place.ends_with("/storage");
            if manifest || blob && request.reads() {
                self.told.insert(name.to_owned());
            }
        }
    }

    /// Takes note of a manifest that is sent.
    pub(crate) fn look(&mut self, request: &Request) {
        let path = request.path.split('?').next().unwrap_or_default();
        let Some((place, name)) = path.rsplit_once('/') else { return };
        if request.method != "PUT" || !place.ends_with("/manifests") {
            return;
        }
        self.sent.insert(digest(&request.body), request.body.clone());
        if !name.starts_with("sha256:") && !self.all_told(&request.body) {
            self.early.push(name.to_owned());
        }
    }

    fn all_told(&self, manifest: &[u8]) -> bool {
        let known = |digest: &String| self.sent.get(digest).or(self.manifests.get(digest).map(|it| &it.1));
        names(manifest).iter().all(|digest| {
            self.told.contains(digest) && known(digest).is_none_or(|bytes| self.all_told(bytes))
        })
    }

    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        if let Some(busy) = self.busy() {
            return busy;
        }
        if let Some(refused) = self.gate(request) {
            return refused;
        }
        if request.method == "HEAD" && self.rows.has(Row::NoHead) {
            return Answer::status(405);
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if path == "/v2/" {
            return Answer::status(if self.rows.has(Row::NoPing) { 404 } else { 200 });
        }
        let inside = path.strip_prefix(&format!("/v2/{REPOSITORY}/")).unwrap_or_default();
        let answer = match inside.split_once('/') {
            _ if request.storage => self.stored(request, path.trim_start_matches("/storage/")),
            Some(("manifests", name)) if self.rows.has(Row::ManifestsMoved) && request.reads() => {
                Answer::status(307).with("Location", format!("/v2/{REPOSITORY}/moved/{name}"))
            }
            Some(("manifests" | "moved", name)) => self.manifest(request, name),
            Some(("referrers", subject)) => self.referrers(subject, query),
            Some(("blobs", rest)) => match rest.strip_prefix("uploads/") {
                Some(id) => self.upload(request, id, query),
                None => self.blob(request, rest),
            },
            _ => Answer::status(404),
        };
        if request.method == "HEAD" && answer.status == 200 && self.rows.has(Row::HeadWithoutLength) {
            return answer.instead("Content-Length", "0");
        }
        answer
    }

    fn busy(&mut self) -> Option<Answer> {
        let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
        let when = if self.rows.has(Row::RetryAfterSeconds) {
            "1".to_owned()
        } else if self.rows.has(Row::RetryAfterDate) {
            later.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
        } else if self.rows.has(Row::RetryAfterPast) {
            "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()
        } else {
            return None;
        };
        let status = if self.rows.has(Row::RetryAfterPast) { 503 } else { 429 };
        self.busy += 1;
        (self.busy <= 2).then(|| Answer::status(status).with("Retry-After", when))
    }

    /// Is this blob still denied? Not for ever.
    fn denies(&mut self, name: &str) -> bool {
        let Some(left) = self.hidden.get_mut(name) else { return false };
        *left -= 1;
        if *left == 0 {
            self.hidden.remove(name);
        }
        true
    }

    fn blob(&mut self, request: &Request, name: &str) -> Answer {
        if self.denies(name) {
            return Answer::error(404, "BLOB_UNKNOWN");
        }
        let known = self.blobs.contains_key(name);
        let storage = format!("http://{}/storage/{name}", self.storage);
        if self.rows.has(Row::StorageForGetAlone) && known || self.rows.has(Row::StorageLost) && !known {
            return Answer::status(307).with("Location", storage);
        }
        if self.rows.has(Row::StorageBy302) && known {
            return Answer::status(302).with("Location", storage);
        }
        self.stored(request, name)
    }

    fn stored(&self, request: &Request, name: &str) -> Answer {
        if request.storage && request.method == "HEAD" && self.rows.has(Row::StorageForGetAlone) {
            return Answer::status(403);
        }
        let Some(blob) = self.blobs.get(name) else { return Answer::error(404, "BLOB_UNKNOWN") };
        let range = request.header("range");
        if range.is_empty() {
            return Answer::ok(blob.clone());
        }
        match within(range, blob.len()) {
            Some((first, last)) => {
                let range = format!("bytes {first}-{last}/{}", blob.len());
                Answer { status: 206, ..Answer::ok(&blob[first..=last]) }.with("Content-Range", range)
            }
            None => Answer::status(416).with("Content-Range", format!("bytes */{}", blob.len())),
        }
    }

    fn manifest(&mut self, request: &Request, name: &str) -> Answer {
        if request.method == "PUT" {
            return self.put_manifest(request, name);
        }
        let itself = name.strip_prefix("sha256-").filter(|_| self.rows.has(Row::TagOfADigest));
        let itself = itself.map(|hex| format!("sha256:{hex}"));
        let found = self.tags.get(name).cloned().or(itself).unwrap_or_else(|| name.to_owned());
        match self.manifests.get(&found) {
            Some((kind, bytes)) => {
                let odd = self.rows.has(Row::ContentTypes);
                let kind = if odd { format!("{}; charset=utf-8", kind.to_uppercase()) } else { kind.clone() };
                Answer::ok(bytes.clone()).with("Content-Type", kind).with("Docker-Content-Digest", found)
            }
            None => Answer::error(404, "MANIFEST_UNKNOWN"),
        }
    }

    fn put_manifest(&mut self, request: &Request, name: &str) -> Answer {
        if !self.complete(&request.body) {
            for name in names(&request.body) {
                self.denies(&name);
            }
            return Answer::error(400, "MANIFEST_BLOB_UNKNOWN");
        }
        let found = digest(&request.body);
        if name.starts_with("sha256:") && name != found {
            return Answer::error(400, "DIGEST_INVALID");
        }
        let kind = request.header("content-type").to_owned();
        self.manifests.insert(found.clone(), (kind, request.body.clone()));
        if name != found {
            self.tags.insert(name.to_owned(), found.clone());
        }
        let answer = self.taken(format!("/v2/{REPOSITORY}/manifests/{found}"), found);
        let value: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match value["subject"]["digest"].as_str().filter(|_| self.lists()) {
            Some(subject) => answer.with("OCI-Subject", subject),
            None => answer,
        }
    }

    /// The answer for what is there now.
    pub(crate) fn taken(&self, location: String, digest: String) -> Answer {
        if self.rows.has(Row::BareAnswers) {
            return Answer::status(201);
        }
        Answer::status(201).with("Location", location).with("Docker-Content-Digest", digest)
    }

    /// Has it the referrers API?
    fn lists(&self) -> bool {
        let without = [Row::NoReferrers, Row::ReferrersLoginPage, Row::ReferrersEmpty, Row::TagOfADigest];
        self.api && !without.iter().any(|row| self.rows.has(*row))
    }

    fn referrers(&self, subject: &str, query: &str) -> Answer {
        if self.rows.has(Row::ReferrersLoginPage) {
            return Answer::ok("<!DOCTYPE html><title>Sign in</title>").with("Content-Type", "text/html");
        }
        if self.rows.has(Row::ReferrersEmpty) {
            return Answer::status(200);
        }
        if !self.lists() {
            return Answer::status(404);
        }
        let all = self.manifests.iter();
        let all: Vec<Value> =
            all.filter_map(|(digest, (kind, bytes))| referrer(subject, digest, kind, bytes)).collect();
        let page = query.strip_prefix("page=").and_then(|text| text.parse().ok()).unwrap_or(0);
        let listed = all.get(page..(page + 1).min(all.len())).unwrap_or_default();
        let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
        let answer = Answer::ok(body.to_string()).with("Content-Type", INDEX);
        if page + 1 < all.len() {
            let path = format!("/v2/{REPOSITORY}/referrers/{subject}");
            let path = if self.rows.has(Row::QueriesAlone) { "" } else { &path };
            return answer.with("Link", format!("<{path}?page={}>; rel=\"next\"", page + 1));
        }
        answer
    }
}
