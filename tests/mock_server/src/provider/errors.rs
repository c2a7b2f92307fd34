//! Provider-specific error responses. Other errors use the generic response.

use serde_json::json;

use super::Provider;
use crate::error::{ErrorReason, ErrorResponse};
use crate::response::Response;

const GOOGLE_CLOCK_ERROR: &str = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
                            Check your iat and exp values in the JWT claim.";
const GOOGLE_CONSENT_ERROR: &str = "Client is unauthorized to retrieve access tokens using this method, or client not \
                              authorized for any of the scopes requested.";
const BOX_CLOCK_ERROR: &str =
    "Current date time must be before the expiration date time listed in the 'exp' claim.";
const BOX_REPLAY_ERROR: &str = "Please check the 'jti' claim. A unique 'jti' value is required.";

/// The error response of this provider, if it differs from the generic one.
pub(crate) fn provider_error_response(
    provider: Provider,
    error_response: &ErrorResponse,
) -> Option<Response> {
    let oauth = |status, error, description| Some(Response::oauth_error(status, error, Some(description)));
    match (provider, error_response.reason) {
        (Provider::Salesforce, ErrorReason::Consent) => {
            oauth(400, "invalid_grant", "user hasn't approved this consumer")
        }
        (Provider::Salesforce, ErrorReason::Signature) => oauth(400, "invalid_grant", "invalid assertion"),
        (Provider::Salesforce, ErrorReason::Issuer) => oauth(400, "invalid_grant", "audience is invalid"),
        (Provider::Google, ErrorReason::Time) => oauth(400, "invalid_grant", GOOGLE_CLOCK_ERROR),
        (Provider::Google, ErrorReason::Consent) => oauth(401, "unauthorized_client", GOOGLE_CONSENT_ERROR),
        (Provider::Box, ErrorReason::Time) => Some(
            Response::json(
                400,
                &json!({ "type": "error", "status": 400, "code": "invalid_grant", "message": BOX_CLOCK_ERROR }),
            )
            .with_header("Retry-After", "1"),
        ),
        (Provider::Box, ErrorReason::Replay) => oauth(400, "invalid_grant", BOX_REPLAY_ERROR),
        (Provider::Maskinporten, ErrorReason::Replay) => oauth(400, "invalid_grant", "MP-012 Grant used before"),
        (Provider::Maskinporten, ErrorReason::Time) => oauth(400, "invalid_grant", "MP-130 JWT expired"),
        (Provider::Entra, reason) => Some(entra_error(reason, error_response)),
        _ => None,
    }
}

/// Entra's error body: line breaks in the description, and the error number in several members.
fn entra_error(reason: ErrorReason, error_response: &ErrorResponse) -> Response {
    let (status, error, number) = match reason {
        ErrorReason::Method => (405, "invalid_request", 900_561),
        ErrorReason::Time => (401, "invalid_client", 700_024),
        ErrorReason::Consent => (400, "invalid_grant", 65001),
        _ if error_response.error == "invalid_scope" => (400, "invalid_scope", 70011),
        _ => (401, error_response.error, 700_027),
    };
    let (trace_id, timestamp) = ("00000000-0000-4000-8000-00000000000a", "2026-11-21 10:00:00Z");
    let description = format!(
        "AADSTS{number}: {}\r\nTrace ID: {trace_id}\r\nCorrelation ID: {trace_id}\r\nTimestamp: {timestamp}",
        error_response.description
    );
    Response::json(
        status,
        &json!({
            "error": error, "error_description": description, "error_codes": [number], "timestamp": timestamp,
            "trace_id": trace_id, "correlation_id": trace_id,
            "error_uri": format!("https://login.example.com/error?code={number}"),
        }),
    )
}
