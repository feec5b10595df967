//! Files from the store, from mirrors, and from Alpine itself.

use std::fs::File as Disk;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::Progress;
use store::{Digest, Expected, Store};

use crate::lock::File;

/// How often a server is asked when it does not answer, or not to the end.
const ATTEMPTS: u32 = 3;
/// What each of Alpine's files begins with.
const GZIP: &[u8] = b"\x1f\x8b";

/// Where files are asked for before Alpine's own servers. Whatever it gives is verified all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// A directory, with the files below it or below `alpine` in it.
    Directory(PathBuf),
    /// A URL, without a slash at its end.
    Url(String),
}

impl Mirror {
    /// A URL if it begins with `https://` or `http://`, else a directory; none for no text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let url = text.starts_with("https://") || text.starts_with("http://");
        match text {
            "" => None,
            _ if url => Some(Self::Url(text.trim_end_matches('/').to_owned())),
            _ => Some(Self::Directory(text.into())),
        }
    }
}

/// Gets files of one Alpine base.
pub struct Fetcher<'a> {
    /// Keeps what is locked.
    pub store: &'a Store,
    /// Asked in this order.
    pub mirrors: &'a [Mirror],
    /// Alpine's own URL, asked last.
    pub url: &'a str,
    /// Ask directories only.
    pub offline: bool,
    /// Told what is fetched.
    pub progress: &'a dyn Progress,
}

/// Why one place did not give a file.
enum Miss {
    /// It says that it has none, or what keeps us from asking.
    Absent(String),
    /// It might if asked again.
    Broken(String),
    /// What it has cannot be the file.
    Wrong(anyhow::Error),
    /// What no other place can help: the disk, an interrupt.
    Fatal(anyhow::Error),
}

impl Fetcher<'_> {
    /// The path in the store of a locked file.
    pub fn locked(&self, file: &File) -> Result<PathBuf> {
        if let Some(path) = self.store.input(&file.sha256)? {
            return Ok(path);
        }
        let expected = file.expected();
        self.first_good(&file.path, Some(&file.sha256), file.size, |got, from| {
            self.store.put_input_file(from, got, &expected)
        })
    }

    /// The bytes of a locked file.
    pub fn locked_bytes(&self, file: &File) -> Result<Vec<u8>> {
        let path = self.locked(file)?;
        std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// What `open` makes of a file that is not locked: it verifies the signature before anything else. More than `limit`
    /// bytes are refused.
    pub(crate) fn unlocked<T>(
        &self,
        path: &str,
        limit: u64,
        open: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<(T, Vec<u8>)> {
        self.first_good(path, None, limit, |got, from| {
            let bytes = std::fs::read(got).with_context(|| format!("reading {}", got.display()))?;
            let opened = open(&bytes).with_context(|| from.to_owned())?;
            Ok((opened, bytes))
        })
    }

    /// Puts verified bytes into the store.
    pub(crate) fn keep(&self, name: &str, bytes: &[u8]) -> Result<Digest> {
        let expected = Expected::of(bytes);
        self.store.put_input(name, &mut &*bytes, &expected)?;
        Ok(expected.sha256)
    }

    /// Gives `take` a copy of the file, not verified, and where it is from: of the first place that has one which `take` finds
    /// good. A mirror that is out of step, or broken, keeps nobody from asking the next.
    fn first_good<T>(
        &self,
        path: &str,
        sha256: Option<&Digest>,
        limit: u64,
        take: impl Fn(&Path, &str) -> Result<T>,
    ) -> Result<T> {
        let scratch = self.store.scratch_dir()?;
        let to = scratch.path().join("file");
        let task = self.progress.task(&format!("fetch {path}"), None);
        let (mut missed, mut wrong) = (String::new(), None::<anyhow::Error>);
        for (from, place) in self.places(path) {
            let got = match &place {
                Mirror::Directory(file) => copy_file(file, &to, limit),
                Mirror::Url(_) if self.offline => Err(Miss::Absent("not asked: --offline".into())),
                Mirror::Url(url) => {
                    task.detail(url);
                    download(url, &to, limit)
                }
            };
            let error = match got.map(|()| take(&to, &from)) {
                Ok(Ok(taken)) => {
                    if let Some(error) = wrong {
                        self.progress.note(&format!("{error:#}\n{path} was taken from {from}"));
                    }
                    return Ok(taken);
                }
                Ok(Err(error)) if fault::is(&error, Kind::Mismatch) => error,
                Ok(Err(error)) => return Err(error),
                Err(Miss::Absent(why) | Miss::Broken(why)) => {
                    missed.push_str(&format!("\n  {from}: {why}"));
                    continue;
                }
                Err(Miss::Wrong(error)) => error.context(from),
                Err(Miss::Fatal(error)) => return Err(error.context(from)),
            };
            wrong.get_or_insert(error);
        }
        if let Some(error) = wrong {
            return Err(error);
        }
        let wanted = sha256.map(|sha256| format!(" (SHA-256 {sha256})")).unwrap_or_default();
        let mut help = format!(
            "give a directory or URL that has {path} with --mirror, or in KUBELET_IMAGES_MIRROR; it is verified"
        );
        if Path::new(path).extension().is_some_and(|extension| extension == "apk") {
            // Alpine keeps one version of each package.
            help += match sha256 {
                Some(_) => "; or Alpine has replaced it: `cargo xtask lock alpine` locks what there is now",
                None => {
                    "; or it was replaced since the index was made, or a mirror is not in step with its index: lock again, later"
                }
            };
        }
        Err(Fault::new(Kind::Unavailable, format!("{path}{wanted} is not available{missed}"))
            .help(help)
            .into())
    }

    /// Where a file may be, in the order of asking, and what each place is called.
    fn places(&self, path: &str) -> Vec<(String, Mirror)> {
        let origin = Mirror::Url(self.url.to_owned());
        let mirrors = self.mirrors.iter().chain([&origin]);
        let files = mirrors.flat_map(|mirror| match mirror {
            Mirror::Directory(dir) => [dir.join(path), dir.join("alpine").join(path)]
                .map(|file| (file.display().to_string(), Mirror::Directory(file)))
                .to_vec(),
            Mirror::Url(url) => {
                let url = format!("{url}/{path}");
                vec![(url.clone(), Mirror::Url(url))]
            }
        });
        files.collect()
    }
}

fn copy_file(from: &Path, to: &Path, limit: u64) -> Result<(), Miss> {
    match Disk::open(from) {
        Ok(file) => copy(file, to, limit),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Miss::Absent("not there".into())),
        Err(error) => Err(Miss::Absent(error.to_string())),
    }
}

