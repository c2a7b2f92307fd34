//! jsonwebtoken's `encode`, alone and with a plain ureq: the most obvious implementation.

use std::fs;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::fixture::{Fixture, ISSUER, SCOPE, SUBJECT};
use crate::{BenchResult, clock};

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    scope: &'a str,
    iat: u128,
    exp: u128,
    jti: &'a str,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
}

pub struct EncodePeer {
    rsa: EncodingKey,
    ec: EncodingKey,
    endpoint: String,
    agent: ureq::Agent,
}

impl EncodePeer {
    pub fn new(fixture: &Fixture) -> BenchResult<Self> {
        let roots = RootCerts::new_with_certs(&[Certificate::from_der(&fixture.ca()?).to_owned()]);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(std::sync::Arc::new(provider))
            .build();
        let configuration = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Ok(Self {
            rsa: EncodingKey::from_rsa_pem(&fs::read(fixture.file("rsa.pem"))?)?,
            ec: EncodingKey::from_ec_pem(&fs::read(fixture.file("ec.pem"))?)?,
            endpoint: fixture.endpoint("enco"),
            agent: configuration.into(),
        })
    }

    pub fn sign(&self, algorithm: &str) -> BenchResult<String> {
        let (algorithm, key) = match algorithm {
            "RS256" => (Algorithm::RS256, &self.rsa),
            "ES256" => (Algorithm::ES256, &self.ec),
            _ => return Err("unknown algorithm".into()),
        };
        let now = clock::wall_nanos() / 1_000_000_000;
        let claims = Claims {
            iss: ISSUER,
            sub: SUBJECT,
            aud: &self.endpoint,
            scope: SCOPE,
            iat: now,
            exp: now + 300,
            jti: "0123456789abcdefghijkl",
        };
        Ok(encode(&Header::new(algorithm), &claims, key)?)
    }

    pub fn fetch(&self) -> BenchResult<()> {
        let assertion = self.sign("RS256")?;
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)];
        let text = self.agent.post(&self.endpoint).send_form(form)?.body_mut().read_to_string()?;
        let response: TokenResponse = serde_json::from_str(&text)?;
        std::hint::black_box(response.access_token);
        Ok(())
    }
}
