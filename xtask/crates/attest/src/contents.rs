//! What is in an image: Alpine packages, Go programs, and the files that a bill of materials names.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result};
use apk::database::{Database, INSTALLED};
use fault::{Fault, Kind};
use oci::digest::Digest;
use oci::layout::{Layout, LayoutImage};
use oci::read::EntryKind;
use sizes::go::{self, BuildInfo, build_info};

use crate::purl::purl;

/// The largest database that is read, in bytes.
const MAX_DATABASE: u64 = 16 << 20;
/// Where an image says which Linux it is.
const OS_RELEASE: &str = "etc/os-release";
const MAX_OS_RELEASE: u64 = 64 << 10;

/// What is in an image.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Alpine's installed packages.
    pub packages: Vec<apk::record::Record>,
    /// Go programs by path.
    pub programs: BTreeMap<String, BuildInfo>,
    /// The digest of each regular file, by path.
    pub files: BTreeMap<String, Digest>,
    /// `VERSION_ID` of `etc/os-release`.
    pub os_version: Option<String>,
}

impl Contents {
    /// Reads all layers of an image, lowest first, and verifies each. Of a path that several have, the highest counts.
    ///
    /// # Errors
    /// As [`Layout::contents`]; [`Kind::Mismatch`] for a database of packages that cannot be read.
    pub fn read(layout: &Layout, image: &LayoutImage) -> Result<Self> {
        let mut all = Self::default();
        for index in 0..image.manifest.layers().len() {
            let mut layer = Self::default();
            let mut database = None;
            let listing = layout.contents(image, index, &mut |path, size, data| {
                match path {
                    INSTALLED => database = Some(text(path, size, MAX_DATABASE, data)?),
                    OS_RELEASE => layer.os_version = version_id(&text(path, size, MAX_OS_RELEASE, data)?),
                    _ => {
                        let info = go::read(size, data)?.and_then(|bytes| build_info(&bytes));
                        layer.programs.extend(info.map(|info| (path.to_owned(), info)));
                    }
                }
                Ok(())
            })?;
            for (path, item) in &listing.items {
                all.remove(path);
                if let Some((directory, name)) = path.rsplit_once('/').or(Some(("", path)))
                    && let Some(gone) = name.strip_prefix(".wh.")
                {
                    all.remove(&if directory.is_empty() {
                        gone.to_owned()
                    } else {
                        format!("{directory}/{gone}")
                    });
                }
                if let EntryKind::File { digest, .. } = item.what {
                    all.files.insert(path.clone(), digest);
                }
            }
            all.programs.append(&mut layer.programs);
            all.os_version = layer.os_version.or(all.os_version);
            if let Some(text) = database {
                let read = Database::parse(&text, &[], "");
                let read =
                    read.with_context(|| format!("{INSTALLED} of image {}", image.descriptor.digest()))?;
                all.packages = read.packages.into_iter().map(|package| package.record).collect();
            }
        }
        all.packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The package URL of one of its Alpine packages.
    pub fn purl(&self, package: &apk::record::Record) -> String {
        let distro = self.os_version.as_ref().map(|version| format!("alpine-{version}")).unwrap_or_default();
        let qualifiers = [("arch", package.arch.as_str()), ("distro", &distro)];
        purl("apk", &format!("alpine/{}", package.name), package.version.as_str(), &qualifiers)
    }

    fn remove(&mut self, path: &str) {
        self.files.remove(path);
        self.programs.remove(path);
    }
}

fn text(path: &str, size: u64, limit: u64, data: &mut dyn Read) -> Result<String> {
    if size > limit {
        let message = format!("{path}: {size} bytes, more than the {limit} that are read");
        return Err(Fault::new(Kind::InvalidData, message).into());
    }
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| Fault::new(Kind::InvalidData, format!("{path} is not UTF-8")).into())
}

fn version_id(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix("VERSION_ID="))?;
    Some(value.trim_matches('"').to_owned())
}
