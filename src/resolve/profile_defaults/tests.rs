//! Tests of profile defaults and of their precedence below configured options.

use jsonwebtoken::Algorithm;

use super::super::{
    AssertionConfig, AssertionSource, Flow, Grant, Resolution, TokenEndpointConfig, resolve, resolve_with,
};
use super::*;
use crate::base::error::{Error, Status};
use crate::base::policy::Policy;
use crate::key::{CallbackSigner, KeyCache};
use crate::options::Options;
use crate::provider;

fn resolution(text: &str) -> Resolution {
    resolve(&Options::parse(&format!("JWTCertStore=k.p12;{text}")).unwrap())
}

fn token_endpoint_config(text: &str) -> TokenEndpointConfig {
    match resolution(text).config.unwrap_or_else(|error| panic!("{text}: {error}")).flow {
        Flow::TokenEndpoint(config) => *config,
        other => panic!("{text} has no token endpoint: {other:?}"),
    }
}

fn assertion_config(text: &str) -> AssertionConfig {
    match resolution(text).config.unwrap_or_else(|error| panic!("{text}: {error}")).flow {
        Flow::SignedJwt(signing) => *signing,
        Flow::TokenEndpoint(config) => match config.grant {
            Grant::JwtBearer { signing, .. } => *signing,
            Grant::ClientAssertion { assertion: AssertionSource::SignedHere(signing), .. } => *signing,
            other => panic!("{text} signs nothing: {other:?}"),
        },
        other => panic!("{text} signs nothing: {other:?}"),
    }
}

/// The options for which there are warnings.
fn warned_options(text: &str) -> Vec<String> {
    let warnings = resolution(text).warnings();
    warnings.iter().filter_map(|warning| warning.option().map(str::to_owned)).collect()
}

#[test]
fn signer_gets_profile_cert_headers_not_algorithms() {
    let text = "Provider=entra;am=OAuth2-JWTClientAssertion;ClientID=me;JWTSecret=outranked;Scope=a";
    let options = Options::parse(&format!("{text};TokenURI=POST https://a.example")).unwrap();
    let signer = CallbackSigner::new(Algorithm::ES256, Box::new(|_, _| Err(1)));
    let config =
        resolve_with(&options, Some(&signer), Policy::current(), &KeyCache::new([0; 32])).config.unwrap();
    let Flow::TokenEndpoint(endpoint_config) = config.flow else { panic!("another flow") };
    let Grant::ClientAssertion { assertion: AssertionSource::SignedHere(signing), .. } =
        endpoint_config.grant
    else {
        panic!("another grant");
    };
    assert_eq!(signing.header.cert_headers, [CertHeader::X5tS256]);
    assert_eq!(signing.header.preferred_algorithms, []);
}

#[test]
fn default_audience_follows_provider_profile() {
    let audience_for = |provider: &str, url: &str| {
        let text = format!(
            "am=55;Provider={provider};ClaimsIssuer=me;ClaimsSubject=u;ClientSecret=s;ClientID=c;TokenURI=POST {url}"
        );
        assertion_config(&text).audience
    };
    let url = "https://a.example:8443/t?x=y";
    for (provider, audience) in [
        ("box", Some(url)),
        ("docusign", Some("a.example")),
        ("zitadel", Some("https://a.example:8443")),
        ("auth0", Some("https://a.example:8443/")),
        ("salesforce", Some("https://login.salesforce.com")),
        ("servicenow", Some("c")),
        ("apple-asc", Some("appstoreconnect-v1")),
        ("workday", None),
    ] {
        assert_eq!(audience_for(provider, url).as_deref(), audience, "{provider}");
    }
    let error = resolution("Provider=google-selfsigned;am=JWT;ClaimsIssuer=me").config.unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("ClaimsAudience")));
    assert_eq!(assertion_config("Provider=google-selfsigned;am=JWT;ClaimsIssuer=me;Scope=s").audience, None);
}

#[test]
fn salesforce_audience_is_login_server_of_host() {
    let (login, test) = ("https://login.salesforce.com", "https://test.salesforce.com");
    for (host, audience) in [
        ("login.salesforce.com", login),
        ("acme.my.salesforce.com", login),
        ("acme-dev-ed.develop.my.salesforce.com", login),
        ("sandbox.my.salesforce.com", login),
        ("na139.salesforce.com", login),
        ("usa2.sfdc-8tgtt5.salesforce.com", login),
        ("test.salesforce.com", test),
        ("acme--uat.sandbox.my.salesforce.com", test),
        ("ACME--UAT.Sandbox.my.salesforce.com", test),
        ("acme--uat.my.salesforce.com", test),
        ("acme--uat.cs42.my.salesforce.com", test),
        ("efficient-hawk-1.scratch.my.salesforce.com", test),
        ("cs42.salesforce.com", test),
        ("usa2s.sfdc-8tgtt5.salesforce.com", test),
    ] {
        let url = format!("TokenURI=POST https://{host}/services/oauth2/token");
        let text = format!("am=55;ClaimsIssuer=me;ClaimsSubject=u;{url}");
        assert_eq!(token_endpoint_config(&text).profile.unwrap().name, "salesforce", "{host}");
        assert_eq!(assertion_config(&text).audience.as_deref(), Some(audience), "{host}");
        let configured = assertion_config(&format!("ClaimsAudience=https://mine.example;{text}")).audience;
        assert_eq!(configured.as_deref(), Some("https://mine.example"));
    }
}

