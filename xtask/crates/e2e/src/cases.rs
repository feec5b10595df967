//! The table: what is asserted of a cluster. One more is one more entry, and its files in `rows`.

use fault::{Fault, Kind};

use crate::case::{Case, Group, Need, Place, Step};

use Group::{Fault as Broken, Workload};
use Place::{First, Second};
use Step::{CutPower, Plug, Reboot, Replace, Restart, Run, Unplug};

/// What all cases may use: a web server on each node, and services of it.
pub(crate) const BASE: &str = include_str!("../rows/base.yaml");
/// Waits until that serves: any case may be the first.
pub(crate) const BASE_READY: &str = include_str!("../rows/base.sh");
/// What scripts begin with.
pub(crate) const PRELUDE: &str = include_str!("../rows/prelude.sh");

macro_rules! row {
    ($name:literal) => {
        include_str!(concat!("../rows/", $name))
    };
}

const KEEP: Step = Run(First, row!("keep.sh"));
const KEPT: Step = Run(First, row!("kept.sh"));
const KEEP_FIRST: Step = Run(First, "keep $FIRST");
const KEPT_FIRST: Step = Run(First, "kept $FIRST");
/// What a kubelet says from now on counts.
const SINCE: Step = Run(First, "since");
/// The second node's kubelet has, and the node is Ready.
const SPOKE: Step = Run(First, row!("spoke.sh"));
const HOLD: Step = Run(First, row!("hold.sh"));
const HELD: Step = Run(First, row!("held.sh"));

const fn case(
    group: Group,
    name: &'static str,
    about: &'static str,
    manifest: &'static str,
    steps: &'static [Step],
) -> Case {
    Case { group, name, about, manifest, steps, needs: &[] }
}

