//! Verification of assertions (RFC 7523 section 3): algorithm, key and signature first, then each claim.
//!
//! All comparisons are exact. As a grant (section 2.1) the assertion names an issuer and a subject. As client
//! authentication (section 2.2) both are the client ID, and every error is `invalid_client`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::client::Client;
use crate::config::Config;
use crate::error::{ErrorReason, ErrorResponse};
use crate::jwt::Jwt;
use crate::provider;
use crate::state::State;
use crate::token_endpoint::TokenRequest;
use crate::verification_key::VerificationKey;

/// The claims of a valid assertion that the grant needs.
pub(crate) struct VerifiedAssertion {
    pub(crate) client: usize,
    pub(crate) subject: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) jti: Option<String>,
}

type AssertionResult<T> = Result<T, ErrorResponse>;

/// Verifies the assertion of a jwt-bearer grant.
pub(crate) fn verify_grant_assertion(
    state: &State,
    assertion: &str,
    request: &TokenRequest<'_>,
) -> AssertionResult<VerifiedAssertion> {
    let jwt = Jwt::parse(assertion).map_err(assertion_error)?;
    let issuer = string_claim(&jwt, "iss")?.ok_or_else(|| missing_claim("iss"))?;
    let client = state.find_client(&issuer).ok_or_else(|| {
        ErrorResponse::invalid_grant(
            ErrorReason::Issuer,
            format!("iss is {issuer:?}, which is not registered"),
        )
    })?;
    let (config, registered) = (&state.config, &state.clients[client]);
    verify_header(config.typ.as_deref(), registered, &jwt)?;
    verify_signature(registered, &jwt)?;
    let subject = verify_subject(config, registered, &jwt)?;
    verify_audience(&jwt, &[configured_audience(config, registered).unwrap_or(&request.url)])?;
    verify_times(config, &jwt, request.now)?;
    let jti = verify_jti(config, &jwt)?;
    provider::check_requirements(config, &jwt, request)?;
    Ok(VerifiedAssertion {
        client,
        subject,
        scope: requested_scope(&jwt, request.parameters.get("scope"))?,
        jti,
    })
}

/// Finds the client that a client assertion names. The signature is not verified.
pub(crate) fn find_unverified_client(state: &State, assertion: &str) -> AssertionResult<usize> {
    let client = Jwt::parse(assertion).map_err(assertion_error).and_then(|jwt| {
        let id = string_claim(&jwt, "iss")?.ok_or_else(|| missing_claim("iss"))?;
        state
            .find_client_by_id(&id)
            .ok_or_else(|| assertion_error(format!("iss is {id:?}, which is not registered")))
    });
    client.map_err(ErrorResponse::into_client_error)
}

/// Verifies a client assertion and returns its `jti`.
pub(crate) fn verify_client_assertion(
    state: &State,
    client: usize,
    assertion: &str,
    request: &TokenRequest<'_>,
) -> AssertionResult<Option<String>> {
    verify_client_claims(state, client, assertion, request).map_err(ErrorResponse::into_client_error)
}

fn verify_client_claims(
    state: &State,
    client: usize,
    assertion: &str,
    request: &TokenRequest<'_>,
) -> AssertionResult<Option<String>> {
    let jwt = Jwt::parse(assertion).map_err(assertion_error)?;
    let (config, registered) = (&state.config, &state.clients[client]);
    verify_header(config.client_typ.as_deref(), registered, &jwt)?;
    verify_signature(registered, &jwt)?;
    for claim in provider::client_identity_claims(config).iter().copied() {
        let (found, expected) =
            (string_claim(&jwt, claim)?.ok_or_else(|| missing_claim(claim))?, registered.client_id());
        if found != expected {
            return Err(assertion_error(format!(
                "{claim} is {found:?}, expected the client id {expected:?}"
            )));
        }
    }
    match (configured_audience(config, registered), &config.issuer) {
        (Some(audience), _) => verify_audience(&jwt, &[audience])?,
        (None, Some(issuer)) => verify_audience(&jwt, &[&request.url, issuer])?,
        (None, None) => verify_audience(&jwt, &[&request.url])?,
    }
    verify_times(config, &jwt, request.now)?;
    provider::check_requirements(config, &jwt, request)?;
    verify_jti(config, &jwt)
}

