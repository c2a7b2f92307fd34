//! Key material: a file and a password in, a key that signs out.
//!
//! The content decides the format, never the file's name: keytool has written PKCS#12 into files called `.jks`
//! since Java 9. Whether a file is whole is looked at before its password is blamed. Each error names the store as
//! the user typed it.

mod chain;
mod choice;
mod der;
mod file;
mod jks;
mod oid;
mod pem;
mod pkcs12;
mod ring;
mod signing;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

pub use ring::KeyRing;
pub use signing::{KeySigner, SigningKey};

use crate::error::{Error, Result, Status};
use crate::secret::Secret;

const JKS_MAGIC: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];
const JCEKS_MAGIC: [u8; 4] = [0xCE, 0xCE, 0xCE, 0xCE];

/// What the options say about the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySource {
    /// JWTCertStore as typed.
    pub store: String,
    /// JWTCertPassword.
    pub password: Option<Secret>,
    /// JWTCertKeyPassword.
    pub key_password: Option<Secret>,
    /// JWTCertAlias.
    pub alias: Option<String>,
}

/// What a format's reader hands over: one private key, and what stood with it.
struct Material {
    /// PKCS#8, PKCS#1 or SEC1; the shape tells which.
    der: Zeroizing<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
    alias: Option<String>,
}

/// Reads the store, finds the key in it and makes it ready to sign.
pub fn open(source: &KeySource) -> Result<SigningKey> {
    open_with_stamp(source).map(|(key, _)| key)
}

/// The key, and by what to tell that its file has changed since.
fn open_with_stamp(source: &KeySource) -> Result<(SigningKey, file::Stamp)> {
    let (content, stamp) = file::read(source)?;
    let material = read(source, &content)?;
    Ok((SigningKey::new(source, material)?, stamp))
}

fn read(source: &KeySource, content: &[u8]) -> Result<Material> {
    if content.starts_with(&JKS_MAGIC) {
        return jks::read(source, content);
    }
    if content.starts_with(&JCEKS_MAGIC) {
        return Err(source.broken(
            "is a JCEKS store, and JCEKS is not supported; convert a copy with keytool -importkeystore \
             -srcstoretype JCEKS -deststoretype PKCS12",
        ));
    }
    if pkcs12::is_pfx(content) {
        return pkcs12::read(source, content);
    }
    if pem::is_pem(content) {
        return pem::read(source, content);
    }
    Err(source.broken("is neither a JKS nor a PKCS#12 store nor PEM text, or its beginning was damaged"))
}

impl KeySource {
    /// The alias to look for; an empty one is none.
    fn alias(&self) -> Option<&str> {
        self.alias.as_deref().filter(|alias| !alias.is_empty())
    }

    /// The one password of formats that have only one, and the option that it came from.
    fn only_password(&self) -> (Option<&str>, &'static str) {
        match (&self.password, &self.key_password) {
            (None, Some(key)) => (Some(key.reveal()), "JWTCertKeyPassword"),
            (store, _) => (store.as_ref().map(Secret::reveal), "JWTCertPassword"),
        }
    }

    fn error(&self, status: Status, option: &str, text: impl AsRef<str>) -> Error {
        let text = format!("JWTCertStore {} {}", self.store, text.as_ref());
        Error::new(status, "key store", text).with_option(option)
    }

    /// The file itself is at fault.
    fn broken(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyStore, "JWTCertStore", text)
    }

    fn wrong_password(&self, option: &str) -> Error {
        let text = format!("does not open with this {option}, or was altered");
        self.error(Status::KeyPassword, option, text)
    }

    fn no_password(&self) -> Error {
        let text = "is encrypted, and no password was given (set JWTCertPassword)";
        self.error(Status::KeyPassword, "JWTCertPassword", text)
    }

    fn not_found(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyNotFound, "JWTCertAlias", text)
    }

    fn unsuitable(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyUnsuitable, "JWTCertStore", text)
    }
}
