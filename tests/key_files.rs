//! Options that a JSON key file says beside its key, Google's and Box's: through the C API, against the strict authority.

mod support;

use std::ffi::c_void;
use std::fs;
use std::path::Path;
use std::ptr::null_mut;

use authgrant::ffi::status::*;
use authority::{Authority, ClientAuth, ClientOptions, Config, Provider};
use serde_json::{Value, json};
use support::c_api::{Connection, Failure, open};
use support::place::Place;
use support::stores;

const ROBOT: &str = "robot@project.iam.gserviceaccount.com";

fn key() -> String {
    fs::read_to_string(stores::path("key.pem")).unwrap()
}

/// The JSON key of a service account, whose token endpoint is at `token_uri`.
fn google(email: &str, token_uri: &str) -> String {
    json!({
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1a2b3c",
        "private_key": key(),
        "client_email": email,
        "client_id": "1234567890",
        "auth_uri": "https://accounts.example/o/oauth2/auth",
        "token_uri": token_uri,
    })
    .to_string()
}

/// The configuration of a Box application.
fn box_file() -> String {
    let auth = json!({ "publicKeyID": "key-1", "privateKey": key(), "passphrase": "" });
    json!({
        "boxAppSettings": { "clientID": "me", "clientSecret": "s3cret", "appAuth": auth },
        "enterpriseID": "987",
    })
    .to_string()
}

fn authority_of(issuers: &[&str]) -> Authority {
    let authority = Authority::start(Config { require_sub: false, ..Config::https() });
    for issuer in issuers {
        authority.register(issuer, &[stores::certificate()], ClientOptions::default());
    }
    authority
}

fn token_url(authority: &Authority) -> String {
    authority.url("/oauth/token")
}

fn trust(authority: &Authority) -> String {
    format!("TrustStore={}", authority.ca_pem_path().display())
}

fn said(report: &str, pointer: &str) -> Value {
    let report: Value = serde_json::from_str(report).unwrap();
    report.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {report:#}")).clone()
}

#[track_caller]
fn refused(connection: &Connection, status: i32, option: &str, words: &[&str]) -> Box<Failure> {
    let failure = connection.get_token().map(|token| token.value()).unwrap_err();
    assert_eq!((failure.status, failure.option.as_deref()), (status, Some(option)), "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in {}", failure.message);
    }
    failure
}

#[test]
fn a_google_key_file_and_a_scope_are_all_that_a_token_takes() {
    let authority = authority_of(&[ROBOT]);
    let place = Place::with("google.json", google(ROBOT, &token_url(&authority)));
    let string = format!("JWTCertStore={};Scope=a b;{}", place.path("google.json"), trust(&authority));
    let connection = open(&string).unwrap();
    connection.get_token().unwrap();
    let request = &authority.token_requests()[0];
    let (claims, header) = (request.claims.as_ref().unwrap(), request.jwt_header.as_ref().unwrap());
    assert_eq!((request.method.as_str(), claims["iss"].as_str()), ("POST", Some(ROBOT)));
    assert_eq!(
        (claims["aud"].as_str(), header["kid"].as_str()),
        (Some(&*token_url(&authority)), Some("1a2b3c"))
    );
    let report = connection.explain().unwrap();
    let file = json!({ "origin": "key file", "option": "ClaimsIssuer", "place": place.path("google.json") });
    assert_eq!(said(&report, "/assertion/claims/iss/from"), file);
    assert_eq!(said(&report, "/assertion/header/kid/from/origin"), "key file");
    assert_eq!(said(&report, "/request/url/value"), token_url(&authority));
    assert_eq!(said(&report, "/request/url/from/origin"), "key file");
    assert_eq!(said(&connection.validate(), "/valid"), true);
    assert!(!format!("{report}{}", connection.validate()).contains("PRIVATE"));
}

#[test]
fn each_of_many_users_hears_what_the_key_file_says_now() {
    const OTHER: &str = "other@project.iam.gserviceaccount.com";
    let authority = authority_of(&[ROBOT, OTHER]);
    let place = Place::with("google.json", google(ROBOT, &token_url(&authority)));
    fs::write(place.path("other.json"), google(OTHER, &token_url(&authority))).unwrap();
    let string = format!("JWTCertStore={};{}", place.path("google.json"), trust(&authority));
    let connection = open(&string).unwrap();
    let act_for = |user: &str| {
        connection.set_option("ClaimsSubject", user).unwrap();
        connection.get_token().unwrap();
        let request = authority.token_requests().pop().unwrap();
        request.claims.unwrap()["iss"].clone()
    };
    assert_eq!([act_for("one"), act_for("two")], [ROBOT, ROBOT]);
    fs::rename(place.path("other.json"), place.path("google.json")).unwrap();
    assert_eq!([act_for("three"), act_for("four")], [OTHER, OTHER]);
}

