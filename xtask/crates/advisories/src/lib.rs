//! Known vulnerabilities of the Go modules and toolchain in images, and of their Alpine packages.
//!
//! Programs carry no symbols: a finding says that a module or the Go toolchain has a vulnerable version, not that its
//! code is reached.

mod packages;
mod vex;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use alpine::secdb::Database;
use anyhow::Result;
use fault::{Fault, Kind};
use gobuild::vulncheck::Vulncheck;
use oci::layout::{Layout, LayoutImage};
use serde::Serialize;
use serde_json::Value;
use sizes::go;

pub use packages::{Packages, Vulnerable};
pub use vex::write;

/// What is known of images.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Their Go programs.
    pub programs: Vec<Scanned>,
    /// By image, where Alpine's database was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpine: Option<Vec<Packages>>,
}

/// An image, as it is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The layout's name.
    #[serde(rename = "image")]
    pub layout: String,
    /// What the image calls itself.
    #[serde(skip)]
    pub title: String,
    /// The manifest's digest.
    pub digest: String,
}

/// A program of an image, and what is known of it.
#[derive(Debug, Serialize)]
pub struct Scanned {
    /// The image.
    #[serde(flatten)]
    pub image: Image,
    /// The program's path in the image.
    pub program: String,
    /// The vulnerabilities.
    pub advisories: Vec<Advisory>,
}

/// A vulnerability of which a program has the module, or an image the package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Advisory {
    /// What the database calls it.
    pub id: String,
    /// What others call it.
    pub aliases: Vec<String>,
    /// In a few words; empty where the database has none.
    pub summary: String,
    /// The Go module, or the package that Alpine's were built from.
    pub module: String,
    /// Its version.
    pub found: String,
    /// Where it is repaired, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
}

/// Looks into all images of layouts. `go` is the URL of a database in the format of Go's; `check` makes govulncheck, which
/// only who has a Go program needs; programs are copied to `work`.
pub fn scan<'t>(
    layouts: &[Layout],
    go: &str,
    alpine: Option<&Database>,
    work: &Path,
    check: impl Fn() -> Result<Vulncheck<'t>>,
) -> Result<Report> {
    let mut made = None;
    let mut report = Report { alpine: alpine.map(|_| Vec::new()), ..Report::default() };
    for layout in layouts {
        for found in &layout.images {
            let name = Image::of(layout.dir(), found);
            if let (Some(database), Some(all)) = (alpine, &mut report.alpine) {
                all.push(packages::scan(database, layout, found, name.clone())?);
            }
            for (program, file) in programs(layout, found, work)? {
                if made.is_none() {
                    made = Some(check()?);
                }
                let Some(check) = &made else { continue };
                let extracted = check.extract(&file)?;
                std::fs::remove_file(&file)?;
                let Some(extracted) = extracted else { continue };
                let advisories = advisories(&check.scan(&extracted, go)?);
                report.programs.push(Scanned { image: name.clone(), program, advisories });
            }
        }
    }
    Ok(report)
}

impl Image {
    fn of(layout: &Path, found: &LayoutImage) -> Self {
        let layout = layout.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let annotations = found.manifest.annotations().as_ref();
        let title = annotations.and_then(|all| all.get(catalog::label::TITLE)).unwrap_or(&layout).clone();
        Self { title, digest: found.descriptor.digest().to_string(), layout }
    }
}

/// The URL of a database; a directory must be one.
pub fn database(given: &str) -> Result<String> {
    if given.contains("://") {
        return Ok(given.to_owned());
    }
    let dir = std::path::absolute(given)?;
    if !dir.join("index/db.json").is_file() {
        let message = format!("{} is not a vulnerability database: it has no index/db.json", dir.display());
        let fault = Fault::new(Kind::Database, message);
        return Err(fault.help("--db names a directory or a URL in the format of Go's database").into());
    }
    Ok(format!("file://{}", dir.display()))
}