/// Returns issuer and `jti` of an assertion. Nothing is verified.
pub(crate) fn parse_unverified_id(assertion: &str) -> Option<(String, String)> {
    let jwt = Jwt::parse(assertion).ok()?;
    Some((string_claim(&jwt, "iss").ok()??, string_claim(&jwt, "jti").ok()??))
}

/// Returns the scope to grant: the requested scope, or by default all scopes of the client.
pub(crate) fn select_granted_scope(
    client: &Client,
    requested: Option<String>,
) -> AssertionResult<Option<String>> {
    let allowed = &client.options.scopes;
    let Some(requested) = requested else {
        return Ok(Some(allowed.join(" ")).filter(|all| !all.is_empty()));
    };
    let denied = requested.split(' ').find(|one| !allowed.is_empty() && !allowed.iter().any(|a| a == one));
    match denied {
        Some(scope) => {
            Err(ErrorResponse::invalid_scope(format!("scope {scope:?} is not one of {allowed:?}")))
        }
        None => Ok(Some(requested)),
    }
}

fn assertion_error(description: impl Into<String>) -> ErrorResponse {
    ErrorResponse::invalid_grant(ErrorReason::Other, description)
}

fn time_error(description: String) -> ErrorResponse {
    ErrorResponse::invalid_grant(ErrorReason::Time, description)
}

fn missing_claim(claim: &str) -> ErrorResponse {
    assertion_error(format!("{claim} is missing"))
}

fn string_claim(jwt: &Jwt, claim: &str) -> AssertionResult<Option<String>> {
    match jwt.claims.get(claim) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(assertion_error(format!("{claim} is {other}, expected a string"))),
    }
}

fn verify_header(typ: Option<&str>, client: &Client, jwt: &Jwt) -> AssertionResult<()> {
    let algorithm = jwt.header_str("alg").unwrap_or("missing");
    if !client.accepts_algorithm(algorithm) {
        return Err(assertion_error(format!(
            "alg is {algorithm}, which is not registered for {}",
            client.issuer
        )));
    }
    if let Some(expected) = typ
        && jwt.header_str("typ") != Some(expected)
    {
        return Err(assertion_error(format!("typ is {:?}, expected {expected:?}", jwt.header.get("typ"))));
    }
    if jwt.header.contains_key("crit") {
        return Err(assertion_error(
            "the header contains crit, but no critical header parameter is supported",
        ));
    }
    match &client.options.kid {
        Some(expected) if jwt.header_str("kid") != Some(expected) => {
            Err(assertion_error(format!("kid is {:?}, expected {expected:?}", jwt.header.get("kid"))))
        }
        _ => Ok(()),
    }
}

fn verify_signature(client: &Client, jwt: &Jwt) -> AssertionResult<()> {
    let algorithm = jwt.header_str("alg").unwrap_or_default();
    let message = jwt.signing_input.as_bytes();
    let key = client.keys.iter().find(|key| key.is_valid_signature(algorithm, message, &jwt.signature));
    match key {
        Some(key) => verify_certificate_headers(key, jwt),
        None => Err(ErrorResponse::invalid_grant(
            ErrorReason::Signature,
            format!("no registered key of {} verifies the {algorithm} signature", client.issuer),
        )),
    }
}

// RFC 7515 sections 4.1.6 to 4.1.8. Applies only if the key was registered by its certificate.
fn verify_certificate_headers(key: &VerificationKey, jwt: &Jwt) -> AssertionResult<()> {
    let Some(der) = key.certificate() else {
        return Ok(());
    };
    let leaf = match jwt.header.get("x5c") {
        Some(Value::Array(chain)) => chain.first().cloned(),
        other => other.cloned(),
    };
    let cases = [
        ("x5t", jwt.header.get("x5t").cloned(), URL_SAFE_NO_PAD.encode(Sha1::digest(der))),
        ("x5t#S256", jwt.header.get("x5t#S256").cloned(), URL_SAFE_NO_PAD.encode(Sha256::digest(der))),
        ("the first certificate of x5c", leaf, STANDARD.encode(der)),
    ];
    if jwt.header.get("x5c").is_some_and(|chain| !chain.is_array()) {
        return Err(assertion_error("x5c is not an array"));
    }
    for (name, found, expected) in cases {
        if let Some(found) = found.filter(|found| *found != Value::String(expected.clone())) {
            return Err(assertion_error(format!("{name} is {found}, expected {expected:?}")));
        }
    }
    Ok(())
}

