use super::method::{METHODS, Method};
use super::*;
use crate::base::error::Status;
use crate::options::ProcessEnvironment;

const BASE: &str = "AuthenticationMethod=55;ClaimsIssuer=me;JWTCertStore=k.jks;";

fn resolution(more: &str) -> Resolution {
    resolve(&Options::parse(&format!("{BASE}{more}")).unwrap())
}

fn config(more: &str) -> Config {
    resolution(more).config.unwrap_or_else(|error| panic!("{more}: {error}"))
}

fn exchange(more: &str) -> Exchange {
    match config(more).flow {
        Flow::Exchange(exchange) => *exchange,
        other => panic!("{more} has no token endpoint: {other:?}"),
    }
}

fn signing(more: &str) -> Signing {
    match exchange(more).grant {
        Grant::JwtBearer { signing, .. } => *signing,
        other => panic!("{more} signs nothing: {other:?}"),
    }
}

fn flow(text: &str) -> Flow {
    resolve(&Options::parse(text).unwrap()).config.unwrap_or_else(|error| panic!("{text}: {error}")).flow
}

fn fault(text: &str) -> Error {
    resolve(&Options::parse(text).unwrap()).config.err().unwrap_or_else(|| panic!("{text} is accepted"))
}

#[test]
fn the_grant_is_inferred_from_a_key_store_or_an_issuer() {
    for method in ["", "AuthenticationMethod=24;", "AuthenticationMethod=oauth2;", "am=OAuth2-JWTBearer;"] {
        let options = Options::parse(&format!("{method}ClaimsIssuer=me;JWTCertStore=k.jks")).unwrap();
        assert!(matches!(resolve(&options).config.unwrap().flow, Flow::SignedJwt(_)), "{method}");
    }
    let error = fault("");
    assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("AuthenticationMethod")));
}

#[test]
fn every_missing_option_is_named_in_one_error() {
    let error = fault("AuthenticationMethod=55");
    assert_eq!(error.status(), Status::MissingOption);
    assert!(error.message().contains("ClaimsIssuer and JWTCertStore are missing"), "{error}");
}

#[test]
fn every_fault_is_told_at_once() {
    let error = fault("AuthenticationMethod=55;LoginTimeout=abc;JWTLifetime=0;TokenURI=http://example.com/t");
    let chain: Vec<_> = std::iter::once(&error).chain(error.additional()).collect();
    let options: Vec<_> = chain.iter().filter_map(|error| error.option()).collect();
    assert_eq!(options, ["JWTLifetime", "LoginTimeout", "TokenURI", "ClaimsIssuer"]);
    assert_eq!(chain.last().unwrap().status(), Status::MissingOption);
}

#[test]
fn methods_that_are_known_are_told_from_those_that_are_not() {
    assert_eq!(fault("AuthenticationMethod=99").status(), Status::InvalidOption);
    for (number, word, method) in METHODS {
        if matches!(method, Method::NotBuiltIn(_)) {
            assert_eq!(fault(&format!("am={number}")).status(), Status::Unsupported);
            assert_eq!(fault(&format!("am={word}")).status(), Status::Unsupported);
        }
    }
}

#[test]
fn the_token_uri_chooses_the_method() {
    assert_eq!(exchange("TokenURI=https://example.com/t").methods, Methods::GetThenPost);
    assert_eq!(exchange("TokenURI=POST https://example.com/t").methods, Methods::Post);
    assert_eq!(exchange("TokenURI=post   https://example.com/t").methods, Methods::Post);
    assert_eq!(exchange("TokenURI=POST\thttps://example.com/t").methods, Methods::Post);
    assert_eq!(exchange("TokenURI=GET https://example.com/t").methods, Methods::Get);
    let blanks = exchange("TokenURI=get \t https://example.com/t");
    assert_eq!(blanks.endpoint.as_str(), "https://example.com/t");
    assert_eq!(exchange("TokenEndpoint=https://example.com/t").methods, Methods::Post);
    assert_eq!(exchange("TokenURI=https://account-d.docusign.com/oauth/token").methods, Methods::Post);
    for bad in ["TokenURI=PUT https://example.com/t", "TokenURI=https://a/t;TokenEndpoint=https://b/t"] {
        assert_eq!(fault(&format!("{BASE}{bad}")).status(), Status::InvalidOption, "{bad}");
    }
}

