//! Connections that say the same share one snapshot: they are understood once, and what one was given is at hand for all.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::snapshot::{SharedState, Snapshot, process_or_current};
use crate::base::cache_key::CacheKey;
use crate::process::Process;
use crate::sys::{self, PerProcess};

/// The snapshots in use, by a digest of what was said.
static INTERNED: PerProcess<Mutex<HashMap<CacheKey, Weak<Snapshot>>>> = PerProcess::new();

fn interned() -> &'static Mutex<HashMap<CacheKey, Weak<Snapshot>>> {
    INTERNED.get_or_init(Mutex::default)
}

/// A snapshot that is equal to `fresh` and still good, else `fresh` itself.
pub(super) fn intern(mut fresh: Snapshot, process: Option<&'static Process>) -> Arc<Snapshot> {
    if fresh.signer.is_some() || !fresh.options_as_given.is_self_contained() {
        return Arc::new(fresh);
    }
    let subject = (sys::effective_user_id(), &fresh.options_as_given, fresh.policy());
    let name = CacheKey::digest(&process_or_current(process).cache_key_secret, &subject);
    let found = interned().lock().get(&name).and_then(Weak::upgrade);
    if let Some(found) = found.filter(|found| found.is_current()) {
        return found;
    }
    fresh.shared_state = Some(SharedState::new(name, process));
    let fresh = Arc::new(fresh);
    interned().lock().insert(name, Arc::downgrade(&fresh));
    fresh
}

