//! What the kubelet will be told: by its flags, then by its configuration file.

use std::ffi::OsString;

use crate::yaml::Scalars;

/// Flags and configuration of the kubelet that is to be started.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    flags: Vec<(String, String)>,
    /// `--config`, if it is given and not empty.
    pub(crate) file: Option<String>,
    /// What the file says; none where it cannot be read.
    config: Option<Scalars>,
    /// Why it cannot.
    pub(crate) unreadable: Option<String>,
}

impl Settings {
    /// Reads the flags, and the file that they name.
    pub(crate) fn of(args: &[OsString]) -> Self {
        let mut settings = Self { flags: flags(args), ..Self::default() };
        settings.file = settings.flag("config").filter(|file| !file.is_empty()).map(str::to_owned);
        if let Some(file) = &settings.file {
            match std::fs::read_to_string(file) {
                Ok(text) => settings.config = Some(Scalars::parse(&text)),
                Err(error) => settings.unreadable = Some(crate::preflight::describe(&error)),
            }
        }
        settings
    }

    /// The last value of a flag, by its name without dashes.
    pub(crate) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().rfind(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// A value of the configuration file.
    pub(crate) fn config(&self, path: &str) -> Option<&str> {
        self.config.as_ref()?.get(path)
    }

    /// What is in effect: the flag, which wins, or the file's value.
    pub(crate) fn value(&self, flag: &str, path: &str) -> Option<&str> {
        self.flag(flag).or_else(|| self.config(path))
    }

    /// Will the kubelet only print something?
    pub(crate) fn only_prints(&self) -> bool {
        ["help", "h", "version"].iter().any(|name| self.flag(name).is_some_and(|value| value != "false"))
    }
}

/// `--name=value`, `--name value`, `--name`; a switch without a value is `true`.
fn flags(args: &[OsString]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut words = args.iter().map(|word| word.to_string_lossy()).peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            // Of the flags that are looked at here only these are switches, whose value never is a word of its own.
            None if matches!(flag, "register-node" | "fail-swap-on" | "help" | "h" | "version") => {
                (flag, "true".to_owned())
            }
            None => match words.next_if(|next| !next.starts_with('-')) {
                Some(value) => (flag, value.into_owned()),
                None => (flag, "true".to_owned()),
            },
        };
        found.push((name.to_owned(), value));
    }
    found
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
        std::fs::write(&file, "cgroupDriver: systemd\nfailSwapOn: false\n").unwrap();
        let given = settings(&format!("--cgroup-driver=cgroupfs --config={}", file.display()));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(given.value("cgroup-driver", "cgroupDriver"), Some("cgroupfs"));
        assert_eq!(given.value("fail-swap-on", "failSwapOn"), Some("false"));
        let gone = settings(&format!("--config={}", file.display()));
        assert!(gone.unreadable.unwrap().contains("No such file"));
    }
}
