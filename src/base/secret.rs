//! Text that must not be seen: wiped when dropped, `****` in Debug, no Display.
//!
//! Every option's value is held as a [`Secret`], so that forgetting to hide one is not possible; what may be
//! shown is asked of the option table.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

use zeroize::optimization_barrier;

/// A piece of text that is wiped on drop and never formatted.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes over `text`; the caller's copy is this one.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that puts it to use.
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

/// Bytes that are wiped on drop. What has to grow leaves a copy behind: make room for all of it before.
#[derive(Default)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// None yet, with room for so many.
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

/// Wipes memory all at once: byte by byte, as zeroize itself does it, a long secret takes longer than much of its use.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    optimization_barrier(bytes);
}

/// Wipes all of `bytes`, room that is not in use included, and frees it.
fn wipe_and_free(mut bytes: Vec<u8>) {
    // What is behind the end may never have been written, and must not be looked at as bytes; so it is made some.
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
