//! PKCS#12 (RFC 7292): what keytool, OpenSSL, NSS, GnuTLS and Windows write as `.p12`, `.pfx` and, since Java 9, as
//! `.jks`.
//!
//! Read leniently, as OpenSSL does: BER, every scheme of the last decades, passwords in each way that they were ever
//! written. A file cut short is found before the password is tried. JWTCertPassword is that of the MAC and of the
//! safes, JWTCertKeyPassword that of the keys; OpenSSL's `-twopass` has the second for the safes too. Keys without a
//! name are called "1", "2" and so on, as keytool shows them.

mod bags;
mod mac;

use std::borrow::Cow;

use ::der::asn1::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;
use crate::key::asn1::ber::{
    BerElement, BerElements, CONTEXT_0, CONTEXT_0_PRIMITIVE, OCTET_STRING, SEQUENCE,
};
use crate::key::asn1::{der, oid};
use crate::key::crypto::kdf_budget::KdfBudget;
use crate::key::crypto::password::PasswordEncodings;
use crate::key::crypto::pbe::{DecryptError, EncryptionScheme};
use crate::key::crypto::weak_encryption;
use crate::key::select::{self, EntryKind};
use crate::key::{EntryResult, KeySource, ParsedKey};
use bags::{KeyBag, SafeBags};

/// Version 3, as every PKCS#12 file begins inside its outermost SEQUENCE.
const VERSION_3: [u8; 3] = [0x02, 0x01, 0x03];

const DATA: ObjectIdentifier = oid::parse("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid::parse("1.2.840.113549.1.7.6");

/// Whether `content` begins as a PKCS#12 file does, in DER or with BER's indefinite length.
pub(in crate::key) fn is_pfx(content: &[u8]) -> bool {
    let inside = match der::sequence_content_range(content) {
        Some((begin, _)) => content.get(begin..),
        None => content.strip_prefix(&[0x30, 0x80]),
    };
    inside.is_some_and(|inside| inside.starts_with(&VERSION_3))
}

/// The key that `source` asks for, out of the PKCS#12 store `content`.
pub(in crate::key) fn read_key(source: &KeySource, content: &[u8]) -> Result<ParsedKey> {
    open_with(source, content, |opening, bags| {
        let place = select::select_entry(source, &list_entries(bags))?;
        let key = key_aliases(bags).into_iter().zip(&bags.keys).nth(place);
        match key {
            Some((alias, (_, key))) => opening.open_key_bag(bags, key, alias),
            None => Err(source.not_found_error("has no private key")),
        }
    })
}

/// Every key of the PKCS#12 store `content`.
pub(in crate::key) fn read_all_keys(source: &KeySource, content: &[u8]) -> Result<Vec<EntryResult>> {
    open_with(source, content, |opening, bags| {
        let keys = key_aliases(bags).into_iter().zip(&bags.keys);
        Ok(keys
            .map(|(alias, (_, key))| (Some(alias.clone()), opening.open_key_bag(bags, key, alias)))
            .collect())
    })
}

/// The trusted certificates of the PKCS#12 store `content`: those that are marked so, as keytool does it, or all where no
/// key stands beside them.
pub(in crate::key) fn read_trusted_certificates(source: &KeySource, content: &[u8]) -> Result<Vec<Vec<u8>>> {
    open_with(source, content, |_, bags| {
        let trusted = bags.certificates.iter().filter(|bag| bag.trusted || bags.keys.is_empty());
        Ok(trusted.map(|bag| bag.der.to_vec()).collect())
    })
}

/// What `take` makes of the store's content.
fn open_with<T>(
    source: &KeySource,
    content: &[u8],
    take: impl FnOnce(&mut PfxDecryptor<'_>, &SafeBags<'_>) -> Result<T>,
) -> Result<T> {
    if let Some((_, end)) = der::sequence_content_range(content).filter(|(_, end)| *end > content.len()) {
        let length = content.len();
        return Err(
            source.store_error(format!("is a PKCS#12 store cut short: {length} of {end} bytes are there"))
        );
    }
    let mut opening = PfxDecryptor::new(source);
    let safes = opening.read_authenticated_safe(content).map_err(|fault| opening.to_error(fault))?;
    let mut bags = SafeBags::default();
    for safe in &safes {
        bags.add_safe_contents(safe).map_err(|fault| opening.to_error(fault))?;
    }
    take(&mut opening, &bags)
}

/// One attempt to open a store.
struct PfxDecryptor<'a> {
    source: &'a KeySource,
    budget: KdfBudget,
    /// That of the MAC and the safes; empty if there is none, for an empty one and none are the same to most writers.
    store_password: PasswordEncodings,
    /// JWTCertKeyPassword.
    key_password: Option<PasswordEncodings>,
    /// Whether there is a MAC, and the password has passed it.
    has_mac: bool,
    is_encrypted: bool,
}

impl<'a> PfxDecryptor<'a> {
    fn new(source: &'a KeySource) -> Self {
        let (store, _) = source.single_password();
        Self {
            source,
            budget: KdfBudget::new(),
            store_password: PasswordEncodings::new(store.unwrap_or_default()),
            key_password: source.key_password.as_ref().map(Secret::reveal).map(PasswordEncodings::new),
            has_mac: false,
            is_encrypted: false,
        }
    }

