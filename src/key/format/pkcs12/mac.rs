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
