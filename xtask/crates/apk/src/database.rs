//! apk's own database of what is installed: `lib/apk/db/{installed,scripts.tar,triggers}`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::depend;
use crate::digest::Checksum;
use crate::index;
use crate::package::{Script, ScriptKind};
use crate::path;
use crate::record::{Draft, Record};
use crate::tarball::{self, EntryKind};

/// Where the database lies.
pub const INSTALLED: &str = "lib/apk/db/installed";
/// Where the scripts of installed packages lie.
pub const SCRIPTS: &str = "lib/apk/db/scripts.tar";
/// Where the triggers of installed packages lie.
pub const TRIGGERS: &str = "lib/apk/db/triggers";

/// The packages that are installed, in the order of their installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// The packages.
    pub packages: Vec<Installed>,
    /// The packages with triggers, by the checksums of their control segments, in the order of their lines.
    trigger_order: Vec<Checksum>,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// What the index said of it, with `replaces`.
    pub record: Record,
    /// The directories it has, each with its files there.
    pub directories: Vec<Directory>,
    /// Its scripts.
    pub scripts: Vec<Script>,
    /// Directories whose changes its trigger wants to hear of.
    pub triggers: Vec<String>,
}

/// A directory of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its path; empty for the root.
    pub path: String,
    /// Its owner, group and mode.
    pub access: Access,
    /// The package's files and links in it.
    pub files: Vec<OwnedFile>,
}

/// A file or link of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedFile {
    /// Its name in its directory.
    pub name: String,
    /// Its owner, group and mode.
    pub access: Access,
    /// The checksum of its content, or of a link's target.
    pub checksum: Option<Checksum>,
}

/// Owner, group, mode, and extended attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permissions, with setuid, setgid and sticky bits.
    pub mode: u32,
    /// The checksum of the extended attributes, if there are any: see [`Access::sum`].
    pub xattrs: Option<Checksum>,
}

impl Access {
    /// What a directory has of which nothing is written down.
    pub const DIRECTORY: Self = Self { uid: 0, gid: 0, mode: 0o755, xattrs: None };
    /// What a file has of which nothing is written down.
    pub const FILE: Self = Self { uid: 0, gid: 0, mode: 0o644, xattrs: None };

    fn parse(text: &str) -> Result<Self> {
        let read = || {
            let mut fields = text.split(':');
            let (uid, gid, mode) = (fields.next()?, fields.next()?, fields.next()?);
            let (uid, gid, mode) = (uid.parse().ok()?, gid.parse().ok()?, u32::from_str_radix(mode, 8).ok()?);
            let xattrs = fields.next().map(Checksum::parse).transpose().ok()?;
            fields.next().is_none().then_some(Self { uid, gid, mode: mode & 0o7777, xattrs })
        };
        read().ok_or_else(|| {
            Fault::new(Kind::Mismatch, format!("`{}` is not an owner, group and mode", text.escape_debug()))
                .into()
        })
    }

    /// The checksum of extended attributes as apk 2.12 has it: the SHA-1 of each name and value by name, their lengths as
    /// four bytes before them, the highest first.
    pub fn sum(xattrs: &BTreeMap<String, Vec<u8>>) -> Option<Checksum> {
        let part = |bytes: &[u8]| {
            // Longer ones are refused with their archive, see `limits`.
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            [&length.to_be_bytes(), bytes].concat()
        };
        let all: Vec<u8> =
            xattrs.iter().flat_map(|(name, value)| [part(name.as_bytes()), part(value)].concat()).collect();
        (!xattrs.is_empty()).then(|| Checksum::sha1_of(&all))
    }

    fn line(self, field: char, default: Self) -> String {
        if self == default {
            String::new()
        } else {
            let xattrs = self.xattrs.map_or_else(String::new, |sum| format!(":{sum}"));
            format!("{field}:{}:{}:{:o}{xattrs}\n", self.uid, self.gid, self.mode)
        }
    }
}

impl Installed {
    /// The paths of its files and links.
    pub fn files(&self) -> impl Iterator<Item = (String, &OwnedFile)> {
        self.directories
            .iter()
            .flat_map(|dir| dir.files.iter().map(|file| (path::join(&dir.path, &file.name), file)))
    }
}

