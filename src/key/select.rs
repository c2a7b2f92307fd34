//! Which entry of a store is meant: by alias, or the only key there is.
//!
//! Java lower-cases the aliases of its stores, and people type them as they named them: an exact match comes first,
//! then one that differs in case only.

use super::KeySource;
use crate::base::error::Result;

/// More names than these are not listed in a message.
const LISTED: usize = 12;

/// What an entry of a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Certificate,
    Secret,
}

/// The place in `entries` (alias and kind) of the key that `source` asks for.
pub(super) fn choose(source: &KeySource, entries: &[(String, Kind)]) -> Result<usize> {
    let keys = places(entries, |_, kind| kind == Kind::Key);
    if keys.is_empty() {
        let held = if entries.is_empty() { "nothing".to_owned() } else { list(entries) };
        return Err(source.not_found(format!("has no private key; it has {held}")));
    }
    match source.alias() {
        Some(alias) => by_alias(source, entries, alias),
        None => match *keys {
            [only] => Ok(only),
            _ => Err(source.not_found(format!(
                "has several keys: {} (set {})",
                list(entries),
                source.words().alias
            ))),
        },
    }
}

fn by_alias(source: &KeySource, entries: &[(String, Kind)], wanted: &str) -> Result<usize> {
    let folded = wanted.to_lowercase();
    let same = |alias: &str| alias == wanted;
    let alike = |alias: &str| alias.to_lowercase() == folded;
    for found in [
        places(entries, |alias, kind| kind == Kind::Key && same(alias)),
        places(entries, |alias, kind| kind == Kind::Key && alike(alias)),
    ] {
        match *found {
            [] => {}
            [only] => return Ok(only),
            _ => {
                return Err(source.not_found(format!(
                    "has {} keys with the alias {}; it has {}",
                    found.len(),
                    quoted(wanted),
                    list(entries)
                )));
            }
        }
    }
    let what = match entries.iter().find(|(alias, _)| alike(alias)) {
        Some((alias, Kind::Certificate)) => format!("has only a trusted certificate as {}", quoted(alias)),
        Some((alias, _)) => format!("has only a secret key as {}", quoted(alias)),
        None => format!("has no alias {}", quoted(wanted)),
    };
    Err(source.not_found(format!("{what}; it has {} (set {})", list(entries), source.words().alias)))
}

fn places(entries: &[(String, Kind)], wanted: impl Fn(&str, Kind) -> bool) -> Vec<usize> {
    let numbered = entries.iter().enumerate();
    numbered.filter(|(_, (alias, kind))| wanted(alias, *kind)).map(|(place, _)| place).collect()
}

fn list(entries: &[(String, Kind)]) -> String {
    let mut names: Vec<_> = entries.iter().take(LISTED).map(described).collect();
    let more = entries.len().saturating_sub(LISTED);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    joined(names)
}

fn described((alias, kind): &(String, Kind)) -> String {
    match kind {
        Kind::Key => quoted(alias),
        Kind::Certificate => format!("{} (a trusted certificate)", quoted(alias)),
        Kind::Secret => format!("{} (a secret key)", quoted(alias)),
    }
}

/// `a, b and c`.
pub(super) fn joined(mut names: Vec<String>) -> String {
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}

/// A name out of a file, fit for one line of a message.
pub(super) fn quoted(name: &str) -> String {
    let shown = name.chars().filter(|letter| !letter.is_control()).take(100);
    format!("\"{}\"", shown.collect::<String>())
}
