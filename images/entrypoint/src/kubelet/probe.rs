//! `entrypoint probe`: asks the kubelet of this container whether it is healthy.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::config::Config;
use super::given::{self, Given};
use crate::failure::{err, out};
use crate::stop::USAGE;

/// It is not healthy, or cannot be asked. Docker has no other code for that.
const UNHEALTHY: u8 = 1;
/// For connection, request and answer together.
const PATIENCE: Duration = Duration::from_secs(3);
/// More is not read of an answer.
const LIMIT: u64 = 64 << 10;
/// The kubelet's default, `SetDefaults_KubeletConfiguration` of Kubernetes.
const PORT: u16 = 10248;

const HELP: &str = "\
Usage: entrypoint probe [--config=FILE] [--healthz-bind-address=ADDRESS] [--healthz-port=PORT]

Asks the kubelet of this container for /healthz. Where it listens is what its own flags and configuration say, unless
given here. Ends with 0 if it is healthy, else with 1.";

/// Runs the command; returns its exit code.
pub(crate) fn main(args: Vec<OsString>) -> u8 {
    let own = given::flags(&args);
    let known = ["config", "healthz-bind-address", "healthz-port", "help"];
    if given::value(&own, "help").is_some() {
        out(HELP);
        return 0;
    }
    let words = args.into_iter().filter(|word| word.as_bytes().starts_with(b"-")).count();
    if own.len() != words || own.iter().any(|flag| !known.contains(&&*flag.name)) {
        err(HELP);
        return USAGE;
    }
    match probe(&own) {
        Ok(answer) => {
            out(&answer);
            0
        }
        Err(why) => {
            err(&format!("entrypoint: probe: {why}"));
            UNHEALTHY
        }
    }
}

/// What the kubelet answers; or why it is not healthy.
fn probe(own: &[Given]) -> Result<String, String> {
    let kubelet = find(Path::new("/proc")).ok_or("no kubelet runs in this container")?;
    let mut flags = given::flags(&kubelet.args);
    flags.extend(own.iter().map(|flag| Given { name: flag.name.clone(), value: flag.value.clone() }));
    let mut config = Config::default();
    if let Some(file) = given::path(&flags, "config") {
        config = Config::read(&kubelet.directory.join(file)).unwrap_or_default();
    }
    if let Some(dir) = given::path(&flags, "config-dir") {
        config.read_over(&kubelet.directory.join(dir));
    }
    match address(&flags, &config)? {
        Some(address) => ask(address),
        None => Ok("the kubelet runs; its healthz is turned off (port 0)".to_owned()),
    }
}

/// A running kubelet.
pub(crate) struct Kubelet {
    pub(crate) args: Vec<OsString>,
    /// Paths of its flags are relative to this.
    pub(crate) directory: PathBuf,
}

/// The kubelet among the processes here; one with other mounts, of the host or another container, is not meant.
pub(crate) fn find(proc: &Path) -> Option<Kubelet> {
    let mounts = |process: &Path| fs::read_link(process.join("ns/mnt")).ok();
    let ours = mounts(&proc.join("self"));
    for entry in fs::read_dir(proc).ok()?.filter_map(Result::ok) {
        let process = entry.path();
        if !entry.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
        let program = words.next().unwrap_or_default();
        if Path::new(&program).file_name().is_some_and(|name| name == "kubelet") && mounts(&process) == ours {
            return Some(Kubelet { args: words.collect(), directory: process.join("cwd") });
        }
    }
    None
}

