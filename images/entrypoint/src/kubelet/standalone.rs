//! A kubelet without a cluster: there is nobody to ask who a client of its server is (a token review) and what it may do
//! (a subject access review), as the defaults of a configuration file have it. The kubelet ends at that.
//!
//! What takes its place is the least that starts. `AlwaysAllow` is the only other way to authorize, so the server only
//! listens where clients have to show a certificate of a CA that was named and no authorization was asked for; else it
//! is off. The health check, and a read-only port if the configuration has one, are servers of their own.
//! Sources: `BuildAuth` in `cmd/kubelet/app/auth.go` and `startKubelet` in `cmd/kubelet/app/server.go` of Kubernetes, the
//! same from 1.22 to 1.34.

use super::config::Config;
use super::given::{self, Given};
use super::node::{Node, STANDALONE};
use crate::stop::{CONFIG, Stop, USAGE};

const AUTHENTICATION: &str = "authentication.webhook.enabled";
const AUTHORIZATION: &str = "authorization.mode";

/// Is the kubelet to run without a cluster: by its variable, or by a kubeconfig that is named and empty?
pub(super) fn is_wanted(given: &[Given], node: &Node) -> Result<bool, Stop> {
    let kubeconfig = given::value(given, "kubeconfig");
    match kubeconfig {
        Some(file) if node.standalone && !file.is_empty() => {
            let message =
                format!("{STANDALONE} and --kubeconfig={file}: a kubelet has a cluster or has none");
            Err(Stop::new(USAGE, message).help("leave out one of the two"))
        }
        _ => Ok(node.standalone || kubeconfig == Some("")),
    }
}

/// The flags that take the place of asking the cluster, where flags and configuration want to ask it.
pub(super) fn flags(given: &[Given], config: &Config, notes: &mut Vec<String>) -> Result<Vec<String>, Stop> {
    let stated = |flag: &str, key: &str| given::value(given, flag).or_else(|| config.get(key));
    let (webhook, mode) = ("authentication-token-webhook", "authorization-mode");
    // The defaults of a file; without any file the kubelet asks nobody.
    let has_file = given::path(given, "config").is_some() || given::path(given, "config-dir").is_some();
    let by_default = |key: &str| has_file && !config.is_unknown(key);
    let asked_mode = stated(mode, AUTHORIZATION);
    let authenticates =
        stated(webhook, AUTHENTICATION).map_or_else(|| by_default(AUTHENTICATION), |it| it != "false");
    let authorizes = asked_mode.map_or_else(|| by_default(AUTHORIZATION), |mode| mode == "Webhook");
    if !authenticates && !authorizes {
        return Ok(Vec::new());
    }
    for (name, asks) in [(webhook, authenticates), (mode, authorizes)] {
        if let Some(value) = given::value(given, name).filter(|_| asks) {
            let message = format!("--{name}={value} asks the cluster about clients, and there is none");
            return Err(
                Stop::new(USAGE, message).help("leave it out, or name the cluster by --kubeconfig=FILE")
            );
        }
    }
    let mut flags = Vec::new();
    if authenticates {
        flags.push(format!("--{webhook}=false"));
    }
    if authorizes {
        flags.push(format!("--{mode}=AlwaysAllow"));
    }
    let ca = stated("client-ca-file", "authentication.x509.clientCAFile").filter(|file| !file.is_empty());
    let anonymous = stated("anonymous-auth", "authentication.anonymous.enabled") == Some("true");
    match ca {
        // Who may do everything was said: nothing of it is ours.
        _ if !authorizes && (anonymous || ca.is_some()) => {}
        Some(ca) if !anonymous && asked_mode.is_none() => notes.push(format!(
            "without a cluster there is nobody to ask about clients: who has a certificate of {ca} may do everything"
        )),
        _ if stated("enable-server", "enableServer") == Some("true") => {
            let message = "the kubelet's server is to be on, without a cluster to ask about its clients";
            return Err(Stop::new(CONFIG, message)
                .help("for those with a certificate of a CA: --authorization-mode=AlwaysAllow --anonymous-auth=false --client-ca-file=FILE")
                .help("or leave `enableServer` out: it is then off"));
        }
        _ => {
            flags.push("--enable-server=false".to_owned());
            // It wants one way to know clients also where it never has one.
            if !anonymous && ca.is_none() {
                if let Some(value) = given::value(given, "anonymous-auth") {
                    let message = format!("--anonymous-auth={value} leaves no way to know a client");
                    return Err(Stop::new(USAGE, message).help("leave it out: without a cluster the kubelet's server is off"));
                }
                flags.push("--anonymous-auth=true".to_owned());
            }
            notes.push(
                "without a cluster there is nobody to ask about clients: the kubelet's server (port 10250) is off; \
                 --authorization-mode=AlwaysAllow --client-ca-file=FILE turn it on for those with a certificate of that CA"
                    .to_owned(),
            );
        }
    }
    Ok(flags)
}
