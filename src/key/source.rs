//! Key options of a connection, and errors that name the option and, for a file, the path as configured.

use jsonwebtoken::Algorithm;

use crate::base::error::{Error, ErrorKind, KeyError};
use crate::base::file::ConfiguredPath;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::key::callback_signer::{self, CallbackSigner};
use crate::key::file::NamedFile;
use crate::key::message::quote;
use crate::key::pkcs11_uri::Pkcs11Uri;

/// Where the key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyOrigin {
    /// JWTCertStore: a file.
    File(ConfiguredPath),
    /// JWTCertStore with a `pkcs11:` URI: a key on a token.
    Pkcs11(Pkcs11Uri),
    /// JWTPrivateKey: the key itself.
    Inline(Secret),
    /// JWTSecret: a shared secret.
    HmacSecret(Secret),
    /// authgrant_set_signer: a signer callback.
    Callback(CallbackSigner),
}

/// Purpose of a key store, which determines the option names in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StorePurpose {
    /// JWTCertStore: signing assertions.
    #[default]
    Assertion,
    /// KeyStore: TLS client authentication.
    ClientCertificate,
    /// TrustStore: trusted CA certificates; needs no key.
    TrustStore,
}

/// Names of the options that locate and unlock a store.
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

/// Options that describe a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySource {
    /// Purpose of the key.
    pub purpose: StorePurpose,
    /// Where the key comes from.
    pub origin: KeyOrigin,
    /// JWTCertPassword.
    pub password: Option<Secret>,
    /// JWTCertKeyPassword.
    pub key_password: Option<Secret>,
    /// JWTCertAlias.
    pub alias: Option<String>,
    /// JWTKeyID, which selects one of several keys.
    pub key_id: Option<String>,
    /// JWTAlgorithm, which selects among several keys those that support it.
    pub algorithm: Option<Algorithm>,
    /// JWTCertificate.
    pub certificate: Option<ConfiguredPath>,
    /// Whether the policy forbids weak encryption. Part of the cache keys, so that a key that was opened
    /// before the policy was tightened, and tokens obtained with it, are not reused.
    pub forbid_weak_encryption: bool,
    /// KeyFileCheck: whether it is an error that others may read or write the file. Part of the cache keys
    /// for the same reason.
    pub require_private_file: bool,
}

