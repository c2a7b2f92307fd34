//! Options for claims and JOSE headers, through the C API, verified by the mock server, with keys made by
//! OpenSSL.

use std::process::Command;
use std::sync::OnceLock;

use crate::support::c_api::{Failure, Token, get_token, open};
use crate::support::stores;
use crate::support::tempdir::TestDir;
use authgrant::ffi::status::*;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mock_server::{ClientOptions, Config, MockServer, RecordedRequest};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "a secret of sixty-four characters, which is enough for every HMAC";

/// A generated file: an Ed25519 key with its certificate, and the DER form of the signer's certificate.
fn test_file(name: &str) -> String {
    static DIR: OnceLock<TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let script = format!(
            "openssl genpkey -algorithm ed25519 -out ed.pem
             openssl req -x509 -key ed.pem -days 300 -subj /CN=ed -out ed.crt
             openssl pkcs12 -export -inkey ed.pem -in ed.crt -name ed -passout pass:secret -out ed.p12
             openssl x509 -in {} -outform DER -out signer.der",
            stores::path("certificate.pem"),
        );
        let output = Command::new("sh").args(["-ec", &script]).current_dir(&dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        dir
    });
    dir.path().join(name).to_str().unwrap().to_owned()
}

fn read_file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Starts a server on which `certificate` is registered for the issuer "me".
fn start_server_with_certificate(certificate: &str, options: ClientOptions) -> MockServer {
    let server = MockServer::start(Config::http());
    server.register("me", &[certificate], options);
    server
}

fn connection_string(server: &MockServer, more: &str) -> String {
    format!("am=55;ClaimsIssuer=me;ClaimsSubject=a;TokenEndpoint={};{more}", server.url("/oauth/token"))
}

/// Returns the request that the server accepted.
fn accepted_request(server: &MockServer, more: &str) -> RecordedRequest {
    get_token(&connection_string(server, more)).unwrap_or_else(|failure| panic!("{more}: {failure:?}"));
    server.token_requests().pop().unwrap()
}

fn key_store_options(name: &str) -> String {
    format!("JWTCertStore={};JWTCertPassword=secret;", stores::path(name))
}

/// Returns the failure of a connection that only signs, without a server.
#[track_caller]
fn assert_signing_fails(more: &str, status: i32, option: &str, fragments: &[&str]) -> Box<Failure> {
    let failure = get_token(&format!("am=55;ClaimsIssuer=me;{more}")).expect_err("signing must fail");
    assert_eq!((failure.status, failure.option.as_deref()), (status, Some(option)), "{failure:?}");
    for fragment in fragments {
        assert!(failure.message.contains(fragment), "no {fragment:?} in {}", failure.message);
    }
    failure
}

