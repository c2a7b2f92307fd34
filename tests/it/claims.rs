//! Every claim and header in the user's hands: through the C API, against the strict authority, with keys by OpenSSL.

use std::process::Command;
use std::sync::OnceLock;

use crate::support::c_api::{Failure, Token, get_token, open};
use crate::support::stores;
use authgrant::ffi::status::*;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mock_server::{ClientOptions, Config, MockServer, RecordedRequest};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "a secret of sixty-four characters, which is enough for every HMAC";

/// A file of this test's own: an Ed25519 key with its certificate, and other forms of the signer's.
fn test_file(name: &str) -> String {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let script = format!(
            "openssl genpkey -algorithm ed25519 -out ed.pem
             openssl req -x509 -key ed.pem -days 30 -subj /CN=ed -out ed.crt
             openssl pkcs12 -export -inkey ed.pem -in ed.crt -name ed -passout pass:secret -out ed.p12
             openssl x509 -in {} -outform DER -out signer.der",
            stores::path("certificate.pem"),
        );
        let output = Command::new("sh").args(["-ec", &script]).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    folder.path().join(name).to_str().unwrap().to_owned()
}

fn read_file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// An authority that knows `certificate` for the issuer "me".
fn start_server_with_certificate(certificate: &str, options: ClientOptions) -> MockServer {
    let authority = MockServer::start(Config::http());
    authority.register("me", &[certificate], options);
    authority
}

fn connection_string(authority: &MockServer, more: &str) -> String {
    format!("am=55;ClaimsIssuer=me;ClaimsSubject=a;TokenEndpoint={};{more}", authority.url("/oauth/token"))
}

/// What the authority saw of an assertion that it took.
fn accepted_request(authority: &MockServer, more: &str) -> RecordedRequest {
    get_token(&connection_string(authority, more)).unwrap_or_else(|failure| panic!("{more}: {failure:?}"));
    authority.token_requests().pop().unwrap()
}

fn key_store_options(name: &str) -> String {
    format!("JWTCertStore={};JWTCertPassword=secret;", stores::path(name))
}

/// The failure of a connection that signs alone, without a server.
#[track_caller]
fn assert_signing_fails(more: &str, status: i32, option: &str, words: &[&str]) -> Box<Failure> {
    let failure = get_token(&format!("am=55;ClaimsIssuer=me;{more}")).expect_err("it must not sign");
    assert_eq!((failure.status, failure.option.as_deref()), (status, Some(option)), "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in {}", failure.message);
    }
    failure
}

fn decode_jwt_part(token: &Token, place: usize) -> Value {
    let value = token.value();
    let bytes = URL_SAFE_NO_PAD.decode(value.split('.').nth(place).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Whether the token is one of HS256 by `secret`.
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
            let authority = start_server_with_certificate(&certificate, ClientOptions::default());
            let request = accepted_request(&authority, &format!("{store};JWTAlgorithm={algorithm}"));
            assert_eq!(request.jwt_header.unwrap()["alg"], *algorithm);
        }
    }
}

#[test]
fn hmac_algorithms_verify_at_server() {
    let options = ClientOptions { hmac_secret: Some(SECRET.to_owned()), ..ClientOptions::default() };
    let encoded = format!("base64:{}", STANDARD.encode(SECRET));
    for secret in [SECRET, &encoded] {
        for (algorithm, wanted) in [
            ("", "HS256"),
            ("JWTAlgorithm=HS256", "HS256"),
            ("JWTAlgorithm=hs384", "HS384"),
            ("JWTAlgorithm=HS512", "HS512"),
        ] {
            let authority = start_server_with_certificate(&stores::certificate(), options.clone());
            let request = accepted_request(&authority, &format!("JWTSecret={secret};{algorithm}"));
            assert_eq!(request.jwt_header.unwrap()["alg"], wanted);
        }
    }
}

#[test]
fn wrong_hmac_secret_is_denied_and_redacted() {
    let options = ClientOptions { hmac_secret: Some(SECRET.to_owned()), ..ClientOptions::default() };
    let authority = start_server_with_certificate(&stores::certificate(), options);
    let other = SECRET.replace("sixty", "fifty");
    let failure = get_token(&connection_string(&authority, &format!("JWTSecret={other}"))).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_DENIED);
    assert!(!format!("{failure:?}").contains("fifty"), "{failure:?}");
}