fn verify_subject(config: &Config, client: &Client, jwt: &Jwt) -> AssertionResult<Option<String>> {
    let subject = string_claim(jwt, "sub")?;
    let allowed = &client.options.subjects;
    match &subject {
        None if config.require_sub || !allowed.is_empty() => Err(missing_claim("sub")),
        Some(found) if found.is_empty() || !allowed.is_empty() && !allowed.contains(found) => {
            Err(ErrorResponse::invalid_grant(
                ErrorReason::Subject,
                format!("sub is {found:?}, expected one of {allowed:?}"),
            ))
        }
        _ => Ok(subject),
    }
}

fn configured_audience<'a>(config: &'a Config, client: &'a Client) -> Option<&'a str> {
    client.options.audience.as_deref().or(config.audience.as_deref())
}

// RFC 7523 section 3 item 3. Compared byte for byte (RFC 3986 section 6.2.1). An array must contain only this
// value.
fn verify_audience(jwt: &Jwt, expected: &[&str]) -> AssertionResult<()> {
    let found = jwt.claims.get("aud").ok_or_else(|| missing_claim("aud"))?;
    let value = match found {
        Value::Array(values) if values.len() == 1 => &values[0],
        other => other,
    };
    if value.as_str().is_some_and(|value| expected.contains(&value)) {
        return Ok(());
    }
    let expected: Vec<String> = expected.iter().map(|one| format!("{one:?}")).collect();
    Err(ErrorResponse::invalid_grant(
        ErrorReason::Issuer,
        format!("aud is {found}, expected {}", expected.join(" or ")),
    ))
}

fn integer_claim(jwt: &Jwt, claim: &str) -> AssertionResult<Option<i64>> {
    let Some(value) = jwt.claims.get(claim) else {
        return Ok(None);
    };
    value
        .as_i64()
        .map(Some)
        .ok_or_else(|| assertion_error(format!("{claim} is {value}, expected an integer")))
}

fn verify_times(config: &Config, jwt: &Jwt, now: i64) -> AssertionResult<()> {
    let exp = integer_claim(jwt, "exp")?.ok_or_else(|| missing_claim("exp"))?;
    let iat = integer_claim(jwt, "iat")?;
    if exp <= now {
        return Err(time_error(format!("exp is {exp}, {} s ago", now - exp)));
    }
    for (claim, value) in [("iat", iat), ("nbf", integer_claim(jwt, "nbf")?)] {
        if let Some(value) = value.filter(|value| *value > now + config.leeway) {
            return Err(time_error(format!("{claim} is {value}, {} s in the future", value - now)));
        }
    }
    match iat {
        None if config.require_iat => return Err(missing_claim("iat")),
        Some(iat) if iat < now.saturating_sub(config.max_age) => {
            return Err(time_error(format!(
                "iat is {iat}, {} s ago, the limit is {} s",
                now - iat,
                config.max_age
            )));
        }
        _ => {}
    }
    verify_lifetime(config, exp.saturating_sub(iat.unwrap_or(now)))
}

fn verify_lifetime(config: &Config, lifetime: i64) -> AssertionResult<()> {
    if lifetime > config.max_lifetime {
        return Err(assertion_error(format!(
            "exp is {lifetime} s after iat, the limit is {} s",
            config.max_lifetime
        )));
    }
    Ok(())
}

fn verify_jti(config: &Config, jwt: &Jwt) -> AssertionResult<Option<String>> {
    let jti = string_claim(jwt, "jti")?;
    match &jti {
        None if config.require_jti => Err(missing_claim("jti")),
        Some(jti) if jti.chars().count() < 16 => {
            Err(assertion_error(format!("jti is {jti:?}, expected at least 16 characters")))
        }
        _ => Ok(jti),
    }
}

