//! A signer of the host's: through the C API, against the strict authority, with keys that authgrant never sees.

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

/// A module with a key in it, as the host sees it.
struct TestSigner {
    /// What it answers to what is to be signed.
    sign: Box<SignClosure>,
    calls: AtomicUsize,
}

impl TestSigner {
    fn new(answer: impl Fn(&[u8]) -> SignResult + Send + Sync + 'static) -> Self {
        Self { sign: Box::new(answer), calls: AtomicUsize::new(0) }
    }

    /// One that signs by `algorithm` with `key`; ECDSA in DER for `ES256/DER` and `ES384/DER`.
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
    context: *mut c_void,
    message: *const u8,
    length: usize,
    signature: *mut u8,
    capacity: usize,
    signature_length: *mut usize,
) -> i32 {
    // SAFETY: the context is the `Module` of `Connection::sign_with`.
    let module = unsafe { &*context.cast::<TestSigner>() };
    // SAFETY: the header promises so many bytes.
    let message = unsafe { std::slice::from_raw_parts(message, length) };
    assert_eq!(capacity, 1024);
    module.calls.fetch_add(1, Ordering::SeqCst);
    match (module.sign)(message) {
        Ok(bytes) => {
            // SAFETY: as above.
            unsafe {
                signature.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len().min(capacity));
                signature_length.write(bytes.len());
            }
            0
        }
        Err(number) => number,
    }
}

fn set_test_signer(connection: &Connection, algorithm: &str, module: &TestSigner) {
    connection.set_signer(algorithm, Some(sign_callback), module.context()).unwrap();
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

/// An authority that knows `key` for the issuer "me".
fn start_server_with_key(key: &KeyPair) -> MockServer {
    let authority = MockServer::start(Config::http());
    authority.register("me", &[key.public_key_pem()], ClientOptions::default());
    authority
}

/// The fewest options that get a token where there is a signer: the method is inferred.
fn connection_string(authority: &MockServer, more: &str) -> String {
    format!("ClaimsIssuer=me;ClaimsSubject=a;TokenEndpoint={};{more}", authority.url("/oauth/token"))
}

/// A connection of which the signed JWT is the token.
fn open_local(more: &str) -> Connection {
    open(&format!("am=55;ClaimsIssuer=me;{more}")).unwrap()
}

fn jwt_header(jwt: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap()).unwrap()
}

#[track_caller]
fn assert_failure(failure: &Failure, status: i32, option: Option<&str>, words: &[&str]) {
    assert_eq!((failure.status, failure.option.as_deref()), (status, option), "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in {}", failure.message);
    }
}

