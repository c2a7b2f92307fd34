//! What connections have from the cache: one request for many, nothing twice that was refused, nothing behind a close.

use std::sync::Barrier;

use authority::{Authority, Play};
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::base::log::LogSink;
use crate::connection::tests::{Bench, HOUR, bench, open, server};
use crate::connection::*;
use crate::sys::sync::Mutex as Lock;

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

#[test]
fn token_without_lifetime_is_not_reused_while_coarse_clock_is_late() {
    let (authority, endpoint) = server(r#"{"access_token":"at","token_type":"Bearer","expires_in":0}"#);
    let bench = bench(&endpoint);
    bench.coarse_clock_is_late_by(1);
    for requests in 1..=3 {
        bench.connection.get_token(Wishes::default()).unwrap();
        bench.equal().get_token(Wishes::default()).unwrap();
        assert_eq!(asked(&authority), 2 * requests);
    }
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
    let tokens: Vec<Weak<AccessToken>> = scopes.iter().map(get).collect();
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

#[derive(Default)]
struct Lines(Lock<Vec<String>>);

impl LogSink for Lines {
    fn log(&self, level: LogLevel, message: &str) {
        self.0.lock().push(format!("{} {message}", level as i32));
    }
}

/// A connection whose token of an hour expires in 50 s, a server that then does nothing but `play`, and the log from then on.
fn about_to_expire(more: &str, play: Play) -> (Authority, Bench, Arc<Lines>) {
    let (authority, endpoint) = server(HOUR);
    let bench = bench(&format!("{more}{endpoint}"));
    bench.connection.get_token(Wishes::default()).unwrap();
    bench.at(3550);
    authority.play_always(play);
    let lines: Arc<Lines> = Arc::default();
    bench.connection.set_log(Log::new(Arc::<Lines>::clone(&lines), LogLevel::Info));
    (authority, bench, lines)
}

fn busy(status: u16, retry_after: Option<u32>) -> Play {
    let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string()));
    Play::Json { status, body: json!(null), headers: headers.into_iter().collect() }
}

#[test]
fn early_renewal_makes_one_attempt_and_returns_token_in_hand() {
    for play in
        [busy(429, Some(1)), busy(503, None), busy(500, None), Play::Reset, Play::Html { status: 200 }]
    {
        let (authority, bench, lines) = about_to_expire("", play.clone());
        for _ in 0..3 {
            assert_eq!(bench.connection.get_token(Wishes::default()).unwrap().value(), c"at", "{play:?}");
        }
        assert_eq!(asked(&authority), 2, "{play:?}");
        let lines = lines.0.lock();
        let renewals = lines.iter().filter(|line| line.starts_with("3 the early renewal failed: "));
        assert_eq!(renewals.count(), 1, "{lines:?}");
    }
}

#[test]
fn early_renewal_at_server_that_hangs_is_given_up_after_two_seconds() {
    let (authority, bench, lines) = about_to_expire("", Play::NeverAnswer);
    assert_eq!(bench.connection.get_token(Wishes::default()).unwrap().value(), c"at");
    let lines = lines.0.lock().join("\n");
    assert!(lines.contains("within 2 s (the limit of an early renewal)"), "{lines}");
    assert_eq!(asked(&authority), 2);
}

#[test]
fn early_renewal_waits_longer_only_for_rotating_refresh_token() {
    let limit = |bench: &Bench| {
        let snapshot = bench.connection.snapshot.load_full();
        let config = snapshot.config().unwrap();
        let identity = bench.connection.identity(&snapshot, config);
        bench.connection.want(config, identity, Wishes::default()).refresh_timeout
    };
    let rotating = r#"{"access_token":"at","token_type":"Bearer","expires_in":3600,"refresh_token":"r2"}"#;
    for (more, answer, seconds) in [
        ("am=54;RefreshToken=r;", HOUR, 2),
        ("am=54;RefreshToken=r;", rotating, 10),
        ("am=54;RefreshToken=r;AccessToken=given;", HOUR, 10),
        ("am=53;ClientID=c;ClientSecret=s;", rotating, 2),
        ("", rotating, 2),
    ] {
        let (_authority, endpoint) = server(answer);
        let bench = bench(&format!("{more}{endpoint}"));
        bench.connection.get_token(Wishes::default()).unwrap();
        assert_eq!(limit(&bench), Duration::from_secs(seconds), "{more} {answer}");
    }
}

