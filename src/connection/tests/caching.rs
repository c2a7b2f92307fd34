//! What connections have from the cache: one request for many, nothing twice that was refused, nothing behind a close.

use std::sync::Barrier;

use jsonwebtoken::Algorithm;
use mock_server::{Behavior, MockServer};
use serde_json::json;

use crate::base::log::LogSink;
use crate::connection::tests::{
    ConnectionFixture, ONE_HOUR_TOKEN_JSON, fixture, open_connection, start_token_server,
};
use crate::connection::*;
use crate::sys::sync::Mutex as Lock;

fn fixture_with_rejecting_server(more: &str) -> (MockServer, ConnectionFixture) {
    let (authority, endpoint) = start_token_server(r#"{"error":"invalid_grant"}"#);
    (authority, fixture(&format!("{more}{endpoint}")))
}

fn get_token_error(connection: &Connection) -> Error {
    connection.get_token(CallOptions::default()).unwrap_err()
}

fn count_token_requests(authority: &MockServer) -> usize {
    authority.token_requests().len()
}

#[test]
fn concurrent_equal_connections_share_one_request() {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&endpoint);
    let connections: Vec<Connection> = (0..1000).map(|_| bench.open_equal_connection()).collect();
    let together = Barrier::new(64);
    std::thread::scope(|scope| {
        for first in 0..64 {
            let (connections, together) = (&connections, &together);
            scope.spawn(move || {
                together.wait();
                // Each begins elsewhere, so that they meet on many connections.
                for connection in connections.iter().cycle().skip(first * 15).take(1000) {
                    assert_eq!(connection.get_token(CallOptions::default()).unwrap().value(), c"at");
                }
            });
        }
    });
    assert_eq!(count_token_requests(&authority), 1);
}

#[test]
fn wrong_password_backs_off_across_connections() {
    let (authority, bench) = fixture_with_rejecting_server("am=52;User=jo;Password=wrong;ClientID=c;");
    let connections: Vec<Connection> = (0..1000).map(|_| bench.open_equal_connection()).collect();
    let mut asked_at = Vec::new();
    for second in 0..16 {
        bench.advance_to(second);
        let before = count_token_requests(&authority);
        for connection in &connections {
            assert_eq!(get_token_error(connection).status(), Status::Denied);
        }
        if count_token_requests(&authority) > before {
            asked_at.push(second);
        }
    }
    assert_eq!(asked_at, [0, 1, 3, 7, 15]);
    assert_eq!(count_token_requests(&authority), 5, "once each time");
}

#[test]
fn negative_entry_is_reported_until_cleared() {
    let (authority, bench) = fixture_with_rejecting_server("");
    let connection = &bench.connection;
    let first = get_token_error(connection);
    assert!(!first.message().contains("is not asked again"), "{first}");
    let remembered = get_token_error(connection);
    assert!(remembered.message().contains("is not asked again"), "{remembered}");
    assert_eq!((remembered.retry_after(), count_token_requests(&authority)), (1, 1));
    let set = |name, value| connection.set_options(&[(name, value)]).unwrap();
    let mendings: [(&str, &dyn Fn()); 4] = [
        ("an option", &|| set("ClaimsIssuer", "me")),
        ("an option of this connection alone", &|| set("LoginTimeout", "20")),
        ("the key file", &|| {
            let key = std::fs::read_to_string(&bench.key_file).unwrap();
            std::fs::write(&bench.key_file, key + "\n").unwrap();
        }),
        ("a clear", &|| bench.process.clear()),
    ];
    for (number, (what, mend)) in mendings.iter().enumerate() {
        mend();
        get_token_error(connection);
        get_token_error(connection);
        assert_eq!(count_token_requests(&authority), number + 2, "{what}");
    }
    connection.get_token(CallOptions { bypass_negative_cache: true, ..CallOptions::default() }).unwrap_err();
    assert_eq!(count_token_requests(&authority), 6, "who asks anew is not answered from memory");
}

#[test]
fn wall_clock_change_keeps_token_lifetime() {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&endpoint);
    let asked_by_now = || {
        bench.connection.get_token(CallOptions::default()).unwrap();
        count_token_requests(&authority)
    };
    assert_eq!(asked_by_now(), 1);
    bench.advance_to(3000);
    bench.shift_wall_clock(-3000);
    assert_eq!(asked_by_now(), 1, "ten minutes are left");
    bench.advance_to(3600);
    assert_eq!(asked_by_now(), 2, "an hour has passed, though the wall clock says ten minutes");
    bench.shift_wall_clock(7000);
    assert_eq!(asked_by_now(), 3, "a laptop that slept for longer than an hour");
    bench.shift_wall_clock(-100_000);
    assert_eq!(asked_by_now(), 3, "the token is as young as before");
}

