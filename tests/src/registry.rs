//! A registry on the loopback address.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{cmd, go_tool, wait_for};

/// The user of a registry that requires one.
pub const USER: &str = "tester";
/// The password.
pub const PASSWORD: &str = "s3cret-word";
/// The same as htpasswd has it.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuEpHRRKIlpAGo.iP7Bpa.htQEJMAAnRe";

/// Ends when dropped.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    address: String,
    command: Vec<OsString>,
    log: PathBuf,
}

impl Registry {
    /// Starts Debian's `docker-registry`, with its blobs in this directory.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::with(dir, "", "")
    }

    /// As [`Self::start`], by https with a certificate of a test authority, `ca.pem` in the directory, and only for the
    /// user [`USER`] with [`PASSWORD`].
    pub fn start_secure(dir: &Path) -> Result<Self> {
        let openssl = |args: &str| cmd::ok(Command::new("openssl").args(args.split(' ')).current_dir(dir));
        openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=test -days 2")?;
        openssl("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=registry")?;
        fs::write(dir.join("extensions"), "subjectAltName=IP:127.0.0.1\n")?;
        openssl(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile extensions",
        )?;
        fs::write(dir.join("htpasswd"), format!("{USER}:{HASH}\n"))?;
        let path = |name: &str| dir.join(name).display().to_string();
        let auth = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path("htpasswd"));
        Self::with(
            dir,
            &auth,
            &format!(", tls: {{certificate: {}, key: {}}}", path("cert.pem"), path("key.pem")),
        )
    }

    fn with(dir: &Path, auth: &str, tls: &str) -> Result<Self> {
        let address = free()?;
        let config = dir.join("registry.yml");
        let blobs = dir.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n{auth}http: {{addr: {address}{tls}}}\n",
            blobs.display()
        );
        fs::write(&config, text)?;
        Self::of(dir, address, vec!["docker-registry".into(), "serve".into(), config.into()])
    }

    /// Starts go-containerregistry's, which keeps its blobs in memory.
    pub fn start_crane(dir: &Path) -> Result<Self> {
        let (crane, address) = (go_tool::CRANE.pinned()?, free()?);
        let args = ["registry", "serve", "--address", &address].map(OsString::from);
        let command = std::iter::once(crane.into()).chain(args).collect();
        Self::of(dir, address, command)
    }

    fn of(dir: &Path, address: String, command: Vec<OsString>) -> Result<Self> {
        let log = dir.join("registry.log");
        File::create(&log)?;
        let process = serve(&command, &log, &address)?;
        Ok(Self { process, address, command, log })
    }

    /// Kills it, and starts it again with the same address and blobs.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = serve(&self.command, &self.log, &self.address)?;
        Ok(())
    }

    /// How many blobs and manifests `docker-registry` was sent and took, by its own access log.
    pub fn puts(&self) -> Result<usize> {
        let log = fs::read_to_string(&self.log)?;
        Ok(log.lines().filter(|line| line.contains("\"PUT /v2/") && line.contains("\" 201 ")).count())
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// An address that nobody listens on.
fn free() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Starts it, and waits until it answers.
fn serve(command: &[OsString], log: &Path, address: &str) -> Result<Child> {
    let append = || File::options().append(true).open(log);
    let (program, args) = command.split_first().context("no command")?;
    let mut process = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(append()?)
        .stderr(append()?)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let up = wait_for("registry", Duration::from_secs(20), || {
        if let Some(status) = process.try_wait()? {
            bail!("{} ended ({status}):\n{}", program.display(), fs::read_to_string(log)?);
        }
        Ok(std::net::TcpStream::connect(address).ok())
    });
    if up.is_err() {
        let _ = process.kill();
        let _ = process.wait();
    }
    up.map(|_| process)
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
