//! Authorization URL: the authorization request of RFC 6749 section 4.1.1.
//!
//! [`build_authorization_url`] omits `state` and the PKCE challenge, so the URL is the same for all users and
//! can be shown and shared. [`add_state`] adds them for a single login. The parameters have the order of
//! DocuSign's documentation.

use super::pkce::CHALLENGE_METHOD;
use crate::base::secret::Secret;
use crate::net::urlencoded::encode;
use crate::provider::ConsentType;
use crate::resolve::AuthorizationRequest;

/// The URL at which a user consents, ready to open, without `state`.
///
/// An external administrator consents for all users of another organization (DocuSign: the returned code is
/// valid for the scope `openid`). An endpoint for administrator consent (Entra's `adminconsent`) returns no
/// code, so [`ConsentType::Admin`] has no `response_type`.
#[must_use]
pub fn build_authorization_url(request: &AuthorizationRequest) -> String {
    let response_type = (request.consent_type != ConsentType::Admin).then_some("code");
    let parameters = [
        ("response_type", response_type),
        ("scope", request.scope.as_deref()),
        ("admin_consent_scope", request.admin_scope.as_deref()),
        ("client_id", Some(&request.client_id)),
        ("redirect_uri", Some(&request.redirect_uri)),
    ];
    let present: Vec<_> = parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    append_query(&request.endpoint, &present)
}

/// The URL of [`build_authorization_url`] to show or share; `None` if the port of the redirect URI is chosen by
/// each login.
#[must_use]
pub fn consent_url(request: &AuthorizationRequest) -> Option<String> {
    (!request.has_ephemeral_port).then(|| build_authorization_url(request))
}

/// Adds the `state` that the redirect must return and, if a code will be exchanged, the PKCE challenge (RFC
/// 7636 section 4.3).
#[must_use]
pub fn add_state(url: &str, state: &Secret, challenge: Option<&str>) -> Secret {
    let mut parameters = vec![("state", state.reveal())];
    if let Some(challenge) = challenge {
        parameters.push(("code_challenge", challenge));
        parameters.push(("code_challenge_method", CHALLENGE_METHOD));
    }
    Secret::new(append_query(url, &parameters))
}

/// Adds the `nonce` that the ID token must contain (OpenID Connect Core section 3.1.2.1).
#[must_use]
pub fn add_nonce(url: &Secret, nonce: &Secret) -> Secret {
    Secret::new(append_query(url.reveal(), &[("nonce", nonce.reveal())]))
}

/// Whether the server returns an ID token for the login of this connection.
#[must_use]
pub fn expects_id_token(request: &AuthorizationRequest) -> bool {
    let scope = request.scope.as_deref().unwrap_or_default();
    request.exchanges_code
        && request.consent_type == ConsentType::Individual
        && scope.split_whitespace().any(|name| name == "openid")
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
            has_ephemeral_port: false,
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
        let request = AuthorizationRequest {
            consent_type: ConsentType::ExternalAdmin,
            scope: Some("openid".to_owned()),
            admin_scope: Some("signature impersonation".to_owned()),
            ..docusign_request()
        };
        assert_eq!(
            build_authorization_url(&request),
            "https://account-d.docusign.com/oauth/auth?response_type=code&scope=openid\
             &admin_consent_scope=signature%20impersonation\
             &client_id=1a2b3c4d5e_6f7g8h9g&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        );
    }

    #[test]
    fn admin_url_has_no_response_type() {
        let request = AuthorizationRequest {
            consent_type: ConsentType::Admin,
            endpoint: "https://login.microsoftonline.com/t/v2.0/adminconsent".to_owned(),
            client_id: "id".to_owned(),
            scope: Some("https://graph.microsoft.com/.default".to_owned()),
            ..docusign_request()
        };
        assert_eq!(
            build_authorization_url(&request),
            "https://login.microsoftonline.com/t/v2.0/adminconsent\
             ?scope=https%3A%2F%2Fgraph.microsoft.com%2F.default\
             &client_id=id&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        );
    }

    #[test]
    fn url_without_scope_omits_parameter() {
        let request = AuthorizationRequest { scope: None, ..docusign_request() };
        assert!(build_authorization_url(&request).ends_with(
            "?response_type=code&client_id=1a2b3c4d5e_6f7g8h9g&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        ));
    }

    #[test]
    fn endpoint_query_is_preserved() {
        let request = AuthorizationRequest {
            endpoint: "https://a.example/auth?tenant=b".to_owned(),
            ..docusign_request()
        };
        assert!(
            build_authorization_url(&request)
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
        let url = Secret::from("https://a/b?c=d");
        assert_eq!(add_nonce(&url, &Secret::from("n&")).reveal(), "https://a/b?c=d&nonce=n%26");
    }

    #[test]
    fn only_login_with_openid_scope_expects_id_token() {
        let login = |scope: Option<&str>| AuthorizationRequest {
            exchanges_code: true,
            scope: scope.map(str::to_owned),
            ..docusign_request()
        };
        assert!(expects_id_token(&login(Some("openid"))));
        assert!(expects_id_token(&login(Some("read openid offline_access"))));
        for scope in [None, Some(""), Some("read"), Some("openid2 OpenID")] {
            assert!(!expects_id_token(&login(scope)), "{scope:?}");
        }
        let consent = AuthorizationRequest { exchanges_code: false, ..login(Some("openid")) };
        let admin =
            AuthorizationRequest { consent_type: ConsentType::ExternalAdmin, ..login(Some("openid")) };
        assert!(!expects_id_token(&consent) && !expects_id_token(&admin));
    }
}
