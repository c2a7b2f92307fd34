//! Client certificates before a server that asks for them, versions of TLS, and a certificate of another name.

use std::sync::Arc;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::base::file::ConfiguredPath;
use crate::key::{KeyOrigin, KeySource, Purpose};
use crate::net::http::testing::*;
use crate::net::http::tests::tls::{Authority, plainly, reply};
use crate::net::http::*;
use crate::net::tls::Versions;

/// A server of `authority` that speaks these versions, and wants to see a client's certificate of the same one.
fn server(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> Server {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let ca = std::fs::read(authority.path()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&ca).map(|found| found.unwrap()));
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = authority.signed("localhost", &key);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    Server::start(Some(Arc::new(config)), reply)
}

fn store(authority: &Authority, name: &str, content: &str) -> KeySource {
    let path = authority.path().with_file_name(name);
    std::fs::write(&path, content).unwrap();
    KeySource {
        purpose: Purpose::ClientCertificate,
        origin: KeyOrigin::Store(ConfiguredPath::new(path.to_str().unwrap().to_owned())),
        password: None,
        key_password: None,
        alias: None,
        certificate: None,
        strong: false,
        guarded: false,
    }
}

fn key_of(kind: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(kind).unwrap()
}

fn client(authority: &Authority, name: &str, key: &KeyPair) -> KeySource {
    let certificate = authority.signed("client", key);
    store(authority, name, &format!("{}{}", key.serialize_pem(), certificate.pem()))
}

fn https(server: &Server) -> EndpointUrl {
    server.url_of("https://localhost", "/token")
}

#[test]
fn a_key_of_each_kind_is_believed_in_each_version_of_tls() {
    let authority = Authority::new();
    for (number, kind) in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519]
        .into_iter()
        .enumerate()
    {
        let source = client(&authority, &format!("{number}.pem"), &key_of(kind));
        for version in [&version::TLS12, &version::TLS13] {
            let server = server(&authority, &[version]);
            let trust = Trust { client: Some(source.clone()), ..authority.trust() };
            let answer = network().send(&post(&https(&server)), &trust, &patient());
            assert_eq!(answer.unwrap_or_else(|why| panic!("{kind:?} {version:?} {why:?}")).status, 200);
        }
    }
}

