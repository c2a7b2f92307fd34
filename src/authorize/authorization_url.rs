//! The URL that a person opens to let an application act for them.
//!
//! It is the first half of an authorization request (RFC 6749 section 4.1.1) without state: the same for all users,
//! so that it can be shown and handed on. [`with_state`] makes it one person's. Parameters stand in the order of
//! DocuSign's own page.

use super::pkce::CHALLENGE_METHOD;
use crate::base::secret::Secret;
use crate::net::urlencoded::encode;
use crate::provider::ConsentType;
use crate::resolve::AuthorizationRequest;

/// The URL by which a person consents, ready to open: for themselves, or as an administrator of another organisation for
/// all of its users (DocuSign: `openid` is what the code that comes back is good for). An endpoint for nothing but an
/// administrator's consent (Entra's `adminconsent`) is asked for no code, so it gets no `response_type`.
#[must_use]
pub fn build_authorization_url(consent: &AuthorizationRequest) -> String {
    let kind = (consent.consent_type != ConsentType::Admin).then_some("code");
    let parameters = [
        ("response_type", kind),
        ("scope", consent.scope.as_deref()),
        ("admin_consent_scope", consent.admin_scope.as_deref()),
        ("client_id", Some(&consent.client_id)),
        ("redirect_uri", Some(&consent.redirect_uri)),
    ];
    let given: Vec<_> = parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    append_query(&consent.endpoint, &given)
}

/// `url` for one person at one time: with the state that their visit must bring back and, where a code is to be
/// exchanged, the PKCE challenge (RFC 7636 section 4.3).
#[must_use]
pub fn add_state(url: &str, state: &Secret, challenge: Option<&str>) -> Secret {
    let mut parameters = vec![("state", state.reveal())];
    if let Some(challenge) = challenge {
        parameters.push(("code_challenge", challenge));
        parameters.push(("code_challenge_method", CHALLENGE_METHOD));
    }
    Secret::new(append_query(url, &parameters))
}

fn append_query(endpoint: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = endpoint.to_owned();
    for (name, value) in parameters {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        url.push_str(&encode(value).to_string());
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docusign_request() -> AuthorizationRequest {
        AuthorizationRequest {
            consent_type: ConsentType::Individual,
            endpoint: "https://account-d.docusign.com/oauth/auth".to_owned(),
            client_id: "1a2b3c4d5e_6f7g8h9g".to_owned(),
            scope: Some("signature impersonation".to_owned()),
            admin_scope: None,
            redirect_uri: "http://localhost:3000".to_owned(),
            exchanges_code: false,
            allowed_issuers: Vec::new(),
            application_name: None,
            timeout: std::time::Duration::from_secs(300),
        }
    }

    #[test]
    fn docusign_url_matches_documentation() {
        assert_eq!(
            build_authorization_url(&docusign_request()),
            "https://account-d.docusign.com/oauth/auth?response_type=code&scope=signature%20impersonation\
             &client_id=1a2b3c4d5e_6f7g8h9g&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        );
    }

    #[test]
    fn external_admin_url_has_admin_consent_scope() {
        let consent = AuthorizationRequest {
            consent_type: ConsentType::ExternalAdmin,
            scope: Some("openid".to_owned()),
            admin_scope: Some("signature impersonation".to_owned()),
            ..docusign_request()
        };
        assert_eq!(
            build_authorization_url(&consent),
            "https://account-d.docusign.com/oauth/auth?response_type=code&scope=openid\
             &admin_consent_scope=signature%20impersonation\
             &client_id=1a2b3c4d5e_6f7g8h9g&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        );
    }

    #[test]
    fn admin_url_has_no_response_type() {
        let consent = AuthorizationRequest {
            consent_type: ConsentType::Admin,
            endpoint: "https://login.microsoftonline.com/t/v2.0/adminconsent".to_owned(),
            client_id: "id".to_owned(),
            scope: Some("https://graph.microsoft.com/.default".to_owned()),
            ..docusign_request()
        };
        assert_eq!(
            build_authorization_url(&consent),
            "https://login.microsoftonline.com/t/v2.0/adminconsent\
             ?scope=https%3A%2F%2Fgraph.microsoft.com%2F.default\
             &client_id=id&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        );
    }

    #[test]
    fn url_without_scope_omits_parameter() {
        let consent = AuthorizationRequest { scope: None, ..docusign_request() };
        assert!(build_authorization_url(&consent).ends_with(
            "?response_type=code&client_id=1a2b3c4d5e_6f7g8h9g&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        ));
    }

    #[test]
    fn endpoint_query_is_preserved() {
        let consent = AuthorizationRequest {
            endpoint: "https://a.example/auth?tenant=b".to_owned(),
            ..docusign_request()
        };
        assert!(
            build_authorization_url(&consent)
                .starts_with("https://a.example/auth?tenant=b&response_type=code&")
        );
    }

    #[test]
    fn state_and_challenge_are_appended_last() {
        let state = Secret::from("s t");
        assert_eq!(add_state("https://a/b?c=d", &state, None).reveal(), "https://a/b?c=d&state=s%20t");
        assert_eq!(
            add_state("https://a/b", &state, Some("E9")).reveal(),
            "https://a/b?state=s%20t&code_challenge=E9&code_challenge_method=S256"
        );
    }
}
