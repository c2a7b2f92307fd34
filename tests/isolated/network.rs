//! Proxies, and a server that asks for client certificates, that others wrote: tinyproxy, microsocks, nginx. `cargo
//! test` leaves this file out, since they may be missing; `make test` installs them and runs it as its part `network`.

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
use mock_server::{Authority, ClientAuth, ClientOptions, Config, GrantType};
use support::c_api::{Lines, ask, open, open_in};
use support::servers::{microsocks, nginx, tinyproxy};
use support::{authority, page_string, short_string};
use tempfile::TempDir;

const CLIENT_ID: &str = "the client";

fn run_shell(folder: &Path, command: &str) {
    let output = Command::new("sh").args(["-ec", command]).current_dir(folder).output().expect("sh runs");
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A server's certificate for localhost, and clients' certificates in stores of all kinds, each signed by its CA.
fn test_dir() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(make).path()
}

fn test_file(name: &str) -> String {
    let path = folder().join(name);
    assert!(path.exists(), "{name}");
    path.to_str().unwrap().to_owned()
}

fn generate_certificates() -> TempDir {
    let folder = TempDir::new().unwrap();
    let here = folder.path();
    for ca in ["server-ca", "client-ca", "other-ca"] {
        run(
            here,
            &format!(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {ca}.key -out {ca}.pem \
                 -days 30 -subj '/CN={ca}' 2>&1"
            ),
        );
    }
    fs::write(here.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\n")
        .unwrap();
    signed(here, "server", "EC -pkeyopt ec_paramgen_curve:P-256", "server-ca", "-extfile names");
    for (name, kind) in [
        ("rsa", "RSA -pkeyopt rsa_keygen_bits:2048"),
        ("p256", "EC -pkeyopt ec_paramgen_curve:P-256"),
        ("p384", "EC -pkeyopt ec_paramgen_curve:P-384"),
        ("ed25519", "ED25519"),
    ] {
        signed(here, name, kind, "client-ca", "");
        run(here, &format!("cat {name}.key {name}.pem > {name}.both.pem"));
        run(
            here,
            &format!(
                "openssl pkcs12 -export -inkey {name}.key -in {name}.pem -name {name} -passout pass:secret -out {name}.p12"
            ),
        );
    }
    signed(here, "stranger", "ED25519", "other-ca", "");
    run(here, "cat stranger.key stranger.pem > stranger.both.pem");
    run(
        here,
        "keytool -importkeystore -srckeystore rsa.p12 -srcstoretype PKCS12 -srcstorepass secret -destkeystore rsa.jks \
         -deststoretype JKS -deststorepass secret -noprompt 2>&1
         keytool -importkeystore -srckeystore p256.p12 -srcstoretype PKCS12 -srcstorepass secret -destkeystore rsa.jks \
         -deststoretype JKS -deststorepass secret -noprompt 2>&1
         keytool -keypasswd -storetype JKS -keystore rsa.jks -storepass secret -alias rsa -keypass secret -new another 2>&1
         keytool -importcert -noprompt -storetype JKS -keystore trust.jks -storepass changeit -alias ca -file server-ca.pem 2>&1",
    );
    folder
}

fn issue_certificate(here: &Path, name: &str, kind: &str, ca: &str, more: &str) {
    run(
        here,
        &format!(
            "openssl genpkey -algorithm {kind} -out {name}.key 2>&1
             openssl req -new -key {name}.key -subj '/CN={name}' -out {name}.csr
             openssl x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 30 {more} -out {name}.pem 2>&1"
        ),
    );
}

/// An authority that knows the client by the certificate for `subject` alone.
fn start_server_with_certificate_client(subject: &str) -> Authority {
    let authority = Authority::start(Config::http());
    let options = ClientOptions {
        grant_types: vec![GrantType::ClientCredentials],
        client_auth: Some(ClientAuth::Certificate),
        certificate_subject: Some(subject.to_owned()),
        ..ClientOptions::default()
    };
    authority.register::<&str>(CLIENT, &[], options);
    authority
}

fn certificate_string(port: u16, more: &str) -> String {
    format!(
        "{more};AuthenticationMethod=53;ClientID={CLIENT};TokenURI=https://localhost:{port}/oauth/token;\
         TrustStore={};TrustStorePassword=changeit",
        path("trust.jks")
    )
}

#[test]
fn tinyproxy_basic_auth_reaches_https() {
    let (authority, proxy) = (authority(Config::https()), tinyproxy("jsmith", "proxys3cr3t"));
    let through = |more: &str| {
        let proxy = format!("ProxyHost=127.0.0.1;ProxyPort={};{more};", proxy.port);
        proxy + &page_string(&support::stores::path("keytool.jks"), &authority)
    };
    static LOG: Lines = Lines(std::sync::Mutex::new(Vec::new()));
    let connection = open(&through("ProxyUser=jsmith;ProxyPassword=proxys3cr3t")).unwrap();
    connection.log_to(&LOG);
    let token = connection.get_token().unwrap();
    connection.reject(&token);
    assert_ne!(connection.get_token().unwrap().value(), token.value());
    let target = format!("CONNECT 127.0.0.1:{} ", authority.port());
    assert!(proxy.output().contains(&target), "{}", proxy.output());
    assert_eq!(authority.connections(), 1, "the way through the proxy was kept");

    for (more, words) in [
        ("", "demands a user and password (HTTP 407): set ProxyUser and ProxyPassword"),
        ("ProxyUser=jsmith;ProxyPassword=hunter2", "did not accept ProxyUser and ProxyPassword"),
    ] {
        let failure = ask(&through(more)).unwrap_err();
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_NETWORK, "08001"));
        assert_eq!(failure.option.as_deref(), Some("ProxyUser"), "{failure:?}");
        assert!(failure.message.contains(words) && !failure.message.contains("hunter2"), "{failure:?}");
    }
    let log = LOG.0.lock().unwrap().join("\n");
    assert!(
        !log.is_empty() && !log.contains("proxys3cr3t") && !log.contains("anNtaXRoOnByb3h5czNjcjN0"),
        "{log}"
    );
    assert_eq!(authority.connections(), 1, "nobody went around the proxy");
}