#[test]
fn a_get_is_warned_of() {
    let warned = |more: &str| {
        let resolution = resolution(more);
        resolution.warnings.iter().any(|warning| warning.message().contains("logs"))
    };
    assert!(warned("TokenURI=https://example.com/t"));
    assert!(warned("TokenURI=GET https://example.com/t"));
    assert!(!warned("TokenURI=POST https://example.com/t"));
    assert!(!warned("TokenURI=https://account.docusign.com/oauth/token"));
}

#[test]
fn the_audience_is_the_users_then_the_providers_then_the_token_url_to_the_letter() {
    let audience = |more: &str| signing(more).audience.unwrap();
    assert_eq!(audience("TokenURI=POST https://Example.com/t?a=1"), "https://Example.com/t?a=1");
    assert_eq!(audience("TokenURI=POST https://example.com"), "https://example.com");
    assert_eq!(audience("TokenURI=https://account-d.docusign.com/oauth/token"), "account-d.docusign.com");
    assert_eq!(audience("TokenEndpoint=https://example.com/t;ClaimsAudience=x"), "x");
    let Flow::SignedJwt(signing) = config("").flow else { panic!("there is a token endpoint") };
    assert_eq!(signing.audience, None);
}

#[test]
fn the_scope_goes_where_the_provider_reads_it_unless_the_user_says_where() {
    let places = |more: &str| {
        let more = format!("Scope=a b;{more}");
        (signing(&more).scope.is_some(), exchange(&more).scope.is_some())
    };
    assert_eq!(places("TokenEndpoint=https://example.com/t"), (true, true));
    assert_eq!(places("TokenEndpoint=https://account.docusign.com/oauth/token"), (true, false));
    assert_eq!(places("TokenEndpoint=https://example.com/t;ScopeIn=parameter"), (false, true));
    assert_eq!(places("TokenEndpoint=https://account.docusign.com/oauth/token;ScopeIn=Both"), (true, true));
}

#[test]
fn a_client_secret_never_travels_in_a_url() {
    let secret = "ClientID=c;ClientSecret=s;ClientCredentialsMode=3;";
    assert_eq!(exchange(&format!("{secret}TokenURI=https://example.com/t")).methods, Methods::Post);
    let error = fault(&format!("{BASE}{secret}TokenURI=GET https://example.com/t"));
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("TokenURI")));
}

#[test]
fn client_credentials_go_along_only_where_the_user_says_how() {
    let client = |more: &str| exchange(&format!("{more};TokenEndpoint=https://example.com/t")).client;
    assert!(client("ClientID=c;ClientSecret=s").is_none());
    assert!(client("ClientID=c;ClientSecret=s;ClientCredentialsMode=0").unwrap().basic);
    assert!(!client("ClientID=c;ClientSecret=s;ClientCredentialsMode=post").unwrap().basic);
    let error = fault(&format!("{BASE}ClientCredentialsMode=1;TokenEndpoint=https://example.com/t"));
    assert!(error.message().contains("ClientID and ClientSecret are missing"), "{error}");
}

#[test]
fn one_half_of_a_header_is_a_fault_and_so_is_one_that_cannot_be_sent() {
    for (more, status, option) in [
        ("AuthHeader=X-Tenant", Status::MissingOption, "SecurityToken"),
        ("SecurityToken=1", Status::MissingOption, "AuthHeader"),
        ("AuthHeader=X Tenant;SecurityToken=1", Status::InvalidOption, "AuthHeader"),
        ("AuthHeader=Content-Length;SecurityToken=1", Status::InvalidOption, "AuthHeader"),
        ("AuthHeader=host;SecurityToken=evil", Status::InvalidOption, "AuthHeader"),
        ("AuthHeader=X;SecurityToken={1\r\nY: 2}", Status::InvalidOption, "SecurityToken"),
    ] {
        let error = fault(&format!("{BASE}{more}"));
        assert_eq!((error.status(), error.option()), (status, Some(option)), "{more}");
        assert!(!error.message().contains("Y: 2"), "{error}");
    }
}

