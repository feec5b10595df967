//! The machine itself, and `cargo xtask vm`.

use std::fs;
use std::process::Command;

use ::vm::Network;
use anyhow::{Context, Result, ensure};
use fault::Kind as Fault;
use serde_json::Value;
use tests::vm::{self, Kind};
use tests::xtask::Xtask;
use tests::{cmd, scratch, skip};

/// It is what tests take it for: nobody's container, cgroups of version 2, mounts that are shared, a stock kernel.
#[test]
fn a_machine_has_a_process_1_and_cgroups_of_its_own() -> Result<()> {
    vm::with(Kind::Plain, |session| {
        let said = session.run(
            "cat /proc/1/comm; stat -f -c %T /sys/fs/cgroup; findmnt -n -o PROPAGATION /; uname -r
             nsenter --target 1 --mount true; iptables -S; losetup --find; ls -A /etc/kubernetes 2>/dev/null || true",
        )?;
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..3], ["init", "cgroup2fs", "shared"], "{said}");
        ensure!(lines[3].contains("-cloud-"), "{said}");
        assert_eq!(
            lines[4..],
            ["-P INPUT ACCEPT", "-P FORWARD ACCEPT", "-P OUTPUT ACCEPT", "/dev/loop0"],
            "{said}"
        );
        Ok(())
    })
}

/// A restart ends all that runs, and keeps what is on the disk.
#[test]
fn a_machine_restarts() -> Result<()> {
    vm::with(Kind::Plain, |session| {
        let boot = session.run("cat /proc/sys/kernel/random/boot_id; echo kept >/var/lib/kept; sync")?;
        session.reboot(::vm::Runtime::Containerd)?;
        let again = session.run("cat /proc/sys/kernel/random/boot_id; cat /var/lib/kept")?;
        ensure!(again.ends_with("kept\n") && !again.starts_with(boot.trim()), "{boot}{again}");
        Ok(())
    })
}

/// Without power, what was on the disk stays, and what was on its way to it does not: as where a plug is pulled.
#[test]
fn a_machine_loses_its_power() -> Result<()> {
    vm::with(Kind::Plain, |session| {
        let boot = session.run(
            "echo kept >/var/lib/kept; sync; echo on its way >/var/lib/lost; cat /proc/sys/kernel/random/boot_id",
        )?;
        session.cut_power()?;
        let again = session.run(
            "cat /proc/sys/kernel/random/boot_id; cat /var/lib/kept; cat /var/lib/lost 2>/dev/null || true
             touch /var/lib/new; sync; mount | grep ' / '; dmesg | grep -c 'error (device' || true",
        )?;
        let lines: Vec<&str> = again.lines().collect();
        ensure!(lines[0] != boot.trim() && lines[1] == "kept", "{boot}{again}");
        ensure!(lines[2].contains(" ext4 (rw,") && lines[3] == "0", "{again}");
        Ok(())
    })
}

/// Two machines with a cable between them: each has its name and address, and what is sent arrives whole.
#[test]
fn machines_of_a_network_reach_each_other() -> Result<()> {
    if skip::unless_full("two machines at a time")
        || skip::without(&vm::PROGRAMS)?
        || skip::without(&["qemu-system-x86_64"])?
    {
        return Ok(());
    }
    let network = Network::new()?;
    let mut first = vm::boot(Kind::Plain, Some(network.card(0)?))?;
    let mut second = vm::boot(Kind::Plain, Some(network.card(1)?))?;
    let serve =
        "set -e; mkdir /srv/www; head -c 20000000 /dev/urandom >/srv/www/large; hostname >/srv/www/name
                 sha256sum </srv/www/large; busybox httpd -p 192.0.2.10:8080 -h /srv/www";
    let sum = first.ok(serve, vm::LIMIT)?;
    let fetch = "set -e; hostname; busybox wget -qO- http://192.0.2.10:8080/name
                 busybox wget -qO- http://192.0.2.10:8080/large | sha256sum";
    assert_eq!(second.ok(fetch, vm::LIMIT)?, format!("node1\nnode\n{sum}"));
    // Whose cable is pulled is not reached any more.
    drop(network);
    ensure!(second.ok("! timeout 5 busybox wget -qO- http://192.0.2.10:8080/name", vm::LIMIT)?.is_empty());
    Ok(())
}

/// The verb: a script's output and exit code are its own; files and disks are there; JSON says when what was reached.
#[test]
fn the_verb_ends_as_its_script_does() -> Result<()> {
    if skip::without(&vm::PROGRAMS)? || skip::without(&["qemu-system-x86_64"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let (script, file) = (dir.path().join("script"), dir.path().join("file"));
    fs::write(
        &script,
        "#!/bin/bash\ncat /opt/given; lsblk -b -n -o SIZE /dev/vdb; echo $RUNTIME; echo bad >&2; kill -9 $$\n",
    )?;
    fs::write(&file, "from outside\n")?;
    let (script, given) = (script.display().to_string(), format!("{}:/opt/given", file.display()));
    let log = dir.path().join("console.log");
    let args = [
        "vm",
        "--run",
        &script,
        "--file",
        &given,
        "--disk",
        "16",
        "--console",
        &log.display().to_string(),
        "--json",
    ];
    let out = Xtask::new()?.output(&args)?;
    assert_eq!(out.code(), Some(137), "{}{}", out.stdout, out.stderr);
    let report: Value = serde_json::from_str(out.stdout.trim()).with_context(|| out.stdout.clone())?;
    assert_eq!(report["scripts"][0]["stdout"], "from outside\n16777216\ncontainerd\n");
    // The shell that started it may say of the signal.
    let stderr = report["scripts"][0]["stderr"].as_str().context("no standard error")?;
    ensure!(stderr.starts_with("bad\n"), "{stderr}");
    let reached: Vec<_> = report["milestones"].as_array().context("no milestones")?.iter().collect();
    assert_eq!(reached[0]["name"], "process 1 is up");
    assert_eq!(reached[1]["name"], "containerd is up");
    ensure!(reached[0]["seconds"].as_f64() < reached[1]["seconds"].as_f64(), "{report}");
    // Nothing of it runs any more.
    let running = cmd::output(Command::new("pgrep").args(["--full", &log.display().to_string()]))?;
    ensure!(running.stdout.is_empty(), "{}", running.stdout);
    Ok(())
}

#[test]
fn what_makes_no_sense_is_said_before_a_machine_is_made() -> Result<()> {
    let xtask = Xtask::new()?;
    xtask.fails(&["vm", "--run", "no-such-script"], Fault::NotFound, &["cannot read no-such-script"])?;
    xtask.fails(
        &["vm", "--arch", "riscv64"],
        Fault::Usage,
        &["`riscv64` is not an architecture of images"],
    )?;
    xtask.fails(&["vm", "--file", "a:b"], Fault::Usage, &["expected FILE:PATH"])?;
    Ok(())
}
