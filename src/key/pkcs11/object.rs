//! The private key that is meant, and what a token tells of it: never the key itself.

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::{Decode, Tag, Tagged};
use cryptoki::error::Result as Outcome;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::super::{KeySource, private_key};
use super::uri::Uri;
use crate::base::error::{Error, Result, Status};
use crate::key::asn1::der;
use crate::key::certificate::chain;
use crate::key::pkcs11::error;
use crate::key::select::{self, Kind};

/// More objects than these are not looked at.
const MOST: usize = 1000;

/// A private key on a token, by its names.
pub(super) struct Entry {
    pub(super) handle: ObjectHandle,
    pub(super) label: String,
    id: Vec<u8>,
}

/// What a token says of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Public {
    /// RSAPublicKey (RFC 8017 appendix A.1.1), and the bits of its modulus.
    Rsa(Vec<u8>, usize),
    /// The point, uncompressed; empty where the token tells it nowhere.
    P256(Vec<u8>),
    P384(Vec<u8>),
    /// Its 32 bytes, or none likewise.
    Ed25519(Vec<u8>),
}

impl Public {
    /// As a certificate would hold it.
    pub(super) fn key(&self) -> &[u8] {
        let (Self::Rsa(key, _) | Self::P256(key) | Self::P384(key) | Self::Ed25519(key)) = self;
        key
    }
}

/// The error of a call that the token did not answer.
pub(super) fn unanswered(source: &KeySource, error: &cryptoki::error::Error) -> Error {
    source.broken(format!("is on a token that answered {}", error::said(error)))
}

/// The private keys of those names, or all.
fn entries(session: &Session, uri: Option<&Uri>) -> Outcome<Vec<Entry>> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    if let Some(uri) = uri {
        template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
        template.extend(uri.id.clone().map(Attribute::Id));
    }
    let handles = session.iter_objects(&template)?.take(MOST).collect::<Outcome<Vec<_>>>()?;
    handles.into_iter().map(|handle| entry(session, handle)).collect()
}

fn entry(session: &Session, handle: ObjectHandle) -> Outcome<Entry> {
    let mut entry = Entry { handle, label: String::new(), id: Vec::new() };
    for attribute in session.get_attributes(handle, &[AttributeType::Label, AttributeType::Id])? {
        match attribute {
            Attribute::Label(label) => entry.label = String::from_utf8_lossy(&label).into_owned(),
            Attribute::Id(id) => entry.id = id,
            _ => {}
        }
    }
    Ok(entry)
}

/// The key that `source` and `uri` mean.
pub(super) fn choose(source: &KeySource, uri: &Uri, session: &Session) -> Result<Entry> {
    let told = |error| unanswered(source, &error);
    let mut found = entries(session, Some(uri)).map_err(told)?;
    if found.is_empty() && (uri.object.is_some() || uri.id.is_some()) {
        let all = listed(&entries(session, None).map_err(told)?);
        let held = if all.is_empty() { "no private key at all".to_owned() } else { select::joined(all) };
        let text = format!("names a private key that its token does not have; it has {held}");
        return Err(source.error(Status::KeyNotFound, source.option(), text));
    }
    let named: Vec<_> = found.iter().map(|entry| (entry.label.clone(), Kind::Key)).collect();
    let place = select::choose(source, &named)?;
    Ok(found.swap_remove(place))
}

/// Labels, with the ids by which keys of one label are told apart.
fn listed(entries: &[Entry]) -> Vec<String> {
    let id = |id: &[u8]| id.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let shown = entries.iter().take(12);
    shown.map(|entry| format!("{} (id={})", select::quoted(&entry.label), id(&entry.id))).collect()
}

/// All private keys of the token that `uri` means.
pub(super) fn all(source: &KeySource, uri: &Uri, session: &Session) -> Result<Vec<Entry>> {
    entries(session, Some(uri)).map_err(|error| unanswered(source, &error))
}

/// What the token tells of the key, if JWTs can be signed with it.
pub(super) fn public(source: &KeySource, session: &Session, entry: &Entry) -> Result<Public> {
    let told = |error| unanswered(source, &error);
    let kinds = [AttributeType::KeyType, AttributeType::Sign, AttributeType::AlwaysAuthenticate];
    let mut kind = None;
    for attribute in session.get_attributes(entry.handle, &kinds).map_err(told)? {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::Sign(false) => {
                return Err(source.unsuitable("is a key that may not sign (CKA_SIGN is false)"));
            }
            Attribute::AlwaysAuthenticate(true) => {
                return Err(source.unsuitable(
                    "is a key that wants its PIN for each signature (CKA_ALWAYS_AUTHENTICATE), which is not supported",
                ));
            }
            _ => {}
        }
    }
    match kind {
        Some(KeyType::RSA) => rsa(source, session, entry),
        Some(KeyType::EC | KeyType::EC_EDWARDS) => elliptic(source, session, entry),
        other => {
            let kind = other.map_or_else(|| "no kind".to_owned(), |kind| format!("the kind {kind}"));
            Err(source.unsuitable(format!(
                "is a key of {kind}; {} RSA, EC on P-256 or P-384, or Ed25519",
                source.signs_with()
            )))
        }
    }
}

