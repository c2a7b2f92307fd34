//! The audit callback (`authgrant_set_audit`), through the C API. Each test runs in its own process, because the callback
//! is that of the process.

#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;
use std::sync::{Mutex, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};

use authgrant::base::clock::parse_rfc3339;
use authgrant::ffi::audit::authgrant_set_audit;
use authgrant::ffi::authorize::authgrant_logoff;
use authgrant::ffi::connection::{authgrant_clear_caches, authgrant_get_token};
use authgrant::ffi::policy::{AUTHGRANT_ALLOW_TOKEN_CACHE, authgrant_set_policy};
use authgrant::ffi::status::*;
use authgrant::ffi::text::authgrant_version;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mock_server::{Behavior, Config, MockServer};
use serde_json::{Value, json};
use support::c_api::{Connection, Failure, collect_failures, get_token, open};
use support::tempdir::TestDir;
use support::{ISSUER, minimal_string, run_in_fresh_process, start_mock_server, stores};

static EVENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

extern "C" fn store_event(event: *const c_char, context: *mut c_void) {
    assert!(context.is_null());
    // SAFETY: the event is NUL-terminated.
    let event = unsafe { CStr::from_ptr(event) };
    EVENTS.lock().unwrap().push(event.to_str().unwrap().to_owned());
}

type AuditFn = extern "C" fn(*const c_char, *mut c_void);

fn set_audit(function: Option<AuditFn>) -> Vec<Failure> {
    let function = function.map(|function| function as unsafe extern "C" fn(_, _));
    collect_failures(|error| authgrant_set_audit(function, null_mut(), error))
}

/// The events so far, which are forgotten.
fn take_events() -> Vec<Value> {
    let events = std::mem::take(&mut *EVENTS.lock().unwrap());
    events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

/// The only event so far.
#[track_caller]
fn take_event() -> Value {
    let mut events = take_events();
    assert_eq!(events.len(), 1, "{events:#?}");
    events.remove(0)
}

/// Asserts that the event has these members.
#[track_caller]
fn assert_members(event: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(event.get(name).unwrap_or(&Value::Null), value, "{name} of {event:#}");
    }
}

/// The `jti` of a JWT.
fn jti(jwt: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["jti"].take()
}

fn json_response(status: u16, body: Value) -> Behavior {
    Behavior::Json { status, body, headers: Vec::new() }
}

#[test]
fn token_request_event_says_who_where_and_what() {
    run_in_fresh_process("token_request_event_says_who_where_and_what", || {
        let server = start_mock_server(Config::http());
        assert_eq!(set_audit(Some(store_event)), []);
        let dir = TestDir::new();
        let dsn =
            dir.write("sales.dsn", format!("[ODBC]\n{}", minimal_string(&server, "").replace(';', "\n")));
        let connection = open(&format!("FILEDSN={dsn}")).unwrap();
        assert!(take_events().is_empty());
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let token = connection.get_token().unwrap();
        let event = take_event();
        let assertion = server.token_requests()[0].parameter("assertion").unwrap();
        assert_members(
            &event,
            &json!({
                "event": "token_request",
                "pid": std::process::id(),
                // SAFETY: has no preconditions.
                "uid": unsafe { libc::geteuid() },
                "client": ISSUER,
                "subject": "jsmith@example.com",
                "data_source": format!("FILEDSN {dsn}"),
                "endpoint": server.url("/oauth/token"),
                "grant": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "jti": jti(&assertion),
                "status": "AUTHGRANT_OK",
                "sent": true,
                "http_status": 200,
                "oauth_error": null,
                "expires_in": 3600,
            }),
        );
        let time = event["time"].as_str().unwrap();
        assert!(time.len() == "2026-08-21T10:00:00.042Z".len() && time.ends_with('Z'), "{time}");
        let seconds = u64::try_from(parse_rfc3339(time).unwrap()).unwrap();
        assert!((before..before + 600).contains(&seconds), "{time}");
        assert!(event["duration_ms"].as_u64().unwrap() < 600_000, "{event:#}");
        let cache_key = event["cache_key"].as_str().unwrap();
        assert!(
            cache_key.len() == 16 && cache_key.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{cache_key}"
        );

        connection.get_token().unwrap();
        open(&format!("FILEDSN={dsn}")).unwrap().get_token().unwrap();
        assert!(take_events().is_empty(), "a cached token causes no event");

        connection.reject(&token);
        let rejection = take_event();
        let members = json!({
            "event": "rejection", "client": ISSUER, "subject": "jsmith@example.com", "cache_key": cache_key,
            "data_source": format!("FILEDSN {dsn}"), "status": null, "endpoint": null, "duration_ms": null,
        });
        assert_members(&rejection, &members);
    });
}

