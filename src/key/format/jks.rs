//! Java key stores, JKS and JCEKS: a sequence of entries, followed by a SHA-1 digest that is keyed with the
//! password.
//!
//! Follows OpenJDK's `sun.security.provider.JavaKeyStore` and `KeyProtector`, and their counterparts in
//! `com.sun.crypto.provider`. The whole file is parsed first, and each length is compared with the remaining
//! bytes, so that a truncated file is not reported as a wrong password. The formats differ in the protection
//! of keys, and only JCEKS may contain secret keys.

use aws_lc_rs::digest::{Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN};
use zeroize::Zeroizing;

use super::java_serialization;
use crate::base::error::{Error, Result};
use crate::base::secret::Secret;
use crate::key::asn1::ber::BerElement;
use crate::key::asn1::oid;
use crate::key::asn1::tag::{OCTET_STRING, SEQUENCE};
use crate::key::crypto::algorithm;
use crate::key::crypto::decrypt_error::DecryptError;
use crate::key::crypto::integrity;
use crate::key::crypto::kdf_budget::KdfBudget;
use crate::key::crypto::password::PasswordEncodings;
use crate::key::crypto::pbe::EncryptionScheme;
use crate::key::crypto::weak_encryption;
use crate::key::message::quote;
use crate::key::parsed_key::{KeyBytes, KeyEntry, ParsedKey};
use crate::key::select::{self, EntryKind, StoreEntry};
use crate::key::source::KeySource;

const WHITENER: &[u8] = b"Mighty Aphrodite";

const JKS_MAGIC: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];
const JCEKS_MAGIC: [u8; 4] = [0xCE, 0xCE, 0xCE, 0xCE];

struct JksEntry<'a> {
    alias: String,
    kind: EntryKind,
    /// The encrypted private key.
    protected_key: Option<&'a [u8]>,
    certificates: Vec<&'a [u8]>,
}

/// Whether `content` begins with the magic number of JKS or JCEKS.
pub(in crate::key) fn is_java_key_store(content: &[u8]) -> bool {
    content.starts_with(&JKS_MAGIC) || content.starts_with(&JCEKS_MAGIC)
}

/// Name of the format of the store `content`.
pub(in crate::key) fn format_name(content: &[u8]) -> &'static str {
    if content.starts_with(&JCEKS_MAGIC) { "JCEKS" } else { "JKS" }
}

/// Reads the key that `source` selects from the JKS or JCEKS store `content`.
pub(in crate::key) fn read_key(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
) -> Result<ParsedKey> {
    let entries = read_verified_entries(source, content, budget)?;
    let names: Vec<_> =
        entries.iter().map(|entry| StoreEntry::new(entry.alias.clone(), entry.kind)).collect();
    let entry = entries.get(select::select_entry(source, &names)?);
    match entry.and_then(|entry| Some((entry, entry.protected_key?))) {
        Some((entry, key)) => open_entry(source, entry, key, budget),
        None => Err(source.not_found_error("has no private key")),
    }
}

/// Reads all keys of the JKS or JCEKS store `content`.
pub(in crate::key) fn read_all_keys(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
) -> Result<Vec<KeyEntry>> {
    let entries = read_verified_entries(source, content, budget)?;
    let keys = entries.iter().filter_map(|entry| Some((entry, entry.protected_key?)));
    let mut open_key = |entry: &JksEntry<'_>, key| {
        KeyEntry::new(Some(entry.alias.clone()), open_entry(source, entry, key, budget))
    };
    Ok(keys.map(|(entry, key)| open_key(entry, key)).collect())
}

/// Parses the store and verifies the password, before anything about the entries is revealed.
fn read_verified_entries<'a>(
    source: &KeySource,
    content: &'a [u8],
    budget: &mut KdfBudget,
) -> Result<Vec<JksEntry<'a>>> {
    weak_encryption::check_allowed(
        source,
        &format!("Java's own scheme ({}, SHA-1 only)", format_name(content)),
    )?;
    let (entries, signed, digest) = parse_store(source, content)?;
    verify_store_digest(source, signed, digest)?;
    if source.password.is_none() {
        verify_key_password(source, &entries, budget)?;
    }
    Ok(entries)
}

fn open_entry(
    source: &KeySource,
    entry: &JksEntry<'_>,
    key: &[u8],
    budget: &mut KdfBudget,
) -> Result<ParsedKey> {
    Ok(ParsedKey {
        certificates: entry.certificates.iter().map(|found| found.to_vec()).collect(),
        alias: Some(entry.alias.clone()),
        ..ParsedKey::new(KeyBytes::Private(decrypt_entry(source, entry, key, budget)?))
    })
}

