//! JSON key files: a JSON Web Key or a set of them, a Google service account file, Box app settings. JSON files
//! that are mistaken for them are named in errors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::jwk::{self, Jwk};
use super::pem;
use crate::base::error::{Error, Result};
use crate::base::secret::Secret;
use crate::key::crypto::kdf_budget::KdfBudget;
use crate::key::message::quote;
use crate::key::parsed_key::{KeyEntry, ParsedKey};
use crate::key::source::KeySource;

/// Maximum length. No valid file is longer, and parsing a hostile file takes many times its size.
const MAX_JSON_LEN: usize = 512 * 1024;

/// Members of all formats; those that are present determine the format.
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
    #[serde(rename = "appAuth", borrow, default)]
    auth: Option<BoxAuth<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BoxAuth<'a> {
    #[serde(rename = "publicKeyID", borrow, default)]
    key_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    private_key: Cow<'a, str>,
    #[serde(borrow, default)]
    passphrase: Option<Cow<'a, str>>,
}

/// Credentials files of Google without a private key, by their `type`.
const GOOGLE_TYPES_WITHOUT_KEY: [&str; 4] = [
    "authorized_user",
    "external_account",
    "external_account_authorized_user",
    "impersonated_service_account",
];

/// Other JSON files: a member that shows what they are, and their description.
const OTHER_FILES: [(&str, &str); 7] = [
    (
        "installed",
        "an OAuth client file of Google for a login; use the JSON key of a service account, or set ClientID and \
         ClientSecret to those of the file for a login",
    ),
    (
        "web",
        "an OAuth client file of Google for a login; use the JSON key of a service account, or set ClientID and \
         ClientSecret to those of the file for a login",
    ),
    (
        "contentType",
        "a secret of Azure Key Vault with its attributes; save its value alone (az keyvault secret download)",
    ),
    ("auth-server-url", "the configuration of a Keycloak client; export its key as PKCS#12, JKS or PEM"),
    ("token_endpoint", "the metadata of an authorization server"),
    ("access_token", "the response of a token endpoint; set AccessToken to the token in it"),
    (
        "appId",
        "the password of an Azure service principal; set ClientID and ClientSecret to those of the file",
    ),
];

/// Whether `content` is a JSON object, array or string, judging by its first character.
pub(in crate::key) fn is_json(content: &[u8]) -> bool {
    match content.trim_ascii_start().first() {
        Some(b'{') => true,
        // Neither PEM in quotes nor binary.
        Some(b'[' | b'"') => !pem::is_pem(content) && std::str::from_utf8(content).is_ok(),
        _ => false,
    }
}

/// Returns the JSON Web Key that `text` is. The parser of connection strings may have removed its braces.
pub(in crate::key) fn find_web_key(text: &str) -> Option<Zeroizing<String>> {
    #[derive(Deserialize)]
    struct WebKey {
        #[expect(dead_code, reason = "its presence alone matters")]
        kty: IgnoredAny,
    }
    let text = text.trim();
    let candidate = match text.as_bytes() {
        [b'{', ..] => text.to_owned(),
        [b'"', ..] => format!("{{{text}}}"),
        _ => return None,
    };
    let candidate = Zeroizing::new(candidate);
    serde_json::from_str::<WebKey>(&candidate).is_ok().then_some(candidate)
}

/// Reads all keys of the JSON text `content`.
pub(in crate::key) fn read_all_keys(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
) -> Result<Vec<KeyEntry>> {
    let file: JsonKeyFile<'_> = parse(source, content)?;
    match file.keys {
        Some(keys) => Ok(jwk::read_all_keys(source, &keys)),
        None => Ok(vec![KeyEntry::new(None, read_key(source, content, budget))]),
    }
}

/// Reads the key that `source` selects from the JSON text `content`.
pub(in crate::key) fn read_key(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
) -> Result<ParsedKey> {
    let file: JsonKeyFile<'_> = parse(source, content)?;
    if let Some(settings) = file.r#box {
        return read_box_key(source, settings, budget);
    }
    if file.kty.is_some() {
        return jwk::select_key(source, &[parse(source, content)?]);
    }
    if let Some(keys) = file.keys {
        return jwk::select_key(source, &keys);
    }
    match file.private_key {
        Some(key) => read_embedded_pem(source, key, file.private_key_id, budget),
        None => Err(no_key_error(source, file.kind.as_deref(), content)),
    }
}

/// Checks that the JSON text `content` has the members of a key file.
///
/// # Errors
/// An error that names what it is instead.
pub(in crate::key) fn check_has_key(source: &KeySource, content: &[u8]) -> Result<()> {
    let file: JsonKeyFile<'_> = parse(source, content)?;
    match file {
        JsonKeyFile { keys: Some(keys), .. } => jwk::check_has_signing_key(source, &keys),
        JsonKeyFile { kty: Some(_), .. } => jwk::check_has_signing_key(source, &[parse(source, content)?]),
        JsonKeyFile { r#box: None, private_key: None, kind, .. } => {
            Err(no_key_error(source, kind.as_deref(), content))
        }
        _ => Ok(()),
    }
}

