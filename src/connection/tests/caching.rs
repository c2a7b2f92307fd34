//! Tests of connections with the token cache: shared requests, negative cache, early renewal, and eviction on
//! close.

use std::sync::{Barrier, Weak};

use jsonwebtoken::Algorithm;
use mock_server::{Behavior, MockServer};
use serde_json::json;

use crate::base::error::{Cause, Status};
use crate::base::log::{LogLevel, LogSink};
use crate::connection::tests::{
    ConnectionFixture, ONE_HOUR_TOKEN_JSON, fixture, open_connection, start_token_server,
};
use crate::connection::*;
use crate::sys::sync::Mutex as Lock;

fn fixture_with_rejecting_server(options: &str) -> (MockServer, ConnectionFixture) {
    let (server, endpoint) = start_token_server(r#"{"error":"invalid_grant"}"#);
    (server, fixture(&format!("{options}{endpoint}")))
}

fn get_token_error(connection: &Connection) -> Error {
    connection.get_token(CallOptions::default()).unwrap_err()
}

fn count_token_requests(server: &MockServer) -> usize {
    server.token_requests().len()
}

#[test]
fn concurrent_equal_connections_share_one_request() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&endpoint);
    let connections: Vec<Connection> = (0..1000).map(|_| fixture.open_equal_connection()).collect();
    let barrier = Barrier::new(64);
    std::thread::scope(|scope| {
        for first in 0..64 {
            let (connections, barrier) = (&connections, &barrier);
            scope.spawn(move || {
                barrier.wait();
                // Different start positions make the threads contend for many connections.
                for connection in connections.iter().cycle().skip(first * 15).take(1000) {
                    assert_eq!(connection.get_token(CallOptions::default()).unwrap().value(), c"at");
                }
            });
        }
    });
    assert_eq!(count_token_requests(&server), 1);
}

#[test]
fn wrong_password_backs_off_across_connections() {
    let (server, fixture) = fixture_with_rejecting_server("am=52;User=jo;Password=wrong;ClientID=c;");
    let connections: Vec<Connection> = (0..1000).map(|_| fixture.open_equal_connection()).collect();
    let mut request_times = Vec::new();
    for second in 0..16 {
        fixture.advance_to(second);
        let before = count_token_requests(&server);
        for connection in &connections {
            assert_eq!(get_token_error(connection).status(), Status::Denied);
        }
        if count_token_requests(&server) > before {
            request_times.push(second);
        }
    }
    assert_eq!(request_times, [0, 1, 3, 7, 15]);
    assert_eq!(count_token_requests(&server), 5, "one request each time");
}

#[test]
fn negative_entry_is_reported_until_cleared() {
    let (server, fixture) = fixture_with_rejecting_server("");
    let connection = &fixture.connection;
    let first = get_token_error(connection);
    assert!(first.cause() == Cause::Server && first.retry_after() == 0, "{first}");
    let cached = get_token_error(connection);
    assert!(matches!(cached.cause(), Cause::NegativeCache { .. }), "{cached}");
    assert_eq!((cached.retry_after(), count_token_requests(&server)), (1, 1));
    let set = |name, value| connection.set_options(&[(name, value)]).unwrap();
    let clearing_actions: [(&str, &dyn Fn()); 4] = [
        ("an option", &|| set("ClaimsIssuer", "me")),
        ("an option that does not affect the token", &|| set("LoginTimeout", "20")),
        ("the key file", &|| {
            let key = std::fs::read_to_string(&fixture.key_file).unwrap();
            std::fs::write(&fixture.key_file, key + "\n").unwrap();
        }),
        ("clearing the process", &|| fixture.process.clear()),
    ];
    for (number, (what, clear)) in clearing_actions.iter().enumerate() {
        clear();
        get_token_error(connection);
        get_token_error(connection);
        assert_eq!(count_token_requests(&server), number + 2, "{what}");
    }
    connection.get_token(CallOptions { bypass_negative_cache: true, ..CallOptions::default() }).unwrap_err();
    assert_eq!(count_token_requests(&server), 6, "the negative cache is bypassed");
}

