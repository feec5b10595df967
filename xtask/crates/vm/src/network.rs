//! A network that machines of a group share, and nothing else: each machine's card is a Unix socket of datagrams, and what
//! comes from one goes to all others. It needs no root, no bridge and no address of this machine.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use tempfile::TempDir;

/// How many machines it may have: their addresses differ in the last number.
const MOST: u8 = 100;
/// The first machine's address; others' follow.
const FIRST: u8 = 10;
/// More than a card sends at a time.
const FRAME: usize = 64 << 10;
/// How often it is looked whether the network is still wanted.
const PAUSE: Duration = Duration::from_millis(200);

/// The cable and what joins its ends. It ends when it is dropped; machines of it are alone then.
#[derive(Debug)]
pub struct Network {
    state: Arc<State>,
    hub: Option<JoinHandle<()>>,
    dir: TempDir,
}

#[derive(Debug, Default)]
struct State {
    ended: AtomicBool,
    /// The sockets of cards that are plugged in.
    cards: Mutex<BTreeSet<PathBuf>>,
}

/// A place in a network, for one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    dir: PathBuf,
    number: u8,
}

impl Network {
    /// One without machines.
    ///
    /// # Errors
    /// Where no socket can be made.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("vm-net-")
            .tempdir()
            .context("cannot make a temporary directory")?;
        let socket = UnixDatagram::bind(hub(dir.path())).context("cannot make a network's socket")?;
        socket.set_read_timeout(Some(PAUSE))?;
        // A machine that does not listen for so long loses what is sent to it, as on a cable.
        socket.set_write_timeout(Some(PAUSE))?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let run = move || forward(&socket, &shared);
        let hub = thread::Builder::new().name("network".to_owned()).spawn(run)?;
        Ok(Self { state, hub: Some(hub), dir })
    }

    /// The card of the machine of this number, from 0 on, plugged in.
    ///
    /// # Errors
    /// [`Kind::Usage`] from 100 on.
    pub fn card(&self, number: u8) -> Result<Card> {
        self.plug(number, true)?;
        Ok(self.place(number))
    }

    /// Pulls the cable of the machine of this number, or plugs it in again: without it, nothing comes from the machine or to it,
    /// and nobody is told.
    ///
    /// # Errors
    /// [`Kind::Usage`] from 100 on.
    pub fn plug(&self, number: u8, plugged: bool) -> Result<()> {
        if number >= MOST {
            let message = format!("a network of machines has no number {number}: the last is {}", MOST - 1);
            return Err(Fault::new(Kind::Usage, message).into());
        }
        let socket = self.place(number).socket();
        let mut cards = self.state.cards.lock().unwrap_or_else(PoisonError::into_inner);
        if plugged {
            cards.insert(socket)
        } else {
            cards.remove(&socket)
        };
        Ok(())
    }

    fn place(&self, number: u8) -> Card {
        Card { dir: self.dir.path().to_owned(), number }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        if let Some(hub) = self.hub.take() {
            let _ = hub.join();
        }
    }
}

impl Card {
    /// The machine's address.
    pub fn address(&self) -> String {
        address(self.number)
    }

    /// The machine's name.
    pub fn name(&self) -> String {
        name(self.number)
    }

    fn socket(&self) -> PathBuf {
        self.dir.join(self.number.to_string())
    }

    /// QEMU's words for it.
    pub(crate) fn arguments(&self) -> Result<[String; 4]> {
        let path = |path: PathBuf| {
            let text = path.to_str().map(|text| text.replace(',', ",,"));
            text.with_context(|| format!("the name of {} is not UTF-8", path.display()))
        };
        let (own, hub) = (path(self.socket())?, path(hub(&self.dir))?);
        Ok([
            "-netdev".to_owned(),
            format!("dgram,id=net,local.type=unix,local.path={own},remote.type=unix,remote.path={hub}"),
            "-device".to_owned(),
            // The second half of the number that says "locally administered", and the machine's own.
            format!("virtio-net-pci,netdev=net,mac=52:54:00:00:02:{:02x}", self.number),
        ])
    }

