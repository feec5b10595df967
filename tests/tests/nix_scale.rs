//! Nix beyond one machine: a remote builder, and a binary cache.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::nix::{Nix, StandIns};
use tests::{cmd, image, scratch, skip, wait_for};

const ATTR: &str = "kubelet-v1_26_0-amd64";
const BUILDER: &str = "192.0.2.2";
const PORT: &str = "2022";
/// What a machine does first, and then waits until its standard input is closed. `$1` is a directory of its own, which
/// becomes `$2`, where Nix has its store; other machines do not see that.
const MACHINE: &str = r#"
set -eu
mount --make-rprivate /
if [ "$1" != "$2" ]; then mkdir -p "$2"; mount --bind "$1" "$2"; fi
mkdir -p /run/sshd
ip link set lo up
echo ready
while read -r _; do :; done
"#;

/// Mount and network namespaces of its own; ends when dropped.
struct Machine(Child);

impl Machine {
    /// One whose Nix has its store in `own`, though it calls it `dir`.
    fn start(own: &Path, dir: &Path) -> Result<Self> {
        let mut child = Command::new("unshare")
            .args(["--mount", "--net", "bash", "-c", MACHINE, "machine"])
            .args([own, dir])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start unshare")?;
        let mut ready = String::new();
        BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut ready)?;
        ensure!(ready == "ready\n", "the machine did not come up");
        Ok(Self(child))
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// The same command on this machine.
    fn on(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.args(["--target", &self.id(), "--mount", "--net", "--"]).arg(command.get_program());
        entered.args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                entered.env(name, value);
            }
        }
        entered
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        cmd::ok(&mut self.on(Command::new(program).args(args)))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A checkout, built by the tests' Nix.
struct Built {
    dir: tempfile::TempDir,
    nix: Nix,
    flags: Vec<String>,
}

