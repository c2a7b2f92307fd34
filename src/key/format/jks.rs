//! Java's own key stores, JKS and JCEKS: entries one after the other, and a SHA-1 digest keyed with the password at
//! the end.
//!
//! Follows `sun.security.provider.JavaKeyStore` and `KeyProtector`, and those of `com.sun.crypto.provider`, of
//! OpenJDK. The whole file is walked first, each length against what is left, so that a file cut short is not taken
//! for a wrong password. The two differ in how keys are protected, and in that JCEKS may have secret keys.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN};
use zeroize::Zeroizing;

use super::java_serialization;
use crate::base::error::{Error, Result};
use crate::key::asn1::ber::{Element, OCTETS, SEQUENCE};
use crate::key::asn1::oid;
use crate::key::crypto::kdf_budget::Budget;
use crate::key::crypto::password::Password;
use crate::key::crypto::pbe::{Fault, Scheme};
use crate::key::crypto::weak_encryption;
use crate::key::select::{self, Kind, quoted};
use crate::key::{Candidate, Key, KeySource, Material};

const WHITENER: &[u8] = b"Mighty Aphrodite";

const JKS: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];
const JCEKS: [u8; 4] = [0xCE, 0xCE, 0xCE, 0xCE];

struct Entry<'a> {
    alias: String,
    kind: Kind,
    /// The protected private key.
    key: Option<&'a [u8]>,
    certificates: Vec<&'a [u8]>,
}

/// Whether `content` begins as a JKS or a JCEKS store does.
pub(in crate::key) fn is_store(content: &[u8]) -> bool {
    content.starts_with(&JKS) || content.starts_with(&JCEKS)
}

/// What people call the format of the store `content`.
pub(in crate::key) fn name(content: &[u8]) -> &'static str {
    if content.starts_with(&JCEKS) { "JCEKS" } else { "JKS" }
}

/// The key that `source` asks for, out of the JKS or JCEKS store `content`.
pub(in crate::key) fn read(source: &KeySource, content: &[u8]) -> Result<Material> {
    let mut budget = Budget::new();
    let entries = entries(source, content, &mut budget)?;
    let names: Vec<_> = entries.iter().map(Entry::name).collect();
    let entry = entries.get(select::choose(source, &names)?);
    match entry.and_then(|entry| Some((entry, entry.key?))) {
        Some((entry, key)) => material(source, entry, key, &mut budget),
        None => Err(source.not_found("has no private key")),
    }
}

/// Every key of the JKS or JCEKS store `content`.
pub(in crate::key) fn all(source: &KeySource, content: &[u8]) -> Result<Vec<Candidate>> {
    // One for all: a file with many keys is still one file.
    let mut budget = Budget::new();
    let entries = entries(source, content, &mut budget)?;
    let keys = entries.iter().filter_map(|entry| Some((entry, entry.key?)));
    let mut candidate =
        |entry: &Entry<'_>, key| (Some(entry.alias.clone()), material(source, entry, key, &mut budget));
    Ok(keys.map(|(entry, key)| candidate(entry, key)).collect())
}

/// What the store holds, once the password has shown that it may be told.
fn entries<'a>(source: &KeySource, content: &'a [u8], budget: &mut Budget) -> Result<Vec<Entry<'a>>> {
    weak_encryption::check(source, &format!("a scheme of Java's own ({}, SHA-1 alone)", name(content)))?;
    let (entries, signed, digest) = walked(source, content)?;
    verify(source, signed, digest)?;
    if source.password.is_none() {
        prove(source, &entries, budget)?;
    }
    Ok(entries)
}

fn material(source: &KeySource, entry: &Entry<'_>, key: &[u8], budget: &mut Budget) -> Result<Material> {
    Ok(Material {
        key: Key::Private(unprotect(source, entry, key, budget)?),
        certificates: entry.certificates.iter().map(|found| found.to_vec()).collect(),
        alias: Some(entry.alias.clone()),
        key_id: None,
    })
}

