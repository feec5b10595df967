//! Mount options: which are flags of mount(2), which go to the filesystem, which to nobody.

use crate::failure::{Failure, USAGE};

pub(crate) const RDONLY: u32 = 1;
const NOSUID: u32 = 1 << 1;
const NODEV: u32 = 1 << 2;
const NOEXEC: u32 = 1 << 3;
const SYNCHRONOUS: u32 = 1 << 4;
pub(crate) const REMOUNT: u32 = 1 << 5;
const MANDLOCK: u32 = 1 << 6;
const DIRSYNC: u32 = 1 << 7;
const NOSYMFOLLOW: u32 = 1 << 8;
const NOATIME: u32 = 1 << 10;
const NODIRATIME: u32 = 1 << 11;
pub(crate) const BIND: u32 = 1 << 12;
pub(crate) const MOVE: u32 = 1 << 13;
const REC: u32 = 1 << 14;
pub(crate) const SILENT: u32 = 1 << 15;
const UNBINDABLE: u32 = 1 << 17;
const PRIVATE: u32 = 1 << 18;
const SLAVE: u32 = 1 << 19;
const SHARED: u32 = 1 << 20;
const RELATIME: u32 = 1 << 21;
const I_VERSION: u32 = 1 << 23;
const STRICTATIME: u32 = 1 << 24;
const LAZYTIME: u32 = 1 << 25;

/// What a bind mount can have of its own; the kernel takes it in a second call only.
pub(crate) const OF_A_BIND: u32 =
    RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW | NOATIME | NODIRATIME | RELATIME;

/// Options that set or clear flags of mount(2).
const FLAGS: [(&str, u32, bool); 34] = [
    ("ro", RDONLY, true),
    ("rw", RDONLY, false),
    ("nosuid", NOSUID, true),
    ("suid", NOSUID, false),
    ("noexec", NOEXEC, true),
    ("exec", NOEXEC, false),
    ("nodev", NODEV, true),
    ("dev", NODEV, false),
    ("sync", SYNCHRONOUS, true),
    ("async", SYNCHRONOUS, false),
    ("dirsync", DIRSYNC, true),
    ("remount", REMOUNT, true),
    ("bind", BIND, true),
    ("rbind", BIND | REC, true),
    ("move", MOVE, true),
    ("mand", MANDLOCK, true),
    ("nomand", MANDLOCK, false),
    ("noatime", NOATIME, true),
    ("atime", NOATIME, false),
    ("iversion", I_VERSION, true),
    ("noiversion", I_VERSION, false),
    ("nodiratime", NODIRATIME, true),
    ("diratime", NODIRATIME, false),
    ("relatime", RELATIME, true),
    ("norelatime", RELATIME, false),
    ("strictatime", STRICTATIME, true),
    ("nostrictatime", STRICTATIME, false),
    ("lazytime", LAZYTIME, true),
    ("nolazytime", LAZYTIME, false),
    ("silent", SILENT, true),
    ("loud", SILENT, false),
    ("nosymfollow", NOSYMFOLLOW, true),
    ("symfollow", NOSYMFOLLOW, false),
    ("norecurse", REC, false),
];

/// Options for tools and for people; neither the kernel nor a helper is told.
const UNTOLD: [&str; 9] =
    ["", "defaults", "auto", "noauto", "nouser", "nousers", "noowner", "nogroup", "comment"];

/// Options of `SELinux`: the kernel refuses them when it is off, so they are left out then.
const SELINUX: [&str; 5] = ["context", "fscontext", "defcontext", "rootcontext", "seclabel"];

/// Options, sorted by whom they concern.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Flags of mount(2), without those for propagation.
    pub(crate) flags: u32,
    /// Changes of propagation, a call each, in order.
    pub(crate) propagation: Vec<u32>,
    /// What the filesystem itself is told.
    pub(crate) data: Vec<String>,
    /// What only a helper is told.
    pub(crate) user: Vec<String>,
    /// A loop device is asked for.
    pub(crate) loop_device: bool,
    /// The mount point is to be made, with this mode.
    pub(crate) mkdir: Option<u32>,
}