#[test]
fn early_renewal_opens_no_browser() {
    let (authority, endpoint) = server(HOUR);
    let auth = authority.url("/oauth/auth");
    let login = "am=51;OAuthCode=code;ClientID=c;RedirectURI=http://localhost:3000;EnableLoginPrompt=1";
    let bench = bench(&format!("{login};AuthURI={auth};ConsentTimeout=1;{endpoint}"));
    let first = bench.connection.get_token(Wishes::default()).unwrap();
    bench.at(3550);
    let lines: Arc<Lines> = Arc::default();
    bench.connection.set_log(Log::new(Arc::<Lines>::clone(&lines), LogLevel::Info));
    assert!(Arc::ptr_eq(&bench.connection.get_token(Wishes::default()).unwrap(), &first));
    let lines = lines.0.lock().join("\n");
    assert!(lines.contains("no refresh token came with it"), "{lines}");
}

#[test]
fn token_is_not_returned_after_its_end_though_renewal_hangs() {
    let (authority, endpoint) = server(r#"{"access_token":"at","token_type":"Bearer","expires_in":10}"#);
    let bench = bench(&format!("RefreshMargin=5;WSTimeout=1;{endpoint}"));
    bench.connection.get_token(Wishes::default()).unwrap();
    bench.at(6);
    // The server answers when the token has expired: with no token.
    authority.play_always(Play::Gate);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| bench.connection.get_token(Wishes::default()));
        assert!(authority.wait_for_token_requests(2, Duration::from_secs(10)));
        bench.at(11);
        assert_eq!(late.join().unwrap().unwrap_err().status(), Status::Timeout);
    });
}

#[test]
fn failing_server_is_asked_ever_more_rarely_by_many_threads() {
    for (play, each) in [(busy(500, None), 1), (busy(503, None), 3), (Play::Html { status: 200 }, 1)] {
        let (authority, endpoint) = server(HOUR);
        authority.play_always(play.clone());
        let bench = bench(&endpoint);
        let mut asked_in = Vec::new();
        for second in 0..16 {
            bench.at(second);
            let before = asked(&authority);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..5).for_each(|_| drop(refused(&bench.connection))));
                }
            });
            if asked(&authority) > before {
                asked_in.push((second, asked(&authority) - before));
            }
        }
        assert_eq!(asked_in, [(0, each), (1, 1), (3, 1), (7, 1), (15, 1)], "{play:?}");
    }
}

/// Connections of so many users of one server.
fn users(bench: &Bench, count: usize) -> Vec<Connection> {
    (0..count)
        .map(|user| open(&format!("ClaimsSubject=user{user};{}", bench.string), bench.process))
        .collect()
}

#[test]
fn retry_after_holds_for_all_users_of_endpoint_and_not_for_tokens_at_hand() {
    let (authority, endpoint) = server(HOUR);
    let bench = bench(&format!("LoginTimeout=20;{endpoint}"));
    bench.connection.get_token(Wishes::default()).unwrap();
    authority.play_always(busy(429, Some(30)));
    let users = users(&bench, 50);
    let errors: Vec<Error> = users.iter().map(refused).collect();
    assert_eq!(asked(&authority), 2, "one user met it");
    assert!(errors.iter().all(|error| error.status() == Status::Throttled && error.retry_after() == 30));
    bench.at(29);
    assert_eq!(refused(&users[7]).retry_after(), 1);
    assert_eq!(bench.connection.get_token(Wishes::default()).unwrap().value(), c"at");
    bench.at(30);
    authority.play_always(Play::TokenAnswer(HOUR.to_owned()));
    users.iter().for_each(|user| drop(user.get_token(Wishes::default()).unwrap()));
    assert_eq!(asked(&authority), 52);
}

#[test]
fn breaker_stops_requests_of_all_users_of_failing_endpoint_and_of_no_other() {
    let (authority, endpoint) = server(HOUR);
    let (other, other_endpoint) = server(HOUR);
    authority.play_always(busy(500, None));
    let bench = bench(&endpoint);
    let users = users(&bench, 50);
    let failed = || users.iter().map(refused).filter(|error| error.status() == Status::Server).count();
    assert_eq!((failed(), asked(&authority)), (50, 5));
    bench.at(1);
    assert_eq!((failed(), asked(&authority)), (50, 6), "one probe");
    open(&format!("{other_endpoint};{}", bench.string), bench.process).get_token(Wishes::default()).unwrap();
    assert_eq!(asked(&other), 1);
    authority.play_always(Play::TokenAnswer(HOUR.to_owned()));
    bench.at(4);
    users.iter().for_each(|user| drop(user.get_token(Wishes::default()).unwrap()));
    assert_eq!(asked(&authority), 56);
}

