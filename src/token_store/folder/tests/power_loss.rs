//! Power loss at every point of a write, with and without the data that were not yet written to the disk.
//!
//! The system calls of a real write are recorded with strace(1) and replayed.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, PartialEq, Eq)]
enum Operation {
    Create(String),
    Write(String, Vec<u8>),
    SyncFile(String),
    Rename(String, String),
    Remove(String),
    SyncFolder,
}

#[test]
#[ignore = "needs a process of its own"]
fn isolated_writer() {
    let (store, entry) = (isolated_store(), name(1));
    let current = get(&store, &entry).unwrap().map_or(0, |bytes| generation(&bytes).unwrap());
    assert!(lease(&store, &entry, &OWNER).unwrap());
    let bytes = value(current + 1, b"new value");
    let is_durable = std::env::var_os("AUTHGRANT_TEST_DURABLE").is_some();
    let put = Put {
        name: &entry,
        owner: &OWNER,
        expected_generation: current,
        value: &bytes,
        ttl: HOUR,
        releases_lease: true,
        is_durable,
    };
    assert!(store.put(&put, &CallContext::unbounded()).unwrap());
}

/// The operations of a write in `folder`. `None` if strace cannot run.
fn record_write(folder: &Path, is_durable: bool) -> Option<Vec<Operation>> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-x", "-s", "100000", "-e"]);
    strace.arg("trace=openat,write,pwrite64,ftruncate,fsync,fdatasync,renameat,renameat2,unlinkat,linkat");
    strace.arg("-o").arg(log.path()).arg(std::env::current_exe().unwrap());
    let mut command = isolated_command_in(strace, "power_loss::isolated_writer", folder);
    if is_durable {
        command.env("AUTHGRANT_TEST_DURABLE", "1");
    }
    match command.stderr(Stdio::piped()).output() {
        Err(_) => return None,
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(text.contains("ptrace"), "{text}");
            return None;
        }
    }
    let log = fs::read_to_string(log.path()).unwrap();
    let lines = log.lines().filter(|line| line.contains(folder.to_str().unwrap()));
    Some(lines.filter_map(|line| parse_call(line, folder)).collect())
}

/// Parses a line such as `123 renameat(3</folder>, "a", 3</folder>, "b") = 0`. `None` for a call without effect on
/// the disk.
fn parse_call(line: &str, folder: &Path) -> Option<Operation> {
    let (call, _) = line.split_once(' ').unwrap().1.trim_start().split_once('(').unwrap();
    let arguments: Vec<_> = line.split('"').skip(1).step_by(2).map(unescape).collect();
    let text = |index: usize| String::from_utf8(arguments[index].clone()).unwrap();
    let descriptor = line.split_once('<').unwrap().1.split_once('>').unwrap().0;
    let file = descriptor.strip_prefix(&format!("{}/", folder.display())).map(str::to_owned);
    if line.contains(" = -1 ") {
        return None;
    }
    Some(match call {
        "openat" if line.contains("O_EXCL") => Operation::Create(text(0)),
        // The lock file exists.
        "openat" => return None,
        "write" => Operation::Write(file.unwrap(), arguments[0].clone()),
        "fsync" => file.map_or(Operation::SyncFolder, Operation::SyncFile),
        "renameat" | "renameat2" => Operation::Rename(text(0), text(1)),
        "unlinkat" => Operation::Remove(text(0)),
        _ => panic!("{line}"),
    })
}

/// The bytes of a string of strace: `\xNN` for all if one cannot be printed.
fn unescape(text: &str) -> Vec<u8> {
    match text.strip_prefix("\\x") {
        Some(rest) => rest.split("\\x").map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect(),
        None => text.as_bytes().to_vec(),
    }
}

#[derive(Clone, Default)]
struct Inode {
    data: Vec<u8>,
    /// How many bytes are on the disk.
    synced: usize,
}

impl Inode {
    /// The contents that may be on the disk: any part of the unsynced bytes, or zeros in their place.
    fn contents_after_power_loss(&self) -> Vec<Vec<u8>> {
        let prefix = |length: usize| self.data[..length].to_vec();
        let zeros = |length: usize| {
            let mut content = prefix(length);
            content.resize(self.data.len(), 0);
            content
        };
        (self.synced..=self.data.len()).flat_map(|length| [prefix(length), zeros(length)]).collect()
    }
}

