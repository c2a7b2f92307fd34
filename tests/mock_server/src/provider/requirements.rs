//! What a provider demands of an assertion and its request beyond the RFCs.

use serde_json::Value;

use super::Provider;
use crate::config::Config;
use crate::error::{ErrorReason, ErrorResponse};
use crate::jwt::Jwt;
use crate::token_endpoint::TokenRequest;

type RequirementResult = Result<(), ErrorResponse>;

/// Checks what is particular to the provider that is played.
pub(crate) fn check_requirements(config: &Config, jwt: &Jwt, asked: &TokenRequest<'_>) -> RequirementResult {
    match config.provider {
        Some(Provider::Docusign) => check_docusign(jwt),
        Some(Provider::Salesforce | Provider::Servicenow) => check_no_scope(jwt, asked),
        Some(Provider::Entra) => check_entra(jwt, asked),
        Some(Provider::Google) => check_google(jwt, asked),
        Some(Provider::Box) => check_no_scope(jwt, asked).and_then(|()| check_box(jwt)),
        Some(Provider::Netsuite) => check_netsuite(jwt, asked),
        Some(Provider::Maskinporten) => check_maskinporten(jwt, asked),
        Some(Provider::Okta | Provider::Keycloak) => check_scope_parameter(jwt),
        Some(Provider::Snowflake) | None => Ok(()),
    }
}

/// The claims in which a client's own assertion has to name it; NetSuite's samples have no sub.
pub(crate) fn client_identity_claims(config: &Config) -> &'static [&'static str] {
    if config.provider == Some(Provider::Netsuite) { &["iss"] } else { &["iss", "sub"] }
}

/// Whether the assertion asks for an id token in place of an access token.
pub(crate) fn requests_id_token(config: &Config, assertion: &str) -> bool {
    let jwt = Jwt::parse(assertion);
    config.provider == Some(Provider::Google)
        && jwt.is_ok_and(|jwt| jwt.claims.contains_key("target_audience"))
}

fn assertion_error(why: impl Into<String>) -> ErrorResponse {
    ErrorResponse::invalid_grant(ErrorReason::Other, why)
}

fn check_docusign(jwt: &Jwt) -> RequirementResult {
    let subject = jwt.claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let lengths: Vec<usize> = subject.split('-').map(str::len).collect();
    let hexadecimal = subject.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if lengths == [8, 4, 4, 4, 12] && hexadecimal {
        return Ok(());
    }
    Err(ErrorResponse::invalid_grant(
        ErrorReason::Subject,
        format!("sub is {subject:?}, expected a user's GUID"),
    ))
}

fn check_entra(jwt: &Jwt, asked: &TokenRequest<'_>) -> RequirementResult {
    match (jwt.header_str("alg"), jwt.header_str("x5t#S256"), jwt.header_str("x5t")) {
        (Some("PS256"), Some(_), _) | (Some("RS256"), _, Some(_)) => {}
        (algorithm, ..) => {
            return Err(assertion_error(format!(
                "{algorithm:?} without its thumbprint: PS256 and x5t#S256, or RS256 and x5t"
            )));
        }
    }
    let scope = asked.parameters.get("scope").unwrap_or_default();
    if !scope.ends_with("/.default") || scope.contains(' ') || jwt.claims.contains_key("scope") {
        return Err(ErrorResponse::invalid_scope(format!(
            "scope is {scope:?}, expected the .default of one resource"
        )));
    }
    asked.parameters.require("client_id").map(drop)
}

fn check_google(jwt: &Jwt, asked: &TokenRequest<'_>) -> RequirementResult {
    let one = jwt.claims.contains_key("scope") != jwt.claims.contains_key("target_audience");
    if !one || asked.parameters.get("scope").is_some() {
        return Err(ErrorResponse::invalid_scope(
            "expected one of the claims scope and target_audience, and no parameter",
        ));
    }
    Ok(())
}

fn check_no_scope(jwt: &Jwt, asked: &TokenRequest<'_>) -> RequirementResult {
    if jwt.claims.contains_key("scope") || asked.parameters.get("scope").is_some() {
        return Err(ErrorResponse::invalid_scope("there is no place for a scope here"));
    }
    Ok(())
}

fn check_box(jwt: &Jwt) -> RequirementResult {
    match jwt.claims.get("box_sub_type").and_then(Value::as_str) {
        Some("enterprise" | "user") => Ok(()),
        found => Err(assertion_error(format!("box_sub_type is {found:?}, expected enterprise or user"))),
    }
}

fn check_netsuite(jwt: &Jwt, asked: &TokenRequest<'_>) -> RequirementResult {
    let algorithm = jwt.header_str("alg").unwrap_or_default();
    if algorithm.starts_with("RS") {
        return Err(assertion_error(format!(
            "alg is {algorithm}, expected PS256 or stronger, or ES256 or stronger"
        )));
    }
    if !jwt.claims.get("scope").is_some_and(Value::is_array) || asked.parameters.get("scope").is_some() {
        return Err(ErrorResponse::invalid_scope("expected an array in the claim scope, and no parameter"));
    }
    Ok(())
}

fn check_maskinporten(jwt: &Jwt, asked: &TokenRequest<'_>) -> RequirementResult {
    if !(jwt.header.contains_key("kid") || jwt.header.get("x5c").is_some_and(Value::is_array)) {
        return Err(assertion_error("neither kid nor an array x5c names the key"));
    }
    if !jwt.claims.contains_key("scope") || asked.parameters.get("scope").is_some() {
        return Err(ErrorResponse::invalid_scope("expected the claim scope, and no parameter"));
    }
    Ok(())
}

fn check_scope_parameter(jwt: &Jwt) -> RequirementResult {
    if jwt.claims.contains_key("scope") {
        return Err(ErrorResponse::invalid_scope(
            "the scope is a parameter of the request here, and no claim",
        ));
    }
    Ok(())
}
