//! What pictures are made from. It can be saved as JSON and read again ([`Input::parse`]).

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use fault::Fault;
use serde::{Deserialize, Serialize};

/// The version of the format that this code reads and writes.
pub(crate) const VERSION: u32 = 1;

/// The largest number of bytes: what a browser's numbers hold exactly.
const MOST_BYTES: u64 = (1 << 53) - 1;

/// Everything that pictures are made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The version of this format: 1.
    pub version: u32,
    /// What the figures belong to, such as a git revision; shown as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Ours against what was published.
    pub matrix: Matrix,
    /// What was recorded before.
    #[serde(default)]
    pub history: History,
    /// The contents of images, each a tree whose top is a [`Kind::Image`].
    #[serde(default)]
    pub images: Vec<Node>,
}

/// The matrix: newest release first; releases, variants, bases and arches are shown in order of appearance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Its cells, each release, variant, base and arch at most once.
    pub cells: Vec<Cell>,
}

/// One image: ours against what was published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The Kubernetes release, such as `v1.26.0`.
    pub release: String,
    /// The variant, such as `kubelet` or `kubeadm-cni`.
    pub variant: String,
    /// The base, such as `micro`.
    pub base: String,
    /// The architecture, such as `arm32v7`.
    pub arch: String,
    /// Our image; none if it was not built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<Size>,
    /// The published image; none if nothing comparable was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// Does it count in the means?
    pub counted: bool,
    /// What is particular, such as `without crictl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The size of an image in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// All layer blobs and the config, as they are pulled.
    pub compressed: u64,
    /// The files, unpacked.
    pub extracted: u64,
}

/// A published size, in MiB as it was published.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// As pulled.
    pub compressed: f64,
    /// Unpacked.
    pub extracted: f64,
}

/// What was recorded, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The records.
    pub records: Vec<Record>,
}

/// The sizes at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// A short name of that time: a release of this project, a revision or a date.
    pub name: String,
    /// What had been built.
    pub cells: Vec<Recorded>,
}

/// A recorded image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// As in [`Cell`].
    pub release: String,
    /// As in [`Cell`].
    pub variant: String,
    /// As in [`Cell`].
    pub base: String,
    /// As in [`Cell`].
    pub arch: String,
    /// Its size.
    pub size: Size,
}

/// A part of an image, and what it consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name: an attribute, a path, a module's path.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes, its parts included; what the parts do not add up to is shown as a part of its own.
    pub bytes: u64,
    /// Its parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
}

/// What a part of an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A whole image.
    Image,
    /// A layer.
    Layer,
    /// A component of the catalog.
    Component,
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A section of a program.
    Section,
    /// A Go module.
    Module,
    /// A Go package.
    Package,
}

impl Kind {
    /// All kinds, in the order of their numbers in the page.
    pub(crate) const ALL: [Kind; 8] = [
        Kind::Image,
        Kind::Layer,
        Kind::Component,
        Kind::Directory,
        Kind::File,
        Kind::Section,
        Kind::Module,
        Kind::Package,
    ];

    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Kind::Image => "image",
            Kind::Layer => "layer",
            Kind::Component => "component",
            Kind::Directory => "directory",
            Kind::File => "file",
            Kind::Section => "section",
            Kind::Module => "module",
            Kind::Package => "package",
        }
    }
}

impl Input {
    /// Reads the JSON form. `name` is what errors call it.
    pub fn parse(json: &[u8], name: &str) -> Result<Self> {
        let input: Self = serde_json::from_slice(json).map_err(|error| {
            Fault::new(fault::Kind::InvalidData, format!("{name} is not an input of a report: {error}"))
        })?;
        input.check().with_context(|| name.to_owned())?;
        Ok(input)
    }

    /// Refuses figures that cannot be shown without lying.
    pub fn check(&self) -> Result<()> {
        if self.version != VERSION {
            return Err(invalid(format!("version {}, but this command knows {VERSION}", self.version)));
        }
        let mut seen = BTreeSet::new();
        for cell in &self.matrix.cells {
            let key = (&cell.release, &cell.variant, &cell.base, &cell.arch);
            if !seen.insert(key) {
                return Err(invalid(format!("the matrix has {key:?} twice")));
            }
            if let Some(Published { compressed, extracted }) = cell.published
                && ![compressed, extracted].iter().all(|mib| mib.is_finite() && *mib > 0.0)
            {
                let found = format!("{compressed} / {extracted}");
                return Err(invalid(format!("{key:?}: published sizes are positive, found {found} MiB")));
            }
            if let Some(size) = cell.ours {
                size.check(&format!("{key:?}"))?;
            }
        }
        for record in &self.history.records {
            for cell in &record.cells {
                cell.size
                    .check(&format!("record {:?}, {:?} {:?}", record.name, cell.release, cell.variant))?;
            }
        }
        self.images.iter().try_for_each(|image| image.check(&image.name))
    }
}

