//! The store of the application (`authgrant_set_token_store`), through the C API. Each test runs in its own process, because the
//! store is that of the process.

#[path = "../support/mod.rs"]
mod support;

use authgrant::ffi::status::*;
use authgrant::ffi::token_store::{RawTokenStore, authgrant_set_token_store};
use support::c_api::{collect_failures, failing_token_store, open};
use support::run_in_fresh_process;

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