/// The last of those who used the snapshot of `name` is gone.
pub(super) fn remove_if_unused(name: &CacheKey) {
    let mut known = interned().lock();
    // Another one may have taken its place.
    if known.get(name).is_some_and(|snapshot| snapshot.strong_count() == 0) {
        known.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::tests::{
        ConnectionFixture, ONE_HOUR_TOKEN_JSON, fixture, open_connection, start_token_server,
    };
    use super::super::{CallOptions, Connection};
    use super::*;
    use crate::base::policy::Policy;
    use crate::token::AccessToken;

    fn have_same_snapshot(one: &Connection, other: &Connection) -> bool {
        Arc::ptr_eq(&one.snapshot.load(), &other.snapshot.load())
    }

    fn get_token(connection: &Connection) -> Arc<AccessToken> {
        connection.get_token(CallOptions::default()).unwrap()
    }

    /// So many are known of what `bench` says.
    fn count_snapshot_refs(bench: &ConnectionFixture) -> usize {
        let name = bench.connection.snapshot.load().shared_state.as_ref().unwrap().interner_key;
        interned().lock().get(&name).map_or(0, Weak::strong_count)
    }

    #[test]
    fn equal_connections_share_snapshot_until_option_set() {
        let bench = fixture("");
        let equal = bench.open_equal_connection();
        assert!(have_same_snapshot(&bench.connection, &equal));
        assert!(!have_same_snapshot(
            &equal,
            &open_connection(&format!("{};Scope=x", bench.connection_string), bench.process)
        ));
        equal.set_options(&[("Scope", "x")]).unwrap();
        assert!(!have_same_snapshot(&bench.connection, &equal));
        bench.connection.set_options(&[("Scope", "x")]).unwrap();
        assert!(have_same_snapshot(&bench.connection, &equal));
    }

    #[test]
    fn snapshot_is_removed_with_last_connection() {
        let bench = fixture("");
        let name = bench.connection.snapshot.load().shared_state.as_ref().unwrap().interner_key;
        drop((bench.open_equal_connection(), bench.open_equal_connection()));
        assert_eq!((count_snapshot_refs(&bench), bench.process.slot_registry.registered_count()), (1, 2));
        drop(bench.connection);
        assert!(!interned().lock().contains_key(&name));
        assert_eq!(bench.process.slot_registry.registered_count(), 0);
    }

    #[test]
    fn snapshot_is_not_shared_across_processes() {
        let (one, other) = (fixture(""), fixture(""));
        assert!(!have_same_snapshot(
            &open_connection(&one.connection_string, one.process),
            &open_connection(&one.connection_string, other.process)
        ));
    }

    #[test]
    fn relative_and_env_references_prevent_sharing() {
        let ConnectionFixture { process, key_file: store, .. } = &fixture("");
        let (file, key) = (format!("file:{}", store.display()), format!("JWTCertStore={}", store.display()));
        let shares = |text: &str, set: &[(&str, &str)]| {
            let [one, other] = [open_connection(text, process), open_connection(text, process)];
            for connection in [&one, &other] {
                connection.set_options(set).unwrap();
            }
            have_same_snapshot(&one, &other)
        };
        assert!(shares(&key, &[("ClientSecret", &file), ("Password", "literal:env:X")]));
        assert!(shares("JWTCertStore=pkcs11:token=t", &[("TrustStore", "")]));
        assert!(
            shares("Filedsn=;RestConfigFile=near.rest", &[]),
            "it was read when the connection was opened"
        );
        assert!(!shares("JWTCertStore=k.jks", &[]), "the process may stand elsewhere");
        assert!(!shares("TrustStore=near.pem", &[]));
        assert!(!shares("", &[("ClientSecret", "file:secret")]));
        assert!(!shares("", &[("ClientSecret", "env:SECRET")]), "the variable may be another");
    }

    #[test]
    fn changed_secret_file_prevents_snapshot_sharing() {
        let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
        let bench = fixture(&format!("am=53;ClientID=c;ClientSecret=s;{endpoint}"));
        get_token(&bench.connection);
        assert!(have_same_snapshot(&bench.connection, &bench.open_equal_connection()), "nothing has changed");
        let file = bench.key_file.with_extension("secret");
        std::fs::write(&file, "one").unwrap();
        let secret = format!("file:{}", file.display());
        let set = |connection: &Connection| connection.set_options(&[("ClientSecret", &secret)]).unwrap();
        set(&bench.connection);
        get_token(&bench.connection);
        std::fs::write(&file, "another").unwrap();
        let equal = bench.open_equal_connection();
        set(&equal);
        assert!(!have_same_snapshot(&bench.connection, &equal));
        get_token(&equal);
        assert_eq!(authority.token_requests().len(), 3, "each secret has a token of its own");
    }

    #[test]
    fn equal_connection_reuses_shared_handle() {
        let (_authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
        let bench = fixture(&endpoint);
        let first = get_token(&bench.connection);
        assert!(bench.connection.get_shared_handle().is_some());
        let equal = bench.open_equal_connection();
        assert!(equal.get_cached_handle().is_none());
        assert!(Arc::ptr_eq(equal.get_shared_handle().unwrap().token(), &first));
        assert!(equal.get_cached_handle().is_some(), "it is kept");
        bench.advance_to(5);
        assert!(
            equal.get_cached_handle().is_none() && equal.get_shared_handle().is_none(),
            "the cache is asked again"
        );
        assert!(Arc::ptr_eq(&get_token(&equal), &first));
        bench.connection.reject_token(&first);
        assert!(equal.get_cached_handle().is_none() && equal.get_shared_handle().is_none());
        assert!(!Arc::ptr_eq(&get_token(&equal), &first));
    }

    #[test]
    fn private_token_handle_is_not_shared() {
        let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
        let logs_off = format!("LogoffURI={}", authority.url("/revoke"));
        for more in ["CacheScope=Connection", "am=50;AccessToken=given", &logs_off] {
            let bench = fixture(&format!("{more};{endpoint}"));
            get_token(&bench.connection);
            assert!(bench.open_equal_connection().get_shared_handle().is_none(), "{more}");
        }
        let bench = fixture(&endpoint);
        get_token(&bench.connection);
        let administrated = bench.open_equal_connection();
        let id_token = Some(std::ffi::CString::from(c"id").into());
        administrated.state().login_state.set_id_token(id_token);
        assert!(administrated.get_shared_handle().is_none());
        get_token(&administrated);
        assert!(
            bench.open_equal_connection().get_shared_handle().unwrap().token().field("id_token").is_none()
        );
    }

    #[test]
    fn cache_key_is_memoized_per_user() {
        let bench = fixture("");
        let snapshot = bench.connection.snapshot.load();
        let digest = |text: &str| CacheKey::digest(&bench.process.cache_key_secret, &text);
        let first = snapshot.cache_key(7, || digest("first"));
        assert_eq!(first, digest("first"));
        assert_eq!(snapshot.cache_key(7, || digest("second")), first);
        assert_eq!(snapshot.cache_key(8, || digest("third")), digest("third"));
    }

    #[test]
    fn concurrent_open_and_close_share_snapshot() {
        let bench = fixture("");
        let unequal = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let pair = [bench.open_equal_connection(), bench.open_equal_connection()];
                        unequal
                            .fetch_add(u32::from(!have_same_snapshot(&pair[0], &pair[1])), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(unequal.into_inner(), 0);
        assert_eq!(count_snapshot_refs(&bench), 1);
        assert_eq!(bench.connection.snapshot.load().policy(), Policy::current());
    }
}
