//! Texts of rustls errors. For many errors rustls shows the name of a Rust enum variant; these texts have words
//! instead.

use std::fmt;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::base::sanitize;

/// Describes an error other than an alert.
pub(super) fn error_text(error: &Error) -> String {
    match error {
        Error::InvalidMessage(reason) => variant_as_words(reason),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "it sent an unexpected message".to_owned()
        }
        Error::PeerIncompatible(reason) => incompatibility_text(reason),
        Error::PeerMisbehaved(reason) => format!("it violates the protocol: {}", variant_as_words(reason)),
        Error::AlertReceived(alert) => format!("alert {}", alert_name(*alert)),
        Error::InvalidCertificate(error) => certificate_error_text(error),
        Error::InvalidCertRevocationList(reason) => {
            format!("invalid certificate revocation list: {}", variant_as_words(reason))
        }
        Error::InvalidEncryptedClientHello(reason) => {
            format!("encrypted client hello: {}", variant_as_words(reason))
        }
        Error::InconsistentKeys(reason) => format!("inconsistent keys: {}", variant_as_words(reason)),
        Error::General(text) => without_variant_name(text),
        Error::Other(other) => without_variant_name(&other.to_string()),
        // The texts of these variants are sentences.
        Error::NoCertificatesPresented
        | Error::UnsupportedNameType
        | Error::DecryptError
        | Error::EncryptError
        | Error::PeerSentOversizedRecord
        | Error::HandshakeNotComplete
        | Error::NoApplicationProtocol
        | Error::FailedToGetCurrentTime
        | Error::FailedToGetRandomBytes
        | Error::BadMaxFragmentSize => error.to_string(),
        _ => without_variant_name(&error.to_string()),
    }
}

/// Describes the reason why a certificate is not valid.
pub(super) fn certificate_error_text(error: &CertificateError) -> String {
    match error {
        CertificateError::BadEncoding => "it is malformed".to_owned(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it, or the certificate of an issuer, is signed by an unsupported algorithm".to_owned()
        }
        CertificateError::InvalidPurposeContext { .. }
        | CertificateError::ExpiredRevocationListContext { .. } => {
            sanitize::excerpt(&error.to_string()).to_string()
        }
        CertificateError::Other(other) => without_variant_name(&other.to_string()),
        _ => variant_as_words(error),
    }
}

fn incompatibility_text(reason: &PeerIncompatible) -> String {
    match reason {
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => "it supports only TLS 1.1 or older".to_owned(),
        PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "it chose a version that is not offered".to_owned()
        }
        _ => variant_as_words(reason),
    }
}

/// Returns the name and the number of an alert (RFC 8446 section 6), such as `handshake_failure (40)`.
pub(super) fn alert_name(alert: AlertDescription) -> String {
    let number = u8::from(alert);
    let name = match alert {
        AlertDescription::Unknown(_) => return number.to_string(),
        AlertDescription::UnrecognisedName => "unrecognized_name".to_owned(),
        AlertDescription::UnknownPSKIdentity => "unknown_psk_identity".to_owned(),
        AlertDescription::EncryptedClientHelloRequired => "ech_required".to_owned(),
        _ => variant_as_words(&alert).replace(' ', "_"),
    };
    format!("{name} ({number})")
}

/// Returns the name of an enum variant as words, without its data: `NoKxGroupsInCommon` is
/// `no kx groups in common`.
fn variant_as_words(variant: &impl fmt::Debug) -> String {
    let text = format!("{variant:?}");
    as_words(leading_identifier(&text))
}

/// Returns `text`, escaped. If it is only the name of an enum variant, as that of an error of webpki, returns
/// its words.
fn without_variant_name(text: &str) -> String {
    let name = leading_identifier(text);
    let data = text.get(name.len()..).unwrap_or_default().trim_start();
    let is_variant = name.starts_with(|c: char| c.is_ascii_uppercase())
        && (data.is_empty() || data.starts_with(['(', '{']));
    if is_variant { as_words(name) } else { sanitize::excerpt(text).to_string() }
}

