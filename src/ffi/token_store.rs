//! The store of the application for tokens that processes share: four callbacks.

use std::ffi::{c_char, c_void};

use crate::base::error::{ArgumentError, Error};
use crate::base::policy::Policy;
use crate::ffi::callback_store::CallbackStore;
use crate::ffi::error::ErrorObject;
use crate::ffi::sized_struct;
use crate::ffi::status::authgrant_status;
use crate::token_store::application;

/// Reads the entry `name` of the store of authgrant_set_token_store().
///
/// If there is an entry that has not expired, writes its value to `buffer`, which has room for `capacity` bytes,
/// the length of the value to `*length`, and the milliseconds until the entry expires to `*ttl_ms`. If the value
/// is longer than `capacity`, only its length is written, and the function is called once more with 262144 bytes.
/// If there is no entry, it leaves `*length` 0, which it is before the call. `*ttl_ms` 0 means expired, too.
/// It must read what the last put wrote in any process, so not from a replica that may be behind.
///
/// Returns 0; any other number means that the store could not be read, and appears in a warning. So do a length of
/// more than 262144, a `*ttl_ms` that is negative or not set, and a return without an entry later than
/// TokenCacheTimeout.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_store_get_fn = Option<
    unsafe extern "C" fn(
        name: *const c_char,
        buffer: *mut u8,
        capacity: usize,
        length: *mut usize,
        ttl_ms: *mut i64,
        context: *mut c_void,
    ) -> i32,
>;

/// Acquires the lease of `name` for `owner` (16 bytes) in the store of authgrant_set_token_store(), unless another
/// owner holds it.
///
/// A lease ends when its owner releases it, and `ttl_ms` milliseconds after it was acquired. In one atomic step:
/// if there is no lease of `name`, or it has ended, or `owner` holds it, stores `owner` with the new end and sets
/// `*taken` to 1; otherwise changes nothing and sets `*taken` to 0. Does not wait for the holder.
///
/// Returns 0; any other number means that it is unknown whether the lease was acquired, and appears in a warning.
/// So does a `*taken` that is neither 0 nor 1.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_store_lease_fn = Option<
    unsafe extern "C" fn(
        name: *const c_char,
        owner: *const u8,
        ttl_ms: i64,
        taken: *mut i32,
        context: *mut c_void,
    ) -> i32,
>;

/// Writes the entry `name` of the store of authgrant_set_token_store() if nobody else has written it.
///
/// In one transaction: if `owner` (16 bytes) holds the lease of `name`, which has not ended, and the generation of
/// the entry is `expected_generation`, where no entry and an expired one count as generation 0, replaces
/// generation and value of the entry, sets its end to `ttl_ms` milliseconds from now, and sets `*written` to 1.
/// Otherwise changes nothing and sets `*written` to 0. `value` has `length` bytes, at most 262144. The lease stays
/// as it is. When the function returns, each process reads the new value, also after a restart of the store.
///
/// Returns 0; any other number means that it is unknown whether the value was written, and appears in a warning. So
/// does a `*written` that is neither 0 nor 1.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_store_put_fn = Option<
    unsafe extern "C" fn(
        name: *const c_char,
        owner: *const u8,
        expected_generation: u64,
        generation: u64,
        value: *const u8,
        length: usize,
        ttl_ms: i64,
        written: *mut i32,
        context: *mut c_void,
    ) -> i32,
>;

/// Ends the lease of `name` in the store of authgrant_set_token_store() if `owner` (16 bytes) holds it; otherwise
/// changes nothing. Called at the end of a cancelled call, too. Returns 0, or any other number if the store could
/// not be changed; the lease then ends by itself.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_store_release_fn =
    Option<unsafe extern "C" fn(name: *const c_char, owner: *const u8, context: *mut c_void) -> i32>;

