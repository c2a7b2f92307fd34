use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::base::error::Status;
use crate::base::file::ConfiguredPath;
use crate::base::url::EndpointUrl;
use crate::net::http::testing::*;
use crate::net::http::*;
use crate::net::tls::TlsVersions;

/// A test CA, with its certificate in a file.
pub(in crate::net::http) struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    temp_dir: tempfile::TempDir,
}

impl TestCa {
    pub(in crate::net::http) fn new() -> Self {
        Self::with_name("test CA")
    }

    pub(in crate::net::http) fn with_name(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let ca = Self { issuer, temp_dir: tempfile::tempdir().unwrap() };
        std::fs::write(ca.certificate_path(), ca.issuer.pem()).unwrap();
        ca
    }

    pub(in crate::net::http) fn certificate_path(&self) -> PathBuf {
        self.temp_dir.path().join("ca.pem")
    }

    pub(in crate::net::http) fn transport_config(&self) -> TransportConfig {
        TransportConfig {
            trust_store: Some(ConfiguredPath::new(self.certificate_path().to_str().unwrap().to_owned())),
            ..TransportConfig::default()
        }
    }

    pub(in crate::net::http) fn issue_certificate(&self, name: &str, key: &KeyPair) -> rcgen::Certificate {
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(key, &self.issuer).unwrap()
    }

