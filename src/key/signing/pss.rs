//! What a key for RSASSA-PSS alone may sign by: what its parameters leave (RFC 4055 section 3.1).

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::{Tag, TagNumber, Tagged};
use jsonwebtoken::Algorithm;

use crate::key::asn1::{der, oid};

/// Digest, the salt that goes with it in a JWT (RFC 7518 section 3.5), and the algorithm.
const PSS_DIGESTS: [(ObjectIdentifier, u64, &[Algorithm]); 3] = [
    (oid::parse("2.16.840.1.101.3.4.2.1"), 32, &[Algorithm::PS256]),
    (oid::parse("2.16.840.1.101.3.4.2.2"), 48, &[Algorithm::PS384]),
    (oid::parse("2.16.840.1.101.3.4.2.3"), 64, &[Algorithm::PS512]),
];

/// Those that fit `parameters`; all without any.
pub(in crate::key) fn permitted_algorithms(parameters: Option<&AnyRef<'_>>) -> &'static [Algorithm] {
    let Some(fields) = parameters.filter(|any| any.tag() != Tag::Null).map(der::sequence_children) else {
        return &[Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    };
    fields.and_then(|fields| parse_parameters(&fields)).unwrap_or_default()
}

fn parse_parameters(fields: &[AnyRef<'_>]) -> Option<&'static [Algorithm]> {
    let digest = der::parse_oid(der::sequence_children(&find_context_element(fields, 0)?)?.first()?)?;
    let mask = der::sequence_children(der::sequence_children(&find_context_element(fields, 1)?)?.get(1)?)?;
    let least = find_context_element(fields, 2).map_or(Some(20), |salt| salt.decode_as::<u64>().ok())?;
    let (_, salt, algorithms) = PSS_DIGESTS.iter().find(|(known, ..)| *known == digest)?;
    let fits = der::parse_oid(mask.first()?)? == digest && least <= *salt;
    fits.then_some(algorithms)
}

/// What stands under `[number]`.
fn find_context_element<'a>(fields: &[AnyRef<'a>], number: u32) -> Option<AnyRef<'a>> {
    let wanted = Tag::ContextSpecific { constructed: true, number: TagNumber(number) };
    let field = fields.iter().find(|field| field.tag() == wanted)?;
    der::parse_elements(field.value())?.into_iter().next()
}