/// Reads the trusted certificates of the JKS or JCEKS store `content`. Without a password, the integrity of
/// the store is not verified, as in Java.
pub(in crate::key) fn read_trusted_certificates(
    source: &KeySource,
    content: &[u8],
    _: &mut KdfBudget,
) -> Result<Vec<Vec<u8>>> {
    let (entries, signed, digest) = parse_store(source, content)?;
    if source.password.is_some() {
        verify_store_digest(source, signed, digest)?;
    }
    let trusted = entries.iter().filter(|entry| entry.protected_key.is_none());
    Ok(trusted.flat_map(|entry| &entry.certificates).map(|found| found.to_vec()).collect())
}

/// Returns the entries, the bytes covered by the digest, and the digest.
fn parse_store<'a>(source: &KeySource, content: &'a [u8]) -> Result<(Vec<JksEntry<'a>>, &'a [u8], &'a [u8])> {
    let mut reader = JksReader { source, format: format_name(content), remaining: content };
    let entries = reader.read_store()?;
    let digest = reader.read_bytes(SHA1_OUTPUT_LEN)?;
    let signed = content.len().saturating_sub(reader.remaining.len().saturating_add(digest.len()));
    Ok((entries, content.get(..signed).unwrap_or_default(), digest))
}

/// Reader of the remaining bytes of a store.
struct JksReader<'s, 'a> {
    source: &'s KeySource,
    format: &'static str,
    remaining: &'a [u8],
}

impl<'a> JksReader<'_, 'a> {
    fn read_bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        let split = self.remaining.split_at_checked(length);
        let (bytes, remaining) = split.ok_or_else(|| self.truncated_error())?;
        self.remaining = remaining;
        Ok(bytes)
    }

    fn read_array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH]> {
        let split = self.remaining.split_first_chunk();
        let (bytes, remaining) = split.ok_or_else(|| self.truncated_error())?;
        self.remaining = remaining;
        Ok(*bytes)
    }

    fn truncated_error(&self) -> Error {
        self.source.store_error(format!("is a truncated or damaged {} store", self.format))
    }

    fn read_u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.read_array()?))
    }

    fn read_length_prefixed(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.read_u32()?).unwrap_or(usize::MAX);
        self.read_bytes(length)
    }

    fn read_utf(&mut self) -> Result<String> {
        let length = u16::from_be_bytes(self.read_array()?);
        Ok(String::from_utf8_lossy(self.read_bytes(length.into())?).into_owned())
    }

    fn read_store(&mut self) -> Result<Vec<JksEntry<'a>>> {
        self.read_u32()?;
        let version = self.read_u32()?;
        if !matches!(version, 1 | 2) {
            let text =
                format!("is a {} store of the unsupported version {version}; expected 1 or 2", self.format);
            return Err(self.source.store_error(text));
        }
        let count = self.read_u32()?;
        // Not with_capacity: the count cannot be trusted before the entries have been read.
        (0..count).map(|_| self.read_entry(version)).collect()
    }

    fn read_entry(&mut self, version: u32) -> Result<JksEntry<'a>> {
        let tag = self.read_u32()?;
        let alias = self.read_utf()?;
        self.read_bytes(8)?; // creation time
        match tag {
            1 => {
                let key = Some(self.read_length_prefixed()?);
                let count = self.read_u32()?;
                let certificates =
                    (0..count).map(|_| self.read_certificate(version)).collect::<Result<_>>()?;
                Ok(JksEntry { alias, kind: EntryKind::PrivateKey, protected_key: key, certificates })
            }
            2 => {
                let certificates = vec![self.read_certificate(version)?];
                Ok(JksEntry { alias, kind: EntryKind::TrustedCertificate, protected_key: None, certificates })
            }
            3 if self.format == "JCEKS" => {
                self.remaining = java_serialization::skip_object(self.remaining).ok_or_else(|| {
                    let text = format!("has a secret key {} in an unsupported encoding", quote(&alias));
                    self.source.store_error(text)
                })?;
                Ok(JksEntry {
                    alias,
                    kind: EntryKind::SecretKey,
                    protected_key: None,
                    certificates: Vec::new(),
                })
            }
            _ => {
                let text = format!("is a damaged {} store: an entry has an unknown type", self.format);
                Err(self.source.store_error(text))
            }
        }
    }

    fn read_certificate(&mut self, version: u32) -> Result<&'a [u8]> {
        if version == 2 {
            self.read_utf()?;
        }
        self.read_length_prefixed()
    }
}

