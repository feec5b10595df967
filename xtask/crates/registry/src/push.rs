//! Push: blobs, then manifests, then tags.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Result;
use fault::{Fault, Kind};
use oci::digest::Digest;
use oci::layout::{Closure, Reached, Stored, is_signature_tag};
use serde_json::{Value, json};

use crate::client::Client;
use crate::reference::is_tag;
use crate::upload::{self, UploadOutcome};
use crate::{Options, Reference, referrers};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What a push did.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Blobs that were there already.
    pub present: usize,
    /// Blobs mounted from another repository.
    pub mounted: usize,
    /// Blobs sent.
    pub sent: usize,
    /// Bytes of the blobs sent.
    pub bytes: u64,
    /// The tags, set.
    pub tags: Vec<Tagged>,
}

/// A tag that was set.
#[derive(Debug)]
pub struct Tagged {
    /// The tag.
    pub tag: String,
    /// What it names.
    pub digest: Digest,
}

/// Pushes layouts into one repository: every blob and manifest once, and when all are there the tags that the layouts'
/// `org.opencontainers.image.ref.name` give. Manifests with a `subject` become referrers.
///
/// # Errors
/// [`Kind::Usage`] where two images have one tag, [`Kind::Unavailable`] for what the registry refuses or does not
/// answer, [`Kind::Mismatch`] where it or the layout has other bytes than it says.
pub fn push(layouts: &[PathBuf], to: &Reference, options: &Options<'_>) -> Result<Pushed> {
    let mut all = Closure::default();
    layouts.iter().try_for_each(|layout| all.add(layout))?;
    let tags = tags(&all, to)?;
    let client = Client::open(to, options, true)?;
    let mut pushed = blobs(&client, &all)?;
    for document in &all.documents {
        exec::interrupt::check()?;
        let name = document.digest.to_string();
        let indexed = if client.has_manifest(&name, document.digest, document.bytes.len() as u64)? {
            match document.subject {
                Some(subject) => referrers::has_api(&client, subject)?,
                None => true,
            }
        } else {
            client.put_manifest(&name, &document.media_type, &document.bytes)?
        };
        if let Some(subject) = document.subject.filter(|_| !indexed) {
            fall_back(&client, subject, document)?;
        }
    }
    let documents: BTreeMap<Digest, &Reached> = all.documents.iter().map(|it| (it.digest, it)).collect();
    for (tag, digest) in tags {
        let Some(document) = documents.get(&digest) else { continue };
        if !client.has_manifest(&tag, digest, document.bytes.len() as u64)? {
            client.put_manifest(&tag, &document.media_type, &document.bytes)?;
        }
        pushed.tags.push(Tagged { tag, digest });
    }
    Ok(pushed)
}

/// Each tag and what it shall name.
fn tags(all: &Closure, to: &Reference) -> Result<BTreeMap<String, Digest>> {
    let mut tags = BTreeMap::new();
    for (tag, digest) in &all.tags {
        // Signatures are found by their tags alone: those stay.
        let tag = to.tag.as_ref().filter(|_| !is_signature_tag(tag)).unwrap_or(tag);
        if !is_tag(tag) {
            let message = format!("{tag:?}, which a layout calls {digest}, is not a tag");
            let help = "name one: HOST/REPOSITORY:TAG";
            return Err(Fault::new(Kind::InvalidData, message).help(help).into());
        }
        if tags.insert(tag.clone(), *digest).is_some_and(|other| other != *digest) {
            return Err(Fault::new(Kind::Usage, format!("two images would have the tag `{tag}`"))
                .help("push the multi-arch index, which holds both, or each with a tag of its own")
                .into());
        }
    }
    Ok(tags)
}

fn blobs(client: &Client<'_>, all: &Closure) -> Result<Pushed> {
    let queue = Mutex::new(all.blobs.values());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut done = Vec::new();
        while let Some(blob) = next() {
            match one(client, blob) {
                Ok(came) => done.push((came, blob.size)),
                Err(error) => {
                    // Others need not begin what is in vain.
                    while next().is_some() {}
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let workers = client.options.parallel.clamp(1, 16);
    let results: Vec<Result<Vec<(UploadOutcome, u64)>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut pushed = Pushed::default();
    for result in results {
        for (came, size) in result? {
            match came {
                UploadOutcome::Present => pushed.present += 1,
                UploadOutcome::Mounted => pushed.mounted += 1,
                UploadOutcome::Sent => {
                    pushed.sent += 1;
                    pushed.bytes += size;
                }
            }
        }
    }
    Ok(pushed)
}

fn one(client: &Client<'_>, blob: &Stored) -> Result<UploadOutcome> {
    let name = format!("push {}", &blob.digest.hex()[..12]);
    let task = client.options.progress.task(&name, Some(blob.size));
    upload::ensure(client, blob, &*task)
}

/// Names a referrer in the index under the tag that takes the place of a referrers API.
fn fall_back(client: &Client<'_>, subject: Digest, referrer: &Reached) -> Result<()> {
    let mut index = referrers::tagged(client, subject)?
        .unwrap_or_else(|| json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}));
    let Some(manifests) = index["manifests"].as_array_mut() else {
        return Err(client.protocol_error("has something else under the tag of referrers"));
    };
    let digest = referrer.digest.to_string();
    if manifests.iter().any(|known| known["digest"] == digest.as_str()) {
        return Ok(());
    }
    let mut descriptor =
        json!({"mediaType": referrer.media_type, "digest": digest, "size": referrer.bytes.len()});
    let kind = Some(&referrer.value["artifactType"]).filter(|kind| kind.is_string());
    let kind = kind.unwrap_or(&referrer.value["config"]["mediaType"]);
    for (key, value) in [("artifactType", kind), ("annotations", &referrer.value["annotations"])] {
        if *value != Value::Null {
            descriptor[key] = value.clone();
        }
    }
    manifests.push(descriptor);
    client.put_manifest(&referrers::tag(subject), INDEX, &serde_json::to_vec(&index)?).map(|_| ())
}
