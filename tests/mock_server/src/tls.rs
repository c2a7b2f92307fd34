//! Certification authority and server certificate, generated at each start, valid or invalid as configured.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ALL_VERSIONS, ServerConfig, version};
use time::{Duration, OffsetDateTime};

use crate::config::ServerCertificate;

pub(crate) struct GeneratedTls {
    pub(crate) ca_pem: String,
    pub(crate) server_config: Arc<ServerConfig>,
}

const SERVER_NAMES: [&str; 3] = ["127.0.0.1", "::1", "localhost"];

type Ca = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn generate_tls(kind: ServerCertificate, tls12_only: bool) -> GeneratedTls {
    if kind == ServerCertificate::SelfSigned {
        return generate_self_signed(tls12_only);
    }
    let trusted = generate_ca();
    let untrusted = (kind == ServerCertificate::UntrustedCa).then(generate_ca);
    let server = build_server_config(kind, untrusted.as_ref().unwrap_or(&trusted), tls12_only);
    GeneratedTls { ca_pem: trusted.pem(), server_config: Arc::new(server) }
}

fn generate_self_signed(tls12_only: bool) -> GeneratedTls {
    let mut params = certificate_params(&SERVER_NAMES, "mock_server");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a server key");
    let certificate = params.self_signed(&key).expect("a server certificate");
    let server_config = Arc::new(server_config(&certificate, &key, tls12_only));
    GeneratedTls { ca_pem: certificate.pem(), server_config }
}

fn generate_ca() -> Ca {
    let mut params = certificate_params(&[], "mock_server test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().expect("a CA key");
    Ca::self_signed(params, key).expect("a CA certificate")
}

fn build_server_config(kind: ServerCertificate, signer: &Ca, tls12_only: bool) -> ServerConfig {
    let names: &[&str] = match kind {
        ServerCertificate::OtherHost => &["other.example"],
        _ => &SERVER_NAMES,
    };
    let mut params = certificate_params(names, "mock_server");
    if kind == ServerCertificate::Expired {
        params.not_before = OffsetDateTime::now_utc() - Duration::days(800);
        params.not_after = OffsetDateTime::now_utc() - Duration::days(700);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().expect("a server key");
    let certificate = params.signed_by(&key, signer).expect("a server certificate");
    server_config(&certificate, &key, tls12_only)
}

fn server_config(certificate: &Certificate, key: &KeyPair, tls12_only: bool) -> ServerConfig {
    let versions = if tls12_only { &[&version::TLS12][..] } else { ALL_VERSIONS };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("TLS versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a TLS configuration")
}

fn certificate_params(names: &[&str], common_name: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("subject names");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.use_authority_key_identifier_extension = true;
    // Apple's verifier rejects server certificates that are valid for more than 825 days.
    params.not_before = OffsetDateTime::now_utc() - Duration::days(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(300);
    params
}
