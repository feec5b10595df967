//! Servers by HTTP that answer as a test wants.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// What a server answers: a status line with headers, and a body, whose length is said unless the headers say it.
pub(crate) type Answer = (String, Vec<u8>);

/// Serves by what `answer` makes of a path and of how often it was asked for, this time too. Returns its URL.
pub(crate) fn serve_by(answer: impl Fn(&str, u32) -> Answer + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/sub/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut asked: HashMap<String, u32> = HashMap::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
            let path = first.split(' ').nth(1).unwrap().trim_start_matches("/sub/").to_owned();
            let times = asked.entry(path.clone()).or_default();
            *times += 1;
            let (head, body) = answer(&path, *times);
            let length = if head.contains("-Length:") || head.starts_with("HTTP/1.0") {
                String::new()
            } else {
                format!("Content-Length: {}\r\n", body.len())
            };
            let head = format!("{head}\r\n{length}Connection: close\r\n\r\n");
            // A client that has seen enough goes away.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    url
}

pub(crate) fn file(dir: &Path, path: &str) -> Answer {
    match fs::read(dir.join(path)) {
        Ok(body) => ("HTTP/1.1 200 OK".to_owned(), body),
        Err(_) => ("HTTP/1.1 404 Not Found".to_owned(), Vec::new()),
    }
}

/// Serves a directory; each file's first request fails if `flaky`.
pub(crate) fn serve(dir: PathBuf, flaky: bool) -> String {
    serve_by(move |path, times| {
        if flaky && times == 1 { ("HTTP/1.1 503 Busy".to_owned(), Vec::new()) } else { file(&dir, path) }
    })
}
