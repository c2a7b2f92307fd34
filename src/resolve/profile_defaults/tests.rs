//! What a profile adds, and that the user's own word is worth more.

use jsonwebtoken::Algorithm;

use super::super::{AssertionSource, Exchange, Flow, Grant, Resolution, Signing, resolve, resolve_under};
use super::*;
use crate::base::error::Status;
use crate::base::policy::Policy;
use crate::key::HostSigner;
use crate::options::Options;
use crate::provider;

fn resolution(text: &str) -> Resolution {
    resolve(&Options::parse(&format!("JWTCertStore=k.p12;{text}")).unwrap())
}

fn exchange(text: &str) -> Exchange {
    match resolution(text).config.unwrap_or_else(|error| panic!("{text}: {error}")).flow {
        Flow::Exchange(exchange) => *exchange,
        other => panic!("{text} has no token endpoint: {other:?}"),
    }
}

fn signing(text: &str) -> Signing {
    match resolution(text).config.unwrap_or_else(|error| panic!("{text}: {error}")).flow {
        Flow::SignedJwt(signing) => *signing,
        Flow::Exchange(exchange) => match exchange.grant {
            Grant::JwtBearer { signing, .. } => *signing,
            Grant::ClientAssertion { assertion: AssertionSource::Signed(signing), .. } => *signing,
            other => panic!("{text} signs nothing: {other:?}"),
        },
        other => panic!("{text} signs nothing: {other:?}"),
    }
}

/// The options that warnings are about.
fn warned(text: &str) -> Vec<String> {
    let warnings = resolution(text).warnings;
    warnings.iter().filter_map(|warning| warning.option().map(str::to_owned)).collect()
}

#[test]
fn a_signer_is_asked_for_the_thumbprints_of_a_provider_and_chooses_its_algorithm_itself() {
    let text = "Provider=entra;am=OAuth2-JWTClientAssertion;ClientID=me;JWTSecret=outranked;Scope=a";
    let options = Options::parse(&format!("{text};TokenURI=POST https://a.example")).unwrap();
    let signer = HostSigner::new(Algorithm::ES256, Box::new(|_, _| Err(1)));
    let config = resolve_under(&options, Some(&signer), Policy::current()).config.unwrap();
    let Flow::Exchange(exchange) = config.flow else { panic!("another flow") };
    let Grant::ClientAssertion { assertion: AssertionSource::Signed(signing), .. } = exchange.grant else {
        panic!("another grant");
    };
    assert_eq!(signing.header.cert_headers, [Thumbprint::X5tS256]);
    assert_eq!(signing.header.preferred_algorithms, []);
}

#[test]
fn each_kind_of_audience_is_made_of_what_it_says() {
    let at = |provider: &str, url: &str| {
        let text = format!(
            "am=55;Provider={provider};ClaimsIssuer=me;ClientSecret=s;ClientID=c;TokenURI=POST {url}"
        );
        signing(&text).audience
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
        assert_eq!(at(provider, url).as_deref(), audience, "{provider}");
    }
    let sandbox = at("salesforce", "https://test.salesforce.com/services/oauth2/token");
    assert_eq!(sandbox.as_deref(), Some("https://test.salesforce.com"));
    let error = resolution("Provider=google-selfsigned;am=JWT;ClaimsIssuer=me").config.unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("ClaimsAudience")));
    assert_eq!(signing("Provider=google-selfsigned;am=JWT;ClaimsIssuer=me;Scope=s").audience, None);
}

#[test]
fn what_the_user_says_is_worth_more_than_a_profile() {
    let profile = "Provider=entra;TokenURI=POST https://a.example/t;ClientID=me;";
    let usual = signing(profile);
    assert_eq!(usual.header.preferred_algorithms.first(), Some(&Algorithm::PS256));
    assert_eq!((usual.header.cert_headers.as_slice(), usual.lifetime), (&[Thumbprint::X5tS256][..], 600));
    let own = signing(&format!(
        "{profile}JWTAlgorithm=RS256;JWTThumbprint=x5t;JWTLifetimeMinutes=2;ClaimsAudience=you;ClaimsIssuer=i;ClaimsSubject=s"
    ));
    assert_eq!(
        (own.header.algorithm, own.header.cert_headers.as_slice()),
        (Some(Algorithm::RS256), &[Thumbprint::X5t][..])
    );
    assert_eq!((own.lifetime, own.audience.as_deref()), (120, Some("you")));
    assert_eq!((own.issuer.as_str(), own.subject.as_deref()), ("i", Some("s")));
    let named = signing(&format!("{profile}JWTHeaders={{{{\"x5t\":\"abc\"}}}}}}"));
    assert!(named.header.cert_headers.is_empty());
    let boxed = "Provider=box;am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me;ClientSecret=s;";
    let client = exchange(boxed).client.unwrap();
    assert_eq!((client.id.as_str(), client.basic), ("me", false));
    assert!(exchange(&format!("{boxed}ClientID=c;ClientCredentialsMode=1")).client.unwrap().basic);
    assert!(exchange(&format!("{boxed}AuthHeader=Authorization;SecurityToken=x")).client.is_none());
    assert_eq!(
        exchange("Provider=salesforce;am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me")
            .token_lifetime,
        Some(7200)
    );
    let salesforce = "Provider=salesforce;am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me;Scope=api";
    assert_eq!(exchange(salesforce).scope, None);
    assert_eq!(exchange(&format!("{salesforce};ScopeIn=Parameter")).scope.as_deref(), Some("api"));
    assert_eq!(warned(salesforce), ["Scope"]);
    assert!(warned(&format!("{salesforce};ScopeIn=Parameter")).is_empty());
}

