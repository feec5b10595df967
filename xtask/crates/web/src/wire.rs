//! Connections whose every wait has an end: its deadline, or the user's interrupt.
//!
//! Resolving and connecting go on in threads that are left alone when they take too long; reading and writing wait in
//! slices. Below TLS, so that it holds for both schemes and for proxies.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

use crate::patience::SLOWEST;

/// How long a wait lasts before it is looked whether the user interrupted.
const SLICE: Duration = Duration::from_millis(50);
/// As many addresses of a name are tried.
const ADDRESSES: usize = 16;

/// Resolves names.
#[derive(Debug)]
pub(crate) struct Names;

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let scheme = uri.scheme().ok_or_else(|| Error::BadUri("it has no scheme".to_owned()))?;
        let authority = uri.authority().ok_or_else(|| Error::BadUri("it has no host".to_owned()))?;
        let host = DefaultResolver::host_and_port(scheme, authority)
            .ok_or_else(|| Error::BadUri("it has no port".to_owned()))?;
        let found = apart(timeout, move || host.to_socket_addrs().map(Iterator::collect::<Vec<_>>))?;
        let mut all = self.empty();
        found.into_iter().take(ADDRESSES).for_each(|address| all.push(address));
        if all.is_empty() { Err(Error::HostNotFound) } else { Ok(all) }
    }
}

/// Opens connections.
#[derive(Debug)]
pub(crate) struct Dial;

impl<In: Transport> Connector<In> for Dial {
    type Out = Either<In, Wire>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        // What a proxy opened.
        if chained.is_some() {
            return Ok(chained.map(Either::A));
        }
        let addresses: Vec<SocketAddr> = details.addrs.to_vec();
        let within = left(details.timeout).unwrap_or(Duration::from_hours(1));
        let stream = apart(details.timeout, move || dial(&addresses, within))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SLICE))?;
        stream.set_write_timeout(Some(SLICE))?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(Wire {
            stream,
            buffers,
            reading: None,
            writing: Pace::default(),
            answered: false,
        })))
    }
}

/// Tries one address after the other, each with an equal share of the time.
fn dial(addresses: &[SocketAddr], within: Duration) -> io::Result<TcpStream> {
    let share = within / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(10))) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Does what cannot be interrupted in a thread of its own.
fn apart<T: Send + 'static>(
    timeout: NextTimeout,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let until = left(timeout).map(|left| Instant::now() + left);
    let (send, heard) = channel();
    std::thread::spawn(move || send.send(work()));
    hear(&heard, until, timeout.reason)
}

fn hear<T>(heard: &Receiver<io::Result<T>>, until: Option<Instant>, reason: Timeout) -> Result<T, Error> {
    loop {
        match heard.recv_timeout(SLICE) {
            Ok(done) => return Ok(done?),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::ConnectionFailed),
            Err(RecvTimeoutError::Timeout) => go_on(until, reason)?,
        }
    }
}

/// May the wait go on?
fn go_on(until: Option<Instant>, reason: Timeout) -> Result<(), Error> {
    if exec::interrupt::pending() {
        // Not `ErrorKind::Interrupted`, which is tried again. Who asked looks for the interrupt itself.
        return Err(io::Error::other("interrupted").into());
    }
    match until {
        Some(until) if Instant::now() >= until => Err(Error::Timeout(reason)),
        _ => Ok(()),
    }
}

fn left(timeout: NextTimeout) -> Option<Duration> {
    (!timeout.after.is_not_happening()).then(|| *timeout.after)
}

/// How much moved in how much waiting.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Counts a wait that was over after so many bytes; an error once too few came in `window`.
    fn step(&mut self, waited: Duration, bytes: usize, window: Option<Duration>) -> Result<(), Error> {
        self.waited += waited;
        self.bytes += bytes as u64;
        let Some(window) = window.filter(|window| self.waited >= *window) else { return Ok(()) };
        let least = u128::from(SLOWEST) * window.as_millis() / 1000;
        if u128::from(self.bytes) < least {
            let text = format!("only {} bytes moved in {:.1} s", self.bytes, self.waited.as_secs_f64());
            return Err(io::Error::new(ErrorKind::TimedOut, text).into());
        }
        *self = Self::default();
        Ok(())
    }
}

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// Since the first bytes of an answer.
    reading: Option<Pace>,
    writing: Pace,
    /// The other side has answered before it was sent all: what would follow is kept back, and the connection not used
    /// again.
    answered: bool,
}

impl Wire {
    /// Is this in the queue: so many bytes, or, of an answer by plain HTTP, its beginning?
    fn peek(&self, plain: bool) -> bool {
        let mut start = [0; 5];
        if self.stream.set_nonblocking(true).is_err() {
            return false;
        }
        let found = self.stream.peek(&mut start).unwrap_or(0);
        let _ = self.stream.set_nonblocking(false);
        if plain { start == *b"HTTP/" } else { found > 0 }
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.reading = None;
        // A refusal that does not wait for the end of a body: the rest would be sent in vain, or never taken.
        self.answered |= amount > 0 && self.peek(true);
        // What never waits is interrupted, too.
        go_on(None, timeout.reason)?;
        let timeout = timeout.for_write();
        let until = left(timeout).map(|left| Instant::now() + left);
        let mut done = 0;
        while done < amount && !self.answered {
            let since = Instant::now();
            let rest = &self.buffers.output()[done..amount];
            let written = match (&self.stream).write(rest) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(written) => written,
                Err(error) if waits(&error) => match go_on(until, timeout.reason) {
                    Ok(()) => 0,
                    Err(error) => {
                        self.answered = self.peek(false);
                        if self.answered {
                            continue;
                        }
                        return Err(error);
                    }
                },
                // It may have said why before it hung up.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    self.answered = true;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            done += written;
            self.writing.step(since.elapsed(), written, timeout.per_write.map(|it| *it))?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.writing = Pace::default();
        go_on(None, timeout.reason)?;
        let timeout = timeout.for_read();
        let until = left(timeout).map(|left| Instant::now() + left);
        loop {
            let since = Instant::now();
            let read = match (&self.stream).read(self.buffers.input_append_buf()) {
                Ok(read) => Some(read),
                Err(error) if waits(&error) => {
                    go_on(until, timeout.reason)?;
                    None
                }
                Err(error) => return Err(error.into()),
            };
            match (&mut self.reading, read) {
                (Some(pace), read) => {
                    pace.step(since.elapsed(), read.unwrap_or(0), timeout.per_read.map(|it| *it))?;
                }
                (reading, Some(read)) if read > 0 => {
                    *reading = Some(Pace { waited: Duration::ZERO, bytes: read as u64 });
                }
                _ => {}
            }
            if let Some(read) = read {
                self.buffers.input_appended(read);
                return Ok(read > 0);
            }
        }
    }

    fn is_open(&mut self) -> bool {
        let open = |stream: &TcpStream| {
            stream.set_nonblocking(true)?;
            // Nothing is to come before it is asked: neither bytes nor an end.
            let quiet = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
            stream.set_nonblocking(false)?;
            Ok::<_, io::Error>(quiet)
        };
        !self.answered && open(&self.stream).unwrap_or(false)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.stream.peer_addr().ok()).finish()
    }
}

#[cfg(test)]
mod tests;