impl KeySource {
    /// Option names for messages.
    pub(super) fn option_names(&self) -> &'static OptionNames {
        self.purpose.option_names()
    }

    /// Files that are read for the key: the store, then the certificate.
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

    /// Path or URI of the store as configured.
    #[must_use]
    pub fn as_configured(&self) -> Option<&str> {
        match &self.origin {
            KeyOrigin::File(store) => Some(store.as_configured()),
            KeyOrigin::Pkcs11(uri) => Some(uri.as_configured()),
            KeyOrigin::Inline(_) | KeyOrigin::HmacSecret(_) | KeyOrigin::Callback(_) => None,
        }
    }

    /// Alias to look up; an empty alias counts as unset.
    pub(super) fn alias(&self) -> Option<&str> {
        self.alias.as_deref().filter(|alias| !alias.is_empty())
    }

    /// Password for formats that have only one, and the option that sets it.
    pub(super) fn single_password(&self) -> (Option<&str>, &'static str) {
        match (&self.password, &self.key_password) {
            (None, Some(key)) => (Some(key.reveal()), self.option_names().key_password),
            (store, _) => (store.as_ref().map(Secret::reveal), self.option_names().password),
        }
    }

    /// Copy without secrets, for messages after the key has been opened.
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

    /// Option that locates the key; for a signer callback JWTCertificate, the only option about its key.
    #[must_use]
    pub fn option(&self) -> &'static str {
        match self.origin {
            KeyOrigin::File(_) | KeyOrigin::Pkcs11(_) => self.option_names().store,
            KeyOrigin::Inline(_) => "JWTPrivateKey",
            KeyOrigin::HmacSecret(_) => "JWTSecret",
            KeyOrigin::Callback(_) => "JWTCertificate",
        }
    }

    /// The option, followed by the path of a file or the URI of a token.
    #[must_use]
    pub fn display_name(&self) -> String {
        match &self.origin {
            KeyOrigin::File(store) => NamedFile { option: self.option(), file: store }.to_string(),
            KeyOrigin::Pkcs11(uri) => format!("{} {}", self.option(), sanitize::path(uri.as_configured())),
            KeyOrigin::Inline(_) | KeyOrigin::HmacSecret(_) => self.option().to_owned(),
            KeyOrigin::Callback(_) => callback_signer::DISPLAY_NAME.to_owned(),
        }
    }

    pub(super) fn error(
        &self,
        kind: impl Into<ErrorKind>,
        option: &'static str,
        text: impl AsRef<str>,
    ) -> Error {
        let text = format!("{} {}", self.display_name(), text.as_ref());
        let component = if matches!(self.origin, KeyOrigin::Callback(_)) {
            callback_signer::COMPONENT
        } else {
            "key store"
        };
        Error::new(kind, component, text).with_option(option)
    }

    /// Error about the file or the inline text itself.
    pub(super) fn store_error(&self, text: impl AsRef<str>) -> Error {
        self.error(KeyError::Store, self.option(), text)
    }

    /// Error text for content of an unknown format.
    pub(super) fn unrecognized_text(&self) -> &'static str {
        match self.origin {
            KeyOrigin::File(_) => {
                "is not a recognized key store (JKS, JCEKS, PKCS#12, PEM, DER, JSON), or its beginning is \
                 corrupt"
            }
            KeyOrigin::Pkcs11(_)
            | KeyOrigin::Inline(_)
            | KeyOrigin::HmacSecret(_)
            | KeyOrigin::Callback(_) => "is not a recognized key (PEM, JSON, or base64 of PEM or DER)",
        }
    }

    /// Note on a rejected password that is enclosed in quotation marks or braces, which are not removed from
    /// secrets; empty for other passwords. The password is that of `option`.
    pub(super) fn enclosure_note(&self, option: &str) -> &'static str {
        let is_store_password = option == self.option_names().password;
        let password = if is_store_password { &self.password } else { &self.key_password };
        let is_enclosed = |open: char, close: char| {
            let text = password.as_ref().map_or("", Secret::reveal);
            text.strip_prefix(open).is_some_and(|rest| rest.ends_with(close))
        };
        if is_enclosed('"', '"') || is_enclosed('\'', '\'') {
            "; the quotation marks around the password were used as part of it"
        } else if is_enclosed('{', '}') {
            "; the braces around the password were used as part of it"
        } else {
            ""
        }
    }

    pub(super) fn wrong_password_error(&self, option: &'static str) -> Error {
        let note = self.enclosure_note(option);
        let text = format!("cannot be decrypted: wrong {option}, or the data is corrupt{note}");
        self.error(KeyError::Password, option, text)
    }

    /// Error for a wrong password of a store that opens without a password.
    pub(super) fn needless_password_error(&self) -> Error {
        let (_, option) = self.single_password();
        let text = format!("opens without a password, but not with {option}; remove {option}");
        self.error(KeyError::Password, option, text)
    }

    /// Error for a key that cannot be decrypted in a store that opens.
    pub(super) fn wrong_key_password_error(&self, alias: &str) -> Error {
        let (alias, option) = (quote(alias), self.option_names().key_password);
        let text = match self.key_password {
            Some(_) => format!(
                "contains the key {alias}, which cannot be decrypted: wrong {option}, or the data is corrupt{}",
                self.enclosure_note(option)
            ),
            None => format!("contains the key {alias}, which has a separate password (set {option})"),
        };
        self.error(KeyError::Password, option, text)
    }

    pub(super) fn no_password_error(&self) -> Error {
        let option = self.option_names().password;
        let text = format!("is encrypted, but no password is set (set {option})");
        self.error(KeyError::Password, option, text)
    }

    pub(super) fn not_found_error(&self, text: impl AsRef<str>) -> Error {
        self.error(KeyError::NotFound, self.option_names().alias, text)
    }

    /// Start of a phrase that lists the supported keys.
    pub(super) fn supported_keys_prefix(&self) -> &'static str {
        match self.purpose {
            StorePurpose::ClientCertificate => "TLS client authentication requires",
            StorePurpose::Assertion | StorePurpose::TrustStore => "JWT signing requires",
        }
    }

    pub(super) fn unsuitable_error(&self, text: impl AsRef<str>) -> Error {
        self.error(KeyError::Unsuitable, self.option(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_without_secrets_keeps_the_rest() {
        let with_passwords =
            |source: KeySource| source.with_password("hunter2").with_key_password("hunter2").with_alias("a");
        for (source, expected) in [
            (KeySource::inline("hunter2"), KeySource::inline("")),
            (KeySource::hmac_secret("hunter2"), KeySource::hmac_secret("")),
        ] {
            assert_eq!(with_passwords(source).without_secrets(), expected.with_alias("a"));
        }
        let file = KeySource {
            origin: KeyOrigin::File(ConfiguredPath::new("/a".to_owned())),
            ..KeySource::inline("")
        };
        assert_eq!(with_passwords(file.clone()).without_secrets(), file.with_alias("a"));
    }

    #[test]
    fn enclosed_password_is_noted_for_its_option() {
        let source = KeySource::inline("");
        assert_eq!(source.enclosure_note("JWTCertPassword"), "");
        for (password, expected) in [
            ("\"a\"", Some("quotation marks")),
            ("'a'", Some("quotation marks")),
            ("{a}", Some("braces")),
            ("\"a", None),
            ("a'", None),
            ("\"a'", None),
            ("\"", None),
            ("a", None),
        ] {
            for (source, option, other) in [
                (source.clone().with_password(password), "JWTCertPassword", "JWTCertKeyPassword"),
                (source.clone().with_key_password(password), "JWTCertKeyPassword", "JWTCertPassword"),
            ] {
                let note = source.enclosure_note(option);
                match expected {
                    Some(mark) => assert!(note.contains(mark), "{password}: {note}"),
                    None => assert_eq!(note, "", "{password}"),
                }
                assert_eq!(source.enclosure_note(other), "");
            }
        }
    }
}
