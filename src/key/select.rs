//! Selection of a store entry: by alias, or the only key.
//!
//! Java lower-cases the aliases in its stores, but users type them as they chose them: an exact match comes
//! first, then a case-insensitive match.

use crate::base::error::Result;
use crate::key::message::{join_with_and, quote};
use crate::key::source::KeySource;

/// Maximum number of entries listed in a message.
const MAX_LISTED_ENTRIES: usize = 12;

/// Kind of a store entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    PrivateKey,
    TrustedCertificate,
    SecretKey,
}

/// Returns the index in `entries` (alias and kind) of the key that `source` selects.
pub(super) fn select_entry(source: &KeySource, entries: &[(String, EntryKind)]) -> Result<usize> {
    let keys = matching_indices(entries, |_, kind| kind == EntryKind::PrivateKey);
    if keys.is_empty() {
        let available = if entries.is_empty() { "nothing".to_owned() } else { list_entries(entries) };
        return Err(source.not_found_error(format!("has no private key; it contains {available}")));
    }
    match source.alias() {
        Some(alias) => select_by_alias(source, entries, alias),
        None => match *keys {
            [only] => Ok(only),
            _ => Err(source.not_found_error(format!(
                "has several keys: {} (set {})",
                list_entries(entries),
                source.option_names().alias
            ))),
        },
    }
}

fn select_by_alias(source: &KeySource, entries: &[(String, EntryKind)], requested: &str) -> Result<usize> {
    let folded = requested.to_lowercase();
    let is_equal = |alias: &str| alias == requested;
    let equals_ignoring_case = |alias: &str| alias.to_lowercase() == folded;
    for found in [
        matching_indices(entries, |alias, kind| kind == EntryKind::PrivateKey && is_equal(alias)),
        matching_indices(entries, |alias, kind| kind == EntryKind::PrivateKey && equals_ignoring_case(alias)),
    ] {
        match *found {
            [] => {}
            [only] => return Ok(only),
            _ => {
                return Err(source.not_found_error(format!(
                    "contains {} keys with the alias {} ({})",
                    found.len(),
                    quote(requested),
                    list_entries(entries)
                )));
            }
        }
    }
    let problem = match entries.iter().find(|(alias, _)| equals_ignoring_case(alias)) {
        Some((alias, EntryKind::TrustedCertificate)) => {
            format!("has only a trusted certificate with alias {}", quote(alias))
        }
        Some((alias, _)) => format!("has only a secret key with alias {}", quote(alias)),
        None => format!("has no key with alias {}", quote(requested)),
    };
    Err(source.not_found_error(format!(
        "{problem}; available: {} (set {})",
        list_entries(entries),
        source.option_names().alias
    )))
}

fn matching_indices(
    entries: &[(String, EntryKind)],
    predicate: impl Fn(&str, EntryKind) -> bool,
) -> Vec<usize> {
    let numbered = entries.iter().enumerate();
    numbered.filter(|(_, (alias, kind))| predicate(alias, *kind)).map(|(index, _)| index).collect()
}

fn list_entries(entries: &[(String, EntryKind)]) -> String {
    let mut names: Vec<_> = entries.iter().take(MAX_LISTED_ENTRIES).map(describe_entry).collect();
    let more = entries.len().saturating_sub(MAX_LISTED_ENTRIES);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    join_with_and(names)
}

fn describe_entry((alias, kind): &(String, EntryKind)) -> String {
    match kind {
        EntryKind::PrivateKey => quote(alias),
        EntryKind::TrustedCertificate => format!("{} (a trusted certificate)", quote(alias)),
        EntryKind::SecretKey => format!("{} (a secret key)", quote(alias)),
    }
}
