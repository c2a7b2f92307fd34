//! Error for a rejected token request: what was sent, what the server answered, and what to do.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::base::error::{Cause, Error, ErrorKind, OAuthReason};
use crate::base::sanitize;
use crate::grants::client_auth::{ClientAuthMethod, client_auth_method};
use crate::grants::error_class::{ErrorClass, classify_error, matches_pattern};
use crate::grants::token_request::{Credential, TokenRequest};
use crate::provider::{self, Profile};
use crate::resolve::{AssertionSource, EndpointMethods, Grant, TokenEndpointConfig};
use crate::token_response::{ErrorResponse, ServerText, UnsupportedFeature};

/// Clock skew from which a message mentions it: less is due to the resolution of `Date` and the network.
const MIN_SHOWN_SKEW_SECS: u64 = 5;

/// An error response, with the request that caused it.
pub(super) struct RejectedRequest<'a> {
    pub response: ErrorResponse,
    pub request: TokenRequest<'a>,
}

impl RejectedRequest<'_> {
    /// The kind of the error.
    pub(super) fn error_kind(&self, endpoint_config: &TokenEndpointConfig) -> ErrorKind {
        rejection_reason(&self.response, &self.request, endpoint_config).into()
    }
}

/// Converts a rejected request to an error. All connections that use the same token share the error, so it
/// must not contain data of a single connection, such as a consent URL.
pub(super) fn rejection_error(rejected: RejectedRequest<'_>, endpoint_config: &TokenEndpointConfig) -> Error {
    let RejectedRequest { response, request } = rejected;
    let reason = rejection_reason(&response, &request, endpoint_config);
    let details = match &response.description {
        Some(description) => format!("{}: {}", response.summary, description.shown()),
        None => response.summary.clone(),
    };
    let host = endpoint_config.endpoint.host();
    let text = match reason {
        OAuthReason::Denied => denied_text(&details, &response, &request, endpoint_config),
        OAuthReason::Expired => {
            let advice = join_advice(profile_advice(&response, endpoint_config));
            format!(
                "{host} rejected {} ({details}); log in again and set a new one. {}{advice}",
                request.credential.label(),
                (request.describe)()
            )
        }
        OAuthReason::ConsentRequired if is_session_end(&response, &request) => {
            let credential = request.credential.label();
            format!(
                "{host} rejected {credential} ({details}); the session has expired, and the user must log in again"
            )
        }
        OAuthReason::ConsentRequired => {
            let advice = join_advice(profile_advice(&response, endpoint_config));
            format!("{host} requires consent ({details}){advice}")
        }
        OAuthReason::Throttled => throttled_text(host, &details, response.retry_after),
        OAuthReason::Server => format!("{host} reported a server error ({details}); try again later"),
        OAuthReason::BadResponse => not_oauth_text(endpoint_config, &details, &response),
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
    request.credential == Credential::RefreshToken && response.error_code() == Some("invalid_grant")
}

/// What the server judges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The credential of the grant.
    Credential(Credential),
    /// The client, or how it authenticated.
    Client,
    Scope,
    GrantType,
    /// The request as a whole: the server does not say what of it.
    Request,
}

impl Subject {
    /// The subject by the error code (RFC 6749 section 5.2).
    fn from_response(response: &ErrorResponse, request: &TokenRequest<'_>) -> Self {
        match (response.error_code(), response.http_status) {
            (Some("invalid_grant"), _) => Self::Credential(request.credential),
            (Some("invalid_client"), _) if request.credential == Credential::ClientAssertion => {
                Self::Credential(Credential::ClientAssertion)
            }
            (Some("invalid_client" | "unauthorized_client"), _) => Self::Client,
            (Some("invalid_scope" | "insufficient_scope" | "invalid_target"), _) => Self::Scope,
            (Some("unsupported_grant_type"), _) => Self::GrantType,
            (Some("invalid_request" | "access_denied" | "use_dpop_nonce" | "invalid_dpop_proof"), _)
            // A gateway, or a server that does not say what it judges.
            | (_, 401 | 403) => Self::Request,
            _ => Self::Credential(request.credential),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Credential(credential) => credential.label(),
            Self::Client => "the client",
            Self::Scope => "the scope",
            Self::GrantType => "the grant type",
            Self::Request => "the request",
        }
    }
}

