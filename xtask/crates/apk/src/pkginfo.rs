//! `.PKGINFO`: what a package says of itself in its control segment.

use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::depend::Dependency;
use crate::limits;
use crate::record;
use crate::version::Version;

/// The fields of `.PKGINFO` that installing needs; the index has the others, and is bound to this text by the
/// checksum of the control segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageInfo {
    /// `pkgname`
    pub name: String,
    /// `pkgver`
    pub version: Version,
    /// `arch`
    pub arch: String,
    /// `datahash`: the SHA-256 of the data segment, compressed.
    pub datahash: String,
    /// `replaces`: packages whose files it may take over.
    pub replaces: Vec<Dependency>,
    /// `replaces_priority`
    pub replaces_priority: Option<u32>,
    /// `triggers`: directories whose changes its trigger wants to hear of; patterns.
    pub triggers: Vec<String>,
}

/// Fields that would be read differently if they came twice.
const ONCE: [&str; 6] = ["pkgname", "pkgver", "arch", "datahash", "replaces_priority", "triggers"];

impl PackageInfo {
    /// Reads the text: lines of `key = value`, comments with `#`. Other lines say nothing, as in apk 2.12: abuild
    /// before 3.10 puts a licence that goes on in the next line of the APKBUILD there as it is.
    pub fn parse(text: &str) -> Result<Self> {
        let mut once: [Option<&str>; ONCE.len()] = [None; ONCE.len()];
        let mut replaces = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let invalid = |why: &str| {
                let shown: String = line.chars().take(80).collect();
                Fault::new(Kind::Mismatch, format!("`{}` in .PKGINFO: {why}", shown.escape_debug()))
            };
            if line.chars().any(|c| c.is_control() && c != '\t') {
                return Err(invalid("a control character").into());
            }
            let Some((key, value)) = line.split_once(" = ") else { continue };
            if key == "replaces" {
                replaces.extend(Dependency::parse_all(value).context("reading `replaces` in .PKGINFO")?);
            } else if let Some(at) = ONCE.iter().position(|once| *once == key)
                && once[at].replace(value).is_some()
            {
                return Err(invalid("it comes twice").into());
            }
        }
        if replaces.len() > limits::DEPENDENCIES {
            return Err(Fault::new(Kind::Mismatch, "too many `replaces` in .PKGINFO").into());
        }
        let [name, version, arch, datahash, priority, triggers] = once;
        let need = |value: Option<&'_ str>, key: &str| {
            value
                .map(str::to_owned)
                .ok_or_else(|| Fault::new(Kind::Mismatch, format!(".PKGINFO has no `{key}`")))
        };
        let datahash = need(datahash, "datahash")?;
        if datahash.len() != 64 || !datahash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Fault::new(Kind::Mismatch, "the `datahash` in .PKGINFO is not a SHA-256").into());
        }
        Ok(Self {
            name: record::package_name(&need(name, "pkgname")?)?,
            version: Version::parse(&need(version, "pkgver")?)?,
            arch: need(arch, "arch")?,
            datahash,
            replaces,
            replaces_priority: priority.map(record::number).transpose()?,
            triggers: triggers.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "1a3a8e47d2287da6d505d973412cee1ad64bcc17bc5995069e4e932055ecb0c4";

    fn text(more: &str) -> String {
        format!(
            "# made by abuild\npkgname = a\npkgver = 1-r0\nsize = 3\narch = x86_64\ndatahash = {HASH}\n{more}"
        )
    }

    #[test]
    fn fields_are_read() {
        let info = PackageInfo::parse(&text(
            "replaces = b c<2\nreplaces = d\nreplaces_priority = 4\ntriggers = /bin /lib/*\n",
        ))
        .unwrap();
        assert_eq!((info.name.as_str(), info.version.as_str(), info.arch.as_str()), ("a", "1-r0", "x86_64"));
        assert_eq!(info.replaces.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b", "c<2", "d"]);
        assert_eq!(
            (info.replaces_priority, info.triggers),
            (Some(4), vec!["/bin".to_owned(), "/lib/*".to_owned()])
        );
    }

    #[test]
    fn a_licence_may_go_on_in_the_next_line() {
        let licence = "license = GPL-2.0-or-later\n\t\tLGPL-2.1-or-later AND BSD-3-Clause\n";
        assert_eq!(PackageInfo::parse(&text(licence)).unwrap(), PackageInfo::parse(&text("")).unwrap());
    }

    #[test]
    fn what_is_refused() {
        let message = |text: &str| format!("{:#}", PackageInfo::parse(text).unwrap_err());
        insta::assert_snapshot!(message(&text("pkgname = b\n")), @"`pkgname = b` in .PKGINFO: it comes twice");
        insta::assert_snapshot!(message(&text("pkgdesc = a\0b\n")), @r"`pkgdesc = a\0b` in .PKGINFO: a control character");
        insta::assert_snapshot!(message("pkgname = a\n"), @".PKGINFO has no `datahash`");
        insta::assert_snapshot!(message(&text("").replace(HASH, "12")), @"the `datahash` in .PKGINFO is not a SHA-256");
        insta::assert_snapshot!(message(&text("").replace("= a\n", "= ../a\n")), @"`../a` is not a package name");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(lines in "([a-z_]{1,9} = [a-z0-9 =<]{0,9}\n|\\PC{0,9}\n){0,9}") {
            let _ = PackageInfo::parse(&lines);
            let _ = PackageInfo::parse(&text(&lines));
        }
    }
}
