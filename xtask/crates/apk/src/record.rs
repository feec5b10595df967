//! What an index, and the database of installed packages, say of a package: lines of a letter, a colon and
//! a value.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::depend::{self, Dependency, Provide};
use crate::digest::Checksum;
use crate::limits;
use crate::version::Version;

/// A package, as an index describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `P`: its name.
    pub name: String,
    /// `V`: its version.
    pub version: Version,
    /// `A`: the architecture it is for, or `noarch` for all.
    pub arch: String,
    /// `C`: the checksum of its control segment, compressed; this is its identity.
    pub checksum: Checksum,
    /// `S`: the size of the package, in bytes.
    pub size: u64,
    /// `I`: the size of what it installs, in bytes, as abuild reckons it.
    pub installed_size: u64,
    /// `T`: one line about it.
    pub description: String,
    /// `U`: its home page.
    pub url: String,
    /// `L`: its licence.
    pub license: String,
    /// `o`: the package it was built from.
    pub origin: Option<String>,
    /// `m`: who maintains it.
    pub maintainer: Option<String>,
    /// `t`: when it was built, in seconds since 1970.
    pub build_time: Option<u64>,
    /// `c`: the commit it was built from.
    pub commit: Option<String>,
    /// `k`: how much it is to be preferred among those that provide a name.
    pub provider_priority: u32,
    /// `D`: what it needs.
    pub depends: Vec<Dependency>,
    /// `p`: what it provides beside its own name.
    pub provides: Vec<Provide>,
    /// `i`: with what it is installed unasked; empty if it is not.
    pub install_if: Vec<Dependency>,
    /// `r`: packages whose files it may take over.
    pub replaces: Vec<Dependency>,
    /// `q`: who wins when two packages replace each other.
    pub replaces_priority: Option<u32>,
}

/// What is known of a record so far.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    fields: Vec<char>,
    name: Option<String>,
    version: Option<Version>,
    arch: Option<String>,
    checksum: Option<Checksum>,
    size: Option<u64>,
    installed_size: Option<u64>,
    description: String,
    url: String,
    license: String,
    origin: Option<String>,
    maintainer: Option<String>,
    build_time: Option<u64>,
    commit: Option<String>,
    provider_priority: u32,
    depends: Vec<Dependency>,
    provides: Vec<Provide>,
    install_if: Vec<Dependency>,
    replaces: Vec<Dependency>,
    replaces_priority: Option<u32>,
}

impl Draft {
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The package's name, if it was read.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Takes a line's value. A field that comes twice is an error, as is one that is not known unless it is in
    /// lower case: those apk too passes over.
    pub(crate) fn take(&mut self, field: char, value: &str) -> Result<()> {
        self.take_field(field, value).with_context(|| {
            let name = self.name.as_deref().unwrap_or("a package without a name so far");
            format!("reading field `{}` of {}", field.escape_debug(), name.escape_debug())
        })
    }

    fn take_field(&mut self, field: char, value: &str) -> Result<()> {
        if self.fields.contains(&field) {
            return Err(Fault::new(Kind::Mismatch, "the field comes twice").into());
        }
        self.fields.push(field);
        let text = || value.to_owned();
        match field {
            'P' => self.name = Some(package_name(value)?),
            'V' => self.version = Some(Version::parse(value)?),
            'A' => self.arch = Some(text()),
            'C' => self.checksum = Some(Checksum::parse(value)?),
            'S' => self.size = Some(number(value)?),
            'I' => self.installed_size = Some(number(value)?),
            'T' => self.description = text(),
            'U' => self.url = text(),
            'L' => self.license = text(),
            'o' => self.origin = Some(text()),
            'm' => self.maintainer = Some(text()),
            't' => self.build_time = Some(number(value)?),
            'c' => self.commit = Some(text()),
            'k' => self.provider_priority = number(value)?,
            'D' => self.depends = Dependency::parse_all(value)?,
            'p' => self.provides = Provide::parse_all(value)?,
            'i' => self.install_if = Dependency::parse_all(value)?,
            'r' => self.replaces = Dependency::parse_all(value)?,
            'q' => self.replaces_priority = Some(number(value)?),
            'a'..='z' => {}
            _ => return Err(Fault::new(Kind::Mismatch, "a field that is not known").into()),
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Record> {
        let name = self.name.ok_or_else(|| Fault::new(Kind::Mismatch, "a package without a name (`P`)"))?;
        let missing = |field: &str| Fault::new(Kind::Mismatch, format!("{name} has no {field}"));
        Ok(Record {
            version: self.version.ok_or_else(|| missing("version (`V`)"))?,
            arch: self.arch.ok_or_else(|| missing("architecture (`A`)"))?,
            checksum: self.checksum.ok_or_else(|| missing("checksum (`C`)"))?,
            size: self.size.ok_or_else(|| missing("size (`S`)"))?,
            installed_size: self.installed_size.ok_or_else(|| missing("installed size (`I`)"))?,
            name,
            description: self.description,
            url: self.url,
            license: self.license,
            origin: self.origin,
            maintainer: self.maintainer,
            build_time: self.build_time,
            commit: self.commit,
            provider_priority: self.provider_priority,
            depends: self.depends,
            provides: self.provides,
            install_if: self.install_if,
            replaces: self.replaces,
            replaces_priority: self.replaces_priority,
        })
    }
}

impl Record {
    /// Its name and version, as people write them and as its file is called: `musl-1.2.2-r9`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// The name of its file.
    pub fn file_name(&self) -> String {
        format!("{}.apk", self.id())
    }

    /// The lines of an index, in apk's order, without those of the installed database (`r`, `q`).
    pub fn to_lines(&self) -> String {
        let mut out = String::new();
        let mut line = |field: char, value: &dyn std::fmt::Display| {
            let _ = writeln!(out, "{field}:{value}");
        };
        line('C', &self.checksum);
        line('P', &self.name);
        line('V', &self.version);
        line('A', &self.arch);
        line('S', &self.size);
        line('I', &self.installed_size);
        line('T', &self.description);
        line('U', &self.url);
        line('L', &self.license);
        for (field, value) in [('o', &self.origin), ('m', &self.maintainer)] {
            if let Some(value) = value {
                line(field, value);
            }
        }
        if let Some(time) = self.build_time {
            line('t', &time);
        }
        if let Some(commit) = &self.commit {
            line('c', commit);
        }
        if self.provider_priority != 0 {
            line('k', &self.provider_priority);
        }
        for (field, list) in [
            ('D', depend::join(&self.depends)),
            ('p', depend::join(&self.provides)),
            ('i', depend::join(&self.install_if)),
        ] {
            if !list.is_empty() {
                line(field, &list);
            }
        }
        out
    }
}

/// Checks a package's name: it is part of paths and of lines.
pub(crate) fn package_name(name: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    if name.is_empty()
        || name.len() > limits::PACKAGE_NAME_LENGTH
        || name.starts_with(['.', '-'])
        || !name.chars().all(plain)
    {
        let shown: String = name.chars().take(80).collect();
        return Err(
            Fault::new(Kind::Mismatch, format!("`{}` is not a package name", shown.escape_debug())).into()
        );
    }
    Ok(name.to_owned())
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        Fault::new(Kind::Mismatch, format!("`{}` is not a number in range", shown.escape_debug())).into()
    })
}
