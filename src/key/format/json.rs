//! Keys in JSON: a JSON Web Key or a set of them, a Google service account, a Box application's configuration.

use std::borrow::Cow;

use serde::Deserialize;

use super::jwk::{self, Jwk};
use super::pem;
use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::key::select::quote;
use crate::key::{EntryResult, KeySource, ParsedKey};

/// No honest file is larger, and what is made of a hostile one takes many times its size.
const MAX_JSON_LEN: usize = 512 * 1024;

/// What a file may have; which of it is there tells the format.
#[derive(Deserialize)]
struct JsonKeyFile<'a> {
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
    skip_bom(content).first() == Some(&b'{')
}

/// Without the mark and the blanks that editors put in front.
fn skip_bom(content: &[u8]) -> &[u8] {
    content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content).trim_ascii_start()
}

/// Every key of the JSON text `content`.
pub(in crate::key) fn read_all_keys(source: &KeySource, content: &[u8]) -> Result<Vec<EntryResult>> {
    let file: JsonKeyFile<'_> = parse(source, content)?;
    match file.keys {
        Some(keys) => Ok(jwk::read_all_keys(source, &keys)),
        None => Ok(vec![(None, read_key(source, content))]),
    }
}

/// The key that `source` asks for, out of the JSON text `content`.
pub(in crate::key) fn read_key(source: &KeySource, content: &[u8]) -> Result<ParsedKey> {
    let file: JsonKeyFile<'_> = parse(source, content)?;
    if let Some(settings) = file.r#box {
        return read_box_key(source, settings.auth);
    }
    if file.kty.is_some() {
        return jwk::select_key(source, &[parse(source, content)?]);
    }
    if let Some(keys) = file.keys {
        return jwk::select_key(source, &keys);
    }
    match (file.kind.as_deref(), file.private_key) {
        (_, Some(key)) => read_embedded_pem(source, key, file.private_key_id),
        (Some(kind @ ("external_account" | "authorized_user" | "impersonated_service_account")), None) => {
            Err(source.not_found_error(format!(
                "is a Google configuration of type {kind}, which has no private key and whose sources are not \
                 followed; use the JSON key of a service account"
            )))
        }
        _ => Err(source.not_found_error(
            "has no private key; it is JSON, and neither a JSON Web Key nor a Google service account nor a Box \
             configuration",
        )),
    }
}

fn read_box_key(source: &KeySource, auth: BoxAuth<'_>) -> Result<ParsedKey> {
    let given = source.single_password().0.is_some();
    let passphrase = auth.passphrase.filter(|_| !given).map(|text| Secret::new(text.into_owned()));
    match passphrase {
        Some(passphrase) => {
            let source = KeySource { password: Some(passphrase), ..source.clone() };
            read_embedded_pem(&source, auth.private_key, auth.key_id)
        }
        None => read_embedded_pem(source, auth.private_key, auth.key_id),
    }
}

/// A key in PEM inside the file, which the server knows by `key_id`.
fn read_embedded_pem(
    source: &KeySource,
    key: Cow<'_, str>,
    key_id: Option<Cow<'_, str>>,
) -> Result<ParsedKey> {
    let key = Secret::new(key.into_owned());
    if !pem::is_pem(key.reveal().as_bytes()) {
        return Err(source.store_error("is JSON with a private key that is not PEM"));
    }
    let material = pem::read_key(source, key.reveal().as_bytes())?;
    Ok(ParsedKey { key_id: key_id.map(Cow::into_owned), ..material })
}

/// Of what is wrong only the place is told: the parser's own words repeat what stands there.
pub(in crate::key) fn parse<'a, T: Deserialize<'a>>(source: &KeySource, content: &'a [u8]) -> Result<T> {
    if content.len() > MAX_JSON_LEN {
        let length = content.len();
        return Err(
            source.store_error(format!("is JSON of {length} bytes; a key has no more than {MAX_JSON_LEN}"))
        );
    }
    let parsed = serde_json::from_slice(skip_bom(content)).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text =
            format!("is JSON that was cut short, damaged, or not a key (line {line}, column {column})");
        source.store_error(text)
    })?;
    match find_nul_member(skip_bom(content)) {
        Some(member) => {
            Err(source.store_error(format!("is JSON with a NUL character in {member}, which no value may")))
        }
        None => Ok(parsed),
    }
}

/// The member of the JSON text `content` that holds a NUL character, in its name or in its value.
fn find_nul_member(content: &[u8]) -> Option<String> {
    // JSON has no other way to write it, and honest files have none.
    let escape = br"\u0000";
    if !content.windows(escape.len()).any(|part| part == escape) {
        return None;
    }
    find_member_with_nul(&serde_json::from_slice(content).ok()?, "a member")
}

fn find_member_with_nul(value: &serde_json::Value, member: &str) -> Option<String> {
    use serde_json::Value;
    match value {
        Value::String(text) => text.contains('\0').then(|| member.to_owned()),
        Value::Array(values) => values.iter().find_map(|value| find_member_with_nul(value, member)),
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            if name.contains('\0') {
                return Some("the name of a member".to_owned());
            }
            find_member_with_nul(value, &format!("the member {}", quote(name)))
        }),
        _ => None,
    }
}
