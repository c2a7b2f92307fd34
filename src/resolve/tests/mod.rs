mod headers;
mod method;

use super::*;
use crate::base::error::Status;
use crate::options::ProcessEnvironment;
use crate::options::{AUTH_METHODS, AuthMethod};

const BASE: &str = "AuthenticationMethod=55;ClaimsIssuer=me;ClaimsSubject=u;JWTCertStore=k.jks;";

fn resolution(more: &str) -> Resolution {
    resolve(&Options::parse(&format!("{BASE}{more}")).unwrap())
}

fn config(more: &str) -> Config {
    resolution(more).config.unwrap_or_else(|error| panic!("{more}: {error}"))
}

fn token_endpoint_config(more: &str) -> TokenEndpointConfig {
    match config(more).flow {
        Flow::TokenEndpoint(config) => *config,
        other => panic!("{more} has no token endpoint: {other:?}"),
    }
}

fn assertion_config(more: &str) -> AssertionConfig {
    match token_endpoint_config(more).grant {
        Grant::JwtBearer { signing, .. } => *signing,
        other => panic!("{more} signs nothing: {other:?}"),
    }
}

fn flow(text: &str) -> Flow {
    resolve(&Options::parse(text).unwrap()).config.unwrap_or_else(|error| panic!("{text}: {error}")).flow
}

fn resolve_error(text: &str) -> Error {
    resolve(&Options::parse(text).unwrap()).config.err().unwrap_or_else(|| panic!("{text} is accepted"))
}

fn error_chain(error: &Error) -> impl Iterator<Item = &Error> {
    std::iter::once(error).chain(error.additional())
}

/// The error for missing options. It follows that of the key file, which does not exist and could contain
/// them.
fn missing_option_error(error: &Error) -> &Error {
    error_chain(error).find(|error| error.status() == Status::MissingOption).unwrap()
}

#[test]
fn missing_model_requires_token_endpoint() {
    const KEY: &str = "RestConfigFile=/nowhere/x.rest;ClaimsIssuer=me;ClaimsAudience=a;JWTSecret=0123456789abcdef0123456789abcdef";
    let error = resolve_error(&format!("AuthenticationMethod=55;{KEY}"));
    assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("TokenURI")));
    assert!(matches!(flow(&format!("AuthenticationMethod=JWT;{KEY}")), Flow::SignedJwt(_)));
}

#[test]
fn each_missing_option_has_an_error() {
    let error = resolve_error("AuthenticationMethod=55");
    let all: Vec<_> = error_chain(&error).map(|error| (error.status(), error.option().unwrap())).collect();
    assert_eq!(all, [(Status::MissingOption, "ClaimsIssuer"), (Status::MissingOption, "JWTCertStore")]);
    assert!(error.message().contains("ClaimsIssuer and JWTCertStore are missing"), "{error}");
}

#[test]
fn all_errors_are_reported_together() {
    let error =
        resolve_error("AuthenticationMethod=55;LoginTimeout=abc;JWTLifetime=0;TokenURI=http://example.com/t");
    let all: Vec<_> = error_chain(&error).collect();
    let options: Vec<_> = all.iter().filter_map(|error| error.option()).collect();
    assert_eq!(options, ["JWTLifetime", "LoginTimeout", "TokenURI", "ClaimsIssuer", "JWTCertStore"]);
    assert_eq!(all.last().unwrap().status(), Status::MissingOption);
}

#[test]
fn invalid_token_uri_is_not_missing() {
    let error = resolve_error("am=53;ClientID=c;ClientSecret=s;TokenURI=ftp://example.com/t");
    let all: Vec<_> = error_chain(&error).map(|error| (error.status(), error.option())).collect();
    assert_eq!(all, [(Status::InvalidOption, Some("TokenURI"))]);
}

