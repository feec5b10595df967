//! Packages: `.apk` files of format 2, a signature, a control segment and a data segment.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ::digest::{Digest, Expected};
use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::digest::{self, Checksum};
use crate::gzip;
use crate::key::Keyring;
use crate::limits;
use crate::path;
use crate::pkginfo::PackageInfo;
use crate::record::Record;
use crate::signature;
use crate::tarball::{self, Entry, EntryKind};

/// The architecture of packages that are for all.
pub const NOARCH: &str = "noarch";

/// A package all of which was verified.
#[derive(Clone, Debug)]
pub struct Package {
    /// What the index says of it, with `replaces` from the package itself.
    pub record: Record,
    /// The name of the key that signed it.
    pub key: String,
    /// Its scripts. They are never run.
    pub scripts: Vec<Script>,
    /// Directories whose changes its trigger wants to hear of.
    pub triggers: Vec<String>,
    /// What it installs, in the archive's order.
    pub entries: Vec<Entry>,
    /// The data segment, unpacked: files' contents are ranges of it.
    pub data: Arc<Vec<u8>>,
}

/// A script of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// When apk would run it.
    pub kind: ScriptKind,
    /// Its text.
    pub body: Vec<u8>,
}

/// When apk runs a script, in the order in which it keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScriptKind {
    /// `.pre-install`
    PreInstall,
    /// `.post-install`
    PostInstall,
    /// `.pre-deinstall`
    PreDeinstall,
    /// `.post-deinstall`
    PostDeinstall,
    /// `.pre-upgrade`
    PreUpgrade,
    /// `.post-upgrade`
    PostUpgrade,
    /// `.trigger`
    Trigger,
}

const SCRIPTS: [(ScriptKind, &str); 7] = [
    (ScriptKind::PreInstall, "pre-install"),
    (ScriptKind::PostInstall, "post-install"),
    (ScriptKind::PreDeinstall, "pre-deinstall"),
    (ScriptKind::PostDeinstall, "post-deinstall"),
    (ScriptKind::PreUpgrade, "pre-upgrade"),
    (ScriptKind::PostUpgrade, "post-upgrade"),
    (ScriptKind::Trigger, "trigger"),
];

impl fmt::Display for ScriptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCRIPTS[*self as usize].1)
    }
}

impl FromStr for ScriptKind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = SCRIPTS.iter().find(|(_, name)| *name == text);
        known.map(|(kind, _)| *kind).ok_or_else(|| {
            Fault::new(Kind::Mismatch, format!("`{}` is not a kind of script", text.escape_debug())).into()
        })
    }
}

impl Package {
    /// Opens a package of which a verified index says `record`, for `arch`. In this order, each before
    /// anything later is looked at: size and SHA-256, signature of the control segment, its checksum against
    /// the index, name, version and architecture, the data segment's hash, then each file's own checksum and
    /// path.
    pub fn open(
        file: &[u8],
        expected: Option<&Expected>,
        record: &Record,
        keyring: &Keyring,
        arch: &str,
    ) -> Result<Self> {
        let what = record.file_name();
        Self::open_as(file, expected, record, keyring, arch, &what).with_context(|| format!("opening {what}"))
    }

    fn open_as(
        file: &[u8],
        expected: Option<&Expected>,
        record: &Record,
        keyring: &Keyring,
        arch: &str,
        what: &str,
    ) -> Result<Self> {
        digest::check(expected, what, file)?;
        if file.len() as u64 != record.size {
            let [expected, found] = [record.size, file.len() as u64].map(|size| format!("{size} bytes"));
            return Err(Fault::mismatch(format!("the size of {what}"), expected, found).into());
        }
        let signed = gzip::unpack(file, 0, limits::SIGNATURE_SEGMENT, "its signature segment")?;
        let signatures = signature::read(&signed, what)?;
        let control = gzip::unpack(file, signed.range.end, limits::CONTROL_SEGMENT, "its control segment")?;
        let packed = &file[control.range.clone()];
        let key = signature::verify(&signatures, keyring, arch, packed, what)?;
        if !record.checksum.is_of(packed) {
            let found = record.checksum.same_kind_of(packed);
            return Err(Fault::mismatch(
                "the checksum of its control segment",
                format!("{} (the index)", record.checksum),
                found,
            )
            .into());
        }
        let (info, scripts) = read_control(&control.data)?;
        check_identity(&info, record, arch)?;
        let rest = &file[control.range.end..];
        let found = Digest::of(rest).to_string();
        if found != info.datahash {
            return Err(Fault::mismatch(
                "the SHA-256 of its data segment",
                format!("{} (.PKGINFO)", info.datahash),
                found,
            )
            .into());
        }
        let data = gzip::unpack(file, control.range.end, limits::DATA_SEGMENT, "its data segment")?;
        gzip::end(file, &data, "it")?;
        let entries = read_data(&data.data)?;
        let mut record = record.clone();
        record.replaces = info.replaces;
        record.replaces_priority = info.replaces_priority;
        let data = Arc::new(data.data);
        Ok(Self { record, key: key.name().to_owned(), scripts, triggers: info.triggers, entries, data })
    }
}

