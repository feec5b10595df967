//! Dependency expressions: what a package, or a world, asks for and what packages provide.
//!
//! A name is a package's, or one that packages provide: `so:` (a library), `cmd:` (a command), `pc:`
//! (pkg-config), `/bin/sh` (a path), or any word. After it may come an operator and a version; `!` before it
//! makes it a conflict.

use std::cmp::Ordering;
use std::fmt;

use anyhow::Result;
use fault::{Fault, Kind};

use crate::digest::Checksum;
use crate::limits;
use crate::version::Version;

/// What is asked for: a name, perhaps with versions that will do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dependency {
    /// The name of a package, or of something provided.
    pub name: String,
    /// Whether it must be absent instead.
    pub conflict: bool,
    /// Which versions are meant.
    pub versions: Versions,
}

/// Versions that are meant by a dependency.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Versions {
    /// Any, and a name provided without a version too.
    Any,
    /// Those that compare so with this one.
    Compared(Operator, Version),
    /// The one package whose control segment has this checksum (`><`).
    Identity(Checksum),
}

/// The operators: any of `<`, `=` and `>`, or `~`, which also takes what goes on from the version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "an operator is a set of these")]
pub struct Operator {
    less: bool,
    equal: bool,
    greater: bool,
    fuzzy: bool,
}

/// A name that a package provides, beside its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Provide {
    /// The name.
    pub name: String,
    /// Its version; without one, several packages that provide it may be installed together.
    pub version: Option<Version>,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        let mut operator = Self::default();
        for sign in text.chars() {
            match sign {
                '<' => operator.less = true,
                '>' => operator.greater = true,
                '=' => operator.equal = true,
                '~' => (operator.equal, operator.fuzzy) = (true, true),
                _ => return None,
            }
        }
        let all = operator.less && operator.greater;
        (!text.is_empty() && !all).then_some(operator)
    }

    fn admits(self, found: &Version, wanted: &Version) -> bool {
        let order = if self.fuzzy { found.compare_fuzzy(wanted) } else { found.cmp(wanted) };
        match order {
            Ordering::Less => self.less,
            Ordering::Equal => self.equal,
            Ordering::Greater => self.greater,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.less { "<" } else { "" })?;
        f.write_str(if self.greater { ">" } else { "" })?;
        match (self.fuzzy, self.equal) {
            (true, _) => f.write_str("~"),
            (false, true) => f.write_str("="),
            (false, false) => Ok(()),
        }
    }
}

impl Dependency {
    /// Reads one expression. `@tag`, which pins to a repository, is refused: there is one repository here, and
    /// what does not come from it must not pass for what does.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Fault::new(Kind::Mismatch, format!("`{}` is not a dependency: {why}", text.escape_debug()))
        };
        let (conflict, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let signs = |c: char| matches!(c, '<' | '>' | '=' | '~');
        let at = rest.find(signs).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(at);
        let version = rest.trim_start_matches(signs);
        let operator = &rest[..rest.len() - version.len()];
        if name.contains('@') {
            return Err(invalid("repository tags (`@`) are not supported").into());
        }
        check_name(name).map_err(|why| invalid(&why))?;
        let versions = if operator.is_empty() {
            Versions::Any
        } else if operator == "><" {
            Versions::Identity(Checksum::parse(version)?)
        } else {
            let operator = Operator::parse(operator).ok_or_else(|| invalid("its operator has no meaning"))?;
            if version.is_empty() {
                return Err(invalid("its version is missing").into());
            }
            Versions::Compared(operator, Version::parse(version)?)
        };
        Ok(Self { name: name.to_owned(), conflict, versions })
    }

    /// Reads expressions with white space between them.
    pub fn parse_all(text: &str) -> Result<Vec<Self>> {
        let all: Vec<Self> = text.split_ascii_whitespace().map(Self::parse).collect::<Result<_>>()?;
        check_count(all.len())?;
        Ok(all)
    }

    /// Whether a package that has the name with this version, or without one, and whose control segment has
    /// this checksum, is one of those meant. Of a conflict this is what must not be.
    pub fn means(&self, version: Option<&Version>, identity: Checksum) -> bool {
        match (&self.versions, version) {
            (Versions::Any, _) => true,
            (Versions::Identity(wanted), _) => *wanted == identity,
            (Versions::Compared(..), None) => false,
            (Versions::Compared(operator, wanted), Some(found)) => operator.admits(found, wanted),
        }
    }
}

impl Provide {
    /// Reads `name` or `name=version`.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Fault::new(Kind::Mismatch, format!("`{}` is nothing provided: {why}", text.escape_debug()))
        };
        let (name, version) = match text.split_once('=') {
            Some((name, version)) if !version.is_empty() => (name, Some(Version::parse(version)?)),
            Some(_) => return Err(invalid("its version is missing").into()),
            None => (text, None),
        };
        check_name(name).map_err(|why| invalid(&why))?;
        Ok(Self { name: name.to_owned(), version })
    }

    /// Reads what is provided, with white space between.
    pub fn parse_all(text: &str) -> Result<Vec<Self>> {
        let all: Vec<Self> = text.split_ascii_whitespace().map(Self::parse).collect::<Result<_>>()?;
        check_count(all.len())?;
        Ok(all)
    }
}

