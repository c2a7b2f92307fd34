//! `authgrant_test_connection`.

use std::io::Read;
use std::net::TcpListener;

use authgrant::ffi::status::*;
use mock_server::{Behavior, Config, MockServer};
use serde_json::{Value, json};

use super::environment::TestHome;
use super::fake_api::{FakeApi, http_response};
use super::parse_report;
use crate::support::c_api::{Connection, open};
use crate::support::{minimal_string, start_mock_server, stores};

#[track_caller]
fn run_test(connection: &Connection) -> Value {
    parse_report(&connection.test().unwrap())
}

fn response_statuses(report: &Value) -> Vec<i64> {
    let answers = report["sample"]["answers"].as_array().unwrap();
    answers.iter().map(|answer| answer["status"].as_i64().unwrap()).collect()
}

/// A token as it is, for the API at `url`.
fn open_with_preset_token(url: &str) -> Connection {
    open(&format!("am=50;AccessToken=the.token/of+mine;RestSamplePath={url}")).unwrap()
}

fn last_issued_token(authority: &MockServer) -> String {
    authority.issued_tokens().last().unwrap().clone()
}

#[test]
fn accepted_token_is_reported_with_origin() {
    let authority = start_mock_server(Config::https());
    let more = format!("ah=X-Tenant;st=tenant value;HealthURI={}?deep=1", authority.url("/api/whoami"));
    let connection = open(&minimal_string(&authority, &more)).unwrap();
    let report = run_test(&connection);
    assert_eq!((&report["ok"], response_statuses(&report)), (&json!(true), vec![200]), "{report:#}");
    assert_eq!(report["token"]["from"], "token endpoint");
    assert!(report["token"]["expires_in"].as_i64().unwrap() > 0, "{report:#}");
    assert_eq!(report["headers"], json!(["Authorization", "X-Tenant"]));
    let sample = &report["sample"];
    assert_eq!((&sample["option"], &sample["method"]), (&json!("HealthURI"), &json!("GET")));
    assert_eq!(sample["url"], format!("{}?****", authority.url("/api/whoami")));
    let one = &sample["answers"][0];
    assert!(
        one["bytes"].as_u64().unwrap() > 20 && one["ms"].is_u64() && one.get("body").is_none(),
        "{one:#}"
    );
    let asked = authority.requests().into_iter().find(|one| one.path == "/api/whoami").unwrap();
    let header = |name: &str| asked.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    assert_eq!(header("authorization").unwrap().1, format!("Bearer {}", last_issued_token(&authority)));
    assert_eq!((header("x-tenant").unwrap().1.as_str(), asked.query.as_str()), ("tenant value", "deep=1"));
    let again = parse_report(&connection.test().unwrap());
    assert_eq!((&again["token"]["from"], authority.issued_tokens().len()), (&json!("cache"), 1));
}

#[test]
fn test_bypasses_negative_cache() {
    let authority = start_mock_server(Config::http());
    authority.require_consent("jsmith@example.com");
    let connection = open(&minimal_string(&authority, "")).unwrap();
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_CONSENT_REQUIRED);
    }
    assert_eq!(authority.token_requests().len(), 1, "the second one was answered from memory");
    assert_eq!(connection.test().unwrap_err().status, AUTHGRANT_CONSENT_REQUIRED);
    assert_eq!(authority.token_requests().len(), 2);
}

#[test]
fn rejected_token_is_replaced_once() {
    let authority = start_mock_server(Config::http());
    let more = format!("RestSamplePath={}", authority.url("/api/whoami"));
    let connection = open(&minimal_string(&authority, &more)).unwrap();
    let first = connection.get_token().unwrap().value();
    authority.revoke(&first);
    let report = run_test(&connection);
    assert_eq!((&report["ok"], response_statuses(&report)), (&json!(true), vec![401, 200]), "{report:#}");
    assert_eq!((&report["token"]["from"], authority.issued_tokens().len()), (&json!("cache"), 2));
    let refused = &report["sample"]["answers"][0];
    assert_eq!(refused["www_authenticate"], "Bearer error=\"invalid_token\"");
    assert!(refused["body"].as_str().unwrap().contains("the token is unknown"), "{refused:#}");
    assert_ne!(connection.get_token().unwrap().value(), first);
}

