//! One answer of a token endpoint: a token, or what the server said instead (RFC 6749 sections 5.1 and 5.2).
//!
//! Knows the shapes, not what a provider's words mean; the flow does.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::ffi::CString;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::base::clock::Clock;
use crate::base::error::Status;
use crate::base::redact::Redactor;
use crate::base::sanitize::is_unsafe;
use crate::base::secret::Secret;
use crate::net::http::Response;

mod error_body;
mod id_token;
mod json_object;

use error_body::ErrorFields;
use json_object::JsonObject;

pub use id_token::parse_id_token_only;

/// A token as the server sent it.
pub struct TokenResponse {
    /// The access token.
    pub access_token: Zeroizing<CString>,
    /// The refresh token that came with it.
    pub refresh_token: Option<Secret>,
    /// Seconds that it lives, where the server said so.
    pub expires_in: Option<i64>,
    /// The scope, where the server said it.
    pub scope: Option<CString>,
    /// All other members that may be shown.
    pub fields: BTreeMap<String, Zeroizing<CString>>,
    /// Whether `token_type` was missing (RFC 6749 demands it).
    pub token_type_missing: bool,
}

/// An answer that is no token.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The OAuth `error`.
    pub error: Option<String>,
    /// The OAuth `error_description`.
    pub description: Option<String>,
    /// The provider's own code at the head of the description (`AADSTS700027: …`, `MP-012 …`).
    pub provider_code: Option<String>,
    /// The HTTP status.
    pub http_status: u16,
    /// Seconds of Retry-After.
    pub retry_after: u32,
    /// What was found instead of a token, for the message.
    pub summary: String,
    /// By how many seconds the server's clock is ahead of ours, where it sent a date.
    pub server_skew_secs: Option<i64>,
}

impl ErrorResponse {
    /// The status that the shape of the answer alone gives.
    #[must_use]
    pub fn status(&self) -> Status {
        match (self.http_status, self.error.as_deref()) {
            (429, _) => Status::Throttled,
            (503, _) if self.retry_after > 0 => Status::Throttled,
            (_, Some("temporarily_unavailable" | "server_error")) => Status::Server,
            (500.., _) => Status::Server,
            (_, Some("consent_required")) => Status::ConsentRequired,
            (_, Some(_)) => Status::Denied,
            // An API that takes the JWT itself has words of its own for no.
            (400 | 401 | 403, None) if self.provider_code.is_some() || self.description.is_some() => {
                Status::Denied
            }
            (_, None) => Status::BadResponse,
        }
    }
}

/// Reads an answer; what the server says is redacted before it is cut or looked at. A token is not, and needs no redactor
/// to be made.
///
/// # Errors
/// A [`Refusal`] for everything that is not a token that can be sent on.
pub fn parse(
    answer: &Response,
    clock: &dyn Clock,
    redactor: &LazyCell<Redactor, impl FnOnce() -> Redactor>,
) -> Result<TokenResponse, ErrorResponse> {
    let refusal = || ErrorResponse {
        http_status: answer.status,
        retry_after: answer.retry_after.as_deref().map_or(0, |text| parse_retry_after(text, clock)),
        server_skew_secs: answer.date.as_deref().and_then(|text| skew_from_date(text, clock)),
        ..ErrorResponse::default()
    };
    let show = |text: &str| sanitize_for_display(&redactor.redact(text));
    let Some(body) = JsonObject::parse(&answer.body) else {
        return Err(ErrorResponse { summary: describe_body(answer, show), ..refusal() });
    };
    let status_says_no = !(200..300).contains(&answer.status);
    if let Some(words) = error_body::parse(&body, status_says_no, show) {
        let found = match words.error.as_ref().or(words.code.as_ref()) {
            Some(word) => format!("HTTP {}, {word}", answer.status),
            None => describe_body(answer, show),
        };
        let ErrorFields { error, description, code: provider_code } = words;
        return Err(ErrorResponse { error, description, provider_code, summary: found, ..refusal() });
    }
    if status_says_no {
        return Err(ErrorResponse { summary: describe_body(answer, show), ..refusal() });
    }
    parse_success(body, show).map_err(|found| ErrorResponse { summary: found, ..refusal() })
}

