//! What is asked again, by which clock and how often, and what is not: through the C API, against the strict authority.

use std::time::{Duration, Instant};

use crate::support::c_api::{LogLines, get_token, open};
use crate::support::{minimal_string, start_mock_server};
use authgrant::ffi::status::*;
use mock_server::{Behavior, Config, MockServer};
use serde_json::json;

fn busy_response(status: u16, retry_after: Option<&str>) -> Behavior {
    let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_owned()));
    Behavior::Json { status, body: json!(null), headers: headers.into_iter().collect() }
}

fn token_request_count(authority: &MockServer) -> usize {
    authority.token_requests().len()
}

#[test]
fn clock_skew_is_corrected_and_remembered() {
    for skew in [600, -600] {
        let authority = start_mock_server(Config { clock_skew: skew, ..Config::http() });
        let string = minimal_string(&authority, "JWTLifetime=60");
        let token = get_token(&string).unwrap_or_else(|failure| panic!("{skew}: {failure:?}"));
        assert_eq!(token_request_count(&authority), 2);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let left = token.expires_at() - i64::try_from(now).unwrap();
        assert!((left - 3600).abs() <= 5, "a token's end is told by our clock: {left}");
        get_token(&format!("Scope=other;{string}")).unwrap();
        assert_eq!(token_request_count(&authority), 3, "the difference is known by now");
    }
}

#[test]
fn unhelpful_clock_skew_is_not_remembered() {
    let authority = start_mock_server(Config { date_skew: 600, ..Config::http() });
    let failure = get_token(&minimal_string(&authority, "ClaimsAudience=wrong")).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_DENIED);
    assert_eq!(token_request_count(&authority), 2);
    // The offset was not kept: an assertion by the wrong clock would be refused by a server whose checks are right.
    get_token(&minimal_string(&authority, "JWTLifetime=60")).unwrap();
    assert_eq!(token_request_count(&authority), 3);
}

#[test]
fn clock_skew_over_a_day_is_ignored() {
    let authority = start_mock_server(Config { clock_skew: 100_000, ..Config::http() });
    assert_eq!(get_token(&minimal_string(&authority, "")).unwrap_err().status, AUTHGRANT_DENIED);
    assert_eq!(token_request_count(&authority), 1);
}

#[test]
fn busy_server_is_retried_with_new_assertions() {
    for status in [429, 502, 503, 504] {
        let authority = start_mock_server(Config::http());
        authority.set_script(vec![busy_response(status, None), busy_response(status, None)]);
        get_token(&minimal_string(&authority, "")).unwrap_or_else(|failure| panic!("{status}: {failure:?}"));
        let ids: Vec<_> = authority
            .token_requests()
            .iter()
            .map(|request| request.claims.as_ref().unwrap()["jti"].clone())
            .collect();
        assert_eq!(ids.len(), 3);
        assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    }
    let authority = start_mock_server(Config::http());
    authority.set_default_behavior(busy_response(503, None));
    assert_eq!(get_token(&minimal_string(&authority, "")).unwrap_err().status, AUTHGRANT_SERVER_ERROR);
    assert_eq!(token_request_count(&authority), 3);
}

#[test]
fn reset_connection_is_retried_except_for_passwords() {
    let authority = start_mock_server(Config::http());
    authority.set_script(vec![Behavior::Reset, Behavior::Reset]);
    get_token(&minimal_string(&authority, "")).expect("the third time it works");
    assert_eq!(token_request_count(&authority), 3);
    authority.set_script(vec![Behavior::Reset; 4]);
    assert_eq!(get_token(&minimal_string(&authority, "Scope=a")).unwrap_err().status, AUTHGRANT_NETWORK);
    assert_eq!(token_request_count(&authority), 6);
    authority.set_script(vec![Behavior::Reset]);
    let user = format!("am=52;User=jo;Password=p;ClientID=c;TokenURI={}", authority.url("/oauth/token"));
    assert_eq!(get_token(&user).unwrap_err().status, AUTHGRANT_NETWORK);
    assert_eq!(token_request_count(&authority), 7, "a password is sent once");
}

/// How a server ends a kept connection when it has read a request and said nothing.
fn connection_endings() -> [Behavior; 2] {
    [Behavior::Raw(Vec::new()), Behavior::Reset]
}

#[test]
fn stale_connection_is_retried_with_new_assertion() {
    for ending in connection_endings() {
        let authority = start_mock_server(Config::http());
        get_token(&minimal_string(&authority, "Scope=first")).unwrap();
        authority.set_script(vec![ending.clone()]);
        get_token(&minimal_string(&authority, ""))
            .unwrap_or_else(|failure| panic!("{ending:?}: {failure:?}"));
        let ids: Vec<_> = authority
            .token_requests()
            .iter()
            .map(|request| request.claims.as_ref().unwrap()["jti"].clone())
            .collect();
        assert_eq!((ids.len(), authority.connection_count()), (3, 2), "{ending:?}");
        assert_ne!(ids[1], ids[2], "{ending:?}");
        authority.set_script(vec![ending; 4]);
        assert_eq!(
            get_token(&minimal_string(&authority, "Scope=last")).unwrap_err().status,
            AUTHGRANT_NETWORK
        );
        assert_eq!(token_request_count(&authority), 6, "there are three tries and no fourth");
    }
}

