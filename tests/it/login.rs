//! Logins with the authorization code grant and PKCE, through the C API, with the authorization page of the
//! mock server.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::null_mut;
use std::sync::Mutex;

use crate::support::browser::{authorize_with_test_browser, free_port, http_get, redirect_location};
use crate::support::c_api::{Connection, Failure, c_str_to_string, open};
use authgrant::ffi::status::*;
use mock_server::{AuthorizeBehavior, Behavior, ClientOptions, Config, MockServer, NonceBehavior};
use serde_json::json;

const CLIENT_ID: &str = "app";

/// Starts a server with one client for logins, and opens a connection of that client.
fn open_login_connection(config: Config, secret: Option<&str>, more: &str) -> (MockServer, Connection) {
    open_login_connection_at(config, &format!("http://127.0.0.1:{}/cb", free_port()), secret, more)
}

/// As [`open_login_connection`], with this redirect URI.
fn open_login_connection_at(
    config: Config,
    redirect: &str,
    secret: Option<&str>,
    more: &str,
) -> (MockServer, Connection) {
    let server = MockServer::start(config);
    let options = ClientOptions {
        redirect_uris: vec![redirect.to_owned()],
        secret: secret.map(str::to_owned),
        scopes: vec!["read".to_owned(), "openid".to_owned()],
        ..ClientOptions::default()
    };
    server.register::<&str>(CLIENT_ID, &[], options);
    let secret = secret.map_or(String::new(), |secret| format!("ClientSecret={{{secret}}};"));
    let string = format!(
        "{more};AuthenticationMethod=56;ClientID={CLIENT_ID};{secret}Scope=read;RedirectURI={redirect};\
         ConsentTimeout=20;AuthURI={};TokenURI={}",
        server.url("/oauth/auth"),
        server.url("/oauth/token"),
    );
    let connection = open(&string).unwrap();
    (server, connection)
}

fn get_token_error(connection: &Connection) -> Box<Failure> {
    connection.get_token().unwrap_err()
}

#[test]
fn login_yields_token_and_refreshes_silently() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    let (outcome, page) = authorize_with_test_browser(&connection);
    outcome.unwrap();
    let page = page.unwrap();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("logged in"), "{page}");
    let first = connection.get_token().unwrap();
    assert_eq!(first.scope().as_deref(), Some("read"));
    assert_eq!(server.token_requests().len(), 1, "the token of the login is used");
    connection.reject(&first);
    let second = connection.get_token().unwrap();
    assert_ne!(first.value(), second.value());
    let requests = server.token_requests();
    assert_eq!(requests[1].parameter("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(requests[0].method, "POST");
}

/// RFC 8252 section 7.3.
#[test]
fn redirect_port_zero_is_replaced_by_free_port() {
    let (server, connection) =
        open_login_connection_at(Config::http(), "http://127.0.0.1:0/cb", None, "EnableLoginPrompt=0");
    let valid: serde_json::Value = serde_json::from_str(&connection.validate()).unwrap();
    assert_eq!(valid["valid"], true, "{valid}");
    let failure = connection.consent_url().unwrap_err();
    assert_eq!(
        (failure.status, failure.option.as_deref()),
        (AUTHGRANT_INVALID_OPTION, Some("RedirectURI")),
        "{failure:?}"
    );
    let required = get_token_error(&connection);
    assert_eq!((required.status, required.consent_url.as_deref()), (AUTHGRANT_CONSENT_REQUIRED, None));
    let mut ports = Vec::new();
    for _ in 0..2 {
        authorize_with_test_browser(&connection).0.unwrap();
        let sent = server.token_requests().last().unwrap().parameter("redirect_uri").unwrap();
        let port = sent.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix("/cb")).unwrap();
        ports.push(port.parse::<u16>().unwrap());
    }
    assert!(!ports.contains(&0), "{ports:?}");
    connection.get_token().unwrap();
    connection.set_option("OAuthCode", "code").unwrap();
    let failure = get_token_error(&connection);
    assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_INVALID_OPTION, Some("RedirectURI")));
}