fn parse_success(mut body: JsonObject, show: impl Fn(&str) -> String) -> Result<TokenResponse, String> {
    let access_token = match body.remove("access_token") {
        Some(Value::String(token)) => validate_access_token(&Secret::new(token))?,
        Some(mut other) => {
            json_object::zeroize_value(&mut other);
            return Err("an access_token that is not text".to_owned());
        }
        None => return Err("JSON without an access_token".to_owned()),
    };
    let type_missing = match body.get("token_type") {
        None | Some(Value::Null) => true,
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => false,
        Some(Value::String(kind)) => {
            return Err(format!("the token type \"{}\"; expected Bearer", show(kind)));
        }
        Some(_) => return Err("a token_type that is not text".to_owned()),
    };
    Ok(TokenResponse {
        refresh_token: take_refresh_token(&mut body),
        access_token,
        expires_in: body.get("expires_in").and_then(parse_expires_in),
        scope: get_str(&body, "scope").and_then(|scope| CString::new(scope).ok()),
        fields: into_extra_fields(body),
        token_type_missing: type_missing,
    })
}

/// A token that can stand in a header: printable ASCII (RFC 6749 appendix A.12), and not empty.
fn validate_access_token(token: &Secret) -> Result<Zeroizing<CString>, String> {
    let token = token.reveal();
    if token.is_empty() {
        return Err("an empty access_token".to_owned());
    }
    // Not until the first byte that does not fit: so the processor looks at many at once.
    if !token.bytes().fold(true, |fits, byte| fits & (b' '..=b'~').contains(&byte)) {
        return Err("an access_token with characters that no header may carry".to_owned());
    }
    CString::new(token).map(Zeroizing::new).map_err(|_| "an access_token with a NUL in it".to_owned())
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

/// The other members; the tokens that must not be handed out by name have been taken out.
fn into_extra_fields(body: JsonObject) -> BTreeMap<String, Zeroizing<CString>> {
    body.into_strings().filter_map(|(name, text)| Some((name, to_c_string(&text)?))).collect()
}

/// Made of a slice, so that there is room for the NUL from the start: growing would leave a copy behind.
fn to_c_string(text: &Secret) -> Option<Zeroizing<CString>> {
    CString::new(text.reveal()).ok().map(Zeroizing::new)
}

/// `3600`, `"3600"`, `3600.0`: real servers send them all.
fn parse_expires_in(value: &Value) -> Option<i64> {
    const MAX_LIFETIME_SECS: f64 = 315_360_000.0; // ten years, so that sums cannot overflow
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    #[allow(clippy::cast_possible_truncation, reason = "clamped to what fits")]
    number.is_finite().then(|| number.clamp(0.0, MAX_LIFETIME_SECS) as i64)
}

fn get_str<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
}

/// `null` and an empty text stand beside a token in some answers.
fn is_blank(error: &Value) -> bool {
    error.is_null() || error.as_str() == Some("")
}

/// A first word of capital letters and then digits, as providers number their errors.
fn parse_provider_code(description: &str) -> Option<String> {
    let word = description.split([' ', ':']).next()?;
    let digits = word.trim_start_matches(|c: char| c.is_ascii_uppercase()).trim_start_matches('-');
    let is_code = word.starts_with(|c: char| c.is_ascii_uppercase())
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then(|| word.to_owned())
}

/// What an answer that cannot be read is, without repeating any of its body.
fn describe_body(answer: &Response, show: impl Fn(&str) -> String) -> String {
    let kind = match answer.content_type.as_deref() {
        Some(kind) => show(kind.split(';').next().unwrap_or_default()),
        None => "no content type".to_owned(),
    };
    match answer.status {
        300..400 => format!("HTTP {}, a redirect, which is not followed", answer.status),
        status => format!("HTTP {status} with {} bytes of {kind}", answer.body.len()),
    }
}

fn parse_retry_after(retry_after: &str, clock: &dyn Clock) -> u32 {
    match retry_after.trim().parse::<u32>() {
        Ok(seconds) => seconds,
        Err(_) => skew_from_date(retry_after, clock).map_or(0, |seconds| u32::try_from(seconds).unwrap_or(0)),
    }
}

/// How far an HTTP date lies ahead of our clock.
fn skew_from_date(date: &str, clock: &dyn Clock) -> Option<i64> {
    let time = httpdate::parse_http_date(date.trim()).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()?.checked_sub(clock.unix_seconds())
}

/// A server's own words, fit for a message or a terminal: no control characters (Entra sends line breaks), none that
/// cannot be seen or turn the direction of writing, and an end.
#[must_use]
pub fn sanitize_for_display(text: &str) -> String {
    const MAX_DISPLAY_CHARS: usize = 1000;
    let spaced: String =
        text.chars().take(MAX_DISPLAY_CHARS).map(|c| if is_unsafe(c) { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
