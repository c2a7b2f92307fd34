//! Consent by a person, from the first refusal to the token: through the C API, with the authority's own consent page.

mod support;

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use authgrant::ffi::status::*;
use authority::{Authority, Authorize, ClientOptions, Config, GrantType};
use support::browser::{authorize, free_port};
use support::c_api::{Connection, Failure, chain, open};
use support::{ISSUER, authority, page_string, stores};

extern "C" fn nobody(_: *const c_char, _: *mut c_void) -> i32 {
    7
}

fn docusign(authority: &Authority, more: &str) -> Connection {
    let string = page_string(&stores::path("keytool.jks"), authority);
    let string = string.replace("http://localhost:3000", &format!("http://127.0.0.1:{}/done", free_port()));
    open(&format!("Provider=docusign;ConsentTimeout=20;{more};{string}")).unwrap()
}

fn needing_consent() -> Authority {
    let authority = authority(Config { audience: Some("127.0.0.1".to_owned()), ..Config::http() });
    authority.require_consent("jsmith@example.com");
    authority
}

#[test]
fn consent_is_given_in_the_browser_and_then_there_is_a_token() {
    let authority = needing_consent();
    let connection = docusign(&authority, "ApplicationName=Quarterly <Reports>");
    assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_CONSENT_REQUIRED);
    let (outcome, page) = authorize(&connection);
    outcome.unwrap();
    let page = page.unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("Quarterly &lt;Reports&gt;"), "{page}");
    let requests = authority.token_requests().len();
    connection.get_token().unwrap();
    assert_eq!(authority.token_requests().len(), requests, "the token that proved it is cached");
}

#[test]
fn a_person_who_declines_is_a_denial() {
    let authority = needing_consent();
    authority.reconfigure(|config| config.authorize = Authorize::Error("access_denied".to_owned()));
    let connection = docusign(&authority, "");
    let (outcome, _) = authorize(&connection);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.status, failure.oauth_error.as_deref()), (AUTHGRANT_DENIED, Some("access_denied")));
    assert!(authority.token_requests().is_empty());
}

#[test]
fn a_wrong_state_is_turned_away_and_the_wait_goes_on_to_its_end() {
    let authority = needing_consent();
    authority.reconfigure(|config| config.authorize = Authorize::WrongState);
    let connection = docusign(&authority, "");
    connection.set_option("ConsentTimeout", "1").unwrap();
    let (outcome, page) = authorize(&connection);
    let failure = outcome.unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_TIMEOUT);
    assert!(failure.message.contains("state"), "{failure:?}");
    assert!(page.unwrap().starts_with("HTTP/1.1 400"));
}

/// The failure of a host program that shows nothing.
fn authorize_with_nobody(connection: &Connection) -> Failure {
    let mut error = null_mut();
    let handle = connection.handle();
    let status =
        authgrant::ffi::authorize::authgrant_authorize(handle, Some(nobody), null_mut(), &raw mut error);
    let failure = chain(error).remove(0);
    assert_eq!(status, failure.status);
    failure
}

#[test]
fn a_host_that_cannot_show_the_url_is_told_which_it_was() {
    let authority = needing_consent();
    let failure = authorize_with_nobody(&docusign(&authority, ""));
    assert_eq!(failure.status, AUTHGRANT_UNSUPPORTED);
    let url = failure.consent_url.unwrap();
    assert!(url.contains("/oauth/auth?response_type=code&scope=signature%20impersonation"), "{url}");
}

#[test]
fn a_redirect_that_cannot_be_listened_to_is_named() {
    let authority = needing_consent();
    let connection = docusign(&authority, "");
    for redirect in ["http://localhost", "https://app.example.com/cb"] {
        connection.set_option("RedirectURI", redirect).unwrap();
        let failure = authorize_with_nobody(&connection);
        assert_eq!(failure.status, AUTHGRANT_INVALID_OPTION, "{redirect}");
        assert_eq!(failure.option.as_deref(), Some("RedirectURI"));
    }
}