#[test]
fn signer_algorithms_verify_at_server() {
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    for (key, ways) in [
        (generate_rsa_key(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as &[&str]),
        (generate_p256_key(), &["ES256", "ES256/DER"]),
        (p384, &["ES384", "ES384/DER"]),
        (ed25519, &["EdDSA"]),
    ] {
        for way in ways {
            let (authority, module) = (start_server_with_key(&key), TestSigner::with_key(&key, way));
            let algorithm = way.trim_end_matches("/DER");
            let connection = open(&connection_string(&authority, "JWTKeyID=k1")).unwrap();
            set_test_signer(&connection, &algorithm.to_lowercase(), &module);
            let token = connection.get_token().unwrap_or_else(|failure| panic!("{way}: {failure:?}"));
            assert_eq!(authority.issued_tokens(), [token.value()]);
            let header = authority.token_requests().pop().unwrap().jwt_header.unwrap();
            assert_eq!((&header["alg"], &header["kid"]), (&algorithm.into(), &"k1".into()));
            assert_eq!(module.calls(), 1);
        }
    }
}

#[test]
fn signer_signs_client_assertion() {
    let key = generate_p256_key();
    let (authority, module) = (MockServer::start(Config::http()), TestSigner::with_key(&key, "ES256"));
    let options =
        ClientOptions { grant_types: vec![GrantType::ClientCredentials], ..ClientOptions::default() };
    authority.register("me", &[key.public_key_pem()], options);
    let connection = open(&format!(
        "am=OAuth2-JWTClientAssertion;ClaimsIssuer=me;TokenEndpoint={}",
        authority.url("/oauth/token")
    ))
    .unwrap();
    set_test_signer(&connection, "ES256", &module);
    connection.get_token().unwrap();
}

#[test]
fn signer_overrides_configured_key_until_removed() {
    let key = generate_p256_key();
    let module = TestSigner::with_key(&key, "ES256");
    for option in [
        format!("JWTCertStore={};JWTCertPassword=secret", stores::path("keytool.jks")),
        format!("JWTCertStore={};JWTSecret=both are given", stores::ec_key_path()),
        "JWTCertStore=/nowhere/key.p12;JWTPrivateKey=neither".to_owned(),
        "JWTSecret=short".to_owned(),
    ] {
        let connection = open_local(&option);
        let before = connection.get_token().map(|token| jwt_header(&token.value())["alg"].clone()).ok();
        set_test_signer(&connection, "ES256", &module);
        let token = connection.get_token().unwrap_or_else(|failure| panic!("{option}: {failure:?}"));
        assert_eq!(jwt_header(&token.value())["alg"], "ES256");
        connection.set_option("ClaimsSubject", "another").unwrap();
        connection.get_token().expect("it stays where an option is set");
        connection.set_option("ClaimsSubject", "").unwrap();
        let calls = module.calls();
        connection.set_signer("", None, null_mut()).unwrap();
        let after = connection.get_token().map(|token| jwt_header(&token.value())["alg"].clone()).ok();
        assert_eq!((after, module.calls()), (before, calls), "{option}");
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
    let (connection, module) = (open_local(""), TestSigner::with_key(&key, "ES256"));
    set_test_signer(&connection, "ES256", &module);
    for unknown in ["", "HS256", "ES512", "none", "RS256 "] {
        let refused = connection.set_signer(unknown, Some(sign_callback), null_mut()).unwrap_err();
        assert_failure(
            &refused,
            AUTHGRANT_INVALID_ARGUMENT,
            None,
            &[&format!("\"{unknown}\""), "RS256", "EdDSA"],
        );
    }
    connection.get_token().unwrap();
}

#[test]
fn algorithm_conflict_names_option_and_signer() {
    let module = TestSigner::new(|_| panic!("it was called"));
    for (more, option) in [
        ("JWTAlgorithm=RS256", "JWTAlgorithm"),
        ("JWTAlgorithm=HS256;JWTSecret=a", "JWTAlgorithm"),
        ("JWTHeaders={{\"alg\":\"PS256\"}}}", "JWTHeaders"),
    ] {
        let connection = open_local(more);
        set_test_signer(&connection, "ES256", &module);
        let failure = connection.get_token().unwrap_err();
        assert_failure(
            &failure,
            AUTHGRANT_INVALID_OPTION,
            Some(option),
            &["S256, and the signer", "signs ES256"],
        );
    }
    let key = generate_p256_key();
    let (connection, module) = (open_local("JWTAlgorithm=ES256"), TestSigner::with_key(&key, "ES256"));
    set_test_signer(&connection, "ES256", &module);
    connection.get_token().unwrap();
}

#[test]
fn signer_failure_is_reported_and_not_cached() {
    let key = generate_p256_key();
    let der = key.serialize_der();
    let failing = |algorithm: &str, answer: SignResult, status, words: &[&str]| {
        let asked = AtomicUsize::new(0);
        let der = der.clone();
        let module = TestSigner::new(move |message| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => answer.clone(),
            _ if answer.as_ref().is_ok_and(|bytes| bytes.len() == 255) => Ok(vec![1; 256]),
            _ => Ok(create_signature(&der, "ES256", message)),
        });
        let connection = open_local("");
        set_test_signer(&connection, algorithm, &module);
        let failure = connection.get_token().unwrap_err();
        assert_failure(&failure, status, None, words);
        assert!(failure.message.starts_with("[authgrant][signer] the signer (authgrant_set_signer) "));
        if algorithm != "ES384" {
            connection.get_token().expect("the next call asks anew");
        }
    };
    for number in [1, -1, 42, i32::MIN, i32::MAX] {
        failing("ES256", Err(number), AUTHGRANT_KEY_STORE_ERROR, &[&format!("number {number}")]);
    }
    failing("ES256", Ok(Vec::new()), AUTHGRANT_KEY_STORE_ERROR, &["0 bytes", "1 to 1024"]);
    failing("ES256", Ok(vec![1; 1025]), AUTHGRANT_KEY_STORE_ERROR, &["1025 bytes", "1 to 1024"]);
    for length in [1, 63, 65, 96, 256, 1024] {
        let found = format!("{length} bytes");
        failing("ES256", Ok(vec![1; length]), AUTHGRANT_KEY_UNSUITABLE, &[&found, "ES256", "64 bytes"]);
    }
    failing("ES384", Ok(vec![1; 64]), AUTHGRANT_KEY_UNSUITABLE, &["64 bytes", "ES384", "96 bytes"]);
    failing("EdDSA", Ok(vec![1; 63]), AUTHGRANT_KEY_UNSUITABLE, &["63 bytes", "EdDSA", "64 bytes"]);
    failing("PS256", Ok(vec![1; 255]), AUTHGRANT_KEY_UNSUITABLE, &["255 bytes", "PS256", "256 to 1024"]);
}

#[test]
fn replaced_signer_clears_cached_denial() {
    let (key, stranger) = (generate_p256_key(), generate_p256_key());
    let authority = start_server_with_key(&key);
    let (wrong, right) = (TestSigner::with_key(&stranger, "ES256"), TestSigner::with_key(&key, "ES256"));
    let connection = open(&connection_string(&authority, "")).unwrap();
    set_test_signer(&connection, "ES256", &wrong);
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    }
    assert_eq!(wrong.calls(), 1, "the refusal is remembered");
    set_test_signer(&connection, "ES256", &right);
    connection.get_token().unwrap();
    // The same function once more is another signer: its key may have been exchanged.
    set_test_signer(&connection, "ES256", &wrong);
    assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    assert_eq!(wrong.calls(), 2);
    assert_eq!(authority.token_requests().len(), 3);
}

