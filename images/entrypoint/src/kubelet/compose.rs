//! From a user's flags to the kubelet's whole command line.

use std::ffi::OsString;
use std::path::Path;

use super::config::Config;
use super::facts::Fact;
use super::given::{self, Given};
use super::release::{self, Image, Release};
use super::runtime::{self, Found, WITHOUT_DOCKERSHIM};
use super::{at, check_flags, words};
use crate::stop::{CONFIG, HOST, Stop};

/// Where a host has the kubelet's configuration; kubeadm writes it there.
const HOST_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// The image's own, for a host that has none: its directory hides the one at that place in the image.
const IMAGE_CONFIG: &str = "/usr/share/kubelet/config.yaml";
const KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";
const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
/// The first release whose configuration file has `registerNode`.
const REGISTER_NODE: Release = Release::one(23);

/// What is to be started.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// The kubelet's arguments.
    pub(crate) args: Vec<OsString>,
    /// What to tell the user of it, a line each.
    pub(crate) notes: Vec<String>,
}

/// The image's defaults that the user did not give, what release and host need, then the user's flags as they are;
/// and what the host lacks for a start with them.
pub(crate) fn plan(user: Vec<OsString>, image: &Image, root: &Path) -> Result<(Start, Option<Stop>), Stop> {
    let given = given::flags(&user);
    let has = |name: &str| given.iter().any(|flag| flag.name == name);
    let (mut flags, mut notes) = (Vec::new(), Vec::new());
    // It will only print: nothing has to be there.
    let prints = has("help") || has("version");
    match image.release {
        Some(release) => check_flags(&given, release)?,
        None if prints => {}
        None => notes.push(format!(
            "{} is not set, so it is not known which flags this release has; keep the image's environment",
            release::RELEASE
        )),
    }

    let file = config_file(&given, root, &mut notes);
    if !has("config") {
        flags.push(format!("--config={file}"));
    }
    let config = read_config(&file, &given, root);
    if !has("register-node") && !decides_registration(&config, image) {
        flags.push("--register-node".to_owned());
    }
    for (name, default) in [("bootstrap-kubeconfig", BOOTSTRAP), ("kubeconfig", KUBECONFIG)] {
        if !has(name) {
            flags.push(format!("--{name}={default}"));
        }
    }
    let mut lacks = None;
    if !prints {
        check_config(&config, &file, image, &mut notes)?;
        lacks = check_kubeconfig(&given, root).err();
        match runtime_flags(&given, &config, image, root, &mut notes) {
            Ok(more) => flags.extend(more),
            Err(stop) if lacks.is_none() && stop.code != HOST => return Err(stop),
            Err(stop) => lacks = lacks.or(Some(stop)),
        }
    }
    Ok((Start { args: words(flags).chain(user).collect(), notes }, lacks))
}

/// The configuration file that the kubelet will read: the user's, the host's, or the image's.
fn config_file(given: &[Given], root: &Path, notes: &mut Vec<String>) -> String {
    if let Some(named) = given::value(given, "config") {
        return named.to_owned();
    }
    if !at(root, HOST_CONFIG).exists() && at(root, IMAGE_CONFIG).exists() {
        notes.push(format!("the host has no {HOST_CONFIG}: the image's own is used, {IMAGE_CONFIG}"));
        return IMAGE_CONFIG.to_owned();
    }
    HOST_CONFIG.to_owned()
}

/// The file and, over it, those of `--config-dir`. What cannot be read is left for the kubelet to report.
fn read_config(file: &str, given: &[Given], root: &Path) -> Config {
    let mut config = Config::read(&at(root, file)).unwrap_or_default();
    if let Some(dir) = given::path(given, "config-dir") {
        config.read_over(&at(root, dir));
    }
    config
}

/// Does the file say whether to register the node? The flag would overrule it.
fn decides_registration(config: &Config, image: &Image) -> bool {
    config.get("registerNode").is_some() && image.release.is_none_or(|release| release >= REGISTER_NODE)
}

