//! Makes components: compiles, packs, extracts.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use plan::{Component, Made, Packing};
use store::{Key, Object};

use super::Executor;

impl Executor<'_> {
    /// The component, from the store or made now.
    pub fn component(&self, key: &Key, component: &Component) -> Result<Object> {
        self.timings.measure(&component.name, || {
            self.store.object(key, &component.name, self.progress, |dir| {
                self.make(component, &dir.join(Component::FILE))
                    .with_context(|| format!("making {}", component.name))
            })
        })
    }

    fn make(&self, component: &Component, out: &Path) -> Result<()> {
        match &component.made {
            Made::Go { recipe, packing: Packing { pack, upx: Some(upx) } } => {
                let plain = component.plain().context("it is packed, and is not")?;
                let plain = self.component(&plain.key()?, &plain)?.file(Component::FILE)?;
                self.pack(recipe, *pack, upx, &plain, out)
            }
            Made::Go { recipe, .. } => {
                let tools = self.tools.go()?;
                let work = self.store.scratch_dir()?;
                gobuild::fetch(recipe, tools, work.path(), self.progress)?;
                gobuild::compile(recipe, tools, self.jobs, work.path(), out, self.progress)
            }
            Made::Rust { inputs } => {
                let work = self.store.scratch_dir()?;
                let job = rustbuild::Job {
                    inputs: (**inputs).clone(),
                    source: self.sources.entrypoint(),
                    out: out.to_owned(),
                    offline: self.tools.setup.offline,
                    jobs: Some(self.jobs),
                };
                let dirs = self.rust_dirs(work.path())?;
                rustbuild::build(self.tools.rust()?, &dirs, &job, self.progress).map(drop)
            }
            Made::Certificates { .. } => {
                let bundle = self.tools.setup.ensure_ca_certificates()?;
                let text = fs::read_to_string(&bundle.path).context("the CA bundle cannot be read")?;
                fs::write(out, without_comments(&text)).context("the CA bundle cannot be written")
            }
        }
    }

    /// Fetches what making the component needs, unless it is made already.
    pub(super) fn fetch_component(&self, component: &Component) -> Result<()> {
        match &component.made {
            Made::Go { recipe, .. } => {
                let work = self.store.scratch_dir()?;
                gobuild::fetch(recipe, self.tools.go()?, work.path(), self.progress)
            }
            Made::Rust { .. } => {
                let work = self.store.scratch_dir()?;
                let (tools, dirs) = (self.tools.rust()?, self.rust_dirs(work.path())?);
                rustbuild::fetch(tools, &dirs, &self.sources.entrypoint(), self.progress)
            }
            Made::Certificates { .. } => self.tools.setup.ensure_ca_certificates().map(drop),
        }
    }

    fn rust_dirs(&self, work: &Path) -> Result<rustbuild::Dirs> {
        let zig_cache = self.store.tool_cache("zig")?;
        Ok(rustbuild::Dirs { cargo_home: self.tools.cargo_home()?, work: work.to_owned(), zig_cache })
    }
}

/// The certificates alone: what stands between them are the names of their owners, for people.
fn without_comments(pem: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(pem.len());
    for line in pem.lines() {
        inside |= line.starts_with("-----BEGIN ");
        if inside {
            out.push_str(line);
            out.push('\n');
        }
        inside &= !line.starts_with("-----END ");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_certificates_stay() {
        let pem = "# Issuer: A\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n\n# B\n\
                   -----BEGIN CERTIFICATE-----\r\nBB==\r\n-----END CERTIFICATE-----\r\n";
        let expected = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n\
                        -----BEGIN CERTIFICATE-----\nBB==\n-----END CERTIFICATE-----\n";
        assert_eq!(without_comments(pem), expected);
    }
}