    /// The SafeContents of the file, decrypted.
    fn read_authenticated_safe(
        &mut self,
        content: &[u8],
    ) -> std::result::Result<Vec<Zeroizing<Vec<u8>>>, DecryptError> {
        let (pfx, _) = BerElement::parse_first(content)?;
        let mut fields = pfx.children(SEQUENCE)?;
        fields.next_required()?;
        let authenticated = read_data_content(fields.next_required()?)?;
        if let Some(mac) = fields.next() {
            mac::verify_mac(mac?, &authenticated, &self.store_password, &mut self.budget)?;
            self.has_mac = true;
        }
        BerElement::parse_sequence(&authenticated)?.map(|safe| self.decrypt_safe_contents(safe?)).collect()
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
        let sealed = info.next_required()?.octet_string(CONTEXT_0_PRIMITIVE)?;
        self.is_encrypted = true;
        let passwords: Vec<_> = std::iter::once(&self.store_password).chain(&self.key_password).collect();
        scheme.try_passwords(&sealed, &passwords, &mut self.budget)
    }

    fn open_key_bag(&mut self, bags: &SafeBags<'_>, key: &KeyBag<'_>, alias: String) -> Result<ParsedKey> {
        let der = match key {
            KeyBag::Plain(der) => Zeroizing::new(der.to_vec()),
            KeyBag::Shrouded(scheme, sealed) => self.decrypt_shrouded_key(*scheme, sealed, &alias)?,
        };
        let certificates = bags.certificates.iter().map(|bag| bag.der.to_vec()).collect();
        Ok(ParsedKey {
            key: crate::key::KeyBytes::Private(der),
            certificates,
            alias: Some(alias),
            key_id: None,
        })
    }

    fn decrypt_shrouded_key(
        &mut self,
        scheme: BerElements<'_>,
        sealed: &[u8],
        alias: &str,
    ) -> Result<Zeroizing<Vec<u8>>> {
        self.is_encrypted = true;
        let passwords: Vec<_> = self.key_password.iter().chain([&self.store_password]).collect();
        let opened = EncryptionScheme::parse(scheme, self.source.forbid_weak_encryption)
            .and_then(|scheme| scheme.try_passwords(sealed, &passwords, &mut self.budget));
        opened.map_err(|fault| match fault {
            // The MAC has shown that the store's own password is right.
            DecryptError::WrongPasswordOrAltered if self.has_mac => {
                self.source.wrong_key_password_error(alias)
            }
            fault => self.to_error(fault),
        })
    }

    fn to_error(&self, fault: DecryptError) -> Error {
        match fault {
            DecryptError::Unsupported(number) => self
                .source
                .store_error(format!("is a PKCS#12 store that uses {}", oid::unsupported_text(&number))),
            DecryptError::Weak(number) => {
                weak_encryption::forbidden_error(self.source, &oid::display_name(&number))
            }
            DecryptError::TooExpensive(text) => self.source.store_error(text),
            DecryptError::WrongPasswordOrAltered if self.has_mac => {
                let option = self.source.option_names().key_password;
                let text = format!("is encrypted with another password than that of its MAC (set {option})");
                self.source.error(Status::KeyPassword, option, text)
            }
            // Without a MAC, altered content shows only in that what was decrypted makes no sense.
            DecryptError::Damaged if self.has_mac || !self.is_encrypted => {
                self.source.store_error("is a PKCS#12 store that was damaged")
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

/// What a ContentInfo holds that is neither encrypted nor signed.
fn read_data_content(info: BerElement<'_>) -> std::result::Result<Cow<'_, [u8]>, DecryptError> {
    let mut fields = info.children(SEQUENCE)?;
    let kind = fields.next_required()?.oid()?;
    if kind != DATA {
        return Err(DecryptError::Unsupported(kind));
    }
    Ok(fields.next_required()?.children(CONTEXT_0)?.next_required()?.octet_string(OCTET_STRING)?)
}

fn key_aliases(bags: &SafeBags<'_>) -> Vec<String> {
    let mut unnamed = 0_u32;
    let mut name = |name: &Option<String>| {
        name.clone().unwrap_or_else(|| {
            unnamed = unnamed.saturating_add(1);
            unnamed.to_string()
        })
    };
    bags.keys.iter().map(|(alias, _)| name(alias)).collect()
}

/// Name and kind of what there is, the keys first. A certificate that belongs to a key is no entry of its own.
fn list_entries(bags: &SafeBags<'_>) -> Vec<(String, EntryKind)> {
    let named = |name: &Option<String>, kind| (name.clone().unwrap_or_else(|| "unnamed".to_owned()), kind);
    let keys = key_aliases(bags).into_iter().map(|alias| (alias, EntryKind::PrivateKey));
    let trusted = bags.certificates.iter().filter(|bag| bag.trusted || bags.keys.is_empty());
    let certificates = trusted.map(|bag| named(&bag.name, EntryKind::TrustedCertificate));
    keys.chain(certificates)
        .chain(bags.secrets.iter().map(|name| named(name, EntryKind::SecretKey)))
        .collect()
}