#[test]
fn token_uri_prefix_selects_endpoint_methods() {
    assert_eq!(token_endpoint_config("TokenURI=https://example.com/t").methods, EndpointMethods::GetThenPost);
    assert_eq!(token_endpoint_config("TokenURI=POST https://example.com/t").methods, EndpointMethods::Post);
    assert_eq!(token_endpoint_config("TokenURI=post   https://example.com/t").methods, EndpointMethods::Post);
    assert_eq!(token_endpoint_config("TokenURI=POST\thttps://example.com/t").methods, EndpointMethods::Post);
    assert_eq!(token_endpoint_config("TokenURI=GET https://example.com/t").methods, EndpointMethods::Get);
    let whitespace = token_endpoint_config("TokenURI=get \t https://example.com/t");
    assert_eq!(whitespace.endpoint.as_str(), "https://example.com/t");
    assert_eq!(token_endpoint_config("TokenEndpoint=https://example.com/t").methods, EndpointMethods::Post);
    assert_eq!(
        token_endpoint_config("TokenURI=https://account-d.docusign.com/oauth/token").methods,
        EndpointMethods::Post
    );
    for invalid in ["TokenURI=PUT https://example.com/t", "TokenURI=https://a/t;TokenEndpoint=https://b/t"] {
        assert_eq!(resolve_error(&format!("{BASE}{invalid}")).status(), Status::InvalidOption, "{invalid}");
    }
}

#[test]
fn token_request_by_get_warns() {
    let warned = |more: &str| {
        let resolution = resolution(more);
        resolution.warnings().iter().any(|warning| warning.option() == Some("TokenURI"))
    };
    assert!(warned("TokenURI=https://example.com/t"));
    assert!(warned("TokenURI=GET https://example.com/t"));
    assert!(!warned("TokenURI=POST https://example.com/t"));
    assert!(!warned("TokenURI=https://account.docusign.com/oauth/token"));
}

#[test]
fn audience_defaults_to_provider_then_token_url() {
    let audience = |more: &str| assertion_config(more).audience.unwrap();
    assert_eq!(audience("TokenURI=POST https://Example.com/t?a=1"), "https://Example.com/t?a=1");
    assert_eq!(audience("TokenURI=POST https://example.com"), "https://example.com");
    assert_eq!(audience("TokenURI=https://account-d.docusign.com/oauth/token"), "account-d.docusign.com");
    assert_eq!(audience("TokenEndpoint=https://example.com/t;ClaimsAudience=x"), "x");
    for text in [BASE, "am=JWT;cliss=me;clsub=u;JWTCertStore=k.jks;TokenURI=POST https://example.com/t"] {
        let Flow::SignedJwt(signing) = flow(text) else { panic!("{text} has a token endpoint") };
        assert_eq!(signing.audience, None, "{text}");
    }
}

#[test]
fn scope_location_follows_provider_unless_set() {
    let locations = |more: &str| {
        let more = format!("Scope=a b;{more}");
        (assertion_config(&more).scope.is_some(), token_endpoint_config(&more).scope.is_some())
    };
    assert_eq!(locations("TokenEndpoint=https://example.com/t"), (true, true));
    assert_eq!(locations("TokenEndpoint=https://account.docusign.com/oauth/token"), (true, false));
    assert_eq!(locations("TokenEndpoint=https://example.com/t;ScopeIn=parameter"), (false, true));
    assert_eq!(
        locations("TokenEndpoint=https://account.docusign.com/oauth/token;ScopeIn=Both"),
        (true, true)
    );
}

#[test]
fn client_secret_is_never_sent_by_get() {
    let secret = "ClientID=c;ClientSecret=s;ClientCredentialsMode=3;";
    assert_eq!(
        token_endpoint_config(&format!("{secret}TokenURI=https://example.com/t")).methods,
        EndpointMethods::Post
    );
    for more in [secret, "ClientSecret=s;Provider=box;"] {
        let error = resolve_error(&format!("{BASE}{more}TokenURI=GET https://example.com/t"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("TokenURI")), "{more}");
    }
}

#[test]
fn bearer_client_credentials_require_explicit_mode() {
    let client =
        |more: &str| token_endpoint_config(&format!("{more};TokenEndpoint=https://example.com/t")).client;
    assert!(client("ClientID=c;ClientSecret=s").is_none());
    assert!(client("ClientID=c;ClientSecret=s;ClientCredentialsMode=0").unwrap().uses_basic_auth);
    assert!(!client("ClientID=c;ClientSecret=s;ClientCredentialsMode=post").unwrap().uses_basic_auth);
    let error = resolve_error(&format!("{BASE}ClientCredentialsMode=1;TokenEndpoint=https://example.com/t"));
    let missing = missing_option_error(&error);
    assert!(missing.message().contains("ClientID and ClientSecret are missing"), "{missing}");
}

