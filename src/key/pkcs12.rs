//! PKCS#12 (RFC 7292): what keytool, OpenSSL and Windows write as `.p12`, `.pfx` and, since Java 9, as `.jks`.
//!
//! `p12-keystore` decodes; here its errors are told apart, and a file cut short is found before the password is
//! tried. Keys without a name are called "1", "2" and so on, as keytool shows them.

use p12_keystore::error::Error as P12Error;
use p12_keystore::{Pkcs12Archive, PrivateKeyBag};
use pkcs8::der::ErrorKind;
use zeroize::Zeroizing;

use super::choice::{self, Kind};
use super::cost::Cost;
use super::{Candidate, KeySource, Material, der, oid, weak};
use crate::error::{Error, Result};

/// Version 3, as every PKCS#12 file begins inside its outermost SEQUENCE.
const VERSION: [u8; 3] = [0x02, 0x01, 0x03];

/// Whether `content` begins as a PKCS#12 file does, in DER or with BER's indefinite length.
pub(super) fn is_pfx(content: &[u8]) -> bool {
    match der::extent(content) {
        Some((begin, _)) => content.get(begin..).is_some_and(|inside| inside.starts_with(&VERSION)),
        None => is_indefinite(content),
    }
}

fn is_indefinite(content: &[u8]) -> bool {
    content.strip_prefix(&[0x30, 0x80]).is_some_and(|inside| inside.starts_with(&VERSION))
}

/// The key that `source` asks for, out of the PKCS#12 store `content`.
pub(super) fn read(source: &KeySource, content: &[u8]) -> Result<Material> {
    pick(source, &archive(source, content)?)
}

/// Every key of the PKCS#12 store `content`.
pub(super) fn all(source: &KeySource, content: &[u8]) -> Result<Vec<Candidate>> {
    let archive = archive(source, content)?;
    let named = aliases(&archive.keys).into_iter().zip(&archive.keys);
    Ok(named.map(|(alias, bag)| (Some(alias.clone()), Ok(material(&archive, bag, alias)))).collect())
}

/// The trusted certificates of the PKCS#12 store `content`: those that are marked so, as keytool does it, or all where no
/// key stands beside them.
pub(super) fn trusted(source: &KeySource, content: &[u8]) -> Result<Vec<Vec<u8>>> {
    let archive = archive(source, content)?;
    let trusted = archive.certs.iter().filter(|bag| bag.trusted || archive.keys.is_empty());
    Ok(trusted.map(|bag| bag.cert.as_der().to_vec()).collect())
}

fn archive(source: &KeySource, content: &[u8]) -> Result<Pkcs12Archive> {
    let pfx = whole(source, content)?;
    Cost::of_pfx(pfx).check(source)?;
    weak::check_pfx(source, pfx)?;
    let (password, _) = source.only_password();
    if password.is_some_and(|password| password.chars().any(|letter| letter > '\u{FFFF}')) {
        return Err(
            source.broken("is a PKCS#12 store, and its password has characters that PKCS#12 cannot hold")
        );
    }
    // An empty password and none are the same bytes for most writers.
    Pkcs12Archive::from_pkcs12(pfx, password.unwrap_or_default())
        .map_err(|error| explain(source, pfx, &error))
}

/// The bytes of the store without what may trail it, once they are seen to be all there.
fn whole<'a>(source: &KeySource, content: &'a [u8]) -> Result<&'a [u8]> {
    let Some((_, end)) = der::extent(content) else {
        return Err(source.broken(
            "is a PKCS#12 store in BER with indefinite lengths, which is not supported; rewrite a copy with \
             openssl pkcs12 -in FILE -nodes | openssl pkcs12 -export -out COPY",
        ));
    };
    content.get(..end).ok_or_else(|| {
        let length = content.len();
        source.broken(format!("is a PKCS#12 store cut short: {length} of {end} bytes are there"))
    })
}

fn explain(source: &KeySource, pfx: &[u8], error: &P12Error) -> Error {
    let unsupported =
        |what: String| source.broken(format!("is a PKCS#12 store that uses {what}, not supported"));
    match error {
        P12Error::MacError(_) | P12Error::UnpadError => refused(source),
        P12Error::UnsupportedEncryptionScheme | P12Error::UnsupportedMacAlgorithm => {
            unsupported(oid::unopened(pfx))
        }
        P12Error::Pkcs5Error(text) if text.contains("unsupported") => unsupported(oid::unopened(pfx)),
        P12Error::Pkcs5Error(text) if text.contains("invalid") => {
            source.broken(format!("is damaged: {text}"))
        }
        P12Error::Pkcs5Error(_) => refused(source),
        P12Error::DerError(error) => match error.kind() {
            ErrorKind::OidUnknown { oid } => unsupported(oid::name(&oid)),
            _ => undecodable(source, pfx, &error.to_string()),
        },
        P12Error::InvalidParameters => {
            source.broken("is a PKCS#12 store that wants more than 1000000 iterations for one of its parts")
        }
        other => undecodable(source, pfx, &other.to_string()),
    }
}

/// Without a MAC, a wrong password shows only in that what was decrypted makes no sense.
fn undecodable(source: &KeySource, pfx: &[u8], why: &str) -> Error {
    let has_mac = der::sequence(pfx).is_some_and(|elements| elements.len() > 2);
    if !has_mac && oid::is_encrypted(pfx) {
        return refused(source);
    }
    source.broken(format!("is a PKCS#12 store that was damaged: {why}"))
}

fn refused(source: &KeySource) -> Error {
    match source.only_password() {
        (None, _) => source.no_password(),
        (Some(_), option) => source.wrong_password(option),
    }
}

fn pick(source: &KeySource, archive: &Pkcs12Archive) -> Result<Material> {
    let aliases = aliases(&archive.keys);
    let keys = aliases.iter().map(|alias| (alias.as_str(), Kind::Key));
    let trusted = archive.certs.iter().filter(|bag| bag.trusted || archive.keys.is_empty());
    let certificates = trusted.map(|bag| {
        let name = bag.friendly_name.as_deref();
        (name.unwrap_or_else(|| bag.cert.subject()), Kind::Certificate)
    });
    let secrets = archive.secrets.iter().map(|bag| {
        let name = bag.friendly_name.as_deref();
        (name.unwrap_or("unnamed"), Kind::Secret)
    });
    let entries: Vec<_> = keys.chain(certificates).chain(secrets).collect();
    let place = choice::choose(source, &entries)?;
    match (archive.keys.get(place), aliases.get(place)) {
        (Some(bag), Some(alias)) => Ok(material(archive, bag, alias.clone())),
        _ => Err(source.not_found("has no private key")),
    }
}

fn material(archive: &Pkcs12Archive, bag: &PrivateKeyBag, alias: String) -> Material {
    Material {
        der: Zeroizing::new(bag.key.as_der().to_vec()),
        certificates: archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect(),
        alias: Some(alias),
    }
}

fn aliases(keys: &[PrivateKeyBag]) -> Vec<String> {
    let mut unnamed = 0_u32;
    let name = |bag: &PrivateKeyBag| {
        bag.friendly_name.clone().unwrap_or_else(|| {
            unnamed = unnamed.saturating_add(1);
            unnamed.to_string()
        })
    };
    keys.iter().map(name).collect()
}
