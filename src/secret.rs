//! Text that must not be seen: wiped when dropped, `****` in Debug, no Display.
//!
//! Every option's value is held as a [`Secret`], so that forgetting to hide one is not possible; what may be
//! shown is asked of the option table.

use std::fmt;
use std::hash::{Hash, Hasher};

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

/// All at once: zeroize itself writes byte by byte, which for all that a fetch wipes takes a microsecond.
impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        wipe(&mut bytes);
    }
}

/// Wipes the whole of the memory, whatever of it was in use.
fn wipe(bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.resize(bytes.capacity(), 0);
    optimization_barrier(bytes.as_slice());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_stars_only() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "****");
    }

    #[test]
    fn all_the_memory_of_a_secret_is_wiped_and_none_of_it_moved() {
        let mut bytes = Vec::with_capacity(100);
        bytes.extend_from_slice(b"hunter2");
        let (place, capacity) = (bytes.as_ptr(), bytes.capacity());
        wipe(&mut bytes);
        assert_eq!((bytes.as_ptr(), bytes.capacity()), (place, capacity));
        assert_eq!(bytes, vec![0; capacity]);
    }
}
