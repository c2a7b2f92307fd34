//! Metadata in JSON key files: Google service account files and Box app settings name the client that the key
//! belongs to; Google's files also name the token endpoint.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::key::format::json;
use crate::key::source::KeySource;

/// Metadata stored alongside a key.
#[derive(Clone)]
pub enum KeyFileMetadata {
    /// Google service account file.
    Google(GoogleServiceAccount),
    /// Box app settings.
    Box(BoxAppSettings),
}

/// Metadata of a Google service account file; the fields have the names of its members.
#[derive(Clone)]
pub struct GoogleServiceAccount {
    /// Issuer of its assertions.
    pub client_email: Option<String>,
    /// Key ID known to the server.
    pub private_key_id: Option<String>,
    /// Token endpoint.
    pub token_uri: Option<String>,
}

/// Metadata of Box app settings.
#[derive(Clone)]
pub struct BoxAppSettings {
    /// clientID: the client ID, also the issuer of its assertions.
    pub client_id: Option<String>,
    /// clientSecret: the client secret.
    pub client_secret: Option<Secret>,
    /// publicKeyID: the key ID known to the server.
    pub public_key_id: Option<String>,
    /// enterpriseID: the subject of tokens.
    pub enterprise_id: Option<String>,
}

/// Both kinds of file. All other members, including the key, are skipped and not copied.
#[derive(Deserialize)]
struct MetadataJson {
    #[serde(rename = "type")]
    kind: Option<String>,
    private_key: Option<IgnoredAny>,
    client_email: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    #[serde(rename = "boxAppSettings")]
    r#box: Option<BoxAppSettingsJson>,
    #[serde(rename = "enterpriseID")]
    enterprise_id: Option<String>,
}

#[derive(Deserialize)]
struct BoxAppSettingsJson {
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    #[serde(rename = "clientSecret")]
    client_secret: Option<String>,
    #[serde(rename = "appAuth")]
    auth: Option<BoxAppAuthJson>,
}

#[derive(Deserialize)]
struct BoxAppAuthJson {
    #[serde(rename = "publicKeyID")]
    public_key_id: Option<String>,
}

/// Returns the metadata in the content of a key file; `None` if it is not JSON, or a JSON Web Key.
///
/// # Errors
/// If the content is JSON without a key.
pub(super) fn parse_metadata(source: &KeySource, content: &[u8]) -> Result<Option<KeyFileMetadata>> {
    if !json::is_json(content) {
        return Ok(None);
    }
    let metadata = extract_metadata(json::parse(source, content)?);
    if metadata.is_none() {
        json::check_has_key(source, content)?;
    }
    Ok(metadata)
}

fn extract_metadata(file: MetadataJson) -> Option<KeyFileMetadata> {
    if let Some(settings) = file.r#box {
        return Some(KeyFileMetadata::Box(BoxAppSettings {
            client_id: settings.client_id,
            client_secret: settings.client_secret.map(Secret::new),
            public_key_id: settings.auth.and_then(|auth| auth.public_key_id),
            enterprise_id: file.enterprise_id,
        }));
    }
    file.private_key.filter(|_| file.kind.as_deref() == Some("service_account"))?;
    Some(KeyFileMetadata::Google(GoogleServiceAccount {
        client_email: file.client_email,
        private_key_id: file.private_key_id,
        token_uri: file.token_uri,
    }))
}