/// The numbers of the public half stand with the private one, too.
fn rsa(source: &KeySource, session: &Session, entry: &Entry) -> Result<Public> {
    let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
    let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
    for holder in [Some(entry.handle), public_object(session, entry)].into_iter().flatten() {
        let found = session.get_attributes(holder, &wanted).map_err(|error| unanswered(source, &error))?;
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
    let bits = private_key::rsa_size(source, &modulus)?;
    Ok(Public::Rsa(der::element(0x30, &[&integer(&modulus), &integer(&exponent)]).to_vec(), bits))
}

/// A number without a sign as DER has it.
fn integer(number: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    der::element(0x02, &[&digits]).to_vec()
}

fn elliptic(source: &KeySource, session: &Session, entry: &Entry) -> Result<Public> {
    let (mut curve, mut point) = (Vec::new(), Vec::new());
    let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
    for holder in [Some(entry.handle), public_object(session, entry)].into_iter().flatten() {
        // A private key need not have a point, and some modules fail when asked.
        for attribute in session.get_attributes(holder, &wanted).unwrap_or_default() {
            match attribute {
                Attribute::EcParams(found) => curve = found,
                Attribute::EcPoint(found) => point = found,
                _ => {}
            }
        }
    }
    let found = match curve_of(&curve) {
        Some(private_key::P256) => Public::P256(bytes(point, 65)),
        Some(private_key::P384) => Public::P384(bytes(point, 97)),
        Some(private_key::ED25519) => Public::Ed25519(bytes(point, 32)),
        Some(other) => return Err(private_key::other(source, &other)),
        None => return Err(source.unsuitable("is an EC key on a curve that its token does not name")),
    };
    Ok(if found.key().is_empty() { by_certificate(found, session, entry) } else { found })
}

/// The curve by its number, or by the name that PKCS#11 3.0 has for Ed25519.
fn curve_of(parameters: &[u8]) -> Option<ObjectIdentifier> {
    let any = AnyRef::from_der(parameters).ok()?;
    match any.tag() {
        Tag::PrintableString if any.value() == b"edwards25519" => Some(private_key::ED25519),
        _ => der::oid(&any),
    }
}

/// A point of `length` bytes: by the standard within a DER OCTET STRING, by some modules bare or in a BIT STRING.
fn bytes(point: Vec<u8>, length: usize) -> Vec<u8> {
    if point.len() == length {
        return point;
    }
    let inside = AnyRef::from_der(&point).map(|any| match any.tag() {
        Tag::BitString => any.value().get(1..).unwrap_or_default().to_vec(),
        _ => any.value().to_vec(),
    });
    inside.ok().filter(|inside| inside.len() == length).unwrap_or_default()
}

/// The public key of the same id.
fn public_object(session: &Session, entry: &Entry) -> Option<ObjectHandle> {
    same(session, entry, ObjectClass::PUBLIC_KEY)
}

fn same(session: &Session, entry: &Entry, class: ObjectClass) -> Option<ObjectHandle> {
    let name = if entry.id.is_empty() {
        Attribute::Label(entry.label.clone().into_bytes())
    } else {
        Attribute::Id(entry.id.clone())
    };
    session.find_objects(&[Attribute::Class(class), name]).ok()?.first().copied()
}

/// A token without the public key may hold the certificate, which has it.
fn by_certificate(found: Public, session: &Session, entry: &Entry) -> Public {
    let certificate =
        same(session, entry, ObjectClass::CERTIFICATE).and_then(|object| value(session, object));
    let key = certificate.as_deref().and_then(chain::public_key).map(|(_, key)| key).unwrap_or_default();
    match found {
        Public::P256(_) => Public::P256(key),
        Public::P384(_) => Public::P384(key),
        Public::Ed25519(_) => Public::Ed25519(key),
        Public::Rsa(..) => found,
    }
}

fn value(session: &Session, object: ObjectHandle) -> Option<Vec<u8>> {
    let found = session.get_attributes(object, &[AttributeType::Value]).ok()?;
    found.into_iter().find_map(|attribute| match attribute {
        Attribute::Value(value) => Some(value),
        _ => None,
    })
}

/// All certificates of the token; whoever wants one knows its public key.
pub(super) fn certificates(session: &Session) -> Vec<Vec<u8>> {
    let found = session.iter_objects(&[Attribute::Class(ObjectClass::CERTIFICATE)]);
    let handles: Vec<_> = found.into_iter().flatten().take(MOST).flatten().collect();
    handles.into_iter().filter_map(|object| value(session, object)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_found_bare_and_in_either_string() {
        let point = [4; 65];
        let within = |tag: u8, parts: &[&[u8]]| bytes(der::element(tag, parts).to_vec(), 65);
        assert_eq!(bytes(point.to_vec(), 65), point);
        assert_eq!(within(0x04, &[&point]), point);
        assert_eq!(within(0x03, &[&[0], &point]), point);
        assert!(within(0x04, &[&point[1..]]).is_empty());
        assert!(bytes(Vec::new(), 32).is_empty());
    }

    #[test]
    fn a_curve_is_known_by_its_number_or_by_its_name() {
        let number = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        assert_eq!(curve_of(&number), Some(private_key::P256));
        assert_eq!(curve_of(b"\x13\x0cedwards25519"), Some(private_key::ED25519));
        assert_eq!(curve_of(b"\x13\x0aedwards448"), None);
        assert_eq!(curve_of(b""), None);
    }

    #[test]
    fn a_number_has_no_sign_and_no_zeros_in_front() {
        assert_eq!(integer(&[0, 0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[1, 0, 1]), [2, 3, 1, 0, 1]);
    }
}
