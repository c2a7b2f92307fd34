//! Tests of signed assertions and of user-defined headers and claims.

use std::sync::OnceLock;

use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::Value;

use super::*;
use crate::base::error::Status;
use crate::key::fixtures::{KeyDir, fixture_bytes, run_shell};
use crate::key::{KeySource, open};

const NOW: i64 = 1_700_000_000;

fn default_claims<'a>() -> Claims<'a> {
    Claims {
        issuer: "an \"issuer\"".into(),
        subject: Some("5a9e"),
        audience: Some("account-d.docusign.com"),
        scope: Some("signature impersonation"),
        scope_is_array: false,
        iat_backdate_secs: None,
        lifetime: 3600,
        now: NOW,
        additional: empty_object(),
    }
}

fn empty_object() -> &'static RawObject {
    static EMPTY: OnceLock<RawObject> = OnceLock::new();
    EMPTY.get_or_init(RawObject::default)
}

fn raw_object(json: &str) -> RawObject {
    RawObject::parse(json).unwrap()
}

fn sign_with_fixture(name: &str, claims: &Claims<'_>, algorithm: Option<Algorithm>) -> Assertion {
    let dir = KeyDir::new();
    let key = open(&dir.fixture(name, None)).unwrap();
    sign(claims, &JoseHeader { algorithm, ..JoseHeader::default() }, &key).unwrap()
}

#[test]
fn scope_array_and_iat_backdate_are_applied() {
    let claims =
        Claims { scope: Some("a  b"), scope_is_array: true, iat_backdate_secs: Some(60), ..default_claims() };
    let payload: Value =
        serde_json::from_slice(&decode_parts(&sign_with_fixture("ec.pem", &claims, None))[1]).unwrap();
    assert_eq!(payload["scope"], serde_json::json!(["a", "b"]));
    assert_eq!((payload["iat"].as_i64(), payload["exp"].as_i64()), (Some(NOW - 60), Some(NOW + 3540)));
}

#[test]
fn preferred_algorithm_applies_unless_one_is_set() {
    let chosen = |name: &str, algorithm: Option<Algorithm>, preferred: &[Algorithm]| {
        let dir = KeyDir::new();
        let key = open(&dir.fixture(name, None)).unwrap();
        let header =
            JoseHeader { algorithm, preferred_algorithms: preferred.to_vec(), ..JoseHeader::default() };
        let parts = decode_parts(&sign(&default_claims(), &header, &key).unwrap());
        let header: Value = serde_json::from_slice(&parts[0]).unwrap();
        header["alg"].as_str().unwrap().to_owned()
    };
    let preferred = [Algorithm::PS256, Algorithm::ES256];
    assert_eq!(chosen("rsa.pem", None, &preferred), "PS256");
    assert_eq!(chosen("ec.pem", None, &preferred), "ES256");
    assert_eq!(chosen("rsa.pem", Some(Algorithm::RS384), &preferred), "RS384");
    assert_eq!(chosen("rsa.pem", None, &[Algorithm::ES256]), "RS256", "no preferred algorithm fits the key");
}

/// The header as text, which shows the order of its members.
fn header_text(header: &JoseHeader, source: &KeySource) -> String {
    let assertion = sign(&default_claims(), header, &open(source).unwrap()).unwrap();
    String::from_utf8(decode_parts(&assertion)[0].clone()).unwrap()
}

fn payload_with_claims(additional: &str) -> (String, i64) {
    let additional = raw_object(additional);
    let assertion =
        sign_with_fixture("ec.pem", &Claims { additional: &additional, ..default_claims() }, None);
    (String::from_utf8(decode_parts(&assertion)[1].clone()).unwrap(), assertion.expires_at)
}

fn decode_parts(assertion: &Assertion) -> Vec<Vec<u8>> {
    let parts = assertion.text().reveal().split('.');
    parts.map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect()
}

fn payload_json(assertion: &Assertion) -> Value {
    serde_json::from_slice(&decode_parts(assertion)[1]).unwrap()
}