impl Size {
    fn check(self, of: &str) -> Result<()> {
        let ok = |bytes: u64| (1..=MOST_BYTES).contains(&bytes);
        if ok(self.compressed) && ok(self.extracted) {
            return Ok(());
        }
        let Self { compressed, extracted } = self;
        Err(invalid(format!("{of}: sizes are between 1 and 2^53 bytes, found {compressed} / {extracted}")))
    }
}

impl Node {
    fn check(&self, path: &str) -> Result<()> {
        if self.bytes > MOST_BYTES {
            return Err(invalid(format!("{path:?} has {} bytes, more than 2^53", self.bytes)));
        }
        let parts = self.children.iter().try_fold(0_u64, |sum, child| sum.checked_add(child.bytes));
        if parts.is_none_or(|parts| parts > self.bytes) {
            return Err(invalid(format!("{path:?} has {} bytes, but its parts have more", self.bytes)));
        }
        self.children.iter().try_for_each(|child| child.check(&format!("{path}/{}", child.name)))
    }
}

fn invalid(message: String) -> anyhow::Error {
    Fault::new(fault::Kind::InvalidData, message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        let error = Input::parse(json.as_bytes(), "sizes.json").unwrap_err();
        assert_eq!(fault::exit_code(&error), 3, "{error:#}");
        format!("{error:#}")
    }

    fn with_cells(cells: &str) -> String {
        format!(r#"{{"version":1,"matrix":{{"cells":[{cells}]}}}}"#)
    }

    const CELL: &str = r#"{"release":"v1","variant":"cni","base":"micro","arch":"amd64","counted":true"#;

    #[test]
    fn the_real_figures_are_read_and_written_the_same() {
        let json = include_bytes!("../testdata/input.json");
        let input = Input::parse(json, "input.json").unwrap();
        assert_eq!(Input::parse(&serde_json::to_vec(&input).unwrap(), "again").unwrap(), input);
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        insta::assert_snapshot!(refused("{"), @"sizes.json is not an input of a report: EOF while parsing an object at line 1 column 1");
        insta::assert_snapshot!(refused(r#"{"version":2,"matrix":{"cells":[]}}"#), @"sizes.json: version 2, but this command knows 1");
        insta::assert_snapshot!(refused(&with_cells(&format!("{CELL}}},{CELL}}}"))), @r#"sizes.json: the matrix has ("v1", "cni", "micro", "amd64") twice"#);
        insta::assert_snapshot!(
            refused(&with_cells(&format!(r#"{CELL},"published":{{"compressed":0,"extracted":1}}}}"#))), @r#"sizes.json: ("v1", "cni", "micro", "amd64"): published sizes are positive, found 0 / 1 MiB"#);
        insta::assert_snapshot!(
            refused(&with_cells(&format!(r#"{CELL},"ours":{{"compressed":0,"extracted":1}}}}"#))), @r#"sizes.json: ("v1", "cni", "micro", "amd64"): sizes are between 1 and 2^53 bytes, found 0 / 1"#);
        let image = |rest: &str| {
            format!(
                r#"{{"version":1,"matrix":{{"cells":[]}},"images":[{{"name":"i","kind":"image",{rest}}}]}}"#
            )
        };
        let part = r#"{"name":"a","kind":"layer","bytes":3}"#;
        insta::assert_snapshot!(refused(&image(&format!(r#""bytes":5,"children":[{part},{part}]"#))), @r#"sizes.json: "i" has 5 bytes, but its parts have more"#);
        insta::assert_snapshot!(refused(&image(r#""bytes":18446744073709551615"#)), @r#"sizes.json: "i" has 18446744073709551615 bytes, more than 2^53"#);
    }

    #[test]
    fn a_tree_without_end_is_refused() {
        let open = r#"{"name":"x","kind":"directory","bytes":1,"children":["#;
        let json = format!(
            r#"{{"version":1,"matrix":{{"cells":[]}},"images":[{}{}]}}"#,
            open.repeat(100_000),
            "]}".repeat(100_000)
        );
        assert!(refused(&json).contains("recursion limit"));
    }
}
