//! Provider profiles: provider-specific defaults and error patterns, read from `providers.json`.
//!
//! A profile is selected by the host of the token URL or by name. Explicit options override it.

use once_cell::race::OnceBox;
use serde::Deserialize;

mod docs;
mod profile;

pub use docs::as_markdown;
pub use profile::{
    Audience, ClientAuthRule, DefaultScope, DefaultSubject, ErrorPatterns, Evidence, JwtUse, Profile,
    ResponseMarks, text_for_host,
};

/// Where the scope of an assertion grant is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum ScopeLocation {
    /// A claim of the assertion.
    Claim,
    /// A parameter of the request.
    Parameter,
    /// Both a claim and a parameter.
    Both,
    /// Not sent: the server determines the client's permissions.
    None,
}

/// Who consents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum ConsentType {
    /// Each user.
    Individual,
    /// An administrator, for all users of the organization.
    Admin,
    /// An administrator of another organization, for all of its users.
    ExternalAdmin,
}

/// How users and administrators consent at a provider. In the URLs, `{server}` is replaced by the token
/// endpoint's scheme and host, `{tenant}` by the first segment of its path, and `{parent}` by its URL without
/// the last segment of its path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentProfile {
    /// Who consents if ConsentType is not set.
    pub default_type: ConsentType,
    /// The authorization endpoint.
    pub authorization_endpoint: Option<String>,
    /// The scope of the consent URL if Scope is not set.
    pub scope: Option<String>,
    /// The settings that consent by each user requires.
    pub individual_requirements: Option<String>,
    /// The page where an administrator consents for the organization.
    pub admin_endpoint: Option<String>,
    /// The steps for an administrator if there is no such page.
    pub admin_steps: Option<String>,
    /// Whether the authorization endpoint supports `admin_consent_scope`.
    #[serde(default)]
    pub supports_external_admin: bool,
}

/// The contents of `providers.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Providers {
    /// Error patterns that have the same meaning for all providers.
    common_error_patterns: ErrorPatterns,
    /// Values of `token_type` that mean Bearer at servers that no host identifies.
    common_bearer_types: Vec<String>,
    profiles: Vec<Profile>,
}

/// The built-in data; empty if the file were invalid, which a test excludes.
fn providers() -> &'static Providers {
    static PROVIDERS: OnceBox<Providers> = OnceBox::new();
    PROVIDERS
        .get_or_init(|| Box::new(serde_json::from_str(include_str!("providers.json")).unwrap_or_default()))
}

/// All profiles.
pub fn profiles() -> &'static [Profile] {
    &providers().profiles
}

/// Error patterns that have the same meaning for all providers.
#[must_use]
pub fn common_error_patterns() -> &'static ErrorPatterns {
    &providers().common_error_patterns
}

/// Whether `token_type` means Bearer for the provider, or for every one. Ignores ASCII case, as RFC 6749
/// section 5.1 requires.
#[must_use]
pub fn is_bearer_type(token_type: &str, profile: Option<&Profile>) -> bool {
    let own = profile.into_iter().flat_map(|profile| &profile.bearer_types);
    own.chain(&providers().common_bearer_types).any(|word| word.eq_ignore_ascii_case(token_type))
}

/// The profile for a token host.
#[must_use]
pub fn find_by_host(host: &str) -> Option<&'static Profile> {
    profiles().iter().find(|profile| profile.has_host(host))
}

/// The profile with this name, ignoring ASCII case.
#[must_use]
pub fn find_by_name(name: &str) -> Option<&'static Profile> {
    profiles().iter().find(|profile| profile.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::key::CertHeader;

    #[test]
    fn builtin_profiles_parse() {
        let parsed: Providers = serde_json::from_str(include_str!("providers.json")).unwrap();
        assert_eq!(parsed.profiles.len(), profiles().len());
        assert_eq!(find_by_host("account-d.docusign.com").unwrap().name, "docusign");
        assert_eq!(find_by_name("DocuSign").unwrap().name, "docusign");
    }

    #[test]
    fn profile_names_and_hosts_are_unique() {
        let (mut names, mut hosts) = (HashSet::new(), HashSet::new());
        for profile in profiles() {
            assert!(names.insert(profile.name.to_ascii_lowercase()), "{}", profile.name);
            assert!(!profile.source.is_empty(), "{}", profile.name);
            for host in &profile.hosts {
                assert!(hosts.insert(host), "{host}");
                // The registrable domain is fixed.
                let domain: Vec<_> = host.rsplit('.').take(2).collect();
                assert!(domain.len() == 2 && !domain.concat().contains('*'), "{host}");
            }
            for name in &profile.cert_headers {
                assert!(CertHeader::from_name(name).is_some(), "{name}");
            }
            assert!(profile.lifetime.zip(profile.max_lifetime).is_none_or(|(default, max)| default <= max));
        }
    }

    #[test]
    fn bearer_words_belong_to_provider_or_all() {
        for (word, provider, expected) in [
            ("Application", "docusign", true),
            ("application", "docusign", true),
            ("Application", "okta", false),
            ("BearerToken", "", true),
            ("BearerToken", "okta", true),
            ("mac", "", false),
            ("", "docusign", false),
        ] {
            assert_eq!(is_bearer_type(word, find_by_name(provider)), expected, "{word} {provider}");
        }
    }

    #[test]
    fn lookalike_host_matches_no_profile() {
        for (host, name) in [
            ("acme.my.salesforce.com", Some("salesforce")),
            ("login.microsoftonline.com", Some("entra")),
            ("1234567.suitetalk.api.netsuite.com", Some("netsuite")),
            ("login.microsoftonline.us", Some("entra")),
            ("login.partner.microsoftonline.cn", Some("entra")),
            ("login.microsoftonline.cn", None),
            ("acme.okta.com", Some("okta")),
            ("acme.oktapreview.com", Some("okta")),
            ("acme.okta-emea.com", Some("okta")),
            ("acme.okta-gov.com", Some("okta")),
            ("acme.okta.mil", Some("okta")),
            ("usa2s.sfdc-8tgtt5.salesforce.com", Some("salesforce")),
            ("cs42.salesforce.com", Some("salesforce")),
            ("sfdc-8tgtt5.salesforce.com", None),
            ("usa2s.sfdc-.salesforce.com", None),
            ("localhost", None),
        ] {
            assert_eq!(find_by_host(host).map(|profile| profile.name.as_str()), name, "{host}");
        }
        for host in [
            "account-d.docusign.com.evil.example",
            "account.docusign.com.",
            "evil-account.docusign.com",
            "my.salesforce.com",
            ".my.salesforce.com",
            "acmemy.salesforce.com",
            "acme.my.salesforce.com.evil.example",
            "127.0.0.1",
            "cs.salesforce.com",
            "cs42.salesforce.com.evil.example",
            "xcs42.salesforce.com",
            "login.microsoftonline.us.evil.example",
            "evil-okta.com",
            "acme.okta.mil.evil.example",
            "",
        ] {
            assert!(find_by_host(host).is_none(), "{host}");
        }
    }
}