#[test]
fn failed_requests_and_retries_are_events() {
    run_in_fresh_process("failed_requests_and_retries_are_events", || {
        let server = start_mock_server(Config::http());
        assert_eq!(set_audit(Some(store_event)), []);
        let string = |scope: &str| minimal_string(&server, &format!("Scope={scope}"));
        server.set_script(vec![json_response(503, Value::Null), Behavior::Normal]);
        get_token(&string("a")).unwrap();
        let events = take_events();
        assert_eq!(events.len(), 2, "{events:#?}");
        assert_members(
            &events[0],
            &json!({"status": "AUTHGRANT_SERVER_ERROR", "http_status": 503, "expires_in": null}),
        );
        assert_members(&events[1], &json!({"status": "AUTHGRANT_OK", "http_status": 200}));
        assert!(events[0]["jti"].is_string() && events[0]["jti"] != events[1]["jti"], "{events:#?}");

        server.set_script(vec![json_response(400, json!({"error": "invalid_grant"}))]);
        get_token(&string("b")).unwrap_err();
        let members =
            json!({"status": "AUTHGRANT_DENIED", "http_status": 400, "oauth_error": "invalid_grant"});
        assert_members(&take_event(), &members);
        // The error is cached: no request.
        get_token(&string("b")).unwrap_err();
        assert!(take_events().is_empty());

        get_token("am=53;ClientID=c;ClientSecret=s;TokenEndpoint=https://127.0.0.1:1/t?key=hunter2")
            .unwrap_err();
        let event = take_event();
        let members = json!({
            "status": "AUTHGRANT_NETWORK", "sent": false, "http_status": null, "grant": "client_credentials",
            "client": "c", "subject": null, "endpoint": "https://127.0.0.1:1/t",
        });
        assert_members(&event, &members);
    });
}

/// A secret that the connections of [`connections_of_all_grants`] send, in their order.
const SENT_SECRETS: [&str; 6] = [
    "canary-header",
    "canary-client",
    "canary-parameter",
    "canary-password",
    "canary-refresh",
    "canary-code",
];

