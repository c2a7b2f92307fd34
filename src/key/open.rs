//! Opens the key of a source and prepares it for signing.

use crate::base::clock::{Clock as _, SystemClock};
use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::key::format::json;
use crate::key::pkcs11_uri::Pkcs11Uri;
use crate::key::rotation::{self, Candidate};
use crate::key::signing::{SigningKey, callback};
use crate::key::source::{KeyOrigin, KeySource};
use crate::key::{certificate, content, format, pkcs11};

/// Opens the key and prepares it for signing.
pub fn open(source: &KeySource) -> Result<SigningKey> {
    open_with_versions(source, SystemClock.unix_seconds()).map(|(key, _)| key)
}

/// As [`open`], with the choice among several keys at the time `now` (Unix time); also returns the versions of
/// the files read, by which later changes are detected.
pub(super) fn open_with_versions(source: &KeySource, now: i64) -> Result<(SigningKey, Vec<FileVersion>)> {
    let (mut key, mut versions, loose_permissions) = match &source.origin {
        KeyOrigin::File(file) => {
            let (content, version, loose_permissions) = content::read_key_file(source, file)?;
            (open_content(source, &content, now)?, vec![version], loose_permissions)
        }
        KeyOrigin::Inline(text) => {
            let content = content::decode_inline(source, text.reveal())?;
            (open_content(source, &content, now)?, Vec::new(), None)
        }
        KeyOrigin::Pkcs11(uri) => {
            let mut key = open_on_token(source, uri, now)?;
            let versions = attach_certificate(source, &mut key)?;
            return Ok((key, versions));
        }
        KeyOrigin::HmacSecret(text) => {
            return Ok((open_hmac_secret(source, text.reveal(), now)?, Vec::new()));
        }
        KeyOrigin::Callback(signer) => return Ok((callback::open(source, signer)?, Vec::new())),
    };
    key.loose_permissions = loose_permissions;
    versions.extend(attach_certificate(source, &mut key)?);
    Ok((key, versions))
}

/// Attaches the chain in JWTCertificate, if set, to the key; returns the version of the file.
fn attach_certificate(source: &KeySource, key: &mut SigningKey) -> Result<Vec<FileVersion>> {
    let Some((chain, version)) = certificate::read_chain_for(source, key.public_key())? else {
        return Ok(Vec::new());
    };
    key.attach_chain(chain);
    Ok(vec![version])
}

/// Opens the value of JWTSecret: a JSON Web Key, else the secret itself.
fn open_hmac_secret(source: &KeySource, text: &str, now: i64) -> Result<SigningKey> {
    let Some(jwk) = json::find_web_key(text) else {
        return SigningKey::from_hmac_secret(source, text);
    };
    let key = open_content(source, jwk.as_bytes(), now)?;
    if key.is_shared_secret() {
        return Ok(key);
    }
    Err(source.unsuitable_error("is a JSON Web Key with a key pair; set JWTPrivateKey to it instead"))
}

/// Opens the key that `source` selects from the content of a key file.
fn open_content(source: &KeySource, content: &[u8], now: i64) -> Result<SigningKey> {
    let format = format::detect_or_error(source, content)?;
    let parsed = format::read(source, content, format.read_key);
    let selected = parsed.and_then(|parsed| SigningKey::new(source, parsed));
    let all_keys = || {
        let entries = format::read(source, content, format.read_all_keys).unwrap_or_default();
        entries.into_iter().map(|entry| {
            let key = entry.key.and_then(|parsed| SigningKey::new(source, parsed));
            (entry.certificate_alias, key)
        })
    };
    choose_instead(source, &selected, now, all_keys).map_or(selected, Ok)
}

/// Opens the key that `source` selects on a token.
fn open_on_token(source: &KeySource, uri: &Pkcs11Uri, now: i64) -> Result<SigningKey> {
    let selected = pkcs11::open(source, uri);
    let all_keys = || pkcs11::list(source, uri).unwrap_or_default().into_iter().map(|(_, key)| (None, key));
    let Some(chosen) = choose_instead(source, &selected, now, all_keys) else { return selected };
    // Selected by its label, so that the same key is found if its session is lost.
    let named = KeySource { alias: chosen.alias().map(str::to_owned), ..source.clone() };
    let mut key = pkcs11::open(&named, uri)?;
    key.choice_warning = chosen.choice_warning;
    key.choice_ends_at = chosen.choice_ends_at;
    Ok(key)
}

/// The one of `all_keys` that is chosen if `selected` is the error that `source` selects none of several keys.
fn choose_instead<K>(
    source: &KeySource,
    selected: &Result<SigningKey>,
    now: i64,
    all_keys: impl FnOnce() -> K,
) -> Option<SigningKey>
where
    K: Iterator<Item = (Option<String>, Result<SigningKey>)>,
{
    selected.as_ref().err().filter(|error| rotation::may_resolve(source, error))?;
    rotation::choose(source, candidates(source, all_keys()), now)
}

/// The keys that open and match JWTCertificate, if it is set.
fn candidates(
    source: &KeySource,
    keys: impl Iterator<Item = (Option<String>, Result<SigningKey>)>,
) -> Vec<Candidate> {
    let to_candidate = |(number, (certificate_alias, key)): (usize, (Option<String>, Result<SigningKey>))| {
        let mut key = key.ok()?;
        attach_certificate(source, &mut key).ok()?;
        Some(Candidate { certificate_alias, key, number })
    };
    (1..).zip(keys).filter_map(to_candidate).collect()
}