#[test]
fn expired_token_is_requested_with_new_jwt() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&format!("{endpoint};RefreshMargin=0"));
    let get = || drop(fixture.connection.get_token(CallOptions::default()).unwrap());
    get();
    fixture.advance_to(3599);
    get();
    assert_eq!(count_token_requests(&server), 1, "the token is valid");
    fixture.advance_to(3600);
    get();
    let requests = server.token_requests();
    let [first, second] = &requests[..] else { panic!("{requests:?}") };
    let claim =
        |request: &mock_server::RecordedRequest, name: &str| request.claims.clone().unwrap()[name].clone();
    assert_ne!(claim(first, "jti"), claim(second, "jti"));
    for name in ["iat", "exp"] {
        let elapsed = claim(second, name).as_i64().unwrap() - claim(first, name).as_i64().unwrap();
        assert_eq!(elapsed, 3600, "{name}");
    }
    assert_ne!(first.parameter("assertion"), second.parameter("assertion"));
}

#[test]
fn wall_clock_change_keeps_token_lifetime() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&endpoint);
    let get_and_count = || {
        fixture.connection.get_token(CallOptions::default()).unwrap();
        count_token_requests(&server)
    };
    assert_eq!(get_and_count(), 1);
    fixture.advance_to(3000);
    fixture.shift_wall_clock(-3000);
    assert_eq!(get_and_count(), 1, "ten minutes remain");
    fixture.advance_to(3600);
    assert_eq!(get_and_count(), 2, "the token has expired by its age, not by the wall clock");
    fixture.shift_wall_clock(7000);
    assert_eq!(get_and_count(), 3, "the token has expired by the wall clock");
    fixture.shift_wall_clock(-100_000);
    assert_eq!(get_and_count(), 3, "the age of the token is unchanged");
}