/// A connection of each grant, with the expected grant_type and identity.
fn connections_of_all_grants(server: &MockServer, round: usize) -> Vec<(Connection, Value)> {
    let store = stores::path("keytool.jks");
    // Each assertion is sent once per process.
    let assertion = format!("e30.eyJqdGkiOiJwcmVzaWduZWQifQ.canary-signature-{round}");
    let login = "am=51;AuthURI=https://as.example/a;RedirectURI=http://localhost:3000";
    let client = "ClientID=app;ClientSecret=canary-client";
    let grants = [
        (
            format!(
                "am=55;ClaimsIssuer=iss;ClaimsSubject=jo;JWTCertStore={store};JWTCertPassword=secret;{client}"
            ),
            json!({"grant": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client": "iss", "subject": "jo"}),
        ),
        (format!("am=53;{client}"), json!({"grant": "client_credentials", "client": "app"})),
        (
            format!("am=OAuth2-JWTClientAssertion;ClientID=app;ClientAssertion={assertion}"),
            json!({"grant": "client_credentials", "client": "app", "jti": "presigned"}),
        ),
        (
            format!("am=52;UID=jo;PWD=canary-password;{client}"),
            json!({"grant": "password", "client": "app", "subject": "jo"}),
        ),
        (
            format!("am=54;RefreshToken=canary-refresh;{client}"),
            json!({"grant": "refresh_token", "client": "app", "jti": null}),
        ),
        (
            format!("{login};OAuthCode=canary-code;{client}"),
            json!({"grant": "authorization_code", "client": "app"}),
        ),
    ];
    let common = format!(
        "TokenParameters=more=canary-parameter;AuthHeader=X-Key;SecurityToken=canary-header;\
         TokenEndpoint={}?key=canary-query;LogoffURI={}",
        server.url("/oauth/token"),
        server.url("/oauth/logoff")
    );
    grants
        .into_iter()
        .map(|(options, members)| (open(&format!("{options};{common}")).unwrap(), members))
        .collect()
}

/// The events of a token request of each grant, and, if the response is a token, of its revocation. Each grant has a
/// server of its own, so that no error of another one is cached.
fn events_of_all_grants(respond: impl Fn(&str) -> Behavior, round: usize) -> Vec<Value> {
    let mut all = Vec::new();
    for (grant, secret) in SENT_SECRETS.into_iter().enumerate() {
        let response = respond(secret);
        let is_ok = matches!(response, Behavior::Json { status: 200, .. });
        let server = start_mock_server(Config { logoff: json_response(200, json!({})), ..Config::http() });
        server.set_default_behavior(response);
        let (connection, members) = connections_of_all_grants(&server, round).swap_remove(grant);
        assert_eq!(connection.get_token().is_ok(), is_ok, "{members}");
        let events = take_events();
        assert!(!events.is_empty(), "{members}");
        for event in &events {
            assert_members(event, &members);
            assert_eq!(event["status"] == "AUTHGRANT_OK", is_ok, "{event:#}");
        }
        all.extend(events);
        if is_ok {
            all.extend(events_of_logoff(&connection, &members["client"], &server.url("/oauth/logoff")));
        }
        drop(connection);
        all.extend(take_events());
    }
    all
}

fn events_of_logoff(connection: &Connection, client: &Value, endpoint: &str) -> Vec<Value> {
    assert_eq!(collect_failures(|error| authgrant_logoff(connection.handle(), error)), []);
    let events = take_events();
    assert!(!events.is_empty(), "{client}");
    for event in &events {
        let members = json!({
            "event": "revocation", "status": "AUTHGRANT_OK", "http_status": 200, "sent": true,
            "endpoint": endpoint, "client": client,
        });
        assert_members(event, &members);
        assert!(
            ["refresh_token", "access_token"].contains(&event["token_type"].as_str().unwrap()),
            "{event:#}"
        );
    }
    events
}

#[test]
fn events_of_all_grants_contain_no_secret() {
    run_in_fresh_process("events_of_all_grants_contain_no_secret", || {
        let issued = json!({
            "access_token": "canary-access", "token_type": "Bearer", "expires_in": 60,
            "refresh_token": "canary-rotated", "id_token": "canary-id",
        });
        assert_eq!(set_audit(Some(store_event)), []);
        let mut events = events_of_all_grants(|_| json_response(200, issued.clone()), 0);
        // A server may echo what it received.
        let echo = |sent: &str| json!({"error": format!("sent {sent}"), "error_description": sent});
        events.extend(events_of_all_grants(|sent| json_response(400, echo(sent)), 1));
        events.extend(events_of_all_grants(|_| Behavior::Reset, 2));
        assert!(events.iter().any(|event| event["oauth_error"] == "sent ****"), "{events:#?}");
        for event in events {
            let text = event.to_string();
            assert!(!text.contains("canary") && text.len() <= 4096, "{text}");
        }
    });
}

#[test]
fn refused_revocation_and_end_session_are_events() {
    run_in_fresh_process("refused_revocation_and_end_session_are_events", || {
        let refusal = json_response(401, json!({"error": "invalid_client"}));
        let server = start_mock_server(Config { logoff: refusal, ..Config::http() });
        let answer = r#"{"access_token":"a","token_type":"Bearer","id_token":"i"}"#.to_owned();
        server.set_default_behavior(Behavior::TokenAnswer(answer));
        assert_eq!(set_audit(Some(store_event)), []);
        for (mode, kind) in [("Revoke", "revocation"), ("EndSession", "end_session")] {
            let logoff = format!("LogoffMode={mode};LogoffURI={}", server.url("/oauth/logoff"));
            let connection = open(&minimal_string(&server, &logoff)).unwrap();
            connection.get_token().unwrap();
            take_events();
            assert_eq!(collect_failures(|error| authgrant_logoff(connection.handle(), error)).len(), 1);
            let members = json!({
                "event": kind, "status": "AUTHGRANT_DENIED", "http_status": 401, "oauth_error": "invalid_client",
                "client": ISSUER, "expires_in": null,
            });
            assert_members(&take_event(), &members);
        }
    });
}

#[test]
fn use_of_shared_token_is_event() {
    run_in_fresh_process("use_of_shared_token_is_event", || {
        assert_eq!(collect_failures(|error| authgrant_set_policy(AUTHGRANT_ALLOW_TOKEN_CACHE, 0, error)), []);
        let server = start_mock_server(Config::http());
        let dir = TestDir::new();
        let store = format!("TokenCache=file:{};TokenCacheSecret={}", dir.path("store"), "s".repeat(40));
        std::fs::create_dir(dir.path("store")).unwrap();
        restrict_to_owner(&dir.path("store"));
        let connection = open(&minimal_string(&server, &store)).unwrap();
        assert_eq!(set_audit(Some(store_event)), []);
        connection.get_token().unwrap();
        assert_members(&take_event(), &json!({"event": "token_request"}));
        authgrant_clear_caches();
        connection.get_token().unwrap();
        let event = take_event();
        assert_members(&event, &json!({"event": "shared_token", "client": ISSUER, "status": null}));
        assert!(event["machine"].is_string(), "{event:#}");
        assert!((3000..=3600).contains(&event["expires_in"].as_i64().unwrap()), "{event:#}");
        assert_eq!(server.token_requests().len(), 1);
    });
}

fn restrict_to_owner(path: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn second_callback_is_refused_until_removal() {
    run_in_fresh_process("second_callback_is_refused_until_removal", || {
        let server = start_mock_server(Config::http());
        assert_eq!(set_audit(None), [], "there is none");
        assert_eq!(set_audit(Some(store_event)), []);
        let [failure] = &set_audit(Some(store_event))[..] else { panic!("the second callback was set") };
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY010"));
        get_token(&minimal_string(&server, "Scope=a")).unwrap();
        take_event();
        assert_eq!(set_audit(None), []);
        get_token(&minimal_string(&server, "Scope=b")).unwrap();
        assert!(take_events().is_empty());
        assert_eq!(set_audit(Some(store_event)), []);
        get_token(&minimal_string(&server, "Scope=c")).unwrap();
        take_event();
    });
}

static ENTERED: Mutex<Option<mpsc::Sender<()>>> = Mutex::new(None);
static PERMITTED: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);

/// Reports that it was called, and returns when it is permitted.
extern "C" fn blocking_callback(_: *const c_char, _: *mut c_void) {
    let (entered, permitted) = (ENTERED.lock().unwrap().take().unwrap(), PERMITTED.lock().unwrap().take());
    entered.send(()).unwrap();
    permitted.unwrap().recv().unwrap();
}

/// Runs `body` while another thread is in [`blocking_callback`], which returns after `body` has sent the permission.
fn with_callback_in_progress(body: impl FnOnce(mpsc::Sender<()>)) {
    let server = start_mock_server(Config::http());
    let (entered_sender, entered) = mpsc::channel();
    let (permit, permitted) = mpsc::channel();
    *ENTERED.lock().unwrap() = Some(entered_sender);
    *PERMITTED.lock().unwrap() = Some(permitted);
    assert_eq!(set_audit(Some(blocking_callback)), []);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| get_token(&minimal_string(&server, "")).unwrap().value());
        entered.recv().unwrap();
        body(permit);
        call.join().unwrap();
    });
}