#[test]
fn late_coarse_clock_does_not_prolong_token() {
    let (authority, endpoint) =
        start_token_server(r#"{"access_token":"at","token_type":"Bearer","expires_in":0}"#);
    let bench = fixture(&endpoint);
    bench.set_coarse_clock_lag(1);
    for requests in 1..=3 {
        bench.connection.get_token(CallOptions::default()).unwrap();
        bench.open_equal_connection().get_token(CallOptions::default()).unwrap();
        assert_eq!(count_token_requests(&authority), 2 * requests);
    }
}

/// What is left of the tokens of a connection that was closed.
fn tokens_alive_after_close(string: &str, scopes: &[&str]) -> Vec<bool> {
    tokens_alive_after_closing_fixture(fixture(string), scopes)
}

fn tokens_alive_after_closing_fixture(bench: ConnectionFixture, scopes: &[&str]) -> Vec<bool> {
    let get = |scope: &&str| {
        bench.connection.set_options(&[("Scope", scope)]).unwrap();
        Arc::downgrade(&bench.connection.get_token(CallOptions::default()).unwrap())
    };
    let tokens: Vec<Weak<AccessToken>> = scopes.iter().map(get).collect();
    drop(bench.connection);
    tokens.iter().map(|token| token.strong_count() > 0).collect()
}

#[test]
fn private_tokens_are_dropped_on_close() {
    let (_authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    for own in ["CacheScope=Connection", "am=54;RefreshToken=r", "am=50;AccessToken=given"] {
        assert_eq!(
            tokens_alive_after_close(&format!("{own};{endpoint}"), &["one", "two"]),
            [false, false],
            "{own}"
        );
    }
    assert_eq!(
        tokens_alive_after_close(&endpoint, &["one", "two"]),
        [true, true],
        "others may ask for these"
    );
}

#[test]
fn clear_and_log_off_drop_shared_handles() {
    let (_authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&endpoint);
    let equal = bench.open_equal_connection();
    let given = || {
        let token = bench.connection.get_token(CallOptions::default()).unwrap();
        assert!(Arc::ptr_eq(&token, &equal.get_token(CallOptions::default()).unwrap()));
        assert!(equal.get_cached_handle().is_some() && equal.get_shared_handle().is_some());
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
fn callback_signer_tokens_are_dropped_on_close() {
    let (_authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&endpoint);
    let signer = CallbackSigner::new(Algorithm::ES256, Box::new(|_, _| Ok(64)));
    bench.connection.set_signer(Some(&signer));
    assert_eq!(tokens_alive_after_closing_fixture(bench, &["one", "two"]), [false, false]);
}

#[test]
fn private_tokens_beyond_limit_are_dropped() {
    let (_authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let scopes: Vec<String> = (0..70).map(|number| number.to_string()).collect();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let left = tokens_alive_after_close(&format!("CacheScope=Connection;{endpoint}"), &scopes);
    assert!(left.iter().all(|left| !left), "{left:?}");
}

#[derive(Default)]
struct CapturedLog(Lock<Vec<String>>);

impl LogSink for CapturedLog {
    fn log(&self, level: LogLevel, message: &str) {
        self.0.lock().push(format!("{} {message}", level as i32));
    }
}

/// A connection whose token of an hour expires in 50 s, a server that then does nothing but `play`, and the log from then on.
fn fixture_with_expiring_token(
    more: &str,
    play: Behavior,
) -> (MockServer, ConnectionFixture, Arc<CapturedLog>) {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&format!("{more}{endpoint}"));
    bench.connection.get_token(CallOptions::default()).unwrap();
    bench.advance_to(3550);
    authority.set_default_behavior(play);
    let lines: Arc<CapturedLog> = Arc::default();
    bench.connection.set_log(Log::new(Arc::<CapturedLog>::clone(&lines), LogLevel::Info));
    (authority, bench, lines)
}

fn error_response(status: u16, retry_after: Option<u32>) -> Behavior {
    let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string()));
    Behavior::Json { status, body: json!(null), headers: headers.into_iter().collect() }
}

#[test]
fn failed_early_renewal_returns_cached_token() {
    for play in [
        error_response(429, Some(1)),
        error_response(503, None),
        error_response(500, None),
        Behavior::Reset,
        Behavior::Html { status: 200 },
    ] {
        let (authority, bench, lines) = fixture_with_expiring_token("", play.clone());
        for _ in 0..3 {
            assert_eq!(
                bench.connection.get_token(CallOptions::default()).unwrap().value(),
                c"at",
                "{play:?}"
            );
        }
        assert_eq!(count_token_requests(&authority), 2, "{play:?}");
        let lines = lines.0.lock();
        let renewals = lines.iter().filter(|line| line.starts_with("3 the early renewal failed: "));
        assert_eq!(renewals.count(), 1, "{lines:?}");
    }
}

#[test]
fn early_renewal_times_out_at_hanging_server() {
    let (authority, bench, lines) = fixture_with_expiring_token("", Behavior::NeverAnswer);
    assert_eq!(bench.connection.get_token(CallOptions::default()).unwrap().value(), c"at");
    let lines = lines.0.lock().join("\n");
    assert!(lines.contains("within 2 s (the limit of an early renewal)"), "{lines}");
    assert_eq!(count_token_requests(&authority), 2);
}

#[test]
fn early_renewal_timeout_longer_for_rotating_tokens() {
    let limit = |bench: &ConnectionFixture| {
        let snapshot = bench.connection.snapshot.load_revalidated();
        let config = snapshot.config().unwrap();
        let identity = bench.connection.cache_key(&snapshot, config);
        bench.connection.requirements(config, identity, CallOptions::default()).refresh_timeout
    };
    let rotating = r#"{"access_token":"at","token_type":"Bearer","expires_in":3600,"refresh_token":"r2"}"#;
    for (more, answer, seconds) in [
        ("am=54;RefreshToken=r;", ONE_HOUR_TOKEN_JSON, 2),
        ("am=54;RefreshToken=r;", rotating, 10),
        ("am=54;RefreshToken=r;AccessToken=given;", ONE_HOUR_TOKEN_JSON, 10),
        ("am=53;ClientID=c;ClientSecret=s;", rotating, 2),
        ("", rotating, 2),
    ] {
        let (_authority, endpoint) = start_token_server(answer);
        let bench = fixture(&format!("{more}{endpoint}"));
        bench.connection.get_token(CallOptions::default()).unwrap();
        assert_eq!(limit(&bench), Duration::from_secs(seconds), "{more} {answer}");
    }
}

#[test]
fn early_renewal_opens_no_browser() {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let auth = authority.url("/oauth/auth");
    let login = "am=51;OAuthCode=code;ClientID=c;RedirectURI=http://localhost:3000;EnableLoginPrompt=1";
    let bench = fixture(&format!("{login};AuthURI={auth};ConsentTimeout=1;{endpoint}"));
    let first = bench.connection.get_token(CallOptions::default()).unwrap();
    bench.advance_to(3550);
    let lines: Arc<CapturedLog> = Arc::default();
    bench.connection.set_log(Log::new(Arc::<CapturedLog>::clone(&lines), LogLevel::Info));
    assert!(Arc::ptr_eq(&bench.connection.get_token(CallOptions::default()).unwrap(), &first));
    let lines = lines.0.lock().join("\n");
    assert!(lines.contains("no refresh token came with it"), "{lines}");
}

#[test]
fn expired_token_not_returned_during_hanging_renewal() {
    let (authority, endpoint) =
        start_token_server(r#"{"access_token":"at","token_type":"Bearer","expires_in":10}"#);
    let bench = fixture(&format!("RefreshMargin=5;WSTimeout=1;{endpoint}"));
    bench.connection.get_token(CallOptions::default()).unwrap();
    bench.advance_to(6);
    // The server answers when the token has expired: with no token.
    authority.set_default_behavior(Behavior::Gate);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| bench.connection.get_token(CallOptions::default()));
        assert!(authority.wait_for_token_requests(2, Duration::from_secs(10)));
        bench.advance_to(11);
        assert_eq!(late.join().unwrap().unwrap_err().status(), Status::Timeout);
    });
}

