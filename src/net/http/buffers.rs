//! Zeroizing input and output buffers of a connection.
//!
//! Requests contain secrets and responses contain tokens; ureq's own buffers would leave both in freed
//! memory. These buffers are wiped when dropped and when the connection becomes idle. They never grow,
//! because growing would move their content.

use ureq::unversioned::transport::Buffers;

use crate::base::secret::wipe;

/// Two buffers of fixed sizes, allocated on first use.
pub(super) struct ZeroizingBuffers {
    sizes: (usize, usize),
    input: Vec<u8>,
    output: Vec<u8>,
    consumed: usize,
    filled: usize,
    progress: bool,
    /// Length of the output that is written but not sent.
    unsent: usize,
    /// Number of leading bytes of each buffer that were written since it was wiped.
    dirty_len: (usize, usize),
}

impl ZeroizingBuffers {
    pub(super) fn new(input: usize, output: usize) -> Self {
        Self {
            sizes: (input, output),
            input: Vec::new(),
            output: Vec::new(),
            consumed: 0,
            filled: 0,
            progress: false,
            unsent: 0,
            dirty_len: (0, 0),
        }
    }

    /// Records that `amount` more bytes were written to the output.
    pub(super) fn mark_written(&mut self, amount: usize) {
        self.unsent = self.unsent.saturating_add(amount).min(self.output.len());
        self.dirty_len.1 = self.dirty_len.1.max(self.unsent);
    }

    /// The output that is written but not sent.
    pub(super) fn unsent(&self) -> &[u8] {
        self.output.get(..self.unsent).unwrap_or_default()
    }

    /// Records that all output was sent.
    pub(super) fn mark_sent(&mut self) {
        self.unsent = 0;
    }

    /// Whether neither buffer was written to since it was wiped.
    pub(super) fn is_wiped(&self) -> bool {
        self.dirty_len == (0, 0)
    }

    /// Wipes the written bytes; called when the connection becomes idle. The allocations are kept, because
    /// reallocating and zeroing buffers of this size would take a considerable part of the time of a request.
    pub(super) fn wipe_used(&mut self) {
        let (input, output) = std::mem::take(&mut self.dirty_len);
        wipe(self.input.get_mut(..input).unwrap_or_default());
        wipe(self.output.get_mut(..output).unwrap_or_default());
        (self.consumed, self.filled, self.progress, self.unsent) = (0, 0, false, 0);
    }

    fn allocate(&mut self) {
        if self.input.is_empty() {
            self.input = vec![0; self.sizes.0];
            self.output = vec![0; self.sizes.1];
        }
    }

    fn spare(&mut self) -> &mut [u8] {
        if self.consumed > 0 {
            self.input.copy_within(self.consumed..self.filled, 0);
            self.filled = self.filled.saturating_sub(self.consumed);
            self.consumed = 0;
        }
        self.input.get_mut(self.filled..).unwrap_or_default()
    }
}

impl Drop for ZeroizingBuffers {
    fn drop(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            wipe(buffer);
        }
    }
}

impl Buffers for ZeroizingBuffers {
    /// The space after the unsent bytes, so that head and body of a request can be sent together.
    fn output(&mut self) -> &mut [u8] {
        self.allocate();
        self.output.get_mut(self.unsent..).unwrap_or_default()
    }

    fn input(&self) -> &[u8] {
        self.input.get(self.consumed..self.filled).unwrap_or_default()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.allocate();
        self.spare()
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled = self.filled.saturating_add(amount).min(self.input.len());
        self.dirty_len.0 = self.dirty_len.0.max(self.filled);
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.consumed = self.consumed.saturating_add(amount).min(self.filled);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        // The temporary buffer is for bodies of unknown length, which are never sent.
        (&mut [], self.output())
    }

    fn can_use_input(&self) -> bool {
        self.progress && self.consumed < self.filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append_input(buffers: &mut ZeroizingBuffers, text: &[u8]) {
        buffers.input_append_buf()[..text.len()].copy_from_slice(text);
        buffers.input_appended(text.len());
    }

    #[test]
    fn unconsumed_input_precedes_appended_input() {
        let mut buffers = ZeroizingBuffers::new(8, 8);
        append_input(&mut buffers, b"abcdef");
        buffers.input_consume(4);
        append_input(&mut buffers, b"ghijkl");
        assert_eq!(buffers.input(), b"efghijkl");
        assert!(buffers.input_append_buf().is_empty());
    }

    #[test]
    fn input_without_progress_cannot_be_used() {
        let mut buffers = ZeroizingBuffers::new(8, 8);
        append_input(&mut buffers, b"ab");
        buffers.input_consume(0);
        assert!(!buffers.can_use_input());
        buffers.input_consume(1);
        assert!(buffers.can_use_input());
    }

    #[test]
    fn unsent_writes_are_coalesced() {
        let mut buffers = ZeroizingBuffers::new(8, 8);
        for text in [b"head".as_slice(), b"bo"] {
            buffers.output()[..text.len()].copy_from_slice(text);
            buffers.mark_written(text.len());
        }
        assert_eq!(buffers.unsent(), b"headbo");
        assert_eq!(buffers.output().len(), 2);
        buffers.mark_sent();
        assert!(buffers.unsent().is_empty());
        assert_eq!(buffers.output().len(), 8);
    }

    #[test]
    fn wipe_used_zeroes_all_written_bytes() {
        let mut buffers = ZeroizingBuffers::new(8, 8);
        append_input(&mut buffers, b"abcdef");
        buffers.input_consume(2);
        append_input(&mut buffers, b"gh");
        buffers.output()[..5].copy_from_slice(b"token");
        buffers.mark_written(5);
        buffers.mark_sent();
        buffers.output()[..2].copy_from_slice(b"no");
        buffers.mark_written(2);
        assert!(!buffers.is_wiped());
        buffers.wipe_used();
        assert!(buffers.is_wiped() && buffers.unsent().is_empty());
        assert_eq!((buffers.input.as_slice(), buffers.output.as_slice()), (&[0; 8][..], &[0; 8][..]));
        assert!(buffers.input().is_empty());
        append_input(&mut buffers, b"abcdefgh");
        assert_eq!(buffers.input(), b"abcdefgh");
    }
}