#[test]
fn removal_waits_for_callback_in_progress() {
    run_in_fresh_process("removal_waits_for_callback_in_progress", || {
        with_callback_in_progress(|permit| {
            let (removed_sender, removed) = mpsc::channel();
            let removal = std::thread::spawn(move || removed_sender.send(set_audit(None)).unwrap());
            // The removal has begun when another callback can be set.
            while !set_audit(Some(store_event)).is_empty() {
                std::thread::yield_now();
            }
            assert!(removed.try_recv().is_err(), "the removal waits");
            permit.send(()).unwrap();
            assert_eq!(removed.recv().unwrap(), []);
            removal.join().unwrap();
        });
    });
}

/// Runs `body` in a forked child, and asserts that it returns true.
#[track_caller]
fn assert_in_child(body: impl FnOnce() -> bool) {
    // SAFETY: the child uses the library, which supports forking, and exits.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let is_ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
        // SAFETY: ends the child at once, without the exit handlers of the test program.
        unsafe { libc::_exit(if is_ok { 40 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `child` is a child of this process, and `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)), Some(40));
}

#[test]
fn forked_child_keeps_callback() {
    run_in_fresh_process("forked_child_keeps_callback", || {
        let server = start_mock_server(Config::http());
        assert_eq!(set_audit(Some(store_event)), []);
        let connection = open(&minimal_string(&server, "")).unwrap();
        connection.get_token().unwrap();
        let parent = take_event();
        assert_in_child(|| {
            connection.get_token().unwrap();
            let event = take_event();
            let is_own = event["pid"] == std::process::id() && event["cache_key"] != parent["cache_key"];
            is_own && set_audit(None).is_empty()
        });
        connection.get_token().unwrap();
        assert_eq!(set_audit(Some(store_event)).len(), 1, "the parent's callback remains");
    });
}

#[test]
fn forked_child_does_not_wait_for_calls_of_parent() {
    run_in_fresh_process("forked_child_does_not_wait_for_calls_of_parent", || {
        with_callback_in_progress(|permit| {
            assert_in_child(|| set_audit(None).is_empty() && set_audit(Some(store_event)).is_empty());
            permit.send(()).unwrap();
        });
    });
}

extern "C" fn calling_callback(event: *const c_char, context: *mut c_void) {
    store_event(event, context);
    let mut token = null_mut();
    for status in [
        authgrant_set_audit(None, null_mut(), null_mut()),
        authgrant_get_token(null_mut(), &raw mut token, null_mut()),
    ] {
        assert_eq!(status, AUTHGRANT_INVALID_ARGUMENT);
    }
    assert!(!authgrant_version().is_null());
}

#[test]
fn only_getters_work_inside_callback() {
    run_in_fresh_process("only_getters_work_inside_callback", || {
        let server = start_mock_server(Config::http());
        assert_eq!(set_audit(Some(calling_callback)), []);
        get_token(&minimal_string(&server, "Scope=a")).unwrap();
        get_token(&minimal_string(&server, "Scope=b")).unwrap();
        assert_eq!(take_events().len(), 2, "the callback was not removed");
    });
}
