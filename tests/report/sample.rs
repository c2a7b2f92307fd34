//! `authgrant_test`.

use std::io::Read;
use std::net::TcpListener;

use authgrant::ffi::status::*;
use authority::{Authority, Config, Play};
use serde_json::{Value, json};

use crate::api::{Api, answer};
use crate::read;
use crate::support::c_api::{Connection, open};
use crate::support::{authority, short_string, stores};
use crate::surroundings::Place;

#[track_caller]
fn report(connection: &Connection) -> Value {
    read(&connection.test().unwrap())
}

fn statuses(report: &Value) -> Vec<i64> {
    let answers = report["sample"]["answers"].as_array().unwrap();
    answers.iter().map(|answer| answer["status"].as_i64().unwrap()).collect()
}

/// A token as it is, for the API at `url`.
fn given(url: &str) -> Connection {
    open(&format!("am=50;AccessToken=the.token/of+mine;RestSamplePath={url}")).unwrap()
}

fn issued(authority: &Authority) -> String {
    authority.issued().last().unwrap().clone()
}

#[test]
fn a_token_that_the_api_takes_is_reported_with_where_it_came_from() {
    let authority = authority(Config::https());
    let more = format!("ah=X-Tenant;st=tenant value;HealthURI={}?deep=1", authority.url("/api/whoami"));
    let connection = open(&short_string(&authority, &more)).unwrap();
    let report = report(&connection);
    assert_eq!((&report["ok"], statuses(&report)), (&json!(true), vec![200]), "{report:#}");
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
    assert_eq!(header("authorization").unwrap().1, format!("Bearer {}", issued(&authority)));
    assert_eq!((header("x-tenant").unwrap().1.as_str(), asked.query.as_str()), ("tenant value", "deep=1"));
    let again = read(&connection.test().unwrap());
    assert_eq!((&again["token"]["from"], authority.issued().len()), (&json!("cache"), 1));
}

#[test]
fn a_test_asks_the_server_although_it_refused_a_moment_ago() {
    let authority = authority(Config::http());
    authority.require_consent("jsmith@example.com");
    let connection = open(&short_string(&authority, "")).unwrap();
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_CONSENT_REQUIRED);
    }
    assert_eq!(authority.token_requests().len(), 1, "the second one was answered from memory");
    assert_eq!(connection.test().unwrap_err().status, AUTHGRANT_CONSENT_REQUIRED);
    assert_eq!(authority.token_requests().len(), 2);
}

#[test]
fn a_token_that_the_api_refuses_is_replaced_once() {
    let authority = authority(Config::http());
    let more = format!("RestSamplePath={}", authority.url("/api/whoami"));
    let connection = open(&short_string(&authority, &more)).unwrap();
    let first = connection.get_token().unwrap().value();
    authority.revoke(&first);
    let report = report(&connection);
    assert_eq!((&report["ok"], statuses(&report)), (&json!(true), vec![401, 200]), "{report:#}");
    assert_eq!((&report["token"]["from"], authority.issued().len()), (&json!("cache"), 2));
    let refused = &report["sample"]["answers"][0];
    assert_eq!(refused["www_authenticate"], "Bearer error=\"invalid_token\"");
    assert!(refused["body"].as_str().unwrap().contains("the token is unknown"), "{refused:#}");
    assert_ne!(connection.get_token().unwrap().value(), first);
}

#[test]
fn an_api_that_refuses_every_token_is_asked_twice() {
    let authority = authority(Config::http());
    let api =
        Api::answering(vec![answer("401 Unauthorized", "", "no"), answer("401 Unauthorized", "", "never")]);
    let more = format!("RestSamplePath={}", api.url("/me"));
    let report = report(&open(&short_string(&authority, &more)).unwrap());
    assert_eq!((&report["ok"], statuses(&report)), (&json!(false), vec![401, 401]), "{report:#}");
    assert_eq!(report["sample"]["answers"][1]["body"], "never");
    let tokens: Vec<_> = api.asked().iter().map(|head| head.lines().skip(1).collect::<String>()).collect();
    assert!(
        tokens[0].contains(&authority.issued()[0]) && tokens[1].contains(&authority.issued()[1]),
        "{tokens:?}"
    );
}

