//! One registry: requests, redirects, retries.

use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use fault::{Fault, Kind};
use flate2::read::MultiGzDecoder;
use oci::digest::Digest;
use serde_json::Value;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};
use web::{Answer, Ask, Origin, Patience, Web, shown};

use crate::retry::{Tries, is_transient};
use crate::upload::Manner;
use crate::{MANIFEST_LIMIT, Options, Reference};

/// The largest answer of a token server or an error, in bytes.
pub(crate) const SMALL_LIMIT: u64 = 1 << 20;

/// Headers and body of a success; any other answer as it came.
type Got = Result<(HeaderMap, Vec<u8>), Answer>;

pub(crate) struct Client<'a> {
    pub(crate) web: Web,
    /// Who alone is shown what [`Client::authorization`] holds, and whose demands to log in count.
    pub(crate) origin: Origin,
    /// `https://HOST`
    base: String,
    pub(crate) host: String,
    pub(crate) repository: String,
    pub(crate) reference: Reference,
    /// What a token is asked for.
    pub(crate) scope: String,
    pub(crate) authorization: Mutex<Option<String>>,
    /// The registry gives no token for repositories to mount from.
    pub(crate) mounts_denied: AtomicBool,
    /// How blobs are sent, as far as it is known what the registry takes.
    pub(crate) manner: Mutex<Manner>,
    pub(crate) options: &'a Options<'a>,
}

impl<'a> Client<'a> {
    /// Speaks to the registry of a reference, and logs in if that is demanded at once.
    pub(crate) fn open(to: &Reference, options: &'a Options<'a>, write: bool) -> Result<Self> {
        let https = !(options.plain_http || to.loopback() && options.ca.is_none());
        let config = Agent::config_builder()
            .https_only(https)
            .tls_config(TlsConfig::builder().root_certs(roots(options)?).build());
        let actions = if write { "pull,push" } else { "pull" };
        let base = format!("{}://{}", if https { "https" } else { "http" }, to.server());
        let client = Self {
            web: Web::new(config, Patience::of(options.timeout)),
            origin: Origin::of(&base)?,
            base,
            host: to.host.clone(),
            repository: to.path(),
            reference: to.clone(),
            scope: format!("repository:{}:{actions}", to.path()),
            authorization: Mutex::default(),
            mounts_denied: AtomicBool::new(false),
            manner: Mutex::new(Manner::Put),
            options,
        };
        // Some have nothing there, and some answer 401 to everybody: what counts is what they say of the repository. Whom
        // nobody can reach is told now.
        let ping = format!("{}/v2/", client.base);
        let ask = Ask::new("GET", &ping);
        let mut tries = Tries::new(&client);
        loop {
            match client.web.ask(&ask)? {
                Ok(answer) if answer.response.status().as_u16() == 401 && answer.from == client.origin => {
                    client.try_log_in(&answer)?;
                    break;
                }
                Ok(answer) if !is_transient(&answer) || tries.are_spent() => break,
                other => tries.pause(other)?,
            }
        }
        Ok(client)
    }

