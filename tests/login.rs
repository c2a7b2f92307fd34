//! Logins by the authorization code grant with PKCE: through the C API, with the authority's own authorization page.

mod support;

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::null_mut;
use std::sync::Mutex;

use authgrant::ffi::status::*;
use authority::{Authority, Authorize, ClientOptions, Config, Play};
use support::browser::{authorize, free_port, get, location};
use support::c_api::{Connection, Failure, open, text};

const CLIENT: &str = "app";

/// An authority with one client that logs people in, and a connection of that client.
fn desk(config: Config, secret: Option<&str>, more: &str) -> (Authority, Connection) {
    let authority = Authority::start(config);
    let redirect = format!("http://127.0.0.1:{}/cb", free_port());
    let options = ClientOptions {
        redirect_uris: vec![redirect.clone()],
        secret: secret.map(str::to_owned),
        scopes: vec!["read".to_owned(), "openid".to_owned()],
        ..ClientOptions::default()
    };
    authority.register::<&str>(CLIENT, &[], options);
    let secret = secret.map_or(String::new(), |secret| format!("ClientSecret={{{secret}}};"));
    let string = format!(
        "{more};AuthenticationMethod=56;ClientID={CLIENT};{secret}Scope=read;RedirectURI={redirect};ConsentTimeout=20;\
         AuthURI={};TokenURI={}",
        authority.url("/oauth/auth"),
        authority.url("/oauth/token"),
    );
    let connection = open(&string).unwrap();
    (authority, connection)
}

fn refused(connection: &Connection) -> Box<Failure> {
    connection.get_token().unwrap_err()
}

#[test]
fn a_login_brings_the_token_and_is_renewed_without_the_person() {
    let (authority, connection) = desk(Config::http(), None, "");
    let (outcome, page) = authorize(&connection);
    outcome.unwrap();
    let page = page.unwrap();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("You are logged in to"), "{page}");
    let first = connection.get_token().unwrap();
    assert_eq!(first.scope().as_deref(), Some("read"));
    assert_eq!(authority.token_requests().len(), 1, "the login's own token is the connection's");
    connection.reject(&first);
    let second = connection.get_token().unwrap();
    assert_ne!(first.value(), second.value());
    let requests = authority.token_requests();
    assert_eq!(requests[1].parameter("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(requests[0].method, "POST");
}

#[test]
fn after_a_restart_a_login_goes_on_from_its_completed_string() {
    let (authority, connection) = desk(Config::http(), Some("s3cret"), "");
    authorize(&connection).0.unwrap();
    let token = connection.get_token().unwrap();
    let completed = connection.completed_string(AUTHGRANT_WITH_SECRETS | AUTHGRANT_WITH_TOKENS);
    drop(connection);
    let again = open(&completed).unwrap();
    let first = again.get_token_with(0, 0, AUTHGRANT_NO_NETWORK).unwrap();
    assert_eq!((first.value(), first.expires_at()), (token.value(), token.expires_at()));
    again.reject(&first);
    assert_ne!(again.get_token().unwrap().value(), token.value());
    let requests = authority.token_requests();
    assert_eq!(requests[1].parameter("grant_type").as_deref(), Some("refresh_token"));
}

#[test]
fn a_secret_goes_along_where_there_is_one() {
    let (authority, connection) = desk(Config::http(), Some("s3cret;+%&=:"), "");
    authorize(&connection).0.unwrap();
    connection.get_token().unwrap();
    assert_eq!(authority.token_requests().len(), 1);
}

#[test]
fn nobody_has_logged_in_yet() {
    let (authority, connection) = desk(Config::http(), None, "");
    let failure = refused(&connection);
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_CONSENT_REQUIRED, "28000"));
    assert!(failure.message.contains("authgrant_authorize"), "{failure:?}");
    assert!(failure.consent_url.unwrap().starts_with(&authority.url("/oauth/auth?response_type=code&")));
    assert!(authority.token_requests().is_empty());
}

