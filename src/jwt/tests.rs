//! What is signed, read back.

use std::sync::OnceLock;

use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::Value;

use super::*;
use crate::key::fixtures::{Place, bytes, run};
use crate::key::{KeySource, open};

const NOW: i64 = 1_700_000_000;

fn claims<'a>() -> Claims<'a> {
    Claims {
        issuer: "an \"issuer\"".into(),
        subject: Some("5a9e"),
        audience: Some("account-d.docusign.com"),
        scope: Some("signature impersonation"),
        scope_is_array: false,
        backdated: None,
        lifetime: 3600,
        now: NOW,
        additional: none(),
    }
}

fn none() -> &'static Members {
    static NONE: OnceLock<Members> = OnceLock::new();
    NONE.get_or_init(Members::default)
}

fn members(json: &str) -> Members {
    Members::parse(json).unwrap()
}

fn signed(name: &str, claims: &Claims<'_>, algorithm: Option<Algorithm>) -> Assertion {
    let place = Place::new();
    let key = open(&place.fixture(name, None)).unwrap();
    sign(claims, &Header { algorithm, ..Header::default() }, &key).unwrap()
}

#[test]
fn a_scope_may_be_an_array_and_iat_may_lie_further_back() {
    let odd = Claims { scope: Some("a  b"), scope_is_array: true, backdated: Some(60), ..claims() };
    let payload: Value = serde_json::from_slice(&parts(&signed("ec.pem", &odd, None))[1]).unwrap();
    assert_eq!(payload["scope"], serde_json::json!(["a", "b"]));
    assert_eq!((payload["iat"].as_i64(), payload["exp"].as_i64()), (Some(NOW - 60), Some(NOW + 3540)));
}

#[test]
fn the_first_preferred_algorithm_that_the_key_can_is_taken_and_a_wanted_one_before_it() {
    let by = |name: &str, algorithm: Option<Algorithm>, preferred: &[Algorithm]| {
        let place = Place::new();
        let key = open(&place.fixture(name, None)).unwrap();
        let header = Header { algorithm, preferred: preferred.to_vec(), ..Header::default() };
        let parts = parts(&sign(&claims(), &header, &key).unwrap());
        let header: Value = serde_json::from_slice(&parts[0]).unwrap();
        header["alg"].as_str().unwrap().to_owned()
    };
    let preferred = [Algorithm::PS256, Algorithm::ES256];
    assert_eq!(by("rsa.pem", None, &preferred), "PS256");
    assert_eq!(by("ec.pem", None, &preferred), "ES256");
    assert_eq!(by("rsa.pem", Some(Algorithm::RS384), &preferred), "RS384");
    assert_eq!(by("rsa.pem", None, &[Algorithm::ES256]), "RS256", "the user chose the key");
}

/// The header as text, so that its order can be seen.
fn header_of(header: &Header, source: &KeySource) -> String {
    let assertion = sign(&claims(), header, &open(source).unwrap()).unwrap();
    String::from_utf8(parts(&assertion)[0].clone()).unwrap()
}

fn payload_with(additional: &str) -> (String, i64) {
    let additional = members(additional);
    let assertion = signed("ec.pem", &Claims { additional: &additional, ..claims() }, None);
    (String::from_utf8(parts(&assertion)[1].clone()).unwrap(), assertion.expires_at)
}

fn parts(assertion: &Assertion) -> Vec<Vec<u8>> {
    let parts = assertion.text().reveal().split('.');
    parts.map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect()
}

fn payload_of(assertion: &Assertion) -> Value {
    serde_json::from_slice(&parts(assertion)[1]).unwrap()
}

#[test]
fn even_the_shortest_life_ends_after_it_began() {
    let place = Place::new();
    let key = open(&place.fixture("ec.pem", None)).unwrap();
    for lifetime in [1, 2, 5, 9] {
        let short = Claims { lifetime, ..claims() };
        let assertion = sign(&short, &Header::default(), &key).unwrap();
        assert!(assertion.expires_at > NOW, "{lifetime}");
    }
}