    /// The URL of something in the repository.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.base, self.repository)
    }

    /// Where an answer says that an upload goes on. A registry behind a proxy may not know that it is reached by https, or
    /// by a port.
    pub(crate) fn location(&self, answer: &Answer) -> Result<String> {
        let text = answer.response.headers().get("location");
        let text = text.ok_or_else(|| self.protocol_error("answers without a `Location`"))?.as_bytes();
        let url = web::join(&answer.url, text).ok_or_else(|| {
            let text =
                format!("answers with `Location` {}, which is not a URL that can be asked", shown(text));
            self.protocol_error(&text)
        })?;
        let to = Origin::of(&url)?;
        if to.https || to == self.origin || self.options.plain_http {
            return Ok(url);
        }
        if to.host == self.origin.host {
            let path = url.splitn(4, '/').nth(3).unwrap_or_default();
            return Ok(format!("{}/{path}", self.base));
        }
        Err(self.protocol_error(&format!("sends uploads by `Location` to {to}, another host without https")))
    }

    /// A URL that a `Link` of an answer from another names, and that must be the registry's own.
    pub(crate) fn own_url(&self, of: &str, target: &str) -> Result<String> {
        let url =
            web::join(of, target.as_bytes()).filter(|url| Origin::of(url).is_ok_and(|to| to == self.origin));
        url.ok_or_else(|| {
            let target = shown(target.as_bytes());
            self.protocol_error(&format!(
                "continues a list, by `Link`, at {target}, which is not on its own host"
            ))
        })
    }

    /// A registry that does not speak as it should.
    pub(crate) fn protocol_error(&self, what: &str) -> anyhow::Error {
        Fault::new(Kind::Unavailable, format!("{} {what}", self.host)).into()
    }

    /// The error for an answer that is not a success: its status, and the codes the registry gives.
    pub(crate) fn refused(&self, what: &str, answer: Answer) -> anyhow::Error {
        let status = answer.response.status().as_u16();
        let codes = codes(answer).join(" ");
        let text = format!("{}/{}: {what}: status {status} {codes}", self.host, self.repository);
        let fault = Fault::new(Kind::Unavailable, text.trim_end());
        match status {
            401 | 403 => fault.help(format!("docker login {}", self.host)).into(),
            _ => fault.into(),
        }
    }

    /// One request; answers 401 by logging in, once. Retries nothing else.
    pub(crate) fn send_once(&self, ask: &Ask<'_>) -> Result<Result<Answer, ureq::Error>> {
        let mut again = true;
        loop {
            let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let secret = known.as_deref().map(|value| (&self.origin, value));
            match self.web.ask(&Ask { secret, ..*ask })? {
                // Whom the registry sends us to has no say in who gets its credentials.
                Ok(answer)
                    if again && answer.response.status().as_u16() == 401 && answer.from == self.origin =>
                {
                    self.log_in(answer)?;
                    again = false;
                }
                other => return Ok(other),
            }
        }
    }

    /// As [`Self::send_once`], tried again after 429, 5xx and broken connections, which in the end are errors.
    pub(crate) fn send(&self, ask: &Ask<'_>) -> Result<Answer> {
        let mut tries = Tries::new(self);
        loop {
            match self.send_once(ask)? {
                Ok(answer) if !is_transient(&answer) => return Ok(answer),
                other => tries.pause(other)?,
            }
        }
    }

    /// A small answer to GET, read whole, and tried again where it breaks off; as it came if it is not a success. One that is
    /// 5xx to the end is such, too, if `optional`.
    pub(crate) fn get(&self, url: &str, headers: &[(&str, &str)], what: &str, optional: bool) -> Result<Got> {
        let mut tries = Tries::new(self);
        loop {
            let answer = match self.send_once(&Ask { headers, ..Ask::new("GET", url) })? {
                Ok(answer) if !is_transient(&answer) || optional && tries.are_spent() => answer,
                other => {
                    tries.pause(other)?;
                    continue;
                }
            };
            if answer.response.status().as_u16() != 200 {
                return Ok(Err(answer));
            }
            let headers = answer.response.headers().clone();
            match read(answer.response, MANIFEST_LIMIT) {
                Ok(Some(bytes)) => return Ok(Ok((headers, bytes))),
                Ok(None) => {
                    let text = format!("{}: {what} is larger than {MANIFEST_LIMIT} bytes", self.host);
                    return Err(Fault::new(Kind::Mismatch, text).into());
                }
                Err(error) => tries.pause(Err(error.into()))?,
            }
        }
    }
}

/// Whom TLS trusts.
fn roots(options: &Options<'_>) -> Result<RootCerts> {
    let Some(file) = &options.ca else { return Ok(RootCerts::PlatformVerifier) };
    let pem = files::read_required(file, SMALL_LIMIT)?;
    let certificate = |item| if let Ok(PemItem::Certificate(it)) = item { Some(it) } else { None };
    let certificates: Vec<_> = parse_pem(&pem).filter_map(certificate).collect();
    if certificates.is_empty() {
        let text = format!("{} has no certificate in PEM form", file.display());
        return Err(Fault::new(Kind::InvalidData, text).into());
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// The codes that an error has, the first few. Not its messages: they could repeat what was sent.
pub(crate) fn codes(answer: Answer) -> Vec<String> {
    let body = read(answer.response, SMALL_LIMIT).ok().flatten().unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let errors = body["errors"].as_array().into_iter().flatten();
    errors
        .filter_map(|error| error["code"].as_str())
        .map(|code| code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect())
        .take(3)
        .collect()
}

/// A header's value, if it is text in ASCII.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The length that an answer says. 0 is what some proxies say to HEAD, of anything.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    header(headers, "content-length")?.trim().parse().ok().filter(|length| *length > 0)
}

/// The digest that an answer says. One by another algorithm, or what is none, says nothing.
pub(crate) fn said_digest(headers: &HeaderMap) -> Option<Digest> {
    header(headers, "docker-content-digest")?.trim().to_ascii_lowercase().parse().ok()
}

/// A body of at most so many bytes; none if it is longer. Proxies compress, whoever asks, and some servers say so of what
/// they did not compress.
pub(crate) fn read(answer: Response<Body>, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let says = header(answer.headers(), "content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let mut bytes = Vec::new();
    answer.into_body().into_reader().take(limit + 1).read_to_end(&mut bytes)?;
    if matches!(&*says, "gzip" | "x-gzip") && bytes.len() as u64 <= limit {
        let mut plain = Vec::new();
        if MultiGzDecoder::new(&*bytes).take(limit + 1).read_to_end(&mut plain).is_ok() {
            bytes = plain;
        }
    }
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// A value in a query.
pub(crate) fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
