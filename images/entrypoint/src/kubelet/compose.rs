//! From a user's flags to the kubelet's whole command line.

use std::ffi::OsString;
use std::path::Path;

use super::config::Config;
use super::facts::Fact;
use super::given::{self, Given};
use super::join::{self, Unfinished};
use super::node::{Node, STANDALONE};
use super::release::{self, Image, Release};
use super::runtime::{self, Found, WITHOUT_DOCKERSHIM};
use super::{at, check_flags, kubeadm, refuse_special, standalone, words};
use crate::stop::{CONFIG, HOST, Stop};

/// Where a host has the kubelet's configuration; kubeadm writes it there.
pub(super) const HOST_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// The image's own, for a host that has none: its directory hides the one at that place in the image.
const IMAGE_CONFIG: &str = "/usr/share/kubelet/config.yaml";
pub(super) const KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";
pub(super) const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
const ENDPOINT: &str = "containerRuntimeEndpoint";
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

/// The image's defaults that nobody else gave, what release and host need, kubeadm's flags, then the user's as they are,
/// of which later ones win; and what the host lacks for a start with them.
pub(crate) fn plan(user: Vec<OsString>, node: &Node) -> Result<(Start, Option<Stop>), Stop> {
    let (image, root) = (&node.image, node.root);
    let own = [kubeadm::extra(node)?, user].concat();
    let given = given::flags(&own);
    // It will only print: nothing has to be there.
    let prints = given::only_prints(&given);
    let (mut flags, mut notes) = (Vec::new(), Vec::new());
    match image.release {
        Some(release) => check_flags(&given, release)?,
        None if prints => {}
        None => notes.push(format!(
            "{} is not set, so it is not known which flags this release has; keep the image's environment",
            release::RELEASE
        )),
    }
    let standalone = !prints && standalone::is_wanted(&given, node)?;
    // With the host's files in the making nothing of them is taken, and nothing in their place.
    let unfinished =
        if prints || standalone { None } else { join::unfinished(root, &given).filter(Unfinished::is_fatal) };
    let kubeadm = if prints || standalone { Vec::new() } else { kubeadm::args(node, &mut notes)? };
    let own_given = given;
    let given = given::flags(&[&kubeadm[..], &own].concat());
    let has = |name: &str| given::value(&given, name).is_some();

    let file = config_file(&given, root, unfinished.is_some(), &mut notes);
    if !has("config") {
        flags.push(format!("--config={file}"));
    }
    let config = if prints { Config::default() } else { read_config(&file, &given, root)? };
    if !has("register-node") && !standalone && !decides_registration(&config, image) {
        flags.push("--register-node".to_owned());
    }
    for (name, default) in [("bootstrap-kubeconfig", BOOTSTRAP), ("kubeconfig", KUBECONFIG)] {
        if !has(name) {
            flags.push(format!("--{name}={}", if standalone { "" } else { default }));
        }
    }
    let (mut lacks, mut overruled) = (None, Vec::new());
    if !prints {
        check_config(&config, &file, image, &mut notes)?;
        if standalone {
            let all = [&given::flags(&words(flags.clone()).collect::<Vec<_>>())[..], &given].concat();
            flags.extend(standalone::flags(&all, &config, &mut notes)?);
        } else {
            lacks =
                unfinished.map(|found| not_joined(&found)).or_else(|| check_kubeconfig(&given, root).err());
        }
        overruled = cgroup_driver(&given, &own_given, &config, node.systemd, &mut notes);
        match runtime_flags(&given, &config, image, root, &mut notes) {
            Ok(more) => flags.extend(more),
            Err(stop) if lacks.is_none() && stop.code != HOST => return Err(stop),
            Err(stop) => lacks = lacks.or(Some(stop)),
        }
    }
    let args = words(flags).chain(kubeadm).chain(words(overruled)).chain(own).collect();
    Ok((Start { args, notes }, lacks))
}

/// `--cgroup-driver=cgroupfs` where the driver is systemd by the configuration or by kubeadm, who take it from the
/// cluster, and the host does not run systemd: the kubelet would end, as nobody makes its cgroups.
fn cgroup_driver(
    given: &[Given],
    own: &[Given],
    config: &Config,
    systemd: Option<bool>,
    notes: &mut Vec<String>,
) -> Vec<String> {
    let driver = given::value(given, "cgroup-driver").or_else(|| config.get("cgroupDriver"));
    // What the user gave by a flag is left alone: preflight says that it does not work.
    if systemd != Some(false) || driver != Some("systemd") || given::value(own, "cgroup-driver").is_some() {
        return Vec::new();
    }
    notes.push(
        "cgroupDriver: systemd is overridden by --cgroup-driver=cgroupfs: this host does not run systemd, which would \
         have to make the cgroups of pods; the container runtime must use cgroupfs, too"
            .to_owned(),
    );
    vec!["--cgroup-driver=cgroupfs".to_owned()]
}