#[test]
fn page_after_failed_code_exchange_shows_error() {
    let (server, connection) = open_login_connection(Config::http(), None, "ApplicationName=Reports");
    server.set_script(vec![Behavior::Json {
        status: 400,
        body: json!({ "error": "invalid_grant", "error_description": "<script>alert(1)</script>" }),
        headers: Vec::new(),
    }]);
    let (outcome, page) = authorize_with_test_browser(&connection);
    assert_eq!(outcome.unwrap_err().oauth_error.as_deref(), Some("invalid_grant"));
    let page = page.unwrap();
    assert!(!page.contains("You are logged in"), "{page}");
    assert!(page.contains("You are not logged in to <strong>Reports</strong>"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"), "{page}");
    assert_eq!(get_token_error(&connection).status, AUTHGRANT_CONSENT_REQUIRED);
}

/// The `nonce` of each authorization request.
fn sent_nonces(server: &MockServer) -> Vec<Option<String>> {
    let requests = server.requests().into_iter().filter(|request| request.path == "/oauth/auth");
    requests.map(|request| request.parameter("nonce")).collect()
}

#[test]
fn login_with_openid_scope_sends_nonce() {
    for (scope, has_nonce) in [("openid", true), ("read openid", true), ("read", false)] {
        for nonce in [NonceBehavior::Return, NonceBehavior::Require] {
            let (server, connection) =
                open_login_connection(Config { nonce, ..Config::http() }, None, &format!("Scope={scope}"));
            for _ in 0..2 {
                authorize_with_test_browser(&connection).0.unwrap();
            }
            assert_eq!(connection.get_token().unwrap().field("id_token").is_some(), has_nonce);
            let nonces = sent_nonces(&server);
            assert_eq!(nonces.len(), 2);
            assert!(nonces.iter().all(|nonce| nonce.as_ref().map(String::len) == has_nonce.then_some(43)));
            assert_eq!(nonces[0] == nonces[1], !has_nonce, "each login has its own nonce");
        }
    }
}

#[test]
fn wrong_nonce_in_id_token_is_rejected() {
    for nonce in [NonceBehavior::Ignore, NonceBehavior::Replace] {
        let (_server, connection) =
            open_login_connection(Config { nonce, ..Config::http() }, None, "Scope=openid");
        let (outcome, page) = authorize_with_test_browser(&connection);
        let failure = outcome.unwrap_err();
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_BAD_RESPONSE, Some("Scope")),
            "{nonce:?}"
        );
        assert!(page.unwrap().contains("You are not logged in"));
        assert_eq!(get_token_error(&connection).status, AUTHGRANT_CONSENT_REQUIRED);
    }
}

#[test]
fn refused_nonce_is_omitted_in_second_request() {
    let config = Config { nonce: NonceBehavior::Refuse, ..Config::http() };
    let (server, connection) = open_login_connection(config, None, "Scope=openid");
    let (outcome, page) = authorize_with_test_browser(&connection);
    outcome.unwrap();
    assert!(page.unwrap().contains("You are logged in"));
    let nonces = sent_nonces(&server);
    assert_eq!((nonces.len(), nonces[0].is_some(), nonces[1].is_some()), (2, true, false));
    assert!(connection.get_token().unwrap().field("id_token").is_some());
}

#[test]
fn other_invalid_request_ends_login_after_second_request() {
    let behavior = AuthorizeBehavior::Error("invalid_request".to_owned());
    let config = Config { authorize: behavior, ..Config::http() };
    let (server, connection) = open_login_connection(config, None, "Scope=openid");
    let failure = authorize_with_test_browser(&connection).0.unwrap_err();
    assert_eq!((failure.status, failure.oauth_error.as_deref()), (AUTHGRANT_DENIED, Some("invalid_request")));
    assert_eq!(sent_nonces(&server).len(), 2);
}

#[test]
fn login_resumes_from_completed_string() {
    let (server, connection) = open_login_connection(Config::http(), Some("s3cret"), "");
    authorize_with_test_browser(&connection).0.unwrap();
    let token = connection.get_token().unwrap();
    let completed = connection.completed_string(AUTHGRANT_WITH_SECRETS | AUTHGRANT_WITH_TOKENS);
    drop(connection);
    let reopened = open(&completed).unwrap();
    let first = reopened.get_token_with(0, 0, AUTHGRANT_NO_NETWORK).unwrap();
    assert_eq!((first.value(), first.expires_at()), (token.value(), token.expires_at()));
    reopened.reject(&first);
    assert_ne!(reopened.get_token().unwrap().value(), token.value());
    let requests = server.token_requests();
    assert_eq!(requests[1].parameter("grant_type").as_deref(), Some("refresh_token"));
}

#[test]
fn client_secret_is_sent_with_code() {
    let (server, connection) = open_login_connection(Config::http(), Some("s3cret;+%&=:"), "");
    authorize_with_test_browser(&connection).0.unwrap();
    connection.get_token().unwrap();
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn missing_login_requires_consent() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    let failure = get_token_error(&connection);
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_CONSENT_REQUIRED, "28000"));
    assert!(failure.consent_url.unwrap().starts_with(&server.url("/oauth/auth?response_type=code&")));
    assert!(server.token_requests().is_empty());
}

