//! A proxy that counts what goes to a server.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

type Bodies = Arc<Mutex<BTreeMap<String, (usize, u64)>>>;

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
        let bodies = Bodies::default();
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
        let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.get(method).copied().unwrap_or_default()
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
            let mut bodies = bodies.lock().unwrap_or_else(PoisonError::into_inner);
            let sum = bodies.entry(method.clone()).or_default();
            *sum = (sum.0 + requests, sum.1 + bytes);
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
