//! What a JSON key file says beside its key: Google's service accounts and Box's configurations name the client to whom the
//! key belongs, and Google's the token endpoint.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{KeyOrigin, KeySource, file, inline};
use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::base::secret::Secret;
use crate::key::format::json;
use crate::key::metadata_cache::MetadataCache;
use crate::sys::PerProcess;

/// What stands beside a key.
#[derive(Clone)]
pub enum KeyFileMetadata {
    /// In the JSON key of a Google service account.
    Google(GoogleServiceAccount),
    /// In the configuration of a Box application.
    Box(BoxAppSettings),
}

/// What the key file of a Google service account says, each by the name of its member.
#[derive(Clone)]
pub struct GoogleServiceAccount {
    /// The issuer of its assertions.
    pub client_email: Option<String>,
    /// By which the server knows the key.
    pub private_key_id: Option<String>,
    /// The token endpoint.
    pub token_uri: Option<String>,
}

/// What the configuration of a Box application says, each by the name of its member.
#[derive(Clone)]
pub struct BoxAppSettings {
    /// clientID: the client, and the issuer of its assertions.
    pub client_id: Option<String>,
    /// clientSecret.
    pub client_secret: Option<Secret>,
    /// publicKeyID, by which the server knows the key.
    pub public_key_id: Option<String>,
    /// enterpriseID: for whom a token is.
    pub enterprise_id: Option<String>,
}

/// Both kinds of file; members that are not of interest here, the key among them, are read over and not copied.
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

/// What stands beside the key of `source`, if something does, and the stamp of the file where it is one. The key itself is
/// not opened. A file is looked at each time, and read if it is another than before.
///
/// # Errors
/// Those of the file: it cannot be read, or is JSON that is damaged.
pub fn read_metadata(source: &KeySource) -> Result<(Option<KeyFileMetadata>, Option<FileVersion>)> {
    read_metadata_with(metadata_cache(), source)
}

/// Forgets what files said.
pub(super) fn clear_metadata_cache() {
    metadata_cache().clear();
}

pub(super) fn read_metadata_with(
    remembered: &MetadataCache,
    source: &KeySource,
) -> Result<(Option<KeyFileMetadata>, Option<FileVersion>)> {
    match &source.origin {
        KeyOrigin::File(file) => {
            if let Some((hints, stamp)) = remembered.get(source, file) {
                return Ok((hints, Some(stamp)));
            }
            let (content, stamp, _) = file::read_key_file(source, file)?;
            let hints = parse_metadata(source, &content)?;
            remembered.insert(source, file, stamp, hints.clone());
            Ok((hints, Some(stamp)))
        }
        KeyOrigin::Inline(written) => {
            Ok((parse_metadata(source, &inline::decode_inline(source, written.reveal())?)?, None))
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
