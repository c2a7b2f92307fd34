//! What a certificate says of itself, as far as a person wants to know it (RFC 5280 section 4.1).

use p12_keystore::Certificate;
use pkcs8::der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use pkcs8::der::{DateTime, Tag, Tagged};

use super::der;

/// Whose a certificate is, and from when to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The name of its holder, where it can be read.
    pub subject: Option<String>,
    /// Its beginning, as `2026-01-31T12:00:00Z`.
    pub not_before: String,
    /// Its end, likewise.
    pub not_after: String,
    /// From when to when, in seconds since 1970.
    pub validity: (i64, i64),
}

impl Facts {
    /// Those of the certificate `bytes`; nothing if its dates cannot be read.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let signed = der::sequence(bytes)?;
        let body = der::inside(signed.first()?)?;
        // The version, tagged [0], is left out in version 1.
        let place = if der::is_context(body.first()?) { 4 } else { 3 };
        let dates = der::inside(body.get(place)?)?;
        let (from, to) = (time(dates.first()?)?, time(dates.get(1)?)?);
        let name = Certificate::from_der(bytes).ok().map(|certificate| certificate.subject().to_owned());
        Some(Self {
            subject: name.filter(|name| !name.is_empty()),
            not_before: from.to_string(),
            not_after: to.to_string(),
            validity: (seconds(from), seconds(to)),
        })
    }
}

fn time(any: &AnyRef<'_>) -> Option<DateTime> {
    match any.tag() {
        Tag::UtcTime => any.decode_as::<UtcTime>().ok().map(|time| time.to_date_time()),
        Tag::GeneralizedTime => any.decode_as::<GeneralizedTime>().ok().map(|time| time.to_date_time()),
        _ => None,
    }
}

fn seconds(time: DateTime) -> i64 {
    i64::try_from(time.unix_duration().as_secs()).unwrap_or(i64::MAX)
}
