//! The list of modules that Go's linker writes into each program: what `go version -m` shows.
//!
//! Source: Go's src/debug/buildinfo/buildinfo.go and src/runtime/debug/mod.go.

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Where the two strings start: Go's version, then the modules.
const STRINGS: usize = 32;
/// The flag of strings that lie in place (Go 1.18 and later), not behind pointers.
const INLINE: u8 = 2;
/// The modules' text stands between marks of this length.
const MARK: usize = 16;

/// What a program is made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BuildInfo {
    /// The module of the `main` package.
    pub(super) main: String,
    /// Has that module a version? One that is made for the build has none.
    pub(super) main_has_version: bool,
    /// The other modules, by the paths that packages are imported by.
    pub(super) dependencies: Vec<String>,
}

/// Reads the section `.go.buildinfo`.
pub(super) fn read(section: &[u8]) -> Option<BuildInfo> {
    let info = section.strip_prefix(MAGIC)?;
    if info.get(1)? & INLINE == 0 {
        return None;
    }
    let (_version, rest) = string(section.get(STRINGS..)?)?;
    let (modules, _) = string(rest)?;
    // `path`, `mod`, `dep` and `=>` lines; the marks are no lines of their own.
    let text = std::str::from_utf8(modules.get(MARK..modules.len().checked_sub(MARK)?)?).ok()?;
    let mut found = BuildInfo::default();
    for line in text.lines() {
        let mut fields = line.split('\t');
        match (fields.next(), fields.next()) {
            (Some("mod"), Some(path)) => {
                path.clone_into(&mut found.main);
                found.main_has_version = fields.next().is_some_and(|version| version.starts_with('v'));
            }
            (Some("dep"), Some(path)) => found.dependencies.push(path.to_owned()),
            _ => {}
        }
    }
    Some(found)
}

/// A string after its length, and what follows.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes.get(index + 1..)?.split_at_checked(length);
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn section(text: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, INLINE]);
        bytes.resize(STRINGS, 0);
        let modules = format!("{}{text}{}", "<".repeat(MARK), ">".repeat(MARK));
        for string in ["go1.26.8", &modules] {
            let digits = [string.len() & 0x7f | 0x80, string.len() >> 7];
            bytes.extend(digits.map(|digit| u8::try_from(digit).unwrap()));
            bytes.extend(string.as_bytes());
        }
        bytes
    }

    #[test]
    fn modules_are_read() {
        let text = "path\tk8s.io/kubernetes/cmd/kubelet\nmod\tk8s.io/kubernetes\tv1.26.0\th1:x=\ndep\tk8s.io/api\tv0.0.0\n=>\tk8s.io/api\tv0.26.0\th1:y=\n";
        let found = read(&section(text)).unwrap();
        assert_eq!((&*found.main, found.main_has_version), ("k8s.io/kubernetes", true));
        assert_eq!(found.dependencies, ["k8s.io/api"]);
        assert!(!read(&section("mod\tjoined\t(devel)\n")).unwrap().main_has_version);
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        let whole = section("mod\ta\tv1\n");
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
    }
}
