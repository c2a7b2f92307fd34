//! A signer of the host's: through the C API, against the strict authority, with keys that authgrant never sees.

mod support;

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, mpsc};

use authgrant::ffi::signer::authgrant_set_signer;
use authgrant::ffi::status::*;
use authority::{Authority, ClientOptions, Config, GrantType};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, PublicKeyData as _, RsaKeySize,
};
use serde_json::Value;
use support::c_api::{Connection, Failure, failures, open};
use support::stores;
use tempfile::TempDir;

type Answer = Result<Vec<u8>, i32>;

type Answering = dyn Fn(&[u8]) -> Answer + Send + Sync;

/// A module with a key in it, as the host sees it.
struct Module {
    /// What it answers to what is to be signed.
    answer: Box<Answering>,
    calls: AtomicUsize,
}

impl Module {
    fn new(answer: impl Fn(&[u8]) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Box::new(answer), calls: AtomicUsize::new(0) }
    }

    /// One that signs by `algorithm` with `key`; ECDSA in DER for `ES256/DER` and `ES384/DER`.
    fn with(key: &KeyPair, algorithm: &'static str) -> Self {
        let der = key.serialize_der();
        Self::new(move |message| Ok(signature(&der, algorithm, message)))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn context(&self) -> *mut c_void {
        (&raw const *self).cast_mut().cast()
    }
}