fn denied_text(
    details: &str,
    response: &ErrorResponse,
    request: &TokenRequest<'_>,
    endpoint_config: &TokenEndpointConfig,
) -> String {
    let subject = Subject::from_response(response, request);
    let advice = [
        subject_advice(subject, response, endpoint_config),
        likely_causes(response).map(str::to_owned),
        matches!(response.http_status, 404 | 405).then(|| "check TokenURI".to_owned()),
        response.unsupported.map(|feature| feature.description().to_owned()),
        skew_text(response),
    ];
    let advice = advice.into_iter().flatten().chain(profile_advice(response, endpoint_config));
    format!(
        "{} rejected {} ({details}). {}{}",
        endpoint_config.endpoint.host(),
        subject.label(),
        describe_request(subject, request, endpoint_config),
        join_advice(advice)
    )
}

fn join_advice(advice: impl IntoIterator<Item = String>) -> String {
    advice.into_iter().map(|advice| format!("; {advice}")).collect()
}

/// Describes what the server judged, and the token URL.
fn describe_request(
    subject: Subject,
    request: &TokenRequest<'_>,
    endpoint_config: &TokenEndpointConfig,
) -> String {
    let token_url =
        || format!("the token URL {}", sanitize::excerpt(endpoint_config.endpoint.without_query()));
    match subject {
        Subject::Scope => match requested_scope(endpoint_config) {
            Some(scope) => format!("Scope was \"{}\", {}", sanitize::value(scope), token_url()),
            None => format!("no scope was sent (Scope), {}", token_url()),
        },
        Subject::Client => match client_id(endpoint_config) {
            Some(id) => format!(
                "ClientID was \"{}\", sent {}, {}",
                sanitize::excerpt(id),
                describe_client_auth(endpoint_config),
                token_url()
            ),
            None => (request.describe)(),
        },
        Subject::Credential(_) | Subject::GrantType | Subject::Request => {
            let header = request.assertion().and_then(|assertion| describe_header(assertion.reveal()));
            format!("{}{}", (request.describe)(), header.unwrap_or_default())
        }
    }
}

/// The scope, as a parameter or as a claim.
fn requested_scope(endpoint_config: &TokenEndpointConfig) -> Option<&str> {
    let claim = match &endpoint_config.grant {
        Grant::JwtBearer { signing, .. }
        | Grant::ClientAssertion { assertion: AssertionSource::SignedHere(signing), .. } => {
            signing.scope.as_deref()
        }
        _ => None,
    };
    endpoint_config.scope.as_deref().or(claim)
}

fn client_id(endpoint_config: &TokenEndpointConfig) -> Option<&str> {
    match &endpoint_config.grant {
        Grant::ClientAssertion { client_id, .. } => client_id.as_deref(),
        _ => endpoint_config.client.as_ref().map(|client| client.id.as_str()),
    }
}

fn describe_client_auth(endpoint_config: &TokenEndpointConfig) -> &'static str {
    match client_auth_method(endpoint_config) {
        ClientAuthMethod::ClientSecretBasic => "with its secret in a Basic header",
        ClientAuthMethod::ClientSecretPost => "with its secret in the body",
        ClientAuthMethod::ClientAssertion => "with a client assertion",
        ClientAuthMethod::ClientIdOnly if endpoint_config.transport.client_key_source.is_some() => {
            "with the certificate in KeyStore"
        }
        ClientAuthMethod::ClientIdOnly | ClientAuthMethod::None => "without a secret",
    }
}

/// The key ID and the algorithm in the header of a JWT, by which the server selects the key.
fn describe_header(jwt: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(jwt.split('.').next()?).ok()?;
    let header: Map<String, Value> = serde_json::from_slice(&header).ok()?;
    let text = |name| header.get(name).and_then(Value::as_str);
    let key_id = text("kid").map_or("absent".to_owned(), |kid| format!("\"{}\"", sanitize::value(kid)));
    Some(format!(", kid {key_id}, alg {}", sanitize::excerpt(text("alg").unwrap_or("absent"))))
}

