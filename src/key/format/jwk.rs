//! JSON Web Keys (RFC 7517, RFC 8037): the private and symmetric keys of a single key or of a set.

use std::borrow::Cow;

use ::der::asn1::ObjectIdentifier;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::base::error::{Error, KeyError, Result};
use crate::key::asn1::der::{encode_element, encode_integer, encode_sequence};
use crate::key::asn1::oid;
use crate::key::asn1::tag::{BIT_STRING, CONTEXT_0, CONTEXT_1, CONTEXT_1_PRIMITIVE, OCTET_STRING, OID};
use crate::key::crypto::rsa_primes;
use crate::key::lenient_base64;
use crate::key::message::{join_with_and, quote};
use crate::key::parsed_key::{KeyBytes, KeyEntry, ParsedKey};
use crate::key::select::{self, EntryKind, StoreEntry};
use crate::key::source::{KeySource, StorePurpose};

type JwkBytes = Zeroizing<Vec<u8>>;
type JwkMember<'a> = Option<Cow<'a, str>>;

const EC_CURVES: [(&str, ObjectIdentifier, usize); 4] = [
    ("P-256", oid::parse("1.2.840.10045.3.1.7"), 32),
    ("P-384", oid::parse("1.3.132.0.34"), 48),
    ("P-521", oid::parse("1.3.132.0.35"), 66),
    ("secp256k1", oid::parse("1.3.132.0.10"), 32),
];
const ED25519: ObjectIdentifier = oid::parse("1.3.101.112");

/// One key. Its members are borrowed from the content of the file, which is zeroized.
#[derive(Deserialize)]
pub(in crate::key) struct Jwk<'a> {
    #[serde(borrow)]
    kty: Cow<'a, str>,
    #[serde(borrow, default)]
    kid: JwkMember<'a>,
    #[serde(borrow, default)]
    alg: JwkMember<'a>,
    #[serde(rename = "use", borrow, default)]
    intended_use: JwkMember<'a>,
    #[serde(borrow, default)]
    key_ops: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    crv: JwkMember<'a>,
    #[serde(borrow, default)]
    k: JwkMember<'a>,
    #[serde(borrow, default)]
    n: JwkMember<'a>,
    #[serde(borrow, default)]
    e: JwkMember<'a>,
    #[serde(borrow, default)]
    d: JwkMember<'a>,
    #[serde(borrow, default)]
    p: JwkMember<'a>,
    #[serde(borrow, default)]
    q: JwkMember<'a>,
    #[serde(borrow, default)]
    dp: JwkMember<'a>,
    #[serde(borrow, default)]
    dq: JwkMember<'a>,
    #[serde(borrow, default)]
    qi: JwkMember<'a>,
    #[serde(borrow, default)]
    x: JwkMember<'a>,
    #[serde(borrow, default)]
    y: JwkMember<'a>,
    #[serde(borrow, default)]
    x5c: Vec<Cow<'a, str>>,
}

/// Beginnings of the encryption algorithms (RFC 7518 section 4).
const ENCRYPTION_ALGORITHMS: [&str; 8] =
    ["RSA1_5", "RSA-OAEP", "ECDH-ES", "A128", "A192", "A256", "PBES2", "dir"];

