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

mod challenge;
mod charset;
mod error_body;
mod id_token;
mod json_object;
mod lifetime;
mod server_text;

use challenge::Challenge;
use error_body::ErrorFields;
use json_object::JsonObject;

pub use id_token::parse_id_token_only;
pub use server_text::ServerText;

/// Maximum number of names of members that an [`ErrorResponse`] keeps.
const MAX_MEMBER_NAMES: usize = 32;

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
    pub error: Option<ServerText>,
    /// The OAuth `error_description`, or the text of another error body.
    pub description: Option<ServerText>,
    /// The provider's own error code: at the start of the description (`AADSTS700027: …`, `MP-012 …`), or a
    /// member of its own.
    pub provider_code: Option<ServerText>,
    /// Whether the body says that there is an error, with or without words.
    pub is_error_body: bool,
    /// The names of the members of the error body, by which some providers are recognized.
    pub member_names: Vec<Secret>,
    /// What the server demands and this library does not support.
    pub unsupported: Option<UnsupportedFeature>,
    /// The HTTP status.
    pub http_status: u16,
    /// Retry-After in seconds; 0 if absent.
    pub retry_after: u32,
    /// What the response contains instead of a token, for the error message.
    pub summary: String,
    /// Clock skew: seconds by which the server's clock is ahead of ours, if it sent a `Date`.
    pub server_skew_secs: Option<i64>,
}

/// A feature that a server may demand and that is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsupportedFeature {
    /// Proof of possession (RFC 9449).
    Dpop,
    /// Pushed authorization requests (RFC 9126).
    Par,
}

impl UnsupportedFeature {
    /// The demand of an error response, by its code or description.
    fn from_words(error: Option<&str>, description: Option<&str>) -> Option<Self> {
        let description = description.unwrap_or_default();
        let lowercase = description.to_ascii_lowercase();
        if matches!(error, Some("use_dpop_nonce" | "invalid_dpop_proof")) || lowercase.contains("dpop") {
            return Some(Self::Dpop);
        }
        let demands_par = lowercase.contains("pushed authorization request")
            // In lower case it is a word of several languages.
            || description.split(|c: char| !c.is_alphanumeric()).any(|word| word == "PAR");
        demands_par.then_some(Self::Par)
    }

    /// The text for an error message.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Dpop => {
                "the server demands DPoP (RFC 9449), which is not supported yet: disable it for this client"
            }
            Self::Par => {
                "the server demands pushed authorization requests (RFC 9126), which are not supported yet: \
                 disable them for this client"
            }
        }
    }
}

impl ErrorResponse {
    /// The error of a redirect (RFC 6749 section 4.1.2.1). `to_display` redacts and sanitizes a text.
    pub fn from_redirect(
        error: Secret,
        description: Option<Secret>,
        to_display: impl Fn(&str) -> String,
    ) -> Self {
        let description = description.map(|text| ServerText::new(text, &to_display));
        let error = ServerText::from_code(error, &to_display);
        let words = description.as_ref().map(ServerText::as_sent);
        let unsupported = UnsupportedFeature::from_words(Some(error.as_sent()), words);
        Self { error: Some(error), description, unsupported, ..Self::default() }
    }

    /// The error of the response, interpreted as `reason`.
    #[must_use]
    pub fn into_oauth_error(self, reason: OAuthReason) -> OAuthError {
        OAuthError {
            reason,
            error: self.error.map(ServerText::into_shown),
            description: self.description.map(ServerText::into_shown),
            provider_code: self.provider_code.map(ServerText::into_shown),
            http_status: NonZeroU16::new(self.http_status),
            retry_after: self.retry_after,
        }
    }

    /// The OAuth `error` as sent, for decisions.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        self.error.as_ref().map(ServerText::as_sent)
    }

    /// Whether the body contains a member with this name.
    #[must_use]
    pub fn has_member(&self, name: &str) -> bool {
        self.member_names.iter().any(|member| member.reveal() == name)
    }

    /// The reason by HTTP status and OAuth error code alone.
    #[must_use]
    pub fn reason(&self) -> OAuthReason {
        let error = self.error_code();
        match (self.http_status, error) {
            (429, _) => OAuthReason::Throttled,
            (503, _) if self.retry_after > 0 => OAuthReason::Throttled,
            (_, Some("temporarily_unavailable" | "server_error")) => OAuthReason::Server,
            (500.., _) => OAuthReason::Server,
            (_, Some("consent_required")) => OAuthReason::ConsentRequired,
            (_, Some(error)) if server_text::is_registered_error(error) => OAuthReason::Denied,
            // There is nothing at this URL, or it does not accept the method: not a decision on the request.
            (404 | 405 | 410, _) => OAuthReason::BadResponse,
            // Servers and gateways refuse with an empty body or a page of their own, too.
            (401 | 403, _) => OAuthReason::Denied,
            (400..500, None) if self.description.is_some() || self.provider_code.is_some() => {
                OAuthReason::Denied
            }
            (_, None) if !self.is_error_body => OAuthReason::BadResponse,
            _ => OAuthReason::Denied,
        }
    }
}

