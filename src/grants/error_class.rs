//! Classification of error responses by the error patterns of the provider.

use crate::base::error::OAuthReason;
use crate::provider::{self, ErrorPatterns, Profile};
use crate::token_response::{ErrorResponse, ServerText};

/// Cause of an error response that its `error` code alone does not identify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    /// A user or administrator must consent first.
    ConsentRequired,
    /// The server rejects the times of the assertion.
    ClockSkew,
    /// The assertion was used before.
    Replay,
}

/// Classifies `response` with the common patterns and those of `profile`. `None` if no pattern matches, or if
/// the server is busy.
pub(super) fn classify_error(response: &ErrorResponse, profile: Option<&Profile>) -> Option<ErrorClass> {
    if !matches!(response.reason(), OAuthReason::Denied | OAuthReason::ConsentRequired) {
        return None;
    }
    let pattern_sets =
        [Some(provider::common_error_patterns()), profile.map(|profile| &profile.error_patterns)];
    let matches_any = |patterns_of: fn(&ErrorPatterns) -> &[String]| {
        let mut patterns = pattern_sets.iter().flatten().flat_map(|set| patterns_of(set));
        patterns.any(|pattern| matches_pattern(pattern, response))
    };
    if matches_any(|set| &set.consent_required) {
        Some(ErrorClass::ConsentRequired)
    } else if matches_any(|set| &set.clock_skew) {
        Some(ErrorClass::ClockSkew)
    } else if matches_any(|set| &set.replay) {
        Some(ErrorClass::Replay)
    } else {
        None
    }
}

/// Whether `pattern` is the error code or provider code of the response, or occurs in its description. The
/// texts are compared as sent: a secret that is part of a word must not change the decision.
pub(super) fn matches_pattern(pattern: &str, response: &ErrorResponse) -> bool {
    let equals = |text: &Option<ServerText>| {
        text.as_ref().is_some_and(|text| text.as_sent().eq_ignore_ascii_case(pattern))
    };
    equals(&response.error)
        || equals(&response.provider_code)
        || response.description.as_ref().is_some_and(|text| contains_pattern(text.as_sent(), pattern))
}

/// Whether `pattern` occurs in `description` and ends with a word there: AADSTS65001 is not AADSTS650010.
fn contains_pattern(description: &str, pattern: &str) -> bool {
    let is_word_end = |end: usize| {
        let next = description.as_bytes().get(end);
        !next.is_some_and(u8::is_ascii_alphanumeric)
    };
    description.as_bytes().windows(pattern.len()).enumerate().any(|(start, found)| {
        found.eq_ignore_ascii_case(pattern.as_bytes()) && is_word_end(start.saturating_add(pattern.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_response(error: &str, description: &str) -> ErrorResponse {
        ErrorResponse {
            error: Some(error.into()),
            description: Some(description.into()),
            http_status: 400,
            ..ErrorResponse::default()
        }
    }

    fn classify_for(name: &str, error: &str, description: &str) -> Option<ErrorClass> {
        let profile = provider::find_by_name(name);
        assert!(profile.is_some() || name.is_empty(), "{name}");
        classify_error(&error_response(error, description), profile)
    }

    #[test]
    fn consent_required_patterns_are_recognized() {
        for (provider, error, description) in [
            ("docusign", "consent_required", ""),
            ("salesforce", "invalid_grant", "user hasn't approved this consumer"),
            ("salesforce", "invalid_app_access", "user is not admin approved to access this app"),
            ("salesforce", "invalid_grant", "user is not admin approved to access this app"),
            ("", "invalid_grant", "user is not admin approved"),
            ("entra", "invalid_grant", "AADSTS65001: The user or administrator has not consented"),
            ("entra", "invalid_grant", "AADSTS90094: The grant requires admin permission."),
            ("entra", "consent_required", "AADSTS65004: declined"),
            ("entra", "interaction_required", "AADSTS50076: multi-factor"),
            ("google", "unauthorized_client", "Client is unauthorized to retrieve access tokens"),
            ("", "invalid_client", "Client has no permission to access user data"),
            ("", "invalid_grant", "AADSTS65001: received through a proxy"),
        ] {
            assert_eq!(
                classify_for(provider, error, description),
                Some(ErrorClass::ConsentRequired),
                "{provider} {error}"
            );
        }
        for (provider, error, description) in [
            ("", "unauthorized_client", "this client may not"),
            ("entra", "unauthorized_client", "AADSTS700016: not found"),
            ("entra", "invalid_grant", "AADSTS650010: another"),
            ("docusign", "invalid_grant", "issuer_not_found"),
        ] {
            assert_eq!(classify_for(provider, error, description), None, "{provider} {error} {description}");
        }
    }

    #[test]
    fn skew_and_replay_patterns_are_provider_specific() {
        let exp = "Current date time must be before the expiration date time listed in the 'exp' claim.";
        for (provider, error, description, class) in [
            ("box", "invalid_grant", exp, ErrorClass::ClockSkew),
            ("box", "invalid_grant", "Please check the 'jti' claim.", ErrorClass::Replay),
            (
                "google",
                "invalid_grant",
                "Invalid JWT: … in a reasonable timeframe. Check",
                ErrorClass::ClockSkew,
            ),
            (
                "entra",
                "invalid_client",
                "AADSTS700024: Client assertion is not within",
                ErrorClass::ClockSkew,
            ),
            ("maskinporten", "invalid_grant", "MP-012 Grant used before", ErrorClass::Replay),
            ("maskinporten", "invalid_grant", "Issue time is after now", ErrorClass::ClockSkew),
            ("hydra", "jti_known", "", ErrorClass::Replay),
        ] {
            assert_eq!(classify_for(provider, error, description), Some(class), "{provider} {description}");
            assert_eq!(classify_for("", error, description), None, "no provider: {description}");
        }
    }

    #[test]
    fn busy_response_is_not_classified() {
        let busy = ErrorResponse { http_status: 429, ..error_response("invalid_grant", "the 'exp' claim") };
        assert_eq!(classify_error(&busy, provider::find_by_name("box")), None);
    }
}