#[test]
fn a_login_belongs_to_its_connection_alone() {
    let (authority, connection) = desk(Config::http(), None, "");
    authorize(&connection).0.unwrap();
    let redirect =
        authority.requests().into_iter().find_map(|request| request.parameter("redirect_uri")).unwrap();
    let other = open(&format!(
        "AuthenticationMethod=51;ClientID={CLIENT};Scope=read;RedirectURI={redirect};ConsentTimeout=20;AuthURI={};TokenURI={}",
        authority.url("/oauth/auth"),
        authority.url("/oauth/token"),
    ))
    .unwrap();
    assert_eq!(refused(&other).status, AUTHGRANT_CONSENT_REQUIRED);
    connection.get_token().unwrap();
}

#[test]
fn a_login_without_a_refresh_token_ends_with_its_token() {
    let (authority, connection) = desk(Config::http(), None, "");
    authority.play(vec![Play::TokenAnswer(
        r#"{"access_token":"at","token_type":"Bearer","expires_in":60}"#.to_owned(),
    )]);
    authorize(&connection).0.unwrap();
    let token = connection.get_token().unwrap();
    connection.reject(&token);
    let failure = refused(&connection);
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_EXPIRED, "08006"));
    assert_eq!(authority.token_requests().len(), 1);
}

#[test]
fn a_refresh_token_that_is_refused_ends_the_login() {
    let (authority, connection) = desk(Config::http(), None, "");
    authorize(&connection).0.unwrap();
    let token = connection.get_token().unwrap();
    assert!(authority.revoke(&authority.refresh_tokens()[0]));
    connection.reject(&token);
    let failure = refused(&connection);
    assert_eq!((failure.status, failure.oauth_error.as_deref()), (AUTHGRANT_EXPIRED, Some("invalid_grant")));
}

/// The code of a person who opened the consent URL elsewhere.
fn code_by_hand(authority: &Authority, connection: &Connection) -> String {
    let mut url = null_mut();
    let status =
        authgrant::ffi::authorize::authgrant_consent_url(connection.handle(), &raw mut url, null_mut());
    assert_eq!(status, AUTHGRANT_OK);
    let seen = text(url).unwrap();
    authgrant::ffi::text::authgrant_text_free(url);
    authority.reconfigure(|config| config.require_pkce = false);
    let back = location(&get(&seen)).unwrap();
    back.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap().to_owned()
}

#[test]
fn a_code_that_a_person_brought_is_sent_once() {
    let (authority, connection) = desk(Config::http(), None, "");
    let code = code_by_hand(&authority, &connection);
    connection.set_option("OAuthCode", &code).unwrap();
    authority.play(vec![Play::Json { status: 503, body: serde_json::Value::Null, headers: Vec::new() }]);
    assert_eq!(refused(&connection).status, AUTHGRANT_SERVER);
    let failure = refused(&connection);
    assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_EXPIRED, Some("OAuthCode")));
    assert_eq!(authority.token_requests().len(), 1, "never twice");
    let code = code_by_hand(&authority, &connection);
    connection.set_option("OAuthCode", &code).unwrap();
    let token = connection.get_token().unwrap();
    connection.reject(&token);
    connection.get_token().unwrap();
    let grants: Vec<_> =
        authority.token_requests().iter().map(|one| one.parameter("grant_type").unwrap()).collect();
    assert_eq!(grants, ["authorization_code", "authorization_code", "refresh_token"]);
}

#[test]
fn an_iss_of_another_server_is_turned_away() {
    let config = Config { authorization_iss: Some("https://other.example".to_owned()), ..Config::http() };
    let (authority, connection) = desk(config, None, "");
    connection.set_option("ConsentTimeout", "1").unwrap();
    let (outcome, page) = authorize(&connection);
    assert_eq!(outcome.unwrap_err().status, AUTHGRANT_TIMEOUT);
    assert!(page.unwrap().starts_with("HTTP/1.1 400"));
    let own = authority.url("");
    authority.reconfigure(|config| config.authorization_iss = Some(own));
    connection.set_option("ConsentTimeout", "20").unwrap();
    authorize(&connection).0.unwrap();
}

#[test]
fn a_person_who_declines_is_a_denial() {
    let (authority, connection) = desk(Config::http(), None, "");
    authority.reconfigure(|config| config.authorize = Authorize::Error("access_denied".to_owned()));
    let failure = authorize(&connection).0.unwrap_err();
    assert_eq!((failure.status, failure.oauth_error.as_deref()), (AUTHGRANT_DENIED, Some("access_denied")));
    assert!(authority.token_requests().is_empty());
}

