//! The keys that are trusted, each for the architectures it is for, by content.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use digest::{Algorithm, Digest};
use fault::{Fault, Kind};
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, PublicKey};
use sha1::{Digest as _, Sha1};

use crate::limits;

/// How the bytes that are signed are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// `.SIGN.RSA.`: what Alpine's own files have.
    Sha1,
    /// `.SIGN.RSA256.`
    Sha256,
}

impl Hash {
    pub(crate) fn scheme(self) -> Pkcs1v15Sign {
        match self {
            Self::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
            Self::Sha256 => Pkcs1v15Sign::new::<Algorithm>(),
        }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Digest::of(bytes).bytes().to_vec(),
        }
    }
}

/// A public RSA key.
#[derive(Clone, Debug)]
pub struct Key {
    name: String,
    sha256: String,
    rsa: PublicKey,
}

impl Key {
    /// Reads a key from its PEM text (`SubjectPublicKeyInfo`), with the name that signatures call it by: its
    /// file's name. A key of less than [`limits::KEY_BITS`] is refused.
    pub fn from_pem(name: &str, pem: &[u8]) -> Result<Self> {
        let invalid =
            |why: String| Fault::new(Kind::Mismatch, format!("`{name}` is not a key to trust: {why}"));
        if pem.len() > limits::KEY_FILE {
            return Err(invalid(format!("longer than {} bytes", limits::KEY_FILE)).into());
        }
        let text = std::str::from_utf8(pem).map_err(|error| invalid(error.to_string()))?;
        let key = PublicKey::from_public_key_pem(text).map_err(|error| invalid(error.to_string()))?;
        let bits = key.n().bit_width();
        if bits < limits::KEY_BITS {
            return Err(invalid(format!("{bits} bits, fewer than {}", limits::KEY_BITS)).into());
        }
        Ok(Self { name: name.to_owned(), sha256: Digest::of(pem).to_string(), rsa: key })
    }

    /// The name that signatures call it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SHA-256 of its file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether this is a signature (PKCS #1 v1.5) of these bytes by this key.
    pub fn verifies(&self, hash: Hash, bytes: &[u8], signature: &[u8]) -> bool {
        self.rsa.verify(hash.scheme(), &hash.of(bytes), signature).is_ok()
    }
}

/// Trusted keys by architecture (Alpine's name for it, as `x86_64`), then by name.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: BTreeMap<String, BTreeMap<String, Key>>,
}

impl Keyring {
    /// A keyring that trusts nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts a key for packages and indexes of `arch`.
    pub fn trust(&mut self, arch: &str, key: Key) {
        self.keys.entry(arch.to_owned()).or_default().insert(key.name.clone(), key);
    }

    /// Reads a directory that has a directory for each architecture with its keys, `ARCH/NAME.rsa.pub`.
    /// Anything else in it is an error: a key that was put in the wrong place must not be passed over.
    pub fn load(dir: &Path) -> Result<Self> {
        let mut keyring = Self::new();
        for arch in sorted_names(dir)? {
            let arch_dir = dir.join(&arch);
            for name in sorted_names(&arch_dir)? {
                let path = arch_dir.join(&name);
                if !name.ends_with(".rsa.pub") {
                    let message =
                        format!("`{}` is not a key: its name does not end in .rsa.pub", path.display());
                    return Err(Fault::new(Kind::InvalidData, message).into());
                }
                let pem =
                    std::fs::read(&path).with_context(|| format!("reading the key {}", path.display()))?;
                let key = Key::from_pem(&name, &pem)
                    .with_context(|| format!("reading the key {}", path.display()))?;
                keyring.trust(&arch, key);
            }
        }
        Ok(keyring)
    }

    /// The keys trusted for an architecture, by name.
    pub fn keys(&self, arch: &str) -> impl Iterator<Item = &Key> {
        self.keys.get(arch).into_iter().flat_map(BTreeMap::values)
    }

    /// The architectures that have keys.
    pub fn arches(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// The key of this name, if it is trusted for this architecture; else an error that says what it is.
    pub fn find(&self, arch: &str, name: &str, what: &str) -> Result<&Key> {
        if let Some(key) = self.keys.get(arch).and_then(|keys| keys.get(name)) {
            return Ok(key);
        }
        let others: Vec<&str> = self
            .keys
            .iter()
            .filter(|(_, keys)| keys.contains_key(name))
            .map(|(arch, _)| arch.as_str())
            .collect();
        let name = name.escape_debug();
        let message = if others.is_empty() {
            format!("{what} is signed by `{name}`, which no key here is")
        } else {
            format!("{what} is signed by `{name}`, a key for {}, not for {arch}", others.join(" and "))
        };
        let trusted: Vec<&str> = self.keys(arch).map(Key::name).collect();
        let help = format!(
            "keys trusted for {arch}: {}",
            if trusted.is_empty() { "none".into() } else { trusted.join(", ") }
        );
        Err(Fault::new(Kind::Mismatch, message).help(help).into())
    }
}

fn sorted_names(dir: &Path) -> Result<Vec<String>> {
    let read = || -> std::io::Result<Vec<_>> {
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let mut names = Vec::new();
    for name in read().with_context(|| format!("listing the keys in {}", dir.display()))? {
        names.push(name.into_string().map_err(|name| {
            Fault::new(
                Kind::InvalidData,
                format!("`{}` in {} is not the name of a key", name.display(), dir.display()),
            )
        })?);
    }
    names.sort_unstable();
    Ok(names)
}
