//! What the options say about the key, and how errors speak of it: by the option and, for a file, as the user typed it.

use super::file::NamedFile;
use super::pkcs11::Pkcs11Uri;
use crate::base::error::{Error, Status};
use crate::base::file::ConfiguredPath;
use crate::base::secret::Secret;
use crate::key::select::quote;
use crate::key::signing::callback::{self, CallbackSigner};

/// Where the key is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyOrigin {
    /// JWTCertStore.
    File(ConfiguredPath),
    /// JWTCertStore, where it says `pkcs11:…`: a key on a token.
    Pkcs11(Pkcs11Uri),
    /// JWTPrivateKey: the key itself.
    Inline(Secret),
    /// JWTSecret: what both sides know.
    HmacSecret(Secret),
    /// authgrant_set_signer: with the host program.
    Callback(CallbackSigner),
}

/// What a key store is for, and so which options its messages name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StorePurpose {
    /// JWTCertStore: signing assertions.
    #[default]
    Assertion,
    /// KeyStore: being a client in TLS.
    ClientCertificate,
    /// TrustStore: whom to believe; it needs no key.
    TrustStore,
}

/// The options by which a store is named and opened.
pub(super) struct OptionNames {
    pub(super) store: &'static str,
    pub(super) password: &'static str,
    pub(super) key_password: &'static str,
    pub(super) alias: &'static str,
}

impl StorePurpose {
    fn option_names(self) -> &'static OptionNames {
        match self {
            Self::Assertion => &OptionNames {
                store: "JWTCertStore",
                password: "JWTCertPassword",
                key_password: "JWTCertKeyPassword",
                alias: "JWTCertAlias",
            },
            Self::ClientCertificate => &OptionNames {
                store: "KeyStore",
                password: "KeyStorePassword",
                key_password: "KeyPassword",
                alias: "KeyStoreAlias",
            },
            Self::TrustStore => &OptionNames {
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
    pub purpose: StorePurpose,
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
    pub forbid_weak_encryption: bool,
    /// KeyFileCheck: whether it is an error that others may read or write the file. Part of what a key is for the same
    /// reason.
    pub require_private_file: bool,
}

impl KeySource {
    /// The options that its messages name.
    pub(super) fn option_names(&self) -> &'static OptionNames {
        self.purpose.option_names()
    }

    /// The files that are read for the key: the store first, then the certificate.
    pub fn files(&self) -> impl Iterator<Item = &ConfiguredPath> {
        let store = match &self.origin {
            KeyOrigin::File(store) => Some(store),
            KeyOrigin::Pkcs11(_)
            | KeyOrigin::Inline(_)
            | KeyOrigin::HmacSecret(_)
            | KeyOrigin::Callback(_) => None,
        };
        store.into_iter().chain(self.certificate.as_ref())
    }

    /// The path or the URI of the store, as the user wrote it.
    #[must_use]
    pub fn as_configured(&self) -> Option<&str> {
        match &self.origin {
            KeyOrigin::File(store) => Some(store.as_configured()),
            KeyOrigin::Pkcs11(uri) => Some(uri.as_configured()),
            KeyOrigin::Inline(_) | KeyOrigin::HmacSecret(_) | KeyOrigin::Callback(_) => None,
        }
    }

    /// The alias to look for; an empty one is none.
    pub(super) fn alias(&self) -> Option<&str> {
        self.alias.as_deref().filter(|alias| !alias.is_empty())
    }

    /// The one password of formats that have only one, and the option that it came from.
    pub(super) fn single_password(&self) -> (Option<&str>, &'static str) {
        match (&self.password, &self.key_password) {
            (None, Some(key)) => (Some(key.reveal()), self.option_names().key_password),
            (store, _) => (store.as_ref().map(Secret::reveal), self.option_names().password),
        }
    }

    /// What remains for messages once the secrets have done their work.
    pub(super) fn without_secrets(&self) -> Self {
        let origin = match &self.origin {
            KeyOrigin::File(store) => KeyOrigin::File(store.clone()),
            KeyOrigin::Pkcs11(uri) => KeyOrigin::Pkcs11(uri.clone()),
            KeyOrigin::Inline(_) => KeyOrigin::Inline(Secret::default()),
            KeyOrigin::HmacSecret(_) => KeyOrigin::HmacSecret(Secret::default()),
            KeyOrigin::Callback(signer) => KeyOrigin::Callback(signer.clone()),
        };
        Self { origin, password: None, key_password: None, ..self.clone() }
    }

    /// The option that says where the key is; for a signer, the only one that says something of its key.
    #[must_use]
    pub fn option(&self) -> &'static str {
        match self.origin {
            KeyOrigin::File(_) | KeyOrigin::Pkcs11(_) => self.option_names().store,
            KeyOrigin::Inline(_) => "JWTPrivateKey",
            KeyOrigin::HmacSecret(_) => "JWTSecret",
            KeyOrigin::Callback(_) => "JWTCertificate",
        }
    }

