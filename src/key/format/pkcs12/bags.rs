//! Bags in the decrypted SafeContents of a PKCS#12 store: keys, certificates and secrets with their names
//! (RFC 7292 section 4.2).

use std::borrow::Cow;

use ::der::asn1::ObjectIdentifier;

use crate::key::asn1::ber::{BerElement, BerElements, MalformedBer};
use crate::key::asn1::oid;
use crate::key::asn1::tag::{CONTEXT_0, OCTET_STRING, SEQUENCE, SET};
use crate::key::crypto::decrypt_error::DecryptError;

const KEY_BAG: ObjectIdentifier = oid::parse("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = oid::parse("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = oid::parse("1.2.840.113549.1.12.10.1.3");
const SECRET_BAG: ObjectIdentifier = oid::parse("1.2.840.113549.1.12.10.1.5");
const SAFE_CONTENTS_BAG: ObjectIdentifier = oid::parse("1.2.840.113549.1.12.10.1.6");
const X509_CERTIFICATE: ObjectIdentifier = oid::parse("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = oid::parse("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = oid::parse("1.2.840.113549.1.9.21");
/// Attribute by which Java marks a trusted certificate.
const TRUSTED_KEY_USAGE: ObjectIdentifier = oid::parse("2.16.840.1.113894.746875.1.1");

/// Maximum nesting of SafeContents bags; no known program nests them.
const MAX_SAFE_DEPTH: u8 = 8;

/// Maximum number of entries, far above any valid store.
const MAX_BAGS: usize = 10_000;

pub(super) enum KeyBag<'a> {
    /// PKCS#8.
    Plain(&'a [u8]),
    /// Scheme and encrypted data of an EncryptedPrivateKeyInfo.
    Shrouded(BerElements<'a>, Cow<'a, [u8]>),
}

/// Attributes that name a bag.
#[derive(Clone, Default)]
pub(super) struct BagNames<'a> {
    /// friendlyName.
    pub(super) name: Option<String>,
    /// localKeyID, which a key and its certificate have in common.
    local_key_id: Option<&'a [u8]>,
}

pub(super) struct CertBag<'a> {
    pub(super) names: BagNames<'a>,
    pub(super) der: Cow<'a, [u8]>,
    pub(super) trusted: bool,
}

/// Contents of a store in the order of the file.
#[derive(Default)]
pub(super) struct SafeBags<'a> {
    pub(super) keys: Vec<(BagNames<'a>, KeyBag<'a>)>,
    pub(super) certificates: Vec<CertBag<'a>>,
    pub(super) secrets: Vec<Option<String>>,
}

impl<'a> SafeBags<'a> {
    /// Name of the certificate that belongs to the key with these names: the one with the same localKeyID or,
    /// in a store with one key and one certificate, that certificate.
    pub(super) fn certificate_name(&self, key: &BagNames<'a>) -> Option<&str> {
        let by_id = key.local_key_id.and_then(|id| {
            self.certificates.iter().find(|certificate| certificate.names.local_key_id == Some(id))
        });
        let certificate = match (by_id, self.keys.as_slice(), self.certificates.as_slice()) {
            (None, [_], [only]) => Some(only),
            (found, ..) => found,
        };
        certificate?.names.name.as_deref()
    }

    /// Adds the bags of the SafeContents `safe`. After an error, the other bags are added nevertheless.
    pub(super) fn add_safe_contents(&mut self, safe: &'a [u8]) -> Result<(), DecryptError> {
        self.add_bags(BerElement::parse_sequence(safe)?, MAX_SAFE_DEPTH)
    }

    fn add_bags(&mut self, safe: BerElements<'a>, depth: u8) -> Result<(), DecryptError> {
        let deeper = depth.checked_sub(1).ok_or(DecryptError::Damaged)?;
        let mut outcome = Ok(());
        for bag in safe {
            let added = bag.and_then(|bag| bag.children(SEQUENCE)).map_err(DecryptError::from);
            let added = added.and_then(|bag| self.add_bag(bag, deeper));
            outcome = outcome.and(added);
        }
        outcome
    }

