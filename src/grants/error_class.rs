//! What a refusal means, by the words that its provider has for it.

use crate::base::error::Status;
use crate::provider::{self, ErrorPatterns, Profile};
use crate::token_response::ErrorResponse;

/// What a server means beyond its `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    /// Somebody has to consent first.
    ConsentRequired,
    /// The assertion's times do not suit the server's clock.
    ClockSkew,
    /// The assertion was used before.
    Replay,
}

/// The sense of `refusal` at a provider; nothing where it says no more than no, or is busy.
pub(super) fn classify_error(refusal: &ErrorResponse, profile: Option<&Profile>) -> Option<ErrorClass> {
    if !matches!(refusal.status(), Status::Denied | Status::ConsentRequired) {
        return None;
    }
    let signs = [Some(provider::common_error_patterns()), profile.map(|profile| &profile.error_patterns)];
    let has = |of: fn(&ErrorPatterns) -> &[String]| {
        signs.iter().flatten().flat_map(|signs| of(signs)).any(|sign| matches_pattern(sign, refusal))
    };
    if has(|signs| &signs.consent_required) {
        Some(ErrorClass::ConsentRequired)
    } else if has(|signs| &signs.clock_skew) {
        Some(ErrorClass::ClockSkew)
    } else if has(|signs| &signs.replay) {
        Some(ErrorClass::Replay)
    } else {
        None
    }
}

/// A sign is a whole error or code, or some words of a description.
fn matches_pattern(sign: &str, refusal: &ErrorResponse) -> bool {
    let is = |text: &Option<String>| text.as_ref().is_some_and(|text| text.eq_ignore_ascii_case(sign));
    let words = refusal.description.as_ref().map(|text| text.to_ascii_lowercase());
    let described = words.is_some_and(|words| {
        // A code is no part of a longer one: AADSTS65001 is not in AADSTS650010.
        let sign = sign.to_ascii_lowercase();
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
        words
            .match_indices(&sign)
            .any(|(at, found)| ends(words.split_at(at).1.strip_prefix(found).unwrap_or_default()))
    });
    is(&refusal.error) || is(&refusal.provider_code) || described
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_response(error: &str, description: &str) -> ErrorResponse {
        ErrorResponse {
            error: Some(error.to_owned()),
            description: Some(description.to_owned()),
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
            ("entra", "invalid_grant", "AADSTS65001: The user or administrator has not consented"),
            ("entra", "invalid_grant", "AADSTS90094: The grant requires admin permission."),
            ("entra", "consent_required", "AADSTS65004: declined"),
            ("entra", "interaction_required", "AADSTS50076: multi-factor"),
            ("google", "unauthorized_client", "Client is unauthorized to retrieve access tokens"),
            ("", "invalid_client", "Client has no permission to access user data"),
            ("", "invalid_grant", "AADSTS65001: behind a proxy of our own"),
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
        for (provider, error, description, sense) in [
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
            assert_eq!(classify_for(provider, error, description), Some(sense), "{provider} {description}");
            assert_eq!(classify_for("", error, description), None, "nobody else's word: {description}");
        }
    }

    #[test]
    fn busy_response_is_not_classified() {
        let busy = ErrorResponse { http_status: 429, ..error_response("invalid_grant", "the 'exp' claim") };
        assert_eq!(classify_error(&busy, provider::find_by_name("box")), None);
    }
}
