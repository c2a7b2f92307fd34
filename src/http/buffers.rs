//! The buffers of one connection: wiped when dropped and when the connection goes to rest, never moved by growing.
//!
//! Requests carry secrets and answers carry tokens; ureq's own buffers would leave both in freed memory.

use ureq::unversioned::transport::Buffers;
use zeroize::optimization_barrier;

/// Two areas of fixed sizes, made when first used.
pub(super) struct Wiped {
    sizes: (usize, usize),
    input: Vec<u8>,
    output: Vec<u8>,
    consumed: usize,
    filled: usize,
    progress: bool,
    /// How far each has been written to since it was wiped.
    used: (usize, usize),
}

impl Wiped {
    pub(super) fn new(input: usize, output: usize) -> Self {
        Self {
            sizes: (input, output),
            input: Vec::new(),
            output: Vec::new(),
            consumed: 0,
            filled: 0,
            progress: false,
            used: (0, 0),
        }
    }

    /// What was written to the output: so much.
    pub(super) fn written(&mut self, amount: usize) -> &[u8] {
        self.used.1 = self.used.1.max(amount);
        self.output.get(..amount).unwrap_or_default()
    }

    /// Wipes what was written; for a connection that goes to rest. Both stay, as wiping and making so much anew takes
    /// longer than much of the rest of a request.
    pub(super) fn rest(&mut self) {
        let (input, output) = std::mem::take(&mut self.used);
        wipe(self.input.get_mut(..input).unwrap_or_default());
        wipe(self.output.get_mut(..output).unwrap_or_default());
        (self.consumed, self.filled, self.progress) = (0, 0, false);
    }

    fn allocate(&mut self) {
        if self.input.is_empty() {
            self.input = vec![0; self.sizes.0];
            self.output = vec![0; self.sizes.1];
        }
    }

    fn free(&mut self) -> &mut [u8] {
        if self.consumed > 0 {
            self.input.copy_within(self.consumed..self.filled, 0);
            self.filled = self.filled.saturating_sub(self.consumed);
            self.consumed = 0;
        }
        self.input.get_mut(self.filled..).unwrap_or_default()
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        for area in [&mut self.input, &mut self.output] {
            wipe(area);
        }
    }
}

/// All at once: byte by byte, as zeroize itself does it, so much memory takes longer than the rest of a request.
fn wipe(area: &mut [u8]) {
    area.fill(0);
    optimization_barrier(area);
}

/// What fits into one record of TLS.
const RECORD: usize = 16 << 10;

/// What is written and not yet sent: at most what fits into one record.
#[derive(Default)]
pub(super) struct Unsent(Vec<u8>);

impl Unsent {
    /// Takes what there is room for of `text`, and says how much.
    pub(super) fn take(&mut self, text: &[u8]) -> usize {
        // All at once: growing would leave copies behind.
        self.0.reserve_exact(RECORD.saturating_sub(self.0.len()));
        let amount = RECORD.saturating_sub(self.0.len()).min(text.len());
        self.0.extend_from_slice(text.get(..amount).unwrap_or_default());
        amount
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.0
    }

    /// Wipes and frees it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl Buffers for Wiped {
    fn output(&mut self) -> &mut [u8] {
        self.allocate();
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        self.input.get(self.consumed..self.filled).unwrap_or_default()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.allocate();
        self.free()
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled = self.filled.saturating_add(amount).min(self.input.len());
        self.used.0 = self.used.0.max(self.filled);
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.consumed = self.consumed.saturating_add(amount).min(self.filled);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.allocate();
        // The other is for bodies of unknown length, and there are none.
        (&mut [], &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.progress && self.consumed < self.filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(buffers: &mut Wiped, text: &[u8]) {
        buffers.input_append_buf()[..text.len()].copy_from_slice(text);
        buffers.input_appended(text.len());
    }

    #[test]
    fn what_was_not_consumed_stays_in_front_of_what_comes() {
        let mut buffers = Wiped::new(8, 8);
        append(&mut buffers, b"abcdef");
        buffers.input_consume(4);
        append(&mut buffers, b"ghijkl");
        assert_eq!(buffers.input(), b"efghijkl");
        assert!(buffers.input_append_buf().is_empty());
    }

    #[test]
    fn input_that_made_no_progress_is_not_offered_again() {
        let mut buffers = Wiped::new(8, 8);
        append(&mut buffers, b"ab");
        buffers.input_consume(0);
        assert!(!buffers.can_use_input());
        buffers.input_consume(1);
        assert!(buffers.can_use_input());
    }

    #[test]
    fn whatever_was_written_is_wiped_at_rest() {
        let mut buffers = Wiped::new(8, 8);
        append(&mut buffers, b"abcdef");
        buffers.input_consume(2);
        append(&mut buffers, b"gh");
        buffers.output()[..5].copy_from_slice(b"token");
        assert_eq!(buffers.written(5), b"token");
        assert_eq!(buffers.written(2), b"to");
        buffers.rest();
        assert_eq!((buffers.input.as_slice(), buffers.output.as_slice()), (&[0; 8][..], &[0; 8][..]));
        assert!(buffers.input().is_empty());
        append(&mut buffers, b"abcdefgh");
        assert_eq!(buffers.input(), b"abcdefgh");
    }
}
