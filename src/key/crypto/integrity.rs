//! Comparison of a MAC or digest with the one in a file.

use aws_lc_rs::constant_time::verify_slices_are_equal;

/// Whether the value that was computed is the one in the file. Takes constant time.
pub(in crate::key) fn is_intact(computed: &[u8], in_file: &[u8]) -> bool {
    #[cfg(fuzzing)]
    if fuzzing::accepts_corruption() {
        return true;
    }
    verify_slices_are_equal(computed, in_file).is_ok()
}

/// Fuzz targets change a file without computing its MAC again.
#[cfg(fuzzing)]
pub(in crate::key) mod fuzzing {
    use std::sync::atomic::{AtomicBool, Ordering};

    static ACCEPT_CORRUPTION: AtomicBool = AtomicBool::new(false);

    pub(super) fn accepts_corruption() -> bool {
        ACCEPT_CORRUPTION.load(Ordering::Relaxed)
    }

    /// Sets whether files with a wrong MAC or digest are opened. Process-wide.
    pub fn set_accept_corruption(accept: bool) {
        ACCEPT_CORRUPTION.store(accept, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_digests_are_intact() {
        assert!(is_intact(b"digest", b"digest"));
        for other in [&b"digesT"[..], b"diges", b"digest0", b""] {
            assert!(!is_intact(b"digest", other), "{other:?}");
        }
    }
}
