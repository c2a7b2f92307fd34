//! PKCS#12 stores (RFC 7292), as written by keytool, OpenSSL, NSS, GnuTLS and Windows with the extensions
//! `.p12`, `.pfx` and, since Java 9, `.jks`.
//!
//! As lenient as OpenSSL: accepts BER, every scheme of the last decades, and every known encoding of
//! passwords. A truncated file is detected before the password is tried. JWTCertPassword is the password of
//! the MAC and of the SafeContents, JWTCertKeyPassword that of the keys; with OpenSSL's `-twopass`, the
//! latter is that of the SafeContents, too. Keys without a name have the aliases "1", "2" and so on, as in
//! keytool.

mod bags;
mod mac;

use std::borrow::Cow;

use ::der::asn1::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::base::error::{Error, ErrorKind, KeyError, Result};
use crate::base::secret::Secret;
use crate::key::asn1::ber::{BerElement, BerElements};
use crate::key::asn1::tag::{CONTEXT_0, CONTEXT_0_PRIMITIVE, OCTET_STRING, SEQUENCE};
use crate::key::asn1::{der, oid};
use crate::key::crypto::algorithm;
use crate::key::crypto::decrypt_error::DecryptError;
use crate::key::crypto::kdf_budget::KdfBudget;
use crate::key::crypto::password::PasswordEncodings;
use crate::key::crypto::pbe::EncryptionScheme;
use crate::key::crypto::weak_encryption;
use crate::key::parsed_key::{KeyBytes, KeyEntry, ParsedKey};
use crate::key::select::{self, EntryKind, StoreEntry};
use crate::key::source::KeySource;
use bags::{BagNames, KeyBag, SafeBags};

/// Version 3, the beginning of every PKCS#12 file inside its outermost SEQUENCE.
const VERSION_3: [u8; 3] = [0x02, 0x01, 0x03];

