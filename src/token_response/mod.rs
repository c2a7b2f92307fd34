//! Token endpoint responses: a token or an error (RFC 6749 sections 5.1 and 5.2).
//!
//! Handles only the format. Provider-specific error codes are interpreted in `grants`.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::num::NonZeroU16;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::base::clock::Clock;
use crate::base::error::{OAuthError, OAuthReason};
use crate::base::redact::Redactor;
use crate::base::sanitize::is_unsafe;
use crate::base::secret::Secret;
use crate::net::http::Response;

mod charset;
mod error_body;
mod id_token;
mod json_object;
mod lifetime;

use error_body::ErrorFields;
use json_object::JsonObject;

pub use id_token::parse_id_token_only;

/// A successful token response.
pub struct TokenResponse {
    /// The access token.
    pub access_token: Zeroizing<CString>,
    /// The `refresh_token`, if present and not empty.
    pub refresh_token: Option<Secret>,
    /// The lifetime in seconds, if the server sent one or the time of expiry.
    pub expires_in: Option<i64>,
    /// The `scope`, if the server sent one.
    pub scope: Option<CString>,
    /// All other members, without the access token and the refresh token.
    pub fields: BTreeMap<String, Zeroizing<CString>>,
    /// Whether `token_type` is missing, although RFC 6749 section 5.1 requires it.
    pub token_type_missing: bool,
}

/// A response without a valid token.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The OAuth `error`.
    pub error: Option<String>,
    /// The OAuth `error_description`.
    pub description: Option<String>,
    /// The provider's own error code at the start of the description (`AADSTS700027: …`, `MP-012 …`).
    pub provider_code: Option<String>,
    /// The HTTP status.
    pub http_status: u16,
    /// Retry-After in seconds; 0 if absent.
    pub retry_after: u32,
    /// What the response contains instead of a token, for the error message.
    pub summary: String,
    /// Clock skew: seconds by which the server's clock is ahead of ours, if it sent a `Date`.
    pub server_skew_secs: Option<i64>,
}

impl ErrorResponse {
    /// The error of the response, interpreted as `reason`.
    #[must_use]
    pub fn into_oauth_error(self, reason: OAuthReason) -> OAuthError {
        OAuthError {
            reason,
            error: self.error,
            description: self.description,
            provider_code: self.provider_code,
            http_status: NonZeroU16::new(self.http_status),
            retry_after: self.retry_after,
        }
    }

    /// The reason by HTTP status and OAuth error code alone.
    #[must_use]
    pub fn reason(&self) -> OAuthReason {
        match (self.http_status, self.error.as_deref()) {
            (429, _) => OAuthReason::Throttled,
            (503, _) if self.retry_after > 0 => OAuthReason::Throttled,
            (_, Some("temporarily_unavailable" | "server_error")) => OAuthReason::Server,
            (500.., _) => OAuthReason::Server,
            (_, Some("consent_required")) => OAuthReason::ConsentRequired,
            (_, Some(_)) => OAuthReason::Denied,
            // APIs that accept the JWT directly have their own error formats.
            (400 | 401 | 403, None) if self.provider_code.is_some() || self.description.is_some() => {
                OAuthReason::Denied
            }
            (_, None) => OAuthReason::BadResponse,
        }
    }
}

/// Parses a response. Error text is redacted before it is truncated or interpreted. The redactor is built
/// only for an error.
///
/// # Errors
/// An [`ErrorResponse`] for everything that is not a valid Bearer token.
pub fn parse(
    response: &Response,
    clock: &dyn Clock,
    redactor: &LazyCell<Redactor, impl FnOnce() -> Redactor>,
) -> Result<TokenResponse, ErrorResponse> {
    let base_error = || ErrorResponse {
        http_status: response.status,
        retry_after: response.retry_after.as_deref().map_or(0, |text| parse_retry_after(text, clock)),
        server_skew_secs: response.date.as_deref().and_then(|text| skew_from_date(text, clock)),
        ..ErrorResponse::default()
    };
    let to_display = |text: &str| sanitize_for_display(&redactor.redact(text));
    let Some(body) = JsonObject::parse(response) else {
        return Err(ErrorResponse { summary: describe_body(response, to_display), ..base_error() });
    };
    let is_error_status = !(200..300).contains(&response.status);
    if let Some(fields) = error_body::parse(&body, is_error_status, to_display) {
        let summary = match fields.error.as_ref().or(fields.code.as_ref()) {
            Some(code) => format!("HTTP {}, {code}", response.status),
            None => describe_body(response, to_display),
        };
        let ErrorFields { error, description, code: provider_code } = fields;
        return Err(ErrorResponse { error, description, provider_code, summary, ..base_error() });
    }
    if is_error_status {
        return Err(ErrorResponse { summary: describe_body(response, to_display), ..base_error() });
    }
    let now = clock.unix_seconds().saturating_add(base_error().server_skew_secs.unwrap_or(0));
    parse_success(body, now, to_display).map_err(|summary| ErrorResponse { summary, ..base_error() })
}

