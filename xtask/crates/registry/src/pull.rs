//! Pull: a reference as a verified layout, with what refers to it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Result;
use fault::{Fault, Kind};
use oci::digest::Digest;
use oci::layout::{Incoming, is_referrer, is_signature, signature_tag};
use serde_json::{Value, json};
use web::{Answer, Ask};

use crate::client::{Client, header};
use crate::manifests::Manifest;
use crate::referrers;
use crate::retry::{Tries, is_transient};
use crate::{Options, Reference};

/// How many manifests are pulled, all indexes together.
const MANIFESTS: usize = 1000;
/// How many documents are looked at that a registry lists as attached to something.
const LISTED: usize = 1000;
/// How many documents, attached to all of them, are pulled.
const ATTACHED: usize = 200;
/// How deep indexes may lie in indexes, and referrers refer to referrers.
const DEPTH: u32 = 4;
/// The largest blob that is pulled, in bytes.
const BLOB_LIMIT: u64 = 8 << 30;

/// How many bytes are progress, so that tries are counted from the start.
const PROGRESS: u64 = 1 << 20;

/// How much is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullScope {
    /// The image or index, alone.
    Image,
    /// Also what is attached to it and to the manifests in it: referrers, and signatures by cosign's tags.
    Attached,
}

/// What was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// The digest of the image or index.
    pub digest: Digest,
    /// The digests of what is attached to it or to a manifest in it.
    pub attached: Vec<Digest>,
}

/// Pulls an image or index into a new layout. Every byte is verified against its digest and size. `index.json` names
/// the image first (with the tag it was asked by), then what is attached, signatures with their tags.
///
/// # Errors
/// [`Kind::NotFound`] where there is no such image, [`Kind::Mismatch`] for other bytes than a digest says and answers
/// beyond their limits, [`Kind::Unavailable`] for what the registry refuses or does not answer, [`Kind::InvalidData`] for
/// documents that make no sense.
pub fn pull(from: &Reference, scope: PullScope, options: &Options<'_>, dest: &Path) -> Result<Pulled> {
    let client = Client::open(from, options, false)?;
    let name = from.digest.map(|digest| digest.to_string()).or_else(|| from.tag.clone());
    let name = name.unwrap_or_else(|| "latest".to_owned());
    let root = client
        .manifest(&name)?
        .ok_or_else(|| Fault::new(Kind::NotFound, format!("{from}: there is no such image")))?;
    let dest = Incoming::new(dest)?;
    let mut puller = Puller {
        client,
        dest,
        scope,
        seen: BTreeSet::new(),
        listed: BTreeSet::new(),
        manifests: 0,
        attached: Vec::new(),
    };
    let digest = Digest::of(&root.bytes);
    let top = descriptor(&root, from.tag.as_deref());
    puller.manifest(&root, DEPTH)?;
    let (attached, mut manifests): (Vec<Digest>, Vec<Value>) = puller.attached.into_iter().unzip();
    manifests.insert(0, top);
    puller.dest.finish(&manifests)?;
    Ok(Pulled { digest, attached })
}

struct Puller<'a> {
    client: Client<'a>,
    dest: Incoming<'a>,
    scope: PullScope,
    /// Blobs, manifests among them.
    seen: BTreeSet<Digest>,
    /// What is listed as attached, and what to.
    listed: BTreeSet<(Digest, Digest)>,
    manifests: usize,
    attached: Vec<(Digest, Value)>,
}

