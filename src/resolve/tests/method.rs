//! AuthenticationMethod, inferred or set, and what each method requires.

use super::*;

#[test]
fn grant_is_inferred_from_key_and_issuer() {
    for method in ["", "AuthenticationMethod=24;", "AuthenticationMethod=oauth2;", "am=OAuth2-JWTBearer;"] {
        let options = Options::parse(&format!("{method}ClaimsIssuer=me;JWTCertStore=k.jks")).unwrap();
        assert!(matches!(resolve(&options).config.unwrap().flow, Flow::SignedJwt(_)), "{method}");
    }
    let error = resolve_error("");
    assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("AuthenticationMethod")));
}

#[test]
fn unsupported_method_differs_from_unknown_method() {
    assert_eq!(resolve_error("AuthenticationMethod=99").status(), Status::InvalidOption);
    for (number, name, method) in AUTH_METHODS {
        if matches!(method, AuthMethod::Unsupported(_)) {
            assert_eq!(resolve_error(&format!("am={number}")).status(), Status::Unsupported);
            assert_eq!(resolve_error(&format!("am={name}")).status(), Status::Unsupported);
        }
    }
}

#[test]
fn inferred_method_prefers_most_specific_option() {
    let endpoint = "TokenEndpoint=https://example.com/t;ClientID=c;ClientSecret=s";
    let grant = |text: &str| match flow(text) {
        Flow::TokenEndpoint(config) => format!("{:?}", config.grant),
        other => format!("{other:?}"),
    };
    for method in ["", "AuthenticationMethod=24;"] {
        assert_eq!(grant(&format!("{method}{endpoint}")), "ClientCredentials");
        assert!(grant(&format!("{method}{endpoint};UID=u;PWD=p")).starts_with("Password"));
        assert!(grant(&format!("{method}{endpoint};UID=u;PWD=p;AccessToken=a")).starts_with("AccessToken"));
        let refresh = format!("{method}{endpoint};UID=u;PWD=p;AccessToken=a;RefreshToken=r");
        assert!(grant(&refresh).starts_with("RefreshToken"));
        let all = format!("{method}{endpoint};RefreshToken=r;ClaimsIssuer=i;JWTCertStore=k");
        assert!(grant(&all).starts_with("JwtBearer"));
    }
}

#[test]
fn method_is_inferred_only_from_all_its_options() {
    let endpoint = "TokenEndpoint=https://example.com/t";
    for (text, method) in [
        ("AuthURI=https://a/b", None),
        ("EnableLoginPrompt=1", None),
        ("AuthURI=https://a/b;EnableLoginPrompt=0", None),
        ("AuthURI=https://a/b;EnableLoginPrompt=1", Some(AuthMethod::AuthorizationCode)),
        ("OAuthCode=o", Some(AuthMethod::AuthorizationCode)),
        ("UID=u;PWD=p", None),
        (&format!("UID=u;{endpoint}"), None),
        (&format!("UID=u;PWD=p;{endpoint}"), Some(AuthMethod::Password)),
        ("ClientID=c", None),
        ("ClientID=c;ClientSecret=s", None),
        (&format!("ClientID=c;{endpoint}"), None),
        (&format!("ClientSecret=s;{endpoint}"), None),
        (&format!("ClientID=c;KeyStore=k;{endpoint}"), Some(AuthMethod::ClientCredentials)),
    ] {
        let stages = resolve(&Options::parse(text).unwrap()).stages;
        assert_eq!(stages.method.map(|resolved| resolved.method), method, "{text}");
    }
}

#[test]
fn grant_errors_name_missing_options() {
    for (method, missing) in [
        ("53", "TokenURI and ClientID and ClientSecret"),
        ("52", "User and Password"),
        ("54", "RefreshToken"),
        ("50", "AccessToken"),
        ("34", "SecurityToken"),
        ("25", "SecurityToken"),
        ("0", "User and Password"),
        ("JWT", "ClaimsIssuer and JWTCertStore"),
        ("OAuth2-JWTClientAssertion", "ClaimsIssuer and JWTCertStore"),
    ] {
        let error = resolve_error(&format!("am={method}"));
        assert_eq!(error.status(), Status::MissingOption, "{method}");
        assert!(error.message().contains(missing), "{method}: {error}");
    }
}

#[test]
fn non_assertion_grants_never_use_get() {
    for grant in ["am=53;ClientID=c;ClientSecret=s", "am=52;UID=u;PWD=p", "am=54;RefreshToken=r"] {
        let Flow::TokenEndpoint(config) = flow(&format!("{grant};TokenURI=https://example.com/t")) else {
            panic!("{grant} has no token endpoint")
        };
        assert_eq!(config.methods, EndpointMethods::Post, "{grant}");
        let error = resolve_error(&format!("{grant};TokenURI=GET https://example.com/t"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("TokenURI")), "{grant}");
    }
}

#[test]
fn key_or_issuer_alone_reports_other_missing() {
    for (text, missing) in [("JWTCertStore=k.jks", "ClaimsIssuer"), ("ClaimsIssuer=me", "JWTCertStore")] {
        let error = resolve_error(text);
        let error = missing_option_error(&error);
        assert_eq!(error.option(), Some(missing), "{text}");
        assert!(error.message().ends_with(&format!("{missing} is missing")), "{error}");
    }
}

#[test]
fn vendor_words_are_compared_without_blanks_and_hyphens() {
    for method in ["OAuth2-JWT Bearer", "oauth2jwtbearer", "OAUTH2 - JWT-BEARER", "55"] {
        let options =
            Options::parse(&format!("AuthenticationMethod={method};ClaimsIssuer=me;JWTCertStore=k"));
        assert_eq!(resolve(&options.unwrap()).stages.method.unwrap().number, "55", "{method}");
    }
    let consent = |word: &str| {
        config(&format!("ConsentType={word};TokenURI=https://example.com/t")).consent_guidance.consent_type
    };
    for word in ["External Admin", "external-admin", "ExternalAdmin"] {
        assert_eq!(consent(word), crate::provider::ConsentType::ExternalAdmin, "{word}");
    }
    assert_eq!(resolve_error("AuthenticationMethod=5 5").option(), Some("AuthenticationMethod"));
}