/// The trusted certificates of the JKS or JCEKS store `content`. Without a password, whether it is whole is not looked at, as Java
/// does it.
pub(in crate::key) fn trusted(source: &KeySource, content: &[u8]) -> Result<Vec<Vec<u8>>> {
    let (entries, signed, digest) = walked(source, content)?;
    if source.password.is_some() {
        verify(source, signed, digest)?;
    }
    let trusted = entries.iter().filter(|entry| entry.key.is_none());
    Ok(trusted.flat_map(|entry| &entry.certificates).map(|found| found.to_vec()).collect())
}

/// The entries, the bytes that the digest is over, and the digest.
fn walked<'a>(source: &KeySource, content: &'a [u8]) -> Result<(Vec<Entry<'a>>, &'a [u8], &'a [u8])> {
    let mut walk = Walk { source, format: name(content), left: content };
    let entries = walk.store()?;
    let digest = walk.take(SHA1_OUTPUT_LEN)?;
    let signed = content.len().saturating_sub(walk.left.len().saturating_add(digest.len()));
    Ok((entries, content.get(..signed).unwrap_or_default(), digest))
}

impl Entry<'_> {
    fn name(&self) -> (String, Kind) {
        (self.alias.clone(), self.kind)
    }
}

/// What is still to be read.
struct Walk<'s, 'a> {
    source: &'s KeySource,
    format: &'static str,
    left: &'a [u8],
}

impl<'a> Walk<'_, 'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(length).ok_or_else(|| {
            let format = self.format;
            self.source
                .broken(format!("is a {format} store that ends too early: it was cut short or damaged"))
        })?;
        self.left = left;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }

    fn block(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        self.take(length)
    }

    fn text(&mut self) -> Result<String> {
        let length = self.take(2)?.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte));
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn store(&mut self) -> Result<Vec<Entry<'a>>> {
        self.number()?;
        let version = self.number()?;
        if !matches!(version, 1 | 2) {
            let text = format!("is a {} store of version {version}; only 1 and 2 are known", self.format);
            return Err(self.source.broken(text));
        }
        let count = self.number()?;
        // Not with_capacity: the count is not to be believed before the entries are seen.
        (0..count).map(|_| self.entry(version)).collect()
    }

    fn entry(&mut self, version: u32) -> Result<Entry<'a>> {
        let tag = self.number()?;
        let alias = self.text()?;
        self.take(8)?; // when it was made
        match tag {
            1 => {
                let key = Some(self.block()?);
                let count = self.number()?;
                let certificates = (0..count).map(|_| self.certificate(version)).collect::<Result<_>>()?;
                Ok(Entry { alias, kind: Kind::Key, key, certificates })
            }
            2 => {
                let certificates = vec![self.certificate(version)?];
                Ok(Entry { alias, kind: Kind::Certificate, key: None, certificates })
            }
            3 if self.format == "JCEKS" => {
                self.left = java_serialization::skip(self.left).ok_or_else(|| {
                    let text = format!("has a secret key {} of a form that is not known", quoted(&alias));
                    self.source.broken(text)
                })?;
                Ok(Entry { alias, kind: Kind::Secret, key: None, certificates: Vec::new() })
            }
            _ => {
                let text =
                    format!("is a {} store with an entry of unknown kind: it was damaged", self.format);
                Err(self.source.broken(text))
            }
        }
    }

    fn certificate(&mut self, version: u32) -> Result<&'a [u8]> {
        if version == 2 {
            self.text()?;
        }
        self.block()
    }
}

/// Each UTF-16 unit as two bytes, big end first: what Java hashes of a password.
fn password_bytes(password: &str) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(password.len().saturating_mul(2)));
    for unit in password.encode_utf16() {
        bytes.extend_from_slice(&unit.to_be_bytes());
    }
    bytes
}

fn sha1(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    context.finish()
}