fn decode_jwt_part(token: &Token, index: usize) -> Value {
    let value = token.value();
    let bytes = URL_SAFE_NO_PAD.decode(value.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Whether the token has an HS256 signature made with `secret`.
fn is_signed_with(secret: &str, token: &Token) -> bool {
    let value = token.value();
    let (message, signature) = value.rsplit_once('.').unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).is_ok()
}

#[test]
fn private_key_algorithms_verify_at_server() {
    for (store, certificate, algorithms) in [
        (
            key_store_options("keytool.jks"),
            stores::certificate(),
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as &[&str],
        ),
        (key_store_options("p256.p12"), stores::certificate_for("p256"), &["ES256"]),
        (key_store_options("p384.p12"), stores::certificate_for("p384"), &["ES384"]),
        (format!("JWTCertStore={}", test_file("ed.pem")), read_file(&test_file("ed.crt")), &["EdDSA"]),
        (
            format!("JWTCertStore={};JWTCertPassword=secret", test_file("ed.p12")),
            read_file(&test_file("ed.crt")),
            &["EdDSA"],
        ),
    ] {
        for algorithm in algorithms {
            let server = start_server_with_certificate(&certificate, ClientOptions::default());
            let request = accepted_request(&server, &format!("{store};JWTAlgorithm={algorithm}"));
            assert_eq!(request.jwt_header.unwrap()["alg"], *algorithm);
        }
    }
}

#[test]
fn hmac_algorithms_verify_at_server() {
    let options = ClientOptions { hmac_secret: Some(SECRET.to_owned()), ..ClientOptions::default() };
    let encoded = format!("base64:{}", STANDARD.encode(SECRET));
    for secret in [SECRET, &encoded] {
        for (algorithm, expected) in [
            ("", "HS256"),
            ("JWTAlgorithm=HS256", "HS256"),
            ("JWTAlgorithm=hs384", "HS384"),
            ("JWTAlgorithm=HS512", "HS512"),
        ] {
            let server = start_server_with_certificate(&stores::certificate(), options.clone());
            let request = accepted_request(&server, &format!("JWTSecret={secret};{algorithm}"));
            assert_eq!(request.jwt_header.unwrap()["alg"], expected);
        }
    }
}

#[test]
fn oct_jwk_is_shared_secret_with_kid_and_alg() {
    let options = ClientOptions { hmac_secret: Some(SECRET.to_owned()), ..ClientOptions::default() };
    let server = start_server_with_certificate(&stores::certificate(), options);
    let k = URL_SAFE_NO_PAD.encode(SECRET);
    let jwk = json!({ "kty": "oct", "k": k, "kid": "shared", "alg": "HS384" }).to_string();
    let quoted = format!("{{{}}}", jwk.replace('}', "}}"));
    let dir = TestDir::with_file("key.jwk", &jwk);
    for key in [
        format!("JWTSecret={quoted}"),
        // The braces of the object are those of the value.
        format!("JWTSecret={jwk}"),
        format!("JWTPrivateKey={quoted}"),
        format!("JWTCertStore={}", dir.path("key.jwk")),
    ] {
        for algorithm in ["", ";JWTAlgorithm=HS384"] {
            let header = accepted_request(&server, &format!("{key}{algorithm}")).jwt_header.unwrap();
            assert_eq!((&header["kid"], &header["alg"]), (&json!("shared"), &json!("HS384")), "{key}");
        }
        let option = key.split('=').next().unwrap();
        let other = format!("{key};JWTAlgorithm=HS256");
        assert_signing_fails(&other, AUTHGRANT_KEY_UNSUITABLE, option, &["HS256", "HS384"]);
    }
    let pair = json!({ "kty": "OKP", "crv": "Ed25519", "d": k, "x": k }).to_string();
    let pair = format!("JWTSecret={{{}}}", pair.replace('}', "}}"));
    let failure = assert_signing_fails(&pair, AUTHGRANT_KEY_STORE_ERROR, "JWTSecret", &[]);
    assert!(!failure.message.contains(&k), "{failure:?}");
}

#[test]
fn wrong_hmac_secret_is_denied_and_redacted() {
    let options = ClientOptions { hmac_secret: Some(SECRET.to_owned()), ..ClientOptions::default() };
    let server = start_server_with_certificate(&stores::certificate(), options);
    let other = SECRET.replace("sixty", "fifty");
    let failure = get_token(&connection_string(&server, &format!("JWTSecret={other}"))).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_DENIED);
    assert!(!format!("{failure:?}").contains("fifty"), "{failure:?}");
}

#[test]
fn hmac_secret_signs_token_without_endpoint() {
    let token = get_token(&format!(
        "am=55;ClaimsIssuer=i;ClaimsSubject=s;ClaimsAudience=https://api.example.com;JWTAlgorithm=HS256;\
         JWTSecret={SECRET};JWTLifetime=3600;JWTHeaders='{{\"typ\":\"JWT\",\"kid\":\"k\"}}';\
         ClaimsAdditional='{{\"name\":\"n\",\"scope\":\"read\"}}'"
    ))
    .unwrap();
    assert_eq!(decode_jwt_part(&token, 0), json!({"alg": "HS256", "typ": "JWT", "kid": "k"}));
    let claims = decode_jwt_part(&token, 1);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(claims["exp"].as_i64().unwrap(), token.expires_at());
    for (name, value) in
        [("iss", "i"), ("sub", "s"), ("aud", "https://api.example.com"), ("name", "n"), ("scope", "read")]
    {
        assert_eq!(claims[name], value);
    }
    assert!(is_signed_with(SECRET, &token));
}