/// What to do about a refused client: the other way to send the secret, since servers support one or the other.
fn subject_advice(
    subject: Subject,
    response: &ErrorResponse,
    endpoint_config: &TokenEndpointConfig,
) -> Option<String> {
    if subject != Subject::Client || response.error_code() != Some("invalid_client") {
        return None;
    }
    let advice = match client_auth_method(endpoint_config) {
        ClientAuthMethod::ClientSecretBasic => {
            "check ClientID and ClientSecret; if the server expects them in the body, set \
             ClientCredentialsMode=Post"
        }
        ClientAuthMethod::ClientSecretPost => {
            "check ClientID and ClientSecret; if the server expects them in a Basic header, set \
             ClientCredentialsMode=Basic"
        }
        ClientAuthMethod::ClientIdOnly => {
            "if the client is confidential, set ClientSecret, or KeyStore for its certificate"
        }
        ClientAuthMethod::None => {
            "no client credentials were sent: if the server requires them, set ClientID, ClientSecret and \
             ClientCredentialsMode=Basic or Post"
        }
        ClientAuthMethod::ClientAssertion => return None,
    };
    Some(advice.to_owned())
}

/// The likely causes of a refusal without an error code, such as the page or the `Forbidden` of a gateway.
fn likely_causes(response: &ErrorResponse) -> Option<&'static str> {
    if response.error.is_some() || response.provider_code.is_some() || response.unsupported.is_some() {
        return None;
    }
    match response.http_status {
        401 => Some(
            "the server sent no error code; likely causes are missing or wrong client credentials (ClientID, \
             ClientSecret, ClientCredentialsMode), or a gateway that requires a header of its own (AuthHeader, \
             SecurityToken)",
        ),
        403 => Some(
            "the server sent no error code; likely causes are an IP allow list, a firewall or gateway in front \
             of it, a client certificate that it requires (KeyStore), or a client that is not permitted to use \
             this grant",
        ),
        _ => None,
    }
}

/// The hints of the provider, and its profile if the response shows that it is another one.
fn profile_advice(
    response: &ErrorResponse,
    endpoint_config: &TokenEndpointConfig,
) -> impl Iterator<Item = String> {
    let current = endpoint_config.profile;
    let recognized = provider::profiles().iter().find(|profile| is_marked(response, profile));
    let hints = current.or(recognized).into_iter().flat_map(|profile| &profile.error_hints);
    let hints = hints.filter(|(pattern, _)| matches_pattern(pattern, response)).map(|(_, hint)| hint.clone());
    let other = recognized.filter(|found| current.is_none_or(|current| current.name != found.name));
    let suggestion = other
        .map(|profile| format!("this is a response of {name}: set Provider={name}", name = profile.name));
    hints.chain(suggestion)
}

/// Whether the response has a mark of this provider: one of its codes, or a member that only it sends.
fn is_marked(response: &ErrorResponse, profile: &Profile) -> bool {
    let code = response.provider_code.as_ref().map_or("", ServerText::as_sent);
    let is_own_code = |prefix: &String| {
        code.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let marks = &profile.response_marks;
    marks.codes.iter().any(is_own_code) || marks.members.iter().any(|name| response.has_member(name))
}

fn throttled_text(host: &str, details: &str, retry_after: u32) -> String {
    match retry_after {
        0 => format!("{host} is rate limiting requests ({details})"),
        seconds => format!("{host} is rate limiting requests ({details}, Retry-After {seconds} s)"),
    }
}

fn not_oauth_text(endpoint_config: &TokenEndpointConfig, details: &str, response: &ErrorResponse) -> String {
    let is_get = endpoint_config.methods == EndpointMethods::Get;
    let finding = match response.http_status {
        404 | 410 => "there is no token endpoint at this URL; ",
        405 if is_get => "this URL does not accept GET; ",
        405 => "this URL does not accept POST; ",
        _ => "",
    };
    let use_post = if is_get { ", or use POST (TokenURI=POST https://…)" } else { "" };
    let advice = match response.unsupported.map(UnsupportedFeature::description) {
        Some(unsupported) => unsupported.to_owned(),
        None => format!("{finding}check TokenURI{use_post}"),
    };
    let url = sanitize::excerpt(endpoint_config.endpoint.without_query());
    format!("unexpected response from {url}: {details}; {advice}")
}

fn skew_text(response: &ErrorResponse) -> Option<String> {
    let skew = response.server_skew_secs?;
    let side = if skew < 0 { "behind" } else { "ahead of" };
    let seconds = skew.unsigned_abs();
    (seconds >= MIN_SHOWN_SKEW_SECS).then(|| format!("the server's clock is {seconds} s {side} ours"))
}
