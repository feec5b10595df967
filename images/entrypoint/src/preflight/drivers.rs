//! Which cgroup driver the runtime uses, as far as its configuration on the host states it. What that leaves to a
//! default is not known here: defaults differ by version.

use super::facts::Facts;
use super::glob::fits;
use super::table::Part;
use super::toml::{Setting, list, settings, unquoted};

const CONTAINERD: &str = "/etc/containerd/config.toml";
const CRIO: &str = "/etc/crio/crio.conf";
const CRIO_DROP_INS: &str = "/etc/crio/crio.conf.d";
const DOCKER: &str = "/etc/docker/daemon.json";
/// Files that are named by other files are read this deep.
const DEPTH: usize = 4;
/// And no more of one import.
const FILES: usize = 100;

/// A driver that is stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stated {
    /// `systemd` or `cgroupfs`.
    pub(super) driver: &'static str,
    /// The file that states it.
    pub(super) file: String,
    /// Is it known that this runtime tells the kubelet, which takes that from 1.31 on? CRI-O does, and containerd 2.
    pub(super) told: bool,
}

/// Reads files of the host: its text, and the names in a directory.
pub(super) trait Files {
    fn read(&self, path: &str) -> Option<String>;
    fn list(&self, directory: &str) -> Vec<String>;
}

impl Files for Facts {
    fn read(&self, path: &str) -> Option<String> {
        self.read_on_host(path)
    }

    fn list(&self, directory: &str) -> Vec<String> {
        self.list_on_host(directory)
    }
}

/// The driver of the runtime that is one of the parts.
pub(super) fn stated(files: &impl Files, parts: &[Part]) -> Option<Stated> {
    parts.iter().find_map(|part| match part {
        Part::Containerd => containerd(files),
        Part::Crio => crio(files),
        Part::Docker => docker(files),
        _ => None,
    })
}

/// What a runtime's file has to say for cgroupfs.
pub(super) fn cgroupfs_in(file: &str) -> &'static str {
    if file == DOCKER {
        "`\"exec-opts\": [\"native.cgroupdriver=cgroupfs\"]`"
    } else if file.starts_with("/etc/crio/") {
        "`cgroup_manager = \"cgroupfs\"` and `conmon_cgroup = \"pod\"`"
    } else {
        "`SystemdCgroup = false`"
    }
}

/// What containerd's files say together.
#[derive(Default)]
struct Containerd {
    version: Option<String>,
    default_runtime: Option<String>,
    /// Runtimes by their names, with `SystemdCgroup` and the file that has it.
    runtimes: Vec<(String, String, String)>,
    /// `systemd_cgroup` of files of version 1.
    old: Option<(String, String)>,
}

/// `SystemdCgroup` of the default runtime, in the file and in those that it imports, which are read over it.
fn containerd(files: &impl Files) -> Option<Stated> {
    let mut all = Containerd::default();
    read_containerd(files, CONTAINERD, &mut all, DEPTH)?;
    let default = all.default_runtime.unwrap_or_else(|| "runc".to_owned());
    // A file of a few lines may leave out to which runtime they belong.
    let of_default = all.runtimes.iter().rfind(|(name, ..)| *name == default || name.is_empty());
    let (value, file) = match (of_default, all.old) {
        (Some((_, value, file)), _) => (value.clone(), file.clone()),
        (None, Some((value, file))) if value == "true" => (value, file),
        _ => return None,
    };
    let driver = match value.as_str() {
        "true" => "systemd",
        "false" => "cgroupfs",
        _ => return None,
    };
    Some(Stated { driver, file, told: all.version.as_deref() == Some("3") })
}

