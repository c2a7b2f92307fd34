//! Explain report (`authgrant_explain`): requests, assertion and API headers, with the origin of each value.

use std::collections::BTreeSet;
use std::fs;

use authgrant::ffi::status::*;
use authgrant::options::table::{OptionSpec, TABLE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mock_server::{ClientOptions, Config, MockServer, RecordedRequest};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::environment::TestHome;
use super::parse_report;
use crate::support::browser::{authorize_with_test_browser, free_port};
use crate::support::c_api::{Connection, open};
use crate::support::{minimal_string, start_mock_server, stores};

#[track_caller]
fn explain(connection: &Connection) -> Value {
    parse_report(&connection.explain().unwrap())
}

fn explain_string(string: &str) -> Value {
    explain(&open(string).unwrap())
}

/// Names and values of parameters or headers.
fn names_and_values(rows: &Value) -> Vec<(&str, &str)> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| (row["name"].as_str().unwrap(), row["value"].as_str().unwrap())).collect()
}

/// Checks that TokenParameters cannot replace the explained parameters of the grant.
#[track_caller]
fn assert_parameters_reserved(connection: &Connection, report: &Value) {
    let mut names: Vec<_> =
        names_and_values(&report["request"]["parameters"]).into_iter().map(|(name, _)| name).collect();
    names.retain(|name| !["resource", "tenant"].contains(name));
    assert!(!names.is_empty());
    for name in names {
        connection.set_option("TokenParameters", &format!("{name}=x")).unwrap();
        assert_eq!(connection.explain().unwrap_err().option.as_deref(), Some("TokenParameters"), "{name}");
    }
}

/// Checks that the explained parameters have the names and, unless redacted, the values of those that the
/// server received, in their order, and that the explained headers were received. Returns the names of the
/// parameters whose values are shown.
#[track_caller]
fn assert_explained_as_received<'a>(report: &'a Value, request: &RecordedRequest) -> Vec<&'a str> {
    let explained = names_and_values(&report["request"]["parameters"]);
    let received: Vec<_> = request.body.split('&').map(|pair| pair.split_once('=').unwrap().0).collect();
    let names: Vec<_> = explained.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, received, "{report:#}");
    let mut shown = Vec::new();
    for (name, value) in explained {
        let sent = request.parameter(name).unwrap();
        if value == "****" {
            assert!(!sent.is_empty() && !report.to_string().contains(&sent), "{name}={sent}: {report:#}");
        } else {
            assert_eq!(value, sent, "{name}: {report:#}");
            shown.push(name);
        }
    }
    let headers = names_and_values(&report["request"]["headers"]);
    for (name, value) in &headers {
        assert!(*value == "****" && request.header(name).is_some(), "{name}: {report:#}");
    }
    let has_basic = headers.iter().any(|(name, _)| *name == "Authorization");
    assert_eq!(has_basic, request.header("Authorization").is_some(), "{report:#}");
    shown
}

#[test]
fn explained_request_matches_sent_request() {
    let server = start_mock_server(Config::http());
    let options = "Scope=a b;JWTKeyID=k1;JWTThumbprint=x5t,x5t#S256;JWTHeaders={{\"cty\":\"x\"}}};\
                   JWTLifetime=120;ClaimsAdditional={{\"level\":7,\"list\":[1]}}};TokenParameters=resource=b";
    let connection = open(&minimal_string(&server, options)).unwrap();
    let report = explain(&connection);
    connection.get_token().unwrap();
    let request = server.token_requests().pop().unwrap();
    let values = |members: &Value| -> Value {
        let members = members.as_object().unwrap().iter();
        members.map(|(name, member)| (name.clone(), member["value"].clone())).collect()
    };
    assert_eq!(values(&report["assertion"]["header"]), request.jwt_header.unwrap());
    let (mut explained, mut signed) = (values(&report["assertion"]["claims"]), request.claims.unwrap());
    assert_eq!((&explained["iat"], &explained["exp"]), (&json!("now - 5"), &json!("now + 115")));
    assert_eq!(signed["exp"].as_i64().unwrap() - signed["iat"].as_i64().unwrap(), 120);
    assert_eq!(explained["jti"], "new for each assertion");
    for name in ["iat", "exp", "jti"] {
        explained.as_object_mut().unwrap().remove(name).unwrap();
        signed.as_object_mut().unwrap().remove(name).unwrap();
    }
    assert_eq!(explained, signed);
    assert_eq!(
        names_and_values(&report["request"]["parameters"]),
        [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", "****"),
            ("scope", "a b"),
            ("resource", "****")
        ]
    );
    assert_eq!(report["request"]["url"]["value"], server.url("/oauth/token"));
    let key = &report["assertion"]["key"];
    assert_eq!((&key["alias"], &key["type"]), (&json!("signer"), &json!("RSA 2048")));
    assert_eq!(key["certificate"]["subject"], "CN=signer");
}