fn requested_scope(jwt: &Jwt, parameter: Option<&str>) -> AssertionResult<Option<String>> {
    let claim = match jwt.claims.get("scope") {
        None => None,
        Some(Value::String(scope)) => Some(scope.clone()),
        Some(Value::Array(values)) => {
            values.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(|values| values.join(" "))
        }
        Some(other) => return Err(ErrorResponse::invalid_scope(format!("the scope claim is {other}"))),
    };
    match (claim, parameter) {
        (Some(claim), Some(parameter)) if claim != parameter => Err(ErrorResponse::invalid_scope(format!(
            "the scope claim is {claim:?}, but the scope parameter is {parameter:?}"
        ))),
        (claim, parameter) => Ok(claim.or_else(|| parameter.map(str::to_owned))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn jwt_with_claims(claims: &Value) -> Jwt {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        Jwt::parse(&format!("{}.{}.AAAA", part(&json!({})), part(claims))).unwrap()
    }

    fn strict_config() -> Config {
        Config { max_lifetime: 600, max_age: 300, leeway: 2, ..Config::http() }
    }

    /// The description of the error; "" for success.
    fn error_description<T>(result: AssertionResult<T>) -> String {
        result.err().map_or(String::new(), |error| error.description)
    }

    #[test]
    fn time_claims_are_accepted_up_to_limit() {
        for (iat, exp, nbf, expected) in [
            (NOW, NOW, NOW, "exp is 1000000, 0 s ago"),
            (NOW - 10, NOW - 3, NOW, "exp is 999997, 3 s ago"),
            (NOW, NOW + 1, NOW, ""),
            (NOW + 2, NOW + 60, NOW, ""),
            (NOW + 3, NOW + 60, NOW, "iat is 1000003, 3 s in the future"),
            (NOW, NOW + 60, NOW + 2, ""),
            (NOW, NOW + 60, NOW + 3, "nbf is 1000003, 3 s in the future"),
            (NOW - 300, NOW + 60, NOW, ""),
            (NOW - 301, NOW + 60, NOW, "iat is 999699, 301 s ago, the limit is 300 s"),
            (NOW, NOW + 600, NOW, ""),
            (NOW, NOW + 601, NOW, "exp is 601 s after iat, the limit is 600 s"),
        ] {
            let found = error_description(verify_times(
                &strict_config(),
                &jwt_with_claims(&json!({"iat": iat, "exp": exp, "nbf": nbf})),
                NOW,
            ));
            assert_eq!(found, expected, "iat {iat} exp {exp} nbf {nbf}");
        }
    }

    #[test]
    fn lifetime_without_iat_counts_from_now() {
        let config = Config { require_iat: false, ..strict_config() };
        assert_eq!(
            error_description(verify_times(&config, &jwt_with_claims(&json!({"exp": NOW + 600})), NOW)),
            ""
        );
        assert_ne!(
            error_description(verify_times(&config, &jwt_with_claims(&json!({"exp": NOW + 601})), NOW)),
            ""
        );
    }

    #[test]
    fn short_jti_is_refused() {
        let with = |jti: &str| verify_jti(&strict_config(), &jwt_with_claims(&json!({"jti": jti})));
        assert_eq!(with("0123456789abcdef").unwrap().as_deref(), Some("0123456789abcdef"));
        assert!(error_description(with("0123456789abcde")).contains("expected at least 16 characters"));
        let optional = Config { require_jti: false, ..strict_config() };
        assert_eq!(verify_jti(&optional, &jwt_with_claims(&json!({}))).unwrap(), None);
        assert_eq!(
            error_description(verify_jti(&strict_config(), &jwt_with_claims(&json!({})))),
            "jti is missing"
        );
    }

    #[test]
    fn scope_of_claim_and_parameter_must_agree() {
        for (claim, parameter, expected) in [
            (json!("a b"), None, Some("a b")),
            (json!(["a", "b"]), None, Some("a b")),
            (json!("a b"), Some("a b"), Some("a b")),
            (json!(["a", "b"]), Some("a b"), Some("a b")),
        ] {
            let found = requested_scope(&jwt_with_claims(&json!({"scope": claim})), parameter).unwrap();
            assert_eq!(found.as_deref(), expected, "{claim} {parameter:?}");
        }
        assert_eq!(requested_scope(&jwt_with_claims(&json!({})), Some("a")).unwrap().as_deref(), Some("a"));
        let description =
            error_description(requested_scope(&jwt_with_claims(&json!({"scope": "a"})), Some("b")));
        assert_eq!(description, "the scope claim is \"a\", but the scope parameter is \"b\"");
    }
}