/// Without a store password, only the key's own is checked, as Java does when it loads a store with none.
fn verify(source: &KeySource, signed: &[u8], digest: &[u8]) -> Result<()> {
    let Some(password) = &source.password else {
        return match source.key_password {
            Some(_) => Ok(()),
            None => Err(source.no_password()),
        };
    };
    let found = sha1(&[&password_bytes(password.reveal()), WHITENER, signed]);
    verify_slices_are_equal(found.as_ref(), digest)
        .map_err(|_| source.wrong_password(source.words().password))
}

/// Without a store password, the one of a key must open one before anything is told of what the store holds.
fn prove(source: &KeySource, entries: &[Entry<'_>], budget: &mut Budget) -> Result<()> {
    let mut refusal = None;
    for (entry, key) in entries.iter().filter_map(|entry| Some((entry, entry.key?))) {
        match unprotect(source, entry, key, budget) {
            Ok(_) => return Ok(()),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(|| source.not_found("has no private key")))
}

/// The key in an EncryptedPrivateKeyInfo by Java's own algorithms, `KeyProtector` of either format.
fn unprotect(
    source: &KeySource,
    entry: &Entry<'_>,
    key: &[u8],
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>> {
    let secret = source.key_password.as_ref().or(source.password.as_ref());
    let password = secret.map(|secret| secret.reveal()).unwrap_or_default();
    unseal(key, password, source.strong, budget).map_err(|fault| match fault {
        Fault::Damaged => damaged(source, entry),
        Fault::Unsupported(number) => {
            source.broken(format!("protects its keys with {}", oid::refusal(&number)))
        }
        Fault::Weak(number) => weak_encryption::refused(source, &oid::name(&number)),
        Fault::Cost(text) => source.broken(text),
        Fault::Refused => wrong_key_password(source, entry),
    })
}

fn unseal(
    key: &[u8],
    password: &str,
    strong: bool,
    budget: &mut Budget,
) -> std::result::Result<Zeroizing<Vec<u8>>, Fault> {
    let mut fields = Element::sequence(key)?;
    let scheme = fields.need()?.inside(SEQUENCE)?;
    let sealed = fields.need()?.octets(OCTETS)?;
    let number = scheme.clone().need()?.oid()?;
    if number == oid::JKS_PROTECTION {
        return unmask(&sealed, password);
    }
    Scheme::read(scheme, strong)?.open(&sealed, &[&Password::new(password)], budget)
}

/// The key XORed with a chain of digests of password and salt, then a digest of password and key.
fn unmask(sealed: &[u8], password: &str) -> std::result::Result<Zeroizing<Vec<u8>>, Fault> {
    let (salt, rest) = sealed.split_at_checked(SHA1_OUTPUT_LEN).ok_or(Fault::Damaged)?;
    let length = rest.len().checked_sub(SHA1_OUTPUT_LEN).ok_or(Fault::Damaged)?;
    let (body, digest) = rest.split_at_checked(length).ok_or(Fault::Damaged)?;
    let password = password_bytes(password);
    let mut plain = Zeroizing::new(body.to_vec());
    let mut mask = sha1(&[&password, salt]);
    for chunk in plain.chunks_mut(SHA1_OUTPUT_LEN) {
        for (byte, mask) in chunk.iter_mut().zip(mask.as_ref()) {
            *byte ^= mask;
        }
        mask = sha1(&[&password, mask.as_ref()]);
    }
    let found = sha1(&[&password, &plain]);
    verify_slices_are_equal(found.as_ref(), digest).map_err(|_| Fault::Refused)?;
    Ok(plain)
}

fn damaged(source: &KeySource, entry: &Entry<'_>) -> Error {
    match source.password {
        Some(_) => source.broken(format!("has a damaged key {}", quoted(&entry.alias))),
        None => source.broken("has a damaged key"),
    }
}

fn wrong_key_password(source: &KeySource, entry: &Entry<'_>) -> Error {
    let option = source.words().key_password;
    if source.password.is_none() {
        return source.wrong_password(option);
    }
    source.wrong_key_password(&entry.alias)
}
