//! ASN.1: BER and DER elements, tags, object identifiers.

pub(super) mod ber;
pub(super) mod der;
pub(super) mod oid;
pub(super) mod tag;
