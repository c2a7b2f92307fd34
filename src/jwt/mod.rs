//! JWT assertions: claims are signed as a compact JWT (RFC 7519, RFC 7515) that meets RFC 7523 section 3.
//!
//! Until it expires, an assertion is equivalent to a password, so its text is a [`Secret`].

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::secret::{Secret, SecretBytes};
use crate::key::{CertHeader, SigningKey};

mod assertion_file;
mod compact;
mod object_writer;
mod raw_object;

use object_writer::ObjectWriter;

pub use assertion_file::read_assertion_file;
pub use compact::check_compact;
pub use raw_object::RawObject;

/// Seconds by which `iat` is backdated. A server whose clock is behind ours rejects an assertion "from the
/// future". Five seconds cover the clock skew that remains with NTP; `exp` is earlier by the same amount.
const IAT_BACKDATE_SECS: i64 = 5;

/// Initial capacity in bytes for a header with a `kid`.
const HEADER_CAPACITY: usize = 128;

/// Initial capacity in bytes for the claims, without the values that are strings.
const PAYLOAD_CAPACITY: usize = 128;

/// Claims of an assertion.
pub struct Claims<'a> {
    /// `iss`.
    pub issuer: Cow<'a, str>,
    /// `sub`, the user to act for.
    pub subject: Option<&'a str>,
    /// `aud`, as a single string.
    pub audience: Option<&'a str>,
    /// `scope`, separated by spaces.
    pub scope: Option<&'a str>,
    /// Whether `scope` is sent as an array of strings.
    pub scope_is_array: bool,
    /// Seconds by which `iat` is backdated, instead of the default.
    pub iat_backdate_secs: Option<u32>,
    /// `exp` - `iat`, in seconds.
    pub lifetime: u32,
    /// The current time, in seconds since 1970.
    pub now: i64,
    /// User-defined claims; they override all others.
    pub additional: &'a RawObject,
}

/// JOSE header of an assertion.
#[derive(Clone, Debug, Default, Hash)]
pub struct JoseHeader {
    /// `alg`, instead of the key's default.
    pub algorithm: Option<Algorithm>,
    /// If `algorithm` is None, the first of these that the key supports applies, otherwise the key's default.
    pub preferred_algorithms: Vec<Algorithm>,
    /// `kid`.
    pub key_id: Option<String>,
    /// Headers that identify the key's certificate.
    pub cert_headers: Vec<CertHeader>,
    /// User-defined header members; they override all others except `alg`.
    pub additional: RawObject,
}

/// A signed JWT.
#[derive(Debug)]
pub struct Assertion {
    text: Secret,
    /// `exp`, in seconds since 1970.
    pub expires_at: i64,
}

impl Assertion {
    /// The compact serialization: three parts separated by dots.
    #[must_use]
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// Consumes the assertion and returns its compact serialization.
    #[must_use]
    pub fn into_text(self) -> Secret {
        self.text
    }
}

/// Signs `header` and `claims` with `key`.
///
/// `exp` - `iat` is exactly `lifetime`, because servers compare it with their limit, unless the user sets one
/// of the two.
///
/// # Errors
/// Those of the key, if it does not support the algorithm or cannot sign.
pub fn sign(claims: &Claims<'_>, header: &JoseHeader, key: &SigningKey) -> Result<Assertion> {
    let algorithm = key.select_algorithm_preferring(header.algorithm, &header.preferred_algorithms)?;
    let (payload, expires_at) = build_payload(claims)?;
    let header = build_header(header, Some(algorithm), Some(key))?;
    // Allocate the exact capacity: spare capacity would have to be wiped, too.
    let mut text =
        String::with_capacity(encoded_part_len(&header).saturating_add(encoded_part_len(&payload)));
    URL_SAFE_NO_PAD.encode_string(&*header, &mut text);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(&*payload, &mut text);
    let signature = key.sign(algorithm, text.as_bytes())?;
    text.reserve_exact(encoded_part_len(&signature));
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(Assertion { text: Secret::new(text), expires_at })
}

/// Length of a part in base64url, with its dot.
fn encoded_part_len(part: &[u8]) -> usize {
    base64::encoded_len(part.len(), false).unwrap_or_default().saturating_add(1)
}

/// Header and claims as JSON, without a signature, for reports.
#[derive(Default)]
pub struct UnsignedJwt {
    /// The header. Without a key it lacks the members that are derived from the key.
    pub header: String,
    /// The claims, with a `jti` that is not used for any assertion.
    pub claims: String,
}

