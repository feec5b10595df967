//! Checks of the rows that are host paths.

use std::path::{Path, PathBuf};

use super::facts::{Answer, Facts};
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::settings::Settings;
use super::table::{
    Access, CGROUP, CONTAINER_LOGS, HOST_CNI, Needed, POD_LOGS, Part, Propagation, ROOT_DIR, ROWS, Row,
    host_path,
};
use crate::kubelet::{self, Image, Release};
use crate::mountinfo::{self, Entry};

/// `CAP_SYS_ADMIN`.
const SYS_ADMIN: u32 = 21;

/// Checks every row that these parts need, or of these only what can be repaired.
pub(crate) fn check(
    facts: &Facts,
    settings: &Settings,
    parts: &[Part],
    repairable_only: bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for row in ROWS {
        let missing = match row.needed {
            Needed::Always => Status::Error,
            Needed::No => Status::Ok,
            Needed::With(part) if parts.contains(&part) => Status::Error,
            Needed::Wanted(part) if parts.contains(&part) => Status::Warning,
            Needed::Recommended => Status::Warning,
            Needed::With(_) | Needed::Wanted(_) | Needed::Taken => continue,
        };
        if repairable_only && row.propagation != Propagation::Shared {
            continue;
        }
        let Some(path) = path_of(row, settings, Image::here().release) else {
            let found = format!("`{POD_LOGS_DIR}` in the configuration is in a form that is not read here");
            let text = "nothing, if that directory is mounted from the host".to_owned();
            findings.push(Finding::bad(Status::Unknown, row.path, row.why, found, Repair::Text(text)));
            continue;
        };
        for place in places(facts, path, row) {
            findings.push(check_one(facts, settings, row, &place, missing));
        }
    }
    findings
}

/// The field that names another directory than [`POD_LOGS`], in releases that have it.
const POD_LOGS_DIR: &str = "podLogsDir";

/// The row's path, as the kubelet is told to use it; none where that is not known.
fn path_of<'a>(row: &Row, settings: &'a Settings, release: Option<Release>) -> Option<&'a str> {
    match row.path {
        ROOT_DIR => settings.flag("root-dir").or(Some(row.path)),
        POD_LOGS if release.is_none_or(|release| kubelet::has_field(POD_LOGS_DIR, release)) => {
            if settings.is_unknown("", POD_LOGS_DIR) {
                return None;
            }
            settings.value("", POD_LOGS_DIR).or(Some(row.path))
        }
        path => Some(path),
    }
}

/// The path itself, or where else it is mounted: under the older name of /run, over the image's own plugins, or in
/// parts, as the storage of a runtime may be.
fn places(facts: &Facts, path: &str, row: &Row) -> Vec<PathBuf> {
    // As paths are compared: without a slash at the end.
    let path: PathBuf = Path::new(path).components().collect();
    let twin = match path.strip_prefix("/run") {
        Ok(rest) => Some(Path::new("/var/run").join(rest)),
        Err(_) if row.path == HOST_CNI => Some(PathBuf::from(host_path(HOST_CNI))),
        Err(_) => path.strip_prefix("/var/run").ok().map(|rest| Path::new("/run").join(rest)),
    };
    if let Some(twin) = twin
        && mounted_from_host(facts, &path).is_none()
        && mounted_from_host(facts, &twin).is_some()
    {
        return vec![twin];
    }
    // Of a runtime's storage its parts will do, and of the directory of its socket the socket.
    if matches!(row.needed, Needed::With(_)) && mounted_from_host(facts, &path).is_none() {
        let mut parts: Vec<PathBuf> = Vec::new();
        for entry in &facts.mounts {
            let target = Path::new(&entry.target);
            if target.starts_with(&path) && !parts.iter().any(|part| target.starts_with(part)) {
                parts.push(target.to_owned());
            }
        }
        if !parts.is_empty() {
            return parts;
        }
    }
    vec![path]
}

/// The mount that a path is on, if it is not of the container itself.
pub(crate) fn mounted_from_host<'a>(facts: &'a Facts, path: &Path) -> Option<&'a Entry> {
    let there = path.ancestors().find(|ancestor| ancestor.exists())?;
    let entry = mountinfo::of_path(&facts.mounts, there)?;
    let own = match entry.fstype.as_str() {
        "sysfs" | "proc" => true,
        // What runtimes make for every container, unless it is the host's.
        "tmpfs" if matches!(entry.target.to_str(), Some("/run" | "/var/run" | "/tmp" | "/dev")) => {
            facts.is_hosts(Path::new(&entry.target)) != Answer::Yes
        }
        _ => entry.target == "/",
    };
    (!own).then_some(entry)
}

