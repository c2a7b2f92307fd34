//! Key material: opens a key file, an inline key, a shared secret, a PKCS#11 key or a signer callback as a
//! [`SigningKey`].
//!
//! The format is detected from the content, never from the file name: since Java 9, keytool writes PKCS#12
//! into files called `.jks`. The structure of a file is checked before its password, so that a truncated file
//! is not reported as a wrong password. Every error names the store as configured.

mod armor;
mod asn1;
mod cache;
mod callback_signer;
mod certificate;
mod content;
mod crypto;
mod file;
mod format;
mod lenient_base64;
mod list;
mod message;
mod metadata;
mod metadata_cache;
mod open;
mod parsed_key;
mod pkcs11;
mod pkcs11_uri;
mod private_key;
mod rotation;
mod select;
mod shared_secret;
mod signing;
mod source;
mod trusted_certificates;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

pub use crate::key::certificate::cert_header::CertHeader;
pub use crate::key::certificate::x509::CertificateInfo;
pub use cache::KeyCache;
pub use callback_signer::{CallbackSigner, SignFn};
#[cfg(fuzzing)]
pub use crypto::integrity::fuzzing::set_accept_corruption;
pub use list::{ListedKey, StoreContents, list};
pub use metadata::{BoxAppSettings, GoogleServiceAccount, KeyFileMetadata};
pub use open::open;
pub use pkcs11_uri::Pkcs11Uri;
pub use private_key::material::KeyMaterial;
pub use shared_secret::SharedSecret;
pub use signing::SigningKey;
pub use source::{KeyOrigin, KeySource, StorePurpose};
pub use trusted_certificates::{TrustedCertificates, read_trusted_certificates};