/// All, in the order in which they run.
pub const CASES: [Case; 34] = [
    case(
        Workload,
        "deployment",
        "a deployment's pods are on both nodes and ready",
        "",
        &[Run(First, row!("deployment.sh"))],
    ),
    case(
        Workload,
        "pod-to-pod",
        "a pod asks one on the other node, each way",
        "",
        &[Run(First, row!("pod-to-pod.sh"))],
    ),
    case(
        Workload,
        "cluster-ip",
        "a service's address leads pods of each node to all its pods",
        "",
        &[Run(First, row!("cluster-ip.sh"))],
    ),
    case(
        Workload,
        "dns",
        "a service is found by its name from each node",
        "",
        &[Run(First, row!("dns.sh")), Run(Second, row!("dns.sh"))],
    ),
    case(
        Workload,
        "node-port",
        "a port of each node leads to a service, asked from each node",
        "",
        &[Run(First, row!("node-port.sh")), Run(Second, row!("node-port.sh"))],
    ),
    case(
        Workload,
        "source-ranges",
        "a load balancer's address answers those whom the service names, on each node",
        row!("source-ranges.yaml"),
        &[
            Run(First, row!("source-ranges-open.sh")),
            Run(First, row!("source-ranges-answers.sh")),
            Run(Second, row!("source-ranges-answers.sh")),
            Run(First, row!("source-ranges-first.sh")),
            Run(Second, row!("source-ranges-silent.sh")),
            Run(First, row!("source-ranges-answers.sh")),
        ],
    ),
    case(
        Workload,
        "host-port",
        "a port of the node leads to a pod, asked from there and from the other node",
        row!("host-port.yaml"),
        &[Run(First, row!("host-port.sh")), Run(Second, row!("host-port-there.sh"))],
    ),
    case(
        Workload,
        "streams",
        "logs, exec with input and exit code, attach, port-forward",
        row!("streams.yaml"),
        &[Run(First, row!("streams.sh"))],
    ),
    case(
        Workload,
        "configuration",
        "ConfigMap, Secret, projected, downward API, token, emptyDir and subPath, then what changes of them",
        row!("configuration.yaml"),
        &[
            Run(First, row!("configuration.sh")),
            Run(Second, row!("scratch-there.sh")),
            Run(First, row!("updates.sh")),
        ],
    ),
    case(
        Workload,
        "local-volume",
        "a directory of a node is a volume: its pods are there, and the next one reads what one wrote",
        row!("local-volume.yaml"),
        &[
            Run(Second, row!("local-volume-there.sh")),
            Run(First, row!("local-volume.sh")),
            Run(Second, row!("local-volume-kept-there.sh")),
        ],
    ),
    case(
        Workload,
        "probes",
        "startup, readiness and liveness: not ready, ready, and started again",
        row!("probes.yaml"),
        &[Run(First, row!("probes.sh"))],
    ),
    case(
        Workload,
        "init-containers",
        "init containers in order, hooks of start and stop, SIGTERM, and a hostPath that is made",
        row!("init-containers.yaml"),
        &[Run(First, row!("init-containers.sh")), Run(Second, row!("init-containers-there.sh"))],
    ),
    case(
        Workload,
        "job",
        "a job's pods end, and it is complete",
        row!("job.yaml"),
        &[Run(First, row!("job.sh"))],
    ),
    case(
        Workload,
        "daemon-set",
        "a pod on each node, in the host's network and among its processes",
        row!("daemon-set.yaml"),
        &[Run(First, row!("daemon-set.sh"))],
    ),
    case(
        Workload,
        "limits",
        "limits of memory and CPU are the cgroup's, and who takes more memory is ended for it",
        row!("limits.yaml"),
        &[Run(First, row!("limits.sh"))],
    ),
    case(
        Workload,
        "security",
        "user, groups, a read-only root, no capabilities, seccomp",
        row!("security.yaml"),
        &[Run(First, row!("security.sh"))],
    ),
    case(
        Workload,
        "static-pod",
        "a file on the node is a pod that the API shows, as long as it is there",
        "",
        &[
            Run(Second, row!("static-pod-there.sh")),
            Run(First, row!("static-pod.sh")),
            Run(Second, row!("static-pod-gone-there.sh")),
            Run(First, row!("static-pod-gone.sh")),
        ],
    ),
    case(
        Workload,
        "rolling-update",
        "a deployment's pods are replaced by those of its new template",
        "",
        &[Run(First, row!("rolling-update.sh"))],
    ),
    case(
        Workload,
        "drain",
        "a node is drained of pods, and gets them again afterwards",
        "",
        &[Run(First, row!("drain.sh"))],
    ),
    case(
        Workload,
        "kubelet-restart",
        "no container of a node is lost or restarted with its kubelet",
        "",
        &[KEEP, Restart(Second), KEPT],
    ),
    case(
        Workload,
        "certificate",
        "a kubelet whose certificate is about to end asks for another, and goes on with that",
        "",
        &[
            KEEP_FIRST,
            Run(First, row!("certificate-ends-there.sh")),
            Restart(First),
            Run(First, row!("certificate-renewed-there.sh")),
            KEPT_FIRST,
        ],
    ),
    Case {
        needs: &[Need::Kernel],
        ..case(
            Workload,
            "swap",
            "a node with swap gives pods of theirs what their memory entitles them to",
            row!("swap.yaml"),
            &[
                Run(Second, row!("swap-on-there.sh")),
                Restart(Second),
                SINCE,
                SPOKE,
                Run(First, row!("swap.sh")),
                Run(Second, row!("swap-off-there.sh")),
                Restart(Second),
                SINCE,
                SPOKE,
            ],
        )
    },
    Case {
        needs: &[Need::Systemd],
        ..case(
            Workload,
            "graceful-shutdown",
            "a machine that shuts down waits until its pods have ended as they were asked to",
            row!("graceful-shutdown.yaml"),
            &[
                Run(Second, row!("graceful-shutdown-there.sh")),
                Restart(Second),
                Run(Second, row!("graceful-shutdown-locked-there.sh")),
                Run(First, row!("graceful-shutdown.sh")),
                Reboot(Second),
                Run(First, row!("graceful-shutdown-back.sh")),
                Run(Second, row!("graceful-shutdown-back-there.sh")),
                Restart(Second),
                SINCE,
                SPOKE,
            ],
        )
    },
    case(
        Workload,
        "another-release",
        "another release's kubelet takes a node over with its pods, and gives it back",
        "",
        &[
            Run(First, row!("another-release-first.sh")),
            Replace(Second, true),
            Run(First, row!("another-release.sh")),
            Replace(Second, false),
            Run(First, row!("another-release-back.sh")),
        ],
    ),
    case(
        Broken,
        "kubelet-killed",
        "kill -9 of the kubelet: pods go on, and are its own again when it is back",
        "",
        &[KEEP, Run(Second, row!("kubelet-killed-there.sh")), SINCE, KEPT],
    ),
    case(
        Broken,
        "entrypoint-killed",
        "kill -9 of the entrypoint: its kubelet does not stay alone",
        "",
        &[KEEP, Run(Second, row!("entrypoint-killed-there.sh")), SINCE, KEPT],
    ),
    case(
        Broken,
        "containerd-killed",
        "kill -9 of containerd: containers go on, and the kubelet finds them again",
        "",
        &[KEEP, Run(Second, row!("containerd-killed-there.sh")), KEPT],
    ),
    case(
        Broken,
        "api-server-killed",
        "kill -9 of the API server: its kubelet restarts it, and nothing else",
        "",
        &[Run(First, row!("api-server-killed.sh"))],
    ),
    case(
        Broken,
        "link-cut",
        "a node without its cable for a minute is missed, and back with all its pods",
        "",
        &[
            KEEP,
            Unplug(Second),
            Run(First, row!("link-missed.sh")),
            Plug(Second),
            Run(First, row!("link-back.sh")),
        ],
    ),
    case(
        Broken,
        "kubelet-killed-first",
        "kill -9 of the kubelet beside the control plane: the cluster answers meanwhile",
        "",
        &[
            KEEP_FIRST,
            Run(First, row!("kubelet-killed-there.sh")),
            Run(First, "kubectl get --raw /readyz >/dev/null"),
            SINCE,
            KEPT_FIRST,
        ],
    ),
    case(
        Broken,
        "node-reboots",
        "a node that is restarted has all its pods again, and nothing of those before, though results of CNI are lost",
        "",
        &[
            HOLD,
            Run(Second, row!("empty-results-there.sh")),
            Reboot(Second),
            HELD,
            Run(Second, row!("nothing-stray-there.sh")),
        ],
    ),
    case(
        Broken,
        "power-cut",
        "a node whose power fails while pods come and go has all its pods again, and nothing of those before",
        row!("power-cut.yaml"),
        &[
            HOLD,
            Run(First, row!("power-cut.sh")),
            CutPower(Second),
            HELD,
            Run(First, row!("power-cut-back.sh")),
            Run(Second, row!("nothing-stray-there.sh")),
        ],
    ),
    case(
        Broken,
        "power-cut-first",
        "the control plane's power fails: what it had promised is kept, and all its pods are there again",
        "",
        &[
            Run(First, row!("power-cut-first.sh")),
            CutPower(First),
            Run(First, row!("power-cut-first-back.sh")),
            Run(First, row!("nothing-stray-there.sh")),
        ],
    ),
    // The last one: it takes images away, too.
    case(
        Broken,
        "disk-full",
        "a node with no byte left says so and puts pods out; with room again it takes them back",
        "",
        &[
            Run(First, "steady"),
            Run(Second, row!("disk-full-there.sh")),
            Run(First, row!("disk-full.sh")),
            Run(Second, row!("disk-full-freed-there.sh")),
            Run(First, row!("disk-full-back.sh")),
        ],
    ),
];