extern "C" fn sign(
    context: *mut c_void,
    message: *const u8,
    length: usize,
    signature: *mut u8,
    capacity: usize,
    signature_length: *mut usize,
) -> i32 {
    // SAFETY: the context is the `Module` of `Connection::sign_with`.
    let module = unsafe { &*context.cast::<Module>() };
    // SAFETY: the header promises so many bytes.
    let message = unsafe { std::slice::from_raw_parts(message, length) };
    assert_eq!(capacity, 1024);
    module.calls.fetch_add(1, Ordering::SeqCst);
    match (module.answer)(message) {
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

fn sign_with(connection: &Connection, algorithm: &str, module: &Module) {
    connection.set_signer(algorithm, Some(sign), module.context()).unwrap();
}

fn signature(der: &[u8], algorithm: &str, message: &[u8]) -> Vec<u8> {
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

fn p256() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

/// An authority that knows `key` for the issuer "me".
fn knows(key: &KeyPair) -> Authority {
    let authority = Authority::start(Config::http());
    authority.register("me", &[key.public_key_pem()], ClientOptions::default());
    authority
}

/// The fewest options that get a token where there is a signer: the method is inferred.
fn string(authority: &Authority, more: &str) -> String {
    format!("ClaimsIssuer=me;ClaimsSubject=a;TokenEndpoint={};{more}", authority.url("/oauth/token"))
}

/// A connection of which the signed JWT is the token.
fn local(more: &str) -> Connection {
    open(&format!("am=55;ClaimsIssuer=me;{more}")).unwrap()
}

fn header(jwt: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap()).unwrap()
}

#[track_caller]
fn is(failure: &Failure, status: i32, option: Option<&str>, words: &[&str]) {
    assert_eq!((failure.status, failure.option.as_deref()), (status, option), "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in {}", failure.message);
    }
}

#[test]
fn every_algorithm_of_a_signer_is_one_that_the_server_verifies() {
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    for (key, ways) in [
        (rsa(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as &[&str]),
        (p256(), &["ES256", "ES256/DER"]),
        (p384, &["ES384", "ES384/DER"]),
        (ed25519, &["EdDSA"]),
    ] {
        for way in ways {
            let (authority, module) = (knows(&key), Module::with(&key, way));
            let algorithm = way.trim_end_matches("/DER");
            let connection = open(&string(&authority, "JWTKeyID=k1")).unwrap();
            sign_with(&connection, &algorithm.to_lowercase(), &module);
            let token = connection.get_token().unwrap_or_else(|failure| panic!("{way}: {failure:?}"));
            assert_eq!(authority.issued(), [token.value()]);
            let header = authority.token_requests().pop().unwrap().jwt_header.unwrap();
            assert_eq!((&header["alg"], &header["kid"]), (&algorithm.into(), &"k1".into()));
            assert_eq!(module.calls(), 1);
        }
    }
}

#[test]
fn a_client_assertion_is_signed_by_the_signer() {
    let key = p256();
    let (authority, module) = (Authority::start(Config::http()), Module::with(&key, "ES256"));
    let options =
        ClientOptions { grant_types: vec![GrantType::ClientCredentials], ..ClientOptions::default() };
    authority.register("me", &[key.public_key_pem()], options);
    let connection = open(&format!(
        "am=OAuth2-JWTClientAssertion;ClaimsIssuer=me;TokenEndpoint={}",
        authority.url("/oauth/token")
    ))
    .unwrap();
    sign_with(&connection, "ES256", &module);
    connection.get_token().unwrap();
}

#[test]
fn a_signer_outranks_the_key_of_the_options_until_it_is_taken_away() {
    let key = p256();
    let module = Module::with(&key, "ES256");
    for option in [
        format!("JWTCertStore={};JWTCertPassword=secret", stores::path("keytool.jks")),
        format!("JWTCertStore={};JWTSecret=both are given", stores::quick_key()),
        "JWTCertStore=/nowhere/key.p12;JWTPrivateKey=neither".to_owned(),
        "JWTSecret=short".to_owned(),
    ] {
        let connection = local(&option);
        let before = connection.get_token().map(|token| header(&token.value())["alg"].clone()).ok();
        sign_with(&connection, "ES256", &module);
        let token = connection.get_token().unwrap_or_else(|failure| panic!("{option}: {failure:?}"));
        assert_eq!(header(&token.value())["alg"], "ES256");
        connection.set_option("ClaimsSubject", "another").unwrap();
        connection.get_token().expect("it stays where an option is set");
        connection.set_option("ClaimsSubject", "").unwrap();
        let calls = module.calls();
        connection.set_signer("", None, null_mut()).unwrap();
        let after = connection.get_token().map(|token| header(&token.value())["alg"].clone()).ok();
        assert_eq!((after, module.calls()), (before, calls), "{option}");
    }
}

#[test]
fn a_null_function_needs_no_algorithm() {
    let connection = local("");
    let handle = connection.handle();
    assert_eq!(failures(|error| authgrant_set_signer(handle, null_mut(), None, null_mut(), error)), []);
}

#[test]
fn an_algorithm_that_no_signer_has_is_refused_at_once_and_changes_nothing() {
    let key = p256();
    let (connection, module) = (local(""), Module::with(&key, "ES256"));
    sign_with(&connection, "ES256", &module);
    for unknown in ["", "HS256", "ES512", "none", "RS256 "] {
        let refused = connection.set_signer(unknown, Some(sign), null_mut()).unwrap_err();
        is(&refused, AUTHGRANT_INVALID_ARGUMENT, None, &[&format!("\"{unknown}\""), "RS256", "EdDSA"]);
    }
    connection.get_token().unwrap();
}

#[test]
fn an_option_that_wants_another_algorithm_is_told_with_both() {
    let module = Module::new(|_| panic!("it was called"));
    for (more, option) in [
        ("JWTAlgorithm=RS256", "JWTAlgorithm"),
        ("JWTAlgorithm=HS256;JWTSecret=a", "JWTAlgorithm"),
        ("JWTHeaders={{\"alg\":\"PS256\"}}}", "JWTHeaders"),
    ] {
        let connection = local(more);
        sign_with(&connection, "ES256", &module);
        let failure = connection.get_token().unwrap_err();
        is(&failure, AUTHGRANT_INVALID_OPTION, Some(option), &["S256, and the signer", "signs ES256"]);
    }
    let key = p256();
    let (connection, module) = (local("JWTAlgorithm=ES256"), Module::with(&key, "ES256"));
    sign_with(&connection, "ES256", &module);
    connection.get_token().unwrap();
}

#[test]
fn what_goes_wrong_inside_a_signer_is_told_and_not_remembered() {
    let key = p256();
    let der = key.serialize_der();
    let failing = |algorithm: &str, answer: Answer, status, words: &[&str]| {
        let asked = AtomicUsize::new(0);
        let der = der.clone();
        let module = Module::new(move |message| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => answer.clone(),
            _ if answer.as_ref().is_ok_and(|bytes| bytes.len() == 255) => Ok(vec![1; 256]),
            _ => Ok(signature(&der, "ES256", message)),
        });
        let connection = local("");
        sign_with(&connection, algorithm, &module);
        let failure = connection.get_token().unwrap_err();
        is(&failure, status, None, words);
        assert!(failure.message.starts_with("[authgrant][signer] the signer (authgrant_set_signer) "));
        if algorithm != "ES384" {
            connection.get_token().expect("the next call asks anew");
        }
    };
    for number in [1, -1, 42, i32::MIN, i32::MAX] {
        failing("ES256", Err(number), AUTHGRANT_KEY_STORE, &[&format!("number {number}")]);
    }
    failing("ES256", Ok(Vec::new()), AUTHGRANT_KEY_STORE, &["0 bytes", "1 to 1024"]);
    failing("ES256", Ok(vec![1; 1025]), AUTHGRANT_KEY_STORE, &["1025 bytes", "1 to 1024"]);
    for length in [1, 63, 65, 96, 256, 1024] {
        let found = format!("{length} bytes");
        failing("ES256", Ok(vec![1; length]), AUTHGRANT_KEY_UNSUITABLE, &[&found, "ES256", "64 bytes"]);
    }
    failing("ES384", Ok(vec![1; 64]), AUTHGRANT_KEY_UNSUITABLE, &["64 bytes", "ES384", "96 bytes"]);
    failing("EdDSA", Ok(vec![1; 63]), AUTHGRANT_KEY_UNSUITABLE, &["63 bytes", "EdDSA", "64 bytes"]);
    failing("PS256", Ok(vec![1; 255]), AUTHGRANT_KEY_UNSUITABLE, &["255 bytes", "PS256", "256 to 1024"]);
}

#[test]
fn a_signature_of_another_key_is_refused_by_the_server_and_another_signer_is_heard_at_once() {
    let (key, stranger) = (p256(), p256());
    let authority = knows(&key);
    let (wrong, right) = (Module::with(&stranger, "ES256"), Module::with(&key, "ES256"));
    let connection = open(&string(&authority, "")).unwrap();
    sign_with(&connection, "ES256", &wrong);
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    }
    assert_eq!(wrong.calls(), 1, "the refusal is remembered");
    sign_with(&connection, "ES256", &right);
    connection.get_token().unwrap();
    // The same function once more is another signer: its key may have been exchanged.
    sign_with(&connection, "ES256", &wrong);
    assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    assert_eq!(wrong.calls(), 2);
    assert_eq!(authority.token_requests().len(), 3);
}

