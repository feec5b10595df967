//! A containerd in a directory, to pull images from registries on this machine: it runs nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{cmd, wait_for};

/// Ends when dropped.
#[derive(Debug)]
pub struct Containerd {
    process: Child,
    socket: PathBuf,
}

impl Containerd {
    /// Starts it, with all that it keeps in this new directory.
    pub fn start(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let path = |name: &str| dir.join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
            path("root"),
            path("state"),
            path("socket"),
            path("socket.ttrpc")
        );
        fs::write(dir.join("config.toml"), config)?;
        let log = dir.join("log");
        let process = Command::new("containerd")
            .arg("--config")
            .arg(dir.join("config.toml"))
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .spawn()
            .context("cannot start containerd")?;
        let mut containerd = Self { process, socket: dir.join("socket") };
        wait_for("answer from containerd", Duration::from_secs(30), || {
            if let Some(status) = containerd.process.try_wait()? {
                bail!("containerd ended ({status}):\n{}", fs::read_to_string(&log)?);
            }
            Ok(containerd.ctr().args(["version"]).output()?.status.success().then_some(()))
        })?;
        Ok(containerd)
    }

    fn ctr(&self) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&self.socket);
        command
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it says of its images.
    pub fn images(&self) -> Result<String> {
        cmd::ok(self.ctr().args(["images", "ls"]))
    }

    /// The digests of all that it keeps.
    pub fn content(&self) -> Result<Vec<String>> {
        let all = cmd::ok(self.ctr().args(["content", "ls", "-q"]))?;
        Ok(all.lines().map(str::to_owned).collect())
    }

    /// Pulls and unpacks an image for amd64 by plain HTTP; returns the digest that containerd has it under.
    pub fn pull(&self, name: &str) -> Result<String> {
        let how = ["--plain-http", "--snapshotter", "native", "--platform", "linux/amd64"];
        cmd::ok(self.ctr().args(["images", "pull"]).args(how).arg(name))?;
        let table = cmd::ok(self.ctr().args(["images", "ls", &format!("name=={name}")]))?;
        let digest = table.lines().nth(1).and_then(|line| line.split_whitespace().nth(2));
        digest.map(str::to_owned).with_context(|| format!("{name} is not among the images:\n{table}"))
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
