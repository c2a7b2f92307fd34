//! Signer callbacks: the caller signs, and authgrant has no access to the key.
//!
//! Through the C API, against the mock server.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, mpsc};

use crate::support::c_api::{Connection, Failure, collect_failures, open};
use crate::support::stores;
use authgrant::ffi::signer::authgrant_set_signer;
use authgrant::ffi::status::*;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mock_server::{ClientOptions, Config, GrantType, MockServer};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, PublicKeyData as _, RsaKeySize,
};
use serde_json::Value;
use tempfile::TempDir;

type SignResult = Result<Vec<u8>, i32>;

type SignClosure = dyn Fn(&[u8]) -> SignResult + Send + Sync;

/// A signer of the caller.
struct TestSigner {
    /// Returns the signature of a message, or an error number.
    sign: Box<SignClosure>,
    calls: AtomicUsize,
}

impl TestSigner {
    fn new(sign: impl Fn(&[u8]) -> SignResult + Send + Sync + 'static) -> Self {
        Self { sign: Box::new(sign), calls: AtomicUsize::new(0) }
    }

    /// A signer with `key` and `algorithm`; ECDSA in DER for `ES256/DER` and `ES384/DER`.
    fn with_key(key: &KeyPair, algorithm: &'static str) -> Self {
        let der = key.serialize_der();
        Self::new(move |message| Ok(create_signature(&der, algorithm, message)))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn context(&self) -> *mut c_void {
        (&raw const *self).cast_mut().cast()
    }
}

extern "C" fn sign_callback(
    message: *const u8,
    length: usize,
    signature: *mut u8,
    capacity: usize,
    signature_length: *mut usize,
    context: *mut c_void,
) -> i32 {
    // SAFETY: the context is the `TestSigner` passed to `set_test_signer`.
    let signer = unsafe { &*context.cast::<TestSigner>() };
    // SAFETY: the header guarantees `length` readable bytes.
    let message = unsafe { std::slice::from_raw_parts(message, length) };
    assert_eq!(capacity, 1024);
    signer.calls.fetch_add(1, Ordering::SeqCst);
    match (signer.sign)(message) {
        Ok(bytes) => {
            // SAFETY: the header guarantees `capacity` writable bytes and a valid `signature_length`.
            unsafe {
                signature.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len().min(capacity));
                signature_length.write(bytes.len());
            }
            0
        }
        Err(number) => number,
    }
}

fn set_test_signer(connection: &Connection, algorithm: &str, signer: &TestSigner) {
    connection.set_signer(algorithm, Some(sign_callback), signer.context()).unwrap();
}

fn create_signature(der: &[u8], algorithm: &str, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let rsa = |encoding: &'static dyn RsaEncoding| {
        let key = RsaKeyPair::from_pkcs8(der).unwrap();
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &random, message, &mut signature).unwrap();
        signature
    };
    let ecdsa = |algorithm| {
        let key = EcdsaKeyPair::from_pkcs8(algorithm, der).unwrap();
        key.sign(&random, message).unwrap().as_ref().to_vec()
    };
    match algorithm {
        "RS256" => rsa(&aws::RSA_PKCS1_SHA256),
        "RS384" => rsa(&aws::RSA_PKCS1_SHA384),
        "RS512" => rsa(&aws::RSA_PKCS1_SHA512),
        "PS256" => rsa(&aws::RSA_PSS_SHA256),
        "PS384" => rsa(&aws::RSA_PSS_SHA384),
        "PS512" => rsa(&aws::RSA_PSS_SHA512),
        "ES256" => ecdsa(&aws::ECDSA_P256_SHA256_FIXED_SIGNING),
        "ES256/DER" => ecdsa(&aws::ECDSA_P256_SHA256_ASN1_SIGNING),
        "ES384" => ecdsa(&aws::ECDSA_P384_SHA384_FIXED_SIGNING),
        "ES384/DER" => ecdsa(&aws::ECDSA_P384_SHA384_ASN1_SIGNING),
        "EdDSA" => Ed25519KeyPair::from_pkcs8(der).unwrap().sign(message).as_ref().to_vec(),
        _ => unreachable!("{algorithm}"),
    }
}

fn generate_p256_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn generate_rsa_key() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

