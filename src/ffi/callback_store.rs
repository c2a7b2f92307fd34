//! A token store whose operations call the functions of the application.

use std::ffi::{CStr, CString};
use std::time::Duration;

use crate::base::call::CallContext;
use crate::base::error::{Error, ErrorKind, NetworkError, Result};
use crate::ffi::callback;
use crate::ffi::panic::null_error;
use crate::ffi::token_store::RawTokenStore;
use crate::token_store::{self, EntryName, MAX_VALUE_LEN, Owner, Put, StoredValue, TokenStore};

/// The capacity of the first buffer for a value. Most values are shorter; a longer one is read again.
const FIRST_CAPACITY: usize = 16 << 10;

/// The longest time in milliseconds that a callback may report for a value, 100 years.
const MAX_TTL_MILLIS: u64 = 100 * 366 * 24 * 3600 * 1000;

/// The store of the application. All its functions are set.
pub(super) struct CallbackStore(RawTokenStore);

// SAFETY: the header requires that the functions and the context can be used on any thread, also on several at once.
unsafe impl Send for CallbackStore {}
// SAFETY: as above.
unsafe impl Sync for CallbackStore {}

/// What the function that reads an entry wrote.
struct Reply {
    buffer: Vec<u8>,
    length: usize,
    ttl_ms: i64,
}

impl CallbackStore {
    /// Fails if a function is NULL.
    pub(super) fn new(store: RawTokenStore) -> Result<Self> {
        require("get", store.get)?;
        require("lease", store.lease)?;
        require("put", store.put)?;
        require("release", store.release)?;
        Ok(Self(store))
    }

    fn read(&self, name: &CStr, capacity: usize) -> Result<Reply> {
        let get = require("get", self.0.get)?;
        let mut buffer = vec![0; capacity];
        let (mut length, mut ttl_ms) = (0, -1);
        run("get", || {
            let (buffer, context) = (buffer.as_mut_ptr(), self.0.context);
            // SAFETY: the application registered this function with this context.
            unsafe { get(name.as_ptr(), buffer, capacity, &raw mut length, &raw mut ttl_ms, context) }
        })?;
        Ok(Reply { buffer, length, ttl_ms })
    }

    fn end_lease(&self, name: &CStr, owner: &Owner) -> Result<()> {
        let release = require("release", self.0.release)?;
        // SAFETY: the application registered this function with this context.
        run("release", || unsafe { release(name.as_ptr(), owner.0.as_ptr(), self.0.context) })
    }
}

impl TokenStore for CallbackStore {
    fn get(&self, name: &EntryName, call: &CallContext) -> Result<Option<StoredValue>> {
        call.check()?;
        let name = to_c_name(name)?;
        let mut reply = self.read(&name, FIRST_CAPACITY)?;
        if (FIRST_CAPACITY + 1..=MAX_VALUE_LEN).contains(&reply.length) {
            call.check()?;
            // Not the length of the value, which may be replaced by a longer one meanwhile.
            reply = self.read(&name, MAX_VALUE_LEN)?;
        }
        let value = reply.into_value()?;
        if value.is_none() && call.deadline.is_past() {
            // A value is used however late it is. Without one the next operations would take as long.
            return Err(
                call.timeout_error("the function get of the application's token store did not return")
            );
        }
        Ok(value)
    }

    fn lease(&self, name: &EntryName, owner: &Owner, ttl: Duration, call: &CallContext) -> Result<bool> {
        call.check()?;
        let (name, lease) = (to_c_name(name)?, require("lease", self.0.lease)?);
        let mut taken = -1;
        run("lease", || {
            let (owner, ttl_ms) = (owner.0.as_ptr(), to_millis(ttl));
            // SAFETY: the application registered this function with this context.
            unsafe { lease(name.as_ptr(), owner, ttl_ms, &raw mut taken, self.0.context) }
        })?;
        to_bool("lease", "taken", taken)
    }

