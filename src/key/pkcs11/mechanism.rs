//! Selection of the PKCS#11 mechanism for a JWT algorithm: the message is hashed by the token or, if the
//! token cannot do that, here.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512, digest};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::types::Ulong;
use jsonwebtoken::Algorithm;

/// Input of a mechanism.
#[derive(Clone, Copy)]
enum SignInput {
    Message,
    Digest(&'static digest::Algorithm),
    /// The digest, prefixed with the identifier of its algorithm (RFC 8017 section 9.2).
    DigestInfo(&'static digest::Algorithm, &'static [u8]),
}

/// A mechanism and its input.
pub(super) struct SigningMechanism {
    pub(super) mechanism: Mechanism<'static>,
    input: SignInput,
}

impl SigningMechanism {
    /// Input of the mechanism for `message`.
    pub(super) fn prepare_input(&self, message: &[u8]) -> Vec<u8> {
        match self.input {
            SignInput::Message => message.to_vec(),
            SignInput::Digest(hash) => digest(hash, message).as_ref().to_vec(),
            SignInput::DigestInfo(hash, prefix) => [prefix, digest(hash, message).as_ref()].concat(),
        }
    }
}

/// DigestInfo up to the digest.
const SHA256_DIGEST_INFO: &[u8] =
    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const SHA384_DIGEST_INFO: &[u8] =
    b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30";
const SHA512_DIGEST_INFO: &[u8] =
    b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";

/// PSS parameters with a salt as long as the hash (RFC 7518 section 3.5).
fn pss_params(hash_alg: MechanismType, mgf: PkcsMgfType, salt: u32) -> PkcsPssParams {
    PkcsPssParams { hash_alg, mgf, s_len: Ulong::new(salt.into()) }
}

/// Selects one of the `mechanisms` of a token for `algorithm`, if there is a suitable one.
pub(super) fn select_mechanism(
    algorithm: Algorithm,
    mechanisms: &[MechanismType],
) -> Option<SigningMechanism> {
    let sha256 = pss_params(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32);
    let sha384 = pss_params(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48);
    let sha512 = pss_params(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64);
    let pure = || Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
    use SignInput::{Digest, DigestInfo, Message};
    let candidates = match algorithm {
        Algorithm::RS256 => {
            vec![
                (Mechanism::Sha256RsaPkcs, Message),
                (Mechanism::RsaPkcs, DigestInfo(&SHA256, SHA256_DIGEST_INFO)),
            ]
        }
        Algorithm::RS384 => {
            vec![
                (Mechanism::Sha384RsaPkcs, Message),
                (Mechanism::RsaPkcs, DigestInfo(&SHA384, SHA384_DIGEST_INFO)),
            ]
        }
        Algorithm::RS512 => {
            vec![
                (Mechanism::Sha512RsaPkcs, Message),
                (Mechanism::RsaPkcs, DigestInfo(&SHA512, SHA512_DIGEST_INFO)),
            ]
        }
        Algorithm::PS256 => {
            vec![
                (Mechanism::Sha256RsaPkcsPss(sha256), Message),
                (Mechanism::RsaPkcsPss(sha256), Digest(&SHA256)),
            ]
        }
        Algorithm::PS384 => {
            vec![
                (Mechanism::Sha384RsaPkcsPss(sha384), Message),
                (Mechanism::RsaPkcsPss(sha384), Digest(&SHA384)),
            ]
        }
        Algorithm::PS512 => {
            vec![
                (Mechanism::Sha512RsaPkcsPss(sha512), Message),
                (Mechanism::RsaPkcsPss(sha512), Digest(&SHA512)),
            ]
        }
        Algorithm::ES256 => vec![(Mechanism::Ecdsa, Digest(&SHA256)), (Mechanism::EcdsaSha256, Message)],
        Algorithm::ES384 => vec![(Mechanism::Ecdsa, Digest(&SHA384)), (Mechanism::EcdsaSha384, Message)],
        Algorithm::EdDSA => vec![(pure(), Message)],
        _ => Vec::new(),
    };
    let has = |mechanism: &Mechanism<'_>| mechanisms.contains(&mechanism.mechanism_type());
    let (mechanism, input) = candidates.into_iter().find(|(mechanism, _)| has(mechanism))?;
    Some(SigningMechanism { mechanism, input })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_prefers_token_hash_over_local() {
        let select = |algorithm, mechanisms: &[MechanismType]| {
            select_mechanism(algorithm, mechanisms).map(|selected| {
                (selected.mechanism.mechanism_type(), selected.prepare_input(b"message").len())
            })
        };
        let without_hash = [MechanismType::RSA_PKCS, MechanismType::RSA_PKCS_PSS, MechanismType::ECDSA];
        let with_sha256 =
            [&without_hash[..], &[MechanismType::SHA256_RSA_PKCS, MechanismType::SHA256_RSA_PKCS_PSS]]
                .concat();
        assert_eq!(select(Algorithm::RS256, &with_sha256), Some((MechanismType::SHA256_RSA_PKCS, 7)));
        assert_eq!(select(Algorithm::PS256, &with_sha256), Some((MechanismType::SHA256_RSA_PKCS_PSS, 7)));
        for (algorithm, mechanism, length) in [
            (Algorithm::RS256, MechanismType::RSA_PKCS, 19 + 32),
            (Algorithm::RS384, MechanismType::RSA_PKCS, 19 + 48),
            (Algorithm::RS512, MechanismType::RSA_PKCS, 19 + 64),
            (Algorithm::PS384, MechanismType::RSA_PKCS_PSS, 48),
            (Algorithm::ES256, MechanismType::ECDSA, 32),
            (Algorithm::ES384, MechanismType::ECDSA, 48),
        ] {
            assert_eq!(select(algorithm, &without_hash), Some((mechanism, length)), "{algorithm:?}");
        }
        assert_eq!(select(Algorithm::EdDSA, &without_hash), None);
        assert_eq!(select(Algorithm::HS256, &with_sha256), None);
    }

    #[test]
    fn digest_info_lengths_match_digests() {
        for (prefix, hash) in
            [(SHA256_DIGEST_INFO, &SHA256), (SHA384_DIGEST_INFO, &SHA384), (SHA512_DIGEST_INFO, &SHA512)]
        {
            let [.., digest_length] = *prefix else { panic!() };
            assert_eq!(usize::from(digest_length), hash.output_len());
            assert_eq!(usize::from(prefix[1]), prefix.len() - 2 + hash.output_len());
        }
    }
}