#[test]
fn debug_output_hides_secrets() {
    let more = "JWTCertPassword=hunter2;SecurityToken=hunter2;AuthHeader=X;ClientSecret=hunter2;ClientID=c;\
                ClientCredentialsMode=3;TokenURI=POST https://example.com/t?key=hunter2;JWTCertKeyPassword=hunter2;\
                ClaimsAudience=a";
    assert!(!format!("{:?}", resolution(more)).contains("hunter2"));
}

#[test]
fn login_timeout_zero_or_negative_is_unlimited() {
    let timeout = |more: &str| config(more).login_timeout.map(|timeout| timeout.as_secs());
    assert_eq!(timeout(""), Some(60));
    assert_eq!(timeout("lt=5"), Some(5));
    assert_eq!(timeout("LoginTimeout=0"), None);
    assert_eq!(timeout("LoginTimeout=-1"), None);
}

#[test]
fn missing_option_error_names_unreadable_model() {
    let text = "AuthenticationMethod=55;RestConfigFile=/nowhere/x.rest";
    let options = Options::open(text, &ProcessEnvironment).unwrap();
    assert!(options.warnings()[0].message().contains("/nowhere/x.rest does not exist"), "{options:?}");
    let error = resolve(&options).config.unwrap_err();
    assert!(error.message().contains("RestConfigFile"), "{error}");
}

#[test]
fn disabled_certificate_validation_warns() {
    let resolution = resolution("TokenEndpoint=https://example.com/t;ValidateServerCertificate=0");
    let Ok(Config { flow: Flow::TokenEndpoint(config), .. }) = &resolution.config else {
        panic!("{resolution:?}")
    };
    assert!(!config.transport.validate_certificate);
    assert!(
        resolution.warnings().iter().any(|warning| warning.option() == Some("ValidateServerCertificate"))
    );
}

#[test]
fn authorization_request_requires_redirect_uri_and_endpoint() {
    let authorization_request = |more: &str| config(more).authorization_request;
    let docusign = "TokenURI=https://account-d.docusign.com/oauth/token;";
    let default = authorization_request(&format!("{docusign}RedirectURI=http://localhost:3000")).unwrap();
    assert_eq!(default.endpoint, "https://account-d.docusign.com/oauth/auth");
    assert_eq!(
        (default.client_id.as_str(), default.scope.as_deref()),
        ("me", Some("signature impersonation"))
    );
    assert!(authorization_request(docusign).is_none());
    assert_eq!(resolve_error(&format!("{BASE}AuthURI=ftp://127.0.0.1/")).status(), Status::InvalidOption);
    let elsewhere = "RedirectURI=http://example.com:3000";
    assert!(authorization_request(elsewhere).is_none(), "the grant does not use it");
    let login = format!("am=51;ClientID=c;TokenEndpoint=https://a/t;AuthURI=https://a/b;{elsewhere}");
    assert_eq!(resolve_error(&login).option(), Some("RedirectURI"));
    let configured = authorization_request(&format!(
        "{docusign}RedirectURI=http://localhost:1;AuthURI=https://a/b;ClientID=c;Scope=s"
    ))
    .unwrap();
    assert_eq!(
        (configured.endpoint.as_str(), configured.client_id.as_str(), configured.scope.as_deref()),
        ("https://a/b", "c", Some("s"))
    );
}