#[test]
fn login_is_private_to_connection() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    authorize_with_test_browser(&connection).0.unwrap();
    let redirect =
        server.requests().into_iter().find_map(|request| request.parameter("redirect_uri")).unwrap();
    let other = open(&format!(
        "AuthenticationMethod=51;ClientID={CLIENT_ID};Scope=read;RedirectURI={redirect};ConsentTimeout=20;\
         AuthURI={};TokenURI={}",
        server.url("/oauth/auth"),
        server.url("/oauth/token"),
    ))
    .unwrap();
    assert_eq!(get_token_error(&other).status, AUTHGRANT_CONSENT_REQUIRED);
    connection.get_token().unwrap();
}

#[test]
fn ended_session_without_refresh_token_requires_consent() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    let consent_url = get_token_error(&connection).consent_url;
    assert!(consent_url.is_some());
    server.set_script(vec![Behavior::TokenAnswer(
        r#"{"access_token":"at","token_type":"Bearer","expires_in":60}"#.to_owned(),
    )]);
    authorize_with_test_browser(&connection).0.unwrap();
    let token = connection.get_token().unwrap();
    connection.reject(&token);
    let failure = get_token_error(&connection);
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_CONSENT_REQUIRED, "28000"));
    assert_eq!(failure.consent_url, consent_url);
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn revoked_refresh_token_requires_consent_without_second_request() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    let consent_url = get_token_error(&connection).consent_url;
    authorize_with_test_browser(&connection).0.unwrap();
    let token = connection.get_token().unwrap();
    assert!(server.revoke(&server.refresh_tokens()[0]));
    connection.reject(&token);
    let failure = get_token_error(&connection);
    assert_eq!(
        (failure.status, failure.oauth_error.as_deref()),
        (AUTHGRANT_CONSENT_REQUIRED, Some("invalid_grant"))
    );
    assert_eq!(failure.consent_url, consent_url);
    assert!(failure.consent_url.is_some());
    connection.set_option("ApplicationName", "clears the cached error").unwrap();
    let failure = get_token_error(&connection);
    assert_eq!((failure.status, failure.consent_url), (AUTHGRANT_CONSENT_REQUIRED, consent_url));
    assert_eq!(server.token_requests().len(), 2, "a rejected refresh token is not sent again");
    authorize_with_test_browser(&connection).0.unwrap();
    connection.get_token().unwrap();
}

#[test]
fn rejected_configured_refresh_token_requires_consent() {
    for method in ["51", "56"] {
        let (server, connection) = open_login_connection(Config::http(), None, "RefreshToken=unknown");
        connection.set_option("AuthenticationMethod", method).unwrap();
        let failure = get_token_error(&connection);
        assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
        assert!(failure.consent_url.unwrap().starts_with(&server.url("/oauth/auth?")));
        assert_eq!(server.token_requests().len(), 1);
    }
}

/// The code of a user who opened the consent URL manually.
fn fetch_code_manually(server: &MockServer, connection: &Connection) -> String {
    let mut url = null_mut();
    let status =
        authgrant::ffi::authorize::authgrant_consent_url(connection.handle(), &raw mut url, null_mut());
    assert_eq!(status, AUTHGRANT_OK);
    let text = c_str_to_string(url).unwrap();
    authgrant::ffi::text::authgrant_string_free(url);
    server.reconfigure(|config| config.require_pkce = false);
    let redirect = redirect_location(&http_get(&text)).unwrap();
    redirect.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap().to_owned()
}

#[test]
fn manual_code_is_sent_once() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    let code = fetch_code_manually(&server, &connection);
    connection.set_option("OAuthCode", &code).unwrap();
    server.set_script(vec![Behavior::Json {
        status: 503,
        body: serde_json::Value::Null,
        headers: Vec::new(),
    }]);
    assert_eq!(get_token_error(&connection).status, AUTHGRANT_SERVER_ERROR);
    let failure = get_token_error(&connection);
    assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_TOKEN_EXPIRED, Some("OAuthCode")));
    assert_eq!(server.token_requests().len(), 1, "a code is sent only once");
    let code = fetch_code_manually(&server, &connection);
    connection.set_option("OAuthCode", &code).unwrap();
    let token = connection.get_token().unwrap();
    connection.reject(&token);
    connection.get_token().unwrap();
    let grants: Vec<_> =
        server.token_requests().iter().map(|request| request.parameter("grant_type").unwrap()).collect();
    assert_eq!(grants, ["authorization_code", "authorization_code", "refresh_token"]);
}

