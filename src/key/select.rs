//! Which entry of a store is meant: by alias, or the only key there is.
//!
//! Java lower-cases the aliases of its stores, and people type them as they named them: an exact match comes first,
//! then one that differs in case only.

use super::KeySource;
use crate::base::error::Result;

/// More names than these are not listed in a message.
const MAX_LISTED_ENTRIES: usize = 12;

/// What an entry of a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    PrivateKey,
    TrustedCertificate,
    SecretKey,
}

/// The place in `entries` (alias and kind) of the key that `source` asks for.
pub(super) fn select_entry(source: &KeySource, entries: &[(String, EntryKind)]) -> Result<usize> {
    let keys = matching_indices(entries, |_, kind| kind == EntryKind::PrivateKey);
    if keys.is_empty() {
        let held = if entries.is_empty() { "nothing".to_owned() } else { list_entries(entries) };
        return Err(source.not_found_error(format!("has no private key; it has {held}")));
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

fn select_by_alias(source: &KeySource, entries: &[(String, EntryKind)], wanted: &str) -> Result<usize> {
    let folded = wanted.to_lowercase();
    let same = |alias: &str| alias == wanted;
    let alike = |alias: &str| alias.to_lowercase() == folded;
    for found in [
        matching_indices(entries, |alias, kind| kind == EntryKind::PrivateKey && same(alias)),
        matching_indices(entries, |alias, kind| kind == EntryKind::PrivateKey && alike(alias)),
    ] {
        match *found {
            [] => {}
            [only] => return Ok(only),
            _ => {
                return Err(source.not_found_error(format!(
                    "has {} keys with the alias {}; it has {}",
                    found.len(),
                    quote(wanted),
                    list_entries(entries)
                )));
            }
        }
    }
    let what = match entries.iter().find(|(alias, _)| alike(alias)) {
        Some((alias, EntryKind::TrustedCertificate)) => {
            format!("has only a trusted certificate as {}", quote(alias))
        }
        Some((alias, _)) => format!("has only a secret key as {}", quote(alias)),
        None => format!("has no alias {}", quote(wanted)),
    };
    Err(source.not_found_error(format!(
        "{what}; it has {} (set {})",
        list_entries(entries),
        source.option_names().alias
    )))
}

fn matching_indices(entries: &[(String, EntryKind)], wanted: impl Fn(&str, EntryKind) -> bool) -> Vec<usize> {
    let numbered = entries.iter().enumerate();
    numbered.filter(|(_, (alias, kind))| wanted(alias, *kind)).map(|(place, _)| place).collect()
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

/// `a, b and c`.
pub(super) fn join_with_and(mut names: Vec<String>) -> String {
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}

/// A name out of a file, fit for one line of a message.
pub(super) fn quote(name: &str) -> String {
    let shown = name.chars().filter(|letter| !letter.is_control()).take(100);
    format!("\"{}\"", shown.collect::<String>())
}
