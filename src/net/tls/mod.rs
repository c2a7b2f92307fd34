//! TLS configuration: converts a [`TransportConfig`] to a rustls configuration, and rustls errors to
//! messages.
//!
//! By default, the operating system verifies server certificates; `TrustStore` replaces its CA certificates
//! by those of a file, and accepts a server certificate that is itself in that file. If validation is
//! disabled, any certificate is accepted. The crypto provider is passed explicitly and never installed for the
//! process, because the application may use rustls too.

mod client_auth;
mod error_text;
mod provider;
mod trust_store;
mod verifier;
mod write;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, OtherError, SupportedProtocolVersion,
    version,
};
use zeroize::Zeroizing;

use self::verifier::{AcceptAnyServerCert, ConfiguredVerifier};
use crate::base::clock;
use crate::base::error::{Error, KeyError, NetworkError, Result};
use crate::base::file::ConfiguredPath;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::key::{KeyCache, KeySource};
use crate::net::proxy::ProxyConfig;
use crate::net::tls::trust_store::{read_trust_store, trust_store_error, trust_store_read_error};

pub use self::write::write_all;
pub use crate::base::file::FileVersion;

/// TLS and proxy settings of a connection. Connections are reused only between equal configurations.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TransportConfig {
    /// The prefix of the names of options in messages: the server of TokenCache has a trust store of its own.
    pub option_prefix: &'static str,
    /// TrustStore: a file of CA certificates that replaces the operating system's store.
    pub trust_store: Option<ConfiguredPath>,
    /// TrustStorePassword.
    pub trust_store_password: Option<Secret>,
    /// Whether the server's certificate and host name are verified.
    pub validate_certificate: bool,
    /// HostNameInCertificate: the host name that the certificate must contain, if not the URL's host.
    pub host_name_in_certificate: Option<ServerName<'static>>,
    /// CryptoProtocolVersion.
    pub tls_versions: TlsVersions,
    /// KeyStore: key and certificate for TLS client authentication.
    pub client_key_source: Option<KeySource>,
    /// The proxy settings.
    pub proxy: ProxyConfig,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            option_prefix: "",
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

/// The TLS versions that are offered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TlsVersions {
    /// TLS 1.3, and 1.2 for servers without TLS 1.3.
    #[default]
    Tls12And13,
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only, by CryptoProtocolVersion.
    Tls13,
    /// TLS 1.3 only, by the process policy.
    Tls13ByPolicy,
}

impl TlsVersions {
    fn protocol_versions(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls12And13 => vec![&version::TLS13, &version::TLS12],
            Self::Tls12 => vec![&version::TLS12],
            Self::Tls13 | Self::Tls13ByPolicy => vec![&version::TLS13],
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Tls12And13 => "TLS 1.2 and 1.3",
            Self::Tls12 => "TLS 1.2 only, by CryptoProtocolVersion",
            Self::Tls13 => "TLS 1.3 only, by CryptoProtocolVersion",
            Self::Tls13ByPolicy => "TLS 1.3 only, by the process policy AUTHGRANT_FORBID_TLS12",
        }
    }
}

/// The messages that a server has sent when a connection fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandshakeStage {
    /// None: the server received the ClientHello at most. It has not chosen a TLS version and a cipher suite.
    ClientHello,
    /// ServerHello, and possibly more. The server may have requested a client certificate.
    ServerHello,
}

impl HandshakeStage {
    /// The stage of a handshake that is not complete.
    #[must_use]
    pub fn from_handshake(conn: &ClientConnection) -> Self {
        match conn.negotiated_cipher_suite() {
            None => Self::ClientHello,
            Some(_) => Self::ServerHello,
        }
    }
}

