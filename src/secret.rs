//! Text that must not be seen: wiped when dropped, `****` in Debug, no Display.
//!
//! Every option's value is held as a [`Secret`], so that forgetting to hide one is not possible; what may be
//! shown is asked of the option table.

use std::fmt;
use std::hash::{Hash, Hasher};

use zeroize::Zeroizing;

/// A piece of text that is wiped on drop and never formatted.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over `text`; the caller's copy is this one.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
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
}
