//! A real browser, Debian's Chromium, driven over `WebDriver`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What it needs.
pub const PROGRAMS: [&str; 2] = ["chromium", "chromedriver"];

/// Keys by `WebDriver`'s code points.
#[expect(missing_docs, reason = "a key is called as it is labelled")]
pub mod key {
    pub const TAB: char = '\u{E004}';
    pub const ENTER: char = '\u{E007}';
    pub const SHIFT: char = '\u{E008}';
    pub const ESCAPE: char = '\u{E00C}';
    pub const END: char = '\u{E010}';
    pub const HOME: char = '\u{E011}';
    pub const LEFT: char = '\u{E012}';
    pub const UP: char = '\u{E013}';
    pub const RIGHT: char = '\u{E014}';
    pub const DOWN: char = '\u{E015}';
}

/// A browser with one window and a profile of its own; it ends when dropped.
pub struct Browser {
    driver: Child,
    /// Kept open: a driver that cannot write ends.
    _said: BufReader<ChildStdout>,
    agent: ureq::Agent,
    session: String,
    _profile: TempDir,
}

/// A picture.
pub struct Picture {
    /// Its width in pixels.
    pub width: usize,
    /// Red, green and blue of each pixel, row by row.
    pub pixels: Vec<[u8; 3]>,
}

impl Browser {
    /// Starts it with a window of this size.
    pub fn open(width: u32, height: u32) -> Result<Self> {
        let profile = crate::scratch::dir()?;
        let data = profile.path().join("profile");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting chromedriver")?;
        let mut said = BufReader::new(driver.stdout.take().context("no standard output")?);
        let port = port(&mut said);
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(2)))
            .build();
        let mut browser = Self {
            driver,
            _said: said,
            agent: config.new_agent(),
            session: String::new(),
            _profile: profile,
        };
        browser.session = format!("http://127.0.0.1:{}/session", port?);
        let args = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", data.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let opened = browser.post("", &wanted)?;
        let id = opened["sessionId"].as_str().context("no session")?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(browser)
    }

    /// Sends a command.
    fn post(&self, command: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{command}", self.session);
        let mut answer = self.agent.post(&url).send(&serde_json::to_vec(body)?)?;
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string()?;
        let value: Value = serde_json::from_str(&text).with_context(|| format!("{command}: {text}"))?;
        if !answer.status().is_success() {
            bail!("{command}: {}", value["value"]["message"]);
        }
        Ok(value["value"].clone())
    }

    /// Opens a file.
    pub fn go(&self, file: &Path) -> Result<()> {
        self.post("/url", &json!({"url": format!("file://{}", file.display())})).map(|_| ())
    }

    /// Runs a script, the body of a function, in the page; returns what it returns.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs a script that calls its last argument with its answer.
    pub fn run_async(&self, script: &str) -> Result<Value> {
        self.post("/execute/async", &json!({"script": script, "args": []}))
    }

    /// Asks something of Chromium's own protocol.
    pub fn ask(&self, command: &str, params: &Value) -> Result<Value> {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    /// Presses keys one after the other.
    pub fn press(&self, keys: &[char]) -> Result<()> {
        self.act(keys.iter().flat_map(|key| [("keyDown", *key), ("keyUp", *key)]))
    }

    /// Presses a key while another is down.
    pub fn press_with(&self, held: char, key: char) -> Result<()> {
        self.act([("keyDown", held), ("keyDown", key), ("keyUp", key), ("keyUp", held)])
    }

    fn act(&self, events: impl IntoIterator<Item = (&'static str, char)>) -> Result<()> {
        let events: Vec<Value> =
            events.into_iter().map(|(kind, key)| json!({"type": kind, "value": key.to_string()})).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": events});
        self.post("/actions", &json!({"actions": [keyboard]})).map(|_| ())
    }

    /// Makes the page believe that its reader prefers this scheme, `light` or `dark`.
    pub fn prefer(&self, scheme: &str) -> Result<()> {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", &json!({"features": features})).map(|_| ())
    }

    /// What the page wrote to its console, errors of its own included, since this was asked last.
    pub fn console(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({"type": "browser"}))?;
        let entries = log.as_array().context("no log")?;
        Ok(entries.iter().map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect())
    }

    /// The addresses that pages asked for since this was asked last, whether or not that was refused.
    pub fn requests(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({"type": "performance"}))?;
        let mut urls = Vec::new();
        for entry in log.as_array().context("no log")? {
            let event: Value = serde_json::from_str(entry["message"].as_str().context("no message")?)?;
            let params = &event["message"]["params"];
            // The browser's own first page is none of ours.
            let own = params["documentURL"].as_str().is_some_and(|url| url.starts_with("chrome://"));
            if event["message"]["method"] == "Network.requestWillBeSent" && !own {
                let url = params["request"]["url"].as_str();
                urls.push(url.context("a request without an address")?.to_owned());
            }
        }
        Ok(urls)
    }

    /// What is seen now.
    pub fn picture(&self) -> Result<Picture> {
        let answer = self.ask("Page.captureScreenshot", &json!({"format": "png"}))?;
        let bytes = STANDARD.decode(answer["data"].as_str().context("no picture")?)?;
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info()?;
        let mut pixels = vec![0; reader.output_buffer_size().context("too large a picture")?];
        let info = reader.next_frame(&mut pixels)?;
        let samples = info.color_type.samples();
        ensure!(info.bit_depth == png::BitDepth::Eight && samples >= 3, "unexpected kind of picture");
        let pixels = pixels[..info.buffer_size()].chunks(samples);
        Ok(Picture { width: info.width as usize, pixels: pixels.map(|at| [at[0], at[1], at[2]]).collect() })
    }
}

/// The port that a driver says it listens on.
fn port(said: &mut BufReader<ChildStdout>) -> Result<u16> {
    let mut line = String::new();
    while said.read_line(&mut line)? > 0 {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return port.trim_end().trim_end_matches('.').parse().with_context(|| line.clone());
        }
        line.clear();
    }
    bail!("chromedriver ended before it listened")
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without it, a browser that could not be told to end would stay.
        if !self.session.ends_with("/session") {
            let _ = self.agent.delete(&self.session).call();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
