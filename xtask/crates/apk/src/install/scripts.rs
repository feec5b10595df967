//! The scripts that apk would have run, for the caller to compare with what it does instead.

use std::collections::HashSet;

use anyhow::Result;
use fault::{Fault, Kind};

use super::{Added, Rootfs};
use crate::package::ScriptKind;

/// A script that apk would have run while installing what was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingScript {
    /// Whose it is.
    pub package: String,
    /// That package's version.
    pub version: String,
    /// When apk would have run it.
    pub kind: ScriptKind,
    /// The SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// Its text.
    pub body: Vec<u8>,
}

impl Rootfs {
    /// The scripts that apk would have run, in its order: those of each package added, then the triggers of all
    /// installed packages that watch a directory which was changed.
    pub fn pending_scripts(&self) -> Vec<PendingScript> {
        let mut pending = Vec::new();
        for Added { name, upgrade, .. } in &self.added {
            let kinds = if *upgrade {
                [ScriptKind::PreUpgrade, ScriptKind::PostUpgrade]
            } else {
                [ScriptKind::PreInstall, ScriptKind::PostInstall]
            };
            pending.extend(self.scripts(name, &kinds));
        }
        let touched: HashSet<&str> =
            self.added.iter().flat_map(|added| &added.touched).map(String::as_str).collect();
        for package in &self.database.packages {
            let watches = |pattern: &String| touched.iter().any(|path| matches(pattern, path));
            let added = self.added.iter().any(|added| added.name == package.record.name);
            // A package's own installation calls its trigger for all it watches.
            if added && !package.triggers.is_empty() || package.triggers.iter().any(watches) {
                pending.extend(self.scripts(&package.record.name, &[ScriptKind::Trigger]));
            }
        }
        pending
    }

    /// Fails unless `known` says of each pending script that what it would do is done otherwise, or need not be.
    pub fn check_scripts(&self, known: impl Fn(&PendingScript) -> bool) -> Result<()> {
        let pending = self.pending_scripts();
        let unknown: Vec<String> = pending
            .iter()
            .filter(|script| !known(script))
            .map(|script| {
                format!(
                    "\n  {}-{} {} (SHA-256 {})",
                    script.package, script.version, script.kind, script.sha256
                )
            })
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let message = format!(
            "packages have scripts that nothing is known about; they are never run:{}",
            unknown.concat()
        );
        Err(Fault::new(Kind::InvalidData, message)
            .help("read each script, then state in the catalog what is done instead")
            .into())
    }

    fn scripts(&self, name: &str, kinds: &[ScriptKind]) -> Vec<PendingScript> {
        let Some(package) = self.database.find(name) else { return Vec::new() };
        let wanted = package.scripts.iter().filter(|script| kinds.contains(&script.kind));
        wanted
            .map(|script| PendingScript {
                package: name.to_owned(),
                version: package.record.version.to_string(),
                kind: script.kind,
                sha256: digest::Digest::of(&script.body).to_string(),
                body: script.body.clone(),
            })
            .collect()
    }
}

/// Whether a trigger's pattern is of this directory: `*` and `?` stand for anything but a slash. What has
/// brackets is taken to be, as it might.
fn matches(pattern: &str, path: &str) -> bool {
    if pattern.contains(['[', '\\']) {
        return true;
    }
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(pattern, name)| matches_name(pattern.as_bytes(), name.as_bytes()))
}

fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    // The last star and what it has taken so far: taking one more is all there is to try again.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_triggers() {
        for (pattern, path) in [
            ("/bin", "/bin"),
            ("/lib/modules/*", "/lib/modules/5.15"),
            ("/a*c?", "/abcd"),
            ("/*", "/"),
            ("/[ab]", "/z"),
            ("/a**b", "/ab"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("/bin", "/bin/x"), ("/lib/*", "/lib/a/b"), ("/a*c", "/abd"), ("/?", "/"), ("/bin", "/sbin")]
        {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }
}