#[test]
fn tinyproxy_upstream_failure_is_reported() {
    let authority = authority(Config::https());
    let proxy = tinyproxy("u", "p");
    let string = format!("ProxyHost=http://127.0.0.1:{};ProxyUser=u;ProxyPassword=p;", proxy.port);
    let string = string + &short_string(&authority, "");
    let gone = string.replace(&format!(":{}/oauth", authority.port()), ":1/oauth");
    let failure = ask(&gone).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_NETWORK);
    assert!(
        failure.message.contains("answered HTTP 500") || failure.message.contains("answered HTTP 502"),
        "{failure:?}"
    );
    assert!(
        failure.message.contains(&format!("the proxy 127.0.0.1:{} (ProxyHost)", proxy.port)),
        "{failure:?}"
    );
}

#[test]
fn microsocks_works_with_and_without_user() {
    let authority = authority(Config::https());
    let through = |port: u16, more: &str| {
        format!("ProxyHost=socks5://127.0.0.1:{port};{more};") + &short_string(&authority, "")
    };
    let (open, closed) = (microsocks(None), microsocks(Some(("u", "proxys3cr3t"))));
    ask(&through(open.port, "CacheScope=Process")).unwrap();
    ask(&through(closed.port, "ProxyUser=u;ProxyPassword=proxys3cr3t")).unwrap();
    // Another proxy is another token: nothing of the first was in the cache.
    assert_eq!(authority.token_requests().len(), 2);
    for (more, words) in [
        ("", "demands a user and password (SOCKS5): set ProxyUser"),
        ("ProxyUser=u;ProxyPassword=hunter2", "did not accept ProxyUser and ProxyPassword (SOCKS5)"),
    ] {
        let failure = ask(&through(closed.port, more)).unwrap_err();
        assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_NETWORK, Some("ProxyUser")));
        assert!(failure.message.contains(words) && !failure.message.contains("hunter2"), "{failure:?}");
    }
    let gone = through(open.port, "").replace(&format!(":{}/oauth", authority.port()), ":1/oauth");
    let failure = ask(&gone).unwrap_err();
    assert!(failure.message.contains("the connection was refused"), "{failure:?}");
    let other = ask(&through(open.port, "").replace("socks5://", "http://")).unwrap_err();
    assert!(other.message.contains("ProxyHost"), "{other:?}");
}