    pub(in crate::net::http) fn start_server(
        &self,
        name: &str,
        customize: impl FnOnce(&mut CertificateParams),
        reply: impl Fn(usize, &str) -> ServerReply + Send + Sync + 'static,
    ) -> TestServer {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        customize(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        start_server_with_certificate(&certificate, &key, reply)
    }

    /// Replaces the certificates in the trust store.
    fn set_trusted(&self, pem: &str) {
        std::fs::write(self.certificate_path(), pem).unwrap();
    }
}

fn start_server_with_certificate(
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    reply: impl Fn(usize, &str) -> ServerReply + Send + Sync + 'static,
) -> TestServer {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    TestServer::start(Some(Arc::new(config)), reply)
}

pub(in crate::net::http) fn unchanged_params(_: &mut CertificateParams) {}

pub(in crate::net::http) fn reply_ok(_: usize, _: &str) -> ServerReply {
    ServerReply::KeepAlive(ok_response("{}"))
}

fn https_url(server: &TestServer) -> EndpointUrl {
    server.url_with_base("https://localhost", "/token")
}

fn send_tls_error(server: &TestServer, config: &TransportConfig) -> Error {
    let url = https_url(server);
    let failure = new_client().send(&post_request(&url), config, &call_with_long_timeout()).unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
    assert!(failure.error.message().contains("localhost"), "{}", failure.error);
    assert!(server.requests().is_empty(), "no request is sent to an untrusted server");
    failure.error
}

#[test]
fn trusted_server_connection_is_reused() {
    let ca = TestCa::new();
    let server = ca.start_server("localhost", unchanged_params, reply_ok);
    let (client, url) = (new_client(), https_url(&server));
    let reused: Vec<bool> = (0..3)
        .map(|_| {
            client
                .send(&post_request(&url), &ca.transport_config(), &call_with_long_timeout())
                .unwrap()
                .reused
        })
        .collect();
    assert_eq!(reused, [false, true, true]);
    assert_eq!(server.accepted_connections(), 1);
}

#[test]
fn request_uses_fewest_tls_records() {
    let ca = TestCa::new();
    let server = ca.start_server("localhost", unchanged_params, reply_ok);
    let (client, url) = (new_client(), https_url(&server));
    let records = |body: String| {
        let before = server.app_data_records();
        let request = Request { body: Some(body.as_str().into()), ..post_request(&url) };
        client.send(&request, &ca.transport_config(), &call_with_long_timeout()).unwrap();
        assert!(server.requests().last().unwrap().ends_with(&body));
        server.app_data_records() - before
    };
    records("the first request includes the handshake".to_owned());
    assert_eq!(records("grant_type=x".to_owned()), 1);
    assert_eq!(records("x".repeat(70_000)), 5);
    assert_eq!(records(String::new()), 1);
}

#[test]
fn certificate_for_ip_address_is_accepted() {
    let ca = TestCa::new();
    let server = ca.start_server("127.0.0.1", unchanged_params, reply_ok);
    let url = server.url_with_base("https://127.0.0.1", "/token");
    let response =
        new_client().send(&post_request(&url), &ca.transport_config(), &call_with_long_timeout()).unwrap();
    assert_eq!(response.status, 200);
}

#[test]
fn unknown_issuer_error_names_trust_store() {
    let server = TestCa::new().start_server("localhost", unchanged_params, reply_ok);
    let other = TestCa::with_name("another");
    let error = send_tls_error(&server, &other.transport_config());
    let store = format!("TrustStore {}", other.certificate_path().display());
    assert!(error.message().contains("unknown issuer"), "{error}");
    assert!(error.message().contains(&store), "{error}");
}

#[test]
fn same_named_issuer_with_different_key_reported() {
    let server = TestCa::new().start_server("localhost", unchanged_params, reply_ok);
    let error = send_tls_error(&server, &TestCa::new().transport_config());
    assert!(error.message().contains("same name"), "{error}");
}

#[test]
fn system_store_rejects_private_ca() {
    let server = TestCa::new().start_server("localhost", unchanged_params, reply_ok);
    let url = https_url(&server);
    let failure = new_client()
        .send(&post_request(&url), &TransportConfig::default(), &call_with_long_timeout())
        .unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
    assert!(failure.error.message().contains("TrustStore"), "{}", failure.error);
    assert!(server.requests().is_empty());
}

#[test]
fn expired_or_future_certificate_error_names_date() {
    let ca = TestCa::new();
    let expired =
        ca.start_server("localhost", |params| params.not_after = date_time_ymd(2020, 2, 29), reply_ok);
    let error = send_tls_error(&expired, &ca.transport_config());
    assert!(error.message().contains("expired on 2020-02-29"), "{error}");
    let not_yet_valid =
        ca.start_server("localhost", |params| params.not_before = date_time_ymd(2090, 3, 1), reply_ok);
    let error = send_tls_error(&not_yet_valid, &ca.transport_config());
    assert!(error.message().contains("not valid before 2090-03-01"), "{error}");
    assert!(error.message().contains("clock"), "{error}");
}

#[test]
fn certificate_host_mismatch_names_presented_host() {
    let ca = TestCa::new();
    let server = ca.start_server("login.example.com", unchanged_params, reply_ok);
    let error = send_tls_error(&server, &ca.transport_config());
    assert!(error.message().contains("localhost: it is valid for login.example.com"), "{error}");
}

#[test]
fn unvalidated_connection_is_not_shared() {
    let server = TestCa::new().start_server(
        "login.example.com",
        |params| params.not_after = date_time_ymd(2020, 1, 1),
        reply_ok,
    );
    let config = TransportConfig { validate_certificate: false, ..TransportConfig::default() };
    let (client, url) = (new_client(), https_url(&server));
    assert_eq!(client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap().status, 200);
    let other_ca = TestCa::new();
    let failure = client
        .send(&post_request(&url), &other_ca.transport_config(), &call_with_long_timeout())
        .unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls);
}

/// Starts a server whose certificate belongs to another key than the one with which it signs.
fn start_server_without_key_of_certificate(ca: &TestCa) -> TestServer {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let other = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(other.serialize_der()));
    let certificate = ca.issue_certificate("localhost", &key);
    let signing_key = aws_lc_rs::sign::any_supported_type(&other).unwrap();
    let certified = CertifiedKey::new(vec![certificate.der().clone()], signing_key);
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    TestServer::start(Some(Arc::new(config)), reply_ok)
}

