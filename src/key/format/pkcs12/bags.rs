//! What stands in the opened safes of a PKCS#12 store: keys, certificates and secrets, by name (RFC 7292 section 4.2).

use std::borrow::Cow;

use ::der::asn1::ObjectIdentifier;

use crate::key::asn1::ber::{Element, Elements, Malformed, OCTETS, SEQUENCE, SET, TAGGED};
use crate::key::asn1::oid;
use crate::key::crypto::pbe::Fault;

const KEY: ObjectIdentifier = oid::of("1.2.840.113549.1.12.10.1.1");
const SEALED_KEY: ObjectIdentifier = oid::of("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE: ObjectIdentifier = oid::of("1.2.840.113549.1.12.10.1.3");
const SECRET: ObjectIdentifier = oid::of("1.2.840.113549.1.12.10.1.5");
const SAFE: ObjectIdentifier = oid::of("1.2.840.113549.1.12.10.1.6");
const X509: ObjectIdentifier = oid::of("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = oid::of("1.2.840.113549.1.9.20");
/// Java's mark of a certificate that is trusted by itself.
const TRUSTED: ObjectIdentifier = oid::of("2.16.840.1.113894.746875.1.1");

/// How deep safes may stand in safes; nobody has been seen to write any.
const DEEPEST: u8 = 8;

/// Far above any honest store.
const MOST: usize = 10_000;

pub(super) enum Key<'a> {
    /// PKCS#8.
    Open(&'a [u8]),
    /// The scheme of an EncryptedPrivateKeyInfo, and what is under it.
    Sealed(Elements<'a>, Cow<'a, [u8]>),
}

pub(super) struct Certificate<'a> {
    pub(super) name: Option<String>,
    pub(super) der: Cow<'a, [u8]>,
    pub(super) trusted: bool,
}

/// What a store has, in the order of the file.
#[derive(Default)]
pub(super) struct Bags<'a> {
    pub(super) keys: Vec<(Option<String>, Key<'a>)>,
    pub(super) certificates: Vec<Certificate<'a>>,
    pub(super) secrets: Vec<Option<String>>,
}

impl<'a> Bags<'a> {
    /// Adds what the SafeContents `safe` has.
    pub(super) fn add(&mut self, safe: &'a [u8]) -> Result<(), Fault> {
        self.add_all(Element::sequence(safe)?, DEEPEST)
    }

    fn add_all(&mut self, safe: Elements<'a>, depth: u8) -> Result<(), Fault> {
        let deeper = depth.checked_sub(1).ok_or(Fault::Damaged)?;
        for bag in safe {
            self.add_one(bag?.inside(SEQUENCE)?, deeper)?;
        }
        Ok(())
    }

    fn add_one(&mut self, mut bag: Elements<'a>, depth: u8) -> Result<(), Fault> {
        let count =
            self.keys.len().saturating_add(self.certificates.len()).saturating_add(self.secrets.len());
        if count >= MOST {
            return Err(Fault::Cost(format!("has more than {MOST} entries")));
        }
        let kind = bag.need()?.oid()?;
        let value = bag.need()?.inside(TAGGED)?.need()?;
        let attributes = bag.optional(SET)?;
        let name = || Ok::<_, Malformed>(attribute(attributes, FRIENDLY_NAME)?.map(|name| text(name.body)));
        match kind {
            KEY => self.keys.push((name()?, Key::Open(value.whole))),
            SEALED_KEY => {
                let mut fields = value.inside(SEQUENCE)?;
                let scheme = fields.need()?.inside(SEQUENCE)?;
                self.keys.push((name()?, Key::Sealed(scheme, fields.need()?.octets(OCTETS)?)));
            }
            CERTIFICATE => {
                let mut fields = value.inside(SEQUENCE)?;
                if fields.need()?.oid()? == X509 {
                    let der = fields.need()?.inside(TAGGED)?.need()?.octets(OCTETS)?;
                    let trusted = attribute(attributes, TRUSTED)?.is_some();
                    self.certificates.push(Certificate { name: name()?, der, trusted });
                }
            }
            SECRET => self.secrets.push(name()?),
            SAFE => self.add_all(value.inside(SEQUENCE)?, depth)?,
            // Revocation lists, and what is not in the standard.
            _ => {}
        }
        Ok(())
    }
}

/// The first value of an attribute.
fn attribute(
    attributes: Option<Element<'_>>,
    wanted: ObjectIdentifier,
) -> Result<Option<Element<'_>>, Malformed> {
    for attribute in attributes.map_or(Elements::of(&[]), |set| Elements::of(set.body)) {
        let mut fields = attribute?.inside(SEQUENCE)?;
        if fields.need()?.oid()? == wanted {
            return fields.need()?.inside(SET)?.next().transpose();
        }
    }
    Ok(None)
}

/// A BMPString.
fn text(bytes: &[u8]) -> String {
    let units: Vec<_> = bytes
        .chunks_exact(2)
        .map(|unit| unit.iter().fold(0, |all, byte| (all << 8) | u16::from(*byte)))
        .collect();
    String::from_utf16_lossy(&units)
}