/// A server that has registered `key` for the issuer "me".
fn start_server_with_key(key: &KeyPair) -> MockServer {
    let server = MockServer::start(Config::http());
    server.register("me", &[key.public_key_pem()], ClientOptions::default());
    server
}

/// The minimal options to get a token with a signer: the method is inferred.
fn connection_string(server: &MockServer, options: &str) -> String {
    format!("ClaimsIssuer=me;ClaimsSubject=a;TokenEndpoint={};{options}", server.url("/oauth/token"))
}

/// A connection whose token is the signed JWT.
fn open_local(options: &str) -> Connection {
    open(&format!("am=55;ClaimsIssuer=me;{options}")).unwrap()
}

fn jwt_header(jwt: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap()).unwrap()
}

/// Asserts status and option, and that the message contains all `fragments`.
#[track_caller]
fn assert_failure(failure: &Failure, status: i32, option: Option<&str>, fragments: &[&str]) {
    assert_eq!((failure.status, failure.option.as_deref()), (status, option), "{failure:?}");
    for fragment in fragments {
        assert!(failure.message.contains(fragment), "no {fragment:?} in {}", failure.message);
    }
}

#[test]
fn signer_algorithms_verify_at_server() {
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    for (key, formats) in [
        (generate_rsa_key(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as &[&str]),
        (generate_p256_key(), &["ES256", "ES256/DER"]),
        (p384, &["ES384", "ES384/DER"]),
        (ed25519, &["EdDSA"]),
    ] {
        for format in formats {
            let (server, signer) = (start_server_with_key(&key), TestSigner::with_key(&key, format));
            let algorithm = format.trim_end_matches("/DER");
            let connection = open(&connection_string(&server, "JWTKeyID=k1")).unwrap();
            set_test_signer(&connection, &algorithm.to_lowercase(), &signer);
            let token = connection.get_token().unwrap_or_else(|failure| panic!("{format}: {failure:?}"));
            assert_eq!(server.issued_tokens(), [token.value()]);
            let header = server.token_requests().pop().unwrap().jwt_header.unwrap();
            assert_eq!((&header["alg"], &header["kid"]), (&algorithm.into(), &"k1".into()));
            assert_eq!(signer.calls(), 1);
        }
    }
}

#[test]
fn signer_signs_client_assertion() {
    let key = generate_p256_key();
    let (server, signer) = (MockServer::start(Config::http()), TestSigner::with_key(&key, "ES256"));
    let options =
        ClientOptions { grant_types: vec![GrantType::ClientCredentials], ..ClientOptions::default() };
    server.register("me", &[key.public_key_pem()], options);
    let connection = open(&format!(
        "am=OAuth2-JWTClientAssertion;ClaimsIssuer=me;TokenEndpoint={}",
        server.url("/oauth/token")
    ))
    .unwrap();
    set_test_signer(&connection, "ES256", &signer);
    connection.get_token().unwrap();
}

#[test]
fn signer_overrides_configured_key_until_removed() {
    let key = generate_p256_key();
    let signer = TestSigner::with_key(&key, "ES256");
    for option in [
        format!("JWTCertStore={};JWTCertPassword=secret", stores::path("keytool.jks")),
        format!("JWTCertStore={};JWTSecret=a key and a secret", stores::ec_key_path()),
        "JWTCertStore=/nowhere/key.p12;JWTPrivateKey=neither".to_owned(),
        "JWTSecret=short".to_owned(),
    ] {
        let connection = open_local(&option);
        let before = connection.get_token().map(|token| jwt_header(&token.value())["alg"].clone()).ok();
        set_test_signer(&connection, "ES256", &signer);
        let token = connection.get_token().unwrap_or_else(|failure| panic!("{option}: {failure:?}"));
        assert_eq!(jwt_header(&token.value())["alg"], "ES256");
        connection.set_option("ClaimsSubject", "another").unwrap();
        connection.get_token().expect("set_option keeps the signer");
        connection.set_option("ClaimsSubject", "").unwrap();
        let calls = signer.calls();
        connection.set_signer("", None, null_mut()).unwrap();
        let after = connection.get_token().map(|token| jwt_header(&token.value())["alg"].clone()).ok();
        assert_eq!((after, signer.calls()), (before, calls), "{option}");
    }
}

#[test]
fn null_signer_needs_no_algorithm() {
    let connection = open_local("");
    let handle = connection.handle();
    assert_eq!(
        collect_failures(|error| authgrant_set_signer(handle, null_mut(), None, null_mut(), error)),
        []
    );
}

#[test]
fn unsupported_signer_algorithm_keeps_previous_signer() {
    let key = generate_p256_key();
    let (connection, signer) = (open_local(""), TestSigner::with_key(&key, "ES256"));
    set_test_signer(&connection, "ES256", &signer);
    for algorithm in ["", "HS256", "ES512", "none", "RS256 "] {
        let failure = connection.set_signer(algorithm, Some(sign_callback), null_mut()).unwrap_err();
        assert_failure(
            &failure,
            AUTHGRANT_INVALID_ARGUMENT,
            None,
            &[&format!("\"{algorithm}\""), "RS256", "EdDSA"],
        );
    }
    connection.get_token().unwrap();
}

#[test]
fn algorithm_conflict_names_option_and_signer() {
    let signer = TestSigner::new(|_| panic!("the signer was called"));
    for (options, option, configured) in [
        ("JWTAlgorithm=RS256", "JWTAlgorithm", "RS256"),
        ("JWTAlgorithm=HS256;JWTSecret=a", "JWTAlgorithm", "HS256"),
        ("JWTHeaders={{\"alg\":\"PS256\"}}}", "JWTHeaders", "PS256"),
    ] {
        let connection = open_local(options);
        set_test_signer(&connection, "ES256", &signer);
        let failure = connection.get_token().unwrap_err();
        assert_failure(
            &failure,
            AUTHGRANT_INVALID_OPTION,
            Some(option),
            &[configured, "authgrant_set_signer", "ES256"],
        );
    }
    let key = generate_p256_key();
    let (connection, signer) = (open_local("JWTAlgorithm=ES256"), TestSigner::with_key(&key, "ES256"));
    set_test_signer(&connection, "ES256", &signer);
    connection.get_token().unwrap();
}

#[test]
fn signer_failure_is_reported_and_not_cached() {
    let key = generate_p256_key();
    let der = key.serialize_der();
    let assert_fails_once = |algorithm: &str, result: SignResult, status, fragments: &[&str]| {
        let calls = AtomicUsize::new(0);
        let der = der.clone();
        let signer = TestSigner::new(move |message| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => result.clone(),
            _ if result.as_ref().is_ok_and(|bytes| bytes.len() == 255) => Ok(vec![1; 256]),
            _ => Ok(create_signature(&der, "ES256", message)),
        });
        let connection = open_local("");
        set_test_signer(&connection, algorithm, &signer);
        let failure = connection.get_token().unwrap_err();
        assert_failure(&failure, status, None, fragments);
        assert!(failure.message.starts_with("[authgrant][signer] "), "{failure:?}");
        if algorithm != "ES384" {
            connection.get_token().expect("the next call signs again");
        }
    };
    for number in [1, -1, 42, i32::MIN, i32::MAX] {
        assert_fails_once("ES256", Err(number), AUTHGRANT_KEY_STORE_ERROR, &[&number.to_string()]);
    }
    assert_fails_once("ES256", Ok(Vec::new()), AUTHGRANT_KEY_STORE_ERROR, &["0 bytes", "1 to 1024"]);
    assert_fails_once("ES256", Ok(vec![1; 1025]), AUTHGRANT_KEY_STORE_ERROR, &["1025 bytes", "1 to 1024"]);
    for length in [1, 63, 65, 96, 256, 1024] {
        let actual = format!("{length} bytes");
        assert_fails_once(
            "ES256",
            Ok(vec![1; length]),
            AUTHGRANT_KEY_UNSUITABLE,
            &[&actual, "ES256", "64 bytes"],
        );
    }
    assert_fails_once("ES384", Ok(vec![1; 64]), AUTHGRANT_KEY_UNSUITABLE, &["64 bytes", "ES384", "96 bytes"]);
    assert_fails_once("EdDSA", Ok(vec![1; 63]), AUTHGRANT_KEY_UNSUITABLE, &["63 bytes", "EdDSA", "64 bytes"]);
    assert_fails_once(
        "PS256",
        Ok(vec![1; 255]),
        AUTHGRANT_KEY_UNSUITABLE,
        &["255 bytes", "PS256", "256 to 1024"],
    );
}

