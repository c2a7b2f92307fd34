//! Third-party proxies (tinyproxy, microsocks), and mutual TLS with nginx.
//!
//! Not part of `cargo test`, because these programs may be missing; `make test` installs them and runs this
//! file as its part `network`.

#[path = "../support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::OnceLock;

use authgrant::ffi::authorize::authgrant_logoff;
use authgrant::ffi::status::*;
use authgrant::options::Environment;
use mock_server::{ClientAuth, ClientOptions, Config, GrantType, MockServer};
use support::c_api::{Failure, LogLines, get_token, open, open_with_environment};
use support::servers::{start_microsocks, start_nginx, start_tinyproxy};
use support::{datadirect_string, minimal_string, start_mock_server};
use tempfile::TempDir;

const CLIENT_ID: &str = "the client";

fn run_shell(directory: &Path, command: &str) {
    let output = Command::new("sh").args(["-ec", command]).current_dir(directory).output().expect("sh runs");
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The directory with a server certificate for localhost, and client certificates in every kind of store,
/// each signed by its CA.
fn test_dir() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(generate_certificates).path()
}

fn test_file(name: &str) -> String {
    let path = test_dir().join(name);
    assert!(path.exists(), "{name} is not a generated file");
    path.to_str().unwrap().to_owned()
}