impl Database {
    /// Reads the three files.
    pub fn parse(installed: &str, scripts: &[u8], triggers: &str) -> Result<Self> {
        let mut database = Self { packages: parse_installed(installed)?, trigger_order: Vec::new() };
        let mut places: HashMap<Checksum, usize> = HashMap::new();
        for (at, package) in database.packages.iter().enumerate() {
            places.entry(package.record.checksum).or_insert(at);
        }
        let place = |checksum| places.get(&checksum).copied();
        for entry in tarball::entries(scripts, SCRIPTS)? {
            let invalid = || {
                Fault::new(
                    Kind::Mismatch,
                    format!(
                        "`{}` in {SCRIPTS} is not the script of an installed package",
                        entry.path.escape_debug()
                    ),
                )
            };
            let mut fields = entry.path.rsplitn(3, '.');
            let (Some(kind), Some(checksum), EntryKind::File(range)) =
                (fields.next(), fields.next(), &entry.kind)
            else {
                return Err(invalid().into());
            };
            let (kind, checksum) = (kind.parse::<ScriptKind>()?, Checksum::parse(checksum)?);
            let script = Script { kind, body: scripts[range.clone()].to_vec() };
            database.packages[place(checksum).ok_or_else(invalid)?].scripts.push(script);
        }
        for line in triggers.lines() {
            let (checksum, patterns) = line.split_once(' ').unwrap_or((line, ""));
            let checksum = Checksum::parse(checksum).with_context(|| format!("reading {TRIGGERS}"))?;
            let at = place(checksum).ok_or_else(|| {
                Fault::new(Kind::Mismatch, format!("{checksum} in {TRIGGERS} is not an installed package"))
            })?;
            database.packages[at].triggers = patterns.split_ascii_whitespace().map(str::to_owned).collect();
            database.trigger_order.push(checksum);
        }
        Ok(database)
    }

    /// The installed package of this name.
    pub fn find(&self, name: &str) -> Option<&Installed> {
        self.packages.iter().find(|package| package.record.name == name)
    }

    /// Adds a package at the end.
    pub(crate) fn add(&mut self, package: Installed) {
        if !package.triggers.is_empty() {
            self.trigger_order.push(package.record.checksum);
        }
        self.packages.push(package);
    }

    /// Takes a package away.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(package) = self.packages.iter().position(|package| package.record.name == name) {
            let package = self.packages.remove(package);
            self.trigger_order.retain(|checksum| *checksum != package.record.checksum);
        }
    }

    /// The text of `installed`.
    pub fn installed(&self) -> String {
        let mut out = String::new();
        for Installed { record, directories, .. } in &self.packages {
            out.push_str(&record.to_lines());
            if !record.replaces.is_empty() {
                let _ = writeln!(out, "r:{}", depend::join(&record.replaces));
            }
            if let Some(priority) = record.replaces_priority.filter(|&priority| priority != 0) {
                let _ = writeln!(out, "q:{priority}");
            }
            for Directory { path, access, files } in directories {
                let _ = write!(out, "F:{path}\n{}", access.line('M', Access::DIRECTORY));
                for OwnedFile { name, access, checksum } in files {
                    let _ = write!(out, "R:{name}\n{}", access.line('a', Access::FILE));
                    if let Some(checksum) = checksum {
                        let _ = writeln!(out, "Z:{checksum}");
                    }
                }
            }
            out.push('\n');
        }
        out
    }

    /// The bytes of `scripts.tar`; `time` is what its entries have, in seconds since 1970.
    pub fn scripts(&self, time: u64) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for package in &self.packages {
            for script in &package.scripts {
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(0o755);
                header.set_uid(0);
                header.set_gid(0);
                header.set_mtime(time);
                header.set_size(script.body.len() as u64);
                let record = &package.record;
                // Not split over two fields, as ustar would at a slash in a checksum: apk reads only the one.
                let name = format!("{}.{}.{}", record.id(), record.checksum, script.kind);
                let field = header.as_old_mut().name.get_mut(..name.len()).ok_or_else(|| {
                    Fault::new(
                        Kind::Mismatch,
                        format!("the name of {}'s script does not fit in apk's database", record.id()),
                    )
                })?;
                field.copy_from_slice(name.as_bytes());
                header.set_cksum();
                archive.append(&header, script.body.as_slice())?;
            }
        }
        Ok(archive.into_inner()?)
    }

    /// The text of `triggers`.
    pub fn triggers(&self) -> String {
        let mut out = String::new();
        for checksum in &self.trigger_order {
            if let Some(package) = self.packages.iter().find(|package| package.record.checksum == *checksum) {
                let _ = writeln!(out, "{checksum} {}", package.triggers.join(" "));
            }
        }
        out
    }
}

fn parse_installed(text: &str) -> Result<Vec<Installed>> {
    let mut packages: Vec<Installed> = Vec::new();
    let mut names = HashSet::new();
    let (mut draft, mut directories) = (Draft::default(), Vec::new());
    // An empty line ends the last package too.
    for (number, line) in text.lines().chain([""]).enumerate() {
        let at = || format!("line {} of {INSTALLED}", number + 1);
        if !line.is_empty() {
            take_line(line, &mut draft, &mut directories).with_context(at)?;
        } else if !draft.is_empty() {
            let record = std::mem::take(&mut draft).finish().with_context(at)?;
            if !names.insert(record.name.clone()) {
                return Err(Fault::new(Kind::Mismatch, format!("{} is installed twice", record.name)))
                    .with_context(at);
            }
            let directories = std::mem::take(&mut directories);
            packages.push(Installed { record, directories, scripts: Vec::new(), triggers: Vec::new() });
        }
    }
    Ok(packages)
}

