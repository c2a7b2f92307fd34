//! The signature by itself: aws-lc-rs with a key that was parsed once, over as many bytes as an assertion has.

use std::fs;
use std::sync::Arc;
use std::thread;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::scene::Scene;
use crate::{Outcome, clock};

/// The bytes that are signed of an assertion as authgrant makes it, header and payload in base64.
const LENGTH: usize = 320;

pub struct Peer {
    rsa: Arc<RsaKeyPair>,
    ec: EcdsaKeyPair,
    message: [u8; LENGTH],
}

impl Peer {
    pub fn new(scene: &Scene) -> Outcome<Self> {
        let der = |name| -> Outcome<_> { Ok(PrivateKeyDer::from_pem_slice(&fs::read(scene.file(name))?)?) };
        let ec = der("ec.pem")?;
        Ok(Self {
            rsa: Arc::new(RsaKeyPair::from_pkcs8(der("rsa.pem")?.secret_der())?),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.secret_der())?,
            message: [b'a'; LENGTH],
        })
    }

    pub fn sign(&mut self, algorithm: &str) -> Outcome<()> {
        match algorithm {
            "RS256" => by_rsa(&self.rsa, &self.message),
            "ES256" => {
                std::hint::black_box(self.ec.sign(&SystemRandom::new(), &self.message)?);
                Ok(())
            }
            _ => Err("an algorithm that is not known".into()),
        }
    }

    /// Signatures a second on so many threads, and those of one processor.
    pub fn on_threads(&self, threads: usize, count: usize) -> Outcome<String> {
        let (started, began) = (clock::wall(), clock::processor());
        let running: Vec<_> = (0..threads)
            .map(|_| {
                let (key, message) = (Arc::clone(&self.rsa), self.message);
                thread::spawn(move || (0..count).try_for_each(|_| by_rsa(&key, &message)))
            })
            .collect();
        for thread in running {
            thread.join().map_err(|_| "a thread has panicked")??;
        }
        let all = (threads * count) as u128;
        let wall = clock::wall() - started;
        Ok(format!("{} {}", all * 1_000_000_000 / wall, (clock::processor() - began) / all))
    }
}

fn by_rsa(key: &RsaKeyPair, message: &[u8]) -> Outcome<()> {
    let mut signature = [0_u8; 256];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
    std::hint::black_box(signature);
    Ok(())
}