/// The control segment: `.PKGINFO` and scripts, nothing else and nothing twice.
fn read_control(archive: &[u8]) -> Result<(PackageInfo, Vec<Script>)> {
    let mut info = None;
    let mut scripts: Vec<Script> = Vec::new();
    for entry in tarball::entries(archive, "its control segment")? {
        let invalid = |why: &str| {
            Fault::new(
                Kind::Mismatch,
                format!("its control segment holds `{}`, {why}", entry.path.escape_debug()),
            )
        };
        let EntryKind::File(range) = entry.kind.clone() else {
            return Err(invalid("which is not a file").into());
        };
        let body = &archive[range];
        let twice = if entry.path == ".PKGINFO" {
            let text = std::str::from_utf8(body).map_err(|_| invalid("which is not UTF-8"))?;
            info.replace(PackageInfo::parse(text)?).is_some()
        } else {
            let kind = entry.path.strip_prefix('.').and_then(|name| name.parse::<ScriptKind>().ok());
            let kind = kind.ok_or_else(|| invalid("which is not a file that is known"))?;
            let twice = scripts.iter().any(|script| script.kind == kind);
            scripts.push(Script { kind, body: body.to_vec() });
            twice
        };
        if twice {
            return Err(invalid("twice").into());
        }
    }
    scripts.sort_by_key(|script| script.kind);
    Ok((info.ok_or_else(|| Fault::new(Kind::Mismatch, "its control segment holds no `.PKGINFO`"))?, scripts))
}

fn check_identity(info: &PackageInfo, record: &Record, arch: &str) -> Result<()> {
    let differs = |what: &str, expected: &str, found: &str| {
        Err(Fault::mismatch(
            format!("its {what}"),
            format!("{expected} (the index)"),
            format!("{} (the package)", found.escape_debug()),
        )
        .into())
    };
    if info.name != record.name {
        return differs("name", &record.name, &info.name);
    }
    if info.version.as_str() != record.version.as_str() {
        return differs("version", record.version.as_str(), info.version.as_str());
    }
    // `apk index --rewrite-arch`, by which Alpine makes its indexes, gives a package for all architectures its own.
    if info.arch != record.arch && info.arch != NOARCH {
        return differs("architecture", &record.arch, &info.arch);
    }
    if record.arch != arch && record.arch != NOARCH {
        return Err(Fault::mismatch("its architecture", arch, &record.arch).into());
    }
    Ok(())
}

/// The data segment's entries: each path plain and there once, each file and link as its checksum says.
fn read_data(archive: &[u8]) -> Result<Vec<Entry>> {
    let mut entries = tarball::entries(archive, "its data segment")?;
    for entry in entries.iter().filter(|entry| entry.path.starts_with('.')) {
        path::check(&entry.path)?;
        if is_control_file(&entry.path) {
            return Err(path::refused(&entry.path, "apk takes it for a control file even among the data"));
        }
    }
    // apk installs nothing of such a name; abuild leaves a `.dummy` in packages that are otherwise empty.
    entries.retain(|entry| !entry.path.starts_with('.'));
    let mut seen = HashSet::new();
    for entry in &entries {
        path::check(&entry.path)?;
        let refuse = |why: &str| Err(path::refused(&entry.path, why));
        if !seen.insert(entry.path.as_str()) {
            return refuse("the package has it twice");
        }
        match &entry.kind {
            EntryKind::Directory => {}
            EntryKind::File(range) => check_content(entry, &archive[range.clone()])?,
            EntryKind::Symlink(target) => {
                path::check_link(&entry.path, target)?;
                check_content(entry, target.as_bytes())?;
            }
            EntryKind::HardLink(target) => path::check(target)?,
        }
    }
    Ok(entries)
}

/// Whether a file of this name at the top of an archive is about the package and no part of it.
fn is_control_file(path: &str) -> bool {
    let name = path.strip_prefix('.').unwrap_or_default();
    matches!(name, "PKGINFO" | "INSTALL") || name.starts_with("SIGN.") || name.parse::<ScriptKind>().is_ok()
}

fn check_content(entry: &Entry, content: &[u8]) -> Result<()> {
    let name = format!("the checksum of `{}`", entry.path);
    match entry.checksum {
        Some(checksum) if checksum.is_of(content) => Ok(()),
        Some(checksum) => Err(Fault::mismatch(name, checksum, Checksum::sha1_of(content)).into()),
        None => Err(Fault::new(Kind::Mismatch, format!("{name} is missing in the package")).into()),
    }
}
