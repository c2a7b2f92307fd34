use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;

use super::super::{generation, header};
use super::sweep::{GRACE, MAX_REMOVED};
use super::*;
use crate::sys::{check_in_child, effective_user_id, install_fork_handlers, set_effective_user_id};

mod power_loss;

/// The folder of a test that runs in a process of its own.
const FOLDER_ENV: &str = "AUTHGRANT_TEST_FOLDER";

const NOBODY: u32 = 65534;

const HOUR: Duration = Duration::from_secs(3600);

fn store(path: &Path) -> FolderStore {
    FolderStore::new(Some(path.to_owned()))
}

fn name(number: u8) -> EntryName {
    EntryName::from_digest([number; 32])
}

const OWNER: Owner = Owner([1; 16]);

const OTHER_OWNER: Owner = Owner([2; 16]);

fn value(generation: u64, content: &[u8]) -> Vec<u8> {
    [&header(generation)[..], content].concat()
}

fn get(store: &FolderStore, name: &EntryName) -> Result<Option<Vec<u8>>> {
    Ok(store.get(name, &CallContext::unbounded())?.map(|value| value.bytes))
}

fn lease(store: &FolderStore, name: &EntryName, owner: &Owner) -> Result<bool> {
    store.lease(name, owner, HOUR, &CallContext::unbounded())
}

fn release(store: &FolderStore, name: &EntryName, owner: &Owner) {
    store.release(name, owner, &CallContext::unbounded()).unwrap();
}

/// A put by [`OWNER`], which keeps the lease.
fn put(store: &FolderStore, name: &EntryName, expected_generation: u64, value: &[u8]) -> Result<bool> {
    put_for(store, name, expected_generation, value, HOUR)
}

fn put_for(
    store: &FolderStore,
    name: &EntryName,
    expected_generation: u64,
    value: &[u8],
    ttl: Duration,
) -> Result<bool> {
    let put =
        Put { name, owner: &OWNER, expected_generation, value, ttl, releases_lease: false, is_durable: true };
    store.put(&put, &CallContext::unbounded())
}

/// Leases and writes the first value.
fn write_first(store: &FolderStore, name: &EntryName, content: &[u8]) {
    assert!(lease(store, name, &OWNER).unwrap());
    assert!(put(store, name, 0, &value(1, content)).unwrap());
}

fn message(result: Result<impl Sized>) -> String {
    result.map(drop).unwrap_err().message()
}

fn file_names(path: &Path) -> BTreeSet<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(path).unwrap().map(name).collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A directory that other users cannot access.
fn private_tempdir() -> tempfile::TempDir {
    private_tempdir_in(&std::env::temp_dir()).unwrap()
}

/// The same, in memory if possible, for tests with many writes.
fn fast_tempdir() -> tempfile::TempDir {
    private_tempdir_in(Path::new("/dev/shm")).unwrap_or_else(|_| private_tempdir())
}

fn private_tempdir_in(parent: &Path) -> std::io::Result<tempfile::TempDir> {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir_in(parent)
}

/// Reports, past the capture of the test runner, that a test was not run.
fn skip(reason: &str) {
    std::io::stderr().write_all(format!("not run: {reason}\n").as_bytes()).unwrap();
}

/// Whether this process is root; reports it otherwise.
fn is_root() -> bool {
    if effective_user_id() == 0 {
        return true;
    }
    skip("only root can change owners and mount file systems");
    false
}

/// The command that runs the ignored test `name` with `folder` in a process of its own.
fn isolated_command(name: &str, folder: &Path) -> Command {
    isolated_command_in(Command::new(std::env::current_exe().unwrap()), name, folder)
}