fn check_count(count: usize) -> Result<()> {
    if count > limits::DEPENDENCIES {
        let message = format!("{count} dependencies in one list, more than {}", limits::DEPENDENCIES);
        return Err(Fault::new(Kind::Mismatch, message).into());
    }
    Ok(())
}

/// Whether a name is one a package can have, or provide.
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("its name is missing".into());
    }
    if name.len() > limits::PACKAGE_NAME_LENGTH {
        return Err(format!("its name is longer than {} bytes", limits::PACKAGE_NAME_LENGTH));
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || "!<>=~@".contains(c);
    name.chars().find(|&c| odd(c)).map_or(Ok(()), |c| Err(format!("its name holds {c:?}")))
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.conflict { "!" } else { "" })?;
        f.write_str(&self.name)?;
        match &self.versions {
            Versions::Any => Ok(()),
            Versions::Compared(operator, version) => write!(f, "{operator}{version}"),
            Versions::Identity(checksum) => write!(f, "><{checksum}"),
        }
    }
}

impl fmt::Display for Provide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "={version}"))
    }
}

/// A list as apk writes it: with a space between.
pub fn join<T: fmt::Display>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn means(dependency: &str, version: &str) -> bool {
        let version = (!version.is_empty()).then(|| Version::parse(version).unwrap());
        Dependency::parse(dependency).unwrap().means(version.as_ref(), Checksum::Sha1([0; 20]))
    }

    #[test]
    fn every_operator() {
        for (dependency, yes, no) in [
            ("a", vec!["", "1", "2-r1"], vec![]),
            ("a=1.2-r0", vec!["1.2-r0"], vec!["", "1.2", "1.2-r1", "1.3-r0"]),
            ("a<1.2", vec!["1.1", "1.2_rc1"], vec!["", "1.2", "1.2-r0"]),
            ("a<=1.2", vec!["1.1", "1.2"], vec!["1.2-r0", "1.3"]),
            ("a>1.2", vec!["1.2-r0", "1.3"], vec!["1.2", "1.1"]),
            ("a>=1.2", vec!["1.2", "1.2-r0"], vec!["1.1", "1.2_alpha"]),
            ("a~1.2", vec!["1.2", "1.2-r3", "1.2.9-r3", "1.2_p1"], vec!["", "1.20", "1.3", "1.1"]),
            ("a~=1.2", vec!["1.2.9-r3"], vec!["1.3"]),
            ("a=~1.2", vec!["1.2.9-r3"], vec!["1.3"]),
            ("a>~1.2", vec!["1.2.9-r3", "1.3"], vec!["1.1"]),
            ("a<~1.2", vec!["1.2.9-r3", "1.1"], vec!["1.3"]),
            ("!a<1.2", vec!["1.1"], vec!["", "1.2"]),
        ] {
            for version in yes {
                assert!(means(dependency, version), "{dependency} {version}");
            }
            for version in no {
                assert!(!means(dependency, version), "{dependency} {version}");
            }
        }
        let one = "a><Q1pcfTfDNEbNKQc2s1tia7da05M8Q=";
        assert!(!means(one, "1"));
        assert!(Dependency::parse(one).unwrap().means(None, Checksum::sha1_of(b"/bin/busybox")));
    }

    #[test]
    fn names_of_all_kinds_are_written_as_they_were_read() {
        for text in [
            "musl",
            "so:libc.musl-x86_64.so.1",
            "so:libc++.so.1",
            "cmd:[",
            "pc:zlib>=1.2",
            "/bin/sh",
            "!uclibc",
            "!a<2",
            "py3.10:x=1-r0",
            "a~1.2",
            "a>~1",
            "font-ü",
            "a><Q1pcfTfDNEbNKQc2s1tia7da05M8Q=",
        ] {
            assert_eq!(Dependency::parse(text).unwrap().to_string(), text);
        }
        for text in ["cmd:a=1-r0", "so:b=0", "/bin/sh", "c"] {
            assert_eq!(Provide::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(join(&Dependency::parse_all(" b  a<2\tc ").unwrap()), "b a<2 c");
    }

    #[test]
    fn what_is_no_dependency() {
        for text in [
            "", "!", "=1", "a=", "a<>1", "a<=>1", "a==", "a=1_x", "a b", "a\n", "a@edge", "!!a", "a=1=2",
            "a><x",
        ] {
            assert!(Dependency::parse(text).is_err(), "{text:?}");
        }
        for text in ["", "=1", "a=", "a<1", "a~1", "a=1_x", "a@b", "!a"] {
            assert!(Provide::parse(text).is_err(), "{text:?}");
        }
        insta::assert_snapshot!(Dependency::parse("a@edge").unwrap_err(), @"`a@edge` is not a dependency: repository tags (`@`) are not supported");
        insta::assert_snapshot!(Dependency::parse("a<>1").unwrap_err(), @"`a<>1` is not a dependency: its operator has no meaning");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "!?[a-z:/@=<>~0-9._ -]{0,20}|\\PC{0,20}") {
            if let Ok(dependency) = Dependency::parse(&text) {
                prop_assert_eq!(Dependency::parse(&dependency.to_string()).unwrap(), dependency);
            }
            if let Ok(provide) = Provide::parse(&text) {
                prop_assert_eq!(provide.to_string(), text);
            }
        }
    }
}