/// Are there keys in the configuration that stand for flags which the release has dropped? The kubelet would go on
/// without what they ask for.
fn check_config(config: &Config, file: &str, image: &Image, notes: &mut Vec<String>) -> Result<(), Stop> {
    let Some(release) = image.release else { return Ok(()) };
    for key in config.keys() {
        if let Some(field) = Fact::field(key) {
            // These two are given as flags instead.
            if let Some(why) = field.missing_in(release).filter(|_| endpoint_flag(key).is_none()) {
                notes.push(format!("{file}: {key} {why}; this kubelet ignores it"));
            }
        } else if let Some(why) = Fact::flag(&kebab(key)).and_then(|flag| flag.missing_in(release)) {
            let message = format!("{file}: there is no {key} in a kubelet's configuration");
            return Err(Stop::new(CONFIG, message).help(format!("the flag --{} {why}", kebab(key))));
        }
    }
    Ok(())
}

/// The flag that has the name of a key: `networkPlugin` is `network-plugin`.
fn kebab(key: &str) -> String {
    let mut name = String::new();
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// The kubelet needs one of the two files, unless it is told to be without a cluster.
fn check_kubeconfig(given: &[Given], root: &Path) -> Result<(), Stop> {
    let [own, bootstrap] = [("kubeconfig", KUBECONFIG), ("bootstrap-kubeconfig", BOOTSTRAP)]
        .map(|(name, default)| given::value(given, name).unwrap_or(default));
    let is_there = |path: &str| !path.is_empty() && at(root, path).exists();
    if own.is_empty() || is_there(own) || is_there(bootstrap) {
        return Ok(());
    }
    let message = if bootstrap.is_empty() {
        format!("no kubeconfig: {own} is not here")
    } else {
        format!("no kubeconfig: neither {own} nor {bootstrap} is here")
    };
    Err(Stop::new(HOST, message)
        .help("to join a cluster: mount /etc/kubernetes, let `kubeadm join` write it, and start this again")
        .help("without a cluster: --kubeconfig= --bootstrap-kubeconfig="))
}

/// What names the runtime, unless the user's flags or the configuration do.
fn runtime_flags(
    given: &[Given],
    config: &Config,
    image: &Image,
    root: &Path,
    notes: &mut Vec<String>,
) -> Result<Vec<String>, Stop> {
    let dockershim = image.release.is_some_and(|release| release < WITHOUT_DOCKERSHIM);
    let mut flags = Vec::new();
    if dockershim && image.cni && given::value(given, "network-plugin").is_none() {
        flags.push("--network-plugin=cni".to_owned());
    }
    let kind = given::value(given, "container-runtime");
    if dockershim && kind == Some("docker") {
        return Ok(flags);
    }
    let endpoint = given::value(given, "container-runtime-endpoint");
    let mut named = Vec::new();
    for key in ["containerRuntimeEndpoint", "imageServiceEndpoint"] {
        let (Some(value), Some(flag)) = (config.get(key), endpoint_flag(key)) else { continue };
        let ignored =
            image.release.zip(Fact::field(key)).and_then(|(release, fact)| fact.missing_in(release));
        if ignored.is_some() && given::value(given, flag).is_none() {
            named.push(format!("--{flag}={value}"));
        }
    }
    let remote =
        |cri: bool| (dockershim && kind.is_none() && cri).then(|| "--container-runtime=remote".to_owned());
    if let Some(endpoint) = endpoint.or_else(|| config.get("containerRuntimeEndpoint")) {
        flags.extend(remote(!endpoint.ends_with("dockershim.sock")));
        flags.extend(named);
        return Ok(flags);
    }
    match runtime::find(root, image.release)? {
        Found::Dockershim => notes.push("container runtime: docker".to_owned()),
        Found::Cri { name, endpoint } => {
            notes.push(format!("container runtime: {name}, {endpoint}"));
            flags.extend(remote(true));
            flags.push(format!("--container-runtime-endpoint={endpoint}"));
        }
    }
    flags.extend(named);
    Ok(flags)
}

/// The flag of a key that older releases know as a flag only.
fn endpoint_flag(key: &str) -> Option<&'static str> {
    match key {
        "containerRuntimeEndpoint" => Some("container-runtime-endpoint"),
        "imageServiceEndpoint" => Some("image-service-endpoint"),
        _ => None,
    }
}
