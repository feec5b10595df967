//! An archive that lacks what follows the data of its last entry.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::header::BLOCK;

/// Gives the padding to a whole block where an archive just stops behind an entry's data: umoci writes such, and Go's reader,
/// which is every runtime's, does not miss it.
pub(crate) struct Padded<R> {
    pub(crate) inner: R,
    at: u64,
    /// Where the data of the last entry that was begun ends.
    data_end: Rc<Cell<u64>>,
}

impl<R> Padded<R> {
    pub(crate) fn new(inner: R, data_end: Rc<Cell<u64>>) -> Self {
        Self { inner, at: 0, data_end }
    }
}

impl<R: Read> Read for Padded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.at += read as u64;
        let end = self.data_end.get();
        if read > 0 || self.at < end {
            return Ok(read);
        }
        let whole = end.checked_next_multiple_of(BLOCK as u64).unwrap_or(end);
        let missing = usize::try_from(whole.saturating_sub(self.at)).unwrap_or(0).min(buffer.len());
        buffer[..missing].fill(0);
        self.at += missing as u64;
        Ok(missing)
    }
}
