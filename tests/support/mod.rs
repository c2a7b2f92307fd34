//! What the integration tests share: key stores made by other people's tools, and the C API as a test calls it.

#![allow(dead_code, reason = "each test program uses its own part")]

pub mod browser;
pub mod c_api;
#[cfg(all(unix, not(target_os = "macos")))]
pub mod fake_xdg_open;
pub mod servers;
pub mod stores;
pub mod tempdir;

use mock_server::{ClientOptions, Config, MockServer};

/// The issuer of DataDirect's page.
pub const ISSUER: &str = "1a2b3c4d5e_6f7g8h9g";

/// An authority that knows the signer's certificate.
pub fn start_mock_server(config: Config) -> MockServer {
    let authority = MockServer::start(config);
    authority.register(ISSUER, &[stores::certificate()], ClientOptions::default());
    authority
}

/// What makes the authority's certificate believed.
fn trust_store_option(authority: &MockServer) -> String {
    if authority.url("").starts_with("https") {
        format!("TrustStore={};", authority.ca_pem_path().display())
    } else {
        String::new()
    }
}

/// DataDirect's connection string with another store and token host, and the authority's own CA trusted.
pub fn datadirect_string(store: &str, authority: &MockServer) -> String {
    let trust = trust_store_option(authority);
    format!(
        "DRIVER=DataDirect 8.0 Autonomous REST Connector; \n       \
         RestConfigFile=C:/path/to/docusign.rest;AuthenticationMethod=55;\n       \
         ClaimsIssuer='{ISSUER}';ClaimsSubject=jsmith@example.com;\n       \
         JWTCertStore={store};JWTCertPassword=secret;\n       \
         TokenUri={};\n       \
         RedirectUri=http://localhost:3000;AuthHeader=response_type;SecurityToken=code;\n       \
         Scope=signature impersonation;{trust}",
        authority.url("/oauth/token"),
    )
}

/// The fewest options that get a token from `authority` by POST.
pub fn minimal_string(authority: &MockServer, more: &str) -> String {
    let trust = trust_store_option(authority);
    format!(
        "{more};AuthenticationMethod=55;ClaimsIssuer={ISSUER};ClaimsSubject=jsmith@example.com;\
         JWTCertStore={};JWTCertPassword=secret;TokenURI=POST {};{trust}",
        stores::path("keytool.jks"),
        authority.url("/oauth/token"),
    )
}