/// A connection for the administrators of other organisations, whose codes are exchanged.
fn for_external_admins(authority: &Authority, more: &str) -> Connection {
    let connection =
        docusign(authority, &format!("ConsentType=ExternalAdmin;ClientID={ISSUER};ClientSecret=shh;{more}"));
    let url = consent_url(&connection).unwrap();
    let redirect = url.split("redirect_uri=").nth(1).unwrap().replace("%3A", ":").replace("%2F", "/");
    let options = ClientOptions {
        redirect_uris: vec![redirect],
        secret: Some("shh".to_owned()),
        grant_types: vec![GrantType::JwtBearer, GrantType::AuthorizationCode],
        ..ClientOptions::default()
    };
    authority.register(ISSUER, &[stores::certificate()], options);
    connection
}

fn consent_url(connection: &Connection) -> Result<String, Box<Failure>> {
    let (mut url, mut error) = (null_mut(), null_mut());
    let get = authgrant::ffi::authorize::authgrant_consent_url;
    if get(connection.handle(), &raw mut url, &raw mut error) != AUTHGRANT_OK {
        return Err(Box::new(chain(error).remove(0)));
    }
    let seen = support::c_api::text(url).unwrap();
    authgrant::ffi::text::authgrant_text_free(url);
    Ok(seen)
}

#[test]
fn the_consent_url_is_the_one_of_docusigns_page_for_each_kind_of_consent() {
    let authority = needing_consent();
    let connection = docusign(&authority, "");
    connection.set_option("RedirectURI", "http://localhost:3000").unwrap();
    let server = authority.url("");
    let rest = format!("client_id={ISSUER}&redirect_uri=http%3A%2F%2Flocalhost%3A3000");
    assert_eq!(
        consent_url(&connection).unwrap(),
        format!("{server}/oauth/auth?response_type=code&scope=signature%20impersonation&{rest}")
    );
    connection.set_option("ConsentType", "ExternalAdmin").unwrap();
    assert_eq!(
        consent_url(&connection).unwrap(),
        format!(
            "{server}/oauth/auth?response_type=code&scope=openid&admin_consent_scope=signature%20impersonation&{rest}"
        )
    );
    connection.set_option("AuthURI", "https://own.example/auth").unwrap();
    assert!(consent_url(&connection).unwrap().starts_with("https://own.example/auth?"));
}

#[test]
fn an_internal_administrators_consent_has_no_url_and_the_steps_are_told() {
    let authority = needing_consent();
    let connection = docusign(&authority, "ConsentType=Admin");
    let url = consent_url(&connection).unwrap_err();
    assert_eq!((url.status, url.option.as_deref()), (AUTHGRANT_UNSUPPORTED, Some("ConsentType")));
    let token = connection.get_token().unwrap_err();
    assert_eq!((token.status, token.consent_url), (AUTHGRANT_CONSENT_REQUIRED, None));
    for message in [url.message, token.message] {
        for word in ["Connected Apps", "Access Management with SSO", "claimed"] {
            assert!(message.contains(word), "{message}");
        }
    }
    assert_eq!(authorize_with_nobody(&connection).status, AUTHGRANT_UNSUPPORTED);
}

#[test]
fn the_two_settings_of_individual_consent_are_told_where_it_is_missing() {
    let authority = needing_consent();
    let failure = docusign(&authority, "").get_token().unwrap_err();
    assert!(failure.message.contains(failure.consent_url.as_deref().unwrap()), "{failure:?}");
    for word in ["redirect", "authorization code grant"] {
        assert!(failure.message.to_lowercase().contains(word), "{failure:?}");
    }
}

#[test]
fn an_external_administrators_code_is_exchanged_and_its_id_token_can_be_read() {
    let authority = needing_consent();
    let connection = for_external_admins(&authority, "ClientCredentialsMode=1");
    let (outcome, _) = authorize(&connection);
    outcome.unwrap();
    let grants: Vec<_> =
        authority.token_requests().iter().map(|one| one.parameter("grant_type").unwrap()).collect();
    assert_eq!(grants[0], "authorization_code");
    assert!(grants[1].ends_with("jwt-bearer"), "{grants:?}");
    let id_token = connection.get_token().unwrap().field("id_token").unwrap();
    assert_eq!(id_token.split('.').count(), 3);
    assert_eq!(authority.token_requests().len(), 2);
    let equal = docusign(&authority, &format!("ClientID={ISSUER};ClientSecret=shh;ClientCredentialsMode=1"));
    assert_eq!(
        equal.get_token().unwrap().field("id_token"),
        None,
        "who consented is this connection's to know"
    );
}
