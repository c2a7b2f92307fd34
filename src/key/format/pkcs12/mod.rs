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
use crate::key::asn1::ber::{Element, Elements, OCTETS, SEQUENCE, TAGGED, TAGGED_OCTETS};
use crate::key::asn1::{der, oid};
use crate::key::crypto::kdf_budget::Budget;
use crate::key::crypto::password::Password;
use crate::key::crypto::pbe::{Fault, Scheme};
use crate::key::crypto::weak_encryption;
use crate::key::select::{self, Kind};
use crate::key::{Candidate, KeySource, Material};
use bags::{Bags, Key};

/// Version 3, as every PKCS#12 file begins inside its outermost SEQUENCE.
const VERSION: [u8; 3] = [0x02, 0x01, 0x03];

const DATA: ObjectIdentifier = oid::of("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid::of("1.2.840.113549.1.7.6");

/// Whether `content` begins as a PKCS#12 file does, in DER or with BER's indefinite length.
pub(in crate::key) fn is_pfx(content: &[u8]) -> bool {
    let inside = match der::extent(content) {
        Some((begin, _)) => content.get(begin..),
        None => content.strip_prefix(&[0x30, 0x80]),
    };
    inside.is_some_and(|inside| inside.starts_with(&VERSION))
}

/// The key that `source` asks for, out of the PKCS#12 store `content`.
pub(in crate::key) fn read(source: &KeySource, content: &[u8]) -> Result<Material> {
    opened(source, content, |opening, bags| {
        let place = select::choose(source, &entries(bags))?;
        let key = aliases(bags).into_iter().zip(&bags.keys).nth(place);
        match key {
            Some((alias, (_, key))) => opening.material(bags, key, alias),
            None => Err(source.not_found("has no private key")),
        }
    })
}

/// Every key of the PKCS#12 store `content`.
pub(in crate::key) fn all(source: &KeySource, content: &[u8]) -> Result<Vec<Candidate>> {
    opened(source, content, |opening, bags| {
        let keys = aliases(bags).into_iter().zip(&bags.keys);
        Ok(keys.map(|(alias, (_, key))| (Some(alias.clone()), opening.material(bags, key, alias))).collect())
    })
}

/// The trusted certificates of the PKCS#12 store `content`: those that are marked so, as keytool does it, or all where no
/// key stands beside them.
pub(in crate::key) fn trusted(source: &KeySource, content: &[u8]) -> Result<Vec<Vec<u8>>> {
    opened(source, content, |_, bags| {
        let trusted = bags.certificates.iter().filter(|bag| bag.trusted || bags.keys.is_empty());
        Ok(trusted.map(|bag| bag.der.to_vec()).collect())
    })
}

/// What `take` makes of the store's content.
fn opened<T>(
    source: &KeySource,
    content: &[u8],
    take: impl FnOnce(&mut Opening<'_>, &Bags<'_>) -> Result<T>,
) -> Result<T> {
    if let Some((_, end)) = der::extent(content).filter(|(_, end)| *end > content.len()) {
        let length = content.len();
        return Err(source.broken(format!("is a PKCS#12 store cut short: {length} of {end} bytes are there")));
    }
    let mut opening = Opening::new(source);
    let safes = opening.safes(content).map_err(|fault| opening.explain(fault))?;
    let mut bags = Bags::default();
    for safe in &safes {
        bags.add(safe).map_err(|fault| opening.explain(fault))?;
    }
    take(&mut opening, &bags)
}

/// One attempt to open a store.
struct Opening<'a> {
    source: &'a KeySource,
    budget: Budget,
    /// That of the MAC and the safes; empty if there is none, for an empty one and none are the same to most writers.
    store: Password,
    /// JWTCertKeyPassword.
    key: Option<Password>,
    /// Whether there is a MAC, and the password has passed it.
    has_mac: bool,
    is_encrypted: bool,
}

impl<'a> Opening<'a> {
    fn new(source: &'a KeySource) -> Self {
        let (store, _) = source.only_password();
        Self {
            source,
            budget: Budget::new(),
            store: Password::new(store.unwrap_or_default()),
            key: source.key_password.as_ref().map(Secret::reveal).map(Password::new),
            has_mac: false,
            is_encrypted: false,
        }
    }

    /// The SafeContents of the file, decrypted.
    fn safes(&mut self, content: &[u8]) -> std::result::Result<Vec<Zeroizing<Vec<u8>>>, Fault> {
        let (pfx, _) = Element::first(content)?;
        let mut fields = pfx.inside(SEQUENCE)?;
        fields.need()?;
        let authenticated = data(fields.need()?)?;
        if let Some(mac) = fields.next() {
            mac::verify(mac?, &authenticated, &self.store, &mut self.budget)?;
            self.has_mac = true;
        }
        Element::sequence(&authenticated)?.map(|safe| self.safe(safe?)).collect()
    }

