//! Whom a connection trusts and as whom it is trusted: a [`Trust`] in, a rustls configuration out, and in words what was
//! wrong with a server.
//!
//! By default the operating system decides; `TrustStore` puts a file of CA certificates in its place; without
//! validation any certificate will do. The cryptography is handed in, never installed for the process: the host may
//! use rustls too.

mod client_auth;
mod provider;
mod trust_store;
mod verifier;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, OtherError, SupportedProtocolVersion, version,
};

use self::verifier::{AcceptAnyServerCert, ServerNameOverride};
use crate::base::error::{Error, Result, Status};
use crate::base::file::ConfiguredPath;
use crate::base::secret::Secret;
use crate::key::{KeyCache, KeySource};
use crate::net::proxy::ProxyConfig;
use crate::net::tls::trust_store::{read_trust_store, trust_store_error, trust_store_read_error};

pub use crate::base::file::FileVersion;

/// How a server is reached, how it is to prove who it is, and how we do. Connections are shared only between equal ones.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TransportConfig {
    /// TrustStore: a file of CA certificates instead of the operating system's.
    pub trust_store: Option<ConfiguredPath>,
    /// TrustStorePassword.
    pub trust_store_password: Option<Secret>,
    /// Whether the certificate and its name are checked at all.
    pub validate_certificate: bool,
    /// HostNameInCertificate: whose the certificate must be, if not the URL's host's.
    pub host_name_in_certificate: Option<ServerName<'static>>,
    /// CryptoProtocolVersion.
    pub tls_versions: TlsVersions,
    /// KeyStore: the client's own certificate.
    pub client_key_source: Option<KeySource>,
    /// The proxy on the way.
    pub proxy: ProxyConfig,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            trust_store: None,
            trust_store_password: None,
            validate_certificate: true,
            host_name_in_certificate: None,
            tls_versions: TlsVersions::default(),
            client_key_source: None,
            proxy: ProxyConfig::default(),
        }
    }
}

/// The versions of TLS that are offered; at least one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TlsVersions {
    /// 1.3, and 1.2 for servers that have no better.
    #[default]
    Tls12And13,
    /// 1.2 alone.
    Tls12,
    /// 1.3 alone.
    Tls13,
}

impl TlsVersions {
    fn protocol_versions(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls12And13 => vec![&version::TLS13, &version::TLS12],
            Self::Tls12 => vec![&version::TLS12],
            Self::Tls13 => vec![&version::TLS13],
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Tls12And13 => "TLS 1.2 and 1.3 are",
            Self::Tls12 => "by CryptoProtocolVersion only TLS 1.2 is",
            Self::Tls13 => "by CryptoProtocolVersion only TLS 1.3 is",
        }
    }
}

impl TransportConfig {
    /// The stamps of TrustStore and KeyStore now, as far as there are any.
    pub fn file_versions(&self) -> Result<Vec<FileVersion>> {
        let store = self
            .effective_trust_store()
            .map(|store| FileVersion::read(store).map_err(|fault| trust_store_read_error(store, &fault)));
        let keys = self.client_key_source.iter().flat_map(KeySource::files);
        store.into_iter().chain(keys.map(key_store_version)).collect()
    }