#[test]
fn the_key_file_may_stand_in_the_option_or_be_referred_to() {
    let authority = authority_of(&[ROBOT]);
    let content = google(ROBOT, &token_url(&authority));
    let place = Place::with("google.json", &content);
    let inline = format!("JWTPrivateKey={{{}}};{}", content.replace('}', "}}"), trust(&authority));
    let token = open(&inline).unwrap().get_token().unwrap();
    let connection = open(&trust(&authority)).unwrap();
    connection.set_option("JWTPrivateKey", &format!("file:{}", place.path("google.json"))).unwrap();
    let same = connection.get_token().unwrap();
    assert_eq!(same.value(), token.value(), "equal keys are one, wherever they stand");
}

#[test]
fn whatever_anybody_else_says_wins_and_an_empty_value_unsets() {
    let authority = authority_of(&["other"]);
    let place = Place::with("google.json", google(ROBOT, "https://127.0.0.1:1/token"));
    let base = format!("am=55;JWTCertStore={};{}", place.path("google.json"), trust(&authority));
    let string = format!("{base};ClaimsIssuer=other;JWTKeyID=mine;TokenURI=POST {}", token_url(&authority));
    open(&string).unwrap().get_token().unwrap();
    let request = &authority.token_requests()[0];
    assert_eq!(request.jwt_header.as_ref().unwrap()["kid"], "mine");
    let headers = string.replace("JWTKeyID=mine", "JWTHeaders={{\"kid\":\"theirs\"}}}");
    open(&headers).unwrap().get_token().unwrap();
    assert_eq!(authority.token_requests()[1].jwt_header.as_ref().unwrap()["kid"], "theirs");
    for unset in ["TokenURI=", "TokenEndpoint="] {
        let connection = open(&format!("{base};{unset}")).unwrap();
        let again = open(&connection.completed_string(0)).unwrap();
        for connection in [connection, again] {
            assert_eq!(said(&connection.explain().unwrap(), "/token"), "the signed JWT", "{unset}");
        }
    }
    refused(&open(&format!("{base};ClaimsIssuer=")).unwrap(), AUTHGRANT_MISSING_OPTION, "ClaimsIssuer", &[]);
}

#[test]
fn a_token_uri_that_is_not_https_is_left_out_with_a_warning() {
    for (address, scheme) in
        [("http://127.0.0.1:1/token", "http"), ("ftp://a.example/", "ftp"), ("token", "no scheme")]
    {
        let place = Place::with("google.json", google(ROBOT, address));
        let connection = open(&format!("JWTCertStore={}", place.path("google.json"))).unwrap();
        connection.get_token().expect("the JWT is the token");
        let warnings = connection.warnings();
        let words =
            format!("{} has a token_uri that is not a URL of https:// ({scheme})", place.path("google.json"));
        assert!(warnings.iter().any(|warning| warning.message.contains(&words)), "{warnings:?}");
    }
}

#[test]
fn other_json_says_nothing() {
    let authority = authority_of(&[ROBOT]);
    let content = google(ROBOT, &token_url(&authority));
    let place = Place::with("k.json", content.replace("service_account", "external_account"));
    let connection = open(&format!("JWTCertStore={}", place.path("k.json"))).unwrap();
    refused(&connection, AUTHGRANT_MISSING_OPTION, "ClaimsIssuer", &["ClaimsIssuer is missing"]);
    place.write("k.json", &content);
    let other_method =
        format!("am=53;ClientSecret=a;JWTCertStore={};{}", place.path("k.json"), trust(&authority));
    let words = ["TokenURI and ClientID are missing"];
    refused(&open(&other_method).unwrap(), AUTHGRANT_MISSING_OPTION, "TokenURI", &words);
}

extern "C" fn never_asked(
    _: *mut c_void,
    _: *const u8,
    _: usize,
    _: *mut u8,
    _: usize,
    _: *mut usize,
) -> i32 {
    7
}

#[test]
fn a_key_file_beside_which_the_host_signs_says_nothing() {
    let place = Place::with("google.json", google(ROBOT, "https://a.example/token"));
    let connection = open(&format!("JWTCertStore={}", place.path("google.json"))).unwrap();
    connection.set_signer("RS256", Some(never_asked), null_mut()).unwrap();
    refused(&connection, AUTHGRANT_MISSING_OPTION, "ClaimsIssuer", &["ClaimsIssuer is missing"]);
    connection.set_signer("RS256", None, null_mut()).unwrap();
    assert_eq!(said(&connection.explain().unwrap(), "/request/url/value"), "https://a.example/token");
}