/// A client assertion from a file, which only authgrant_set_option may name.
const ASSERTION_FILE: &str = "am=OAuth2-JWTClientAssertion";

#[test]
fn explained_parameters_equal_received_of_each_grant() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("assertion");
    fs::write(&file, "an.assertion.of-the-file").unwrap();
    let key = format!("JWTCertStore={}", stores::path("openssl.pem"));
    let signed = format!("ClaimsIssuer=app;ClaimsSubject=app;{key}");
    let redirect = format!("http://127.0.0.1:{}/cb", free_port());
    let client = "ClientID=app;ClientSecret=hunter2";
    let login = format!("am=56;RedirectURI={redirect};ConsentTimeout=20");
    let (grant, assertion) = ("grant_type", "client_assertion_type");
    for (options, shown) in [
        (format!("am=55;{signed}"), vec![grant, "scope"]),
        (format!("am=55;GrantType=urn:other;clcm=1;{client};{signed}"), vec![grant, "scope"]),
        (format!("am=55;clcm=3;{client};{signed}"), vec![grant, "scope", "client_id"]),
        (format!("am=53;{client}"), vec![grant, "scope"]),
        (format!("am=53;clcm=3;{client}"), vec![grant, "scope", "client_id"]),
        (
            format!("am=53;ClientID=app;KeyStore={}", stores::path("openssl.pem")),
            vec![grant, "scope", "client_id"],
        ),
        (format!("am=OAuth2-JWTClientAssertion;{signed}"), vec![grant, assertion, "scope"]),
        (
            format!("am=OAuth2-JWTClientAssertion;ClientID=app;{signed}"),
            vec![grant, assertion, "client_id", "scope"],
        ),
        (
            "am=OAuth2-JWTClientAssertion;ClientAssertion=a.preset.assertion".to_owned(),
            vec![grant, assertion, "scope"],
        ),
        (ASSERTION_FILE.to_owned(), vec![grant, assertion, "scope"]),
        (format!("am=52;UID=me;PWD=hunter22;{client}"), vec![grant, "username", "scope"]),
        (format!("am=52;UID=me;PWD=hunter22;clcm=3;{client}"), vec![grant, "username", "scope", "client_id"]),
        (format!("am=54;RefreshToken=old-token;{client}"), vec![grant, "scope"]),
        ("am=54;RefreshToken=old-token;ClientID=app".to_owned(), vec![grant, "scope", "client_id"]),
        (format!("{login};OAuthCode=a-code;ClientID=app"), vec![grant, "redirect_uri", "client_id"]),
        (format!("{login};OAuthCode=a-code;{client}"), vec![grant, "redirect_uri"]),
        (format!("{login};RefreshToken=old-token;ClientID=app"), vec![grant, "client_id"]),
        (format!("{login};ClientID=app"), vec![grant, "redirect_uri", "client_id"]),
    ] {
        let server = MockServer::start(Config::http());
        let client_options =
            ClientOptions { redirect_uris: vec![redirect.clone()], ..ClientOptions::default() };
        server.register::<&str>("app", &[], client_options);
        let connection = open(&format!(
            "{options};Scope=read all;TokenParameters=resource=of-the-token&tenant=t-1;ah=X-Extra;\
             SecurityToken=of-the-header;AuthURI={};TokenEndpoint={}",
            server.url("/oauth/auth"),
            server.url("/oauth/token")
        ))
        .unwrap();
        if options == ASSERTION_FILE {
            connection.set_option("ClientAssertionFile", file.to_str().unwrap()).unwrap();
        }
        let report = explain(&connection);
        // The server may reject the request.
        if options.starts_with(&login) && !options.contains("OAuthCode") && !options.contains("RefreshToken")
        {
            let _ = authorize_with_test_browser(&connection);
        } else {
            let _ = connection.get_token();
        }
        let requests = server.token_requests();
        let request = requests.first().unwrap_or_else(|| panic!("{options}: no request"));
        assert_eq!(assert_explained_as_received(&report, request), shown, "{options}");
        assert_eq!(names_and_values(&report["request"]["headers"])[0].0, "X-Extra", "{options}");
        assert_parameters_reserved(&connection, &report);
    }
}