/// Builds the header and the claims that [`sign`] would sign, without signing.
///
/// # Errors
/// Those of a key that does not support the algorithm or the certificate headers.
pub fn build_unsigned(
    claims: &Claims<'_>,
    header: &JoseHeader,
    key: Option<&SigningKey>,
) -> Result<UnsignedJwt> {
    let algorithm = match key {
        Some(key) => Some(key.select_algorithm_preferring(header.algorithm, &header.preferred_algorithms)?),
        None => header.algorithm,
    };
    let to_string = |json: &[u8]| String::from_utf8_lossy(json).into_owned();
    let header = to_string(&build_header(header, algorithm, key)?);
    Ok(UnsignedJwt { header, claims: to_string(&build_payload(claims)?.0) })
}

fn build_header(
    header: &JoseHeader,
    algorithm: Option<Algorithm>,
    key: Option<&SigningKey>,
) -> Result<SecretBytes> {
    let mut object =
        ObjectWriter::with_capacity(HEADER_CAPACITY.saturating_add(header.additional.serialized_len()));
    if let Some(algorithm) = algorithm {
        object.field("alg", &algorithm);
    }
    if !header.additional.contains_key("typ") {
        object.field("typ", "JWT");
    }
    let key_id = header.key_id.as_deref().or_else(|| key.and_then(SigningKey::key_id));
    if let Some(key_id) = key_id.filter(|_| !header.additional.contains_key("kid")) {
        object.field("kid", key_id);
    }
    let cert_headers = header.cert_headers.iter().filter(|cert| !header.additional.contains_key(cert.name()));
    for (cert_header, key) in cert_headers.filter_map(|cert_header| Some((cert_header, key?))) {
        object.raw_field(cert_header.name(), key.certificate_header(*cert_header)?);
    }
    header.additional.write_to(&mut object);
    Ok(object.finish())
}

/// Builds the payload. Returns it with its `exp`.
fn build_payload(claims: &Claims<'_>) -> Result<(SecretBytes, i64)> {
    let additional = claims.additional;
    // With a lifetime of a few seconds, the full backdate would make the assertion expire before it is sent.
    let backdate =
        claims.iat_backdate_secs.map_or(IAT_BACKDATE_SECS, i64::from).min(i64::from(claims.lifetime) / 2);
    let iat = additional.get_timestamp("iat").unwrap_or(claims.now.saturating_sub(backdate));
    let exp = additional.get_timestamp("exp").unwrap_or(iat.saturating_add(i64::from(claims.lifetime)));
    let string_claims = [
        ("iss", Some(claims.issuer.as_ref())),
        ("sub", claims.subject),
        ("aud", claims.audience),
        ("scope", claims.scope),
    ];
    let length = string_claims.iter().filter_map(|(_, text)| *text).map(str::len).sum::<usize>();
    let mut object = ObjectWriter::with_capacity(
        PAYLOAD_CAPACITY.saturating_add(length).saturating_add(additional.serialized_len()),
    );
    for (name, text) in string_claims {
        match text.filter(|_| !additional.contains_key(name)) {
            Some(text) if name == "scope" && claims.scope_is_array => object.field(name, &split_scope(text)),
            Some(text) => object.field(name, text),
            None => {}
        }
    }
    for (name, seconds) in [("iat", iat), ("exp", exp)] {
        if !additional.contains_key(name) {
            object.field(name, &seconds);
        }
    }
    if !additional.contains_key("jti") {
        object.field("jti", &generate_jti()?);
    }
    additional.write_to(&mut object);
    Ok((object.finish(), exp))
}

/// Splits a scope at its spaces.
fn split_scope(scope: &str) -> Vec<&str> {
    scope.split(' ').filter(|token| !token.is_empty()).collect()
}

/// Generates a `jti` of 128 random bits, since servers detect a replay by a `jti` that they have already seen
/// (RFC 7519 section 4.1.7).
fn generate_jti() -> Result<String> {
    let mut bytes = [0_u8; 16];
    crate::sys::fill_random(&mut bytes).map_err(|_| internal_error("random number generator failed"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn internal_error(text: &str) -> Error {
    Error::new(ErrorKind::Internal, "assertion", text)
}

#[cfg(test)]
mod tests;
