//! Credentials: where they are found.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fault::{Fault, Kind};
use serde_json::Value;

use crate::Reference;
use crate::reference::HUB;

/// The largest file with credentials, and the largest answer of a helper, in bytes.
const LIMIT: u64 = 1 << 20;
/// How long a helper may take. It may ask the user something.
const PATIENCE: Duration = Duration::from_mins(2);
/// What `docker login` keeps the credentials of Docker Hub under.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// What a registry may be shown. It has no `Debug`: it is never to be written.
pub(crate) enum Credentials {
    /// A user and a password.
    Password(String, String),
    /// A token that is exchanged for others.
    Identity(String),
}

impl Credentials {
    /// The value of an `Authorization` header; an identity token is for token servers alone.
    pub(crate) fn basic(&self) -> Option<String> {
        match self {
            Self::Password(user, secret) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{secret}"))))
            }
            Self::Identity(_) => None,
        }
    }

    /// What docker's or else podman's configuration, and the helpers they name, know of a repository.
    pub(crate) fn find(of: &Reference, auth_file: Option<&Path>) -> Result<Option<Self>> {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let named = auth_file.map(|file| vec![file.to_owned()]);
        let user = rustix::process::getuid().as_raw();
        for file in named.unwrap_or_else(|| files(var, user)) {
            let text = match auth_file {
                // Who names one means it.
                Some(_) => files::read_required(&file, LIMIT)?,
                None => match files::read_named(&file, LIMIT)? {
                    Some(text) => text,
                    None => continue,
                },
            };
            if text.trim_ascii().is_empty() {
                continue;
            }
            // serde's message could quote the file.
            let config: Value = serde_json::from_slice(&text)
                .map_err(|_| Fault::new(Kind::InvalidData, format!("{} is not JSON", file.display())))?;
            let without = without_port(&of.host);
            let port = format!("{without}:443");
            let keys: &[&str] = match without {
                _ if of.is_hub() => &[HUB_KEY, HUB[0], HUB[1], HUB[2]],
                _ if without != of.host => &[&of.host, without],
                _ if without.contains(':') => &[without],
                _ => &[without, &port],
            };
            // For one host a helper of no name says: none, the file itself.
            let helper = keys.iter().find_map(|key| config["credHelpers"][*key].as_str());
            if let Some(helper) = helper.or_else(|| config["credsStore"].as_str()).filter(|it| !it.is_empty())
            {
                // A helper knows a host as it was written when one logged in.
                for key in keys {
                    if let Some(found) = ask(helper, key, PATIENCE)? {
                        return Ok(Some(found));
                    }
                }
            }
            if let Some(found) = from_config(&config, &file, of)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Where credentials are kept, in the order they are asked for.
fn files(var: impl Fn(&str) -> Option<PathBuf>, user: u32) -> Vec<PathBuf> {
    let home = |inside: &str| var("HOME").map(|home| home.join(inside));
    let docker = var("DOCKER_CONFIG").or_else(|| home(".docker")).map(|dir| dir.join("config.json"));
    // Source: containers-auth.json(5)
    let podman = [
        Some(match var("XDG_RUNTIME_DIR") {
            Some(dir) => dir.join("containers/auth.json"),
            None => PathBuf::from(format!("/run/containers/{user}/auth.json")),
        }),
        var("XDG_CONFIG_HOME").or_else(|| home(".config")).map(|dir| dir.join("containers/auth.json")),
    ];
    if var("DOCKER_CONFIG").is_some() {
        return docker.into_iter().collect();
    }
    docker.into_iter().chain(podman.into_iter().flatten()).collect()
}

/// A host without the port that it has anyway.
fn without_port(host: &str) -> &str {
    host.strip_suffix(":443").filter(|host| !host.is_empty()).unwrap_or(host)
}

/// How well a key of `auths` names a repository: by how much of its path, and then as `docker login` writes a host; none
/// if it is of another. `docker login` once wrote `https://HOST/v1/`; podman's keys may go on with a path, which is for
/// what lies below it and for nothing else.
fn covers(key: &str, of: &Reference) -> Option<(usize, bool)> {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = without_port(host).to_ascii_lowercase();
    if host != without_port(&of.host).to_ascii_lowercase() && !(of.is_hub() && HUB.contains(&&*host)) {
        return None;
    }
    let path = path.trim_matches('/');
    let repository = of.path();
    let below = repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match path {
        "" | "v1" | "v2" => Some((0, bare == key)),
        _ if below => Some((path.len(), bare == key)),
        _ => None,
    }
}

/// The entry of `auths` that says most of a repository. Empty ones are left by programs that gave what they said to a
/// helper.
fn from_config(config: &Value, file: &Path, of: &Reference) -> Result<Option<Credentials>> {
    let entries = config["auths"].as_object().into_iter().flatten();
    let says = |entry: &Value| {
        let all = ["auth", "identitytoken", "username"];
        all.iter().any(|key| entry[*key].as_str().is_some_and(|text| !text.trim().is_empty()))
    };
    let found = entries.filter(|(_, entry)| says(entry));
    let found = found.filter_map(|(key, entry)| Some((covers(key, of)?, entry)));
    let Some((_, entry)) = found.max_by_key(|(how, _)| *how) else { return Ok(None) };
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credentials::Identity(token)));
    }
    if let (Some(user), Some(secret)) = (text("username"), text("password")) {
        return Ok(Some(Credentials::Password(user, secret)));
    }
    let Some(auth) = text("auth") else { return Ok(None) };
    let decoded = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (user, secret) = pair.ok_or_else(|| {
        let text =
            format!("{} has an `auth` for {} that is not a user and a password", file.display(), of.host);
        Fault::new(Kind::InvalidData, text).help(format!("docker login {}", of.host))
    })?;
    Ok(Some(Credentials::Password(user.to_owned(), secret.trim_end_matches('\0').to_owned())))
}