#[test]
fn unrepeatable_request_uses_new_connection_once() {
    let authority = start_mock_server(Config::http());
    let url = authority.url("/oauth/token");
    let ready_made = open(&minimal_string(&authority, "ClaimsAudience=x")).unwrap().make_assertion().unwrap();
    for once in [
        "am=51;OAuthCode=code;RedirectURI=http://localhost:3000",
        "am=52;User=jo;Password=p",
        "am=54;RefreshToken=r",
        &format!("am=OAuth2-JWTClientAssertion;ClientAssertion={ready_made}"),
    ] {
        // Leaves an idle connection, which the server would close as the next request arrives.
        get_token(&minimal_string(&authority, &format!("CacheScope=Connection;Scope={{{once}}}"))).unwrap();
        let (before, connections) = (token_request_count(&authority), authority.connection_count());
        authority.set_script(vec![Behavior::TokenAnswer(
            r#"{"access_token":"at","token_type":"Bearer"}"#.to_owned(),
        )]);
        get_token(&format!("{once};ClientID=c;TokenURI={url}"))
            .unwrap_or_else(|failure| panic!("{once}: {failure:?}"));
        assert_eq!(
            (token_request_count(&authority), authority.connection_count()),
            (before + 1, connections + 1),
            "{once}"
        );
        for ending in connection_endings() {
            let before = token_request_count(&authority);
            authority.set_script(vec![ending]);
            let failure = get_token(&format!("{once};ClientID=d;TokenURI={url};Scope={before}")).unwrap_err();
            assert_eq!(failure.status, AUTHGRANT_NETWORK, "{once}: {failure:?}");
            assert_eq!(token_request_count(&authority), before + 1, "{once}");
        }
    }
}

#[test]
fn retry_after_is_honored_within_deadline() {
    let patient = start_mock_server(Config::http());
    patient.set_script(vec![busy_response(429, Some("1"))]);
    let begin = Instant::now();
    get_token(&minimal_string(&patient, "")).unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    for (limit, wait) in [("LoginTimeout=5", "30"), ("LoginTimeout=0", "3600")] {
        let authority = start_mock_server(Config::http());
        authority.set_script(vec![busy_response(429, Some(wait))]);
        let failure = get_token(&minimal_string(&authority, limit)).unwrap_err();
        assert_eq!((failure.status, failure.retry_after.to_string().as_str()), (AUTHGRANT_THROTTLED, wait));
        assert_eq!(token_request_count(&authority), 1);
    }
}

#[test]
fn definitive_oauth_error_is_not_retried() {
    for (status, error) in
        [(400, "invalid_grant"), (400, "consent_required"), (500, "nonsense"), (403, "access_denied")]
    {
        let authority = start_mock_server(Config::http());
        authority.set_default_behavior(Behavior::Json {
            status,
            body: json!({"error": error}),
            headers: Vec::new(),
        });
        get_token(&minimal_string(&authority, "")).unwrap_err();
        assert_eq!(token_request_count(&authority), 1, "{error}");
    }
}

#[test]
fn retry_wait_can_be_cancelled() {
    let authority = start_mock_server(Config::http());
    authority.set_default_behavior(busy_response(503, Some("30")));
    let connection = open(&minimal_string(&authority, "")).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| (connection.get_token().unwrap_err().status, Instant::now()));
        assert!(authority.wait_for_token_requests(1, Duration::from_secs(10)));
        let begin = Instant::now();
        connection.cancel();
        let (status, ended) = waiting.join().unwrap();
        assert_eq!(status, AUTHGRANT_CANCELLED);
        assert!(ended - begin < Duration::from_millis(250));
    });
}

#[test]
fn silent_idle_connection_is_replaced_within_call() {
    let authority = start_mock_server(Config::http());
    get_token(&minimal_string(&authority, "Scope=first")).unwrap();
    authority.set_script(vec![Behavior::NeverAnswer]);
    get_token(&minimal_string(&authority, "LoginTimeout=2")).expect("the second half of the call is enough");
    assert_eq!((token_request_count(&authority), authority.connection_count()), (3, 2));
}

#[test]
fn clock_correction_is_logged() {
    for (skew, side) in [(600, "ahead of"), (-600, "behind")] {
        let authority = start_mock_server(Config { clock_skew: skew, ..Config::http() });
        let connection = open(&minimal_string(&authority, "JWTLifetime=60")).unwrap();
        let lines: &'static LogLines = Box::leak(Box::default());
        connection.collect_log_at_level(3, lines);
        connection.get_token().unwrap();
        let lines = lines.0.lock().unwrap();
        let corrected = format!(" s {side} this machine's; assertions are dated by it");
        assert!(lines.iter().any(|line| line.starts_with('3') && line.ends_with(&corrected)), "{lines:#?}");
    }
}