impl TransportConfig {
    /// Returns the current file versions of TrustStore and KeyStore, if set.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn file_versions(&self) -> Result<Vec<FileVersion>> {
        let read = |store| {
            FileVersion::read(store)
                .map_err(|error| trust_store_read_error(&self.trust_store_option(), store, &error))
        };
        let store = self.effective_trust_store().map(read);
        let key_files = self.client_key_source.iter().flat_map(KeySource::files);
        store.into_iter().chain(key_files.map(key_store_version)).collect()
    }

    /// Returns the content of TrustStore, if it is set and has an effect.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn trust_store_content(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(store) = self.effective_trust_store() else { return Ok(None) };
        let option = self.trust_store_option();
        let (content, _) = store.read().map_err(|error| trust_store_read_error(&option, store, &error))?;
        Ok(Some(content))
    }

    /// Returns the settings that have an effect: without validation, TrustStore and HostNameInCertificate
    /// have none.
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

    /// Returns warnings about the client certificate, which is opened through `key_cache`. `now` is in
    /// seconds since 1970.
    ///
    /// # Errors
    /// If KeyStore cannot be opened.
    pub fn client_certificate_warnings(&self, key_cache: &KeyCache, now: i64) -> Result<Vec<Error>> {
        let Some(source) = &self.client_key_source else { return Ok(Vec::new()) };
        Ok(key_cache.get_or_open(source)?.warnings(now))
    }

    /// Builds the rustls configuration. Reads the trusted certificates and, through `key_cache`, the client
    /// certificate, so callers cache the result.
    pub fn build_client_config(&self, key_cache: &KeyCache) -> Result<Arc<ClientConfig>> {
        let provider = provider::fork_safe_provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.tls_versions.protocol_versions())
            .map_err(|error| self.config_error(&error))?;
        // rustls calls every custom verifier "dangerous".
        let builder = builder.dangerous().with_custom_certificate_verifier(self.build_verifier(provider)?);
        let config = match &self.client_key_source {
            Some(source) => {
                builder.with_client_cert_resolver(client_auth::build_client_cert_resolver(source, key_cache)?)
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    fn build_verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
        if !self.validate_certificate {
            return Ok(Arc::new(AcceptAnyServerCert(provider)));
        }
        let mut trusted = Vec::new();
        let option = self.trust_store_option();
        let inner: Arc<dyn ServerCertVerifier> = match &self.trust_store {
            Some(store) => {
                let found = read_trust_store(&option, store, self.trust_store_password.as_ref())?;
                trusted = found.certificates;
                WebPkiServerVerifier::builder_with_provider(Arc::new(found.roots), provider)
                    .build()
                    .map_err(|error| trust_store_error(&option, store, &format!("cannot be used: {error}")))?
            }
            None if trust_store::needs_system_ca_files() => {
                let roots = Arc::new(trust_store::read_system_ca_files()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
                verifier
                    .map_err(|error| self.config_error(&rustls::Error::General(error.to_string())))
                    .map(|inner| inner as _)?
            }
            None => Arc::new(
                rustls_platform_verifier::Verifier::new(provider)
                    .map_err(|error| self.config_error(&error))?,
            ),
        };
        let expected_name = self.host_name_in_certificate.clone();
        Ok(Arc::new(ConfiguredVerifier { inner, expected_name, trusted }))
    }

    /// Converts a TLS error of a connection to `host`, with the cause and what to do.
    #[must_use]
    pub fn tls_error(&self, error: &rustls::Error, host: &str, stage: HandshakeStage) -> Error {
        // An error of the client key's signature passes through rustls; it is returned unchanged.
        if let rustls::Error::Other(OtherError(other)) = error
            && let Some(own_error) = other.downcast_ref::<Error>()
        {
            return own_error.clone();
        }
        let text = match error {
            rustls::Error::InvalidCertificate(error) => self.certificate_error_text(error, host),
            rustls::Error::InvalidMessage(_) => format!(
                "{host} does not use TLS on this port: {}; check the port and whether a proxy intercepts the \
                 connection",
                error_text::error_text(error)
            ),
            rustls::Error::PeerIncompatible(_) => format!(
                "no common TLS version or cipher suite with {host} (offered: {}): {}",
                self.tls_versions.describe(),
                error_text::error_text(error)
            ),
            rustls::Error::AlertReceived(alert) => self.alert_text(*alert, host, stage),
            _ => format!("the TLS connection to {host} failed: {}", error_text::error_text(error)),
        };
        Error::new(NetworkError::Tls, "tls", text)
    }

    fn alert_text(&self, alert: AlertDescription, host: &str, stage: HandshakeStage) -> String {
        use AlertDescription as Alert;
        let refused = format!("{host} refused the TLS connection");
        let offered = self.tls_versions.describe();
        let alert_name = error_text::alert_name(alert);
        match (alert, stage) {
            (Alert::ProtocolVersion, _) if self.tls_versions == TlsVersions::Tls13ByPolicy => format!(
                "{refused}: it supports no offered TLS version (offered: {offered}); enable TLS 1.3 on the server"
            ),
            (Alert::ProtocolVersion, _) if self.option_prefix.is_empty() => format!(
                "{refused}: it supports no offered TLS version (offered: {offered}); check \
                 CryptoProtocolVersion"
            ),
            (Alert::HandshakeFailure | Alert::InsufficientSecurity, HandshakeStage::ClientHello) => format!(
                "{refused}: it supports none of the offered cipher suites and key exchange groups (alert \
                 {alert_name}; offered: {offered}), or has no certificate for this host name; it must support \
                 ECDHE with AES-GCM or ChaCha20-Poly1305, not only CBC, DHE or RSA key exchange"
            ),
            (Alert::UnrecognisedName, _) => {
                format!("{refused}: alert {alert_name}; it is not configured for this host name")
            }
            (_, HandshakeStage::ClientHello) => format!("{refused}: alert {alert_name}"),
            (_, HandshakeStage::ServerHello) => {
                format!("{refused}: alert {alert_name}{}", self.client_auth_hint(alert))
            }
        }
    }

    /// Returns a hint about the client certificate if it can be the cause of the alert, else an empty string.
    fn client_auth_hint(&self, alert: AlertDescription) -> String {
        use AlertDescription as Alert;
        let is_certificate_alert = matches!(
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
            _ if !is_certificate_alert => String::new(),
            _ if !self.option_prefix.is_empty() => {
                "; if it requires a client certificate, configure it not to (tls-auth-clients no)".to_owned()
            }
            Some(store) => format!("; it may have rejected the client certificate of KeyStore {store}"),
            None if alert == Alert::CertificateRequired => {
                "; it requires a client certificate; set KeyStore".to_owned()
            }
            None => "; if it requires a client certificate, set KeyStore".to_owned(),
        }
    }

    fn certificate_error_text(&self, error: &CertificateError, host: &str) -> String {
        use CertificateError as Cert;
        let override_name = self.host_name_in_certificate.as_ref().map(|name| {
            let name = name.to_str();
            format!("{name} (HostNameInCertificate)")
        });
        let expected_name = override_name.as_deref().unwrap_or(host);
        match error {
            Cert::UnknownIssuer => format!(
                "the certificate of {host} has an unknown issuer; add the CA certificate to {}{}",
                self.describe_trust_store(),
                match &self.trust_store {
                    None => format!(", or set {} to a file that contains it", self.trust_store_option()),
                    Some(_) => String::new(),
                }
            ),
            Cert::BadSignature => format!(
                "the certificate of {host} has an invalid signature: {} contains a CA certificate \
                 with the same name but another key; if the CA was renewed, add its new certificate there",
                self.describe_trust_store()
            ),
            Cert::ExpiredContext { not_after, .. } => format!(
                "the certificate of {host} expired on {}; renew it on the server, or check this machine's \
                 clock",
                format_utc(not_after.as_secs())
            ),
            Cert::Expired => format!(
                "the certificate of {host} has expired; renew it on the server, or check this machine's clock"
            ),
            Cert::NotValidYetContext { not_before, .. } => format!(
                "the certificate of {host} is not valid before {}; check this machine's clock",
                format_utc(not_before.as_secs())
            ),
            Cert::NotValidYet => {
                format!("the certificate of {host} is not valid yet; check this machine's clock")
            }
            Cert::NotValidForNameContext { presented, .. } => format!(
                "the certificate of the server does not match {expected_name}: {}; use a name in the \
                 certificate, or check the address of {host}",
                describe_presented_names(presented)
            ),
            Cert::NotValidForName => format!("the certificate of the server does not match {expected_name}"),
            Cert::Revoked => format!("the certificate of {host} is revoked"),
            Cert::Other(inner) if inner.to_string().contains("CaUsedAsEndEntity") => format!(
                "the certificate of {host} is a CA certificate (possibly self-signed){}, or install a server \
                 certificate signed by that CA",
                match &self.trust_store {
                    Some(_) => format!(" and not itself in {}; add it there", self.describe_trust_store()),
                    None => format!("; set {} to a file that contains it", self.trust_store_option()),
                }
            ),
            _ => format!(
                "cannot verify the certificate of {host} with {}: {}",
                self.describe_trust_store(),
                error_text::certificate_error_text(error)
            ),
        }
    }

    fn config_error(&self, error: &rustls::Error) -> Error {
        let text = format!(
            "cannot set up TLS: {}; {} can be set to a file of CA certificates instead",
            error_text::error_text(error),
            self.trust_store_option()
        );
        Error::new(NetworkError::Tls, "tls", text)
    }

    fn trust_store_option(&self) -> String {
        format!("{}TrustStore", self.option_prefix)
    }

    fn describe_trust_store(&self) -> String {
        match &self.trust_store {
            Some(store) => format!("{} {store}", self.trust_store_option()),
            None => "the operating system's store".to_owned(),
        }
    }

    fn effective_trust_store(&self) -> Option<&ConfiguredPath> {
        self.trust_store.as_ref().filter(|_| self.validate_certificate)
    }
}

fn key_store_version(file: &ConfiguredPath) -> Result<FileVersion> {
    FileVersion::read(file).map_err(|error| {
        let text = format!("KeyStore {file} {error}");
        Error::new(error.kind_or(KeyError::Store), "tls", text).with_option("KeyStore")
    })
}

fn describe_presented_names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "it contains no host name".to_owned();
    }
    // rustls formats names as DnsName("a.example") and IpAddress(…); only the name is shown.
    let bare_name = |name: &String| {
        let name = name
            .split('"')
            .nth(1)
            .or_else(|| name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')))
            .unwrap_or(name);
        sanitize::excerpt(name).to_string()
    };
    let names: Vec<String> = presented.iter().take(10).map(bare_name).collect();
    let mut text = format!("it is valid for {}", names.join(", "));
    if let Some(more) = presented.len().checked_sub(names.len()).filter(|more| *more > 0) {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// Formats a time as `2031-05-09 14:03 UTC`.
fn format_utc(unix_seconds: u64) -> String {
    let text = i64::try_from(unix_seconds).ok().and_then(clock::format_rfc3339).unwrap_or_default();
    match text.split_at_checked("2031-05-09T14:03".len()) {
        Some((minutes, _)) => format!("{} UTC", minutes.replace('T', " ")),
        None => "a date after 9999".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_date_has_minutes_in_utc() {
        assert_eq!(format_utc(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(format_utc(253_402_300_799), "9999-12-31 23:59 UTC");
        assert_eq!(format_utc(253_402_300_800), "a date after 9999");
    }

    #[test]
    fn certificate_error_without_details_names_problem() {
        let config = TransportConfig::default();
        for (error, expected) in [
            (CertificateError::NotValidYet, "the certificate of as.example is not valid yet"),
            (CertificateError::Expired, "the certificate of as.example has expired"),
            (CertificateError::NotValidForName, "the certificate of the server does not match as.example"),
            (CertificateError::Revoked, "the certificate of as.example is revoked"),
        ] {
            let error = config.tls_error(&error.into(), "as.example", HandshakeStage::ServerHello);
            assert!(error.message().contains(expected), "{error}");
        }
    }

    #[test]
    fn client_certificate_hint_depends_on_server() {
        let hint = |option_prefix, alert| {
            let config = TransportConfig { option_prefix, ..TransportConfig::default() };
            let error = rustls::Error::AlertReceived(alert);
            config.tls_error(&error, "as.example", HandshakeStage::ServerHello).message()
        };
        assert!(hint("", AlertDescription::CertificateRequired).contains("certificate; set KeyStore"));
        assert!(hint("TokenCache", AlertDescription::CertificateRequired).contains("(tls-auth-clients no)"));
        assert!(hint("", AlertDescription::InternalError).ends_with("alert internal_error (80)"));
    }
}
