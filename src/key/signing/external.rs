//! Keys that stay where they are: others sign with them, and nothing here ever sees them.

use jsonwebtoken::Algorithm;

use crate::base::error::Result;

/// What signs with such a key.
pub trait ExternalKey: Send + Sync {
    /// What it can sign by, its own algorithm first.
    fn algorithms(&self) -> &[Algorithm];

    /// The signature of `message` as a JWS has it: that of ECDSA as two numbers of equal length (RFC 7518 section 3.4).
    ///
    /// # Errors
    /// Whatever kept it from signing.
    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>>;

    /// The key for messages, such as `an RSA key of 2048 bits`.
    fn description(&self) -> String;

    /// Its type and size, such as `RSA 2048`.
    fn type_and_size(&self) -> String;

    /// The public half as a certificate would hold it; empty where it is not known.
    fn public_key(&self) -> &[u8] {
        &[]
    }

    /// The SubjectPublicKeyInfo (RFC 5280 section 4.1), where it is known.
    fn subject_public_key_info(&self) -> Option<Vec<u8>> {
        None
    }

    /// Whether it is no longer where it was, so that it is to be looked for anew.
    fn is_detached(&self) -> bool {
        false
    }
}
