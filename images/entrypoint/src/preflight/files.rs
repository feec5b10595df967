//! Checks of the files that the kubelet's flags and its configuration name.

use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::facts::Facts;
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::mounts::mounted_from_host;
use super::settings::Settings;
use super::table::{Access, Propagation};
use crate::regular;

/// What is there to be looked for.
struct Named {
    flag: &'static str,
    /// Its path in the configuration.
    config: &'static str,
    /// How wrong it is that it is missing.
    missing: Status,
    why: &'static str,
}

const NAMED: [Named; 7] = [
    Named {
        flag: "client-ca-file",
        config: "authentication.x509.clientCAFile",
        missing: Status::Error,
        why: "clients of the kubelet are known by it",
    },
    Named {
        flag: "tls-cert-file",
        config: "tlsCertFile",
        missing: Status::Error,
        why: "the kubelet's certificate",
    },
    Named {
        flag: "tls-private-key-file",
        config: "tlsPrivateKeyFile",
        missing: Status::Error,
        why: "the key of the kubelet's certificate",
    },
    Named {
        flag: "image-credential-provider-config",
        config: "",
        missing: Status::Error,
        why: "credentials for registries",
    },
    Named {
        flag: "image-credential-provider-bin-dir",
        config: "",
        missing: Status::Error,
        why: "programs that have credentials for registries",
    },
    Named { flag: "pod-manifest-path", config: "staticPodPath", missing: Status::Ok, why: "static pods" },
    Named {
        flag: "volume-plugin-dir",
        config: "volumePluginDir",
        missing: Status::Ok,
        why: "volume plugins of the host",
    },
];

/// All of these checks.
pub(crate) fn check(facts: &Facts, settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![configuration(settings)];
    findings.extend(kubeconfig(settings));
    findings.push(resolv_conf(facts, settings));
    for named in &NAMED {
        if let Some(path) = settings.value(named.flag, named.config).filter(|path| path.starts_with('/')) {
            findings.push(named_file(facts, named, path));
        }
    }
    findings
}

fn configuration(settings: &Settings) -> Finding {
    let (name, why) = ("configuration", "the kubelet ends without the file that --config names");
    match (&settings.file, &settings.unreadable) {
        (None, None) => Finding::ok(name, why, "flags only"),
        (Some(file), None) => Finding::ok(name, why, file),
        (_, Some((file, error))) => {
            let text =
                "`kubeadm join` writes it; or give a file of yours by --config=FILE, or none by --config=";
            let joining = settings
                .unfinished()
                .map(|it| format!("; join is not finished: {}", it.why))
                .unwrap_or_default();
            Finding::bad(
                Status::Error,
                name,
                why,
                format!("{file} cannot be read: {error}{joining}"),
                Repair::Text(text.to_owned()),
            )
        }
    }
}

/// With a kubeconfig that is named, it or the one to bootstrap from must be there.
fn kubeconfig(settings: &Settings) -> Option<Finding> {
    let (name, why) = ("kubeconfig", "address and credentials of the cluster");
    let kubeconfig = settings.flag("kubeconfig").filter(|file| !file.is_empty())?;
    let bootstrap = settings.flag("bootstrap-kubeconfig").filter(|file| !file.is_empty());
    let there = [Some(kubeconfig), bootstrap].into_iter().flatten().find(|file| Path::new(file).exists());
    if let Some(file) = there {
        return Some(special(name, why, file).unwrap_or_else(|| Finding::ok(name, why, file)));
    }
    let found = match bootstrap {
        Some(bootstrap) => {
            format!("neither {kubeconfig} nor {bootstrap} exists: this node has joined no cluster")
        }
        None => format!("{kubeconfig} does not exist: this node has joined no cluster"),
    };
    let text = "run `kubeadm join ...` from an image with kubeadm, with /etc/kubernetes and /var/lib/kubelet mounted; or, for a kubelet without a cluster, set KUBELET_STANDALONE=1 in the container's environment";
    Some(Finding::bad(Status::Error, name, why, found, Repair::Text(text.to_owned())))
}

