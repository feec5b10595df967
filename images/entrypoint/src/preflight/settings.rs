//! What the kubelet will be told: by its flags, then by its configuration file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::kubelet::Config;
use crate::kubelet::given::{self, Given};
use crate::kubelet::join::{self, Unfinished};
use crate::regular;

/// Flags and configuration of the kubelet that is to be started.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    flags: Vec<Given>,
    /// `--config`, if it is given and not empty.
    pub(crate) file: Option<String>,
    /// What the file says, and over it the files of `--config-dir`; nothing where they cannot be read.
    config: Config,
    /// Which of them cannot, and why.
    pub(crate) unreadable: Option<(String, String)>,
}

impl Settings {
    /// Reads the flags, and the file that they name.
    pub(crate) fn of(args: &[OsString]) -> Self {
        Self::in_directory(args, Path::new(""))
    }

    /// The same, of a kubelet that runs in this directory.
    pub(crate) fn in_directory(args: &[OsString], directory: &Path) -> Self {
        let mut settings = Self { flags: given::flags(args), ..Self::default() };
        settings.file = settings.flag("config").filter(|file| !file.is_empty()).map(str::to_owned);
        if let Some(file) = &settings.file {
            match Config::read(&directory.join(file)) {
                Ok(config) => settings.config = config,
                Err(error) => settings.unreadable = Some((file.clone(), crate::preflight::describe(&error))),
            }
        }
        if let Some(dir) = settings.flag("config-dir").filter(|dir| !dir.is_empty()).map(str::to_owned) {
            let special = settings.config.read_over(&directory.join(&dir)).into_iter().next();
            let why = |path: PathBuf| Some((path.display().to_string(), regular::why_unreadable(&path)?));
            settings.unreadable = settings.unreadable.or_else(|| special.and_then(why));
        }
        settings
    }

    /// The last value of a flag, by its name without dashes.
    pub(crate) fn flag(&self, name: &str) -> Option<&str> {
        given::value(&self.flags, name)
    }

    /// What is in effect: the flag, which wins, or the configuration's value.
    pub(crate) fn value(&self, flag: &str, path: &str) -> Option<&str> {
        self.flag(flag).or_else(|| self.config.get(path))
    }

    /// Is that not known: not by a flag, and by something in the configuration that is not understood here?
    pub(crate) fn is_unknown(&self, flag: &str, path: &str) -> bool {
        self.flag(flag).is_none() && self.config.is_unknown(path)
    }

    /// The same for a key whose empty value is not as none.
    pub(crate) fn stated(&self, flag: &str, path: &str) -> Option<&str> {
        self.flag(flag).or_else(|| self.config.stated(path))
    }

    /// What kubeadm has begun with this host and not finished.
    pub(crate) fn unfinished(&self) -> Option<Unfinished> {
        join::unfinished(Path::new("/"), &self.flags).filter(Unfinished::is_fatal)
    }

    /// Will the kubelet only print something?
    pub(crate) fn only_prints(&self) -> bool {
        ["help", "version"].iter().any(|name| self.flag(name).is_some_and(|value| value != "false"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &str) -> Settings {
        Settings::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_flag_wins_in_every_form() {
        let given = settings(
            "--kubeconfig=/a --register-node --kubeconfig /b --v=2 -h=false --fail-swap-on=false -- --config=/x",
        );
        assert_eq!(given.flag("kubeconfig"), Some("/b"));
        assert_eq!(given.flag("register-node"), Some("true"));
        assert_eq!(given.flag("fail-swap-on"), Some("false"));
        assert_eq!(given.flag("nothing"), None);
        assert!(given.file.is_none() && !given.only_prints());
        assert!(settings("--config= --version").only_prints());
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let file = std::env::temp_dir().join(format!("entrypoint-settings-{}", std::process::id()));
        std::fs::write(&file, "cgroupDriver: systemd\nfailSwapOn: false\nresolvConf: ''\n").unwrap();
        let given = settings(&format!("--cgroup-driver=cgroupfs --config={}", file.display()));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(given.value("cgroup-driver", "cgroupDriver"), Some("cgroupfs"));
        assert_eq!(given.value("fail-swap-on", "failSwapOn"), Some("false"));
        assert_eq!((given.value("", "resolvConf"), given.stated("", "resolvConf")), (None, Some("")));
        let dir = file.with_extension("d");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("1.conf"), "authentication: {x509: {clientCAFile: /ca}}").unwrap();
        let given = settings(&format!("--config-dir={}", dir.display()));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(given.value("", "authentication.x509.clientCAFile"), Some("/ca"));
        let gone = settings(&format!("--config={}", file.display()));
        assert!(gone.unreadable.unwrap().1.contains("No such file"));
    }
}
