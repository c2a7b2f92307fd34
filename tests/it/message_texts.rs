//! The golden test of message texts: `message_texts.txt` has every message of these cases. Other tests assert on status, option and
//! SQLSTATE. `make generated` rewrites the file; read its difference.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use mock_server::{Behavior, Config, MockServer};
use serde_json::{Value, json};

use crate::support::c_api::{Connection, Failure, open};
use crate::support::{minimal_string, start_mock_server, stores};

/// Connection strings whose problems and warnings `authgrant_validate` reports. `{name}` is a key store of the tests.
const OFFLINE: &[&str] = &[
    "",
    "ClaimsIssuer={abc",
    "ClaimsIssuer",
    "=x",
    "am=15;Password={{hello}}",
    "am=15;Password='a;b'",
    "am=15;Password=a;=b",
    "am=15;Unknown={{a}}",
    "am=15;Scope='a;b=c'",
    "am=15;ClaimsAdditional={\"a\":{\"b\":1}};JWTHeaders={\"c\":1}",
    "am=15;Client ID=a;\u{a0}Scope=b",
    "am=99",
    "am=nonsense",
    "am=14",
    "am=29",
    "am=30",
    "am=43",
    "am=55",
    "am=24",
    "am=50",
    "am=51",
    "am=52;User=a;Password=b;ClientID=c;TokenURI=POST https://login.example/token",
    "am=53",
    "am=54",
    "am=56",
    "am=25",
    "am=0",
    "am=25;SecurityToken=x",
    "am=25;AuthHeader=X Y;SecurityToken=x",
    "am=25;AuthHeader=Host;SecurityToken=x",
    "am=25;AuthHeader=X;SecurityToken={a\r\nb}",
    "am=55;Scop=a;ClaimsIsuer=b",
    "am=55;am=53;Scope=a;Scope=b",
    "am=55;LoginTimeout=abc;WSTimeout=-1;RefreshMargin=x",
    "am=55;ClaimsIssuer=me;JWTLifetime=0",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTLifetime=60;JWTLifetimeMinutes=1",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTAlgorithm=none",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTAlgorithm=RS999",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ClaimsAdditional=[1]",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ClaimsAdditional={{\"a\":1",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTHeaders={{\"alg\":\"none\"}}",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTHeaders={{\"kid\":\"a\"}};JWTKeyID=b",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTThumbprint=x5u",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;TokenURI=POST http://192.0.2.1/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;TokenURI=PUT https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;TokenURI=POST ftp://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;TokenURI=POST https://u:p@login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;TokenURI=POST https://login.example/t;TokenEndpoint=https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;TokenURI=https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ClientID=c;ClientSecret=s;ClientCredentialsMode=3;TokenURI=GET https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ClientID=c;ClientSecret=s;ClientCredentialsMode=2;TokenURI=POST https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;GrantType=a b;TokenParameters=grant_type=x;TokenURI=POST https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;RestConfigFile=/nowhere/model.rest",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore=/nowhere/at all.jks",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={directory}",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={fifo}",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={large}",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={empty}",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={random}",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={truncated.jks};JWTCertPassword=secret",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={truncated.p12};JWTCertPassword=secret",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={keytool.jks}",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={keytool.jks};JWTCertPassword=wrong",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={openssl.p12};JWTCertPassword=wrong",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={openssl.p12};JWTCertPassword='secret'",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={encrypted.pem};JWTCertPassword=wrong",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={keypass.jks};JWTCertPassword=secret",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={keytool.jks};JWTCertPassword=secret;JWTCertAlias=nobody",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={two-keys.jks};JWTCertPassword=secret",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={tied-keys.jks};JWTCertPassword=secret",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={with-certificate.jks};JWTCertPassword=secret;JWTCertAlias=trusted",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={keytool.jks};JWTCertPassword=secret;JWTAlgorithm=ES256",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={rsa512.pem}",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTPrivateKey=nonsense",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore=-----BEGIN PRIVATE KEY-----",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTPrivateKey=nonsense;JWTCertificate=-----BEGIN CERTIFICATE-----",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTSecret=short;JWTAlgorithm=HS256",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTSecret=base64:!!!;JWTAlgorithm=HS256",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={keytool.jks};JWTCertPassword=env:NAME",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;JWTCertStore={keytool.jks};JWTCertPassword=file:/etc/hostname",
    "am=OAuth2-JWTClientAssertion;ClientID=c;ClientAssertion=x;TokenURI=POST https://login.example/t",
    "am=OAuth2-JWTClientAssertion;ClientID=c;ClientAssertion='a.b.c';TokenURI=POST https://login.example/t",
    "am=OAuth2-JWTClientAssertion;ClientID=c;ClientAssertion=Bearer a.b.c;TokenURI=POST https://login.example/t",
    "am=OAuth2-JWTClientAssertion;ClientID=c;ClientAssertion=a;ClientAssertionFile=/b;TokenURI=POST https://login.example/t",
    "am=OAuth2-JWTClientAssertion;ClientID=c;ClientAssertionFile=/nowhere;TokenURI=POST https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;TrustStore=/nowhere.pem;TokenURI=POST https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;TrustStorePassword=a;KeyStorePassword=b;ProxyPort=1;ProxyUser=c",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ValidateServerCertificate=0;HostNameInCertificate=a",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;CryptoProtocolVersion=SSLv3,TLSv1.2",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;CryptoProtocolVersion=SSLv3",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ProxyHost=https://proxy.example",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ProxyHost=http://u:p@proxy.example",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ProxyHost=proxy.example:1;ProxyPort=2",
    "am=55;ClaimsIssuer=me;Provider=nobody",
    "am=55;ClaimsIssuer=me;Provider=docusign;ConsentType=Admin",
    "am=55;ClaimsIssuer=me;Provider=docusign;Scope=signature",
    "am=55;ClaimsIssuer=me;Provider=snowflake",
    "am=55;ClaimsIssuer=me;Provider=netsuite;JWTLifetime=100000",
    "am=55;ClaimsIssuer=me;Provider=salesforce;Scope=a",
    "am=55;ClaimsIssuer=me;Provider=entra",
    "am=51;ClientID=c;AuthURI=https://login.example/a;TokenURI=POST https://login.example/t;RedirectURI=https://app.example/cb",
    "am=51;ClientID=c;AuthURI=https://login.example/a;TokenURI=POST https://login.example/t;RedirectURI=http://localhost/cb",
    "am=51;ClientID=c;AuthURI=https://login.example/<tenant>/a;TokenURI=POST https://login.example/t;RedirectURI=http://localhost/cb",
    "am=51;ClientID=c;AuthURI=https://login.example/a;TokenURI=POST https://login.example/t;RedirectURI=http://localhost:0/cb;OAuthCode=x",
    "am=53;ClientID={a };ClientSecret='b';TokenURI=POST https://login.example/{tenant}/t",
    "am=53;ClientID=a\u{200b};ClientSecret=b\u{201d};TokenURI=POST https://login.example/t",
    "am=53;ClientID=c;KeyStore=/nowhere.p12;TokenURI=POST http://localhost/t",
    "am=53;ClientID=c;ClientSecret=<secret>;ClaimsSubject=s;RefreshToken=r;TokenURI=POST https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ClientID=c;ClientSecret=s;ClientAssertionFile=/a;TokenURI=POST https://login.example/t",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;ClientID=c;GrantType=x",
    "am=OAuth2-JWTClientAssertion;ClientID=c;ClientAssertion=a.b.c;JWTCertStore=/nowhere.p12;TokenURI=POST https://login.example/t",
    "ClaimsIssuer=me;RefreshToken=r;TokenURI=POST https://login.example/t",
    "am=50;AccessToken={a b}",
    "am=50;AccessToken={a\r\nX: b}",
    "am=50;AccessToken=a;AccessTokenExpires=yesterday",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;CacheScope=Forever",
    "am=55;ClaimsIssuer=me;clsub=u;ClaimsAudience=a;KeyFileCheck=2",
];

/// What a token endpoint does, and with which further options it is called.
fn online() -> Vec<(&'static str, Behavior, &'static str)> {
    let error = |status, body: Value| Behavior::Json { status, body, headers: Vec::new() };
    let with = |status, name: &str, value: &str| Behavior::Json {
        status,
        body: Value::Null,
        headers: vec![(name.to_owned(), value.to_owned())],
    };
    vec![
        (
            "invalid_grant",
            error(400, json!({"error": "invalid_grant", "error_description": "bad assertion"})),
            "",
        ),
        ("invalid_client", error(401, json!({"error": "invalid_client"})), ""),
        (
            "invalid_client by Basic",
            error(401, json!({"error": "invalid_client"})),
            "ClientID=driver;ClientSecret=s3cret;ClientCredentialsMode=Basic",
        ),
        (
            "invalid_client in the body",
            error(401, json!({"error": "invalid_client"})),
            "ClientID=driver;ClientSecret=s3cret;ClientCredentialsMode=Post",
        ),
        (
            "invalid_client with an assertion",
            error(401, json!({"error": "invalid_client"})),
            "am=OAuth2-JWTClientAssertion;ClientID=driver;JWTKeyID=key-1",
        ),
        ("unauthorized_client", error(400, json!({"error": "unauthorized_client"})), ""),
        ("invalid_scope", error(400, json!({"error": "invalid_scope"})), "Scope=read write"),
        ("invalid_scope without a scope", error(400, json!({"error": "invalid_scope"})), ""),
        ("use_dpop_nonce", error(400, json!({"error": "use_dpop_nonce"})), ""),
        ("token_type DPoP", error(200, json!({"access_token": "a", "token_type": "DPoP"})), ""),
        (
            "an Entra error without its profile",
            error(400, json!({"error": "invalid_client", "error_description": "AADSTS700027: No."})),
            "",
        ),
        (
            "an error object",
            error(403, json!({"error": {"code": 403, "message": "No", "status": "NOPE"}})),
            "",
        ),
        ("a message alone", error(403, json!({"message": "Forbidden"})), ""),
        ("WWW-Authenticate alone", with(401, "WWW-Authenticate", "Bearer error=\"invalid_token\""), ""),
        ("401", error(401, Value::Null), ""),
        ("403", error(403, Value::Null), ""),
        ("405", error(405, Value::Null), ""),
        ("consent_required", error(400, json!({"error": "consent_required"})), ""),
        (
            "temporarily_unavailable",
            error(503, json!({"error": "temporarily_unavailable"})),
            "LoginTimeout=1",
        ),
        ("500", error(500, Value::Null), "LoginTimeout=1"),
        ("429", with(429, "Retry-After", "120"), ""),
        ("503", with(503, "Retry-After", "120"), ""),
        ("404", error(404, Value::Null), ""),
        ("html", Behavior::Html { status: 200 }, ""),
        ("html 403", Behavior::Html { status: 403 }, ""),
        ("redirect", Behavior::Redirect { location: "https://elsewhere.example/".to_owned() }, ""),
        ("no access_token", error(200, json!({"token_type": "Bearer"})), ""),
        ("token_type mac", error(200, json!({"access_token": "a", "token_type": "mac"})), ""),
        ("control character", error(200, json!({"access_token": "a\nb", "token_type": "Bearer"})), ""),
        ("array", Behavior::TokenAnswer("[]".to_owned()), ""),
        ("no JSON", Behavior::TokenAnswer("{".to_owned()), ""),
        ("big body", Behavior::BigBody(2 * 1024 * 1024), ""),
        ("no HTTP", Behavior::Raw(b"SSH-2.0-x\r\n".to_vec()), ""),
        (
            "truncated",
            Behavior::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec()),
            "LoginTimeout=1",
        ),
        ("compressed", with(200, "Content-Encoding", "gzip"), ""),
        ("never answers", Behavior::NeverAnswer, "LoginTimeout=1"),
        ("slow request", Behavior::NeverAnswer, "WSTimeout=1;LoginTimeout=2"),
    ]
}

fn golden_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/message_texts.txt")
}

/// Replaces what differs from run to run: paths, ports, times.
fn normalize(text: &str, replacements: &[(String, &str)]) -> String {
    let replaced = replacements.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    // The time of a connection attempt, and the clock skew, which a loaded machine turns around.
    let replaced = replaced.replace(" s behind", " s ahead of");
    [" ms", " s ahead"].iter().fold(replaced, |text, unit| hide_numbers_before(&text, unit))
}

fn hide_numbers_before(text: &str, unit: &str) -> String {
    let parts: Vec<&str> = text.split(unit).collect();
    let last = parts.len() - 1;
    let hidden = parts.iter().enumerate().map(|(index, part)| {
        match part.trim_end_matches(|c: char| c.is_ascii_digit()) {
            before if index < last && before.len() < part.len() => format!("{before}N"),
            _ => (*part).to_owned(),
        }
    });
    hidden.collect::<Vec<_>>().join(unit)
}

fn describe_failure(failure: &Failure) -> String {
    format!(
        "{} {} {}: {}",
        failure.status,
        failure.sqlstate,
        failure.option.as_deref().unwrap_or("-"),
        failure.message
    )
}

fn describe_problem(problem: &Value) -> String {
    format!(
        "{} {} {}: {}",
        problem["status"],
        problem["sqlstate"].as_str().unwrap(),
        problem["option"].as_str().unwrap_or("-"),
        problem["message"].as_str().unwrap(),
    )
}

/// The problems and the warnings of a connection, or why it cannot be opened.
fn offline_messages(string: &str) -> Vec<String> {
    let connection = match open(string) {
        Ok(connection) => connection,
        Err(failure) => return vec![describe_failure(&failure)],
    };
    let report: Value = serde_json::from_str(&connection.validate()).unwrap();
    let lists = ["problems", "warnings"].map(|list| report[list].as_array().unwrap().clone());
    lists.concat().iter().map(describe_problem).collect()
}

fn online_messages(server: &MockServer, behavior: Behavior, more: &str) -> Vec<String> {
    server.set_default_behavior(behavior);
    // A server of another test may have had the same port: its token would be in the cache of this process.
    let string = minimal_string(server, &format!("CacheScope=Connection;{more}"));
    let connection: Connection = open(&string).unwrap();
    vec![describe_failure(&connection.get_token().unwrap_err())]
}

fn with_stores(string: &str) -> String {
    const NAMES: [&str; 15] = [
        "directory",
        "fifo",
        "large",
        "empty",
        "random",
        "truncated.jks",
        "truncated.p12",
        "keytool.jks",
        "openssl.p12",
        "encrypted.pem",
        "keypass.jks",
        "two-keys.jks",
        "tied-keys.jks",
        "with-certificate.jks",
        "rsa512.pem",
    ];
    NAMES.iter().fold(string.to_owned(), |string, name| {
        string.replace(&format!("JWTCertStore={{{name}}}"), &format!("JWTCertStore={}", stores::path(name)))
    })
}

#[test]
fn message_texts_match_golden_file() {
    let folder = stores::path("keytool.jks").replace("keytool.jks", "");
    let mut text = String::new();
    let mut add = |case: &str, messages: &[String], replacements: &[(String, &str)]| {
        let _ = writeln!(text, "# {}", case.escape_debug());
        for message in messages {
            let _ = writeln!(text, "{}", normalize(message, replacements));
        }
    };
    for case in OFFLINE {
        add(case, &offline_messages(&with_stores(case)), &[(folder.clone(), "DIR/")]);
    }
    for (case, behavior, more) in online() {
        let server = start_mock_server(Config::http());
        let origin = server.url("");
        let port = origin.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
        add(case, &online_messages(&server, behavior, more), &[(port, "PORT"), (folder.clone(), "DIR/")]);
    }
    let path = golden_path();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = text.lines().zip(golden.lines()).find(|(now, then)| now != then);
    assert!(text == golden, "{} differs, first in {difference:?}; run `make generated`", path.display());
    assert!(text.lines().count() > 200, "{}", text.lines().count());
}
