//! Whom a connection trusts: a [`Trust`] in, a rustls configuration out, and in words what was wrong with a server.
//!
//! By default the operating system decides; `TrustStore` puts a PEM file of CA certificates in its place; without
//! validation any certificate will do. The cryptography is handed in, never installed for the process: the host may
//! use rustls too.

mod store;

use std::fmt::Write as _;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme, version};

use self::store::{read_store, store_error};
use crate::error::{Error, Result, Status};
use crate::file::{Fault, Location};

pub use crate::file::Stamp;

/// How a server is to prove who it is. Connections are shared only between equal ones.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Trust {
    /// TrustStore: a PEM file of CA certificates instead of the operating system's.
    pub store: Option<Location>,
    /// Whether the certificate and its name are checked at all.
    pub validate: bool,
}

impl Default for Trust {
    fn default() -> Self {
        Self { store: None, validate: true }
    }
}

impl Trust {
    /// The stamp of the TrustStore now; always the same where there is none.
    pub fn stamp(&self) -> Result<Stamp> {
        let Some(store) = self.wanted_store() else {
            return Ok(Stamp::default());
        };
        Stamp::now(store).map_err(|error| store_error(store, &Fault::from(error).to_string()))
    }

    /// The configuration for a handshake. Reads the trusted certificates, so it is worth keeping.
    pub fn config(&self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| unusable(&error))?;
        let config = if !self.validate {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                .with_no_client_auth()
        } else if let Some(store) = &self.store {
            builder.with_root_certificates(read_store(store)?).with_no_client_auth()
        } else {
            let system =
                rustls_platform_verifier::Verifier::new(provider).map_err(|error| unusable(&error))?;
            // "dangerous" is rustls's word for any verifier but its own; this one asks the operating system.
            builder.dangerous().with_custom_certificate_verifier(Arc::new(system)).with_no_client_auth()
        };
        Ok(Arc::new(config))
    }

    /// What went wrong between `host` and us, and what to do about it.
    #[must_use]
    pub fn explain(&self, error: &rustls::Error, host: &str) -> Error {
        let text = match error {
            rustls::Error::InvalidCertificate(wrong) => self.certificate(wrong, host),
            rustls::Error::InvalidMessage(_) => format!(
                "{host} does not speak TLS on this port: {error}; check the port, or whether a proxy stands between"
            ),
            rustls::Error::PeerIncompatible(_) => format!(
                "{host} and this library have no TLS version or cipher in common (TLS 1.2 and 1.3 are offered): {error}"
            ),
            rustls::Error::AlertReceived(alert) => {
                format!("{host} refused the TLS connection: alert {alert:?}")
            }
            _ => format!("the TLS connection to {host} failed: {error}"),
        };
        Error::new(Status::Tls, "tls", text)
    }

    fn certificate(&self, wrong: &CertificateError, host: &str) -> String {
        use CertificateError as Wrong;
        match wrong {
            Wrong::UnknownIssuer => format!(
                "the certificate of {host} comes from an issuer that {} does not hold; add the issuer's CA \
                 certificate there{}",
                self.source(),
                if self.store.is_none() { ", or name a PEM file with it in TrustStore" } else { "" }
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
                "the certificate of the server is not for {host}: {}; use the name that the certificate is for, or \
                 check where {host} leads",
                names(presented)
            ),
            Wrong::NotValidForName => format!("the certificate of the server is not for {host}"),
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

    fn wanted_store(&self) -> Option<&Location> {
        self.store.as_ref().filter(|_| self.validate)
    }
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
        format!("TLS cannot be set up: {error}; TrustStore may name a PEM file of CA certificates instead"),
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

/// Takes any certificate; the server must still hold its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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
