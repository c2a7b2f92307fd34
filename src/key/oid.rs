//! The names of the algorithms that key files name by number, and which of them a file uses that cannot be opened.

use pkcs8::der::Tag;
use pkcs8::der::Tagged;
use pkcs8::der::asn1::ObjectIdentifier;

use super::{choice, der};

/// How deep a PKCS#12 file nests what is not encrypted: about 14 elements.
const DEEPEST: u8 = 24;

/// Number, name, and whether it is opened.
const KNOWN: [(&str, &str, bool); 31] = [
    ("1.2.840.113549.1.5.3", "PBE-MD5-DES", false),
    ("1.2.840.113549.1.5.6", "PBE-MD5-RC2-64", false),
    ("1.2.840.113549.1.5.10", "PBE-SHA1-DES", false),
    ("1.2.840.113549.1.5.11", "PBE-SHA1-RC2-64", false),
    ("1.2.840.113549.1.5.12", "PBKDF2", true),
    ("1.2.840.113549.1.5.13", "PBES2", true),
    ("1.2.840.113549.1.5.14", "PBMAC1", false),
    ("1.2.840.113549.1.12.1.1", "PBE-SHA1-RC4-128", false),
    ("1.2.840.113549.1.12.1.2", "PBE-SHA1-RC4-40", false),
    ("1.2.840.113549.1.12.1.3", "PBE-SHA1-3DES", true),
    ("1.2.840.113549.1.12.1.4", "PBE-SHA1-2DES", false),
    ("1.2.840.113549.1.12.1.5", "PBE-SHA1-RC2-128", false),
    ("1.2.840.113549.1.12.1.6", "PBE-SHA1-RC2-40", true),
    ("1.2.840.113549.2.7", "HMAC-SHA1", true),
    ("1.2.840.113549.2.8", "HMAC-SHA224", true),
    ("1.2.840.113549.2.9", "HMAC-SHA256", true),
    ("1.2.840.113549.2.10", "HMAC-SHA384", true),
    ("1.2.840.113549.2.11", "HMAC-SHA512", true),
    ("1.2.840.113549.2.12", "HMAC-SHA512-224", false),
    ("1.2.840.113549.2.13", "HMAC-SHA512-256", false),
    ("1.2.840.113549.3.2", "RC2-CBC", false),
    ("1.2.840.113549.3.4", "RC4", false),
    ("1.2.840.113549.3.7", "3DES-CBC", true),
    ("1.2.840.113549.2.5", "MD5", false),
    ("1.3.14.3.2.7", "DES-CBC", true),
    ("1.2.392.200011.61.1.1.1.2", "CAMELLIA-128-CBC", false),
    ("1.2.392.200011.61.1.1.1.3", "CAMELLIA-192-CBC", false),
    ("1.2.392.200011.61.1.1.1.4", "CAMELLIA-256-CBC", false),
    ("1.3.6.1.4.1.42.2.19.1", "JCE PBE-MD5-3DES", false),
    ("1.3.6.1.4.1.11591.4.11", "scrypt", true),
    ("1.3.6.1.4.1.42.2.17.1.1", "Java's key protection", true),
];

/// The families that hold ciphers, key derivations and MACs, and what in them is opened beside [`KNOWN`].
const FAMILIES: [(&str, bool); 8] = [
    ("1.2.840.113549.1.5.", false),
    ("1.2.840.113549.1.12.1.", false),
    ("1.2.840.113549.2.", false),
    ("1.2.840.113549.3.", false),
    ("2.16.840.1.101.3.4.1.", true),
    ("2.16.840.1.101.3.4.2.", true),
    ("1.2.392.200011.61.", false),
    ("1.3.14.3.2.26", true),
];

/// `PBE-SHA1-RC2-128 (1.2.840.113549.1.12.1.5)`, or the number alone.
pub(super) fn name(oid: &ObjectIdentifier) -> String {
    let number = oid.to_string();
    match KNOWN.iter().find(|(known, ..)| *known == number) {
        Some((_, name, _)) => format!("{name} ({number})"),
        None => number,
    }
}

fn opened(oid: &ObjectIdentifier) -> bool {
    let number = oid.to_string();
    if let Some((.., opened)) = KNOWN.iter().find(|(known, ..)| *known == number) {
        return *opened;
    }
    let family = FAMILIES.iter().find(|(family, _)| number.starts_with(family));
    // Outside the families are content types and attributes: not what a file fails to open by.
    family.is_none_or(|(_, opened)| *opened)
}

/// The algorithms in `der` that cannot be opened, for a message; a number may stand in octets that hold DER again.
pub(super) fn unopened(der: &[u8]) -> String {
    let mut found = Vec::new();
    collect(der, DEEPEST, &mut found);
    let names: Vec<_> = found.iter().filter(|oid| !opened(oid)).map(name).collect();
    if names.is_empty() { "one of its algorithms".to_owned() } else { choice::joined(names) }
}

/// Whether something in `der` is under a password.
pub(super) fn is_encrypted(der: &[u8]) -> bool {
    let mut found = Vec::new();
    collect(der, DEEPEST, &mut found);
    found.iter().any(|oid| {
        let number = oid.to_string();
        number.starts_with("1.2.840.113549.1.5.") || number.starts_with("1.2.840.113549.1.12.1.")
    })
}

fn collect(bytes: &[u8], depth: u8, found: &mut Vec<ObjectIdentifier>) {
    let (Some(elements), Some(deeper)) = (der::elements(bytes), depth.checked_sub(1)) else {
        return;
    };
    for element in elements {
        match element.tag() {
            Tag::ObjectIdentifier => found.extend(der::oid(&element).filter(|oid| !found.contains(oid))),
            Tag::Sequence | Tag::Set | Tag::OctetString => collect(element.value(), deeper, found),
            _ if der::is_context(&element) => collect(element.value(), deeper, found),
            _ => {}
        }
    }
}