#[test]
fn a_usual_scope_goes_to_where_it_means_something() {
    let entra = |url: &str| exchange(&format!("Provider=entra;ClientID=me;TokenURI=POST {url}")).scope;
    let usual = entra("https://login.microsoftonline.com/t/oauth2/v2.0/token");
    assert_eq!(usual.as_deref(), Some("https://graph.microsoft.com/.default"));
    assert_eq!(entra("https://adfs.example/adfs/oauth2/token"), None);
    let secret = "am=53;ClientID=me;ClientSecret=s;TokenURI=POST https://login.microsoftonline.com/t/oauth2/v2.0/token";
    assert_eq!(exchange(secret).scope.as_deref(), Some("https://graph.microsoft.com/.default"));
    let docusign = "Provider=docusign;am=55;ClaimsIssuer=me;TokenURI=POST https://a.example/t;";
    assert_eq!(signing(docusign).scope.as_deref(), Some("signature impersonation"));
    assert_eq!(signing(&format!("{docusign}Scope=click.manage")).scope.as_deref(), Some("click.manage"));
    assert_eq!(warned(&format!("{docusign}Scope=click.manage")), ["Scope"]);
    for scope in ["", "Scope=signature impersonation"] {
        assert!(warned(&format!("{docusign}{scope}")).is_empty(), "{scope}");
    }
}

#[test]
fn a_clients_own_assertion_has_its_id_in_both_claims() {
    let client = "am=OAuth2-JWTClientAssertion;TokenURI=POST https://a.example/t;";
    for text in ["ClientID=me", "ClaimsIssuer=me", "ClientID=other;ClaimsIssuer=me"] {
        let signing = signing(&format!("{client}{text}"));
        assert_eq!((signing.issuer.as_str(), signing.subject.as_deref()), ("me", Some("me")), "{text}");
    }
    let grant = resolution("am=55;TokenURI=POST https://a.example/t;ClientID=me").config.unwrap_err();
    assert_eq!(grant.option(), Some("ClaimsIssuer"), "the grant's issuer need not be the client");
    assert_eq!(signing("am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me").subject, None);
}

#[test]
fn a_key_is_a_clients_at_a_provider_of_that_kind_unless_the_user_says_otherwise() {
    let okta = "Provider=okta;ClientID=me;ClaimsIssuer=me;TokenURI=POST https://a.example/t;";
    for (method, client) in [("", true), ("am=24", true), ("am=OAuth2", true), ("am=55", false)] {
        let grant = exchange(&format!("{okta}{method}")).grant;
        assert_eq!(matches!(grant, Grant::ClientAssertion { .. }), client, "{method}");
    }
}

#[test]
fn what_a_provider_will_miss_or_refuse_is_warned_of() {
    let boxed = "Provider=box;am=55;TokenURI=POST https://a.example/t;ClaimsIssuer=me;ClientSecret=s;";
    assert_eq!(warned(boxed), ["JWTKeyID", "ClaimsAdditional"]);
    let whole = format!("{boxed}JWTKeyID=k;ClaimsAdditional={{{{\"box_sub_type\":\"user\"}}}}}};");
    assert!(warned(&whole).is_empty());
    assert!(warned(&format!("{whole}JWTLifetime=60")).is_empty());
    assert_eq!(warned(&format!("{whole}JWTLifetime=61")), ["JWTLifetime"]);
    assert_eq!(warned(&format!("{whole}JWTLifetimeMinutes=2")), ["JWTLifetimeMinutes"]);
    assert_eq!(signing(&format!("{whole}JWTLifetime=61")).lifetime, 61);
}

#[test]
fn snowflakes_names_are_put_in_capitals_and_the_fingerprint_is_left_to_the_key() {
    let snowflake = |issuer: &str| signing(&format!("Provider=snowflake;am=JWT;ClaimsIssuer={issuer}"));
    let open = snowflake("xy12345.robot");
    assert_eq!(
        (open.issuer.as_str(), open.subject.as_deref(), open.keyed_issuer),
        ("XY12345.ROBOT", Some("XY12345.ROBOT"), true)
    );
    let whole = snowflake("{XY.ROBOT.SHA256:abc=}");
    assert_eq!((whole.subject.as_deref(), whole.keyed_issuer), (Some("XY.ROBOT"), false));
}

#[test]
fn a_profile_of_a_name_alone_is_no_hosts() {
    for name in ["keycloak", "hydra", "zitadel", "smart-backend", "auth0"] {
        assert!(provider::find_by_name(name).unwrap().hosts.is_empty(), "{name}");
    }
}

#[test]
fn an_account_and_its_user_are_read_as_snowflake_reads_them() {
    for (written, read) in [
        ("xy12345.robot", "XY12345.ROBOT"),
        ("acme-prod.robot", "ACME-PROD.ROBOT"),
        ("acme-x1.global.robot", "ACME.ROBOT"),
        ("acme.first.last@example.com", "ACME.FIRST.LAST@EXAMPLE.COM"),
        ("acme", "ACME"),
        ("Acme.Robot.SHA256:aBc=", "Acme.Robot.SHA256:aBc="),
    ] {
        assert_eq!(account_and_user(written), read, "{written}");
    }
    assert_eq!(before_fingerprint("ACME.ROBOT.SHA256:aBc="), "ACME.ROBOT");
}