/// The password in UTF-16, big-endian, as hashed by Java.
fn password_utf16_be(password: &str) -> Zeroizing<Vec<u8>> {
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

/// Verifies the store password, by default the empty one. With a key password alone, only that is checked
/// later, as in Java.
fn verify_store_digest(source: &KeySource, signed: &[u8], digest: &[u8]) -> Result<()> {
    if source.password.is_none() && source.key_password.is_some() {
        return Ok(());
    }
    let password = source.password.as_ref().map(Secret::reveal).unwrap_or_default();
    let found = sha1(&[&password_utf16_be(password), WHITENER, signed]);
    if integrity::is_intact(found.as_ref(), digest) {
        return Ok(());
    }
    Err(match source.password {
        Some(_) => source.wrong_password_error(source.option_names().password),
        None => source.no_password_error(),
    })
}

/// Without a store password, the key password must decrypt a key before anything about the entries is
/// revealed.
fn verify_key_password(source: &KeySource, entries: &[JksEntry<'_>], budget: &mut KdfBudget) -> Result<()> {
    let mut first_error = None;
    for (entry, key) in entries.iter().filter_map(|entry| Some((entry, entry.protected_key?))) {
        match decrypt_entry(source, entry, key, budget) {
            Ok(_) => return Ok(()),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| source.not_found_error("has no private key")))
}

/// Decrypts the key in an EncryptedPrivateKeyInfo by Java's own algorithms, `KeyProtector` of either format.
fn decrypt_entry(
    source: &KeySource,
    entry: &JksEntry<'_>,
    key: &[u8],
    budget: &mut KdfBudget,
) -> Result<Zeroizing<Vec<u8>>> {
    let secret = source.key_password.as_ref().or(source.password.as_ref());
    let password = secret.map(|secret| secret.reveal()).unwrap_or_default();
    decrypt_protected_key(key, password, source.forbid_weak_encryption, budget).map_err(|error| match error {
        DecryptError::Damaged => damaged_key_error(source, entry),
        DecryptError::Unsupported(oid) => {
            source.store_error(format!("protects its keys with {}", algorithm::unsupported_text(&oid)))
        }
        DecryptError::Weak(oid) => weak_encryption::forbidden_error(source, &algorithm::display_name(&oid)),
        DecryptError::TooExpensive(text) => source.store_error(text),
        DecryptError::WrongPasswordOrAltered => wrong_key_password_error(source, entry),
    })
}

fn decrypt_protected_key(
    key: &[u8],
    password: &str,
    forbid_weak: bool,
    budget: &mut KdfBudget,
) -> std::result::Result<Zeroizing<Vec<u8>>, DecryptError> {
    let mut fields = BerElement::parse_sequence(key)?;
    let scheme = fields.next_required()?.children(SEQUENCE)?;
    let encrypted = fields.next_required()?.octet_string(OCTET_STRING)?;
    let oid = scheme.clone().next_required()?.oid()?;
    if oid == oid::JKS_PROTECTION {
        return decrypt_jks_keystream(&encrypted, password);
    }
    EncryptionScheme::parse(scheme, forbid_weak)?.try_passwords(
        &encrypted,
        &[&PasswordEncodings::new(password)],
        budget,
    )
}

/// Decrypts JKS key protection: the key is XORed with chained digests of password and salt, and followed by a
/// digest of password and key.
fn decrypt_jks_keystream(
    encrypted: &[u8],
    password: &str,
) -> std::result::Result<Zeroizing<Vec<u8>>, DecryptError> {
    let (salt, rest) = encrypted.split_at_checked(SHA1_OUTPUT_LEN).ok_or(DecryptError::Damaged)?;
    let length = rest.len().checked_sub(SHA1_OUTPUT_LEN).ok_or(DecryptError::Damaged)?;
    let (body, digest) = rest.split_at_checked(length).ok_or(DecryptError::Damaged)?;
    let password = password_utf16_be(password);
    let mut plain = Zeroizing::new(body.to_vec());
    let mut mask = sha1(&[&password, salt]);
    for chunk in plain.chunks_mut(SHA1_OUTPUT_LEN) {
        for (byte, mask) in chunk.iter_mut().zip(mask.as_ref()) {
            *byte ^= mask;
        }
        mask = sha1(&[&password, mask.as_ref()]);
    }
    let found = sha1(&[&password, &plain]);
    if integrity::is_intact(found.as_ref(), digest) {
        Ok(plain)
    } else {
        Err(DecryptError::WrongPasswordOrAltered)
    }
}

fn damaged_key_error(source: &KeySource, entry: &JksEntry<'_>) -> Error {
    match source.password {
        Some(_) => source.store_error(format!("has a damaged key {}", quote(&entry.alias))),
        None => source.store_error("has a damaged key"),
    }
}

fn wrong_key_password_error(source: &KeySource, entry: &JksEntry<'_>) -> Error {
    let option = source.option_names().key_password;
    if source.password.is_none() {
        return source.wrong_password_error(option);
    }
    source.wrong_key_password_error(&entry.alias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Status;
    use crate::key::asn1::der::{encode_element, encode_integer, encode_sequence};
    use crate::key::asn1::tag::OID;
    use crate::key::fixtures::{KeyDir, STORE_PASSWORD};
    use crate::key::open;

    /// A store with the entry "a" of the type `tag`.
    fn write_store(magic: [u8; 4], password: &str, tag: u8, body: &[u8]) -> Vec<u8> {
        let entry = [&[0, 0, 0, tag, 0, 1, b'a'], &[0; 8][..], body].concat();
        let content = [&magic, &[0, 0, 0, 2, 0, 0, 0, 1][..], &entry].concat();
        let digest = sha1(&[&password_utf16_be(password), WHITENER, &content]);
        [&content, digest.as_ref()].concat()
    }

    /// A store with the private key "a", which is `key`.
    fn write_key_store(magic: [u8; 4], password: &str, key: &[u8]) -> Vec<u8> {
        let length = u32::try_from(key.len()).unwrap().to_be_bytes();
        write_store(magic, password, 1, &[&length, key, &[0; 4]].concat())
    }

    fn protected_key(oid: &str, parameters: &[u8], encrypted: &[u8]) -> Zeroizing<Vec<u8>> {
        let oid = encode_element(OID, &[oid::parse(oid).as_bytes()]);
        let encrypted = encode_element(OCTET_STRING, &[encrypted]);
        encode_sequence(&[&encode_sequence(&[&oid, parameters]), &encrypted])
    }

    fn open_error(source: &KeySource) -> String {
        let error = open(source).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyStore, Some("JWTCertStore")), "{error}");
        error.message()
    }

    #[test]
    fn entry_of_unknown_type_is_damage() {
        let dir = KeyDir::new();
        // Only JCEKS has secret keys, whose type is 3.
        for (magic, tag, fragment) in [
            (JKS_MAGIC, 3, "store.jks is a damaged JKS store: an entry has an unknown type"),
            (JCEKS_MAGIC, 4, "store.jks is a damaged JCEKS store: an entry has an unknown type"),
        ] {
            let store = write_store(magic, STORE_PASSWORD, tag, &[0; 8]);
            let message = open_error(&dir.source_with_content("store.jks", &store, Some(STORE_PASSWORD)));
            assert!(message.contains(fragment), "{message}");
        }
    }

    #[test]
    fn needless_key_password_error_says_so() {
        let dir = KeyDir::new();
        // Salt, and the digest of an empty password and an empty key.
        let encrypted = [&[7; SHA1_OUTPUT_LEN], sha1(&[]).as_ref()].concat();
        let key = protected_key("1.3.6.1.4.1.42.2.17.1.1", &[5, 0], &encrypted);
        let store = write_key_store(JKS_MAGIC, "", &key);
        let source = dir.source_with_content("store.jks", &store, None).with_key_password("another1");
        let error = open(&source).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyPassword, Some("JWTCertKeyPassword")));
        assert!(
            error.message().contains("opens without a password, but not with JWTCertKeyPassword"),
            "{error}"
        );
    }

    #[test]
    fn damaged_key_error_names_alias_with_password_only() {
        let dir = KeyDir::new();
        let short = protected_key("1.3.6.1.4.1.42.2.17.1.1", &[5, 0], &[0; 39]);
        for key in [&[4, 0][..], &[], &short] {
            let store = write_key_store(JKS_MAGIC, STORE_PASSWORD, key);
            let source = dir.source_with_content("store.jks", &store, Some(STORE_PASSWORD));
            assert!(open_error(&source).contains("store.jks has a damaged key \"a\""), "{key:?}");
            let source = dir.source("store.jks", None).with_key_password("another1");
            let message = open_error(&source);
            assert!(
                message.contains("store.jks has a damaged key") && !message.contains("\"a\""),
                "{message}"
            );
        }
    }

    #[test]
    fn unsupported_or_expensive_protection_is_not_a_password_error() {
        let dir = KeyDir::new();
        let parameters = |iterations: &[u8]| {
            encode_sequence(&[&encode_element(OCTET_STRING, &[&[1; 8]]), &encode_integer(iterations)])
        };
        for (oid, iterations, fragment) in [
            ("1.2.3", &[1][..], "protects its keys with 1.2.3, which is not supported"),
            ("1.3.6.1.4.1.42.2.19.1", &[0x1E, 0x84, 0x81], "requires 2000001 iterations"),
        ] {
            let key = protected_key(oid, &parameters(iterations), &[0; 8]);
            let store = write_key_store(JCEKS_MAGIC, STORE_PASSWORD, &key);
            let message = open_error(&dir.source_with_content("store.jceks", &store, Some(STORE_PASSWORD)));
            assert!(message.contains(fragment), "{message}");
        }
    }
}
