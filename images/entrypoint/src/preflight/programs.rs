//! Checks of programs that the kubelet and kubeadm run: found where, and what does not work without them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::facts::Facts;
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::settings::Settings;
use crate::child::captured;
use crate::host::{self, Closed, Missing};
use crate::init::DEFAULT_PATH;
use crate::kubelet::{Image, Release};
use crate::path;

/// How long iptables may take to say which it is.
const LIMIT: Duration = Duration::from_secs(5);

/// Programs that are for the same thing, which a node may do without.
const GROUPS: [(&str, &str, &[&str]); 3] = [
    (
        "block volumes",
        "volumes on block devices are checked, formatted, mounted and grown by them",
        &["blkid", "blockdev", "fsck", "losetup", "mkfs.ext4", "mkfs.xfs", "resize2fs", "xfs_growfs"],
    ),
    ("NFS volumes", "mount(8) of NFS runs it", &["mount.nfs"]),
    ("iSCSI volumes", "iSCSI volumes are attached by them", &["iscsiadm", "multipath"]),
];

/// Where a program is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Image(PathBuf),
    Host(PathBuf),
    Missing(Missing),
}

/// All of these checks.
pub(crate) fn check(facts: &Facts, settings: &Settings) -> Vec<Finding> {
    let image = Image::here();
    let release = facts.read_on_host("/etc/os-release").or_else(|| facts.read_on_host("/usr/lib/os-release"));
    let os = release.unwrap_or_default();
    let mut findings = vec![iptables(&look(&["iptables", "ip6tables"]), settings, image.release, &os)];
    findings.extend(GROUPS.iter().map(|(name, why, programs)| {
        let found = sorted(programs, &look(programs), &os);
        Finding::ok(name, why, found)
    }));
    findings.extend(kubeadm(settings, image.release, &os));
    findings
}

/// Where each program is: in the image, or else on the host.
fn look(programs: &[&str]) -> Vec<Place> {
    let own = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    let own = std::env::split_paths(&own).filter(|dir| !dir.starts_with(host::LINKS));
    let own = std::env::join_paths(own).unwrap_or_default();
    let hosts = host::find_all(programs);
    let place = |(index, program): (usize, &&str)| match path::find_program(program.as_ref(), &own) {
        Ok(file) => Place::Image(file),
        Err(_) => match &hosts {
            Ok(hosts) => hosts[index].clone().map_or_else(Place::Missing, Place::Host),
            Err(closed) => Place::Missing(Missing::Closed(closed.clone())),
        },
    };
    programs.iter().enumerate().map(place).collect()
}

/// What puts a program there.
fn repair(missing: &Missing, programs: &[&str], os: &str) -> Repair {
    match missing {
        Missing::Closed(Closed::OwnPid) => Repair::HostPid,
        Missing::Closed(Closed::Refused(..)) => Repair::Privileged,
        Missing::Closed(Closed::Off) => {
            Repair::Text("leave out KUBELET_HOST_TOOLS=off, and the host's are run".to_owned())
        }
        Missing::Closed(Closed::Here) | Missing::Nowhere | Missing::Unfit(..) => {
            let command = host::install(programs, os).map(|command| format!("`{command}`"));
            let command = command.unwrap_or_else(|| {
                let programs = programs.join(", ");
                format!("install {programs}; where it has them in a directory of its own: KUBELET_HOST_TOOLS=DIRECTORY")
            });
            Repair::Text(format!("on the host: {command}; then start this container again"))
        }
    }
}

fn iptables(places: &[Place], settings: &Settings, release: Option<Release>, os: &str) -> Finding {
    let name = "iptables";
    // kube-proxy's packets to be dropped are marked, and whoever marks and drops them is the kubelet.
    let drops = release.is_none_or(|release| release < Release::one(25));
    let why = if drops {
        "until Kubernetes 1.24 kube-proxy leaves it to the kubelet to drop what it refuses: without the kubelet's rules \
         `loadBalancerSourceRanges` LETS EVERYBODY IN; nor are neighbours kept from 127.0.0.1 (CVE-2020-8558)"
    } else {
        "the kubelet keeps neighbours from 127.0.0.1 (CVE-2020-8558), and makes the chain by which kube-proxy chooses \
         nft or legacy"
    };
    let asked = settings.value("make-iptables-util-chains", "makeIPTablesUtilChains") != Some("false");
    if !asked {
        let found = "makeIPTablesUtilChains: false: the kubelet makes no rules";
        if !drops {
            return Finding::ok(name, why, found);
        }
        let text =
            "leave out makeIPTablesUtilChains: false, unless a network plugin does all of kube-proxy's work";
        return Finding::bad(Status::Warning, name, why, found, Repair::Text(text.to_owned()));
    }
    let (place, version) = match &places[0] {
        Place::Missing(missing) => {
            let repair = match repair(missing, &["iptables", "ip6tables"], os) {
                Repair::Text(text) if !drops => Repair::Text(format!(
                    "{text}; or, if nothing on this node uses iptables, `makeIPTablesUtilChains: false` in the kubelet's configuration"
                )),
                repair => repair,
            };
            return Finding::bad(Status::Warning, name, why, missing.to_string(), repair);
        }
        Place::Host(file) => {
            (format!("the host's {}", file.display()), host::output(file, &["--version"], LIMIT))
        }
        Place::Image(file) => {
            (format!("the image's {}", file.display()), captured(Command::new(file).arg("--version"), LIMIT))
        }
    };
    match version.map(|output| (output.code, flavour(&output.text))) {
        Ok((Some(0), Some(flavour))) => {
            let six = if matches!(places[1], Place::Missing(_)) {
                "; no ip6tables: rules for IPv6 are not made"
            } else {
                ""
            };
            Finding::ok(name, why, format!("{place}: {flavour}{six}"))
        }
        Ok(_) => Finding::bad(
            Status::Warning,
            name,
            why,
            format!("{place}: `iptables --version` does not say its version"),
            repair(&Missing::Nowhere, &["iptables", "ip6tables"], os),
        ),
        Err(reason) => Finding::bad(
            Status::Warning,
            name,
            why,
            reason,
            repair(&Missing::Nowhere, &["iptables", "ip6tables"], os),
        ),
    }
}

