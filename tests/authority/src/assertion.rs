//! The assertion (RFC 7523 3): algorithm, key and signature first, then each claim, every comparison exact.
//!
//! As a grant (2.1) it names an issuer and a subject; as client authentication (2.2) both are the client id, and every
//! fault is `invalid_client`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::client::Client;
use crate::config::Config;
use crate::jwt::Jwt;
use crate::keys::VerificationKey;
use crate::provider;
use crate::refusal::{Fault, Refusal};
use crate::state::State;
use crate::token::Asked;

/// What a good assertion says.
pub(crate) struct Checked {
    pub(crate) client: usize,
    pub(crate) subject: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) jti: Option<String>,
}

type Outcome<T> = Result<T, Refusal>;

/// Checks the assertion of a jwt-bearer grant.
pub(crate) fn check(state: &State, assertion: &str, asked: &Asked<'_>) -> Outcome<Checked> {
    let jwt = Jwt::parse(assertion).map_err(bad)?;
    let issuer = text(&jwt, "iss")?.ok_or_else(|| missing("iss"))?;
    let client = state.client(&issuer).ok_or_else(|| {
        Refusal::grant(Fault::Issuer, format!("iss is {issuer:?}, which is not registered"))
    })?;
    let (config, known) = (&state.config, &state.clients[client]);
    header(config.typ.as_deref(), known, &jwt)?;
    signature(known, &jwt)?;
    let subject = subject(config, known, &jwt)?;
    audience(&jwt, &[only_audience(config, known).unwrap_or(&asked.url)])?;
    times(config, &jwt, asked.now)?;
    let jti = token_id(config, &jwt)?;
    provider::check(config, &jwt, asked)?;
    Ok(Checked { client, subject, scope: scope(&jwt, asked.parameters.get("scope"))?, jti })
}

/// The client that a client assertion is about, its signature not yet looked at.
pub(crate) fn client_of(state: &State, assertion: &str) -> Outcome<usize> {
    let found = Jwt::parse(assertion).map_err(bad).and_then(|jwt| {
        let id = text(&jwt, "iss")?.ok_or_else(|| missing("iss"))?;
        state.client_by_id(&id).ok_or_else(|| bad(format!("iss is {id:?}, which is not registered")))
    });
    found.map_err(Refusal::of_client)
}

/// Checks a client assertion; its `jti` is the answer.
pub(crate) fn check_client(
    state: &State,
    client: usize,
    assertion: &str,
    asked: &Asked<'_>,
) -> Outcome<Option<String>> {
    client_claims(state, client, assertion, asked).map_err(Refusal::of_client)
}

fn client_claims(
    state: &State,
    client: usize,
    assertion: &str,
    asked: &Asked<'_>,
) -> Outcome<Option<String>> {
    let jwt = Jwt::parse(assertion).map_err(bad)?;
    let (config, known) = (&state.config, &state.clients[client]);
    header(config.client_typ.as_deref(), known, &jwt)?;
    signature(known, &jwt)?;
    for claim in provider::claims_of_a_client(config).iter().copied() {
        let (found, expected) = (text(&jwt, claim)?.ok_or_else(|| missing(claim))?, known.client_id());
        if found != expected {
            return Err(bad(format!("{claim} is {found:?}, expected the client id {expected:?}")));
        }
    }
    match (only_audience(config, known), &config.issuer) {
        (Some(only), _) => audience(&jwt, &[only])?,
        (None, Some(issuer)) => audience(&jwt, &[&asked.url, issuer])?,
        (None, None) => audience(&jwt, &[&asked.url])?,
    }
    times(config, &jwt, asked.now)?;
    provider::check(config, &jwt, asked)?;
    token_id(config, &jwt)
}

/// The issuer and the id of an assertion, nothing of it looked at.
pub(crate) fn unverified_id(assertion: &str) -> Option<(String, String)> {
    let jwt = Jwt::parse(assertion).ok()?;
    Some((text(&jwt, "iss").ok()??, text(&jwt, "jti").ok()??))
}

/// The scope to grant: as asked, or all the client may have.
pub(crate) fn granted_scope(client: &Client, asked: Option<String>) -> Outcome<Option<String>> {
    let allowed = &client.options.scopes;
    let Some(asked) = asked else {
        return Ok(Some(allowed.join(" ")).filter(|all| !all.is_empty()));
    };
    let refused = asked.split(' ').find(|one| !allowed.is_empty() && !allowed.iter().any(|a| a == one));
    match refused {
        Some(one) => Err(Refusal::scope(format!("scope {one:?} is not one of {allowed:?}"))),
        None => Ok(Some(asked)),
    }
}

fn bad(description: impl Into<String>) -> Refusal {
    Refusal::grant(Fault::Other, description)
}

/// A fault of the times.
fn late(description: String) -> Refusal {
    Refusal::grant(Fault::Time, description)
}

fn missing(claim: &str) -> Refusal {
    bad(format!("{claim} is missing"))
}

fn text(jwt: &Jwt, claim: &str) -> Outcome<Option<String>> {
    match jwt.claims.get(claim) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(bad(format!("{claim} is {other}, expected a string"))),
    }
}

