//! Options from JSON key files of Google and Box, which contain settings in addition to the key: through the
//! C API, with the mock server.

use std::fs;
use std::path::Path;
use std::ptr::null_mut;

use crate::support::c_api::{Connection, Failure, failing_signer, open};
use crate::support::stores;
use crate::support::tempdir::TestDir;
use authgrant::ffi::status::*;
use mock_server::{ClientAuth, ClientOptions, Config, MockServer, Provider};
use serde_json::{Value, json};

const SERVICE_ACCOUNT: &str = "robot@project.iam.gserviceaccount.com";

fn private_key_pem() -> String {
    fs::read_to_string(stores::path("key.pem")).unwrap()
}

/// The JSON key of a service account with the token endpoint `token_uri`.
fn google_key_file(email: &str, token_uri: &str) -> String {
    json!({
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1a2b3c",
        "private_key": private_key_pem(),
        "client_email": email,
        "client_id": "1234567890",
        "auth_uri": "https://accounts.example/o/oauth2/auth",
        "token_uri": token_uri,
    })
    .to_string()
}

/// The configuration of a Box application.
fn box_key_file() -> String {
    let auth = json!({ "publicKeyID": "key-1", "privateKey": private_key_pem(), "passphrase": "" });
    json!({
        "boxAppSettings": { "clientID": "me", "clientSecret": "s3cret", "appAuth": auth },
        "enterpriseID": "987",
    })
    .to_string()
}

fn start_server_with_issuers(issuers: &[&str]) -> MockServer {
    let server = MockServer::start(Config { require_sub: false, ..Config::https() });
    for issuer in issuers {
        server.register(issuer, &[stores::certificate()], ClientOptions::default());
    }
    server
}

fn token_endpoint(server: &MockServer) -> String {
    server.url("/oauth/token")
}

fn trust_store_option(server: &MockServer) -> String {
    format!("TrustStore={}", server.ca_pem_path().display())
}