fn box_authority() -> Authority {
    let authority = Authority::start(Config::of(Provider::Box));
    let options = ClientOptions {
        kid: Some("key-1".to_owned()),
        secret: Some("s3cret".to_owned()),
        client_auth: Some(ClientAuth::Post),
        ..ClientOptions::default()
    };
    authority.register("me", &[stores::certificate()], options);
    authority
}

#[test]
fn a_box_configuration_of_a_data_source_lacks_nothing_but_the_token_endpoint() {
    let authority = box_authority();
    let place = Place::with("box.json", box_file());
    let section = format!(
        "[Sales]\nJWTCertStore={}\nProvider=box\nTokenURI={}\n",
        place.path("box.json"),
        token_url(&authority)
    );
    place.write(".odbc.ini", section);
    let connection = place.open("DSN=Sales");
    connection.get_token().unwrap();
    let request = &authority.token_requests()[0];
    let claims = request.claims.as_ref().unwrap();
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("me"), Some("987")));
    assert_eq!(claims["box_sub_type"], "enterprise");
    assert_eq!(request.parameter("client_id").as_deref(), Some("me"));
    assert_eq!(request.parameter("client_secret").as_deref(), Some("s3cret"));
    let report = connection.explain().unwrap();
    assert!(
        !report.contains("s3cret") && !format!("{:?}", connection.warnings()).contains("JWTKeyID"),
        "{report}"
    );
    let of_user = place.open("DSN=Sales;ClaimsSubject=11;ClaimsAdditional={{\"box_sub_type\":\"user\"}}}");
    of_user.get_token().unwrap();
    let claims = authority.token_requests().pop().unwrap().claims.unwrap();
    assert_eq!((&claims["sub"], &claims["box_sub_type"]), (&json!("11"), &json!("user")));
}

#[test]
fn a_box_configuration_without_a_token_endpoint_is_told_of() {
    let place = Place::with("box.json", box_file());
    let connection = open(&format!("JWTCertStore={}", place.path("box.json"))).unwrap();
    let warnings = connection.warnings();
    let words = "TokenURI=POST https://… with the token endpoint at api.box.com";
    assert!(warnings.iter().any(|warning| warning.message.contains(words)), "{warnings:?}");
}

#[test]
fn a_stranger_cannot_have_the_client_secret_of_the_hosts_key_file_sent_to_a_server_of_theirs() {
    let authority = box_authority();
    let place = Place::with("box.json", box_file());
    let file = place.path("box.json");
    let string = format!("Provider=box;TokenURI={};JWTCertStore={file}", token_url(&authority));
    let connection = open(&string).unwrap();
    let failure =
        refused(&connection, AUTHGRANT_MISSING_OPTION, "ClientSecret", &["ClientSecret is missing"]);
    assert!(authority.requests().is_empty() && !format!("{failure:?}").contains("s3cret"));
    let warnings = connection.warnings();
    let words = "holds a clientSecret, which is not taken, since TokenURI was not said by the host";
    assert!(warnings.iter().any(|warning| warning.message.contains(words)), "{warnings:?}");
    connection.set_option("JWTCertStore", &file).unwrap();
    connection.get_token().expect("the host program has named the file");
    let at_home = "JWTCertStore={file};Provider=box;TokenURI=POST https://api.box.com/oauth2/token";
    for (more, taken) in
        [("", true), (";ValidateServerCertificate=0", false), (";ProxyHost=evil.example", false)]
    {
        let connection = open(&format!("{}{more}", at_home.replace("{file}", &file))).unwrap();
        assert_eq!(connection.explain().is_ok(), taken, "{more}");
    }
}

#[test]
fn a_stranger_cannot_send_a_data_sources_secrets_to_the_token_uri_of_a_key_file() {
    let evil = authority_of(&[ROBOT]);
    let content = google(ROBOT, &token_url(&evil));
    let place = Place::with("evil.json", &content);
    let section = format!(
        "AuthenticationMethod=55\nClientID=a\nClientSecret=hunter2\nClientCredentialsMode=3\nTrustStore={}\n",
        evil.ca_pem_path().display()
    );
    place.write(".odbc.ini", format!("[Sales]\n{section}[Open]\n{section}AllowOverride=1\n"));
    let source = place.write("sales.dsn", format!("[ODBC]\n{section}"));
    let by_file = format!("JWTCertStore={}", place.path("evil.json"));
    let by_text = format!("JWTPrivateKey={{{}}}", content.replace('}', "}}"));
    for (named, key) in [
        ("DSN=Sales", &by_file),
        ("DSN=Sales;AllowOverride=1", &by_file),
        (&format!("FILEDSN={source}"), &by_file),
        ("DSN=Sales", &by_text),
    ] {
        let option = key.split('=').next().unwrap();
        let words = ["token_uri", "AllowOverride=1", "data source", "secrets"];
        refused(&place.open(&format!("{named};{key}")), AUTHGRANT_INVALID_OPTION, option, &words);
    }
    assert!(evil.requests().is_empty(), "nothing went to the stranger's server");
    let connection = place.open("DSN=Sales");
    connection.set_option("JWTCertStore", &place.path("evil.json")).unwrap();
    assert!(connection.explain().is_ok(), "the host program may name what it likes");
    assert!(place.open(&format!("DSN=Open;{by_file}")).explain().is_ok(), "AllowOverride=1");
}