#[test]
fn an_assertion_is_three_parts_without_padding_and_the_signature_is_over_the_first_two() {
    let assertion = signed("rsa-pkcs1.pem", &claims(), None);
    let text = assertion.text().reveal();
    assert!(!text.contains(['=', '+', '/']));
    let parts = parts(&assertion);
    assert_eq!(parts.len(), 3);
    let pem = std::str::from_utf8(bytes("rsa-pkcs1.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let pair = RsaKeyPair::from_der(&der).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    let (message, _) = text.rsplit_once('.').unwrap();
    public.verify(message.as_bytes(), &parts[2]).unwrap();
}

#[test]
fn the_header_holds_the_algorithm_and_the_type_and_nothing_else() {
    for (name, wanted, alg) in [
        ("rsa.pem", None, "RS256"),
        ("rsa.pem", Some(Algorithm::PS384), "PS384"),
        ("ec.pem", None, "ES256"),
        ("ec384.pem", None, "ES384"),
        ("ed25519.pem", None, "EdDSA"),
    ] {
        let header: Value = serde_json::from_slice(&parts(&signed(name, &claims(), wanted))[0]).unwrap();
        assert_eq!(header, serde_json::json!({"alg": alg, "typ": "JWT"}));
    }
}

#[test]
fn claims_are_strings_and_whole_numbers_and_last_exactly_their_lifetime() {
    let assertion = signed("ec.pem", &claims(), None);
    let payload = payload_of(&assertion);
    assert_eq!(payload["iss"], "an \"issuer\"");
    assert_eq!(payload["sub"], "5a9e");
    assert_eq!(payload["aud"], "account-d.docusign.com");
    assert_eq!(payload["scope"], "signature impersonation");
    assert_eq!(payload["iat"].as_i64().unwrap(), NOW - 5);
    assert_eq!(payload["exp"].as_i64().unwrap() - payload["iat"].as_i64().unwrap(), 3600);
    assert_eq!(payload["exp"].as_i64().unwrap(), assertion.expires_at);
}

#[test]
fn what_is_not_asked_for_is_not_claimed() {
    let bare = Claims { subject: None, audience: None, scope: None, ..claims() };
    let payload = payload_of(&signed("ec.pem", &bare, None));
    let mut names: Vec<_> = payload.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["exp", "iat", "iss", "jti"]);
}

#[test]
fn no_two_assertions_have_the_same_id_and_each_has_128_bits() {
    let ids: std::collections::HashSet<String> = (0..20)
        .map(|_| payload_of(&signed("ec.pem", &claims(), None))["jti"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 20);
    assert!(ids.iter().all(|id| URL_SAFE_NO_PAD.decode(id).unwrap().len() == 16));
}

#[test]
fn a_clock_at_the_end_of_time_does_no_harm() {
    let last = Claims { now: i64::MAX, lifetime: u32::MAX, ..claims() };
    assert_eq!(signed("ec.pem", &last, None).expires_at, i64::MAX);
}

#[test]
fn an_algorithm_that_does_not_fit_signs_nothing() {
    let place = Place::new();
    let key = open(&place.fixture("ec.pem", None)).unwrap();
    let header = Header { algorithm: Some(Algorithm::RS256), ..Header::default() };
    let error = sign(&claims(), &header, &key).unwrap_err();
    assert_eq!(error.status(), Status::KeyUnsuitable);
}

#[test]
fn debug_of_an_assertion_does_not_show_it() {
    let assertion = signed("ec.pem", &claims(), None);
    assert!(!format!("{assertion:?}").contains("eyJ"));
}

#[test]
fn the_header_says_the_key_id_and_the_certificate_where_it_is_asked_to() {
    let place = Place::new();
    let header = Header {
        key_id: Some("key \"1\"".to_owned()),
        thumbprints: vec![Thumbprint::X5t, Thumbprint::X5tS256],
        ..Header::default()
    };
    let said = header_of(&header, &place.fixture("rsa.p12", Some("changeit")));
    std::fs::write(place.file("ca.der"), bytes("ca.der")).unwrap();
    let openssl = |hash: &str| {
        let line = format!("openssl dgst -{hash} -binary ca.der > hash");
        run(place.path(), &line);
        URL_SAFE_NO_PAD.encode(std::fs::read(place.file("hash")).unwrap())
    };
    let wanted = format!(
        r#"{{"alg":"RS256","typ":"JWT","kid":"key \"1\"","x5t":"{}","x5t#S256":"{}"}}"#,
        openssl("sha1"),
        openssl("sha256"),
    );
    assert_eq!(said, wanted);
}

#[test]
fn x5c_is_the_whole_chain_in_ordinary_base64_leaf_first() {
    let place = Place::new();
    let header = Header { thumbprints: vec![Thumbprint::X5c], ..Header::default() };
    let source = place.fixture("chain.p12", Some("changeit"));
    let header: Value = serde_json::from_str(&header_of(&header, &source)).unwrap();
    let chain = header["x5c"].as_array().unwrap();
    let wanted = open(&source).unwrap().certificates().to_vec();
    assert_eq!(chain.len(), 2);
    for (said, wanted) in chain.iter().zip(wanted) {
        let said = base64::engine::general_purpose::STANDARD.decode(said.as_str().unwrap()).unwrap();
        assert_eq!(said, wanted.as_ref());
    }
}

#[test]
fn a_thumbprint_without_a_certificate_names_the_option_that_brings_one() {
    let place = Place::new();
    let header = Header { thumbprints: vec![Thumbprint::X5tS256], ..Header::default() };
    let source = place.fixture("ec.pem", None);
    let error = sign(&claims(), &header, &open(&source).unwrap()).unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("JWTCertificate")));
    for word in ["JWTCertStore", "JWTThumbprint x5t#S256", "JWTCertificate"] {
        assert!(error.message().contains(word), "{error}");
    }
}