#[test]
fn replaced_signer_clears_cached_denial() {
    let (key, other_key) = (generate_p256_key(), generate_p256_key());
    let server = start_server_with_key(&key);
    let (wrong, right) = (TestSigner::with_key(&other_key, "ES256"), TestSigner::with_key(&key, "ES256"));
    let connection = open(&connection_string(&server, "")).unwrap();
    set_test_signer(&connection, "ES256", &wrong);
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    }
    assert_eq!(wrong.calls(), 1, "the denial is cached");
    set_test_signer(&connection, "ES256", &right);
    connection.get_token().unwrap();
    // Setting the same function again counts as a new signer: its key may have been replaced.
    set_test_signer(&connection, "ES256", &wrong);
    assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    assert_eq!(wrong.calls(), 2);
    assert_eq!(server.token_requests().len(), 3);
}

#[test]
fn removed_signer_clears_cached_denial() {
    let key = generate_p256_key();
    let (server, signer) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let connection =
        open(&connection_string(&server, &format!("JWTCertStore={}", stores::ec_key_path()))).unwrap();
    let assert_denied = || assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    assert_denied();
    assert_denied();
    assert_eq!(server.token_requests().len(), 1);
    set_test_signer(&connection, "ES256", &signer);
    connection.set_signer("", None, null_mut()).unwrap();
    assert_denied();
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn signer_connections_share_no_token() {
    let key = generate_p256_key();
    let (server, signer) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let string = connection_string(&server, "");
    let (one, other) = (open(&string).unwrap(), open(&string).unwrap());
    for connection in [&one, &other, &one] {
        set_test_signer(connection, "ES256", &signer);
    }
    let tokens = [&one, &other, &one, &other].map(|connection| connection.get_token().unwrap().value());
    assert!(tokens[0] == tokens[2] && tokens[1] == tokens[3] && tokens[0] != tokens[1], "{tokens:?}");
    set_test_signer(&one, "ES256", &signer);
    assert!(!tokens.contains(&one.get_token().unwrap().value()));
    assert_eq!(server.issued_tokens().len(), 3);
}

#[test]
fn running_call_keeps_replaced_signer() {
    let key = generate_p256_key();
    let der = key.serialize_der();
    let (started_sender, started) = mpsc::channel();
    let (resume, resume_receiver) = mpsc::channel::<()>();
    let (started_sender, resume_receiver) = (Mutex::new(started_sender), Mutex::new(resume_receiver));
    let old = TestSigner::new(move |message| {
        started_sender.lock().unwrap().send(()).unwrap();
        resume_receiver.lock().unwrap().recv().unwrap();
        Ok(create_signature(&der, "ES256", message))
    });
    let new = TestSigner::with_key(&key, "ES256");
    let connection = open_local("");
    set_test_signer(&connection, "ES256", &old);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| connection.get_token().unwrap().value());
        started.recv().unwrap();
        set_test_signer(&connection, "ES256", &new);
        let later = connection.get_token().unwrap().value();
        resume.send(()).unwrap();
        assert_ne!(running.join().unwrap(), later);
    });
    connection.get_token().unwrap();
    connection.make_assertion().unwrap();
    assert_eq!((old.calls(), new.calls()), (1, 2));
}