fn check_one(facts: &Facts, settings: &Settings, row: &Row, path: &Path, missing: Status) -> Finding {
    let name = path.to_string_lossy();
    let repair = || Repair::Mount {
        // The directory that is on every host, with what the kubelet makes in it.
        path: if is_log(row) && path.starts_with("/var/log") {
            "/var/log".into()
        } else {
            name.clone().into_owned()
        },
        propagation: row.propagation,
        access: row.access,
    };
    let bad = |status, found: String| Finding::bad(status, &name, row.why, found, repair());
    // What is not needed is not wrong either when it is mounted oddly.
    let wrong = if missing == Status::Ok { Status::Warning } else { missing };

    let Some(entry) = mounted_from_host(facts, path) else {
        return match missing {
            Status::Ok => Finding::ok(&name, row.why, "not mounted from the host"),
            status => bad(status, "not mounted from the host".to_owned()),
        };
    };
    if !path.exists() {
        if path.is_symlink() {
            let target = path.read_link().unwrap_or_default();
            let found = format!("a link to {}, which is not in this container", target.display());
            let repair = Repair::Mount {
                path: name.clone().into_owned(),
                propagation: row.propagation,
                access: row.access,
            };
            return Finding::bad(wrong, &name, row.why, found, repair);
        }
        if is_log(row) && !entry.is_read_only() {
            return Finding::ok(&name, row.why, "mounted; the kubelet makes it");
        }
        if is_log(row) {
            return read_only(facts, row, path, wrong, repair());
        }
        let found = "mounted, but the host has nothing there".to_owned();
        return match missing {
            Status::Ok => Finding::ok(&name, row.why, found),
            status => Finding::bad(status, &name, row.why, found, Repair::Text(absent(&name))),
        };
    }
    if row.path == CGROUP
        && let Some(found) = own_cgroups(facts)
    {
        return bad(wrong, found);
    }
    if row.path != HOST_CNI && row.path != CGROUP && facts.is_hosts(path) == Answer::No {
        let found = if path.is_dir() {
            "another directory than the host's of this path, and the runtime looks in that one"
        } else {
            "another file than the host's of this path: it was replaced since this container was made"
        };
        return bad(wrong, found.to_owned());
    }
    if row.path == HOST_CNI {
        // Whether it can be written to is said by the installation.
        return Finding::ok(&name, row.why, "mounted");
    }
    if row.access == Access::Write && entry.is_read_only() && !may_be_read_only(settings, row) {
        return read_only(facts, row, path, wrong, repair());
    }
    if row.access == Access::Write
        && let Some(what) = full(path)
    {
        let text = format!("free some on the host: `df {}{name}`", if what == "inodes" { "-i " } else { "" });
        let found = format!("no free {what} in its filesystem ({})", entry.fstype);
        return Finding::bad(wrong, &name, row.why, found, Repair::Text(text));
    }
    if row.propagation == Propagation::Shared {
        return propagation(facts, row, path, entry, wrong);
    }
    Finding::ok(&name, row.why, "mounted")
}

/// One of the two directories below /var/log that the kubelet makes where they are missing.
fn is_log(row: &Row) -> bool {
    matches!(row.path, POD_LOGS | CONTAINER_LOGS)
}

/// What to do about a path that the host does not have.
fn absent(path: &str) -> String {
    let of = |runtime: &str| format!("start {runtime} on the host");
    match path {
        "/run/cri-dockerd.sock" => of("cri-dockerd"),
        "/var/run/docker.sock" => of("docker"),
        _ => format!("on the host: `mkdir -p {path}`"),
    }
}

/// It is read-only, and no flag helps where it is so on the host.
fn read_only(facts: &Facts, row: &Row, path: &Path, wrong: Status, repair: Repair) -> Finding {
    let name = path.to_string_lossy();
    // What is not there yet is made in the directory above.
    let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    if !facts.hosts_mount(there).is_some_and(Entry::is_read_only) {
        return Finding::bad(wrong, &name, row.why, "read-only", repair);
    }
    let text = format!(
        "on the host: mount something writable at {0}, or make it a symbolic link to a directory of such a filesystem; then start this container again",
        there.display()
    );
    Finding::bad(wrong, &name, row.why, "read-only, as on the host", Repair::Text(text))
}

/// Once there is a kubeconfig file, nothing is written beside it.
fn may_be_read_only(settings: &Settings, row: &Row) -> bool {
    row.path == "/etc/kubernetes"
        && settings.flag("kubeconfig").is_none_or(|file| file.is_empty() || Path::new(file).exists())
}

/// Is what is mounted for cgroups only this container's own part of them?
fn own_cgroups(facts: &Facts) -> Option<String> {
    let below = |entry: &&Entry| Path::new(&entry.target).starts_with(CGROUP);
    let hierarchies = facts.mounts.iter().filter(below).filter(|entry| entry.fstype.starts_with("cgroup"));
    for entry in hierarchies {
        if facts.is_hosts(Path::new(&entry.target)) == Answer::No {
            return Some("only this container's own cgroups, not the host's".to_owned());
        }
    }
    None
}

