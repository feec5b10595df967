//! One registry: requests, retries, tokens.

use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use oci::digest::Digest;
use serde_json::Value;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};
use web::{Answer, Ask, Origin, Web};

use crate::auth::{Challenge, challenges, may_show};
use crate::credentials::Credentials;
use crate::{MANIFEST_LIMIT, Options, Reference};

/// The longest that a `Retry-After` is obeyed.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The largest answer of a token server or an error, in bytes.
const SMALL_LIMIT: u64 = 1 << 20;
/// What manifests may be.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest as a registry has it: verified bytes.
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

/// Headers and body of a success; any other answer as it came.
type Got = Result<(HeaderMap, Vec<u8>), Response<Body>>;

pub(crate) struct Client<'a> {
    web: Web,
    /// Who alone is shown what [`Client::authorization`] holds, and whose demands to log in count.
    origin: Origin,
    /// `https://HOST`
    base: String,
    host: String,
    pub(crate) repository: String,
    reference: Reference,
    scopes: Vec<String>,
    authorization: Mutex<Option<String>>,
    pub(crate) options: &'a Options<'a>,
}

impl<'a> Client<'a> {
    /// Speaks to the registry of a reference, and logs in if that is demanded.
    pub(crate) fn open(to: &Reference, options: &'a Options<'a>, write: bool) -> Result<Self> {
        let https = !(options.plain_http || to.loopback() && options.ca.is_none());
        let roots = match &options.ca {
            None => RootCerts::PlatformVerifier,
            Some(file) => {
                let pem =
                    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
                let certificates: Vec<_> = parse_pem(&pem)
                    .filter_map(|item| if let Ok(PemItem::Certificate(it)) = item { Some(it) } else { None })
                    .collect();
                if certificates.is_empty() {
                    let text = format!("{} has no certificate in PEM form", file.display());
                    return Err(Fault::new(Kind::Data, text).into());
                }
                RootCerts::new_with_certs(&certificates)
            }
        };
        let config = Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_send_body(Some(Duration::from_mins(10)))
            .timeout_recv_response(Some(options.timeout))
            .timeout_recv_body(Some(Duration::from_hours(1)))
            .https_only(https)
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        let actions = if write { "pull,push" } else { "pull" };
        let mut scopes = vec![format!("repository:{}:{actions}", to.path())];
        scopes.extend(options.mount_from.iter().map(|from| format!("repository:{from}:pull")));
        let base = format!("{}://{}", if https { "https" } else { "http" }, to.server());
        let client = Self {
            web: Web::new(config),
            origin: Origin::of(&base)?,
            base,
            host: to.host.clone(),
            repository: to.path(),
            reference: to.clone(),
            scopes,
            authorization: Mutex::new(None),
            options,
        };
        let answer = client.send("GET", &format!("{}/v2/", client.base), &[], None)?;
        match answer.status().as_u16() {
            200 => Ok(client),
            _ => Err(client.refused("the registry", answer)),
        }
    }