#[test]
fn hmac_secret_signs_token_without_endpoint() {
    let token = get_token(&format!(
        "am=55;ClaimsIssuer=i;ClaimsSubject=s;ClaimsAudience=https://api.example.com;JWTAlgorithm=HS256;JWTSecret={SECRET};\
         JWTLifetime=3600;JWTHeaders='{{\"typ\":\"JWT\",\"kid\":\"k\"}}';ClaimsAdditional='{{\"name\":\"n\",\"scope\":\"read\"}}'"
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
    let authority = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    for (key, password) in [
        (read_file(&stores::path("pkcs1.pem")), ""),
        (STANDARD.encode(read_file(&stores::path("pkcs1.pem"))), ""),
        (read_file(&stores::path("encrypted.pem")), "JWTCertPassword=secret"),
    ] {
        accepted_request(&authority, &format!("JWTPrivateKey={};{password}", key.trim()));
    }
    let failure = assert_signing_fails(
        &format!("JWTPrivateKey={}", read_file(&stores::path("encrypted.pem")).trim()),
        AUTHGRANT_KEY_PASSWORD,
        "JWTCertPassword",
        &["JWTPrivateKey is encrypted"],
    );
    assert!(!failure.message.contains("BEGIN"), "{failure:?}");
}

#[test]
fn key_id_is_sent_and_verified() {
    let options = ClientOptions { kid: Some("2024-01".to_owned()), ..ClientOptions::default() };
    let authority = start_server_with_certificate(&stores::certificate(), options);
    let jks = key_store_options("keytool.jks");
    accepted_request(&authority, &format!("{jks}JWTKeyID=2024-01"));
    accepted_request(&authority, &format!("{jks}JWTHeaders='{{\"kid\":\"2024-01\"}}'"));
    for more in ["", "JWTKeyID=2024-02"] {
        let failure = get_token(&connection_string(&authority, &format!("{jks}{more}"))).unwrap_err();
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
        let authority = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
        for (wanted, names) in [
            ("x5t", &["x5t"] as &[&str]),
            ("X5T#s256", &["x5t#S256"]),
            ("x5c", &["x5c"]),
            ("x5t, x5t#S256, x5c", &["x5t", "x5t#S256", "x5c"]),
        ] {
            let header =
                accepted_request(&authority, &format!("{source};JWTThumbprint={wanted}")).jwt_header.unwrap();
            for name in ["x5t", "x5t#S256", "x5c"] {
                assert_eq!(header.get(name).is_some(), names.contains(&name), "{name} with {wanted}");
            }
        }
    }
    // The server does compare: a thumbprint of the user's own making is refused.
    let authority = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let wrong =
        format!("{}JWTThumbprint=x5t;JWTHeaders='{{\"x5t\":\"wrong\"}}'", key_store_options("keytool.jks"));
    assert_eq!(get_token(&connection_string(&authority, &wrong)).unwrap_err().status, AUTHGRANT_DENIED);
}

#[test]
fn additional_claims_keep_json_types() {
    let authority = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let given =
        r#"{"admin":true,"level":5,"ratio":0.5,"text":"5","none":null,"nested":{"list":[1,"a;b",{}]}}"#;
    let request = accepted_request(
        &authority,
        &format!("{}ClaimsAdditional={{{}}}", key_store_options("keytool.jks"), given.replace('}', "}}")),
    );
    let claims = request.claims.unwrap();
    let given: Value = serde_json::from_str(given).unwrap();
    for (name, value) in given.as_object().unwrap() {
        assert_eq!(&claims[name], value, "{name}");
    }
    assert_eq!(claims["iss"], "me");
}

#[test]
fn replaced_standard_claim_is_warning() {
    let authority = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let url = authority.url("/oauth/token");
    let more = format!(
        "{}ClaimsAdditional='{{\"aud\":[\"{url}\"],\"sub\":\"other\"}}'",
        key_store_options("keytool.jks")
    );
    let connection = open(&connection_string(&authority, &more)).unwrap();
    connection.get_token().unwrap();
    let claims = authority.token_requests().pop().unwrap().claims.unwrap();
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!([url]), &json!("other")));
    let warnings = connection.warnings();
    for name in ["aud", "sub"] {
        let named = |warning: &&Failure| warning.message.contains(&format!("ClaimsAdditional sets {name} "));
        let warning = warnings.iter().find(named).unwrap_or_else(|| panic!("{warnings:?}"));
        assert_eq!((warning.status, warning.sqlstate.as_str()), (AUTHGRANT_OK, "01000"));
    }
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
    let authority = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let claims =
        accepted_request(&authority, &format!("{}JWTLifetimeMinutes=10", key_store_options("keytool.jks")))
            .claims
            .unwrap();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    assert_eq!(URL_SAFE_NO_PAD.decode(claims["jti"].as_str().unwrap()).unwrap().len(), 16);
}