#[test]
fn short_lifetime_expires_in_future() {
    let dir = KeyDir::new();
    let key = open(&dir.fixture("ec.pem", None)).unwrap();
    for lifetime in [1, 2, 5, 9] {
        let claims = Claims { lifetime, ..default_claims() };
        let assertion = sign(&claims, &JoseHeader::default(), &key).unwrap();
        assert!(assertion.expires_at > NOW, "{lifetime}");
    }
}

#[test]
fn signature_covers_unpadded_header_and_payload() {
    let assertion = sign_with_fixture("rsa-pkcs1.pem", &default_claims(), None);
    let text = assertion.text().reveal();
    assert!(!text.contains(['=', '+', '/']));
    let parts = decode_parts(&assertion);
    assert_eq!(parts.len(), 3);
    let pem = std::str::from_utf8(fixture_bytes("rsa-pkcs1.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let pair = RsaKeyPair::from_der(&der).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    let (message, _) = text.rsplit_once('.').unwrap();
    public.verify(message.as_bytes(), &parts[2]).unwrap();
}

#[test]
fn default_header_has_only_alg_and_typ() {
    for (name, algorithm, alg) in [
        ("rsa.pem", None, "RS256"),
        ("rsa.pem", Some(Algorithm::PS384), "PS384"),
        ("ec.pem", None, "ES256"),
        ("ec384.pem", None, "ES384"),
        ("ed25519.pem", None, "EdDSA"),
    ] {
        let header: Value =
            serde_json::from_slice(&decode_parts(&sign_with_fixture(name, &default_claims(), algorithm))[0])
                .unwrap();
        assert_eq!(header, serde_json::json!({"alg": alg, "typ": "JWT"}));
    }
}

#[test]
fn claims_have_exact_types_and_lifetime() {
    let assertion = sign_with_fixture("ec.pem", &default_claims(), None);
    let payload = payload_json(&assertion);
    assert_eq!(payload["iss"], "an \"issuer\"");
    assert_eq!(payload["sub"], "5a9e");
    assert_eq!(payload["aud"], "account-d.docusign.com");
    assert_eq!(payload["scope"], "signature impersonation");
    assert_eq!(payload["iat"].as_i64().unwrap(), NOW - 5);
    assert_eq!(payload["exp"].as_i64().unwrap() - payload["iat"].as_i64().unwrap(), 3600);
    assert_eq!(payload["exp"].as_i64().unwrap(), assertion.expires_at);
}

#[test]
fn unset_claims_are_omitted() {
    let bare = Claims { subject: None, audience: None, scope: None, ..default_claims() };
    let payload = payload_json(&sign_with_fixture("ec.pem", &bare, None));
    let mut names: Vec<_> = payload.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["exp", "iat", "iss", "jti"]);
}

#[cfg(unix)]
#[test]
fn assertion_file_of_others_is_error_if_checked() {
    use std::cell::RefCell;
    use std::os::unix::fs::PermissionsExt;

    use crate::base::file::ConfiguredPath;

    let dir = KeyDir::new();
    let path = dir.file_path("assertion");
    std::fs::write(&path, "e30.e30.c2ln").unwrap();
    let location = ConfiguredPath::new(path.to_str().unwrap().to_owned());
    for (mode, check, is_error, warning_count) in
        [(0o644, true, true, 0), (0o644, false, false, 1), (0o600, true, false, 0)]
    {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = RefCell::new(Vec::new());
        let result = read_assertion_file(&location, check, &|warning| warnings.borrow_mut().push(warning));
        let status = result.err().map(|error| error.status());
        assert_eq!(status, is_error.then_some(Status::KeyStore), "{mode:o} {check}");
        assert_eq!(warnings.into_inner().len(), warning_count, "{mode:o} {check}");
    }
}

/// A buffer that grows leaves a copy of its content in freed memory.
#[test]
fn computed_capacity_is_length_of_text() {
    let members = raw_object(r#"{"a":1,"bc":"d\u00e9","e":[2, 3]}"#);
    let mut object = ObjectWriter::with_capacity(0);
    members.write_to(&mut object);
    // The opening brace replaces the first comma.
    assert_eq!(object.finish().len(), members.serialized_len() + 1);
    for length in 0..7 {
        let part = vec![0; length];
        assert_eq!(encoded_part_len(&part), URL_SAFE_NO_PAD.encode(part).len() + 1);
    }
}

#[test]
fn jti_is_unique_with_128_bits() {
    let ids: std::collections::HashSet<String> = (0..20)
        .map(|_| {
            payload_json(&sign_with_fixture("ec.pem", &default_claims(), None))["jti"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 20);
    assert!(ids.iter().all(|id| URL_SAFE_NO_PAD.decode(id).unwrap().len() == 16));
}

#[test]
fn exp_saturates_at_maximum_time() {
    let last = Claims { now: i64::MAX, lifetime: u32::MAX, ..default_claims() };
    assert_eq!(sign_with_fixture("ec.pem", &last, None).expires_at, i64::MAX);
}

#[test]
fn algorithm_unsuitable_for_key_is_rejected() {
    let dir = KeyDir::new();
    let key = open(&dir.fixture("ec.pem", None)).unwrap();
    let header = JoseHeader { algorithm: Some(Algorithm::RS256), ..JoseHeader::default() };
    let error = sign(&default_claims(), &header, &key).unwrap_err();
    assert_eq!(error.status(), Status::KeyUnsuitable);
}

#[test]
fn assertion_debug_hides_text() {
    let assertion = sign_with_fixture("ec.pem", &default_claims(), None);
    assert!(!format!("{assertion:?}").contains("eyJ"));
}

#[test]
fn header_contains_kid_and_requested_thumbprints() {
    let dir = KeyDir::new();
    let header = JoseHeader {
        key_id: Some("key \"1\"".to_owned()),
        cert_headers: vec![CertHeader::X5t, CertHeader::X5tS256],
        ..JoseHeader::default()
    };
    let text = header_text(&header, &dir.fixture("rsa.p12", Some("changeit")));
    std::fs::write(dir.file_path("ca.der"), fixture_bytes("ca.der")).unwrap();
    let openssl_digest = |hash: &str| {
        let command = format!("openssl dgst -{hash} -binary ca.der > hash");
        run_shell(dir.path(), &command);
        URL_SAFE_NO_PAD.encode(std::fs::read(dir.file_path("hash")).unwrap())
    };
    let expected = format!(
        r#"{{"alg":"RS256","typ":"JWT","kid":"key \"1\"","x5t":"{}","x5t#S256":"{}"}}"#,
        openssl_digest("sha1"),
        openssl_digest("sha256"),
    );
    assert_eq!(text, expected);
}

#[test]
fn x5c_is_standard_base64_chain_leaf_first() {
    let dir = KeyDir::new();
    let header = JoseHeader { cert_headers: vec![CertHeader::X5c], ..JoseHeader::default() };
    let source = dir.fixture("chain.p12", Some("changeit"));
    let header: Value = serde_json::from_str(&header_text(&header, &source)).unwrap();
    let chain = header["x5c"].as_array().unwrap();
    let certificates = open(&source).unwrap().certificates().to_vec();
    assert_eq!(chain.len(), 2);
    for (element, certificate) in chain.iter().zip(certificates) {
        let der = base64::engine::general_purpose::STANDARD.decode(element.as_str().unwrap()).unwrap();
        assert_eq!(der, certificate.as_ref());
    }
}

#[test]
fn thumbprint_without_certificate_names_missing_option() {
    let dir = KeyDir::new();
    let header = JoseHeader { cert_headers: vec![CertHeader::X5tS256], ..JoseHeader::default() };
    let source = dir.fixture("ec.pem", None);
    let error = sign(&default_claims(), &header, &open(&source).unwrap()).unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("JWTCertificate")));
    for option in ["JWTCertStore", "JWTThumbprint", "x5t#S256", "JWTCertificate"] {
        assert!(error.message().contains(option), "{error}");
    }
}

#[test]
fn custom_headers_override_and_keep_form() {
    let dir = KeyDir::new();
    let header = JoseHeader {
        key_id: Some("ours".to_owned()),
        cert_headers: vec![CertHeader::X5t],
        additional: raw_object(r#"{"z":1.0,"typ":"at+jwt","kid":"theirs","x5t":"mine","a":{"n":[1, null]}}"#),
        ..JoseHeader::default()
    };
    // The key has no certificate, and none is needed: the user sets x5t.
    let text = header_text(&header, &dir.fixture("ec.pem", None));
    assert_eq!(
        text,
        r#"{"alg":"ES256","z":1.0,"typ":"at+jwt","kid":"theirs","x5t":"mine","a":{"n":[1, null]}}"#
    );
}

#[test]
fn custom_claims_keep_type_and_order() {
    let claims =
        r#"{"zebra":true,"apple":12345678901234567890123,"half":0.50,"nested":{"b":[],"a":null},"text":"5"}"#;
    let (payload, _) = payload_with_claims(claims);
    assert!(payload.starts_with(r#"{"iss":"an \"issuer\"","sub":"5a9e""#), "{payload}");
    assert!(payload.ends_with(&claims[1..]), "{payload}");
}

#[test]
fn custom_claim_replaces_generated_claim() {
    let (payload, _) = payload_with_claims(
        r#"{"iss":"i","sub":"s","aud":["a","b"],"scope":["x"],"jti":"j","iat":1,"exp":2,"nbf":3}"#,
    );
    assert_eq!(
        payload,
        r#"{"iss":"i","sub":"s","aud":["a","b"],"scope":["x"],"jti":"j","iat":1,"exp":2,"nbf":3}"#
    );
}

#[test]
fn expires_at_follows_custom_iat_and_exp() {
    assert_eq!(payload_with_claims(r#"{"exp":1800000000}"#).1, 1_800_000_000);
    assert_eq!(payload_with_claims(r#"{"exp":1800000000.9}"#).1, 1_800_000_000);
    let (payload, expires_at) = payload_with_claims(r#"{"iat":1600000000}"#);
    assert!(payload.contains(r#""exp":1600003600"#), "{payload}");
    assert_eq!(expires_at, 1_600_003_600);
    assert_eq!(payload_with_claims(r#"{"exp":1e300}"#).1, i64::MAX);
}

#[test]
fn parse_error_gives_position_without_content() {
    for (text, position) in [
        (r#"{"hunter2":}"#, "line 1, column 12"),
        ("{\"a\":1,\n \"b\":hunter2}", "line 2, column 6"),
        (r#"{"a":"hunter2"#, "unexpected end at line 1, column 13"),
        (r#"{"a":"hunter2\ud800"}"#, "line 1, column 20"),
        (r#"{"a":1} hunter2"#, "line 1, column 9"),
        (r#"["hunter2"]"#, "braces"),
        ("\"hunter2\"", "braces"),
        ("", "unexpected end at line 1, column 0"),
        (r#"{"hunter2":1,"b":2,"hunter2":3}"#, "duplicate"),
    ] {
        let error = RawObject::parse(text).unwrap_err();
        assert!(error.contains(position) && !error.contains("hunter2"), "{text}: {error}");
    }
}

#[test]
fn raw_object_debug_shows_names_only() {
    let shown = format!("{:?}", raw_object(r#"{"national_id":"hunter2"}"#));
    assert!(shown.contains("national_id") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn hs256_signature_matches_rfc_7515_example() {
    let source = KeySource::hmac_secret(
        "base64:AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    );
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = open(&source).unwrap().sign(Algorithm::HS256, message.as_bytes()).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(signature), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}
