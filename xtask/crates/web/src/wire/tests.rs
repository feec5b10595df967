use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::{Answer, Ask, Body, Patience, Web};

type Act = fn(&mut TcpStream) -> io::Result<()>;

/// A server that does this with each connection, after the head of its request; its URL.
fn serve(act: Act) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::with_capacity(1, stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            // A client that had enough is not an error here.
            let _ = act(&mut stream);
        }
    });
    url
}

const SILENCE: Duration = Duration::from_millis(400);
/// Within what a wait has ended on however busy a machine: those who hang here do so for longer, or for ever.
const END: Duration = Duration::from_secs(10);

fn web() -> Web {
    Web::new(ureq::Agent::config_builder(), Patience::of(SILENCE))
}

/// All of an answer, or why it is not there, and how long that took.
fn read(ask: &Ask<'_>) -> (Result<Vec<u8>, String>, Duration) {
    let since = Instant::now();
    let all =
        web().ask(ask).unwrap().map_err(|error| error.to_string()).and_then(|Answer { response, .. }| {
            let mut bytes = Vec::new();
            let read = response.into_body().into_reader().read_to_end(&mut bytes);
            read.map(|_| bytes).map_err(|error| error.to_string())
        });
    (all, since.elapsed())
}

fn drip(stream: &mut TcpStream, each: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(each)?;
        thread::sleep(Duration::from_millis(20));
    }
}

fn hang(stream: &mut TcpStream) -> io::Result<()> {
    thread::sleep(Duration::from_secs(20));
    stream.flush()
}

#[test]
fn every_wait_has_an_end() {
    let acts: [(&str, Act); 6] = [
        ("no answer", hang),
        ("a head at a byte a time", |stream| drip(stream, b"H")),
        ("a head without end", |stream| {
            stream.write_all(b"HTTP/1.1 200 x\r\n")?;
            drip(stream, b"a: b\r\n")
        }),
        ("no body", |stream| {
            stream.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n")?;
            hang(stream)
        }),
        ("a body at a byte a time", |stream| {
            stream.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 999999\r\n\r\n")?;
            drip(stream, b"x")
        }),
        ("chunks at a byte a time", |stream| {
            stream.write_all(b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            drip(stream, b"1\r\nx\r\n")
        }),
    ];
    for (name, act) in acts {
        for large in [false, true] {
            let (read, took) = read(&Ask { large, ..Ask::new("GET", &serve(act)) });
            assert!(read.is_err() && took < END, "{name}, large: {large}: {read:?} after {took:?}");
        }
    }
}

#[test]
fn a_small_answer_has_an_end_even_where_it_is_quick_enough_and_a_large_one_has_not() {
    let slow: Act = |stream| {
        stream.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 60000\r\n\r\n")?;
        for _ in 0..60 {
            stream.write_all(&[b'x'; 1000])?;
            thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    };
    let (small, took) = read(&Ask::new("GET", &serve(slow)));
    assert!(small.is_err() && took < END, "{took:?}");
    let (large, took) = read(&Ask { large: true, ..Ask::new("GET", &serve(slow)) });
    assert!(large.is_ok_and(|bytes| bytes.len() == 60_000) && took > SILENCE * 2, "{took:?}");
}

#[test]
fn a_host_that_is_not_reached_is_left() {
    // Its queue is full: who else connects is not answered.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while held.len() < 5000 {
        match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Ok(stream) => held.push(stream),
            Err(_) => break,
        }
    }
    let (read, took) = read(&Ask::new("GET", &format!("http://{address}/")));
    assert!(read.is_err() && took < END, "{read:?} after {took:?}");
}

/// More than sockets hold, in bytes.
const LARGE: u64 = 64 << 20;

fn large() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(LARGE).unwrap();
    file
}

fn send(act: Act, file: &File) -> (Result<u16, String>, Duration) {
    let since = Instant::now();
    let body = Body::File { file, from: 0, length: LARGE, sent: &|_| {} };
    let asked = web().ask(&Ask { body, large: true, ..Ask::new("PUT", &serve(act)) }).unwrap();
    let status = asked.map(|answer| answer.response.status().as_u16());
    (status.map_err(|error| error.to_string()), since.elapsed())
}

#[test]
fn a_refusal_before_the_end_of_a_body_is_heard() {
    const REFUSAL: &[u8] = b"HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n";
    let acts: [(&str, Act); 3] = [
        ("and silence", |stream| {
            stream.write_all(REFUSAL)?;
            hang(stream)
        }),
        ("and an end", |stream| stream.write_all(REFUSAL)),
        ("after a part", |stream| {
            stream.read_exact(&mut vec![0; 4 << 20])?;
            stream.write_all(REFUSAL)
        }),
    ];
    let file = large();
    for (name, act) in acts {
        let (status, took) = send(act, &file);
        assert_eq!(status, Ok(413), "{name}");
        assert!(took < END, "{name}: {took:?}");
    }
}

#[test]
fn a_body_that_nobody_takes_is_not_sent_for_ever() {
    let acts: [(&str, Act); 2] = [
        ("not at all", hang),
        ("a byte at a time", |stream| {
            loop {
                stream.read_exact(&mut [0])?;
                thread::sleep(Duration::from_millis(20));
            }
        }),
    ];
    let file = large();
    for (name, act) in acts {
        let (status, took) = send(act, &file);
        assert!(status.is_err() && took < END, "{name}: {status:?} after {took:?}");
    }
    // One that is taken is sent to its last byte.
    let takes: Act = |stream| {
        let taken = io::copy(&mut stream.try_clone()?.take(LARGE), &mut io::sink())?;
        let status = if taken == LARGE { 201 } else { 400 };
        write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n")
    };
    assert_eq!(send(takes, &file).0, Ok(201));
}