#[test]
fn grant_explanation_names_client_authentication() {
    let with_secret = ClientOptions { secret: Some("a secret".to_owned()), ..ClientOptions::default() };
    let with_user = ClientOptions {
        users: [("me".to_owned(), "hunter2".to_owned())].into(),
        secret: Some("a secret".to_owned()),
        ..ClientOptions::default()
    };
    let assertion = format!(
        "am=OAuth2-JWTClientAssertion;ClaimsIssuer=app;ClaimsSubject=app;ClientID=app;JWTCertStore={}",
        stores::path("openssl.pem")
    );
    let certificate = stores::certificate();
    for (string, keys, options, client_authentication, method) in [
        ("am=53;ClientID=app;ClientSecret=a secret;Scope=s", None, with_secret.clone(), "Basic header", "53"),
        ("clcm=3;ClientID=app;ClientSecret=a secret;am=24", None, with_secret, "in the body", "53"),
        (
            "UID=me;PWD=hunter2;ClientID=app;ClientSecret=a secret;am=52",
            None,
            with_user,
            "Basic header",
            "52",
        ),
        (
            assertion.as_str(),
            Some(&certificate),
            ClientOptions {
                grant_types: vec![mock_server::GrantType::ClientCredentials],
                ..ClientOptions::default()
            },
            "client assertion",
            "OAuth2-JWTClientAssertion",
        ),
    ] {
        let server = MockServer::start(Config::http());
        server.register("app", &keys.into_iter().collect::<Vec<_>>(), options);
        let connection = open(&format!("{string};TokenEndpoint={}", server.url("/oauth/token"))).unwrap();
        let text = connection.explain().unwrap();
        assert!(!text.contains("a secret") && !text.contains("hunter2"), "{text}");
        let report = parse_report(&text);
        connection.get_token().unwrap_or_else(|failure| panic!("{string}: {failure:?}"));
        assert_eq!(report["request"]["client_authentication"]["value"], client_authentication, "{report:#}");
        assert_eq!(report["method"]["value"]["number"], method);
        assert_eq!(report["method"]["value"]["inferred"], string.ends_with("24"));
        assert_eq!(report["request"]["methods"]["value"], json!(["POST"]));
        let basic = names_and_values(&report["request"]["headers"]) == [("Authorization", "****")];
        assert_eq!(basic, client_authentication == "Basic header", "{report:#}");
    }
}

#[test]
fn login_explanation_shows_first_request() {
    let url = "https://login.example";
    let string = |options: &str| {
        format!(
            "am=56;ClientID=app;RedirectURI=http://localhost:3000;Scope=s;AuthURI={url}/auth;TokenEndpoint={url}/token;{options}"
        )
    };
    for (options, grant_type) in
        [("OAuthCode=canary-code", "authorization_code"), ("RefreshToken=canary-old", "refresh_token")]
    {
        let report = explain_string(&string(options));
        assert!(!report.to_string().contains("canary"), "{report:#}");
        assert_eq!(report["method"]["value"]["number"], "56");
        assert!(report["consent_url"]["value"].as_str().unwrap().contains("/auth?"), "{report:#}");
        let parameters = names_and_values(&report["request"]["parameters"]);
        assert_eq!(parameters[0], ("grant_type", grant_type));
        assert_eq!(report["request"]["client_authentication"]["value"], "client_id alone");
    }
}

