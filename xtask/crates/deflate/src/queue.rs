//! What comes at one end and goes at the other, in one piece.

/// Begins with what did not go yet. Moving the rest for each block that goes would be a tenth of the work.
#[derive(Default)]
pub(crate) struct Queue<T> {
    all: Vec<T>,
    gone: usize,
}

impl<T: Copy> Queue<T> {
    pub(crate) fn push(&mut self, more: &[T]) {
        self.all.extend_from_slice(more);
    }

    pub(crate) fn rest(&self) -> &[T] {
        &self.all[self.gone..]
    }

    pub(crate) fn forget(&mut self, count: usize) {
        self.gone += count;
        if self.gone > self.all.len() / 2 {
            self.all.drain(..self.gone);
            self.gone = 0;
        }
    }
}
