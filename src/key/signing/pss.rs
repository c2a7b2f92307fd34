//! What a key for RSASSA-PSS alone may sign by: what its parameters leave (RFC 4055 section 3.1).

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::{Tag, TagNumber, Tagged};
use jsonwebtoken::Algorithm;

use crate::key::asn1::{der, oid};

/// Digest, the salt that goes with it in a JWT (RFC 7518 section 3.5), and the algorithm.
const DIGESTS: [(ObjectIdentifier, u64, &[Algorithm]); 3] = [
    (oid::of("2.16.840.1.101.3.4.2.1"), 32, &[Algorithm::PS256]),
    (oid::of("2.16.840.1.101.3.4.2.2"), 48, &[Algorithm::PS384]),
    (oid::of("2.16.840.1.101.3.4.2.3"), 64, &[Algorithm::PS512]),
];

/// Those that fit `parameters`; all without any.
pub(in crate::key) fn algorithms(parameters: Option<&AnyRef<'_>>) -> &'static [Algorithm] {
    let Some(fields) = parameters.filter(|any| any.tag() != Tag::Null).map(der::inside) else {
        return &[Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    };
    fields.and_then(|fields| one(&fields)).unwrap_or_default()
}

fn one(fields: &[AnyRef<'_>]) -> Option<&'static [Algorithm]> {
    let digest = der::oid(der::inside(&tagged(fields, 0)?)?.first()?)?;
    let mask = der::inside(der::inside(&tagged(fields, 1)?)?.get(1)?)?;
    let least = tagged(fields, 2).map_or(Some(20), |salt| salt.decode_as::<u64>().ok())?;
    let (_, salt, algorithms) = DIGESTS.iter().find(|(known, ..)| *known == digest)?;
    let fits = der::oid(mask.first()?)? == digest && least <= *salt;
    fits.then_some(algorithms)
}

/// What stands under `[number]`.
fn tagged<'a>(fields: &[AnyRef<'a>], number: u32) -> Option<AnyRef<'a>> {
    let wanted = Tag::ContextSpecific { constructed: true, number: TagNumber(number) };
    let field = fields.iter().find(|field| field.tag() == wanted)?;
    der::elements(field.value())?.into_iter().next()
}