#[test]
fn headers_of_the_users_own_win_and_keep_their_form_and_order() {
    let place = Place::new();
    let header = Header {
        key_id: Some("ours".to_owned()),
        thumbprints: vec![Thumbprint::X5t],
        additional: members(r#"{"z":1.0,"typ":"at+jwt","kid":"theirs","x5t":"mine","a":{"n":[1, null]}}"#),
        ..Header::default()
    };
    // The key has no certificate, and nobody asks for it: x5t is the user's.
    let said = header_of(&header, &place.fixture("ec.pem", None));
    assert_eq!(
        said,
        r#"{"alg":"ES256","z":1.0,"typ":"at+jwt","kid":"theirs","x5t":"mine","a":{"n":[1, null]}}"#
    );
}

#[test]
fn claims_of_the_users_own_keep_their_type_form_and_order() {
    let given =
        r#"{"zebra":true,"apple":12345678901234567890123,"half":0.50,"nested":{"b":[],"a":null},"text":"5"}"#;
    let (payload, _) = payload_with(given);
    assert!(payload.starts_with(r#"{"iss":"an \"issuer\"","sub":"5a9e""#), "{payload}");
    assert!(payload.ends_with(&given[1..]), "{payload}");
}

#[test]
fn a_claim_of_the_users_own_stands_instead_of_ours_and_not_beside_it() {
    let (payload, _) = payload_with(
        r#"{"iss":"i","sub":"s","aud":["a","b"],"scope":["x"],"jti":"j","iat":1,"exp":2,"nbf":3}"#,
    );
    assert_eq!(
        payload,
        r#"{"iss":"i","sub":"s","aud":["a","b"],"scope":["x"],"jti":"j","iat":1,"exp":2,"nbf":3}"#
    );
}

#[test]
fn the_end_of_an_assertion_follows_what_the_user_says_of_its_times() {
    assert_eq!(payload_with(r#"{"exp":1800000000}"#).1, 1_800_000_000);
    assert_eq!(payload_with(r#"{"exp":1800000000.9}"#).1, 1_800_000_000);
    let (payload, end) = payload_with(r#"{"iat":1600000000}"#);
    assert!(payload.contains(r#""exp":1600003600"#), "{payload}");
    assert_eq!(end, 1_600_003_600);
    assert_eq!(payload_with(r#"{"exp":1e300}"#).1, i64::MAX);
}

#[test]
fn members_that_cannot_be_read_are_told_by_place_and_never_repeated() {
    for (text, place) in [
        (r#"{"hunter2":}"#, "line 1, column 12"),
        ("{\"a\":1,\n \"b\":hunter2}", "line 2, column 6"),
        (r#"{"a":"hunter2"#, "line 1, column 13: it ends too early"),
        (r#"{"a":"hunter2\ud800"}"#, "line 1, column 20"),
        (r#"{"a":1} hunter2"#, "line 1, column 9"),
        (r#"["hunter2"]"#, "braces"),
        ("\"hunter2\"", "braces"),
        ("", "it ends too early"),
        (r#"{"hunter2":1,"b":2,"hunter2":3}"#, "twice"),
    ] {
        let error = Members::parse(text).unwrap_err();
        assert!(error.contains(place) && !error.contains("hunter2"), "{text}: {error}");
    }
}

#[test]
fn debug_of_members_shows_names_alone() {
    let shown = format!("{:?}", members(r#"{"national_id":"hunter2"}"#));
    assert!(shown.contains("national_id") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_shared_secret_signs_as_rfc_7515_says_in_its_first_example() {
    let source = KeySource::shared(
        "base64:AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    );
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = open(&source).unwrap().sign(Algorithm::HS256, message.as_bytes()).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(signature), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}
