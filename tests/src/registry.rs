//! A registry on the loopback address.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{cmd, wait_for};

/// The user of a registry that demands one.
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
    config: PathBuf,
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
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = dir.join("registry.yml");
        let blobs = dir.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n{auth}http: {{addr: {address}{tls}}}\n",
            blobs.display()
        );
        fs::write(&config, text)?;
        let log = dir.join("registry.log");
        File::create(&log)?;
        let process = serve(&config, &log, &address)?;
        Ok(Self { process, address, config, log })
    }

    /// Kills it, and starts it again with the same address and blobs.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = serve(&self.config, &self.log, &self.address)?;
        Ok(())
    }

    /// How many blobs and manifests it was sent and took, by its own access log.
    pub fn puts(&self) -> Result<usize> {
        let log = fs::read_to_string(&self.log)?;
        Ok(log.lines().filter(|line| line.contains("\"PUT /v2/") && line.contains("\" 201 ")).count())
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Starts it, and waits until it answers.
fn serve(config: &Path, log: &Path, address: &str) -> Result<Child> {
    let append = || File::options().append(true).open(log);
    let mut process = Command::new("docker-registry")
        .arg("serve")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(append()?)
        .stderr(append()?)
        .spawn()
        .context("cannot start docker-registry")?;
    let up = wait_for("registry", Duration::from_secs(20), || {
        if let Some(status) = process.try_wait()? {
            bail!("docker-registry ended ({status}):\n{}", fs::read_to_string(log)?);
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