#[test]
fn explained_values_name_their_origin() {
    let home = TestHome::new();
    let model = home.write(
        "m.rest",
        r##"{"#scope": "from the model", "#redirectUri": "http://localhost:3000", "#headers": {"X-Model": "secret of the model"}}"##,
    );
    home.write(".odbc.ini", "[a]\n; a comment\nClaimsIssuer=from the DSN\nJWTLifetime=60\n");
    let file = home.write("b.dsn", "[ODBC]\nJWTLifetime=90\n");
    let string = format!(
        "am=55;ClaimsSubject=from the string;cliss=me;JWTCertStore={};JWTCertPassword=secret;\
         RestConfigFile={model};TokenURI=https://account-d.docusign.com/oauth/token",
        stores::path("keytool.jks")
    );
    let connection = home.open(&format!("DSN=a;{}", string.replace("cliss=me;", "")));
    connection.set_option("JWTKeyID", "set later").unwrap();
    let dsn_report = explain(&connection);
    let (header, claims) = (&dsn_report["assertion"]["header"], &dsn_report["assertion"]["claims"]);
    let ini = home.write("unused", "").replace("unused", ".odbc.ini");
    for (explained, value, from) in [
        (
            &claims["sub"],
            json!("from the string"),
            json!({"origin": "connection string", "option": "ClaimsSubject"}),
        ),
        (
            &claims["iss"],
            json!("from the DSN"),
            json!({"origin": "DSN", "option": "ClaimsIssuer", "place": format!("line 3 of {ini}")}),
        ),
        (
            &claims["scope"],
            json!("from the model"),
            json!({"origin": "model file", "option": "Scope", "place": model}),
        ),
        (&header["kid"], json!("set later"), json!({"origin": "authgrant_set_option", "option": "JWTKeyID"})),
        (&header["alg"], json!("RS256"), json!({"origin": "profile", "profile": "docusign"})),
        (&header["typ"], json!("JWT"), json!({"origin": "default"})),
        (
            &claims["aud"],
            json!("account-d.docusign.com"),
            json!({"origin": "profile", "profile": "docusign"}),
        ),
        (&dsn_report["provider"], json!("docusign"), json!({"origin": "token host"})),
        (
            &dsn_report["request"]["methods"],
            json!(["POST"]),
            json!({"origin": "profile", "profile": "docusign"}),
        ),
        (&dsn_report["timeouts"]["LoginTimeout"], json!(60), json!({"origin": "default"})),
    ] {
        assert_eq!((&explained["value"], &explained["from"]), (&value, &from), "{dsn_report:#}");
    }
    let consent = &dsn_report["consent_url"];
    assert!(
        consent["value"].as_str().unwrap().starts_with("https://account-d.docusign.com/oauth/auth?"),
        "{consent}"
    );
    let headers = &dsn_report["api"]["headers"];
    assert_eq!(names_and_values(headers), [("Authorization", "****"), ("X-Model", "****")]);
    assert_eq!(headers[1]["from"], json!({"origin": "model file", "place": model}));
    let headers = &dsn_report["request"]["headers"];
    assert_eq!(names_and_values(headers), [("X-Model", "****")]);
    assert_eq!(headers[0]["from"], json!({"origin": "model file", "place": model}));

    let file_dsn_report = explain(&home.open(&format!("FILEDSN={file};{string};LoginTimeout=0")));
    let exp = &file_dsn_report["assertion"]["claims"]["exp"];
    let from = json!({"origin": "FILEDSN", "option": "JWTLifetime", "place": format!("line 2 of {file}")});
    assert_eq!((&exp["value"], &exp["from"]), (&json!("now + 85"), &from), "{file_dsn_report:#}");
    assert_eq!(file_dsn_report["timeouts"]["LoginTimeout"]["value"], Value::Null);
}

