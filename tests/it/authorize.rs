//! Consent in a browser, from the consent_required error to the token, through the C API, with the consent
//! page of the mock server.

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use crate::support::browser::{authorize_with_test_browser, free_port, run_with_test_browser};
use crate::support::c_api::{
    CancelToken, Connection, Failure, call_options, collect_failures, open, take_error_chain,
};
use crate::support::{ISSUER, datadirect_string, start_mock_server, stores};
use authgrant::ffi::authorize::authgrant_authorize_with;
use authgrant::ffi::call_options::RawCallOptions;
use authgrant::ffi::status::*;
use mock_server::{AuthorizeBehavior, Behavior, ClientOptions, Config, GrantType, MockServer};

extern "C" fn reject_url(_: *const c_char, _: *mut c_void) -> i32 {
    7
}

fn open_docusign(server: &MockServer, more: &str) -> Connection {
    let string = datadirect_string(&stores::path("keytool.jks"), server);
    let string = string.replace("http://localhost:3000", &format!("http://127.0.0.1:{}/done", free_port()));
    open(&format!("Provider=docusign;ConsentTimeout=20;{more};{string}")).unwrap()
}

fn start_server_requiring_consent() -> MockServer {
    let server = start_mock_server(Config { audience: Some("127.0.0.1".to_owned()), ..Config::http() });
    server.require_consent("jsmith@example.com");
    server
}

#[test]
fn browser_consent_yields_token() {
    let server = start_server_requiring_consent();
    let connection = open_docusign(&server, "ApplicationName=Quarterly <Reports>");
    assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_CONSENT_REQUIRED);
    let (outcome, page) = authorize_with_test_browser(&connection);
    outcome.unwrap();
    let page = page.unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("Quarterly &lt;Reports&gt;"), "{page}");
    let requests = server.token_requests().len();
    connection.get_token().unwrap();
    assert_eq!(server.token_requests().len(), requests, "the token of the consent check is cached");
}

#[test]
fn declined_consent_is_denied() {
    let server = start_server_requiring_consent();
    server.reconfigure(|config| config.authorize = AuthorizeBehavior::Error("access_denied".to_owned()));
    let connection = open_docusign(&server, "");
    let (outcome, _) = authorize_with_test_browser(&connection);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.status, failure.oauth_error.as_deref()), (AUTHGRANT_DENIED, Some("access_denied")));
    assert!(server.token_requests().is_empty());
}

#[test]
fn page_after_failed_token_request_shows_error() {
    let server = start_server_requiring_consent();
    let connection = open_docusign(&server, "ApplicationName=Reports");
    server.set_script(vec![Behavior::Json {
        status: 400,
        body: serde_json::json!({ "error": "invalid_grant", "error_description": "<b>user_not_found" }),
        headers: Vec::new(),
    }]);
    let (outcome, page) = authorize_with_test_browser(&connection);
    assert_eq!(outcome.unwrap_err().status, AUTHGRANT_DENIED);
    let page = page.unwrap();
    assert!(page.contains("The application cannot continue"), "{page}");
    assert!(page.contains("&lt;b&gt;user_not_found") && !page.contains("Thank you"), "{page}");
}

#[test]
fn wrong_state_is_rejected_until_timeout() {
    let server = start_server_requiring_consent();
    server.reconfigure(|config| config.authorize = AuthorizeBehavior::WrongState);
    let connection = open_docusign(&server, "");
    connection.set_option("ConsentTimeout", "1").unwrap();
    let (outcome, page) = authorize_with_test_browser(&connection);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TIMEOUT, "HYT00"), "{failure:?}");
    assert!(page.unwrap().starts_with("HTTP/1.1 400"));
}

/// The failure of authgrant_authorize() with a callback that shows no URL.
fn authorize_without_browser(connection: &Connection) -> Failure {
    let mut error = null_mut();
    let handle = connection.handle();
    let status =
        authgrant::ffi::authorize::authgrant_authorize(handle, Some(reject_url), null_mut(), &raw mut error);
    let failure = take_error_chain(error).remove(0);
    assert_eq!(status, failure.status);
    failure
}

extern "C" fn ignore_url(_: *const c_char, _: *mut c_void) -> i32 {
    0
}