    /// What the kernel gets to know of it, and the system finds there.
    pub(crate) fn parameters(&self) -> String {
        format!("vm.name={} vm.address={} net.ifnames=0", self.name(), self.address())
    }
}

/// The address of the machine of this number, from 0 on.
pub fn address(number: u8) -> String {
    format!("192.0.2.{}", FIRST + number)
}

/// The name of the machine of this number: `node`, others' `node1`, `node2` ...
pub fn name(number: u8) -> String {
    if number == 0 { "node".to_owned() } else { format!("node{number}") }
}

fn hub(dir: &Path) -> PathBuf {
    dir.join("hub")
}

/// Sends each frame to all but its sender, until the network is ended.
fn forward(from: &UnixDatagram, state: &State) {
    let mut frame = vec![0; FRAME];
    while !state.ended.load(Ordering::Relaxed) {
        let (length, sender) = match from.recv_from(&mut frame) {
            Ok(received) => received,
            Err(error) if passes(error.kind()) => continue,
            Err(_) => return,
        };
        let cards = state.cards.lock().unwrap_or_else(PoisonError::into_inner);
        if !sender.as_pathname().is_some_and(|sender| cards.contains(sender)) {
            continue;
        }
        for card in &*cards {
            if sender.as_pathname() != Some(card) {
                // Its machine is not there yet, or gone: nobody misses the frame.
                let _ = from.send_to(&frame[..length], card);
            }
        }
    }
}

fn passes(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(card: &Card) -> UnixDatagram {
        let end = UnixDatagram::bind(card.socket()).unwrap();
        end.connect(hub(&card.dir)).unwrap();
        end.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        end
    }

    #[test]
    fn a_frame_comes_to_all_others_and_to_nobody_twice() {
        let network = Network::new().unwrap();
        let ends = [0, 7, 99].map(|number| end(&network.card(number).unwrap()));
        ends[1].send(b"frame").unwrap();
        let mut frame = [0; 16];
        for other in [&ends[0], &ends[2]] {
            let length = other.recv(&mut frame).unwrap();
            assert_eq!(&frame[..length], b"frame");
        }
        // What came back to the sender, or came twice, would be there by now.
        ends[0].send(b"answer").unwrap();
        for other in [&ends[1], &ends[2]] {
            let length = other.recv(&mut frame).unwrap();
            assert_eq!(&frame[..length], b"answer");
        }
        ends[0].set_nonblocking(true).unwrap();
        assert_eq!(ends[0].recv(&mut frame).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn without_its_cable_a_machine_is_alone_until_it_is_back() {
        let network = Network::new().unwrap();
        let ends = [0, 1, 2].map(|number| end(&network.card(number).unwrap()));
        let mut frame = [0; 16];
        network.plug(1, false).unwrap();
        ends[1].send(b"from alone").unwrap();
        ends[0].send(b"to others").unwrap();
        // What is sent is passed on in order: nothing came before it, and to the machine alone nothing came at all.
        let length = ends[2].recv(&mut frame).unwrap();
        assert_eq!(&frame[..length], b"to others");
        network.plug(1, true).unwrap();
        ends[0].send(b"back").unwrap();
        let length = ends[1].recv(&mut frame).unwrap();
        assert_eq!(&frame[..length], b"back");
        assert!(network.plug(100, false).is_err());
    }

    #[test]
    fn a_network_has_an_end() {
        let network = Network::new().unwrap();
        assert_eq!(network.card(99).unwrap().address(), "192.0.2.109");
        assert_eq!(network.card(0).unwrap().name(), "node");
        assert!(network.card(100).is_err());
        let dir = network.dir.path().to_owned();
        drop(network);
        assert!(!dir.exists());
    }
}
