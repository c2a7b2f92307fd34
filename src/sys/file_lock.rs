//! Locks in a directory that the operating system releases when their holder dies.
//!
//! On Linux all locks are in one file: open file description locks (fcntl(2)) of one byte each. Elsewhere there is
//! a fixed number of files, so that locks with different keys may exclude each other. The files are never deleted,
//! and no lock is removed because of its age.

use std::fs::File;
use std::io;

use super::{Directory, ForkSafe};

#[cfg(unix)]
use super::with_forks_blocked;

/// A lock. It ends when it is released or dropped, or when the process ends.
///
/// It belongs to one value of this type: another one with the same key excludes it, also in the same process. A
/// forked child does not have the lock, and its copy of the descriptor is closed by the fork handler.
#[derive(Debug)]
pub struct FileLock {
    file: ForkSafe<File>,
    key: u64,
}

impl FileLock {
    /// Tries to lock `key` in `directory`. Does not wait. `None` if another process or this one holds the lock.
    ///
    /// # Errors
    /// If the lock file cannot be opened, or the file system has no locks.
    pub fn try_acquire(directory: &Directory, key: u64) -> io::Result<Option<Self>> {
        let Some(file) = open_lock_file(directory, &file_name(key))? else { return Ok(None) };
        Ok(try_lock(&file, key)?.then_some(Self { file, key }))
    }

    /// The lock file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether the lock file is still in `directory`. If it was removed, others may have the lock.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn is_in(&self, directory: &Directory) -> io::Result<bool> {
        #[cfg(unix)]
        {
            directory.is_same_file(&file_name(self.key), &self.file)
        }
        #[cfg(not(unix))]
        {
            // Windows does not remove the file, which no one else can open.
            let _ = directory;
            Ok(true)
        }
    }

    /// A number in the lock file that all processes share; 0 at first. Not protected by the lock, and not kept by all
    /// systems.
    #[must_use]
    pub fn shared_number(&self) -> u64 {
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileExt;
            let mut bytes = [0; 8];
            let is_read = self.file.read_exact_at(&mut bytes, 0).is_ok();
            if is_read { u64::from_le_bytes(bytes) } else { 0 }
        }
        #[cfg(not(unix))]
        {
            0
        }
    }

    /// Sets [`Self::shared_number`], if possible.
    pub fn set_shared_number(&self, number: u64) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileExt;
            let _ = self.file.write_all_at(&number.to_le_bytes(), 0);
        }
        #[cfg(not(unix))]
        {
            let _ = number;
        }
    }

    /// Releases the lock. Closing the descriptor would not be enough: a child of posix_spawn() or vfork(), which run
    /// no fork handlers, has a copy of it until it calls exec.
    pub fn release(&self) {
        // In a forked child the number of the descriptor may be that of another file.
        if self.file.is_current_process() {
            unlock(&self.file, self.key);
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        self.release();
    }
}

/// The name of the lock file for `key`.
#[cfg(target_os = "linux")]
fn file_name(_: u64) -> String {
    ".lock".to_owned()
}

#[cfg(not(target_os = "linux"))]
fn file_name(key: u64) -> String {
    format!(".lock-{:02x}", key >> 56)
}

/// Opens and registers the lock file. A fork in between would leave a copy in the child, which would keep the lock.
#[cfg(unix)]
fn open_lock_file(directory: &Directory, name: &str) -> io::Result<Option<ForkSafe<File>>> {
    with_forks_blocked(|| Ok(Some(ForkSafe::new(directory.open_or_create(name)?))))
}