fn report_value(report: &str, pointer: &str) -> Value {
    let report: Value = serde_json::from_str(report).unwrap();
    report.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {report:#}")).clone()
}

#[track_caller]
fn assert_token_fails(
    connection: &Connection,
    status: i32,
    option: &str,
    fragments: &[&str],
) -> Box<Failure> {
    let failure = connection.get_token().map(|token| token.value()).unwrap_err();
    assert_eq!((failure.status, failure.option.as_deref()), (status, Some(option)), "{failure:?}");
    for fragment in fragments {
        assert!(failure.message.contains(fragment), "no {fragment:?} in {}", failure.message);
    }
    failure
}

#[test]
fn google_key_file_and_scope_get_token() {
    let server = start_server_with_issuers(&[SERVICE_ACCOUNT]);
    let dir = TestDir::with_file("google.json", google_key_file(SERVICE_ACCOUNT, &token_endpoint(&server)));
    let string =
        format!("JWTCertStore={};Scope=a b;{}", dir.path("google.json"), trust_store_option(&server));
    let connection = open(&string).unwrap();
    connection.get_token().unwrap();
    let request = &server.token_requests()[0];
    let (claims, header) = (request.claims.as_ref().unwrap(), request.jwt_header.as_ref().unwrap());
    assert_eq!((request.method.as_str(), claims["iss"].as_str()), ("POST", Some(SERVICE_ACCOUNT)));
    assert_eq!(
        (claims["aud"].as_str(), header["kid"].as_str()),
        (Some(&*token_endpoint(&server)), Some("1a2b3c"))
    );
    let report = connection.explain().unwrap();
    let file = json!({ "origin": "key file", "option": "ClaimsIssuer", "place": dir.path("google.json") });
    assert_eq!(report_value(&report, "/assertion/claims/iss/from"), file);
    assert_eq!(report_value(&report, "/assertion/header/kid/from/origin"), "key file");
    assert_eq!(report_value(&report, "/request/url/value"), token_endpoint(&server));
    assert_eq!(report_value(&report, "/request/url/from/origin"), "key file");
    assert_eq!(report_value(&connection.validate(), "/valid"), true);
    assert!(!format!("{report}{}", connection.validate()).contains("PRIVATE"));
}

#[test]
fn replaced_key_file_applies_to_each_user() {
    const OTHER: &str = "other@project.iam.gserviceaccount.com";
    let server = start_server_with_issuers(&[SERVICE_ACCOUNT, OTHER]);
    let dir = TestDir::with_file("google.json", google_key_file(SERVICE_ACCOUNT, &token_endpoint(&server)));
    fs::write(dir.path("other.json"), google_key_file(OTHER, &token_endpoint(&server))).unwrap();
    let string = format!("JWTCertStore={};{}", dir.path("google.json"), trust_store_option(&server));
    let connection = open(&string).unwrap();
    let issuer_for = |user: &str| {
        connection.set_option("ClaimsSubject", user).unwrap();
        connection.get_token().unwrap();
        let request = server.token_requests().pop().unwrap();
        request.claims.unwrap()["iss"].clone()
    };
    assert_eq!([issuer_for("one"), issuer_for("two")], [SERVICE_ACCOUNT, SERVICE_ACCOUNT]);
    fs::rename(dir.path("other.json"), dir.path("google.json")).unwrap();
    assert_eq!([issuer_for("three"), issuer_for("four")], [OTHER, OTHER]);
}

#[test]
fn inline_and_referenced_key_share_token() {
    let server = start_server_with_issuers(&[SERVICE_ACCOUNT]);
    let content = google_key_file(SERVICE_ACCOUNT, &token_endpoint(&server));
    let dir = TestDir::with_file("google.json", &content);
    let inline = format!("JWTPrivateKey={{{}}};{}", content.replace('}', "}}"), trust_store_option(&server));
    let token = open(&inline).unwrap().get_token().unwrap();
    let connection = open(&trust_store_option(&server)).unwrap();
    connection.set_option("JWTPrivateKey", &format!("file:{}", dir.path("google.json"))).unwrap();
    let same = connection.get_token().unwrap();
    assert_eq!(same.value(), token.value(), "equal keys are one cache entry, whatever their source");
}

#[test]
fn key_file_options_have_lowest_precedence() {
    let server = start_server_with_issuers(&["other"]);
    let dir =
        TestDir::with_file("google.json", google_key_file(SERVICE_ACCOUNT, "https://127.0.0.1:1/token"));
    let base = format!("am=55;JWTCertStore={};{}", dir.path("google.json"), trust_store_option(&server));
    let string = format!("{base};ClaimsIssuer=other;JWTKeyID=mine;TokenURI=POST {}", token_endpoint(&server));
    open(&string).unwrap().get_token().unwrap();
    let request = &server.token_requests()[0];
    assert_eq!(request.jwt_header.as_ref().unwrap()["kid"], "mine");
    let headers = string.replace("JWTKeyID=mine", "JWTHeaders={{\"kid\":\"theirs\"}}}");
    open(&headers).unwrap().get_token().unwrap();
    assert_eq!(server.token_requests()[1].jwt_header.as_ref().unwrap()["kid"], "theirs");
    for unset in ["TokenURI=", "TokenEndpoint="] {
        let connection = open(&format!("{base};{unset}")).unwrap();
        let reopened = open(&connection.completed_string(0)).unwrap();
        for connection in [connection, reopened] {
            assert_eq!(report_value(&connection.explain().unwrap(), "/token"), "the signed JWT", "{unset}");
        }
    }
    assert_token_fails(
        &open(&format!("{base};ClaimsIssuer=")).unwrap(),
        AUTHGRANT_MISSING_OPTION,
        "ClaimsIssuer",
        &[],
    );
}

#[test]
fn non_https_token_uri_is_warning() {
    for (address, scheme) in
        [("http://127.0.0.1:1/token", "http"), ("ftp://a.example/", "ftp"), ("token", "no scheme")]
    {
        let dir = TestDir::with_file("google.json", google_key_file(SERVICE_ACCOUNT, address));
        let connection = open(&format!("JWTCertStore={}", dir.path("google.json"))).unwrap();
        connection.get_token().expect("the JWT is the token");
        let warnings = connection.warnings();
        let fragments = [&dir.path("google.json"), "token_uri", &format!("({scheme})")];
        let about_token_uri = |warning: &Failure| {
            (warning.sqlstate.as_str(), warning.option.as_deref()) == ("01000", Some("JWTCertStore"))
                && fragments.iter().all(|fragment| warning.message.contains(fragment))
        };
        assert!(warnings.iter().any(about_token_uri), "{warnings:?}");
    }
}

#[test]
fn unrelated_json_sets_no_options() {
    let server = start_server_with_issuers(&[SERVICE_ACCOUNT]);
    let content = google_key_file(SERVICE_ACCOUNT, &token_endpoint(&server));
    let dir = TestDir::with_file("k.json", content.replace("service_account", "external_account"));
    let connection = open(&format!("JWTCertStore={}", dir.path("k.json"))).unwrap();
    assert_token_fails(&connection, AUTHGRANT_MISSING_OPTION, "ClaimsIssuer", &[]);
    dir.write("k.json", &content);
    let other_method =
        format!("am=53;ClientSecret=a;JWTCertStore={};{}", dir.path("k.json"), trust_store_option(&server));
    let fragments = ["TokenURI and ClientID"];
    assert_token_fails(&open(&other_method).unwrap(), AUTHGRANT_MISSING_OPTION, "TokenURI", &fragments);
}

#[test]
fn key_file_options_ignored_with_callback_signer() {
    let dir = TestDir::with_file("google.json", google_key_file(SERVICE_ACCOUNT, "https://a.example/token"));
    let connection = open(&format!("JWTCertStore={}", dir.path("google.json"))).unwrap();
    connection.set_signer("RS256", Some(failing_signer), null_mut()).unwrap();
    assert_token_fails(&connection, AUTHGRANT_MISSING_OPTION, "ClaimsIssuer", &[]);
    connection.set_signer("RS256", None, null_mut()).unwrap();
    assert_eq!(report_value(&connection.explain().unwrap(), "/request/url/value"), "https://a.example/token");
}

fn start_box_server() -> MockServer {
    let server = MockServer::start(Config::for_provider(Provider::Box));
    let options = ClientOptions {
        kid: Some("key-1".to_owned()),
        secret: Some("s3cret".to_owned()),
        client_auth: Some(ClientAuth::Post),
        ..ClientOptions::default()
    };
    server.register("me", &[stores::certificate()], options);
    server
}

#[test]
fn box_key_file_in_dsn_gets_token() {
    let server = start_box_server();
    let dir = TestDir::with_file("box.json", box_key_file());
    let section = format!(
        "[Sales]\nJWTCertStore={}\nProvider=box\nTokenURI={}\n",
        dir.path("box.json"),
        token_endpoint(&server)
    );
    dir.write(".odbc.ini", section);
    let connection = dir.open("DSN=Sales");
    connection.get_token().unwrap();
    let request = &server.token_requests()[0];
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
    let for_user = dir.open("DSN=Sales;ClaimsSubject=11;ClaimsAdditional={{\"box_sub_type\":\"user\"}}}");
    for_user.get_token().unwrap();
    let claims = server.token_requests().pop().unwrap().claims.unwrap();
    assert_eq!((&claims["sub"], &claims["box_sub_type"]), (&json!("11"), &json!("user")));
}

#[test]
fn box_key_file_without_endpoint_is_warning() {
    let dir = TestDir::with_file("box.json", box_key_file());
    let connection = open(&format!("JWTCertStore={}", dir.path("box.json"))).unwrap();
    let warnings = connection.warnings();
    let about_endpoint = |warning: &Failure| {
        (warning.sqlstate.as_str(), warning.option.as_deref()) == ("01000", Some("JWTCertStore"))
            && warning.message.contains("TokenURI=POST https://…")
            && warning.message.contains("api.box.com")
    };
    assert!(warnings.iter().any(about_endpoint), "{warnings:?}");
}

#[test]
fn untrusted_string_cannot_redirect_box_client_secret() {
    let server = start_box_server();
    let dir = TestDir::with_file("box.json", box_key_file());
    let file = dir.path("box.json");
    let string = format!("Provider=box;TokenURI={};JWTCertStore={file}", token_endpoint(&server));
    let connection = open(&string).unwrap();
    let failure = assert_token_fails(&connection, AUTHGRANT_MISSING_OPTION, "ClientSecret", &[]);
    assert!(server.requests().is_empty() && !format!("{failure:?}").contains("s3cret"));
    let warnings = connection.warnings();
    let about_secret = |warning: &Failure| {
        (warning.sqlstate.as_str(), warning.option.as_deref()) == ("01000", Some("JWTCertStore"))
            && warning.message.contains("clientSecret")
            && warning.message.contains("TokenURI")
    };
    assert!(warnings.iter().any(about_secret), "{warnings:?}");
    connection.set_option("JWTCertStore", &file).unwrap();
    connection.get_token().expect("the application named the file");
    let box_endpoint = "JWTCertStore={file};Provider=box;TokenURI=POST https://api.box.com/oauth2/token";
    for (more, is_used) in
        [("", true), (";ValidateServerCertificate=0", false), (";ProxyHost=evil.example", false)]
    {
        let connection = open(&format!("{}{more}", box_endpoint.replace("{file}", &file))).unwrap();
        assert_eq!(connection.explain().is_ok(), is_used, "{more}");
    }
}

#[test]
fn untrusted_key_file_cannot_redirect_dsn_secrets() {
    let attacker = start_server_with_issuers(&[SERVICE_ACCOUNT]);
    let content = google_key_file(SERVICE_ACCOUNT, &token_endpoint(&attacker));
    let dir = TestDir::with_file("evil.json", &content);
    let section = format!(
        "AuthenticationMethod=55\nClientID=a\nClientSecret=hunter2\nClientCredentialsMode=3\nTrustStore={}\n",
        attacker.ca_pem_path().display()
    );
    dir.write(".odbc.ini", format!("[Sales]\n{section}[Open]\n{section}AllowOverride=1\n"));
    let source = dir.write("sales.dsn", format!("[ODBC]\n{section}"));
    let by_file = format!("JWTCertStore={}", dir.path("evil.json"));
    let by_text = format!("JWTPrivateKey={{{}}}", content.replace('}', "}}"));
    for (data_source, key) in [
        ("DSN=Sales", &by_file),
        ("DSN=Sales;AllowOverride=1", &by_file),
        (&format!("FILEDSN={source}"), &by_file),
        ("DSN=Sales", &by_text),
    ] {
        let option = key.split('=').next().unwrap();
        let connection = dir.open(&format!("{data_source};{key}"));
        let fragments = ["token_uri", "AllowOverride=1"];
        assert_token_fails(&connection, AUTHGRANT_INVALID_OPTION, option, &fragments);
    }
    assert!(attacker.requests().is_empty(), "the attacker's server received no request");
    let connection = dir.open("DSN=Sales");
    connection.set_option("JWTCertStore", &dir.path("evil.json")).unwrap();
    assert!(connection.explain().is_ok(), "the application may name any file");
    assert!(dir.open(&format!("DSN=Open;{by_file}")).explain().is_ok(), "AllowOverride=1");
}

#[test]
fn untrusted_string_cannot_clear_key_file_endpoint() {
    let server = start_server_with_issuers(&[SERVICE_ACCOUNT]);
    let dir = TestDir::with_file("google.json", google_key_file(SERVICE_ACCOUNT, &token_endpoint(&server)));
    let section = format!("JWTCertStore={}\n{}\n", dir.path("google.json"), trust_store_option(&server));
    dir.write(".odbc.ini", format!("[Sales]\n{section}[Open]\n{section}AllowOverride=1\n"));
    dir.open("DSN=Sales").get_token().unwrap();
    for option in ["TokenURI", "TokenEndpoint"] {
        let connection = dir.open(&format!("DSN=Sales;{option}="));
        assert_token_fails(&connection, AUTHGRANT_INVALID_OPTION, option, &["AllowOverride=1"]);
        connection.set_option(option, "").unwrap();
        assert_eq!(report_value(&connection.explain().unwrap(), "/token"), "the signed JWT");
        assert!(dir.open(&format!("DSN=Open;{option}=")).explain().is_ok());
    }
    let redirected = dir.open("DSN=Sales;TokenURI=POST https://127.0.0.1:1/t");
    assert_token_fails(&redirected, AUTHGRANT_INVALID_OPTION, "TokenURI", &["AllowOverride=1"]);
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn unreadable_key_file_is_retried_next_call() {
    let server = start_server_with_issuers(&[SERVICE_ACCOUNT]);
    let dir = TestDir::new();
    let file = dir.path("google.json");
    let connection = open(&format!("JWTCertStore={file};{}", trust_store_option(&server))).unwrap();
    assert_token_fails(&connection, AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore", &[&file]);
    let content = google_key_file(SERVICE_ACCOUNT, &token_endpoint(&server));
    dir.write("google.json", &content[..content.len() - 9]);
    assert_token_fails(&connection, AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore", &[&file, "line 1, column"]);
    let problems = report_value(&connection.validate(), "/problems");
    let about_key_store = |problem: &&Value| problem["option"] == "JWTCertStore";
    assert_eq!(problems.as_array().unwrap().iter().filter(about_key_store).count(), 1, "{problems:#}");
    dir.write("google.json", &content);
    connection.get_token().unwrap();
}

#[test]
fn replaced_key_file_clears_cached_denial() {
    let server = start_server_with_issuers(&[SERVICE_ACCOUNT]);
    let dir = TestDir::with_file("google.json", google_key_file("nobody", &token_endpoint(&server)));
    let connection =
        open(&format!("JWTCertStore={};{}", dir.path("google.json"), trust_store_option(&server))).unwrap();
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    }
    let requests = server.token_requests().len();
    let replacement = dir.write("new", google_key_file(SERVICE_ACCOUNT, &token_endpoint(&server)));
    fs::rename(Path::new(&replacement), dir.path("google.json")).unwrap();
    connection.get_token().unwrap();
    assert_eq!(server.token_requests().len(), requests + 1);
}

#[test]
fn nul_in_key_file_names_json_member() {
    let server = start_server_with_issuers(&[SERVICE_ACCOUNT]);
    for member in ["client_email", "private_key_id", "token_uri"] {
        let mut content: Value =
            serde_json::from_str(&google_key_file(SERVICE_ACCOUNT, &token_endpoint(&server))).unwrap();
        content[member] = format!("{}\0", content[member].as_str().unwrap()).into();
        let dir = TestDir::with_file("google.json", content.to_string());
        let string = format!("JWTCertStore={};{}", dir.path("google.json"), trust_store_option(&server));
        for more in ["", "ClaimsIssuer=me;JWTKeyID=k;ClaimsAudience=a"] {
            let connection = open(&format!("{string};{more}")).unwrap();
            assert_token_fails(
                &connection,
                AUTHGRANT_KEY_STORE_ERROR,
                "JWTCertStore",
                &["NUL", member, "google.json"],
            );
        }
    }
    assert!(server.token_requests().is_empty());
}