#[test]
fn no_secret_shows_in_debug_or_in_a_fault() {
    let more = "JWTCertPassword=hunter2;SecurityToken=hunter2;AuthHeader=X;ClientSecret=hunter2;ClientID=c;\
                ClientCredentialsMode=3;TokenURI=POST https://example.com/t?key=hunter2;JWTCertKeyPassword=hunter2;\
                ClaimsAudience=a";
    assert!(!format!("{:?}", resolution(more)).contains("hunter2"));
}

#[test]
fn timeouts_follow_the_vendors_numbers() {
    let timeout = |more: &str| config(more).login_timeout.map(|timeout| timeout.as_secs());
    assert_eq!(timeout(""), Some(60));
    assert_eq!(timeout("lt=5"), Some(5));
    assert_eq!(timeout("LoginTimeout=0"), None);
    assert_eq!(timeout("LoginTimeout=-1"), None);
}

#[test]
fn a_model_file_that_is_not_there_is_named_when_something_is_missing() {
    let text = "AuthenticationMethod=55;RestConfigFile=/nowhere/x.rest";
    let options = Options::open(text, &ProcessEnvironment).unwrap();
    assert!(options.warnings()[0].message().contains("/nowhere/x.rest is not there"), "{options:?}");
    let error = resolve(&options).config.unwrap_err();
    assert!(error.message().contains("RestConfigFile"), "{error}");
}

#[test]
fn accepting_any_certificate_is_warned_of() {
    let resolution = resolution("TokenEndpoint=https://example.com/t;ValidateServerCertificate=0");
    let Ok(Config { flow: Flow::Exchange(exchange), .. }) = &resolution.config else {
        panic!("{resolution:?}")
    };
    assert!(!exchange.trust.validate);
    assert!(resolution.warnings.iter().any(|warning| warning.option() == Some("ValidateServerCertificate")));
}

#[test]
fn the_consent_url_needs_a_redirect_uri_and_an_endpoint() {
    let consent = |more: &str| config(more).consent;
    let docusign = "TokenURI=https://account-d.docusign.com/oauth/token;";
    let known = consent(&format!("{docusign}RedirectURI=http://localhost:3000")).unwrap();
    assert_eq!(known.endpoint, "https://account-d.docusign.com/oauth/auth");
    assert_eq!((known.client_id.as_str(), known.scope.as_deref()), ("me", Some("signature impersonation")));
    assert!(consent(docusign).is_none());
    for bad in ["RedirectURI=http://example.com:3000", "AuthURI=ftp://127.0.0.1/"] {
        assert_eq!(fault(&format!("{BASE}{bad}")).status(), Status::InvalidOption, "{bad}");
    }
    let own =
        consent(&format!("{docusign}RedirectURI=http://localhost:1;AuthURI=https://a/b;ClientID=c;Scope=s"))
            .unwrap();
    assert_eq!(
        (own.endpoint.as_str(), own.client_id.as_str(), own.scope.as_deref()),
        ("https://a/b", "c", Some("s"))
    );
}