#[test]
fn a_refusal_is_forgotten_where_a_signer_is_taken_away() {
    let key = p256();
    let (authority, module) = (knows(&key), Module::with(&key, "ES256"));
    let connection = open(&string(&authority, &format!("JWTCertStore={}", stores::quick_key()))).unwrap();
    let refused = || assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_DENIED);
    refused();
    refused();
    assert_eq!(authority.token_requests().len(), 1);
    sign_with(&connection, "ES256", &module);
    connection.set_signer("", None, null_mut()).unwrap();
    refused();
    assert_eq!(authority.token_requests().len(), 2);
}

#[test]
fn equal_connections_share_no_token_where_a_signer_was_set() {
    let key = p256();
    let (authority, module) = (knows(&key), Module::with(&key, "ES256"));
    let text = string(&authority, "");
    let (one, other) = (open(&text).unwrap(), open(&text).unwrap());
    for connection in [&one, &other, &one] {
        sign_with(connection, "ES256", &module);
    }
    let tokens = [&one, &other, &one, &other].map(|connection| connection.get_token().unwrap().value());
    assert!(tokens[0] == tokens[2] && tokens[1] == tokens[3] && tokens[0] != tokens[1], "{tokens:?}");
    sign_with(&one, "ES256", &module);
    assert!(!tokens.contains(&one.get_token().unwrap().value()));
    assert_eq!(authority.issued().len(), 3);
}