    /// What of this is in force: a store that nothing is checked with is none.
    #[must_use]
    pub fn effective(&self) -> Cow<'_, Self> {
        if self.validate_certificate {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self {
            trust_store: None,
            trust_store_password: None,
            host_name_in_certificate: None,
            ..self.clone()
        })
    }

    /// What is to be said at `now`, in seconds since 1970, of the client's certificate, opened through `keys`.
    ///
    /// # Errors
    /// Those of opening KeyStore.
    pub fn client_certificate_warnings(&self, keys: &KeyCache, now: i64) -> Result<Vec<Error>> {
        let Some(source) = &self.client_key_source else { return Ok(Vec::new()) };
        Ok(keys.get_or_open(source)?.warnings(now))
    }

    /// The configuration for a handshake. Reads the trusted certificates and, through `keys`, the client's, so it is
    /// worth keeping.
    pub fn build_client_config(&self, keys: &KeyCache) -> Result<Arc<ClientConfig>> {
        let provider = provider::fork_safe_provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.tls_versions.protocol_versions())
            .map_err(|error| config_error(&error))?;
        // "dangerous" is rustls's word for any verifier that is handed in.
        let builder = builder.dangerous().with_custom_certificate_verifier(self.build_verifier(provider)?);
        let config = match &self.client_key_source {
            Some(source) => {
                builder.with_client_cert_resolver(client_auth::build_client_cert_resolver(source, keys)?)
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    fn build_verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
        if !self.validate_certificate {
            return Ok(Arc::new(AcceptAnyServerCert(provider)));
        }
        let inner: Arc<dyn ServerCertVerifier> = match &self.trust_store {
            Some(store) => {
                let roots = Arc::new(read_trust_store(store, self.trust_store_password.as_ref())?);
                WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| trust_store_error(store, &format!("cannot be used: {error}")))?
            }
            None if trust_store::needs_system_ca_files() => {
                let roots = Arc::new(trust_store::read_system_ca_files()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
                verifier
                    .map_err(|error| config_error(&rustls::Error::General(error.to_string())))
                    .map(|inner| inner as _)?
            }
            None => Arc::new(
                rustls_platform_verifier::Verifier::new(provider).map_err(|error| config_error(&error))?,
            ),
        };
        Ok(match &self.host_name_in_certificate {
            Some(name) => Arc::new(ServerNameOverride { inner, expected_name: name.clone() }),
            None => inner,
        })
    }

    /// What went wrong between `host` and us, and what to do about it.
    #[must_use]
    pub fn tls_error(&self, error: &rustls::Error, host: &str) -> Error {
        // What kept the key of the client's certificate from signing says it best itself.
        if let rustls::Error::Other(OtherError(other)) = error
            && let Some(ours) = other.downcast_ref::<Error>()
        {
            return ours.clone();
        }
        let text = match error {
            rustls::Error::InvalidCertificate(wrong) => self.certificate_error_text(wrong, host),
            rustls::Error::InvalidMessage(_) => format!(
                "{host} does not speak TLS on this port: {error}; check the port, or whether a proxy stands between"
            ),
            rustls::Error::PeerIncompatible(_) => format!(
                "{host} and this library have no TLS version or cipher in common ({} offered): {error}",
                self.tls_versions.describe()
            ),
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => format!(
                "{host} refused the TLS connection: it speaks no version that is offered ({} offered); see \
                 CryptoProtocolVersion",
                self.tls_versions.describe()
            ),
            rustls::Error::AlertReceived(alert) => {
                format!("{host} refused the TLS connection: alert {alert:?}{}", self.client_auth_hint(*alert))
            }
            _ => format!("the TLS connection to {host} failed: {error}"),
        };
        Error::new(Status::Tls, "tls", text)
    }

    /// What an alert may have to do with the client's certificate.
    fn client_auth_hint(&self, alert: AlertDescription) -> String {
        use AlertDescription as Alert;
        let certificate = matches!(
            alert,
            Alert::CertificateRequired
                | Alert::HandshakeFailure
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
        );
        match self.client_key_source.iter().flat_map(KeySource::files).next() {
            _ if !certificate => String::new(),
            Some(store) => format!("; it may not accept the client certificate of KeyStore {store}"),
            None if alert == Alert::CertificateRequired => {
                "; it demands a client certificate: set KeyStore".to_owned()
            }
            None => "; if it demands a client certificate, set KeyStore".to_owned(),
        }
    }

    fn certificate_error_text(&self, wrong: &CertificateError, host: &str) -> String {
        use CertificateError as Wrong;
        let named = self.host_name_in_certificate.as_ref().map(|name| {
            let name = name.to_str();
            format!("{name} (HostNameInCertificate)")
        });
        let wanted = named.as_deref().unwrap_or(host);
        match wrong {
            Wrong::UnknownIssuer => format!(
                "the certificate of {host} comes from an issuer that {} does not hold; add the issuer's CA \
                 certificate there{}",
                self.describe_trust_store(),
                if self.trust_store.is_none() { ", or name a file with it in TrustStore" } else { "" }
            ),
            Wrong::BadSignature => format!(
                "the certificate of {host} was not signed by the issuer of the same name in {}; that CA may have been \
                 renewed: add its new certificate there",
                self.describe_trust_store()
            ),
            Wrong::ExpiredContext { not_after, .. } => format!(
                "the certificate of {host} expired on {}; the server needs a new one, unless this machine's clock \
                 is wrong",
                format_utc(not_after.as_secs())
            ),
            Wrong::Expired => format!(
                "the certificate of {host} has expired; the server needs a new one, unless this machine's clock is \
                 wrong"
            ),
            Wrong::NotValidYetContext { not_before, .. } => format!(
                "the certificate of {host} is not valid before {}; check this machine's clock",
                format_utc(not_before.as_secs())
            ),
            Wrong::NotValidYet => {
                format!("the certificate of {host} is not valid yet; check this machine's clock")
            }
            Wrong::NotValidForNameContext { presented, .. } => format!(
                "the certificate of the server is not for {wanted}: {}; use the name that the certificate is for, or \
                 check where {host} leads",
                describe_presented_names(presented)
            ),
            Wrong::NotValidForName => format!("the certificate of the server is not for {wanted}"),
            Wrong::Revoked => format!("the certificate of {host} was revoked"),
            Wrong::Other(inner) if inner.to_string().contains("CaUsedAsEndEntity") => format!(
                "the certificate of {host} is that of a CA (self-signed, perhaps), not of a server; give the server \
                 one of its own, signed by that CA"
            ),
            _ => format!(
                "the certificate of {host} was not accepted by {}: {wrong}",
                self.describe_trust_store()
            ),
        }
    }

    fn describe_trust_store(&self) -> String {
        match &self.trust_store {
            Some(store) => format!("TrustStore {store}"),
            None => "the operating system's store".to_owned(),
        }
    }

    fn effective_trust_store(&self) -> Option<&ConfiguredPath> {
        self.trust_store.as_ref().filter(|_| self.validate_certificate)
    }
}

