//! Bases, and Alpine as one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Name;

/// The lowest layer of an image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// As in tags; also the suffix in attributes, unless it is the variant's default ([`Catalog::default_base`](crate::Catalog::default_base)).
    pub name: Name,
    /// The base of attributes that name none, of variants that come on it.
    #[serde(default)]
    pub default: bool,
    /// The Alpine it is made of, if it is.
    pub alpine: Option<Alpine>,
    /// What it holds.
    pub components: Vec<Name>,
}

impl Base {
    /// The name as attributes spell it: `alpine3_15`.
    pub fn attribute(&self) -> String {
        self.name.as_str().replace('.', "_")
    }
}

/// Alpine as a base: a root filesystem that it publishes, and packages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alpine {
    /// The branch: `v3.15`.
    pub branch: Name,
    /// Where its files are when no mirror has them, without a slash at its end.
    pub url: Name,
    /// The branch's repositories, the preferred one first.
    pub repositories: Vec<Name>,
    /// The packages added for each product, as `apk add` takes them.
    pub worlds: BTreeMap<String, Vec<Name>>,
    /// The root filesystems, by architecture.
    pub rootfs: BTreeMap<String, Rootfs>,
    /// What is known of packages' scripts.
    #[serde(default, rename = "script")]
    pub scripts: Vec<Script>,
}

/// A root filesystem that Alpine publishes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rootfs {
    /// Its path below Alpine's URL.
    pub path: Name,
    /// In bytes.
    pub size: u64,
    /// Its published SHA-256.
    pub sha256: Name,
}

/// A script of a package: it is never run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Whose it is.
    pub package: String,
    /// When apk would run it: `post-install`, `trigger`.
    pub kind: String,
    /// Of its text, if no other is meant.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Why what it would do is done.
    pub done: String,
}
