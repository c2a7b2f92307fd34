//! jsonwebtoken's `encode`, by itself and with a plain ureq: what one writes first.

use std::fs;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::scene::{ISSUER, SCOPE, SUBJECT, Scene};
use crate::{Outcome, clock};

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
struct Answer {
    access_token: String,
}

pub struct Peer {
    rsa: EncodingKey,
    ec: EncodingKey,
    endpoint: String,
    agent: ureq::Agent,
}

impl Peer {
    pub fn new(scene: &Scene) -> Outcome<Self> {
        let roots = RootCerts::new_with_certs(&[Certificate::from_der(&scene.ca()?).to_owned()]);
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
            rsa: EncodingKey::from_rsa_pem(&fs::read(scene.file("rsa.pem"))?)?,
            ec: EncodingKey::from_ec_pem(&fs::read(scene.file("ec.pem"))?)?,
            endpoint: scene.endpoint("enco"),
            agent: configuration.into(),
        })
    }

    pub fn sign(&self, algorithm: &str) -> Outcome<String> {
        let (algorithm, key) = match algorithm {
            "RS256" => (Algorithm::RS256, &self.rsa),
            "ES256" => (Algorithm::ES256, &self.ec),
            _ => return Err("an algorithm that is not known".into()),
        };
        let now = clock::wall() / 1_000_000_000;
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

    pub fn fetch(&self) -> Outcome<()> {
        let assertion = self.sign("RS256")?;
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)];
        let text = self.agent.post(&self.endpoint).send_form(form)?.body_mut().read_to_string()?;
        let answer: Answer = serde_json::from_str(&text)?;
        std::hint::black_box(answer.access_token);
        Ok(())
    }
}
