//! The grants beside the JWT bearer grant, and the ways that do without a token: through the C API, against the strict
//! authority.

mod support;

use std::ffi::{CStr, c_char, c_void};
use std::fs;
use std::ptr::null_mut;
use std::sync::Mutex;

use authgrant::ffi::status::*;
use authority::{Authority, ClientAuth, ClientOptions, Config, GrantType, Play};
use support::c_api::{ask, open, text};
use support::stores;

const CLIENT: &str = "the client";
const SECRET: &str = "s p&c%:=";

fn with_client(options: ClientOptions) -> Authority {
    let authority = Authority::start(Config::http());
    authority.register::<&str>(CLIENT, &[], options);
    authority
}

fn string(authority: &Authority, more: &str) -> String {
    format!("{more};TokenURI={}", authority.url("/oauth/token"))
}

#[test]
fn client_credentials_get_a_token_by_post_whichever_way_they_are_sent() {
    for (mode, basic) in
        [("", true), ("0", true), ("Basic", true), ("2", false), ("3", false), ("Post", false)]
    {
        let client_auth = Some(if basic { ClientAuth::Basic } else { ClientAuth::Post });
        let authority = with_client(ClientOptions {
            secret: Some(SECRET.to_owned()),
            client_auth,
            ..ClientOptions::default()
        });
        let mode = if mode.is_empty() { String::new() } else { format!("ClientCredentialsMode={mode};") };
        let more = format!("am=53;{mode}ClientID={CLIENT};ClientSecret={{{SECRET}}};Scope=a b");
        ask(&string(&authority, &more)).unwrap_or_else(|failure| panic!("{mode}: {failure:?}"));
        let request = &authority.token_requests()[0];
        assert_eq!((request.method.as_str(), request.parameter("scope").as_deref()), ("POST", Some("a b")));
        let wrong = more.replace(SECRET, "wrong");
        let failure = ask(&string(&authority, &wrong)).unwrap_err();
        assert_eq!(
            (failure.status, failure.oauth_error.as_deref()),
            (AUTHGRANT_DENIED, Some("invalid_client"))
        );
        assert!(failure.message.contains("the client") && failure.message.contains(CLIENT), "{failure:?}");
    }
}

fn signing_client() -> Authority {
    let authority = Authority::start(Config::http());
    let options =
        ClientOptions { grant_types: vec![GrantType::ClientCredentials], ..ClientOptions::default() };
    authority.register(CLIENT, &[stores::certificate()], options);
    authority
}

const SIGNER: &str = "am=OAuth2-JWTClientAssertion;ClaimsIssuer=the client;ClaimsSubject=the client";

#[test]
fn a_client_assertion_is_signed_anew_for_each_request() {
    let authority = signing_client();
    let more = format!("{SIGNER};ClientID={CLIENT};JWTCertStore={}", stores::path("openssl.pem"));
    ask(&string(&authority, &more)).unwrap();
    ask(&string(&authority, &format!("{more};Scope=a"))).unwrap();
    assert_eq!(authority.issued().len(), 2);
    let foreign = more
        .replace("openssl.pem", "other.pem")
        .replace(&stores::path("openssl.pem"), &stores::path("other.pem"));
    assert_eq!(
        ask(&string(&authority, &foreign)).unwrap_err().oauth_error.as_deref(),
        Some("invalid_client")
    );
}

#[test]
fn a_ready_made_assertion_is_sent_as_it_is_and_a_file_is_read_each_time() {
    let authority = signing_client();
    let signer =
        open(&string(&authority, &format!("{SIGNER};JWTCertStore={}", stores::path("openssl.pem")))).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("assertion");
    let from_file = |scope: &str| {
        let more = format!("am=OAuth2-JWTClientAssertion;Scope={scope}");
        let connection = open(&string(&authority, &more)).unwrap();
        connection.set_option("ClientAssertionFile", file.to_str().unwrap()).unwrap();
        connection.get_token()
    };
    for scope in ["a", "b"] {
        fs::write(&file, format!("{}\n", signer.make_assertion().unwrap())).unwrap();
        from_file(scope).unwrap();
    }
    let given = format!("am=OAuth2-JWTClientAssertion;ClientAssertion={}", signer.make_assertion().unwrap());
    ask(&string(&authority, &given)).unwrap();
    assert_eq!(authority.issued().len(), 3);
    fs::write(&file, "").unwrap();
    let failure = from_file("c").unwrap_err();
    assert_eq!(
        (failure.status, failure.option.as_deref()),
        (AUTHGRANT_KEY_STORE, Some("ClientAssertionFile"))
    );
}

#[test]
fn a_ready_made_assertion_past_its_end_is_not_sent() {
    let authority = signing_client();
    // {"exp":1}
    let old = "am=OAuth2-JWTClientAssertion;ClientAssertion=e30.eyJleHAiOjF9.c2ln";
    let failure = ask(&string(&authority, old)).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_EXPIRED, "08006"));
    assert!(authority.token_requests().is_empty());
}

#[test]
fn a_password_is_sent_once_and_warned_of() {
    let users = [("jo".to_owned(), "pw;1".to_owned())].into();
    let authority = with_client(ClientOptions { users, ..ClientOptions::default() });
    let more = format!("am=52;UID=jo;PWD={{pw;1}};ClientID={CLIENT}");
    let connection = open(&string(&authority, &more)).unwrap();
    connection.get_token().unwrap();
    assert!(connection.warnings().iter().any(|warning| warning.message.contains("RFC 9700")));
    authority.play_always(Play::Json { status: 503, body: serde_json::Value::Null, headers: Vec::new() });
    let before = authority.token_requests().len();
    ask(&string(&authority, &format!("{more};Scope=a"))).unwrap_err();
    assert_eq!(authority.token_requests().len(), before + 1);
}

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

