//! Tests of snapshots that connections with equal options share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::{CallOptions, Connection};
use super::{ConnectionFixture, ONE_HOUR_TOKEN_JSON, fixture, open_connection, start_token_server};
use crate::base::cache_key::CacheKey;
use crate::base::policy::Policy;
use crate::token::AccessToken;

fn have_same_snapshot(one: &Connection, other: &Connection) -> bool {
    Arc::ptr_eq(&one.snapshot.load(), &other.snapshot.load())
}

fn get_token(connection: &Connection) -> Arc<AccessToken> {
    connection.get_token(CallOptions::default()).unwrap()
}

/// Number of connections that share the snapshot of `fixture`.
fn count_snapshot_refs(fixture: &ConnectionFixture) -> usize {
    let interner_key = fixture.connection.snapshot.load().interner_key();
    fixture.process.snapshots.owner_count(&interner_key).unwrap_or(0)
}

#[test]
fn equal_connections_share_snapshot_until_option_set() {
    let fixture = fixture("");
    let equal = fixture.open_equal_connection();
    assert!(have_same_snapshot(&fixture.connection, &equal));
    assert!(!have_same_snapshot(
        &equal,
        &open_connection(&format!("{};Scope=x", fixture.connection_string), fixture.process)
    ));
    equal.set_options(&[("Scope", "x")]).unwrap();
    assert!(!have_same_snapshot(&fixture.connection, &equal));
    fixture.connection.set_options(&[("Scope", "x")]).unwrap();
    assert!(have_same_snapshot(&fixture.connection, &equal));
}

#[test]
fn snapshot_is_removed_with_last_connection() {
    let fixture = fixture("");
    let interner_key = fixture.connection.snapshot.load().interner_key();
    drop((fixture.open_equal_connection(), fixture.open_equal_connection()));
    assert_eq!((count_snapshot_refs(&fixture), fixture.process.slot_registry.registered_count()), (1, 2));
    drop(fixture.connection);
    assert!(fixture.process.snapshots.owner_count(&interner_key).is_none());
    assert_eq!(fixture.process.slot_registry.registered_count(), 0);
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
    let ConnectionFixture { process, key_file, .. } = &fixture("");
    let secret_reference = format!("file:{}", key_file.display());
    let key_option = format!("JWTCertStore={}", key_file.display());
    let shares = |string: &str, options: &[(&str, &str)]| {
        let [one, other] = [open_connection(string, process), open_connection(string, process)];
        for connection in [&one, &other] {
            connection.set_options(options).unwrap();
        }
        have_same_snapshot(&one, &other)
    };
    assert!(shares(&key_option, &[("ClientSecret", &secret_reference), ("Password", "literal:env:X")]));
    assert!(shares("JWTCertStore=pkcs11:token=t", &[("TrustStore", "")]));
    assert!(shares("Filedsn=;RestConfigFile=near.rest", &[]), "the model file was read on open");
    assert!(!shares("JWTCertStore=k.jks", &[]), "the working directory may differ");
    assert!(!shares("TrustStore=near.pem", &[]));
    assert!(!shares("", &[("ClientSecret", "file:secret")]));
    assert!(!shares("", &[("ClientSecret", "env:SECRET")]), "the variable may change");
}

#[test]
fn changed_secret_file_prevents_snapshot_sharing() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&format!("am=53;ClientID=c;ClientSecret=s;{endpoint}"));
    get_token(&fixture.connection);
    assert!(have_same_snapshot(&fixture.connection, &fixture.open_equal_connection()), "no file has changed");
    let file = fixture.key_file.with_extension("secret");
    std::fs::write(&file, "one").unwrap();
    let secret = format!("file:{}", file.display());
    let set = |connection: &Connection| connection.set_options(&[("ClientSecret", &secret)]).unwrap();
    set(&fixture.connection);
    get_token(&fixture.connection);
    std::fs::write(&file, "another").unwrap();
    let equal = fixture.open_equal_connection();
    set(&equal);
    assert!(!have_same_snapshot(&fixture.connection, &equal));
    get_token(&equal);
    assert_eq!(server.token_requests().len(), 3, "one token for each secret");
}

#[test]
fn equal_connection_reuses_shared_handle() {
    let (_server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&endpoint);
    let first = get_token(&fixture.connection);
    assert!(fixture.connection.get_shared_handle().is_some());
    let equal = fixture.open_equal_connection();
    assert!(equal.get_cached_handle().is_none());
    assert!(Arc::ptr_eq(equal.get_shared_handle().unwrap().token(), &first));
    assert!(equal.get_cached_handle().is_some(), "the handle is stored");
    fixture.advance_to(5);
    assert!(
        equal.get_cached_handle().is_none() && equal.get_shared_handle().is_none(),
        "the cache is checked again"
    );
    assert!(Arc::ptr_eq(&get_token(&equal), &first));
    fixture.connection.reject_token(&first);
    assert!(equal.get_cached_handle().is_none() && equal.get_shared_handle().is_none());
    assert!(!Arc::ptr_eq(&get_token(&equal), &first));
}

#[test]
fn private_token_handle_is_not_shared() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let logoff_option = format!("LogoffURI={}", server.url("/revoke"));
    for options in ["CacheScope=Connection", "am=50;AccessToken=given", &logoff_option] {
        let fixture = fixture(&format!("{options};{endpoint}"));
        get_token(&fixture.connection);
        assert!(fixture.open_equal_connection().get_shared_handle().is_none(), "{options}");
    }
    let fixture = fixture(&endpoint);
    get_token(&fixture.connection);
    let with_id_token = fixture.open_equal_connection();
    let id_token = Some(std::ffi::CString::from(c"id").into());
    let consent = CacheKey::digest(&fixture.process.cache_key_secret, &"consent");
    with_id_token.state().login_state.set_id_token(consent, id_token);
    assert!(with_id_token.get_shared_handle().is_none());
    get_token(&with_id_token);
    assert!(fixture.open_equal_connection().get_shared_handle().unwrap().token().field("id_token").is_none());
}

#[test]
fn cache_key_is_memoized_per_user() {
    let fixture = fixture("");
    let snapshot = fixture.connection.snapshot.load();
    let digest = |text: &str| CacheKey::digest(&fixture.process.cache_key_secret, &text);
    let first = snapshot.cache_key(7, || digest("first"));
    assert_eq!(first, digest("first"));
    assert_eq!(snapshot.cache_key(7, || digest("second")), first);
    assert_eq!(snapshot.cache_key(8, || digest("third")), digest("third"));
}

#[test]
fn concurrent_open_and_close_share_snapshot() {
    let fixture = fixture("");
    let unshared = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let [one, other] = [fixture.open_equal_connection(), fixture.open_equal_connection()];
                    unshared.fetch_add(u32::from(!have_same_snapshot(&one, &other)), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(unshared.into_inner(), 0);
    assert_eq!(count_snapshot_refs(&fixture), 1);
    assert_eq!(fixture.connection.snapshot.load().policy(), Policy::current());
}
