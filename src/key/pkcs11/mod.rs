//! Keys that never leave their token (a hardware security module, a smart card, or an emulation of one),
//! accessed through the PKCS#11 module of its vendor.
//!
//! A call of a module cannot be interrupted: neither a deadline nor cancellation ends it.

#[cfg(feature = "pkcs11")]
mod error;
#[cfg(feature = "pkcs11")]
mod key;
#[cfg(feature = "pkcs11")]
mod login;
#[cfg(feature = "pkcs11")]
mod mechanism;
#[cfg(feature = "pkcs11")]
mod module;
#[cfg(feature = "pkcs11")]
mod object;
#[cfg(feature = "pkcs11")]
mod p11_kit;
#[cfg(feature = "pkcs11")]
mod token;

use crate::base::error::Result;
use crate::key::pkcs11_uri::Pkcs11Uri;
use crate::key::signing::SigningKey;
use crate::key::source::KeySource;

/// Label of a key, and the key or the error that makes it unusable.
type LabeledKey = (String, Result<SigningKey>);

/// Opens the key that `uri` selects.
#[cfg(feature = "pkcs11")]
pub(super) fn open(source: &KeySource, uri: &Pkcs11Uri) -> Result<SigningKey> {
    let (token, session) = key::open_session(source, uri)?;
    let entry = object::select_key(source, uri, &session)?;
    let mut key = key::Pkcs11Key::new(source, uri, &token, &session, &entry)?;
    let certificates = object::read_certificates(&session);
    key.store_session(session, &entry);
    Ok(build_signing_key(source, key, entry.label, &certificates))
}

/// Lists all private keys that `uri` matches on its token.
#[cfg(feature = "pkcs11")]
pub(super) fn list(source: &KeySource, uri: &Pkcs11Uri) -> Result<Vec<LabeledKey>> {
    let (token, session) = key::open_session(source, uri)?;
    let certificates = object::read_certificates(&session);
    let listed = object::find_all_keys(source, uri, &session)?.into_iter().map(|entry| {
        let (label, key) = (entry.label.clone(), key::Pkcs11Key::new(source, uri, &token, &session, &entry));
        (label, key.map(|key| build_signing_key(source, key, entry.label, &certificates)))
    });
    Ok(listed.collect())
}

/// Builds the key with its label as alias and with those certificates of the token that belong to it.
#[cfg(feature = "pkcs11")]
fn build_signing_key(
    source: &KeySource,
    key: key::Pkcs11Key,
    label: String,
    certificates: &[Vec<u8>],
) -> SigningKey {
    let mut key = SigningKey::from_external(source, key).with_alias(label);
    let chain = crate::key::certificate::chain::build_for_public_key(key.public_key(), certificates);
    key.attach_chain(chain);
    key
}

/// Clears the rejected PINs.
#[cfg(feature = "pkcs11")]
pub(super) fn clear_rejected_pins() {
    login::clear_rejected_pins();
}

#[cfg(not(feature = "pkcs11"))]
fn not_built_in_error(source: &KeySource) -> crate::base::error::Error {
    let text = "is a key on a PKCS#11 token, but this library was built without the cargo feature pkcs11";
    source.error(crate::base::error::ErrorKind::Unsupported, source.option(), text)
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn open(source: &KeySource, _: &Pkcs11Uri) -> Result<SigningKey> {
    Err(not_built_in_error(source))
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn list(source: &KeySource, _: &Pkcs11Uri) -> Result<Vec<LabeledKey>> {
    Err(not_built_in_error(source))
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn clear_rejected_pins() {}

#[cfg(all(test, not(feature = "pkcs11")))]
mod tests {
    use super::super::KeyOrigin;
    use super::super::fixtures::KeyDir;
    use super::*;
    use crate::base::error::Status;

    #[test]
    fn missing_pkcs11_feature_is_named() {
        let uri = Pkcs11Uri::parse("pkcs11:token=a").unwrap();
        let source =
            KeySource { origin: KeyOrigin::Pkcs11(uri.clone()), ..KeyDir::new().source("none", None) };
        for error in [open(&source, &uri).unwrap_err(), list(&source, &uri).unwrap_err()] {
            assert_eq!(error.status(), Status::Unsupported);
            assert!(error.message().contains("JWTCertStore pkcs11:token=a "), "{error}");
            assert!(error.message().contains("cargo feature pkcs11"), "{error}");
        }
    }
}