#[test]
fn server_must_have_key_of_its_certificate() {
    let ca = TestCa::new();
    let any_name = ca.start_server("other", unchanged_params, reply_ok);
    let impostor = start_server_without_key_of_certificate(&ca);
    for tls_versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        let validated = TransportConfig { tls_versions, ..ca.transport_config() };
        let unvalidated =
            TransportConfig { tls_versions, validate_certificate: false, ..TransportConfig::default() };
        let url = https_url(&any_name);
        new_client().send(&post_request(&url), &unvalidated, &call_with_long_timeout()).unwrap();
        for config in [validated, unvalidated] {
            let error = send_tls_error(&impostor, &config);
            assert!(error.message().contains("the private key of its certificate"), "{error}");
            assert!(!error.message().contains("CA certificate"), "{error}");
        }
    }
}

#[test]
fn changed_trust_store_invalidates_idle_connections() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let server = ca.start_server("localhost", unchanged_params, reply_ok);
    let (client, url, config) = (new_client(), https_url(&server), ca.transport_config());
    client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap();
    std::fs::write(ca.certificate_path(), format!("changed\n{}", other.issuer.pem())).unwrap();
    let failure = client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls);
}

#[test]
fn missing_trust_store_fails_before_connecting() {
    let server = TestCa::new().start_server("localhost", unchanged_params, reply_ok);
    let config = TransportConfig {
        trust_store: Some(ConfiguredPath::new("/nowhere/ca.pem".to_owned())),
        ..TransportConfig::default()
    };
    let failure = new_client()
        .send(&post_request(&https_url(&server)), &config, &call_with_long_timeout())
        .unwrap_err();
    assert_eq!(failure.error.status(), Status::KeyStore);
    assert_eq!(server.accepted_connections(), 0);
}

#[test]
fn non_tls_server_is_tls_error() {
    let ca = TestCa::new();
    for text in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url =
            EndpointUrl::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port()))
                .unwrap();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            // Reads the whole ClientHello, because closing with unread bytes would reset the connection.
            let mut head = [0; 5];
            stream.read_exact(&mut head).unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            stream.read_exact(&mut rest).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
        });
        let failure = new_client()
            .send(&post_request(&url), &ca.transport_config(), &call_with_long_timeout())
            .unwrap_err();
        server.join().unwrap();
        assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
        assert!(failure.error.message().contains("localhost"), "{}", failure.error);
    }
}

#[test]
fn tls_handshake_ends_at_deadline_or_cancel() {
    let ca = TestCa::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url =
        EndpointUrl::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port())).unwrap();
    let (client, config, call) = (new_client(), ca.transport_config(), call_with_timeout_ms(300));
    let error =
        assert_completes_within(300, || client.send(&post_request(&url), &config, &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("TLS handshake"), "{error}");
    let call = call_with_long_timeout();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| client.send(&post_request(&url), &config, &call));
        let _first = listener.accept().unwrap();
        let _second = listener.accept().unwrap();
        call.cancel.cancel();
        let failure = assert_completes_within(0, || sender.join().unwrap()).unwrap_err();
        assert_eq!(failure.error.status(), Status::Cancelled);
    });
}

#[test]
fn missing_close_notify_truncates_unbounded_response() {
    let ca = TestCa::new();
    // The connection closes without close_notify: an attacker on the path could have truncated the response.
    let server = ca.start_server("localhost", unchanged_params, |_, _| {
        ServerReply::Close(b"HTTP/1.1 200 OK\r\n\r\n{\"a\":1}".to_vec())
    });
    let failure = new_client()
        .send(&post_request(&https_url(&server)), &ca.transport_config(), &call_with_long_timeout())
        .unwrap_err();
    assert_eq!(failure.error.status(), Status::BadResponse);
    assert!(failure.error.message().contains("after 7 bytes"), "{}", failure.error);
}

