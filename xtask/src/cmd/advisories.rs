//! `advisories`: known vulnerabilities of the Go modules and toolchain in images.

mod vex;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};
use gobuild::vulncheck::Vulncheck;
use serde::Serialize;
use serde_json::Value;
use toolchain::Host;

use super::session::{How, Session};
use crate::context::{Context, write_out};

/// Go's own database.
const DATABASE: &str = "https://vuln.go.dev";
/// The largest document of an earlier run that is read, in bytes.
const MAX_VEX: u64 = 64 << 20;
const ELF: &[u8] = b"\x7fELF";

/// Say which known vulnerabilities concern the Go programs in images, by govulncheck.
///
/// Programs carry no symbols: a finding says that a module or the Go toolchain has a vulnerable version, not that its
/// code is reached. Modules that are edited for the build count as the versions they were made of.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask advisories kubelet-v1_26_0-amd64            the layout in target/images
  cargo xtask advisories target/images/kubelet-v1_26_0-amd64 --db vulndb --vex kubelet.vex.json
  cargo xtask advisories kubelet-v1_26_0-amd64 --json")]
pub(crate) struct Advisories {
    /// Layouts, or attributes of layouts in target/images.
    #[arg(value_name = "ATTR|LAYOUT", required = true)]
    images: Vec<String>,
    /// The vulnerability database: a directory or a URL, in the format of Go's.
    #[arg(long, value_name = "DIR|URL", default_value = DATABASE)]
    db: String,
    /// Write a VEX document too, as `OpenVEX` has it.
    #[arg(long, value_name = "FILE")]
    vex: Option<PathBuf>,
    /// The repository that the images are in, for the names of products in that document.
    #[arg(long, value_name = "HOST/REPOSITORY", requires = "vex")]
    repository: Option<String>,
    #[command(flatten)]
    how: How,
}

/// The answer for machines.
#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    programs: &'a [Scanned],
}

/// A program of an image, and what is known of it.
#[derive(Debug, Serialize)]
struct Scanned {
    /// The layout's name.
    image: String,
    /// What the image calls itself.
    #[serde(skip)]
    title: String,
    /// The manifest's digest.
    digest: String,
    /// The program's path in the image.
    program: String,
    advisories: Vec<Advisory>,
}

/// A vulnerability of which a program has the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Advisory {
    id: String,
    aliases: Vec<String>,
    summary: String,
    module: String,
    found: String,
    /// Where it is repaired, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<String>,
}

impl Advisories {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let database = database(&self.db)?;
        let session = Session::open(context, &self.how)?;
        let (tools, work) = (session.tools()?, session.store.scratch_dir()?);
        let check =
            Vulncheck::build(&session.sources.go(), Host::current()?.arch(), tools.go()?, work.path())?;
        let mut programs = Vec::new();
        for image in &self.images {
            let here = Path::new(image);
            let layout = if here.is_dir() { here.to_owned() } else { context.built(image)? };
            if !layout.join("oci-layout").is_file() {
                return Err(Fault::new(Kind::Unknown, format!("there is no layout `{image}`"))
                    .help(format!("`cargo xtask build {image}` makes it, if it is an attribute"))
                    .into());
            }
            scan(&check, &layout, &database, work.path(), &mut programs)?;
        }
        if let Some(file) = &self.vex {
            let now = jiff::Timestamp::now();
            // What is a pipe or a device has no earlier document.
            let old = if file.is_file() { files::read_named(file, MAX_VEX)? } else { None };
            let old = old.and_then(|old| serde_json::from_slice(&old).ok());
            let document = vex::after(vex::document(&programs, self.repository.as_deref(), now), old, now);
            let text = serde_json::to_string_pretty(&document)?;
            files::write(file, format!("{text}\n").as_bytes())?;
        }
        if context.json {
            return context.print_json(&Answer { version: 1, programs: &programs });
        }
        write_out(&told(&programs))
    }
}

/// The URL of a database; a directory must be one.
fn database(given: &str) -> Result<String> {
    if given.contains("://") {
        return Ok(given.to_owned());
    }
    let dir = std::path::absolute(given)?;
    if !dir.join("index/db.json").is_file() {
        let message = format!("{} is no vulnerability database: it has no index/db.json", dir.display());
        let fault = Fault::new(Kind::Database, message);
        return Err(fault.help("--db names a directory or a URL in the format of Go's database").into());
    }
    Ok(format!("file://{}", dir.display()))
}

/// Scans the Go programs of a layout's images.
fn scan(
    check: &Vulncheck<'_>,
    dir: &Path,
    database: &str,
    work: &Path,
    into: &mut Vec<Scanned>,
) -> Result<()> {
    let layout = sizes::measure::open(dir)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for image in &layout.images {
        for index in 0..image.manifest.layers().len() {
            exec::interrupt::check()?;
            let mut found: Vec<(String, PathBuf)> = Vec::new();
            layout.contents(image, index, &mut |path, _, data| {
                let mut head = Vec::new();
                (&mut *data).take(ELF.len() as u64).read_to_end(&mut head)?;
                if head == ELF {
                    let file = work.join(format!("program-{}", found.len()));
                    let mut to = std::fs::File::create(&file)?;
                    std::io::copy(&mut head.as_slice().chain(data), &mut to)?;
                    found.push((path.to_owned(), file));
                }
                Ok(())
            })?;
            for (program, file) in found {
                let extracted = check.extract(&file)?;
                std::fs::remove_file(&file)?;
                let Some(extracted) = extracted else { continue };
                let advisories = advisories(&check.scan(&extracted, database)?);
                let digest = image.descriptor.digest().to_string();
                let annotations = image.manifest.annotations().as_ref();
                let title =
                    annotations.and_then(|all| all.get(attest::label::TITLE)).unwrap_or(&name).clone();
                into.push(Scanned { image: name.clone(), title, digest, program, advisories });
            }
        }
    }
    Ok(())
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
fn told(programs: &[Scanned]) -> String {
    let mut lines = Vec::new();
    for Scanned { image, program, advisories, .. } in programs {
        lines.push(format!("{image} {program}: {} known vulnerabilities", advisories.len()));
        for Advisory { id, aliases, summary, module, found, fixed } in advisories {
            let also = if aliases.is_empty() { String::new() } else { format!(" ({})", aliases.join(", ")) };
            let fixed = fixed.as_ref().map_or("not fixed".to_owned(), |fixed| format!("fixed in {fixed}"));
            lines.push(format!("  {id}{also}: {module} {found}, {fixed}: {summary}"));
        }
    }
    if lines.is_empty() { "there is no Go program in these images".to_owned() } else { lines.join("\n") }
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
        let all = advisories(&[osv, finding(json!({})), finding(json!({"package": "a.b/c/d"}))]);
        assert_eq!(all.len(), 1);
        let (image, digest, program) = ("i".to_owned(), "sha256:0".to_owned(), "usr/bin/p".to_owned());
        insta::assert_snapshot!(told(&[Scanned { title: image.clone(), image, digest, program, advisories: all }]), @r"
        i usr/bin/p: 1 known vulnerabilities
          GO-1 (CVE-1): a.b/c v1.0.0, fixed in v1.0.1: s
        ");
    }

    #[test]
    fn a_directory_that_is_no_database_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = database(&dir.path().display().to_string()).unwrap_err();
        assert_eq!(fault::exit_code(&error), Kind::Database.exit_code());
        assert_eq!(database("https://v.test").unwrap(), "https://v.test");
    }
}