const DATA: ObjectIdentifier = oid::parse("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid::parse("1.2.840.113549.1.7.6");

/// Whether `content` begins like a PKCS#12 file, in DER or with BER's indefinite length.
pub(in crate::key) fn is_pfx(content: &[u8]) -> bool {
    let sequence_content = match der::sequence_content_range(content) {
        Some((begin, _)) => content.get(begin..),
        None => content.strip_prefix(&[0x30, 0x80]),
    };
    sequence_content.is_some_and(|rest| rest.starts_with(&VERSION_3))
}

/// Reads the key that `source` selects from the PKCS#12 store `content`.
pub(in crate::key) fn read_key(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
) -> Result<ParsedKey> {
    open_with(source, content, budget, |decryptor, bags| {
        let entries = list_entries(bags);
        let index = select::select_entry(source, &entries)?;
        match entries.into_iter().zip(&bags.keys).nth(index) {
            Some((entry, (_, key))) => decryptor.open_key_bag(bags, key, entry.alias),
            None => Err(source.not_found_error("has no private key")),
        }
    })
}

/// Reads all keys of the PKCS#12 store `content`.
pub(in crate::key) fn read_all_keys(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
) -> Result<Vec<KeyEntry>> {
    open_with(source, content, budget, |decryptor, bags| {
        let keys = list_entries(bags).into_iter().zip(&bags.keys);
        let open_key = |(entry, (_, key)): (StoreEntry, &(_, KeyBag<'_>))| KeyEntry {
            key: decryptor.open_key_bag(bags, key, entry.alias.clone()),
            alias: Some(entry.alias),
            certificate_alias: entry.certificate_alias,
        };
        Ok(keys.map(open_key).collect())
    })
}

/// Reads the trusted certificates of the PKCS#12 store `content`: those that are marked as trusted, as
/// keytool does, or all if the store has no key.
pub(in crate::key) fn read_trusted_certificates(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
) -> Result<Vec<Vec<u8>>> {
    open_with(source, content, budget, |decryptor, bags| match decryptor.unreadable.clone() {
        Some(error) => Err(decryptor.to_error(error)),
        None => {
            let trusted = bags.certificates.iter().filter(|bag| bag.trusted || bags.keys.is_empty());
            Ok(trusted.map(|bag| bag.der.to_vec()).collect())
        }
    })
}

/// Opens the store and passes its content to `read`. If a part of the store without keys cannot be read, its
/// error is in `unreadable`.
fn open_with<T>(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
    read: impl FnOnce(&mut PfxDecryptor<'_>, &SafeBags<'_>) -> Result<T>,
) -> Result<T> {
    if let Some((_, end)) = der::sequence_content_range(content).filter(|(_, end)| *end > content.len()) {
        let length = content.len();
        return Err(source.store_error(format!("is a PKCS#12 store cut short: {length} of {end} bytes")));
    }
    let mut decryptor = PfxDecryptor::new(source, budget);
    let safes = decryptor.read_authenticated_safe(content).map_err(|error| decryptor.to_error(error))?;
    let mut bags = SafeBags::default();
    for safe in &safes {
        let added = bags.add_safe_contents(safe);
        decryptor.skip_unreadable(added).map_err(|error| decryptor.to_error(error))?;
    }
    let unreadable = decryptor.unreadable.clone().map(|error| decryptor.to_error(error));
    match unreadable {
        Some(error) if bags.keys.is_empty() => Err(error),
        // If the key does not open either, the password is wrong. Nothing else about the store is reported
        // before it is right.
        Some(error) if !decryptor.has_mac && *error.kind() == ErrorKind::Key(KeyError::Password) => {
            read(&mut decryptor, &bags).map_err(|_| error)
        }
        _ => read(&mut decryptor, &bags),
    }
}

/// State of opening a store.
struct PfxDecryptor<'a> {
    source: &'a KeySource,
    budget: &'a mut KdfBudget,
    /// Password of the MAC and the SafeContents; empty if unset, because most writers treat both alike.
    store_password: PasswordEncodings,
    /// JWTCertKeyPassword.
    key_password: Option<PasswordEncodings>,
    /// Whether the store has a MAC, which the password has passed.
    has_mac: bool,
    is_encrypted: bool,
    /// Error of the first part that cannot be read.
    unreadable: Option<DecryptError>,
}

impl<'a> PfxDecryptor<'a> {
    fn new(source: &'a KeySource, budget: &'a mut KdfBudget) -> Self {
        let (store, _) = source.single_password();
        Self {
            source,
            budget,
            store_password: PasswordEncodings::new(store.unwrap_or_default()),
            key_password: source.key_password.as_ref().map(Secret::reveal).map(PasswordEncodings::new),
            has_mac: false,
            is_encrypted: false,
            unreadable: None,
        }
    }

    /// Records the error of a part that cannot be read, unless it is a limit or forbidden by the policy.
    fn skip_unreadable<T>(
        &mut self,
        part: std::result::Result<T, DecryptError>,
    ) -> std::result::Result<Option<T>, DecryptError> {
        match part {
            Ok(part) => Ok(Some(part)),
            Err(error @ (DecryptError::Weak(_) | DecryptError::TooExpensive(_))) => Err(error),
            Err(error) => {
                self.unreadable.get_or_insert(error);
                Ok(None)
            }
        }
    }

    /// Returns the decrypted SafeContents of the file.
    fn read_authenticated_safe(
        &mut self,
        content: &[u8],
    ) -> std::result::Result<Vec<Zeroizing<Vec<u8>>>, DecryptError> {
        let (pfx, _) = BerElement::parse_first(content)?;
        let mut fields = pfx.children(SEQUENCE)?;
        fields.next_required()?;
        let authenticated = read_data_content(fields.next_required()?)?;
        if let Some(mac) = fields.next() {
            mac::verify_mac(mac?, &authenticated, &self.store_password, self.budget)?;
            self.has_mac = true;
        }
        let mut safes = Vec::new();
        for safe in BerElement::parse_sequence(&authenticated)? {
            let decrypted = self.decrypt_safe_contents(safe?);
            safes.extend(self.skip_unreadable(decrypted)?);
        }
        Ok(safes)
    }

    fn decrypt_safe_contents(
        &mut self,
        safe: BerElement<'_>,
    ) -> std::result::Result<Zeroizing<Vec<u8>>, DecryptError> {
        let mut fields = safe.children(SEQUENCE)?;
        if fields.next_required()?.oid()? != ENCRYPTED_DATA {
            return Ok(Zeroizing::new(read_data_content(safe)?.into_owned()));
        }
        let mut encrypted =
            fields.next_required()?.children(CONTEXT_0)?.next_required()?.children(SEQUENCE)?;
        encrypted.next_required()?;
        let mut info = encrypted.next_required()?.children(SEQUENCE)?;
        info.next_required()?;
        let scheme = EncryptionScheme::parse(
            info.next_required()?.children(SEQUENCE)?,
            self.source.forbid_weak_encryption,
        )?;
        let ciphertext = info.next_required()?.octet_string(CONTEXT_0_PRIMITIVE)?;
        self.is_encrypted = true;
        let passwords: Vec<_> = std::iter::once(&self.store_password).chain(&self.key_password).collect();
        scheme.try_passwords(&ciphertext, &passwords, self.budget)
    }

    fn open_key_bag(&mut self, bags: &SafeBags<'_>, key: &KeyBag<'_>, alias: String) -> Result<ParsedKey> {
        let der = match key {
            KeyBag::Plain(der) => Zeroizing::new(der.to_vec()),
            KeyBag::Shrouded(scheme, encrypted) => self.decrypt_shrouded_key(*scheme, encrypted, &alias)?,
        };
        Ok(ParsedKey {
            certificates: bags.certificates.iter().map(|bag| bag.der.to_vec()).collect(),
            alias: Some(alias),
            certificate_problem: self.unreadable.as_ref().map(describe_unreadable),
            ..ParsedKey::new(KeyBytes::Private(der))
        })
    }

    fn decrypt_shrouded_key(
        &mut self,
        scheme: BerElements<'_>,
        encrypted: &[u8],
        alias: &str,
    ) -> Result<Zeroizing<Vec<u8>>> {
        self.is_encrypted = true;
        let passwords: Vec<_> = self.key_password.iter().chain([&self.store_password]).collect();
        let decrypted = EncryptionScheme::parse(scheme, self.source.forbid_weak_encryption)
            .and_then(|scheme| scheme.try_passwords(encrypted, &passwords, self.budget));
        decrypted.map_err(|error| match error {
            // The MAC has confirmed the store password.
            DecryptError::WrongPasswordOrAltered if self.has_mac => {
                self.source.wrong_key_password_error(alias)
            }
            error => self.to_error(error),
        })
    }

    fn to_error(&self, error: DecryptError) -> Error {
        match error {
            DecryptError::Unsupported(oid) => self
                .source
                .store_error(format!("is a PKCS#12 store that uses {}", algorithm::unsupported_text(&oid))),
            DecryptError::Weak(oid) => {
                weak_encryption::forbidden_error(self.source, &algorithm::display_name(&oid))
            }
            DecryptError::TooExpensive(text) => self.source.store_error(text),
            DecryptError::WrongPasswordOrAltered if self.has_mac => {
                let option = self.source.option_names().key_password;
                let note = self.source.enclosure_note(option);
                let text =
                    format!("is encrypted with a different password than its MAC (set {option}){note}");
                self.source.error(KeyError::Password, option, text)
            }
            // Without a MAC, a modified store can only be detected by its decrypted content.
            DecryptError::Damaged if self.has_mac || !self.is_encrypted => {
                self.source.store_error("is a damaged PKCS#12 store")
            }
            DecryptError::Damaged | DecryptError::WrongPasswordOrAltered => {
                match self.source.single_password() {
                    (None, _) => self.source.no_password_error(),
                    (Some(_), option) => self.source.wrong_password_error(option),
                }
            }
        }
    }
}

/// Returns the content of a ContentInfo that is neither encrypted nor signed.
fn read_data_content(info: BerElement<'_>) -> std::result::Result<Cow<'_, [u8]>, DecryptError> {
    let mut fields = info.children(SEQUENCE)?;
    let kind = fields.next_required()?.oid()?;
    if kind != DATA {
        return Err(DecryptError::Unsupported(kind));
    }
    Ok(fields.next_required()?.children(CONTEXT_0)?.next_required()?.octet_string(OCTET_STRING)?)
}

/// Describes why certificates cannot be read, after the name of the store.
fn describe_unreadable(error: &DecryptError) -> String {
    match error {
        DecryptError::Unsupported(oid) => {
            format!("has certificates encrypted with {}", algorithm::unsupported_text(oid))
        }
        DecryptError::WrongPasswordOrAltered => {
            "has certificates that cannot be decrypted: their password differs from that of the key, or the \
             data is corrupt"
                .to_owned()
        }
        _ => "has damaged certificates".to_owned(),
    }
}

/// Lists the entries, keys first. A certificate that belongs to a key is not an entry.
fn list_entries(bags: &SafeBags<'_>) -> Vec<StoreEntry> {
    let entry = |name: &Option<String>, kind| {
        StoreEntry::new(name.clone().unwrap_or_else(|| "unnamed".to_owned()), kind)
    };
    let trusted = bags.certificates.iter().filter(|bag| bag.trusted || bags.keys.is_empty());
    let mut entries = key_entries(bags);
    entries.extend(trusted.map(|bag| entry(&bag.names.name, EntryKind::TrustedCertificate)));
    entries.extend(bags.secrets.iter().map(|name| entry(name, EntryKind::SecretKey)));
    entries
}

fn key_entries(bags: &SafeBags<'_>) -> Vec<StoreEntry> {
    let mut unnamed = 0_u32;
    let mut entry = |names: &BagNames<'_>| {
        let alias = names.name.clone().unwrap_or_else(|| {
            unnamed = unnamed.saturating_add(1);
            unnamed.to_string()
        });
        let certificate_alias = bags.certificate_name(names).map(str::to_owned);
        let differs = |other: &String| select::fold_alias(other) != select::fold_alias(&alias);
        StoreEntry {
            certificate_alias: certificate_alias.filter(differs),
            ..StoreEntry::new(alias, EntryKind::PrivateKey)
        }
    };
    bags.keys.iter().map(|(names, _)| entry(names)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Status;
    use crate::key::asn1::der::{encode_element, encode_integer, encode_sequence};
    use crate::key::asn1::tag::OID;
    use crate::key::fixtures::{STORE_PASSWORD, fixture_bytes};
    use crate::key::source::StorePurpose;

    const MAC_PASSWORD: &str = "of-the-mac";

    fn content_info(kind: &ObjectIdentifier, content: &[u8]) -> Zeroizing<Vec<u8>> {
        encode_sequence(&[&encode_element(OID, &[kind.as_bytes()]), &encode_element(CONTEXT_0, &[content])])
    }

    fn data(content: &[u8]) -> Zeroizing<Vec<u8>> {
        content_info(&DATA, &encode_element(OCTET_STRING, &[content]))
    }

    /// A part with one bag of the type `dotted`.
    fn bag_part(dotted: &str, value: &[u8]) -> Zeroizing<Vec<u8>> {
        data(&encode_sequence(&[&content_info(&oid::parse(dotted), value)]))
    }

    fn encrypted_part(algorithm: &[u8], encrypted: &[u8]) -> Zeroizing<Vec<u8>> {
        let type_of_content = encode_element(OID, &[DATA.as_bytes()]);
        let encrypted = encode_element(CONTEXT_0_PRIMITIVE, &[encrypted]);
        let info = encode_sequence(&[&type_of_content, algorithm, &encrypted]);
        content_info(&ENCRYPTED_DATA, &encode_sequence(&[&encode_integer(&[0]), &info]))
    }

    /// A part that is encrypted with the unknown algorithm 1.2.3.
    fn unreadable_part() -> Zeroizing<Vec<u8>> {
        let oid = encode_element(OID, &[oid::parse("1.2.3").as_bytes()]);
        encrypted_part(&encode_sequence(&[&oid, &encode_sequence(&[])]), &[0; 8])
    }

    /// A part that is encrypted with [`STORE_PASSWORD`], with a PrivateKeyInfo in place of its SafeContents.
    fn encrypted_damaged_part() -> Zeroizing<Vec<u8>> {
        let mut fields = BerElement::parse_sequence(fixture_bytes("rsa-encrypted.der")).unwrap();
        let (algorithm, encrypted) = (fields.next_required().unwrap(), fields.next_required().unwrap());
        encrypted_part(algorithm.raw, encrypted.body)
    }

    fn store(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        encode_sequence(&[&VERSION_3, &data(&encode_sequence(parts))])
    }

    /// A store with a MAC by [`MAC_PASSWORD`].
    fn store_with_mac(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        let safes = encode_sequence(parts);
        let mac = mac::tests::pkcs12_mac(&safes, MAC_PASSWORD);
        encode_sequence(&[&VERSION_3, &data(&safes), &mac])
    }

    /// A store with an unencrypted key and an unreadable part.
    fn store_with_unreadable_part() -> Zeroizing<Vec<u8>> {
        let key = bag_part("1.2.840.113549.1.12.10.1.1", fixture_bytes("ed25519.der"));
        store(&[&key, &unreadable_part()])
    }

    #[track_caller]
    fn assert_read_error(source: &KeySource, store: &[u8], status: Status, fragment: &str) {
        let error = read_key(source, store, &mut KdfBudget::new()).err().unwrap();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(fragment), "no {fragment:?} in {error}");
    }

    #[test]
    fn unreadable_part_is_an_error_for_certificates_only() {
        let store = store_with_unreadable_part();
        let source = KeySource { purpose: StorePurpose::TrustStore, ..KeySource::inline("") };
        let key = read_key(&source, &store, &mut KdfBudget::new()).unwrap();
        let problem = key.certificate_problem.unwrap();
        assert!(problem.starts_with("has certificates encrypted with 1.2.3"), "{problem}");
        let error = read_trusted_certificates(&source, &store, &mut KdfBudget::new()).unwrap_err();
        assert_eq!(error.status(), Status::KeyStore);
        assert!(error.message().contains("a PKCS#12 store that uses 1.2.3"), "{error}");
    }

    #[test]
    fn unreadable_part_is_an_error_if_no_key_is_found() {
        let (source, store) = (KeySource::inline(""), store(&[&unreadable_part()]));
        assert_read_error(&source, &store, Status::KeyStore, "a PKCS#12 store that uses 1.2.3");
        let error = read_all_keys(&source, &store, &mut KdfBudget::new()).err().unwrap();
        assert!(error.message().contains("a PKCS#12 store that uses 1.2.3"), "{error}");
    }

    #[test]
    fn unreadable_part_does_not_hide_alias_error() {
        let source = KeySource::inline("").with_alias("nobody");
        let fragment = "no key with alias \"nobody\"; available: \"1\"";
        assert_read_error(&source, &store_with_unreadable_part(), Status::KeyNotFound, fragment);
    }

    #[test]
    fn password_other_than_that_of_mac_is_requested() {
        let source = KeySource::inline("").with_password(MAC_PASSWORD);
        let key = bag_part("1.2.840.113549.1.12.10.1.2", fixture_bytes("rsa-encrypted.der"));
        let (key, part) = (store_with_mac(&[&key]), store_with_mac(&[&encrypted_damaged_part()]));
        for (source, store, fragment) in [
            (&source, &key, "the key \"1\", which has a separate password (set JWTCertKeyPassword)"),
            (&source, &part, "encrypted with a different password than its MAC (set JWTCertKeyPassword)"),
            (
                &source.clone().with_key_password("wrong-one"),
                &key,
                "the key \"1\", which cannot be decrypted: wrong JWTCertKeyPassword",
            ),
        ] {
            assert_read_error(source, store, Status::KeyPassword, fragment);
        }
        read_key(&source.with_key_password(STORE_PASSWORD), &key, &mut KdfBudget::new()).unwrap();
    }

    #[test]
    fn decrypted_damage_without_mac_is_a_password_error() {
        let source = KeySource::inline("").with_password(STORE_PASSWORD);
        let without_mac = store(&[&encrypted_damaged_part()]);
        assert_read_error(&source, &without_mac, Status::KeyPassword, "wrong JWTCertPassword");
        let with_mac = store_with_mac(&[&encrypted_damaged_part()]);
        let source = source.with_password(MAC_PASSWORD).with_key_password(STORE_PASSWORD);
        assert_read_error(&source, &with_mac, Status::KeyStore, "is a damaged PKCS#12 store");
        let unencrypted = store(&[&data(&[0x30, 2, 5, 0])]);
        assert_read_error(&source, &unencrypted, Status::KeyStore, "is a damaged PKCS#12 store");
    }
}
