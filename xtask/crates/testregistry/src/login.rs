//! Who may come in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::answer::{Answer, Request, unescape};
use crate::row::Row;
use crate::state::State;
use crate::{IDENTITY, PASSWORD, USER};

/// The token that is given; its number is that of how many were.
const TOKEN: &str = "token-of-the-registry-";

fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

impl State {
    /// Refuses whoever must log in and has not; the token server itself.
    pub(crate) fn gate(&mut self, request: &Request) -> Option<Answer> {
        if request.storage {
            // As storage with signed URLs: two ways to log in are one too many.
            let shown = !request.header("authorization").is_empty();
            return shown.then(|| Answer::status(400));
        }
        if self.rows.tokens() && request.path.starts_with("/token") {
            return Some(self.token(request));
        }
        if !self.rows.login() {
            return None;
        }
        let shown = request.header("authorization");
        let known = match shown.strip_prefix(&format!("Bearer {TOKEN}")) {
            Some(number) => {
                self.rows.tokens() && number.parse().is_ok_and(|it: u32| (1..=self.tokens).contains(&it))
            }
            None => !self.rows.tokens() && shown == basic(),
        };
        let ping = request.path == "/v2/" && self.rows.has(Row::PingUnauthorized);
        if known && !ping {
            // A token is of the repositories that it was asked for.
            let foreign = request.path.contains("from=") && self.rows.has(Row::MountDenied);
            return foreign.then(|| Answer::error(403, "DENIED"));
        }
        let realm = format!(r#"Bearer realm="http://{}/token",service="the registry""#, self.address);
        let challenges: &[&str] = match (self.rows.tokens(), self.rows.has(Row::ManyChallenges)) {
            (true, true) => {
                &["Negotiate", r#"Custom realm="https://elsewhere.example", token="a b""#, &realm]
            }
            (true, false) => &[&realm],
            (false, _) => &[r#"Basic realm="the registry""#],
        };
        let refused = Answer::error(401, "UNAUTHORIZED");
        Some(challenges.iter().fold(refused, |answer, text| answer.with("WWW-Authenticate", *text)))
    }

    fn token(&mut self, request: &Request) -> Answer {
        self.token_requests += 1;
        if self.rows.has(Row::TokenBusy) && self.token_requests == 1 {
            return Answer::status(503);
        }
        let form = unescape(&String::from_utf8_lossy(&request.body));
        let asked = format!("{}&{form}", unescape(&request.path));
        let known = if self.rows.has(Row::IdentityToken) {
            request.method == "POST" && form.contains(&format!("refresh_token={IDENTITY}"))
        } else {
            request.method == "GET" && request.header("authorization") == basic()
        };
        if !known || !asked.contains("service=the registry") {
            return Answer::error(401, "UNAUTHORIZED");
        }
        if self.rows.has(Row::MountDenied) && asked.contains("repository:base:pull") {
            return Answer::error(403, "DENIED");
        }
        self.tokens += 1;
        let name = if self.rows.has(Row::IdentityToken) { "access_token" } else { "token" };
        Answer::ok(format!(r#"{{"{name}":"{TOKEN}{}"}}"#, self.tokens))
    }
}