#[test]
fn methods_are_listed_in_try_order() {
    let string = |uri: &str| format!("am=55;cliss=me;JWTCertStore={};TokenURI={uri}", stores::ec_key_path());
    for (uri, methods, origin) in [
        ("https://login.example/t", json!(["GET", "POST"]), "default"),
        ("GET https://login.example/t", json!(["GET"]), "connection string"),
        ("POST https://login.example/t", json!(["POST"]), "connection string"),
    ] {
        let explained = &explain_string(&string(uri))["request"]["methods"];
        assert_eq!(
            (&explained["value"], explained["from"]["origin"].as_str()),
            (&methods, Some(origin)),
            "{uri}"
        );
    }
    let server =
        start_mock_server(Config { get: mock_server::GetResponse::MethodNotAllowed, ..Config::http() });
    let connection = open(&minimal_string(&server, "").replace("=POST ", "=")).unwrap();
    assert_eq!(explain(&connection)["request"]["methods"]["value"], json!(["GET", "POST"]));
    connection.get_token().unwrap();
    let remembered = &explain(&connection)["request"]["methods"];
    assert_eq!(
        (&remembered["value"], &remembered["from"]["origin"]),
        (&json!(["POST"]), &json!("learnt from the server"))
    );
}

#[test]
fn custom_authorization_header_is_endpoint_only() {
    let options = "ah=Authorization;st=Basic abc;TokenEndpoint=https://login.example/t";
    let report = explain_string(&format!("am=55;cliss=me;JWTCertStore={};{options}", stores::ec_key_path()));
    assert_eq!(names_and_values(&report["request"]["headers"]), [("Authorization", "****")]);
    assert_eq!(names_and_values(&report["api"]["headers"]), [("Authorization", "****")]);
    assert_eq!(report["api"]["headers"][0]["from"], json!({"origin": "token"}));
}

#[test]
fn custom_claims_are_shown_verbatim() {
    let options = "ClaimsAdditional={{\"iat\":1000,\"aud\":[\"a\",\"b\"],\"n\":1.0}}}";
    let string = format!("am=JWT;cliss=me;JWTCertStore={};{options}", stores::ec_key_path());
    let text = open(&string).unwrap().explain().unwrap();
    assert!(text.contains("\"value\": 1.0,"), "{text}");
    let report = parse_report(&text);
    let claims = &report["assertion"]["claims"];
    assert_eq!((&claims["iat"]["value"], &claims["exp"]["value"]), (&json!(1000), &json!(1300)));
    assert_eq!(
        (&claims["aud"]["value"], &claims["aud"]["from"]["option"]),
        (&json!(["a", "b"]), &json!("ClaimsAdditional"))
    );
    assert_eq!((&report["token"], report.get("request")), (&json!("the signed JWT"), None));
}

#[test]
fn unopenable_store_error_is_in_key_section() {
    let string = format!(
        "am=55;cliss=me;JWTThumbprint=x5t;TokenEndpoint=https://login.example/t?key=hunter2;JWTCertStore={};JWTCertPassword=no",
        stores::path("keytool.jks")
    );
    let unopened_report = explain_string(&string);
    let assertion = &unopened_report["assertion"];
    assert_eq!(assertion["key"]["error"]["name"], "AUTHGRANT_KEY_PASSWORD", "{unopened_report:#}");
    assert_eq!(assertion["claims"]["iss"]["value"], "me");
    for name in ["alg", "x5t"] {
        assert_eq!(assertion["header"][name]["value"], Value::Null, "{unopened_report:#}");
    }
    assert_eq!(assertion["header"]["alg"]["from"]["origin"], "key");
    // A query may contain a secret, also if the URL is the audience.
    assert!(!unopened_report.to_string().contains("hunter2"), "{unopened_report:#}");
    assert_eq!(assertion["claims"]["aud"]["value"], "https://login.example/t?****");
    let mismatch = format!("{string};JWTAlgorithm=ES256").replace("Password=no", "Password=secret");
    let mismatch_report = explain_string(&mismatch);
    let key = &mismatch_report["assertion"]["key"];
    assert_eq!(
        (&key["error"]["name"], &key["type"]),
        (&json!("AUTHGRANT_KEY_UNSUITABLE"), &json!("RSA 2048"))
    );
    let failure = open("am=55").unwrap().explain().unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_MISSING_OPTION, "{failure:?}");
}

