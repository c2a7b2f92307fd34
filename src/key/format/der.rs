//! Bare DER: a private key, encrypted or not.

use zeroize::Zeroizing;

use super::pem;
use crate::base::error::Result;
use crate::key::crypto::kdf_budget::KdfBudget;
use crate::key::parsed_key::{KeyBytes, ParsedKey};
use crate::key::private_key;
use crate::key::source::KeySource;

pub(super) fn is_key(content: &[u8]) -> bool {
    private_key::is_private_key(content) || pem::is_encrypted_pkcs8(content)
}

pub(super) fn read_key(source: &KeySource, content: &[u8], budget: &mut KdfBudget) -> Result<ParsedKey> {
    let der = if private_key::is_private_key(content) {
        Zeroizing::new(content.to_vec())
    } else {
        pem::decrypt_pkcs8(source, content, budget)?
    };
    Ok(ParsedKey::new(KeyBytes::Private(der)))
}