extern "C" fn keep(token: *const c_char, kept: *mut c_void) {
    // SAFETY: the context is the list below, and the text is NUL-terminated.
    let (kept, token) = unsafe { (&*kept.cast::<Mutex<Vec<CString>>>(), CStr::from_ptr(token)) };
    kept.lock().unwrap().push(token.to_owned());
}

#[test]
fn each_refresh_token_is_told_before_its_token_is_handed_out() {
    let (authority, connection) = desk(Config::http(), None, "");
    let kept: Mutex<Vec<CString>> = Mutex::default();
    let context = std::ptr::from_ref(&kept).cast_mut().cast();
    let set = authgrant::ffi::authorize::authgrant_set_on_refresh_token;
    assert_eq!(set(connection.handle(), Some(keep), context, null_mut()), AUTHGRANT_OK);
    authorize(&connection).0.unwrap();
    let token = connection.get_token().unwrap();
    connection.reject(&token);
    connection.get_token().unwrap();
    let told: Vec<_> = kept.lock().unwrap().iter().map(|one| one.to_str().unwrap().to_owned()).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(authority.token_requests()[1].parameter("refresh_token").as_deref(), Some(told[0].as_str()));
    let restarted = open(&format!(
        "RefreshToken={{{}}};AuthenticationMethod=54;ClientID={CLIENT};TokenURI={}",
        told[1],
        authority.url("/oauth/token")
    ));
    restarted.unwrap().get_token().unwrap();
}

#[test]
fn a_logoff_ends_the_login() {
    let (authority, connection) = desk(Config::http(), None, "");
    connection.set_option("LogoffURI", &authority.url("/oauth/logoff")).unwrap();
    authorize(&connection).0.unwrap();
    connection.get_token().unwrap();
    let status = authgrant::ffi::authorize::authgrant_logoff(connection.handle(), null_mut());
    assert_eq!((status, authority.logoffs()), (AUTHGRANT_OK, 1));
    assert_eq!(refused(&connection).status, AUTHGRANT_CONSENT_REQUIRED);
    assert_eq!(authority.token_requests().len(), 1);
}

#[cfg(all(unix, not(target_os = "macos")))]
mod prompts {
    use super::*;
    use crate::support::desktop::{WRITES_DOWN, desktop, is_the_part, with_path, written_down};

    #[test]
    fn a_call_that_needs_a_token_opens_the_browser_where_it_may() {
        const NAME: &str = "prompts::a_call_that_needs_a_token_opens_the_browser_where_it_may";
        if !is_the_part(NAME) {
            return with_path(NAME, desktop(WRITES_DOWN).path());
        }
        let (authority, connection) = desk(Config::http(), None, "EnableLoginPrompt=1;LoginTimeout=1");
        for (flags, status) in [
            (AUTHGRANT_NO_PROMPT, AUTHGRANT_CONSENT_REQUIRED),
            (AUTHGRANT_NO_PROMPT | AUTHGRANT_NO_NETWORK, AUTHGRANT_NOT_CACHED),
        ] {
            let failure = connection.get_token_with(0, 0, flags).unwrap_err();
            assert_eq!(failure.status, status, "{failure:?}");
        }
        let person = std::thread::spawn(|| {
            let seen = written_down();
            // Longer than LoginTimeout: a person needs longer than a server.
            std::thread::sleep(std::time::Duration::from_millis(1500));
            get(&location(&get(seen.lines().nth(1).unwrap())).unwrap())
        });
        let token = connection.get_token().unwrap();
        assert!(person.join().unwrap().starts_with("HTTP/1.1 200"));
        assert_eq!(token.scope().as_deref(), Some("read"));
        assert_eq!(authority.token_requests().len(), 1);
    }

    #[test]
    fn the_callers_own_timeout_bounds_the_person_too() {
        const NAME: &str = "prompts::the_callers_own_timeout_bounds_the_person_too";
        if !is_the_part(NAME) {
            return with_path(NAME, desktop("exit 0").path());
        }
        let (_authority, connection) = desk(Config::http(), None, "EnableLoginPrompt=1");
        let failure = connection.get_token_with(300, 0, 0).unwrap_err();
        assert_eq!(failure.status, AUTHGRANT_TIMEOUT);
    }
}
