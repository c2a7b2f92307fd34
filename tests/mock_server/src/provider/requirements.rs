//! Requirements of providers for assertions and token requests beyond the RFCs.

use serde_json::Value;

use super::Provider;
use crate::config::Config;
use crate::error::{ErrorReason, ErrorResponse};
use crate::jwt::Jwt;
use crate::token_endpoint::TokenRequest;

type RequirementResult = Result<(), ErrorResponse>;

/// Checks the requirements of the emulated provider.
pub(crate) fn check_requirements(
    config: &Config,
    jwt: &Jwt,
    request: &TokenRequest<'_>,
) -> RequirementResult {
    match config.provider {
        Some(Provider::Docusign) => check_docusign(jwt),
        Some(Provider::Salesforce | Provider::Servicenow) => check_no_scope(jwt, request),
        Some(Provider::Entra) => check_entra(jwt, request),
        Some(Provider::Google) => check_google(jwt, request),
        Some(Provider::Box) => check_no_scope(jwt, request).and_then(|()| check_box(jwt)),
        Some(Provider::Netsuite) => check_netsuite(jwt, request),
        Some(Provider::Maskinporten) => check_maskinporten(jwt, request),
        Some(Provider::Okta | Provider::Keycloak) => check_scope_parameter(jwt),
        Some(Provider::Snowflake) | None => Ok(()),
    }
}

/// The claims of a client assertion that must contain the client ID. NetSuite's samples have no `sub`.
pub(crate) fn client_identity_claims(config: &Config) -> &'static [&'static str] {
    if config.provider == Some(Provider::Netsuite) { &["iss"] } else { &["iss", "sub"] }
}

/// Whether the assertion requests an ID token instead of an access token.
pub(crate) fn requests_id_token(config: &Config, assertion: &str) -> bool {
    let jwt = Jwt::parse(assertion);
    config.provider == Some(Provider::Google)
        && jwt.is_ok_and(|jwt| jwt.claims.contains_key("target_audience"))
}

fn assertion_error(reason: impl Into<String>) -> ErrorResponse {
    ErrorResponse::invalid_grant(ErrorReason::Other, reason)
}

fn check_docusign(jwt: &Jwt) -> RequirementResult {
    let subject = jwt.claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let lengths: Vec<usize> = subject.split('-').map(str::len).collect();
    let is_hexadecimal = subject.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if lengths == [8, 4, 4, 4, 12] && is_hexadecimal {
        return Ok(());
    }
    Err(ErrorResponse::invalid_grant(
        ErrorReason::Subject,
        format!("sub is {subject:?}, expected a user's GUID"),
    ))
}

fn check_entra(jwt: &Jwt, request: &TokenRequest<'_>) -> RequirementResult {
    match (jwt.header_str("alg"), jwt.header_str("x5t#S256"), jwt.header_str("x5t")) {
        (Some("PS256"), Some(_), _) | (Some("RS256"), _, Some(_)) => {}
        (algorithm, ..) => {
            return Err(assertion_error(format!(
                "alg is {algorithm:?}, expected PS256 with x5t#S256 or RS256 with x5t"
            )));
        }
    }
    let scope = request.parameters.get("scope").unwrap_or_default();
    if !scope.ends_with("/.default") || scope.contains(' ') || jwt.claims.contains_key("scope") {
        return Err(ErrorResponse::invalid_scope(format!(
            "scope is {scope:?}, expected /.default of one resource"
        )));
    }
    request.parameters.require("client_id").map(drop)
}

fn check_google(jwt: &Jwt, request: &TokenRequest<'_>) -> RequirementResult {
    let has_one = jwt.claims.contains_key("scope") != jwt.claims.contains_key("target_audience");
    if !has_one || request.parameters.get("scope").is_some() {
        return Err(ErrorResponse::invalid_scope(
            "expected either the claim scope or the claim target_audience, and no scope parameter",
        ));
    }
    Ok(())
}

fn check_no_scope(jwt: &Jwt, request: &TokenRequest<'_>) -> RequirementResult {
    if jwt.claims.contains_key("scope") || request.parameters.get("scope").is_some() {
        return Err(ErrorResponse::invalid_scope("a scope is not supported"));
    }
    Ok(())
}

fn check_box(jwt: &Jwt) -> RequirementResult {
    match jwt.claims.get("box_sub_type").and_then(Value::as_str) {
        Some("enterprise" | "user") => Ok(()),
        found => Err(assertion_error(format!("box_sub_type is {found:?}, expected enterprise or user"))),
    }
}

fn check_netsuite(jwt: &Jwt, request: &TokenRequest<'_>) -> RequirementResult {
    let algorithm = jwt.header_str("alg").unwrap_or_default();
    if algorithm.starts_with("RS") {
        return Err(assertion_error(format!("alg is {algorithm}, expected at least PS256 or ES256")));
    }
    if !jwt.claims.get("scope").is_some_and(Value::is_array) || request.parameters.get("scope").is_some() {
        return Err(ErrorResponse::invalid_scope(
            "expected an array in the claim scope, and no scope parameter",
        ));
    }
    Ok(())
}

fn check_maskinporten(jwt: &Jwt, request: &TokenRequest<'_>) -> RequirementResult {
    if !(jwt.header.contains_key("kid") || jwt.header.get("x5c").is_some_and(Value::is_array)) {
        return Err(assertion_error("expected kid or an array x5c in the header"));
    }
    if !jwt.claims.contains_key("scope") || request.parameters.get("scope").is_some() {
        return Err(ErrorResponse::invalid_scope("expected the claim scope, and no scope parameter"));
    }
    Ok(())
}

fn check_scope_parameter(jwt: &Jwt) -> RequirementResult {
    if jwt.claims.contains_key("scope") {
        return Err(ErrorResponse::invalid_scope("expected the scope parameter, and no claim scope"));
    }
    Ok(())
}
