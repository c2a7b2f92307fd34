//! Keys that never leave their token: a hardware security module, a smart card, or a program that acts like one, by way of
//! the library that its maker gives, a PKCS#11 module.
//!
//! What a token does takes its time: no deadline and no cancelling ends a call of a module.

#[cfg(feature = "pkcs11")]
mod configured;
#[cfg(feature = "pkcs11")]
mod fault;
#[cfg(feature = "pkcs11")]
mod key;
#[cfg(feature = "pkcs11")]
mod login;
#[cfg(feature = "pkcs11")]
mod module;
#[cfg(feature = "pkcs11")]
mod object;
#[cfg(feature = "pkcs11")]
mod token;
mod uri;
#[cfg(feature = "pkcs11")]
mod way;

pub use uri::Uri;

use super::listing::Listed;
use super::{KeySource, SigningKey};
use crate::error::Result;

/// The key that `uri` means.
#[cfg(feature = "pkcs11")]
pub(super) fn open(source: &KeySource, uri: &Uri) -> Result<SigningKey> {
    let (token, session) = key::session(source, uri)?;
    let entry = object::choose(source, uri, &session)?;
    ready(source, uri, &token, session, &entry)
}

/// All private keys of the token that `uri` means, as far as it says which.
#[cfg(feature = "pkcs11")]
pub(super) fn list(source: &KeySource, uri: &Uri) -> Result<Vec<Listed>> {
    let (token, session) = key::session(source, uri)?;
    let entries = object::all(source, uri, &session)?;
    let listed = entries.into_iter().map(|entry| {
        let session = token.module.open_ro_session(token.slot);
        let session = session.map_err(|error| object::unanswered(source, &error));
        let key = session.and_then(|session| ready(source, uri, &token, session, &entry));
        Listed { alias: Some(entry.label), key }
    });
    Ok(listed.collect())
}

#[cfg(feature = "pkcs11")]
fn ready(
    source: &KeySource,
    uri: &Uri,
    token: &token::Token,
    session: cryptoki::session::Session,
    entry: &object::Entry,
) -> Result<SigningKey> {
    let certificates = object::certificates(&session);
    let key = key::TokenKey::new(source, uri, token, session, entry)?;
    Ok(SigningKey::elsewhere(source, Box::new(key), Some(entry.label.clone()), &certificates))
}

/// Forgets which PINs were refused.
#[cfg(feature = "pkcs11")]
pub(super) fn forget() {
    login::forget();
}

#[cfg(not(feature = "pkcs11"))]
fn not_built_in(source: &KeySource) -> crate::error::Error {
    let text = "is a key on a PKCS#11 token, and this library was built without the cargo feature pkcs11";
    source.error(crate::error::Status::Unsupported, source.option(), text)
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn open(source: &KeySource, _: &Uri) -> Result<SigningKey> {
    Err(not_built_in(source))
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn list(source: &KeySource, _: &Uri) -> Result<Vec<Listed>> {
    Err(not_built_in(source))
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn forget() {}