impl Built {
    fn new() -> Result<Option<Self>> {
        if skip::without(&["nix", "go", "unshare", "nsenter", "ip", "sshd", "ssh-keygen"])? {
            return Ok(None);
        }
        let dir = scratch::dir()?;
        scratch::checkout(&dir.path().join("checkout"))?;
        let flags = StandIns::new(dir.path())?.flags();
        let built = Self { dir, nix: Nix::shared()?, flags };
        cmd::ok(&mut built.build(&[]))?;
        Ok(Some(built))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `nix build` of the image, with the link `result`.
    fn build(&self, more: &[&str]) -> Command {
        let mut command = self.nix.command(&["build", "--print-build-logs", "--out-link"]);
        command.arg(self.path("result")).args(&self.flags).args(more);
        command.arg(format!("path:{}#{ATTR}", self.path("checkout").display()));
        command
    }
}

#[test]
fn another_machine_substitutes_everything_from_a_signed_cache() -> Result<()> {
    let Some(built) = Built::new()? else { return Ok(()) };
    let image = fs::canonicalize(built.path("result"))?;
    let digest = image::digest(&image)?;
    for name in ["ours", "others"] {
        let (secret, public) = (built.path(name), built.path(&format!("{name}.pub")));
        let mut generate = built.nix.command(&["--generate-binary-cache-key", name]);
        cmd::ok(tests::nix::store_command(&mut generate).args([secret, public]))?;
    }
    let cache = format!("file://{}", built.path("cache").display());
    let signing = format!("{cache}?secret-key={}", built.path("ours").display());
    cmd::ok(built.nix.command(&["copy", "--to", &signing]).arg(&image))?;

    let own = built.path("machine");
    Nix::new("nix".into(), own.clone())?;
    fs::remove_file(built.path("result"))?;
    let machine = Machine::start(&own, &built.nix.dir)?;
    let substitute = |key: &str| -> Result<cmd::Output> {
        let key = fs::read_to_string(built.path(&format!("{key}.pub")))?;
        // No job: what is not in the cache is not available.
        // Without a network Nix asks no cache unless it is told to.
        let told = ["--option", "substitute", "true"];
        let more = ["--max-jobs", "0", "--substituters", &cache, "--trusted-public-keys", key.trim()];
        let more = [more.as_slice(), &told].concat();
        cmd::output(&mut machine.on(&built.build(&more)))
    };
    let refused = substitute("others")?;
    assert!(!refused.status.success(), "what nobody we trust has signed was taken");
    assert!(refused.stderr.contains("is not signed by any of the keys"), "{}", refused.stderr);
    let taken = substitute("ours")?;
    assert!(taken.status.success(), "{}", taken.stderr);
    let copy = own.join("store").join(image.file_name().context("no name")?);
    assert_eq!(image::digest(&copy)?, digest);
    // The image alone came: neither a compiler nor a kubelet.
    let is_other = |name: &str| name.contains("component-") || name.contains("go-modules-");
    let there = fs::read_dir(own.join("store"))?.collect::<Result<Vec<_>, _>>()?;
    let others = there.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let others: Vec<String> = others
        .filter(|name| is_other(name) && Path::new(name).extension().is_none_or(|end| end != "drv"))
        .collect();
    assert_eq!(others, Vec::<String>::new());
    Ok(())
}

#[test]
fn another_machine_builds_over_ssh() -> Result<()> {
    let Some(built) = Built::new()? else { return Ok(()) };
    let before = image::digest(&built.path("result"))?;
    for name in ["host-key", "key"] {
        let path = built.path(name);
        cmd::ok(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path))?;
    }
    let own = built.path("builder");
    Nix::new("nix".into(), own.clone())?;
    let (client, builder) =
        (Machine::start(&built.nix.dir, &built.nix.dir)?, Machine::start(&own, &built.nix.dir)?);
    cmd::ok(Command::new("ip").args(["link", "add", "near", "netns", &client.id(), "type", "veth"]).args([
        "peer",
        "name",
        "far",
        "netns",
        &builder.id(),
    ]))?;
    for (machine, address, link) in [(&client, "192.0.2.1/24", "near"), (&builder, "192.0.2.2/24", "far")] {
        machine.run("ip", &["address", "add", address, "dev", link])?;
        machine.run("ip", &["link", "set", link, "up"])?;
    }
    let environment: Vec<String> = built
        .nix
        .command(&[])
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value?.to_str()?)))
        .collect();
    let config = format!(
        "Port {PORT}\nListenAddress {BUILDER}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPidFile none\nUsePAM no\nSetEnv {}\n",
        built.path("host-key").display(),
        built.path("key.pub").display(),
        environment.join(" ")
    );
    let (file, log) = (built.path("sshd_config"), built.path("sshd.log"));
    fs::write(&file, config)?;
    let sshd = skip::which("sshd").or_else(|| Some("/usr/sbin/sshd".into())).context("no sshd")?;
    let mut daemon =
        builder.on(Command::new(sshd).arg("-D").arg("-f").arg(&file).arg("-E").arg(&log)).spawn()?;
    wait_for("sshd", Duration::from_secs(20), || {
        Ok(fs::read_to_string(&log).ok().filter(|text| text.contains("Server listening")))
    })?;

    // A change that nobody has built: the base's layer and the image are made on the other machine.
    let text = format!("{}\n", built.dir.path().display());
    fs::write(built.path("checkout/images/rootfs/micro/etc/remote-builder"), text)?;
    let key = built.path("key");
    let builders = format!("ssh-ng://root@{BUILDER} x86_64-linux {} 1 1", key.display());
    let mut build = built.build(&["--max-jobs", "0", "--builders", &builders]);
    build
        .env("NIX_SSHOPTS", format!("-p {PORT} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"));
    let out = cmd::output(&mut client.on(&build))?;
    daemon.kill()?;
    daemon.wait()?;
    assert!(out.status.success(), "{}\n{}", out.stderr, fs::read_to_string(&log)?);
    let image = fs::canonicalize(built.path("result"))?;
    assert_ne!(image::digest(&image)?, before);
    let there = own.join("store").join(image.file_name().context("no name")?);
    assert_eq!(image::digest(&there)?, image::digest(&image)?);
    Ok(())
}
