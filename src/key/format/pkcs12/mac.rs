//! Verification of the MAC of a PKCS#12 store: PKCS#12's own MAC (RFC 7292 section 4 and appendix B) and
//! PBMAC1 (RFC 9579).

use zeroize::Zeroizing;

use crate::key::asn1::ber::BerElement;
use crate::key::asn1::oid;
use crate::key::asn1::tag::{INTEGER, OCTET_STRING, SEQUENCE};
use crate::key::crypto::decrypt_error::DecryptError;
use crate::key::crypto::digest::DigestAlgorithm;
use crate::key::crypto::integrity;
use crate::key::crypto::kdf_budget::{KdfBudget, KdfCost};
use crate::key::crypto::password::PasswordEncodings;
use crate::key::crypto::pbe::{Kdf, check_oid, read_digest_algorithm};

const PBMAC1: ::der::asn1::ObjectIdentifier = oid::parse("1.2.840.113549.1.5.14");

/// Weak digests are permitted: the MAC does not protect the confidentiality of the key.
const FORBID_WEAK_DIGESTS: bool = false;

/// ID of a MAC key in appendix B.3.
const MAC_KEY_ID: u8 = 3;

/// Verifies the MacData `mac` of `content` with each encoding of the password.
pub(super) fn verify_mac(
    mac: BerElement<'_>,
    content: &[u8],
    password: &PasswordEncodings,
    budget: &mut KdfBudget,
) -> Result<(), DecryptError> {
    let mut fields = mac.children(SEQUENCE)?;
    let mut info = fields.next_required()?.children(SEQUENCE)?;
    let algorithm = info.next_required()?.children(SEQUENCE)?;
    let expected = info.next_required()?.octet_string(OCTET_STRING)?;
    let matches =
        |hash: DigestAlgorithm, key: &[u8]| integrity::is_intact(&hash.hmac(key, content), &expected);

    let mut algorithm_fields = algorithm;
    if check_oid(algorithm_fields.next_required()?.oid()?, FORBID_WEAK_DIGESTS)? == PBMAC1 {
        let mut parameters = algorithm_fields.next_required()?.children(SEQUENCE)?;
        let kdf = Kdf::parse(parameters.next_required()?.children(SEQUENCE)?, FORBID_WEAK_DIGESTS)?;
        let hash = read_digest_algorithm(
            parameters.next_required()?.children(SEQUENCE)?,
            DigestAlgorithm::from_hmac_oid,
            FORBID_WEAK_DIGESTS,
        )?;
        // RFC 9579 section 4: the length is required.
        let length = kdf.key_length.ok_or(DecryptError::Damaged)?;
        for encoding in kdf.password_encodings(password) {
            budget.charge(kdf.cost(length))?;
            let key = kdf.derive_key(encoding, length).ok_or(DecryptError::Damaged)?;
            if matches(hash, &key) {
                return Ok(());
            }
        }
        return Err(DecryptError::WrongPasswordOrAltered);
    }
    let hash = read_digest_algorithm(algorithm, DigestAlgorithm::from_oid, FORBID_WEAK_DIGESTS)?;
    let salt = fields.next_required()?.octet_string(OCTET_STRING)?;
    let iterations =
        fields.next_if_tag(INTEGER)?.map_or(Ok(1), |iterations| iterations.as_u64_saturating())?;
    for encoding in password.bmp() {
        budget.charge(KdfCost {
            iterations,
            output_blocks: 1,
            unit_cost: hash.unit_cost().div_ceil(2),
            ..KdfCost::default()
        })?;
        let mut key = Zeroizing::new(vec![0; hash.output_len()]);
        let iterations = u32::try_from(iterations).unwrap_or(u32::MAX).max(1);
        hash.pkcs12_kdf(MAC_KEY_ID, encoding, &salt, iterations, &mut key);
        if matches(hash, &key) {
            return Ok(());
        }
    }
    Err(DecryptError::WrongPasswordOrAltered)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::key::asn1::der::{encode_element, encode_integer, encode_sequence};
    use crate::key::asn1::tag::OID;

    const CONTENT: &[u8] = b"authenticated";

    fn algorithm(dotted: &str, parameters: &[u8]) -> Zeroizing<Vec<u8>> {
        encode_sequence(&[&encode_element(OID, &[oid::parse(dotted).as_bytes()]), parameters])
    }

    fn mac_data(algorithm: &[u8], mac: &[u8]) -> Zeroizing<Vec<u8>> {
        let salt = encode_element(OCTET_STRING, &[b"salt"]);
        let info = encode_sequence(&[algorithm, &encode_element(OCTET_STRING, &[mac])]);
        encode_sequence(&[&info, &salt, &encode_integer(&[2])])
    }

    fn verify_within(mac: &[u8], password: &str, mut budget: KdfBudget) -> Result<(), DecryptError> {
        let (mac, _) = BerElement::parse_first(mac).unwrap();
        verify_mac(mac, CONTENT, &PasswordEncodings::new(password), &mut budget)
    }

    fn verify(mac: &[u8], password: &str) -> Result<(), DecryptError> {
        verify_within(mac, password, KdfBudget::new())
    }

    /// MacData of `content` with HMAC-SHA-256 and two iterations, which names the digest `dotted`.
    fn pkcs12_mac_naming(dotted: &str, content: &[u8], password: &str) -> Zeroizing<Vec<u8>> {
        let password = PasswordEncodings::new(password);
        let mut key = [0; 32];
        DigestAlgorithm::Sha256.pkcs12_kdf(MAC_KEY_ID, &password.bmp()[0], b"salt", 2, &mut key);
        mac_data(&algorithm(dotted, &[]), &DigestAlgorithm::Sha256.hmac(&key, content))
    }

    /// MacData of `content`.
    pub(in crate::key) fn pkcs12_mac(content: &[u8], password: &str) -> Zeroizing<Vec<u8>> {
        pkcs12_mac_naming("2.16.840.1.101.3.4.2.1", content, password)
    }

    /// MacData with PBMAC1, PBKDF2 and HMAC-SHA-256, for the password "secret".
    fn pbmac1(key_length: Option<u8>) -> Zeroizing<Vec<u8>> {
        let length = key_length.map(|length| encode_integer(&[length]).to_vec()).unwrap_or_default();
        let hmac = algorithm("1.2.840.113549.2.9", &[]);
        let salt = encode_element(OCTET_STRING, &[b"salt"]);
        let kdf = encode_sequence(&[&salt, &encode_integer(&[2]), &length, &hmac]);
        let parameters = encode_sequence(&[&algorithm("1.2.840.113549.1.5.12", &kdf), &hmac]);
        let mut key = [0; 20];
        DigestAlgorithm::Sha256.pbkdf2(b"secret", b"salt", 2, &mut key);
        let mac = DigestAlgorithm::Sha256.hmac(&key, CONTENT);
        mac_data(&algorithm("1.2.840.113549.1.5.14", &parameters), &mac)
    }

    #[test]
    fn pbmac1_requires_password_and_key_length() {
        let mac = pbmac1(Some(20));
        assert_eq!(verify(&mac, "secret"), Ok(()));
        assert_eq!(verify(&mac, "wrong"), Err(DecryptError::WrongPasswordOrAltered));
        assert_eq!(verify(&pbmac1(None), "secret"), Err(DecryptError::Damaged));
        assert_eq!(verify(&pbmac1(Some(21)), "secret"), Err(DecryptError::WrongPasswordOrAltered));
    }

    #[test]
    fn pkcs12_mac_requires_password_and_known_digest() {
        let sha256 = pkcs12_mac(CONTENT, "secret");
        assert_eq!(verify(&sha256, "secret"), Ok(()));
        assert_eq!(verify(&sha256, "wrong"), Err(DecryptError::WrongPasswordOrAltered));
        let unknown = verify(&pkcs12_mac_naming("1.2.3", CONTENT, "secret"), "secret");
        assert_eq!(unknown, Err(DecryptError::Unsupported(oid::parse("1.2.3"))));
    }

    #[test]
    fn pkcs12_mac_is_charged_to_budget() {
        let mac = pkcs12_mac(CONTENT, "secret");
        let verify_with_rest = |rest: u64| {
            let mut budget = KdfBudget::new();
            budget.charge(KdfCost { decrypt_bytes: 32_000_000 - rest, ..KdfCost::default() })?;
            verify_within(&mac, "secret", budget)
        };
        // Two iterations of 0.2 µs: half of the duration of HMAC-SHA-256, rounded up.
        assert_eq!(verify_with_rest(4), Ok(()));
        assert!(matches!(verify_with_rest(3), Err(DecryptError::TooExpensive(_))));
    }
}