/// Asks `docker-credential-HELPER`; none if it knows nothing of the host.
fn ask(helper: &str, host: &str, patience: Duration) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{helper}");
    let fault = |why: &str| Fault::new(Kind::Tool, format!("{program} {why} (asked for {host})"));
    if helper.contains('/') {
        return Err(fault("is not the name of a program").into());
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| fault(&format!("cannot be started: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read ends by itself; its answer counts. A pipe holds more than a host's name.
        let _ = stdin.write_all(host.as_bytes());
    }
    let out = answer(&mut child, patience);
    if !matches!(child.try_wait(), Ok(Some(_))) {
        let _ = child.kill();
        let _ = child.wait();
    }
    let out = out?.map_err(fault)?;
    let status = child.wait()?;
    if !status.success() {
        if String::from_utf8_lossy(&out).contains("credentials not found") {
            return Ok(None);
        }
        return Err(fault("failed").into());
    }
    let answer: Value = serde_json::from_slice(&out).map_err(|_| fault("does not answer in JSON"))?;
    match (answer["Username"].as_str(), answer["Secret"].as_str()) {
        (Some(""), Some("")) => Ok(None),
        (Some("<token>"), Some(token)) => Ok(Some(Credentials::Identity(token.to_owned()))),
        (Some(user), Some(secret)) => Ok(Some(Credentials::Password(user.to_owned(), secret.to_owned()))),
        _ => Err(fault("answers without user and secret").into()),
    }
}

/// All that a helper says, once it has ended; or why it is not waited for.
fn answer(child: &mut Child, patience: Duration) -> Result<Result<Vec<u8>, &'static str>> {
    let Some(stdout) = child.stdout.take() else { return Ok(Err("has no output")) };
    let (send, heard) = std::sync::mpsc::channel();
    // Not waited for: something that the helper started may hold its output for ever.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(LIMIT + 1).read_to_end(&mut bytes);
        let _ = send.send(read.map(|_| bytes));
    });
    let until = Instant::now() + patience;
    let mut said = None;
    loop {
        exec::interrupt::check()?;
        match heard.recv_timeout(Duration::from_millis(20)) {
            Ok(Ok(bytes)) if bytes.len() as u64 > LIMIT => return Ok(Err("writes too much")),
            Ok(Ok(bytes)) => said = Some(bytes),
            Ok(Err(_)) => return Ok(Err("cannot be read")),
            Err(_) => {}
        }
        if let Some(said) = said.take_if(|_| matches!(child.try_wait(), Ok(Some(_)))) {
            return Ok(Ok(said));
        }
        if Instant::now() > until {
            return Ok(Err("does not answer"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests;
