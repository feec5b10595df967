//! Logging in: what a 401 requires, and tokens.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use anyhow::Result;
use fault::{Fault, Kind};
use serde_json::Value;
use web::{Answer, Ask, Body, Origin, shown};

use crate::auth::{Challenge, challenges, may_send_credentials};
use crate::client::{Client, SMALL_LIMIT, escape, read};
use crate::credentials::Credentials;
use crate::retry::{Tries, is_transient};

/// A token, or that the server returned none for what was asked.
enum Token {
    Given(String),
    Denied(Answer),
}

impl Client<'_> {
    /// Does what a 401 requires; keeps the header that further requests have.
    pub(crate) fn log_in(&self, answer: Answer) -> Result<()> {
        // Only now: a helper that is missing, or asks the user something, is not needed for a public image.
        let credentials = Credentials::find(&self.reference, self.options.auth_file.as_deref())?;
        let demands = demands(&answer);
        let mut failed = None;
        for demand in &demands {
            let value = match (demand, &credentials) {
                (Challenge::Bearer { realm, service }, _) => {
                    self.token(realm, service.as_deref(), credentials.as_ref())
                }
                (Challenge::Basic, None) => continue,
                (Challenge::Basic, Some(credentials)) => credentials.basic().ok_or_else(|| {
                    self.protocol_error("requires a password, but only an identity token is known")
                }),
            };
            match value {
                Ok(value) => {
                    *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                    return Ok(());
                }
                // Another of its challenges may be met; if not, the first counts.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        exec::interrupt::check()?;
        Err(failed.unwrap_or_else(|| {
            let known = !demands.is_empty();
            let what = if known {
                "no credentials are known".to_owned()
            } else {
                let said = answer.response.headers().get("www-authenticate");
                let said = said.map_or_else(|| "none".to_owned(), |said| shown(said.as_bytes()));
                format!("it asks for an authentication that is not supported, `WWW-Authenticate` {said}")
            };
            self.refused(&what, answer)
        }))
    }

    /// Logs in where that is not demanded of this repository yet, so that it need not succeed.
    pub(crate) fn try_log_in(&self, answer: &Answer) -> Result<()> {
        for demand in demands(answer) {
            if let Challenge::Bearer { realm, service } = &demand {
                let credentials = Credentials::find(&self.reference, self.options.auth_file.as_deref())?;
                if let Ok(value) = self.token(realm, service.as_deref(), credentials.as_ref()) {
                    *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                    break;
                }
            }
        }
        exec::interrupt::check()
    }

    /// The header with a token: for all repositories, else for the one alone.
    fn token(&self, realm: &str, service: Option<&str>, credentials: Option<&Credentials>) -> Result<String> {
        let mounts = self.options.mount_from.iter().map(|from| format!("repository:{from}:pull"));
        let all: Vec<String> = std::iter::once(self.scope.clone()).chain(mounts).collect();
        if all.len() > 1 && !self.mounts_denied.load(Ordering::Relaxed) {
            if let Token::Given(token) = self.token_for(&all, realm, service, credentials)? {
                return Ok(token);
            }
            self.mounts_denied.store(true, Ordering::Relaxed);
        }
        match self.token_for(&all[..1], realm, service, credentials)? {
            Token::Given(token) => Ok(token),
            Token::Denied(answer) => Err(self.refused("token server returned no token", answer)),
        }
    }

    fn token_for(
        &self,
        scopes: &[String],
        realm: &str,
        service: Option<&str>,
        credentials: Option<&Credentials>,
    ) -> Result<Token> {
        let realm = realm.split('#').next().unwrap_or_default();
        let to = Origin::of(realm).map_err(|_| {
            let realm = shown(realm.as_bytes());
            self.protocol_error(&format!(
                "names by `WWW-Authenticate` a token server {realm}, which is not a URL"
            ))
        })?;
        if !may_send_credentials(&self.origin, &to) {
            let text = format!(
                "{} sends us by `WWW-Authenticate` for a token to {to}, another host or one without https: it gets no credentials",
                self.host
            );
            return Err(Fault::new(Kind::Unavailable, text).into());
        }
        let service = service.map(|it| ("service", it));
        let basic = credentials.and_then(Credentials::basic);
        let identity = match credentials {
            Some(Credentials::Identity(token)) => Some(token.as_str()),
            _ => None,
        };
        let pairs: Vec<String> = if let Some(token) = identity {
            // Source: distribution, docs/content/spec/auth/oauth.md
            let joined = scopes.join(" ");
            let form =
                [("grant_type", "refresh_token"), ("client_id", "cargo-xtask"), ("refresh_token", token)];
            form.into_iter().chain(service).chain([("scope", joined.as_str())]).map(pair).collect()
        } else {
            let scopes = scopes.iter().map(|scope| ("scope", scope.as_str()));
            service.into_iter().chain(scopes).map(pair).collect()
        };
        let pairs = pairs.join("&");
        let url = format!("{realm}{}{pairs}", if realm.contains('?') { '&' } else { '?' });
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let ask = if identity.is_some() {
            Ask { headers: &headers, body: Body::Bytes(pairs.as_bytes()), ..Ask::new("POST", realm) }
        } else {
            Ask { secret: basic.as_deref().map(|value| (&to, value)), ..Ask::new("GET", &url) }
        };
        let mut tries = Tries::new(self);
        loop {
            let answer = match self.web.ask(&ask)? {
                Ok(answer) if !is_transient(&answer) => answer,
                other => {
                    tries.pause(other)?;
                    continue;
                }
            };
            if answer.response.status().as_u16() != 200 {
                return Ok(Token::Denied(answer));
            }
            match read(answer.response, SMALL_LIMIT) {
                Ok(Some(bytes)) => return self.parse(&bytes).map(Token::Given),
                Ok(None) => return Err(self.protocol_error("has a token server whose answer is too large")),
                Err(error) => tries.pause(Err(error.into()))?,
            }
        }
    }

    /// The header's value, from what a token server answered.
    fn parse(&self, bytes: &[u8]) -> Result<String> {
        let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty());
        let token = text("token").or_else(|| text("access_token"));
        let token = token.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        token
            .map(|token| format!("Bearer {token}"))
            .ok_or_else(|| self.protocol_error("names a token server that returned no token"))
    }
}

/// The challenges of an answer that are known here, in its order.
fn demands(answer: &Answer) -> Vec<Challenge> {
    let headers = answer.response.headers().get_all("www-authenticate").iter();
    // A realm may be in any language.
    headers.flat_map(|value| challenges(&String::from_utf8_lossy(value.as_bytes()))).collect()
}

/// A part of a query.
fn pair((key, value): (&str, &str)) -> String {
    format!("{key}={}", escape(value))
}