    fn safe(&mut self, safe: Element<'_>) -> std::result::Result<Zeroizing<Vec<u8>>, Fault> {
        let mut fields = safe.inside(SEQUENCE)?;
        if fields.need()?.oid()? != ENCRYPTED_DATA {
            return Ok(Zeroizing::new(data(safe)?.into_owned()));
        }
        let mut encrypted = fields.need()?.inside(TAGGED)?.need()?.inside(SEQUENCE)?;
        encrypted.need()?;
        let mut info = encrypted.need()?.inside(SEQUENCE)?;
        info.need()?;
        let scheme = Scheme::read(info.need()?.inside(SEQUENCE)?, self.source.strong)?;
        let sealed = info.need()?.octets(TAGGED_OCTETS)?;
        self.is_encrypted = true;
        let passwords: Vec<_> = std::iter::once(&self.store).chain(&self.key).collect();
        scheme.open(&sealed, &passwords, &mut self.budget)
    }

    fn material(&mut self, bags: &Bags<'_>, key: &Key<'_>, alias: String) -> Result<Material> {
        let der = match key {
            Key::Open(der) => Zeroizing::new(der.to_vec()),
            Key::Sealed(scheme, sealed) => self.unseal(*scheme, sealed, &alias)?,
        };
        let certificates = bags.certificates.iter().map(|bag| bag.der.to_vec()).collect();
        Ok(Material { key: crate::key::Key::Private(der), certificates, alias: Some(alias), key_id: None })
    }

    fn unseal(&mut self, scheme: Elements<'_>, sealed: &[u8], alias: &str) -> Result<Zeroizing<Vec<u8>>> {
        self.is_encrypted = true;
        let passwords: Vec<_> = self.key.iter().chain([&self.store]).collect();
        let opened = Scheme::read(scheme, self.source.strong)
            .and_then(|scheme| scheme.open(sealed, &passwords, &mut self.budget));
        opened.map_err(|fault| match fault {
            // The MAC has shown that the store's own password is right.
            Fault::Refused if self.has_mac => self.source.wrong_key_password(alias),
            fault => self.explain(fault),
        })
    }

    fn explain(&self, fault: Fault) -> Error {
        match fault {
            Fault::Unsupported(number) => {
                self.source.broken(format!("is a PKCS#12 store that uses {}", oid::refusal(&number)))
            }
            Fault::Weak(number) => weak_encryption::refused(self.source, &oid::name(&number)),
            Fault::Cost(text) => self.source.broken(text),
            Fault::Refused if self.has_mac => {
                let option = self.source.words().key_password;
                let text = format!("is encrypted with another password than that of its MAC (set {option})");
                self.source.error(Status::KeyPassword, option, text)
            }
            // Without a MAC, altered content shows only in that what was decrypted makes no sense.
            Fault::Damaged if self.has_mac || !self.is_encrypted => {
                self.source.broken("is a PKCS#12 store that was damaged")
            }
            Fault::Damaged | Fault::Refused => match self.source.only_password() {
                (None, _) => self.source.no_password(),
                (Some(_), option) => self.source.wrong_password(option),
            },
        }
    }
}

/// What a ContentInfo holds that is neither encrypted nor signed.
fn data(info: Element<'_>) -> std::result::Result<Cow<'_, [u8]>, Fault> {
    let mut fields = info.inside(SEQUENCE)?;
    let kind = fields.need()?.oid()?;
    if kind != DATA {
        return Err(Fault::Unsupported(kind));
    }
    Ok(fields.need()?.inside(TAGGED)?.need()?.octets(OCTETS)?)
}

fn aliases(bags: &Bags<'_>) -> Vec<String> {
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
fn entries(bags: &Bags<'_>) -> Vec<(String, Kind)> {
    let named = |name: &Option<String>, kind| (name.clone().unwrap_or_else(|| "unnamed".to_owned()), kind);
    let keys = aliases(bags).into_iter().map(|alias| (alias, Kind::Key));
    let trusted = bags.certificates.iter().filter(|bag| bag.trusted || bags.keys.is_empty());
    let certificates = trusted.map(|bag| named(&bag.name, Kind::Certificate));
    keys.chain(certificates).chain(bags.secrets.iter().map(|name| named(name, Kind::Secret))).collect()
}
