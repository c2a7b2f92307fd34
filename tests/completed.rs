//! The completed connection string with its tokens, as a host keeps it for its next start: through the C API, against the
//! strict authority.

mod support;

use authgrant::ffi::status::*;
use authority::{Authority, ClientAuth, ClientOptions, Config, GrantType, Play};
use support::c_api::{ask, open};
use support::short_string;

const CLIENT: &str = "the client";
const PAST: &str = "2001-09-09T01:46:40Z";

/// An authority whose client may go on from a refresh token, and the options that do.
fn refreshing() -> (Authority, String) {
    let authority = Authority::start(Config::http());
    let options = ClientOptions {
        grant_types: vec![GrantType::RefreshToken],
        client_auth: Some(ClientAuth::Public),
        ..ClientOptions::default()
    };
    authority.register::<&str>(CLIENT, &[], options);
    let first = authority.issue_refresh_token(CLIENT, "jo", Some("a"));
    let string =
        format!("am=54;RefreshToken={first};ClientID={CLIENT};TokenURI={}", authority.url("/oauth/token"));
    (authority, string)
}

#[test]
fn after_a_restart_the_access_token_is_used_until_it_ends_and_then_the_newest_refresh_token() {
    let (authority, string) = refreshing();
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
    again.set_option("Auth_Expires", PAST).unwrap();
    assert_ne!(again.get_token().unwrap().value(), token.value());
    assert_eq!(authority.token_requests().len(), 2);
}

#[test]
fn a_token_from_before_that_the_api_refuses_is_renewed_and_not_met_again() {
    let (authority, string) = refreshing();
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
fn with_secrets_alone_the_newest_refresh_token_stands_for_the_one_that_is_used_up() {
    let (authority, string) = refreshing();
    let connection = open(&string).unwrap();
    connection.get_token().unwrap();
    let completed = connection.completed_string(AUTHGRANT_WITH_SECRETS);
    assert!(completed.contains("RefreshToken=") && !completed.contains("Auth_"), "{completed}");
    ask(&completed).unwrap();
    assert_eq!(authority.token_requests().len(), 2);
    let bare = connection.completed_string(0);
    assert!(!bare.contains("RefreshToken") && !bare.contains("Token="), "{bare}");
}

#[test]
fn a_token_of_the_past_or_of_unknown_end_is_not_begun_with() {
    let (authority, string) = refreshing();
    for (number, more) in [format!("Auth_Expires={PAST};"), String::new()].into_iter().enumerate() {
        let fresh = authority.issue_refresh_token(CLIENT, "jo", Some("a"));
        let string = format!("Auth_AccessToken=given;{more}RefreshToken={fresh};{string}");
        assert_ne!(ask(&string).unwrap().value(), "given");
        assert_eq!(authority.token_requests().len(), number + 1);
    }
    let string = format!("Auth_AccessToken=given;Auth_Expires=2999-01-01T00:00:00+01:00;{string}");
    assert_eq!(ask(&string).unwrap().value(), "given");
    let failure = ask(&string.replace("2999-01-01T00:00:00+01:00", "tomorrow")).unwrap_err();
    assert_eq!(
        (failure.status, failure.option.as_deref()),
        (AUTHGRANT_INVALID_OPTION, Some("AccessTokenExpires"))
    );
}

#[test]
fn a_token_that_is_all_there_is_ends_when_the_string_says() {
    let string = "am=50;AccessToken=given;Auth_Expires=2999-01-01T00:00:00Z";
    let connection = open(string).unwrap();
    let wanted = "AuthenticationMethod=50;Auth_AccessToken=given;Auth_Expires=2999-01-01T00:00:00Z;";
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_TOKENS), wanted, "before it was asked for");
    assert_eq!(connection.get_token().unwrap().expires_at(), 32_472_144_000);
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_TOKENS), wanted);
    let failure = ask(&format!("am=50;AccessToken=given;Auth_Expires={PAST}")).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_EXPIRED, "08006"));
}

#[test]
fn a_method_that_was_inferred_is_written_where_an_access_token_would_make_it_another() {
    let authority = Authority::start(Config::http());
    authority.play_always(Play::TokenAnswer(
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
fn a_string_that_lacks_options_can_be_completed_too() {
    let connection = open("RefreshToken=r;am=54;Scope=a b").unwrap();
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_TOKENS), "AuthenticationMethod=54;Scope={a b};");
    let whole = "AuthenticationMethod=54;Scope={a b};RefreshToken=r;";
    assert_eq!(connection.completed_string(AUTHGRANT_WITH_SECRETS), whole);
}

#[test]
fn an_equal_connection_that_keeps_to_itself_asks_for_a_token_of_its_own() {
    let authority = support::authority(Config::http());
    let string = short_string(&authority, "");
    let shared = ask(&string).unwrap().value();
    let alone = open(&short_string(&authority, "CacheScope=connection")).unwrap();
    let own = alone.get_token().unwrap().value();
    assert_ne!(own, shared);
    assert_eq!(alone.get_token().unwrap().value(), own);
    assert_eq!(ask(&string).unwrap().value(), shared);
}

#[test]
fn a_request_that_outlasts_ws_timeout_ends_alone_and_is_not_sent_again() {
    let (authority, string) = refreshing();
    authority.play_always(Play::NeverAnswer);
    for options in [string.clone(), short_string(&authority, "")] {
        let before = authority.token_requests().len();
        let failure = ask(&format!("WSTimeout=1;LoginTimeout=0;{options}")).unwrap_err();
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TIMEOUT, "HYT01"), "{failure:?}");
        assert!(failure.message.contains("within 1 s (WSTimeout)"), "{failure:?}");
        assert_eq!((failure.retryable, authority.token_requests().len()), (1, before + 1));
    }
    let failure = ask(&format!("WSTimeout=60;LoginTimeout=1;{string}")).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TIMEOUT, "HYT00"), "{failure:?}");
    let failure = ask(&format!("WSTimeout=0;LoginTimeout=1;{string}")).unwrap_err();
    assert_eq!(failure.sqlstate, "HYT00");
}