/// A disk with the names of one folder. Changes of names reach the disk in their order.
struct Disk {
    inodes: Vec<Inode>,
    /// The names after each change.
    names: Vec<BTreeMap<String, usize>>,
    /// The index of the last change that is certainly on the disk.
    synced: usize,
}

impl Disk {
    /// A disk with the files that are in `folder`.
    fn read(folder: &Path) -> Self {
        let mut disk = Self { inodes: Vec::new(), names: vec![BTreeMap::new()], synced: 0 };
        for name in file_names(folder) {
            let data = fs::read(folder.join(&name)).unwrap();
            disk.names[0].insert(name, disk.inodes.len());
            disk.inodes.push(Inode { synced: data.len(), data });
        }
        disk
    }

    fn current(&self) -> &BTreeMap<String, usize> {
        self.names.last().unwrap()
    }

    fn apply(&mut self, operation: &Operation) {
        let mut names = self.current().clone();
        match operation {
            Operation::Create(name) => {
                assert_eq!(names.insert(name.clone(), self.inodes.len()), None);
                self.inodes.push(Inode::default());
            }
            Operation::Write(name, bytes) => return self.inodes[names[name]].data.extend(bytes),
            Operation::SyncFile(name) => {
                let inode = &mut self.inodes[names[name]];
                inode.synced = inode.data.len();
                return;
            }
            Operation::Rename(from, to) => {
                let inode = names.remove(from).unwrap();
                names.insert(to.clone(), inode);
            }
            Operation::Remove(name) => assert!(names.remove(name).is_some()),
            Operation::SyncFolder => {
                self.synced = self.names.len() - 1;
                return;
            }
        }
        self.names.push(names);
    }

    /// What a store finds after a power loss now, in all possible states of the disk.
    fn values_after_power_loss(&self, entry: &EntryName) -> BTreeSet<Option<Vec<u8>>> {
        let mut found = BTreeSet::new();
        for names in &self.names[self.synced..] {
            let contents = match names.get(entry.as_str()) {
                Some(inode) => self.inodes[*inode].contents_after_power_loss(),
                None => vec![Vec::new()],
            };
            for content in contents {
                let folder = fast_tempdir();
                for (name, inode) in names {
                    let data = if name == entry.as_str() { &content } else { &self.inodes[*inode].data };
                    write_old(folder.path(), name, data, Duration::ZERO);
                }
                let store = store(folder.path());
                let value = get(&store, entry).unwrap();
                // The next write succeeds in every state.
                assert!(lease(&store, entry, &OWNER).unwrap());
                let current = value.as_ref().map_or(0, |bytes| generation(bytes).unwrap());
                assert!(put(&store, entry, current, &super::value(current + 1, b"next")).unwrap());
                found.insert(value);
            }
        }
        found
    }
}

fn assert_survives_power_loss(old: Option<Vec<u8>>, is_durable: bool) -> bool {
    let (folder, entry) = (private_tempdir(), name(1));
    let store = store(folder.path());
    assert!(lease(&store, &entry, &OWNER).unwrap());
    let mut new_generation = 1;
    if let Some(old) = &old {
        assert!(put(&store, &entry, 0, old).unwrap());
        new_generation = generation(old).unwrap() + 1;
    }
    release(&store, &entry, &OWNER);
    let mut disk = Disk::read(folder.path());
    let Some(operations) = record_write(folder.path(), is_durable) else { return false };
    let new = Some(value(new_generation, b"new value"));
    let expected = BTreeSet::from([old.clone(), new.clone()]);
    let kinds: Vec<_> = operations.iter().map(std::mem::discriminant).collect();
    assert!(kinds.len() >= 4, "{operations:?}");
    assert_eq!(disk.values_after_power_loss(&entry), BTreeSet::from([old.clone()]));
    for (index, operation) in operations.iter().enumerate() {
        disk.apply(operation);
        let found = disk.values_after_power_loss(&entry);
        assert!(found.is_subset(&expected), "after {:?}: {found:?}", &operations[..=index]);
    }
    let after = disk.values_after_power_loss(&entry);
    assert_eq!(after, if is_durable { BTreeSet::from([new]) } else { expected }, "{operations:?}");
    assert_eq!(operations.contains(&Operation::SyncFolder), is_durable);
    true
}

#[test]
fn power_loss_leaves_old_or_new_value() {
    for old in [None, Some(value(7, b"old value"))] {
        for is_durable in [true, false] {
            if !assert_survives_power_loss(old.clone(), is_durable) {
                return skip("strace(1) is missing or not permitted");
            }
        }
    }
}