#[test]
fn late_coarse_clock_does_not_prolong_token() {
    let (server, endpoint) =
        start_token_server(r#"{"access_token":"at","token_type":"Bearer","expires_in":0}"#);
    let fixture = fixture(&endpoint);
    fixture.set_coarse_clock_lag(1);
    for requests in 1..=3 {
        fixture.connection.get_token(CallOptions::default()).unwrap();
        fixture.open_equal_connection().get_token(CallOptions::default()).unwrap();
        assert_eq!(count_token_requests(&server), 2 * requests);
    }
}

/// Returns which tokens of a connection remain in memory after the connection was closed.
fn tokens_alive_after_close(string: &str, scopes: &[&str]) -> Vec<bool> {
    tokens_alive_after_closing_fixture(fixture(string), scopes)
}

fn tokens_alive_after_closing_fixture(fixture: ConnectionFixture, scopes: &[&str]) -> Vec<bool> {
    let get = |scope: &&str| {
        fixture.connection.set_options(&[("Scope", scope)]).unwrap();
        Arc::downgrade(&fixture.connection.get_token(CallOptions::default()).unwrap())
    };
    let tokens: Vec<Weak<AccessToken>> = scopes.iter().map(get).collect();
    drop(fixture.connection);
    tokens.iter().map(|token| token.strong_count() > 0).collect()
}

#[test]
fn private_tokens_are_dropped_on_close() {
    let (_server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    for options in ["CacheScope=Connection", "am=54;RefreshToken=r", "am=50;AccessToken=given"] {
        assert_eq!(
            tokens_alive_after_close(&format!("{options};{endpoint}"), &["one", "two"]),
            [false, false],
            "{options}"
        );
    }
    assert_eq!(tokens_alive_after_close(&endpoint, &["one", "two"]), [true, true], "these tokens are shared");
}

#[test]
fn inherited_connection_ends_its_use_without_logoff() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let options = format!("LogoffURI={};{endpoint}", server.url("/oauth/logoff"));
    for (is_last, logoff_count) in [(true, 0), (false, 1)] {
        let mut fixture = fixture(&options);
        fixture.connection.opened_generation = fixture.connection.opened_generation.wrapping_sub(1);
        let connections = [fixture.open_equal_connection(), fixture.connection];
        for connection in &connections {
            connection.get_token(CallOptions::default()).unwrap();
        }
        let [opened_in_child, inherited] = connections;
        let order = if is_last { [opened_in_child, inherited] } else { [inherited, opened_in_child] };
        order.into_iter().for_each(drop);
        assert_eq!(server.logoff_count(), logoff_count);
    }
}

#[test]
fn clear_and_log_off_drop_shared_handles() {
    let (_server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&endpoint);
    let equal = fixture.open_equal_connection();
    let get_shared_token = || {
        let token = fixture.connection.get_token(CallOptions::default()).unwrap();
        assert!(Arc::ptr_eq(&token, &equal.get_token(CallOptions::default()).unwrap()));
        assert!(equal.get_cached_handle().is_some() && equal.get_shared_handle().is_some());
        Arc::downgrade(&token)
    };
    let token = get_shared_token();
    fixture.process.clear();
    assert!(token.upgrade().is_none());
    let token = get_shared_token();
    drop(equal);
    fixture.connection.log_off().unwrap();
    assert!(token.upgrade().is_none());
}

#[test]
fn callback_signer_tokens_are_dropped_on_close() {
    let (_server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&endpoint);
    let signer = CallbackSigner::new(Algorithm::ES256, Box::new(|_, _| Ok(64)));
    fixture.connection.set_signer(Some(&signer));
    assert_eq!(tokens_alive_after_closing_fixture(fixture, &["one", "two"]), [false, false]);
}

#[test]
fn private_tokens_beyond_limit_are_dropped() {
    let (_server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let scopes: Vec<String> = (0..70).map(|number| number.to_string()).collect();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let alive = tokens_alive_after_close(&format!("CacheScope=Connection;{endpoint}"), &scopes);
    assert!(alive.iter().all(|alive| !alive), "{alive:?}");
}

#[test]
fn option_sets_without_token_evict_none() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let ConnectionFixture { connection, _key_dir, .. } =
        fixture(&format!("CacheScope=Connection;{endpoint}"));
    let token = connection.get_token(CallOptions::default()).unwrap();
    for number in 0..70 {
        connection.set_options(&[("Scope", &number.to_string())]).unwrap();
        assert!(connection.completed_string(true, true).reveal().contains("Scope"));
        connection.make_assertion().unwrap();
        assert_eq!(connection.warnings(), []);
    }
    connection.set_options(&[("Scope", "")]).unwrap();
    assert!(Arc::ptr_eq(&connection.get_token(CallOptions::default()).unwrap(), &token));
    assert_eq!(count_token_requests(&server), 1);
}

#[test]
fn seeded_token_is_dropped_on_close() {
    let expires = "Auth_Expires={9999-01-01T00:00:00Z}";
    let fixture =
        fixture(&format!("am=54;RefreshToken=r;AccessToken=given;{expires};TokenEndpoint=http://localhost"));
    assert!(fixture.connection.completed_string(true, true).reveal().contains("given"));
    assert_eq!(fixture.process.cache.entry_count(), 1);
    drop(fixture.connection);
    assert_eq!(fixture.process.cache.entry_count(), 0);
}

#[derive(Default)]
struct CapturedLog(Lock<Vec<String>>);

impl LogSink for CapturedLog {
    fn log(&self, level: LogLevel, message: &str) {
        self.0.lock().push(format!("{} {message}", level as i32));
    }
}

/// A connection whose one-hour token expires in 50 s, a server that answers all further requests with
/// `behavior`, and the log of all further calls.
fn fixture_with_expiring_token(
    options: &str,
    behavior: Behavior,
) -> (MockServer, ConnectionFixture, Arc<CapturedLog>) {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&format!("{options}{endpoint}"));
    fixture.connection.get_token(CallOptions::default()).unwrap();
    fixture.advance_to(3550);
    server.set_default_behavior(behavior);
    let lines: Arc<CapturedLog> = Arc::default();
    fixture.connection.set_log(Log::new(Arc::<CapturedLog>::clone(&lines), LogLevel::Info));
    (server, fixture, lines)
}

fn error_response(status: u16, retry_after: Option<u32>) -> Behavior {
    let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string()));
    Behavior::Json { status, body: json!(null), headers: headers.into_iter().collect() }
}

#[test]
fn failed_early_renewal_returns_cached_token() {
    for behavior in [
        error_response(429, Some(1)),
        error_response(503, None),
        error_response(500, None),
        Behavior::Reset,
        Behavior::Html { status: 200 },
    ] {
        let (server, fixture, lines) = fixture_with_expiring_token("", behavior.clone());
        for _ in 0..3 {
            assert_eq!(
                fixture.connection.get_token(CallOptions::default()).unwrap().value(),
                c"at",
                "{behavior:?}"
            );
        }
        assert_eq!(count_token_requests(&server), 2, "{behavior:?}");
        let lines = lines.0.lock();
        let renewals = lines.iter().filter(|line| line.starts_with("3 early renewal failed: "));
        assert_eq!(renewals.count(), 1, "{lines:?}");
    }
}