fn read_containerd(files: &impl Files, path: &str, all: &mut Containerd, depth: usize) -> Option<()> {
    let text = files.read(path)?;
    let mut imports = Vec::new();
    let mut has_plugin = false;
    for Setting { table, key, value } in settings(&text) {
        has_plugin |= table.len() > 1 && table[0] == "plugins" && table[1].contains("cri");
        let last = table.iter().rev().take(3).rev().map(String::as_str).collect::<Vec<_>>();
        match (key.as_str(), &last[..]) {
            ("version", []) => all.version = Some(value),
            ("imports", []) => imports = list(&value),
            ("default_runtime_name", _) => all.default_runtime = Some(unquoted(&value)),
            ("systemd_cgroup", _) => all.old = Some((value, path.to_owned())),
            ("SystemdCgroup", ["runtimes", name, "options"]) => {
                all.runtimes.push(((*name).to_owned(), value, path.to_owned()));
            }
            ("SystemdCgroup", []) => all.runtimes.push((String::new(), value, path.to_owned())),
            _ => {}
        }
    }
    let states = all.runtimes.iter().any(|(.., file)| file == path);
    if has_plugin && !states && path != CONTAINERD {
        // The whole section of the plugin takes the place of the one before, with defaults for what it leaves out.
        all.runtimes.clear();
    }
    for import in imports.iter().filter(|_| depth > 0) {
        for file in matching(files, import, path) {
            read_containerd(files, &file, all, depth - 1);
        }
    }
    Some(())
}

/// `cgroup_manager` in CRI-O's file, or in the last of its drop-ins that has it.
fn crio(files: &impl Files) -> Option<Stated> {
    let mut names = files.list(CRIO_DROP_INS);
    names.sort();
    let drop_ins = names.iter().rev().map(|name| format!("{CRIO_DROP_INS}/{name}"));
    let (value, file) = drop_ins.chain([CRIO.to_owned()]).find_map(|file| {
        let text = files.read(&file)?;
        let found = settings(&text).into_iter().rfind(|setting| setting.key == "cgroup_manager")?;
        Some((unquoted(&found.value), file))
    })?;
    Some(Stated { driver: known(&value)?, file, told: true })
}

fn docker(files: &impl Files) -> Option<Stated> {
    let text = files.read(DOCKER)?;
    let named = |driver: &&str| text.contains(&format!("\"native.cgroupdriver={driver}\""));
    let driver = ["systemd", "cgroupfs"].into_iter().find(named)?;
    Some(Stated { driver, file: DOCKER.to_owned(), told: false })
}

fn known(driver: &str) -> Option<&'static str> {
    ["systemd", "cgroupfs"].into_iter().find(|known| *known == driver)
}