/// A signer whose context was freed must not be called. Valgrind checks this in tests/c; here such a call
/// would crash or change the count.
#[test]
fn closed_connection_never_calls_signer() {
    let key = generate_p256_key();
    let (server, live_signer) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let string = connection_string(&server, "RefreshMargin=1");
    let freed_signer = Box::new(TestSigner::with_key(&key, "ES256"));
    let connection = open(&string).unwrap();
    set_test_signer(&connection, "ES256", &freed_signer);
    let token = connection.get_token().unwrap();
    drop(connection);
    drop(freed_signer);
    let other = open(&string).unwrap();
    other.reject(&token);
    set_test_signer(&other, "ES256", &live_signer);
    other.get_token().unwrap();
    assert_eq!(live_signer.calls(), 1);
}

#[test]
fn signer_callback_may_not_reenter() {
    let key = generate_p256_key();
    let der = key.serialize_der();
    let connection: &'static Connection = Box::leak(Box::new(open_local("")));
    let failures: &'static Mutex<Vec<Failure>> = Box::leak(Box::default());
    let signer = TestSigner::new(move |message| {
        failures.lock().unwrap().push(*connection.get_token().unwrap_err());
        failures.lock().unwrap().push(*connection.set_signer("", None, null_mut()).unwrap_err());
        Ok(create_signature(&der, "ES256", message))
    });
    set_test_signer(connection, "ES256", &signer);
    connection.get_token().unwrap();
    let failures = failures.lock().unwrap();
    assert_eq!(failures.len(), 2);
    for failure in failures.iter() {
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY010"));
    }
}

