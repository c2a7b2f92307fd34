//! Metadata in JSON key files: Google service account files and Box app settings name the client that the key
//! belongs to; Google's files also name the token endpoint.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{KeyOrigin, KeySource, content};
use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::base::secret::Secret;
use crate::key::format::json;
use crate::key::metadata_cache::MetadataCache;
use crate::sys::PerProcess;

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

static METADATA_CACHE: PerProcess<MetadataCache> = PerProcess::new();

fn metadata_cache() -> &'static MetadataCache {
    METADATA_CACHE.get_or_init(MetadataCache::default)
}

/// Returns the metadata of the key of `source`, if there is any, and the version of the key file. The key
/// itself is not opened. A file is checked on each call, and read only if it has changed.
///
/// # Errors
/// If the file cannot be read or contains damaged JSON.
pub fn read_metadata(source: &KeySource) -> Result<(Option<KeyFileMetadata>, Option<FileVersion>)> {
    read_metadata_with(metadata_cache(), source)
}

/// Removes all cached metadata.
pub(super) fn clear_metadata_cache() {
    metadata_cache().clear();
}

pub(super) fn read_metadata_with(
    cache: &MetadataCache,
    source: &KeySource,
) -> Result<(Option<KeyFileMetadata>, Option<FileVersion>)> {
    match &source.origin {
        KeyOrigin::File(file) => {
            if let Some((metadata, version)) = cache.get(source, file) {
                return Ok((metadata, Some(version)));
            }
            let (content, version, _) = content::read_key_file(source, file)?;
            let metadata = parse_metadata(source, &content)?;
            cache.insert(source, file, version, metadata.clone());
            Ok((metadata, Some(version)))
        }
        KeyOrigin::Inline(text) => {
            Ok((parse_metadata(source, &content::decode_inline(source, text.reveal())?)?, None))
        }
        _ => Ok((None, None)),
    }
}

fn parse_metadata(source: &KeySource, content: &[u8]) -> Result<Option<KeyFileMetadata>> {
    if json::is_json(content) { Ok(extract_metadata(json::parse(source, content)?)) } else { Ok(None) }
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
