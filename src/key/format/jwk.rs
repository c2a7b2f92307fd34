//! JSON Web Keys (RFC 7517, RFC 8037): one, or a set of them, of which the private and the shared ones are taken.

use std::borrow::Cow;

use ::der::asn1::ObjectIdentifier;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::base::error::{Error, Result};
use crate::key::asn1::der::element;
use crate::key::asn1::oid;
use crate::key::select::{self, Kind};
use crate::key::{Candidate, Key, KeySource, Material, inline};

type Bytes = Zeroizing<Vec<u8>>;
type Text<'a> = Option<Cow<'a, str>>;

const CURVES: [(&str, ObjectIdentifier, usize); 4] = [
    ("P-256", oid::of("1.2.840.10045.3.1.7"), 32),
    ("P-384", oid::of("1.3.132.0.34"), 48),
    ("P-521", oid::of("1.3.132.0.35"), 66),
    ("secp256k1", oid::of("1.3.132.0.10"), 32),
];
const ED25519: ObjectIdentifier = oid::of("1.3.101.112");

const INTEGER: u8 = 2;
const BITS: u8 = 3;
const OCTETS: u8 = 4;
const OID: u8 = 6;
const SEQUENCE: u8 = 0x30;

/// One key. Its numbers are borrowed from the file, which is wiped.
#[derive(Deserialize)]
pub(in crate::key) struct Jwk<'a> {
    #[serde(borrow)]
    kty: Cow<'a, str>,
    #[serde(borrow, default)]
    kid: Text<'a>,
    #[serde(borrow, default)]
    crv: Text<'a>,
    #[serde(borrow, default)]
    k: Text<'a>,
    #[serde(borrow, default)]
    n: Text<'a>,
    #[serde(borrow, default)]
    e: Text<'a>,
    #[serde(borrow, default)]
    d: Text<'a>,
    #[serde(borrow, default)]
    p: Text<'a>,
    #[serde(borrow, default)]
    q: Text<'a>,
    #[serde(borrow, default)]
    dp: Text<'a>,
    #[serde(borrow, default)]
    dq: Text<'a>,
    #[serde(borrow, default)]
    qi: Text<'a>,
    #[serde(borrow, default)]
    x: Text<'a>,
    #[serde(borrow, default)]
    y: Text<'a>,
    #[serde(borrow, default)]
    x5c: Vec<Cow<'a, str>>,
}

