//! The command that installs programs on a host, by its distribution.

/// The columns are named in its first lines.
const PACKAGES: &str = include_str!("packages.tsv");

/// Names in /etc/os-release, in the order of the table's columns, and what installs a package there.
const DISTRIBUTIONS: [(&[&str], &str); 5] = [
    (&["debian", "ubuntu"], "apt-get install"),
    (&["alpine"], "apk add"),
    (&["fedora", "rhel", "centos"], "dnf install"),
    (&["arch"], "pacman -S"),
    (&["suse", "opensuse"], "zypper install"),
];

/// The command that installs these programs on a host with this os-release; none for a distribution that is not known.
pub(crate) fn install(programs: &[&str], os_release: &str) -> Option<String> {
    let values = ["ID=", "ID_LIKE="].into_iter().filter_map(|key| {
        let value = os_release.lines().find_map(|line| line.strip_prefix(key))?;
        Some(value.trim_matches(['"', '\'']).split(' ').map(str::to_owned).collect::<Vec<_>>())
    });
    let names: Vec<String> = values.flatten().collect();
    let is = |known: &&str| names.iter().any(|name| name.split('-').next() == Some(known));
    let (column, command) = names.first().and_then(|_| {
        let place = DISTRIBUTIONS.iter().position(|(known, _)| known.iter().any(&is))?;
        Some((place + 1, DISTRIBUTIONS[place].1))
    })?;
    let mut packages = Vec::new();
    for program in programs {
        let cells = || PACKAGES.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let package = cells().find(|row| row[0] == *program).and_then(|row| row.get(column).copied())?;
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    Some(format!("{command} {}", packages.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_distributions() {
        let programs = ["mkfs.ext4", "blkid", "losetup", "fsck"];
        for (release, expected) in [
            ("PRETTY_NAME=x\nID=debian\n", Some("apt-get install e2fsprogs util-linux mount")),
            ("ID=raspbian\nID_LIKE=debian\n", Some("apt-get install e2fsprogs util-linux mount")),
            ("ID=alpine\n", Some("apk add e2fsprogs util-linux")),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Some("dnf install e2fsprogs util-linux")),
            (
                "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n",
                Some("zypper install e2fsprogs util-linux"),
            ),
            ("ID=poky\n", None),
            ("", None),
        ] {
            assert_eq!(install(&programs, release).as_deref(), expected, "{release}");
        }
        assert_eq!(install(&["no-such-program"], "ID=debian\n"), None);
    }

    #[test]
    fn every_row_has_every_distribution() {
        for row in PACKAGES.lines().filter(|line| !line.starts_with('#')) {
            assert_eq!(row.split('\t').count(), DISTRIBUTIONS.len() + 1, "{row}");
        }
    }
}
