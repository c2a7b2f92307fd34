//! What connections have from the cache: one request for many, nothing twice that was refused, nothing behind a close.

use std::sync::Barrier;

use authority::Authority;
use jsonwebtoken::Algorithm;

use super::tests::{Bench, HOUR, bench, server};
use super::*;

fn refusing(more: &str) -> (Authority, Bench) {
    let (authority, endpoint) = server(r#"{"error":"invalid_grant"}"#);
    (authority, bench(&format!("{more}{endpoint}")))
}

fn refused(connection: &Connection) -> Error {
    connection.get_token(Wishes::default()).unwrap_err()
}

fn asked(authority: &Authority) -> usize {
    authority.token_requests().len()
}

#[test]
fn sixty_four_threads_over_a_thousand_equal_connections_make_one_request() {
    let (authority, endpoint) = server(HOUR);
    let bench = bench(&endpoint);
    let connections: Vec<Connection> = (0..1000).map(|_| bench.equal()).collect();
    let together = Barrier::new(64);
    std::thread::scope(|scope| {
        for first in 0..64 {
            let (connections, together) = (&connections, &together);
            scope.spawn(move || {
                together.wait();
                // Each begins elsewhere, so that they meet on many connections.
                for connection in connections.iter().cycle().skip(first * 15).take(1000) {
                    assert_eq!(connection.get_token(Wishes::default()).unwrap().value(), c"at");
                }
            });
        }
    });
    assert_eq!(asked(&authority), 1);
}

#[test]
fn a_thousand_connections_with_a_wrong_password_ask_once_and_then_ever_more_rarely() {
    let (authority, bench) = refusing("am=52;User=jo;Password=wrong;ClientID=c;");
    let connections: Vec<Connection> = (0..1000).map(|_| bench.equal()).collect();
    let mut asked_at = Vec::new();
    for second in 0..16 {
        bench.at(second);
        let before = asked(&authority);
        for connection in &connections {
            assert_eq!(refused(connection).status(), Status::Denied);
        }
        if asked(&authority) > before {
            asked_at.push(second);
        }
    }
    assert_eq!(asked_at, [0, 1, 3, 7, 15]);
    assert_eq!(asked(&authority), 5, "once each time");
}

#[test]
fn a_remembered_refusal_says_so_and_is_forgotten_by_whatever_may_have_mended_it() {
    let (authority, bench) = refusing("");
    let connection = &bench.connection;
    let first = refused(connection);
    assert!(!first.message().contains("is not asked again"), "{first}");
    let remembered = refused(connection);
    assert!(remembered.message().contains("is not asked again"), "{remembered}");
    assert_eq!((remembered.retry_after(), asked(&authority)), (1, 1));
    let set = |name, value| connection.set_options(&[(name, value)]).unwrap();
    let mendings: [(&str, &dyn Fn()); 4] = [
        ("an option", &|| set("ClaimsIssuer", "me")),
        ("an option of this connection alone", &|| set("LoginTimeout", "20")),
        ("the key file", &|| {
            let key = std::fs::read_to_string(&bench.store).unwrap();
            std::fs::write(&bench.store, key + "\n").unwrap();
        }),
        ("a clear", &|| bench.process.clear()),
    ];
    for (number, (what, mend)) in mendings.iter().enumerate() {
        mend();
        refused(connection);
        refused(connection);
        assert_eq!(asked(&authority), number + 2, "{what}");
    }
    connection.get_token(Wishes { anew: true, ..Wishes::default() }).unwrap_err();
    assert_eq!(asked(&authority), 6, "who asks anew is not answered from memory");
}

#[test]
fn a_wall_clock_that_is_set_neither_prolongs_a_token_nor_ends_it_early() {
    let (authority, endpoint) = server(HOUR);
    let bench = bench(&endpoint);
    let asked_by_now = || {
        bench.connection.get_token(Wishes::default()).unwrap();
        asked(&authority)
    };
    assert_eq!(asked_by_now(), 1);
    bench.at(3000);
    bench.set_clock(-3000);
    assert_eq!(asked_by_now(), 1, "ten minutes are left");
    bench.at(3600);
    assert_eq!(asked_by_now(), 2, "an hour has passed, though the wall clock says ten minutes");
    bench.set_clock(7000);
    assert_eq!(asked_by_now(), 3, "a laptop that slept for longer than an hour");
    bench.set_clock(-100_000);
    assert_eq!(asked_by_now(), 3, "the token is as young as before");
}

/// What is left of the tokens of a connection that was closed.
fn left_behind(string: &str, scopes: &[&str]) -> Vec<bool> {
    left_behind_on(bench(string), scopes)
}

fn left_behind_on(bench: Bench, scopes: &[&str]) -> Vec<bool> {
    let get = |scope: &&str| {
        bench.connection.set_options(&[("Scope", scope)]).unwrap();
        Arc::downgrade(&bench.connection.get_token(Wishes::default()).unwrap())
    };
    let tokens: Vec<Weak<Token>> = scopes.iter().map(get).collect();
    drop(bench.connection);
    tokens.iter().map(|token| token.strong_count() > 0).collect()
}

#[test]
fn the_tokens_of_a_connections_own_are_wiped_when_it_is_closed() {
    let (_authority, endpoint) = server(HOUR);
    for own in ["CacheScope=Connection", "am=54;RefreshToken=r", "am=50;AccessToken=given"] {
        assert_eq!(left_behind(&format!("{own};{endpoint}"), &["one", "two"]), [false, false], "{own}");
    }
    assert_eq!(left_behind(&endpoint, &["one", "two"]), [true, true], "others may ask for these");
}

#[test]
fn a_clear_and_a_log_off_wipe_what_equal_connections_have_been_given() {
    let (_authority, endpoint) = server(HOUR);
    let bench = bench(&endpoint);
    let equal = bench.equal();
    let given = || {
        let token = bench.connection.get_token(Wishes::default()).unwrap();
        assert!(Arc::ptr_eq(&token, &equal.get_token(Wishes::default()).unwrap()));
        assert!(equal.recent().is_some() && equal.passed_on().is_some());
        Arc::downgrade(&token)
    };
    let token = given();
    bench.process.clear();
    assert!(token.upgrade().is_none());
    let token = given();
    drop(equal);
    bench.connection.log_off().unwrap();
    assert!(token.upgrade().is_none());
}

#[test]
fn what_a_signer_of_the_hosts_brought_is_wiped_with_its_connection() {
    let (_authority, endpoint) = server(HOUR);
    let bench = bench(&endpoint);
    let signer = HostSigner::new(Algorithm::ES256, Box::new(|_, _| Ok(64)));
    bench.connection.set_signer(Some(&signer));
    assert_eq!(left_behind_on(bench, &["one", "two"]), [false, false]);
}

#[test]
fn of_very_many_tokens_of_its_own_a_connection_leaves_none_behind() {
    let (_authority, endpoint) = server(HOUR);
    let scopes: Vec<String> = (0..70).map(|number| number.to_string()).collect();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let left = left_behind(&format!("CacheScope=Connection;{endpoint}"), &scopes);
    assert!(left.iter().all(|left| !left), "{left:?}");
}
