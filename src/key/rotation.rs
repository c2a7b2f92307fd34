//! Choice among the keys of a store without JWTCertAlias. During a key rotation a store has the old and the new
//! key, and a key that was appended must not stop a service that has worked so far.
//!
//! The choice depends only on the options, the content of the files and the time, so that all processes make
//! the same one.

use crate::base::error::{Error, ErrorKind, KeyError, WarningKind};
use crate::key::certificate::cert_header::CertHeader;
use crate::key::message::quote;
use crate::key::select::fold_alias;
use crate::key::signing::SigningKey;
use crate::key::source::{KeySource, StorePurpose};

/// A key of a store that can be opened.
pub(super) struct Candidate {
    /// Name of the key's certificate, if it differs from the alias.
    pub(super) certificate_alias: Option<String>,
    pub(super) key: SigningKey,
    /// Position among the keys of the store, from 1.
    pub(super) number: usize,
}

/// Whether `error`, of a store from which `source` selects one key, is one that [`choose`] may resolve.
pub(super) fn may_resolve(source: &KeySource, error: &Error) -> bool {
    source.purpose == StorePurpose::Assertion
        && source.alias().is_none()
        && *error.kind() == ErrorKind::Key(KeyError::NotFound)
}

/// Chooses one of `candidates` at the time `now` (Unix time): by JWTKeyID and JWTAlgorithm, then the one whose
/// certificate is the newest valid one. `None` if that leaves none or several.
pub(super) fn choose(source: &KeySource, mut candidates: Vec<Candidate>, now: i64) -> Option<SigningKey> {
    let is_named = retain_named(source, &mut candidates);
    let algorithm_decides = source.algorithm.is_some() && candidates.len() > 1;
    candidates.retain(|candidate| candidate.key.select_algorithm(source.algorithm).is_ok());
    match <[Candidate; 1]>::try_from(candidates) {
        Ok([only]) if is_named || algorithm_decides => Some(only.key),
        Ok([only]) => Some(with_warning(source, only, "no other key can be used")),
        Err(candidates) => choose_newest(source, candidates, now),
    }
}

/// Retains the keys that JWTKeyID names; returns whether it names any. A JSON Web Key is named by its kid alone.
/// In other stores JWTKeyID may be a name that only the server knows, and then all keys are retained.
fn retain_named(source: &KeySource, candidates: &mut Vec<Candidate>) -> bool {
    let Some(key_id) = source.key_id.as_deref() else { return false };
    let are_json_web_keys = candidates.iter().any(|candidate| candidate.key.key_id().is_some());
    if are_json_web_keys || candidates.iter().any(|candidate| is_named(candidate, key_id)) {
        candidates.retain(|candidate| is_named(candidate, key_id));
        return true;
    }
    false
}

fn is_named(Candidate { certificate_alias, key, .. }: &Candidate, key_id: &str) -> bool {
    if let Some(own) = key.key_id() {
        return own == key_id;
    }
    let mut aliases = key.alias().into_iter().chain(certificate_alias.as_deref());
    let thumbprint = format!("\"{key_id}\"");
    aliases.any(|alias| fold_alias(alias) == fold_alias(key_id))
        || [CertHeader::X5t, CertHeader::X5tS256]
            .into_iter()
            .any(|header| key.certificate_header(header).is_ok_and(|value| value == thumbprint))
}

fn choose_newest(source: &KeySource, mut candidates: Vec<Candidate>, now: i64) -> Option<SigningKey> {
    let validities: Vec<_> = candidates.iter().filter_map(validity).collect();
    let newest =
        validities.iter().filter(|(from, to)| (*from..*to).contains(&now)).map(|(from, _)| *from).max()?;
    candidates.retain(|candidate| validity(candidate).is_some_and(|(from, to)| from == newest && now < to));
    let [only] = <[Candidate; 1]>::try_from(candidates).ok()?;
    let mut key = with_warning(source, only, "its certificate is the newest valid one");
    let changes = validities.iter().flat_map(|(from, to)| [*from, *to]);
    key.choice_ends_at = changes.filter(|time| *time > now).min();
    Some(key)
}

fn validity(candidate: &Candidate) -> Option<(i64, i64)> {
    candidate.key.certificate_info().map(|info| info.validity)
}

/// The key with a warning that names it, and what selects another.
fn with_warning(
    source: &KeySource,
    Candidate { mut key, number, .. }: Candidate,
    reason: &str,
) -> SigningKey {
    let option = source.option_names().alias;
    let (name, advice) = match key.alias() {
        Some(alias) => (quote(alias), format!("set {option} to select a key")),
        // PEM.
        None => (format!("key {number}"), "keep only one key in the file".to_owned()),
    };
    let text =
        format!("{} has several keys; {name} is used, because {reason}; {advice}", source.display_name());
    key.choice_warning = Some(Error::new(WarningKind::General, "key store", text).with_option(option));
    key
}
