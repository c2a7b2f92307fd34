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
fn grant_is_inferred_from_key_and_issuer() {
    for method in ["", "AuthenticationMethod=24;", "AuthenticationMethod=oauth2;", "am=OAuth2-JWTBearer;"] {
        let options = Options::parse(&format!("{method}ClaimsIssuer=me;JWTCertStore=k.jks")).unwrap();
        assert!(matches!(resolve(&options).config.unwrap().flow, Flow::SignedJwt(_)), "{method}");
    }
    let error = resolve_error("");
    assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("AuthenticationMethod")));
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
fn incomplete_or_invalid_extra_header_is_rejected() {
    for (more, status, option) in [
        ("AuthHeader=X-Tenant", Status::MissingOption, "SecurityToken"),
        ("SecurityToken=1", Status::MissingOption, "AuthHeader"),
        ("AuthHeader=X Tenant;SecurityToken=1", Status::InvalidOption, "AuthHeader"),
        ("AuthHeader=Content-Length;SecurityToken=1", Status::InvalidOption, "AuthHeader"),
        ("AuthHeader=host;SecurityToken=evil", Status::InvalidOption, "AuthHeader"),
        ("AuthHeader=X;SecurityToken={1\r\nY: 2}", Status::InvalidOption, "SecurityToken"),
    ] {
        let error = resolve_error(&format!("{BASE}{more}"));
        assert_eq!((error.status(), error.option()), (status, Some(option)), "{more}");
        assert!(!error.message().contains("Y: 2"), "{error}");
    }
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
fn key_or_issuer_alone_reports_other_missing() {
    for (text, missing) in [("JWTCertStore=k.jks", "ClaimsIssuer"), ("ClaimsIssuer=me", "JWTCertStore")] {
        let error = resolve_error(text);
        let error = missing_option_error(&error);
        assert_eq!(error.option(), Some(missing), "{text}");
        assert!(error.message().ends_with(&format!("{missing} is missing")), "{error}");
    }
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
fn authorization_header_conflicts_with_basic_auth() {
    let secret =
        "AuthHeader=authorization;SecurityToken=1;ClientID=c;ClientSecret=s;TokenEndpoint=https://a/t";
    for mode in ["0", "1", "Default", "basic"] {
        let error = resolve_error(&format!("{BASE}{secret};ClientCredentialsMode={mode}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("AuthHeader")), "{mode}");
    }
    assert!(
        !token_endpoint_config(&format!("{secret};ClientCredentialsMode=3")).client.unwrap().uses_basic_auth
    );
}

/// Options with a model that sets these headers, a JSON object.
fn options_with_model_headers(headers: &str, more: &str) -> Options {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.rest");
    std::fs::write(&model, format!(r##"{{"#headers": {headers}}}"##)).unwrap();
    Options::open(&format!("RestConfigFile={};{more}", model.display()), &ProcessEnvironment).unwrap()
}

/// Options with a model that sets an Authorization header.
fn options_with_authorization_in_model(more: &str) -> Options {
    options_with_model_headers(r#"{"Authorization": "hunter2"}"#, more)
}

fn names_and_values(headers: &[HttpHeader]) -> Vec<(&str, &str)> {
    headers.iter().map(|header| (header.name.as_str(), header.value.reveal())).collect()
}

#[test]
fn authorization_header_of_model_conflicts_with_basic_auth() {
    let client = "am=53;ClientID=c;ClientSecret=s;TokenEndpoint=https://a/t";
    let error = resolve(&options_with_authorization_in_model(client)).config.unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("RestConfigFile")));
    assert!(error.message().contains("Authorization") && !error.message().contains("hunter2"), "{error}");
    let in_body = options_with_authorization_in_model(&format!("{client};ClientCredentialsMode=3"));
    let config = resolve(&in_body).config.unwrap();
    let headers = &config.flow.token_endpoint().unwrap().headers;
    assert_eq!(names_and_values(headers), [("Authorization", "hunter2")]);
    assert!(config.headers.is_empty(), "API requests have the token");
}

#[test]
fn auth_header_replaces_that_of_model_in_token_request() {
    let options = options_with_model_headers(
        r#"{"x-tenant": "model", "Accept": "text/csv", "X-Other": "b"}"#,
        "am=53;ClientID=c;ClientSecret=s;TokenEndpoint=https://a/t;AuthHeader=X-Tenant;SecurityToken=a",
    );
    let config = resolve(&options).config.unwrap();
    let headers = &config.flow.token_endpoint().unwrap().headers;
    assert_eq!(
        names_and_values(headers),
        [("X-Tenant", "a"), ("X-Other", "b")],
        "the model's Accept is for the API"
    );
}

#[test]
fn api_headers_are_those_of_option_model_and_profile() {
    let options = options_with_model_headers(
        r#"{"Accept": "text/csv"}"#,
        "am=JWT;ClaimsIssuer=A.B;JWTCertStore=k.jks;Provider=snowflake;AuthHeader=X-Tenant;SecurityToken=a",
    );
    let headers = resolve(&options).config.unwrap().headers;
    let expected =
        [("X-Tenant", "a"), ("Accept", "text/csv"), ("X-Snowflake-Authorization-Token-Type", "KEYPAIR_JWT")];
    assert_eq!(names_and_values(&headers), expected);
}

#[test]
fn configured_token_with_line_break_is_invalid() {
    let renewable = "am=54;RefreshToken=r;TokenEndpoint=https://a/t";
    for (string, option) in [
        ("am=50", "AccessToken"),
        (renewable, "AccessToken"),
        ("am=34", "SecurityToken"),
        ("am=25", "SecurityToken"),
    ] {
        for (value, is_valid) in [("a~ b", true), ("a\r\nX: y", false), ("a\n", false), ("\u{e9}", false)] {
            let resolution = resolve(&Options::parse(&format!("{string};{option}={{{value}}}")).unwrap());
            let error = resolution.config.as_ref().err();
            assert_eq!(error.is_none(), is_valid, "{string} {value:?}: {error:?}");
            assert!(error.is_none_or(|error| error.concerns(option)), "{error:?}");
        }
    }
}

#[test]
fn unsent_authorization_header_warns() {
    let warned = |options: &Options| {
        let resolution = resolve(options);
        assert!(resolution.config.is_ok(), "{resolution:?}");
        let is_found = |warning: &&Error| warning.message().contains("Authorization");
        resolution.warnings().iter().find(is_found).and_then(|found| found.option().map(str::to_owned))
    };
    let header = "AuthHeader=authorization;SecurityToken=x";
    for (more, option) in [
        ("am=JWT;cliss=me;JWTCertStore=k.jks", Some("AuthHeader")),
        ("am=50;AccessToken=a", Some("AuthHeader")),
        ("am=55;cliss=me;JWTCertStore=k.jks;TokenEndpoint=https://a/t", None),
        ("am=25", None),
        (
            "Provider=hydra;am=55;cliss=me;clsub=u;JWTCertStore=k.jks;TokenEndpoint=https://a/t;ClientID=c;ClientSecret=s",
            Some("AuthHeader"),
        ),
    ] {
        let options = Options::parse(&format!("{header};{more}")).unwrap();
        assert_eq!(warned(&options).as_deref(), option, "{more}");
    }
    for (more, option) in [
        ("am=50;AccessToken=a", Some("RestConfigFile")),
        ("am=15", Some("RestConfigFile")),
        ("am=54;RefreshToken=r;TokenEndpoint=https://a/t", None),
    ] {
        assert_eq!(warned(&options_with_authorization_in_model(more)).as_deref(), option, "{more}");
    }
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
fn reserved_http_headers_are_rejected() {
    for name in [
        "Connection",
        "Content-Encoding",
        "content-length",
        "Content-Type",
        "Expect",
        "HOST",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
    ] {
        assert_eq!(
            resolve_error(&format!("{BASE}AuthHeader={name};SecurityToken=1")).option(),
            Some("AuthHeader"),
            "{name}"
        );
    }
}

#[test]
fn incomplete_header_error_names_missing_half() {
    let message = |more: &str| resolve_error(&format!("{BASE}{more}")).message().to_owned();
    assert!(message("AuthHeader=X").contains("SecurityToken is missing: AuthHeader"));
    assert!(message("SecurityToken=1").contains("AuthHeader is missing: SecurityToken"));
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
