//! Checks of what the node says it is: its operating system and its id, which are the host's and not the image's.

use std::path::Path;

use super::facts::{Answer, Facts};
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::table::{Access, Propagation};
use crate::mountinfo;
use crate::regular;
use crate::repair::files::{HostFile, MACHINE_ID, OS_RELEASE, put_over};

/// Both checks.
pub(crate) fn check(facts: &Facts) -> Vec<Finding> {
    vec![operating_system(facts), machine_id(facts)]
}

/// Puts what the host has in the place of the container's file at `path`.
pub(crate) fn take(facts: &Facts, path: &str) -> Result<(), String> {
    let file = [OS_RELEASE, MACHINE_ID].into_iter().find(|file| file.path == path);
    let text = file.and_then(|file| of_host(facts, &file)).ok_or("the host's cannot be read")?;
    put_over(Path::new(path), &text)
}

/// The text that the host has for this file; none where it has none that will do, or where that may not be looked at.
fn of_host(facts: &Facts, file: &HostFile) -> Option<String> {
    let will_do = |text: &String| file.path != MACHINE_ID.path || is_id(text);
    [file.path, file.or].into_iter().find_map(|path| facts.read_on_host(path).filter(will_do))
}

fn mount(file: &HostFile) -> Repair {
    Repair::Mount { path: file.path.to_owned(), propagation: Propagation::Default, access: Access::Read }
}

fn operating_system(facts: &Facts) -> Finding {
    let (name, why) = ("operating system", "the node's status names it");
    let own = regular::read_text(Path::new(OS_RELEASE.path)).unwrap_or_default();
    let mounted = Path::new(OS_RELEASE.path).canonicalize().is_ok_and(|path| {
        mountinfo::of_path(&facts.mounts, &path).is_some_and(|entry| entry.target == path.as_os_str())
    });
    if mounted {
        return Finding::ok(name, why, pretty_name(&own));
    }
    match of_host(facts, &OS_RELEASE) {
        Some(host) if host == own => Finding::ok(name, why, pretty_name(&own)),
        Some(host) => {
            let found = format!("{}, the image's own; the host is {}", pretty_name(&own), pretty_name(&host));
            Finding::bad(Status::Repairable, name, why, found, mount(&OS_RELEASE))
        }
        None if facts.host_pid == Answer::Yes => {
            Finding::ok(name, why, format!("{}, as the host has no name for itself", pretty_name(&own)))
        }
        None => {
            let found = format!("{}, the image's own; the host's cannot be known", pretty_name(&own));
            Finding::bad(Status::Unknown, name, why, found, mount(&OS_RELEASE))
        }
    }
}

fn machine_id(facts: &Facts) -> Finding {
    let (name, why) = ("machine id", "identity of the node in its status");
    let own = regular::read_text(Path::new(MACHINE_ID.path)).unwrap_or_default();
    if is_id(&own) {
        return Finding::ok(name, why, own.trim());
    }
    let found = "no 32 hexadecimal digits in /etc/machine-id";
    let bad = |status, repair| Finding::bad(status, name, why, found, repair);
    match of_host(facts, &MACHINE_ID) {
        Some(_) => bad(Status::Repairable, mount(&MACHINE_ID)),
        None if facts.host_pid != Answer::Yes => bad(Status::Warning, mount(&MACHINE_ID)),
        _ => {
            let make = "`tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id`";
            bad(Status::Warning, Repair::Text(format!("on the host, once: {make}")))
        }
    }
}

fn is_id(text: &str) -> bool {
    let id = text.trim();
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `PRETTY_NAME`, as cadvisor takes it.
fn pretty_name(text: &str) -> &str {
    let value = text.lines().find_map(|line| line.split_once("PRETTY_NAME=")).map(|(_, value)| value);
    value.map_or("Linux", |value| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids() {
        assert_eq!(pretty_name("NAME=x\nPRETTY_NAME=\"A B\"\n"), "A B");
        assert_eq!(pretty_name("PRETTY_NAME=Buildroot"), "Buildroot");
        assert_eq!(pretty_name(""), "Linux");
        assert!(is_id("0123456789abcdef0123456789abcdef\n") && !is_id("uninitialized\n") && !is_id(""));
    }
}
