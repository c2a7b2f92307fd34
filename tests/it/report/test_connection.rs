//! Connection test (`authgrant_test_connection`): token, request to the API and its responses.

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
    let responses = report["sample"]["answers"].as_array().unwrap();
    responses.iter().map(|response| response["status"].as_i64().unwrap()).collect()
}

/// A connection with a preset token for the API at `url`.
fn open_with_preset_token(url: &str) -> Connection {
    open(&format!("am=50;AccessToken=the.token/of+mine;RestSamplePath={url}")).unwrap()
}

fn last_issued_token(server: &MockServer) -> String {
    server.issued_tokens().last().unwrap().clone()
}

#[test]
fn accepted_token_is_reported_with_origin() {
    let server = start_mock_server(Config::https());
    let options = format!("ah=X-Tenant;st=tenant value;HealthURI={}?deep=1", server.url("/api/whoami"));
    let connection = open(&minimal_string(&server, &options)).unwrap();
    let report = run_test(&connection);
    assert_eq!((&report["ok"], response_statuses(&report)), (&json!(true), vec![200]), "{report:#}");
    assert_eq!(report["token"]["from"], "token endpoint");
    assert!(report["token"]["expires_in"].as_i64().unwrap() > 0, "{report:#}");
    assert_eq!(report["headers"], json!(["Authorization", "X-Tenant"]));
    let sample = &report["sample"];
    assert_eq!((&sample["option"], &sample["method"]), (&json!("HealthURI"), &json!("GET")));
    assert_eq!(sample["url"], format!("{}?****", server.url("/api/whoami")));
    let response = &sample["answers"][0];
    assert!(
        response["bytes"].as_u64().unwrap() > 20 && response["ms"].is_u64() && response.get("body").is_none(),
        "{response:#}"
    );
    let api_request = server.requests().into_iter().find(|request| request.path == "/api/whoami").unwrap();
    let header = |name: &str| api_request.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    assert_eq!(header("authorization").unwrap().1, format!("Bearer {}", last_issued_token(&server)));
    assert_eq!(
        (header("x-tenant").unwrap().1.as_str(), api_request.query.as_str()),
        ("tenant value", "deep=1")
    );
    let second = parse_report(&connection.test().unwrap());
    assert_eq!((&second["token"]["from"], server.issued_tokens().len()), (&json!("cache"), 1));
}

#[test]
fn test_bypasses_negative_cache() {
    let server = start_mock_server(Config::http());
    server.require_consent("jsmith@example.com");
    let connection = open(&minimal_string(&server, "")).unwrap();
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_CONSENT_REQUIRED);
    }
    assert_eq!(server.token_requests().len(), 1, "the second error comes from the negative cache");
    assert_eq!(connection.test().unwrap_err().status, AUTHGRANT_CONSENT_REQUIRED);
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn rejected_token_is_replaced_once() {
    let server = start_mock_server(Config::http());
    let options = format!("RestSamplePath={}", server.url("/api/whoami"));
    let connection = open(&minimal_string(&server, &options)).unwrap();
    let first = connection.get_token().unwrap().value();
    server.revoke(&first);
    let report = run_test(&connection);
    assert_eq!((&report["ok"], response_statuses(&report)), (&json!(true), vec![401, 200]), "{report:#}");
    assert_eq!((&report["token"]["from"], server.issued_tokens().len()), (&json!("cache"), 2));
    let rejection = &report["sample"]["answers"][0];
    assert_eq!(rejection["www_authenticate"], "Bearer error=\"invalid_token\"");
    assert!(rejection["body"].as_str().unwrap().contains("invalid_token"), "{rejection:#}");
    assert_ne!(connection.get_token().unwrap().value(), first);
}

#[test]
fn always_rejecting_api_is_called_twice() {
    let server = start_mock_server(Config::http());
    let api = FakeApi::with_responses(vec![
        http_response("401 Unauthorized", "", "no"),
        http_response("401 Unauthorized", "", "never"),
    ]);
    let options = format!("RestSamplePath={}", api.url("/me"));
    let report = run_test(&open(&minimal_string(&server, &options)).unwrap());
    assert_eq!((&report["ok"], response_statuses(&report)), (&json!(false), vec![401, 401]), "{report:#}");
    assert_eq!(report["sample"]["answers"][1]["body"], "never");
    let tokens: Vec<_> =
        api.into_request_heads().iter().map(|head| head.lines().skip(1).collect::<String>()).collect();
    assert!(
        tokens[0].contains(&server.issued_tokens()[0]) && tokens[1].contains(&server.issued_tokens()[1]),
        "{tokens:?}"
    );
}