#[test]
fn assertion_options_are_in_cache_key() {
    let authority = start_server_with_certificate(&stores::certificate(), ClientOptions::default());
    let jks = key_store_options("keytool.jks");
    for more in
        ["", "JWTKeyID=a", "JWTThumbprint=x5t", "JWTHeaders='{\"a\":1}'", "ClaimsAdditional='{\"a\":1}'"]
    {
        accepted_request(&authority, &format!("{jks}{more}"));
        accepted_request(&authority, &format!("{jks}{more}"));
    }
    assert_eq!(authority.token_requests().len(), 5, "one for each, and none for the second of its kind");
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
    for (more, option, words) in [
        (format!("{jks}JWTSecret={SECRET}"), "JWTSecret", ["JWTSecret", "JWTCertStore"]),
        (format!("{jks}JWTPrivateKey=x"), "JWTPrivateKey", ["JWTPrivateKey", "JWTCertStore"]),
        (format!("{jks}JWTLifetime=60;JWTLifetimeMinutes=1"), "JWTLifetimeMinutes", ["JWTLifetime", "both"]),
        (format!("{jks}JWTHeaders='{{\"a\":'"), "JWTHeaders", ["line 1, column 5", "JSON"]),
        (format!("{jks}JWTHeaders='{{\"jku\":\"https://evil.example\"}}'"), "JWTHeaders", ["jku", "sets"]),
        (format!("{jks}JWTHeaders='{{\"crit\":[\"b64\"]}}'"), "JWTHeaders", ["crit", "sets"]),
        (
            format!("{jks}JWTAlgorithm=RS256;JWTHeaders='{{\"alg\":\"RS512\"}}'"),
            "JWTHeaders",
            ["RS512", "JWTAlgorithm"],
        ),
        (format!("{jks}JWTKeyID=1;JWTHeaders='{{\"kid\":\"2\"}}'"), "JWTHeaders", ["kid", "JWTKeyID"]),
        (format!("{jks}ClaimsAdditional='[1]'"), "ClaimsAdditional", ["JSON object", "braces"]),
        (format!("{jks}JWTThumbprint=sha256"), "JWTThumbprint", ["sha256", "x5t#S256"]),
        (format!("JWTSecret={SECRET};JWTThumbprint=x5t"), "JWTThumbprint", ["certificate", "JWTSecret"]),
        ("JWTSecret=base64:###".to_owned(), "JWTSecret", ["base64", "JWTSecret"]),
    ] {
        let failure = assert_signing_fails(&more, AUTHGRANT_INVALID_OPTION, option, &words);
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
        AUTHGRANT_MISSING_OPTION,
        "JWTSecret",
        &["JWTSecret"],
    );
    let bare = format!("JWTCertStore={};JWTThumbprint=x5t;", stores::path("pkcs1.pem"));
    assert_signing_fails(
        &bare,
        AUTHGRANT_MISSING_OPTION,
        "JWTCertificate",
        &["JWTCertStore", "JWTCertificate"],
    );
    let foreign = format!("{bare}JWTCertificate={}", test_file("ed.crt"));
    assert_signing_fails(&foreign, AUTHGRANT_KEY_UNSUITABLE, "JWTCertificate", &["another key", "ed.crt"]);
    let missing = format!("{bare}JWTCertificate=/nowhere/a.crt");
    assert_signing_fails(&missing, AUTHGRANT_KEY_STORE_ERROR, "JWTCertificate", &["/nowhere/a.crt"]);
    assert_signing_fails(
        "JWTPrivateKey=hunter2",
        AUTHGRANT_KEY_STORE_ERROR,
        "JWTPrivateKey",
        &["neither PEM nor base64"],
    );
}