/// The failure of authgrant_authorize_with() with a user who does nothing.
fn authorize_with(connection: &Connection, options: &RawCallOptions) -> Failure {
    let authorize =
        |error| authgrant_authorize_with(connection.handle(), options, Some(ignore_url), null_mut(), error);
    collect_failures(authorize).remove(0)
}

#[test]
fn authorization_with_options_yields_token() {
    let server = start_server_requiring_consent();
    let connection = open_docusign(&server, "ConsentTimeout=1");
    let token = CancelToken::new();
    let options = RawCallOptions { cancel_token: token.handle(), ..call_options(20_000, 0, 0) };
    let (outcome, _) = run_with_test_browser(|show, context, error| {
        authgrant_authorize_with(connection.handle(), &options, show, context, error)
    });
    outcome.unwrap();
    connection.get_token().unwrap();
}

#[test]
fn authorization_ends_at_timeout_of_call() {
    let server = start_server_requiring_consent();
    let connection = open_docusign(&server, "");
    let failure = authorize_with(&connection, &call_options(50, 0, 0));
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TIMEOUT, "HYT00"));
    assert!(failure.message.contains("0.05 s (the call's timeout)"), "{failure:?}");
}

#[test]
fn authorization_is_cancelled_by_its_token() {
    extern "C" fn cancel(_: *const c_char, token: *mut c_void) -> i32 {
        // SAFETY: the context is the token of the test, which outlives the call.
        unsafe { &*token.cast::<CancelToken>() }.cancel();
        0
    }
    let server = start_server_requiring_consent();
    let connection = open_docusign(&server, "");
    let token = CancelToken::new();
    let options = RawCallOptions { cancel_token: token.handle(), ..call_options(0, 0, 0) };
    let context = (&raw const token).cast_mut().cast();
    let authorize =
        |error| authgrant_authorize_with(connection.handle(), &options, Some(cancel), context, error);
    assert_eq!(collect_failures(authorize).remove(0).status, AUTHGRANT_CANCELLED);
    // The token is cancelled until it is reset: the URL is not shown.
    let shown = authorize_with(&connection, &options);
    assert_eq!(shown.status, AUTHGRANT_CANCELLED);
}

#[test]
fn authorization_rejects_contradictory_options() {
    let connection = open("").unwrap();
    for options in [
        call_options(0, 1, 0),
        call_options(0, 0, AUTHGRANT_NO_PROMPT),
        call_options(0, 0, AUTHGRANT_NO_NETWORK),
    ] {
        let failure = authorize_with(&connection, &options);
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
    }
}

#[test]
fn unshown_consent_url_is_in_error() {
    let server = start_server_requiring_consent();
    let failure = authorize_without_browser(&open_docusign(&server, ""));
    assert_eq!(failure.status, AUTHGRANT_UNSUPPORTED);
    let url = failure.consent_url.unwrap();
    assert!(url.contains("/oauth/auth?response_type=code&scope=signature%20impersonation"), "{url}");
}

#[test]
fn non_loopback_redirect_uri_is_invalid() {
    let server = start_server_requiring_consent();
    let connection = open_docusign(&server, "");
    for redirect in ["http://localhost", "https://app.example.com/cb"] {
        connection.set_option("RedirectURI", redirect).unwrap();
        let failure = authorize_without_browser(&connection);
        assert_eq!(failure.status, AUTHGRANT_INVALID_OPTION, "{redirect}");
        assert_eq!(failure.option.as_deref(), Some("RedirectURI"));
    }
}

/// A connection for administrator consent of an external organization, which exchanges the authorization
/// code.
fn open_external_admin_connection(server: &MockServer, more: &str) -> Connection {
    let connection = open_docusign(
        server,
        &format!("ConsentType=ExternalAdmin;ClientID={ISSUER};ClientSecret=shh;{more}"),
    );
    let url = get_consent_url(&connection).unwrap();
    let redirect = url.split("redirect_uri=").nth(1).unwrap().replace("%3A", ":").replace("%2F", "/");
    let options = ClientOptions {
        redirect_uris: vec![redirect],
        secret: Some("shh".to_owned()),
        grant_types: vec![GrantType::JwtBearer, GrantType::AuthorizationCode],
        ..ClientOptions::default()
    };
    server.register(ISSUER, &[stores::certificate()], options);
    connection
}