/// Where it listens: flags before the configuration before the defaults. None where it is told not to.
fn address(flags: &[Given], config: &Config) -> Result<Option<SocketAddr>, String> {
    let named = |flag: &str, key: &str| given::value(flags, flag).or_else(|| config.get(key));
    let port = match named("healthz-port", "healthzPort") {
        Some(text) => text.parse().map_err(|_| format!("healthz port: {text} is not a port"))?,
        None => PORT,
    };
    let ip = match named("healthz-bind-address", "healthzBindAddress") {
        Some(text) => text.parse().map_err(|_| format!("healthz address: {text} is not an IP address"))?,
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    // "All addresses" is none to connect to.
    let ip = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok((port != 0).then(|| SocketAddr::new(ip, port)))
}

/// Asks one server for `/healthz`.
fn ask(address: SocketAddr) -> Result<String, String> {
    let answer = get(address).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("http://{address}/healthz: no answer in {} s", PATIENCE.as_secs())
        }
        _ => format!("http://{address}/healthz: {error}"),
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") if status.starts_with("HTTP/1.") => Ok(body.trim().to_owned()),
        // The kubelet lists its checks; those that failed begin so.
        _ => {
            let failed: Vec<&str> = body.lines().filter(|line| line.starts_with("[-]")).collect();
            let why = if failed.is_empty() { body.trim().to_owned() } else { failed.join(", ") };
            Err(format!("http://{address}/healthz: {status}: {why}"))
        }
    }
}

/// Sends the request and reads the answer until the server closes.
fn get(address: SocketAddr) -> io::Result<String> {
    let end = Instant::now() + PATIENCE;
    let left = || {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok::<_, io::Error>(left) }
    };
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(left()?))?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while (answer.len() as u64) < LIMIT {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut piece)? {
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn where_it_listens() {
        for (flags, config, expected) in [
            ("", "", Ok(Some("127.0.0.1:10248"))),
            ("", "healthzPort: 1234\nhealthzBindAddress: 0.0.0.0", Ok(Some("127.0.0.1:1234"))),
            ("--healthz-port=99 --healthz-bind-address ::", "healthzPort: 1234", Ok(Some("[::1]:99"))),
            ("--healthz-port=1 --healthz-port=2", "", Ok(Some("127.0.0.1:2"))),
            ("--healthz-bind-address=10.0.0.1", "", Ok(Some("10.0.0.1:10248"))),
            ("", "healthzPort: 0", Ok(None)),
            ("--healthz-port=x", "", Err("healthz port: x is not a port")),
            ("--healthz-port=70000", "", Err("healthz port: 70000 is not a port")),
            ("--healthz-bind-address=x", "", Err("healthz address: x is not an IP address")),
        ] {
            let args: Vec<OsString> = flags.split_whitespace().map(OsString::from).collect();
            let found = address(&given::flags(&args), &Config::parse(config));
            let shown = found.map(|found| found.map(|address| address.to_string()));
            let expected = expected.map(|some| some.map(str::to_owned)).map_err(str::to_owned);
            assert_eq!(shown, expected, "{flags} {config}");
        }
    }

    /// Serves these bytes once, and keeps the connection open for as long.
    fn server(answer: &'static [u8], open: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer).unwrap();
            thread::sleep(open);
        });
        address
    }

    #[test]
    fn answers() {
        let at_once = Duration::ZERO;
        let said = |answer| {
            ask(server(answer, at_once)).map_err(|why| why.split_once("healthz: ").unwrap().1.to_owned())
        };
        assert_eq!(said(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Ok("ok".to_owned()));
        assert_eq!(
            said(b"HTTP/1.1 500 Internal Server Error\r\nA: b\r\n\r\n[+]ping ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n"),
            Err("HTTP/1.1 500 Internal Server Error: [-]syncloop failed: reason withheld".to_owned())
        );
        assert_eq!(
            said(b"HTTP/1.1 404 Not Found\r\n\r\nnothing\n"),
            Err("HTTP/1.1 404 Not Found: nothing".to_owned())
        );
        assert_eq!(said(b""), Err(": ".to_owned()));
        assert_eq!(said(b"SSH-2.0 200\r\n"), Err("SSH-2.0 200: ".to_owned()));
        assert!(said(b"\xff\xfe 200 \xff").is_err());
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for() {
        let since = Instant::now();
        let why = ask(server(b"HTTP/1.1 200 OK\r\n\r\no", Duration::from_secs(20))).unwrap_err();
        assert!(why.ends_with("no answer in 3 s"), "{why}");
        assert!(since.elapsed() < Duration::from_secs(10));
        // A port that is closed again.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(address).unwrap_err().contains("refused"));
    }
}