#[test]
fn private_key_may_be_inline() {
    let server = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    for (key, password) in [
        (read_file(&stores::path("pkcs1.pem")), ""),
        (STANDARD.encode(read_file(&stores::path("pkcs1.pem"))), ""),
        (read_file(&stores::path("encrypted.pem")), "JWTCertPassword=secret"),
    ] {
        accepted_request(&server, &format!("JWTPrivateKey={};{password}", key.trim()));
    }
    let failure = assert_signing_fails(
        &format!("JWTPrivateKey={}", read_file(&stores::path("encrypted.pem")).trim()),
        AUTHGRANT_KEY_PASSWORD,
        "JWTCertPassword",
        &["JWTPrivateKey"],
    );
    assert!(!failure.message.contains("BEGIN"), "{failure:?}");
}

#[test]
fn key_id_is_sent_and_verified() {
    let options = ClientOptions { kid: Some("2024-01".to_owned()), ..ClientOptions::default() };
    let server = start_server_with_certificate(&stores::certificate(), options);
    let jks = key_store_options("keytool.jks");
    accepted_request(&server, &format!("{jks}JWTKeyID=2024-01"));
    accepted_request(&server, &format!("{jks}JWTHeaders='{{\"kid\":\"2024-01\"}}'"));
    for more in ["", "JWTKeyID=2024-02"] {
        let failure = get_token(&connection_string(&server, &format!("{jks}{more}"))).unwrap_err();
        assert_eq!(failure.status, AUTHGRANT_DENIED);
    }
}

#[test]
fn certificate_headers_match_registered_certificate() {
    let in_store = key_store_options("keytool.jks");
    let in_file = format!(
        "JWTCertStore={};JWTCertificate={}",
        stores::path("pkcs1.pem"),
        stores::path("certificate.pem")
    );
    let in_der =
        format!("JWTCertStore={};JWTCertificate={}", stores::path("pkcs1.pem"), test_file("signer.der"));
    for source in [in_store, in_file, in_der] {
        let server = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
        for (value, names) in [
            ("x5t", &["x5t"] as &[&str]),
            ("X5T#s256", &["x5t#S256"]),
            ("x5c", &["x5c"]),
            ("x5t, x5t#S256, x5c", &["x5t", "x5t#S256", "x5c"]),
        ] {
            let header =
                accepted_request(&server, &format!("{source};JWTThumbprint={value}")).jwt_header.unwrap();
            for name in ["x5t", "x5t#S256", "x5c"] {
                assert_eq!(header.get(name).is_some(), names.contains(&name), "{name} with {value}");
            }
        }
    }
    // The server compares thumbprints: a wrong one in JWTHeaders is rejected.
    let server = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let wrong =
        format!("{}JWTThumbprint=x5t;JWTHeaders='{{\"x5t\":\"wrong\"}}'", key_store_options("keytool.jks"));
    assert_eq!(get_token(&connection_string(&server, &wrong)).unwrap_err().status, AUTHGRANT_DENIED);
}

#[test]
fn certificate_file_alone_is_sent_if_provider_requires_it() {
    let server = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let key =
        format!("JWTCertStore={};JWTCertificate={}", stores::path("pkcs1.pem"), test_file("signer.der"));
    let der = std::fs::read(test_file("signer.der")).unwrap();
    let thumbprint = URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der));
    for (provider, expected) in [("entra", json!(thumbprint)), ("netsuite", Value::Null)] {
        let string =
            connection_string(&server, &format!("{key};Provider={provider};Scope=a;JWTAlgorithm=PS256"));
        let connection = open(&string).unwrap();
        connection.get_token().unwrap();
        let header = server.token_requests().pop().unwrap().jwt_header.unwrap();
        assert_eq!((&header["x5t#S256"], &header["x5t"]), (&expected, &Value::Null), "{provider}");
        let is_about_certificate = |failure: &Failure| failure.option.as_deref() == Some("JWTCertificate");
        let warning = connection.warnings().into_iter().find(is_about_certificate);
        assert_eq!(warning.is_some(), expected.is_null(), "{provider}: {warning:?}");
        assert!(warning.is_none_or(|warning| warning.message.contains("JWTThumbprint")), "{provider}");
    }
}