impl Options {
    /// Sorts lists of options; a later one wins. `selinux` says whether the kernel has `SELinux` on.
    pub(crate) fn parse<'a>(
        lists: impl IntoIterator<Item = &'a str>,
        selinux: bool,
    ) -> Result<Self, Failure> {
        let mut options = Self::default();
        for list in lists {
            for word in split(list) {
                options.add(word, selinux)?;
            }
        }
        Ok(options)
    }

    fn add(&mut self, word: &str, selinux: bool) -> Result<(), Failure> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        if let Some((_, bits, set)) = FLAGS.iter().find(|(flag, ..)| *flag == name) {
            match value {
                None if *set => self.flags |= bits,
                None => self.flags &= !bits,
                // `ro=recursive` needs mount_setattr(2). To ignore it would leave mounts below writable.
                Some(_) => return Err(unsupported(word)),
            }
        } else if let (Some(bits), None) = (propagation(name), value) {
            self.propagation.push(bits);
        } else {
            match name {
                "user" | "users" => self.unprivileged(name, NOSUID | NODEV | NOEXEC),
                "owner" | "group" => self.unprivileged(name, NOSUID | NODEV),
                "_netdev" | "nofail" => self.user.push(word.to_owned()),
                "loop" => self.loop_device = true,
                // They describe a loop device, which is refused where it matters.
                "offset" | "sizelimit" | "encryption" | "helper" | "uhelper" => {}
                "X-mount.mkdir" | "x-mount.mkdir" => self.mkdir = Some(mode(word, value)?),
                _ if name.starts_with("X-mount.") || name.starts_with("verity.") => {
                    return Err(unsupported(word));
                }
                _ if name.starts_with("x-") || name.starts_with("X-") || UNTOLD.contains(&name) => {}
                _ if SELINUX.contains(&name) && !selinux => {}
                _ => self.data.push(word.to_owned()),
            }
        }
        Ok(())
    }

    fn unprivileged(&mut self, name: &str, implied: u32) {
        self.flags |= implied;
        self.user.push(name.to_owned());
    }

    /// Has any of these flags been set?
    pub(crate) fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// Is a change of propagation all that is asked for?
    pub(crate) fn only_propagation(&self) -> bool {
        let nothing_else = self.flags == 0 && self.data.is_empty() && self.user.is_empty();
        nothing_else && !self.propagation.is_empty()
    }

    /// The list for `mount.TYPE -o`: `rw` or `ro`, flags, filesystem's, user's.
    pub(crate) fn for_helper(&self) -> String {
        let mut list = vec![if self.has(RDONLY) { "ro" } else { "rw" }];
        let set =
            FLAGS.iter().filter(|(name, bits, set)| *set && *name != "ro" && self.flags & bits == *bits);
        list.extend(set.map(|(name, ..)| *name));
        list.extend(self.data.iter().chain(&self.user).map(String::as_str));
        list.join(",")
    }
}

/// The flags of a change of propagation.
pub(crate) fn propagation(name: &str) -> Option<u32> {
    let (kind, recursive) = name.strip_prefix('r').map_or((name, 0), |kind| (kind, REC));
    let bits = match kind {
        "shared" => SHARED,
        "slave" => SLAVE,
        "private" => PRIVATE,
        "unbindable" => UNBINDABLE,
        _ => return None,
    };
    Some(bits | recursive)
}

/// Splits at commas outside of double quotes: an `SELinux` context holds some.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
}

fn mode(word: &str, value: Option<&str>) -> Result<u32, Failure> {
    let Some(value) = value else { return Ok(0o755) };
    match u32::from_str_radix(value, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err(Failure::new(USAGE, format!("{word}: the mode is not an octal number"))),
    }
}

