//! Pull: a reference as a verified layout, with what refers to it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use oci::digest::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::{Client, Manifest, read};
use crate::layout::{bad, file, parse};
use crate::{MANIFEST_LIMIT, Options, Reference};

/// How deep indexes may lie in indexes.
const DEPTH: u32 = 4;

/// What was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// The digest of the image or index.
    pub digest: Digest,
    /// The digests of what refers to it or to a manifest in it.
    pub referrers: Vec<Digest>,
}

/// Pulls an image or index, and all referrers of it and of the manifests in it, into a new layout. Every byte is
/// verified against its digest and size. `index.json` names the image first (with the tag it was asked by), then the
/// referrers.
///
/// # Errors
/// [`Kind::Unknown`] where there is no such image, [`Kind::Mismatch`] for other bytes than a digest says and answers
/// beyond their limits, [`Kind::Unavailable`] for what the registry refuses or does not answer.
pub fn pull(from: &Reference, options: &Options<'_>, dest: &Path) -> Result<Pulled> {
    let client = Client::open(from, options, false)?;
    let name = from.digest.map(|digest| digest.to_string()).or_else(|| from.tag.clone());
    let name = name.unwrap_or_else(|| "latest".to_owned());
    let root = client
        .manifest(&name)?
        .ok_or_else(|| Fault::new(Kind::Unknown, format!("{from}: there is no such image")))?;
    fs::create_dir_all(dest.join("blobs/sha256"))?;
    let mut puller = Puller { client, dest, seen: BTreeSet::new(), referrers: Vec::new() };
    let digest = Digest::of(&root.bytes);
    let mut top = descriptor(&root);
    if let Some(tag) = &from.tag {
        top["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    }
    puller.manifest(&root, DEPTH)?;
    let mut manifests = vec![top];
    manifests.extend(puller.referrers.iter().cloned());
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests});
    write(dest, &dest.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    write(dest, &dest.join("index.json"), &serde_json::to_vec(&index)?)?;
    let referrers = puller.referrers.iter().map(|it| Ok(parse(dest, it)?.0)).collect::<Result<_>>()?;
    Ok(Pulled { digest, referrers })
}

struct Puller<'a> {
    client: Client<'a>,
    dest: &'a Path,
    seen: BTreeSet<Digest>,
    referrers: Vec<Value>,
}

impl Puller<'_> {
    fn manifest(&mut self, manifest: &Manifest, depth: u32) -> Result<()> {
        let digest = Digest::of(&manifest.bytes);
        if !self.seen.insert(digest) {
            return Ok(());
        }
        let Some(below) = depth.checked_sub(1) else { return Err(bad(self.dest, "manifests lie too deep")) };
        write(self.dest, &file(self.dest, digest), &manifest.bytes)?;
        let value: Value = serde_json::from_slice(&manifest.bytes)
            .map_err(|_| self.client.odd("has a manifest that is not JSON"))?;
        for child in value["manifests"].as_array().into_iter().flatten() {
            self.child(child, below)?;
        }
        let layers = value["layers"].as_array().into_iter().flatten();
        for blob in value.get("config").into_iter().chain(layers) {
            let (digest, size) = parse(self.dest, blob)?;
            self.blob(digest, size)?;
        }
        for referrer in self.referrers_of(digest)? {
            // A list of referrers is the registry's word; the manifest's own subject is what counts.
            let got = self.child(&referrer, below)?;
            let subject: Option<Value> =
                serde_json::from_slice::<Value>(&got).ok().map(|it| it["subject"].clone());
            if subject.is_some_and(|subject| subject["digest"] == digest.to_string().as_str()) {
                self.referrers.push(referrer);
            }
        }
        Ok(())
    }

    /// Pulls what a descriptor names; returns its bytes.
    fn child(&mut self, descriptor: &Value, depth: u32) -> Result<Vec<u8>> {
        let (digest, size) = parse(self.dest, descriptor)?;
        let found = self.client.manifest(&digest.to_string())?;
        let found = found.ok_or_else(|| {
            Fault::new(Kind::Mismatch, format!("the registry names manifest {digest}, but has it not"))
        })?;
        if found.bytes.len() as u64 != size {
            return Err(Fault::mismatch(format!("manifest {digest}"), size, found.bytes.len()).into());
        }
        let bytes = found.bytes.clone();
        self.manifest(&found, depth)?;
        Ok(bytes)
    }

    fn referrers_of(&self, digest: Digest) -> Result<Vec<Value>> {
        let answer = self.client.send("GET", &self.client.url(&format!("referrers/{digest}")), &[], None)?;
        let bytes = if answer.status().as_u16() == 200 {
            read(answer, MANIFEST_LIMIT)?.ok_or_else(|| self.client.odd("lists too many referrers"))?
        } else {
            match self.client.manifest(&format!("sha256-{}", digest.hex()))? {
                Some(found) => found.bytes,
                None => return Ok(Vec::new()),
            }
        };
        let list: Value = serde_json::from_slice(&bytes)
            .map_err(|_| self.client.odd("lists referrers, but not in JSON"))?;
        Ok(list["manifests"].as_array().cloned().unwrap_or_default())
    }

    fn blob(&self, digest: Digest, size: u64) -> Result<()> {
        let to = file(self.dest, digest);
        if to.exists() {
            return Ok(());
        }
        let task = self.client.options.progress.task(&format!("pull {}", &digest.hex()[..12]), Some(size));
        let mut tried = 0;
        loop {
            let answer = self.client.send("GET", &self.client.url(&format!("blobs/{digest}")), &[], None)?;
            if answer.status().as_u16() != 200 {
                return Err(self.client.refused(&format!("blob {digest}"), answer));
            }
            let mut body = answer.into_body().into_reader().take(size + 1);
            let mut new = tempfile::NamedTempFile::new_in(self.dest)?;
            let (mut hash, mut count, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
            let ended = loop {
                exec::interrupt::check()?;
                match body.read(&mut buffer) {
                    Ok(0) => break Ok(()),
                    Ok(n) => {
                        hash.update(&buffer[..n]);
                        new.write_all(&buffer[..n])?;
                        count += n as u64;
                        task.advance(n as u64);
                    }
                    Err(error) => break Err(error),
                }
            };
            if let Err(error) = ended {
                self.client.pause(&mut tried, Err(error.into()))?;
                continue;
            }
            let found = format!("sha256:{}", hex::encode(hash.finalize()));
            if count != size || found != digest.to_string() {
                let expected = format!("{digest}, {size} bytes");
                return Err(Fault::mismatch(
                    "a blob from the registry",
                    expected,
                    format!("{found}, {count} bytes"),
                )
                .into());
            }
            new.as_file().sync_all()?;
            new.persist(&to)?;
            return Ok(());
        }
    }
}

fn descriptor(manifest: &Manifest) -> Value {
    let (digest, size) = (Digest::of(&manifest.bytes).to_string(), manifest.bytes.len());
    json!({"mediaType": manifest.media_type, "digest": digest, "size": size})
}

fn write(dir: &Path, to: &Path, bytes: &[u8]) -> Result<()> {
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(to).with_context(|| format!("{} cannot be written", to.display()))?;
    Ok(())
}
