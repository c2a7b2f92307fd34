//! Options that have no effect in the chosen method: a warning from authgrant_validate and at first use.

use crate::support::c_api::open;
use crate::support::stores;
use serde_json::Value;

const ENDPOINT: &str = "TokenURI=POST https://login.example/token";

/// The options about which validate warns that they have no effect; checks that the first use of the
/// connection has the same warnings.
#[track_caller]
fn unused_options(string: &str) -> Vec<String> {
    let connection = open(string).unwrap();
    let report: Value = serde_json::from_str(&connection.validate()).unwrap();
    let reported: Vec<String> = report["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|warning| warning["message"].as_str().unwrap().contains("has no effect"))
        .map(|warning| warning["option"].as_str().unwrap().to_owned())
        .collect();
    let connection = open(string).unwrap();
    let _ = connection.get_token_with(0, 0, authgrant::ffi::status::AUTHGRANT_NO_NETWORK);
    let warnings = connection.warnings();
    let first_use: Vec<String> = warnings
        .iter()
        .filter(|warning| warning.message.contains("has no effect") && warning.sqlstate == "01000")
        .map(|warning| warning.option.clone().unwrap())
        .collect();
    assert_eq!(reported, first_use, "{string}");
    reported
}

fn bearer(more: &str) -> String {
    format!("am=55;ClaimsIssuer=me;JWTCertStore={};{more}", stores::ec_key_path())
}

#[test]
fn option_of_other_method_is_warning() {
    let store = stores::ec_key_path();
    let login = "ClientID=c;AuthURI=https://login.example/a;RedirectURI=http://localhost:3000";
    for (string, unused) in [
        (bearer(&format!("{ENDPOINT};ClientID=c;ClientSecret=s")), vec!["ClientID", "ClientSecret"]),
        (bearer(&format!("{ENDPOINT};ClientAssertionFile=/a")), vec!["ClientAssertionFile"]),
        (bearer(&format!("{ENDPOINT};RefreshToken=r;pwd=p")), vec!["RefreshToken", "Password"]),
        (bearer("ClientCredentialsMode=3;GrantType=g"), vec!["ClientCredentialsMode", "GrantType"]),
        (format!("am=51;{login};{ENDPOINT};JWTCertStore={store}"), vec!["JWTCertStore"]),
        (format!("am=51;{login};{ENDPOINT};ClientAssertionFile=/a"), vec!["ClientAssertionFile"]),
        (format!("am=54;RefreshToken=r;{ENDPOINT};JWTCertStore={store}"), vec!["JWTCertStore"]),
        (
            format!("am=53;ClientID=c;ClientSecret=s;{ENDPOINT};JWTSecret=x;OAuthCode=y"),
            vec!["JWTSecret", "OAuthCode"],
        ),
        (
            format!(
                "am=OAuth2-JWTClientAssertion;ClientID=c;ClientSecret=s;ClientAssertion=a.b.c;{ENDPOINT};JWTKeyID=k"
            ),
            vec!["JWTKeyID", "ClientSecret"],
        ),
        (format!("am=50;AccessToken=a;ClientID=c;{ENDPOINT}"), vec!["TokenURI", "ClientID"]),
        (format!("JWTCertStore={store};ClaimsIssuer=me;AccessToken=a"), vec!["AccessToken"]),
        ("am=15;User=u;AuthHeader=X;SecurityToken=y".to_owned(), vec!["User", "AuthHeader", "SecurityToken"]),
    ] {
        assert_eq!(unused_options(&string), unused, "{string}");
    }
}

#[test]
fn option_that_has_effect_is_no_warning() {
    let store = stores::ec_key_path();
    let mode = "ClientID=c;ClientSecret=s;ClientCredentialsMode=3";
    let consent = "ClientID=c;AuthURI=https://login.example/a;RedirectURI=http://localhost:3000";
    for string in [
        bearer(&format!("{ENDPOINT};{mode}")),
        bearer(&format!("{ENDPOINT};{consent}")),
        bearer(&format!("{ENDPOINT};Provider=keycloak;ClaimsSubject=u;ClientID=c;ClientSecret=s")),
        bearer(&format!("{ENDPOINT};Provider=servicenow;ClaimsSubject=u;ClientID=c;JWTKeyID=k")),
        bearer(&format!("{ENDPOINT};AuthHeader=X;SecurityToken=y;JWTLifetime=60;EnableLoginPrompt=0")),
        format!("am=51;ClaimsIssuer=c;{consent};{ENDPOINT};RefreshToken=r;AccessToken=a"),
        format!("am=54;RefreshToken=r;AccessToken=a;ClientID=c;ClientSecret=s;{ENDPOINT};Scope=a"),
        format!("am=52;User=u;Password=p;ClientID=c;{ENDPOINT}"),
        format!("am=OAuth2-JWTClientAssertion;ClientID=c;JWTCertStore={store};{ENDPOINT}"),
        format!(
            "am=OAuth2-JWTClientAssertion;ClientID=c;ClientAssertion=a.b.c;{ENDPOINT};Scope=a;ScopeIn=Parameter"
        ),
        "am=34;SecurityToken=t;AccessTokenExpires=2099-01-01T00:00:00Z".to_owned(),
        "am=0;User=u;Password=p;AuthHeader=X".to_owned(),
    ] {
        assert_eq!(unused_options(&string), Vec::<String>::new(), "{string}");
    }
}

#[test]
fn unused_option_warning_says_what_uses_it() {
    let connection =
        open(&bearer(&format!("{ENDPOINT};ClientID=c;ClientSecret=hunter2;ClientAssertionFile=/a"))).unwrap();
    let report: Value = serde_json::from_str(&connection.validate()).unwrap();
    let message = |option: &str| {
        let mut warnings = report["warnings"].as_array().unwrap().iter();
        warnings.find(|warning| warning["option"] == option).unwrap()["message"].as_str().unwrap()
    };
    assert!(message("ClientSecret").contains("set ClientCredentialsMode"), "{}", message("ClientSecret"));
    let file = message("ClientAssertionFile");
    assert!(file.contains("55 (OAuth2-JWTBearer)") && file.contains("OAuth2-JWTClientAssertion"), "{file}");
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

#[test]
fn client_certificate_over_http_is_warning() {
    let store = stores::path("openssl.pem");
    for (url, warned) in [("http://127.0.0.1:9/token", true), ("https://login.example/token", false)] {
        let string = format!("am=53;ClientID=c;KeyStore={store};TokenURI=POST {url}");
        let report: Value = serde_json::from_str(&open(&string).unwrap().validate()).unwrap();
        let warnings = report["warnings"].as_array().unwrap();
        let found = warnings.iter().any(|warning| {
            warning["option"] == "KeyStore" && warning["message"].as_str().unwrap().contains("http://")
        });
        assert_eq!(found, warned, "{report:#}");
    }
}
