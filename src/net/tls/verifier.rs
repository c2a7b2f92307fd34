//! Server certificate verifiers in addition to those of rustls and the operating system.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::key::CertificateInfo;

/// Accepts any certificate; the server must still prove possession of its private key.
#[derive(Debug)]
pub(super) struct AcceptAnyServerCert(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyServerCert {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
            .map_err(handshake_signature_error)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
            .map_err(handshake_signature_error)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies with `inner`, adapted by HostNameInCertificate and TrustStore.
#[derive(Debug)]
pub(super) struct ConfiguredVerifier {
    pub(super) inner: Arc<dyn ServerCertVerifier>,
    /// HostNameInCertificate: the name to verify instead of the URL's host. The URL's host is still sent as
    /// SNI, by which the server selects its certificate.
    pub(super) expected_name: Option<ServerName<'static>>,
    /// The certificates of TrustStore. A server certificate that is one of them is accepted with any issuer:
    /// only its host name and its dates are checked.
    ///
    /// `inner` alone would reject a self-signed certificate that `openssl req -x509` creates, because it is a
    /// CA certificate. OpenSSL and the JDK accept it.
    pub(super) trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for ConfiguredVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = self.expected_name.as_ref().unwrap_or(name);
        if !self.trusted.iter().any(|trusted| trusted.as_ref() == certificate.as_ref()) {
            return self.inner.verify_server_cert(certificate, intermediates, name, ocsp, now);
        }
        check_validity(certificate, now)?;
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature).map_err(handshake_signature_error)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature).map_err(handshake_signature_error)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Tells an invalid signature of the handshake from one of a certificate, for which rustls has the same error.
fn handshake_signature_error(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            Error::General("it did not prove that it has the private key of its certificate".to_owned())
        }
        other => other,
    }
}

/// Checks the validity period (RFC 5280 section 4.1.2.5); both ends are inclusive.
fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let info = CertificateInfo::from_der(certificate).ok_or(CertificateError::BadEncoding)?;
    let unix_time = |seconds: i64| {
        UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    };
    let (not_before, not_after) = (unix_time(info.validity.0), unix_time(info.validity.1));
    if now.as_secs() < not_before.as_secs() {
        return Err(CertificateError::NotValidYetContext { time: now, not_before });
    }
    if now.as_secs() > not_after.as_secs() {
        return Err(CertificateError::ExpiredContext { time: now, not_after });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::net::tls::provider::fork_safe_provider;

    #[test]
    fn trusted_certificate_is_valid_from_first_to_last_second() {
        let mut parameters = CertificateParams::new(vec!["as.example".to_owned()]).unwrap();
        parameters.not_before = date_time_ymd(2026, 1, 31);
        parameters.not_after = date_time_ymd(2026, 2, 28);
        let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
        let verifier = ConfiguredVerifier {
            inner: Arc::new(AcceptAnyServerCert(fork_safe_provider())),
            expected_name: None,
            trusted: vec![certificate.clone()],
        };
        let name = ServerName::try_from("as.example").unwrap();
        let unix_time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let verify =
            |now| verifier.verify_server_cert(&certificate, &[], &name, &[], unix_time(now)).map(|_| ());
        let (first, last) = (1_769_817_600, 1_772_236_800);
        assert_eq!((verify(first), verify(last)), (Ok(()), Ok(())));
        let (time, not_before) = (unix_time(first - 1), unix_time(first));
        assert_eq!(verify(first - 1), Err(CertificateError::NotValidYetContext { time, not_before }.into()));
        let (time, not_after) = (unix_time(last + 1), unix_time(last));
        assert_eq!(verify(last + 1), Err(CertificateError::ExpiredContext { time, not_after }.into()));
    }
}