extern "C" fn remember(token: *const c_char, _: *mut c_void) {
    // SAFETY: the library hands out NUL-terminated text.
    let token = unsafe { CStr::from_ptr(token) }.to_str().unwrap().to_owned();
    TOLD.lock().unwrap().push(token);
}

#[test]
fn a_rotated_refresh_token_takes_the_place_of_the_old_one_and_is_told() {
    let options = ClientOptions {
        grant_types: vec![GrantType::RefreshToken],
        client_auth: Some(ClientAuth::Public),
        ..ClientOptions::default()
    };
    let authority = with_client(options);
    let first = authority.issue_refresh_token(CLIENT, "jo", Some("a"));
    let more = format!("am=54;RefreshToken={first};ClientID={CLIENT}");
    let connection = open(&string(&authority, &more)).unwrap();
    let told = authgrant::ffi::authorize::authgrant_set_on_refresh_token(
        connection.handle(),
        Some(remember),
        null_mut(),
        null_mut(),
    );
    assert_eq!(told, AUTHGRANT_OK);
    for _ in 0..3 {
        let token = connection.get_token().unwrap();
        connection
            .set_option("Scope", if authority.issued().len().is_multiple_of(2) { "" } else { "a" })
            .unwrap();
        assert!(token.value().starts_with("at-"));
    }
    let told = TOLD.lock().unwrap().clone();
    assert_eq!(told.len(), authority.issued().len());
    assert_eq!(authority.token_requests()[1].parameter("refresh_token").as_ref(), told.first());
    let failure = ask(&string(&authority, &more)).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_EXPIRED, "08006"), "it was used up");
}

#[test]
fn a_given_token_is_passed_through_until_the_api_refuses_it() {
    for more in ["am=50;AccessToken=given", "am=34;SecurityToken=given", "AccessToken=given"] {
        let connection = open(more).unwrap();
        let token = connection.get_token().unwrap();
        assert_eq!((token.value().as_str(), token.expires_at()), ("given", 0));
        assert_eq!(
            connection.get_headers().unwrap(),
            [("Authorization".to_owned(), "Bearer given".to_owned())]
        );
        connection.reject(&token);
        let failure = connection.get_token().unwrap_err();
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_EXPIRED, "08006"));
    }
    let failure = ask("am=50;AccessToken=e30.eyJleHAiOjF9.c2ln").unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_EXPIRED, "a JWT says itself when it ends");
    let connection = open("am=50;AccessToken=old").unwrap();
    connection.reject(&connection.get_token().unwrap());
    connection.set_option("AccessToken", "new").unwrap();
    assert_eq!(connection.get_token().unwrap().value(), "new");
}

#[test]
fn methods_without_a_token_have_their_headers() {
    for (more, wanted) in [
        ("am=0;UID=Aladdin;PWD=open sesame", Some(("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="))),
        ("am=0;UID=a;PWD=b;AuthHeader=X-Auth", Some(("X-Auth", "Basic YTpi"))),
        ("am=25;AuthHeader=X-Api-Key;SecurityToken=k", Some(("X-Api-Key", "k"))),
        ("am=25;SecurityToken=k", Some(("Authorization", "k"))),
        ("am=15", None),
    ] {
        let connection = open(more).unwrap();
        let wanted: Vec<_> =
            wanted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(connection.get_headers().unwrap(), wanted, "{more}");
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_UNSUPPORTED, "{more}");
    }
}

#[test]
fn another_grant_type_and_more_parameters_go_along() {
    let authority = support::authority(Config::http());
    let more = "GrantType=urn:example:other;TokenParameters=resource=https%3A%2F%2Fapi&tenant=1";
    let failure = ask(&support::short_string(&authority, more)).unwrap_err();
    assert_eq!(failure.oauth_error.as_deref(), Some("unsupported_grant_type"));
    let request = &authority.token_requests()[0];
    assert_eq!(request.parameter("grant_type").as_deref(), Some("urn:example:other"));
    assert_eq!(request.parameter("resource").as_deref(), Some("https://api"));
    assert_eq!(request.parameter("tenant").as_deref(), Some("1"));
}

#[test]
fn the_consent_url_needs_no_key_and_names_what_it_lacks() {
    let url = |string: &str| {
        let connection = open(string).unwrap();
        let (mut url, mut error) = (null_mut(), null_mut());
        let status = authgrant::ffi::authorize::authgrant_consent_url(
            connection.handle(),
            &raw mut url,
            &raw mut error,
        );
        let found = text(url);
        authgrant::ffi::text::authgrant_text_free(url);
        let failures = support::c_api::chain(error);
        (status, found, failures.into_iter().next())
    };
    let docusign = "TokenURI=https://account-d.docusign.com/oauth/token;ClaimsIssuer=key";
    let (status, found, _) = url(&format!("{docusign};RedirectURI=http://localhost:3000"));
    assert_eq!(status, AUTHGRANT_OK);
    assert_eq!(
        found.as_deref(),
        Some(
            "https://account-d.docusign.com/oauth/auth?response_type=code&scope=signature%20impersonation\
             &client_id=key&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        )
    );
    let (status, found, failure) = url("Scope=a");
    assert_eq!((status, found), (AUTHGRANT_MISSING_OPTION, None));
    let message = failure.unwrap().message;
    assert!(message.contains("AuthURI and RedirectURI and ClientID are missing"), "{message}");
}