#[test]
fn backoff_limits_concurrent_requests_to_failing_server() {
    for (play, each) in
        [(error_response(500, None), 1), (error_response(503, None), 3), (Behavior::Html { status: 200 }, 1)]
    {
        let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
        authority.set_default_behavior(play.clone());
        let bench = fixture(&endpoint);
        let mut asked_in = Vec::new();
        for second in 0..16 {
            bench.advance_to(second);
            let before = count_token_requests(&authority);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..5).for_each(|_| drop(get_token_error(&bench.connection))));
                }
            });
            if count_token_requests(&authority) > before {
                asked_in.push((second, count_token_requests(&authority) - before));
            }
        }
        assert_eq!(asked_in, [(0, each), (1, 1), (3, 1), (7, 1), (15, 1)], "{play:?}");
    }
}

/// Connections of so many users of one server.
fn open_user_connections(bench: &ConnectionFixture, count: usize) -> Vec<Connection> {
    (0..count)
        .map(|user| {
            open_connection(&format!("ClaimsSubject=user{user};{}", bench.connection_string), bench.process)
        })
        .collect()
}

#[test]
fn retry_after_applies_to_endpoint_not_cache() {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&format!("LoginTimeout=20;{endpoint}"));
    bench.connection.get_token(CallOptions::default()).unwrap();
    authority.set_default_behavior(error_response(429, Some(30)));
    let users = open_user_connections(&bench, 50);
    let errors: Vec<Error> = users.iter().map(get_token_error).collect();
    assert_eq!(count_token_requests(&authority), 2, "one user met it");
    assert!(errors.iter().all(|error| error.status() == Status::Throttled && error.retry_after() == 30));
    bench.advance_to(29);
    assert_eq!(get_token_error(&users[7]).retry_after(), 1);
    assert_eq!(bench.connection.get_token(CallOptions::default()).unwrap().value(), c"at");
    bench.advance_to(30);
    authority.set_default_behavior(Behavior::TokenAnswer(ONE_HOUR_TOKEN_JSON.to_owned()));
    users.iter().for_each(|user| drop(user.get_token(CallOptions::default()).unwrap()));
    assert_eq!(count_token_requests(&authority), 52);
}