#[test]
fn explicit_options_override_profile_defaults() {
    let profile = "Provider=entra;TokenURI=POST https://a.example/t;ClientID=me;";
    let default = assertion_config(profile);
    assert_eq!(default.header.preferred_algorithms.first(), Some(&Algorithm::PS256));
    assert_eq!((default.header.cert_headers.as_slice(), default.lifetime), (&[CertHeader::X5tS256][..], 600));
    let configured = assertion_config(&format!(
        "{profile}JWTAlgorithm=RS256;JWTThumbprint=x5t;JWTLifetimeMinutes=2;ClaimsAudience=you;ClaimsIssuer=i;ClaimsSubject=s"
    ));
    assert_eq!(
        (configured.header.algorithm, configured.header.cert_headers.as_slice()),
        (Some(Algorithm::RS256), &[CertHeader::X5t][..])
    );
    assert_eq!((configured.lifetime, configured.audience.as_deref()), (120, Some("you")));
    assert_eq!((configured.issuer.as_str(), configured.subject.as_deref()), ("i", Some("s")));
    let with_header = assertion_config(&format!("{profile}JWTHeaders={{{{\"x5t\":\"abc\"}}}}}}"));
    assert!(with_header.header.cert_headers.is_empty());
    let box_options = "Provider=box;am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me;ClaimsSubject=u;ClientSecret=s;";
    let client = token_endpoint_config(box_options).client.unwrap();
    assert_eq!((client.id.as_str(), client.uses_basic_auth), ("me", false));
    assert!(
        token_endpoint_config(&format!("{box_options}ClientID=c;ClientCredentialsMode=1"))
            .client
            .unwrap()
            .uses_basic_auth
    );
    assert!(
        token_endpoint_config(&format!("{box_options}AuthHeader=Authorization;SecurityToken=x"))
            .client
            .is_none()
    );
    assert_eq!(
        token_endpoint_config(
            "Provider=salesforce;am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me;ClaimsSubject=u"
        )
        .token_lifetime,
        Some(7200)
    );
    let salesforce = "Provider=salesforce;am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me;ClaimsSubject=u;Scope=api";
    assert_eq!(token_endpoint_config(salesforce).scope, None);
    assert_eq!(
        token_endpoint_config(&format!("{salesforce};ScopeIn=Parameter")).scope.as_deref(),
        Some("api")
    );
    assert_eq!(warned_options(salesforce), ["Scope"]);
    assert!(warned_options(&format!("{salesforce};ScopeIn=Parameter")).is_empty());
}

#[test]
fn client_credentials_of_bearer_grant_follow_profile() {
    let base = "am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me;ClaimsSubject=u;ClientID=c";
    // Whether ClientSecret is sent, if there are client credentials.
    for (text, has_secret) in [
        ("Provider=servicenow", None),
        ("Provider=servicenow;KeyStore=s.p12", None),
        ("Provider=servicenow;ClientSecret=s", Some(true)),
        ("Provider=keycloak;ClientSecret=s", Some(true)),
        ("Provider=keycloak;ClientSecret=s;KeyStore=s.p12", Some(true)),
        ("Provider=keycloak;KeyStore=s.p12", Some(false)),
    ] {
        let client = token_endpoint_config(&format!("{text};{base}")).client;
        assert_eq!(client.map(|client| client.secret.is_some()), has_secret, "{text}");
    }
    let error = resolution(&format!("Provider=keycloak;{base}")).config.unwrap_err();
    let missing =
        error.additional().iter().chain([&error]).find(|error| error.status() == Status::MissingOption);
    assert_eq!(missing.unwrap().option(), Some("ClientSecret"));
}