/// The one of `keys` that `source` asks for.
pub(in crate::key) fn pick(source: &KeySource, keys: &[Jwk<'_>]) -> Result<Material> {
    let signing: Vec<_> = named(keys).collect();
    if signing.is_empty() {
        return Err(source.not_found("has no private key; its JSON Web Keys are public"));
    }
    let names: Vec<_> = signing.iter().map(|(name, _)| (name.clone(), Kind::Key)).collect();
    // A key alone needs no choosing: its kid is for the server, and no alias.
    let place = if keys.len() == 1 { 0 } else { select::choose(source, &names)? };
    match signing.get(place) {
        Some((_, key)) => key.material(source),
        None => Err(source.not_found("has no private key")),
    }
}

/// Those of `keys` that sign.
pub(in crate::key) fn all(source: &KeySource, keys: &[Jwk<'_>]) -> Vec<Candidate> {
    named(keys).map(|(name, key)| (Some(name), key.material(source))).collect()
}

/// Those of `keys` that sign, by their kid or their number.
fn named<'k, 'a>(keys: &'k [Jwk<'a>]) -> impl Iterator<Item = (String, &'k Jwk<'a>)> {
    let signing = keys.iter().filter(|key| key.d.is_some() || key.k.is_some());
    signing
        .zip(1_usize..)
        .map(|(key, number)| (key.kid.as_deref().map_or_else(|| number.to_string(), str::to_owned), key))
}

impl Jwk<'_> {
    fn material(&self, source: &KeySource) -> Result<Material> {
        let key = match &*self.kty {
            "RSA" => Key::Private(self.rsa(source)?),
            "EC" => Key::Private(self.elliptic(source)?),
            "OKP" => Key::Private(self.edwards(source)?),
            "oct" => Key::Shared(self.bytes(source, "k", &self.k)?),
            _ => {
                return Err(source.unsuitable("has a JSON Web Key whose kty is none of RSA, EC, OKP and oct"));
            }
        };
        let certificates = self.x5c.iter().map(|packed| inline::base64(packed).map(|der| der.to_vec()));
        let certificates = certificates.collect::<Option<_>>();
        Ok(Material {
            key,
            certificates: certificates.ok_or_else(|| damaged(source, "x5c"))?,
            alias: self.kid.as_deref().map(str::to_owned),
            key_id: self.kid.as_deref().map(str::to_owned),
        })
    }

    fn bytes(&self, source: &KeySource, name: &str, member: &Text<'_>) -> Result<Bytes> {
        let packed = member.as_deref().ok_or_else(|| {
            source.broken(format!("has a JSON Web Key of kty {} without its {name}", self.kty))
        })?;
        inline::base64(packed).ok_or_else(|| damaged(source, name))
    }

    /// PKCS#1.
    fn rsa(&self, source: &KeySource) -> Result<Bytes> {
        let members = [
            ("n", &self.n),
            ("e", &self.e),
            ("d", &self.d),
            ("p", &self.p),
            ("q", &self.q),
            ("dp", &self.dp),
            ("dq", &self.dq),
            ("qi", &self.qi),
        ];
        let mut body = element(INTEGER, &[&[0]]);
        for (name, member) in members {
            body.extend_from_slice(&integer(&self.bytes(source, name, member)?));
        }
        Ok(element(SEQUENCE, &[&body]))
    }

    /// SEC1, with the curve and the public key.
    fn elliptic(&self, source: &KeySource) -> Result<Bytes> {
        let wanted = self.crv.as_deref().unwrap_or_default();
        let Some((_, curve, length)) = CURVES.iter().find(|(name, ..)| *name == wanted) else {
            return Err(source.unsuitable("has a JSON Web Key on an EC curve that is not known"));
        };
        let number = |name, member| Ok::<_, Error>(padded(&self.bytes(source, name, member)?, *length));
        let (d, x, y) = (number("d", &self.d)?, number("x", &self.x)?, number("y", &self.y)?);
        let curve = element(0xA0, &[&element(OID, &[curve.as_bytes()])]);
        let public = element(0xA1, &[&element(BITS, &[&[0, 4], &x, &y])]);
        Ok(element(SEQUENCE, &[&element(INTEGER, &[&[1]]), &element(OCTETS, &[&d]), &curve, &public]))
    }

    /// PKCS#8 of version 2, so that halves that do not belong together are found (RFC 8410 section 7).
    fn edwards(&self, source: &KeySource) -> Result<Bytes> {
        if self.crv.as_deref() != Some("Ed25519") {
            return Err(source.unsuitable("has a JSON Web Key of kty OKP that is not Ed25519"));
        }
        let (d, x) = (self.bytes(source, "d", &self.d)?, self.bytes(source, "x", &self.x)?);
        let algorithm = element(SEQUENCE, &[&element(OID, &[ED25519.as_bytes()])]);
        let private = element(OCTETS, &[&element(OCTETS, &[&d])]);
        let public = element(0x81, &[&[0], &x]);
        Ok(element(SEQUENCE, &[&element(INTEGER, &[&[1]]), &algorithm, &private, &public]))
    }
}

fn damaged(source: &KeySource, name: &str) -> Error {
    source.broken(format!("has a JSON Web Key whose {name} is empty or not base64url"))
}

/// A number that is not negative, the big end first, as DER has it.
fn integer(number: &[u8]) -> Bytes {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let significant = number.get(zeros..).unwrap_or_default();
    match significant.first() {
        Some(..0x80) => element(INTEGER, &[significant]),
        _ => element(INTEGER, &[&[0], significant]),
    }
}

/// With zeros in front, as some writers leave them out.
fn padded(number: &[u8], length: usize) -> Bytes {
    let mut bytes = Zeroizing::new(vec![0; length.saturating_sub(number.len())]);
    bytes.extend_from_slice(number);
    bytes
}