#[test]
fn token_parameters_reject_reserved_names() {
    let names = |more: &str| {
        let parameters =
            token_endpoint_config(&format!("TokenEndpoint=https://example.com/t;{more}")).parameters;
        parameters.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("TokenParameters=resource=x&a=b"), ["resource", "a"]);
    assert_eq!(names(r#"TokenParameters={{"resource":"x"}}}"#), ["resource"]);
    for invalid in ["TokenParameters=scope=x", "TokenParameters=assertion=x", "TokenParameters=x"] {
        let error = resolve_error(&format!("{BASE}TokenEndpoint=https://example.com/t;{invalid}"));
        assert_eq!(
            (error.status(), error.option()),
            (Status::InvalidOption, Some("TokenParameters")),
            "{invalid}"
        );
    }
}

#[test]
fn client_assertion_conflicts_with_assertion_file() {
    let text = "am=OAuth2-JWTClientAssertion;TokenEndpoint=https://example.com/t;ClientAssertion=a;ClientAssertionFile=f";
    let error = resolve_error(text);
    assert!(error_chain(&error).any(|error| error.message().contains("mutually exclusive")), "{error}");
}

#[test]
fn relative_key_store_resolves_against_current_dir() {
    let Flow::SignedJwt(signing) = config("").flow else { panic!("there is a token endpoint") };
    let store = signing.key.files().next().unwrap();
    assert_eq!(store.path(), std::env::current_dir().unwrap().join("k.jks"));
    assert_eq!(store.as_configured(), "k.jks", "messages show it as configured");
}

#[test]
fn assertion_lifetime_defaults_to_five_minutes() {
    let lifetime =
        |more: &str| assertion_config(&format!("{more};TokenEndpoint=https://example.com/t")).lifetime;
    assert_eq!((lifetime(""), lifetime("JWTLifetime=86400")), (300, 86400));
}

#[test]
fn url_client_credentials_mode_warns() {
    let warned = |mode: &str| {
        let more =
            format!("ClientID=c;ClientSecret=s;ClientCredentialsMode={mode};TokenEndpoint=https://a/t");
        let warnings = resolution(&more).warnings();
        warnings.iter().any(|warning| warning.option() == Some("ClientCredentialsMode"))
    };
    assert!(warned("2") && warned("url"));
    assert!(!warned("3") && !warned("1"));
}

#[test]
fn missing_option_error_has_alternative() {
    for (text, option, alternative) in [
        ("Scope=a", "AuthenticationMethod", "AuthenticationMethod=55"),
        ("am=53;ClientID=c;TokenEndpoint=https://a/t", "ClientSecret", "KeyStore"),
    ] {
        let error = resolve_error(text);
        assert_eq!((error.status(), error.option()), (Status::MissingOption, Some(option)), "{text}");
        assert!(error.message().contains(alternative), "{error}");
    }
}

#[test]
fn unknown_provider_is_rejected_for_any_host() {
    let error =
        resolve_error(&format!("{BASE}Provider=nobody;TokenURI=https://account.docusign.com/oauth/token"));
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("Provider")));
    assert!(error.message().contains("docusign"), "{error}");
}

#[test]
fn stages_are_present_despite_other_errors() {
    let options = Options::parse(&format!(
        "{BASE}LoginTimeout=x;TokenURI=POST https://login.salesforce.com/t;ProxyHost=p;ClientAssertion=a"
    ));
    let resolution = resolve(&options.unwrap());
    assert!(resolution.config.is_err());
    let stages = &resolution.stages;
    let method = stages.method.unwrap();
    assert_eq!((method.number, method.method, method.is_inferred), ("55", AuthMethod::JwtBearer, false));
    assert_eq!(stages.profile.unwrap().name, "salesforce");
    assert_eq!(stages.key.as_ref().unwrap().source.as_configured(), Some("k.jks"));
    assert!(matches!(stages.transport.proxy, crate::net::proxy::ProxyConfig::Explicit(_)));
    assert!(matches!(stages.presigned_assertion, Some(PresignedAssertion::Literal(_))));
}

#[test]
fn problems_of_unused_part_do_not_affect_config() {
    let resolution = resolution("TokenURI=https://example.com/t");
    assert!(resolution.authorization_request().is_err(), "there is no RedirectURI");
    assert!(resolution.config.is_ok());
}

#[test]
fn invalid_option_source_prevents_consent_url() {
    let docusign =
        "TokenURI=POST https://account-d.docusign.com/oauth/token;RedirectURI=http://localhost:3000";
    assert!(resolution(docusign).authorization_request().is_ok());
    let resolution = resolution(&format!("{docusign};ClientSecret=env:AUTHGRANT_UNSET"));
    let error = resolution.authorization_request().unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("ClientSecret")));
}

#[test]
fn assertion_without_endpoint_requires_everything_else() {
    let base = "am=OAuth2-JWTClientAssertion;ClientID=c;JWTCertStore=k";
    for (more, is_complete) in [
        ("ClaimsAudience=a", true),
        ("", false),
        ("ClaimsAudience=a;LoginTimeout=x", false),
        ("ClaimsAudience=a;AuthHeader=X-Tenant", false),
        ("ClaimsAudience=a;ClientAssertion=e30.e30.AA", false),
        ("ClaimsAudience=a;TokenEndpoint=https://a/t", false),
    ] {
        let stages = resolve(&Options::parse(&format!("{base};{more}")).unwrap()).stages;
        let audience = stages.assertion_without_endpoint.map(|signing| signing.audience.unwrap());
        assert_eq!(audience.as_deref(), is_complete.then_some("a"), "{more}");
    }
}

