//! A key that stays on its token: its session, and how it signs.

use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki::error::{Error as Fault, Result as Outcome};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;

use super::super::{KeySource, private_key};
use super::object::{self, Entry, Public};
use super::token::{self, Token};
use super::uri::Uri;
use super::{error, login, mechanism};
use crate::base::error::{Error, Result};
use crate::key::asn1::der;
use crate::key::signing::external::Elsewhere;
use crate::sys::generation;

/// A session that is logged in, of this process.
struct Opened {
    session: Option<Session>,
    handle: ObjectHandle,
    generation: u64,
}

impl Opened {
    fn sign(&self, algorithm: Algorithm, mechanisms: &[MechanismType], message: &[u8]) -> Outcome<Vec<u8>> {
        let (Some(session), Some(way)) = (&self.session, mechanism::of(algorithm, mechanisms)) else {
            return Err(Fault::NotSupported);
        };
        session.sign(&way.mechanism, self.handle, &way.input(message))
    }

    fn is_ours(&self) -> bool {
        self.generation == generation()
    }

    /// Leaves the session as it is: its number may be another's by now.
    fn abandon(&mut self) {
        if let Some(session) = self.session.take() {
            std::mem::forget(session);
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if !self.is_ours() {
            self.abandon();
        }
    }
}

/// A key on a token. Signatures are made one after the other: a session does one thing at a time.
pub(super) struct TokenKey {
    /// With the PIN: a token that comes back wants it again.
    source: KeySource,
    uri: Uri,
    public: Public,
    mechanisms: Vec<MechanismType>,
    algorithms: Vec<Algorithm>,
    opened: Mutex<Option<Opened>>,
    is_gone: AtomicBool,
}

/// A token with a session on it that is logged in.
pub(super) fn session(source: &KeySource, uri: &Uri) -> Result<(Token, Session)> {
    let token = token::find(source, uri)?;
    let told = |error| object::unanswered(source, &error);
    let session = token.module.open_ro_session(token.slot).map_err(told)?;
    login::login(source, &token, &session)?;
    Ok((token, session))
}

impl TokenKey {
    /// The key of `entry` on `token`. It keeps no session: it opens one when it is to sign.
    pub(super) fn new(
        source: &KeySource,
        uri: &Uri,
        token: &Token,
        session: &Session,
        entry: &Entry,
    ) -> Result<Self> {
        let public = object::public(source, session, entry)?;
        let mechanisms = token.module.get_mechanism_list(token.slot);
        let mechanisms = mechanisms.map_err(|error| object::unanswered(source, &error))?;
        let mut algorithms = possible(&public).to_vec();
        algorithms.retain(|algorithm| mechanism::of(*algorithm, &mechanisms).is_some());
        if algorithms.is_empty() {
            return Err(source.unsuitable("is a key that its token has no mechanism to sign JWTs with"));
        }
        Ok(Self {
            source: source.clone(),
            uri: uri.clone(),
            public,
            mechanisms,
            algorithms,
            opened: Mutex::new(None),
            is_gone: AtomicBool::new(false),
        })
    }

    /// Gives it the session in which `entry` was found, to sign in.
    pub(super) fn keep(&mut self, session: Session, entry: &Entry) {
        let opened = Opened { session: Some(session), handle: entry.handle, generation: generation() };
        *self.opened.get_mut() = Some(opened);
    }

    /// Signs in another session than the one that was lost.
    fn sign_anew(&self, algorithm: Algorithm, message: &[u8]) -> Result<(Opened, Vec<u8>)> {
        let (_, session) = session(&self.source, &self.uri)?;
        let entry = object::choose(&self.source, &self.uri, &session)?;
        if object::public(&self.source, &session, &entry)? != self.public {
            return Err(self.source.broken("is another key than it was; the next call uses that one"));
        }
        let opened = Opened { session: Some(session), handle: entry.handle, generation: generation() };
        let signature =
            opened.sign(algorithm, &self.mechanisms, message).map_err(|error| self.told(&error))?;
        Ok((opened, signature))
    }

    fn told(&self, error: &Fault) -> Error {
        if error::is_lost(error) {
            let text = format!("is on a token that was taken out or failed ({})", error::said(error));
            return self.source.broken(text);
        }
        self.source.broken(format!("did not sign: its token answered {}", error::said(error)))
    }
}

/// What a key of that kind signs by, its own algorithm first.
fn possible(public: &Public) -> &'static [Algorithm] {
    match public {
        Public::Rsa(..) => &private_key::RSA_ALGORITHMS,
        Public::P256(_) => &[Algorithm::ES256],
        Public::P384(_) => &[Algorithm::ES384],
        Public::Ed25519(_) => &[Algorithm::EdDSA],
    }
}

impl Elsewhere for TokenKey {
    fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        let mut place = self.opened.lock();
        // Taken out: whatever goes wrong below, nobody uses a session again that has failed.
        if let Some(mut opened) = place.take().filter(Opened::is_ours) {
            match opened.sign(algorithm, &self.mechanisms, message) {
                Err(error) if error::is_lost(&error) => {
                    if error::knows_no_session(&error) {
                        opened.abandon();
                    }
                }
                outcome => {
                    *place = Some(opened);
                    return outcome.map_err(|error| self.told(&error));
                }
            }
        }
        let outcome = self.sign_anew(algorithm, message);
        self.is_gone.store(outcome.is_err(), Ordering::Release);
        let (opened, signature) = outcome?;
        *place = Some(opened);
        Ok(signature)
    }

    fn described(&self) -> String {
        match &self.public {
            Public::Rsa(_, bits) => format!("an RSA key of {bits} bits on a token"),
            Public::P256(_) => "an EC key on P-256 on a token".to_owned(),
            Public::P384(_) => "an EC key on P-384 on a token".to_owned(),
            Public::Ed25519(_) => "an Ed25519 key on a token".to_owned(),
        }
    }

    fn kind(&self) -> String {
        match &self.public {
            Public::Rsa(_, bits) => format!("RSA {bits}"),
            Public::P256(_) => "EC P-256".to_owned(),
            Public::P384(_) => "EC P-384".to_owned(),
            Public::Ed25519(_) => "Ed25519".to_owned(),
        }
    }

    fn public_key(&self) -> &[u8] {
        self.public.key()
    }

    fn public_key_info(&self) -> Option<Vec<u8>> {
        let named =
            |kind: &[u8], parameters: &[u8]| der::element(0x30, &[&der::element(0x06, &[kind]), parameters]);
        let curve = |curve: &[u8]| named(private_key::EC.as_bytes(), &der::element(0x06, &[curve]));
        let algorithm = match &self.public {
            Public::Rsa(..) => named(private_key::RSA.as_bytes(), &[0x05, 0x00]),
            Public::P256(_) => curve(private_key::P256.as_bytes()),
            Public::P384(_) => curve(private_key::P384.as_bytes()),
            Public::Ed25519(_) => named(private_key::ED25519.as_bytes(), &[]),
        };
        let key = Some(self.public.key()).filter(|key| !key.is_empty())?;
        let bits = der::element(0x03, &[&[0], key]);
        Some(der::element(0x30, &[&algorithm, &bits]).to_vec())
    }

    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }
}
