//! The list of modules that Go's linker writes into each program: what `go version -m` shows.
//!
//! Source: Go's src/debug/buildinfo/buildinfo.go and src/runtime/debug/mod.go.

/// What stands before it, by which readers find it.
pub const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Where the two strings start: Go's version, then the modules.
const STRINGS: usize = 32;
/// The flag of strings that lie in place (Go 1.18 and later), not behind pointers.
const INLINE: u8 = 2;
/// The modules' text stands between marks of this length.
const MARK: usize = 16;

/// What a program is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// The version of Go, such as `go1.26.8`.
    pub go: String,
    /// The module of the `main` package. One that is made for the build has no version but `(devel)`.
    pub main: Module,
    /// The other modules, by the paths that packages are imported by.
    pub dependencies: Vec<Module>,
}

/// A module of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Its path.
    pub path: String,
    /// Its version.
    pub version: String,
    /// The hash of its files as go.sum has it, `h1:...`; empty for what has none.
    pub sum: String,
    /// What was compiled in its place.
    pub replaced: Option<Box<Module>>,
}

impl Module {
    /// From a line's fields behind its first.
    fn read<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let path = fields.next().filter(|path| !path.is_empty())?.to_owned();
        let mut next = || fields.next().unwrap_or_default().to_owned();
        Some(Self { path, version: next(), sum: next(), replaced: None })
    }

    /// Does it have a version that someone published?
    pub fn has_version(&self) -> bool {
        self.version.starts_with('v')
    }
}

/// Reads the section `.go.buildinfo`.
pub(super) fn read(section: &[u8]) -> Option<BuildInfo> {
    let info = section.strip_prefix(MAGIC)?;
    if info.get(1)? & INLINE == 0 {
        return None;
    }
    let (version, rest) = string(section.get(STRINGS..)?)?;
    let (modules, _) = string(rest)?;
    // `path`, `mod`, `dep` and `=>` lines; the marks are not lines of their own.
    let text = std::str::from_utf8(modules.get(MARK..modules.len().checked_sub(MARK)?)?).ok()?;
    let mut found = BuildInfo { go: String::from_utf8(version.to_vec()).ok()?, ..BuildInfo::default() };
    let mut last_is_main = false;
    for line in text.lines() {
        let mut fields = line.split('\t');
        match fields.next() {
            Some("mod") => (found.main, last_is_main) = (Module::read(fields)?, true),
            Some("dep") => {
                found.dependencies.push(Module::read(fields)?);
                last_is_main = false;
            }
            Some("=>") => {
                let last = if last_is_main { Some(&mut found.main) } else { found.dependencies.last_mut() };
                last?.replaced = Some(Box::new(Module::read(fields)?));
            }
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
        assert_eq!(
            (&*found.main.path, found.main.has_version(), &*found.go),
            ("k8s.io/kubernetes", true, "go1.26.8")
        );
        let [api] = &*found.dependencies else { panic!("{found:?}") };
        let replaced = api.replaced.as_deref().unwrap();
        assert_eq!((&*api.path, &*replaced.version, &*replaced.sum), ("k8s.io/api", "v0.26.0", "h1:y="));
        assert!(!read(&section("mod\tjoined\t(devel)\n")).unwrap().main.has_version());
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        for text in ["=>\ta\tv1\n", "dep\n", "mod\t\tv1\n"] {
            assert_eq!(read(&section(text)), None, "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        let whole = section("mod\ta\tv1\n");
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
    }
}
