//! Keys in JSON: a JSON Web Key or a set of them, a Google service account, a Box application's configuration.

use std::borrow::Cow;

use serde::Deserialize;

use super::jwk::{self, Jwk};
use super::pem;
use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::key::select::quoted;
use crate::key::{Candidate, KeySource, Material};

/// No honest file is larger, and what is made of a hostile one takes many times its size.
const MOST_BYTES: usize = 512 * 1024;

/// What a file may have; which of it is there tells the format.
#[derive(Deserialize)]
struct File<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    private_key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    private_key_id: Option<Cow<'a, str>>,
    #[serde(rename = "boxAppSettings", borrow, default)]
    r#box: Option<BoxSettings<'a>>,
    #[serde(borrow, default)]
    keys: Option<Vec<Jwk<'a>>>,
    #[serde(borrow, default)]
    kty: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct BoxSettings<'a> {
    #[serde(rename = "appAuth", borrow)]
    auth: BoxAuth<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BoxAuth<'a> {
    #[serde(rename = "publicKeyID", borrow, default)]
    key_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    private_key: Cow<'a, str>,
    #[serde(borrow, default)]
    passphrase: Option<Cow<'a, str>>,
}

/// Whether `content` is a JSON object, as far as its first letter tells.
pub(in crate::key) fn is_json(content: &[u8]) -> bool {
    plain(content).first() == Some(&b'{')
}

/// Without the mark and the blanks that editors put in front.
fn plain(content: &[u8]) -> &[u8] {
    content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content).trim_ascii_start()
}

/// Every key of the JSON text `content`.
pub(in crate::key) fn all(source: &KeySource, content: &[u8]) -> Result<Vec<Candidate>> {
    let file: File<'_> = parse(source, content)?;
    match file.keys {
        Some(keys) => Ok(jwk::all(source, &keys)),
        None => Ok(vec![(None, read(source, content))]),
    }
}

/// The key that `source` asks for, out of the JSON text `content`.
pub(in crate::key) fn read(source: &KeySource, content: &[u8]) -> Result<Material> {
    let file: File<'_> = parse(source, content)?;
    if let Some(settings) = file.r#box {
        return of_box(source, settings.auth);
    }
    if file.kty.is_some() {
        return jwk::pick(source, &[parse(source, content)?]);
    }
    if let Some(keys) = file.keys {
        return jwk::pick(source, &keys);
    }
    match (file.kind.as_deref(), file.private_key) {
        (_, Some(key)) => within(source, key, file.private_key_id),
        (Some(kind @ ("external_account" | "authorized_user" | "impersonated_service_account")), None) => {
            Err(source.not_found(format!(
                "is a Google configuration of type {kind}, which has no private key and whose sources are not \
                 followed; use the JSON key of a service account"
            )))
        }
        _ => Err(source.not_found(
            "has no private key; it is JSON, and neither a JSON Web Key nor a Google service account nor a Box \
             configuration",
        )),
    }
}

fn of_box(source: &KeySource, auth: BoxAuth<'_>) -> Result<Material> {
    let given = source.only_password().0.is_some();
    let passphrase = auth.passphrase.filter(|_| !given).map(|text| Secret::new(text.into_owned()));
    match passphrase {
        Some(passphrase) => {
            let source = KeySource { password: Some(passphrase), ..source.clone() };
            within(&source, auth.private_key, auth.key_id)
        }
        None => within(source, auth.private_key, auth.key_id),
    }
}

/// A key in PEM inside the file, which the server knows by `key_id`.
fn within(source: &KeySource, key: Cow<'_, str>, key_id: Option<Cow<'_, str>>) -> Result<Material> {
    let key = Secret::new(key.into_owned());
    if !pem::is_pem(key.reveal().as_bytes()) {
        return Err(source.broken("is JSON with a private key that is not PEM"));
    }
    let material = pem::read(source, key.reveal().as_bytes())?;
    Ok(Material { key_id: key_id.map(Cow::into_owned), ..material })
}

/// Of what is wrong only the place is told: the parser's own words repeat what stands there.
pub(in crate::key) fn parse<'a, T: Deserialize<'a>>(source: &KeySource, content: &'a [u8]) -> Result<T> {
    if content.len() > MOST_BYTES {
        let length = content.len();
        return Err(source.broken(format!("is JSON of {length} bytes; a key has no more than {MOST_BYTES}")));
    }
    let parsed = serde_json::from_slice(plain(content)).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text =
            format!("is JSON that was cut short, damaged, or not a key (line {line}, column {column})");
        source.broken(text)
    })?;
    match nul_member(plain(content)) {
        Some(member) => {
            Err(source.broken(format!("is JSON with a NUL character in {member}, which no value may")))
        }
        None => Ok(parsed),
    }
}

/// The member of the JSON text `content` that holds a NUL character, in its name or in its value.
fn nul_member(content: &[u8]) -> Option<String> {
    // JSON has no other way to write it, and honest files have none.
    let escape = br"\u0000";
    if !content.windows(escape.len()).any(|part| part == escape) {
        return None;
    }
    member_with_nul(&serde_json::from_slice(content).ok()?, "a member")
}

fn member_with_nul(value: &serde_json::Value, member: &str) -> Option<String> {
    use serde_json::Value;
    match value {
        Value::String(text) => text.contains('\0').then(|| member.to_owned()),
        Value::Array(values) => values.iter().find_map(|value| member_with_nul(value, member)),
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            if name.contains('\0') {
                return Some("the name of a member".to_owned());
            }
            member_with_nul(value, &format!("the member {}", quoted(name)))
        }),
        _ => None,
    }
}