#[test]
fn neither_the_token_nor_a_secret_is_in_what_the_api_said() {
    let long =
        format!("{} {{request}} canary-of-the-store \u{1b}[31m\u{202e} {}", "x".repeat(30), "y".repeat(2000));
    let api = Api::answering(vec![answer(
        "401 Unauthorized",
        "WWW-Authenticate: Bearer realm=\"canary-of-the-header\"\r\n",
        &long,
    )]);
    let connection = given(&api.url("/me"));
    for (name, value) in [
        ("AuthHeader", "X-Key"),
        ("SecurityToken", "canary-of-the-header"),
        ("JWTCertPassword", "canary-of-the-store"),
    ] {
        connection.set_option(name, value).unwrap();
    }
    let text = connection.test().unwrap();
    assert!(!text.contains("canary") && !text.contains("the.token"), "{text}");
    let report = read(&text);
    let one = &report["sample"]["answers"][0];
    assert_eq!(one["www_authenticate"], "Bearer realm=\"****\"");
    let body = one["body"].as_str().unwrap();
    assert_eq!(body.chars().count(), 500);
    assert!(body.contains("x GET /me HTTP/1.1") && body.contains("authorization: ****"), "{body}");
    assert!(body.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{body}");
    assert!(one["bytes"].as_u64().unwrap() > 2000);
    // A token that the user gave cannot be replaced: that is said, and what the API said stays.
    assert_eq!(report["sample"]["renewal"]["name"], "AUTHGRANT_EXPIRED", "{report:#}");
    api.asked();
}

#[test]
fn a_model_says_which_other_answers_want_another_token() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.rest");
    std::fs::write(&model, r##"{"#http": [{"#code": 419, "#action": "REAUTHENTICATE"}]}"##).unwrap();
    for (named, asked) in [(true, vec![419, 200]), (false, vec![419])] {
        let authority = authority(Config::http());
        let api = Api::answering(
            asked.iter().map(|status| answer(&format!("{status} Whatever"), "", "{}")).collect(),
        );
        let model = if named { format!("RestConfigFile={};", model.display()) } else { String::new() };
        let more = format!("{model}RestSamplePath={}", api.url("/me"));
        let report = report(&open(&short_string(&authority, &more)).unwrap());
        assert_eq!(statuses(&report), asked, "{report:#}");
        api.asked();
    }
}

#[test]
fn a_redirect_is_reported_and_not_followed() {
    let api = Api::answering(vec![answer(
        "302 Found",
        "Location: https://login.example/?back=the.token/of+mine\r\n",
        "",
    )]);
    let report = report(&given(&api.url("/me")));
    assert_eq!((&report["ok"], statuses(&report)), (&json!(false), vec![302]));
    assert_eq!(report["sample"]["answers"][0]["location"], "https://login.example/?****");
    assert!(report["message"].as_str().unwrap().contains("a redirect, which is not followed"), "{report:#}");
    api.asked();
}

#[test]
fn an_api_that_is_not_there_is_in_the_report_since_the_token_was_had() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = report(&given(&format!("http://{free}/me")));
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
fn an_answer_of_any_length_is_an_answer() {
    let api = Api::answering(vec![answer("200 OK", "", &"z".repeat((1 << 20) + 100_000))]);
    let report = report(&given(&api.url("/me")));
    let one = &report["sample"]["answers"][0];
    assert_eq!((&one["status"], &one["cut"]), (&json!(200), &json!(true)), "{report:#}");
    assert!((1 << 19..=1 << 20).contains(&one["bytes"].as_u64().unwrap()), "{one}");
}

#[test]
fn without_an_endpoint_the_token_alone_is_fetched() {
    let authority = authority(Config::http());
    let report = report(&open(&short_string(&authority, "")).unwrap());
    assert_eq!((&report["ok"], report.get("sample")), (&json!(true), None));
    let message = report["message"].as_str().unwrap();
    assert!(message.contains("neither HealthURI nor RestSamplePath"), "{message}");
    assert_eq!(authority.issued().len(), 1);
}

#[test]
fn a_method_without_a_token_is_tried_by_its_headers() {
    let api = Api::answering(vec![answer("401 Unauthorized", "", "who?")]);
    let string = format!("am=0;UID=me;PWD=hunter2;RestSamplePath={}", api.url("/me"));
    let text = open(&string).unwrap().test().unwrap();
    let report = read(&text);
    assert_eq!((statuses(&report), report.get("token")), (vec![401], None), "{report:#}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(api.asked()[0].contains("Basic bWU6aHVudGVyMg=="));
}

#[test]
fn a_token_that_is_signed_here_is_signed_anew_for_an_api_that_refuses_it() {
    let api = Api::answering(vec![answer("401 Unauthorized", "", ""), answer("204 No Content", "", "")]);
    let string =
        format!("am=JWT;ClaimsIssuer=me;JWTCertStore={};rsp={}", stores::quick_key(), api.url("/me"));
    let report = report(&open(&string).unwrap());
    assert_eq!((statuses(&report), &report["token"]["from"]), (vec![401, 204], &json!("signed here")));
    let asked = api.asked();
    assert_ne!(asked[0], asked[1]);
}

#[test]
fn a_token_that_cannot_be_had_is_the_error_of_the_call() {
    let authority = authority(Config::http());
    let string = short_string(&authority, &format!("HealthURI={}", authority.url("/api/whoami")));
    let failure = open(&string.replace("ClaimsIssuer=", "ClaimsIssuer=x")).unwrap().test().unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_DENIED, "{failure:?}");
    let failure = open("am=55").unwrap().test().unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_MISSING_OPTION, "{failure:?}");
    assert!(authority.requests().iter().all(|one| one.path != "/api/whoami"));
}