#[test]
fn foreign_iss_is_rejected() {
    let config = Config { authorization_iss: Some("https://other.example".to_owned()), ..Config::http() };
    let (server, connection) = open_login_connection(config, None, "");
    connection.set_option("ConsentTimeout", "1").unwrap();
    let (outcome, page) = authorize_with_test_browser(&connection);
    assert_eq!(outcome.unwrap_err().status, AUTHGRANT_TIMEOUT);
    assert!(page.unwrap().starts_with("HTTP/1.1 400"));
    let own = server.url("");
    server.reconfigure(|config| config.authorization_iss = Some(own));
    connection.set_option("ConsentTimeout", "20").unwrap();
    authorize_with_test_browser(&connection).0.unwrap();
}

#[test]
fn declined_login_is_denied() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    server.reconfigure(|config| config.authorize = AuthorizeBehavior::Error("access_denied".to_owned()));
    let failure = authorize_with_test_browser(&connection).0.unwrap_err();
    assert_eq!((failure.status, failure.oauth_error.as_deref()), (AUTHGRANT_DENIED, Some("access_denied")));
    assert!(server.token_requests().is_empty());
}

extern "C" fn store_refresh_token(token: *const c_char, context: *mut c_void) {
    // SAFETY: the context is the list in the test below, and the text is NUL-terminated.
    let (stored, token) = unsafe { (&*context.cast::<Mutex<Vec<CString>>>(), CStr::from_ptr(token)) };
    stored.lock().unwrap().push(token.to_owned());
}

#[test]
fn refresh_token_is_reported_before_access_token() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    let stored: Mutex<Vec<CString>> = Mutex::default();
    let context = std::ptr::from_ref(&stored).cast_mut().cast();
    let set_callback = authgrant::ffi::authorize::authgrant_set_refresh_token_callback;
    let status = set_callback(connection.handle(), Some(store_refresh_token), context, null_mut());
    assert_eq!(status, AUTHGRANT_OK);
    authorize_with_test_browser(&connection).0.unwrap();
    let token = connection.get_token().unwrap();
    connection.reject(&token);
    connection.get_token().unwrap();
    let reported: Vec<_> =
        stored.lock().unwrap().iter().map(|token| token.to_str().unwrap().to_owned()).collect();
    assert_eq!(reported.len(), 2);
    assert_eq!(server.token_requests()[1].parameter("refresh_token").as_deref(), Some(reported[0].as_str()));
    let restarted = open(&format!(
        "RefreshToken={{{}}};AuthenticationMethod=54;ClientID={CLIENT_ID};TokenURI={}",
        reported[1],
        server.url("/oauth/token")
    ));
    restarted.unwrap().get_token().unwrap();
}

#[test]
fn logoff_ends_login() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    connection.set_option("LogoffURI", &server.url("/oauth/logoff")).unwrap();
    authorize_with_test_browser(&connection).0.unwrap();
    connection.get_token().unwrap();
    let status = authgrant::ffi::authorize::authgrant_logoff(connection.handle(), null_mut());
    assert_eq!((status, server.logoff_count()), (AUTHGRANT_OK, 2), "refresh and access token");
    assert_eq!(get_token_error(&connection).status, AUTHGRANT_CONSENT_REQUIRED);
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn close_revokes_login_that_was_not_exported() {
    for (include, count) in [(None, 2), (Some(AUTHGRANT_WITH_TOKENS), 0), (Some(AUTHGRANT_WITH_SECRETS), 0)] {
        let (server, connection) = open_login_connection(Config::http(), None, "");
        connection.set_option("LogoffURI", &server.url("/oauth/logoff")).unwrap();
        authorize_with_test_browser(&connection).0.unwrap();
        let exported = include.map(|include| connection.completed_string(include));
        assert!(exported.is_none_or(|text| text.contains("RefreshToken=")));
        drop(connection);
        assert_eq!(server.logoff_count(), count, "{include:?}");
    }
}

