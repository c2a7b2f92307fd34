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

use self::verifier::{AnyCertificate, OtherName};
use crate::base::error::{Error, Result, Status};
use crate::base::file::ConfiguredPath;
use crate::base::secret::Secret;
use crate::key::{KeyRing, KeySource};
use crate::net::proxy::ProxyConfig;
use crate::net::tls::trust_store::{read_store, store_error, unreadable};

pub use crate::base::file::FileVersion;

/// How a server is reached, how it is to prove who it is, and how we do. Connections are shared only between equal ones.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Trust {
    /// TrustStore: a file of CA certificates instead of the operating system's.
    pub store: Option<ConfiguredPath>,
    /// TrustStorePassword.
    pub store_password: Option<Secret>,
    /// Whether the certificate and its name are checked at all.
    pub validate: bool,
    /// HostNameInCertificate: whose the certificate must be, if not the URL's host's.
    pub name: Option<ServerName<'static>>,
    /// CryptoProtocolVersion.
    pub versions: Versions,
    /// KeyStore: the client's own certificate.
    pub client: Option<KeySource>,
    /// The proxy on the way.
    pub route: ProxyConfig,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            store: None,
            store_password: None,
            validate: true,
            name: None,
            versions: Versions::default(),
            client: None,
            route: ProxyConfig::default(),
        }
    }
}

/// The versions of TLS that are offered; at least one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Versions {
    /// 1.3, and 1.2 for servers that have no better.
    #[default]
    Both,
    /// 1.2 alone.
    Tls12,
    /// 1.3 alone.
    Tls13,
}

impl Versions {
    fn offered(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Both => vec![&version::TLS13, &version::TLS12],
            Self::Tls12 => vec![&version::TLS12],
            Self::Tls13 => vec![&version::TLS13],
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Both => "TLS 1.2 and 1.3 are",
            Self::Tls12 => "by CryptoProtocolVersion only TLS 1.2 is",
            Self::Tls13 => "by CryptoProtocolVersion only TLS 1.3 is",
        }
    }
}

impl Trust {
    /// The stamps of TrustStore and KeyStore now, as far as there are any.
    pub fn stamps(&self) -> Result<Vec<FileVersion>> {
        let store = self
            .wanted_store()
            .map(|store| FileVersion::read(store).map_err(|fault| unreadable(store, &fault)));
        let keys = self.client.iter().flat_map(KeySource::files);
        store.into_iter().chain(keys.map(key_stamp)).collect()
    }