fn header(typ: Option<&str>, client: &Client, jwt: &Jwt) -> Outcome<()> {
    let algorithm = jwt.header_text("alg").unwrap_or("missing");
    if !client.registered(algorithm) {
        return Err(bad(format!("alg is {algorithm}, which {} did not register", client.issuer)));
    }
    if let Some(expected) = typ
        && jwt.header_text("typ") != Some(expected)
    {
        return Err(bad(format!("typ is {:?}, expected {expected:?}", jwt.header.get("typ"))));
    }
    if jwt.header.contains_key("crit") {
        return Err(bad("crit is in the header, and nothing critical is understood here"));
    }
    match &client.options.kid {
        Some(expected) if jwt.header_text("kid") != Some(expected) => {
            Err(bad(format!("kid is {:?}, expected {expected:?}", jwt.header.get("kid"))))
        }
        _ => Ok(()),
    }
}

fn signature(client: &Client, jwt: &Jwt) -> Outcome<()> {
    let algorithm = jwt.header_text("alg").unwrap_or_default();
    let message = jwt.signed.as_bytes();
    let key = client.keys.iter().find(|key| key.verifies(algorithm, message, &jwt.signature));
    match key {
        Some(key) => names_its_certificate(key, jwt),
        None => Err(Refusal::grant(
            Fault::Signature,
            format!("the {algorithm} signature is not by a key of {}", client.issuer),
        )),
    }
}

// RFC 7515 4.1.6 to 4.1.8, where the key was registered by its certificate.
fn names_its_certificate(key: &VerificationKey, jwt: &Jwt) -> Outcome<()> {
    let Some(der) = key.certificate() else {
        return Ok(());
    };
    let leaf = match jwt.header.get("x5c") {
        Some(Value::Array(chain)) => chain.first().cloned(),
        other => other.cloned(),
    };
    let named = [
        ("x5t", jwt.header.get("x5t").cloned(), URL_SAFE_NO_PAD.encode(Sha1::digest(der))),
        ("x5t#S256", jwt.header.get("x5t#S256").cloned(), URL_SAFE_NO_PAD.encode(Sha256::digest(der))),
        ("the first of x5c", leaf, STANDARD.encode(der)),
    ];
    if jwt.header.get("x5c").is_some_and(|chain| !chain.is_array()) {
        return Err(bad("x5c is not an array"));
    }
    for (name, found, expected) in named {
        if let Some(found) = found.filter(|found| *found != Value::String(expected.clone())) {
            return Err(bad(format!("{name} is {found}, expected {expected:?}")));
        }
    }
    Ok(())
}

fn subject(config: &Config, client: &Client, jwt: &Jwt) -> Outcome<Option<String>> {
    let subject = text(jwt, "sub")?;
    let allowed = &client.options.subjects;
    match &subject {
        None if config.require_sub || !allowed.is_empty() => Err(missing("sub")),
        Some(found) if found.is_empty() || !allowed.is_empty() && !allowed.contains(found) => {
            Err(Refusal::grant(Fault::Subject, format!("sub is {found:?}, expected one of {allowed:?}")))
        }
        _ => Ok(subject),
    }
}

fn only_audience<'a>(config: &'a Config, client: &'a Client) -> Option<&'a str> {
    client.options.audience.as_deref().or(config.audience.as_deref())
}

// RFC 7523 3 point 3, compared as RFC 3986 6.2.1 says: byte for byte. An array must hold this one value only.
fn audience(jwt: &Jwt, expected: &[&str]) -> Outcome<()> {
    let found = jwt.claims.get("aud").ok_or_else(|| missing("aud"))?;
    let only = match found {
        Value::Array(several) if several.len() == 1 => &several[0],
        other => other,
    };
    if only.as_str().is_some_and(|only| expected.contains(&only)) {
        return Ok(());
    }
    let expected: Vec<String> = expected.iter().map(|one| format!("{one:?}")).collect();
    Err(Refusal::grant(Fault::Issuer, format!("aud is {found}, expected {}", expected.join(" or "))))
}

fn integer(jwt: &Jwt, claim: &str) -> Outcome<Option<i64>> {
    let Some(value) = jwt.claims.get(claim) else {
        return Ok(None);
    };
    value.as_i64().map(Some).ok_or_else(|| bad(format!("{claim} is {value}, expected an integer")))
}

fn times(config: &Config, jwt: &Jwt, now: i64) -> Outcome<()> {
    let exp = integer(jwt, "exp")?.ok_or_else(|| missing("exp"))?;
    let iat = integer(jwt, "iat")?;
    if exp <= now {
        return Err(late(format!("exp is {exp}, {} s ago", now - exp)));
    }
    for (claim, at) in [("iat", iat), ("nbf", integer(jwt, "nbf")?)] {
        if let Some(at) = at.filter(|at| *at > now + config.leeway) {
            return Err(late(format!("{claim} is {at}, {} s in the future", at - now)));
        }
    }
    match iat {
        None if config.require_iat => return Err(missing("iat")),
        Some(iat) if iat < now.saturating_sub(config.max_age) => {
            return Err(late(format!(
                "iat is {iat}, {} s ago, at most {} s are taken",
                now - iat,
                config.max_age
            )));
        }
        _ => {}
    }
    lifetime(config, exp.saturating_sub(iat.unwrap_or(now)))
}

