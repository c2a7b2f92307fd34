//! Error for a rejected token request: what was sent, what the server answered, and what to do.

use crate::base::error::{Cause, Error, OAuthReason};
use crate::base::sanitize;
use crate::grants::error_class::{ErrorClass, classify_error};
use crate::grants::token_request::{Credential, TokenRequest};
use crate::resolve::{EndpointMethods, Grant, TokenEndpointConfig};
use crate::token_response::ErrorResponse;

/// An error response, with the request that caused it.
pub(super) struct RejectedRequest<'a> {
    pub response: ErrorResponse,
    pub request: TokenRequest<'a>,
}

/// Converts a rejected request to an error. All connections that use the same token share the error, so it
/// must not contain data of a single connection, such as a consent URL.
pub(super) fn rejection_error(rejected: RejectedRequest<'_>, endpoint_config: &TokenEndpointConfig) -> Error {
    let RejectedRequest { response, request } = rejected;
    let reason = rejection_reason(&response, &request, endpoint_config);
    let credential = request.credential.label();
    let details = match &response.description {
        Some(description) => format!("{}: {description}", response.summary),
        None => response.summary.clone(),
    };
    let host = endpoint_config.endpoint.host();
    let text = match reason {
        OAuthReason::Denied => {
            format!(
                "{host} rejected {credential} ({details}). {}{}",
                (request.describe)(),
                skew_text(&response)
            )
        }
        OAuthReason::Expired => {
            format!(
                "{host} rejected {credential} ({details}); log in again and set a new one. {}",
                (request.describe)()
            )
        }
        OAuthReason::ConsentRequired if is_session_end(&response, &request) => {
            format!(
                "{host} rejected {credential} ({details}); the session has expired, and the user must log in again"
            )
        }
        OAuthReason::ConsentRequired => format!("{host} requires consent ({details})"),
        OAuthReason::Throttled => throttled_text(host, &details, response.retry_after),
        OAuthReason::Server => format!("{host} reported a server error ({details}); try again later"),
        OAuthReason::BadResponse => not_oauth_text(endpoint_config, &details),
    };
    Error::new(response.into_oauth_error(reason), "token", text).with_cause(Cause::Server)
}

/// Interprets a response with the error patterns of the provider. A rejected refresh token ends the session: the
/// user must log in again if the method has a login; otherwise the token counts as expired, because it cannot be
/// renewed (ODBC 4.0: 08006).
fn rejection_reason(
    response: &ErrorResponse,
    request: &TokenRequest<'_>,
    endpoint_config: &TokenEndpointConfig,
) -> OAuthReason {
    match response.reason() {
        OAuthReason::Denied
            if classify_error(response, endpoint_config.profile) == Some(ErrorClass::ConsentRequired) =>
        {
            OAuthReason::ConsentRequired
        }
        OAuthReason::Denied if is_session_end(response, request) => match endpoint_config.grant {
            Grant::AuthorizationCode(_) => OAuthReason::ConsentRequired,
            _ => OAuthReason::Expired,
        },
        reason => reason,
    }
}

/// Whether the server rejected a refresh token: it has expired, was revoked or was used before.
fn is_session_end(response: &ErrorResponse, request: &TokenRequest<'_>) -> bool {
    request.credential == Credential::RefreshToken && response.error.as_deref() == Some("invalid_grant")
}

fn throttled_text(host: &str, details: &str, retry_after: u32) -> String {
    match retry_after {
        0 => format!("{host} is rate limiting requests ({details})"),
        seconds => format!("{host} is rate limiting requests ({details}, Retry-After {seconds} s)"),
    }
}

fn not_oauth_text(endpoint_config: &TokenEndpointConfig, details: &str) -> String {
    let hint = if endpoint_config.methods == EndpointMethods::Get {
        ", or use POST (TokenURI=POST https://…)"
    } else {
        ""
    };
    format!(
        "unexpected response from {}: {details}; check TokenURI{hint}",
        sanitize::excerpt(endpoint_config.endpoint.without_query())
    )
}

fn skew_text(response: &ErrorResponse) -> String {
    match response.server_skew_secs {
        Some(skew) if skew < 0 => format!("; the server's clock is {} s behind ours", skew.unsigned_abs()),
        Some(skew) => format!("; the server's clock is {skew} s ahead of ours"),
        None => String::new(),
    }
}
