//! The signer callback of an application, with its identity.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, slice};

use jsonwebtoken::Algorithm;

/// Name of the signer in messages.
pub(super) const DISPLAY_NAME: &str = "the signer (authgrant_set_signer)";

/// Component of messages about the signer.
pub(super) const COMPONENT: &str = "signer";

/// Writes the signature of the message into the buffer and returns its length, or an error number of the
/// caller.
pub type SignFn = dyn Fn(&[u8], &mut [u8]) -> Result<usize, i32> + Send + Sync;

/// Signer callback with its algorithm.
///
/// Equal only to its clones: the same function may sign with a different key.
#[derive(Clone)]
pub struct CallbackSigner(Arc<CallbackSignerInner>);

struct CallbackSignerInner {
    id: u64,
    algorithm: Algorithm,
    sign: Box<SignFn>,
}

impl CallbackSigner {
    /// Creates a signer for `algorithm`.
    #[must_use]
    pub fn new(algorithm: Algorithm, sign: Box<SignFn>) -> Self {
        // Not per process: a forked child inherits signers, and a new one must not be equal to them.
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(CallbackSignerInner { id, algorithm, sign }))
    }

    /// Algorithm of the signer.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    pub(super) fn algorithms(&self) -> &[Algorithm] {
        slice::from_ref(&self.0.algorithm)
    }

    #[cfg(test)]
    pub(super) fn clone_count(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Calls the function of the signer.
    pub(super) fn call(&self, message: &[u8], signature: &mut [u8]) -> Result<usize, i32> {
        (self.0.sign)(message, signature)
    }
}

impl PartialEq for CallbackSigner {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for CallbackSigner {}

impl Hash for CallbackSigner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for CallbackSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackSigner")
            .field("id", &self.0.id)
            .field("algorithm", &self.0.algorithm)
            .finish_non_exhaustive()
    }
}