    fn add_bag(&mut self, mut bag: BerElements<'a>, depth: u8) -> Result<(), DecryptError> {
        let count =
            self.keys.len().saturating_add(self.certificates.len()).saturating_add(self.secrets.len());
        if count >= MAX_BAGS {
            return Err(DecryptError::TooExpensive(format!(
                "has more than {MAX_BAGS} entries, which is the limit"
            )));
        }
        let kind = bag.next_required()?.oid()?;
        let value = bag.next_required()?.children(CONTEXT_0)?.next_required()?;
        let attributes = bag.next_if_tag(SET)?;
        let names = || {
            Ok::<_, MalformedBer>(BagNames {
                name: find_attribute(attributes, FRIENDLY_NAME)?.map(|name| decode_bmp_string(name.body)),
                local_key_id: find_attribute(attributes, LOCAL_KEY_ID)?.map(|id| id.body),
            })
        };
        match kind {
            KEY_BAG => self.keys.push((names()?, KeyBag::Plain(value.raw))),
            SHROUDED_KEY_BAG => {
                let mut fields = value.children(SEQUENCE)?;
                let scheme = fields.next_required()?.children(SEQUENCE)?;
                self.keys.push((
                    names()?,
                    KeyBag::Shrouded(scheme, fields.next_required()?.octet_string(OCTET_STRING)?),
                ));
            }
            CERT_BAG => {
                let mut fields = value.children(SEQUENCE)?;
                if fields.next_required()?.oid()? == X509_CERTIFICATE {
                    let der = fields
                        .next_required()?
                        .children(CONTEXT_0)?
                        .next_required()?
                        .octet_string(OCTET_STRING)?;
                    let trusted = find_attribute(attributes, TRUSTED_KEY_USAGE)?.is_some();
                    self.certificates.push(CertBag { names: names()?, der, trusted });
                }
            }
            SECRET_BAG => self.secrets.push(names()?.name),
            SAFE_CONTENTS_BAG => self.add_bags(value.children(SEQUENCE)?, depth)?,
            // CRLs and non-standard bags.
            _ => {}
        }
        Ok(())
    }
}

/// Returns the first value of the attribute `attribute_type`.
fn find_attribute(
    attributes: Option<BerElement<'_>>,
    attribute_type: ObjectIdentifier,
) -> Result<Option<BerElement<'_>>, MalformedBer> {
    for attribute in attributes.map_or(BerElements::new(&[]), |set| BerElements::new(set.body)) {
        let mut fields = attribute?.children(SEQUENCE)?;
        if fields.next_required()?.oid()? == attribute_type {
            return fields.next_required()?.children(SET)?.next().transpose();
        }
    }
    Ok(None)
}

/// Decodes a BMPString, without the NUL characters that some writers append.
fn decode_bmp_string(bytes: &[u8]) -> String {
    let units: Vec<_> = bytes.as_chunks().0.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
    String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::asn1::der::{encode_element, encode_sequence};
    use crate::key::asn1::tag::OID;

    fn bag(kind: &ObjectIdentifier, value: &[u8]) -> Vec<u8> {
        encode_sequence(&[&encode_element(OID, &[kind.as_bytes()]), &encode_element(CONTEXT_0, &[value])])
            .to_vec()
    }

    /// A SecretBag with the friendlyName "é".
    fn named_secret() -> Vec<u8> {
        let name = encode_element(SET, &[&[0x1E, 2, 0, 0xE9]]);
        let attribute = encode_sequence(&[&encode_element(OID, &[FRIENDLY_NAME.as_bytes()]), &name]);
        let mut fields = bag(&SECRET_BAG, &encode_sequence(&[]));
        fields.extend_from_slice(&encode_element(SET, &[&attribute]));
        encode_sequence(&[&fields[2..]]).to_vec()
    }

    #[test]
    fn nested_bags_are_read_to_maximum_depth() {
        let key = encode_sequence(&[&[2, 1, 0]]);
        let bags = [bag(&KEY_BAG, &key), named_secret(), bag(&oid::parse("1.2.3"), &key)].concat();
        let nested = |depth: u8| {
            let inner = encode_sequence(&[&bags]);
            (0..depth).fold(inner, |inner, _| encode_sequence(&[&bag(&SAFE_CONTENTS_BAG, &inner)]))
        };
        let safe = nested(MAX_SAFE_DEPTH - 1);
        let mut found = SafeBags::default();
        assert_eq!(found.add_safe_contents(&safe), Ok(()));
        assert!(matches!(found.keys.as_slice(), [(_, KeyBag::Plain(plain))] if **plain == **key));
        assert_eq!(found.secrets, [Some("é".to_owned())]);
        let too_deep = nested(MAX_SAFE_DEPTH);
        let mut found = SafeBags::default();
        assert_eq!(found.add_safe_contents(&too_deep), Err(DecryptError::Damaged));
        assert!(found.keys.is_empty() && found.secrets.is_empty());
    }

    #[test]
    fn number_of_entries_is_bounded() {
        let secret = bag(&SECRET_BAG, &encode_sequence(&[]));
        let safe = |count: usize| encode_sequence(&[&secret.repeat(count)]);
        let (largest, larger) = (safe(MAX_BAGS), safe(MAX_BAGS + 1));
        assert_eq!(SafeBags::default().add_safe_contents(&largest), Ok(()));
        let mut found = SafeBags::default();
        let error = found.add_safe_contents(&larger).unwrap_err();
        assert!(
            matches!(&error, DecryptError::TooExpensive(text) if text.contains("more than 10000 entries")),
            "{error:?}"
        );
        assert_eq!(found.secrets.len(), MAX_BAGS);
    }
}
