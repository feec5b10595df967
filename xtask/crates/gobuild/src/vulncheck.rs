//! govulncheck, pinned like any other program: which known vulnerabilities concern a Go binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};
use serde_json::Value;

use crate::modules::problem;
use crate::recipe::Target;
use crate::tools::{Tools, Work};

/// Its closure, below `images/go`.
const CLOSURE: &str = "govulncheck";
const PACKAGE: &str = "golang.org/x/vuln/cmd/govulncheck";
/// How its answer says that a binary is none of Go's.
const FOREIGN: &str = "unrecognized binary format";

/// The program, built.
pub struct Vulncheck<'a> {
    tools: &'a Tools,
    work: Work,
}

impl<'a> Vulncheck<'a> {
    /// Builds it for this machine's architecture (`arch` by Go's name) from the closure in `root`, `images/go`; in a
    /// moment once Go's build cache has it. `work` is a directory for temporary files.
    pub fn build(root: &Path, arch: &str, tools: &'a Tools, work: &Path) -> Result<Self> {
        let read = |name: &str| {
            let file = root.join(CLOSURE).join(name);
            fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
        };
        let work = Work::new(work, &read("go.mod")?, &read("go.sum")?)?;
        let run = tools.go_fetching(&Target::plain(arch), &work)?.env("CGO_ENABLED", "0");
        let out = run.args(["build", "-mod=readonly", "-o"]).arg(work.output()).arg(PACKAGE).finish()?;
        if !out.status.success() {
            let message = format!("govulncheck cannot be built:\n{}", out.stderr_tail);
            return Err(problem(message, &[&out.stderr_tail], tools.offline));
        }
        Ok(Self { tools, work })
    }

    /// What is known of a Go binary: its modules, of which those that were edited for the build count as what they were
    /// made of. `None` for a file that is not a Go program.
    pub fn extract(&self, binary: &Path) -> Result<Option<String>> {
        let out = Run::new(self.work.output()).args(["-mode=extract"]).arg(binary).finish()?;
        if !out.status.success() || out.stdout.is_empty() {
            if out.stderr_tail.contains(FOREIGN) {
                return Ok(None);
            }
            let message = format!("{} cannot be read:\n{}", binary.display(), out.stderr_tail);
            return Err(Fault::new(Kind::InvalidData, message).into());
        }
        unedited(&String::from_utf8_lossy(&out.stdout)).map(Some)
    }

    /// Compares what [`Vulncheck::extract`] gave with a database, a URL: govulncheck's messages.
    ///
    /// # Errors
    /// [`Kind::Database`] where the database is not available or cannot be read.
    pub fn scan(&self, extracted: &str, database: &str) -> Result<Vec<Value>> {
        let file: PathBuf = self.work.temporary().join("extracted");
        fs::write(&file, extracted).context("writing what was read of a binary")?;
        let run = self.tools.host.connect(Run::new(self.work.output()));
        let out = run.args(["-mode=binary", "-format=json", "-db", database]).arg(&file).finish()?;
        if !out.status.success() {
            let message =
                format!("the vulnerability database {database} cannot be used:\n{}", out.stderr_tail);
            return Err(Fault::new(Kind::Database, message).help("--db DIR|URL names another one").into());
        }
        let messages = serde_json::Deserializer::from_slice(&out.stdout).into_iter();
        messages.collect::<Result<_, _>>().context("what govulncheck says")
    }
}

/// A module replaced by a directory is one of `edits.toml`: databases know it by its own name and version.
fn unedited(extracted: &str) -> Result<String> {
    let (head, body) = extracted.split_once('\n').context("govulncheck's answer has no head")?;
    let mut body: Value = serde_json::from_str(body).context("what govulncheck read of a binary")?;
    for module in body["modules"].as_array_mut().into_iter().flatten() {
        if module["Replace"]["Path"].as_str().is_some_and(|path| path.starts_with("./")) {
            module["Replace"] = Value::Null;
        }
    }
    Ok(format!("{head}\n{body}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edited_modules_have_their_own_names_and_others_their_replacements() {
        let text = "{\"name\":\"x\"}\n{\"modules\":[{\"Path\":\"a\",\"Replace\":{\"Path\":\"./edited/a\"}},\
                    {\"Path\":\"b\",\"Replace\":{\"Path\":\"c\"}}]}\n";
        insta::assert_snapshot!(unedited(text).unwrap(), @r#"
        {"name":"x"}
        {"modules":[{"Path":"a","Replace":null},{"Path":"b","Replace":{"Path":"c"}}]}
        "#);
        unedited("nothing").unwrap_err();
    }
}
