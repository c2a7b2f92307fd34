//! Connections that say the same share one snapshot: they are understood once, and what one was given is at hand for all.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::snapshot::{Common, Snapshot, of_now};
use crate::base::cache_key::CacheKey;
use crate::process::Process;
use crate::sys::{self, PerProcess};

/// The snapshots in use, by a digest of what was said.
static KNOWN: PerProcess<Mutex<HashMap<CacheKey, Weak<Snapshot>>>> = PerProcess::new();

fn known() -> &'static Mutex<HashMap<CacheKey, Weak<Snapshot>>> {
    KNOWN.get_or_init(Mutex::default)
}

/// A snapshot that is equal to `fresh` and still good, else `fresh` itself.
pub(super) fn shared(mut fresh: Snapshot, process: Option<&'static Process>) -> Arc<Snapshot> {
    if fresh.signer.is_some() || !fresh.said.stand_alone() {
        return Arc::new(fresh);
    }
    let subject = (sys::effective_user_id(), &fresh.said, fresh.policy());
    let name = CacheKey::digest(&of_now(process).cache_key_secret, &subject);
    let found = known().lock().get(&name).and_then(Weak::upgrade);
    if let Some(found) = found.filter(|found| found.is_of_now()) {
        return found;
    }
    fresh.common = Some(Common::new(name, process));
    let fresh = Arc::new(fresh);
    known().lock().insert(name, Arc::downgrade(&fresh));
    fresh
}

