//! Tags of ASN.1 elements, including the bit for a constructed encoding.

pub(in crate::key) const INTEGER: u8 = 0x02;
pub(in crate::key) const BIT_STRING: u8 = 0x03;
pub(in crate::key) const OCTET_STRING: u8 = 0x04;
pub(in crate::key) const OID: u8 = 0x06;
pub(in crate::key) const SEQUENCE: u8 = 0x30;
pub(in crate::key) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(in crate::key) const CONTEXT_0: u8 = 0xA0;
/// `[1]`, constructed.
pub(in crate::key) const CONTEXT_1: u8 = 0xA1;
/// `[0]`, primitive: implicit tag of an OCTET STRING.
pub(in crate::key) const CONTEXT_0_PRIMITIVE: u8 = 0x80;
/// `[1]`, primitive: implicit tag of a BIT STRING.
pub(in crate::key) const CONTEXT_1_PRIMITIVE: u8 = 0x81;