#[test]
fn default_scope_applies_only_to_known_hosts() {
    let entra =
        |url: &str| token_endpoint_config(&format!("Provider=entra;ClientID=me;TokenURI=POST {url}")).scope;
    let default = entra("https://login.microsoftonline.com/t/oauth2/v2.0/token");
    assert_eq!(default.as_deref(), Some("https://graph.microsoft.com/.default"));
    for (host, graph) in [
        ("login.microsoftonline.us", "https://graph.microsoft.us/.default"),
        ("login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn/.default"),
        ("login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn/.default"),
        ("login.windows.net", "https://graph.microsoft.com/.default"),
    ] {
        let scope = entra(&format!("https://{host}/t/oauth2/v2.0/token"));
        assert_eq!(scope.as_deref(), Some(graph), "{host}");
    }
    assert_eq!(entra("https://adfs.example/adfs/oauth2/token"), None);
    assert_eq!(entra("https://adfs.example.us/adfs/oauth2/token"), None);
    let secret = "am=53;ClientID=me;ClientSecret=s;TokenURI=POST https://login.microsoftonline.com/t/oauth2/v2.0/token";
    assert_eq!(token_endpoint_config(secret).scope.as_deref(), Some("https://graph.microsoft.com/.default"));
    let docusign =
        "Provider=docusign;am=55;ClaimsIssuer=me;ClaimsSubject=u;TokenURI=POST https://a.example/t;";
    assert_eq!(assertion_config(docusign).scope.as_deref(), Some("signature impersonation"));
    assert_eq!(
        assertion_config(&format!("{docusign}Scope=click.manage")).scope.as_deref(),
        Some("click.manage")
    );
    assert_eq!(warned_options(&format!("{docusign}Scope=click.manage")), ["Scope"]);
    for scope in ["", "Scope=signature impersonation"] {
        assert!(warned_options(&format!("{docusign}{scope}")).is_empty(), "{scope}");
    }
}

#[test]
fn client_assertion_issuer_and_subject_match() {
    let client = "am=OAuth2-JWTClientAssertion;TokenURI=POST https://a.example/t;";
    for text in ["ClientID=me", "ClaimsIssuer=me", "ClientID=other;ClaimsIssuer=me"] {
        let signing = assertion_config(&format!("{client}{text}"));
        assert_eq!((signing.issuer.as_str(), signing.subject.as_deref()), ("me", Some("me")), "{text}");
    }
    let error = resolution("am=55;TokenURI=POST https://a.example/t;ClientID=me").config.unwrap_err();
    let missing = error.additional().last().and_then(Error::option);
    assert_eq!(missing, Some("ClaimsIssuer"), "in a grant, the issuer may differ from the client");
    assert_eq!(assertion_config("am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me").subject, None);
}

#[test]
fn missing_subject_is_warning_unless_default_or_additional_claim() {
    let grant = "am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me";
    assert_eq!(warned_options(grant), ["ClaimsSubject"]);
    for more in [
        "ClaimsSubject=u",
        "ClaimsAdditional='{\"sub\":\"u\"}'",
        "ClaimsAdditional='{\"sub\":5}'",
        "Provider=google",
        "Provider=zitadel;JWTKeyID=k",
        "Provider=maskinporten;JWTKeyID=k",
    ] {
        assert!(warned_options(&format!("{more};{grant}")).is_empty(), "{more}");
    }
    for client in ["ClientID=me", "Provider=netsuite;ClientID=me;JWTKeyID=k"] {
        let text = format!("am=OAuth2-JWTClientAssertion;TokenURI=POST https://a.example/t;{client}");
        assert!(warned_options(&text).is_empty(), "{client}");
    }
    for name in ["docusign", "salesforce", "box", "keycloak", "hydra", "servicenow"] {
        let text = format!("Provider={name};{grant};ClientID=c;ClientSecret=s;JWTCertStore=k.jks");
        let error = resolution(&text).config.unwrap_err();
        let errors = || std::iter::once(&error).chain(error.additional());
        let missing = errors().find(|error| error.status() == Status::MissingOption).unwrap();
        assert_eq!(missing.option(), Some("ClaimsSubject"), "{name}: {error}");
        let as_claim = format!("{text};ClaimsAdditional='{{\"sub\":\"u\",\"box_sub_type\":\"user\"}}'");
        assert_eq!(assertion_config(&as_claim).subject.as_deref(), Some("u"), "{name}");
    }
}

#[test]
fn missing_audience_of_token_is_warning_unless_provider_needs_none() {
    let token = "am=JWT;ClaimsIssuer=me;ClaimsSubject=u";
    assert_eq!(warned_options(token), ["ClaimsAudience"]);
    assert_eq!(warned_options("ClaimsIssuer=me;ClaimsSubject=u"), ["ClaimsAudience"]);
    for more in [
        "ClaimsAudience=a",
        "ClaimsAdditional='{\"aud\":[\"a\"]}'",
        "Provider=github-app",
        "Provider=apple-asc;JWTKeyID=k",
        "Provider=google-selfsigned;Scope=s",
    ] {
        assert!(warned_options(&format!("{token};{more}")).is_empty(), "{more}");
    }
    let grant = "am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me;ClaimsSubject=u";
    assert!(warned_options(grant).is_empty(), "it is the token URL");
}