/// The configuration file that the kubelet will read: the user's, the host's, or the image's. Never the image's while
/// kubeadm is about to write the host's.
fn config_file(given: &[Given], root: &Path, unfinished: bool, notes: &mut Vec<String>) -> String {
    if let Some(named) = given::value(given, "config") {
        return named.to_owned();
    }
    if !at(root, HOST_CONFIG).exists() && at(root, IMAGE_CONFIG).exists() && !unfinished {
        notes.push(format!("the host has no {HOST_CONFIG}: the image's own is used, {IMAGE_CONFIG}"));
        return IMAGE_CONFIG.to_owned();
    }
    HOST_CONFIG.to_owned()
}

/// kubeadm is not yet where the kubelet can start.
fn not_joined(found: &Unfinished) -> Stop {
    Stop::new(HOST, format!("join is not finished: {}", found.why))
        .help("let `kubeadm join` (or `kubeadm init`) finish, and start this again")
        .help(format!("without kubeadm: write {HOST_CONFIG}, or name a file by --config=FILE (the image's own: {IMAGE_CONFIG})"))
}

/// The file and, over it, those of `--config-dir`. What cannot be read is left for the kubelet to report, unless it would
/// wait for it without end.
fn read_config(file: &str, given: &[Given], root: &Path) -> Result<Config, Stop> {
    let path = at(root, file);
    refuse_special(&path)?;
    let mut config = Config::read(&path).unwrap_or_default();
    if let Some(dir) = given::path(given, "config-dir") {
        config.read_over(&at(root, dir)).iter().try_for_each(|path| refuse_special(path))?;
    }
    Ok(config)
}

/// Does the file say whether to register the node? The flag would overrule it.
fn decides_registration(config: &Config, image: &Image) -> bool {
    (config.get("registerNode").is_some() || config.is_unknown("registerNode"))
        && image.release.is_none_or(|release| release >= REGISTER_NODE)
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

/// The kubeconfig and the one to bootstrap from, if neither is here. The kubelet needs one of them, unless it is told to be
/// without a cluster.
pub(super) fn missing_kubeconfigs<'a>(given: &'a [Given], root: &Path) -> Option<[&'a str; 2]> {
    let [own, bootstrap] = kubeconfigs(given);
    let is_there = |path: &str| !path.is_empty() && at(root, path).exists();
    (!own.is_empty() && !is_there(own) && !is_there(bootstrap)).then_some([own, bootstrap])
}

/// The kubeconfig and the one to bootstrap from, by the flags or by default.
fn kubeconfigs(given: &[Given]) -> [&str; 2] {
    [("kubeconfig", KUBECONFIG), ("bootstrap-kubeconfig", BOOTSTRAP)]
        .map(|(name, default)| given::value(given, name).unwrap_or(default))
}

fn check_kubeconfig(given: &[Given], root: &Path) -> Result<(), Stop> {
    for path in kubeconfigs(given) {
        refuse_special(&at(root, path))?;
    }
    let Some([own, bootstrap]) = missing_kubeconfigs(given, root) else { return Ok(()) };
    let message = if bootstrap.is_empty() {
        format!("no kubeconfig: {own} is not here")
    } else {
        format!("no kubeconfig: neither {own} nor {bootstrap} is here")
    };
    Err(Stop::new(HOST, message)
        .help("to join a cluster: mount /etc/kubernetes, let `kubeadm join` write it, and start this again")
        .help(format!("without a cluster: {STANDALONE}=1 in the container's environment, or --kubeconfig=")))
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
    let reads = |key: &str| {
        image.release.zip(Fact::field(key)).and_then(|(release, fact)| fact.missing_in(release)).is_none()
    };
    let mut named = Vec::new();
    for key in [ENDPOINT, "imageServiceEndpoint"] {
        let (Some(value), Some(flag)) = (config.get(key), endpoint_flag(key)) else { continue };
        if !reads(key) && given::value(given, flag).is_none() {
            named.push(format!("--{flag}={value}"));
        }
    }
    // Whatever it is, the kubelet takes it from there.
    if endpoint.is_none() && reads(ENDPOINT) && config.is_unknown(ENDPOINT) {
        return Ok(flags);
    }
    let remote =
        |cri: bool| (dockershim && kind.is_none() && cri).then(|| "--container-runtime=remote".to_owned());
    if let Some(endpoint) = endpoint.or_else(|| config.get(ENDPOINT)) {
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
        ENDPOINT => Some("container-runtime-endpoint"),
        "imageServiceEndpoint" => Some("image-service-endpoint"),
        _ => None,
    }
}