#[test]
fn circuit_breaker_is_shared_per_endpoint() {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let (other, other_endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    authority.set_default_behavior(error_response(500, None));
    let bench = fixture(&endpoint);
    let users = open_user_connections(&bench, 50);
    let failed =
        || users.iter().map(get_token_error).filter(|error| error.status() == Status::Server).count();
    assert_eq!((failed(), count_token_requests(&authority)), (50, 5));
    bench.advance_to(1);
    assert_eq!((failed(), count_token_requests(&authority)), (50, 6), "one probe");
    open_connection(&format!("{other_endpoint};{}", bench.connection_string), bench.process)
        .get_token(CallOptions::default())
        .unwrap();
    assert_eq!(count_token_requests(&other), 1);
    authority.set_default_behavior(Behavior::TokenAnswer(ONE_HOUR_TOKEN_JSON.to_owned()));
    bench.advance_to(4);
    users.iter().for_each(|user| drop(user.get_token(CallOptions::default()).unwrap()));
    assert_eq!(count_token_requests(&authority), 56);
}

#[test]
fn log_records_fetch_backoff_breaker_and_throttling() {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&endpoint);
    let lines: Arc<CapturedLog> = Arc::default();
    let log = || Log::new(Arc::<CapturedLog>::clone(&lines), LogLevel::Info);
    bench.connection.set_log(log());
    let heard = |what: &dyn Fn()| {
        what();
        std::mem::take(&mut *lines.0.lock())
    };
    let get = || bench.connection.get_token(CallOptions::default());
    assert_eq!(heard(&|| drop(get())), ["3 fetched a token (none is cached); it expires in 3600 s"]);
    bench.advance_to(3550);
    assert_eq!(heard(&|| drop(get())), ["3 fetched a token (early renewal); it expires in 3600 s"]);
    bench.advance_to(8000);
    authority.set_default_behavior(error_response(500, None));
    let failed = heard(&|| drop(get()));
    assert_eq!(failed.len(), 2, "{failed:#?}");
    assert_eq!(failed[0], "3 this token is not requested again for 1.0 s");
    assert!(failed[1].starts_with("1 [authgrant][token] 127.0.0.1"), "{failed:#?}");
    let others = open_user_connections(&bench, 5);
    others.iter().for_each(|other| other.set_log(log()));
    let breaker = heard(&|| others.iter().for_each(|other| drop(get_token_error(other))));
    assert!(
        breaker
            .iter()
            .any(|line| line == "3 127.0.0.1 is sent no request for 1.0 s, as the last ones failed"),
        "{breaker:#?}"
    );
    bench.advance_to(8001);
    authority.set_default_behavior(Behavior::TokenAnswer(ONE_HOUR_TOKEN_JSON.to_owned()));
    assert_eq!(
        heard(&|| drop(get())),
        [
            "3 127.0.0.1 is sent requests again",
            "3 fetched a token (the last request failed); it expires in 3600 s"
        ]
    );
    authority.set_default_behavior(error_response(429, Some(30)));
    bench.advance_to(20_000);
    let throttled = heard(&|| {
        drop(
            bench
                .connection
                .get_token(CallOptions { timeout: Some(Duration::from_secs(5)), ..CallOptions::default() }),
        )
    });
    assert_eq!(throttled[0], "3 127.0.0.1 is sent no request for 30 s, as it asked", "{throttled:#?}");
}

