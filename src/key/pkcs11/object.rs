//! Key objects on a token: selection of the private key, and reading of its public key; the private key is
//! never read.

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::{Decode, Tag, Tagged};
use cryptoki::error::Result as CryptokiResult;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::base::error::{Error, KeyError, Result};
use crate::key::asn1::der;
use crate::key::certificate::chain;
use crate::key::message;
use crate::key::pkcs11::error;
use crate::key::pkcs11_uri::Pkcs11Uri;
use crate::key::private_key;
use crate::key::select::{self, EntryKind, StoreEntry};
use crate::key::source::KeySource;

/// Maximum number of objects that are read.
const MAX_OBJECTS: usize = 1000;

/// A private key object on a token.
pub(super) struct KeyObject {
    pub(super) handle: ObjectHandle,
    pub(super) label: String,
    id: Vec<u8>,
}

/// Public key as read from a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// RSAPublicKey (RFC 8017 appendix A.1.1), and the bits of its modulus.
    Rsa(Vec<u8>, usize),
    /// Uncompressed point; empty if the token does not provide it.
    P256(Vec<u8>),
    P384(Vec<u8>),
    /// 32 bytes; empty if the token does not provide them.
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// Public key in the encoding of a certificate.
    pub(super) fn as_bytes(&self) -> &[u8] {
        let (Self::Rsa(key, _) | Self::P256(key) | Self::P384(key) | Self::Ed25519(key)) = self;
        key
    }
}

/// Error for a call that failed on the token.
pub(super) fn token_error(source: &KeySource, error: &cryptoki::error::Error) -> Error {
    source.store_error(format!("is on a token that returned {}", error::describe(error)))
}

/// Finds the private keys that `uri` matches, or all.
fn find_key_objects(session: &Session, uri: Option<&Pkcs11Uri>) -> CryptokiResult<Vec<KeyObject>> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    if let Some(uri) = uri {
        template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
        template.extend(uri.id.clone().map(Attribute::Id));
    }
    let handles = session.iter_objects(&template)?.take(MAX_OBJECTS).collect::<CryptokiResult<Vec<_>>>()?;
    handles.into_iter().map(|handle| read_key_object(session, handle)).collect()
}

fn read_key_object(session: &Session, handle: ObjectHandle) -> CryptokiResult<KeyObject> {
    let mut entry = KeyObject { handle, label: String::new(), id: Vec::new() };
    for attribute in session.get_attributes(handle, &[AttributeType::Label, AttributeType::Id])? {
        match attribute {
            Attribute::Label(label) => entry.label = String::from_utf8_lossy(&label).into_owned(),
            Attribute::Id(id) => entry.id = id,
            _ => {}
        }
    }
    Ok(entry)
}

/// Finds the key that `source` and `uri` select.
pub(super) fn select_key(source: &KeySource, uri: &Pkcs11Uri, session: &Session) -> Result<KeyObject> {
    let to_error = |error| token_error(source, &error);
    let mut found = find_key_objects(session, Some(uri)).map_err(to_error)?;
    if found.is_empty() && (uri.object.is_some() || uri.id.is_some()) {
        let all = describe_keys(&find_key_objects(session, None).map_err(to_error)?);
        let available = if all.is_empty() { "none".to_owned() } else { message::join_with_and(all) };
        let text = format!("matches no private key on its token; available: {available}");
        return Err(source.error(KeyError::NotFound, source.option(), text));
    }
    let entries: Vec<_> =
        found.iter().map(|entry| StoreEntry::new(entry.label.clone(), EntryKind::PrivateKey)).collect();
    let index = select::select_entry(source, &entries)?;
    Ok(found.swap_remove(index))
}

/// Describes keys by label and by ID, which distinguishes keys of the same label.
fn describe_keys(entries: &[KeyObject]) -> Vec<String> {
    let format_id = |id: &[u8]| id.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let listed = entries.iter().take(12);
    listed.map(|entry| format!("{} (id={})", message::quote(&entry.label), format_id(&entry.id))).collect()
}