/// The Go programs of an image: their paths in it, and files in `work` that they were copied to.
fn programs(layout: &Layout, image: &LayoutImage, work: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for index in 0..image.manifest.layers().len() {
        exec::interrupt::check()?;
        layout.contents(image, index, &mut |path, _, data| {
            let mut head = Vec::new();
            (&mut *data).take(elf::MAGIC.len() as u64).read_to_end(&mut head)?;
            if head == elf::MAGIC {
                let file = work.join(format!("program-{}", found.len()));
                let mut to = std::fs::File::create(&file)?;
                std::io::copy(&mut head.as_slice().chain(data), &mut to)?;
                // govulncheck reads no other.
                if contains(&mut std::fs::File::open(&file)?, go::MAGIC)? {
                    found.push((path.to_owned(), file));
                }
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Does a file have these bytes somewhere?
fn contains(file: &mut impl Read, what: &[u8]) -> std::io::Result<bool> {
    let mut chunk = Vec::new();
    loop {
        // The end of the last chunk, for what lies across both.
        chunk.drain(..chunk.len().saturating_sub(what.len() - 1));
        let before = chunk.len();
        (&mut *file).take(64 << 10).read_to_end(&mut chunk)?;
        if chunk.len() == before {
            return Ok(false);
        }
        if chunk.windows(what.len()).any(|window| window == what) {
            return Ok(true);
        }
    }
}

/// What govulncheck's messages find, once for each vulnerability and module.
fn advisories(messages: &[Value]) -> Vec<Advisory> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut known = BTreeMap::new();
    for osv in messages.iter().filter_map(|message| message.get("osv")) {
        known.insert(text(&osv["id"]), osv);
    }
    let mut found = BTreeMap::new();
    for finding in messages.iter().filter_map(|message| message.get("finding")) {
        let (id, place) = (text(&finding["osv"]), &finding["trace"][0]);
        let osv = known.get(&id).copied().unwrap_or(&Value::Null);
        let advisory = Advisory {
            aliases: osv["aliases"].as_array().into_iter().flatten().map(text).collect(),
            summary: text(&osv["summary"]),
            module: text(&place["module"]),
            found: text(&place["version"]),
            fixed: finding["fixed_version"].as_str().filter(|fixed| !fixed.is_empty()).map(ToOwned::to_owned),
            id: id.clone(),
        };
        found.entry((id, advisory.module.clone())).or_insert(advisory);
    }
    found.into_values().collect()
}

/// For people.
pub fn render_text(report: &Report) -> String {
    let mut lines = Vec::new();
    for Scanned { image, program, advisories } in &report.programs {
        lines.push(format!("{} {program}: {} known vulnerabilities", image.layout, advisories.len()));
        lines.extend(by_module(advisories, ""));
    }
    if lines.is_empty() {
        lines.push("there is no Go program in these images".to_owned());
    }
    lines.extend(packages::render_text(report.alpine.as_deref().unwrap_or_default()));
    lines.join("\n")
}

/// A line for each module, followed by `note`, and below it one for each of its vulnerabilities.
fn by_module(advisories: &[Advisory], note: &str) -> Vec<String> {
    let mut modules: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for Advisory { id, aliases, summary, module, found, fixed } in advisories {
        let also = if aliases.is_empty() { String::new() } else { format!(" ({})", aliases.join(", ")) };
        let fixed = fixed.as_ref().map_or("not fixed".to_owned(), |fixed| format!("fixed in {fixed}"));
        let summary = if summary.is_empty() { String::new() } else { format!(": {summary}") };
        modules.entry((module, found)).or_default().push(format!("    {id}{also}, {fixed}{summary}"));
    }
    let lines = |((module, found), of)| [vec![format!("  {module} {found}{note}")], of].concat();
    modules.into_iter().flat_map(lines).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn findings_are_told_once_with_what_the_database_says() {
        let osv = json!({"osv": {"id": "GO-1", "aliases": ["CVE-1"], "summary": "s"}});
        let finding = |extra: Value| {
            let mut place = json!({"module": "a.b/c", "version": "v1.0.0"});
            place.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            json!({"finding": {"osv": "GO-1", "fixed_version": "v1.0.1", "trace": [place]}})
        };
        let mut all = advisories(&[osv, finding(json!({})), finding(json!({"package": "a.b/c/d"}))]);
        assert_eq!(all.len(), 1);
        all.push(Advisory {
            id: "GO-3".to_owned(),
            module: "a.b/d".to_owned(),
            found: "v2.0.0".to_owned(),
            ..Advisory::default()
        });
        all.push(Advisory { id: "GO-2".to_owned(), fixed: None, aliases: Vec::new(), ..all[0].clone() });
        let image = Image { layout: "i".to_owned(), title: "i".to_owned(), digest: "sha256:0".to_owned() };
        let programs = vec![Scanned { image, program: "usr/bin/p".to_owned(), advisories: all }];
        insta::assert_snapshot!(render_text(&Report { programs, alpine: None }), @r"
        i usr/bin/p: 3 known vulnerabilities
          a.b/c v1.0.0
            GO-1 (CVE-1), fixed in v1.0.1: s
            GO-2, not fixed: s
          a.b/d v2.0.0
            GO-3, not fixed
        ");
    }

    #[test]
    fn bytes_are_found_also_where_two_chunks_meet() {
        for at in [0, 5, (64 << 10) - 7, 64 << 10, 100_000] {
            let mut bytes = vec![0xff; 150_000];
            bytes[at..at + go::MAGIC.len()].copy_from_slice(go::MAGIC);
            assert!(contains(&mut bytes.as_slice(), go::MAGIC).unwrap(), "{at}");
            bytes[at + 3] = b'X';
            assert!(!contains(&mut bytes.as_slice(), go::MAGIC).unwrap(), "{at}");
        }
        assert!(!contains(&mut [].as_slice(), go::MAGIC).unwrap());
    }

    #[test]
    fn a_directory_that_is_no_database_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = database(&dir.path().display().to_string()).unwrap_err();
        assert_eq!(fault::exit_code(&error), Kind::Database.exit_code());
        assert_eq!(database("https://v.test").unwrap(), "https://v.test");
    }
}
