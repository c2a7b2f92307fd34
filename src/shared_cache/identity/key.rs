//! Keys: the public key is part of the text, not the file in which the key is.

use super::TokenDescription;
use super::randomness::{is_text, looks_random};
use super::request::NOT_RANDOM_TEXT;
use crate::base::error::Result;
use crate::jwt::JoseHeader;
use crate::key::{KeyMaterial, KeyOrigin, KeySource, Pkcs11Uri, SharedSecret, SigningKey};

impl TokenDescription<'_> {
    /// Adds the key of an assertion and the JOSE header.
    pub(super) fn add_signing_key(&mut self, source: &KeySource, header: &JoseHeader) -> Result<()> {
        self.text.add("key", "assertion");
        let key = self.add_key(source)?;
        let JoseHeader {
            algorithm,
            // Those of the profile; the key selects one.
            preferred_algorithms: _,
            key_id,
            cert_headers,
            additional,
        } = header;
        self.text.add_optional("alg", algorithm.map(|algorithm| format!("{algorithm:?}")));
        let key_id = key_id.as_deref().or_else(|| key.as_ref().and_then(|key| key.key_id()));
        self.text.add_optional("kid", key_id);
        for cert_header in cert_headers.iter().filter(|header| !additional.contains_key(header.name())) {
            self.text.add("certificate header", cert_header.name());
            if let Some(key) = &key {
                let value = key.certificate_header(*cert_header)?;
                self.text.add_digest("certificate header value", value.as_bytes());
            }
        }
        self.add_members("header member", "header member value", additional);
        Ok(())
    }

    /// Adds the key of TLS client authentication. Tokens may be bound to its certificate (RFC 8705 section 3).
    pub(super) fn add_client_key(&mut self, source: &KeySource) -> Result<()> {
        self.text.add("key", "client certificate");
        let key = self.add_key(source)?;
        if let Some(certificate) = key.as_ref().and_then(|key| key.certificates().first()) {
            self.text.add_digest("certificate", certificate);
        }
        Ok(())
    }

    /// Adds a key; returns it, unless it is on a token. A token is not accessed, so that the processes of a fleet can
    /// use a shared token without a session on it.
    fn add_key(&mut self, source: &KeySource) -> Result<Option<std::sync::Arc<SigningKey>>> {
        let KeySource {
            // By the label before it.
            purpose: _,
            origin,
            // They open the key, or are the PIN of a token.
            password,
            key_password,
            alias,
            // Part of the JOSE header, which has the value even if it only selects the key.
            key_id: _,
            algorithm: _,
            // Part of the JOSE header or the client certificate, as far as it is sent.
            certificate: _,
            forbid_weak_encryption,
            require_private_file,
        } = source;
        self.text.add_flag("key must not have weak encryption", *forbid_weak_encryption);
        self.text.add_flag("key file must be private", *require_private_file);
        match origin {
            KeyOrigin::Pkcs11(uri) => {
                self.add_token_key(uri, alias.as_deref());
                self.add_optional_secret("pin", password.as_ref());
                self.add_optional_secret("key pin", key_password.as_ref());
                self.insufficient
                    .push((source.option(), "is on a PKCS#11 token, which keeps the numbers of the key"));
                Ok(None)
            }
            KeyOrigin::Callback(signer) => {
                self.text.add("signer", format!("{:?}", signer.algorithm()));
                self.insufficient.push(("the signer (authgrant_set_signer)", "keeps the numbers of its key"));
                let key = self.key_cache.get_or_open(source)?;
                self.add_public_key(&key);
                Ok(Some(key))
            }
            KeyOrigin::File(_) | KeyOrigin::Inline(_) | KeyOrigin::HmacSecret(_) => {
                let key = self.key_cache.get_or_open(source)?;
                self.add_public_key(&key);
                self.add_material(source, &key);
                Ok(Some(key))
            }
        }
    }

    fn add_token_key(&mut self, uri: &Pkcs11Uri, alias: Option<&str>) {
        for (name, value) in uri.key_attributes() {
            self.text.add("token attribute", name);
            self.text.add("token attribute value", value);
        }
        self.text.add_optional("token alias", alias);
    }

    fn add_public_key(&mut self, key: &SigningKey) {
        if let Some(public_key) = key.subject_public_key_info() {
            self.text.add_digest("public key", &public_key);
        }
    }

    fn add_material(&mut self, source: &KeySource, key: &SigningKey) {
        match key.material() {
            Some(KeyMaterial::PrivateKey(numbers)) => {
                self.key_material.add("private key", &*numbers);
                self.has_entropy = true;
            }
            Some(KeyMaterial::SharedSecret { bytes, is_text: true }) => {
                self.add_secret("shared secret", &*bytes);
                let is_random = std::str::from_utf8(&bytes).is_ok_and(looks_random);
                self.judge(source.option(), is_random, NOT_RANDOM_TEXT);
            }
            Some(KeyMaterial::SharedSecret { bytes, is_text: false }) => {
                self.add_secret("shared secret", &*bytes);
                let is_random = bytes.len() >= SharedSecret::MIN_LEN && !is_text(&bytes);
                self.judge(source.option(), is_random, "has fewer than 32 bytes, or its bytes are text");
            }
            None => self.insufficient.push((source.option(), "cannot be exported")),
        }
    }
}
