//! Has kubeadm finished with this host? It writes its files one after the other and then has systemd start the kubelet,
//! which has no say here: a kubelet that starts in between would run on something else than what kubeadm wants.
//!
//! Sources: `runKubeletStartJoinPhase` in `cmd/kubeadm/app/cmd/phases/join/kubelet.go` (bootstrap kubeconfig, then
//! configuration, then flags; the bootstrap kubeconfig is removed at the end) and `cmd/phases/init/kubelet.go` (flags, then
//! configuration, both after kubeconfig files) of Kubernetes 1.22 to 1.34.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::at;
use super::compose::{BOOTSTRAP, HOST_CONFIG, KUBECONFIG, missing_kubeconfigs};
use super::given::{self, Given};
use super::kubeadm::FLAGS;
use crate::failure::err;
use crate::regular;
use crate::signals::{self, Held};
use crate::stop::{Stop, USAGE};

/// How long a start waits for a kubeadm that has begun. It takes a second or two; on a small machine the keys of
/// `kubeadm init` take longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// `on`: a start waits for kubeadm without end, also for one that has not begun; `off`: it does not wait.
pub(crate) const WAIT: &str = "KUBELET_WAIT";
/// Has the administrator's kubeconfig, which `kubeadm init` writes before the kubelet's.
const ADMIN: &str = "/etc/kubernetes/admin.conf";
/// Who kubeadm calls itself in the bootstrap kubeconfig, `TokenUser` in `cmd/kubeadm/app/discovery/discovery.go`.
const TOKEN_USER: &str = "tls-bootstrap-token-user";

/// What kubeadm has begun.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// What is here, and what is not yet.
    pub(crate) why: String,
    /// Since when, where something else than kubeadm may have left it so: then the kubelet may start after all.
    since: Option<SystemTime>,
}

impl Unfinished {
    /// May the kubelet not start like this, however long it is waited for?
    pub(crate) fn is_fatal(&self) -> bool {
        self.since.is_none()
    }

    /// How long it is to be waited for.
    fn patience(&self) -> Duration {
        let age = self.since.and_then(|since| since.elapsed().ok()).unwrap_or_default();
        PATIENCE.saturating_sub(age)
    }
}

/// Looks at kubeadm's files, unless the flags name others.
pub(crate) fn unfinished(root: &Path, given: &[Given]) -> Option<Unfinished> {
    let usual = [("config", HOST_CONFIG), ("kubeconfig", KUBECONFIG), ("bootstrap-kubeconfig", BOOTSTRAP)];
    if usual.iter().any(|(flag, default)| given::value(given, flag).is_some_and(|value| value != *default)) {
        return None;
    }
    // Of a file that is just being written there is at first nothing.
    let written = |path: &str| {
        fs::metadata(at(root, path)).ok().filter(|meta| meta.len() > 0).and_then(|meta| meta.modified().ok())
    };
    let exists = |path: &str| at(root, path).exists();
    if written(HOST_CONFIG).is_none() {
        let mark = [BOOTSTRAP, ADMIN, FLAGS].into_iter().find(|path| exists(path))?;
        return Some(Unfinished { why: format!("{mark} is here, {HOST_CONFIG} is not yet"), since: None });
    }
    if exists(KUBECONFIG)
        || !regular::read_text(&at(root, BOOTSTRAP)).is_ok_and(|text| text.contains(TOKEN_USER))
    {
        return None;
    }
    // What is older than the bootstrap kubeconfig is of an earlier join.
    let begun = written(BOOTSTRAP)?;
    let late = [HOST_CONFIG, FLAGS].into_iter().find(|path| written(path).is_none_or(|at| at < begun))?;
    Some(Unfinished {
        why: format!("{BOOTSTRAP} is here, the {late} that goes with it is not yet"),
        since: Some(begun),
    })
}

/// Waits until kubeadm has finished what it has begun, but not for ever: whether the kubelet may start is decided later.
pub(crate) fn wait(root: &Path, given: &[Given], mode: &str) -> Result<(), Stop> {
    let endless = match mode {
        "" => false,
        "on" => true,
        "off" => return Ok(()),
        other => return Err(Stop::new(USAGE, format!("{WAIT}={other}: expected on or off"))),
    };
    let held = Held::hold();
    let waited = wait_held(root, given, endless, &held);
    held.release();
    waited
}

/// With signals held back, to say what one of them ended.
fn wait_held(root: &Path, given: &[Given], endless: bool, held: &Held) -> Result<(), Stop> {
    let begin = Instant::now();
    let mut said = String::new();
    loop {
        let Some(found) = unfinished(root, given).or_else(|| not_begun(root, given).filter(|_| endless))
        else {
            return Ok(());
        };
        if begin.elapsed() >= found.patience() && !(endless && found.is_fatal()) {
            return Ok(());
        }
        if said != found.why {
            err(&format!("entrypoint: waiting for kubeadm: {}", found.why));
            said = found.why;
        }
        let signal = held.next_within(PAUSE);
        if let Some(signal) = signal.filter(|signal| signals::ends(*signal)) {
            let code = u8::try_from(128 + signal).unwrap_or(u8::MAX);
            return Err(Stop::new(code, format!("ended by signal {signal} while waiting for kubeadm")));
        }
    }
}

/// A host that belongs to no cluster yet.
fn not_begun(root: &Path, given: &[Given]) -> Option<Unfinished> {
    let [own, _] = missing_kubeconfigs(given, root)?;
    Some(Unfinished { why: format!("this host has joined no cluster: {own} is not here"), since: None })
}