/// The last of those who used the snapshot of `name` is gone.
pub(super) fn forget(name: &CacheKey) {
    let mut known = known().lock();
    // Another one may have taken its place.
    if known.get(name).is_some_and(|snapshot| snapshot.strong_count() == 0) {
        known.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::tests::{Bench, HOUR, bench, open, server};
    use super::super::{Connection, Wishes};
    use super::*;
    use crate::base::policy::Policy;
    use crate::token::AccessToken;

    fn same(one: &Connection, other: &Connection) -> bool {
        Arc::ptr_eq(&one.snapshot.last_seen(), &other.snapshot.last_seen())
    }

    fn token(connection: &Connection) -> Arc<AccessToken> {
        connection.get_token(Wishes::default()).unwrap()
    }

    /// So many are known of what `bench` says.
    fn count(bench: &Bench) -> usize {
        let name = bench.connection.snapshot.last_seen().common.as_ref().unwrap().name;
        known().lock().get(&name).map_or(0, Weak::strong_count)
    }

    #[test]
    fn who_says_the_same_has_the_same_snapshot_until_an_option_parts_them() {
        let bench = bench("");
        let equal = bench.equal();
        assert!(same(&bench.connection, &equal));
        assert!(!same(&equal, &open(&format!("{};Scope=x", bench.string), bench.process)));
        equal.set_options(&[("Scope", "x")]).unwrap();
        assert!(!same(&bench.connection, &equal));
        bench.connection.set_options(&[("Scope", "x")]).unwrap();
        assert!(same(&bench.connection, &equal));
    }

    #[test]
    fn the_last_one_leaves_nothing_behind() {
        let bench = bench("");
        let name = bench.connection.snapshot.last_seen().common.as_ref().unwrap().name;
        drop((bench.equal(), bench.equal()));
        assert_eq!((count(&bench), bench.process.slot_registry.registered_count()), (1, 2));
        drop(bench.connection);
        assert!(!known().lock().contains_key(&name));
        assert_eq!(bench.process.slot_registry.registered_count(), 0);
    }

    #[test]
    fn another_process_has_its_own() {
        let (one, other) = (bench(""), bench(""));
        assert!(!same(&open(&one.string, one.process), &open(&one.string, other.process)));
    }

    #[test]
    fn what_depends_on_the_moment_is_understood_by_each_for_itself() {
        let Bench { process, store, .. } = &bench("");
        let (file, key) = (format!("file:{}", store.display()), format!("JWTCertStore={}", store.display()));
        let shares = |text: &str, set: &[(&str, &str)]| {
            let [one, other] = [open(text, process), open(text, process)];
            for connection in [&one, &other] {
                connection.set_options(set).unwrap();
            }
            same(&one, &other)
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
    fn a_new_connection_sees_what_has_changed_since_an_equal_one_was_understood() {
        let (authority, endpoint) = server(HOUR);
        let bench = bench(&format!("am=53;ClientID=c;ClientSecret=s;{endpoint}"));
        token(&bench.connection);
        assert!(same(&bench.connection, &bench.equal()), "nothing has changed");
        let file = bench.store.with_extension("secret");
        std::fs::write(&file, "one").unwrap();
        let secret = format!("file:{}", file.display());
        let set = |connection: &Connection| connection.set_options(&[("ClientSecret", &secret)]).unwrap();
        set(&bench.connection);
        token(&bench.connection);
        std::fs::write(&file, "another").unwrap();
        let equal = bench.equal();
        set(&equal);
        assert!(!same(&bench.connection, &equal));
        token(&equal);
        assert_eq!(authority.token_requests().len(), 3, "each secret has a token of its own");
    }

    #[test]
    fn what_one_was_given_is_handed_to_an_equal_one_without_a_look_at_the_cache() {
        let (_authority, endpoint) = server(HOUR);
        let bench = bench(&endpoint);
        let first = token(&bench.connection);
        assert!(bench.connection.passed_on().is_some());
        let equal = bench.equal();
        assert!(equal.recent().is_none());
        assert!(Arc::ptr_eq(equal.passed_on().unwrap().token(), &first));
        assert!(equal.recent().is_some(), "it is kept");
        bench.at(5);
        assert!(equal.recent().is_none() && equal.passed_on().is_none(), "the cache is asked again");
        assert!(Arc::ptr_eq(&token(&equal), &first));
        bench.connection.reject_token(&first);
        assert!(equal.recent().is_none() && equal.passed_on().is_none());
        assert!(!Arc::ptr_eq(&token(&equal), &first));
    }

    #[test]
    fn what_is_for_one_alone_is_handed_to_nobody_else() {
        let (authority, endpoint) = server(HOUR);
        let logs_off = format!("LogoffURI={}", authority.url("/revoke"));
        for more in ["CacheScope=Connection", "am=50;AccessToken=given", &logs_off] {
            let bench = bench(&format!("{more};{endpoint}"));
            token(&bench.connection);
            assert!(bench.equal().passed_on().is_none(), "{more}");
        }
        let bench = bench(&endpoint);
        token(&bench.connection);
        let administrated = bench.equal();
        let id_token = Some(std::ffi::CString::from(c"id").into());
        administrated.live().session.set_id_token(id_token);
        assert!(administrated.passed_on().is_none());
        token(&administrated);
        assert!(bench.equal().passed_on().unwrap().token().field("id_token").is_none());
    }

    #[test]
    fn whose_tokens_they_ask_for_is_digested_once_but_for_another_user() {
        let bench = bench("");
        let snapshot = bench.connection.snapshot.last_seen();
        let digest = |text: &str| CacheKey::digest(&bench.process.cache_key_secret, &text);
        let first = snapshot.identity(7, || digest("first"));
        assert_eq!(first, digest("first"));
        assert_eq!(snapshot.identity(7, || digest("second")), first);
        assert_eq!(snapshot.identity(8, || digest("third")), digest("third"));
    }

    #[test]
    fn many_that_open_and_close_together_agree() {
        let bench = bench("");
        let unequal = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let pair = [bench.equal(), bench.equal()];
                        unequal.fetch_add(u32::from(!same(&pair[0], &pair[1])), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(unequal.into_inner(), 0);
        assert_eq!(count(&bench), 1);
        assert_eq!(bench.connection.snapshot.last_seen().policy(), Policy::current());
    }
}
