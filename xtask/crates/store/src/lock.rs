//! Locks between processes and threads: `flock` on a file of its own, freed by the kernel when its holder ends.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::disk::{OnDisk, storage};

/// Freed when dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

/// How much of a lock is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// With others that share.
    Shared,
    /// Alone.
    Exclusive,
}

impl FileLock {
    /// Takes the lock once it is free, unless the user interrupts; `waiting` is called once if that takes a while.
    pub(crate) fn wait(path: &Path, mode: Mode, waiting: impl FnOnce()) -> Result<Self> {
        let lock = Self { file: open(path)? };
        lock.change(path, mode, waiting)?;
        Ok(lock)
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_now(path: &Path) -> Result<Option<Self>> {
        let lock = Self { file: open(path)? };
        Ok(lock.attempt(path, Mode::Exclusive)?.then_some(lock))
    }

    /// Changes how much is held; there may be a moment in between when nothing is.
    pub(crate) fn change(&self, path: &Path, mode: Mode, waiting: impl FnOnce()) -> Result<()> {
        let mut waiting = Some(waiting);
        let mut pause = Duration::from_millis(2);
        let mut waited = Duration::ZERO;
        while !self.attempt(path, mode)? {
            exec::interrupt::check()?;
            std::thread::sleep(pause);
            waited += pause;
            pause = (pause * 2).min(Duration::from_millis(100));
            if waited > Duration::from_millis(200)
                && let Some(say) = waiting.take()
            {
                say();
            }
        }
        Ok(())
    }

    fn attempt(&self, path: &Path, mode: Mode) -> Result<bool> {
        let tried = match mode {
            Mode::Shared => self.file.try_lock_shared(),
            Mode::Exclusive => self.file.try_lock(),
        };
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(storage("lock", path, &error).into()),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(path).on("open", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_free_again_after_drop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = FileLock::try_now(&path).unwrap().unwrap();
        assert!(FileLock::try_now(&path).unwrap().is_none());
        drop(held);
        assert!(FileLock::try_now(&path).unwrap().is_some());
    }

    #[test]
    fn waiting_is_told_once_and_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = FileLock::wait(&path, Mode::Shared, || ()).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiter =
                scope.spawn(|| FileLock::wait(&path, Mode::Exclusive, move || tell.send(()).unwrap()));
            told.recv().unwrap();
            drop(held);
            waiter.join().unwrap().unwrap();
        });
        assert!(told.recv().is_err(), "told twice");
    }
}
