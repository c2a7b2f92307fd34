//! A server's refusal, told to whoever has to mend it: what was sent, what came back, what to do.

use super::{RejectedRequest, TokenRequest};
use crate::base::error::{Error, Status};
use crate::grants::error_class::{ErrorClass, classify_error};
use crate::resolve::{EndpointMethods, TokenEndpointConfig};
use crate::token_response::ErrorResponse;

/// The error is shared by all connections that want the same token, so nothing that is one connection's own is in it: not
/// its consent URL.
pub(super) fn rejection_error(refused: RejectedRequest<'_>, exchange: &TokenEndpointConfig) -> Error {
    let RejectedRequest { response: refusal, request: attempt } = refused;
    let status = rejection_status(&refusal, &attempt, exchange);
    let what = attempt.credential_label;
    let said = match &refusal.description {
        Some(description) => format!("{}: {description}", refusal.summary),
        None => refusal.summary.clone(),
    };
    let host = exchange.endpoint.host();
    let text = match status {
        Status::Denied => {
            format!("{host} refused {what} ({said}). {}{}", (attempt.describe)(), skew_text(&refusal))
        }
        Status::Expired => {
            format!(
                "{host} takes {what} no longer ({said}); log in again and set another. {}",
                (attempt.describe)()
            )
        }
        Status::ConsentRequired => format!("{host} wants consent first ({said})"),
        Status::Throttled => throttled_text(host, &said, refusal.retry_after),
        Status::Server => format!("{host} has a problem of its own ({said}); try again later"),
        _ => not_oauth_text(exchange, &said),
    };
    Error::new(status, "token", text)
        .with_oauth(refusal.error, refusal.description)
        .with_provider_code(refusal.provider_code)
        .with_http(refusal.http_status, refusal.retry_after)
        .caused_by_server()
}

/// A refresh token that is refused is at its end: nobody else can renew it (ODBC 4.0: 08006).
fn rejection_status(
    refusal: &ErrorResponse,
    attempt: &TokenRequest<'_>,
    exchange: &TokenEndpointConfig,
) -> Status {
    let ended = refusal.error.as_deref() == Some("invalid_grant");
    match refusal.status() {
        Status::Denied if classify_error(refusal, exchange.profile) == Some(ErrorClass::ConsentRequired) => {
            Status::ConsentRequired
        }
        Status::Denied if ended && attempt.is_refresh() => Status::Expired,
        status => status,
    }
}

fn throttled_text(host: &str, said: &str, retry_after: u32) -> String {
    match retry_after {
        0 => format!("{host} asks to send fewer requests ({said})"),
        seconds => format!("{host} asks to wait {seconds} s before the next request ({said})"),
    }
}

fn not_oauth_text(exchange: &TokenEndpointConfig, said: &str) -> String {
    let hint = if exchange.methods == EndpointMethods::Get {
        ", or ask by POST: TokenURI=POST https://…"
    } else {
        ""
    };
    format!(
        "{} did not answer as a token endpoint would: {said}; check TokenURI{hint}",
        exchange.endpoint.without_query()
    )
}

fn skew_text(refusal: &ErrorResponse) -> String {
    match refusal.server_skew_secs {
        Some(ahead) if ahead < 0 => format!("; the server's clock is {} s behind ours", ahead.unsigned_abs()),
        Some(ahead) => format!("; the server's clock is {ahead} s ahead of ours"),
        None => String::new(),
    }
}
