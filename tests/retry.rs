//! What is asked again, by which clock and how often, and what is not: through the C API, against the strict authority.

mod support;

use std::time::{Duration, Instant};

use authgrant::ffi::status::*;
use authority::{Authority, Config, Play};
use serde_json::json;
use support::c_api::{Lines, ask, open};
use support::{authority, short_string};

fn busy(status: u16, retry_after: Option<&str>) -> Play {
    let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_owned()));
    Play::Json { status, body: json!(null), headers: headers.into_iter().collect() }
}

fn asked(authority: &Authority) -> usize {
    authority.token_requests().len()
}

#[test]
fn a_server_whose_clock_differs_is_asked_again_by_its_own_clock_and_that_is_kept() {
    for skew in [600, -600] {
        let authority = authority(Config { clock_skew: skew, ..Config::http() });
        let string = short_string(&authority, "JWTLifetime=60");
        let token = ask(&string).unwrap_or_else(|failure| panic!("{skew}: {failure:?}"));
        assert_eq!(asked(&authority), 2);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let left = token.expires_at() - i64::try_from(now).unwrap();
        assert!((left - 3600).abs() <= 5, "a token's end is told by our clock: {left}");
        ask(&format!("Scope=other;{string}")).unwrap();
        assert_eq!(asked(&authority), 3, "the difference is known by now");
    }
}

#[test]
fn a_clock_that_is_not_the_reason_is_not_believed_for_long() {
    let authority = authority(Config { date_skew: 600, ..Config::http() });
    let failure = ask(&short_string(&authority, "ClaimsAudience=wrong")).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_DENIED);
    assert_eq!(asked(&authority), 2);
    // The offset was not kept: an assertion by the wrong clock would be refused by a server whose checks are right.
    ask(&short_string(&authority, "JWTLifetime=60")).unwrap();
    assert_eq!(asked(&authority), 3);
}

#[test]
fn a_day_is_more_than_clocks_differ() {
    let authority = authority(Config { clock_skew: 100_000, ..Config::http() });
    assert_eq!(ask(&short_string(&authority, "")).unwrap_err().status, AUTHGRANT_DENIED);
    assert_eq!(asked(&authority), 1);
}

#[test]
fn a_busy_server_is_asked_up_to_three_times_with_fresh_assertions() {
    for status in [429, 502, 503, 504] {
        let authority = authority(Config::http());
        authority.play(vec![busy(status, None), busy(status, None)]);
        ask(&short_string(&authority, "")).unwrap_or_else(|failure| panic!("{status}: {failure:?}"));
        let ids: Vec<_> = authority
            .token_requests()
            .iter()
            .map(|request| request.claims.as_ref().unwrap()["jti"].clone())
            .collect();
        assert_eq!(ids.len(), 3);
        assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    }
    let authority = authority(Config::http());
    authority.play_always(busy(503, None));
    assert_eq!(ask(&short_string(&authority, "")).unwrap_err().status, AUTHGRANT_SERVER);
    assert_eq!(asked(&authority), 3);
}

#[test]
fn a_connection_that_ends_before_an_answer_is_followed_by_up_to_two_more_unless_a_secret_would_go_twice() {
    let authority = authority(Config::http());
    authority.play(vec![Play::Reset, Play::Reset]);
    ask(&short_string(&authority, "")).expect("the third time it works");
    assert_eq!(asked(&authority), 3);
    authority.play(vec![Play::Reset; 4]);
    assert_eq!(ask(&short_string(&authority, "Scope=a")).unwrap_err().status, AUTHGRANT_NETWORK);
    assert_eq!(asked(&authority), 6);
    authority.play(vec![Play::Reset]);
    let user = format!("am=52;User=jo;Password=p;ClientID=c;TokenURI={}", authority.url("/oauth/token"));
    assert_eq!(ask(&user).unwrap_err().status, AUTHGRANT_NETWORK);
    assert_eq!(asked(&authority), 7, "a password is sent once");
}

/// How a server ends a kept connection when it has read a request and said nothing.
fn endings() -> [Play; 2] {
    [Play::Raw(Vec::new()), Play::Reset]
}

#[test]
fn a_kept_connection_that_ends_on_a_request_is_followed_by_a_new_one_with_an_assertion_of_its_own() {
    for ending in endings() {
        let authority = authority(Config::http());
        ask(&short_string(&authority, "Scope=first")).unwrap();
        authority.play(vec![ending.clone()]);
        ask(&short_string(&authority, "")).unwrap_or_else(|failure| panic!("{ending:?}: {failure:?}"));
        let ids: Vec<_> = authority
            .token_requests()
            .iter()
            .map(|request| request.claims.as_ref().unwrap()["jti"].clone())
            .collect();
        assert_eq!((ids.len(), authority.connections()), (3, 2), "{ending:?}");
        assert_ne!(ids[1], ids[2], "{ending:?}");
        authority.play(vec![ending; 4]);
        assert_eq!(ask(&short_string(&authority, "Scope=last")).unwrap_err().status, AUTHGRANT_NETWORK);
        assert_eq!(asked(&authority), 6, "there are three tries and no fourth");
    }
}

