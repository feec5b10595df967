//! One run at a time in a directory of plugins. Whoever can read that directory can lock it, and so keep others waiting:
//! it is not waited for without end, nor without a word.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, major, minor};
use rustix::io::Errno;

use crate::failure::err;
use crate::mount::describe;

/// How long another run is waited for; one takes a second or two.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this it is said what is waited for.
const SILENCE: Duration = Duration::from_secs(1);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Locks the directory until the file is dropped; the error says who has locked it for too long.
pub(super) fn lock(dir: &Path) -> Result<File, String> {
    lock_within(dir, PATIENCE)
}

fn lock_within(dir: &Path, patience: Duration) -> Result<File, String> {
    let at = |error| format!("{}: {}", dir.display(), describe(error));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(dir, flags, Mode::empty()).map_err(at)?);
    let (begin, mut said) = (Instant::now(), false);
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(error) => return Err(at(error)),
        }
        let waited = begin.elapsed();
        if waited >= patience {
            return Err(format!(
                "{}: locked (flock) by {} for more than {} ms; end it, or have it unlock the directory, and try again",
                dir.display(),
                holder(&file),
                patience.as_millis()
            ));
        }
        if waited >= SILENCE && !said {
            err(&format!(
                "entrypoint: cni: waiting for {}, which {} has locked",
                dir.display(),
                holder(&file)
            ));
            said = true;
        }
        sleep(PAUSE);
    }
}

/// Who holds a lock of the file, as far as its process is seen from here.
fn holder(file: &File) -> String {
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let found = file.metadata().ok().and_then(|meta| holder_in(&locks, meta.dev(), meta.ino()));
    let Some(pid) = found else { return "a process of the host or of another container".to_owned() };
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("process {pid} {}", name.trim()).trim_end().to_owned()
}

/// From lines like `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`, of `proc_locks(5)`: of another pid namespace the
/// process is 0 or less.
fn holder_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let id = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip_while(|field| *field != "FLOCK").skip(3);
        let pid = fields.next()?.parse().ok().filter(|pid| *pid > 0)?;
        (fields.next()? == id).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_anybodys_is_not_waited_for_without_end() {
        let dir = std::env::temp_dir().join(format!("entrypoint-lock-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let held = lock(&dir).unwrap();
        let begin = Instant::now();
        let why = lock_within(&dir, Duration::from_millis(200)).unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(5));
        let expected = format!("locked (flock) by process {} ", std::process::id());
        assert!(why.contains(&expected) && why.contains("for more than 200 ms"), "{why}");
        drop(held);
        assert!(lock_within(&dir, Duration::ZERO).is_ok());
        std::fs::remove_dir(&dir).unwrap();
        assert!(lock(Path::new("/proc/version")).unwrap_err().contains("Not a directory"));
    }

    #[test]
    fn who_holds_it() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 08:01:5 0 EOF\n2: FLOCK  ADVISORY  WRITE 0 08:01:5 0 EOF\n\
            2: -> FLOCK  ADVISORY  WRITE 9 08:01:6 0 EOF\n3: FLOCK  ADVISORY  READ 12 08:01:5 0 EOF\n";
        let device = rustix::fs::makedev(8, 1);
        assert_eq!((holder_in(locks, device, 5), holder_in(locks, device, 6)), (Some(12), Some(9)));
        assert_eq!(holder_in(locks, device, 7), None);
    }
}
