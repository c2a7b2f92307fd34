//! Error responses of the token endpoint: the RFC 6749 error, the precise reason, and DocuSign's wording.

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

/// Reasons that DocuSign reports differently, and reasons that need a header.
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

    /// An invalid assertion (RFC 7523 section 3.1).
    pub(crate) fn invalid_grant(reason: ErrorReason, description: impl Into<String>) -> Self {
        ErrorResponse::new(400, "invalid_grant", reason, description)
    }

    /// Converts the error of an assertion to that of a client assertion (RFC 7523 section 3.2).
    pub(crate) fn into_client_error(self) -> Self {
        if self.error == "invalid_scope" {
            return self;
        }
        let reason = match self.reason {
            ErrorReason::Time | ErrorReason::Replay => self.reason,
            _ => ErrorReason::Other,
        };
        ErrorResponse { status: 401, error: "invalid_client", reason, ..self }
    }

    pub(crate) fn unauthorized_client(description: impl Into<String>) -> Self {
        ErrorResponse::new(400, "unauthorized_client", ErrorReason::Other, description)
    }

    /// An invalid code, refresh token, user name or password.
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
        ErrorResponse::new(400, "consent_required", ErrorReason::Consent, "the subject has not consented")
    }

    pub(crate) fn method_not_allowed(method: &str) -> Self {
        let description = format!("the method is {method}, expected POST");
        ErrorResponse::new(405, "invalid_request", ErrorReason::Method, description)
    }

    pub(crate) fn invalid_client(by_basic: bool, description: impl Into<String>) -> Self {
        let reason = if by_basic { ErrorReason::BasicAuth } else { ErrorReason::Other };
        ErrorResponse::new(401, "invalid_client", reason, description)
    }

    fn new(status: u16, error: &'static str, reason: ErrorReason, description: impl Into<String>) -> Self {
        ErrorResponse { status, error, description: description.into(), reason }
    }

    pub(crate) fn to_response(&self, wording: ErrorWording, provider: Option<Provider>) -> Response {
        if let Some(response) =
            provider.and_then(|provider| provider::provider_error_response(provider, self))
        {
            return response;
        }
        let (error, description) = match wording {
            ErrorWording::Precise => (self.error, Some(self.description.as_str())),
            ErrorWording::DocuSign => self.docusign_error(),
        };
        let response = Response::oauth_error(self.status, error, description);
        match self.reason {
            ErrorReason::Method => response.with_header("Allow", "POST"),
            ErrorReason::BasicAuth => response.with_header("WWW-Authenticate", "Basic realm=\"mock_server\""),
            _ => response,
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