/// Asks a server, again where that may help.
fn download(url: &str, to: &Path, limit: u64) -> Result<(), Miss> {
    let mut attempt = 1;
    loop {
        match download_once(url, to, limit) {
            Err(Miss::Broken(_)) if attempt < ATTEMPTS => {
                exec::interrupt::sleep(Duration::from_millis(500) * attempt).map_err(Miss::Fatal)?;
                attempt += 1;
            }
            done => return done,
        }
    }
}

fn download_once(url: &str, to: &Path, limit: u64) -> Result<(), Miss> {
    let config = ureq::Agent::config_builder().tls_config(
        ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build(),
    );
    let ask = web::Ask { large: true, ..web::Ask::new("GET", url) };
    let asked = web::Web::new(config, web::Patience::of(Duration::from_secs(30))).ask(&ask);
    let answer = asked.map_err(|error| match fault::of(&error).map(Fault::kind) {
        Some(Kind::Unavailable) => Miss::Absent(format!("{error:#}")),
        _ => Miss::Fatal(error),
    })?;
    let response = answer.map_err(|error| Miss::Broken(error.to_string()))?.response;
    match response.status().as_u16() {
        200..300 => {
            let encoding =
                response.headers().get("content-encoding").map(|value| value.as_bytes().to_owned());
            let body = response.into_body().into_reader();
            match encoding.as_deref() {
                Some(b"gzip" | b"x-gzip") => copy_encoded(body, to, limit),
                _ => copy(body, to, limit),
            }
        }
        code @ (429 | 500..) => Err(Miss::Broken(format!("status {code}"))),
        code => Err(Miss::Absent(format!("status {code}"))),
    }
}

/// Copies what is said to be compressed for the way. Some servers say so of files that are archives themselves, others do
/// compress these again: then there is one under it, too.
fn copy_encoded(body: impl Read, to: &Path, limit: u64) -> Result<(), Miss> {
    // What cannot be compressed grows by less than this.
    copy(body, to, limit + limit / 100 + (64 << 10))?;
    let sent =
        std::fs::read(to).map_err(|error| Miss::Fatal(store::disk::storage("read", to, &error).into()))?;
    let mut start = Vec::new();
    let inside =
        flate2::read::GzDecoder::new(sent.as_slice()).take(GZIP.len() as u64).read_to_end(&mut start);
    if inside.is_ok() && start == GZIP {
        copy(flate2::read::GzDecoder::new(sent.as_slice()), to, limit)
    } else {
        copy(sent.as_slice(), to, limit)
    }
}

/// Copies to a file, at most `limit` bytes.
fn copy(mut from: impl Read, to: &Path, limit: u64) -> Result<(), Miss> {
    let disk = |error: io::Error| Miss::Fatal(store::disk::storage("write to", to, &error).into());
    let mut out = Disk::create(to).map_err(disk)?;
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        exec::interrupt::check().map_err(Miss::Fatal)?;
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Miss::Broken(error.to_string())),
        };
        size += count as u64;
        if size > limit {
            let message = format!("more than the {limit} bytes that it may have");
            return Err(Miss::Wrong(Fault::new(Kind::Mismatch, message).into()));
        }
        out.write_all(&buffer[..count]).map_err(disk)?;
    }
}