    /// The option and, for a file, its path; for a token, its URI.
    #[must_use]
    pub fn display_name(&self) -> String {
        match &self.origin {
            KeyOrigin::File(store) => NamedFile { option: self.option(), file: store }.to_string(),
            KeyOrigin::Pkcs11(uri) => format!("{} {}", self.option(), uri.as_configured()),
            KeyOrigin::Inline(_) | KeyOrigin::HmacSecret(_) => self.option().to_owned(),
            KeyOrigin::Callback(_) => callback::DISPLAY_NAME.to_owned(),
        }
    }

    pub(super) fn error(&self, status: Status, option: &str, text: impl AsRef<str>) -> Error {
        let text = format!("{} {}", self.display_name(), text.as_ref());
        let part =
            if matches!(self.origin, KeyOrigin::Callback(_)) { callback::COMPONENT } else { "key store" };
        Error::new(status, part, text).with_option(option)
    }

    /// The file or the text itself is at fault.
    pub(super) fn store_error(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyStore, self.option(), text)
    }

    /// What content of no known form is not.
    pub(super) fn unrecognized_text(&self) -> &'static str {
        match self.origin {
            KeyOrigin::File(_) => {
                "is neither a JKS, JCEKS nor PKCS#12 store nor a key in PEM, DER or JSON, or its beginning was damaged"
            }
            KeyOrigin::Pkcs11(_)
            | KeyOrigin::Inline(_)
            | KeyOrigin::HmacSecret(_)
            | KeyOrigin::Callback(_) => "is neither PEM nor base64 of PEM or DER nor JSON",
        }
    }

    pub(super) fn wrong_password_error(&self, option: &str) -> Error {
        let text = format!("does not open with this {option}, or was altered");
        self.error(Status::KeyPassword, option, text)
    }

    /// Of a store that opens, and a key in it that does not.
    pub(super) fn wrong_key_password_error(&self, alias: &str) -> Error {
        let (alias, option) = (quote(alias), self.option_names().key_password);
        let text = match self.key_password {
            Some(_) => format!("has the key {alias}, which does not open with this {option}, or was altered"),
            None => format!("has the key {alias}, which has a password of its own (set {option})"),
        };
        self.error(Status::KeyPassword, option, text)
    }

    pub(super) fn no_password_error(&self) -> Error {
        let option = self.option_names().password;
        let text = format!("is encrypted, and no password was given (set {option})");
        self.error(Status::KeyPassword, option, text)
    }

    pub(super) fn not_found_error(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyNotFound, self.option_names().alias, text)
    }

    /// What the key is there to do, before that which it can be.
    pub(super) fn supported_keys_prefix(&self) -> &'static str {
        match self.purpose {
            StorePurpose::ClientCertificate => "TLS clients sign with",
            StorePurpose::Assertion | StorePurpose::TrustStore => "JWTs are signed with",
        }
    }

    pub(super) fn unsuitable_error(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyUnsuitable, self.option(), text)
    }
}
