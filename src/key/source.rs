//! What the options say about the key, and how errors speak of it: by the option and, for a file, as the user typed it.

use super::file::Named;
use super::pkcs11::Uri;
use crate::base::error::{Error, Status};
use crate::base::file::ConfiguredPath;
use crate::base::secret::Secret;
use crate::key::select::quoted;
use crate::key::signing::callback::{self, HostSigner};

/// Where the key is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyOrigin {
    /// JWTCertStore.
    Store(ConfiguredPath),
    /// JWTCertStore, where it says `pkcs11:…`: a key on a token.
    Pkcs11(Uri),
    /// JWTPrivateKey: the key itself.
    Text(Secret),
    /// JWTSecret: what both sides know.
    Shared(Secret),
    /// authgrant_set_signer: with the host program.
    Signer(HostSigner),
}

/// What a key store is for, and so which options its messages name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// JWTCertStore: signing assertions.
    #[default]
    Assertion,
    /// KeyStore: being a client in TLS.
    ClientCertificate,
    /// TrustStore: whom to believe; it needs no key.
    Trust,
}

/// The options by which a store is named and opened.
pub(super) struct Words {
    pub(super) store: &'static str,
    pub(super) password: &'static str,
    pub(super) key_password: &'static str,
    pub(super) alias: &'static str,
}

impl Purpose {
    fn words(self) -> &'static Words {
        match self {
            Self::Assertion => &Words {
                store: "JWTCertStore",
                password: "JWTCertPassword",
                key_password: "JWTCertKeyPassword",
                alias: "JWTCertAlias",
            },
            Self::ClientCertificate => &Words {
                store: "KeyStore",
                password: "KeyStorePassword",
                key_password: "KeyPassword",
                alias: "KeyStoreAlias",
            },
            Self::Trust => &Words {
                store: "TrustStore",
                password: "TrustStorePassword",
                key_password: "TrustStorePassword",
                alias: "TrustStore",
            },
        }
    }
}

/// What the options say about the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySource {
    /// What it is for.
    pub purpose: Purpose,
    /// Where it is.
    pub origin: KeyOrigin,
    /// JWTCertPassword.
    pub password: Option<Secret>,
    /// JWTCertKeyPassword.
    pub key_password: Option<Secret>,
    /// JWTCertAlias.
    pub alias: Option<String>,
    /// JWTCertificate.
    pub certificate: Option<ConfiguredPath>,
    /// Whether the policy forbids weak encryption. It is part of what a key is, so that one that was opened before the
    /// policy was tightened, and the tokens that it brought, are not met afterwards.
    pub strong: bool,
    /// KeyFileCheck: whether it is an error that others may read or write the file. Part of what a key is for the same
    /// reason.
    pub guarded: bool,
}