/// Finds all private keys that `uri` matches.
pub(super) fn find_all_keys(
    source: &KeySource,
    uri: &Pkcs11Uri,
    session: &Session,
) -> Result<Vec<KeyObject>> {
    find_key_objects(session, Some(uri)).map_err(|error| token_error(source, &error))
}

/// Reads the public key of `entry`, if it can sign JWTs.
pub(super) fn read_public_key(source: &KeySource, session: &Session, entry: &KeyObject) -> Result<PublicKey> {
    let to_error = |error| token_error(source, &error);
    let attribute_types = [AttributeType::KeyType, AttributeType::Sign, AttributeType::AlwaysAuthenticate];
    let mut key_type = None;
    for attribute in session.get_attributes(entry.handle, &attribute_types).map_err(to_error)? {
        match attribute {
            Attribute::KeyType(found) => key_type = Some(found),
            Attribute::Sign(false) => {
                return Err(source.unsuitable_error("must not be used for signing (CKA_SIGN is false)"));
            }
            Attribute::AlwaysAuthenticate(true) => {
                return Err(source.unsuitable_error(
                    "requires its PIN for each signature (CKA_ALWAYS_AUTHENTICATE), which is not supported",
                ));
            }
            _ => {}
        }
    }
    match key_type {
        Some(KeyType::RSA) => read_rsa_public_key(source, session, entry),
        Some(KeyType::EC | KeyType::EC_EDWARDS) => read_ec_public_key(source, session, entry),
        other => {
            let type_name =
                other.map_or_else(|| "unknown type".to_owned(), |key_type| format!("type {key_type}"));
            Err(source.unsuitable_error(format!(
                "is a key of {type_name}; {} RSA, EC on P-256 or P-384, or Ed25519",
                source.supported_keys_prefix()
            )))
        }
    }
}

/// Most tokens store the public attributes of an RSA key with the private key object, too.
fn read_rsa_public_key(source: &KeySource, session: &Session, entry: &KeyObject) -> Result<PublicKey> {
    let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
    let attribute_types = [AttributeType::Modulus, AttributeType::PublicExponent];
    for object in [Some(entry.handle), find_public_key_object(session, entry)].into_iter().flatten() {
        let found =
            session.get_attributes(object, &attribute_types).map_err(|error| token_error(source, &error))?;
        for attribute in found {
            match attribute {
                Attribute::Modulus(number) => modulus = number,
                Attribute::PublicExponent(number) => exponent = number,
                _ => {}
            }
        }
        if !modulus.is_empty() && !exponent.is_empty() {
            break;
        }
    }
    let bits = private_key::check_rsa_size(source, &modulus)?;
    let pkcs1 = der::encode_sequence(&[&der::encode_integer(&modulus), &der::encode_integer(&exponent)]);
    Ok(PublicKey::Rsa(pkcs1.to_vec(), bits))
}

fn read_ec_public_key(source: &KeySource, session: &Session, entry: &KeyObject) -> Result<PublicKey> {
    let (mut curve, mut point) = (Vec::new(), Vec::new());
    let attribute_types = [AttributeType::EcParams, AttributeType::EcPoint];
    for object in [Some(entry.handle), find_public_key_object(session, entry)].into_iter().flatten() {
        // The point is optional in a private key object, and some modules fail when it is read.
        for attribute in session.get_attributes(object, &attribute_types).unwrap_or_default() {
            match attribute {
                Attribute::EcParams(found) => curve = found,
                Attribute::EcPoint(found) => point = found,
                _ => {}
            }
        }
    }
    let found = match parse_curve(&curve) {
        Some(private_key::P256) => PublicKey::P256(unwrap_point(point, 65)),
        Some(private_key::P384) => PublicKey::P384(unwrap_point(point, 97)),
        Some(private_key::ED25519) => PublicKey::Ed25519(unwrap_point(point, 32)),
        Some(other) => return Err(private_key::unsupported_key_error(source, &other)),
        None => return Err(source.unsuitable_error("is an EC key whose curve the token does not name")),
    };
    Ok(if found.as_bytes().is_empty() { public_key_from_certificate(found, session, entry) } else { found })
}