fn no_key_error(source: &KeySource, kind: Option<&str>, content: &[u8]) -> Error {
    if let Some(kind) = GOOGLE_TYPES_WITHOUT_KEY.iter().find(|known| Some(**known) == kind) {
        return source.not_found_error(format!(
            "is a Google credentials file of the unsupported type {kind}, which has no private key; use the \
             JSON key of a service account"
        ));
    }
    let members: BTreeMap<Cow<'_, str>, IgnoredAny> = serde_json::from_slice(content).unwrap_or_default();
    match OTHER_FILES.iter().find(|(member, _)| members.contains_key(*member)) {
        Some((_, description)) => {
            source.not_found_error(format!("has no private key; it is {description}"))
        }
        None => source.not_found_error(
            "has no private key; it is JSON, but not a JSON Web Key, a Google service account file or Box app \
             settings",
        ),
    }
}

fn read_box_key(source: &KeySource, settings: BoxSettings<'_>, budget: &mut KdfBudget) -> Result<ParsedKey> {
    let Some(auth) = settings.auth.filter(|auth| !auth.private_key.is_empty()) else {
        return Err(source.not_found_error(
            "has no private key; it is the settings of a Box application without a key pair (appAuth), which \
             Box's developer console generates",
        ));
    };
    let has_password = source.single_password().0.is_some();
    let passphrase = auth.passphrase.filter(|_| !has_password).map(|text| Secret::new(text.into_owned()));
    match passphrase {
        Some(passphrase) => {
            let source = KeySource { password: Some(passphrase), ..source.clone() };
            read_embedded_pem(&source, auth.private_key, auth.key_id, budget)
        }
        None => read_embedded_pem(source, auth.private_key, auth.key_id, budget),
    }
}

/// Reads a key in PEM inside the file, with the key ID `key_id`.
fn read_embedded_pem(
    source: &KeySource,
    key: Cow<'_, str>,
    key_id: Option<Cow<'_, str>>,
    budget: &mut KdfBudget,
) -> Result<ParsedKey> {
    let key = Secret::new(key.into_owned());
    if !pem::is_pem(key.reveal().as_bytes()) {
        return Err(source.store_error("is JSON with a private key that is not PEM"));
    }
    let parsed = pem::read_key(source, &pem::unescape(key.reveal().as_bytes()), budget)?;
    Ok(ParsedKey { key_id: key_id.map(Cow::into_owned), ..parsed })
}

/// Parses JSON. Errors contain only the position, because the parser's messages repeat content.
pub(in crate::key) fn parse<'a, T: Deserialize<'a>>(source: &KeySource, content: &'a [u8]) -> Result<T> {
    if content.len() > MAX_JSON_LEN {
        let length = content.len();
        return Err(
            source.store_error(format!("is too large for a JSON key ({length} bytes, limit {MAX_JSON_LEN})"))
        );
    }
    if let Some(text) = describe_non_object(content) {
        return Err(source.not_found_error(text));
    }
    let parsed = serde_json::from_slice(content).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = format!("is JSON that is truncated, damaged or not a key (line {line}, column {column})");
        source.store_error(text)
    })?;
    match find_nul_member(content) {
        Some(member) => {
            Err(source.store_error(format!("is JSON with a NUL character in {member}, which is not allowed")))
        }
        None => Ok(parsed),
    }
}

/// Describes JSON that is not an object.
fn describe_non_object(content: &[u8]) -> Option<&'static str> {
    match content.trim_ascii() {
        [b'[', ..] => Some("is a JSON array; expected a JSON object, such as a JSON Web Key Set"),
        [b'"', text @ ..] if text.trim_ascii_start().starts_with(b"{") => Some(
            "is JSON in a JSON string; save the text of the string alone, without quotes and backslashes",
        ),
        [b'"', ..] => Some("is text in quotes; save it without the quotes"),
        _ => None,
    }
}

/// Describes the member of the JSON text `content` that contains a NUL character, in its name or its value.
fn find_nul_member(content: &[u8]) -> Option<String> {
    // JSON has no other encoding of NUL, and valid files contain none.
    let escape = br"\u0000";
    if !content.windows(escape.len()).any(|part| part == escape) {
        return None;
    }
    match serde_json::from_slice(content) {
        Ok(value) => find_member_with_nul(&value, "a member"),
        // Nested too deeply for a `Value`, in a member that is ignored.
        Err(_) => Some("a member".to_owned()),
    }
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
