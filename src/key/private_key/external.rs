//! Keys that are not accessible to this process: signing is delegated to a PKCS#11 token or a signer
//! callback.

use jsonwebtoken::Algorithm;

use crate::base::error::Result;

/// A key that can only sign.
pub trait ExternalKey: Send + Sync {
    /// Supported algorithms, the preferred one first.
    fn algorithms(&self) -> &[Algorithm];

    /// Signs `message` and returns the signature in JWS format: for ECDSA, two integers of equal length (RFC
    /// 7518 section 3.4).
    ///
    /// # Errors
    /// If the token or the signer callback fails.
    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>>;

    /// Description for messages, such as `an RSA key of 2048 bits`.
    fn description(&self) -> String;

    /// Type and size, such as `RSA 2048`.
    fn type_and_size(&self) -> String;

    /// Public key in the encoding of a certificate; empty if unknown.
    fn public_key(&self) -> &[u8];

    /// SubjectPublicKeyInfo (RFC 5280 section 4.1), if known.
    fn subject_public_key_info(&self) -> Option<Vec<u8>>;

    /// Whether the key has become unavailable, so that it must be opened again.
    fn is_detached(&self) -> bool;
}
