//! gzip of several members, which are compressed at the same time.

use std::collections::VecDeque;
use std::io::Write;
use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, Builder};

use anyhow::{Context, Result};
use libdeflater::{CompressionLvl, Compressor};
use progress::Task;

use super::{Encoder, FAST_LEVEL, MEMBER};

/// More threads than this have nothing to do: one reads, hashes and writes for them all.
const MOST_THREADS: usize = 4;

/// libdeflate at one of its quick levels: each [`MEMBER`] bytes of the data are a member (RFC 1952, 2.2), on whatever
/// thread is free.
pub(super) struct Members<'a, W> {
    /// What the next member is of.
    data: Vec<u8>,
    jobs: Sender<Job>,
    /// Members under way, in their order, and of how much data each is.
    waiting: VecDeque<(Receiver<Result<Vec<u8>>>, usize)>,
    /// How many may be under way.
    most: usize,
    out: W,
    task: &'a dyn Task,
}

/// The data of a member, and where the member goes.
struct Job(Vec<u8>, Sender<Result<Vec<u8>>>);

impl<'a, W: Write> Members<'a, W> {
    pub(super) fn new(out: W, task: &'a dyn Task) -> Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        let (jobs, given) = mpsc::channel();
        let given = Arc::new(Mutex::new(given));
        for _ in 0..threads {
            let given = Arc::clone(&given);
            // They end by themselves once the encoder is gone.
            let thread = Builder::new().name("compress".to_owned()).spawn(move || work(&given));
            thread.context("cannot start the threads to compress on")?;
        }
        let (data, waiting) = (Vec::with_capacity(MEMBER), VecDeque::new());
        Ok(Self { data, jobs, waiting, most: 2 * threads, out, task })
    }

    /// Has what was gathered compressed, once there is room for one more.
    fn send(&mut self) -> Result<()> {
        if self.waiting.len() == self.most {
            self.take()?;
        }
        let data = std::mem::replace(&mut self.data, Vec::with_capacity(MEMBER));
        let (of, (to, member)) = (data.len(), mpsc::channel());
        self.jobs.send(Job(data, to)).ok().context("the compressing threads died")?;
        self.waiting.push_back((member, of));
        Ok(())
    }

    /// Writes the first of those that are under way, if there is one.
    fn take(&mut self) -> Result<()> {
        let Some((member, of)) = self.waiting.pop_front() else { return Ok(()) };
        self.out.write_all(&member.recv().context("a compressing thread died")??)?;
        self.task.advance(of as u64);
        Ok(())
    }
}

impl<W: Write> Encoder<W> for Members<'_, W> {
    fn piece(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(MEMBER - self.data.len()));
            self.data.extend_from_slice(now);
            if self.data.len() == MEMBER {
                self.send()?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<W> {
        // Nothing at all is one member, too: a gzip file has at least one.
        if !self.data.is_empty() || self.waiting.is_empty() {
            self.send()?;
        }
        while !self.waiting.is_empty() {
            self.take()?;
        }
        Ok(self.out)
    }
}

fn work(given: &Mutex<Receiver<Job>>) {
    let Ok(level) = CompressionLvl::new(FAST_LEVEL) else { return };
    let mut compressor = Compressor::new(level);
    let mut buffer = vec![0; compressor.gzip_compress_bound(MEMBER)];
    // The lock is held while it waits, not while it compresses.
    let next = || given.lock().ok()?.recv().ok();
    while let Some(Job(data, to)) = next() {
        let member = compressor.gzip_compress(&data, &mut buffer).context("libdeflate fails");
        // Nobody listens any more after an error.
        let _ = to.send(member.map(|length| buffer[..length].to_vec()));
    }
}
