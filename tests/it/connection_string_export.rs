//! The completed connection string with its tokens, as a host keeps it for its next start: through the C API, against the
//! strict authority.

use crate::support::c_api::{get_token, open};
use crate::support::minimal_string;
use authgrant::ffi::status::*;
use mock_server::{Behavior, ClientAuth, ClientOptions, Config, GrantType, MockServer};

const CLIENT_ID: &str = "the client";
const EXPIRED_TIME: &str = "2001-09-09T01:46:40Z";

/// An authority whose client may go on from a refresh token, and the options that do.
fn start_server_with_refresh_token() -> (MockServer, String) {
    let authority = MockServer::start(Config::http());
    let options = ClientOptions {
        grant_types: vec![GrantType::RefreshToken],
        client_auth: Some(ClientAuth::Public),
        ..ClientOptions::default()
    };
    authority.register::<&str>(CLIENT_ID, &[], options);
    let first = authority.issue_refresh_token(CLIENT_ID, "jo", Some("a"));
    let string =
        format!("am=54;RefreshToken={first};ClientID={CLIENT_ID};TokenURI={}", authority.url("/oauth/token"));
    (authority, string)
}

#[test]
fn restart_reuses_access_token_then_refreshes() {
    let (authority, string) = start_server_with_refresh_token();
    let connection = open(&string).unwrap();
    let token = connection.get_token().unwrap();
    let completed = connection.completed_string(AUTHGRANT_WITH_TOKENS);
    drop(connection);
    for word in ["Auth_AccessToken=at-", "Auth_RefreshToken=", "Auth_Expires=20", "Auth_Scope=a;"] {
        assert!(completed.contains(word), "no {word} in {completed}");
    }

    let again = open(&completed).unwrap();
    assert_eq!(again.warnings(), []);
    let first = again.get_token_with(0, 0, AUTHGRANT_NO_NETWORK).unwrap();
    assert_eq!((first.value(), first.expires_at()), (token.value(), token.expires_at()));
    assert_eq!(authority.token_requests().len(), 1, "nobody was asked for it");
    again.set_option("Auth_Expires", EXPIRED_TIME).unwrap();
    assert_ne!(again.get_token().unwrap().value(), token.value());
    assert_eq!(authority.token_requests().len(), 2);
}

#[test]
fn rejected_restored_token_is_refreshed() {
    let (authority, string) = start_server_with_refresh_token();
    let connection = open(&string).unwrap();
    let token = connection.get_token().unwrap();
    let again = open(&connection.completed_string(AUTHGRANT_WITH_TOKENS)).unwrap();
    let before = again.get_token().unwrap();
    assert_eq!(before.value(), token.value());
    again.reject(&before);
    let renewed = again.get_token().unwrap();
    assert_ne!(renewed.value(), token.value());
    assert_eq!(again.get_token().unwrap().value(), renewed.value());
    assert_eq!(authority.token_requests().len(), 2);
    let last = again.completed_string(AUTHGRANT_WITH_TOKENS);
    assert!(last.contains(&renewed.value()) && !last.contains(&token.value()), "{last}");
}

#[test]
fn export_with_secrets_has_latest_refresh_token() {
    let (authority, string) = start_server_with_refresh_token();
    let connection = open(&string).unwrap();
    connection.get_token().unwrap();
    let completed = connection.completed_string(AUTHGRANT_WITH_SECRETS);
    assert!(completed.contains("RefreshToken=") && !completed.contains("Auth_"), "{completed}");
    get_token(&completed).unwrap();
    assert_eq!(authority.token_requests().len(), 2);
    let bare = connection.completed_string(0);
    assert!(!bare.contains("RefreshToken") && !bare.contains("Token="), "{bare}");
}

