//! Retries of token requests: by status, connection error and clock skew, within the call's time limit.
//!
//! Through the C API, against the mock server.

use std::time::{Duration, Instant};

use crate::support::c_api::{LogLines, get_token, open};
use crate::support::{minimal_string, start_mock_server};
use authgrant::ffi::status::*;
use mock_server::{Behavior, Config, MockServer};
use serde_json::{Value, json};

fn busy_response(status: u16, retry_after: Option<&str>) -> Behavior {
    let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_owned()));
    Behavior::Json { status, body: json!(null), headers: headers.into_iter().collect() }
}

fn token_request_count(server: &MockServer) -> usize {
    server.token_requests().len()
}

#[test]
fn clock_skew_is_corrected_and_remembered() {
    for skew in [600, -600] {
        let server = start_mock_server(Config { clock_skew: skew, ..Config::http() });
        let string = minimal_string(&server, "JWTLifetime=60");
        let token = get_token(&string).unwrap_or_else(|failure| panic!("{skew}: {failure:?}"));
        assert_eq!(token_request_count(&server), 2);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let remaining = token.expires_at() - i64::try_from(now).unwrap();
        assert!((remaining - 3600).abs() <= 5, "expires_at is in local time: {remaining}");
        get_token(&format!("Scope=other;{string}")).unwrap();
        assert_eq!(token_request_count(&server), 3, "the skew is remembered");
    }
}

#[test]
fn unhelpful_clock_skew_is_not_remembered() {
    let server = start_mock_server(Config { date_skew: 600, ..Config::http() });
    let failure = get_token(&minimal_string(&server, "ClaimsAudience=wrong")).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_DENIED);
    assert_eq!(token_request_count(&server), 2);
    // The skew was not stored. Only the Date header is wrong, so an assertion dated by it would be rejected.
    get_token(&minimal_string(&server, "JWTLifetime=60")).unwrap();
    assert_eq!(token_request_count(&server), 3);
}

#[test]
fn clock_skew_over_a_day_is_ignored() {
    let server = start_mock_server(Config { clock_skew: 100_000, ..Config::http() });
    assert_eq!(get_token(&minimal_string(&server, "")).unwrap_err().status, AUTHGRANT_DENIED);
    assert_eq!(token_request_count(&server), 1);
}

#[test]
fn busy_server_is_retried_with_new_assertions() {
    for status in [429, 502, 503, 504] {
        let server = start_mock_server(Config::http());
        server.set_script(vec![busy_response(status, None), busy_response(status, None)]);
        get_token(&minimal_string(&server, "")).unwrap_or_else(|failure| panic!("{status}: {failure:?}"));
        let ids: Vec<_> = server
            .token_requests()
            .iter()
            .map(|request| request.claims.as_ref().unwrap()["jti"].clone())
            .collect();
        assert_eq!(ids.len(), 3);
        assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    }
    let server = start_mock_server(Config::http());
    server.set_default_behavior(busy_response(503, None));
    assert_eq!(get_token(&minimal_string(&server, "")).unwrap_err().status, AUTHGRANT_SERVER_ERROR);
    assert_eq!(token_request_count(&server), 3);
}

#[test]
fn compressed_response_keeps_status_and_retry_after() {
    let compressed = |status: u16, header: &str| {
        let head = format!(
            "HTTP/1.1 {status} x\r\n{header}Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
        );
        Behavior::Raw([head.as_bytes(), &[0x1f, 0x8b]].concat())
    };
    let server = start_mock_server(Config::http());
    server.set_script(vec![compressed(503, ""), compressed(502, "")]);
    get_token(&minimal_string(&server, "")).unwrap();
    assert_eq!(token_request_count(&server), 3);
    for (status, header, expected) in [
        (429, "Retry-After: 120\r\n", (AUTHGRANT_THROTTLED, 120)),
        (401, "", (AUTHGRANT_DENIED, 0)),
        (200, "", (AUTHGRANT_BAD_RESPONSE, 0)),
    ] {
        let server = start_mock_server(Config::http());
        server.set_default_behavior(compressed(status, header));
        let failure = get_token(&minimal_string(&server, "")).unwrap_err();
        assert_eq!((failure.status, failure.retry_after), expected, "{failure:?}");
        assert_eq!(failure.http_status, i32::from(status), "{failure:?}");
        assert!(failure.message.contains("Content-Encoding gzip"), "{failure:?}");
    }
}

