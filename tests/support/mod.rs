//! Shared code of the integration tests: key stores, servers, and wrappers of the C API.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod browser;
pub mod c_api;
#[cfg(all(unix, not(target_os = "macos")))]
pub mod fake_xdg_open;
pub mod servers;
pub mod stores;
pub mod tempdir;

use mock_server::{ClientOptions, Config, MockServer};

/// The issuer of DataDirect's documentation.
pub const ISSUER: &str = "1a2b3c4d5e_6f7g8h9g";

/// Starts a mock server with the certificate of the test key registered.
pub fn start_mock_server(config: Config) -> MockServer {
    let server = MockServer::start(config);
    server.register(ISSUER, &[stores::certificate()], ClientOptions::default());
    server
}

/// The TrustStore option for a mock server with https.
fn trust_store_option(server: &MockServer) -> String {
    if server.url("").starts_with("https") {
        format!("TrustStore={};", server.ca_pem_path().display())
    } else {
        String::new()
    }
}

/// The connection string of DataDirect's documentation with another key store and token host, and the trust
/// store of the mock server.
pub fn datadirect_string(store: &str, server: &MockServer) -> String {
    let trust_store = trust_store_option(server);
    format!(
        "DRIVER=DataDirect 8.0 Autonomous REST Connector; \n       \
         RestConfigFile=C:/path/to/docusign.rest;AuthenticationMethod=55;\n       \
         ClaimsIssuer='{ISSUER}';ClaimsSubject=jsmith@example.com;\n       \
         JWTCertStore={store};JWTCertPassword=secret;\n       \
         TokenUri={};\n       \
         RedirectUri=http://localhost:3000;AuthHeader=response_type;SecurityToken=code;\n       \
         Scope=signature impersonation;{trust_store}",
        server.url("/oauth/token"),
    )
}

/// The minimal connection string that gets a token from `server` by POST, preceded by `extra`.
pub fn minimal_string(server: &MockServer, extra: &str) -> String {
    let trust_store = trust_store_option(server);
    format!(
        "{extra};AuthenticationMethod=55;ClaimsIssuer={ISSUER};ClaimsSubject=jsmith@example.com;\
         JWTCertStore={};JWTCertPassword=secret;TokenURI=POST {};{trust_store}",
        stores::path("keytool.jks"),
        server.url("/oauth/token"),
    )
}

/// Runs `body` in a new process: this test program is started again for the test `name`.
pub fn run_in_fresh_process(name: &str, body: impl FnOnce()) {
    const SUBPROCESS_ENV: &str = "AUTHGRANT_TEST_ALONE";
    if std::env::var_os(SUBPROCESS_ENV).is_some() {
        return body();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(SUBPROCESS_ENV, "1")
        .output()
        .unwrap();
    let to_text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (to_text(&output.stdout), to_text(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}