#[test]
fn tls_timeout_and_stale_connection_are_reported() {
    let ca = TestCa::new();
    let server = ca.start_server("localhost", unchanged_params, |number, _| match number {
        0 => ServerReply::KeepAlive(ok_response("{}")),
        1 => ServerReply::Close(Vec::new()),
        _ => ServerReply::NoResponse,
    });
    let (client, url, config) = (new_client(), https_url(&server), ca.transport_config());
    client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap();
    assert!(
        client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap_err().stale_connection
    );
    let call = call_with_timeout_ms(400);
    let error =
        assert_completes_within(400, || client.send(&post_request(&url), &config, &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout, "{error}");
    assert!(error.message().contains("nothing received"), "{error}");
}

#[test]
fn unreachable_addresses_leave_time_for_next() {
    let ca = TestCa::new();
    let server = ca.start_server("login.example.com", unchanged_params, reply_ok);
    let (unresponsive, port) = (UnresponsiveListener::new(), server.port);
    let silent = unresponsive.port();
    let client = client_with_resolver(move |_| {
        let at = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        Ok(vec![at(unused_port()), at(silent), at(port)])
    });
    let url = EndpointUrl::parse("https://login.example.com/token").unwrap();
    let response =
        client.send(&post_request(&url), &ca.transport_config(), &call_with_timeout_ms(1_500)).unwrap();
    assert_eq!(response.status, 200);
}

#[test]
fn ca_certificate_as_server_certificate_is_reported() {
    let ca = TestCa::new();
    let server = ca.start_server(
        "localhost",
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        reply_ok,
    );
    let error = send_tls_error(&server, &ca.transport_config());
    assert!(error.message().contains("CA certificate"), "{error}");
}

/// Starts a server with a self-signed CA certificate. Returns its certificate, too.
fn start_self_signed_server(
    name: &str,
    customize: impl FnOnce(&mut CertificateParams),
) -> (TestServer, rcgen::Certificate) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    customize(&mut params);
    let certificate = params.self_signed(&key).unwrap();
    (start_server_with_certificate(&certificate, &key, reply_ok), certificate)
}

#[test]
fn server_certificate_in_trust_store_is_accepted() {
    let ca = TestCa::new();
    let key = KeyPair::generate().unwrap();
    let issued = ca.issue_certificate("localhost", &key);
    for (server, certificate) in [
        start_self_signed_server("localhost", unchanged_params),
        start_self_signed_server("localhost", |params| params.is_ca = IsCa::ExplicitNoCa),
        (start_server_with_certificate(&issued, &key, reply_ok), issued.clone()),
    ] {
        let store = TestCa::new();
        for tls_versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
            store.set_trusted(&(TestCa::new().issuer.pem() + &certificate.pem()));
            let config = TransportConfig { tls_versions, ..store.transport_config() };
            let url = https_url(&server);
            let response = new_client().send(&post_request(&url), &config, &call_with_long_timeout());
            assert_eq!(response.unwrap().status, 200);
        }
    }
}

#[test]
fn trusted_server_certificate_needs_name_and_dates() {
    let store = TestCa::new();
    let send_error = |(server, certificate): &(TestServer, rcgen::Certificate)| {
        store.set_trusted(&certificate.pem());
        send_tls_error(server, &store.transport_config())
    };
    let error = send_error(&start_self_signed_server("other.example", unchanged_params));
    assert!(error.message().contains("localhost: it is valid for other.example"), "{error}");
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 2, 29);
    let error = send_error(&start_self_signed_server("localhost", expired));
    assert!(error.message().contains("expired on 2020-02-29"), "{error}");
    let future = |params: &mut CertificateParams| params.not_before = date_time_ymd(2090, 3, 1);
    let error = send_error(&start_self_signed_server("localhost", future));
    assert!(error.message().contains("not valid before 2090-03-01"), "{error}");
}