fn get_consent_url(connection: &Connection) -> Result<String, Box<Failure>> {
    let (mut url, mut error) = (null_mut(), null_mut());
    let get = authgrant::ffi::authorize::authgrant_consent_url;
    if get(connection.handle(), &raw mut url, &raw mut error) != AUTHGRANT_OK {
        return Err(Box::new(take_error_chain(error).remove(0)));
    }
    let text = crate::support::c_api::c_str_to_string(url).unwrap();
    authgrant::ffi::text::authgrant_string_free(url);
    Ok(text)
}

#[test]
fn consent_url_matches_docusign_consent_types() {
    let server = start_server_requiring_consent();
    let connection = open_docusign(&server, "");
    connection.set_option("RedirectURI", "http://localhost:3000").unwrap();
    let origin = server.url("");
    let rest = format!("client_id={ISSUER}&redirect_uri=http%3A%2F%2Flocalhost%3A3000");
    assert_eq!(
        get_consent_url(&connection).unwrap(),
        format!("{origin}/oauth/auth?response_type=code&scope=signature%20impersonation&{rest}")
    );
    connection.set_option("ClaimsSubject", "another@example.com").unwrap();
    assert_eq!(
        get_consent_url(&connection).unwrap(),
        format!("{origin}/oauth/auth?response_type=code&scope=signature%20impersonation&{rest}"),
        "the URL is the same for all users"
    );
    connection.set_option("ConsentType", "ExternalAdmin").unwrap();
    assert_eq!(
        get_consent_url(&connection).unwrap(),
        format!(
            "{origin}/oauth/auth?response_type=code&scope=openid&\
             admin_consent_scope=signature%20impersonation&{rest}"
        )
    );
    connection.set_option("AuthURI", "https://own.example/auth").unwrap();
    assert!(get_consent_url(&connection).unwrap().starts_with("https://own.example/auth?"));
}

#[test]
fn internal_admin_consent_has_instructions_without_url() {
    let server = start_server_requiring_consent();
    let connection = open_docusign(&server, "ConsentType=Admin");
    let url = get_consent_url(&connection).unwrap_err();
    assert_eq!((url.status, url.option.as_deref()), (AUTHGRANT_UNSUPPORTED, Some("ConsentType")));
    let token = connection.get_token().unwrap_err();
    assert_eq!((token.status, token.consent_url), (AUTHGRANT_CONSENT_REQUIRED, None));
    // The subject is the text: there is no URL, so the messages contain the steps.
    for message in [url.message, token.message] {
        for fragment in ["Connected Apps", "Access Management with SSO", "claimed", "ConsentType=Individual"]
        {
            assert!(message.contains(fragment), "{message}");
        }
    }
    let external = open_external_admin_connection(&server, "").get_token().unwrap_err();
    assert!(external.message.contains("ConsentType=Individual"), "{external:?}");
    assert_eq!(authorize_without_browser(&connection).status, AUTHGRANT_UNSUPPORTED);
}

#[test]
fn missing_individual_consent_names_required_settings() {
    let server = start_server_requiring_consent();
    let failure = open_docusign(&server, "").get_token().unwrap_err();
    assert!(failure.message.contains(failure.consent_url.as_deref().unwrap()), "{failure:?}");
    for setting in ["redirect", "authorization code grant"] {
        assert!(failure.message.to_lowercase().contains(setting), "{failure:?}");
    }
    assert!(!failure.message.contains("ConsentType"), "{failure:?}");
}

#[test]
fn external_admin_code_yields_id_token() {
    let server = start_server_requiring_consent();
    let connection = open_external_admin_connection(&server, "ClientCredentialsMode=1");
    let (outcome, _) = authorize_with_test_browser(&connection);
    outcome.unwrap();
    let grants: Vec<_> =
        server.token_requests().iter().map(|request| request.parameter("grant_type").unwrap()).collect();
    assert_eq!(grants[0], "authorization_code");
    assert!(grants[1].ends_with("jwt-bearer"), "{grants:?}");
    let id_token = connection.get_token().unwrap().field("id_token").unwrap();
    assert_eq!(id_token.split('.').count(), 3);
    assert_eq!(server.token_requests().len(), 2);
    let equal =
        open_docusign(&server, &format!("ClientID={ISSUER};ClientSecret=shh;ClientCredentialsMode=1"));
    assert_eq!(
        equal.get_token().unwrap().field("id_token"),
        None,
        "the id_token of the consent is private to the connection"
    );
}
