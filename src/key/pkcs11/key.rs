//! Keys on a PKCS#11 token: sessions and signing.

use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki::error::{Error as CryptokiError, Result as CryptokiResult};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;

use super::object::{self, KeyObject, PublicKey};
use super::token::{self, Pkcs11Token};
use super::{error, login, mechanism};
use crate::base::error::{Error, Result};
use crate::key::asn1::{der, tag};
use crate::key::pkcs11_uri::Pkcs11Uri;
use crate::key::private_key;
use crate::key::private_key::external::ExternalKey;
use crate::key::source::KeySource;
use crate::sys::generation;

/// A logged-in session and the handle of the key in it, with the process that opened it.
struct SessionKey {
    session: Option<Session>,
    handle: ObjectHandle,
    generation: u64,
}

impl SessionKey {
    fn sign(
        &self,
        algorithm: Algorithm,
        mechanisms: &[MechanismType],
        message: &[u8],
    ) -> CryptokiResult<Vec<u8>> {
        let (Some(session), Some(signing)) =
            (&self.session, mechanism::select_mechanism(algorithm, mechanisms))
        else {
            return Err(CryptokiError::NotSupported);
        };
        session.sign(&signing.mechanism, self.handle, &signing.prepare_input(message))
    }

    fn is_current_process(&self) -> bool {
        self.generation == generation()
    }

    /// Drops the session without closing it: its handle may have been reassigned.
    fn forget_session(&mut self) {
        if let Some(session) = self.session.take() {
            std::mem::forget(session);
        }
    }
}

impl Drop for SessionKey {
    fn drop(&mut self) {
        if !self.is_current_process() {
            self.forget_session();
        }
    }
}

/// A key on a token. Signatures are serialized, because a session performs one operation at a time.
pub(super) struct Pkcs11Key {
    /// Contains the PIN, which is needed again when the token is reinserted.
    source: KeySource,
    uri: Pkcs11Uri,
    public_key: PublicKey,
    mechanisms: Vec<MechanismType>,
    algorithms: Vec<Algorithm>,
    session_key: Mutex<Option<SessionKey>>,
    is_detached: AtomicBool,
}

/// Finds the token and opens a logged-in session on it.
pub(super) fn open_session(source: &KeySource, uri: &Pkcs11Uri) -> Result<(Pkcs11Token, Session)> {
    let token = token::find(source, uri)?;
    let to_error = |error| object::token_error(source, &error);
    let session = token.module.open_ro_session(token.slot).map_err(to_error)?;
    login::login(source, &token, &session)?;
    Ok((token, session))
}

impl Pkcs11Key {
    /// Creates the key of `entry` on `token`. It has no session yet and opens one for its first signature.
    pub(super) fn new(
        source: &KeySource,
        uri: &Pkcs11Uri,
        token: &Pkcs11Token,
        session: &Session,
        entry: &KeyObject,
    ) -> Result<Self> {
        let public_key = object::read_public_key(source, session, entry)?;
        let mechanisms = token.module.get_mechanism_list(token.slot);
        let mechanisms = mechanisms.map_err(|error| object::token_error(source, &error))?;
        let mut algorithms = possible_algorithms(&public_key).to_vec();
        algorithms.retain(|algorithm| mechanism::select_mechanism(*algorithm, &mechanisms).is_some());
        if algorithms.is_empty() {
            return Err(
                source.unsuitable_error("cannot be used: its token has no mechanism for signing JWTs")
            );
        }
        Ok(Self {
            source: source.clone(),
            uri: uri.clone(),
            public_key,
            mechanisms,
            algorithms,
            session_key: Mutex::new(None),
            is_detached: AtomicBool::new(false),
        })
    }

    /// Sets the session in which `entry` was found as the session to sign in.
    pub(super) fn store_session(&mut self, session: Session, entry: &KeyObject) {
        let session_key =
            SessionKey { session: Some(session), handle: entry.handle, generation: generation() };
        *self.session_key.get_mut() = Some(session_key);
    }