fn lifetime(config: &Config, life: i64) -> Outcome<()> {
    if life > config.max_lifetime {
        return Err(bad(format!("exp is {life} s after iat, at most {} s are taken", config.max_lifetime)));
    }
    Ok(())
}

fn token_id(config: &Config, jwt: &Jwt) -> Outcome<Option<String>> {
    let jti = text(jwt, "jti")?;
    match &jti {
        None if config.require_jti => Err(missing("jti")),
        Some(short) if short.chars().count() < 16 => {
            Err(bad(format!("jti is {short:?}, expected 16 characters or more")))
        }
        _ => Ok(jti),
    }
}

fn scope(jwt: &Jwt, parameter: Option<&str>) -> Outcome<Option<String>> {
    let claim = match jwt.claims.get("scope") {
        None => None,
        Some(Value::String(scope)) => Some(scope.clone()),
        Some(Value::Array(several)) => {
            several.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(|several| several.join(" "))
        }
        Some(other) => return Err(Refusal::scope(format!("the scope claim is {other}"))),
    };
    match (claim, parameter) {
        (Some(claim), Some(parameter)) if claim != parameter => {
            Err(Refusal::scope(format!("the scope claim is {claim:?}, the scope parameter {parameter:?}")))
        }
        (claim, parameter) => Ok(claim.or_else(|| parameter.map(str::to_owned))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn jwt(claims: &Value) -> Jwt {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        Jwt::parse(&format!("{}.{}.AAAA", part(&json!({})), part(claims))).unwrap()
    }

    fn config() -> Config {
        Config { max_lifetime: 600, max_age: 300, leeway: 2, ..Config::http() }
    }

    /// What `outcome` is refused with; "" if it is not.
    fn reason<T>(outcome: Outcome<T>) -> String {
        outcome.err().map_or(String::new(), |refusal| refusal.description)
    }

    #[test]
    fn each_time_is_good_up_to_its_limit() {
        for (iat, exp, nbf, expected) in [
            (NOW, NOW, NOW, "exp is 1000000, 0 s ago"),
            (NOW - 10, NOW - 3, NOW, "exp is 999997, 3 s ago"),
            (NOW, NOW + 1, NOW, ""),
            (NOW + 2, NOW + 60, NOW, ""),
            (NOW + 3, NOW + 60, NOW, "iat is 1000003, 3 s in the future"),
            (NOW, NOW + 60, NOW + 2, ""),
            (NOW, NOW + 60, NOW + 3, "nbf is 1000003, 3 s in the future"),
            (NOW - 300, NOW + 60, NOW, ""),
            (NOW - 301, NOW + 60, NOW, "iat is 999699, 301 s ago, at most 300 s are taken"),
            (NOW, NOW + 600, NOW, ""),
            (NOW, NOW + 601, NOW, "exp is 601 s after iat, at most 600 s are taken"),
        ] {
            let found = reason(times(&config(), &jwt(&json!({"iat": iat, "exp": exp, "nbf": nbf})), NOW));
            assert_eq!(found, expected, "iat {iat} exp {exp} nbf {nbf}");
        }
    }

    #[test]
    fn lifetime_without_iat_counts_from_now() {
        let config = Config { require_iat: false, ..config() };
        assert_eq!(reason(times(&config, &jwt(&json!({"exp": NOW + 600})), NOW)), "");
        assert_ne!(reason(times(&config, &jwt(&json!({"exp": NOW + 601})), NOW)), "");
    }

    #[test]
    fn jti_has_16_characters_or_more() {
        let with = |jti: &str| token_id(&config(), &jwt(&json!({"jti": jti})));
        assert_eq!(with("0123456789abcdef").unwrap().as_deref(), Some("0123456789abcdef"));
        assert!(reason(with("0123456789abcde")).contains("expected 16 characters or more"));
        let optional = Config { require_jti: false, ..config() };
        assert_eq!(token_id(&optional, &jwt(&json!({}))).unwrap(), None);
        assert_eq!(reason(token_id(&config(), &jwt(&json!({})))), "jti is missing");
    }

    #[test]
    fn scope_of_claim_and_parameter_must_agree() {
        for (claim, parameter, expected) in [
            (json!("a b"), None, Some("a b")),
            (json!(["a", "b"]), None, Some("a b")),
            (json!("a b"), Some("a b"), Some("a b")),
            (json!(["a", "b"]), Some("a b"), Some("a b")),
        ] {
            let found = scope(&jwt(&json!({"scope": claim})), parameter).unwrap();
            assert_eq!(found.as_deref(), expected, "{claim} {parameter:?}");
        }
        assert_eq!(scope(&jwt(&json!({})), Some("a")).unwrap().as_deref(), Some("a"));
        let refused = reason(scope(&jwt(&json!({"scope": "a"})), Some("b")));
        assert_eq!(refused, "the scope claim is \"a\", the scope parameter \"b\"");
    }
}
