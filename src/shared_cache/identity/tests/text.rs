//! The canonical text: no secret, and never the same for different settings.

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::jwt::RawObject;
use crate::options::OptionType;
use crate::resolve::HttpHeader;

fn all_bases() -> Vec<Pairs> {
    vec![
        jwt(),
        jwt_file(),
        jwt_certificate(),
        jwt_token(),
        jwt_secret(),
        client(),
        client_header(),
        client_proxy(),
        client_certificate(),
        client_certificate_token(),
        client_assertion(),
        presigned(),
        presigned_file(),
        password(),
        refresh(),
        login(),
    ]
}

#[test]
fn text_contains_no_secret_and_no_path() {
    let dir = files().path().to_str().unwrap();
    for pairs in all_bases() {
        let text = canonical_text(&pairs);
        assert!(!text.contains(dir), "{text}");
        for (name, value) in pairs.iter().filter(|(_, value)| value.len() > 3) {
            let is_secret = crate::options::table::find(name).unwrap().option_type == OptionType::Secret;
            assert!(!is_secret || !text.contains(value), "{name} in {text}");
        }
    }
}

/// Reads a canonical text back.
fn parse(text: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut rest = text.strip_prefix(TEXT_VERSION.as_bytes())?.strip_prefix(b"\n")?;
    let mut values = Vec::new();
    while !rest.is_empty() {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let colon = rest.iter().position(|byte| *byte == b':')?;
        let length: usize = std::str::from_utf8(&rest[equals + 1..colon]).ok()?.parse().ok()?;
        let label = String::from_utf8(rest[..equals].to_vec()).ok()?;
        let (value, after) = rest[colon + 1..].split_at_checked(length)?;
        values.push((label, value.to_vec()));
        rest = after.strip_prefix(b"\n")?;
    }
    Some(values)
}

/// Parts of values that look like parts of the text.
const CONFUSING_PARTS: [&str; 13] =
    ["=", ":", "\n", "0", "1", "3", "sub", "aud=1:x\n", "\nsub=1:x", "scope", "parameter", "\0", "\u{e4}"];

/// Settings with values that are hard to tell apart.
#[derive(Clone, Debug, PartialEq)]
struct Settings {
    issuer: String,
    subject: Option<String>,
    audience: Option<String>,
    scope: Option<String>,
    key_id: Option<String>,
    parameters: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    claim: Option<String>,
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::collection::vec(proptest::sample::select(&CONFUSING_PARTS[..]), 0..5)
            .prop_map(|parts| parts.concat()),
        ".{0,8}",
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let optional = || proptest::option::of(value());
    let pairs = || proptest::collection::vec((value(), value()), 0..3);
    (value(), optional(), optional(), optional(), optional(), pairs(), pairs(), optional()).prop_map(
        |(issuer, subject, audience, scope, key_id, parameters, headers, claim)| Settings {
            issuer,
            subject,
            audience,
            scope,
            key_id,
            parameters,
            headers,
            claim,
        },
    )
}

fn text_of(settings: &Settings, cache: &KeyCache) -> Vec<u8> {
    let mut config = config(&client_assertion());
    let Flow::TokenEndpoint(request) = &mut config.flow else { panic!("no token endpoint") };
    let secret = |text: &String| Secret::from(text.as_str());
    request.parameters =
        settings.parameters.iter().map(|(name, value)| (name.clone(), secret(value))).collect();
    let header = |(name, value): &(String, String)| HttpHeader { name: name.clone(), value: secret(value) };
    request.headers = settings.headers.iter().map(header).collect();
    request.scope = settings.scope.clone();
    let Grant::ClientAssertion { assertion: crate::resolve::AssertionSource::SignedHere(signing), .. } =
        &mut request.grant
    else {
        panic!("no assertion")
    };
    signing.issuer.clone_from(&settings.issuer);
    signing.subject.clone_from(&settings.subject);
    signing.audience.clone_from(&settings.audience);
    signing.header.key_id.clone_from(&settings.key_id);
    if let Some(claim) = &settings.claim {
        let json = serde_json::json!({ claim: 1 }).to_string();
        signing.additional_claims = RawObject::parse(&json).unwrap();
    }
    let shared = config.shared_cache.as_ref().unwrap();
    TokenDescription::new(&config, shared, cache).unwrap().text.as_bytes().to_vec()
}

#[test]
fn different_settings_have_different_texts() {
    let cache = KeyCache::new([4; 32]);
    let config = ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let seen = RefCell::new(HashMap::new());
    runner
        .run(&settings(), |settings| {
            let text = text_of(&settings, &cache);
            let earlier = seen.borrow_mut().entry(text).or_insert_with(|| settings.clone()).clone();
            prop_assert_eq!(earlier, settings);
            Ok(())
        })
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn labeled_values_are_read_back(values in proptest::collection::vec(
        (proptest::sample::select(&["a", "b c", "iss"][..]), proptest::collection::vec(any::<u8>(), 0..40)), 0..200,
    )) {
        let mut text = LabeledValues::beginning_with(TEXT_VERSION);
        for (label, value) in &values {
            text.add(label, value);
        }
        let expected: Vec<_> = values.into_iter().map(|(label, value)| (label.to_owned(), value)).collect();
        prop_assert_eq!(parse(text.as_bytes()), Some(expected));
    }
}

#[test]
fn order_of_additional_members_does_not_matter() {
    let with = |claims: &'static str| name(&changed(&jwt(), "ClaimsAdditional", claims));
    assert_eq!(with(r#"{"a":1,"b":2}"#), with(r#"{"b":2,"a":1}"#));
    assert_ne!(with(r#"{"a":1,"b":2}"#), with(r#"{"b":1,"a":2}"#));
    let with = |headers: &'static str| name(&changed(&jwt(), "JWTHeaders", headers));
    assert_ne!(with(r#"{"a":1}"#), name(&changed(&jwt(), "ClaimsAdditional", r#"{"a":1}"#)));
}

#[test]
fn http_request_has_no_tls_settings() {
    let local = changed(&client(), "TokenEndpoint", "http://127.0.0.1:8080/token");
    let expected = name(&local);
    for (option, value) in
        [("TrustStore", "{dir}/none"), ("KeyStore", "{dir}/none"), ("ProxyHost", "proxy.example")]
    {
        assert_eq!(name(&changed(&local, option, value)), expected, "{option}");
    }
}
