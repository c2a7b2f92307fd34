//! The MAC over a PKCS#12 store: PKCS#12's own (RFC 7292 section 4 and appendix B) and PBMAC1 (RFC 9579).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use crate::key::asn1::ber::{Element, INTEGER, OCTETS, SEQUENCE};
use crate::key::asn1::oid;
use crate::key::crypto::digest::Hash;
use crate::key::crypto::kdf_budget::{Budget, Cost};
use crate::key::crypto::password::Password;
use crate::key::crypto::pbe::{Fault, Kdf, admit, hash_of};

const PBMAC1: ::der::asn1::ObjectIdentifier = oid::of("1.2.840.113549.1.5.14");

/// No digest is too weak: a MAC protects nothing that a thief of the file wants.
const ANY: bool = false;

/// The ID of appendix B.3 for a key that authenticates.
const AUTHENTICATES: u8 = 3;

/// Checks MacData `mac` over `content` with each way to write the password.
pub(super) fn verify(
    mac: Element<'_>,
    content: &[u8],
    password: &Password,
    budget: &mut Budget,
) -> Result<(), Fault> {
    let mut fields = mac.inside(SEQUENCE)?;
    let mut info = fields.need()?.inside(SEQUENCE)?;
    let algorithm = info.need()?.inside(SEQUENCE)?;
    let expected = info.need()?.octets(OCTETS)?;
    let matches =
        |hash: Hash, key: &[u8]| verify_slices_are_equal(&hash.hmac(key, content), &expected).is_ok();

    let mut named = algorithm;
    if admit(named.need()?.oid()?, ANY)? == PBMAC1 {
        let mut parameters = named.need()?.inside(SEQUENCE)?;
        let kdf = Kdf::read(parameters.need()?.inside(SEQUENCE)?, ANY)?;
        let hash = hash_of(parameters.need()?.inside(SEQUENCE)?, Hash::of_hmac, ANY)?;
        // RFC 9579 section 4: the length must be said.
        let length = kdf.length.ok_or(Fault::Damaged)?;
        for written in kdf.writings(password) {
            budget.charge(kdf.cost(length))?;
            let key = kdf.derive(written, length).ok_or(Fault::Damaged)?;
            if matches(hash, &key) {
                return Ok(());
            }
        }
        return Err(Fault::Refused);
    }
    let hash = hash_of(algorithm, Hash::of, ANY)?;
    let salt = fields.need()?.octets(OCTETS)?;
    let rounds = fields.optional(INTEGER)?.map_or(Ok(1), |rounds| rounds.number())?;
    for written in password.wide() {
        budget.charge(Cost { rounds, blocks: 1, step: hash.step().div_ceil(2), ..Cost::default() })?;
        let mut key = Zeroizing::new(vec![0; hash.size()]);
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX).max(1);
        hash.pkcs12(AUTHENTICATES, written, &salt, rounds, &mut key);
        if matches(hash, &key) {
            return Ok(());
        }
    }
    Err(Fault::Refused)
}