#[test]
fn always_rejecting_api_is_called_twice() {
    let authority = start_mock_server(Config::http());
    let api = FakeApi::with_responses(vec![
        http_response("401 Unauthorized", "", "no"),
        http_response("401 Unauthorized", "", "never"),
    ]);
    let more = format!("RestSamplePath={}", api.url("/me"));
    let report = run_test(&open(&minimal_string(&authority, &more)).unwrap());
    assert_eq!((&report["ok"], response_statuses(&report)), (&json!(false), vec![401, 401]), "{report:#}");
    assert_eq!(report["sample"]["answers"][1]["body"], "never");
    let tokens: Vec<_> =
        api.into_request_heads().iter().map(|head| head.lines().skip(1).collect::<String>()).collect();
    assert!(
        tokens[0].contains(&authority.issued_tokens()[0])
            && tokens[1].contains(&authority.issued_tokens()[1]),
        "{tokens:?}"
    );
}

#[test]
fn api_response_is_redacted() {
    let long =
        format!("{} {{request}} canary-of-the-store \u{1b}[31m\u{202e} {}", "x".repeat(30), "y".repeat(2000));
    let api = FakeApi::with_responses(vec![http_response(
        "401 Unauthorized",
        "WWW-Authenticate: Bearer realm=\"canary-of-the-header\"\r\n",
        &long,
    )]);
    let connection = open_with_preset_token(&api.url("/me"));
    for (name, value) in [
        ("AuthHeader", "X-Key"),
        ("SecurityToken", "canary-of-the-header"),
        ("JWTCertPassword", "canary-of-the-store"),
    ] {
        connection.set_option(name, value).unwrap();
    }
    let text = connection.test().unwrap();
    assert!(!text.contains("canary") && !text.contains("the.token"), "{text}");
    let report = parse_report(&text);
    let one = &report["sample"]["answers"][0];
    assert_eq!(one["www_authenticate"], "Bearer realm=\"****\"");
    let body = one["body"].as_str().unwrap();
    assert_eq!(body.chars().count(), 500);
    assert!(body.contains("x GET /me HTTP/1.1") && body.contains("authorization: ****"), "{body}");
    assert!(body.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{body}");
    assert!(one["bytes"].as_u64().unwrap() > 2000);
    // A token that the user gave cannot be replaced: that is said, and what the API said stays.
    assert_eq!(report["sample"]["renewal"]["name"], "AUTHGRANT_TOKEN_EXPIRED", "{report:#}");
    api.into_request_heads();
}

#[test]
fn model_status_triggers_reauthentication() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.rest");
    std::fs::write(&model, r##"{"#http": [{"#code": 419, "#action": "REAUTHENTICATE"}]}"##).unwrap();
    for (named, asked) in [(true, vec![419, 200]), (false, vec![419])] {
        let authority = start_mock_server(Config::http());
        let api = FakeApi::with_responses(
            asked.iter().map(|status| http_response(&format!("{status} Whatever"), "", "{}")).collect(),
        );
        let model = if named { format!("RestConfigFile={};", model.display()) } else { String::new() };
        let more = format!("{model}RestSamplePath={}", api.url("/me"));
        let report = run_test(&open(&minimal_string(&authority, &more)).unwrap());
        assert_eq!(response_statuses(&report), asked, "{report:#}");
        api.into_request_heads();
    }
}

#[test]
fn redirect_is_reported_and_not_followed() {
    let api = FakeApi::with_responses(vec![http_response(
        "302 Found",
        "Location: https://login.example/?back=the.token/of+mine\r\n",
        "",
    )]);
    let report = run_test(&open_with_preset_token(&api.url("/me")));
    assert_eq!((&report["ok"], response_statuses(&report)), (&json!(false), vec![302]));
    assert_eq!(report["sample"]["answers"][0]["location"], "https://login.example/?****");
    assert!(report["message"].as_str().unwrap().contains("a redirect, which is not followed"), "{report:#}");
    api.into_request_heads();
}

#[test]
fn unreachable_api_is_reported_not_failed() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = run_test(&open_with_preset_token(&format!("http://{free}/me")));
    assert_eq!((&report["ok"], &report["sample"]["answers"]), (&json!(false), &json!([])));
    let error = &report["sample"]["error"];
    assert_eq!(
        (&error["name"], &error["sqlstate"]),
        (&json!("AUTHGRANT_NETWORK"), &json!("08001")),
        "{report:#}"
    );
    assert_eq!(report["token"]["from"], "given");
}

