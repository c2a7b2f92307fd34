//! Tests of TLS client authentication, CryptoProtocolVersion, HostNameInCertificate and connection reuse.

use std::sync::Arc;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::base::error::Status;
use crate::base::file::ConfiguredPath;
use crate::base::url::EndpointUrl;
use crate::key::{KeyOrigin, KeySource, StorePurpose};
use crate::net::http::testing::*;
use crate::net::http::tests::tls::{TestCa, reply_ok, unchanged_params};
use crate::net::http::*;
use crate::net::tls::TlsVersions;

/// Starts a server that has a certificate of `ca`, supports `versions` and requires a client certificate of
/// `ca`.
fn start_mtls_server(ca: &TestCa, versions: &[&'static SupportedProtocolVersion]) -> TestServer {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let ca_pem = std::fs::read(ca.certificate_path()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&ca_pem).map(|found| found.unwrap()));
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = ca.issue_certificate("localhost", &key);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    TestServer::start(Some(Arc::new(config)), reply_ok)
}

fn write_key_store(ca: &TestCa, name: &str, content: &str) -> KeySource {
    let path = ca.certificate_path().with_file_name(name);
    std::fs::write(&path, content).unwrap();
    KeySource {
        purpose: StorePurpose::ClientCertificate,
        origin: KeyOrigin::File(ConfiguredPath::new(path.to_str().unwrap().to_owned())),
        password: None,
        key_password: None,
        alias: None,
        key_id: None,
        algorithm: None,
        certificate: None,
        forbid_weak_encryption: false,
        require_private_file: false,
    }
}

fn generate_key(kind: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(kind).unwrap()
}

fn client_certificate_store(ca: &TestCa, name: &str, key: &KeyPair) -> KeySource {
    let certificate = ca.issue_certificate("client", key);
    write_key_store(ca, name, &format!("{}{}", key.serialize_pem(), certificate.pem()))
}

fn https_url(server: &TestServer) -> EndpointUrl {
    server.url_with_base("https://localhost", "/token")
}

#[test]
fn client_auth_supports_key_types_and_versions() {
    let ca = TestCa::new();
    for (number, kind) in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519]
        .into_iter()
        .enumerate()
    {
        let source = client_certificate_store(&ca, &format!("{number}.pem"), &generate_key(kind));
        for version in [&version::TLS12, &version::TLS13] {
            let server = start_mtls_server(&ca, &[version]);
            let config = TransportConfig { client_key_source: Some(source.clone()), ..ca.transport_config() };
            let response =
                new_client().send(&post_request(&https_url(&server)), &config, &call_with_long_timeout());
            assert_eq!(response.unwrap_or_else(|why| panic!("{kind:?} {version:?} {why:?}")).status, 200);
        }
    }
}