fn isolated_command_in(mut command: Command, name: &str, folder: &Path) -> Command {
    command
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("{}::{name}", module_path!().split_once("::").unwrap().1));
    command.env(FOLDER_ENV, folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The folder of this process, if it runs an isolated test.
fn isolated_store() -> FolderStore {
    store(Path::new(&std::env::var_os(FOLDER_ENV).expect("started by another test")))
}

fn assert_passes(mut command: Command) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn written_value_is_read_until_its_end() {
    let root = private_tempdir();
    let path = root.path().join("a/b");
    let store = store(&path);
    assert_eq!(get(&store, &name(1)).unwrap(), None);
    assert!(!root.path().join("a").exists(), "a read creates nothing");
    write_first(&store, &name(1), b"content");
    let found = super::tests::store(&path).get(&name(1), &CallContext::unbounded()).unwrap().unwrap();
    assert_eq!(found.bytes, value(1, b"content"));
    assert!(found.ttl <= HOUR && found.ttl > HOUR / 2, "{:?}", found.ttl);
    assert_eq!(get(&store, &name(2)).unwrap(), None);
    assert_eq!((mode(&root.path().join("a")), mode(&path)), (0o700, 0o700));
    let names = file_names(&path);
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(name(1).as_str()), "{names:?}");
    for name in names {
        assert_eq!(mode(&path.join(&name)), 0o600, "{name}");
    }
    assert!(put_for(&store, &name(1), 1, &value(2, b"ended"), Duration::ZERO).unwrap());
    assert_eq!(get(&store, &name(1)).unwrap(), None);
    assert!(
        put_for(&store, &name(1), 0, &value(1, b"next"), Duration::MAX).unwrap(),
        "an ended value is missing"
    );
    assert_eq!(get(&store, &name(1)).unwrap(), Some(value(1, b"next")));
}

#[test]
fn put_requires_lease_and_generation() {
    let root = private_tempdir();
    let (store, entry) = (store(root.path()), name(1));
    assert!(!put(&store, &entry, 0, &value(1, b"")).unwrap(), "no lease");
    assert!(lease(&store, &entry, &OTHER_OWNER).unwrap());
    assert!(!put(&store, &entry, 0, &value(1, b"")).unwrap(), "the lease of another owner");
    release(&store, &entry, &OTHER_OWNER);
    write_first(&store, &entry, b"first");
    assert!(!put(&store, &name(2), 0, &value(1, b"")).unwrap(), "the lease of another entry");
    for expected in [0, 2, u64::MAX] {
        assert!(!put(&store, &entry, expected, &value(9, b"")).unwrap(), "{expected}");
    }
    assert_eq!(get(&store, &entry).unwrap(), Some(value(1, b"first")));
    assert!(put(&store, &entry, 1, &value(2, b"second")).unwrap());
    assert_eq!(get(&store, &entry).unwrap(), Some(value(2, b"second")));
    release(&store, &entry, &OWNER);
    assert!(!put(&store, &entry, 2, &value(3, b"")).unwrap(), "the lease has ended");
    let too_long = vec![1; MAX_VALUE_LEN + 1];
    assert!(message(put(&store, &entry, 2, &too_long)).contains("exceeds 262144 bytes"));
}

#[test]
fn malformed_entry_is_missing_and_replaced() {
    let root = private_tempdir();
    let (store, entry) = (store(root.path()), name(1));
    write_first(&store, &entry, b"first");
    let path = root.path().join(entry.as_str());
    let content = fs::read(&path).unwrap();
    let unknown_version = entry::encode(&[2; 20], u64::MAX);
    let too_long = vec![content[0]; entry::MAX_LEN + 1];
    for broken in [&b""[..], &content[..content.len() - 1], &unknown_version, &too_long] {
        fs::write(&path, broken).unwrap();
        assert_eq!(get(&store, &entry).unwrap(), None, "{} bytes", broken.len());
        assert!(!put(&store, &entry, 1, &value(2, b"")).unwrap());
        assert!(put(&store, &entry, 0, &value(1, b"again")).unwrap());
        assert_eq!(get(&store, &entry).unwrap(), Some(value(1, b"again")));
    }
}

#[test]
fn lease_excludes_other_owners() {
    let root = private_tempdir();
    let (first, second, entry) = (store(root.path()), store(root.path()), name(1));
    assert!(lease(&first, &entry, &OWNER).unwrap());
    assert!(lease(&first, &entry, &OWNER).unwrap(), "of the same owner");
    for store in [&first, &second] {
        assert!(!lease(store, &entry, &OTHER_OWNER).unwrap());
    }
    std::thread::scope(|scope| {
        assert!(!scope.spawn(|| lease(&first, &entry, &OTHER_OWNER).unwrap()).join().unwrap());
    });
    assert!(lease(&second, &name(2), &OTHER_OWNER).unwrap(), "of another entry");
    release(&first, &entry, &OTHER_OWNER);
    assert!(!lease(&second, &entry, &OTHER_OWNER).unwrap(), "released by another owner");
    release(&first, &entry, &OWNER);
    assert!(lease(&second, &entry, &OTHER_OWNER).unwrap());
}