#[test]
fn other_self_signed_certificate_is_rejected() {
    let store = TestCa::new();
    let (_, certificate) = start_self_signed_server("localhost", unchanged_params);
    store.set_trusted(&certificate.pem());
    let (same_names, _) = start_self_signed_server("localhost", unchanged_params);
    let error = send_tls_error(&same_names, &store.transport_config());
    let expected = format!("not itself in TrustStore {}", store.certificate_path().display());
    assert!(error.message().contains(&expected), "{error}");
    let error = send_tls_error(&same_names, &TransportConfig::default());
    assert!(error.message().contains("; set TrustStore to a file that contains it"), "{error}");
}

/// Returns the error for a server that responds to the ClientHello with a fatal alert.
fn alert_error(alert: u8, config: &TransportConfig) -> Error {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut rest).unwrap();
        stream.write_all(&[21, 3, 3, 0, 2, 2, alert]).unwrap();
    });
    let url = EndpointUrl::parse(&format!("https://localhost:{port}/")).unwrap();
    let failure = new_client().send(&post_request(&url), config, &call_with_long_timeout()).unwrap_err();
    server.join().unwrap();
    assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
    failure.error
}

#[test]
fn alert_before_server_hello_blames_no_client_certificate() {
    let ca = TestCa::new();
    for (alert, expected) in [
        (40, "cipher suites and key exchange groups (alert handshake_failure (40)"),
        (71, "cipher suites and key exchange groups (alert insufficient_security (71)"),
        (112, "alert unrecognized_name (112); it is not configured for this host name"),
        (80, "alert internal_error (80)"),
        (48, "alert unknown_ca (48)"),
        (70, "supports no offered TLS version (offered: TLS 1.2 and 1.3)"),
        (201, "alert 201"),
    ] {
        let error = alert_error(alert, &ca.transport_config());
        assert!(error.message().contains(expected), "{error}");
        assert!(!error.message().contains("KeyStore"), "{error}");
    }
    let config = TransportConfig { tls_versions: TlsVersions::Tls12, ..ca.transport_config() };
    let error = alert_error(40, &config);
    assert!(error.message().contains("offered: TLS 1.2 only, by CryptoProtocolVersion"), "{error}");
    for option_prefix in ["", "TokenCache"] {
        let tls_versions = TlsVersions::Tls13ByPolicy;
        let config = TransportConfig { tls_versions, option_prefix, ..ca.transport_config() };
        let error = alert_error(70, &config);
        assert!(
            error.message().contains("process policy AUTHGRANT_FORBID_TLS12); enable TLS 1.3"),
            "{error}"
        );
    }
}

#[test]
fn lru_trust_store_loses_its_connection() {
    let ca = TestCa::new();
    let server = ca.start_server("localhost", unchanged_params, reply_ok);
    let (client, url) = (new_client(), https_url(&server));
    let reused = |number: usize| {
        let path = ca.temp_dir.path().join(format!("{number}.pem"));
        if !path.exists() {
            std::fs::write(&path, ca.issuer.pem()).unwrap();
        }
        let config = TransportConfig {
            trust_store: Some(ConfiguredPath::new(path.to_str().unwrap().to_owned())),
            ..TransportConfig::default()
        };
        client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap().reused
    };
    assert!(!(0..32).any(reused));
    assert!(reused(0));
    assert!(!reused(32));
    assert!(reused(0));
    assert!(!reused(1));
}

#[test]
fn unvalidated_connections_ignore_trust_store() {
    let server = TestCa::new().start_server("localhost", unchanged_params, reply_ok);
    let (client, url) = (new_client(), https_url(&server));
    for number in 0..5 {
        let config = TransportConfig {
            trust_store: Some(ConfiguredPath::new(format!("x{number}"))),
            validate_certificate: false,
            ..TransportConfig::default()
        };
        client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap();
    }
    assert_eq!(server.accepted_connections(), 1);
}

#[test]
fn untrusted_server_does_not_count_as_reached() {
    let server = TestCa::new().start_server("localhost", unchanged_params, reply_ok);
    let failure = new_client()
        .send(
            &post_request(&https_url(&server)),
            &TestCa::new().transport_config(),
            &call_with_long_timeout(),
        )
        .unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls);
    assert!(!failure.reached_server);
}