impl Puller<'_> {
    /// Writes a manifest, and pulls all that it names and all that is attached to it.
    fn manifest(&mut self, manifest: &Manifest, depth: u32) -> Result<()> {
        let digest = Digest::of(&manifest.bytes);
        if !self.seen.insert(digest) {
            return Ok(());
        }
        let below = depth
            .checked_sub(1)
            .ok_or_else(|| self.client.protocol_error("has manifests that lie too deep"))?;
        self.content(manifest, below)?;
        if self.scope == PullScope::Image {
            return Ok(());
        }
        for (referrer, size) in referrers::of(&self.client, digest)? {
            if !self.listed.insert((digest, referrer)) {
                continue;
            }
            if self.listed.len() > LISTED {
                let text = format!("lists more than {LISTED} documents as attached to the image");
                return Err(self.client.protocol_error(&text));
            }
            let found = self.get(referrer, size)?;
            // A list of referrers is the registry's word; what counts is the manifest's own subject, and that nothing
            // could be run of it.
            if is_referrer(&found.bytes, digest) {
                self.attach(referrer, descriptor(&found, None))?;
                self.manifest(&found, below)?;
            }
        }
        let tag = signature_tag(&digest.to_string());
        if let Some(found) = self.client.manifest(&tag)?.filter(|found| is_signature(&found.bytes)) {
            self.attach(Digest::of(&found.bytes), descriptor(&found, Some(&tag)))?;
            // Nobody signs a signature.
            let signature = Digest::of(&found.bytes);
            if self.seen.insert(signature) {
                self.content(&found, below)?;
            }
        }
        Ok(())
    }

    /// Writes a manifest, and pulls all that it names.
    fn content(&mut self, manifest: &Manifest, below: u32) -> Result<()> {
        self.manifests += 1;
        if self.manifests > MANIFESTS + ATTACHED {
            return Err(self.client.protocol_error(&format!("has more than {MANIFESTS} manifests of it")));
        }
        self.dest.document(&manifest.bytes)?;
        let value: Value = serde_json::from_slice(&manifest.bytes)
            .map_err(|_| self.client.protocol_error("has a manifest that is not JSON"))?;
        for child in value["manifests"].as_array().into_iter().flatten() {
            let (digest, size) = parse(child)?;
            // Each is asked for once, however often it is named.
            if !self.seen.contains(&digest) {
                let found = self.get(digest, size)?;
                self.manifest(&found, below)?;
            }
        }
        let layers = value["layers"].as_array().into_iter().flatten();
        for blob in value.get("config").into_iter().chain(layers) {
            let (digest, size) = parse(blob)?;
            if self.seen.insert(digest) {
                self.blob(digest, size)?;
            }
        }
        Ok(())
    }

    fn attach(&mut self, digest: Digest, descriptor: Value) -> Result<()> {
        if self.attached.len() == ATTACHED {
            return Err(self
                .client
                .protocol_error(&format!("has more than {ATTACHED} documents attached to the image")));
        }
        self.attached.push((digest, descriptor));
        Ok(())
    }

    /// A manifest that a descriptor names.
    fn get(&self, digest: Digest, size: u64) -> Result<Manifest> {
        let found = self.client.manifest(&digest.to_string())?;
        let found = found.ok_or_else(|| {
            Fault::new(Kind::Mismatch, format!("the registry names manifest {digest}, but does not have it"))
        })?;
        if found.bytes.len() as u64 != size {
            return Err(Fault::mismatch(format!("manifest {digest}"), size, found.bytes.len()).into());
        }
        Ok(found)
    }

    fn blob(&self, digest: Digest, size: u64) -> Result<()> {
        if size > BLOB_LIMIT {
            let why = format!("blob {digest} has {size} bytes, more than the {BLOB_LIMIT} that are pulled");
            return Err(self.client.protocol_error(&why));
        }
        let task = self.client.options.progress.task(&format!("pull {}", &digest.hex()[..12]), Some(size));
        self.dest.blob(digest, size, |out| {
            let (mut got, mut mark, mut tries) = (0, 0, Tries::new(&self.client));
            while got < size {
                let before = got;
                let Some(broken) = self.rest(digest, size, &mut got, out)? else { break };
                task.advance(got - before);
                if got - mark >= PROGRESS {
                    mark = got;
                    tries.start_anew();
                }
                tries.pause(broken)?;
            }
            Ok(())
        })
    }

    /// Writes what is still missing of a blob, as far as it comes; what broke it off, if that was not its end.
    fn rest(
        &self,
        digest: Digest,
        size: u64,
        got: &mut u64,
        out: &mut dyn Write,
    ) -> Result<Option<Result<Answer, ureq::Error>>> {
        let (url, range) = (self.client.url(&format!("blobs/{digest}")), format!("bytes={got}-"));
        let headers = [("range", range.as_str())];
        let headers = if *got == 0 { &[][..] } else { &headers };
        let answer = match self.client.send_once(&Ask { headers, large: true, ..Ask::new("GET", &url) })? {
            Ok(answer) if !is_transient(&answer) => answer,
            other => return Ok(Some(other)),
        };
        let starts = header(answer.response.headers(), "content-range");
        let starts = starts.is_some_and(|text| text.trim().starts_with(&format!("bytes {got}-")));
        let mut skip = match answer.response.status().as_u16() {
            206 if starts => 0,
            200 => *got,
            // It has no more: what came is not the blob.
            416 if *got > 0 => return Ok(None),
            _ => return Err(self.client.refused(&format!("blob {digest}"), answer)),
        };
        let mut body = answer.response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 20];
        loop {
            exec::interrupt::check()?;
            let bytes = match body.read(&mut buffer) {
                Ok(0) if *got < size => {
                    let error = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                    return Ok(Some(Err(error.into())));
                }
                Ok(0) => return Ok(None),
                Ok(read) => &buffer[..read],
                Err(error) => return Ok(Some(Err(error.into()))),
            };
            let old = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
            skip -= old as u64;
            out.write_all(&bytes[old..])?;
            *got += (bytes.len() - old) as u64;
            if *got > size {
                return Ok(None);
            }
        }
    }
}

/// The digest and size of a descriptor.
fn parse(descriptor: &Value) -> Result<(Digest, u64)> {
    let digest = descriptor["digest"].as_str().map(str::parse).transpose()?;
    let bad = || Fault::new(Kind::InvalidData, "a descriptor of the registry has no digest or size");
    Ok(digest.zip(descriptor["size"].as_u64()).ok_or_else(bad)?)
}

fn descriptor(manifest: &Manifest, tag: Option<&str>) -> Value {
    let (digest, size) = (Digest::of(&manifest.bytes).to_string(), manifest.bytes.len());
    let mut descriptor = json!({"mediaType": manifest.media_type, "digest": digest, "size": size});
    let value: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    if value["artifactType"].is_string() {
        descriptor["artifactType"] = value["artifactType"].clone();
    }
    if let Some(tag) = tag {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    }
    descriptor
}
