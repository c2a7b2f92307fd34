//! Java's own key store, JKS: entries one after the other, and a SHA-1 digest keyed with the password at the end.
//!
//! Follows `sun.security.provider.JavaKeyStore` and `KeyProtector` of OpenJDK. The whole file is walked first, each
//! length against what is left, so that a file cut short is not taken for a wrong password.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN};
use zeroize::Zeroizing;

use super::choice::{self, Kind, quoted};
use super::{KeySource, Material, der, oid};
use crate::error::{Error, Result};

const WHITENER: &[u8] = b"Mighty Aphrodite";

struct Entry<'a> {
    alias: String,
    /// The protected key; nothing in the entry of a trusted certificate.
    key: Option<&'a [u8]>,
    certificates: Vec<&'a [u8]>,
}

/// The key that `source` asks for, out of the JKS store `content`.
pub(super) fn read(source: &KeySource, content: &[u8]) -> Result<Material> {
    let mut walk = Walk { source, left: content };
    let entries = walk.store()?;
    let digest = walk.take(SHA1_OUTPUT_LEN)?;
    let signed = content.len().saturating_sub(walk.left.len().saturating_add(digest.len()));
    verify(source, content.get(..signed).unwrap_or_default(), digest)?;
    if source.password.is_none() {
        prove(source, &entries)?;
    }
    let names: Vec<_> = entries.iter().map(Entry::name).collect();
    let entry = entries.get(choice::choose(source, &names)?);
    match entry.and_then(|entry| Some((entry, entry.key?))) {
        Some((entry, key)) => Ok(Material {
            der: unprotect(source, entry, key)?,
            certificates: entry.certificates.iter().map(|found| found.to_vec()).collect(),
            alias: Some(entry.alias.clone()),
        }),
        None => Err(source.not_found("has no private key")),
    }
}

impl Entry<'_> {
    fn name(&self) -> (String, Kind) {
        let kind = if self.key.is_some() { Kind::Key } else { Kind::Certificate };
        (self.alias.clone(), kind)
    }
}

/// What is still to be read.
struct Walk<'a> {
    source: &'a KeySource,
    left: &'a [u8],
}

impl<'a> Walk<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(length).ok_or_else(|| {
            self.source.broken("is a JKS store that ends too early: it was cut short or damaged")
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
            let text = format!("is a JKS store of version {version}; only 1 and 2 are known");
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
                Ok(Entry { alias, key, certificates })
            }
            2 => {
                let certificates = vec![self.certificate(version)?];
                Ok(Entry { alias, key: None, certificates })
            }
            _ => Err(self.source.broken("is a JKS store with an entry of unknown kind: it was damaged")),
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
    verify_slices_are_equal(found.as_ref(), digest).map_err(|_| source.wrong_password("JWTCertPassword"))
}

/// Without a store password, the one of a key must open one before anything is told of what the store holds.
fn prove(source: &KeySource, entries: &[Entry<'_>]) -> Result<()> {
    let mut refusal = None;
    for (entry, key) in entries.iter().filter_map(|entry| Some((entry, entry.key?))) {
        match unprotect(source, entry, key) {
            Ok(_) => return Ok(()),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(|| source.not_found("has no private key")))
}

/// `KeyProtector`: the key XORed with a chain of digests of password and salt, then a digest of password and key.
fn unprotect(source: &KeySource, entry: &Entry<'_>, key: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let sealed = sealed(source, entry, key)?;
    let damaged = || damaged(source, entry);
    let (salt, rest) = sealed.split_at_checked(SHA1_OUTPUT_LEN).ok_or_else(damaged)?;
    let length = rest.len().checked_sub(SHA1_OUTPUT_LEN).ok_or_else(damaged)?;
    let (body, digest) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let secret = source.key_password.as_ref().or(source.password.as_ref());
    let password = password_bytes(secret.map(|secret| secret.reveal()).unwrap_or_default());
    let mut plain = Zeroizing::new(body.to_vec());
    let mut mask = sha1(&[&password, salt]);
    for chunk in plain.chunks_mut(SHA1_OUTPUT_LEN) {
        for (byte, mask) in chunk.iter_mut().zip(mask.as_ref()) {
            *byte ^= mask;
        }
        mask = sha1(&[&password, mask.as_ref()]);
    }
    let found = sha1(&[&password, &plain]);
    verify_slices_are_equal(found.as_ref(), digest).map_err(|_| wrong_key_password(source, entry))?;
    Ok(plain)
}

fn sealed<'a>(source: &KeySource, entry: &Entry<'_>, key: &'a [u8]) -> Result<&'a [u8]> {
    let damaged = || damaged(source, entry);
    let outer = der::sequence(key).ok_or_else(damaged)?;
    let (algorithm, sealed) = match outer.as_slice() {
        [algorithm, sealed] => (der::inside(algorithm).ok_or_else(damaged)?, sealed.value()),
        _ => return Err(damaged()),
    };
    let algorithm = algorithm.first().and_then(der::oid).ok_or_else(damaged)?;
    if algorithm != oid::JKS_PROTECTION {
        return Err(source.broken(format!("protects its keys with {}", oid::refusal(&algorithm))));
    }
    Ok(sealed)
}

fn damaged(source: &KeySource, entry: &Entry<'_>) -> Error {
    match source.password {
        Some(_) => source.broken(format!("has a damaged key {}", quoted(&entry.alias))),
        None => source.broken("has a damaged key"),
    }
}

fn wrong_key_password(source: &KeySource, entry: &Entry<'_>) -> Error {
    if source.password.is_none() {
        return source.wrong_password("JWTCertKeyPassword");
    }
    source.wrong_key_password(&entry.alias)
}
