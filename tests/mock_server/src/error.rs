//! Why a token request is refused: the RFC 6749 error, the precise reason, and DocuSign's words for it.

use crate::config::ErrorWording;
use crate::provider::{self, Provider};
use crate::response::Response;

#[derive(Clone, Debug)]
pub(crate) struct ErrorResponse {
    status: u16,
    pub(crate) error: &'static str,
    pub(crate) description: String,
    pub(crate) reason: ErrorReason,
}

/// The faults DocuSign tells apart, and those which need more than a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorReason {
    Other,
    Issuer,
    Subject,
    Signature,
    Time,
    Replay,
    GrantType,
    Consent,
    Method,
    BasicAuth,
}

impl ErrorResponse {
    pub(crate) fn invalid_request(description: impl Into<String>) -> Self {
        ErrorResponse::new(400, "invalid_request", ErrorReason::Other, description)
    }

    /// A fault of the assertion (RFC 7523 3.1).
    pub(crate) fn invalid_grant(fault: ErrorReason, description: impl Into<String>) -> Self {
        ErrorResponse::new(400, "invalid_grant", fault, description)
    }

    /// The same fault in a client assertion (RFC 7523 3.2).
    pub(crate) fn into_client_error(self) -> Self {
        if self.error == "invalid_scope" {
            return self;
        }
        let fault = match self.reason {
            ErrorReason::Time | ErrorReason::Replay => self.reason,
            _ => ErrorReason::Other,
        };
        ErrorResponse { status: 401, error: "invalid_client", reason: fault, ..self }
    }

    pub(crate) fn unauthorized_client(description: impl Into<String>) -> Self {
        ErrorResponse::new(400, "unauthorized_client", ErrorReason::Other, description)
    }

    /// A code, refresh token, name or password that is not good.
    pub(crate) fn invalid_credential(description: impl Into<String>) -> Self {
        ErrorResponse::invalid_grant(ErrorReason::Other, description)
    }

    pub(crate) fn unsupported_grant_type(description: impl Into<String>) -> Self {
        ErrorResponse::new(400, "unsupported_grant_type", ErrorReason::GrantType, description)
    }

    pub(crate) fn invalid_scope(description: impl Into<String>) -> Self {
        ErrorResponse::new(400, "invalid_scope", ErrorReason::Other, description)
    }

    pub(crate) fn consent_required() -> Self {
        ErrorResponse::new(400, "consent_required", ErrorReason::Consent, "the subject has not consented yet")
    }

    pub(crate) fn method_not_allowed(method: &str) -> Self {
        let description = format!("the method is {method}, expected POST");
        ErrorResponse::new(405, "invalid_request", ErrorReason::Method, description)
    }

    pub(crate) fn invalid_client(by_basic: bool, description: impl Into<String>) -> Self {
        let fault = if by_basic { ErrorReason::BasicAuth } else { ErrorReason::Other };
        ErrorResponse::new(401, "invalid_client", fault, description)
    }

    fn new(status: u16, error: &'static str, fault: ErrorReason, description: impl Into<String>) -> Self {
        ErrorResponse { status, error, description: description.into(), reason: fault }
    }

    pub(crate) fn to_response(&self, wording: ErrorWording, provider: Option<Provider>) -> Response {
        if let Some(answer) = provider.and_then(|provider| provider::provider_error_response(provider, self))
        {
            return answer;
        }
        let (error, description) = match wording {
            ErrorWording::Precise => (self.error, Some(self.description.as_str())),
            ErrorWording::DocuSign => self.docusign_error(),
        };
        let answer = Response::oauth_error(self.status, error, description);
        match self.reason {
            ErrorReason::Method => answer.with_header("Allow", "POST"),
            ErrorReason::BasicAuth => answer.with_header("WWW-Authenticate", "Basic realm=\"authority\""),
            _ => answer,
        }
    }

    fn docusign_error(&self) -> (&'static str, Option<&str>) {
        match self.reason {
            ErrorReason::Issuer => ("invalid_grant", Some("issuer_not_found")),
            ErrorReason::Subject => ("invalid_grant", Some("user_not_found")),
            ErrorReason::Signature => ("invalid_grant", Some("no_valid_keys_or_signatures")),
            ErrorReason::GrantType => ("invalid_grant", Some("unsupported_grant_type")),
            ErrorReason::Consent => ("consent_required", None),
            _ => (self.error, None),
        }
    }
}