/// Reads the key of `keys` that `source` selects.
pub(in crate::key) fn select_key(source: &KeySource, keys: &[Jwk<'_>]) -> Result<ParsedKey> {
    check_has_signing_key(source, keys)?;
    let signing: Vec<_> = signing_keys_by_name(source, keys).collect();
    let index = match (keys, source.alias(), &source.key_id, signing.as_slice()) {
        // A single key is used regardless of the alias: its kid is for the server.
        ([_], ..) => 0,
        (_, None, Some(key_id), [_, _, ..]) => select_by_key_id(source, &signing, key_id)?,
        _ => {
            let entry = |name: &String| StoreEntry::new(name.clone(), EntryKind::PrivateKey);
            let entries: Vec<_> = signing.iter().map(|(name, _)| entry(name)).collect();
            select::select_entry(source, &entries)?
        }
    };
    match signing.get(index) {
        Some((_, key)) => key.to_parsed_key(source),
        None => Err(source.not_found_error("has no private key")),
    }
}

/// Returns the index of the key whose kid is JWTKeyID; unlike an alias it is compared exactly.
fn select_by_key_id(source: &KeySource, keys: &[(String, &Jwk<'_>)], key_id: &str) -> Result<usize> {
    let matching = |(_, (_, key)): &(usize, &(String, &Jwk<'_>))| key.kid.as_deref() == Some(key_id);
    let found: Vec<_> = keys.iter().enumerate().filter(matching).map(|(index, _)| index).collect();
    if let [only] = *found {
        return Ok(only);
    }
    let names = join_with_and(keys.iter().take(12).map(|(name, _)| quote(name)).collect());
    let (count, key_id) = (found.len(), quote(key_id));
    let text = match count {
        0 => format!("has no private key with the kid {key_id} (JWTKeyID); available: {names}"),
        _ => format!("has {count} private keys with the kid {key_id} (JWTKeyID)"),
    };
    Err(source.error(
        KeyError::NotFound,
        "JWTKeyID",
        format!("{text}; {} selects a key of another kid", source.option_names().alias),
    ))
}

/// Checks that one of `keys` can sign.
pub(in crate::key) fn check_has_signing_key(source: &KeySource, keys: &[Jwk<'_>]) -> Result<()> {
    if signing_keys_by_name(source, keys).next().is_some() {
        return Ok(());
    }
    Err(source.not_found_error(if keys.iter().any(Jwk::is_private) {
        "has no private key for signatures; its JSON Web Keys are for encryption (use, key_ops or alg)"
    } else {
        "has no private key; all its JSON Web Keys are public"
    }))
}

/// Reads all keys of `keys` that can sign.
pub(in crate::key) fn read_all_keys(source: &KeySource, keys: &[Jwk<'_>]) -> Vec<KeyEntry> {
    signing_keys_by_name(source, keys)
        .map(|(name, key)| KeyEntry::new(Some(name), key.to_parsed_key(source)))
        .collect()
}

/// The keys of `keys` that can sign, with their kid, or their position as a default.
fn signing_keys_by_name<'k, 'a>(
    source: &KeySource,
    keys: &'k [Jwk<'a>],
) -> impl Iterator<Item = (String, &'k Jwk<'a>)> {
    // TLS has no members of its own for these restrictions.
    let is_assertion = source.purpose == StorePurpose::Assertion;
    let signing =
        keys.iter().filter(move |key| key.is_private() && !(is_assertion && key.is_for_encryption()));
    signing
        .zip(1_usize..)
        .map(|(key, number)| (key.kid.as_deref().map_or_else(|| number.to_string(), str::to_owned), key))
}

impl Jwk<'_> {
    fn is_private(&self) -> bool {
        self.d.is_some() || self.k.is_some()
    }

    /// Whether the key must not sign (RFC 7517 sections 4.2 to 4.4).
    fn is_for_encryption(&self) -> bool {
        self.intended_use.as_deref() == Some("enc")
            || !self.key_ops.is_empty() && !self.key_ops.iter().any(|operation| operation == "sign")
            || self.alg.as_deref().is_some_and(|name| {
                ENCRYPTION_ALGORITHMS.iter().any(|encryption| name.starts_with(encryption))
            })
    }

    /// The algorithm to which the key is restricted.
    fn algorithm(&self, source: &KeySource) -> Result<Option<Algorithm>> {
        let Some(name) = self.alg.as_deref().filter(|_| source.purpose == StorePurpose::Assertion) else {
            return Ok(None);
        };
        // RFC 9864 names the curve.
        let standard = if name == "Ed25519" { "EdDSA" } else { name };
        standard.parse().map(Some).map_err(|_| {
            let text = format!("has a JSON Web Key with the unsupported alg {}", quote(name));
            source.unsuitable_error(text)
        })
    }

    fn to_parsed_key(&self, source: &KeySource) -> Result<ParsedKey> {
        let key = match &*self.kty {
            "RSA" => KeyBytes::Private(self.rsa_to_pkcs1(source)?),
            "EC" => KeyBytes::Private(self.ec_to_sec1(source)?),
            "OKP" => KeyBytes::Private(self.okp_to_pkcs8(source)?),
            "oct" => KeyBytes::HmacSecret(self.decode_member(source, "k", &self.k)?),
            _ => {
                return Err(source.unsuitable_error(
                    "has a JSON Web Key of an unsupported kty; expected RSA, EC, OKP or oct",
                ));
            }
        };
        let certificates =
            self.x5c.iter().map(|encoded| lenient_base64::decode(encoded).map(|der| der.to_vec()));
        let certificates = certificates.collect::<Option<Vec<_>>>();
        let problem = || "has a JSON Web Key whose x5c is empty or not base64".to_owned();
        Ok(ParsedKey {
            certificate_problem: certificates.is_none().then(problem),
            certificates: certificates.unwrap_or_default(),
            alias: self.kid.as_deref().map(str::to_owned),
            key_id: self.kid.as_deref().map(str::to_owned),
            algorithm: self.algorithm(source)?,
            ..ParsedKey::new(key)
        })
    }

    fn decode_member(&self, source: &KeySource, name: &str, member: &JwkMember<'_>) -> Result<JwkBytes> {
        let encoded = member.as_deref().ok_or_else(|| {
            source.store_error(format!("has a JSON Web Key of kty {} without the member {name}", self.kty))
        })?;
        lenient_base64::decode(encoded).ok_or_else(|| damaged_member_error(source, name))
    }

    /// Encodes the key as PKCS#1. The prime factors and what follows from them are computed if one of these
    /// members is absent (RFC 7518 section 6.3.2).
    fn rsa_to_pkcs1(&self, source: &KeySource) -> Result<JwkBytes> {
        let decode = |name, member| self.decode_member(source, name, member);
        let (n, e, d) = (decode("n", &self.n)?, decode("e", &self.e)?, decode("d", &self.d)?);
        let rest = [("p", &self.p), ("q", &self.q), ("dp", &self.dp), ("dq", &self.dq), ("qi", &self.qi)];
        let rest = if rest.iter().all(|(_, member)| member.is_some()) {
            rest.into_iter().map(|(name, member)| decode(name, member)).collect::<Result<Vec<_>>>()?
        } else {
            let recovered = rsa_primes::recover(&n, &e, &d).ok_or_else(|| {
                source.store_error("has a JSON Web Key whose n, e and d are not those of an RSA key")
            })?;
            vec![recovered.p, recovered.q, recovered.dp, recovered.dq, recovered.qi]
        };
        let mut body = encode_integer(&[0]);
        for number in [n, e, d].iter().chain(&rest) {
            body.extend_from_slice(&encode_integer(number));
        }
        Ok(encode_sequence(&[&body]))
    }

    /// Encodes the key as SEC1, with the curve and the public key.
    fn ec_to_sec1(&self, source: &KeySource) -> Result<JwkBytes> {
        let crv = self.crv.as_deref().unwrap_or_default();
        let Some((_, curve, length)) = EC_CURVES.iter().find(|(name, ..)| *name == crv) else {
            return Err(source.unsuitable_error("has a JSON Web Key on an unknown EC curve"));
        };
        let padded =
            |name, member| Ok::<_, Error>(pad_left(&self.decode_member(source, name, member)?, *length));
        let (d, x, y) = (padded("d", &self.d)?, padded("x", &self.x)?, padded("y", &self.y)?);
        let curve = encode_element(CONTEXT_0, &[&encode_element(OID, &[curve.as_bytes()])]);
        let public = encode_element(CONTEXT_1, &[&encode_element(BIT_STRING, &[&[0, 4], &x, &y])]);
        Ok(encode_sequence(&[&encode_integer(&[1]), &encode_element(OCTET_STRING, &[&d]), &curve, &public]))
    }

    /// Encodes the key as PKCS#8 version 2, which contains the public key, so that a mismatch is detected
    /// (RFC 8410 section 7).
    fn okp_to_pkcs8(&self, source: &KeySource) -> Result<JwkBytes> {
        if self.crv.as_deref() != Some("Ed25519") {
            return Err(source.unsuitable_error("has a JSON Web Key of kty OKP that is not Ed25519"));
        }
        let (d, x) = (self.decode_member(source, "d", &self.d)?, self.decode_member(source, "x", &self.x)?);
        let algorithm = encode_sequence(&[&encode_element(OID, &[ED25519.as_bytes()])]);
        let private = encode_element(OCTET_STRING, &[&encode_element(OCTET_STRING, &[&d])]);
        let public = encode_element(CONTEXT_1_PRIMITIVE, &[&[0], &x]);
        Ok(encode_sequence(&[&encode_integer(&[1]), &algorithm, &private, &public]))
    }
}

fn damaged_member_error(source: &KeySource, name: &str) -> Error {
    source.store_error(format!("has a JSON Web Key whose {name} is empty or not base64url"))
}

/// Pads with leading zeros, which some writers omit.
fn pad_left(number: &[u8], length: usize) -> JwkBytes {
    let mut bytes = Zeroizing::new(vec![0; length.saturating_sub(number.len())]);
    bytes.extend_from_slice(number);
    bytes
}