#[test]
fn long_api_response_is_truncated() {
    let api = FakeApi::with_responses(vec![http_response("200 OK", "", &"z".repeat((1 << 20) + 100_000))]);
    let report = run_test(&open_with_preset_token(&api.url("/me")));
    let one = &report["sample"]["answers"][0];
    assert_eq!((&one["status"], &one["cut"]), (&json!(200), &json!(true)), "{report:#}");
    assert!((1 << 19..=1 << 20).contains(&one["bytes"].as_u64().unwrap()), "{one}");
}

#[test]
fn missing_test_endpoint_fetches_token_only() {
    let authority = start_mock_server(Config::http());
    let report = run_test(&open(&minimal_string(&authority, "")).unwrap());
    assert_eq!((&report["ok"], report.get("sample")), (&json!(true), None));
    let message = report["message"].as_str().unwrap();
    assert!(message.contains("neither HealthURI nor RestSamplePath"), "{message}");
    assert_eq!(authority.issued_tokens().len(), 1);
}

#[test]
fn tokenless_method_sends_headers() {
    let api = FakeApi::with_responses(vec![http_response("401 Unauthorized", "", "who?")]);
    let string = format!("am=0;UID=me;PWD=hunter2;RestSamplePath={}", api.url("/me"));
    let text = open(&string).unwrap().test().unwrap();
    let report = parse_report(&text);
    assert_eq!((response_statuses(&report), report.get("token")), (vec![401], None), "{report:#}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(api.into_request_heads()[0].contains("Basic bWU6aHVudGVyMg=="));
}

#[test]
fn rejected_signed_jwt_is_signed_again() {
    let api = FakeApi::with_responses(vec![
        http_response("401 Unauthorized", "", ""),
        http_response("204 No Content", "", ""),
    ]);
    let string =
        format!("am=JWT;ClaimsIssuer=me;JWTCertStore={};rsp={}", stores::ec_key_path(), api.url("/me"));
    let report = run_test(&open(&string).unwrap());
    assert_eq!(
        (response_statuses(&report), &report["token"]["from"]),
        (vec![401, 204], &json!("signed here"))
    );
    let asked = api.into_request_heads();
    assert_ne!(asked[0], asked[1]);
}

#[test]
fn token_failure_is_call_error() {
    let authority = start_mock_server(Config::http());
    let string = minimal_string(&authority, &format!("HealthURI={}", authority.url("/api/whoami")));
    let failure = open(&string.replace("ClaimsIssuer=", "ClaimsIssuer=x")).unwrap().test().unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_DENIED, "{failure:?}");
    let failure = open("am=55").unwrap().test().unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_MISSING_OPTION, "{failure:?}");
    assert!(authority.requests().iter().all(|one| one.path != "/api/whoami"));
}

#[test]
fn relative_path_is_resolved_against_host() {
    let authority = start_mock_server(Config::http());
    let ok = |more: &str| run_test(&open(&minimal_string(&authority, more)).unwrap())["ok"] == true;
    assert!(ok(&format!("HostName=http://127.0.0.1:{};RestSamplePath=/api/whoami", authority.port())));
    assert!(ok(&format!("HostName=http://localhost;PortNumber={};rsp=api/whoami", authority.port())));
    let before = authority.requests().len();
    for (more, status, word) in [
        ("RestSamplePath=/api/whoami", AUTHGRANT_MISSING_OPTION, "HostName"),
        ("HealthURI=http://api.example/", AUTHGRANT_INVALID_OPTION, "HealthURI"),
    ] {
        let failure = open(&minimal_string(&authority, more)).unwrap().test().unwrap_err();
        assert_eq!((failure.status, failure.message.contains(word)), (status, true), "{failure:?}");
    }
    assert_eq!(authority.requests().len(), before, "a token that cannot be shown to anybody is not fetched");
}