#[test]
fn log_has_a_line_for_each_fetch_backoff_breaker_change_and_skew() {
    let (authority, endpoint) = server(HOUR);
    let bench = bench(&endpoint);
    let lines: Arc<Lines> = Arc::default();
    let log = || Log::new(Arc::<Lines>::clone(&lines), LogLevel::Info);
    bench.connection.set_log(log());
    let heard = |what: &dyn Fn()| {
        what();
        std::mem::take(&mut *lines.0.lock())
    };
    let get = || bench.connection.get_token(Wishes::default());
    assert_eq!(heard(&|| drop(get())), ["3 fetched a token (none is cached); it expires in 3600 s"]);
    bench.at(3550);
    assert_eq!(heard(&|| drop(get())), ["3 fetched a token (early renewal); it expires in 3600 s"]);
    bench.at(8000);
    authority.play_always(busy(500, None));
    let failed = heard(&|| drop(get()));
    assert_eq!(failed.len(), 2, "{failed:#?}");
    assert_eq!(failed[0], "3 this token is not requested again for 1.0 s");
    assert!(failed[1].starts_with("1 [authgrant][token] 127.0.0.1"), "{failed:#?}");
    let others = users(&bench, 5);
    others.iter().for_each(|other| other.set_log(log()));
    let breaker = heard(&|| others.iter().for_each(|other| drop(refused(other))));
    assert!(
        breaker
            .iter()
            .any(|line| line == "3 127.0.0.1 is sent no request for 1.0 s, as the last ones failed"),
        "{breaker:#?}"
    );
    bench.at(8001);
    authority.play_always(Play::TokenAnswer(HOUR.to_owned()));
    assert_eq!(
        heard(&|| drop(get())),
        [
            "3 127.0.0.1 is sent requests again",
            "3 fetched a token (the last request failed); it expires in 3600 s"
        ]
    );
    authority.play_always(busy(429, Some(30)));
    bench.at(20_000);
    let throttled = heard(&|| {
        drop(
            bench.connection.get_token(Wishes { timeout: Some(Duration::from_secs(5)), ..Wishes::default() }),
        )
    });
    assert_eq!(throttled[0], "3 127.0.0.1 is sent no request for 30 s, as it asked", "{throttled:#?}");
}

#[test]
fn stats_count_what_happened() {
    let (authority, endpoint) = server(HOUR);
    let bench = bench(&endpoint);
    let stats = || -> serde_json::Value { serde_json::from_str(&bench.process.stats_json()).unwrap() };
    let count = |name: &str| stats()[format!("authgrant_{name}")].as_u64().unwrap();
    let get = || bench.connection.get_token(Wishes::default());
    (0..10).for_each(|_| drop(get().unwrap()));
    let equal = bench.equal();
    (0..5).for_each(|_| drop(equal.get_token(Wishes::default()).unwrap()));
    assert_eq!((count("tokens_fetched_total"), count("token_cache_hits_total")), (1, 14));
    drop(equal);
    assert_eq!(count("token_cache_hits_total"), 14, "a closed connection's count is kept");
    assert_eq!((count("keys_opened_total"), count("cached_identities")), (1, 1));
    bench.at(5);
    (0..3).for_each(|_| drop(get().unwrap()));
    assert_eq!(count("token_cache_hits_total"), 17, "those that the slot no longer held are counted once");
    bench.at(3550);
    get().unwrap();
    assert_eq!((count("tokens_fetched_total"), count("early_renewals_total")), (2, 1));
    bench.at(8000);
    authority.play_always(busy(503, None));
    (0..4).for_each(|_| drop(refused(&bench.connection)));
    assert_eq!((count("retries_total"), count("negative_cache_hits_total")), (2, 3));
    assert_eq!(stats()["authgrant_fetch_failures_total"], json!({"AUTHGRANT_SERVER": 1}));
    assert_eq!(stats()["authgrant_fetch_duration_seconds"]["count"], 3);
    users(&bench, 5).iter().for_each(|user| drop(refused(user)));
    assert_eq!(count("breaker_openings_total"), 1);
    bench.at(9000);
    authority.play_always(busy(429, Some(30)));
    let hurry = Wishes { timeout: Some(Duration::from_secs(5)), ..Wishes::default() };
    bench.connection.get_token(hurry).unwrap_err();
    assert_eq!((count("throttled_total"), count("cache_evictions_total")), (1, 0));
}

#[test]
fn each_connection_is_told_its_own_consent_url_however_the_refusal_came() {
    let (authority, endpoint) = server(HOUR);
    authority.play_always(Play::Json {
        status: 400,
        body: json!({"error": "consent_required"}),
        headers: Vec::new(),
    });
    let bench = bench(&format!("Scope=a;{endpoint}"));
    let with = |more: &str| open(&format!("{more};{}", bench.string), bench.process);
    let auth = |host: &str| format!("AuthURI=https://{host}.example/auth;RedirectURI=http://localhost:3000");
    let urls = |connection: &Connection| {
        let error = refused(connection);
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
    assert_eq!(asked(&authority), 1, "one refusal for all");
}