impl KeySource {
    /// The options that its messages name.
    pub(super) fn words(&self) -> &'static Words {
        self.purpose.words()
    }

    /// The files that are read for the key: the store first, then the certificate.
    pub fn files(&self) -> impl Iterator<Item = &ConfiguredPath> {
        let store = match &self.origin {
            KeyOrigin::Store(store) => Some(store),
            KeyOrigin::Pkcs11(_) | KeyOrigin::Text(_) | KeyOrigin::Shared(_) | KeyOrigin::Signer(_) => None,
        };
        store.into_iter().chain(self.certificate.as_ref())
    }

    /// The path or the URI of the store, as the user wrote it.
    #[must_use]
    pub fn typed(&self) -> Option<&str> {
        match &self.origin {
            KeyOrigin::Store(store) => Some(store.as_configured()),
            KeyOrigin::Pkcs11(uri) => Some(uri.typed()),
            KeyOrigin::Text(_) | KeyOrigin::Shared(_) | KeyOrigin::Signer(_) => None,
        }
    }

    /// The alias to look for; an empty one is none.
    pub(super) fn alias(&self) -> Option<&str> {
        self.alias.as_deref().filter(|alias| !alias.is_empty())
    }

    /// The one password of formats that have only one, and the option that it came from.
    pub(super) fn only_password(&self) -> (Option<&str>, &'static str) {
        match (&self.password, &self.key_password) {
            (None, Some(key)) => (Some(key.reveal()), self.words().key_password),
            (store, _) => (store.as_ref().map(Secret::reveal), self.words().password),
        }
    }

    /// What remains for messages once the secrets have done their work.
    pub(super) fn without_secrets(&self) -> Self {
        let origin = match &self.origin {
            KeyOrigin::Store(store) => KeyOrigin::Store(store.clone()),
            KeyOrigin::Pkcs11(uri) => KeyOrigin::Pkcs11(uri.clone()),
            KeyOrigin::Text(_) => KeyOrigin::Text(Secret::default()),
            KeyOrigin::Shared(_) => KeyOrigin::Shared(Secret::default()),
            KeyOrigin::Signer(signer) => KeyOrigin::Signer(signer.clone()),
        };
        Self { origin, password: None, key_password: None, ..self.clone() }
    }

    /// The option that says where the key is; for a signer, the only one that says something of its key.
    #[must_use]
    pub fn option(&self) -> &'static str {
        match self.origin {
            KeyOrigin::Store(_) | KeyOrigin::Pkcs11(_) => self.words().store,
            KeyOrigin::Text(_) => "JWTPrivateKey",
            KeyOrigin::Shared(_) => "JWTSecret",
            KeyOrigin::Signer(_) => "JWTCertificate",
        }
    }

    /// The option and, for a file, its path; for a token, its URI.
    #[must_use]
    pub fn named(&self) -> String {
        match &self.origin {
            KeyOrigin::Store(store) => Named { option: self.option(), file: store }.to_string(),
            KeyOrigin::Pkcs11(uri) => format!("{} {}", self.option(), uri.typed()),
            KeyOrigin::Text(_) | KeyOrigin::Shared(_) => self.option().to_owned(),
            KeyOrigin::Signer(_) => callback::NAMED.to_owned(),
        }
    }

    pub(super) fn error(&self, status: Status, option: &str, text: impl AsRef<str>) -> Error {
        let text = format!("{} {}", self.named(), text.as_ref());
        let part = if matches!(self.origin, KeyOrigin::Signer(_)) { callback::PART } else { "key store" };
        Error::new(status, part, text).with_option(option)
    }

    /// The file or the text itself is at fault.
    pub(super) fn broken(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyStore, self.option(), text)
    }

    /// What content of no known form is not.
    pub(super) fn unknown(&self) -> &'static str {
        match self.origin {
            KeyOrigin::Store(_) => {
                "is neither a JKS, JCEKS nor PKCS#12 store nor a key in PEM, DER or JSON, or its beginning was damaged"
            }
            KeyOrigin::Pkcs11(_) | KeyOrigin::Text(_) | KeyOrigin::Shared(_) | KeyOrigin::Signer(_) => {
                "is neither PEM nor base64 of PEM or DER nor JSON"
            }
        }
    }

    pub(super) fn wrong_password(&self, option: &str) -> Error {
        let text = format!("does not open with this {option}, or was altered");
        self.error(Status::KeyPassword, option, text)
    }

    /// Of a store that opens, and a key in it that does not.
    pub(super) fn wrong_key_password(&self, alias: &str) -> Error {
        let (alias, option) = (quoted(alias), self.words().key_password);
        let text = match self.key_password {
            Some(_) => format!("has the key {alias}, which does not open with this {option}, or was altered"),
            None => format!("has the key {alias}, which has a password of its own (set {option})"),
        };
        self.error(Status::KeyPassword, option, text)
    }

    pub(super) fn no_password(&self) -> Error {
        let option = self.words().password;
        let text = format!("is encrypted, and no password was given (set {option})");
        self.error(Status::KeyPassword, option, text)
    }

    pub(super) fn not_found(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyNotFound, self.words().alias, text)
    }

    /// What the key is there to do, before that which it can be.
    pub(super) fn signs_with(&self) -> &'static str {
        match self.purpose {
            Purpose::ClientCertificate => "TLS clients sign with",
            Purpose::Assertion | Purpose::Trust => "JWTs are signed with",
        }
    }

    pub(super) fn unsuitable(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyUnsuitable, self.option(), text)
    }
}