fn unsupported(word: &str) -> Failure {
    Failure::new(USAGE, format!("the option {word} is not supported by this mount"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Options {
        Options::parse([list], false).unwrap()
    }

    #[test]
    fn flags_are_set_and_cleared_in_order() {
        for (list, flags) in [
            ("", 0),
            ("ro", RDONLY),
            ("ro,rw", 0),
            ("rw,ro", RDONLY),
            ("suid,nosuid,dev,nodev,exec,noexec", NOSUID | NODEV | NOEXEC),
            ("bind", BIND),
            ("rbind", BIND | REC),
            ("remount,bind,ro", REMOUNT | BIND | RDONLY),
            ("move", MOVE),
            ("relatime,noatime,nodiratime,strictatime", RELATIME | NOATIME | NODIRATIME | STRICTATIME),
            ("noatime,atime,nodiratime,diratime", 0),
            ("sync,dirsync,lazytime,iversion", SYNCHRONOUS | DIRSYNC | LAZYTIME | I_VERSION),
            ("sync,async,silent,loud,mand,nomand,lazytime,nolazytime", 0),
            ("nosymfollow", NOSYMFOLLOW),
            ("user", NOSUID | NODEV | NOEXEC),
            ("users,exec", NOSUID | NODEV),
            ("owner,suid", NODEV),
            ("defaults", 0),
        ] {
            assert_eq!(parse(list).flags, flags, "{list}");
        }
    }

    #[test]
    fn the_kernel_is_not_told_what_is_for_tools() {
        let options = parse(
            "_netdev,nofail,defaults,noauto,x-systemd.automount,X-foo=1,comment=hi,,auto,uid=5,size=1m",
        );
        assert_eq!(options.data, ["uid=5", "size=1m"]);
        assert_eq!(options.user, ["_netdev", "nofail"]);
    }

    #[test]
    fn propagation_keeps_its_order() {
        assert_eq!(parse("private,rshared").propagation, [PRIVATE, SHARED | REC]);
        assert!(parse("rslave").only_propagation());
        assert!(!parse("rslave,ro").only_propagation() && !parse("").only_propagation());
        for name in ["shared", "slave", "private", "unbindable"] {
            assert_eq!(propagation(&format!("r{name}")), propagation(name).map(|bits| bits | REC));
        }
        assert_eq!(propagation("rrshared"), None);
        assert_eq!(propagation(""), None);
    }

    #[test]
    fn selinux_options_go_to_a_kernel_that_has_it() {
        let list = "context=\"system_u:object_r:container_file_t:s0:c1,c2\",mode=700";
        assert_eq!(parse(list).data, ["mode=700"]);
        let on = Options::parse([list], true).unwrap();
        assert_eq!(on.data, ["context=\"system_u:object_r:container_file_t:s0:c1,c2\"", "mode=700"]);
    }

    #[test]
    fn what_would_be_ignored_at_a_risk_is_refused() {
        for list in [
            "ro=recursive",
            "rw,nosuid=recursive",
            "X-mount.subdir=a",
            "X-mount.owner=1",
            "verity.roothash=0",
        ] {
            let failure = Options::parse([list], false).unwrap_err();
            assert_eq!(failure.code, 1, "{list}");
            assert!(failure.message.contains("is not supported"), "{list}");
        }
        assert!(Options::parse(["X-mount.mkdir=999"], false).is_err());
        assert_eq!(parse("X-mount.mkdir=0700").mkdir, Some(0o700));
        assert_eq!(parse("X-mount.mkdir").mkdir, Some(0o755));
    }

    #[test]
    fn a_helper_gets_all_that_concerns_it() {
        assert_eq!(parse("").for_helper(), "rw");
        let list = parse("ro,nosuid,_netdev,x-a=1,comment=q,foo=bar,defaults,rslave");
        assert_eq!(list.for_helper(), "ro,nosuid,foo=bar,_netdev");
        assert_eq!(parse("remount,rw,vers=4.1").for_helper(), "rw,remount,vers=4.1");
    }

    #[test]
    fn quotes_that_never_end_are_one_option() {
        assert_eq!(parse("a=\"b,c").data, ["a=\"b,c"]);
    }
}
