//! Why encrypted data of a key file cannot be decrypted.

use ::der::asn1::ObjectIdentifier;

use crate::key::asn1::ber::MalformedBer;

/// Why encrypted data cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::key) enum DecryptError {
    /// The structure is invalid.
    Damaged,
    /// The algorithm with this OID is not supported.
    Unsupported(ObjectIdentifier),
    /// The algorithm with this OID is weak, which the policy forbids.
    Weak(ObjectIdentifier),
    /// The work exceeds a limit; the text says which.
    TooExpensive(String),
    /// The password is wrong, or the data was modified.
    WrongPasswordOrAltered,
}

impl From<MalformedBer> for DecryptError {
    fn from(_: MalformedBer) -> Self {
        Self::Damaged
    }
}