#[test]
fn signer_runs_concurrently_on_threads() {
    let key = generate_p256_key();
    let der = key.serialize_der();
    let barrier = Barrier::new(8);
    // If calls were serialized by a lock, no thread would pass the barrier.
    let signer = TestSigner::new(move |message| {
        barrier.wait();
        Ok(create_signature(&der, "ES256", message))
    });
    let connection = open_local("");
    set_test_signer(&connection, "ES256", &signer);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| connection.make_assertion().unwrap());
        }
    });
    assert_eq!(signer.calls(), 8);
}

#[test]
fn concurrent_calls_sign_once() {
    let key = generate_p256_key();
    let (server, signer) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let connection = open(&connection_string(&server, "")).unwrap();
    set_test_signer(&connection, "ES256", &signer);
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                connection.get_token().unwrap();
            });
        }
    });
    assert_eq!((signer.calls(), server.issued_tokens().len()), (1, 1));
}

/// A file with the certificate of `key`, and the certificate.
fn write_certificate(key: &KeyPair) -> (TempDir, String, Vec<u8>) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("signer.crt");
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(key).unwrap();
    std::fs::write(&file, certificate.pem()).unwrap();
    (folder, file.to_str().unwrap().to_owned(), certificate.der().to_vec())
}

#[test]
fn signer_certificate_is_sent_and_verified() {
    let (key, other_key) = (generate_p256_key(), generate_p256_key());
    let (_folder, file, der) = write_certificate(&key);
    let options = format!("JWTThumbprint=x5t,x5t#S256,x5c;JWTCertificate={file}");
    let (connection, right) = (open_local(&options), TestSigner::with_key(&key, "ES256/DER"));
    set_test_signer(&connection, "ES256", &right);
    let header = jwt_header(&connection.get_token().unwrap().value());
    assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)));
    assert_eq!(header["x5c"], Value::from(vec![STANDARD.encode(&der)]));
    assert!(header["x5t"].is_string(), "{header}");
    let wrong = TestSigner::with_key(&other_key, "ES256");
    set_test_signer(&connection, "ES256", &wrong);
    let failure = connection.get_token().unwrap_err();
    assert_failure(&failure, AUTHGRANT_KEY_UNSUITABLE, Some("JWTCertificate"), &[&file, "ES256"]);
    let unused_signer = TestSigner::new(|_| panic!("the signer was called"));
    set_test_signer(&connection, "RS256", &unused_signer);
    let failure = connection.get_token().unwrap_err();
    assert_failure(&failure, AUTHGRANT_KEY_UNSUITABLE, Some("JWTCertificate"), &[&file, "ES256", "RS256"]);
    let uncertified = open_local("JWTThumbprint=x5t");
    set_test_signer(&uncertified, "ES256", &right);
    let failure = uncertified.get_token().unwrap_err();
    assert_failure(&failure, AUTHGRANT_MISSING_OPTION, Some("JWTCertificate"), &["x5t"]);
}

#[test]
fn snowflake_issuer_uses_signer_certificate_fingerprint() {
    let key = generate_rsa_key();
    let (_folder, file, _) = write_certificate(&key);
    let string = "Provider=snowflake;am=JWT;ClaimsIssuer=xy12345.robot";
    let signer = TestSigner::with_key(&key, "RS256");
    let without_certificate = open(string).unwrap();
    set_test_signer(&without_certificate, "RS256", &signer);
    let failure = without_certificate.get_token().unwrap_err();
    assert_failure(&failure, AUTHGRANT_MISSING_OPTION, Some("JWTCertificate"), &["authgrant_set_signer"]);
    let connection = open(&format!("{string};JWTCertificate={file}")).unwrap();
    set_test_signer(&connection, "RS256", &signer);
    let token = connection.get_token().unwrap().value();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let fingerprint = STANDARD.encode(digest(&SHA256, &key.subject_public_key_info()));
    assert_eq!(claims["iss"], format!("XY12345.ROBOT.SHA256:{fingerprint}"));
}