/// The files that an import means: a path in which names may be patterns, as Go's `filepath.Glob` reads them; relative
/// ones are beside the file.
fn matching(files: &impl Files, import: &str, from: &str) -> Vec<String> {
    let beside = from.rsplit_once('/').map_or("", |(directory, _)| directory);
    let import = if import.starts_with('/') { import.to_owned() } else { format!("{beside}/{import}") };
    if !import.contains(['*', '?', '[']) {
        return vec![import];
    }
    let mut found = vec![String::new()];
    for part in import.split('/').filter(|part| !part.is_empty()) {
        if !part.contains(['*', '?', '[', '\\']) {
            for path in &mut found {
                path.push('/');
                path.push_str(part);
            }
            continue;
        }
        let below = |directory: &String| {
            let mut names = files.list(if directory.is_empty() { "/" } else { directory });
            names.retain(|name| fits(part, name));
            names.sort();
            names.into_iter().map(|name| format!("{directory}/{name}")).collect::<Vec<_>>()
        };
        found = found.iter().flat_map(below).take(FILES).collect();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths and texts.
    struct Host<'a>(&'a [(&'a str, &'a str)]);

    impl Files for Host<'_> {
        fn read(&self, path: &str) -> Option<String> {
            self.0.iter().find(|(there, _)| *there == path).map(|(_, text)| (*text).to_owned())
        }

        fn list(&self, directory: &str) -> Vec<String> {
            let in_it = |path: &str| {
                path.rsplit_once('/').filter(|(dir, _)| *dir == directory).map(|(_, name)| name.to_owned())
            };
            self.0.iter().filter_map(|(path, _)| in_it(path)).collect()
        }
    }

    const V2: &str = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n  SystemdCgroup = ";

    #[test]
    fn containerds_default_runtime_counts() {
        let true_ = format!("{V2}true");
        for (files, expected) in [
            (&[][..], None),
            (&[(CONTAINERD, "version = 2\n  # SystemdCgroup = true\n")], None),
            (&[(CONTAINERD, "  SystemdCgroup = true # so\n")], Some(("systemd", CONTAINERD, false))),
            (&[(CONTAINERD, "systemd_cgroup = false\n[x]\nSystemdCgroup=false\n")], None),
            (&[(CONTAINERD, "systemd_cgroup = false\n")], None),
            (&[(CONTAINERD, "[plugins.cri]\nsystemd_cgroup = true\n")], Some(("systemd", CONTAINERD, false))),
            (&[(CONTAINERD, &*true_)], Some(("systemd", CONTAINERD, false))),
            // Another runtime's, before and after; and one that was made the default.
            (
                &[(
                    CONTAINERD,
                    "[a.runtimes.kata.options]\nSystemdCgroup = true\n[a.runtimes.runc.options]\nSystemdCgroup = false\n",
                )],
                Some(("cgroupfs", CONTAINERD, false)),
            ),
            (
                &[(
                    CONTAINERD,
                    "[a.runtimes.runc.options]\nSystemdCgroup = false\n[a.runtimes.kata.options]\nSystemdCgroup = true\n",
                )],
                Some(("cgroupfs", CONTAINERD, false)),
            ),
            (&[(CONTAINERD, "[a.runtimes.kata.options]\nSystemdCgroup = true\n")], None),
            (
                &[(
                    CONTAINERD,
                    "[a]\ndefault_runtime_name = \"nvidia\"\n[a.runtimes.nvidia.options]\nSystemdCgroup = true\n[a.runtimes.runc.options]\nSystemdCgroup = false\n",
                )],
                Some(("systemd", CONTAINERD, false)),
            ),
            // Dotted keys, other quotes; containerd 2.
            (
                &[(
                    CONTAINERD,
                    "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\n runtimes.runc.options.SystemdCgroup = false",
                )],
                Some(("cgroupfs", CONTAINERD, true)),
            ),
            // Imports win, in their order, wherever they are from.
            (
                &[
                    (
                        CONTAINERD,
                        "imports = [\"/etc/containerd/conf.d/*.toml\", # more\n \"own.toml\"]\n[a.runtimes.runc.options]\nSystemdCgroup = false\n",
                    ),
                    ("/etc/containerd/conf.d/10.toml", "[a.runtimes.runc.options]\nSystemdCgroup = false"),
                    ("/etc/containerd/conf.d/20.toml", &*true_),
                    ("/etc/containerd/conf.d/30.txt", "[a.runtimes.runc.options]\nSystemdCgroup = false"),
                ],
                Some(("systemd", "/etc/containerd/conf.d/20.toml", false)),
            ),
            (
                &[(CONTAINERD, "imports = ['own.toml']"), ("/etc/containerd/own.toml", &*true_)],
                Some(("systemd", "/etc/containerd/own.toml", false)),
            ),
            (
                &[
                    (
                        CONTAINERD,
                        "imports = ['a.toml', 'b.toml']\n[a.runtimes.runc.options]\nSystemdCgroup = true",
                    ),
                    ("/etc/containerd/a.toml", "[debug]\nlevel = 'info'"),
                    ("/etc/containerd/b.toml", "[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'x'"),
                ],
                None,
            ),
            (
                &[(CONTAINERD, "imports = ['config.toml']\nSystemdCgroup = true")],
                Some(("systemd", CONTAINERD, false)),
            ),
        ] {
            let found = stated(&Host(files), &[Part::Containerd]);
            let found = found.as_ref().map(|it| (it.driver, it.file.as_str(), it.told));
            assert_eq!(found, expected, "{files:?}");
        }
    }

    #[test]
    fn tables_in_braces_are_tables() {
        for (text, expected) in [
            ("[a.runtimes.runc]\noptions = { SystemdCgroup = true }\n", Some("systemd")),
            ("[a.runtimes.runc]\noptions={BinaryName='a, b = {', SystemdCgroup=false}", Some("cgroupfs")),
            (
                "[a.runtimes]\nrunc = { x = [1, { y = 2 }], options = { SystemdCgroup = true } } # so",
                Some("systemd"),
            ),
            ("[a]\nruntimes = {kata = {options = {SystemdCgroup = true}}}", None),
            ("[a]\nruntimes.runc.options = { \"SystemdCgroup\" = true }", Some("systemd")),
            ("a = { default_runtime_name = 'x', runtimes.x.options.SystemdCgroup = true }", Some("systemd")),
            ("[a.runtimes.runc]\noptions = { SystemdCgroup = true", None),
        ] {
            let found = stated(&Host(&[(CONTAINERD, text)]), &[Part::Containerd]);
            assert_eq!(found.map(|it| it.driver), expected, "{text}");
        }
    }

    #[test]
    fn imports_are_patterns() {
        let there = [
            ("/etc/containerd/conf.d/10-a.toml", ""),
            ("/etc/containerd/conf.d/20-b.toml", ""),
            ("/etc/containerd/conf.d/b.toml.bak", ""),
            ("/etc/containerd/own.toml", ""),
        ];
        let found = |import: &str| {
            let found = matching(&Host(&there), import, CONTAINERD);
            found.iter().map(|path| path.trim_start_matches("/etc/containerd/")).collect::<Vec<_>>().join(" ")
        };
        for (import, expected) in [
            ("/etc/containerd/conf.d/*.toml", "conf.d/10-a.toml conf.d/20-b.toml"),
            ("conf.d/*", "conf.d/10-a.toml conf.d/20-b.toml conf.d/b.toml.bak"),
            ("conf.d/[0-9][0-9]-?.toml", "conf.d/10-a.toml conf.d/20-b.toml"),
            ("conf.d/[^1]*.toml", "conf.d/20-b.toml"),
            ("conf.d/*-*.toml*", "conf.d/10-a.toml conf.d/20-b.toml"),
            ("conf.d/?.toml", ""),
            ("conf.d/[b", ""),
            ("conf.d/[", ""),
            ("conf.d/\\10-a*", "conf.d/10-a.toml"),
            ("/etc/containerd//own.toml", "/own.toml"),
            ("*.toml", "own.toml"),
            ("none/*.toml", ""),
        ] {
            assert_eq!(found(import), expected, "{import}");
        }
    }

    #[test]
    fn drop_ins_of_crio_win() {
        let (first, last) = ("/etc/crio/crio.conf.d/01.conf", "/etc/crio/crio.conf.d/02.conf");
        for (files, expected) in [
            (&[(CRIO, "#cgroup_manager = \"systemd\"\n")][..], None),
            (&[(CRIO, "[crio.runtime]\ncgroup_manager = \"cgroupfs\"\n")], Some(("cgroupfs", CRIO))),
            (
                &[
                    (CRIO, "cgroup_manager = \"cgroupfs\""),
                    (first, "cgroup_manager = 'systemd' # so"),
                    (last, "x = 1"),
                ],
                Some(("systemd", first)),
            ),
            (
                &[(first, "cgroup_manager = \"systemd\""), (last, "cgroup_manager = \"cgroupfs\"")],
                Some(("cgroupfs", last)),
            ),
            (&[(CRIO, "cgroup_manager = \"other\"")], None),
        ] {
            let found = stated(&Host(files), &[Part::Systemd, Part::Crio]);
            assert_eq!(found.as_ref().map(|it| (it.driver, it.file.as_str())), expected, "{files:?}");
        }
    }

    #[test]
    fn docker_says_it_in_json() {
        let of =
            |text| stated(&Host(&[(DOCKER, text)]), &[Part::CriDockerd, Part::Docker]).map(|it| it.driver);
        assert_eq!(of(r#"{"exec-opts": ["native.cgroupdriver=systemd"]}"#), Some("systemd"));
        assert_eq!(of("{}"), None);
        assert!(cgroupfs_in(DOCKER).contains("native.cgroupdriver=cgroupfs"));
        assert!(cgroupfs_in("/etc/crio/crio.conf.d/01.conf").contains("cgroup_manager"));
        assert!(cgroupfs_in("/etc/containerd/conf.d/a.toml").contains("SystemdCgroup"));
    }

    #[test]
    fn any_text_is_survived() {
        let text =
            "imports = [\"a\n[a.\"b'.c]]\n=\n.= [\nx = 'y\u{e9}#\n[\na={b={,={}}='\nimports=['[','*[^']\n";
        for end in text.char_indices().map(|(at, _)| at) {
            for part in [&text[..end], &text[end..]] {
                stated(
                    &Host(&[(CONTAINERD, part), (CRIO, part), (DOCKER, part)]),
                    &[Part::Containerd, Part::Crio],
                );
            }
        }
    }
}