#[test]
fn end_session_mode_sends_id_token_instead_of_tokens() {
    let logoff = Behavior::Redirect { location: "https://app.example/bye".to_owned() };
    let (server, connection) = open_login_connection(
        Config { logoff, ..Config::http() },
        None,
        "Scope=openid;LogoffMode=EndSession",
    );
    connection.set_option("LogoffURI", &server.url("/oauth/logoff")).unwrap();
    let log_off = |connection: &Connection| {
        authgrant::ffi::authorize::authgrant_logoff(connection.handle(), null_mut())
    };
    assert_eq!((log_off(&connection), server.logoff_count()), (AUTHGRANT_OK, 0), "there is no login yet");
    authorize_with_test_browser(&connection).0.unwrap();
    let id_token = connection.get_token().unwrap().field("id_token");
    assert_eq!((log_off(&connection), server.logoff_count()), (AUTHGRANT_OK, 1));
    let request = server.requests().pop().unwrap();
    assert_eq!(request.parameter("id_token_hint"), id_token);
    assert_eq!(request.parameter("client_id").as_deref(), Some(CLIENT_ID));
    assert_eq!(request.parameter("token"), None);
    assert_eq!(get_token_error(&connection).status, AUTHGRANT_CONSENT_REQUIRED);
    authorize_with_test_browser(&connection).0.unwrap();
    server.reconfigure(|config| config.logoff = Behavior::Html { status: 400 });
    connection.get_token().unwrap();
    assert_eq!(log_off(&connection), AUTHGRANT_BAD_RESPONSE);
    authorize_with_test_browser(&connection).0.unwrap();
    drop(connection);
    assert_eq!(server.logoff_count(), 2, "closing ends no session");
}

#[test]
fn end_session_mode_without_id_token_is_unsupported() {
    let (server, connection) = open_login_connection(Config::http(), None, "LogoffMode=EndSession");
    connection.set_option("LogoffURI", &server.url("/oauth/logoff")).unwrap();
    authorize_with_test_browser(&connection).0.unwrap();
    let status = authgrant::ffi::authorize::authgrant_logoff(connection.handle(), null_mut());
    assert_eq!((status, server.logoff_count()), (AUTHGRANT_UNSUPPORTED, 0));
}

#[test]
fn close_does_not_revoke_refresh_token_of_callback() {
    let (server, connection) = open_login_connection(Config::http(), None, "");
    connection.set_option("LogoffURI", &server.url("/oauth/logoff")).unwrap();
    let stored: Mutex<Vec<CString>> = Mutex::default();
    let context = std::ptr::from_ref(&stored).cast_mut().cast();
    let set_callback = authgrant::ffi::authorize::authgrant_set_refresh_token_callback;
    let status = set_callback(connection.handle(), Some(store_refresh_token), context, null_mut());
    assert_eq!(status, AUTHGRANT_OK);
    authorize_with_test_browser(&connection).0.unwrap();
    connection.get_token().unwrap();
    drop(connection);
    assert_eq!((stored.lock().unwrap().len(), server.logoff_count()), (1, 0));
}

#[cfg(all(unix, not(target_os = "macos")))]
mod prompts {
    use super::*;
    use crate::support::fake_xdg_open::{
        RECORDING_SCRIPT, install_fake_xdg_open, is_subprocess, rerun_with_path, wait_for_recorded_arguments,
    };

    #[test]
    fn get_token_opens_browser_when_permitted() {
        const NAME: &str = "login::prompts::get_token_opens_browser_when_permitted";
        if !is_subprocess(NAME) {
            return rerun_with_path(NAME, install_fake_xdg_open(RECORDING_SCRIPT).path());
        }
        let (server, connection) =
            open_login_connection(Config::http(), None, "EnableLoginPrompt=1;LoginTimeout=1");
        for (flags, status) in [
            (AUTHGRANT_NO_PROMPT, AUTHGRANT_CONSENT_REQUIRED),
            (AUTHGRANT_NO_PROMPT | AUTHGRANT_NO_NETWORK, AUTHGRANT_NOT_CACHED),
        ] {
            let failure = connection.get_token_with(0, 0, flags).unwrap_err();
            assert_eq!(failure.status, status, "{failure:?}");
        }
        let user = std::thread::spawn(|| {
            let arguments = wait_for_recorded_arguments();
            // Longer than LoginTimeout, which does not limit the time of the user.
            std::thread::sleep(std::time::Duration::from_millis(1500));
            http_get(&redirect_location(&http_get(arguments.lines().nth(1).unwrap())).unwrap())
        });
        let token = connection.get_token().unwrap();
        assert!(user.join().unwrap().starts_with("HTTP/1.1 200"));
        assert_eq!(token.scope().as_deref(), Some("read"));
        assert_eq!(server.token_requests().len(), 1);
    }

    #[test]
    fn call_timeout_bounds_interactive_login() {
        const NAME: &str = "login::prompts::call_timeout_bounds_interactive_login";
        if !is_subprocess(NAME) {
            return rerun_with_path(NAME, install_fake_xdg_open("exit 0").path());
        }
        let (_authority, connection) = open_login_connection(Config::http(), None, "EnableLoginPrompt=1");
        let failure = connection.get_token_with(300, 0, 0).unwrap_err();
        assert_eq!(failure.status, AUTHGRANT_TIMEOUT);
    }
}