#[test]
fn removed_signer_clears_cached_denial() {
    let key = generate_p256_key();
    let (authority, module) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let connection =
        open(&connection_string(&authority, &format!("JWTCertStore={}", stores::ec_key_path()))).unwrap();
    let refused = || assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    refused();
    refused();
    assert_eq!(authority.token_requests().len(), 1);
    set_test_signer(&connection, "ES256", &module);
    connection.set_signer("", None, null_mut()).unwrap();
    refused();
    assert_eq!(authority.token_requests().len(), 2);
}

#[test]
fn signer_connections_share_no_token() {
    let key = generate_p256_key();
    let (authority, module) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let text = connection_string(&authority, "");
    let (one, other) = (open(&text).unwrap(), open(&text).unwrap());
    for connection in [&one, &other, &one] {
        set_test_signer(connection, "ES256", &module);
    }
    let tokens = [&one, &other, &one, &other].map(|connection| connection.get_token().unwrap().value());
    assert!(tokens[0] == tokens[2] && tokens[1] == tokens[3] && tokens[0] != tokens[1], "{tokens:?}");
    set_test_signer(&one, "ES256", &module);
    assert!(!tokens.contains(&one.get_token().unwrap().value()));
    assert_eq!(authority.issued_tokens().len(), 3);
}

#[test]
fn running_call_keeps_replaced_signer() {
    let key = generate_p256_key();
    let der = key.serialize_der();
    let (entered, has_entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (entered, may_go_on) = (Mutex::new(entered), Mutex::new(may_go_on));
    let old = TestSigner::new(move |message| {
        entered.lock().unwrap().send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        Ok(create_signature(&der, "ES256", message))
    });
    let new = TestSigner::with_key(&key, "ES256");
    let connection = open_local("");
    set_test_signer(&connection, "ES256", &old);
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| connection.get_token().unwrap().value());
        has_entered.recv().unwrap();
        set_test_signer(&connection, "ES256", &new);
        let later = connection.get_token().unwrap().value();
        go_on.send(()).unwrap();
        assert_ne!(inside.join().unwrap(), later);
    });
    connection.get_token().unwrap();
    connection.make_assertion().unwrap();
    assert_eq!((old.calls(), new.calls()), (1, 2));
}