    /// What of this is in force: a store that nothing is checked with is none.
    #[must_use]
    pub fn in_force(&self) -> Cow<'_, Self> {
        if self.validate {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self { store: None, store_password: None, name: None, ..self.clone() })
    }

    /// What is to be said at `now`, in seconds since 1970, of the client's certificate, opened through `keys`.
    ///
    /// # Errors
    /// Those of opening KeyStore.
    pub fn warnings(&self, keys: &KeyRing, now: i64) -> Result<Vec<Error>> {
        let Some(source) = &self.client else { return Ok(Vec::new()) };
        Ok(keys.key(source)?.warnings(now))
    }

    /// The configuration for a handshake. Reads the trusted certificates and, through `keys`, the client's, so it is
    /// worth keeping.
    pub fn config(&self, keys: &KeyRing) -> Result<Arc<ClientConfig>> {
        let provider = provider::provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions.offered())
            .map_err(|error| unusable(&error))?;
        // "dangerous" is rustls's word for any verifier that is handed in.
        let builder = builder.dangerous().with_custom_certificate_verifier(self.verifier(provider)?);
        let config = match &self.client {
            Some(source) => builder.with_client_cert_resolver(client_auth::certificate(source, keys)?),
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
        if !self.validate {
            return Ok(Arc::new(AnyCertificate(provider)));
        }
        let inner: Arc<dyn ServerCertVerifier> = match &self.store {
            Some(store) => {
                let roots = Arc::new(read_store(store, self.store_password.as_ref())?);
                WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| store_error(store, &format!("cannot be used: {error}")))?
            }
            None if trust_store::needs_fixed_roots() => {
                let roots = Arc::new(trust_store::read_fixed_roots()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
                verifier
                    .map_err(|error| unusable(&rustls::Error::General(error.to_string())))
                    .map(|inner| inner as _)?
            }
            None => {
                Arc::new(rustls_platform_verifier::Verifier::new(provider).map_err(|error| unusable(&error))?)
            }
        };
        Ok(match &self.name {
            Some(name) => Arc::new(OtherName { inner, name: name.clone() }),
            None => inner,
        })
    }

    /// What went wrong between `host` and us, and what to do about it.
    #[must_use]
    pub fn explain(&self, error: &rustls::Error, host: &str) -> Error {
        // What kept the key of the client's certificate from signing says it best itself.
        if let rustls::Error::Other(OtherError(other)) = error
            && let Some(ours) = other.downcast_ref::<Error>()
        {
            return ours.clone();
        }
        let text = match error {
            rustls::Error::InvalidCertificate(wrong) => self.certificate(wrong, host),
            rustls::Error::InvalidMessage(_) => format!(
                "{host} does not speak TLS on this port: {error}; check the port, or whether a proxy stands between"
            ),
            rustls::Error::PeerIncompatible(_) => format!(
                "{host} and this library have no TLS version or cipher in common ({} offered): {error}",
                self.versions.shown()
            ),
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => format!(
                "{host} refused the TLS connection: it speaks no version that is offered ({} offered); see \
                 CryptoProtocolVersion",
                self.versions.shown()
            ),
            rustls::Error::AlertReceived(alert) => {
                format!("{host} refused the TLS connection: alert {alert:?}{}", self.about_client(*alert))
            }
            _ => format!("the TLS connection to {host} failed: {error}"),
        };
        Error::new(Status::Tls, "tls", text)
    }

    /// What an alert may have to do with the client's certificate.
    fn about_client(&self, alert: AlertDescription) -> String {
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
        match self.client.iter().flat_map(KeySource::files).next() {
            _ if !certificate => String::new(),
            Some(store) => format!("; it may not accept the client certificate of KeyStore {store}"),
            None if alert == Alert::CertificateRequired => {
                "; it demands a client certificate: set KeyStore".to_owned()
            }
            None => "; if it demands a client certificate, set KeyStore".to_owned(),
        }
    }

    fn certificate(&self, wrong: &CertificateError, host: &str) -> String {
        use CertificateError as Wrong;
        let named = self.name.as_ref().map(|name| {
            let name = name.to_str();
            format!("{name} (HostNameInCertificate)")
        });
        let wanted = named.as_deref().unwrap_or(host);
        match wrong {
            Wrong::UnknownIssuer => format!(
                "the certificate of {host} comes from an issuer that {} does not hold; add the issuer's CA \
                 certificate there{}",
                self.source(),
                if self.store.is_none() { ", or name a file with it in TrustStore" } else { "" }
            ),
            Wrong::BadSignature => format!(
                "the certificate of {host} was not signed by the issuer of the same name in {}; that CA may have been \
                 renewed: add its new certificate there",
                self.source()
            ),
            Wrong::ExpiredContext { not_after, .. } => format!(
                "the certificate of {host} expired on {}; the server needs a new one, unless this machine's clock \
                 is wrong",
                date(not_after.as_secs())
            ),
            Wrong::Expired => format!(
                "the certificate of {host} has expired; the server needs a new one, unless this machine's clock is \
                 wrong"
            ),
            Wrong::NotValidYetContext { not_before, .. } => format!(
                "the certificate of {host} is not valid before {}; check this machine's clock",
                date(not_before.as_secs())
            ),
            Wrong::NotValidYet => {
                format!("the certificate of {host} is not valid yet; check this machine's clock")
            }
            Wrong::NotValidForNameContext { presented, .. } => format!(
                "the certificate of the server is not for {wanted}: {}; use the name that the certificate is for, or \
                 check where {host} leads",
                names(presented)
            ),
            Wrong::NotValidForName => format!("the certificate of the server is not for {wanted}"),
            Wrong::Revoked => format!("the certificate of {host} was revoked"),
            Wrong::Other(inner) if inner.to_string().contains("CaUsedAsEndEntity") => format!(
                "the certificate of {host} is that of a CA (self-signed, perhaps), not of a server; give the server \
                 one of its own, signed by that CA"
            ),
            _ => format!("the certificate of {host} was not accepted by {}: {wrong}", self.source()),
        }
    }

    fn source(&self) -> String {
        match &self.store {
            Some(store) => format!("TrustStore {store}"),
            None => "the operating system's store".to_owned(),
        }
    }

    fn wanted_store(&self) -> Option<&ConfiguredPath> {
        self.store.as_ref().filter(|_| self.validate)
    }
}

fn key_stamp(file: &ConfiguredPath) -> Result<FileVersion> {
    FileVersion::read(file).map_err(|fault| {
        let text = format!("KeyStore {file} {fault}");
        Error::new(fault.status_or(Status::KeyStore), "tls", text).with_option("KeyStore")
    })
}

fn names(presented: &[String]) -> String {
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

fn unusable(error: &rustls::Error) -> Error {
    Error::new(
        Status::Tls,
        "tls",
        format!("TLS cannot be set up: {error}; TrustStore may name a file of CA certificates instead"),
    )
}

/// `2031-05-09 14:03 UTC`, by the days-to-civil algorithm of Howard Hinnant.
#[allow(clippy::arithmetic_side_effects)] // all below 2^40 after the limit in the first line
fn date(unix_seconds: u64) -> String {
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
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(date(1_735_689_599), "2024-12-31 23:59 UTC");
        assert_eq!(date(u64::MAX), "9999-12-31 23:59 UTC");
    }
}