#[test]
fn calls_inside_go_on_with_their_signer_and_later_ones_do_not_meet_it() {
    let key = p256();
    let der = key.serialize_der();
    let (entered, has_entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (entered, may_go_on) = (Mutex::new(entered), Mutex::new(may_go_on));
    let old = Module::new(move |message| {
        entered.lock().unwrap().send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        Ok(signature(&der, "ES256", message))
    });
    let new = Module::with(&key, "ES256");
    let connection = local("");
    sign_with(&connection, "ES256", &old);
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| connection.get_token().unwrap().value());
        has_entered.recv().unwrap();
        sign_with(&connection, "ES256", &new);
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
fn after_close_nobody_calls_the_signer() {
    let key = p256();
    let (authority, kept) = (knows(&key), Module::with(&key, "ES256"));
    let text = string(&authority, "RefreshMargin=1");
    let gone = Box::new(Module::with(&key, "ES256"));
    let connection = open(&text).unwrap();
    sign_with(&connection, "ES256", &gone);
    let token = connection.get_token().unwrap();
    drop(connection);
    drop(gone);
    let other = open(&text).unwrap();
    other.reject(&token);
    sign_with(&other, "ES256", &kept);
    other.get_token().unwrap();
    assert_eq!(kept.calls(), 1);
}

#[test]
fn inside_a_signer_no_other_call_is_taken() {
    let key = p256();
    let der = key.serialize_der();
    let connection: &'static Connection = Box::leak(Box::new(local("")));
    let told: &'static Mutex<Vec<Failure>> = Box::leak(Box::default());
    let module = Module::new(move |message| {
        told.lock().unwrap().push(*connection.get_token().unwrap_err());
        told.lock().unwrap().push(*connection.set_signer("", None, null_mut()).unwrap_err());
        Ok(signature(&der, "ES256", message))
    });
    sign_with(connection, "ES256", &module);
    connection.get_token().unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2);
    for failure in told.iter() {
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY010"));
    }
}

#[test]
fn eight_threads_are_inside_a_signer_at_once() {
    let key = p256();
    let der = key.serialize_der();
    let together = Barrier::new(8);
    // Nobody would get past the barrier if calls stood in line for a lock.
    let module = Module::new(move |message| {
        together.wait();
        Ok(signature(&der, "ES256", message))
    });
    let connection = local("");
    sign_with(&connection, "ES256", &module);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| connection.make_assertion().unwrap());
        }
    });
    assert_eq!(module.calls(), 8);
}

#[test]
fn eight_threads_that_want_one_token_have_it_signed_once() {
    let key = p256();
    let (authority, module) = (knows(&key), Module::with(&key, "ES256"));
    let connection = open(&string(&authority, "")).unwrap();
    sign_with(&connection, "ES256", &module);
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                together.wait();
                connection.get_token().unwrap();
            });
        }
    });
    assert_eq!((module.calls(), authority.issued().len()), (1, 1));
}

/// A file with the certificate of `key`, and the certificate.
fn certificate(key: &KeyPair) -> (TempDir, String, Vec<u8>) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("signer.crt");
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(key).unwrap();
    std::fs::write(&file, certificate.pem()).unwrap();
    (folder, file.to_str().unwrap().to_owned(), certificate.der().to_vec())
}

#[test]
fn the_certificate_of_a_signers_key_names_it_and_is_held_against_what_it_signs() {
    let (key, stranger) = (p256(), p256());
    let (_folder, file, der) = certificate(&key);
    let more = format!("JWTThumbprint=x5t,x5t#S256,x5c;JWTCertificate={file}");
    let (connection, right) = (local(&more), Module::with(&key, "ES256/DER"));
    sign_with(&connection, "ES256", &right);
    let header = header(&connection.get_token().unwrap().value());
    assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)));
    assert_eq!(header["x5c"], Value::from(vec![STANDARD.encode(&der)]));
    assert!(header["x5t"].is_string(), "{header}");
    let wrong = Module::with(&stranger, "ES256");
    sign_with(&connection, "ES256", &wrong);
    let failure = connection.get_token().unwrap_err();
    is(&failure, AUTHGRANT_KEY_UNSUITABLE, Some("JWTCertificate"), &[&file, "ES256"]);
    let never = Module::new(|_| panic!("it was called"));
    sign_with(&connection, "RS256", &never);
    let failure = connection.get_token().unwrap_err();
    is(&failure, AUTHGRANT_KEY_UNSUITABLE, Some("JWTCertificate"), &[&file, "signs ES256", "signs RS256"]);
    let bare = local("JWTThumbprint=x5t");
    sign_with(&bare, "ES256", &right);
    let failure = bare.get_token().unwrap_err();
    is(&failure, AUTHGRANT_MISSING_OPTION, Some("JWTCertificate"), &["JWTThumbprint x5t"]);
}

