//! Access to the fixture that benches/fixture.py creates.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::BenchResult;

pub const ISSUER: &str = "1a2b3c4d5e_6f7g8h9g";
pub const SUBJECT: &str = "jsmith@example.com";
pub const SCOPE: &str = "signature impersonation";

pub struct Fixture {
    directory: PathBuf,
    server: String,
}

impl Fixture {
    pub fn from_env() -> BenchResult<Self> {
        Ok(Self { directory: env::var("BENCH_FIXTURE")?.into(), server: env::var("BENCH_SERVER")? })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The token endpoint of one program. Each program has its own, to distinguish them in the log of the server.
    pub fn endpoint(&self, program: &str) -> String {
        format!("{}/token/{program}", self.server)
    }

    pub fn ca(&self) -> BenchResult<CertificateDer<'static>> {
        Ok(CertificateDer::from_pem_slice(&fs::read(self.file("ca.pem"))?)?)
    }

    pub fn tls(&self) -> BenchResult<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca()?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}

/// The key of a store as PEM.
pub fn pem_from_pkcs12(store: &[u8]) -> BenchResult<String> {
    let store = KeyStore::from_pkcs12(store, "secret", Pkcs12ImportPolicy::Strict)?;
    let (_, chain) = store.private_key_chain().ok_or("no key")?;
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, chain.key().as_der());
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"))
}