fn resolv_conf(facts: &Facts, settings: &Settings) -> Finding {
    let (name, why) = ("resolv.conf", "pods' name servers are taken from it");
    let file = settings.stated("resolv-conf", "resolvConf").unwrap_or("/etc/resolv.conf");
    if file.is_empty() {
        return Finding::ok(name, why, "none is wanted");
    }
    if let Some(special) = special(name, why, file) {
        return special;
    }
    let Ok(text) = regular::read_text(Path::new(file)) else {
        return Finding::bad(
            Status::Error,
            name,
            why,
            format!("{file} does not exist, so no pod could start"),
            file_repair(facts, file),
        );
    };
    let servers: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")).map(str::trim).collect();
    let is_loopback = |server: &&str| server.starts_with("127.") || **server == *"::1";
    if !servers.is_empty() && servers.iter().all(is_loopback) {
        let text = "name a file with the real servers by `resolvConf`, and mount it: with systemd-resolved it is /run/systemd/resolve/resolv.conf";
        let found = format!("{file} names only {}, which in a pod is the pod itself", servers.join(" "));
        return Finding::bad(Status::Warning, name, why, found, Repair::Text(text.to_owned()));
    }
    Finding::ok(name, why, file)
}

/// The row of a file that the kubelet would wait for without end, or find no end of.
fn special(name: &str, why: &'static str, path: &str) -> Option<Finding> {
    let found = format!("{path}: {}", regular::why_unreadable(Path::new(path))?);
    let repair = Repair::Text("put a regular file there".to_owned());
    Some(Finding::bad(Status::Error, name, why, found, repair))
}

fn named_file(facts: &Facts, named: &Named, path: &str) -> Finding {
    let name = if named.config.is_empty() { named.flag } else { named.config };
    if let Some(special) = special(name, named.why, path) {
        return special;
    }
    let exists = Path::new(path).exists();
    let mounted = mounted_from_host(facts, Path::new(path)).is_some();
    match (exists, mounted) {
        (true, true) => Finding::ok(name, named.why, path),
        // A file that an image of one's own has will do; a directory that only the container has gets nothing new.
        (true, false) if named.missing == Status::Error => {
            Finding::ok(name, named.why, format!("{path}, of the image"))
        }
        (false, true) if named.missing == Status::Ok => {
            Finding::ok(name, named.why, format!("{path}, not there yet"))
        }
        (false, _) if named.missing == Status::Error => Finding::bad(
            Status::Error,
            name,
            named.why,
            format!("{path} does not exist"),
            file_repair(facts, path),
        ),
        _ => Finding::bad(
            Status::Warning,
            name,
            named.why,
            format!("{path} is not mounted from the host, so what is put there is not seen"),
            file_repair(facts, path),
        ),
    }
}

/// The mount of the directory that a file is in; where it is mounted already, the host lacks the file.
fn file_repair(facts: &Facts, path: &str) -> Repair {
    let directory = Path::new(path).parent().unwrap_or(Path::new("/"));
    // /etc and the like are the image's own.
    let whole = directory == Path::new("/etc") || directory == Path::new("/");
    let mount = if whole { Path::new(path) } else { directory };
    let missing = matches!(facts.on_host(mount, OFlags::PATH), Some(Err(Errno::NOENT | Errno::NOTDIR)));
    if missing || mounted_from_host(facts, Path::new(path)).is_some() {
        return Repair::Text(format!("the host has no {path}: make it there, or name another file"));
    }
    let path = mount;
    Repair::Mount {
        path: path.to_string_lossy().into_owned(),
        propagation: Propagation::Default,
        access: Access::Read,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::preflight::facts::Answer;
    use crate::regular::tests::{in_time, specials};

    #[test]
    fn what_is_not_a_file_is_named() {
        let dir = std::env::temp_dir().join(format!("entrypoint-named-{}", std::process::id()));
        for (path, what) in specials(&dir) {
            for flag in [
                "config",
                "kubeconfig",
                "bootstrap-kubeconfig",
                "resolv-conf",
                "client-ca-file",
                "tls-private-key-file",
                "pod-manifest-path",
            ] {
                let args: Vec<OsString> =
                    vec!["--kubeconfig=/missing".into(), format!("--{flag}={}", path.display()).into()];
                let rows = in_time(move || {
                    let facts = Facts {
                        mounts: vec![],
                        host_pid: Answer::No,
                        host_mounts: None,
                        capabilities: 0,
                        host_capabilities: u64::MAX,
                    };
                    check(&facts, &Settings::of(&args))
                });
                let found: Vec<_> = rows.iter().filter(|row| row.found.contains(what)).collect();
                assert_eq!(found.len(), 1, "--{flag} {}: {rows:#?}", path.display());
                assert_eq!(found[0].status, Status::Error);
                assert!(found[0].found.contains(&path.display().to_string()), "{}", found[0].found);
            }
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
