//! Key material: a file, a text or a shared secret in, a key that signs out.
//!
//! The content decides the format, never the file's name: keytool has written PKCS#12 into files called `.jks`
//! since Java 9. Whether a file is whole is looked at before its password is blamed. Each error names the store as
//! the user typed it.

mod ber;
mod certificate;
mod chain;
mod choice;
mod cipher;
mod cost;
mod der;
mod file;
mod hash;
mod jks;
mod json;
mod jwk;
mod oid;
mod old_pem;
mod password;
mod pbe;
mod pem;
mod pkcs12;
mod pss;
mod ring;
mod serialized;
mod shared;
mod signing;
mod source;
mod text;
mod thumbprint;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_tests;

use zeroize::Zeroizing;

use file::Named;

pub use ring::KeyRing;
pub use signing::{KeySigner, SigningKey};
pub use source::{KeyOrigin, KeySource};
pub use thumbprint::Thumbprint;

use crate::error::Result;
use crate::file::Stamp;

enum Key {
    /// PKCS#8, PKCS#1 or SEC1; the shape tells which.
    Private(Zeroizing<Vec<u8>>),
    /// What both sides know.
    Shared(Zeroizing<Vec<u8>>),
}

/// What a format's reader hands over: one private key, and what stood with it.
struct Material {
    key: Key,
    certificates: Vec<Vec<u8>>,
    alias: Option<String>,
}

/// Reads the key from where it is and makes it ready to sign.
pub fn open(source: &KeySource) -> Result<SigningKey> {
    open_with_stamps(source).map(|(key, _)| key)
}

/// The key, and by what to tell that one of its files has changed since.
fn open_with_stamps(source: &KeySource) -> Result<(SigningKey, Vec<Stamp>)> {
    let (material, mut stamps) = match &source.origin {
        KeyOrigin::Store(file) => {
            let (content, stamp) = file::read(&Named { option: source.option(), file })?;
            (read(source, &content)?, vec![stamp])
        }
        KeyOrigin::Text(written) => (read(source, &text::content(source, written.reveal())?)?, Vec::new()),
        KeyOrigin::Shared(written) => {
            return Ok((SigningKey::shared(source, written.reveal())?, Vec::new()));
        }
    };
    let mut key = SigningKey::new(source, material)?;
    if let Some((chain, stamp)) = certificate::read(source, key.public_key())? {
        key.offer(chain);
        stamps.push(stamp);
    }
    Ok((key, stamps))
}

fn read(source: &KeySource, content: &[u8]) -> Result<Material> {
    if jks::is_store(content) {
        return jks::read(source, content);
    }
    if pkcs12::is_pfx(content) {
        return pkcs12::read(source, content);
    }
    // Before PEM, which stands in JSON too.
    if json::is_json(content) {
        return json::read(source, content);
    }
    if pem::is_pem(content) {
        return pem::read(source, content);
    }
    bare(source, content).unwrap_or_else(|| Err(source.broken(source.unknown())))
}

/// DER without anything around it: a key, or one that is encrypted.
fn bare(source: &KeySource, content: &[u8]) -> Option<Result<Material>> {
    let der = if signing::is_key(content) {
        Ok(Zeroizing::new(content.to_vec()))
    } else if pem::is_encrypted_key(content) {
        pem::decrypt(source, content)
    } else {
        return None;
    };
    Some(der.map(|der| Material { key: Key::Private(der), certificates: Vec::new(), alias: None }))
}
