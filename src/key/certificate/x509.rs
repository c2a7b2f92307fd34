//! Subject and validity of a certificate, for reports and for certificates that TrustStore contains (RFC 5280 section 4.1).

use ::der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use ::der::{Tag, Tagged};

use crate::base::clock::format_rfc3339;
use crate::key::asn1::der;

/// Subject and validity of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Subject name, if it can be read.
    pub subject: Option<String>,
    /// Start of the validity, as `2026-01-31T12:00:00Z`.
    pub not_before: String,
    /// End of the validity, in the same format.
    pub not_after: String,
    /// Start and end of the validity, in Unix time.
    pub validity: (i64, i64),
}

impl CertificateInfo {
    /// Parses the certificate `bytes`; `None` if its dates cannot be read.
    #[must_use]
    pub fn from_der(bytes: &[u8]) -> Option<Self> {
        let signed = der::parse_sequence(bytes)?;
        let body = der::sequence_children(signed.first()?)?;
        // The version, tagged [0], is absent in version 1.
        let validity_index = if der::is_context_specific(body.first()?) { 4 } else { 3 };
        let dates = der::sequence_children(body.get(validity_index)?)?;
        let validity = (parse_time(dates.first()?)?, parse_time(dates.get(1)?)?);
        let name = body.get(validity_index.checked_add(1)?).and_then(format_name);
        Some(Self {
            subject: name.filter(|name| !name.is_empty()),
            not_before: format_rfc3339(validity.0)?,
            not_after: format_rfc3339(validity.1)?,
            validity,
        })
    }
}

/// Names of attribute types (RFC 4519); others are shown by OID.
const RDN_NAMES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Formats a name as `C=DE, O=Example, CN=signer`, in the order of the certificate.
fn format_name(any: &AnyRef<'_>) -> Option<String> {
    let parts = der::sequence_children(any)?
        .into_iter()
        .flat_map(|set| der::parse_elements(set.value()).unwrap_or_default());
    let parts = parts.map(|part| {
        let [kind, value] = <[AnyRef<'_>; 2]>::try_from(der::sequence_children(&part)?).ok()?;
        let oid = der::parse_oid(&kind)?.to_string();
        let kind =
            RDN_NAMES.iter().find(|(candidate, _)| *candidate == oid).map_or(oid.as_str(), |(_, kind)| kind);
        Some(format!("{kind}={}", decode_string(&value)))
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join(", "))
}

fn decode_string(any: &AnyRef<'_>) -> String {
    if any.tag() == Tag::BmpString {
        let units = any.value().as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair));
        return String::from_utf16_lossy(&units.collect::<Vec<_>>());
    }
    String::from_utf8_lossy(any.value()).into_owned()
}

/// Parses a Time to Unix time in seconds.
fn parse_time(any: &AnyRef<'_>) -> Option<i64> {
    let since = match any.tag() {
        Tag::UtcTime => any.decode_as::<UtcTime>().ok()?.to_unix_duration(),
        Tag::GeneralizedTime => any.decode_as::<GeneralizedTime>().ok()?.to_unix_duration(),
        _ => return None,
    };
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    #[test]
    fn subject_is_read_from_each_string_type() {
        for value in [
            DnValue::BmpString("Z\u{fc}rich \u{65e5}\u{672c}".try_into().unwrap()),
            DnValue::Utf8String("Z\u{fc}rich \u{65e5}\u{672c}".to_owned()),
        ] {
            let mut parameters = CertificateParams::new(Vec::new()).unwrap();
            parameters.distinguished_name = DistinguishedName::new();
            parameters.distinguished_name.push(DnType::LocalityName, value.clone());
            let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let subject = CertificateInfo::from_der(certificate.der()).unwrap().subject;
            assert_eq!(subject.as_deref(), Some("L=Z\u{fc}rich \u{65e5}\u{672c}"), "{value:?}");
        }
    }
}
