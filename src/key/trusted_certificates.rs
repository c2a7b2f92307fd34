//! Trusted certificates of a store.

use crate::base::error::Result;
use crate::key::certificate::chain;
use crate::key::format;
use crate::key::source::KeySource;

/// Returns the trusted certificates of a JKS, JCEKS or PKCS#12 store, or one certificate in DER; `None` if
/// `content` has another format.
pub fn read_trusted_certificates(source: &KeySource, content: &[u8]) -> Option<Result<Vec<Vec<u8>>>> {
    match format::detect(content).and_then(|format| format.read_trusted_certificates) {
        Some(read) => Some(read(source, content)),
        None => chain::is_certificate(content).then(|| Ok(vec![content.to_vec()])),
    }
}