    /// The URL of something in the repository.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.base, self.repository)
    }

    /// A `Location`, which may be relative.
    pub(crate) fn location(&self, headers: &HeaderMap) -> Result<String> {
        let text = header(headers, "location").ok_or_else(|| self.odd("answers without a Location"))?;
        if text.starts_with('/') {
            return Ok(format!("{}{text}", self.base));
        }
        let to = Origin::of(text)?;
        if !to.https && to != self.origin && !self.options.plain_http {
            return Err(self.odd("sends uploads to another host without https"));
        }
        Ok(text.to_owned())
    }

    /// A URL that the registry names and that must be its own.
    pub(crate) fn ours_at(&self, target: &str) -> Result<String> {
        let url = if target.starts_with('/') { format!("{}{target}", self.base) } else { target.to_owned() };
        if Origin::of(&url)? == self.origin {
            Ok(url)
        } else {
            Err(self.odd("continues a list on another host"))
        }
    }

    /// A registry that does not speak as it should.
    pub(crate) fn odd(&self, what: &str) -> anyhow::Error {
        Fault::new(Kind::Unavailable, format!("{} {what}", self.host)).into()
    }

    /// The error for an answer that is no success: its status, and the codes the registry gives.
    pub(crate) fn refused(&self, what: &str, answer: Response<Body>) -> anyhow::Error {
        let status = answer.status().as_u16();
        let body = read(answer, SMALL_LIMIT).ok().flatten().unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        // Codes only: a message could repeat what was sent.
        let codes: Vec<String> = body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|error| error["code"].as_str())
            .map(|code| code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect())
            .take(3)
            .collect();
        let fault = Fault::new(
            Kind::Unavailable,
            format!("{}/{}: {what}: status {status} {}", self.host, self.repository, codes.join(" "))
                .trim_end(),
        );
        match status {
            401 | 403 => fault.help(format!("docker login {}", self.host)).into(),
            _ => fault.into(),
        }
    }

    /// One request; answers 401 by logging in, once. Retries nothing else.
    pub(crate) fn send_once(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Result<Response<Body>, ureq::Error>> {
        for again in [true, false] {
            let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let secret = known.as_deref().map(|value| (&self.origin, value));
            match self.web.ask(&Ask { method, url, headers, body, secret })? {
                Err(error) => return Ok(Err(error)),
                // Whom the registry sends us to has no say in who gets its credentials.
                Ok(Answer { response, from })
                    if again && response.status().as_u16() == 401 && from == self.origin =>
                {
                    self.log_in(response)?;
                }
                Ok(answer) => return Ok(Ok(answer.response)),
            }
        }
        Err(self.odd("keeps answering 401 Unauthorized after authentication"))
    }

    /// As [`Self::send_once`], tried again after 429, 5xx and broken connections.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Response<Body>> {
        let mut tried = 0;
        loop {
            let answer = self.send_once(method, url, headers, body)?;
            match answer {
                Ok(answer) if !passing(answer.status().as_u16()) => return Ok(answer),
                other => self.pause(&mut tried, other)?,
            }
        }
    }

    /// Waits before another try, as long as the registry says or longer each time; an error when there were enough.
    pub(crate) fn pause(&self, tried: &mut u32, after: Result<Response<Body>, ureq::Error>) -> Result<()> {
        *tried += 1;
        let mut wait = backoff(*tried);
        match after {
            Ok(answer) => {
                if let Some(seconds) = header(answer.headers(), "retry-after").and_then(|it| it.parse().ok())
                {
                    wait = Duration::from_secs(seconds).min(LONGEST_WAIT);
                }
                if *tried > self.options.retries {
                    return Err(self.refused(&format!("given up after {tried} tries"), answer));
                }
            }
            Err(error) => {
                let lasting =
                    matches!(error, ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::BadUri(_));
                if lasting || *tried > self.options.retries {
                    return Err(self.odd(&format!("cannot be reached: {error} ({tried} tries)")));
                }
            }
        }
        let until = std::time::Instant::now() + wait;
        while std::time::Instant::now() < until {
            exec::interrupt::check()?;
            sleep(Duration::from_millis(50).min(wait));
        }
        Ok(())
    }

    /// Does what a 401 demands; keeps the header that further requests have.
    fn log_in(&self, answer: Response<Body>) -> Result<()> {
        // Only now: a helper that is missing, or asks the user something, is none of a public image's business.
        let credentials = Credentials::find(&self.reference)?;
        let headers = answer.headers().get_all("www-authenticate").iter();
        let demand = headers.filter_map(|value| value.to_str().ok()).flat_map(challenges).next();
        let value = match demand {
            Some(Challenge::Basic) => match credentials {
                Some(credentials) => credentials.basic().ok_or_else(|| {
                    self.odd("demands a password, but an identity token is all that is known")
                })?,
                None => return Err(self.refused("no credentials are known", answer)),
            },
            Some(Challenge::Bearer { realm, service }) => {
                self.token(&realm, service.as_deref(), credentials.as_ref())?
            }
            None => return Err(self.refused("it demands a login of an unknown kind", answer)),
        };
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }

    fn token(&self, realm: &str, service: Option<&str>, credentials: Option<&Credentials>) -> Result<String> {
        let to = Origin::of(realm).map_err(|_| self.odd("names a token server that is not a URL"))?;
        if !may_show(&self.origin, &to) {
            let text = format!(
                "{} sends us for a token to {to}, another host or one without https: it gets no credentials",
                self.host
            );
            return Err(Fault::new(Kind::Unavailable, text).into());
        }
        let service = service.map(|it| ("service", it));
        let identity = match credentials {
            Some(Credentials::Identity(token)) => Some(token.as_str()),
            _ => None,
        };
        let pairs: Vec<String> = if let Some(token) = identity {
            // Source: distribution, docs/content/spec/auth/oauth.md
            let scopes = self.scopes.join(" ");
            let form =
                [("grant_type", "refresh_token"), ("client_id", "cargo-xtask"), ("refresh_token", token)];
            form.into_iter().chain(service).chain([("scope", scopes.as_str())]).map(pair).collect()
        } else {
            let scopes = self.scopes.iter().map(|scope| ("scope", scope.as_str()));
            service.into_iter().chain(scopes).map(pair).collect()
        };
        let pairs = pairs.join("&");
        let basic = credentials.and_then(Credentials::basic);
        let asked = if identity.is_some() {
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            let body = Some(pairs.as_bytes());
            self.web.ask(&Ask { method: "POST", url: realm, headers: &headers, body, secret: None })?
        } else {
            let url = format!("{realm}{}{pairs}", if realm.contains('?') { '&' } else { '?' });
            let secret = basic.as_deref().map(|value| (&to, value));
            self.web.ask(&Ask { method: "GET", url: &url, headers: &[], body: None, secret })?
        };
        let answer =
            asked.map_err(|error| self.odd(&format!("names a token server that fails: {error}")))?.response;
        if answer.status().as_u16() != 200 {
            return Err(self.refused("token server returned no token", answer));
        }
        let bytes =
            read(answer, SMALL_LIMIT)?.ok_or_else(|| self.odd("has a token server that says too much"))?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = body["token"].as_str().or_else(|| body["access_token"].as_str());
        let token =
            token.filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        token
            .map(|token| format!("Bearer {token}"))
            .ok_or_else(|| self.odd("names a token server that returned no token"))
    }

    /// Is this manifest there, under this tag or digest?
    pub(crate) fn has_manifest(&self, name: &str, digest: Digest, size: u64) -> Result<bool> {
        let answer =
            self.send("HEAD", &self.url(&format!("manifests/{name}")), &[("accept", ACCEPT)], None)?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Ok(false),
            _ => return Err(self.refused(&format!("manifest {name}"), answer)),
        }
        let said = header(answer.headers(), "docker-content-digest").map(str::to_owned);
        if said.as_deref() != Some(digest.to_string().as_str()) {
            // A tag may name another; who does not say which is sent it.
            return match said.filter(|_| name.contains(':')) {
                Some(said) => {
                    Err(Fault::mismatch(format!("{}: manifest {name}", self.host), digest, said).into())
                }
                None => Ok(false),
            };
        }
        let length = header(answer.headers(), "content-length").and_then(|text| text.parse::<u64>().ok());
        match length.filter(|length| *length != size) {
            Some(length) => {
                let bytes = |size: u64| format!("{size} bytes");
                let what = format!("{}: manifest {name}", self.host);
                Err(Fault::mismatch(what, bytes(size), bytes(length)).into())
            }
            None => Ok(true),
        }
    }

    /// A small answer to GET, read whole, and tried again where it breaks off; as it came if it is no success.
    pub(crate) fn get(&self, url: &str, headers: &[(&str, &str)], what: &str) -> Result<Got> {
        let mut tried = 0;
        loop {
            let answer = self.send("GET", url, headers, None)?;
            if answer.status().as_u16() != 200 {
                return Ok(Err(answer));
            }
            let headers = answer.headers().clone();
            match read(answer, MANIFEST_LIMIT) {
                Ok(Some(bytes)) => return Ok(Ok((headers, bytes))),
                Ok(None) => {
                    let text = format!("{}: {what} is larger than {MANIFEST_LIMIT} bytes", self.host);
                    return Err(Fault::new(Kind::Mismatch, text).into());
                }
                Err(error) => self.pause(&mut tried, Err(error.into()))?,
            }
        }
    }

    /// A manifest by tag or digest, verified; none if there is none.
    pub(crate) fn manifest(&self, name: &str) -> Result<Option<Manifest>> {
        let what = format!("manifest {name}");
        let got = self.get(&self.url(&format!("manifests/{name}")), &[("accept", ACCEPT)], &what)?;
        let (headers, bytes) = match got {
            Ok(got) => got,
            Err(answer) if answer.status().as_u16() == 404 => return Ok(None),
            Err(answer) => return Err(self.refused(&what, answer)),
        };
        let media_type = header(&headers, "content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let said = header(&headers, "docker-content-digest").map(str::to_owned);
        let found = Digest::of(&bytes).to_string();
        let expected = if name.contains(':') { Some(name.to_owned()) } else { said };
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(Fault::mismatch(format!("{}: {what}", self.host), expected, found).into());
        }
        Ok(Some(Manifest { media_type, bytes }))
    }
}

/// Statuses that may pass.
pub(crate) fn passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// A header's value, if it is text.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A body of at most so many bytes; none if it is longer.
pub(crate) fn read(answer: Response<Body>, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    answer.into_body().into_reader().take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// A part of a query.
fn pair((key, value): (&str, &str)) -> String {
    format!("{key}={}", escape(value))
}

/// A value in a query.
pub(crate) fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Twice as long each time up to 10 s, and by chance up to half of it less, so that clients do not come back at once.
fn backoff(tried: u32) -> Duration {
    let whole = Duration::from_millis(200 << tried.min(6)).min(Duration::from_secs(10));
    let chance = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| now.subsec_nanos() % 500);
    whole.saturating_sub(whole * chance / 1000)
}