/// A store of the application, in which processes share tokens, for authgrant_set_token_store().
/// Zero-initialize, then set all members. Only `context` may be NULL.
///
/// The store has entries and leases, both by name. All processes that share tokens reach the same store. The
/// library encrypts values before they leave the process, so the store needs no secrets; who can write to it can
/// make processes request tokens, but not give them another token.
///
/// `name` is NUL-terminated ASCII of at most 64 letters, digits, hyphens and underscores. Case matters. It is a
/// keyed digest and does not reveal what it stands for. Names of entries and of leases are the same.
///
/// `owner` is 16 random bytes of any value, another one for each lease.
///
/// `value` is binary. Byte 0 is the version of the format, 1; bytes 1 to 8 are the generation, the most significant
/// byte first; the rest is encrypted. get must return the bytes of the last put; other bytes are ignored like a
/// missing entry.
///
/// `generation` is an unsigned number of 64 bits, which each put increases. A store compares it only for equality,
/// so that it may keep it as a signed number with the same bits.
///
/// `ttl_ms` is greater than 0, and by the clock of the store. Processes on machines whose clocks differ must not
/// compute ends with their own clocks. What has ended counts as missing, and may be deleted at any time. What get
/// returns is what is left of the `ttl_ms` of put, to the second: the library computes from it how old the token is.
///
/// If the store loses or evicts an entry, the next process requests a token. If it loses a lease or ends it early,
/// several processes may request a token at a time, and the put of one is written. If it returns an old value, a
/// process that knows a newer one ignores it, and another one uses it until it expires. Both are harmless for
/// grants that can be repeated. A refresh token that the server rotates exists only in its entry: if that is lost
/// or old, the user must log in again. A lease that ends late makes others wait, for at most TokenCacheWait each.
///
/// In SQL, with the time of the database server in milliseconds as `:now`, and put as one serializable transaction:
///
/// `CREATE TABLE entries (name VARCHAR(64) PRIMARY KEY, generation BIGINT NOT NULL, value BLOB NOT NULL, expires_ms
/// BIGINT NOT NULL)`
///
/// `CREATE TABLE leases (name VARCHAR(64) PRIMARY KEY, owner BINARY(16) NOT NULL, expires_ms BIGINT NOT NULL)`
///
/// get: `SELECT value, expires_ms - :now FROM entries WHERE name = :name AND expires_ms > :now`
///
/// lease: `INSERT INTO leases VALUES (:name, :owner, :now + :ttl_ms) ON CONFLICT (name) DO UPDATE SET owner =
/// excluded.owner, expires_ms = excluded.expires_ms WHERE leases.expires_ms <= :now OR leases.owner =
/// excluded.owner`; `*taken` is the number of changed rows.
///
/// put: `SELECT 1 FROM leases WHERE name = :name AND owner = :owner AND expires_ms > :now` must find a row, and
/// `SELECT generation FROM entries WHERE name = :name AND expires_ms > :now` the expected generation, or none if
/// that is 0. Then `INSERT INTO entries VALUES (:name, :generation, :value, :now + :ttl_ms) ON CONFLICT (name) DO
/// UPDATE SET generation = excluded.generation, value = excluded.value, expires_ms = excluded.expires_ms`.
///
/// release: `DELETE FROM leases WHERE name = :name AND owner = :owner`
///
/// examples-c/token_store_sqlite is a complete store. Members do not change their meaning; new ones may be added.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawTokenStore {
    /// sizeof(authgrant_token_store).
    pub size: usize,
    /// Passed to the functions as their last argument.
    pub context: *mut c_void,
    /// Reads an entry.
    pub get: authgrant_store_get_fn,
    /// Acquires a lease.
    pub lease: authgrant_store_lease_fn,
    /// Writes an entry.
    pub put: authgrant_store_put_fn,
    /// Ends a lease.
    pub release: authgrant_store_release_fn,
}

/// Sets the store in which connections with TokenCache=application: share tokens with other processes.
///
/// `store` is copied. Its functions and its context must stay valid until the process ends; a forked child keeps
/// them, and must not use a connection to the store that its parent opened.
///
/// The functions are called by threads that request tokens, with no lock held, possibly by several at once. They
/// must return normally, and call no function of this library but getters and _free functions; others return
/// AUTHGRANT_INVALID_ARGUMENT (HY010). Neither the timeout of the call nor a cancel interrupts them: each must
/// return within TokenCacheTimeout (500 ms unless set) by itself. What a late one read or wrote is used. A store
/// that fails costs no token: the library warns, requests a token without the store, and asks it again after 1 s,
/// then 2, 4 ... 60 s.
///
/// Call it once, before the first authgrant_open(). A store cannot be replaced or removed.
///
/// Process-wide. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT: NULL, also for a function, or a member that this
/// version does not know (HY009); a size that is too small (HY090); a connection has been opened or a store is set
/// (HY010).
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_token_store(
    store: *const RawTokenStore,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        // Not a reference to the struct: the caller's may be shorter.
        let size = *args.handle("store", store.cast::<usize>())?;
        // SAFETY: the header requires that the struct has `size` bytes. All members may be zero.
        let store = unsafe { sized_struct::copy("store", store, size, size_of::<RawTokenStore>()) }?;
        let store = CallbackStore::new(store)?;
        if Policy::is_frozen() {
            let text = "a connection has been opened; call authgrant_set_token_store before the first authgrant_open";
            return Err(Error::new(ArgumentError::CallSequence, "token cache", text));
        }
        if !application::register(Box::new(store)) {
            let text = "authgrant_set_token_store was called before; a store cannot be replaced";
            return Err(Error::new(ArgumentError::CallSequence, "token cache", text));
        }
        Ok(())
    })
}