#[test]
fn expired_configured_token_is_not_used() {
    let (authority, string) = start_server_with_refresh_token();
    for (number, more) in [format!("Auth_Expires={EXPIRED_TIME};"), String::new()].into_iter().enumerate() {
        let fresh = authority.issue_refresh_token(CLIENT_ID, "jo", Some("a"));
        let string = format!("Auth_AccessToken=given;{more}RefreshToken={fresh};{string}");
        assert_ne!(get_token(&string).unwrap().value(), "given");
        assert_eq!(authority.token_requests().len(), number + 1);
    }
    let string = format!("Auth_AccessToken=given;Auth_Expires=2999-01-01T00:00:00+01:00;{string}");
    assert_eq!(get_token(&string).unwrap().value(), "given");
    let failure = get_token(&string.replace("2999-01-01T00:00:00+01:00", "tomorrow")).unwrap_err();
    assert_eq!(
        (failure.status, failure.option.as_deref()),
        (AUTHGRANT_INVALID_OPTION, Some("AccessTokenExpires"))
    );
}

#[test]
fn configured_expiry_applies_to_preset_token() {
    let string = "am=50;AccessToken=given;Auth_Expires=2999-01-01T00:00:00Z";
    let connection = open(string).unwrap();
    let wanted = "AuthenticationMethod=50;Auth_AccessToken=given;Auth_Expires=2999-01-01T00:00:00Z;";
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_TOKENS), wanted, "before it was asked for");
    assert_eq!(connection.get_token().unwrap().expires_at(), 32_472_144_000);
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_TOKENS), wanted);
    let failure = get_token(&format!("am=50;AccessToken=given;Auth_Expires={EXPIRED_TIME}")).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TOKEN_EXPIRED, "08006"));
}

#[test]
fn inferred_method_is_exported_with_access_token() {
    let authority = MockServer::start(Config::http());
    authority.set_default_behavior(Behavior::TokenAnswer(
        r#"{"access_token":"at","token_type":"Bearer","expires_in":3600}"#.to_owned(),
    ));
    for (credentials, method) in [
        ("UID=u;PWD=p", "52"),
        ("ClientID=c;ClientSecret=s", "53"),
        ("am=24;ClientID=d;ClientSecret=s", "53"),
    ] {
        let connection = open(&format!("{credentials};TokenURI={}", authority.url("/oauth/token"))).unwrap();
        assert!(!connection.completed_string(3).contains("AuthenticationMethod=5"), "nothing is cached yet");
        connection.get_token().unwrap();
        let completed = connection.completed_string(3);
        assert!(completed.contains(&format!("AuthenticationMethod={method};")), "{completed}");
        let before = authority.token_requests().len();
        open(&format!("CacheScope=Connection;{completed}")).unwrap().get_token().unwrap();
        assert_eq!(authority.token_requests().len(), before + 1, "the credentials are still put to use");
    }
}

#[test]
fn incomplete_options_can_be_exported() {
    let connection = open("RefreshToken=r;am=54;Scope=a b").unwrap();
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_TOKENS), "AuthenticationMethod=54;Scope={a b};");
    let whole = "AuthenticationMethod=54;Scope={a b};RefreshToken=r;";
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_SECRETS), whole);
}

#[test]
fn private_cache_scope_fetches_own_token() {
    let authority = crate::support::start_mock_server(Config::http());
    let string = minimal_string(&authority, "");
    let shared = get_token(&string).unwrap().value();
    let alone = open(&minimal_string(&authority, "CacheScope=connection")).unwrap();
    let own = alone.get_token().unwrap().value();
    assert_ne!(own, shared);
    assert_eq!(alone.get_token().unwrap().value(), own);
    assert_eq!(get_token(&string).unwrap().value(), shared);
}

#[test]
fn ws_timeout_bounds_single_request() {
    let (authority, string) = start_server_with_refresh_token();
    authority.set_default_behavior(Behavior::NeverAnswer);
    for options in [string.clone(), minimal_string(&authority, "")] {
        let before = authority.token_requests().len();
        let failure = get_token(&format!("WSTimeout=1;LoginTimeout=0;{options}")).unwrap_err();
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TIMEOUT, "HYT01"), "{failure:?}");
        assert!(failure.message.contains("within 1 s (WSTimeout)"), "{failure:?}");
        assert_eq!((failure.retryable, authority.token_requests().len()), (1, before + 1));
    }
    let failure = get_token(&format!("WSTimeout=60;LoginTimeout=1;{string}")).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TIMEOUT, "HYT00"), "{failure:?}");
    let failure = get_token(&format!("WSTimeout=0;LoginTimeout=1;{string}")).unwrap_err();
    assert_eq!(failure.sqlstate, "HYT00");
}
