//! The quirks of providers held against hand-made requests: each demand refuses what lacks one thing.

use authority::{Authority, ClientOptions, Config, Provider};
use serde_json::{Value, json};

use crate::client::{FORM, GRANT, Response, exchange, request};
use crate::signer;

fn knows(provider: Provider) -> Authority {
    let authority = Authority::start(Config::of(provider));
    authority.register("client-1", &[signer::rsa_key().public_key_pem()], ClientOptions::default());
    authority
}

/// A JWT bearer request with these changes to the claims; null takes one away.
fn asks(authority: &Authority, header: &Value, changes: &Value, more: &str) -> Response {
    let mut claims = signer::good_claims(&authority.url("/oauth/token"));
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let assertion = signer::sign(signer::rsa_key(), header, &claims);
    let body = format!("{GRANT}&assertion={assertion}{more}");
    exchange(
        authority,
        &request(authority, "POST", "/oauth/token", &format!("Content-Type: {FORM}\r\n"), &body),
    )
}

fn rs256() -> Value {
    json!({ "alg": "RS256", "typ": "JWT" })
}

#[test]
fn each_demand_of_a_provider_refuses_what_lacks_it_alone() {
    let guid = "464f7988-0000-4000-8000-91d2a53e80e0";
    let now = signer::now();
    for (provider, good, bad, more) in [
        (
            Provider::Docusign,
            json!({ "sub": guid, "aud": "127.0.0.1" }),
            json!({ "sub": "jo@example.com" }),
            "",
        ),
        (Provider::Google, json!({ "scope": "s" }), json!({ "target_audience": "t" }), ""),
        (Provider::Google, json!({ "scope": "s" }), json!({ "scope": null }), ""),
        (Provider::Google, json!({ "scope": "s" }), json!({}), "&scope=s"),
        (Provider::Servicenow, json!({ "scope": null }), json!({ "scope": "s" }), ""),
        (Provider::Okta, json!({ "scope": null }), json!({ "scope": "s" }), ""),
        (Provider::Keycloak, json!({ "scope": null }), json!({ "iat": now, "exp": now + 301 }), ""),
    ] {
        let authority = knows(provider);
        let taken = asks(&authority, &rs256(), &good, "");
        assert_eq!(taken.status, 200, "{provider:?} {good}: {}", taken.body);
        let mut both = good.clone();
        both.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        both["jti"] = json!("another-id-of-its-own");
        assert_eq!(asks(&authority, &rs256(), &both, more).status, 400, "{provider:?} {bad} {more}");
    }
}

#[test]
fn box_keeps_an_id_that_it_has_refused() {
    let authority = knows(Provider::Box);
    let claims = json!({ "jti": "one-id-for-both-times", "box_sub_type": "user", "scope": null });
    let first = asks(&authority, &rs256(), &claims, "");
    assert!(first.body.contains("'exp' claim"), "{}", first.body);
    assert!(first.header("date").is_some());
    let second = asks(&authority, &rs256(), &claims, "");
    assert!(second.body.contains("'jti' claim"), "{}", second.body);
    let ahead = signer::now() + 300;
    let times = json!({ "iat": ahead, "exp": ahead + 60, "box_sub_type": "user", "scope": null });
    assert_eq!(asks(&authority, &rs256(), &times, "").status, 200);
    let untyped = json!({ "scope": null, "iat": ahead, "exp": ahead + 60, "jti": "another-id-of-its-own" });
    assert_eq!(asks(&authority, &rs256(), &untyped, "").status, 400);
}

#[test]
fn maskinporten_wants_the_key_named_and_a_chain_as_an_array() {
    let authority = knows(Provider::Maskinporten);
    let now = signer::now();
    let claims = |id: &str| json!({ "iat": now, "exp": now + 120, "scope": "s", "jti": format!("{id}-and-sixteen-more") });
    let named = json!({ "alg": "RS256", "typ": "JWT", "kid": "k" });
    let with_text = json!({ "alg": "RS256", "typ": "JWT", "x5c": "text" });
    assert_eq!(asks(&authority, &named, &claims("a"), "").status, 200);
    assert!(asks(&authority, &named, &claims("a"), "").body.contains("MP-012"));
    assert_eq!(asks(&authority, &rs256(), &claims("b"), "").status, 400);
    assert_eq!(asks(&authority, &with_text, &claims("c"), "").status, 400);
    let old = json!({ "iat": now - 30, "exp": now + 90, "scope": "s" });
    assert!(asks(&authority, &named, &old, "").body.contains("MP-130"));
}
