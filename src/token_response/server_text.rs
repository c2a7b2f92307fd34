//! Text that a server sent, for decisions and for display.

use crate::base::secret::Secret;

/// Number of bytes of a text that are kept for decisions, each of which searches all of it for many patterns.
const MAX_SENT: usize = 16 << 10;

/// A text as the server sent it, and as it may be shown.
///
/// Decisions use the text that was sent: a secret that is part of a word, such as the password `grant`, would
/// turn `invalid_grant` into a code that nothing recognizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerText {
    sent: Secret,
    shown: String,
}

impl ServerText {
    /// Keeps the beginning of `sent`; `to_display` redacts and sanitizes it for messages.
    pub(super) fn new(sent: Secret, to_display: impl Fn(&str) -> String) -> Self {
        let shown = to_display(sent.reveal());
        Self { sent: truncate(sent), shown }
    }

    /// An OAuth error code. A registered code is shown as it is: it is a word of the specification and no
    /// echo, and redacting a part of it would reveal that part.
    pub fn from_code(sent: Secret, to_display: impl Fn(&str) -> String) -> Self {
        if is_registered_error(sent.reveal()) {
            let shown = sent.reveal().to_owned();
            return Self { sent, shown };
        }
        Self::new(sent, to_display)
    }

    /// The text as sent, which may contain secrets: for decisions only.
    #[must_use]
    pub fn as_sent(&self) -> &str {
        self.sent.reveal()
    }

    /// The text for messages.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Takes the text for messages.
    #[must_use]
    pub fn into_shown(self) -> String {
        self.shown
    }
}

/// A text without secrets.
impl From<&str> for ServerText {
    fn from(text: &str) -> Self {
        Self { sent: Secret::from(text), shown: text.to_owned() }
    }
}

fn truncate(text: Secret) -> Secret {
    if text.reveal().len() <= MAX_SENT {
        return text;
    }
    let start = (0..=MAX_SENT).rev().find_map(|end| text.reveal().get(..end));
    Secret::from(start.unwrap_or_default())
}

/// The registered values of `error`: RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, RFC 8628 section
/// 3.5, RFC 8707, RFC 9126, RFC 9449, OpenID Connect Core section 3.1.2.6.
const REGISTERED_ERRORS: [&str; 25] = [
    "access_denied",
    "account_selection_required",
    "authorization_pending",
    "consent_required",
    "expired_token",
    "insufficient_scope",
    "interaction_required",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "login_required",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
    "use_dpop_nonce",
];

/// Whether `text` is a registered value of `error`.
pub(super) fn is_registered_error(text: &str) -> bool {
    REGISTERED_ERRORS.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_kept_up_to_limit() {
        let new = |text: &str| ServerText::new(Secret::from(text), |text| text.len().to_string());
        let longest = "x".repeat(MAX_SENT);
        assert_eq!(new(&longest).as_sent().len(), MAX_SENT);
        let longer = new(&("x".repeat(MAX_SENT - 1) + "\u{e9}\u{e9}"));
        assert_eq!(longer.as_sent().len(), MAX_SENT - 1, "no half of a character");
        assert_eq!(longer.shown(), (MAX_SENT + 3).to_string(), "the whole text is redacted");
    }
}
