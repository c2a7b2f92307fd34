//! Removal of entries that ended long ago, and of files that a crash left.

use std::io::Read;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::EntryName;
use super::entry;
use super::open_folder::{Folder, LockOutcome, TEMP_PREFIX};
use crate::sys::FileLock;

/// How many files one write examines.
pub(super) const MAX_EXAMINED: usize = 32;

/// How many files one write removes.
pub(super) const MAX_REMOVED: usize = 8;

/// How long a file remains after its end.
pub(super) const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

impl Folder {
    /// Removes some of the files whose life has ended. The next sweep, also of another process, continues where
    /// this one ends: many processes write once. Failures are ignored, since other writes sweep, too.
    pub(super) fn sweep(&self, lock: &FileLock, now: SystemTime) {
        let start = lock.shared_number();
        let Ok(part) = self.directory.part(start, MAX_EXAMINED) else { return };
        let is_removed = |name: &&String| self.remove_if_stale(name, now).unwrap_or(false);
        let removed = part.names.iter().filter(is_removed).take(MAX_REMOVED).count();
        // What remains of a part with many stale files is the next to be swept.
        if removed < MAX_REMOVED && part.end != start {
            lock.set_shared_number(part.end);
        }
    }

    /// Removes a file if it is an entry or a temporary file whose life has ended. Returns whether it was removed.
    fn remove_if_stale(&self, name: &str, now: SystemTime) -> Option<bool> {
        let is_temp = name.starts_with(TEMP_PREFIX);
        let entry_name = parse_name(name);
        if !is_temp && entry_name.is_none() {
            return Some(false);
        }
        // An entry does not end before it was written.
        let modified = self.directory.modified(name).ok()??;
        if modified.checked_add(GRACE)? >= now {
            return Some(false);
        }
        match entry_name {
            Some(entry_name) => self.remove_entry(&entry_name, now),
            None => Some(self.directory.remove(name).is_ok()),
        }
    }

    /// Removes an entry that has ended, unless it is leased: its holder may be about to replace it.
    fn remove_entry(&self, name: &EntryName, now: SystemTime) -> Option<bool> {
        if !self.has_ended(name, now)? {
            return Some(false);
        }
        let LockOutcome::Acquired(_lock) = self.try_lock(name).ok()? else { return Some(false) };
        // Again, now that nobody can replace it.
        Some(self.has_ended(name, now)? && self.directory.remove(name.as_str()).is_ok())
    }

    /// Whether an entry has ended. One without a readable end was written long ago and so has ended.
    fn has_ended(&self, name: &EntryName, now: SystemTime) -> Option<bool> {
        let mut header = Vec::with_capacity(entry::HEADER_LEN);
        let file = self.directory.open_file(name.as_str()).ok()?;
        let limit = u64::try_from(entry::HEADER_LEN).unwrap_or(u64::MAX);
        file.take(limit).read_to_end(&mut header).ok()?;
        let end = entry::end_of_life(&header).unwrap_or(0);
        Some(end.saturating_add(entry::millis(GRACE)) < entry::unix_millis(now))
    }
}

/// The name of an entry as the name of a file; `None` for another file.
fn parse_name(name: &str) -> Option<EntryName> {
    let digest = URL_SAFE_NO_PAD.decode(name).ok()?;
    Some(EntryName::from_digest(digest.try_into().ok()?))
}