#[test]
fn put_that_releases_ends_lease() {
    let root = private_tempdir();
    let (first, second, entry) = (store(root.path()), store(root.path()), name(1));
    assert!(lease(&first, &entry, &OWNER).unwrap());
    let bytes = value(1, b"");
    let put = Put {
        name: &entry,
        owner: &OWNER,
        expected_generation: 7,
        value: &bytes,
        ttl: HOUR,
        releases_lease: true,
        is_durable: false,
    };
    assert!(!first.put(&put, &CallContext::unbounded()).unwrap());
    assert!(!lease(&second, &entry, &OTHER_OWNER).unwrap(), "nothing was written");
    let put = Put { expected_generation: 0, ..put };
    assert!(first.put(&put, &CallContext::unbounded()).unwrap());
    assert!(lease(&second, &entry, &OTHER_OWNER).unwrap());
    assert!(!first.put(&put, &CallContext::unbounded()).unwrap());
}

#[test]
fn release_works_in_ended_call() {
    let root = private_tempdir();
    let (store, entry) = (store(root.path()), name(1));
    assert!(lease(&store, &entry, &OWNER).unwrap());
    let ended = CallContext::with_timeout(Duration::ZERO, "TokenCacheTimeout");
    assert!(store.get(&entry, &ended).is_err());
    assert!(store.lease(&name(2), &OWNER, HOUR, &ended).is_err());
    store.release(&entry, &OWNER, &ended).unwrap();
    assert!(lease(&store, &entry, &OTHER_OWNER).unwrap());
}

#[test]
fn folder_accessible_to_others_is_rejected() {
    let root = private_tempdir();
    let path = root.path().join("folder");
    fs::create_dir(&path).unwrap();
    let assert_rejected = |path: &Path, texts: [&str; 2]| {
        let store = store(path);
        for message in [message(get(&store, &name(1))), message(lease(&store, &name(1), &OWNER))] {
            let path = path.to_str().unwrap().trim_end_matches('/');
            assert!(message.contains(path) && texts.iter().all(|text| message.contains(text)), "{message}");
        }
    };
    for (mode, text) in [(0o750, "mode 0750"), (0o701, "mode 0701"), (0o777, "mode 0777")] {
        set_mode(&path, mode);
        assert_rejected(&path, [text, "expected 0700"]);
    }
    set_mode(&path, 0o700);
    assert_eq!(get(&store(&path), &name(1)).unwrap(), None);
    symlink("folder", root.path().join("link")).unwrap();
    assert_rejected(&root.path().join("link"), ["a symbolic link", "expected a directory"]);
    assert_rejected(&root.path().join("link/"), ["a symbolic link", "expected a directory"]);
    symlink("missing", root.path().join("dangling")).unwrap();
    assert_rejected(&root.path().join("dangling"), ["a symbolic link", "expected a directory"]);
    fs::write(root.path().join("file"), "").unwrap();
    assert_rejected(&root.path().join("file"), ["a regular file", "expected a directory"]);
    assert_rejected(&root.path().join("file/folder"), ["cannot open", "Not a directory"]);
    if is_root() {
        chown(&path, Some(NOBODY), None).unwrap();
        assert_rejected(&path, ["belongs to user 65534", "expected user 0"]);
    }
}