#[test]
fn stats_count_fetches_hits_and_failures() {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&endpoint);
    let stats = || -> serde_json::Value { serde_json::from_str(&bench.process.stats_json()).unwrap() };
    let count = |name: &str| stats()[format!("authgrant_{name}")].as_u64().unwrap();
    let get = || bench.connection.get_token(CallOptions::default());
    (0..10).for_each(|_| drop(get().unwrap()));
    let equal = bench.open_equal_connection();
    (0..5).for_each(|_| drop(equal.get_token(CallOptions::default()).unwrap()));
    assert_eq!((count("tokens_fetched_total"), count("token_cache_hits_total")), (1, 14));
    drop(equal);
    assert_eq!(count("token_cache_hits_total"), 14, "a closed connection's count is kept");
    assert_eq!((count("keys_opened_total"), count("cached_identities")), (1, 1));
    bench.advance_to(5);
    (0..3).for_each(|_| drop(get().unwrap()));
    assert_eq!(count("token_cache_hits_total"), 17, "those that the slot no longer held are counted once");
    bench.advance_to(3550);
    get().unwrap();
    assert_eq!((count("tokens_fetched_total"), count("early_renewals_total")), (2, 1));
    bench.advance_to(8000);
    authority.set_default_behavior(error_response(503, None));
    (0..4).for_each(|_| drop(get_token_error(&bench.connection)));
    assert_eq!((count("retries_total"), count("negative_cache_hits_total")), (2, 3));
    assert_eq!(stats()["authgrant_fetch_failures_total"], json!({"AUTHGRANT_SERVER_ERROR": 1}));
    assert_eq!(stats()["authgrant_fetch_duration_seconds"]["count"], 3);
    open_user_connections(&bench, 5).iter().for_each(|user| drop(get_token_error(user)));
    assert_eq!(count("breaker_openings_total"), 1);
    bench.advance_to(9000);
    authority.set_default_behavior(error_response(429, Some(30)));
    let hurry = CallOptions { timeout: Some(Duration::from_secs(5)), ..CallOptions::default() };
    bench.connection.get_token(hurry).unwrap_err();
    assert_eq!((count("throttled_total"), count("cache_evictions_total")), (1, 0));
}

#[test]
fn shared_rejection_reports_own_consent_url() {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    authority.set_default_behavior(Behavior::Json {
        status: 400,
        body: json!({"error": "consent_required"}),
        headers: Vec::new(),
    });
    let bench = fixture(&format!("Scope=a;{endpoint}"));
    let with = |more: &str| open_connection(&format!("{more};{}", bench.connection_string), bench.process);
    let auth = |host: &str| format!("AuthURI=https://{host}.example/auth;RedirectURI=http://localhost:3000");
    let urls = |connection: &Connection| {
        let error = get_token_error(connection);
        assert_eq!(error.status(), Status::ConsentRequired);
        let url = error.consent_url().map(str::to_owned);
        let shown = error.message().split("open ").nth(1).and_then(|rest| rest.split([' ', ';']).next());
        assert_eq!(url.is_some(), shown.is_some_and(|shown| shown.starts_with("https://")), "{error}");
        assert!(url.is_none() || shown == url.as_deref(), "{error}");
        url
    };
    let (evil, good) = (with(&auth("evil")), with(&auth("good")));
    assert!(urls(&evil).unwrap().starts_with("https://evil.example/auth?"));
    assert!(urls(&good).unwrap().starts_with("https://good.example/auth?"), "from memory");
    let elsewhere = with(&auth("good").replace("3000", "4000"));
    assert!(urls(&elsewhere).unwrap().contains("4000"));
    assert_eq!(urls(&bench.connection), None);
    assert_eq!(count_token_requests(&authority), 1, "one refusal for all");
}