#[test]
fn charset_in_content_encoding_is_ignored() {
    for encoding in ["UTF-8", "none", "identity", ""] {
        let server = start_mock_server(Config::http());
        server.set_default_behavior(Behavior::Json {
            status: 200,
            body: json!({"access_token": "at", "token_type": "Bearer"}),
            headers: vec![("Content-Encoding".to_owned(), encoding.to_owned())],
        });
        let token = get_token(&minimal_string(&server, ""));
        assert_eq!(token.unwrap_or_else(|failure| panic!("{encoding}: {failure:?}")).value(), "at");
    }
}

#[test]
fn reset_connection_is_retried_except_for_passwords() {
    let server = start_mock_server(Config::http());
    server.set_script(vec![Behavior::Reset, Behavior::Reset]);
    get_token(&minimal_string(&server, "")).expect("the third attempt succeeds");
    assert_eq!(token_request_count(&server), 3);
    server.set_script(vec![Behavior::Reset; 4]);
    assert_eq!(get_token(&minimal_string(&server, "Scope=a")).unwrap_err().status, AUTHGRANT_NETWORK);
    assert_eq!(token_request_count(&server), 6);
    server.set_script(vec![Behavior::Reset]);
    let user = format!("am=52;User=jo;Password=p;ClientID=c;TokenURI={}", server.url("/oauth/token"));
    assert_eq!(get_token(&user).unwrap_err().status, AUTHGRANT_NETWORK);
    assert_eq!(token_request_count(&server), 7, "a password is sent only once");
}

/// How a server closes a reused connection after reading a request, without a response.
fn connection_endings() -> [Behavior; 2] {
    [Behavior::Raw(Vec::new()), Behavior::Reset]
}

#[test]
fn stale_connection_is_retried_with_new_assertion() {
    for ending in connection_endings() {
        let server = start_mock_server(Config::http());
        get_token(&minimal_string(&server, "Scope=first")).unwrap();
        server.set_script(vec![ending.clone()]);
        get_token(&minimal_string(&server, "")).unwrap_or_else(|failure| panic!("{ending:?}: {failure:?}"));
        let ids: Vec<_> = server
            .token_requests()
            .iter()
            .map(|request| request.claims.as_ref().unwrap()["jti"].clone())
            .collect();
        assert_eq!((ids.len(), server.connection_count()), (3, 2), "{ending:?}");
        assert_ne!(ids[1], ids[2], "{ending:?}");
        server.set_script(vec![ending; 4]);
        assert_eq!(get_token(&minimal_string(&server, "Scope=last")).unwrap_err().status, AUTHGRANT_NETWORK);
        assert_eq!(token_request_count(&server), 6, "three attempts are made, not four");
    }
}

#[test]
fn unrepeatable_request_uses_new_connection_once() {
    let server = start_mock_server(Config::http());
    let url = server.url("/oauth/token");
    let signer = open(&minimal_string(&server, "ClaimsAudience=x")).unwrap();
    let new_assertion = || signer.make_assertion().unwrap();
    for unrepeatable in [
        "am=51;OAuthCode=code;RedirectURI=http://localhost:3000",
        "am=52;User=jo;Password=p",
        "am=54;RefreshToken=r",
        "am=OAuth2-JWTClientAssertion",
    ] {
        let with_credential = || match unrepeatable {
            "am=OAuth2-JWTClientAssertion" => format!("{unrepeatable};ClientAssertion={}", new_assertion()),
            complete => complete.to_owned(),
        };
        // Leaves an idle connection, which the server closes when the next request arrives.
        get_token(&minimal_string(&server, &format!("CacheScope=Connection;Scope={{{unrepeatable}}}")))
            .unwrap();
        let (before, connections) = (token_request_count(&server), server.connection_count());
        server.set_script(vec![Behavior::TokenAnswer(
            r#"{"access_token":"at","token_type":"Bearer"}"#.to_owned(),
        )]);
        get_token(&format!("{};ClientID=c;TokenURI={url}", with_credential()))
            .unwrap_or_else(|failure| panic!("{unrepeatable}: {failure:?}"));
        assert_eq!(
            (token_request_count(&server), server.connection_count()),
            (before + 1, connections + 1),
            "{unrepeatable}"
        );
        for ending in connection_endings() {
            let before = token_request_count(&server);
            server.set_script(vec![ending]);
            let string = format!("{};ClientID=d;TokenURI={url};Scope={before}", with_credential());
            let failure = get_token(&string).unwrap_err();
            assert_eq!(failure.status, AUTHGRANT_NETWORK, "{unrepeatable}: {failure:?}");
            assert_eq!(token_request_count(&server), before + 1, "{unrepeatable}");
        }
    }
}