    fn put(&self, put: &Put<'_>, call: &CallContext) -> Result<bool> {
        call.check()?;
        let (name, function) = (to_c_name(put.name)?, require("put", self.0.put)?);
        let generation = token_store::generation(put.value)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "token cache", "a value has no header"))?;
        let mut written = -1;
        run("put", || {
            let (owner, expected, ttl_ms) =
                (put.owner.0.as_ptr(), put.expected_generation, to_millis(put.ttl));
            let (value, length) = (put.value.as_ptr(), put.value.len());
            let (name, context) = (name.as_ptr(), self.0.context);
            // SAFETY: the application registered this function with this context.
            unsafe {
                function(name, owner, expected, generation, value, length, ttl_ms, &raw mut written, context)
            }
        })?;
        let is_written = to_bool("put", "written", written)?;
        if is_written && put.releases_lease {
            // The value is written whether or not this succeeds, and the lease ends by itself.
            let _ = self.end_lease(&name, put.owner);
        }
        Ok(is_written)
    }

    /// Also at the end of a cancelled call: without it other processes would wait until the lease ends by itself.
    fn release(&self, name: &EntryName, owner: &Owner, _: &CallContext) -> Result<()> {
        self.end_lease(&to_c_name(name)?, owner)
    }
}

impl Reply {
    /// The value, if there is one that has not expired.
    fn into_value(self) -> Result<Option<StoredValue>> {
        let Self { mut buffer, length, ttl_ms } = self;
        if length == 0 {
            return Ok(None);
        }
        if length > buffer.len() {
            return Err(invalid_result("get", &format!("the length {length}")));
        }
        let millis = u64::try_from(ttl_ms).ok().filter(|millis| *millis <= MAX_TTL_MILLIS);
        let millis = millis.ok_or_else(|| invalid_result("get", &format!("the ttl_ms {ttl_ms}")))?;
        buffer.truncate(length);
        Ok((millis > 0).then(|| StoredValue { bytes: buffer, ttl: Duration::from_millis(millis) }))
    }
}

/// Fails if the function `name` of the store is NULL.
fn require<F>(name: &str, function: Option<F>) -> Result<F> {
    function.ok_or_else(|| null_error(&format!("store->{name}")))
}

/// Runs a function of the application. The error is the number that it returned.
fn run(name: &str, function: impl FnOnce() -> i32) -> Result<()> {
    let mut result = 0;
    callback::run_callback(|| result = function());
    if result == 0 {
        return Ok(());
    }
    let text = format!("the function {name} of the application's token store failed with {result}");
    Err(Error::new(NetworkError::Connection, "token cache", text))
}

fn invalid_result(name: &str, found: &str) -> Error {
    let text = format!("the function {name} of the application's token store returned {found}");
    Error::new(NetworkError::BadResponse, "token cache", text)
}

fn to_bool(name: &str, argument: &str, value: i32) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(invalid_result(name, &format!("{value} in *{argument}; expected 0 or 1"))),
    }
}

fn to_c_name(name: &EntryName) -> Result<CString> {
    CString::new(name.as_str())
        .map_err(|_| Error::new(ErrorKind::Internal, "token cache", "the name of an entry has a NUL"))
}