fn generate_certificates() -> TempDir {
    let temp_dir = TempDir::new().unwrap();
    let directory = temp_dir.path();
    for ca in ["server-ca", "client-ca", "other-ca"] {
        run_shell(
            directory,
            &format!(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {ca}.key \
                 -out {ca}.pem -days 30 -subj '/CN={ca}' 2>&1"
            ),
        );
    }
    fs::write(directory.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\n")
        .unwrap();
    let p256 = "EC -pkeyopt ec_paramgen_curve:P-256";
    issue_certificate(directory, "server", p256, "server-ca", "-extfile names");
    for (name, key_type) in [
        ("rsa", "RSA -pkeyopt rsa_keygen_bits:2048"),
        ("p256", p256),
        ("p384", "EC -pkeyopt ec_paramgen_curve:P-384"),
        ("ed25519", "ED25519"),
    ] {
        issue_certificate(directory, name, key_type, "client-ca", "");
        run_shell(
            directory,
            &format!(
                "cat {name}.key {name}.pem > {name}.both.pem
                 openssl pkcs12 -export -inkey {name}.key -in {name}.pem -name {name} -passout pass:secret \
                 -out {name}.p12"
            ),
        );
    }
    issue_certificate(directory, "untrusted", "ED25519", "other-ca", "");
    run_shell(directory, "cat untrusted.key untrusted.pem > untrusted.both.pem");
    run_shell(
        directory,
        "for name in rsa p256; do
             keytool -importkeystore -srckeystore $name.p12 -srcstoretype PKCS12 -srcstorepass secret \
             -destkeystore rsa.jks -deststoretype JKS -deststorepass secret -noprompt 2>&1
         done
         keytool -keypasswd -storetype JKS -keystore rsa.jks -storepass secret -alias rsa -keypass secret \
         -new another 2>&1
         keytool -importcert -noprompt -storetype JKS -keystore trust.jks -storepass changeit -alias ca \
         -file server-ca.pem 2>&1",
    );
    temp_dir
}

/// Generates a key, and a certificate for it with the subject `CN={name}` that is signed by `ca`.
fn issue_certificate(directory: &Path, name: &str, key_type: &str, ca: &str, x509_args: &str) {
    run_shell(
        directory,
        &format!(
            "openssl genpkey -algorithm {key_type} -out {name}.key 2>&1
             openssl req -new -key {name}.key -subj '/CN={name}' -out {name}.csr
             openssl x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 30 \
             {x509_args} -out {name}.pem 2>&1"
        ),
    );
}

/// A server that authenticates the client only by a certificate with this subject.
fn start_server_with_certificate_client(subject: &str) -> MockServer {
    let server = MockServer::start(Config::http());
    let options = ClientOptions {
        grant_types: vec![GrantType::ClientCredentials],
        client_auth: Some(ClientAuth::Certificate),
        certificate_subject: Some(subject.to_owned()),
        ..ClientOptions::default()
    };
    server.register::<&str>(CLIENT_ID, &[], options);
    server
}

fn certificate_string(port: u16, more: &str) -> String {
    format!(
        "{more};AuthenticationMethod=53;ClientID={CLIENT_ID};TokenURI=https://localhost:{port}/oauth/token;\
         TrustStore={};TrustStorePassword=changeit",
        test_file("trust.jks")
    )
}

/// Asserts a network error about `option`, without the wrong password `hunter2`.
#[track_caller]
fn assert_network_error(failure: &Failure, option: Option<&str>) {
    assert_eq!(
        (failure.status, failure.sqlstate.as_str(), failure.option.as_deref()),
        (AUTHGRANT_NETWORK, "08001", option),
        "{failure:?}"
    );
    assert!(!failure.message.contains("hunter2"), "{failure:?}");
}

#[test]
fn tinyproxy_basic_auth_reaches_https() {
    let (server, proxy) = (start_mock_server(Config::https()), start_tinyproxy("jsmith", "proxys3cr3t"));
    let string_via_proxy = |more: &str| {
        let proxy_options = format!("ProxyHost=127.0.0.1;ProxyPort={};{more};", proxy.port);
        proxy_options + &datadirect_string(&support::stores::path("keytool.jks"), &server)
    };
    static LOG: LogLines = LogLines(std::sync::Mutex::new(Vec::new()));
    let connection = open(&string_via_proxy("ProxyUser=jsmith;ProxyPassword=proxys3cr3t")).unwrap();
    connection.collect_log(&LOG);
    let token = connection.get_token().unwrap();
    connection.reject(&token);
    assert_ne!(connection.get_token().unwrap().value(), token.value());
    let request_line = format!("CONNECT 127.0.0.1:{} ", server.port());
    assert!(proxy.output().contains(&request_line), "{}", proxy.output());
    assert_eq!(server.connection_count(), 1, "the tunnel is reused");

    // tinyproxy responds with 401 to a wrong password.
    for (more, http_status) in [("", "HTTP 407"), ("ProxyUser=jsmith;ProxyPassword=hunter2", "HTTP 401")] {
        let failure = get_token(&string_via_proxy(more)).unwrap_err();
        assert_network_error(&failure, Some("ProxyUser"));
        assert!(failure.message.contains(http_status), "{failure:?}");
    }
    let log = LOG.0.lock().unwrap().join("\n");
    assert!(
        !log.is_empty() && !log.contains("proxys3cr3t") && !log.contains("anNtaXRoOnByb3h5czNjcjN0"),
        "{log}"
    );
    assert_eq!(server.connection_count(), 1, "the proxy is not bypassed");
}

#[test]
fn tinyproxy_upstream_failure_is_reported() {
    let server = start_mock_server(Config::https());
    let proxy = start_tinyproxy("u", "p");
    let proxy_options = format!("ProxyHost=http://127.0.0.1:{};ProxyUser=u;ProxyPassword=p;", proxy.port);
    let string = proxy_options + &minimal_string(&server, "");
    let unreachable = string.replace(&format!(":{}/oauth", server.port()), ":1/oauth");
    let failure = get_token(&unreachable).unwrap_err();
    assert_network_error(&failure, None);
    assert!(failure.message.contains("HTTP 500") || failure.message.contains("HTTP 502"), "{failure:?}");
    assert!(failure.message.contains(&format!("127.0.0.1:{} (ProxyHost)", proxy.port)), "{failure:?}");
    assert!(failure.message.contains("127.0.0.1:1 "), "{failure:?}");
}

#[test]
fn microsocks_works_with_and_without_user() {
    let server = start_mock_server(Config::https());
    let string_via_proxy = |port: u16, more: &str| {
        format!("ProxyHost=socks5://127.0.0.1:{port};{more};") + &minimal_string(&server, "")
    };
    let (open, restricted) = (start_microsocks(None), start_microsocks(Some(("u", "proxys3cr3t"))));
    get_token(&string_via_proxy(open.port, "CacheScope=Process")).unwrap();
    get_token(&string_via_proxy(restricted.port, "ProxyUser=u;ProxyPassword=proxys3cr3t")).unwrap();
    // The proxy is part of the cache key, so the first token is not reused.
    assert_eq!(server.token_requests().len(), 2);
    for more in ["", "ProxyUser=u;ProxyPassword=hunter2"] {
        let failure = get_token(&string_via_proxy(restricted.port, more)).unwrap_err();
        assert_network_error(&failure, Some("ProxyUser"));
        assert!(failure.message.contains("(SOCKS5)"), "{failure:?}");
    }
    let unreachable =
        string_via_proxy(open.port, "").replace(&format!(":{}/oauth", server.port()), ":1/oauth");
    let failure = get_token(&unreachable).unwrap_err();
    assert_network_error(&failure, None);
    assert!(failure.message.contains("SOCKS5 error 5"), "{failure:?}");
    let wrong_scheme = string_via_proxy(open.port, "").replace("socks5://", "http://");
    let failure = get_token(&wrong_scheme).unwrap_err();
    assert_network_error(&failure, None);
    assert!(failure.message.contains("ProxyHost"), "{failure:?}");
}

/// An environment that has only these variables.
struct VariableEnvironment(Vec<(&'static str, String)>);

impl Environment for VariableEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.0.iter().find(|(defined, _)| *defined == name).map(|(_, value)| value.into())
    }

    fn home(&self) -> Option<PathBuf> {
        None
    }

    fn system_folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

#[test]
fn environment_proxy_respects_no_proxy_and_option() {
    let server = start_server_with_certificate_client("CN=p256");
    let (proxy, nginx) = (start_tinyproxy("u", "p-s"), start_nginx(test_dir(), server.port()));
    // 0.0.0.0 reaches this machine, and unlike localhost is not exempt from the proxy.
    let string = certificate_string(nginx.port, &format!("KeyStore={}", test_file("p256.both.pem")));
    let string = string.replace("//localhost", "//0.0.0.0") + ";HostNameInCertificate=localhost";
    let environment = |no_proxy: &str| {
        let url = format!("http://u:p%2Ds@127.0.0.1:{}", proxy.port);
        VariableEnvironment(vec![("HTTPS_PROXY", url), ("no_proxy", no_proxy.to_owned())])
    };
    let connect_count = || proxy.output().matches("CONNECT 0.0.0.0").count();
    let get_token = |string: &str, environment: &VariableEnvironment| {
        open_with_environment(string, environment).unwrap().get_token()
    };
    get_token(&string, &environment("")).unwrap();
    let proxied = connect_count();
    assert!(proxied > 0, "{}", proxy.output());
    get_token(&string, &environment("0.0.0.0")).unwrap();
    get_token(&format!("{string};ProxyMode=0"), &environment("")).unwrap();
    assert_eq!(connect_count(), proxied);
    let url = format!("http://u:hunter2@127.0.0.1:{}", proxy.port);
    let failure = get_token(&string, &VariableEnvironment(vec![("https_proxy", url)])).unwrap_err();
    assert_network_error(&failure, Some("ProxyUser"));
    assert!(failure.message.contains("https_proxy"), "{failure:?}");
}

#[test]
fn nginx_accepts_client_certificates_from_all_stores() {
    for (subject, store) in [
        ("rsa", "KeyStore=rsa.both.pem"),
        ("p256", "ks=p256.both.pem;cpv=TLSv1.2"),
        ("p384", "KeyStore=p384.p12;KeyStorePassword=secret;CryptoProtocolVersion=TLSv1.3"),
        ("ed25519", "KeyStore=ed25519.p12;ksp=secret"),
        ("rsa", "KeyStore=rsa.p12;KeyStorePassword=secret;CryptoProtocolVersion=TLSv1.2"),
        ("rsa", "KeyStore=rsa.jks;KeyStorePassword=secret;KeyPassword=another;KeyStoreAlias=RSA"),
        ("p256", "KeyStore=rsa.jks;KeyStorePassword=secret;KeyStoreAlias=p256"),
    ] {
        let server = start_server_with_certificate_client(&format!("CN={subject}"));
        let nginx = start_nginx(test_dir(), server.port());
        let more = store.replacen('=', &format!("={}/", test_dir().display()), 1);
        let string = certificate_string(nginx.port, &more);
        get_token(&string).unwrap_or_else(|failure| panic!("{store}: {failure:?}"));
        let request = &server.token_requests()[0];
        assert_eq!(request.parameter("client_id").as_deref(), Some(CLIENT_ID));
        assert_eq!(request.parameter("client_secret"), None);
        let version = if store.contains("TLSv1.2") { "TLSv1.2" } else { "TLSv1.3" };
        assert_eq!(request.header("x-tls"), Some(version), "{store}");
    }
}

#[test]
fn nginx_rejects_missing_or_foreign_certificate() {
    let server = start_server_with_certificate_client("CN=rsa");
    let nginx = start_nginx(test_dir(), server.port());
    let get_error = |more: &str| get_token(&certificate_string(nginx.port, more)).unwrap_err();
    let missing = get_error("ClientSecret=x");
    assert_eq!((missing.status, missing.http_status), (AUTHGRANT_BAD_RESPONSE, 400), "{missing:?}");
    let untrusted = get_error(&format!("KeyStore={}", test_file("untrusted.both.pem")));
    assert_eq!((untrusted.status, untrusted.http_status), (AUTHGRANT_BAD_RESPONSE, 400), "{untrusted:?}");
    assert!(server.requests().is_empty());
    let other_subject = get_error(&format!("KeyStore={}", test_file("p256.both.pem")));
    assert_eq!(
        (other_subject.status, other_subject.oauth_error.as_deref()),
        (AUTHGRANT_DENIED, Some("invalid_client"))
    );
    let password = get_error(&format!("KeyStore={};KeyStorePassword=hunter2", test_file("rsa.p12")));
    assert_eq!(
        (password.status, password.option.as_deref()),
        (AUTHGRANT_KEY_PASSWORD, Some("KeyStorePassword"))
    );
    assert!(!password.message.contains("hunter2"), "{password:?}");
    let alias = get_error(&format!("KeyStore={};KeyStorePassword=secret", test_file("rsa.jks")));
    assert_eq!((alias.status, alias.option.as_deref()), (AUTHGRANT_KEY_NOT_FOUND, Some("KeyStoreAlias")));
    assert!(alias.message.contains("\"rsa\"") && alias.message.contains("\"p256\""), "{alias:?}");
}

#[test]
fn proxy_trust_store_and_mtls_combine() {
    let server = start_server_with_certificate_client("CN=p384");
    let (proxy, nginx) = (start_microsocks(Some(("u", "p"))), start_nginx(test_dir(), server.port()));
    let more = format!(
        "ProxyHost=socks5://127.0.0.1;ProxyPort={};ProxyUser=u;ProxyPassword=p;ProxyMode=1;KeyStore={};\
         KeyStorePassword=secret;LogoffURI=https://localhost:{}/oauth/logoff",
        proxy.port,
        test_file("p384.p12"),
        nginx.port
    );
    let connection = open(&certificate_string(nginx.port, &more)).unwrap();
    let token = connection.get_token().unwrap().value();
    assert_eq!(authgrant_logoff(connection.handle(), null_mut()), AUTHGRANT_OK);
    let requests = server.requests();
    let logoff = requests.last().unwrap();
    assert_eq!((logoff.path.as_str(), logoff.parameter("token")), ("/oauth/logoff", Some(token)));
    assert_eq!(logoff.parameter("client_id").as_deref(), Some(CLIENT_ID));
    assert!(requests.iter().all(|request| request.header("x-client-subject") == Some("CN=p384")));
}