fn leading_identifier(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
}

fn as_words(name: &str) -> String {
    let mut words = String::new();
    let mut follows_lower_case = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && follows_lower_case {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
        follows_lower_case = !c.is_ascii_uppercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::{ContentType, InconsistentKeys, InvalidMessage, OtherError, PeerMisbehaved};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn alert_has_name_of_rfc_and_number() {
        for (number, name) in [
            (0, "close_notify (0)"),
            (20, "bad_record_mac (20)"),
            (40, "handshake_failure (40)"),
            (48, "unknown_ca (48)"),
            (71, "insufficient_security (71)"),
            (86, "inappropriate_fallback (86)"),
            (112, "unrecognized_name (112)"),
            (113, "bad_certificate_status_response (113)"),
            (115, "unknown_psk_identity (115)"),
            (116, "certificate_required (116)"),
            (120, "no_application_protocol (120)"),
            (121, "ech_required (121)"),
            (200, "200"),
        ] {
            assert_eq!(alert_name(AlertDescription::from(number)), name);
        }
    }

    /// Whether a word of `text` looks like `InvalidContentType` or `Unknown(1)`.
    fn has_variant_name(text: &str) -> bool {
        text.split([' ', ':']).any(|word| {
            let inner = word.chars().zip(word.chars().skip(1));
            word.contains(['(', '{', '['])
                || inner.filter(|(one, next)| one.is_ascii_lowercase() && next.is_ascii_uppercase()).count()
                    > 0
        })
    }

    #[test]
    fn error_texts_have_no_enum_names() {
        #[derive(Debug)]
        struct WebpkiLike(&'static str);
        impl fmt::Display for WebpkiLike {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        impl std::error::Error for WebpkiLike {}
        let other = |text| OtherError(Arc::new(WebpkiLike(text)));
        for (error, expected) in [
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "invalid content type"),
            (Error::InvalidMessage(InvalidMessage::MissingData("ServerName")), "missing data"),
            (
                Error::InappropriateMessage {
                    expect_types: vec![ContentType::Handshake],
                    got_type: ContentType::ApplicationData,
                },
                "it sent an unexpected message",
            ),
            (PeerIncompatible::NoKxGroupsInCommon.into(), "no kx groups in common"),
            (PeerIncompatible::ServerDoesNotSupportTls12Or13.into(), "it supports only TLS 1.1 or older"),
            (
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into(),
                "it chose a version that is not offered",
            ),
            (Error::InconsistentKeys(InconsistentKeys::KeyMismatch), "inconsistent keys: key mismatch"),
            (Error::General("it failed".to_owned()), "it failed"),
            (
                PeerMisbehaved::SelectedUnofferedCipherSuite.into(),
                "it violates the protocol: selected unoffered cipher suite",
            ),
            (CertificateError::UnhandledCriticalExtension.into(), "unhandled critical extension"),
            (
                CertificateError::UnsupportedSignatureAlgorithmContext {
                    signature_algorithm_id: vec![1],
                    supported_algorithms: Vec::new(),
                }
                .into(),
                "it, or the certificate of an issuer, is signed by an unsupported algorithm",
            ),
            (CertificateError::Other(other("NameConstraintViolation")).into(), "name constraint violation"),
            (CertificateError::Other(other("Limit(\"x\")")).into(), "limit"),
            (CertificateError::Other(other("The chain is bad (1)")).into(), "The chain is bad (1)"),
            (Error::Other(other("UnsupportedCertVersion")), "unsupported cert version"),
            (Error::AlertReceived(AlertDescription::DecodeError), "alert decode_error (50)"),
            (Error::NoCertificatesPresented, "peer sent no certificates"),
        ] {
            let text = error_text(&error);
            assert_eq!(text, expected, "{error:?}");
            let shown = text.trim_end_matches(|c: char| c == ')' || c.is_ascii_digit()).trim_end_matches('(');
            assert!(!has_variant_name(shown), "{text}");
        }
    }
}