/// Parses a token. `now` is the server's time.
fn parse_success(
    mut body: JsonObject,
    now: i64,
    to_display: impl Fn(&str) -> String,
) -> Result<TokenResponse, String> {
    let access_token = match body.remove("access_token") {
        Some(Value::String(token)) => validate_access_token(&Secret::new(token))?,
        Some(mut other) => {
            json_object::zeroize_value(&mut other);
            return Err("an access_token that is not a string".to_owned());
        }
        None => return Err("a JSON object without access_token".to_owned()),
    };
    let token_type_missing = match body.get("token_type") {
        None | Some(Value::Null) => true,
        Some(Value::String(token_type)) if token_type.eq_ignore_ascii_case("bearer") => false,
        Some(Value::String(token_type)) => {
            return Err(format!("the token_type \"{}\" (expected Bearer)", to_display(token_type)));
        }
        Some(_) => return Err("a token_type that is not a string".to_owned()),
    };
    Ok(TokenResponse {
        refresh_token: take_refresh_token(&mut body),
        access_token,
        expires_in: lifetime::parse(&body, now),
        scope: get_str(&body, "scope").and_then(|scope| CString::new(scope).ok()),
        fields: into_extra_fields(body),
        token_type_missing,
    })
}

/// Checks that an access token is not empty and valid in a header: printable ASCII (RFC 6749 appendix A.12).
fn validate_access_token(token: &Secret) -> Result<Zeroizing<CString>, String> {
    let token = token.reveal();
    if token.is_empty() {
        return Err("an empty access_token".to_owned());
    }
    // The loop does not stop early, so that the compiler can vectorize it.
    if !token.bytes().fold(true, |valid, byte| valid & (b' '..=b'~').contains(&byte)) {
        return Err("an access_token with characters that are invalid in a header".to_owned());
    }
    CString::new(token).map(Zeroizing::new).map_err(|_| "an access_token with an embedded NUL".to_owned())
}

fn take_refresh_token(body: &mut JsonObject) -> Option<Secret> {
    match body.remove("refresh_token")? {
        Value::String(token) => Some(Secret::new(token)).filter(|token| !token.reveal().is_empty()),
        mut other => {
            json_object::zeroize_value(&mut other);
            None
        }
    }
}

/// The remaining members. The access token and the refresh token have already been removed, so that they
/// cannot be read by name.
fn into_extra_fields(body: JsonObject) -> BTreeMap<String, Zeroizing<CString>> {
    body.into_strings().filter_map(|(name, text)| Some((name, to_c_string(&text)?))).collect()
}

/// Converts from a slice, because `CString::new` then allocates space for the NUL at once. Reallocating a
/// `String` would leave a copy in freed memory.
fn to_c_string(text: &Secret) -> Option<Zeroizing<CString>> {
    CString::new(text.reveal()).ok().map(Zeroizing::new)
}

fn get_str<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
}

/// Whether an `error` is `null` or empty. Some successful responses contain such a member in addition to the
/// token.
fn is_blank(error: &Value) -> bool {
    error.is_null() || error.as_str() == Some("")
}

/// Parses a provider's error code: a first word of capital letters, an optional `-`, and digits.
fn parse_provider_code(description: &str) -> Option<String> {
    let word = description.split([' ', ':']).next()?;
    let digits = word.trim_start_matches(|c: char| c.is_ascii_uppercase()).trim_start_matches('-');
    let is_code = word.starts_with(|c: char| c.is_ascii_uppercase())
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then(|| word.to_owned())
}

/// Describes a response that cannot be parsed, without repeating any of its body.
fn describe_body(response: &Response, to_display: impl Fn(&str) -> String) -> String {
    let content_type = match response.content_type.as_deref() {
        Some(value) => format!("of {}", to_display(value.split(';').next().unwrap_or_default())),
        None => "without Content-Type".to_owned(),
    };
    match response.status {
        300..400 => format!("HTTP {}, a redirect, which is not followed", response.status),
        status => format!("HTTP {status} with {} bytes {content_type}", response.body.len()),
    }
}

fn parse_retry_after(retry_after: &str, clock: &dyn Clock) -> u32 {
    match retry_after.trim().parse::<u32>() {
        Ok(seconds) => seconds,
        Err(_) => skew_from_date(retry_after, clock).map_or(0, |seconds| u32::try_from(seconds).unwrap_or(0)),
    }
}

/// Seconds by which an HTTP date is ahead of our clock.
fn skew_from_date(date: &str, clock: &dyn Clock) -> Option<i64> {
    let time = httpdate::parse_http_date(date.trim()).ok()?;
    let since_epoch = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()?.checked_sub(clock.unix_seconds())
}

/// Sanitizes text that a server sent for messages and terminals: removes control characters (Entra sends line
/// breaks), invisible characters and characters that change the text direction, and truncates it.
#[must_use]
pub fn sanitize_for_display(text: &str) -> String {
    const MAX_DISPLAY_CHARS: usize = 1000;
    let replaced: String =
        text.chars().take(MAX_DISPLAY_CHARS).map(|c| if is_unsafe(c) { ' ' } else { c }).collect();
    replaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