/// Parses a response. Decisions are made on the text as sent; what is shown is redacted before it is
/// truncated. `is_bearer` recognizes the words of a provider that mean Bearer. The redactor is built only for
/// an error.
///
/// # Errors
/// An [`ErrorResponse`] for everything that is not a valid Bearer token.
pub fn parse(
    response: &Response,
    clock: &dyn Clock,
    is_bearer: &dyn Fn(&str) -> bool,
    redactor: &LazyCell<Redactor, impl FnOnce() -> Redactor>,
) -> Result<TokenResponse, Box<ErrorResponse>> {
    let server_skew_secs = response.date.as_deref().and_then(|text| skew_from_date(text, clock));
    let base_error = || ErrorResponse {
        http_status: response.status,
        retry_after: response.retry_after.as_deref().map_or(0, |text| parse_retry_after(text, clock)),
        server_skew_secs,
        ..ErrorResponse::default()
    };
    let to_display = |text: &str| sanitize_for_display(&redactor.redact(text));
    let is_success_status = (200..300).contains(&response.status);
    let body =
        if is_success_status { JsonObject::parse(response) } else { JsonObject::parse_error(response) };
    let fields = body.as_ref().and_then(|body| error_body::parse(body, response.status));
    match body {
        Some(body) if is_success_status && fields.is_none() => {
            let now = clock.unix_seconds().saturating_add(server_skew_secs.unwrap_or(0));
            let is_dpop = get_str(&body, "token_type").is_some_and(|word| is_token_type(word, "dpop"));
            let unsupported = is_dpop.then_some(UnsupportedFeature::Dpop);
            parse_success(body, now, is_bearer, to_display)
                .map_err(|summary| Box::new(ErrorResponse { summary, unsupported, ..base_error() }))
        }
        body => {
            let error = build_error(response, body.as_ref(), fields, to_display, base_error());
            Err(Box::new(error))
        }
    }
}

/// Adds the words of a response to `base`: those of its body, else of WWW-Authenticate (RFC 6750 section 3).
fn build_error(
    response: &Response,
    body: Option<&JsonObject>,
    fields: Option<ErrorFields>,
    to_display: impl Fn(&str) -> String,
    base: ErrorResponse,
) -> ErrorResponse {
    let is_error_body = fields.is_some();
    let challenge = response.www_authenticate.as_deref().filter(|_| response.status >= 400);
    let challenge = challenge.map(Challenge::parse).unwrap_or_default();
    let mut fields = fields.unwrap_or_default();
    if fields.error.is_none() && fields.description.is_none() {
        fields.error = challenge.error.map(Secret::new);
        fields.description = challenge.description.map(Secret::new);
    }
    let ErrorFields { error, description, code } = fields;
    let unsupported = UnsupportedFeature::from_words(
        error.as_ref().map(Secret::reveal),
        description.as_ref().map(Secret::reveal),
    );
    let error = error.map(|error| ServerText::from_code(error, &to_display));
    let description = description.map(|text| ServerText::new(text, &to_display));
    let provider_code = code.map(|code| ServerText::new(code, &to_display));
    let summary = match (error.as_ref().or(provider_code.as_ref()), &description) {
        (Some(code), _) => format!("HTTP {}, {}", response.status, code.shown()),
        (None, Some(_)) => format!("HTTP {}", response.status),
        (None, None) => describe_body(response, &to_display),
    };
    let names = body.iter().flat_map(|body| body.keys()).take(MAX_MEMBER_NAMES);
    ErrorResponse {
        error,
        description,
        provider_code,
        is_error_body,
        member_names: names.map(|name| Secret::from(name.as_str())).collect(),
        unsupported: unsupported.or(challenge.demands_dpop.then_some(UnsupportedFeature::Dpop)),
        summary,
        ..base
    }
}

/// Parses a token. `now` is the server's time.
fn parse_success(
    mut body: JsonObject,
    now: i64,
    is_bearer: &dyn Fn(&str) -> bool,
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
        Some(Value::String(token_type)) if token_type.trim().is_empty() => true,
        Some(Value::String(token_type))
            if is_token_type(token_type, "bearer") || is_bearer(token_type.trim()) =>
        {
            false
        }
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

/// Compares a `token_type`, without the blanks that some servers send around it, ignoring ASCII case (RFC 6749
/// section 5.1).
fn is_token_type(token_type: &str, expected: &str) -> bool {
    token_type.trim().eq_ignore_ascii_case(expected)
}

fn get_str<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
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
fn describe_body(response: &Response, to_display: &impl Fn(&str) -> String) -> String {
    let content_type = match response.content_type.as_deref() {
        Some(value) => format!("of {}", to_display(value.split(';').next().unwrap_or_default())),
        None => "without Content-Type".to_owned(),
    };
    match response.status {
        300..400 => format!("HTTP {}, a redirect, which is not followed", response.status),
        status => {
            let coding = response.content_coding.map(|coding| {
                format!(" in the Content-Encoding {coding}, which is not supported and was not requested")
            });
            let length = response.body.len();
            format!("HTTP {status} with {length} bytes {content_type}{}", coding.unwrap_or_default())
        }
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
