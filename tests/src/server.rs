//! A server that answers as a test wants, and remembers what it was shown.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// Path and `Authorization` of each request.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// Ends with the test's process.
#[derive(Debug)]
pub struct Server {
    /// Host and port.
    pub address: String,
    seen: Seen,
}

impl Server {
    /// Path and `Authorization` of each request so far.
    pub fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers each request, by its own address, the path and the `Authorization` header, with a status line, headers and
/// body.
pub fn serve(answer: impl Fn(&str, &str, &str) -> String + Send + 'static) -> Result<Server> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (seen, own) = (Seen::default(), address.clone());
    let told = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok(copy) = stream.try_clone() else { continue };
            let lines = BufReader::new(copy).lines().map_while(std::io::Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let authorization = head.iter().find_map(|line| {
                line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
            });
            let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
            let shown = authorization.map_or("", |(_, value)| value);
            told.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), shown.to_owned()));
            // A client that went away is seen by its test.
            let _ = stream.write_all(answer(&own, path, shown).as_bytes());
        }
    });
    Ok(Server { address, seen })
}
