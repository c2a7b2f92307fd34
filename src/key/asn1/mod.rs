//! ASN.1: BER and DER elements, object identifiers.

pub(super) mod ber;
pub(super) mod der;
pub(super) mod oid;