#[test]
fn a_server_that_misses_a_certificate_or_knows_nobody_like_that_says_so() {
    let authority = Authority::new();
    let server = server(&authority, &[&version::TLS13]);
    let refusal = |trust: &Trust| {
        let failure = network().send(&post(&https(&server)), trust, &patient()).unwrap_err();
        assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
        failure.error
    };
    let error = refusal(&authority.trust());
    assert!(error.message().contains("demands a client certificate: set KeyStore"), "{error}");
    let other = Authority::named("another");
    let stranger = client(&other, "stranger.pem", &key_of(&PKCS_ED25519));
    let path = stranger.files().next().unwrap().as_configured().to_owned();
    let error = refusal(&Trust { client: Some(stranger), ..authority.trust() });
    assert!(error.message().contains(&format!("the client certificate of KeyStore {path}")), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_key_store_that_does_not_do_is_found_before_anybody_is_called() {
    let authority = Authority::new();
    let server = server(&authority, &[&version::TLS13]);
    let fault = |source: KeySource| {
        let trust = Trust { client: Some(source), ..authority.trust() };
        network().send(&post(&https(&server)), &trust, &patient()).unwrap_err().error
    };
    let bare = fault(store(&authority, "bare.pem", &key_of(&PKCS_ED25519).serialize_pem()));
    assert_eq!((bare.status(), bare.option()), (Status::KeyUnsuitable, Some("KeyStore")));
    assert!(bare.message().contains("bare.pem holds no certificate of its key"), "{bare}");
    let empty = fault(store(&authority, "empty.pem", ""));
    assert_eq!((empty.status(), empty.option()), (Status::KeyStore, Some("KeyStore")));
    let mut missing = store(&authority, "x", "");
    missing.origin = KeyOrigin::Store(ConfiguredPath::new("/nowhere/client.p12".to_owned()));
    let missing = fault(missing);
    assert!(missing.message().contains("KeyStore /nowhere/client.p12 cannot be read"), "{missing}");
    assert_eq!(server.accepted(), 0);
}

#[test]
fn connections_are_shared_only_where_the_client_is_the_same_and_a_changed_store_is_another() {
    let authority = Authority::new();
    let server = server(&authority, &[&version::TLS13]);
    let (network, url) = (network(), https(&server));
    let one = client(&authority, "one.pem", &key_of(&PKCS_ED25519));
    let two = client(&authority, "two.pem", &key_of(&PKCS_ED25519));
    let kept = |client: &KeySource| {
        let trust = Trust { client: Some(client.clone()), ..authority.trust() };
        network.send(&post(&url), &trust, &patient()).unwrap().kept
    };
    assert_eq!(
        [kept(&one), kept(&one), kept(&two), kept(&two), kept(&one)],
        [false, true, false, true, true]
    );
    client(&authority, "one.pem", &key_of(&PKCS_ECDSA_P256_SHA256));
    assert!(!kept(&one), "the store was exchanged");
}

#[test]
fn each_difference_in_trust_makes_a_connection_of_its_own_and_equal_trust_shares_one() {
    let authority = Authority::new();
    let server = authority.server("localhost", plainly, reply);
    let (network, url) = (network(), https(&server));
    let copy = authority.path().with_file_name("copy.pem");
    std::fs::copy(authority.path(), &copy).unwrap();
    let store = Some(ConfiguredPath::new(copy.to_str().unwrap().to_owned()));
    let source = client(&authority, "c.pem", &key_of(&PKCS_ED25519));
    let with_password = KeySource { key_password: Some("p".into()), ..source.clone() };
    let usual = || authority.trust();
    let all = [
        usual(),
        Trust { store, ..usual() },
        Trust { store_password: Some("p".into()), ..usual() },
        Trust { validate: false, ..usual() },
        Trust { versions: Versions::Tls12, ..usual() },
        Trust { versions: Versions::Tls13, ..usual() },
        Trust { name: Some(ServerName::try_from("localhost").unwrap()), ..usual() },
        Trust { client: Some(source), ..usual() },
        Trust { client: Some(with_password), ..usual() },
    ];
    for round in 0..3 {
        for (number, trust) in all.iter().enumerate() {
            let kept = network.send(&post(&url), trust, &patient()).unwrap().kept;
            assert_eq!(kept, round > 0, "{number}");
        }
        assert_eq!(server.accepted(), all.len());
    }
}

#[test]
fn only_the_versions_that_are_named_are_offered() {
    let authority = Authority::new();
    let source = client(&authority, "c.pem", &key_of(&PKCS_ED25519));
    for (speaks, offered, words) in [
        (&version::TLS12, Versions::Tls13, "only TLS 1.3 is offered"),
        (&version::TLS13, Versions::Tls12, "only TLS 1.2 is offered"),
    ] {
        let server = server(&authority, &[speaks]);
        let trust = |versions| Trust { versions, client: Some(source.clone()), ..authority.trust() };
        let failure = network().send(&post(&https(&server)), &trust(offered), &patient()).unwrap_err();
        assert_eq!(failure.error.status(), Status::Tls);
        assert!(failure.error.message().contains(words), "{}", failure.error);
        assert!(network().send(&post(&https(&server)), &trust(Versions::Both), &patient()).is_ok());
    }
}

#[test]
fn the_certificate_may_be_for_a_name_that_an_option_gives_and_then_for_no_other() {
    let authority = Authority::new();
    let named =
        |name: &'static str| Trust { name: Some(ServerName::try_from(name).unwrap()), ..authority.trust() };
    let server = authority.server("inner.example", plainly, reply);
    let url = https(&server);
    assert_eq!(network().send(&post(&url), &named("inner.example"), &patient()).unwrap().status, 200);
    let error = network().send(&post(&url), &named("other.example"), &patient()).unwrap_err().error;
    assert_eq!(error.status(), Status::Tls);
    let words = "not for other.example (HostNameInCertificate): it is for inner.example";
    assert!(error.message().contains(words), "{error}");
    // The name is asked for besides the issuer, not instead of it.
    let other = Authority::named("another");
    let stranger = Trust { store: other.trust().store, ..named("inner.example") };
    assert!(network().send(&post(&url), &stranger, &patient()).is_err());
}
