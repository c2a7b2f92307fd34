//! Permitted algorithms of a key for RSASSA-PSS only, by its parameters (RFC 4055 section 3.1).

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::{Tag, TagNumber, Tagged};
use jsonwebtoken::Algorithm;

use crate::key::asn1::{der, oid};

/// Digest, its salt length in a JWT (RFC 7518 section 3.5), and the algorithm.
const PSS_DIGESTS: [(ObjectIdentifier, u64, &[Algorithm]); 3] = [
    (oid::parse("2.16.840.1.101.3.4.2.1"), 32, &[Algorithm::PS256]),
    (oid::parse("2.16.840.1.101.3.4.2.2"), 48, &[Algorithm::PS384]),
    (oid::parse("2.16.840.1.101.3.4.2.3"), 64, &[Algorithm::PS512]),
];

/// Algorithms that `parameters` permit; all algorithms without parameters.
pub(in crate::key) fn permitted_algorithms(parameters: Option<&AnyRef<'_>>) -> &'static [Algorithm] {
    let Some(fields) = parameters.filter(|any| any.tag() != Tag::Null).map(der::sequence_children) else {
        return &[Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    };
    fields.and_then(|fields| parse_parameters(&fields)).unwrap_or_default()
}

fn parse_parameters(fields: &[AnyRef<'_>]) -> Option<&'static [Algorithm]> {
    let digest = der::parse_oid(der::sequence_children(&find_context_element(fields, 0)?)?.first()?)?;
    let mask = der::sequence_children(der::sequence_children(&find_context_element(fields, 1)?)?.get(1)?)?;
    let min_salt = find_context_element(fields, 2).map_or(Some(20), |salt| salt.decode_as::<u64>().ok())?;
    let (_, salt, algorithms) = PSS_DIGESTS.iter().find(|(oid, ..)| *oid == digest)?;
    let is_permitted = der::parse_oid(mask.first()?)? == digest && min_salt <= *salt;
    is_permitted.then_some(algorithms)
}

/// The element tagged `[number]`.
fn find_context_element<'a>(fields: &[AnyRef<'a>], number: u32) -> Option<AnyRef<'a>> {
    let tag = Tag::ContextSpecific { constructed: true, number: TagNumber(number) };
    let field = fields.iter().find(|field| field.tag() == tag)?;
    der::parse_elements(field.value())?.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::asn1::tag::{CONTEXT_0, CONTEXT_1, INTEGER, OID};

    const MGF1: ObjectIdentifier = oid::parse("1.2.840.113549.1.1.8");
    const CONTEXT_2: u8 = 0xA2;

    /// Algorithms of a key with these digests of the message and of the mask, and this minimum salt length.
    fn permitted(
        digest: ObjectIdentifier,
        mask: ObjectIdentifier,
        min_salt: Option<u8>,
    ) -> &'static [Algorithm] {
        let encode_oid = |oid: ObjectIdentifier| der::encode_element(OID, &[oid.as_bytes()]);
        let digest = der::encode_sequence(&[&encode_oid(digest)]);
        let mask = der::encode_sequence(&[&encode_oid(MGF1), &der::encode_sequence(&[&encode_oid(mask)])]);
        let salt = min_salt.map(|length| der::encode_element(CONTEXT_2, &[&[INTEGER, 1, length]]));
        let parameters = der::encode_sequence(&[
            &der::encode_element(CONTEXT_0, &[&digest]),
            &der::encode_element(CONTEXT_1, &[&mask]),
            &salt.unwrap_or_default(),
        ]);
        permitted_algorithms(Some(&parameters.as_slice().try_into().unwrap()))
    }

    #[test]
    fn salt_is_at_most_as_long_as_digest() {
        for (digest, salt, algorithms) in PSS_DIGESTS {
            let salt = u8::try_from(salt).unwrap();
            assert_eq!(permitted(digest, digest, None), algorithms);
            assert_eq!(permitted(digest, digest, Some(salt)), algorithms);
            assert!(permitted(digest, digest, Some(salt + 1)).is_empty(), "{digest}");
        }
    }

    #[test]
    fn mask_has_digest_of_message() {
        for (digest, ..) in PSS_DIGESTS {
            for (mask, ..) in PSS_DIGESTS {
                assert_eq!(permitted(digest, mask, None).is_empty(), digest != mask, "{digest} {mask}");
            }
        }
    }
}