    /// Signs in a new session, after the previous one was lost.
    fn reopen_and_sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<(SessionKey, Vec<u8>)> {
        let (_, session) = open_session(&self.source, &self.uri)?;
        let entry = object::select_key(&self.source, &self.uri, &session)?;
        if object::read_public_key(&self.source, &session, &entry)? != self.public_key {
            return Err(self.source.store_error("has changed on the token; retry"));
        }
        let session_key =
            SessionKey { session: Some(session), handle: entry.handle, generation: generation() };
        let signature = session_key
            .sign(algorithm, &self.mechanisms, message)
            .map_err(|error| self.signing_error(&error))?;
        Ok((session_key, signature))
    }

    fn signing_error(&self, error: &CryptokiError) -> Error {
        if error::is_session_lost(error) {
            let text = format!("is on a token that was removed or failed ({})", error::describe(error));
            return self.source.store_error(text);
        }
        self.source.store_error(format!("cannot sign: the token returned {}", error::describe(error)))
    }
}

/// Algorithms of the key type, the preferred one first.
fn possible_algorithms(public_key: &PublicKey) -> &'static [Algorithm] {
    match public_key {
        PublicKey::Rsa(..) => &private_key::RSA_ALGORITHMS,
        PublicKey::P256(_) => &[Algorithm::ES256],
        PublicKey::P384(_) => &[Algorithm::ES384],
        PublicKey::Ed25519(_) => &[Algorithm::EdDSA],
    }
}

impl ExternalKey for Pkcs11Key {
    fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        let mut slot = self.session_key.lock();
        // Taken out, so that a session that has failed is never used again.
        if let Some(mut session_key) = slot.take().filter(SessionKey::is_current_process) {
            match session_key.sign(algorithm, &self.mechanisms, message) {
                Err(error) if error::is_session_lost(&error) => {
                    if error::is_invalid_session(&error) {
                        session_key.forget_session();
                    }
                }
                outcome => {
                    *slot = Some(session_key);
                    return outcome.map_err(|error| self.signing_error(&error));
                }
            }
        }
        let outcome = self.reopen_and_sign(algorithm, message);
        self.is_detached.store(outcome.is_err(), Ordering::Release);
        let (session_key, signature) = outcome?;
        *slot = Some(session_key);
        Ok(signature)
    }

    fn description(&self) -> String {
        match &self.public_key {
            PublicKey::Rsa(_, bits) => format!("an RSA key of {bits} bits on a token"),
            PublicKey::P256(_) => "an EC key on P-256 on a token".to_owned(),
            PublicKey::P384(_) => "an EC key on P-384 on a token".to_owned(),
            PublicKey::Ed25519(_) => "an Ed25519 key on a token".to_owned(),
        }
    }

    fn type_and_size(&self) -> String {
        match &self.public_key {
            PublicKey::Rsa(_, bits) => format!("RSA {bits}"),
            PublicKey::P256(_) => "EC P-256".to_owned(),
            PublicKey::P384(_) => "EC P-384".to_owned(),
            PublicKey::Ed25519(_) => "Ed25519".to_owned(),
        }
    }

    fn public_key(&self) -> &[u8] {
        self.public_key.as_bytes()
    }

    fn subject_public_key_info(&self) -> Option<Vec<u8>> {
        let algorithm_identifier = |key_type: &[u8], parameters: &[u8]| {
            der::encode_sequence(&[&der::encode_element(tag::OID, &[key_type]), parameters])
        };
        let curve = |curve: &[u8]| {
            algorithm_identifier(private_key::EC.as_bytes(), &der::encode_element(tag::OID, &[curve]))
        };
        let algorithm = match &self.public_key {
            PublicKey::Rsa(..) => algorithm_identifier(private_key::RSA.as_bytes(), &[0x05, 0x00]),
            PublicKey::P256(_) => curve(private_key::P256.as_bytes()),
            PublicKey::P384(_) => curve(private_key::P384.as_bytes()),
            PublicKey::Ed25519(_) => algorithm_identifier(private_key::ED25519.as_bytes(), &[]),
        };
        let key = Some(self.public_key.as_bytes()).filter(|key| !key.is_empty())?;
        let bits = der::encode_element(tag::BIT_STRING, &[&[0], key]);
        Some(der::encode_sequence(&[&algorithm, &bits]).to_vec())
    }

    fn is_detached(&self) -> bool {
        self.is_detached.load(Ordering::Acquire)
    }
}