#[test]
fn compressed_api_response_keeps_status_and_challenge() {
    let headers = "WWW-Authenticate: Bearer scope=\"a\"\r\nContent-Encoding: gzip\r\n";
    let api = FakeApi::with_responses(vec![http_response("403 Forbidden", headers, "not text")]);
    let connection = open_with_preset_token(&api.url("/me"));
    let report = run_test(&connection);
    assert_eq!(response_statuses(&report), [403]);
    let response = &report["sample"]["answers"][0];
    assert_eq!(response["www_authenticate"], "Bearer scope=\"a\"");
    assert_eq!((&response["bytes"], response.get("body")), (&json!(8), None), "{report:#}");
}

#[test]
fn api_response_is_redacted() {
    let long_body =
        format!("{} {{request}} canary-of-the-store \u{1b}[31m\u{202e} {}", "x".repeat(30), "y".repeat(2000));
    let api = FakeApi::with_responses(vec![http_response(
        "401 Unauthorized",
        "WWW-Authenticate: Bearer realm=\"canary-of-the-header\"\r\n",
        &long_body,
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
    let response = &report["sample"]["answers"][0];
    assert_eq!(response["www_authenticate"], "Bearer realm=\"****\"");
    let body = response["body"].as_str().unwrap();
    assert_eq!(body.chars().count(), 500);
    assert!(body.contains("x GET /me HTTP/1.1") && body.contains("authorization: ****"), "{body}");
    assert!(body.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{body}");
    assert!(response["bytes"].as_u64().unwrap() > 2000);
    // A preset token cannot be replaced. The report contains that error in addition to the response.
    assert_eq!(report["sample"]["renewal"]["name"], "AUTHGRANT_TOKEN_EXPIRED", "{report:#}");
    api.into_request_heads();
}

#[test]
fn model_status_triggers_reauthentication() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.rest");
    std::fs::write(&model, r##"{"#http": [{"#code": 419, "#action": "REAUTHENTICATE"}]}"##).unwrap();
    for (has_model, statuses) in [(true, vec![419, 200]), (false, vec![419])] {
        let server = start_mock_server(Config::http());
        let api = FakeApi::with_responses(
            statuses.iter().map(|status| http_response(&format!("{status} Whatever"), "", "{}")).collect(),
        );
        let model = if has_model { format!("RestConfigFile={};", model.display()) } else { String::new() };
        let options = format!("{model}RestSamplePath={}", api.url("/me"));
        let report = run_test(&open(&minimal_string(&server, &options)).unwrap());
        assert_eq!(response_statuses(&report), statuses, "{report:#}");
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
    let message = report["message"].as_str().unwrap();
    assert!(message.contains("302") && message.contains("redirect"), "{message}");
    api.into_request_heads();
}

#[test]
fn unreachable_api_is_reported_not_failed() {
    let closed_address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = run_test(&open_with_preset_token(&format!("http://{closed_address}/me")));
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
    let response = &report["sample"]["answers"][0];
    assert_eq!((&response["status"], &response["cut"]), (&json!(200), &json!(true)), "{report:#}");
    assert!((1 << 19..=1 << 20).contains(&response["bytes"].as_u64().unwrap()), "{response}");
}

#[test]
fn missing_test_endpoint_fetches_token_only() {
    let server = start_mock_server(Config::http());
    let report = run_test(&open(&minimal_string(&server, "")).unwrap());
    assert_eq!((&report["ok"], report.get("sample")), (&json!(true), None));
    let message = report["message"].as_str().unwrap();
    assert!(message.contains("HealthURI") && message.contains("RestSamplePath"), "{message}");
    assert_eq!(server.issued_tokens().len(), 1);
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
    let heads = api.into_request_heads();
    assert_ne!(heads[0], heads[1]);
}

#[test]
fn token_failure_is_call_error() {
    let server = start_mock_server(Config::http());
    let string = minimal_string(&server, &format!("HealthURI={}", server.url("/api/whoami")));
    let failure = open(&string.replace("ClaimsIssuer=", "ClaimsIssuer=x")).unwrap().test().unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_DENIED, "{failure:?}");
    let failure = open("am=55").unwrap().test().unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_MISSING_OPTION, "{failure:?}");
    assert!(server.requests().iter().all(|request| request.path != "/api/whoami"));
}

#[test]
fn relative_path_is_resolved_against_host() {
    let server = start_mock_server(Config::http());
    let succeeds = |options: &str| run_test(&open(&minimal_string(&server, options)).unwrap())["ok"] == true;
    assert!(succeeds(&format!("HostName=http://127.0.0.1:{};RestSamplePath=/api/whoami", server.port())));
    assert!(succeeds(&format!("HostName=http://localhost;PortNumber={};rsp=api/whoami", server.port())));
    let before = server.requests().len();
    for (options, status, named_option) in [
        ("RestSamplePath=/api/whoami", AUTHGRANT_MISSING_OPTION, "HostName"),
        ("HealthURI=http://api.example/", AUTHGRANT_INVALID_OPTION, "HealthURI"),
    ] {
        let failure = open(&minimal_string(&server, options)).unwrap().test().unwrap_err();
        assert_eq!(failure.status, status, "{failure:?}");
        assert!(failure.message.contains(named_option), "{failure:?}");
    }
    assert_eq!(server.requests().len(), before, "a token that cannot be tested is not requested");
}

#[test]
fn untrusted_string_cannot_redirect_dsn_token() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let other_address = api.local_addr().unwrap();
    let home = TestHome::with_user_ini(
        "[a]\nAuthenticationMethod=50\nAccessToken=hidden\nRestSamplePath=/me\n\
         [b]\nAuthenticationMethod=50\nAccessToken=hidden\nRestSamplePath=/me\nHostName=http://127.0.0.1\n",
    );
    for (string, option) in [
        (format!("DSN=a;RestSamplePath=http://{other_address}/me"), "RestSamplePath"),
        (format!("DSN=a;HealthURI=http://{other_address}/me"), "HealthURI"),
        (format!("DSN=a;HostName=http://{other_address}"), "HostName"),
        (format!("DSN=b;PortNumber={}", other_address.port()), "PortNumber"),
    ] {
        let connection = home.open(&string);
        let failure = connection.test().unwrap_err();
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_INVALID_OPTION, Some(option)),
            "{failure:?}"
        );
        let report = parse_report(&connection.validate());
        assert!(report["problems"].to_string().contains(&format!("\"option\":\"{option}\"")), "{report:#}");
    }
    // HostName alone is for the driver and does not redirect the token.
    home.open("DSN=a;HostName=other.example").get_token().unwrap();
    api.set_nonblocking(true).unwrap();
    assert!(api.accept().is_err(), "no request was sent");
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
    let server = start_mock_server(Config::http());
    let token = |token: &str| {
        Behavior::TokenAnswer(json!({"access_token": token, "token_type": "Bearer"}).to_string())
    };
    server.set_script(vec![token("the.first.token"), token("the.second.token")]);
    let connection =
        open(&minimal_string(&server, &format!("RestSamplePath={}", api.url("/me?key=hunter2")))).unwrap();
    let text = connection.test().unwrap();
    assert!(text.contains("you sent **** and then GET /me?**** HTTP/1.1"), "{text}");
    assert!(!text.contains("first.token") && !text.contains("second") && !text.contains("hunter2"), "{text}");
    api.into_request_heads();
}

#[test]
fn closed_idle_connection_is_retried() {
    let server = start_mock_server(Config::http());
    server.set_script(vec![Behavior::CloseAfterAnswer]);
    let options = format!("RestSamplePath={}", server.url("/api/whoami"));
    let report = run_test(&open(&minimal_string(&server, &options)).unwrap());
    assert_eq!((&report["ok"], response_statuses(&report)), (&json!(true), vec![200]), "{report:#}");
}