/// The cases of these names, in the table's order; all workloads, and with `faults` all faults, where no name is given.
///
/// # Errors
/// [`Kind::NotFound`] for a name that the table does not have.
pub fn chosen(names: &[String], faults: bool) -> Result<Vec<&'static Case>, Fault> {
    if let Some(unknown) = names.iter().find(|name| !CASES.iter().any(|case| case.name == **name)) {
        let known: Vec<_> = CASES.iter().map(|case| case.name).collect();
        return Err(
            Fault::new(Kind::NotFound, format!("no case is called `{unknown}`")).help(known.join(", "))
        );
    }
    let wanted = |case: &&Case| {
        if names.is_empty() {
            faults || case.group == Workload
        } else {
            names.iter().any(|name| name == case.name)
        }
    };
    Ok(CASES.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    fn scripts() -> impl Iterator<Item = (&'static str, &'static str)> {
        CASES.iter().flat_map(|case| {
            case.steps.iter().filter_map(|step| match step {
                Run(_, script) => Some((case.name, *script)),
                _ => None,
            })
        })
    }

    #[test]
    fn names_are_unique_and_objects_have_them() {
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        for case in CASES {
            let documents = case.manifest.split("\n---\n").filter(|document| !document.is_empty());
            for document in documents {
                let label = format!("labels: {{ e2e: {} }}", case.name);
                let meta = document.lines().find(|line| line.starts_with("metadata:")).unwrap_or_default();
                assert!(meta.contains(&label), "{}: no `{label}` in `{meta}`", case.name);
            }
            let asserts = case.steps.iter().any(|step| matches!(step, Run(First, _)));
            assert!(asserts, "{} asks the API server nothing", case.name);
        }
    }

    #[test]
    fn faults_come_last_and_leave_cables_plugged() {
        let first = CASES.iter().position(|case| case.group == Broken).unwrap();
        assert!(CASES[first..].iter().all(|case| case.group == Broken));
        for case in CASES {
            let count = |wanted: fn(&Step) -> bool| case.steps.iter().filter(|step| wanted(step)).count();
            assert_eq!(
                count(|step| matches!(step, Unplug(_))),
                count(|step| matches!(step, Plug(_))),
                "{}",
                case.name
            );
        }
    }

    #[test]
    fn scripts_are_scripts_and_each_file_is_used() {
        let child = |text: &str| {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
            std::io::Write::write_all(&mut bash.stdin.take().unwrap(), text.as_bytes()).unwrap();
            bash.wait().unwrap().success()
        };
        for (name, script) in scripts() {
            assert!(child(&format!("{PRELUDE}{script}")), "{name}:\n{script}");
        }
        let used: BTreeSet<&str> = scripts()
            .map(|(_, script)| script)
            .chain(CASES.iter().map(|case| case.manifest))
            .chain([BASE, BASE_READY, PRELUDE])
            .collect();
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("rows")).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            assert!(used.contains(text.as_str()), "{} belongs to no case", path.display());
        }
    }

    #[test]
    fn cases_are_chosen_by_name_in_the_tables_order() {
        let names = |names: &[&str], faults| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(&names, faults).map(|cases| cases.iter().map(|case| case.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["link-cut", "dns"], false).unwrap(), ["dns", "link-cut"]);
        assert!(!names(&[], false).unwrap().contains(&"link-cut"));
        assert_eq!(names(&[], true).unwrap().len(), CASES.len());
        let error = names(&["dsn"], false).unwrap_err();
        assert!(error.to_string().contains("`dsn`") && error.hint().unwrap().contains("dns"), "{error}");
    }
}
