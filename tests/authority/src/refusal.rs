//! Why a token request is refused: the RFC 6749 error, the precise reason, and DocuSign's words for it.

use crate::answer::Answer;
use crate::config::Wording;
use crate::provider::{self, Provider};

#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: u16,
    pub(crate) error: &'static str,
    pub(crate) description: String,
    pub(crate) fault: Fault,
}

/// The faults DocuSign tells apart, and those which need more than a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
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

impl Refusal {
    pub(crate) fn request(description: impl Into<String>) -> Self {
        Refusal::new(400, "invalid_request", Fault::Other, description)
    }

    /// A fault of the assertion (RFC 7523 3.1).
    pub(crate) fn grant(fault: Fault, description: impl Into<String>) -> Self {
        Refusal::new(400, "invalid_grant", fault, description)
    }

    /// The same fault in a client assertion (RFC 7523 3.2).
    pub(crate) fn of_client(self) -> Self {
        if self.error == "invalid_scope" {
            return self;
        }
        let fault = match self.fault {
            Fault::Time | Fault::Replay => self.fault,
            _ => Fault::Other,
        };
        Refusal { status: 401, error: "invalid_client", fault, ..self }
    }

    pub(crate) fn unauthorized(description: impl Into<String>) -> Self {
        Refusal::new(400, "unauthorized_client", Fault::Other, description)
    }

    /// A code, refresh token, name or password that is not good.
    pub(crate) fn not_good(description: impl Into<String>) -> Self {
        Refusal::grant(Fault::Other, description)
    }

    pub(crate) fn grant_type(description: impl Into<String>) -> Self {
        Refusal::new(400, "unsupported_grant_type", Fault::GrantType, description)
    }

    pub(crate) fn scope(description: impl Into<String>) -> Self {
        Refusal::new(400, "invalid_scope", Fault::Other, description)
    }

    pub(crate) fn consent() -> Self {
        Refusal::new(400, "consent_required", Fault::Consent, "the subject has not consented yet")
    }

    pub(crate) fn method(method: &str) -> Self {
        let description = format!("the method is {method}, expected POST");
        Refusal::new(405, "invalid_request", Fault::Method, description)
    }

    pub(crate) fn client(by_basic: bool, description: impl Into<String>) -> Self {
        let fault = if by_basic { Fault::BasicAuth } else { Fault::Other };
        Refusal::new(401, "invalid_client", fault, description)
    }

    fn new(status: u16, error: &'static str, fault: Fault, description: impl Into<String>) -> Self {
        Refusal { status, error, description: description.into(), fault }
    }

    pub(crate) fn answer(&self, wording: Wording, provider: Option<Provider>) -> Answer {
        if let Some(answer) = provider.and_then(|provider| provider::answer(provider, self)) {
            return answer;
        }
        let (error, description) = match wording {
            Wording::Precise => (self.error, Some(self.description.as_str())),
            Wording::DocuSign => self.docusign(),
        };
        let answer = Answer::oauth_error(self.status, error, description);
        match self.fault {
            Fault::Method => answer.with("Allow", "POST"),
            Fault::BasicAuth => answer.with("WWW-Authenticate", "Basic realm=\"authority\""),
            _ => answer,
        }
    }

    fn docusign(&self) -> (&'static str, Option<&str>) {
        match self.fault {
            Fault::Issuer => ("invalid_grant", Some("issuer_not_found")),
            Fault::Subject => ("invalid_grant", Some("user_not_found")),
            Fault::Signature => ("invalid_grant", Some("no_valid_keys_or_signatures")),
            Fault::GrantType => ("invalid_grant", Some("unsupported_grant_type")),
            Fault::Consent => ("consent_required", None),
            _ => (self.error, None),
        }
    }
}
