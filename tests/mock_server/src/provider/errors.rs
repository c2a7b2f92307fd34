//! In whose words a provider refuses. A fault that has none of its own is told as everywhere.

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

/// The refusal as this provider puts it.
pub(crate) fn provider_error_response(provider: Provider, refusal: &ErrorResponse) -> Option<Response> {
    let oauth = |status, error, description| Some(Response::oauth_error(status, error, Some(description)));
    match (provider, refusal.reason) {
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
        (Provider::Entra, fault) => Some(entra_error(fault, refusal)),
        _ => None,
    }
}

/// A long body, with line breaks in the description and the number in several places.
fn entra_error(fault: ErrorReason, refusal: &ErrorResponse) -> Response {
    let (status, error, number) = match fault {
        ErrorReason::Method => (405, "invalid_request", 900_561),
        ErrorReason::Time => (401, "invalid_client", 700_024),
        ErrorReason::Consent => (400, "invalid_grant", 65001),
        _ if refusal.error == "invalid_scope" => (400, "invalid_scope", 70011),
        _ => (401, refusal.error, 700_027),
    };
    let (trace, at) = ("00000000-0000-4000-8000-00000000000a", "2026-11-21 10:00:00Z");
    let description = format!(
        "AADSTS{number}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {trace}\r\nTimestamp: {at}",
        refusal.description
    );
    Response::json(
        status,
        &json!({
            "error": error, "error_description": description, "error_codes": [number], "timestamp": at,
            "trace_id": trace, "correlation_id": trace,
            "error_uri": format!("https://login.example.com/error?code={number}"),
        }),
    )
}