#[test]
fn profile_selects_client_assertion_unless_method_given() {
    let okta = "Provider=okta;ClientID=me;ClaimsIssuer=me;TokenURI=POST https://a.example/t;";
    for (method, client) in [("", true), ("am=24", true), ("am=OAuth2", true), ("am=55", false)] {
        let grant = token_endpoint_config(&format!("{okta}{method}")).grant;
        assert_eq!(matches!(grant, Grant::ClientAssertion { .. }), client, "{method}");
    }
}

#[test]
fn unmet_profile_requirement_warns() {
    let box_options = "Provider=box;am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me;ClaimsSubject=u;ClientSecret=s;";
    assert_eq!(warned_options(box_options), ["JWTKeyID", "ClaimsAdditional"]);
    for key_id in
        ["JWTKeyID=k", "JWTThumbprint=x5t", "JWTHeaders='{\"kid\":\"k\"}'", "JWTHeaders='{\"x5t\":\"k\"}'"]
    {
        assert_eq!(warned_options(&format!("{box_options}{key_id}")), ["ClaimsAdditional"], "{key_id}");
    }
    let complete = format!("{box_options}JWTKeyID=k;ClaimsAdditional={{{{\"box_sub_type\":\"user\"}}}}}};");
    assert!(warned_options(&complete).is_empty());
    assert!(warned_options(&format!("{complete}JWTLifetime=60")).is_empty());
    assert_eq!(warned_options(&format!("{complete}JWTLifetime=61")), ["JWTLifetime"]);
    assert_eq!(warned_options(&format!("{complete}JWTLifetimeMinutes=2")), ["JWTLifetimeMinutes"]);
    assert_eq!(assertion_config(&format!("{complete}JWTLifetime=61")).lifetime, 61);
}

#[test]
fn snowflake_issuer_is_uppercased_fingerprint_appended() {
    let snowflake =
        |issuer: &str| assertion_config(&format!("Provider=snowflake;am=JWT;ClaimsIssuer={issuer}"));
    let without_fingerprint = snowflake("xy12345.robot");
    assert_eq!(
        (
            without_fingerprint.issuer.as_str(),
            without_fingerprint.subject.as_deref(),
            without_fingerprint.append_key_fingerprint
        ),
        ("XY12345.ROBOT", Some("XY12345.ROBOT"), true)
    );
    let with_fingerprint = snowflake("{XY.ROBOT.SHA256:abc=}");
    assert_eq!(
        (with_fingerprint.subject.as_deref(), with_fingerprint.append_key_fingerprint),
        (Some("XY.ROBOT"), false)
    );
}

#[test]
fn self_hosted_profiles_have_no_hosts() {
    for name in ["keycloak", "hydra", "zitadel", "smart-backend", "auth0"] {
        assert!(provider::find_by_name(name).unwrap().hosts.is_empty(), "{name}");
    }
}

#[test]
fn snowflake_account_and_user_are_normalized() {
    for (issuer, normalized) in [
        ("xy12345.robot", "XY12345.ROBOT"),
        ("acme-prod.robot", "ACME-PROD.ROBOT"),
        ("acme-x1.global.robot", "ACME.ROBOT"),
        ("acme.first.last@example.com", "ACME.FIRST.LAST@EXAMPLE.COM"),
        ("acme", "ACME"),
        ("Acme.Robot.SHA256:aBc=", "Acme.Robot.SHA256:aBc="),
    ] {
        assert_eq!(normalize_snowflake_issuer(issuer), normalized, "{issuer}");
    }
    assert_eq!(without_fingerprint("ACME.ROBOT.SHA256:aBc="), "ACME.ROBOT");
}

#[test]
fn unidentified_certificate_file_is_warning() {
    let base = "am=55;ClaimsIssuer=me;JWTCertStore=k;JWTCertificate=c";
    for (more, is_warning) in [
        ("", true),
        ("JWTKeyID=a", true),
        ("JWTThumbprint=x5c", false),
        ("JWTHeaders='{\"x5t\":\"a\"}'", false),
        ("Provider=entra", false),
        ("Provider=netsuite", true),
    ] {
        let warned = warned_options(&format!("{base};{more}")).contains(&"JWTCertificate".to_owned());
        assert_eq!(warned, is_warning, "{more}");
    }
    assert!(!warned_options("am=55;ClaimsIssuer=me;JWTCertStore=k").contains(&"JWTCertificate".to_owned()));
}
