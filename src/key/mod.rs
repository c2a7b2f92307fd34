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
mod oid;
mod password;
mod pbe;
mod pem;
mod pkcs12;
mod ring;
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

const JKS_MAGIC: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];
const JCEKS_MAGIC: [u8; 4] = [0xCE, 0xCE, 0xCE, 0xCE];

/// What a format's reader hands over: one private key, and what stood with it.
struct Material {
    /// PKCS#8, PKCS#1 or SEC1; the shape tells which.
    der: Zeroizing<Vec<u8>>,
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
    Some(der.map(|der| Material { der, certificates: Vec::new(), alias: None }))
}