fn take_line(line: &str, draft: &mut Draft, directories: &mut Vec<Directory>) -> Result<()> {
    let (field, value) = index::split(line)?;
    let out_of_place = || Fault::new(Kind::Mismatch, format!("field `{field}` is out of place"));
    let name = |value: &str| path::check(value).map(|()| value.to_owned());
    if !matches!(field, 'F' | 'M' | 'R' | 'a' | 'Z') {
        if matches!(field, 'f' | 's') {
            let message = format!("field `{field}`: a package that is broken, or pinned to a repository");
            return Err(Fault::new(Kind::Mismatch, message).into());
        }
        return draft.take(field, value);
    }
    if field == 'F' {
        let path = if value.is_empty() { String::new() } else { name(value)? };
        directories.push(Directory { path, access: Access::DIRECTORY, files: Vec::new() });
        return Ok(());
    }
    let directory = directories.last_mut().ok_or_else(out_of_place)?;
    match field {
        'M' => directory.access = Access::parse(value)?,
        'R' if value.contains('/') => return Err(out_of_place().into()),
        'R' => directory.files.push(OwnedFile { name: name(value)?, access: Access::FILE, checksum: None }),
        _ => {
            let file = directory.files.last_mut().ok_or_else(out_of_place)?;
            match field {
                'a' => file.access = Access::parse(value)?,
                _ => file.checksum = Some(Checksum::parse(value)?),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECORD: &str =
        "C:Q1pcfTfDNEbNKQc2s1tia7da05M8Q=\nP:a\nV:1.0-r0\nA:x86_64\nS:10\nI:20\nT:about\nU:u\nL:MIT\n";
    const FILES: &str = "r:b c<2\nq:3\nF:\nR:init\na:0:0:755\nF:etc\nF:tmp\nM:0:0:1777\nR:x\nZ:Q1pcfTfDNEbNKQc2s1tia7da05M8Q=\nR:y\na:5:42:4755\nR:z\na:0:0:755:Q1pcfTfDNEbNKQc2s1tia7da05M8Q=\n";

    #[test]
    fn all_is_written_as_it_was_read() {
        let text = format!("{RECORD}{FILES}\n");
        let mut database =
            Database::parse(&text, &[], "Q1pcfTfDNEbNKQc2s1tia7da05M8Q= /bin /lib/*\n").unwrap();
        assert_eq!(database.installed(), text);
        assert_eq!(database.triggers(), "Q1pcfTfDNEbNKQc2s1tia7da05M8Q= /bin /lib/*\n");
        assert_eq!(
            database.packages[0].files().map(|(path, _)| path).collect::<Vec<_>>(),
            ["init", "tmp/x", "tmp/y", "tmp/z"]
        );
        database.packages[0].scripts = vec![
            Script { kind: ScriptKind::PostInstall, body: b"#!/bin/sh\n".to_vec() },
            Script { kind: ScriptKind::Trigger, body: vec![] },
        ];
        let scripts = database.scripts(7).unwrap();
        assert_eq!(Database::parse(&text, &scripts, &database.triggers()).unwrap(), database);
        database.remove("a");
        assert_eq!((database.installed(), database.triggers()), (String::new(), String::new()));
    }

    #[test]
    fn what_is_refused() {
        let message =
            |more: &str| format!("{:#}", Database::parse(&format!("{RECORD}{more}\n"), &[], "").unwrap_err());
        insta::assert_snapshot!(message("R:x\n"), @"line 10 of lib/apk/db/installed: field `R` is out of place");
        insta::assert_snapshot!(message("F:etc\nZ:x\n"), @"line 11 of lib/apk/db/installed: field `Z` is out of place");
        insta::assert_snapshot!(message("F:../etc\n"), @"line 10 of lib/apk/db/installed: the path `../etc` is refused: it holds `..`");
        insta::assert_snapshot!(message("F:etc\nR:a/b\n"), @"line 11 of lib/apk/db/installed: field `R` is out of place");
        insta::assert_snapshot!(message("F:etc\nM:0:0\n"), @"line 11 of lib/apk/db/installed: `0:0` is not an owner, group and mode");
        insta::assert_snapshot!(message("f:f\n"), @"line 10 of lib/apk/db/installed: field `f`: a package that is broken, or pinned to a repository");
        assert!(Database::parse(&format!("{RECORD}\n{RECORD}\n"), &[], "").is_err());
        assert!(Database::parse(RECORD, &[], "Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA= /bin\n").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(lines in "([FMRZa]:[a-z0-9:/.]{0,9}\n|\\PC{0,9}\n){0,20}", triggers in "\\PC{0,40}") {
            let text = format!("{RECORD}{lines}\n");
            if let Ok(database) = Database::parse(&text, &[], "") {
                prop_assert_eq!(Database::parse(&database.installed(), &[], "").unwrap(), database);
            }
            let _ = Database::parse(RECORD, triggers.as_bytes(), &triggers);
        }
    }
}