/// At least 1: a lifetime of 0 would be no lifetime.
fn to_millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::ffi::{c_char, c_void};
    use std::ptr::null_mut;
    use std::sync::Mutex;

    use super::*;
    use crate::base::error::Status;

    /// A call of a function of the store, with its arguments.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Call {
        Get { capacity: usize },
        Lease { ttl_ms: i64 },
        Put { expected_generation: u64, generation: u64, value: Vec<u8>, ttl_ms: i64 },
        Release,
    }

    type GetReply = (i32, usize, Option<i64>);

    /// What the functions of a store do, and the calls of them.
    struct FakeStore {
        /// Returns status, length and `*ttl_ms` of get; the value is `x` as often as there is room.
        get: Box<dyn Fn() -> GetReply + Send + Sync>,
        /// Status and `*taken` or `*written`.
        lease: (i32, Option<i32>),
        put: (i32, Option<i32>),
        release: i32,
        calls: Mutex<Vec<Call>>,
    }

    const OWNER: Owner = Owner([7; 16]);

    /// Records a call. Returns the store.
    fn record<'a>(context: *mut c_void, name: *const c_char, owner: *const u8, call: Call) -> &'a FakeStore {
        assert!(callback::is_in_callback());
        // SAFETY: the context is the store of the test, names are NUL-terminated, and owners have 16 bytes.
        let (store, name) = unsafe { (&*context.cast::<FakeStore>(), CStr::from_ptr(name)) };
        assert_eq!(name.to_str().unwrap(), entry_name().as_str());
        if !owner.is_null() {
            // SAFETY: as above.
            assert_eq!(unsafe { std::slice::from_raw_parts(owner, 16) }, OWNER.0);
        }
        store.calls.lock().unwrap().push(call);
        store
    }

    unsafe extern "C" fn get(
        name: *const c_char,
        buffer: *mut u8,
        capacity: usize,
        length: *mut usize,
        ttl_ms: *mut i64,
        context: *mut c_void,
    ) -> i32 {
        let store = record(context, name, std::ptr::null(), Call::Get { capacity });
        let (status, value_length, ttl) = (store.get)();
        // SAFETY: the library passes a buffer of this capacity and writable results.
        unsafe {
            assert_eq!((*length, *ttl_ms), (0, -1));
            buffer.write_bytes(b'x', value_length.min(capacity));
            *length = value_length;
            *ttl_ms = ttl.unwrap_or(*ttl_ms);
        }
        status
    }

    unsafe extern "C" fn lease(
        name: *const c_char,
        owner: *const u8,
        ttl_ms: i64,
        taken: *mut i32,
        context: *mut c_void,
    ) -> i32 {
        let (status, result) = record(context, name, owner, Call::Lease { ttl_ms }).lease;
        // SAFETY: the library passes a writable result.
        unsafe { *taken = result.unwrap_or(*taken) };
        status
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
        // SAFETY: the library passes `length` bytes.
        let value = unsafe { std::slice::from_raw_parts(value, length) }.to_vec();
        let call = Call::Put { expected_generation, generation, value, ttl_ms };
        let (status, result) = record(context, name, owner, call).put;
        // SAFETY: the library passes a writable result.
        unsafe { *written = result.unwrap_or(*written) };
        status
    }

    unsafe extern "C" fn release(name: *const c_char, owner: *const u8, context: *mut c_void) -> i32 {
        record(context, name, owner, Call::Release).release
    }

    impl Default for FakeStore {
        fn default() -> Self {
            Self {
                get: Box::new(|| (0, 0, None)),
                lease: (0, Some(1)),
                put: (0, Some(1)),
                release: 0,
                calls: Mutex::default(),
            }
        }
    }

    impl FakeStore {
        fn with_get(get: impl Fn() -> GetReply + Send + Sync + 'static) -> Self {
            Self { get: Box::new(get), ..Self::default() }
        }

        fn raw(&self) -> RawTokenStore {
            RawTokenStore {
                size: size_of::<RawTokenStore>(),
                context: (&raw const *self).cast_mut().cast(),
                get: Some(get),
                lease: Some(lease),
                put: Some(put),
                release: Some(release),
            }
        }

        fn run<T>(&self, operation: impl FnOnce(&dyn TokenStore) -> T) -> T {
            let result = operation(&CallbackStore::new(self.raw()).unwrap());
            assert!(!callback::is_in_callback());
            result
        }

        fn get(&self, call: &CallContext) -> Result<Option<StoredValue>> {
            self.run(|store| store.get(&entry_name(), call))
        }

        fn lease(&self) -> Result<bool> {
            let ttl = Duration::from_secs(15);
            self.run(|store| store.lease(&entry_name(), &OWNER, ttl, &CallContext::unbounded()))
        }

        /// Writes a value of generation 9 over one of generation 8.
        fn put(&self, releases_lease: bool, ttl: Duration) -> Result<bool> {
            let put = Put {
                name: &entry_name(),
                owner: &OWNER,
                expected_generation: 8,
                value: &token_store::header(9),
                ttl,
                releases_lease,
                is_durable: false,
            };
            self.run(|store| store.put(&put, &CallContext::unbounded()))
        }

        fn calls(&self) -> Vec<Call> {
            self.calls.lock().unwrap().clone()
        }
    }

    fn entry_name() -> EntryName {
        EntryName::from_digest([3; 32])
    }

    fn put_call(ttl_ms: i64) -> Call {
        Call::Put { expected_generation: 8, generation: 9, value: token_store::header(9).to_vec(), ttl_ms }
    }

    #[test]
    fn get_returns_value_with_its_lifetime() {
        let store = FakeStore::with_get(|| (0, 20, Some(1500)));
        let value = store.get(&CallContext::unbounded()).unwrap();
        let ttl = Duration::from_millis(1500);
        assert_eq!(value, Some(StoredValue { bytes: vec![b'x'; 20], ttl }));
        assert_eq!(store.calls(), [Call::Get { capacity: FIRST_CAPACITY }]);
    }

    #[test]
    fn missing_or_expired_entry_is_none() {
        for reply in [(0, 0, None), (0, 0, Some(5)), (0, 0, Some(-1)), (0, 20, Some(0))] {
            let store = FakeStore::with_get(move || reply);
            assert_eq!(store.get(&CallContext::unbounded()).unwrap(), None, "{reply:?}");
        }
    }

    #[test]
    fn long_value_is_read_again_once() {
        for (length, is_valid, calls) in [
            (FIRST_CAPACITY, true, 1),
            (FIRST_CAPACITY + 1, true, 2),
            (MAX_VALUE_LEN, true, 2),
            (MAX_VALUE_LEN + 1, false, 1),
            (usize::MAX, false, 1),
        ] {
            let store = FakeStore::with_get(move || (0, length, Some(1)));
            let value = store.get(&CallContext::unbounded());
            assert_eq!(value.is_ok_and(|value| value.unwrap().bytes == vec![b'x'; length]), is_valid);
            let capacities = [FIRST_CAPACITY, MAX_VALUE_LEN].map(|capacity| Call::Get { capacity });
            assert_eq!(store.calls(), capacities[..calls], "{length}");
        }
        let lengths = Mutex::new(vec![MAX_VALUE_LEN + 1, FIRST_CAPACITY + 1]);
        let growing = FakeStore::with_get(move || (0, lengths.lock().unwrap().pop().unwrap(), Some(1)));
        let error = growing.get(&CallContext::unbounded()).unwrap_err();
        assert_eq!((error.status(), growing.calls().len()), (Status::BadResponse, 2));
    }

    #[test]
    fn invalid_results_of_get_are_errors() {
        for (reply, status, found) in [
            ((-3, 0, None), Status::Network, "failed with -3"),
            ((1, 20, Some(1000)), Status::Network, "failed with 1"),
            ((0, 20, None), Status::BadResponse, "ttl_ms -1"),
            ((0, 20, Some(i64::MIN)), Status::BadResponse, "ttl_ms -9223372036854775808"),
            ((0, 20, Some(i64::MAX)), Status::BadResponse, "ttl_ms 9223372036854775807"),
            ((0, MAX_VALUE_LEN + 1, Some(1000)), Status::BadResponse, "length 262145"),
        ] {
            let store = FakeStore::with_get(move || reply);
            let error = store.get(&CallContext::unbounded()).unwrap_err();
            assert_eq!(error.status(), status);
            assert!(error.message().contains(found), "{error}");
        }
    }

    #[test]
    fn late_value_is_used_but_late_miss_is_timeout() {
        for length in [20, 0] {
            let call = CallContext::with_timeout(Duration::from_millis(500), "TokenCacheTimeout");
            let deadline = call.deadline;
            let store = FakeStore::with_get(move || {
                while !deadline.is_past() {
                    std::thread::sleep(deadline.remaining().unwrap());
                }
                (0, length, Some(1000))
            });
            match store.get(&call) {
                Ok(value) => assert_eq!(value.unwrap().bytes.len(), 20),
                Err(error) => assert_eq!((error.status(), length), (Status::Timeout, 0)),
            }
            assert_eq!(store.calls().len(), 1);
        }
    }

    #[test]
    fn ended_call_only_ends_its_lease() {
        let cancelled = CallContext::unbounded();
        cancelled.cancel.cancel();
        let late = CallContext::with_timeout(Duration::ZERO, "TokenCacheTimeout");
        for (call, status) in [(cancelled, Status::Cancelled), (late, Status::Timeout)] {
            let store = FakeStore::default();
            let name = &entry_name();
            let (value, ttl) = (&token_store::header(1), Duration::from_secs(1));
            let put = Put {
                name,
                owner: &OWNER,
                expected_generation: 0,
                value,
                ttl,
                releases_lease: true,
                is_durable: true,
            };
            store.run(|store| {
                assert_eq!(store.get(name, &call).unwrap_err().status(), status);
                assert_eq!(store.lease(name, &OWNER, ttl, &call).unwrap_err().status(), status);
                assert_eq!(store.put(&put, &call).unwrap_err().status(), status);
                store.release(name, &OWNER, &call).unwrap();
            });
            assert_eq!(store.calls(), [Call::Release]);
        }
    }

    #[test]
    fn lease_is_taken_or_held_by_another() {
        for (taken, expected) in [(1, true), (0, false)] {
            let store = FakeStore { lease: (0, Some(taken)), ..FakeStore::default() };
            assert_eq!(store.lease().unwrap(), expected);
            assert_eq!(store.calls(), [Call::Lease { ttl_ms: 15_000 }]);
        }
        for (reply, status) in [
            ((0, None), Status::BadResponse),
            ((0, Some(2)), Status::BadResponse),
            ((9, Some(1)), Status::Network),
        ] {
            let store = FakeStore { lease: reply, ..FakeStore::default() };
            assert_eq!(store.lease().unwrap_err().status(), status, "{reply:?}");
        }
    }

    #[test]
    fn put_releases_lease_after_value_is_written() {
        let second = Duration::from_secs(1);
        for (releases_lease, written, calls) in [
            (true, 1, &[put_call(1000), Call::Release][..]),
            (true, 0, &[put_call(1000)]),
            (false, 1, &[put_call(1000)]),
        ] {
            let store = FakeStore { put: (0, Some(written)), ..FakeStore::default() };
            assert_eq!(store.put(releases_lease, second).unwrap(), written == 1);
            assert_eq!(store.calls(), calls);
        }
        for (reply, status) in [
            ((0, None), Status::BadResponse),
            ((0, Some(-5)), Status::BadResponse),
            ((9, Some(1)), Status::Network),
        ] {
            let store = FakeStore { put: reply, ..FakeStore::default() };
            assert_eq!(store.put(true, second).unwrap_err().status(), status, "{reply:?}");
            assert_eq!(store.calls(), [put_call(1000)]);
        }
    }

    #[test]
    fn failed_release_does_not_undo_put() {
        let store = FakeStore { release: 4, ..FakeStore::default() };
        assert!(store.put(true, Duration::from_secs(1)).unwrap());
        assert_eq!(store.calls().last(), Some(&Call::Release));
        let error =
            store.run(|store| store.release(&entry_name(), &OWNER, &CallContext::unbounded())).unwrap_err();
        assert_eq!(error.status(), Status::Network);
    }

    #[test]
    fn lifetime_of_put_is_positive_and_saturates() {
        for (ttl, ttl_ms) in
            [(Duration::ZERO, 1), (Duration::from_micros(1999), 1), (Duration::MAX, i64::MAX)]
        {
            let store = FakeStore::default();
            store.put(false, ttl).unwrap();
            assert_eq!(store.calls(), [put_call(ttl_ms)]);
        }
    }

    #[test]
    fn store_without_function_is_rejected_by_name() {
        let store = FakeStore::default();
        let raw = store.raw();
        for (raw, name) in [
            (RawTokenStore { get: None, ..raw }, "store->get"),
            (RawTokenStore { lease: None, ..raw }, "store->lease"),
            (RawTokenStore { put: None, ..raw }, "store->put"),
            (RawTokenStore { release: None, ..raw }, "store->release"),
        ] {
            let error = CallbackStore::new(raw).err().unwrap();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().contains(name), "{error}");
        }
        assert!(CallbackStore::new(RawTokenStore { context: null_mut(), ..raw }).is_ok());
    }
}
