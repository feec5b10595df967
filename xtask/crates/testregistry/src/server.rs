//! The server.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::answer::{Act, Answer, Request};
use crate::row::{Row, Rows};
use crate::state::State;
use crate::way::Way;
use crate::{IDENTITY, PASSWORD, USER};

/// The largest body, where there is a proxy with one, in bytes.
const BODY_MAXIMUM: u64 = 1 << 20;
/// How long a byte takes that drips.
const DRIP: Duration = Duration::from_millis(20);

/// A registry that runs; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    /// Host and port.
    pub address: String,
    shared: Arc<Shared>,
}

/// Says what to do with a request, the how manieth it is given.
type Decide = dyn Fn(&Request, usize) -> Act + Send + Sync;

struct Shared {
    state: Mutex<State>,
    decide: Box<Decide>,
    ended: AtomicBool,
    storage: String,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Server {
    /// One that keeps to the API, but for what is decided of each request.
    ///
    /// # Panics
    /// Where no port is free.
    #[must_use]
    pub fn start(decide: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Self {
        Self::with(Rows::default(), decide)
    }

    /// One of this behaviour.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn of(rows: Rows) -> Self {
        Self::with(rows, |_, _| Act::Usual)
    }

    /// One of this behaviour, and what is decided of each request.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn with(rows: Rows, decide: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Self {
        let any = || TcpListener::bind("127.0.0.1:0").ok();
        let own = if rows.has(Row::NoPort) { on_port_80() } else { any() };
        let (Some(own), Some(other)) = (own, any()) else { panic!("no address to listen on is free") };
        let name = |it: &TcpListener| it.local_addr().map(|it| it.to_string()).unwrap_or_default();
        let (address, storage) = (name(&own), name(&other));
        let state =
            State { rows, address: address.clone(), storage: storage.clone(), api: true, ..State::default() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            decide: Box::new(decide),
            ended: AtomicBool::new(false),
            storage,
        });
        for (listener, storage) in [(own, false), (other, true)] {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if shared.ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    // A client that went away is none of the test's errors.
                    thread::spawn(move || shared.serve(&stream, storage));
                }
            });
        }
        Self { address, shared }
    }

    /// What it holds and saw.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// docker's configuration, with what it takes to log in.
    #[must_use]
    pub fn docker_config(&self) -> Value {
        let entry = if self.state().rows.has(Row::IdentityToken) {
            json!({"identitytoken": IDENTITY})
        } else {
            json!({"auth": STANDARD.encode(format!("{USER}:{PASSWORD}"))})
        };
        json!({"auths": {&self.address: entry}})
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Whoever waits for a connection gets one more.
        let _ = TcpStream::connect(&self.address);
        let _ = TcpStream::connect(&self.shared.storage);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream, storage: bool) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = head(&mut reader, storage)? {
            if !self.exchange(&mut reader, stream, request)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One request; may the connection be used again?
    fn exchange(
        &self,
        reader: &mut BufReader<&TcpStream>,
        stream: &TcpStream,
        mut request: Request,
    ) -> io::Result<bool> {
        let length = request.body_length();
        let number = {
            let mut state = self.state();
            state.seen.push(request.line());
            state.seen.len() - 1
        };
        let act = (self.decide)(&request, number);
        let way = Way::of(&self.state().rows);
        if self.state().rows.has(Row::BodiesUpTo1MiB) && length > BODY_MAXIMUM {
            write(stream, &way.bytes(&request, &Answer::status(413), usize::MAX))?;
            return Ok(false);
        }
        if let Act::Deaf(time) = &act {
            thread::sleep(*time);
            return Ok(false);
        }
        let broken = matches!(act, Act::Break);
        let take = if broken { length / 2 } else { length };
        if request.is_chunked() {
            request.body = chunks(reader)?;
        } else {
            reader.take(take).read_to_end(&mut request.body)?;
            if request.body.len() as u64 != take {
                return Ok(false);
            }
        }
        self.state().look(&request);
        match &act {
            Act::Late(by) => thread::sleep(*by),
            Act::Stall(time) => {
                thread::sleep(*time);
                return Ok(false);
            }
            _ => {}
        }
        if broken {
            if request.method == "PATCH" {
                self.state().answer(&request);
            }
            return Ok(false);
        }
        let usual = || self.state().answer(&request);
        let last = matches!(act, Act::Last(_));
        let (answer, end) = match act {
            Act::Say(answer) | Act::Last(answer) => (answer, usize::MAX),
            Act::Header(name, value) => (usual().instead(name, value), usize::MAX),
            Act::Cut => {
                let answer = usual();
                let half = answer.body.len() / 2;
                (answer, half)
            }
            Act::Drip => {
                let answer = usual();
                return drip(stream, &way.bytes(&request, &answer, usize::MAX)).map(|()| false);
            }
            _ => (usual(), usize::MAX),
        };
        // Before it is written: whoever hears it may act at once.
        self.state().heard(&request, answer.status);
        write(stream, &way.bytes(&request, &answer, end))?;
        Ok(!last && !way.old && end == usize::MAX)
    }
}

/// A listener on the port that URLs need not name: at whichever address of this machine is free. None without root.
fn on_port_80() -> Option<TcpListener> {
    let start = std::process::id();
    let addresses = (0..500).map(|step| Ipv4Addr::from_bits(0x7f10_0000 | (start + step * 7919) & 0xf_ffff));
    addresses.map(|address| TcpListener::bind((address, 80))).find_map(Result::ok)
}

/// May this process start a registry with [`Row::NoPort`]?
#[must_use]
pub fn may_have_port_80() -> bool {
    on_port_80().is_some()
}

/// The head of the next request; none at the connection's end.
fn head(reader: &mut BufReader<&TcpStream>, storage: bool) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok(Some(Request { method, path, headers, body: Vec::new(), storage }))
}

/// A body in chunks (RFC 9112, section 7.1).
fn chunks(reader: &mut BufReader<&TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = line.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(length, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        reader.take(length).read_to_end(&mut body)?;
        // After the last chunk there may be trailers.
        loop {
            let mut rest = String::new();
            reader.read_line(&mut rest)?;
            if length > 0 || rest.trim_end().is_empty() {
                break;
            }
        }
        if length == 0 {
            return Ok(body);
        }
    }
}

fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

fn drip(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte])?;
        thread::sleep(DRIP);
    }
    Ok(())
}
