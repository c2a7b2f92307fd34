//! What a JSON key file says beside its key: Google's service accounts and Box's configurations name the client to whom the
//! key belongs, and Google's the token endpoint.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{KeyOrigin, KeySource, file, inline};
use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::base::secret::Secret;
use crate::key::format::json;
use crate::key::metadata_cache::Remembered;
use crate::sys::PerProcess;

/// What stands beside a key.
#[derive(Clone)]
pub enum Hints {
    /// In the JSON key of a Google service account.
    Google(GoogleHints),
    /// In the configuration of a Box application.
    Box(BoxHints),
}

/// What the key file of a Google service account says, each by the name of its member.
#[derive(Clone)]
pub struct GoogleHints {
    /// The issuer of its assertions.
    pub client_email: Option<String>,
    /// By which the server knows the key.
    pub private_key_id: Option<String>,
    /// The token endpoint.
    pub token_uri: Option<String>,
}

/// What the configuration of a Box application says, each by the name of its member.
#[derive(Clone)]
pub struct BoxHints {
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
struct File {
    #[serde(rename = "type")]
    kind: Option<String>,
    private_key: Option<IgnoredAny>,
    client_email: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    #[serde(rename = "boxAppSettings")]
    r#box: Option<BoxSettings>,
    #[serde(rename = "enterpriseID")]
    enterprise_id: Option<String>,
}

#[derive(Deserialize)]
struct BoxSettings {
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    #[serde(rename = "clientSecret")]
    client_secret: Option<String>,
    #[serde(rename = "appAuth")]
    auth: Option<BoxAuth>,
}

#[derive(Deserialize)]
struct BoxAuth {
    #[serde(rename = "publicKeyID")]
    public_key_id: Option<String>,
}

static REMEMBERED: PerProcess<Remembered> = PerProcess::new();

fn remembered() -> &'static Remembered {
    REMEMBERED.get_or_init(Remembered::default)
}

/// What stands beside the key of `source`, if something does, and the stamp of the file where it is one. The key itself is
/// not opened. A file is looked at each time, and read if it is another than before.
///
/// # Errors
/// Those of the file: it cannot be read, or is JSON that is damaged.
pub fn hints(source: &KeySource) -> Result<(Option<Hints>, Option<FileVersion>)> {
    hints_by(remembered(), source)
}

/// Forgets what files said.
pub(super) fn forget() {
    remembered().clear();
}

pub(super) fn hints_by(
    remembered: &Remembered,
    source: &KeySource,
) -> Result<(Option<Hints>, Option<FileVersion>)> {
    match &source.origin {
        KeyOrigin::Store(file) => {
            if let Some((hints, stamp)) = remembered.get(source, file) {
                return Ok((hints, Some(stamp)));
            }
            let (content, stamp, _) = file::read_key(source, file)?;
            let hints = in_content(source, &content)?;
            remembered.keep(source, file, stamp, hints.clone());
            Ok((hints, Some(stamp)))
        }
        KeyOrigin::Text(written) => {
            Ok((in_content(source, &inline::content(source, written.reveal())?)?, None))
        }
        _ => Ok((None, None)),
    }
}

fn in_content(source: &KeySource, content: &[u8]) -> Result<Option<Hints>> {
    if json::is_json(content) { Ok(of(json::parse(source, content)?)) } else { Ok(None) }
}

fn of(file: File) -> Option<Hints> {
    if let Some(settings) = file.r#box {
        return Some(Hints::Box(BoxHints {
            client_id: settings.client_id,
            client_secret: settings.client_secret.map(Secret::new),
            public_key_id: settings.auth.and_then(|auth| auth.public_key_id),
            enterprise_id: file.enterprise_id,
        }));
    }
    file.private_key.filter(|_| file.kind.as_deref() == Some("service_account"))?;
    Some(Hints::Google(GoogleHints {
        client_email: file.client_email,
        private_key_id: file.private_key_id,
        token_uri: file.token_uri,
    }))
}
