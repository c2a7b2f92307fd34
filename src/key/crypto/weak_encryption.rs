//! Weak encryption of key files ([`crate::key::crypto::algorithm::is_weak`]), which the policy can forbid.
//!
//! The digest of a MAC is not checked: it does not protect the confidentiality of the key.

use crate::base::error::{Error, Result};
use crate::base::policy::Restriction;
use crate::key::source::KeySource;

/// Fails if weak encryption is forbidden; `name` is the name of the scheme.
pub(in crate::key) fn check_allowed(source: &KeySource, name: &str) -> Result<()> {
    if source.forbid_weak_encryption { Err(forbidden_error(source, name)) } else { Ok(()) }
}

/// Error for weak encryption with the scheme `name`.
pub(in crate::key) fn forbidden_error(source: &KeySource, name: &str) -> Error {
    source.store_error(format!(
        "is encrypted with {name}, {}; write a copy with AES, as OpenSSL 3 (openssl pkcs12 -export, openssl \
         pkcs8 -topk8) and Java 17 (keytool -importkeystore -deststoretype PKCS12) do by default",
        Restriction::WeakStores.rejection_text()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Status;
    use crate::key::fixtures::{KeyDir, STORE_PASSWORD, run_shell};
    use crate::key::open;

    /// Returns the error for a store if weak encryption is forbidden; the store opens otherwise.
    #[track_caller]
    fn forbidden_error(source: &KeySource) -> String {
        open(source).unwrap();
        let error = open(&source.clone().forbidding_weak_encryption()).unwrap_err();
        assert_eq!(error.status(), Status::KeyStore, "{error}");
        assert!(error.message().contains("AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION"), "{error}");
        error.message()
    }

    #[test]
    fn pkcs12_pbe_is_weak_unless_aes() {
        let dir = KeyDir::new();
        let message = forbidden_error(&dir.fixture("rsa-legacy.p12", Some(STORE_PASSWORD)));
        assert!(message.contains("PBE-SHA1-"), "{message}");
        for name in ["rsa.p12", "chain.p12", "really-p12.jks"] {
            open(&dir.fixture(name, Some(STORE_PASSWORD)).forbidding_weak_encryption()).unwrap();
        }
        open(&dir.fixture("rsa-open.p12", None).forbidding_weak_encryption()).unwrap();
    }

    #[test]
    fn pbes2_weakness_depends_on_cipher() {
        let dir = KeyDir::new();
        dir.fixture("rsa.pem", None);
        let sources = ["des3", "bf-cbc", "aes-256-ecb", "aes-256-cbc", "camellia-256-cbc", "sm4-cbc"].map(|cipher| {
            let encrypt = "openssl pkcs8 -topk8 -in rsa.pem -passout pass:changeit -provider default -provider legacy";
            run_shell(dir.path(), &format!("{encrypt} -v2 {cipher} -out {cipher}.pem"));
            dir.source(&format!("{cipher}.pem"), Some(STORE_PASSWORD))
        });
        let (weak, strong) = sources.split_at(3);
        for (source, name) in
            weak.iter().zip(["DES-EDE3-CBC (1.2.840.113549.3.7)", "BF-CBC (", "AES-256-ECB ("])
        {
            let message = forbidden_error(source);
            assert!(message.contains(name), "{message}");
        }
        for source in strong {
            open(&source.clone().forbidding_weak_encryption()).unwrap();
        }
    }

    #[test]
    fn jks_store_is_weak() {
        let dir = KeyDir::new();
        let source = dir.fixture("umlaut.jks", Some("pässw€rd"));
        assert!(forbidden_error(&source).contains("(JKS"), "{}", forbidden_error(&source));
    }

    #[test]
    fn unencrypted_key_is_not_weakly_encrypted() {
        open(&KeyDir::new().fixture("rsa.pem", None).forbidding_weak_encryption()).unwrap();
    }

    #[test]
    fn smime_capabilities_do_not_make_store_weak() {
        let dir = KeyDir::new();
        dir.fixture("rsa.pem", None);
        // sMIMECapabilities with RC2, as some CAs write them into certificates.
        let extension = "1.2.840.113549.1.9.15=DER:3010300e06082a864886f70d030202020080";
        run_shell(
            dir.path(),
            &format!(
                "openssl req -x509 -new -key rsa.pem -subj /CN=mail -days 10 -addext {extension} -out mail.crt && \
                 openssl pkcs12 -export -inkey rsa.pem -in mail.crt -certpbe NONE -passout pass:changeit -out mail.p12"
            ),
        );
        open(&dir.source("mail.p12", Some(STORE_PASSWORD)).forbidding_weak_encryption()).unwrap();
    }
}
