//! OIDs of algorithms in key files.

use ::der::asn1::ObjectIdentifier;

pub(in crate::key) const MD4: ObjectIdentifier = parse("1.2.840.113549.2.4");
pub(in crate::key) const MD5: ObjectIdentifier = parse("1.2.840.113549.2.5");
pub(in crate::key) const HMAC_MD5: ObjectIdentifier = parse("1.2.840.113549.2.6");
pub(in crate::key) const HMAC_MD5_IPSEC: ObjectIdentifier = parse("1.3.6.1.5.5.8.1.1");
pub(in crate::key) const BLAKE2B: ObjectIdentifier = parse("1.3.6.1.4.1.1722.12.2.1.16");
pub(in crate::key) const BLAKE2S: ObjectIdentifier = parse("1.3.6.1.4.1.1722.12.2.2.8");
pub(in crate::key) const RIPEMD160: ObjectIdentifier = parse("1.3.36.3.2.1");
pub(in crate::key) const SM3: ObjectIdentifier = parse("1.2.156.10197.1.401");
pub(in crate::key) const HMAC_SM3: ObjectIdentifier = parse("1.2.156.10197.1.401.2");
pub(in crate::key) const WHIRLPOOL: ObjectIdentifier = parse("1.0.10118.3.0.55");
pub(in crate::key) const JKS_PROTECTION: ObjectIdentifier = parse("1.3.6.1.4.1.42.2.17.1.1");
pub(in crate::key) const JCEKS_PROTECTION: ObjectIdentifier = parse("1.3.6.1.4.1.42.2.19.1");

/// Parses the dotted notation of an OID at compile time.
pub(in crate::key) const fn parse(dotted: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(dotted)
}
