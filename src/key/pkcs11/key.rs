//! A key that stays on its token: its session, and how it signs.

use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki::error::{Error as Fault, Result as Outcome};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;

use super::super::{KeySource, private_key};
use super::object::{self, KeyObject, PublicKey};
use super::token::{self, Pkcs11Token};
use super::uri::Pkcs11Uri;
use super::{error, login, mechanism};
use crate::base::error::{Error, Result};
use crate::key::asn1::der;
use crate::key::signing::external::ExternalKey;
use crate::sys::generation;

/// A session that is logged in, of this process.
struct SessionKey {
    session: Option<Session>,
    handle: ObjectHandle,
    generation: u64,
}

impl SessionKey {
    fn sign(&self, algorithm: Algorithm, mechanisms: &[MechanismType], message: &[u8]) -> Outcome<Vec<u8>> {
        let (Some(session), Some(way)) = (&self.session, mechanism::select_mechanism(algorithm, mechanisms))
        else {
            return Err(Fault::NotSupported);
        };
        session.sign(&way.mechanism, self.handle, &way.prepare_input(message))
    }

    fn is_current_process(&self) -> bool {
        self.generation == generation()
    }

    /// Leaves the session as it is: its number may be another's by now.
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

/// A key on a token. Signatures are made one after the other: a session does one thing at a time.
pub(super) struct Pkcs11Key {
    /// With the PIN: a token that comes back wants it again.
    source: KeySource,
    uri: Pkcs11Uri,
    public_key: PublicKey,
    mechanisms: Vec<MechanismType>,
    algorithms: Vec<Algorithm>,
    session_key: Mutex<Option<SessionKey>>,
    is_detached: AtomicBool,
}

/// A token with a session on it that is logged in.
pub(super) fn open_session(source: &KeySource, uri: &Pkcs11Uri) -> Result<(Pkcs11Token, Session)> {
    let token = token::find(source, uri)?;
    let told = |error| object::token_error(source, &error);
    let session = token.module.open_ro_session(token.slot).map_err(told)?;
    login::login(source, &token, &session)?;
    Ok((token, session))
}

impl Pkcs11Key {
    /// The key of `entry` on `token`. It keeps no session: it opens one when it is to sign.
    pub(super) fn new(
        source: &KeySource,
        uri: &Pkcs11Uri,
        token: &Pkcs11Token,
        session: &Session,
        entry: &KeyObject,
    ) -> Result<Self> {
        let public = object::read_public_key(source, session, entry)?;
        let mechanisms = token.module.get_mechanism_list(token.slot);
        let mechanisms = mechanisms.map_err(|error| object::token_error(source, &error))?;
        let mut algorithms = possible_algorithms(&public).to_vec();
        algorithms.retain(|algorithm| mechanism::select_mechanism(*algorithm, &mechanisms).is_some());
        if algorithms.is_empty() {
            return Err(source.unsuitable_error("is a key that its token has no mechanism to sign JWTs with"));
        }
        Ok(Self {
            source: source.clone(),
            uri: uri.clone(),
            public_key: public,
            mechanisms,
            algorithms,
            session_key: Mutex::new(None),
            is_detached: AtomicBool::new(false),
        })
    }

    /// Gives it the session in which `entry` was found, to sign in.
    pub(super) fn store_session(&mut self, session: Session, entry: &KeyObject) {
        let opened = SessionKey { session: Some(session), handle: entry.handle, generation: generation() };
        *self.session_key.get_mut() = Some(opened);
    }

    /// Signs in another session than the one that was lost.
    fn reopen_and_sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<(SessionKey, Vec<u8>)> {
        let (_, session) = open_session(&self.source, &self.uri)?;
        let entry = object::select_key(&self.source, &self.uri, &session)?;
        if object::read_public_key(&self.source, &session, &entry)? != self.public_key {
            return Err(self.source.store_error("is another key than it was; the next call uses that one"));
        }
        let opened = SessionKey { session: Some(session), handle: entry.handle, generation: generation() };
        let signature =
            opened.sign(algorithm, &self.mechanisms, message).map_err(|error| self.signing_error(&error))?;
        Ok((opened, signature))
    }

    fn signing_error(&self, error: &Fault) -> Error {
        if error::is_session_lost(error) {
            let text = format!("is on a token that was taken out or failed ({})", error::describe(error));
            return self.source.store_error(text);
        }
        self.source.store_error(format!("did not sign: its token answered {}", error::describe(error)))
    }
}

/// What a key of that kind signs by, its own algorithm first.
fn possible_algorithms(public: &PublicKey) -> &'static [Algorithm] {
    match public {
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
        let mut place = self.session_key.lock();
        // Taken out: whatever goes wrong below, nobody uses a session again that has failed.
        if let Some(mut opened) = place.take().filter(SessionKey::is_current_process) {
            match opened.sign(algorithm, &self.mechanisms, message) {
                Err(error) if error::is_session_lost(&error) => {
                    if error::is_invalid_session(&error) {
                        opened.forget_session();
                    }
                }
                outcome => {
                    *place = Some(opened);
                    return outcome.map_err(|error| self.signing_error(&error));
                }
            }
        }
        let outcome = self.reopen_and_sign(algorithm, message);
        self.is_detached.store(outcome.is_err(), Ordering::Release);
        let (opened, signature) = outcome?;
        *place = Some(opened);
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
        let named = |kind: &[u8], parameters: &[u8]| {
            der::encode_element(0x30, &[&der::encode_element(0x06, &[kind]), parameters])
        };
        let curve = |curve: &[u8]| named(private_key::EC.as_bytes(), &der::encode_element(0x06, &[curve]));
        let algorithm = match &self.public_key {
            PublicKey::Rsa(..) => named(private_key::RSA.as_bytes(), &[0x05, 0x00]),
            PublicKey::P256(_) => curve(private_key::P256.as_bytes()),
            PublicKey::P384(_) => curve(private_key::P384.as_bytes()),
            PublicKey::Ed25519(_) => named(private_key::ED25519.as_bytes(), &[]),
        };
        let key = Some(self.public_key.as_bytes()).filter(|key| !key.is_empty())?;
        let bits = der::encode_element(0x03, &[&[0], key]);
        Some(der::encode_element(0x30, &[&algorithm, &bits]).to_vec())
    }

    fn is_detached(&self) -> bool {
        self.is_detached.load(Ordering::Acquire)
    }
}