#[test]
fn additional_claims_keep_json_types() {
    let server = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let json =
        r#"{"admin":true,"level":5,"ratio":0.5,"text":"5","none":null,"nested":{"list":[1,"a;b",{}]}}"#;
    let request = accepted_request(
        &server,
        &format!("{}ClaimsAdditional={{{}}}", key_store_options("keytool.jks"), json.replace('}', "}}")),
    );
    let claims = request.claims.unwrap();
    let expected: Value = serde_json::from_str(json).unwrap();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&claims[name], value, "{name}");
    }
    assert_eq!(claims["iss"], "me");
}

#[test]
fn replaced_standard_claim_is_warning() {
    let server = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let url = server.url("/oauth/token");
    let more = format!(
        "{}ClaimsAdditional='{{\"aud\":[\"{url}\"],\"sub\":\"other\"}}'",
        key_store_options("keytool.jks")
    );
    let connection = open(&connection_string(&server, &more)).unwrap();
    connection.get_token().unwrap();
    let claims = server.token_requests().pop().unwrap().claims.unwrap();
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!([url]), &json!("other")));
    let warnings = connection.warnings();
    let about_claims =
        warnings.iter().filter(|warning| warning.option.as_deref() == Some("ClaimsAdditional"));
    let [warning] = about_claims.collect::<Vec<_>>()[..] else { panic!("{warnings:?}") };
    assert_eq!((warning.status, warning.sqlstate.as_str()), (AUTHGRANT_OK, "01000"));
    assert!(warning.message.contains("sets sub; it overrides ClaimsSubject"), "{}", warning.message);
}

#[test]
fn custom_exp_sets_token_expiry() {
    let jks = key_store_options("keytool.jks");
    let token =
        get_token(&format!("am=55;ClaimsIssuer=me;{jks}ClaimsAdditional='{{\"exp\":4102444800}}'")).unwrap();
    assert_eq!(token.expires_at(), 4_102_444_800);
    assert_eq!(decode_jwt_part(&token, 1)["exp"], 4_102_444_800_i64);
}

#[test]
fn lifetime_in_minutes_sets_exp() {
    let server = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let claims =
        accepted_request(&server, &format!("{}JWTLifetimeMinutes=10", key_store_options("keytool.jks")))
            .claims
            .unwrap();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    assert_eq!(URL_SAFE_NO_PAD.decode(claims["jti"].as_str().unwrap()).unwrap().len(), 16);
}

#[test]
fn assertion_options_are_in_cache_key() {
    let server = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let jks = key_store_options("keytool.jks");
    for more in
        ["", "JWTKeyID=a", "JWTThumbprint=x5t", "JWTHeaders='{\"a\":1}'", "ClaimsAdditional='{\"a\":1}'"]
    {
        accepted_request(&server, &format!("{jks}{more}"));
        accepted_request(&server, &format!("{jks}{more}"));
    }
    assert_eq!(server.token_requests().len(), 5, "one per distinct option; the second call uses the cache");
}

#[test]
fn hmac_secret_is_in_cache_key() {
    let other = SECRET.replace("sixty", "fifty");
    for secret in [SECRET, &other, SECRET] {
        let token = get_token(&format!("am=55;ClaimsIssuer=me;JWTSecret={secret}")).unwrap();
        assert!(is_signed_with(secret, &token));
    }
}