#[test]
fn scopes_are_separated_by_one_space() {
    for scope in ["b  a", " b a ", "b\ta", "b \r\n\t a"] {
        let config = token_endpoint_config(&format!("TokenEndpoint=https://example.com/t;Scope={{{scope}}}"));
        assert_eq!(config.scope.as_deref(), Some("b a"), "{scope:?}");
    }
    assert_eq!(token_endpoint_config("TokenEndpoint=https://example.com/t;Scope={ \t}").scope, None);
    let docusign =
        "TokenURI=POST https://account-d.docusign.com/oauth/token;Scope={signature\timpersonation}";
    let warnings = resolution(docusign).warnings();
    assert!(!warnings.iter().any(|warning| warning.option() == Some("Scope")), "{warnings:?}");
}

#[test]
fn any_white_space_separates_method_and_token_uri() {
    for text in
        ["POST\thttps://example.com/t", "POST \r\n https://example.com/t", " POST https://example.com/t "]
    {
        let config = token_endpoint_config(&format!("TokenURI={{{text}}}"));
        assert_eq!(
            (config.methods, config.endpoint.as_str()),
            (EndpointMethods::Post, "https://example.com/t")
        );
    }
}

#[test]
fn meant_token_endpoint_is_required() {
    for sign in [
        "Provider=docusign",
        "Provider=okta",
        "ClientID=c",
        "Scope=a",
        "ClientCredentialsMode=3;ClientSecret=s",
        "GrantType=g",
        "TokenParameters=a=b",
    ] {
        let error = resolve_error(&format!("{BASE}{sign}"));
        let missing = missing_option_error(&error);
        assert_eq!(missing.option(), Some("TokenURI"), "{sign}: {error}");
        assert!(missing.message().contains("AuthenticationMethod=JWT"), "{missing}");
    }
    for text in ["", "ClaimsAudience=a", "Provider=snowflake;ClaimsIssuer=A.B"] {
        let options = Options::parse(&format!("am=55;JWTCertStore=k.jks;{text};ClaimsIssuer=me")).unwrap();
        assert!(matches!(resolve(&options).config.unwrap().flow, Flow::SignedJwt(_)), "{text}");
    }
    let jwt = "am=JWT;ClaimsIssuer=me;ClaimsSubject=u;JWTCertStore=k.jks;Provider=docusign;Scope=a;ClaimsAudience=b";
    assert!(matches!(flow(jwt), Flow::SignedJwt(_)));
}

#[test]
fn bearer_client_id_alone_is_sent_in_body() {
    for mode in ["3", "Post"] {
        let options = format!("TokenEndpoint=https://example.com/t;ClientID=c;ClientCredentialsMode={mode}");
        let client = token_endpoint_config(&options).client.unwrap();
        assert_eq!((client.id.as_str(), client.secret.is_none(), client.uses_basic_auth), ("c", true, false));
        let with_secret = token_endpoint_config(&format!("{options};ClientSecret=s")).client.unwrap();
        assert!(with_secret.secret.is_some());
    }
    let error = resolve_error(&format!("{BASE}TokenEndpoint=https://example.com/t;ClientCredentialsMode=3"));
    assert_eq!(missing_option_error(&error).option(), Some("ClientID"));
}

#[test]
fn explicit_bearer_grant_warns_where_jwt_authenticates_client() {
    let warns = |method: &str| {
        let entra = "Provider=entra;TokenURI=POST https://a.example/t;ClientID=c;ClaimsIssuer=c;JWTCertStore=k;Scope=a";
        let options = Options::parse(&format!("{method}{entra}")).unwrap();
        let about_method = |warning: &Error| warning.option() == Some("AuthenticationMethod");
        resolve(&options).warnings().iter().any(about_method)
    };
    assert!(warns("AuthenticationMethod=55;"));
    assert!(!warns("") && !warns("AuthenticationMethod=24;") && !warns("am=OAuth2-JWTClientAssertion;"));
}