#[test]
fn missing_or_untrusted_client_certificate_is_reported() {
    let ca = TestCa::new();
    let server = start_mtls_server(&ca, &[&version::TLS13]);
    let send_error = |config: &TransportConfig| {
        let failure = new_client()
            .send(&post_request(&https_url(&server)), config, &call_with_long_timeout())
            .unwrap_err();
        assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
        failure.error
    };
    let error = send_error(&ca.transport_config());
    assert!(error.message().contains("set KeyStore"), "{error}");
    let other = TestCa::with_name("another");
    let untrusted = client_certificate_store(&other, "untrusted.pem", &generate_key(&PKCS_ED25519));
    let path = untrusted.files().next().unwrap().as_configured().to_owned();
    let error = send_error(&TransportConfig { client_key_source: Some(untrusted), ..ca.transport_config() });
    assert!(error.message().contains(&format!("KeyStore {path}")), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn unusable_key_store_fails_before_connecting() {
    let ca = TestCa::new();
    let server = start_mtls_server(&ca, &[&version::TLS13]);
    let send_error = |source: KeySource| {
        let config = TransportConfig { client_key_source: Some(source), ..ca.transport_config() };
        new_client()
            .send(&post_request(&https_url(&server)), &config, &call_with_long_timeout())
            .unwrap_err()
            .error
    };
    let without_certificate =
        send_error(write_key_store(&ca, "bare.pem", &generate_key(&PKCS_ED25519).serialize_pem()));
    assert_eq!(
        (without_certificate.status(), without_certificate.option()),
        (Status::KeyUnsuitable, Some("KeyStore"))
    );
    assert!(without_certificate.message().contains("bare.pem"), "{without_certificate}");
    let empty = send_error(write_key_store(&ca, "empty.pem", ""));
    assert_eq!((empty.status(), empty.option()), (Status::KeyStore, Some("KeyStore")));
    let mut missing = write_key_store(&ca, "x", "");
    missing.origin = KeyOrigin::File(ConfiguredPath::new("/nowhere/client.p12".to_owned()));
    let missing = send_error(missing);
    assert!(missing.message().contains("KeyStore /nowhere/client.p12"), "{missing}");
    assert_eq!(server.accepted_connections(), 0);
}

#[test]
fn connection_reuse_requires_same_client_certificate() {
    let ca = TestCa::new();
    let server = start_mtls_server(&ca, &[&version::TLS13]);
    let (client, url) = (new_client(), https_url(&server));
    let one = client_certificate_store(&ca, "one.pem", &generate_key(&PKCS_ED25519));
    let two = client_certificate_store(&ca, "two.pem", &generate_key(&PKCS_ED25519));
    let reused = |source: &KeySource| {
        let config = TransportConfig { client_key_source: Some(source.clone()), ..ca.transport_config() };
        client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap().reused
    };
    assert_eq!(
        [reused(&one), reused(&one), reused(&two), reused(&two), reused(&one)],
        [false, true, false, true, true]
    );
    client_certificate_store(&ca, "one.pem", &generate_key(&PKCS_ECDSA_P256_SHA256));
    assert!(!reused(&one), "the key store has changed");
}

#[test]
fn connection_reuse_requires_equal_transport_config() {
    let ca = TestCa::new();
    let server = ca.start_server("localhost", unchanged_params, reply_ok);
    let (client, url) = (new_client(), https_url(&server));
    let copy = ca.certificate_path().with_file_name("copy.pem");
    std::fs::copy(ca.certificate_path(), &copy).unwrap();
    let store = Some(ConfiguredPath::new(copy.to_str().unwrap().to_owned()));
    let source = client_certificate_store(&ca, "c.pem", &generate_key(&PKCS_ED25519));
    let with_password = KeySource { key_password: Some("p".into()), ..source.clone() };
    let base = || ca.transport_config();
    let all = [
        base(),
        TransportConfig { trust_store: store, ..base() },
        TransportConfig { trust_store_password: Some("p".into()), ..base() },
        TransportConfig { validate_certificate: false, ..base() },
        TransportConfig { tls_versions: TlsVersions::Tls12, ..base() },
        TransportConfig { tls_versions: TlsVersions::Tls13, ..base() },
        TransportConfig {
            host_name_in_certificate: Some(ServerName::try_from("localhost").unwrap()),
            ..base()
        },
        TransportConfig { client_key_source: Some(source), ..base() },
        TransportConfig { client_key_source: Some(with_password), ..base() },
    ];
    for round in 0..3 {
        for (number, config) in all.iter().enumerate() {
            let reused = client.send(&post_request(&url), config, &call_with_long_timeout()).unwrap().reused;
            assert_eq!(reused, round > 0, "{number}");
        }
        assert_eq!(server.accepted_connections(), all.len());
    }
}

#[test]
fn only_configured_tls_versions_are_offered() {
    let ca = TestCa::new();
    let source = client_certificate_store(&ca, "c.pem", &generate_key(&PKCS_ED25519));
    for (server_version, offered, expected) in [
        (&version::TLS12, TlsVersions::Tls13, "TLS 1.3 only"),
        (&version::TLS13, TlsVersions::Tls12, "TLS 1.2 only"),
    ] {
        let server = start_mtls_server(&ca, &[server_version]);
        let config = |versions| TransportConfig {
            tls_versions: versions,
            client_key_source: Some(source.clone()),
            ..ca.transport_config()
        };
        let failure = new_client()
            .send(&post_request(&https_url(&server)), &config(offered), &call_with_long_timeout())
            .unwrap_err();
        assert_eq!(failure.error.status(), Status::Tls);
        assert!(failure.error.message().contains(expected), "{}", failure.error);
        assert!(
            new_client()
                .send(
                    &post_request(&https_url(&server)),
                    &config(TlsVersions::Tls12And13),
                    &call_with_long_timeout()
                )
                .is_ok()
        );
    }
}

#[test]
fn host_name_in_certificate_overrides_url_host() {
    let ca = TestCa::new();
    let with_name = |name: &'static str| TransportConfig {
        host_name_in_certificate: Some(ServerName::try_from(name).unwrap()),
        ..ca.transport_config()
    };
    let server = ca.start_server("inner.example", unchanged_params, reply_ok);
    let url = https_url(&server);
    assert_eq!(
        new_client()
            .send(&post_request(&url), &with_name("inner.example"), &call_with_long_timeout())
            .unwrap()
            .status,
        200
    );
    let error = new_client()
        .send(&post_request(&url), &with_name("other.example"), &call_with_long_timeout())
        .unwrap_err()
        .error;
    assert_eq!(error.status(), Status::Tls);
    let expected = "other.example (HostNameInCertificate): it is valid for inner.example";
    assert!(error.message().contains(expected), "{error}");
    // The issuer is verified in addition to the name.
    let other = TestCa::with_name("another");
    let untrusted =
        TransportConfig { trust_store: other.transport_config().trust_store, ..with_name("inner.example") };
    assert!(new_client().send(&post_request(&url), &untrusted, &call_with_long_timeout()).is_err());
}
