//! Manifests and indexes.

use anyhow::Result;
use fault::Fault;
use oci::digest::Digest;
use serde_json::Value;
use web::{Ask, Body};

use crate::client::{Client, codes, header, length, said_digest};
use crate::retry::Tries;

/// What manifests may be.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest as a registry has it: verified bytes.
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Client<'_> {
    /// Is this manifest there, under this tag or digest?
    pub(crate) fn has_manifest(&self, name: &str, digest: Digest, size: u64) -> Result<bool> {
        let url = self.url(&format!("manifests/{name}"));
        let answer = self.send(&Ask { headers: &[("accept", ACCEPT)], ..Ask::new("HEAD", &url) })?;
        let status = answer.response.status().as_u16();
        let said = said_digest(answer.response.headers());
        match (status, said) {
            (404 | 410, _) => return Ok(false),
            (200..=299, Some(said)) if said == digest => {}
            // A tag may name another.
            (200..=299, Some(_)) if !name.contains(':') => return Ok(false),
            (200..=299, Some(said)) => {
                let what = format!("{}: manifest {name}, by its `Docker-Content-Digest`,", self.host);
                return Err(Fault::mismatch(what, digest, said).into());
            }
            // HEAD is refused, or answered by who does not know digests.
            (200..=299 | 405 | 501, _) => {
                let found = self.manifest(name)?;
                return Ok(found.is_some_and(|found| Digest::of(&found.bytes) == digest));
            }
            _ if answer.from != self.origin => return Ok(self.manifest(name)?.is_some()),
            _ => return Err(self.refused(&format!("manifest {name}"), answer)),
        }
        match length(answer.response.headers()).filter(|length| *length != size) {
            Some(length) => {
                let bytes = |size: u64| format!("{size} bytes");
                let what = format!("{}: manifest {name}, by its `Content-Length`,", self.host);
                Err(Fault::mismatch(what, bytes(size), bytes(length)).into())
            }
            None => Ok(true),
        }
    }

    /// A manifest by tag or digest, verified; none if there is none.
    pub(crate) fn manifest(&self, name: &str) -> Result<Option<Manifest>> {
        let what = format!("manifest {name}");
        let url = self.url(&format!("manifests/{name}"));
        let (headers, bytes) = match self.get(&url, &[("accept", ACCEPT)], &what, false)? {
            Ok(got) => got,
            Err(answer) if matches!(answer.response.status().as_u16(), 404 | 410) => return Ok(None),
            Err(answer) => return Err(self.refused(&what, answer)),
        };
        let found = Digest::of(&bytes);
        let (expected, by) = match name.parse().ok() {
            Some(named) => (Some(named), ""),
            None => (said_digest(&headers), ", by its `Docker-Content-Digest`,"),
        };
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(Fault::mismatch(format!("{}: {what}{by}", self.host), expected, found).into());
        }
        Ok(Some(Manifest { media_type: media_type(header(&headers, "content-type"), &bytes), bytes }))
    }

    /// Puts a manifest under a tag or its digest; did the registry take note of its subject?
    pub(crate) fn put_manifest(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<bool> {
        let url = self.url(&format!("manifests/{name}"));
        let headers = [("content-type", media_type)];
        let ask = Ask { headers: &headers, body: Body::Bytes(bytes), ..Ask::new("PUT", &url) };
        let mut tries = Tries::new(self);
        let answer = loop {
            let answer = self.send(&ask)?;
            match answer.response.status().as_u16() {
                200..=204 => break answer,
                // What it names was there: the registry will see it soon.
                400 | 404 if !tries.are_spent() => {
                    let status = answer.response.status();
                    let codes = codes(answer);
                    if !codes.iter().any(|code| code.ends_with("_UNKNOWN")) {
                        let text = format!("manifest {name}: status {} {}", status.as_u16(), codes.join(" "));
                        return Err(self.protocol_error(&format!("refuses {}", text.trim_end())));
                    }
                    tries.wait()?;
                }
                _ => return Err(self.refused(&format!("manifest {name}"), answer)),
            }
        };
        let digest = Digest::of(bytes);
        if let Some(said) = said_digest(answer.response.headers()).filter(|said| *said != digest) {
            let what =
                format!("{}: what it made of manifest {name}, by its `Docker-Content-Digest`,", self.host);
            return Err(Fault::mismatch(what, digest, said).into());
        }
        Ok(header(answer.response.headers(), "oci-subject").is_some())
    }
}

/// What a manifest is: by its own word, else by the registry's, which proxies make other ones of.
fn media_type(said: Option<&str>, bytes: &[u8]) -> String {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let said = said.and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    match value["mediaType"].as_str() {
        Some(own) => own.to_owned(),
        None if ACCEPT.split(", ").any(|known| known == said) => said,
        None if value["manifests"].is_array() => ACCEPT.split(", ").next().unwrap_or_default().to_owned(),
        None => ACCEPT.split(", ").nth(1).unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_known_through_charsets_capitals_and_proxies() {
        let index = "application/vnd.oci.image.index.v1+json";
        let manifest = "application/vnd.oci.image.manifest.v1+json";
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        for (said, bytes, expected) in [
            (Some("Application/VND.OCI.image.index.v1+JSON; charset=utf-8"), "{}", index),
            (Some("text/plain"), r#"{"manifests":[]}"#, index),
            (Some("application/octet-stream"), r#"{"layers":[]}"#, manifest),
            (None, "{}", manifest),
            (Some(index), &format!(r#"{{"mediaType":"{docker}"}}"#), docker),
            (Some(&docker.to_uppercase()), "{}", docker),
        ] {
            assert_eq!(media_type(said, bytes.as_bytes()), expected, "{said:?} {bytes}");
        }
    }
}