#[test]
fn untrusted_string_cannot_redirect_dsn_token() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = api.local_addr().unwrap();
    let place = TestHome::with_user_ini(
        "[a]\nAuthenticationMethod=50\nAccessToken=hidden\nRestSamplePath=/me\n\
         [b]\nAuthenticationMethod=50\nAccessToken=hidden\nRestSamplePath=/me\nHostName=http://127.0.0.1\n",
    );
    for (string, option) in [
        (format!("DSN=a;RestSamplePath=http://{elsewhere}/me"), "RestSamplePath"),
        (format!("DSN=a;HealthURI=http://{elsewhere}/me"), "HealthURI"),
        (format!("DSN=a;HostName=http://{elsewhere}"), "HostName"),
        (format!("DSN=b;PortNumber={}", elsewhere.port()), "PortNumber"),
    ] {
        let connection = place.open(&string);
        let failure = connection.test().unwrap_err();
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_INVALID_OPTION, Some(option)),
            "{failure:?}"
        );
        let found = parse_report(&connection.validate());
        assert!(found["problems"].to_string().contains(&format!("\"option\":\"{option}\"")), "{found:#}");
    }
    // The driver may be told another host: that alone is no affair of the token's.
    place.open("DSN=a;HostName=other.example").get_token().unwrap();
    api.set_nonblocking(true).unwrap();
    assert!(api.accept().is_err(), "nobody came");
}

#[test]
fn cancelled_test_has_no_report() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = open_with_preset_token(&format!("http://{}/me", api.local_addr().unwrap()));
    let failure = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = api.accept().unwrap();
            stream.read_exact(&mut [0]).unwrap();
            connection.cancel();
        });
        connection.test().unwrap_err()
    });
    assert_eq!(failure.status, AUTHGRANT_CANCELLED, "{failure:?}");
}

#[test]
fn silent_api_times_out() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection =
        open_with_preset_token(&format!("http://{}/me;LoginTimeout=1", api.local_addr().unwrap()));
    let error = &run_test(&connection)["sample"]["error"];
    assert_eq!(
        (&error["name"], &error["sqlstate"]),
        (&json!("AUTHGRANT_TIMEOUT"), &json!("HYT00")),
        "{error}"
    );
}

#[test]
fn previous_token_and_query_are_redacted() {
    let api = FakeApi::with_responses(vec![
        http_response("401 Unauthorized", "", ""),
        http_response("401 Unauthorized", "", "you sent the.first.token and then {request}"),
    ]);
    let authority = start_mock_server(Config::http());
    let token = |token: &str| {
        Behavior::TokenAnswer(json!({"access_token": token, "token_type": "Bearer"}).to_string())
    };
    authority.set_script(vec![token("the.first.token"), token("the.second.token")]);
    let connection =
        open(&minimal_string(&authority, &format!("RestSamplePath={}", api.url("/me?key=hunter2")))).unwrap();
    let text = connection.test().unwrap();
    assert!(text.contains("you sent **** and then GET /me?**** HTTP/1.1"), "{text}");
    assert!(!text.contains("first.token") && !text.contains("second") && !text.contains("hunter2"), "{text}");
    api.into_request_heads();
}

#[test]
fn closed_idle_connection_is_retried() {
    let authority = start_mock_server(Config::http());
    authority.set_script(vec![Behavior::CloseAfterAnswer]);
    let more = format!("RestSamplePath={}", authority.url("/api/whoami"));
    let report = run_test(&open(&minimal_string(&authority, &more)).unwrap());
    assert_eq!((&report["ok"], response_statuses(&report)), (&json!(true), vec![200]), "{report:#}");
}
