//! The completed connection string with its tokens, which an application stores and opens again after a
//! restart: through the C API, with the mock server.

use crate::support::c_api::{get_token, open};
use crate::support::minimal_string;
use authgrant::ffi::status::*;
use mock_server::{Behavior, ClientAuth, ClientOptions, Config, GrantType, MockServer};

const CLIENT_ID: &str = "the client";
const EXPIRED_TIME: &str = "2001-09-09T01:46:40Z";

/// Starts a server with a refresh token of a public client, and returns the connection string that uses it.
fn start_server_with_refresh_token() -> (MockServer, String) {
    let server = MockServer::start(Config::http());
    let options = ClientOptions {
        grant_types: vec![GrantType::RefreshToken],
        client_auth: Some(ClientAuth::Public),
        ..ClientOptions::default()
    };
    server.register::<&str>(CLIENT_ID, &[], options);
    let first = server.issue_refresh_token(CLIENT_ID, "jo", Some("a"));
    let string =
        format!("am=54;RefreshToken={first};ClientID={CLIENT_ID};TokenURI={}", server.url("/oauth/token"));
    (server, string)
}

#[test]
fn restart_reuses_access_token_then_refreshes() {
    let (server, string) = start_server_with_refresh_token();
    let connection = open(&string).unwrap();
    let token = connection.get_token().unwrap();
    let completed = connection.completed_string(AUTHGRANT_WITH_TOKENS);
    drop(connection);
    for fragment in ["Auth_AccessToken=at-", "Auth_RefreshToken=", "Auth_Expires=20", "Auth_Scope=a;"] {
        assert!(completed.contains(fragment), "no {fragment} in {completed}");
    }

    let reopened = open(&completed).unwrap();
    assert_eq!(reopened.warnings(), []);
    let first = reopened.get_token_with(0, 0, AUTHGRANT_NO_NETWORK).unwrap();
    assert_eq!((first.value(), first.expires_at()), (token.value(), token.expires_at()));
    assert_eq!(server.token_requests().len(), 1, "the restored token needs no request");
    reopened.set_option("Auth_Expires", EXPIRED_TIME).unwrap();
    assert_ne!(reopened.get_token().unwrap().value(), token.value());
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn rejected_restored_token_is_refreshed() {
    let (server, string) = start_server_with_refresh_token();
    let connection = open(&string).unwrap();
    let token = connection.get_token().unwrap();
    let reopened = open(&connection.completed_string(AUTHGRANT_WITH_TOKENS)).unwrap();
    let restored = reopened.get_token().unwrap();
    assert_eq!(restored.value(), token.value());
    reopened.reject(&restored);
    let refreshed = reopened.get_token().unwrap();
    assert_ne!(refreshed.value(), token.value());
    assert_eq!(reopened.get_token().unwrap().value(), refreshed.value());
    assert_eq!(server.token_requests().len(), 2);
    let completed = reopened.completed_string(AUTHGRANT_WITH_TOKENS);
    assert!(completed.contains(&refreshed.value()) && !completed.contains(&token.value()), "{completed}");
}

#[test]
fn export_with_secrets_has_latest_refresh_token() {
    let (server, string) = start_server_with_refresh_token();
    let connection = open(&string).unwrap();
    connection.get_token().unwrap();
    let completed = connection.completed_string(AUTHGRANT_WITH_SECRETS);
    assert!(completed.contains("RefreshToken=") && !completed.contains("Auth_"), "{completed}");
    get_token(&completed).unwrap();
    assert_eq!(server.token_requests().len(), 2);
    let without_secrets = connection.completed_string(0);
    assert!(
        !without_secrets.contains("RefreshToken") && !without_secrets.contains("Token="),
        "{without_secrets}"
    );
}

#[test]
fn expired_configured_token_is_not_used() {
    let (server, string) = start_server_with_refresh_token();
    for (number, more) in [format!("Auth_Expires={EXPIRED_TIME};"), String::new()].into_iter().enumerate() {
        let fresh = server.issue_refresh_token(CLIENT_ID, "jo", Some("a"));
        let string = format!("Auth_AccessToken=preset;{more}RefreshToken={fresh};{string}");
        assert_ne!(get_token(&string).unwrap().value(), "preset");
        assert_eq!(server.token_requests().len(), number + 1);
    }
    let string = format!("Auth_AccessToken=preset;Auth_Expires=2999-01-01T00:00:00+01:00;{string}");
    assert_eq!(get_token(&string).unwrap().value(), "preset");
    let failure = get_token(&string.replace("2999-01-01T00:00:00+01:00", "tomorrow")).unwrap_err();
    assert_eq!(
        (failure.status, failure.option.as_deref()),
        (AUTHGRANT_INVALID_OPTION, Some("AccessTokenExpires"))
    );
}

#[test]
fn configured_expiry_applies_to_preset_token() {
    let string = "am=50;AccessToken=preset;Auth_Expires=2999-01-01T00:00:00Z";
    let connection = open(string).unwrap();
    let expected = "AuthenticationMethod=50;Auth_AccessToken=preset;Auth_Expires=2999-01-01T00:00:00Z;";
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_TOKENS), expected, "before the first call");
    assert_eq!(connection.get_token().unwrap().expires_at(), 32_472_144_000);
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_TOKENS), expected);
    let failure = get_token(&format!("am=50;AccessToken=preset;Auth_Expires={EXPIRED_TIME}")).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TOKEN_EXPIRED, "08006"));
}