/// One whose memory is gone must not be called; that it is not, valgrind sees in tests/c, and here it would be a crash or a
/// wrong count.
#[test]
fn closed_connection_never_calls_signer() {
    let key = generate_p256_key();
    let (authority, kept) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let text = connection_string(&authority, "RefreshMargin=1");
    let gone = Box::new(TestSigner::with_key(&key, "ES256"));
    let connection = open(&text).unwrap();
    set_test_signer(&connection, "ES256", &gone);
    let token = connection.get_token().unwrap();
    drop(connection);
    drop(gone);
    let other = open(&text).unwrap();
    other.reject(&token);
    set_test_signer(&other, "ES256", &kept);
    other.get_token().unwrap();
    assert_eq!(kept.calls(), 1);
}

#[test]
fn signer_callback_may_not_reenter() {
    let key = generate_p256_key();
    let der = key.serialize_der();
    let connection: &'static Connection = Box::leak(Box::new(open_local("")));
    let told: &'static Mutex<Vec<Failure>> = Box::leak(Box::default());
    let module = TestSigner::new(move |message| {
        told.lock().unwrap().push(*connection.get_token().unwrap_err());
        told.lock().unwrap().push(*connection.set_signer("", None, null_mut()).unwrap_err());
        Ok(create_signature(&der, "ES256", message))
    });
    set_test_signer(connection, "ES256", &module);
    connection.get_token().unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2);
    for failure in told.iter() {
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY010"));
    }
}

#[test]
fn signer_runs_concurrently_on_threads() {
    let key = generate_p256_key();
    let der = key.serialize_der();
    let together = Barrier::new(8);
    // Nobody would get past the barrier if calls stood in line for a lock.
    let module = TestSigner::new(move |message| {
        together.wait();
        Ok(create_signature(&der, "ES256", message))
    });
    let connection = open_local("");
    set_test_signer(&connection, "ES256", &module);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| connection.make_assertion().unwrap());
        }
    });
    assert_eq!(module.calls(), 8);
}

#[test]
fn concurrent_calls_sign_once() {
    let key = generate_p256_key();
    let (authority, module) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let connection = open(&connection_string(&authority, "")).unwrap();
    set_test_signer(&connection, "ES256", &module);
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                together.wait();
                connection.get_token().unwrap();
            });
        }
    });
    assert_eq!((module.calls(), authority.issued_tokens().len()), (1, 1));
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
    let (key, stranger) = (generate_p256_key(), generate_p256_key());
    let (_folder, file, der) = write_certificate(&key);
    let more = format!("JWTThumbprint=x5t,x5t#S256,x5c;JWTCertificate={file}");
    let (connection, right) = (open_local(&more), TestSigner::with_key(&key, "ES256/DER"));
    set_test_signer(&connection, "ES256", &right);
    let header = jwt_header(&connection.get_token().unwrap().value());
    assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)));
    assert_eq!(header["x5c"], Value::from(vec![STANDARD.encode(&der)]));
    assert!(header["x5t"].is_string(), "{header}");
    let wrong = TestSigner::with_key(&stranger, "ES256");
    set_test_signer(&connection, "ES256", &wrong);
    let failure = connection.get_token().unwrap_err();
    assert_failure(&failure, AUTHGRANT_KEY_UNSUITABLE, Some("JWTCertificate"), &[&file, "ES256"]);
    let never = TestSigner::new(|_| panic!("it was called"));
    set_test_signer(&connection, "RS256", &never);
    let failure = connection.get_token().unwrap_err();
    assert_failure(
        &failure,
        AUTHGRANT_KEY_UNSUITABLE,
        Some("JWTCertificate"),
        &[&file, "signs ES256", "signs RS256"],
    );
    let bare = open_local("JWTThumbprint=x5t");
    set_test_signer(&bare, "ES256", &right);
    let failure = bare.get_token().unwrap_err();
    assert_failure(&failure, AUTHGRANT_MISSING_OPTION, Some("JWTCertificate"), &["JWTThumbprint x5t"]);
}

#[test]
fn snowflake_issuer_uses_signer_certificate_fingerprint() {
    let key = generate_rsa_key();
    let (_folder, file, _) = write_certificate(&key);
    let text = "Provider=snowflake;am=JWT;ClaimsIssuer=xy12345.robot";
    let module = TestSigner::with_key(&key, "RS256");
    let without = open(text).unwrap();
    set_test_signer(&without, "RS256", &module);
    let failure = without.get_token().unwrap_err();
    assert_failure(
        &failure,
        AUTHGRANT_MISSING_OPTION,
        Some("JWTCertificate"),
        &["the signer", "set JWTCertificate"],
    );
    let connection = open(&format!("{text};JWTCertificate={file}")).unwrap();
    set_test_signer(&connection, "RS256", &module);
    let token = connection.get_token().unwrap().value();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let print = STANDARD.encode(digest(&SHA256, &key.subject_public_key_info()));
    assert_eq!(claims["iss"], format!("XY12345.ROBOT.SHA256:{print}"));
}