/// What there is no more of: `space` or `inodes`. Filesystems without a size are never full.
fn full(path: &Path) -> Option<&'static str> {
    let stat = rustix::fs::statvfs(path).ok()?;
    if stat.f_blocks > 0 && stat.f_bavail == 0 {
        return Some("space");
    }
    (stat.f_files > 0 && stat.f_favail == 0).then_some("inodes")
}

/// Is the mount in one peer group with the host's?
fn propagation(facts: &Facts, row: &Row, path: &Path, entry: &Entry, wrong: Status) -> Finding {
    let name = path.to_string_lossy();
    let peer = |group| facts.host_mounts.as_ref().map(|table| table.iter().any(|host| host.shared == group));
    let found = match (entry.shared, entry.master) {
        (Some(group), _) => match peer(Some(group)) {
            Some(true) => return Finding::ok(&name, row.why, "shared with the host"),
            None => return Finding::ok(&name, row.why, "shared"),
            Some(false) => "shared, but not with the host",
        },
        (None, Some(_)) => "a slave of the host's",
        (None, None) => "private",
    };
    let found = |why: &str| format!("its mount is {found}, not shared with the host{why}");
    let repair =
        Repair::Mount { path: name.clone().into_owned(), propagation: row.propagation, access: row.access };
    let repairable = |why: &str| Finding::bad(Status::Repairable, &name, row.why, found(why), repair.clone());
    let no = |why: &str, repair: Repair| {
        if row.access == Access::Read {
            // Nothing is mounted there by the kubelet; only what the host mounts there later it does not see.
            return Finding::ok(&name, row.why, found(""));
        }
        Finding::bad(wrong, &name, row.why, found(why), repair)
    };
    match facts.host_pid {
        Answer::No => {
            return no("; this cannot be repaired from inside without the host's pid namespace", repair);
        }
        Answer::Unknown => {
            return no("; this cannot be repaired from inside, as process 1 may not be looked at", repair);
        }
        Answer::Yes => {}
    }
    if !facts.has(SYS_ADMIN) {
        return no("; this cannot be repaired from inside without CAP_SYS_ADMIN (--privileged)", repair);
    }
    let Some(host) = facts.hosts_mount(path) else {
        return no(
            "; this cannot be repaired from inside, as the host's mounts may not be looked at",
            repair,
        );
    };
    if host.shared.is_some() {
        return repairable("");
    }
    let alone = "; the host itself shares it with nobody";
    if row.access == Access::Write && super::may_change_host() {
        return repairable(alone);
    }
    // A mount point of its own is shared as it is; any other directory is mounted on itself first.
    let own = facts.real_on_host(path).is_some_and(|real| real.as_os_str() == host.target);
    let bind = if own { String::new() } else { format!("mount --rbind {name} {name} && ") };
    let text = format!(
        "on the host, at each of its starts: `{bind}mount --make-rshared {name}`; or set KUBELET_REPAIR=host, and it is done from here"
    );
    no(alone, Repair::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_are_those_that_the_kubelet_is_told() {
        let file = std::env::temp_dir().join(format!("entrypoint-paths-{}", std::process::id()));
        let row = |path: &str| ROWS.iter().find(|row| row.path == path).unwrap();
        for (config, flag, path, release, expected) in [
            ("", "--v=2", POD_LOGS, "v1.30.0", Some(POD_LOGS)),
            ("podLogsDir: /data/logs", "--v=2", POD_LOGS, "v1.30.0", Some("/data/logs")),
            ("podLogsDir: /data/logs", "--v=2", POD_LOGS, "", Some("/data/logs")),
            // Older ones do not read it.
            ("podLogsDir: /data/logs", "--v=2", POD_LOGS, "v1.29.9", Some(POD_LOGS)),
            ("podLogsDir: ''", "--v=2", POD_LOGS, "v1.30.0", Some(POD_LOGS)),
            ("podLogsDir: *there", "--v=2", POD_LOGS, "v1.30.0", None),
            ("podLogsDir: /data/logs", "--v=2", CONTAINER_LOGS, "v1.30.0", Some(CONTAINER_LOGS)),
            ("", "--root-dir=/data", ROOT_DIR, "v1.30.0", Some("/data")),
        ] {
            std::fs::write(&file, config).unwrap();
            let settings = Settings::of(&[format!("--config={}", file.display()).into(), flag.into()]);
            let found = path_of(row(path), &settings, Release::parse(release));
            assert_eq!(found, expected, "{config} {flag} {release}");
        }
        std::fs::remove_file(file).unwrap();
    }
}
