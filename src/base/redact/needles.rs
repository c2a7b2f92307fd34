//! Search patterns of the redactor: short pieces of the secrets, each of which fits into an integer.
//!
//! The set of all pieces of [`MIN_INNER_LEN`] bytes finds a secret and every longer part of it in one pass
//! over the text, in linear time, wherever the part begins and ends.

use std::collections::{BTreeSet, VecDeque};

use zeroize::Zeroizing;

use super::view::DecodedView;
use crate::base::sanitize::is_unsafe;

/// Minimum length of a prefix or suffix of a secret that is redacted.
const MIN_EDGE_LEN: usize = 8;

/// Minimum length of any other part of a secret that is redacted. Shorter secrets are redacted as a whole
/// only.
const MIN_INNER_LEN: usize = 12;

/// Maximum length of a piece: the number of bytes in a `u128`.
const MAX_PIECE_LEN: usize = 16;

/// Pieces of one length, sorted.
struct PieceTable {
    length: usize,
    pieces: Zeroizing<Vec<u128>>,
}

impl PieceTable {
    fn new(length: usize, pieces: Zeroizing<Vec<u128>>) -> Self {
        let mut pieces = pieces;
        pieces.sort_unstable();
        Self { length, pieces }
    }

    /// All pieces of `length` bytes in `secret`.
    fn from_windows(secret: &[u8], length: usize) -> Self {
        let windows = secret.windows(length);
        let mut pieces = Zeroizing::new(Vec::with_capacity(windows.len()));
        pieces.extend(windows.map(pack_bytes));
        Self::new(length, pieces)
    }

    fn contains(&self, piece: u128) -> bool {
        self.pieces.binary_search(&piece).is_ok()
    }
}

/// The pieces of all secrets.
#[derive(Default)]
pub(super) struct Needles {
    /// Pieces of secrets, compared without whitespace, `+` and invisible characters.
    loose: Vec<PieceTable>,
    /// Pieces of short secrets, compared with those characters.
    strict: Vec<PieceTable>,
    /// Pieces of texts that are redacted as a whole only, each with the number of consecutive matches of the
    /// whole.
    whole: Vec<(PieceTable, usize)>,
}

impl Needles {
    /// Adds a secret. Every part of a long secret is redacted, too.
    pub(super) fn add(&mut self, secret: &DecodedView) {
        let loose = collect_bytes(normalize_loose(secret));
        if loose.len() >= MIN_INNER_LEN {
            for length in MIN_EDGE_LEN..MIN_INNER_LEN {
                let first = loose.get(..length);
                let last = loose.get(loose.len().saturating_sub(length)..);
                for edge in first.into_iter().chain(last) {
                    self.loose.push(PieceTable::from_windows(edge, length));
                }
            }
            self.loose.push(PieceTable::from_windows(&loose, MIN_INNER_LEN));
        } else if loose.len() >= MIN_EDGE_LEN {
            self.loose.push(PieceTable::from_windows(&loose, loose.len()));
        } else {
            let strict = collect_bytes(normalize_strict(secret));
            self.strict.push(PieceTable::from_windows(&strict, strict.len().min(MAX_PIECE_LEN)));
        }
    }

    /// Adds a text that is redacted as a whole only, because its parts occur in many texts.
    pub(super) fn add_whole(&mut self, secret: &DecodedView) {
        let loose = collect_bytes(normalize_loose(secret));
        if let Some(excess) = loose.len().checked_sub(MIN_INNER_LEN) {
            self.whole.push((PieceTable::from_windows(&loose, MIN_INNER_LEN), excess.saturating_add(1)));
        } else {
            self.add(secret);
        }
    }

    /// Merges the tables into one for each length of pieces.
    pub(super) fn merge(self) -> Self {
        Self { loose: merge_tables(&self.loose), strict: merge_tables(&self.strict), whole: self.whole }
    }

    /// Sets `marks`, which has a flag for each byte of the text, where `view` contains a secret.
    pub(super) fn mark(&self, view: &DecodedView, marks: &mut [bool]) {
        mark_matches(&self.strict, normalize_strict(view), marks);
        mark_matches(&self.loose, normalize_loose(view), marks);
        for (table, run_len) in &self.whole {
            mark_runs(table, *run_len, normalize_loose(view), marks);
        }
    }
}

fn merge_tables(tables: &[PieceTable]) -> Vec<PieceTable> {
    let lengths: BTreeSet<usize> = tables.iter().map(|table| table.length).collect();
    let merge_length = |length: usize| {
        let matching = tables.iter().filter(move |table| table.length == length);
        let count = matching.clone().fold(0_usize, |sum, table| sum.saturating_add(table.pieces.len()));
        let mut pieces = Zeroizing::new(Vec::with_capacity(count));
        matching.for_each(|table| pieces.extend_from_slice(&table.pieces));
        PieceTable::new(length, pieces)
    };
    lengths.into_iter().map(merge_length).collect()
}

