//! The store of the application (`authgrant_set_token_store`), through the C API. Each test runs in its own process, because the
//! store is that of the process.

#[path = "../support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use authgrant::ffi::authorize::authgrant_logoff;
use authgrant::ffi::connection::authgrant_clear_caches;
use authgrant::ffi::status::*;
use authgrant::ffi::token_store::{RawTokenStore, authgrant_set_token_store};
use mock_server::{Config, MockServer};
use support::c_api::{Connection, collect_failures, failing_token_store, open};
use support::{minimal_string, run_in_fresh_process, start_mock_server};

/// The store of a caller that was built with a newer version.
#[repr(C)]
struct NewerTokenStore {
    known: RawTokenStore,
    unknown: usize,
}

fn newer_store(unknown: usize) -> NewerTokenStore {
    let known = RawTokenStore { size: size_of::<NewerTokenStore>(), ..failing_token_store() };
    NewerTokenStore { known, unknown }
}

#[track_caller]
fn assert_rejected(store: &RawTokenStore, sqlstate: &str, fragment: &str) {
    let [failure] = &collect_failures(|error| authgrant_set_token_store(store, error))[..] else {
        panic!("the store was set")
    };
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, sqlstate));
    assert!(failure.message.contains(fragment), "{failure:?}");
}

#[test]
fn store_is_set_once_before_first_open() {
    run_in_fresh_process("store_is_set_once_before_first_open", || {
        assert_rejected(&newer_store(1).known, "HY009", "does not know");
        let newer = newer_store(0);
        assert_eq!(collect_failures(|error| authgrant_set_token_store(&newer.known, error)), []);
        assert_rejected(&failing_token_store(), "HY010", "cannot be replaced");
        open("Scope=x").unwrap();
    });
}

#[test]
fn store_after_first_open_is_rejected() {
    run_in_fresh_process("store_after_first_open_is_rejected", || {
        open("Scope=x").unwrap();
        assert_rejected(&failing_token_store(), "HY010", "before the first authgrant_open");
    });
}

struct Entry {
    generation: u64,
    value: Vec<u8>,
    end: Instant,
}

/// A store in memory.
#[derive(Default)]
struct MemoryStore {
    entries: Mutex<HashMap<String, Entry>>,
    leases: Mutex<HashMap<String, [u8; 16]>>,
    gets: AtomicUsize,
    /// The length that the next reads report; 0 for that of the value.
    reported_length: AtomicUsize,
}

/// The store of a callback, the name and the owner.
///
/// # Safety
/// As the library calls the functions of `MemoryStore::raw`; `owner` may be NULL.
unsafe fn arguments<'a>(
    context: *mut c_void,
    name: *const c_char,
    owner: *const u8,
) -> (&'a MemoryStore, String, [u8; 16]) {
    // SAFETY: guaranteed by the caller.
    let store = unsafe { &*context.cast::<MemoryStore>() };
    // SAFETY: as above.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned();
    // SAFETY: as above.
    let owner = unsafe { owner.cast::<[u8; 16]>().as_ref() }.copied().unwrap_or_default();
    // No lock of the library is held, but no function that returns a status may be called.
    let failures = collect_failures(|error| authgrant_set_token_store(&failing_token_store(), error));
    assert_eq!(failures[0].sqlstate, "HY010");
    assert!(failures[0].message.contains("callback"), "{failures:?}");
    (store, name, owner)
}

unsafe extern "C" fn get(
    name: *const c_char,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
    ttl_ms: *mut i64,
    context: *mut c_void,
) -> i32 {
    // SAFETY: called by the library.
    let (store, name, _) = unsafe { arguments(context, name, std::ptr::null()) };
    store.gets.fetch_add(1, Ordering::SeqCst);
    let reported = store.reported_length.load(Ordering::SeqCst);
    let entries = store.entries.lock().unwrap();
    let Some(Entry { value, end, .. }) = entries.get(&name) else { return 0 };
    // SAFETY: the buffer has this capacity, and the results are writable.
    unsafe {
        std::ptr::copy_nonoverlapping(value.as_ptr(), buffer, value.len().min(capacity));
        *length = if reported > 0 { reported } else { value.len() };
        *ttl_ms = (*end - Instant::now()).as_millis().try_into().unwrap();
    }
    0
}