/// Parses the curve: an OID, or the name that PKCS#11 3.0 defines for Ed25519.
fn parse_curve(parameters: &[u8]) -> Option<ObjectIdentifier> {
    let any = AnyRef::from_der(parameters).ok()?;
    match any.tag() {
        Tag::PrintableString if any.value() == b"edwards25519" => Some(private_key::ED25519),
        _ => der::parse_oid(&any),
    }
}

/// Extracts a point of `length` bytes: the standard wraps it in a DER OCTET STRING; some modules return it
/// bare or in a BIT STRING.
fn unwrap_point(point: Vec<u8>, length: usize) -> Vec<u8> {
    if point.len() == length {
        return point;
    }
    let content = AnyRef::from_der(&point).map(|any| match any.tag() {
        Tag::BitString => any.value().get(1..).unwrap_or_default().to_vec(),
        _ => any.value().to_vec(),
    });
    content.ok().filter(|content| content.len() == length).unwrap_or_default()
}

/// Finds the public key object with the same ID.
fn find_public_key_object(session: &Session, entry: &KeyObject) -> Option<ObjectHandle> {
    find_matching_object(session, entry, ObjectClass::PUBLIC_KEY)
}

fn find_matching_object(session: &Session, entry: &KeyObject, class: ObjectClass) -> Option<ObjectHandle> {
    let name = if entry.id.is_empty() {
        Attribute::Label(entry.label.clone().into_bytes())
    } else {
        Attribute::Id(entry.id.clone())
    };
    session.find_objects(&[Attribute::Class(class), name]).ok()?.first().copied()
}

/// Reads the public key from the certificate, for tokens that do not have the public key itself.
fn public_key_from_certificate(found: PublicKey, session: &Session, entry: &KeyObject) -> PublicKey {
    let certificate = find_matching_object(session, entry, ObjectClass::CERTIFICATE)
        .and_then(|object| read_value(session, object));
    let key =
        certificate.as_deref().and_then(chain::extract_public_key).map(|(_, key)| key).unwrap_or_default();
    match found {
        PublicKey::P256(_) => PublicKey::P256(key),
        PublicKey::P384(_) => PublicKey::P384(key),
        PublicKey::Ed25519(_) => PublicKey::Ed25519(key),
        PublicKey::Rsa(..) => found,
    }
}

fn read_value(session: &Session, object: ObjectHandle) -> Option<Vec<u8>> {
    let found = session.get_attributes(object, &[AttributeType::Value]).ok()?;
    found.into_iter().find_map(|attribute| match attribute {
        Attribute::Value(value) => Some(value),
        _ => None,
    })
}

/// Reads all certificates on the token; the caller selects by public key.
pub(super) fn read_certificates(session: &Session) -> Vec<Vec<u8>> {
    let found = session.iter_objects(&[Attribute::Class(ObjectClass::CERTIFICATE)]);
    let handles: Vec<_> = found.into_iter().flatten().take(MAX_OBJECTS).flatten().collect();
    handles.into_iter().filter_map(|object| read_value(session, object)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::asn1::tag::{BIT_STRING, OCTET_STRING};

    #[test]
    fn ec_point_is_unwrapped_from_any_encoding() {
        let point = [4; 65];
        let unwrap_in = |tag: u8, parts: &[&[u8]]| unwrap_point(der::encode_element(tag, parts).to_vec(), 65);
        assert_eq!(unwrap_point(point.to_vec(), 65), point);
        assert_eq!(unwrap_in(OCTET_STRING, &[&point]), point);
        assert_eq!(unwrap_in(BIT_STRING, &[&[0], &point]), point);
        assert!(unwrap_in(OCTET_STRING, &[&point[1..]]).is_empty());
        assert!(unwrap_point(Vec::new(), 32).is_empty());
    }

    #[test]
    fn curve_is_recognized_by_oid_or_name() {
        let number = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        assert_eq!(parse_curve(&number), Some(private_key::P256));
        assert_eq!(parse_curve(b"\x13\x0cedwards25519"), Some(private_key::ED25519));
        assert_eq!(parse_curve(b"\x13\x0aedwards448"), None);
        assert_eq!(parse_curve(b""), None);
    }
}