#[test]
fn what_says_most_decides_where_no_method_is_given() {
    let endpoint = "TokenEndpoint=https://example.com/t;ClientID=c;ClientSecret=s";
    let grant = |text: &str| match flow(text) {
        Flow::Exchange(exchange) => format!("{:?}", exchange.grant),
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
fn each_grant_names_what_it_lacks() {
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
        let error = fault(&format!("am={method}"));
        assert_eq!(error.status(), Status::MissingOption, "{method}");
        assert!(error.message().contains(missing), "{method}: {error}");
    }
}

#[test]
fn secrets_other_than_assertions_never_go_by_get() {
    for grant in ["am=53;ClientID=c;ClientSecret=s", "am=52;UID=u;PWD=p", "am=54;RefreshToken=r"] {
        let Flow::Exchange(exchange) = flow(&format!("{grant};TokenURI=https://example.com/t")) else {
            panic!("{grant} asks nobody")
        };
        assert_eq!(exchange.methods, Methods::Post, "{grant}");
        let error = fault(&format!("{grant};TokenURI=GET https://example.com/t"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("TokenURI")), "{grant}");
    }
}

#[test]
fn more_parameters_are_read_unless_the_flow_sends_them_itself() {
    let names = |more: &str| {
        let parameters = exchange(&format!("TokenEndpoint=https://example.com/t;{more}")).parameters;
        parameters.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("TokenParameters=resource=x&a=b"), ["resource", "a"]);
    assert_eq!(names(r#"TokenParameters={{"resource":"x"}}}"#), ["resource"]);
    for bad in ["TokenParameters=scope=x", "TokenParameters=assertion=x", "TokenParameters=x"] {
        let error = fault(&format!("{BASE}TokenEndpoint=https://example.com/t;{bad}"));
        assert_eq!(
            (error.status(), error.option()),
            (Status::InvalidOption, Some("TokenParameters")),
            "{bad}"
        );
    }
}

#[test]
fn a_ready_made_assertion_has_one_source() {
    let text = "am=OAuth2-JWTClientAssertion;TokenEndpoint=https://example.com/t;ClientAssertion=a;ClientAssertionFile=f";
    assert_eq!(fault(text).option(), Some("ClientAssertion"));
}

#[test]
fn one_of_key_store_and_issuer_is_enough_to_infer_the_grant_and_the_other_is_missed() {
    for (text, missing) in [("JWTCertStore=k.jks", "ClaimsIssuer"), ("ClaimsIssuer=me", "JWTCertStore")] {
        let error = fault(text);
        assert_eq!((error.status(), error.option()), (Status::MissingOption, Some(missing)), "{text}");
        assert!(error.message().ends_with(&format!("{missing} is missing")), "{error}");
    }
}

#[test]
fn a_relative_store_is_meant_from_where_the_process_stands() {
    let Flow::SignedJwt(signing) = config("").flow else { panic!("there is a token endpoint") };
    let store = signing.key.files().next().unwrap();
    assert_eq!(store.path(), std::env::current_dir().unwrap().join("k.jks"));
    assert_eq!(store.as_configured(), "k.jks", "messages show it as typed");
}

#[test]
fn an_assertion_lives_for_five_minutes_unless_the_user_says_how_long() {
    let lifetime = |more: &str| signing(&format!("{more};TokenEndpoint=https://example.com/t")).lifetime;
    assert_eq!((lifetime(""), lifetime("JWTLifetime=86400")), (300, 86400));
}

#[test]
fn one_header_cannot_be_both_the_users_and_the_clients() {
    let secret =
        "AuthHeader=authorization;SecurityToken=1;ClientID=c;ClientSecret=s;TokenEndpoint=https://a/t";
    for mode in ["0", "1", "Default", "basic"] {
        let error = fault(&format!("{BASE}{secret};ClientCredentialsMode={mode}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("AuthHeader")), "{mode}");
    }
    assert!(!exchange(&format!("{secret};ClientCredentialsMode=3")).client.unwrap().basic);
}

#[test]
fn a_secret_that_was_to_go_into_a_url_is_warned_of() {
    let warned = |mode: &str| {
        let more =
            format!("ClientID=c;ClientSecret=s;ClientCredentialsMode={mode};TokenEndpoint=https://a/t");
        let warnings = resolution(&more).warnings;
        warnings.iter().any(|warning| warning.option() == Some("ClientCredentialsMode"))
    };
    assert!(warned("2") && warned("url"));
    assert!(!warned("3") && !warned("1"));
}

#[test]
fn a_header_that_frames_the_message_cannot_be_the_users() {
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
            fault(&format!("{BASE}AuthHeader={name};SecurityToken=1")).option(),
            Some("AuthHeader"),
            "{name}"
        );
    }
}

#[test]
fn half_a_header_is_told_by_the_half_that_is_there() {
    let said = |more: &str| fault(&format!("{BASE}{more}")).message().to_owned();
    assert!(
        said("AuthHeader=X")
            .ends_with("SecurityToken is missing: AuthHeader names a header that has no value")
    );
    assert!(
        said("SecurityToken=1")
            .ends_with("AuthHeader is missing: SecurityToken is the value of a header that has no name")
    );
}

#[test]
fn a_profile_that_does_not_exist_is_a_fault_whatever_the_host() {
    let error = fault(&format!("{BASE}Provider=nobody;TokenURI=https://account.docusign.com/oauth/token"));
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("Provider")));
    assert!(error.message().contains("docusign"), "{error}");
}