#[test]
fn inferred_method_is_exported_with_access_token() {
    let server = MockServer::start(Config::http());
    server.set_default_behavior(Behavior::TokenAnswer(
        r#"{"access_token":"at","token_type":"Bearer","expires_in":3600}"#.to_owned(),
    ));
    for (credentials, method) in [
        ("UID=u;PWD=p", "52"),
        ("ClientID=c;ClientSecret=s", "53"),
        ("am=24;ClientID=d;ClientSecret=s", "53"),
    ] {
        let connection = open(&format!("{credentials};TokenURI={}", server.url("/oauth/token"))).unwrap();
        assert!(!connection.completed_string(3).contains("AuthenticationMethod=5"), "nothing is cached yet");
        connection.get_token().unwrap();
        let completed = connection.completed_string(3);
        assert!(completed.contains(&format!("AuthenticationMethod={method};")), "{completed}");
        let before = server.token_requests().len();
        open(&format!("CacheScope=Connection;{completed}")).unwrap().get_token().unwrap();
        assert_eq!(server.token_requests().len(), before + 1, "the credentials are still used");
    }
}

#[test]
fn incomplete_options_can_be_exported() {
    let connection = open("RefreshToken=r;am=54;Scope=a b").unwrap();
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_TOKENS), "AuthenticationMethod=54;Scope={a b};");
    let with_secrets = "AuthenticationMethod=54;Scope={a b};RefreshToken=r;";
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_SECRETS), with_secrets);
}

#[test]
fn given_string_names_data_source_and_has_tokens_on_request() {
    let (_server, string) = start_server_with_refresh_token();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dsn");
    std::fs::write(&path, "[ODBC]\nClaimsIssuer=dsn\nProxyPassword=hunter2\nAllowOverride=1\n").unwrap();
    let given = format!("FILEDSN={};oas=a;{string};", path.display());
    let connection = open(&given).unwrap();
    connection.set_option("Scope", "b").unwrap();
    connection.set_option("Description", "d").unwrap();
    let completed = connection.completed_string(AUTHGRANT_AS_GIVEN);
    assert!(completed.starts_with("FILEDSN=") && completed.contains(";oas=b;"), "{completed}");
    assert!(completed.contains("RefreshToken=") && completed.ends_with(";Description=d;"), "{completed}");
    assert!(!completed.contains("ClaimsIssuer") && !completed.contains("hunter2"), "{completed}");

    // The server grants no other scope.
    connection.set_option("Scope", "a").unwrap();
    let token = connection.get_token().unwrap();
    let with_tokens = connection.completed_string(AUTHGRANT_AS_GIVEN | AUTHGRANT_WITH_TOKENS);
    let reopened = open(&with_tokens).unwrap();
    assert_eq!(reopened.get_token_with(0, 0, AUTHGRANT_NO_NETWORK).unwrap().value(), token.value());
    assert!(!connection.completed_string(AUTHGRANT_AS_GIVEN).contains(&token.value()));
}

#[test]
fn private_cache_scope_fetches_own_token() {
    let server = crate::support::start_mock_server(Config::http());
    let string = minimal_string(&server, "");
    let shared = get_token(&string).unwrap().value();
    let private = open(&minimal_string(&server, "CacheScope=connection")).unwrap();
    let own = private.get_token().unwrap().value();
    assert_ne!(own, shared);
    assert_eq!(private.get_token().unwrap().value(), own);
    assert_eq!(get_token(&string).unwrap().value(), shared);
}

#[test]
fn ws_timeout_bounds_single_request() {
    let (server, string) = start_server_with_refresh_token();
    server.set_default_behavior(Behavior::NeverAnswer);
    for options in [string.clone(), minimal_string(&server, "")] {
        let before = server.token_requests().len();
        let failure = get_token(&format!("WSTimeout=1;LoginTimeout=0;{options}")).unwrap_err();
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TIMEOUT, "HYT01"), "{failure:?}");
        assert!(failure.message.contains("1 s (WSTimeout)"), "{failure:?}");
        assert_eq!((failure.retryable, server.token_requests().len()), (1, before + 1));
    }
    let failure = get_token(&format!("WSTimeout=60;LoginTimeout=1;{string}")).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TIMEOUT, "HYT00"), "{failure:?}");
    let failure = get_token(&format!("WSTimeout=0;LoginTimeout=1;{string}")).unwrap_err();
    assert_eq!(failure.sqlstate, "HYT00");
}

/// The string and the file name the same driver, in braces or not.
#[test]
fn file_dsn_of_same_driver_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dsn");
    for in_file in ["The Driver", "{The Driver}"] {
        std::fs::write(&path, format!("[ODBC]\nDRIVER={in_file}\nScope=a\n")).unwrap();
        for in_string in ["The Driver", "{The Driver}"] {
            let connection = open(&format!("FILEDSN={};DRIVER={in_string}", path.display())).unwrap();
            assert_eq!(connection.completed_string(0), "DRIVER={The Driver};Scope=a;", "{in_file}");
        }
    }
}
