//! The first segment of an index or a package: a signature of what follows.

use anyhow::Result;
use fault::{Fault, Kind};

use crate::gzip::Segment;
use crate::key::{Hash, Key, Keyring};
use crate::tarball::{self, EntryKind};

const PREFIX: &str = ".SIGN.";
const HASHES: [(&str, Hash); 2] = [("RSA.", Hash::Sha1), ("RSA256.", Hash::Sha256)];

/// A signature as a file carries it: nothing is proven yet.
#[derive(Debug)]
pub struct Signature {
    /// The name of the key it claims to be by.
    pub key: String,
    /// How what it signs is hashed.
    pub hash: Hash,
    bytes: Vec<u8>,
}

/// Reads the signatures of a signature segment; an error if there is none, or anything else.
pub fn read(segment: &Segment, what: &str) -> Result<Vec<Signature>> {
    let invalid = |why: String| Fault::new(Kind::Mismatch, format!("{what} {why}"));
    let mut signatures = Vec::new();
    for entry in tarball::entries(&segment.data, what)? {
        let Some(name) = entry.path.strip_prefix(PREFIX) else {
            let why =
                if signatures.is_empty() { "is not signed" } else { "has other files beside its signature" };
            return Err(invalid(why.into()).into());
        };
        let known = HASHES.iter().find_map(|(prefix, hash)| Some((name.strip_prefix(prefix)?, *hash)));
        let Some((key, hash)) = known.filter(|(key, _)| !key.is_empty() && !key.contains('/')) else {
            return Err(
                invalid(format!("has a signature of an unknown kind, `{}`", name.escape_debug())).into()
            );
        };
        let EntryKind::File(range) = entry.kind else {
            return Err(invalid("has a signature that is not a file".into()).into());
        };
        signatures.push(Signature { key: key.to_owned(), hash, bytes: segment.data[range].to_vec() });
    }
    if signatures.is_empty() {
        return Err(invalid("is not signed".into()).into());
    }
    Ok(signatures)
}

/// Proves that one of the signatures is by a key trusted for `arch`, and is of `signed`. Of several, those by
/// keys that are not trusted are passed over, but a trusted key's must be right.
pub fn verify<'k>(
    signatures: &[Signature],
    keyring: &'k Keyring,
    arch: &str,
    signed: &[u8],
    what: &str,
) -> Result<&'k Key> {
    let mut untrusted = None;
    let mut by = None;
    for signature in signatures {
        match keyring.find(arch, &signature.key, what) {
            Ok(key) if key.verifies(signature.hash, signed, &signature.bytes) => by = by.or(Some(key)),
            Ok(key) => {
                let message = format!(
                    "{what} is not what `{}` signed: it was changed, or made by someone else",
                    key.name()
                );
                return Err(Fault::new(Kind::Mismatch, message).into());
            }
            Err(error) => untrusted = untrusted.or(Some(error)),
        }
    }
    let unsigned = || Fault::new(Kind::Mismatch, format!("{what} is not signed")).into();
    by.ok_or_else(|| untrusted.unwrap_or_else(unsigned))
}
