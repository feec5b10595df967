//! Debian's packages, unpacked and configured in a directory by `mmdebstrap`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};
use progress::Task;

use crate::{Arch, Flavour, foreign};

/// Where releases of distributions say what they are.
const OS_RELEASE: &str = "/etc/os-release";
/// What a system that nobody logs in to has no use for.
const LEFT_OUT: [&str; 4] =
    ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"];
/// Unpacks the kernel's package without what it depends on: the maker of an initramfs, which takes longer than all else.
/// `$1` is the system's directory; apt's settings are those of the system.
const KERNEL_HOOK: &str = r#"set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
name=$(apt-cache depends "$KERNEL" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
dir=$1/var/cache/kernel
mkdir "$dir"
cd "$dir"
apt-get --quiet=2 download "${name:-$KERNEL}"
# The package has /lib, which is a link here.
dpkg-deb --fsys-tarfile ./*.deb | tar -x --keep-directory-symlink -C "$1"
dpkg-deb --show ./*.deb >"$1/usr/lib/kernel.version"
cd /
rm -r "$dir"
depmod --basedir "$1" "$(ls "$1/lib/modules")"
"#;

/// The essential packages, others that each system has, and those that are asked for, unpacked into a filesystem where /bin is /usr/bin.
pub(crate) const FOREIGN: [&str; 4] = [
    "--variant=extract",
    "--include=?essential",
    "--include=e2fsprogs,mount",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
];

/// The sources that this machine has of its own distribution's release: one-line entries for apt, and the release's name.
pub(crate) struct Sources {
    pub(crate) codename: String,
    entries: Vec<String>,
}

impl Sources {
    /// Asks apt, which knows both formats of its files.
    pub(crate) fn find() -> Result<Self> {
        let release = fs::read_to_string(OS_RELEASE).unwrap_or_default();
        let value = |key: &str| {
            let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        let (id, codename) = (value("ID"), value("VERSION_CODENAME"));
        let (Some("debian"), Some(codename)) = (id.as_deref(), codename) else {
            return Err(not_debian(&format!("this machine's distribution is {}", id.unwrap_or_default())));
        };
        let format = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)";
        let run = Run::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]);
        let told = run.inherit("PATH").run()?;
        let entries = entries(&String::from_utf8_lossy(&told.stdout), &codename);
        if entries.is_empty() {
            return Err(not_debian(&format!("apt has no source of Debian's {codename}, component main")));
        }
        Ok(Self { codename, entries })
    }
}

/// The lines of `apt-get indextargets` that are the distribution's: the release itself, its updates and security, not
/// backports, and not what others serve for it.
fn entries(told: &str, codename: &str) -> Vec<String> {
    let ours = |suite: &str| {
        suite.strip_prefix(codename).is_some_and(|rest| matches!(rest, "" | "-updates" | "-security"))
    };
    let mut entries = Vec::new();
    for line in told.lines() {
        let words: Vec<_> = line.split(' ').collect();
        // Without apt's lists the origin is not known.
        if let [uri, suite, "main", "Debian" | ""] | [uri, suite, "main"] = words[..]
            && ours(suite)
        {
            let entry = format!("deb {uri} {suite} main");
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
    }
    entries
}

fn not_debian(why: &str) -> anyhow::Error {
    Fault::new(Kind::Unavailable, format!("no packages for a machine's system: {why}"))
        .help("run this on Debian, or give a kernel and a root filesystem by --kernel and --rootfs")
        .into()
}

/// What the programs that make a system are, with the packages that have them.
pub(crate) const TOOLS: [(&str, &str); 4] = [
    ("mmdebstrap", "mmdebstrap"),
    ("depmod", "kmod"),
    ("mkfs.ext4", "e2fsprogs"),
    ("qemu-img", "qemu-utils"),
];

/// Do an architecture's programs run on this machine?
pub(crate) fn runs_here(arch: Arch) -> bool {
    Arch::host() == Some(arch)
}

/// Fills an empty directory with the flavour's packages and, in /boot and /lib/modules, its kernel. `tmp` has room for
/// what is on its way. Where a mirror is out of step in what was updated since the release, the release alone is taken:
/// nobody else reaches a machine. Returns the entries that were left out.
pub(crate) fn install(
    flavour: &Flavour,
    sources: &Sources,
    root: &Path,
    tmp: &Path,
    task: &dyn Task,
) -> Result<Vec<String>> {
    newest(sources, root, |entries| install_from(entries, flavour, sources, root, tmp, task))
}

/// Makes a directory of all entries, or where their mirror is out of step of the release's alone; returns those left out.
fn newest(sources: &Sources, root: &Path, make: impl Fn(&[String]) -> Result<()>) -> Result<Vec<String>> {
    let Err(error) = make(&sources.entries) else { return Ok(Vec::new()) };
    let (release, updates) = release_alone(&sources.entries, &sources.codename);
    if release.is_empty() || updates.is_empty() || !format!("{error:#}").contains("Failed to fetch") {
        return Err(error);
    }
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("removing {}", root.display()))?;
    }
    make(&release)?;
    Ok(updates)
}

/// The entries of the release itself, and those of what came later.
fn release_alone(entries: &[String], codename: &str) -> (Vec<String>, Vec<String>) {
    entries.iter().cloned().partition(|entry| entry.split(' ').nth(2) == Some(codename))
}

fn install_from(
    entries: &[String],
    flavour: &Flavour,
    sources: &Sources,
    root: &Path,
    tmp: &Path,
    task: &dyn Task,
) -> Result<()> {
    root_only()?;
    let hook = tmp.join("kernel-hook");
    fs::write(&hook, KERNEL_HOOK)?;
    let native = runs_here(flavour.arch);
    if !native {
        foreign::check(flavour)?;
    }
    let variant: &[&str] = if native { &["--variant=minbase"] } else { &FOREIGN };
    // What is only unpacked gets to no later stage.
    let stage = if native { "customize" } else { "extract" };
    let run = mmdebstrap(tmp)
        .args(variant)
        .arg(format!("--architectures={}", flavour.arch.debian()))
        .arg(format!("--include={}", flavour.packages().join(",")))
        .arg(format!("--{stage}-hook=sh {} \"$1\"", hook.display()))
        .arg(&sources.codename)
        .arg(root)
        .args(entries);
    run.env("KERNEL", flavour.arch.kernel_package()).on_line(|line| task.detail(line)).run()?;
    if native { Ok(()) } else { foreign::complete(root) }
}

fn root_only() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Fault::new(Kind::Usage, "only root can make the system of a machine")
        .help("run it as root once: a system that was made is used by all who use the same store")
        .into())
}

/// What makes a directory of packages, before it is told which.
fn mmdebstrap<'a>(tmp: &Path) -> Run<'a> {
    let run = Run::new("mmdebstrap")
        .args(["--mode=root", "--format=directory", "--dpkgopt=force-unsafe-io"])
        .args(LEFT_OUT.map(|path| format!("--dpkgopt=path-exclude={path}")));
    let run =
        ["HOME", "http_proxy", "https_proxy", "no_proxy"].iter().fold(run, |run, name| run.inherit(name));
    run.env("PATH", path()).env("TMPDIR", tmp).env("LC_ALL", "C.UTF-8")
}

/// Files of Debian's packages, of the release that this machine has.
pub struct Packages(Sources);

impl Packages {
    /// Those that this machine's apt knows.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where it is not Debian's.
    pub fn find() -> Result<Self> {
        Sources::find().map(Self)
    }

    /// The release's name, as in `bookworm`.
    pub fn codename(&self) -> &str {
        &self.0.codename
    }

    /// Fills an empty directory with a small system that has packages of this name, for this machine's processor. `tmp` has
    /// room for what is on its way.
    ///
    /// # Errors
    /// [`Kind::Tool`] for a program that is missing, [`Kind::Usage`] for who is not root, and what making it gives.
    pub fn unpack(&self, packages: &[&str], root: &Path, tmp: &Path, task: &dyn Task) -> Result<()> {
        check_tools(&TOOLS[..1])?;
        root_only()?;
        let make = |entries: &[String]| {
            mmdebstrap(tmp)
                .args(["--variant=minbase", &format!("--include={}", packages.join(","))])
                .arg(&self.0.codename)
                .arg(root)
                .args(entries)
                .on_line(|line| task.detail(line))
                .run()
                .map(drop)
        };
        newest(&self.0, root, make).map(drop)
    }
}

/// Our own, with the directories that hold programs for root, which not every user has there.
pub(crate) fn path() -> String {
    let ours = std::env::var("PATH").unwrap_or_default();
    format!("{ours}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
}

/// The files of the kernel that was unpacked: the kernel itself, and its modules' directory.
pub(crate) fn kernel(root: &Path) -> Result<(PathBuf, PathBuf)> {
    let modules = root.join("lib/modules");
    let versions = fs::read_dir(&modules).with_context(|| format!("cannot read {}", modules.display()))?;
    let version = versions.flatten().next().context("the kernel's package has no modules")?;
    let name = version.file_name().to_string_lossy().into_owned();
    Ok((root.join(format!("boot/vmlinuz-{name}")), version.path()))
}

/// Which program is missing of those that machines of an architecture need, if one is.
///
/// # Errors
/// [`Kind::Tool`], with the package that has it.
pub(crate) fn check_tools(tools: &[(&str, &str)]) -> Result<()> {
    for (program, package) in tools {
        if exec::which_in(path(), program).is_none() {
            return Err(Fault::new(Kind::Tool, format!("`{program}` is not installed"))
                .help(format!("Debian: `apt-get install --no-install-recommends {package}`"))
                .into());
        }
    }
    Ok(())
}

/// The emulator of an architecture.
pub(crate) fn qemu(arch: Arch) -> [(&'static str, &'static str); 2] {
    [(arch.qemu(), arch.qemu_package()), ("qemu-img", "qemu-utils")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_told_from_what_came_later() {
        let entries = [
            "deb http://a/ bookworm main",
            "deb http://a/ bookworm-updates main",
            "deb http://b/ bookworm-security main",
        ];
        let (release, updates) = release_alone(&entries.map(str::to_owned), "bookworm");
        assert_eq!(release, entries[..1]);
        assert_eq!(updates, entries[1..]);
    }

    #[test]
    fn only_the_distributions_own_sources_are_used() {
        let told = "http://deb.example.org/debian/ bookworm main Debian
http://deb.example.org/debian/ bookworm main Debian
http://deb.example.org/debian/ bookworm contrib Debian
http://deb.example.org/debian/ bookworm-updates main Debian
http://deb.example.org/debian/ bookworm-backports main Debian Backports
http://deb.example.org/debian-security/ bookworm-security main\x20
http://apt.example.net/ bookworm main Somebody Else
http://apt.example.net/ bookworm stable Somebody\n";
        assert_eq!(
            entries(told, "bookworm"),
            [
                "deb http://deb.example.org/debian/ bookworm main",
                "deb http://deb.example.org/debian/ bookworm-updates main",
                "deb http://deb.example.org/debian-security/ bookworm-security main",
            ]
        );
    }
}