/// Opens the lock file, unless it is open elsewhere: on Windows the open file is the lock.
#[cfg(not(unix))]
fn open_lock_file(directory: &Directory, name: &str) -> io::Result<Option<ForkSafe<File>>> {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    match directory.open_exclusively(name) {
        Ok(file) => Ok(Some(ForkSafe::new(file))),
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
fn try_lock(file: &File, key: u64) -> io::Result<bool> {
    match set_lock(file, key, libc::F_WRLCK) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

#[cfg(target_os = "linux")]
fn unlock(file: &File, key: u64) {
    // If it fails, closing the file releases the lock.
    let _ = set_lock(file, key, libc::F_UNLCK);
}

/// Locks or unlocks one byte at an offset of 62 bits: the largest offset is 2^63 - 1.
#[cfg(target_os = "linux")]
fn set_lock(file: &File, key: u64, lock_type: libc::c_int) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    // fcntl() of a 32-bit C library may expect a lock with 32-bit offsets, but the system call does not.
    #[cfg(target_pointer_width = "64")]
    const FCNTL: libc::c_long = libc::SYS_fcntl;
    #[cfg(target_pointer_width = "32")]
    const FCNTL: libc::c_long = libc::SYS_fcntl64;

    let lock = libc::flock64 {
        l_type: libc::c_short::try_from(lock_type).map_err(io::Error::other)?,
        l_whence: libc::c_short::try_from(libc::SEEK_SET).map_err(io::Error::other)?,
        l_start: (key >> 2).cast_signed(),
        l_len: 1,
        // Required by the kernel.
        l_pid: 0,
    };
    loop {
        // SAFETY: the descriptor is open, and `lock` is valid for reads during the call.
        let outcome = unsafe { libc::syscall(FCNTL, file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
        if outcome == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn try_lock(file: &File, _: u64) -> io::Result<bool> {
    use rustix::fs::FlockOperation;
    use rustix::io::{Errno, retry_on_intr};
    match retry_on_intr(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn unlock(file: &File, _: u64) {
    // If it fails, closing the file releases the lock.
    let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock);
}

#[cfg(not(unix))]
fn try_lock(_: &File, _: u64) -> io::Result<bool> {
    Ok(true)
}

#[cfg(not(unix))]
fn unlock(_: &File, _: u64) {}

#[cfg(all(test, unix))]
mod tests {
    use std::os::fd::AsRawFd;

    use super::super::{check_in_child, install_fork_handlers, with_live_child};
    use super::*;

    /// A key that shares no lock file with other keys whose first byte differs.
    fn key(first_byte: u8) -> u64 {
        u64::from(first_byte) << 56
    }

    #[test]
    fn locks_with_equal_keys_exclude_each_other() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let acquire = |key| FileLock::try_acquire(&directory, key).unwrap();
        let lock = acquire(key(1)).unwrap();
        assert!(acquire(key(1)).is_none());
        std::thread::scope(|scope| {
            assert!(scope.spawn(|| acquire(key(1)).is_none()).join().unwrap());
        });
        for other in [key(0), key(2), key(0xff)] {
            assert!(acquire(other).is_some(), "{other:x}");
        }
        assert!(acquire(u64::MAX).is_some(), "the largest offset");
        lock.release();
        assert!(acquire(key(1)).is_some(), "released, though the descriptor is open");
        drop(lock);
        drop(acquire(key(1)));
        assert!(acquire(key(1)).is_some(), "dropped");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn keys_differ_in_their_first_62_bits() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let _lock = FileLock::try_acquire(&directory, 0).unwrap().unwrap();
        for bit in 2..64 {
            assert!(FileLock::try_acquire(&directory, 1 << bit).unwrap().is_some(), "{bit}");
        }
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1, "one file for all locks");
    }

    #[test]
    fn forked_child_keeps_neither_lock_nor_descriptor() {
        install_fork_handlers();
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let mut lock = FileLock::try_acquire(&directory, 0).unwrap().unwrap();
        let descriptor = lock.file().as_raw_fd();
        assert!(check_in_child(|| {
            lock.release();
            // SAFETY: F_GETFD accepts any number.
            unsafe { libc::fcntl(descriptor, libc::F_GETFD) == -1 }
        }));
        assert!(FileLock::try_acquire(&directory, 0).unwrap().is_none(), "the child does not release it");
        let null = ForkSafe::new(File::open("/dev/null").unwrap());
        with_live_child(|| {
            // As the death of the process does, this closes the descriptor without an unlock.
            drop(std::mem::replace(&mut lock.file, null));
            // A program that another test starts has a copy until it is executed.
            let is_free = || FileLock::try_acquire(&directory, 0).unwrap().is_some();
            assert!((0..1000).any(|_| is_free() || {
                std::thread::sleep(std::time::Duration::from_millis(1));
                false
            }));
        });
    }

    #[test]
    fn locks_of_one_file_share_number() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let lock = FileLock::try_acquire(&directory, 0).unwrap().unwrap();
        assert_eq!(lock.shared_number(), 0);
        lock.set_shared_number(u64::MAX - 1);
        drop(lock);
        let other = FileLock::try_acquire(&directory, 1 << 8).unwrap().unwrap();
        assert_eq!(other.shared_number(), u64::MAX - 1);
    }

    #[test]
    fn removed_lock_file_is_detected() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let lock = FileLock::try_acquire(&directory, 0).unwrap().unwrap();
        assert!(lock.is_in(&directory).unwrap());
        directory.remove(&file_name(0)).unwrap();
        assert!(!lock.is_in(&directory).unwrap());
        let other = FileLock::try_acquire(&directory, 0).unwrap().unwrap();
        assert!(other.is_in(&directory).unwrap() && !lock.is_in(&directory).unwrap());
    }
}