#[test]
fn what_must_not_be_repeated_is_sent_once_and_on_a_new_connection() {
    let authority = authority(Config::http());
    let url = authority.url("/oauth/token");
    let ready_made = open(&short_string(&authority, "ClaimsAudience=x")).unwrap().make_assertion().unwrap();
    for once in [
        "am=51;OAuthCode=code;RedirectURI=http://localhost:3000",
        "am=52;User=jo;Password=p",
        "am=54;RefreshToken=r",
        &format!("am=OAuth2-JWTClientAssertion;ClientAssertion={ready_made}"),
    ] {
        // Leaves an idle connection, which the server would close as the next request arrives.
        ask(&short_string(&authority, &format!("CacheScope=Connection;Scope={{{once}}}"))).unwrap();
        let (before, connections) = (asked(&authority), authority.connections());
        authority.play(vec![Play::TokenAnswer(r#"{"access_token":"at","token_type":"Bearer"}"#.to_owned())]);
        ask(&format!("{once};ClientID=c;TokenURI={url}"))
            .unwrap_or_else(|failure| panic!("{once}: {failure:?}"));
        assert_eq!((asked(&authority), authority.connections()), (before + 1, connections + 1), "{once}");
        for ending in endings() {
            let before = asked(&authority);
            authority.play(vec![ending]);
            let failure = ask(&format!("{once};ClientID=d;TokenURI={url};Scope={before}")).unwrap_err();
            assert_eq!(failure.status, AUTHGRANT_NETWORK, "{once}: {failure:?}");
            assert_eq!(asked(&authority), before + 1, "{once}");
        }
    }
}

#[test]
fn a_wait_is_kept_to_unless_it_cannot_end_in_time() {
    let patient = authority(Config::http());
    patient.play(vec![busy(429, Some("1"))]);
    let begin = Instant::now();
    ask(&short_string(&patient, "")).unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    for (limit, wait) in [("LoginTimeout=5", "30"), ("LoginTimeout=0", "3600")] {
        let authority = authority(Config::http());
        authority.play(vec![busy(429, Some(wait))]);
        let failure = ask(&short_string(&authority, limit)).unwrap_err();
        assert_eq!((failure.status, failure.retry_after.to_string().as_str()), (AUTHGRANT_THROTTLED, wait));
        assert_eq!(asked(&authority), 1);
    }
}

#[test]
fn what_the_server_has_judged_is_not_asked_again() {
    for (status, error) in
        [(400, "invalid_grant"), (400, "consent_required"), (500, "nonsense"), (403, "access_denied")]
    {
        let authority = authority(Config::http());
        authority.play_always(Play::Json { status, body: json!({"error": error}), headers: Vec::new() });
        ask(&short_string(&authority, "")).unwrap_err();
        assert_eq!(asked(&authority), 1, "{error}");
    }
}

#[test]
fn a_wait_can_be_cancelled() {
    let authority = authority(Config::http());
    authority.play_always(busy(503, Some("30")));
    let connection = open(&short_string(&authority, "")).unwrap();
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
fn idle_connection_that_stays_silent_is_followed_by_new_one_inside_the_call() {
    let authority = authority(Config::http());
    ask(&short_string(&authority, "Scope=first")).unwrap();
    authority.play(vec![Play::NeverAnswer]);
    ask(&short_string(&authority, "LoginTimeout=2")).expect("the second half of the call is enough");
    assert_eq!((asked(&authority), authority.connections()), (3, 2));
}

#[test]
fn corrected_clock_has_a_line_in_the_log() {
    for (skew, side) in [(600, "ahead of"), (-600, "behind")] {
        let authority = authority(Config { clock_skew: skew, ..Config::http() });
        let connection = open(&short_string(&authority, "JWTLifetime=60")).unwrap();
        let lines: &'static Lines = Box::leak(Box::default());
        connection.log_up_to(3, lines);
        connection.get_token().unwrap();
        let lines = lines.0.lock().unwrap();
        let corrected = format!(" s {side} this machine's; assertions are dated by it");
        assert!(lines.iter().any(|line| line.starts_with('3') && line.ends_with(&corrected)), "{lines:#?}");
    }
}
