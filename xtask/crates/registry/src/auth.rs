//! Credentials: where they are found, and whom they are shown to.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fault::{Fault, Kind};
use serde_json::Value;

use crate::reference::host_name;

/// A user and a password. It has no `Debug`: it is never to be written.
pub(crate) struct Credentials {
    user: String,
    secret: String,
}

impl Credentials {
    /// The value of an `Authorization` header.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.secret)))
    }

    /// What docker's configuration and its credential helpers know of a host; none if they know nothing.
    pub(crate) fn find(host: &str) -> Result<Option<Self>> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let Some(dir) = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker"))) else {
            return Ok(None);
        };
        let file = dir.join("config.json");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", file.display()));
            }
        };
        // serde's message could quote the file.
        let config: Value = serde_json::from_str(&text)
            .map_err(|_| Fault::new(Kind::Data, format!("{} is not JSON", file.display())))?;
        let helper = config["credHelpers"][host].as_str().or_else(|| config["credsStore"].as_str());
        if let Some(helper) = helper
            && let Some(found) = ask(helper, host)?
        {
            return Ok(Some(found));
        }
        from_config(&config, host)
    }
}

/// The entry of `auths` for a host.
fn from_config(config: &Value, host: &str) -> Result<Option<Credentials>> {
    let plain = |key: &str| {
        let key = key.trim_start_matches("https://").trim_start_matches("http://");
        key.split('/').next().unwrap_or(key).to_owned()
    };
    let entries = config["auths"].as_object();
    let Some((_, entry)) = entries.and_then(|all| all.iter().find(|(key, _)| plain(key) == host)) else {
        return Ok(None);
    };
    if entry["identitytoken"].as_str().is_some_and(|token| !token.is_empty()) {
        return Err(identity_token(host));
    }
    if let (Some(user), Some(secret)) = (entry["username"].as_str(), entry["password"].as_str()) {
        return Ok(Some(Credentials { user: user.to_owned(), secret: secret.to_owned() }));
    }
    let Some(auth) = entry["auth"].as_str().filter(|auth| !auth.is_empty()) else { return Ok(None) };
    let decoded = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (user, secret) = pair.ok_or_else(|| {
        Fault::new(Kind::Data, format!("docker's config.json has an `auth` for {host} that is none"))
            .help(format!("docker login {host}"))
    })?;
    Ok(Some(Credentials { user: user.to_owned(), secret: secret.trim_end_matches('\0').to_owned() }))
}

fn identity_token(host: &str) -> anyhow::Error {
    Fault::new(Kind::Unavailable, format!("docker knows {host} by an identity token, which is not supported"))
        .help("log in with a user and an access token")
        .into()
}

/// Asks `docker-credential-HELPER`; none if it knows nothing of the host.
fn ask(helper: &str, host: &str) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{helper}");
    let fault = |why: &str| Fault::new(Kind::Tool, format!("{program} {why} (asked for {host})"));
    if helper.contains('/') {
        return Err(fault("is no name of a program").into());
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| fault(&format!("cannot be started: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read ends by itself; its answer counts.
        let _ = stdin.write_all(host.as_bytes());
    }
    let out = child.wait_with_output()?;
    if !out.status.success() {
        if String::from_utf8_lossy(&out.stdout).contains("credentials not found") {
            return Ok(None);
        }
        return Err(fault("failed").into());
    }
    let answer: Value = serde_json::from_slice(&out.stdout).map_err(|_| fault("does not answer in JSON"))?;
    match (answer["Username"].as_str(), answer["Secret"].as_str()) {
        (Some("<token>"), _) => Err(identity_token(host)),
        (Some(user), Some(secret)) => {
            Ok(Some(Credentials { user: user.to_owned(), secret: secret.to_owned() }))
        }
        _ => Err(fault("answers without user and secret").into()),
    }
}

/// What a registry demands with status 401.
#[derive(Debug, PartialEq, Eq)]
pub enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token.
    Bearer {
        /// The URL where it is to be had.
        realm: String,
        /// What the token server calls the registry.
        service: Option<String>,
    },
}

/// Reads a `WWW-Authenticate` header; none if nothing in it is known here.
#[must_use]
pub fn challenge(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Some(Challenge::Bearer { realm: parameter(rest, "realm")?, service: parameter(rest, "service") })
}

fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']);
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = left;
    }
    None
}

/// May a registry's credentials be shown to a realm? To the same host by a channel no weaker than the registry's; to
/// another only where both are reached by https: then the registry's own word, which nobody changed, sends us there.
pub(crate) fn may_show(registry_https: bool, registry: &str, realm_https: bool, realm: &str) -> bool {
    let same = host_name(registry) == host_name(realm);
    (realm_https && registry_https) || (same && realm_https >= registry_https)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer =
            challenge(r#"Bearer realm="https://a.b/token?x=1,2",service="s", scope="r:p:pull,push""#);
        let (realm, service) = ("https://a.b/token?x=1,2".to_owned(), Some("s".to_owned()));
        assert_eq!(bearer, Some(Challenge::Bearer { realm, service }));
        assert_eq!(challenge(r#"Basic realm="x""#), Some(Challenge::Basic));
        for text in ["", "Bearer", r#"Bearer realm="x"#, "Negotiate", "=", "Bearer ,=,="] {
            assert_eq!(challenge(text), None, "{text}");
        }
    }

    #[test]
    fn credentials_go_to_another_host_only_when_all_is_https() {
        assert!(may_show(true, "a.b", true, "auth.c"));
        assert!(may_show(false, "127.0.0.1:1", false, "127.0.0.1:2"));
        assert!(!may_show(false, "127.0.0.1:1", false, "127.0.0.2:1"));
        assert!(!may_show(false, "127.0.0.1:1", true, "evil.example"));
        assert!(!may_show(true, "a.b", false, "a.b"));
    }

    #[test]
    fn docker_configuration_is_read() {
        let config = json!({"auths": {"https://a.b/v1/": {"auth": STANDARD.encode("me:pass:word")}}});
        let found = from_config(&config, "a.b").unwrap().unwrap();
        assert_eq!((found.user.as_str(), found.secret.as_str()), ("me", "pass:word"));
        assert!(from_config(&config, "c.d").unwrap().is_none());
        let broken = json!({"auths": {"a.b": {"auth": "c2VjcmV0"}}});
        let error = format!("{:#}", from_config(&broken, "a.b").err().unwrap());
        assert!(!error.contains("c2VjcmV0") && error.contains("a.b"), "{error}");
    }
}