#[test]
fn early_renewal_times_out_at_hanging_server() {
    let (server, fixture, lines) = fixture_with_expiring_token("", Behavior::NeverAnswer);
    assert_eq!(fixture.connection.get_token(CallOptions::default()).unwrap().value(), c"at");
    let lines = lines.0.lock().join("\n");
    assert!(lines.contains("2 s (the limit of an early renewal)"), "{lines}");
    assert_eq!(count_token_requests(&server), 2);
}

#[test]
fn early_renewal_timeout_longer_for_rotating_tokens() {
    let limit = |fixture: &ConnectionFixture| {
        let snapshot = fixture.connection.snapshot.load_revalidated();
        let config = snapshot.config().unwrap();
        let identity = fixture.connection.cache_key(&snapshot, config);
        fixture.connection.requirements(config, identity, CallOptions::default()).refresh_timeout
    };
    let rotating = r#"{"access_token":"at","token_type":"Bearer","expires_in":3600,"refresh_token":"r2"}"#;
    for (options, response, seconds) in [
        ("am=54;RefreshToken=r;", ONE_HOUR_TOKEN_JSON, 2),
        ("am=54;RefreshToken=r;", rotating, 10),
        ("am=54;RefreshToken=r;AccessToken=given;", ONE_HOUR_TOKEN_JSON, 10),
        ("am=53;ClientID=c;ClientSecret=s;", rotating, 2),
        ("", rotating, 2),
    ] {
        let (_server, endpoint) = start_token_server(response);
        let fixture = fixture(&format!("{options}{endpoint}"));
        fixture.connection.get_token(CallOptions::default()).unwrap();
        assert_eq!(limit(&fixture), Duration::from_secs(seconds), "{options} {response}");
    }
}

#[test]
fn early_renewal_opens_no_browser() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let auth = server.url("/oauth/auth");
    let login = "am=51;OAuthCode=code;ClientID=c;RedirectURI=http://localhost:3000;EnableLoginPrompt=1";
    let fixture = fixture(&format!("{login};AuthURI={auth};ConsentTimeout=1;{endpoint}"));
    let first = fixture.connection.get_token(CallOptions::default()).unwrap();
    fixture.advance_to(3550);
    let lines: Arc<CapturedLog> = Arc::default();
    fixture.connection.set_log(Log::new(Arc::<CapturedLog>::clone(&lines), LogLevel::Info));
    assert!(Arc::ptr_eq(&fixture.connection.get_token(CallOptions::default()).unwrap(), &first));
    let lines = lines.0.lock().join("\n");
    assert!(lines.contains("no refresh token"), "{lines}");
}

#[test]
fn expired_token_not_returned_during_hanging_renewal() {
    let (server, endpoint) =
        start_token_server(r#"{"access_token":"at","token_type":"Bearer","expires_in":10}"#);
    let fixture = fixture(&format!("RefreshMargin=5;WSTimeout=1;{endpoint}"));
    fixture.connection.get_token(CallOptions::default()).unwrap();
    fixture.advance_to(6);
    // The server does not answer before the token has expired.
    server.set_default_behavior(Behavior::Gate);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| fixture.connection.get_token(CallOptions::default()));
        assert!(server.wait_for_token_requests(2, Duration::from_secs(10)));
        fixture.advance_to(11);
        assert_eq!(caller.join().unwrap().unwrap_err().status(), Status::Timeout);
    });
}

#[test]
fn backoff_limits_concurrent_requests_to_failing_server() {
    for (behavior, first_attempts) in
        [(error_response(500, None), 1), (error_response(503, None), 3), (Behavior::Html { status: 200 }, 1)]
    {
        let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
        server.set_default_behavior(behavior.clone());
        let fixture = fixture(&endpoint);
        let mut request_counts = Vec::new();
        for second in 0..16 {
            fixture.advance_to(second);
            let before = count_token_requests(&server);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..5).for_each(|_| drop(get_token_error(&fixture.connection))));
                }
            });
            if count_token_requests(&server) > before {
                request_counts.push((second, count_token_requests(&server) - before));
            }
        }
        assert_eq!(request_counts, [(0, first_attempts), (1, 1), (3, 1), (7, 1), (15, 1)], "{behavior:?}");
    }
}

/// Opens connections of `count` users of the same server.
fn open_user_connections(fixture: &ConnectionFixture, count: usize) -> Vec<Connection> {
    (0..count)
        .map(|user| {
            open_connection(
                &format!("ClaimsSubject=user{user};{}", fixture.connection_string),
                fixture.process,
            )
        })
        .collect()
}