/// Version and kind of iptables: `v1.8.9, nft`.
fn flavour(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("iptables v"))?;
    let mut words = line.split(' ').skip(1);
    let version = words.next()?;
    // Before 1.8 there was one kind.
    let kind = if words.next() == Some("(nf_tables)") { "nft" } else { "legacy" };
    Some(format!("{version}, {kind}"))
}

/// Programs by where they are, and what installs those that are nowhere.
fn sorted(programs: &[&str], places: &[Place], os: &str) -> String {
    let all = || programs.iter().copied().zip(places);
    let own: Vec<&str> =
        all().filter(|(_, place)| matches!(place, Place::Image(_))).map(|(program, _)| program).collect();
    let hosts: Vec<&str> =
        all().filter(|(_, place)| matches!(place, Place::Host(_))).map(|(program, _)| program).collect();
    let missing: Vec<(&str, &Missing)> = all()
        .filter_map(|(program, place)| match place {
            Place::Missing(missing) => Some((program, missing)),
            _ => None,
        })
        .collect();
    let mut parts = Vec::new();
    if !own.is_empty() {
        parts.push(format!("the image's {}", own.join(", ")));
    }
    if !hosts.is_empty() {
        parts.push(format!("the host's {}", hosts.join(", ")));
    }
    let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    match missing.first() {
        None => {}
        Some((_, Missing::Closed(closed))) => {
            parts.push(format!("without {}: the host's are not run: {closed}", names.join(", ")));
        }
        Some(_) => {
            let install =
                host::install(&names, os).map(|command| format!(" (`{command}`)")).unwrap_or_default();
            parts.push(format!("not found on the host: {}{install}", names.join(", ")));
        }
    }
    for (program, missing) in missing {
        if let Missing::Unfit(file, why) = missing {
            parts.push(format!("{program}: the host's {} is not run: {why}", file.display()));
        }
    }
    parts.join("; ")
}

/// What kubeadm's own preflight looks for, in images that have kubeadm, until the node has joined.
fn kubeadm(settings: &Settings, release: Option<Release>, os: &str) -> Option<Finding> {
    let own = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    path::find_program("kubeadm".as_ref(), &own).ok()?;
    let (name, why) = ("kubeadm", "kubeadm's preflight looks for them; the kubelet does not need them");
    if settings.flag("kubeconfig").is_some_and(|file| Path::new(file).exists()) {
        return Some(Finding::ok(name, why, "not needed: this node has joined"));
    }
    let (wanted, fatal) = asked_by_kubeadm(release);
    let places = look(&wanted);
    let found = sorted(&wanted, &places, os);
    let lacks: Vec<(&str, &Missing)> = wanted
        .iter()
        .zip(&places)
        .filter(|(program, _)| fatal.contains(program))
        .filter_map(|(program, place)| match place {
            Place::Missing(missing) => Some((*program, missing)),
            _ => None,
        })
        .collect();
    let Some((_, missing)) = lacks.first() else { return Some(Finding::ok(name, why, found)) };
    let names: Vec<&str> = lacks.iter().map(|(program, _)| *program).collect();
    let repair = match names[..] {
        ["crictl"] => Repair::Text(
            "take an image that has crictl, or put crictl into /usr/local/bin of the host, and start this container again"
                .to_owned(),
        ),
        _ => repair(missing, &names, os),
    };
    let found = format!("`kubeadm join` will refuse without {}; {found}", names.join(", "));
    Some(Finding::bad(Status::Warning, name, why, found, repair))
}