#[test]
fn a_stranger_cannot_take_the_token_endpoint_away_from_a_data_sources_key_file() {
    let authority = authority_of(&[ROBOT]);
    let place = Place::with("google.json", google(ROBOT, &token_url(&authority)));
    let section = format!("JWTCertStore={}\n{}\n", place.path("google.json"), trust(&authority));
    place.write(".odbc.ini", format!("[Sales]\n{section}[Open]\n{section}AllowOverride=1\n"));
    place.open("DSN=Sales").get_token().unwrap();
    for option in ["TokenURI", "TokenEndpoint"] {
        let connection = place.open(&format!("DSN=Sales;{option}="));
        refused(
            &connection,
            AUTHGRANT_INVALID_OPTION,
            option,
            &["in the connection string", "AllowOverride=1"],
        );
        connection.set_option(option, "").unwrap();
        assert_eq!(said(&connection.explain().unwrap(), "/token"), "the signed JWT");
        assert!(place.open(&format!("DSN=Open;{option}=")).explain().is_ok());
    }
    let elsewhere = place.open("DSN=Sales;TokenURI=POST https://127.0.0.1:1/t");
    refused(&elsewhere, AUTHGRANT_INVALID_OPTION, "TokenURI", &["AllowOverride=1"]);
    assert_eq!(authority.token_requests().len(), 1);
}

#[test]
fn a_key_file_that_cannot_be_read_is_the_fault_and_one_that_comes_later_is_read() {
    let authority = authority_of(&[ROBOT]);
    let place = Place::new();
    let file = place.path("google.json");
    let connection = open(&format!("JWTCertStore={file};{}", trust(&authority))).unwrap();
    refused(&connection, AUTHGRANT_KEY_STORE, "JWTCertStore", &[&file, "cannot be read"]);
    let content = google(ROBOT, &token_url(&authority));
    place.write("google.json", &content[..content.len() - 9]);
    refused(&connection, AUTHGRANT_KEY_STORE, "JWTCertStore", &[&file, "damaged"]);
    let problems = said(&connection.validate(), "/problems");
    let of_store = |problem: &&Value| problem["option"] == "JWTCertStore";
    assert_eq!(problems.as_array().unwrap().iter().filter(of_store).count(), 1, "{problems:#}");
    place.write("google.json", &content);
    connection.get_token().unwrap();
}

#[test]
fn a_key_file_that_is_exchanged_after_a_refusal_is_heard_at_the_next_call() {
    let authority = authority_of(&[ROBOT]);
    let place = Place::with("google.json", google("nobody", &token_url(&authority)));
    let connection =
        open(&format!("JWTCertStore={};{}", place.path("google.json"), trust(&authority))).unwrap();
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    }
    let asked = authority.token_requests().len();
    let new = place.write("new", google(ROBOT, &token_url(&authority)));
    fs::rename(Path::new(&new), place.path("google.json")).unwrap();
    connection.get_token().unwrap();
    assert_eq!(authority.token_requests().len(), asked + 1);
}

#[test]
fn nul_in_key_file_is_an_error_with_its_member() {
    let authority = authority_of(&[ROBOT]);
    for member in ["client_email", "private_key_id", "token_uri"] {
        let mut content: Value = serde_json::from_str(&google(ROBOT, &token_url(&authority))).unwrap();
        content[member] = format!("{}\0", content[member].as_str().unwrap()).into();
        let place = Place::with("google.json", content.to_string());
        let string = format!("JWTCertStore={};{}", place.path("google.json"), trust(&authority));
        for more in ["", "ClaimsIssuer=me;JWTKeyID=k;ClaimsAudience=a"] {
            let connection = open(&format!("{string};{more}")).unwrap();
            refused(
                &connection,
                AUTHGRANT_KEY_STORE,
                "JWTCertStore",
                &["NUL character", member, "google.json"],
            );
        }
    }
    assert!(authority.token_requests().is_empty());
}
