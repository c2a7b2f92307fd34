//! Selection of a store entry: by alias, or the only key.
//!
//! Java lower-cases the aliases in its stores, but users type them as they chose them; macOS decomposes
//! accented letters; some writers of PKCS#12 end names with a NUL character. So an exact match comes first,
//! then one of the normalized names. Windows names a key `{GUID}` and only its certificate as the user knows
//! it: the name of the certificate comes last.

use unicode_normalization::UnicodeNormalization;

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

/// Entry of a store, for selection and messages.
#[derive(Clone, Debug)]
pub(super) struct StoreEntry {
    pub(super) alias: String,
    /// Name of the key's certificate, if the store has one that differs from `alias`.
    pub(super) certificate_alias: Option<String>,
    pub(super) kind: EntryKind,
}

impl StoreEntry {
    pub(super) fn new(alias: String, kind: EntryKind) -> Self {
        Self { alias, certificate_alias: None, kind }
    }
}

/// Returns the index in `entries` of the key that `source` selects.
pub(super) fn select_entry(source: &KeySource, entries: &[StoreEntry]) -> Result<usize> {
    let keys = matching_keys(entries, |_| true);
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

fn select_by_alias(source: &KeySource, entries: &[StoreEntry], requested: &str) -> Result<usize> {
    let folded = fold_alias(requested);
    let certificate_alias = |entry: &StoreEntry| entry.certificate_alias.clone();
    for found in [
        matching_keys(entries, |entry| entry.alias == requested),
        matching_keys(entries, |entry| fold_alias(&entry.alias) == folded),
        matching_keys(entries, |entry| certificate_alias(entry).is_some_and(|alias| alias == requested)),
        matching_keys(entries, |entry| {
            certificate_alias(entry).is_some_and(|alias| fold_alias(&alias) == folded)
        }),
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
    let problem = match entries.iter().find(|entry| fold_alias(&entry.alias) == folded) {
        Some(StoreEntry { alias, kind: EntryKind::TrustedCertificate, .. }) => {
            format!("has only a trusted certificate with alias {}", quote(alias))
        }
        Some(StoreEntry { alias, .. }) => format!("has only a secret key with alias {}", quote(alias)),
        None => format!("has no key with alias {}", quote(requested)),
    };
    Err(source.not_found_error(format!(
        "{problem}; available: {} (set {})",
        list_entries(entries),
        source.option_names().alias
    )))
}

/// Normalizes an alias for comparison: without trailing NUL characters, in NFC, in lower case.
pub(super) fn fold_alias(alias: &str) -> String {
    alias.trim_end_matches('\0').nfc().collect::<String>().to_lowercase()
}

fn matching_keys(entries: &[StoreEntry], predicate: impl Fn(&StoreEntry) -> bool) -> Vec<usize> {
    let is_match = |entry: &StoreEntry| entry.kind == EntryKind::PrivateKey && predicate(entry);
    let numbered = entries.iter().enumerate();
    numbered.filter(|(_, entry)| is_match(entry)).map(|(index, _)| index).collect()
}

fn list_entries(entries: &[StoreEntry]) -> String {
    let mut names: Vec<_> = entries.iter().take(MAX_LISTED_ENTRIES).map(describe_entry).collect();
    let more = entries.len().saturating_sub(MAX_LISTED_ENTRIES);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    join_with_and(names)
}

fn describe_entry(entry: &StoreEntry) -> String {
    let alias = quote(&entry.alias);
    match (entry.kind, &entry.certificate_alias) {
        (EntryKind::PrivateKey, None) => alias,
        (EntryKind::PrivateKey, Some(other)) => format!("{alias} (its certificate: {})", quote(other)),
        (EntryKind::TrustedCertificate, _) => format!("{alias} (a trusted certificate)"),
        (EntryKind::SecretKey, _) => format!("{alias} (a secret key)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Status;

    fn error_message(alias: &str, entries: &[StoreEntry]) -> String {
        let error = select_entry(&KeySource::inline("").with_alias(alias), entries).unwrap_err();
        assert_eq!(error.status(), Status::KeyNotFound, "{error}");
        error.message()
    }

    fn private_key(alias: &str) -> StoreEntry {
        StoreEntry::new(alias.to_owned(), EntryKind::PrivateKey)
    }

    #[test]
    fn exact_alias_precedes_folded_and_certificate_alias() {
        let named = StoreEntry { certificate_alias: Some("Web".to_owned()), ..private_key("{1}") };
        let entries = [named, private_key("Signer"), private_key("signer"), private_key("M\u{fc}ller")];
        let select = |alias| select_entry(&KeySource::inline("").with_alias(alias), &entries).unwrap();
        assert_eq!((select("signer"), select("Signer")), (2, 1));
        assert_eq!((select("Web"), select("web"), select("mu\u{308}ller\0")), (0, 0, 3));
    }

    #[test]
    fn alias_of_several_keys_is_ambiguous() {
        let entries = [private_key("Signer"), private_key("signer")];
        let message = error_message("SIGNER", &entries);
        assert!(
            message.contains("2 keys with the alias \"SIGNER\" (\"Signer\" and \"signer\")"),
            "{message}"
        );
    }

    #[test]
    fn alias_of_secret_key_is_named_and_list_is_short() {
        let mut entries: Vec<_> = (0..20).map(|number| private_key(&format!("key{number}"))).collect();
        entries.insert(0, StoreEntry::new("shared".to_owned(), EntryKind::SecretKey));
        let message = error_message("Shared", &entries);
        assert!(message.contains("has only a secret key with alias \"shared\"; available: "), "{message}");
        assert!(message.contains("\"key10\" and 9 more (set "), "{message}");
    }
}