#[test]
fn entry_accessible_to_others_is_rejected() {
    let root = private_tempdir();
    let (store, entry) = (store(root.path()), name(1));
    write_first(&store, &entry, b"first");
    let path = root.path().join(entry.as_str());
    let assert_rejected = |texts: [&str; 2]| {
        for message in [message(get(&store, &entry)), message(put(&store, &entry, 1, &value(2, b"")))] {
            let path = path.to_str().unwrap();
            assert!(message.contains(path) && texts.iter().all(|text| message.contains(text)), "{message}");
        }
    };
    set_mode(&path, 0o640);
    assert_rejected(["mode 0640", "expected 0600"]);
    if is_root() {
        set_mode(&path, 0o600);
        chown(&path, Some(NOBODY), None).unwrap();
        assert_rejected(["belongs to user 65534", "expected user 0"]);
    }
    fs::remove_file(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    assert_rejected(["a symbolic link", "expected a regular file"]);
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap().success());
    assert_rejected(["a FIFO", "expected a regular file"]);
    fs::remove_file(&path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_rejected(["a socket", "expected a regular file"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_rejected(["a directory", "expected a regular file"]);
}

#[test]
fn lock_file_of_other_type_is_rejected() {
    let root = private_tempdir();
    let (store, path) = (store(root.path()), root.path().join(".lock"));
    if !cfg!(target_os = "linux") {
        return skip("there are many lock files on this system");
    }
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap().success());
    assert!(message(lease(&store, &name(1), &OWNER)).contains("a FIFO"));
    fs::remove_file(&path).unwrap();
    symlink("other", &path).unwrap();
    assert!(message(lease(&store, &name(1), &OWNER)).contains("cannot lock a file in"));
    assert!(!root.path().join("other").exists());
}

#[test]
fn removed_folder_is_created_again() {
    let root = private_tempdir();
    let path = root.path().join("folder");
    let (store, entry) = (store(&path), name(1));
    write_first(&store, &entry, b"first");
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(get(&store, &entry).unwrap(), None);
    assert!(!put(&store, &entry, 1, &value(2, b"")).unwrap(), "the lock file was removed");
    // Another process has created it again and has the lease.
    let other = super::tests::store(&path);
    assert!(lease(&other, &entry, &OTHER_OWNER).unwrap());
    assert!(!put(&store, &entry, 0, &value(1, b"")).unwrap());
    assert_eq!(get(&store, &entry).unwrap(), None);
    release(&store, &entry, &OWNER);
    assert!(!lease(&store, &entry, &OWNER).unwrap());
    release(&other, &entry, &OTHER_OWNER);
    write_first(&store, &entry, b"again");
}

#[test]
fn forked_child_has_no_lease() {
    install_fork_handlers();
    let root = private_tempdir();
    let (store, entry) = (store(root.path()), name(1));
    write_first(&store, &entry, b"first");
    assert!(check_in_child(|| {
        let has_lease = lease(&store, &entry, &OWNER).unwrap();
        release(&store, &entry, &OWNER);
        let has_written = put(&store, &entry, 1, &value(2, b"child")).unwrap();
        let has_other = lease(&store, &name(2), &OWNER).unwrap();
        !has_lease && !has_written && has_other
    }));
    assert!(!lease(&super::tests::store(root.path()), &entry, &OTHER_OWNER).unwrap(), "the parent has it");
    assert!(lease(&store, &name(2), &OWNER).unwrap(), "the child has exited");
    assert!(put(&store, &entry, 1, &value(2, b"parent")).unwrap());
}

#[test]
fn folder_must_belong_to_current_effective_user() {
    if !is_root() {
        return;
    }
    install_fork_handlers();
    let root = private_tempdir();
    set_mode(root.path(), 0o755);
    let (own, other) = (root.path().join("root"), root.path().join("nobody"));
    for path in [&own, &other] {
        fs::create_dir(path).unwrap();
        set_mode(path, 0o700);
    }
    chown(&other, Some(NOBODY), Some(NOBODY)).unwrap();
    let (own, other) = (store(&own), store(&other));
    write_first(&own, &name(1), b"root");
    assert!(message(get(&other, &name(1))).contains("expected user 0"));
    assert!(check_in_child(|| {
        let has_changed = set_effective_user_id(NOBODY);
        let is_rejected = message(get(&own, &name(1))).contains("Permission denied; set TokenCache");
        write_first(&other, &name(1), b"nobody");
        has_changed && is_rejected && get(&other, &name(1)).unwrap() == Some(value(1, b"nobody"))
    }));
    assert_eq!(get(&own, &name(1)).unwrap(), Some(value(1, b"root")));
}

#[test]
#[ignore = "needs a process of its own"]
fn isolated_holder() {
    let store = isolated_store();
    assert!(lease(&store, &name(1), &OWNER).unwrap());
    std::io::stdout().write_all(b"\nleased\n").unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Starts a process that has the lease of the first entry until its standard input is closed.
fn start_holder(folder: &Path) -> Child {
    let mut holder = isolated_command("isolated_holder", folder).spawn().unwrap();
    let output = BufReader::new(holder.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap() == "leased"));
    holder
}

#[test]
fn killed_process_loses_lease() {
    let root = private_tempdir();
    let store = store(root.path());
    let mut holder = start_holder(root.path());
    assert!(!lease(&store, &name(1), &OTHER_OWNER).unwrap());
    assert!(lease(&store, &name(2), &OTHER_OWNER).unwrap(), "another entry");
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(lease(&store, &name(1), &OTHER_OWNER).unwrap());
}

const INCREMENTS: u64 = 200;

#[test]
#[ignore = "needs a process of its own"]
fn isolated_incrementer() {
    let (store, entry) = (isolated_store(), name(1));
    for _ in 0..INCREMENTS {
        while !lease(&store, &entry, &OWNER).unwrap() {
            std::thread::yield_now();
        }
        let current = get(&store, &entry).unwrap().map_or(0, |bytes| generation(&bytes).unwrap());
        assert!(put(&store, &entry, current, &value(current + 1, b"")).unwrap());
        release(&store, &entry, &OWNER);
    }
}

#[test]
fn processes_lose_no_update() {
    let root = fast_tempdir();
    let start = || isolated_command("isolated_incrementer", root.path()).spawn().unwrap();
    for mut process in [start(), start(), start()] {
        assert!(process.wait().unwrap().success());
    }
    let bytes = get(&store(root.path()), &name(1)).unwrap().unwrap();
    assert_eq!(generation(&bytes), Some(3 * INCREMENTS));
}

#[test]
fn readers_see_whole_values_in_order() {
    const WRITES: u64 = 10_000;
    let root = fast_tempdir();
    let (store, entry) = (store(root.path()), name(1));
    let content = |generation: u64| {
        let length = 100 + usize::try_from(generation % 7).unwrap() * 1000;
        value(generation, &vec![generation.to_le_bytes()[0]; length])
    };
    write_first(&store, &entry, &content(1)[9..]);
    let is_done = AtomicBool::new(false);
    let read = || {
        let (reader, mut last) = (super::tests::store(root.path()), 0);
        while !is_done.load(Ordering::SeqCst) {
            let bytes = get(&reader, &entry).unwrap().unwrap();
            let generation = generation(&bytes).unwrap();
            assert!(generation >= last && bytes == content(generation), "{generation}");
            last = generation;
        }
        last
    };
    std::thread::scope(|scope| {
        let readers = [scope.spawn(read), scope.spawn(read)];
        let is_written = |generation| {
            let bytes = content(generation + 1);
            readers.iter().all(|reader| !reader.is_finished())
                && put(&store, &entry, generation, &bytes).unwrap()
        };
        let is_complete = (1..WRITES).all(is_written);
        is_done.store(true, Ordering::SeqCst);
        assert!(is_complete);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 1));
    });
    assert_eq!(file_names(root.path()).len(), 2, "no temporary file remains");
}

