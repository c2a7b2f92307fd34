//! What is particular to a provider, as data: `providers.json` and its reader.
//!
//! A profile is chosen by the token host or by its name, and ranks below whatever the user said.

use once_cell::race::OnceBox;
use serde::Deserialize;

/// Where the scope of an assertion grant goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum ScopeIn {
    /// A claim of the assertion.
    Claim,
    /// A parameter of the request.
    Parameter,
    /// Both.
    Both,
}

/// One provider. A profile's token endpoint is asked by POST at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// By which the option Provider names it.
    pub name: String,
    /// The token hosts by which it is recognised.
    pub hosts: Vec<String>,
    /// Whether `aud` is the token endpoint's bare host.
    pub audience_is_host: bool,
    /// Where it reads the scope.
    pub scope_in: ScopeIn,
    /// How people consent, where it takes consent at all.
    pub consent: Option<ConsentWays>,
}

/// Who consents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum ConsentType {
    /// Each user for themselves.
    Individual,
    /// An administrator, for all users of the organisation.
    Admin,
    /// An administrator of another organisation, for all of its users.
    ExternalAdmin,
}

/// How people consent at a provider. In the URLs `{server}` stands for the token endpoint's scheme and host, and
/// `{tenant}` for the first segment of its path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentWays {
    /// Who consents, unless the user says otherwise.
    pub usual: ConsentType,
    /// The authorization endpoint.
    pub authorization: Option<String>,
    /// The scope of the consent URL where the user gave none.
    pub scope: Option<String>,
    /// What each user's own consent needs to be set up as.
    pub individual_needs: Option<String>,
    /// The page where an administrator consents for the organisation.
    pub admin: Option<String>,
    /// What an administrator does where there is no such page.
    pub admin_steps: Option<String>,
    /// Whether the authorization endpoint knows `admin_consent_scope`.
    pub external_admin: bool,
}

/// All profiles; none, should the file that is built in ever be broken, which a test excludes.
pub fn profiles() -> &'static [Profile] {
    static PROFILES: OnceBox<Vec<Profile>> = OnceBox::new();
    PROFILES
        .get_or_init(|| Box::new(serde_json::from_str(include_str!("providers.json")).unwrap_or_default()))
}

/// The profile of a token host.
#[must_use]
pub fn by_host(host: &str) -> Option<&'static Profile> {
    profiles().iter().find(|profile| profile.hosts.iter().any(|known| known == host))
}

/// The profile of that name, in any case.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Profile> {
    profiles().iter().find(|profile| profile.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profiles_that_are_built_in_can_be_read() {
        let profiles: Vec<Profile> = serde_json::from_str(include_str!("providers.json")).unwrap();
        assert_eq!(profiles.len(), super::profiles().len());
        assert_eq!(by_host("account-d.docusign.com").unwrap().name, "docusign");
        assert_eq!(by_name("DocuSign").unwrap().name, "docusign");
        assert!(by_host("account-d.docusign.com.evil.example").is_none());
    }
}
