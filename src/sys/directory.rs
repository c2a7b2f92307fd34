//! An open directory, and its files by name.
//!
//! On Unix, files are opened relative to the descriptor of the directory, so that a sequence of operations
//! stays in one directory even if its path is replaced meanwhile. Symbolic links are not followed, and opening
//! a FIFO does not wait. On Windows every operation uses the path. All functions return the error of the operating
//! system.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

#[cfg(unix)]
use std::time::{Duration, UNIX_EPOCH};

#[cfg(unix)]
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
#[cfg(unix)]
use rustix::io::retry_on_intr;

#[cfg(unix)]
use super::avoid_standard_streams;

/// The names of some files of a directory.
#[derive(Debug, Default)]
pub struct DirectoryPart {
    /// The names that are UTF-8.
    pub names: Vec<String>,
    /// Where the next part begins; 0 if this part ends with the directory.
    pub end: u64,
}

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    #[cfg(unix)]
    handle: File,
    #[cfg(not(unix))]
    path: std::path::PathBuf,
}

#[cfg(unix)]
impl Directory {
    /// Opens the directory at `path`. The last component must not be a symbolic link.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(Self { handle: avoid_standard_streams(handle)?.into() })
    }

    /// The metadata of the directory.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.handle.metadata()
    }

    /// Opens a file for reading.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::RDONLY)
    }

    /// Opens a file for reading and writing. If it is missing, it is created with mode 0600.
    pub fn open_or_create(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::RDWR | OFlags::CREATE)
    }

    /// Creates a file with mode 0600 for writing. It must not exist.
    pub fn create_new(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    fn open_at(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = retry_on_intr(|| rustix::fs::openat(&self.handle, name, flags, mode))?;
        Ok(avoid_standard_streams(file)?.into())
    }

    /// Renames a file. An existing file `to` is replaced atomically.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::renameat(&self.handle, from, &self.handle, to))?)
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()))?)
    }

    /// Writes changed names to the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// Whether `name` is the open `file`, and not another one or missing.
    pub fn is_same_file(&self, name: &str, file: &File) -> io::Result<bool> {
        let opened = rustix::fs::fstat(file)?;
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// When the content of a file was last changed; `None` if it is not a regular file.
    pub fn modified(&self, name: &str) -> io::Result<Option<SystemTime>> {
        let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let since_epoch = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        Ok(UNIX_EPOCH.checked_add(since_epoch).filter(|_| is_file))
    }

    /// Up to `count` names, from `start`, which is the end of another part or 0. An invalid start is the beginning.
    ///
    /// Reads no other names, so the time does not depend on the size of the directory. Only 64-bit Linux can begin
    /// in the middle; elsewhere every part is the first.
    pub fn part(&self, start: u64, count: usize) -> io::Result<DirectoryPart> {
        let mut stream = rustix::fs::Dir::read_from(&self.handle)?;
        seek(&mut stream, start);
        let mut part = DirectoryPart::default();
        for _ in 0..count {
            let Some(entry) = stream.read().transpose()? else { return Ok(DirectoryPart { end: 0, ..part }) };
            part.end = position_after(&entry);
            if let Ok(name) = entry.file_name().to_str() {
                part.names.push(name.to_owned());
            }
        }
        Ok(part)
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn seek(stream: &mut rustix::fs::Dir, position: u64) {
    if stream.seek(position.cast_signed()).is_err() {
        stream.rewind();
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn position_after(entry: &rustix::fs::DirEntry) -> u64 {
    entry.offset().cast_unsigned()
}

#[cfg(all(unix, not(all(target_os = "linux", target_pointer_width = "64"))))]
fn seek(_: &mut rustix::fs::Dir, _: u64) {}

#[cfg(all(unix, not(all(target_os = "linux", target_pointer_width = "64"))))]
fn position_after(_: &rustix::fs::DirEntry) -> u64 {
    0
}

#[cfg(not(unix))]
impl Directory {
    /// Opens the directory at `path`. It must not be a symbolic link.
    pub fn open(path: &Path) -> io::Result<Self> {
        if std::fs::symlink_metadata(path)?.is_dir() {
            return Ok(Self { path: path.to_owned() });
        }
        Err(io::ErrorKind::NotADirectory.into())
    }

    /// The metadata of the directory.
    pub fn metadata(&self) -> io::Result<Metadata> {
        std::fs::symlink_metadata(&self.path)
    }

    /// Opens a file for reading.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        File::open(self.path.join(name))
    }

    /// Opens a file for reading and writing, which no other process and no other call can open meanwhile. If it is
    /// missing, it is created.
    pub fn open_exclusively(&self, name: &str) -> io::Result<File> {
        use std::os::windows::fs::OpenOptionsExt;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).share_mode(0).open(self.path.join(name))
    }

    /// Creates a file for writing. It must not exist.
    pub fn create_new(&self, name: &str) -> io::Result<File> {
        File::options().write(true).create_new(true).open(self.path.join(name))
    }

    /// Renames a file. An existing file `to` is replaced atomically.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    /// Does nothing: Windows has no such call, and NTFS writes changed names in order.
    pub fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// When the content of a file was last changed; `None` if it is not a regular file.
    pub fn modified(&self, name: &str) -> io::Result<Option<SystemTime>> {
        let metadata = std::fs::symlink_metadata(self.path.join(name))?;
        if metadata.is_file() { metadata.modified().map(Some) } else { Ok(None) }
    }

    /// The first `count` names.
    pub fn part(&self, _: u64, count: usize) -> io::Result<DirectoryPart> {
        let entries = std::fs::read_dir(&self.path)?.take(count);
        let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
        Ok(DirectoryPart {
            names: names?.into_iter().filter_map(|name| name.into_string().ok()).collect(),
            end: 0,
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn open(path: &Path) -> Directory {
        Directory::open(path).unwrap()
    }

    #[test]
    fn operations_stay_in_opened_directory() {
        let root = tempfile::tempdir().unwrap();
        let (path, moved) = (root.path().join("a"), root.path().join("b"));
        fs::create_dir(&path).unwrap();
        let directory = open(&path);
        fs::rename(&path, &moved).unwrap();
        fs::create_dir(&path).unwrap();
        directory.create_new("file").unwrap().write_all(b"text").unwrap();
        directory.rename("file", "renamed").unwrap();
        directory.sync().unwrap();
        let mut text = String::new();
        directory.open_file("renamed").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert_eq!(fs::metadata(moved.join("renamed")).unwrap().permissions().mode() & 0o7777, 0o600);
        directory.remove("renamed").unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count() + fs::read_dir(&moved).unwrap().count(), 0);
    }

    #[test]
    fn symbolic_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("file"), "text").unwrap();
        symlink("a", root.path().join("link")).unwrap();
        symlink("../file", root.path().join("a/link")).unwrap();
        assert!(Directory::open(&root.path().join("link")).is_err());
        let directory = open(&root.path().join("a"));
        assert!(directory.open_file("link").is_err() && directory.open_or_create("link").is_err());
        assert!(directory.create_new("link").is_err());
        assert_eq!(directory.modified("link").unwrap(), None);
        let file = File::open(root.path().join("file")).unwrap();
        assert!(!directory.is_same_file("link", &file).unwrap());
    }

    #[test]
    fn same_file_is_detected_by_inode() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let file = directory.open_or_create("file").unwrap();
        assert!(directory.is_same_file("file", &file).unwrap());
        directory.remove("file").unwrap();
        assert!(!directory.is_same_file("file", &file).unwrap());
        let _other = directory.open_or_create("file").unwrap();
        assert!(!directory.is_same_file("file", &file).unwrap());
        assert!(directory.modified("file").unwrap().unwrap() <= SystemTime::now());
    }

    #[test]
    fn parts_together_have_all_names() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let expected: BTreeSet<_> = (0..300).map(|number| format!("file{number}")).collect();
        for name in &expected {
            directory.create_new(name).unwrap();
        }
        let (mut found, mut start) = (BTreeSet::new(), 0);
        for _ in 0..40 {
            let part = directory.part(start, 32).unwrap();
            assert!(part.names.len() <= 32);
            found.extend(part.names);
            start = part.end;
            if start == 0 {
                break;
            }
        }
        found.retain(|name| name.starts_with("file"));
        if cfg!(all(target_os = "linux", target_pointer_width = "64")) {
            assert_eq!(found, expected);
        }
        assert!(!directory.part(u64::MAX, 32).unwrap().names.is_empty(), "an invalid start is the beginning");
    }
}
