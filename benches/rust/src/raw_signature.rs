//! The signature alone: aws-lc-rs with a parsed key, over a message with the length of an assertion.

use std::fs;
use std::sync::Arc;
use std::thread;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::fixture::Fixture;
use crate::{BenchResult, clock};

/// The length of the signing input of authgrant's assertion: header and payload in base64.
const MESSAGE_LEN: usize = 320;

pub struct RawSigner {
    rsa: Arc<RsaKeyPair>,
    ec: EcdsaKeyPair,
    message: [u8; MESSAGE_LEN],
}

impl RawSigner {
    pub fn new(fixture: &Fixture) -> BenchResult<Self> {
        let der =
            |name| -> BenchResult<_> { Ok(PrivateKeyDer::from_pem_slice(&fs::read(fixture.file(name))?)?) };
        let ec = der("ec.pem")?;
        Ok(Self {
            rsa: Arc::new(RsaKeyPair::from_pkcs8(der("rsa.pem")?.secret_der())?),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.secret_der())?,
            message: [b'a'; MESSAGE_LEN],
        })
    }

    pub fn sign(&mut self, algorithm: &str) -> BenchResult<()> {
        match algorithm {
            "RS256" => sign_rsa(&self.rsa, &self.message),
            "ES256" => {
                std::hint::black_box(self.ec.sign(&SystemRandom::new(), &self.message)?);
                Ok(())
            }
            _ => Err("unknown algorithm".into()),
        }
    }

    /// Returns signatures per second on `threads` threads, and nanoseconds of CPU time per signature.
    pub fn sign_on_threads(&self, threads: usize, count: usize) -> BenchResult<String> {
        let (started, cpu_start) = (clock::wall_nanos(), clock::cpu_nanos());
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                let (key, message) = (Arc::clone(&self.rsa), self.message);
                thread::spawn(move || (0..count).try_for_each(|_| sign_rsa(&key, &message)))
            })
            .collect();
        for handle in handles {
            handle.join().map_err(|_| "a thread panicked")??;
        }
        let total = (threads * count) as u128;
        let wall = clock::wall_nanos() - started;
        Ok(format!("{} {}", total * 1_000_000_000 / wall, (clock::cpu_nanos() - cpu_start) / total))
    }
}

fn sign_rsa(key: &RsaKeyPair, message: &[u8]) -> BenchResult<()> {
    let mut signature = [0_u8; 256];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
    std::hint::black_box(signature);
    Ok(())
}
