//! A proxy that counts what goes to a server.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

#[derive(Debug)]
struct Counted {
    /// By method, the requests and the bytes of their bodies.
    bodies: BTreeMap<String, (usize, u64)>,
    /// How many bytes of bodies are passed on before all wait.
    limit: u64,
}

type Bodies = Arc<(Mutex<Counted>, Condvar)>;

/// Passes HTTP requests on to a server, and counts them and the bytes of their bodies.
#[derive(Debug)]
pub struct Meter {
    address: String,
    bodies: Bodies,
}

impl Meter {
    /// In front of the server at this address.
    pub fn start(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let counted = Counted { bodies: BTreeMap::new(), limit: u64::MAX };
        let bodies: Bodies = Arc::new((Mutex::new(counted), Condvar::new()));
        let (server, counted) = (server.to_owned(), Arc::clone(&bodies));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, counted) = (server.clone(), Arc::clone(&counted));
                // A side that goes away ends both; who asked will see it.
                thread::spawn(move || pass(client, &server, &counted));
            }
        });
        Ok(Self { address, bodies })
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many requests there were of a method, and how many bytes of bodies they brought.
    pub fn sent(&self, method: &str) -> (usize, u64) {
        let counted = self.bodies.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.bodies.get(method).copied().unwrap_or_default()
    }

    /// Passes on so many bytes of bodies from its start, and no more until it is told of another limit.
    pub fn limit(&self, bytes: u64) {
        self.bodies.0.lock().unwrap_or_else(PoisonError::into_inner).limit = bytes;
        self.bodies.1.notify_all();
    }
}

fn pass(client: TcpStream, server: &str, bodies: &Bodies) -> std::io::Result<()> {
    let mut up = TcpStream::connect(server)?;
    let (mut down, mut back) = (up.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut down, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut client = BufReader::new(client);
    let done = requests(&mut client, &mut up, bodies);
    let _ = up.shutdown(Shutdown::Write);
    done
}

fn requests(client: &mut BufReader<TcpStream>, up: &mut TcpStream, bodies: &Bodies) -> std::io::Result<()> {
    loop {
        let (mut head, mut length) = (String::new(), 0_u64);
        loop {
            let start = head.len();
            if client.read_line(&mut head)? == 0 {
                return Ok(());
            }
            let line = &head[start..];
            if line == "\r\n" {
                break;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap_or(0);
            }
        }
        up.write_all(head.as_bytes())?;
        let method = head.split(' ').next().unwrap_or_default().to_owned();
        let count = |requests: usize, bytes: u64| {
            let mut counted = bodies.0.lock().unwrap_or_else(PoisonError::into_inner);
            let sum = counted.bodies.entry(method.clone()).or_default();
            *sum = (sum.0 + requests, sum.1 + bytes);
            let over = |it: &mut Counted| it.bodies.values().map(|sum| sum.1).sum::<u64>() >= it.limit;
            drop(bodies.1.wait_while(counted, over));
        };
        count(1, 0);
        let mut buffer = vec![0; 1 << 16];
        let mut body = client.take(length);
        loop {
            let read = body.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            count(0, read as u64);
            up.write_all(&buffer[..read])?;
        }
    }
}