#[test]
fn reports_never_call_signer() {
    let key = generate_p256_key();
    let (server, signer) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let connection = open(&connection_string(&server, "JWTCertStore=/nowhere/key.p12")).unwrap();
    set_test_signer(&connection, "ES256", &signer);
    let report: Value = serde_json::from_str(&connection.validate()).unwrap();
    assert_eq!((&report["valid"], &report["problems"]), (&true.into(), &Value::Array(Vec::new())));
    let report: Value = serde_json::from_str(&connection.explain().unwrap()).unwrap();
    assert_eq!(report["assertion"]["header"]["alg"]["value"], "ES256");
    let signer_origin = serde_json::json!({ "origin": "authgrant_set_signer" });
    assert_eq!(report["assertion"]["key"], serde_json::json!({ "from": signer_origin, "type": "EC P-256" }));
    let parameters = report["request"]["parameters"].as_array().unwrap();
    let assertion = parameters.iter().find(|parameter| parameter["name"] == "assertion").unwrap();
    assert_eq!(assertion["from"], signer_origin);
    assert_eq!(signer.calls(), 0);
    let report: Value = serde_json::from_str(&connection.test().unwrap()).unwrap();
    assert_eq!((&report["ok"], signer.calls()), (&true.into(), 1));
}

#[test]
fn explained_method_is_inferred_from_signer() {
    let connection = open("ClaimsAdditional={{\"iss\":\"me\"}}};RefreshToken=lower-priority").unwrap();
    let unused_signer = TestSigner::new(|_| panic!("the signer was called"));
    set_test_signer(&connection, "RS256", &unused_signer);
    let report: Value = serde_json::from_str(&connection.explain().unwrap()).unwrap();
    assert_eq!(report["method"]["value"]["number"], "55");
}

#[test]
fn removed_signer_restores_missing_option_error() {
    let server = MockServer::start(Config::http());
    let connection = open(&format!("TokenEndpoint={}", server.url("/oauth/token"))).unwrap();
    let failed_option = |connection: &Connection| connection.get_token().unwrap_err().option;
    assert_eq!(failed_option(&connection).as_deref(), Some("AuthenticationMethod"));
    let signer = TestSigner::new(|_| panic!("the signer was called"));
    set_test_signer(&connection, "ES256", &signer);
    assert_eq!(failed_option(&connection).as_deref(), Some("ClaimsIssuer"));
    connection.set_signer("", None, null_mut()).unwrap();
    assert_eq!(failed_option(&connection).as_deref(), Some("AuthenticationMethod"));
}

#[test]
fn mismatched_signer_certificate_is_always_reported() {
    let (_folder, file, _) = write_certificate(&generate_p256_key());
    let connection = open(&format!("am=55;JWTCertificate={file}")).unwrap();
    let unused_signer = TestSigner::new(|_| panic!("the signer was called"));
    set_test_signer(&connection, "RS256", &unused_signer);
    let report: Value = serde_json::from_str(&connection.validate()).unwrap();
    let problems = report["problems"].as_array().unwrap().iter();
    let options: Vec<_> = problems.map(|problem| problem["option"].as_str().unwrap()).collect();
    assert_eq!(options, ["ClaimsIssuer", "JWTCertificate"]);
}

#[test]
fn signer_connection_uses_consent_not_login() {
    let string = "AuthURI=https://a.example/authorize;EnableLoginPrompt=1;ClientID=c;\
                RedirectURI=http://127.0.0.1:3000/";
    let connection = open(string).unwrap();
    assert!(connection.consent_url().unwrap().contains("client_id=c"));
    let unused_signer = TestSigner::new(|_| panic!("the signer was called"));
    set_test_signer(&connection, "RS256", &unused_signer);
    let failure = connection.consent_url().unwrap_err();
    assert_failure(&failure, AUTHGRANT_MISSING_OPTION, Some("Scope"), &[]);
}