unsafe extern "C" fn lease(
    name: *const c_char,
    owner: *const u8,
    ttl_ms: i64,
    taken: *mut i32,
    context: *mut c_void,
) -> i32 {
    // SAFETY: called by the library.
    let (store, name, owner) = unsafe { arguments(context, name, owner) };
    assert!((1..=15_000).contains(&ttl_ms), "{ttl_ms}");
    let holder = *store.leases.lock().unwrap().entry(name).or_insert(owner);
    // SAFETY: the result is writable.
    unsafe { *taken = i32::from(holder == owner) };
    0
}

unsafe extern "C" fn put(
    name: *const c_char,
    owner: *const u8,
    expected_generation: u64,
    generation: u64,
    value: *const u8,
    length: usize,
    ttl_ms: i64,
    written: *mut i32,
    context: *mut c_void,
) -> i32 {
    // SAFETY: called by the library.
    let (store, name, owner) = unsafe { arguments(context, name, owner) };
    let is_held = store.leases.lock().unwrap().get(&name) == Some(&owner);
    let mut entries = store.entries.lock().unwrap();
    let current = entries.get(&name).map_or(0, |entry| entry.generation);
    let is_written = is_held && current == expected_generation;
    if is_written {
        // SAFETY: the value has this length.
        let value = unsafe { std::slice::from_raw_parts(value, length) }.to_vec();
        let end = Instant::now() + Duration::from_millis(ttl_ms.try_into().unwrap());
        entries.insert(name, Entry { generation, value, end });
    }
    // SAFETY: the result is writable.
    unsafe { *written = i32::from(is_written) };
    0
}

unsafe extern "C" fn release(name: *const c_char, owner: *const u8, context: *mut c_void) -> i32 {
    // SAFETY: called by the library.
    let (store, name, owner) = unsafe { arguments(context, name, owner) };
    let mut leases = store.leases.lock().unwrap();
    if leases.get(&name) == Some(&owner) {
        leases.remove(&name);
    }
    0
}

impl MemoryStore {
    /// Sets a new store of this process.
    fn register() -> &'static Self {
        let store: &'static Self = Box::leak(Box::default());
        let raw = RawTokenStore {
            size: size_of::<RawTokenStore>(),
            context: (&raw const *store).cast_mut().cast(),
            get: Some(get),
            lease: Some(lease),
            put: Some(put),
            release: Some(release),
        };
        assert_eq!(collect_failures(|error| authgrant_set_token_store(&raw, error)), []);
        store
    }
}

/// Opens a connection that shares its token. The time limit is that of a busy machine.
fn open_shared(server: &MockServer, subject: &str) -> Connection {
    let connection = open(&minimal_string(server, "")).unwrap();
    for (name, value) in
        [("ClaimsSubject", subject), ("TokenCache", "application:"), ("TokenCacheTimeout", "20000")]
    {
        connection.set_option(name, value).unwrap();
    }
    connection
}

/// Gets a token as a new process does: the library has none.
fn token_without_cache(server: &MockServer) -> (String, Vec<String>) {
    let connection = open_shared(server, "jsmith@example.com");
    let token = connection.get_token().unwrap().value();
    let warnings = connection.warnings().into_iter().map(|warning| warning.message).collect();
    drop(connection);
    authgrant_clear_caches();
    (token, warnings)
}

#[test]
fn connections_share_token_through_store() {
    run_in_fresh_process("connections_share_token_through_store", || {
        let store = MemoryStore::register();
        let server = start_mock_server(Config::http());
        let (token, warnings) = token_without_cache(&server);
        assert_eq!(warnings, [""; 0]);
        assert_eq!(token_without_cache(&server), (token.clone(), warnings));
        assert_eq!(server.token_requests().len(), 1);
        assert_eq!(store.leases.lock().unwrap().len(), 0, "the lease is released");
        let entries = store.entries.lock().unwrap();
        let [Entry { generation, value, .. }] = &entries.values().collect::<Vec<_>>()[..] else {
            panic!("{} entries", entries.len())
        };
        assert_eq!((value[0], &value[1..9]), (1, &generation.to_be_bytes()[..]));
        assert!(!value.windows(token.len()).any(|bytes| bytes == token.as_bytes()), "the token is encrypted");
    });
}