/// What this release's kubeadm looks for in PATH and the image may not have; and without which of them it refuses.
fn asked_by_kubeadm(release: Option<Release>) -> (Vec<&'static str>, Vec<&'static str>) {
    let there = |row: &host::Row| {
        let before = |cell| Release::parse(cell).zip(release).is_some_and(|(of, ours)| ours < of);
        !before(row.since) && (row.removed == "-" || release.is_none() || before(row.removed))
    };
    let rows = host::rows().filter(|row| row.who.split(',').any(|who| who == "kubeadm"));
    let rows: Vec<host::Row> =
        rows.filter(|row| row.answer == "host" && there(row) && row.without != "feature").collect();
    let names = |rows: &mut dyn Iterator<Item = &host::Row>| rows.map(|row| row.program).collect();
    (names(&mut rows.iter()), names(&mut rows.iter().filter(|row| row.without == "fatal")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &str) -> Settings {
        Settings::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    fn nowhere() -> Vec<Place> {
        vec![Place::Missing(Missing::Nowhere); 2]
    }

    #[test]
    fn without_iptables_1_24_lets_everybody_in() {
        for (release, alarming) in [("v1.24.17", true), ("v1.25.5", false), ("", true)] {
            let found = iptables(&nowhere(), &settings("-v=2"), Release::parse(release), "ID=debian\n");
            assert_eq!(found.status, Status::Warning, "{release}");
            assert_eq!(found.why.contains("LETS EVERYBODY IN"), alarming, "{release}");
            assert!(found.why.contains("CVE-2020-8558"), "{release}");
            let Some(Repair::Text(text)) = found.repair else { panic!("{release}") };
            assert!(text.starts_with("on the host: `apt-get install iptables`; then start"), "{text}");
            assert_eq!(text.contains("makeIPTablesUtilChains"), !alarming, "{text}");
        }
    }

    #[test]
    fn a_kubelet_that_makes_no_rules_needs_no_iptables_but_for_1_24() {
        let file = std::env::temp_dir().join(format!("entrypoint-iptables-{}", std::process::id()));
        std::fs::write(&file, "makeIPTablesUtilChains: false\n").unwrap();
        let given = settings(&format!("--config={}", file.display()));
        std::fs::remove_file(&file).unwrap();
        let status = |release| iptables(&nowhere(), &given, Release::parse(release), "").status;
        assert_eq!((status("v1.24.9"), status("v1.26.0")), (Status::Warning, Status::Ok));
    }

    #[test]
    fn what_opens_the_host_repairs() {
        let by = |missing| repair(&missing, &["iptables"], "");
        assert_eq!(by(Missing::Closed(Closed::OwnPid)), Repair::HostPid);
        let Repair::Text(text) = by(Missing::Closed(Closed::Off)) else { panic!() };
        assert!(text.contains("KUBELET_HOST_TOOLS=off"), "{text}");
        let Repair::Text(text) = by(Missing::Nowhere) else { panic!() };
        assert!(text.contains("install iptables; where it has them in a directory of its own"), "{text}");
    }

    #[test]
    fn kinds_of_iptables() {
        for (text, expected) in [
            ("iptables v1.8.9 (nf_tables)\n", Some("v1.8.9, nft")),
            ("warning\niptables v1.8.7 (legacy)\n", Some("v1.8.7, legacy")),
            ("iptables v1.6.1\n", Some("v1.6.1, legacy")),
            ("BusyBox\n", None),
        ] {
            assert_eq!(flavour(text).as_deref(), expected, "{text}");
        }
        let real = iptables(
            &[Place::Image("/bin/sh".into()), Place::Image("x".into())],
            &settings("-v=2"),
            None,
            "",
        );
        assert_eq!(real.status, Status::Warning, "{}", real.found);
    }

    #[test]
    fn programs_are_told_apart_by_where_they_are() {
        let places = [
            Place::Image("/sbin/blkid".into()),
            Place::Host("/usr/sbin/fsck".into()),
            Place::Missing(Missing::Nowhere),
            Place::Missing(Missing::Nowhere),
        ];
        assert_eq!(
            sorted(&["blkid", "fsck", "mkfs.xfs", "xfs_growfs"], &places, "ID=alpine\n"),
            "the image's blkid; the host's fsck; not found on the host: mkfs.xfs, xfs_growfs (`apk add xfsprogs xfsprogs-extra`)"
        );
        let closed = [Place::Missing(Missing::Closed(Closed::OwnPid))];
        assert!(
            sorted(&["mount.nfs"], &closed, "")
                .starts_with("without mount.nfs: the host's are not run: this")
        );
    }

    #[test]
    fn kubeadm_asks_by_its_release() {
        let of = |release| asked_by_kubeadm(Release::parse(release));
        let (wanted, fatal) = of("v1.26.0");
        assert!(wanted.contains(&"socat") && wanted.contains(&"crictl"), "{wanted:?}");
        assert_eq!(fatal, ["iptables", "conntrack", "ip", "crictl"]);
        let (wanted, fatal) = of("v1.34.4");
        assert!(!wanted.contains(&"socat") && !wanted.contains(&"crictl"), "{wanted:?}");
        assert!(fatal.contains(&"losetup") && !fatal.contains(&"iptables"), "{fatal:?}");
    }
}
