//! Secret text and bytes: wiped on drop, `****` in `Debug`, no `Display`.
//!
//! All option values are stored as [`Secret`], so that none can be logged by mistake. The option table
//! decides which values may be displayed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

use zeroize::optimization_barrier;

/// Text that is wiped on drop and never formatted.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes ownership of `text` without copying it.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text. Call it only where the secret is used.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe_and_free(std::mem::take(&mut self.0).into_bytes());
    }
}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.reveal().hash(state);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// Bytes that are wiped on drop. Reserve the full capacity in advance: a reallocation leaves an unwiped copy
/// in memory.
#[derive(Default)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// An empty buffer with a capacity of `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }
}

impl Deref for SecretBytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for SecretBytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        wipe_and_free(std::mem::take(&mut self.0));
    }
}

/// Overwrites memory with zeros in one fill. zeroize writes byte by byte, which for a long secret can take
/// longer than its use.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    optimization_barrier(bytes);
}

/// Wipes all of `bytes` including its spare capacity, and frees it.
fn wipe_and_free(mut bytes: Vec<u8>) {
    // The spare capacity may be uninitialized memory, which must not be accessed as bytes; `resize`
    // initializes it.
    bytes.resize(bytes.capacity(), 0);
    wipe(&mut bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_debug_output_is_masked() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "****");
    }

    #[test]
    fn wipe_clears_only_given_bytes() {
        for (from, to) in (0..20).flat_map(|from| (from..40).map(move |to| (from, to))) {
            let mut bytes = [7; 40];
            wipe(&mut bytes[from..to]);
            assert_eq!(bytes[from..to], vec![0; to - from]);
            assert!(bytes[..from].iter().chain(&bytes[to..]).all(|byte| *byte == 7), "{from}..{to}");
        }
    }
}