#[test]
fn retry_after_applies_to_endpoint_not_cache() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&format!("LoginTimeout=20;{endpoint}"));
    fixture.connection.get_token(CallOptions::default()).unwrap();
    server.set_default_behavior(error_response(429, Some(30)));
    let users = open_user_connections(&fixture, 50);
    let errors: Vec<Error> = users.iter().map(get_token_error).collect();
    assert_eq!(count_token_requests(&server), 2, "one request for all users");
    assert!(errors.iter().all(|error| error.status() == Status::Throttled && error.retry_after() == 30));
    fixture.advance_to(29);
    assert_eq!(get_token_error(&users[7]).retry_after(), 1);
    assert_eq!(fixture.connection.get_token(CallOptions::default()).unwrap().value(), c"at");
    fixture.advance_to(30);
    server.set_default_behavior(Behavior::TokenAnswer(ONE_HOUR_TOKEN_JSON.to_owned()));
    users.iter().for_each(|user| drop(user.get_token(CallOptions::default()).unwrap()));
    assert_eq!(count_token_requests(&server), 52);
}

#[test]
fn circuit_breaker_is_shared_per_endpoint() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let (other, other_endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    server.set_default_behavior(error_response(500, None));
    let fixture = fixture(&endpoint);
    let users = open_user_connections(&fixture, 50);
    let failed =
        || users.iter().map(get_token_error).filter(|error| error.status() == Status::Server).count();
    assert_eq!((failed(), count_token_requests(&server)), (50, 5));
    fixture.advance_to(1);
    assert_eq!((failed(), count_token_requests(&server)), (50, 6), "one probe");
    open_connection(&format!("{other_endpoint};{}", fixture.connection_string), fixture.process)
        .get_token(CallOptions::default())
        .unwrap();
    assert_eq!(count_token_requests(&other), 1);
    server.set_default_behavior(Behavior::TokenAnswer(ONE_HOUR_TOKEN_JSON.to_owned()));
    fixture.advance_to(4);
    users.iter().for_each(|user| drop(user.get_token(CallOptions::default()).unwrap()));
    assert_eq!(count_token_requests(&server), 56);
}

/// Whether `line` has the prefix (level and component) and contains every fragment.
fn log_line_matches(line: &str, prefix: &str, fragments: &[&str]) -> bool {
    line.starts_with(prefix) && fragments.iter().all(|fragment| line.contains(fragment))
}

/// Asserts that `lines` match the expected prefixes and fragments one by one.
fn assert_log(lines: &[String], expected: &[(&str, &[&str])]) {
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (prefix, fragments)) in lines.iter().zip(expected) {
        assert!(log_line_matches(line, prefix, fragments), "{line:?}: expected {prefix:?} and {fragments:?}");
    }
}

#[test]
fn log_records_fetch_backoff_breaker_and_throttling() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&endpoint);
    let lines: Arc<CapturedLog> = Arc::default();
    let log = || Log::new(Arc::<CapturedLog>::clone(&lines), LogLevel::Info);
    fixture.connection.set_log(log());
    let lines_of = |action: &dyn Fn()| {
        action();
        std::mem::take(&mut *lines.0.lock())
    };
    let get = || fixture.connection.get_token(CallOptions::default());
    assert_log(&lines_of(&|| drop(get())), &[("3 ", &["(none is cached)", "3600 s"])]);
    fixture.advance_to(3550);
    assert_log(&lines_of(&|| drop(get())), &[("3 ", &["(early renewal)", "3600 s"])]);
    fixture.advance_to(8000);
    server.set_default_behavior(error_response(500, None));
    let failed = lines_of(&|| drop(get()));
    assert_log(&failed, &[("3 ", &["1.0 s"]), ("1 [authgrant][token] ", &["127.0.0.1"])]);
    let others = open_user_connections(&fixture, 5);
    others.iter().for_each(|other| other.set_log(log()));
    let breaker = lines_of(&|| others.iter().for_each(|other| drop(get_token_error(other))));
    let is_opening = |line: &String| log_line_matches(line, "3 ", &["127.0.0.1", "1.0 s"]);
    assert!(breaker.iter().any(is_opening), "{breaker:#?}");
    fixture.advance_to(8001);
    server.set_default_behavior(Behavior::TokenAnswer(ONE_HOUR_TOKEN_JSON.to_owned()));
    assert_log(
        &lines_of(&|| drop(get())),
        &[("3 ", &["127.0.0.1"]), ("3 ", &["(the last request failed)", "3600 s"])],
    );
    server.set_default_behavior(error_response(429, Some(30)));
    fixture.advance_to(20_000);
    let throttled = lines_of(&|| {
        drop(
            fixture
                .connection
                .get_token(CallOptions { timeout: Some(Duration::from_secs(5)), ..CallOptions::default() }),
        )
    });
    assert!(log_line_matches(&throttled[0], "3 ", &["127.0.0.1", "30 s"]), "{throttled:#?}");
}