#[test]
fn snowflakes_issuer_has_the_fingerprint_of_the_certificates_key() {
    let key = rsa();
    let (_folder, file, _) = certificate(&key);
    let text = "Provider=snowflake;am=JWT;ClaimsIssuer=xy12345.robot";
    let module = Module::with(&key, "RS256");
    let without = open(text).unwrap();
    sign_with(&without, "RS256", &module);
    let failure = without.get_token().unwrap_err();
    is(&failure, AUTHGRANT_MISSING_OPTION, Some("JWTCertificate"), &["the signer", "set JWTCertificate"]);
    let connection = open(&format!("{text};JWTCertificate={file}")).unwrap();
    sign_with(&connection, "RS256", &module);
    let token = connection.get_token().unwrap().value();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let print = STANDARD.encode(digest(&SHA256, &key.subject_public_key_info()));
    assert_eq!(claims["iss"], format!("XY12345.ROBOT.SHA256:{print}"));
}

#[test]
fn reports_look_at_a_signer_without_calling_it() {
    let key = p256();
    let (authority, module) = (knows(&key), Module::with(&key, "ES256"));
    let connection = open(&string(&authority, "JWTCertStore=/nowhere/key.p12")).unwrap();
    sign_with(&connection, "ES256", &module);
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
fn the_method_that_is_shown_is_inferred_from_the_signer() {
    let connection = open("ClaimsAdditional={{\"iss\":\"me\"}}};RefreshToken=outranked").unwrap();
    let never = Module::new(|_| panic!("it was called"));
    sign_with(&connection, "RS256", &never);
    let report: Value = serde_json::from_str(&connection.explain().unwrap()).unwrap();
    assert_eq!(report["method"]["value"]["number"], "55");
}

#[test]
fn without_its_signer_a_connection_lacks_what_it_lacked_before() {
    let authority = Authority::start(Config::http());
    let connection = open(&format!("TokenEndpoint={}", authority.url("/oauth/token"))).unwrap();
    let method = |connection: &Connection| connection.get_token().unwrap_err().option;
    assert_eq!(method(&connection).as_deref(), Some("AuthenticationMethod"));
    let module = Module::new(|_| panic!("it was called"));
    sign_with(&connection, "ES256", &module);
    assert_eq!(method(&connection).as_deref(), Some("ClaimsIssuer"));
    connection.set_signer("", None, null_mut()).unwrap();
    assert_eq!(method(&connection).as_deref(), Some("AuthenticationMethod"));
}

#[test]
fn a_certificate_that_does_not_fit_is_a_problem_whatever_else_is_missing() {
    let (_folder, file, _) = certificate(&p256());
    let connection = open(&format!("am=55;JWTCertificate={file}")).unwrap();
    let never = Module::new(|_| panic!("it was called"));
    sign_with(&connection, "RS256", &never);
    let report: Value = serde_json::from_str(&connection.validate()).unwrap();
    let problems = report["problems"].as_array().unwrap().iter();
    let options: Vec<_> = problems.map(|problem| problem["option"].as_str().unwrap()).collect();
    assert_eq!(options, ["ClaimsIssuer", "JWTCertificate"]);
}

#[test]
fn a_connection_that_signs_is_consented_to_and_not_logged_in() {
    let text = "AuthURI=https://a.example/authorize;EnableLoginPrompt=1;ClientID=c;\
                RedirectURI=http://127.0.0.1:3000/";
    let connection = open(text).unwrap();
    assert!(connection.consent_url().unwrap().contains("client_id=c"));
    let never = Module::new(|_| panic!("it was called"));
    sign_with(&connection, "RS256", &never);
    let failure = connection.consent_url().unwrap_err();
    is(&failure, AUTHGRANT_MISSING_OPTION, Some("Scope"), &[]);
}
