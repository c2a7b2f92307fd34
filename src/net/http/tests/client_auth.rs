//! Client certificates before a server that asks for them, versions of TLS, and a certificate of another name.

use std::sync::Arc;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::base::file::ConfiguredPath;
use crate::key::{KeyOrigin, KeySource, StorePurpose};
use crate::net::http::testing::*;
use crate::net::http::tests::tls::{TestCa, reply_ok, unchanged_params};
use crate::net::http::*;
use crate::net::tls::TlsVersions;

/// A server of `authority` that speaks these versions, and wants to see a client's certificate of the same one.
fn start_mtls_server(authority: &TestCa, versions: &[&'static SupportedProtocolVersion]) -> TestServer {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let ca = std::fs::read(authority.certificate_path()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&ca).map(|found| found.unwrap()));
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = authority.issue_certificate("localhost", &key);
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

fn write_key_store(authority: &TestCa, name: &str, content: &str) -> KeySource {
    let path = authority.certificate_path().with_file_name(name);
    std::fs::write(&path, content).unwrap();
    KeySource {
        purpose: StorePurpose::ClientCertificate,
        origin: KeyOrigin::File(ConfiguredPath::new(path.to_str().unwrap().to_owned())),
        password: None,
        key_password: None,
        alias: None,
        certificate: None,
        forbid_weak_encryption: false,
        require_private_file: false,
    }
}

fn generate_key(kind: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(kind).unwrap()
}

fn client_certificate_store(authority: &TestCa, name: &str, key: &KeyPair) -> KeySource {
    let certificate = authority.issue_certificate("client", key);
    write_key_store(authority, name, &format!("{}{}", key.serialize_pem(), certificate.pem()))
}

fn https_url(server: &TestServer) -> EndpointUrl {
    server.url_with_base("https://localhost", "/token")
}

#[test]
fn client_auth_supports_key_types_and_versions() {
    let authority = TestCa::new();
    for (number, kind) in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519]
        .into_iter()
        .enumerate()
    {
        let source = client_certificate_store(&authority, &format!("{number}.pem"), &generate_key(kind));
        for version in [&version::TLS12, &version::TLS13] {
            let server = start_mtls_server(&authority, &[version]);
            let trust =
                TransportConfig { client_key_source: Some(source.clone()), ..authority.transport_config() };
            let answer =
                new_client().send(&post_request(&https_url(&server)), &trust, &call_with_long_timeout());
            assert_eq!(answer.unwrap_or_else(|why| panic!("{kind:?} {version:?} {why:?}")).status, 200);
        }
    }
}

#[test]
fn missing_or_untrusted_client_certificate_is_reported() {
    let authority = TestCa::new();
    let server = start_mtls_server(&authority, &[&version::TLS13]);
    let refusal = |trust: &TransportConfig| {
        let failure = new_client()
            .send(&post_request(&https_url(&server)), trust, &call_with_long_timeout())
            .unwrap_err();
        assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
        failure.error
    };
    let error = refusal(&authority.transport_config());
    assert!(error.message().contains("demands a client certificate: set KeyStore"), "{error}");
    let other = TestCa::with_name("another");
    let stranger = client_certificate_store(&other, "stranger.pem", &generate_key(&PKCS_ED25519));
    let path = stranger.files().next().unwrap().as_configured().to_owned();
    let error =
        refusal(&TransportConfig { client_key_source: Some(stranger), ..authority.transport_config() });
    assert!(error.message().contains(&format!("the client certificate of KeyStore {path}")), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn unusable_key_store_fails_before_connecting() {
    let authority = TestCa::new();
    let server = start_mtls_server(&authority, &[&version::TLS13]);
    let fault = |source: KeySource| {
        let trust = TransportConfig { client_key_source: Some(source), ..authority.transport_config() };
        new_client()
            .send(&post_request(&https_url(&server)), &trust, &call_with_long_timeout())
            .unwrap_err()
            .error
    };
    let bare = fault(write_key_store(&authority, "bare.pem", &generate_key(&PKCS_ED25519).serialize_pem()));
    assert_eq!((bare.status(), bare.option()), (Status::KeyUnsuitable, Some("KeyStore")));
    assert!(bare.message().contains("bare.pem holds no certificate of its key"), "{bare}");
    let empty = fault(write_key_store(&authority, "empty.pem", ""));
    assert_eq!((empty.status(), empty.option()), (Status::KeyStore, Some("KeyStore")));
    let mut missing = write_key_store(&authority, "x", "");
    missing.origin = KeyOrigin::File(ConfiguredPath::new("/nowhere/client.p12".to_owned()));
    let missing = fault(missing);
    assert!(missing.message().contains("KeyStore /nowhere/client.p12 cannot be read"), "{missing}");
    assert_eq!(server.accepted_connections(), 0);
}

#[test]
fn connection_reuse_requires_same_client_certificate() {
    let authority = TestCa::new();
    let server = start_mtls_server(&authority, &[&version::TLS13]);
    let (network, url) = (new_client(), https_url(&server));
    let one = client_certificate_store(&authority, "one.pem", &generate_key(&PKCS_ED25519));
    let two = client_certificate_store(&authority, "two.pem", &generate_key(&PKCS_ED25519));
    let kept = |client: &KeySource| {
        let trust =
            TransportConfig { client_key_source: Some(client.clone()), ..authority.transport_config() };
        network.send(&post_request(&url), &trust, &call_with_long_timeout()).unwrap().reused
    };
    assert_eq!(
        [kept(&one), kept(&one), kept(&two), kept(&two), kept(&one)],
        [false, true, false, true, true]
    );
    client_certificate_store(&authority, "one.pem", &generate_key(&PKCS_ECDSA_P256_SHA256));
    assert!(!kept(&one), "the store was exchanged");
}

#[test]
fn connection_reuse_requires_equal_transport_config() {
    let authority = TestCa::new();
    let server = authority.start_server("localhost", unchanged_params, reply_ok);
    let (network, url) = (new_client(), https_url(&server));
    let copy = authority.certificate_path().with_file_name("copy.pem");
    std::fs::copy(authority.certificate_path(), &copy).unwrap();
    let store = Some(ConfiguredPath::new(copy.to_str().unwrap().to_owned()));
    let source = client_certificate_store(&authority, "c.pem", &generate_key(&PKCS_ED25519));
    let with_password = KeySource { key_password: Some("p".into()), ..source.clone() };
    let usual = || authority.transport_config();
    let all = [
        usual(),
        TransportConfig { trust_store: store, ..usual() },
        TransportConfig { trust_store_password: Some("p".into()), ..usual() },
        TransportConfig { validate_certificate: false, ..usual() },
        TransportConfig { tls_versions: TlsVersions::Tls12, ..usual() },
        TransportConfig { tls_versions: TlsVersions::Tls13, ..usual() },
        TransportConfig {
            host_name_in_certificate: Some(ServerName::try_from("localhost").unwrap()),
            ..usual()
        },
        TransportConfig { client_key_source: Some(source), ..usual() },
        TransportConfig { client_key_source: Some(with_password), ..usual() },
    ];
    for round in 0..3 {
        for (number, trust) in all.iter().enumerate() {
            let kept = network.send(&post_request(&url), trust, &call_with_long_timeout()).unwrap().reused;
            assert_eq!(kept, round > 0, "{number}");
        }
        assert_eq!(server.accepted_connections(), all.len());
    }
}

#[test]
fn only_configured_tls_versions_are_offered() {
    let authority = TestCa::new();
    let source = client_certificate_store(&authority, "c.pem", &generate_key(&PKCS_ED25519));
    for (speaks, offered, words) in [
        (&version::TLS12, TlsVersions::Tls13, "only TLS 1.3 is offered"),
        (&version::TLS13, TlsVersions::Tls12, "only TLS 1.2 is offered"),
    ] {
        let server = start_mtls_server(&authority, &[speaks]);
        let trust = |versions| TransportConfig {
            tls_versions: versions,
            client_key_source: Some(source.clone()),
            ..authority.transport_config()
        };
        let failure = new_client()
            .send(&post_request(&https_url(&server)), &trust(offered), &call_with_long_timeout())
            .unwrap_err();
        assert_eq!(failure.error.status(), Status::Tls);
        assert!(failure.error.message().contains(words), "{}", failure.error);
        assert!(
            new_client()
                .send(
                    &post_request(&https_url(&server)),
                    &trust(TlsVersions::Tls12And13),
                    &call_with_long_timeout()
                )
                .is_ok()
        );
    }
}

#[test]
fn host_name_in_certificate_overrides_url_host() {
    let authority = TestCa::new();
    let named = |name: &'static str| TransportConfig {
        host_name_in_certificate: Some(ServerName::try_from(name).unwrap()),
        ..authority.transport_config()
    };
    let server = authority.start_server("inner.example", unchanged_params, reply_ok);
    let url = https_url(&server);
    assert_eq!(
        new_client()
            .send(&post_request(&url), &named("inner.example"), &call_with_long_timeout())
            .unwrap()
            .status,
        200
    );
    let error = new_client()
        .send(&post_request(&url), &named("other.example"), &call_with_long_timeout())
        .unwrap_err()
        .error;
    assert_eq!(error.status(), Status::Tls);
    let words = "not for other.example (HostNameInCertificate): it is for inner.example";
    assert!(error.message().contains(words), "{error}");
    // The name is asked for besides the issuer, not instead of it.
    let other = TestCa::with_name("another");
    let stranger =
        TransportConfig { trust_store: other.transport_config().trust_store, ..named("inner.example") };
    assert!(new_client().send(&post_request(&url), &stranger, &call_with_long_timeout()).is_err());
}
