//! What is searched for: short pieces of the secrets, each of which fits into an integer.
//!
//! All pieces of [`INNER`] bytes together find a secret and every longer part of it in one pass, in time that is linear in
//! the text, and however it is cut.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::view::DecodedView;
use crate::base::sanitize::is_unsafe;

/// The shortest part at the beginning or the end of a secret that is redacted.
const MIN_EDGE_LEN: usize = 8;

/// The shortest part of a secret that is redacted, wherever in it; shorter secrets are redacted as a whole only.
const MIN_INNER_LEN: usize = 12;

/// More bytes than these do not fit into an integer.
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

    /// Every piece of so many bytes in `secret`.
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

/// Pieces of secrets.
#[derive(Default)]
pub(super) struct Needles {
    /// Of texts without white space, `+` and what cannot be seen.
    loose: Vec<PieceTable>,
    /// Of short texts with them.
    strict: Vec<PieceTable>,
    /// Of texts that are redacted as a whole only.
    whole: Vec<(PieceTable, usize)>,
}

impl Needles {
    /// Adds a secret. A long one is found by every part of it.
    pub(super) fn add(&mut self, secret: &DecodedView) {
        let loose = collect_bytes(normalize_loose(secret), secret);
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
            let strict = collect_bytes(normalize_strict(secret), secret);
            self.strict.push(PieceTable::from_windows(&strict, strict.len().min(MAX_PIECE_LEN)));
        }
    }

    /// Adds a text that is redacted as a whole only, since parts of it are in many texts.
    pub(super) fn add_whole(&mut self, secret: &DecodedView) {
        let loose = collect_bytes(normalize_loose(secret), secret);
        if let Some(run) = loose.len().checked_sub(MIN_INNER_LEN) {
            self.whole.push((PieceTable::from_windows(&loose, MIN_INNER_LEN), run.saturating_add(1)));
        } else {
            self.add(secret);
        }
    }

    /// As few tables as there are lengths of pieces.
    pub(super) fn merge(&mut self) {
        for tables in [&mut self.loose, &mut self.strict] {
            *tables = merge_tables(tables);
        }
    }

    /// Marks in `secret`, which has a flag for each byte of the text, what of `view` is secret.
    pub(super) fn mark(&self, view: &DecodedView, secret: &mut [bool]) {
        mark_matches(&self.strict, normalize_strict(view), secret);
        mark_matches(&self.loose, normalize_loose(view), secret);
        for (table, run) in &self.whole {
            mark_runs(table, *run, normalize_loose(view), secret);
        }
    }
}

fn merge_tables(tables: &[PieceTable]) -> Vec<PieceTable> {
    let of_length = |length: usize| {
        let found = tables.iter().filter(move |table| table.length == length);
        let count = found.clone().fold(0_usize, |sum, table| sum.saturating_add(table.pieces.len()));
        let mut pieces = Zeroizing::new(Vec::with_capacity(count));
        found.for_each(|table| pieces.extend_from_slice(&table.pieces));
        Some(PieceTable::new(length, pieces)).filter(|_| count > 0)
    };
    (1..=MAX_PIECE_LEN).filter_map(of_length).collect()
}

/// The bytes of a view, with their places in it, that are compared.
trait NormalizedBytes: Iterator<Item = (u8, u32, u32)> {}

impl<T: Iterator<Item = (u8, u32, u32)>> NormalizedBytes for T {}

/// In lower case, a `+` as a space.
fn normalize_strict(view: &DecodedView) -> impl NormalizedBytes {
    view.iter()
        .map(|(byte, (start, end))| (if byte == b'+' { b' ' } else { byte.to_ascii_lowercase() }, start, end))
}

/// In lower case, without white space, `+` and what cannot be seen.
fn normalize_loose(view: &DecodedView) -> impl NormalizedBytes {
    let mut skip: usize = 0;
    view.iter().enumerate().filter_map(move |(place, (byte, (start, end)))| {
        if skip == 0 {
            skip = ignorable_char_len(view.bytes_from(place));
        }
        if skip > 0 {
            skip = skip.saturating_sub(1);
            return None;
        }
        Some((byte.to_ascii_lowercase(), start, end))
    })
}

/// The length of the character at the beginning of `text`, if it is left out.
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

fn collect_bytes(bytes: impl NormalizedBytes, view: &DecodedView) -> Zeroizing<Vec<u8>> {
    let mut collected = Zeroizing::new(Vec::with_capacity(view.len()));
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

/// The last bytes of a text, with where each begins.
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

    /// Where the last bytes begin, if they are in `table`.
    fn match_start(&self, table: &PieceTable, mask: u128) -> Option<u32> {
        let start = self.starts.get(self.starts.len().checked_sub(table.length)?)?;
        table.contains(self.bytes & mask).then_some(*start)
    }
}

fn mark_matches(tables: &[PieceTable], bytes: impl NormalizedBytes, secret: &mut [bool]) {
    let tables: Vec<_> = tables.iter().map(|table| (table, piece_mask(table.length))).collect();
    if tables.is_empty() {
        return;
    }
    let mut window = ByteWindow::new();
    for (byte, start, end) in bytes {
        window.push(byte, start);
        for (table, mask) in &tables {
            if let Some(start) = window.match_start(table, *mask) {
                mark_range(secret, start, end);
            }
        }
    }
}

/// Marks where so many pieces follow each other.
fn mark_runs(table: &PieceTable, run: usize, bytes: impl NormalizedBytes, secret: &mut [bool]) {
    let mask = piece_mask(table.length);
    let mut window = ByteWindow::new();
    let mut found: Option<(u32, usize)> = None;
    for (byte, start, end) in bytes {
        window.push(byte, start);
        found = window.match_start(table, mask).map(|start| match found {
            Some((first, count)) => (first, count.saturating_add(1)),
            None => (start, 1),
        });
        // As the whole is found, and for each byte beyond it: marking all of it again would take too long.
        match found {
            Some((first, count)) if count == run => mark_range(secret, first, end),
            Some((_, count)) if count > run => mark_range(secret, start, end),
            _ => {}
        }
    }
}

fn mark_range(secret: &mut [bool], start: u32, end: u32) {
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
    if let Some(bytes) = secret.get_mut(range) {
        bytes.fill(true);
    }
}