/// Writes the file of an entry, or another one, as it was written `age` ago.
fn write_old(folder: &Path, name: &str, content: &[u8], age: Duration) {
    let mut file = File::create(folder.join(name)).unwrap();
    file.set_permissions(Permissions::from_mode(0o600)).unwrap();
    file.write_all(content).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

fn ended(age: Duration) -> Vec<u8> {
    entry::encode(&value(1, b"old"), entry::unix_millis(SystemTime::now() - age))
}

#[test]
fn writes_remove_ended_entries_and_temporary_files() {
    let root = fast_tempdir();
    let (writer, path) = (store(root.path()), root.path());
    write_first(&writer, &name(0), b"");
    let old = GRACE + HOUR;
    for number in 10..40 {
        write_old(path, name(number).as_str(), &ended(old), old);
    }
    write_old(path, name(40).as_str(), b"malformed", old);
    write_old(path, ".tmp-crashed", b"", old);
    let kept = [
        (name(1).as_str().to_owned(), ended(GRACE - HOUR), old),
        (name(2).as_str().to_owned(), entry::encode(&value(1, b"alive"), u64::MAX), old),
        (name(3).as_str().to_owned(), ended(old), old),
        (name(4).as_str().to_owned(), b"malformed".to_vec(), GRACE - HOUR),
        (".tmp-writing".to_owned(), Vec::new(), GRACE - HOUR),
        ("notes".to_owned(), Vec::new(), old),
        (".hidden".to_owned(), Vec::new(), old),
    ];
    for (name, content, age) in &kept {
        write_old(path, name, content, *age);
    }
    let other = store(path);
    assert!(lease(&other, &name(3), &OTHER_OWNER).unwrap(), "its holder may replace it");
    let mut count = file_names(path).len();
    for generation in 1..10 {
        assert!(put(&writer, &name(0), generation, &value(generation + 1, b"")).unwrap());
        let remaining = file_names(path).len();
        assert!(remaining + MAX_REMOVED >= count, "{count} {remaining}");
        count = remaining;
    }
    let mut expected: BTreeSet<_> = kept.map(|(name, _, _)| name).into();
    expected.extend([name(0).as_str().to_owned(), ".lock".to_owned()]);
    assert_eq!(file_names(path), expected);
    release(&other, &name(3), &OTHER_OWNER);
    assert!(put(&writer, &name(0), 10, &value(11, b"")).unwrap());
    assert!(!path.join(name(3).as_str()).exists());
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn sweeps_of_processes_reach_whole_folder() {
    let root = fast_tempdir();
    let path = root.path();
    let old = GRACE + HOUR;
    let digest = |number: u16| {
        let mut digest = [7; 32];
        digest[..2].copy_from_slice(&number.to_be_bytes());
        EntryName::from_digest(digest)
    };
    for number in 0..320 {
        let content =
            if number % 20 == 0 { ended(old) } else { entry::encode(&value(1, b"alive"), u64::MAX) };
        write_old(path, digest(number).as_str(), &content, old);
    }
    for round in 0..24 {
        // As a process that writes once does.
        let store = store(path);
        assert!(lease(&store, &name(0), &OWNER).unwrap());
        assert!(put(&store, &name(0), round, &value(round + 1, b"")).unwrap());
    }
    assert_eq!(file_names(path).len(), 304 + 2);
}

#[test]
#[ignore = "needs a mount namespace of its own"]
fn isolated_small_file_system() {
    let store = isolated_store();
    let mount_point = store.path.clone().unwrap();
    let entry = name(1);
    write_first(&store, &entry, &[1; 8000]);
    let mut filler = File::create(mount_point.join("filler")).unwrap();
    while filler.write_all(&[0; 1024]).is_ok() {}
    for _ in 0..2 {
        let message = message(put(&store, &entry, 1, &value(2, &[2; 20_000])));
        assert!(message.contains("cannot write") && message.contains(entry.as_str()), "{message}");
        assert!(message.contains("No space left on device; free space"), "{message}");
    }
    assert_eq!(get(&store, &entry).unwrap(), Some(value(1, &[1; 8000])));
    assert_eq!(file_names(&mount_point).len(), 3, "no temporary file remains");
    drop(filler);
    fs::remove_file(mount_point.join("filler")).unwrap();
    assert!(put(&store, &entry, 1, &value(2, &[2; 20_000])).unwrap());
    release(&store, &entry, &OWNER);
    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&mount_point).status().unwrap();
    assert!(remount.success());
    assert_eq!(get(&store, &entry).unwrap(), Some(value(2, &[2; 20_000])));
    let message = message(lease(&store, &entry, &OWNER));
    assert!(
        message.contains("Read-only file system; set TokenCache to a folder that can be written"),
        "{message}"
    );
    let new = super::tests::store(&mount_point.join("new"));
    assert_eq!(get(&new, &entry).unwrap(), None);
    assert!(super::tests::message(lease(&new, &entry, &OWNER)).contains("cannot create"));
}

#[cfg(target_os = "linux")]
#[test]
fn full_or_read_only_file_system_keeps_entry() {
    if !is_root() {
        return;
    }
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        return skip("unshare(1) is missing or not permitted");
    }
    let root = private_tempdir();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount -t tmpfs -o size=64k,mode=700 tmpfs \"$0\" && exec \"$@\""]);
    command.arg(root.path()).arg(std::env::current_exe().unwrap());
    assert_passes(isolated_command_in(command, "isolated_small_file_system", root.path()));
}

#[test]
fn end_of_life_survives_early_clock() {
    assert_eq!(entry::unix_millis(UNIX_EPOCH - HOUR), 0);
}