#[test]
fn reports_never_call_signer() {
    let key = generate_p256_key();
    let (authority, module) = (start_server_with_key(&key), TestSigner::with_key(&key, "ES256"));
    let connection = open(&connection_string(&authority, "JWTCertStore=/nowhere/key.p12")).unwrap();
    set_test_signer(&connection, "ES256", &module);
    let report: Value = serde_json::from_str(&connection.validate()).unwrap();
    assert_eq!((&report["valid"], &report["problems"]), (&true.into(), &Value::Array(Vec::new())));
    let report: Value = serde_json::from_str(&connection.explain().unwrap()).unwrap();
    assert_eq!(report["assertion"]["header"]["alg"]["value"], "ES256");
    let by_signer = serde_json::json!({ "origin": "authgrant_set_signer" });
    assert_eq!(report["assertion"]["key"], serde_json::json!({ "from": by_signer, "type": "EC P-256" }));
    let parameters = report["request"]["parameters"].as_array().unwrap();
    let assertion = parameters.iter().find(|one| one["name"] == "assertion").unwrap();
    assert_eq!(assertion["from"], by_signer);
    assert_eq!(module.calls(), 0);
    let report: Value = serde_json::from_str(&connection.test().unwrap()).unwrap();
    assert_eq!((&report["ok"], module.calls()), (&true.into(), 1));
}

#[test]
fn explained_method_is_inferred_from_signer() {
    let connection = open("ClaimsAdditional={{\"iss\":\"me\"}}};RefreshToken=outranked").unwrap();
    let never = TestSigner::new(|_| panic!("it was called"));
    set_test_signer(&connection, "RS256", &never);
    let report: Value = serde_json::from_str(&connection.explain().unwrap()).unwrap();
    assert_eq!(report["method"]["value"]["number"], "55");
}

#[test]
fn removed_signer_restores_missing_option_error() {
    let authority = MockServer::start(Config::http());
    let connection = open(&format!("TokenEndpoint={}", authority.url("/oauth/token"))).unwrap();
    let method = |connection: &Connection| connection.get_token().unwrap_err().option;
    assert_eq!(method(&connection).as_deref(), Some("AuthenticationMethod"));
    let module = TestSigner::new(|_| panic!("it was called"));
    set_test_signer(&connection, "ES256", &module);
    assert_eq!(method(&connection).as_deref(), Some("ClaimsIssuer"));
    connection.set_signer("", None, null_mut()).unwrap();
    assert_eq!(method(&connection).as_deref(), Some("AuthenticationMethod"));
}

#[test]
fn mismatched_signer_certificate_is_always_reported() {
    let (_folder, file, _) = write_certificate(&generate_p256_key());
    let connection = open(&format!("am=55;JWTCertificate={file}")).unwrap();
    let never = TestSigner::new(|_| panic!("it was called"));
    set_test_signer(&connection, "RS256", &never);
    let report: Value = serde_json::from_str(&connection.validate()).unwrap();
    let problems = report["problems"].as_array().unwrap().iter();
    let options: Vec<_> = problems.map(|problem| problem["option"].as_str().unwrap()).collect();
    assert_eq!(options, ["ClaimsIssuer", "JWTCertificate"]);
}

#[test]
fn signer_connection_uses_consent_not_login() {
    let text = "AuthURI=https://a.example/authorize;EnableLoginPrompt=1;ClientID=c;\
                RedirectURI=http://127.0.0.1:3000/";
    let connection = open(text).unwrap();
    assert!(connection.consent_url().unwrap().contains("client_id=c"));
    let never = TestSigner::new(|_| panic!("it was called"));
    set_test_signer(&connection, "RS256", &never);
    let failure = connection.consent_url().unwrap_err();
    assert_failure(&failure, AUTHGRANT_MISSING_OPTION, Some("Scope"), &[]);
}