/// A unique value, so that every occurrence in a report is found.
fn secret_canary(index: usize, definition: &OptionSpec) -> String {
    let canary = format!("canary-{index}-of-at-least-thirty-two-characters");
    match definition.name {
        "TokenParameters" => format!("options={canary}"),
        "ClientAssertion" => format!("e30.{canary}.c2ln"),
        _ => canary,
    }
}

#[test]
fn reports_contain_no_option_secret() {
    let store = stores::path("keytool.jks");
    let token_url = "TokenEndpoint=https://login.example/t;ah=X-A";
    let mut used = BTreeSet::new();
    let secrets: Vec<_> = TABLE.iter().enumerate().filter(|(_, option)| option.is_secret()).collect();
    // Each with the secrets that are mutually exclusive with others.
    for (string, excluded) in [
        (
            format!("am=55;cliss=me;clcm=3;ClientID=c;JWTCertStore={store};{token_url}"),
            &["JWTPrivateKey", "JWTSecret"] as &[&str],
        ),
        (format!("am=55;cliss=me;clcm=1;ClientID=c;{token_url}"), &["JWTSecret"]),
        ("am=JWT;cliss=me;ah=X-A".to_owned(), &["JWTPrivateKey"]),
        (format!("am=OAuth2-JWTClientAssertion;{token_url}"), &[]),
        (format!("am=53;ClientID=c;{token_url}"), &[]),
        (format!("am=52;UID=u;ClientID=c;{token_url}"), &[]),
        (format!("am=54;ClientID=c;{token_url}"), &[]),
        (
            format!(
                "am=51;ClientID=c;AuthURI=https://login.example/a;RedirectURI=http://localhost:3000;Scope=s;{token_url}"
            ),
            &["RefreshToken"],
        ),
        ("am=50;ah=X-A".to_owned(), &[]),
        ("am=34".to_owned(), &[]),
        ("am=25;ah=X-A".to_owned(), &[]),
        ("am=0;UID=u".to_owned(), &[]),
        ("am=15".to_owned(), &[]),
    ] {
        let connection = open(&string).unwrap();
        for (index, option) in secrets.iter().filter(|(_, option)| !excluded.contains(&option.name)) {
            connection.set_option(option.name, &secret_canary(*index, option)).unwrap();
            used.insert(option.name);
        }
        let explained = connection.explain().unwrap_or_else(|failure| panic!("{string}: {failure:?}"));
        for text in [explained, connection.validate()] {
            for (index, option) in &secrets {
                let canary = secret_canary(*index, option);
                for encoded in [STANDARD.encode(&canary), format!("canary-{index}-")] {
                    assert!(!text.contains(&encoded), "{} in {text}", option.name);
                }
            }
        }
    }
    assert_eq!(used.len(), secrets.len(), "every secret is used once: {used:?}");
}

#[test]
fn proxy_and_client_certificate_are_explained_redacted() {
    let base = "am=53;ClientID=me;TokenURI=https://login.example/token";
    let report = explain_string(&format!(
        "ProxyHost=socks5://P.example;ProxyUser=u;ProxyPassword=hunter2;KeyStore=me.p12;KeyStorePassword=hunter2;{base}"
    ));
    let from = |option: &str| json!({ "origin": "connection string", "option": option });
    let proxy = json!({ "value": "socks5://p.example:1080", "from": from("ProxyHost") });
    assert_eq!(report["trust"]["proxy"], proxy);
    assert_eq!(report["trust"]["client"], json!({ "value": "me.p12", "from": from("KeyStore") }));
    let client_authentication = json!({ "value": "client_id and certificate", "from": from("KeyStore") });
    assert_eq!(report["request"]["client_authentication"], client_authentication);
    assert!(!report.to_string().contains("hunter2"), "{report:#}");
    let direct = explain_string(&format!("{base};ClientSecret=x;ProxyMode=0"));
    assert_eq!((&direct["trust"]["proxy"], &direct["trust"]["client"]), (&Value::Null, &Value::Null));
}