/// Surroundings with variables, and nothing else.
struct VariableEnvironment(Vec<(&'static str, String)>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
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
    let authority = by_certificate("CN=p256");
    let (proxy, server) = (tinyproxy("u", "p-s"), nginx(folder(), authority.port()));
    // Not this machine by its name, and this machine all the same.
    let string = certificate_string(server.port, &format!("KeyStore={}", path("p256.both.pem")));
    let string = string.replace("//localhost", "//0.0.0.0") + ";HostNameInCertificate=localhost";
    let variables = |except: &str| {
        let proxy = format!("http://u:p%2Ds@127.0.0.1:{}", proxy.port);
        Variables(vec![("HTTPS_PROXY", proxy), ("no_proxy", except.to_owned())])
    };
    let asked = || proxy.output().matches("CONNECT 0.0.0.0").count();
    let ask = |string: &str, variables: &Variables| open_in(string, variables).unwrap().get_token();
    ask(&string, &variables("")).unwrap();
    let through = asked();
    assert!(through > 0, "{}", proxy.output());
    ask(&string, &variables("0.0.0.0")).unwrap();
    ask(&format!("{string};ProxyMode=0"), &variables("")).unwrap();
    assert_eq!(asked(), through);
    let wrong = Variables(vec![("https_proxy", format!("http://u:hunter2@127.0.0.1:{}", proxy.port))]);
    let failure = ask(&string, &wrong).unwrap_err();
    assert!(failure.message.contains("did not accept the user and password in https_proxy"), "{failure:?}");
    assert!(!failure.message.contains("hunter2"), "{failure:?}");
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
        let authority = by_certificate(&format!("CN={subject}"));
        let server = nginx(folder(), authority.port());
        let more = store.replacen('=', &format!("={}/", folder().display()), 1);
        let string = certificate_string(server.port, &more);
        ask(&string).unwrap_or_else(|failure| panic!("{store}: {failure:?}"));
        let request = &authority.token_requests()[0];
        assert_eq!(request.parameter("client_id").as_deref(), Some(CLIENT));
        assert_eq!(request.parameter("client_secret"), None);
        let version = if store.contains("TLSv1.2") { "TLSv1.2" } else { "TLSv1.3" };
        let tls = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-tls"));
        assert_eq!(tls.map(|(_, value)| value.as_str()), Some(version), "{store}");
    }
}

#[test]
fn nginx_rejects_missing_or_foreign_certificate() {
    let authority = by_certificate("CN=rsa");
    let server = nginx(folder(), authority.port());
    let with = |more: &str| ask(&certificate_string(server.port, more)).unwrap_err();
    let nobody = with("ClientSecret=x");
    assert_eq!((nobody.status, nobody.http_status), (AUTHGRANT_BAD_RESPONSE, 400), "{nobody:?}");
    let stranger = with(&format!("KeyStore={}", path("stranger.both.pem")));
    assert_eq!((stranger.status, stranger.http_status), (AUTHGRANT_BAD_RESPONSE, 400), "{stranger:?}");
    assert!(authority.requests().is_empty());
    let other = with(&format!("KeyStore={}", path("p256.both.pem")));
    assert_eq!((other.status, other.oauth_error.as_deref()), (AUTHGRANT_DENIED, Some("invalid_client")));
    let password = with(&format!("KeyStore={};KeyStorePassword=hunter2", path("rsa.p12")));
    assert_eq!(
        (password.status, password.option.as_deref()),
        (AUTHGRANT_KEY_PASSWORD, Some("KeyStorePassword"))
    );
    assert!(!password.message.contains("hunter2"), "{password:?}");
    let alias = with(&format!("KeyStore={};KeyStorePassword=secret", path("rsa.jks")));
    assert_eq!((alias.status, alias.option.as_deref()), (AUTHGRANT_KEY_NOT_FOUND, Some("KeyStoreAlias")));
    assert!(alias.message.contains("\"p256\"") && alias.message.contains("(set KeyStoreAlias)"), "{alias:?}");
}

#[test]
fn proxy_trust_store_and_mtls_combine() {
    let authority = by_certificate("CN=p384");
    let (proxy, server) = (microsocks(Some(("u", "p"))), nginx(folder(), authority.port()));
    let more = format!(
        "ProxyHost=socks5://127.0.0.1;ProxyPort={};ProxyUser=u;ProxyPassword=p;ProxyMode=1;KeyStore={};\
         KeyStorePassword=secret;LogoffURI=https://localhost:{}/oauth/logoff",
        proxy.port,
        path("p384.p12"),
        server.port
    );
    let connection = open(&certificate_string(server.port, &more)).unwrap();
    let token = connection.get_token().unwrap().value();
    assert_eq!(authgrant_logoff(connection.handle(), null_mut()), AUTHGRANT_OK);
    let requests = authority.requests();
    let told = requests.last().unwrap();
    assert_eq!((told.path.as_str(), told.parameter("token")), ("/oauth/logoff", Some(token)));
    assert_eq!(told.parameter("client_id").as_deref(), Some(CLIENT));
    assert!(requests.iter().all(|request| {
        request
            .headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("x-client-subject") && value == "CN=p384")
    }));
}