#[test]
fn stats_count_fetches_hits_and_failures() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&endpoint);
    let stats = || -> serde_json::Value { serde_json::from_str(&fixture.process.stats_json()).unwrap() };
    let count = |name: &str| stats()[format!("authgrant_{name}")].as_u64().unwrap();
    let get = || fixture.connection.get_token(CallOptions::default());
    (0..10).for_each(|_| drop(get().unwrap()));
    let equal = fixture.open_equal_connection();
    (0..5).for_each(|_| drop(equal.get_token(CallOptions::default()).unwrap()));
    assert_eq!((count("tokens_fetched_total"), count("token_cache_hits_total")), (1, 14));
    drop(equal);
    assert_eq!(count("token_cache_hits_total"), 14, "the count of a closed connection is retained");
    assert_eq!((count("keys_opened_total"), count("cached_identities")), (1, 1));
    fixture.advance_to(5);
    (0..3).for_each(|_| drop(get().unwrap()));
    assert_eq!(count("token_cache_hits_total"), 17, "calls that miss the slot are counted once");
    fixture.advance_to(3550);
    get().unwrap();
    assert_eq!((count("tokens_fetched_total"), count("early_renewals_total")), (2, 1));
    fixture.advance_to(8000);
    server.set_default_behavior(error_response(503, None));
    (0..4).for_each(|_| drop(get_token_error(&fixture.connection)));
    assert_eq!((count("retries_total"), count("negative_cache_hits_total")), (2, 3));
    assert_eq!(stats()["authgrant_fetch_failures_total"], json!({"AUTHGRANT_SERVER_ERROR": 1}));
    assert_eq!(stats()["authgrant_fetch_duration_seconds"]["count"], 3);
    open_user_connections(&fixture, 5).iter().for_each(|user| drop(get_token_error(user)));
    assert_eq!(count("breaker_openings_total"), 1);
    fixture.advance_to(9000);
    server.set_default_behavior(error_response(429, Some(30)));
    let short_call = CallOptions { timeout: Some(Duration::from_secs(5)), ..CallOptions::default() };
    fixture.connection.get_token(short_call).unwrap_err();
    assert_eq!((count("throttled_total"), count("cache_evictions_total")), (1, 0));
}

#[test]
fn shared_rejection_reports_own_consent_url() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    server.set_default_behavior(Behavior::Json {
        status: 400,
        body: json!({"error": "consent_required"}),
        headers: Vec::new(),
    });
    let fixture = fixture(&format!("Scope=a;{endpoint}"));
    let open_with =
        |options: &str| open_connection(&format!("{options};{}", fixture.connection_string), fixture.process);
    let auth = |host: &str| format!("AuthURI=https://{host}.example/auth;RedirectURI=http://localhost:3000");
    let consent_url = |connection: &Connection| {
        let error = get_token_error(connection);
        assert_eq!(error.status(), Status::ConsentRequired);
        let url = error.consent_url().map(str::to_owned);
        let message = error.message();
        let shown = message.split("open ").nth(1).and_then(|rest| rest.split([' ', ';']).next());
        assert_eq!(url.is_some(), shown.is_some_and(|shown| shown.starts_with("https://")), "{error}");
        assert!(url.is_none() || shown == url.as_deref(), "{error}");
        url
    };
    let (evil, good) = (open_with(&auth("evil")), open_with(&auth("good")));
    assert!(consent_url(&evil).unwrap().starts_with("https://evil.example/auth?"));
    assert!(consent_url(&good).unwrap().starts_with("https://good.example/auth?"), "from the negative cache");
    let other_port = open_with(&auth("good").replace("3000", "4000"));
    assert!(consent_url(&other_port).unwrap().contains("4000"));
    assert_eq!(consent_url(&fixture.connection), None);
    assert_eq!(count_token_requests(&server), 1, "one response for all connections");
}