#[test]
fn retry_after_is_honored_within_deadline() {
    let waiting_server = start_mock_server(Config::http());
    waiting_server.set_script(vec![busy_response(429, Some("1"))]);
    let begin = Instant::now();
    get_token(&minimal_string(&waiting_server, "")).unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    for (timeout, retry_after) in [("LoginTimeout=5", "30"), ("LoginTimeout=0", "3600")] {
        let server = start_mock_server(Config::http());
        server.set_script(vec![busy_response(429, Some(retry_after))]);
        let failure = get_token(&minimal_string(&server, timeout)).unwrap_err();
        assert_eq!(
            (failure.status, failure.retry_after.to_string().as_str()),
            (AUTHGRANT_THROTTLED, retry_after)
        );
        assert_eq!(token_request_count(&server), 1);
    }
}

#[test]
fn definitive_oauth_error_is_not_retried() {
    for (status, error) in
        [(400, "invalid_grant"), (400, "consent_required"), (500, "nonsense"), (403, "access_denied")]
    {
        let server = start_mock_server(Config::http());
        server.set_default_behavior(Behavior::Json {
            status,
            body: json!({"error": error}),
            headers: Vec::new(),
        });
        get_token(&minimal_string(&server, "")).unwrap_err();
        assert_eq!(token_request_count(&server), 1, "{error}");
    }
}

#[test]
fn retry_wait_can_be_cancelled() {
    let server = start_mock_server(Config::http());
    server.set_default_behavior(busy_response(503, Some("30")));
    let connection = open(&minimal_string(&server, "")).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| (connection.get_token().unwrap_err().status, Instant::now()));
        assert!(server.wait_for_token_requests(1, Duration::from_secs(10)));
        let begin = Instant::now();
        connection.cancel();
        let (status, ended) = waiting.join().unwrap();
        assert_eq!(status, AUTHGRANT_CANCELLED);
        assert!(ended - begin < Duration::from_millis(250));
    });
}

#[test]
fn silent_idle_connection_is_replaced_within_call() {
    let server = start_mock_server(Config::http());
    get_token(&minimal_string(&server, "Scope=first")).unwrap();
    server.set_script(vec![Behavior::NeverAnswer]);
    get_token(&minimal_string(&server, "LoginTimeout=2"))
        .expect("half of the call's time is left for the second attempt");
    assert_eq!((token_request_count(&server), server.connection_count()), (3, 2));
}

#[test]
fn clock_correction_is_logged_once_and_reported() {
    for (skew, side) in [(600, "ahead of"), (-600, "behind")] {
        let server = start_mock_server(Config { clock_skew: skew, ..Config::http() });
        let connection = open(&minimal_string(&server, "JWTLifetime=60")).unwrap();
        let lines: &'static LogLines = Box::leak(Box::default());
        connection.collect_log_at_level(3, lines);
        connection.get_token().unwrap();
        connection.set_option("Scope", "other").unwrap();
        connection.get_token().unwrap();
        let corrections: Vec<String> = {
            let lines = lines.0.lock().unwrap();
            lines.iter().filter(|line| line.contains("local clock")).cloned().collect()
        };
        let [correction] = corrections.as_slice() else { panic!("{corrections:?}") };
        assert!(correction.starts_with('3'), "{correction}");
        assert!(correction.contains(&format!(" s {side} the local clock")), "{correction}");
        let explained: Value = serde_json::from_str(&connection.explain().unwrap()).unwrap();
        let tested: Value = serde_json::from_str(&connection.test().unwrap()).unwrap();
        for clock_ahead in [&explained["request"]["clock_ahead"], &tested["token"]["clock_ahead"]] {
            assert!((clock_ahead.as_i64().unwrap() - skew).abs() <= 2, "{clock_ahead}");
        }
    }
}

#[test]
fn clock_is_mentioned_only_if_it_differs() {
    for (skew, text) in
        [(0, None), (2, None), (-3, None), (20, Some(" s ahead of ours")), (-20, Some(" s behind ours"))]
    {
        let server = start_mock_server(Config { date_skew: skew, ..Config::http() });
        let message = get_token(&minimal_string(&server, "ClaimsAudience=wrong")).unwrap_err().message;
        assert_eq!(message.contains("clock"), text.is_some(), "{message}");
        assert!(text.is_none_or(|text| message.contains(text)), "{message}");
    }
}