#[test]
fn functions_of_store_run_on_several_threads() {
    run_in_fresh_process("functions_of_store_run_on_several_threads", || {
        let store = MemoryStore::register();
        let server = start_mock_server(Config::http());
        let connections: Vec<_> =
            (0..8).map(|number| open_shared(&server, &format!("user{number}@example.com"))).collect();
        std::thread::scope(|scope| {
            for connection in &connections {
                scope.spawn(|| connection.get_token().unwrap());
            }
        });
        assert_eq!(server.token_requests().len(), connections.len());
        assert_eq!(store.entries.lock().unwrap().len(), connections.len());
    });
}

#[test]
fn failing_store_costs_no_token() {
    run_in_fresh_process("failing_store_costs_no_token", || {
        assert_eq!(collect_failures(|error| authgrant_set_token_store(&failing_token_store(), error)), []);
        let server = start_mock_server(Config::http());
        let (_, warnings) = token_without_cache(&server);
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.contains("get") && warning.contains("failed with 1"), "{warning}");
        assert_eq!(token_without_cache(&server).1, [""; 0], "the store is not asked");
        assert_eq!(server.token_requests().len(), 2);
    });
}

#[test]
fn invalid_length_of_store_costs_no_token() {
    run_in_fresh_process("invalid_length_of_store_costs_no_token", || {
        let store = MemoryStore::register();
        let server = start_mock_server(Config::http());
        token_without_cache(&server);
        store.reported_length.store(usize::MAX, Ordering::SeqCst);
        let gets = store.gets.load(Ordering::SeqCst);
        let (_, warnings) = token_without_cache(&server);
        assert_eq!((warnings.len(), store.gets.load(Ordering::SeqCst) - gets), (1, 1), "{warnings:?}");
        assert_eq!(server.token_requests().len(), 2);
    });
}

#[test]
fn application_store_must_be_set() {
    run_in_fresh_process("application_store_must_be_set", || {
        let server = start_mock_server(Config::http());
        let failure = open_shared(&server, "jsmith@example.com").get_token().err().unwrap();
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_INVALID_OPTION, Some("TokenCache"))
        );
        assert!(failure.message.contains("authgrant_set_token_store"), "{failure:?}");
    });
}

#[test]
fn rejected_token_is_replaced_in_store() {
    run_in_fresh_process("rejected_token_is_replaced_in_store", || {
        MemoryStore::register();
        let server = start_mock_server(Config::http());
        let (first, _) = token_without_cache(&server);
        let connection = open_shared(&server, "jsmith@example.com");
        let token = connection.get_token().unwrap();
        assert_eq!(token.value(), first);
        let explained = connection.explain().unwrap();
        for fragment in ["\"from\":\"sharedcache\",\"machine\":", "\"value\":\"application:\""] {
            assert!(explained.replace([' ', '\n'], "").contains(fragment), "{explained}");
        }
        connection.reject(&token);
        let second = connection.get_token().unwrap().value();
        assert_ne!(second, first);
        drop(connection);
        authgrant_clear_caches();
        assert_eq!(token_without_cache(&server).0, second);
        assert_eq!(server.token_requests().len(), 2);
    });
}

#[test]
fn logged_off_token_is_removed_from_store() {
    run_in_fresh_process("logged_off_token_is_removed_from_store", || {
        MemoryStore::register();
        let server = start_mock_server(Config::http());
        let open = || {
            authgrant_clear_caches();
            let connection = open_shared(&server, "jsmith@example.com");
            connection.set_option("LogoffURI", &server.url("/oauth/logoff")).unwrap();
            connection
        };
        let first = open().get_token().unwrap().value();
        let connection = open();
        assert_eq!(connection.get_token().unwrap().value(), first);
        assert_eq!(server.logoff_count(), 0, "a shared token is not revoked at close");
        assert_eq!(collect_failures(|error| authgrant_logoff(connection.handle(), error)), []);
        assert_eq!(server.logoff_count(), 1);
        drop(connection);
        assert_ne!(open().get_token().unwrap().value(), first);
        assert_eq!(server.token_requests().len(), 2);
    });
}