#[test]
fn a_relative_path_is_asked_at_the_host() {
    let authority = authority(Config::http());
    let ok = |more: &str| report(&open(&short_string(&authority, more)).unwrap())["ok"] == true;
    assert!(ok(&format!("HostName=http://127.0.0.1:{};RestSamplePath=/api/whoami", authority.port())));
    assert!(ok(&format!("HostName=http://localhost;PortNumber={};rsp=api/whoami", authority.port())));
    let before = authority.requests().len();
    for (more, status, word) in [
        ("RestSamplePath=/api/whoami", AUTHGRANT_MISSING_OPTION, "HostName"),
        ("HealthURI=http://api.example/", AUTHGRANT_INVALID_OPTION, "HealthURI"),
    ] {
        let failure = open(&short_string(&authority, more)).unwrap().test().unwrap_err();
        assert_eq!((failure.status, failure.message.contains(word)), (status, true), "{failure:?}");
    }
    assert_eq!(authority.requests().len(), before, "a token that cannot be shown to anybody is not fetched");
}

#[test]
fn a_string_does_not_send_the_token_of_a_data_source_elsewhere() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = api.local_addr().unwrap();
    let place = Place::with(
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
        let found = read(&connection.validate());
        assert!(found["problems"].to_string().contains(&format!("\"option\":\"{option}\"")), "{found:#}");
    }
    // The driver may be told another host: that alone is no affair of the token's.
    place.open("DSN=a;HostName=other.example").get_token().unwrap();
    api.set_nonblocking(true).unwrap();
    assert!(api.accept().is_err(), "nobody came");
}

#[test]
fn a_call_that_is_cancelled_while_the_api_is_silent_has_no_report() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = given(&format!("http://{}/me", api.local_addr().unwrap()));
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
fn an_api_that_is_silent_ends_with_the_limit_of_the_call() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = given(&format!("http://{}/me;LoginTimeout=1", api.local_addr().unwrap()));
    let error = &report(&connection)["sample"]["error"];
    assert_eq!(
        (&error["name"], &error["sqlstate"]),
        (&json!("AUTHGRANT_TIMEOUT"), &json!("HYT00")),
        "{error}"
    );
}

#[test]
fn what_was_sent_before_is_covered_too_and_so_is_the_query() {
    let api = Api::answering(vec![
        answer("401 Unauthorized", "", ""),
        answer("401 Unauthorized", "", "you sent the.first.token and then {request}"),
    ]);
    let authority = authority(Config::http());
    let token =
        |token: &str| Play::TokenAnswer(json!({"access_token": token, "token_type": "Bearer"}).to_string());
    authority.play(vec![token("the.first.token"), token("the.second.token")]);
    let connection =
        open(&short_string(&authority, &format!("RestSamplePath={}", api.url("/me?key=hunter2")))).unwrap();
    let text = connection.test().unwrap();
    assert!(text.contains("you sent **** and then GET /me?**** HTTP/1.1"), "{text}");
    assert!(!text.contains("first.token") && !text.contains("second") && !text.contains("hunter2"), "{text}");
    api.asked();
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_no_fault_of_the_api() {
    let authority = authority(Config::http());
    authority.play(vec![Play::CloseAfterAnswer]);
    let more = format!("RestSamplePath={}", authority.url("/api/whoami"));
    let report = report(&open(&short_string(&authority, &more)).unwrap());
    assert_eq!((&report["ok"], statuses(&report)), (&json!(true), vec![200]), "{report:#}");
}
