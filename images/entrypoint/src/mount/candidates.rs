//! Which filesystem types to try when none, or a list, is given.

/// The filesystem types to try, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Types {
    /// Exactly this one.
    One(String),
    /// Any of these, until one fits.
    Try(Vec<String>),
}

impl Types {
    /// From `-t`: a type, `auto`, a list `a,b`, or a list of what not to try, `noa,b`.
    /// `known` is the text of /proc/filesystems.
    pub(crate) fn new(types: Option<&str>, known: &str) -> Self {
        match types {
            None | Some("auto" | "") => Self::Try(on_devices(known).map(str::to_owned).collect()),
            Some(list) if is_negated(list) => {
                Self::Try(on_devices(known).filter(|name| matches(list, name)).map(str::to_owned).collect())
            }
            Some(list) if list.contains(',') => Self::Try(list.split(',').map(str::to_owned).collect()),
            Some(one) => Self::One(one.to_owned()),
        }
    }
}

/// Is this filesystem one of the list, or, where the list begins with `no`, none of it?
pub(crate) fn matches(list: &str, fstype: &str) -> bool {
    if is_negated(list) {
        return !list.split(',').any(|name| name.strip_prefix("no").unwrap_or(name) == fstype);
    }
    list.split(',').any(|name| name == fstype)
}

/// Is the type one without a block device, by the text of /proc/filesystems?
pub(crate) fn is_nodev(known: &str, fstype: &str) -> bool {
    known.lines().any(|line| line.split_once('\t') == Some(("nodev", fstype)))
}

/// Does the kernel know the type as yet, by the text of /proc/filesystems?
pub(crate) fn is_known(known: &str, fstype: &str) -> bool {
    is_nodev(known, fstype) || on_devices(known).any(|name| name == fstype)
}

fn on_devices(known: &str) -> impl Iterator<Item = &str> {
    known.lines().filter_map(|line| line.strip_prefix('\t'))
}

fn is_negated(list: &str) -> bool {
    // `none` and `notify...` are names; what is negated is a list of at least one name after `no`.
    list.starts_with("no") && list != "none"
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "nodev\tsysfs\nnodev\ttmpfs\n\text3\n\text4\nnodev\tnfs\n\txfs\n";

    #[test]
    fn types_to_try() {
        let attempts = |types| match Types::new(types, KNOWN) {
            Types::One(one) => format!("={one}"),
            Types::Try(list) => list.join(" "),
        };
        assert_eq!(attempts(None), "ext3 ext4 xfs");
        assert_eq!(attempts(Some("auto")), "ext3 ext4 xfs");
        assert_eq!(attempts(Some("ext4")), "=ext4");
        assert_eq!(attempts(Some("none")), "=none");
        assert_eq!(attempts(Some("tmpfs,ext4")), "tmpfs ext4");
        assert_eq!(attempts(Some("noext3,xfs")), "ext4");
    }

    #[test]
    fn lists_match() {
        assert!(matches("proc,tmpfs", "tmpfs") && !matches("proc", "tmpfs"));
        assert!(!matches("noproc,tmpfs", "tmpfs") && matches("noproc", "tmpfs"));
        assert!(is_nodev(KNOWN, "tmpfs") && !is_nodev(KNOWN, "ext4") && !is_nodev(KNOWN, "zfs"));
    }
}