/// The bytes of a view that are compared, each with its start and end in the original text.
trait NormalizedBytes: Iterator<Item = (u8, u32, u32)> {}

impl<T: Iterator<Item = (u8, u32, u32)>> NormalizedBytes for T {}

/// Lowercases, and replaces `+` by a space.
fn normalize_strict(view: &DecodedView) -> impl NormalizedBytes {
    view.iter()
        .map(|(byte, (start, end))| (if byte == b'+' { b' ' } else { byte.to_ascii_lowercase() }, start, end))
}

/// Lowercases, and removes whitespace, `+` and invisible characters.
fn normalize_loose(view: &DecodedView) -> impl NormalizedBytes {
    let mut skip: usize = 0;
    view.iter().enumerate().filter_map(move |(offset, (byte, (start, end)))| {
        if skip == 0 {
            skip = ignorable_char_len(view.bytes_from(offset));
        }
        if skip > 0 {
            skip = skip.saturating_sub(1);
            return None;
        }
        Some((byte.to_ascii_lowercase(), start, end))
    })
}

/// The length in bytes of the first character of `text` if it is ignored, otherwise 0.
fn ignorable_char_len(text: &[u8]) -> usize {
    let Some(first) = text.first() else { return 0 };
    let length = match first {
        0..0x80 => {
            return usize::from(first.is_ascii_whitespace() || first.is_ascii_control() || *first == b'+');
        }
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return 0,
    };
    let c = text.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()?.chars().next());
    c.filter(|c| c.is_whitespace() || is_unsafe(*c)).map_or(0, |_| length)
}

/// Collects the bytes of a secret in a buffer that does not grow: the size hint is the length of the view.
fn collect_bytes(bytes: impl NormalizedBytes) -> Zeroizing<Vec<u8>> {
    let mut collected = Zeroizing::new(Vec::with_capacity(bytes.size_hint().1.unwrap_or_default()));
    collected.extend(bytes.map(|(byte, ..)| byte));
    collected
}

fn pack_bytes(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

fn piece_mask(length: usize) -> u128 {
    let unused = MAX_PIECE_LEN.saturating_sub(length).saturating_mul(8);
    u32::try_from(unused).ok().and_then(|unused| u128::MAX.checked_shr(unused)).unwrap_or(0)
}

/// The most recent bytes of a text, each with its start in the original text.
struct ByteWindow {
    bytes: u128,
    starts: VecDeque<u32>,
}

impl ByteWindow {
    fn new() -> Self {
        Self { bytes: 0, starts: VecDeque::with_capacity(MAX_PIECE_LEN.saturating_add(1)) }
    }

    fn push(&mut self, byte: u8, start: u32) {
        self.bytes = self.bytes << 8 | u128::from(byte);
        self.starts.push_back(start);
        if self.starts.len() > MAX_PIECE_LEN {
            self.starts.pop_front();
        }
    }

    /// The start of the most recent `table.length` bytes, if `table` contains them.
    fn match_start(&self, table: &PieceTable, mask: u128) -> Option<u32> {
        let start = self.starts.get(self.starts.len().checked_sub(table.length)?)?;
        table.contains(self.bytes & mask).then_some(*start)
    }
}

fn mark_matches(tables: &[PieceTable], bytes: impl NormalizedBytes, marks: &mut [bool]) {
    let tables: Vec<_> = tables.iter().map(|table| (table, piece_mask(table.length))).collect();
    if tables.is_empty() {
        return;
    }
    let mut window = ByteWindow::new();
    for (byte, start, end) in bytes {
        window.push(byte, start);
        for (table, mask) in &tables {
            if let Some(start) = window.match_start(table, *mask) {
                mark_range(marks, start, end);
            }
        }
    }
}

/// Marks runs of at least `run_len` consecutive matches.
fn mark_runs(table: &PieceTable, run_len: usize, bytes: impl NormalizedBytes, marks: &mut [bool]) {
    let mask = piece_mask(table.length);
    let mut window = ByteWindow::new();
    let mut run: Option<(u32, usize)> = None;
    for (byte, start, end) in bytes {
        window.push(byte, start);
        run = window.match_start(table, mask).map(|start| match run {
            Some((run_start, count)) => (run_start, count.saturating_add(1)),
            None => (start, 1),
        });
        // Marks the whole run once, then only each further byte: marking the run again would take quadratic
        // time.
        if let Some((run_start, count)) = run
            && count >= run_len
        {
            mark_range(marks, if count == run_len { run_start } else { start }, end);
        }
    }
}

fn mark_range(marks: &mut [bool], start: u32, end: u32) {
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
    if let Some(marks) = marks.get_mut(range) {
        marks.fill(true);
    }
}