fn key_store_version(file: &ConfiguredPath) -> Result<FileVersion> {
    FileVersion::read(file).map_err(|fault| {
        let text = format!("KeyStore {file} {fault}");
        Error::new(fault.status_or(Status::KeyStore), "tls", text).with_option("KeyStore")
    })
}

fn describe_presented_names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "it names no host at all".to_owned();
    }
    // rustls writes DnsName("a.example") and IpAddress(…); a person wants the name.
    let plain = |name: &String| {
        name.split('"')
            .nth(1)
            .or_else(|| name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')))
            .unwrap_or(name)
            .to_owned()
    };
    let shown: Vec<String> = presented.iter().take(10).map(plain).collect();
    let mut text = format!("it is for {}", shown.join(", "));
    if let Some(more) = presented.len().checked_sub(shown.len()).filter(|more| *more > 0) {
        let _ = write!(text, " and {more} more");
    }
    text
}

fn config_error(error: &rustls::Error) -> Error {
    Error::new(
        Status::Tls,
        "tls",
        format!("TLS cannot be set up: {error}; TrustStore may name a file of CA certificates instead"),
    )
}

/// `2031-05-09 14:03 UTC`, by the days-to-civil algorithm of Howard Hinnant.
#[allow(clippy::arithmetic_side_effects)] // all below 2^40 after the limit in the first line
fn format_utc(unix_seconds: u64) -> String {
    let seconds = unix_seconds.min(253_402_300_799); // the end of the year 9999
    let (days, minutes) = (seconds / 86_400 + 719_468, seconds % 86_400 / 60);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153; // months counted from March
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_utc_follows_gregorian_calendar() {
        assert_eq!(format_utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(format_utc(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(format_utc(1_735_689_599), "2024-12-31 23:59 UTC");
        assert_eq!(format_utc(u64::MAX), "9999-12-31 23:59 UTC");
    }
}