#[test]
fn conflicting_options_are_invalid() {
    let jks = key_store_options("keytool.jks");
    for (more, option, fragments) in [
        (format!("{jks}JWTSecret={SECRET}"), "JWTSecret", &["JWTCertStore"] as &[&str]),
        (format!("{jks}JWTPrivateKey=x"), "JWTPrivateKey", &["JWTCertStore"]),
        (format!("{jks}JWTLifetime=60;JWTLifetimeMinutes=1"), "JWTLifetimeMinutes", &[" JWTLifetime "]),
        (format!("{jks}JWTHeaders='{{\"a\":'"), "JWTHeaders", &["line 1, column 5"]),
        (format!("{jks}JWTHeaders='{{\"jku\":\"https://evil.example\"}}'"), "JWTHeaders", &["jku"]),
        (format!("{jks}JWTHeaders='{{\"crit\":[\"b64\"]}}'"), "JWTHeaders", &["crit"]),
        (
            format!("{jks}JWTAlgorithm=RS256;JWTHeaders='{{\"alg\":\"RS512\"}}'"),
            "JWTHeaders",
            &["RS512", "JWTAlgorithm"],
        ),
        (format!("{jks}JWTKeyID=1;JWTHeaders='{{\"kid\":\"2\"}}'"), "JWTHeaders", &["kid", "JWTKeyID"]),
        (format!("{jks}ClaimsAdditional='[1]'"), "ClaimsAdditional", &[]),
        (format!("{jks}JWTThumbprint=sha256"), "JWTThumbprint", &["sha256", "x5t#S256"]),
        (format!("JWTSecret={SECRET};JWTThumbprint=x5t"), "JWTThumbprint", &["JWTSecret"]),
        ("JWTSecret=base64:###".to_owned(), "JWTSecret", &["base64"]),
    ] {
        let failure = assert_signing_fails(&more, AUTHGRANT_INVALID_OPTION, option, fragments);
        assert_eq!(failure.sqlstate, "HY024", "{more}");
        assert!(!failure.message.contains("evil") && !failure.message.contains("sixty"), "{failure:?}");
    }
}

#[test]
fn unsuitable_keys_are_errors() {
    let jks = key_store_options("keytool.jks");
    assert_signing_fails("JWTSecret=hunter2", AUTHGRANT_KEY_UNSUITABLE, "JWTSecret", &["56 bits", "256"]);
    let short = &SECRET[..40];
    assert_signing_fails(
        &format!("JWTSecret={short};JWTAlgorithm=HS512"),
        AUTHGRANT_KEY_UNSUITABLE,
        "JWTSecret",
        &["320 bits", "512"],
    );
    assert_signing_fails(
        &format!("JWTSecret={SECRET};JWTAlgorithm=RS256"),
        AUTHGRANT_KEY_UNSUITABLE,
        "JWTSecret",
        &["RS256"],
    );
    assert_signing_fails(
        &format!("{jks}JWTAlgorithm=EdDSA"),
        AUTHGRANT_KEY_UNSUITABLE,
        "JWTCertStore",
        &["EdDSA", "Ed25519"],
    );
    assert_signing_fails(
        &format!("{jks}JWTAlgorithm=HS256"),
        AUTHGRANT_KEY_UNSUITABLE,
        "JWTCertStore",
        &["JWTSecret", "JWTPrivateKey", "oct"],
    );
    let bare = format!("JWTCertStore={};JWTThumbprint=x5t;", stores::path("pkcs1.pem"));
    assert_signing_fails(&bare, AUTHGRANT_MISSING_OPTION, "JWTCertificate", &["JWTCertStore"]);
    let mismatched = format!("{bare}JWTCertificate={}", test_file("ed.crt"));
    assert_signing_fails(&mismatched, AUTHGRANT_KEY_UNSUITABLE, "JWTCertificate", &["ed.crt"]);
    let missing = format!("{bare}JWTCertificate=/nowhere/a.crt");
    assert_signing_fails(&missing, AUTHGRANT_KEY_STORE_ERROR, "JWTCertificate", &["/nowhere/a.crt"]);
    let failure =
        assert_signing_fails("JWTPrivateKey=hunter2", AUTHGRANT_KEY_STORE_ERROR, "JWTPrivateKey", &[]);
    assert!(!failure.message.contains("hunter2"), "{failure:?}");
}
