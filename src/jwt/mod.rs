//! Claims in, a signed compact JWT out (RFC 7519, RFC 7515), as RFC 7523 section 3 wants an assertion.
//!
//! An assertion is as good as a password while it lives, so its text is a [`Secret`].

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;

use crate::base::error::{Error, Result, Status};
use crate::base::secret::{Secret, SecretBytes};
use crate::key::{CertHeader, SigningKey};

mod object_writer;
mod raw_object;

use object_writer::ObjectWriter;

pub use raw_object::RawObject;

/// How far iat lies back. A server whose clock runs behind ours refuses an assertion "from the future"; five seconds
/// cover what NTP leaves over, and take as much from the end of the assertion.
const IAT_BACKDATE_SECS: i64 = 5;

/// The bytes of a header with a key's name.
const HEADER_CAPACITY: usize = 128;

/// The bytes of all that is not text in the claims, and of their names.
const PAYLOAD_CAPACITY: usize = 128;

/// What an assertion says.
pub struct Claims<'a> {
    /// iss.
    pub issuer: Cow<'a, str>,
    /// sub, the user to act for.
    pub subject: Option<&'a str>,
    /// aud, as one string.
    pub audience: Option<&'a str>,
    /// scope.
    pub scope: Option<&'a str>,
    /// Whether scope is an array of its words.
    pub scope_is_array: bool,
    /// How far iat lies back, if not as usual.
    pub iat_backdate_secs: Option<u32>,
    /// exp - iat, in seconds.
    pub lifetime: u32,
    /// Now, in seconds since 1970.
    pub now: i64,
    /// Claims of the user's own, which win over all of these.
    pub additional: &'a RawObject,
}

/// What stands in front of the claims.
#[derive(Clone, Debug, Default, Hash)]
pub struct JoseHeader {
    /// alg, if not the key's own.
    pub algorithm: Option<Algorithm>,
    /// Without alg, the first of these that the key can; if it can none, its own.
    pub preferred_algorithms: Vec<Algorithm>,
    /// kid.
    pub key_id: Option<String>,
    /// By what the key's certificate is named.
    pub cert_headers: Vec<CertHeader>,
    /// Members of the user's own, which win over all but alg.
    pub additional: RawObject,
}

/// A signed JWT.
#[derive(Debug)]
pub struct Assertion {
    text: Secret,
    /// Its exp, in seconds since 1970.
    pub expires_at: i64,
}

impl Assertion {
    /// The three parts with their dots.
    #[must_use]
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// The same, to be sent.
    #[must_use]
    pub fn into_text(self) -> Secret {
        self.text
    }
}

/// Signs `claims` under `header` with `key`.
///
/// exp - iat is `lifetime` exactly, as servers measure it against their limit, unless the user says one of the two.
pub fn sign(claims: &Claims<'_>, header: &JoseHeader, key: &SigningKey) -> Result<Assertion> {
    let algorithm = key.select_algorithm_preferring(header.algorithm, &header.preferred_algorithms)?;
    let (payload, expires_at) = build_payload(claims)?;
    let header = build_header(header, Some(algorithm), Some(key))?;
    // No room beyond what it needs: what is not there need not be wiped.
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

/// The length of a part in base64, with a dot.
fn encoded_part_len(part: &[u8]) -> usize {
    base64::encoded_len(part.len(), false).unwrap_or_default().saturating_add(1)
}

/// Header and claims as JSON, without a signature: for those who want to see them.
#[derive(Default)]
pub struct UnsignedJwt {
    /// The header; without what only the key can say, where there is none.
    pub header: String,
    /// The claims, with a jti that nobody uses.
    pub claims: String,
}

/// What [`sign`] would sign. Nothing is signed.
///
/// # Errors
/// Those of a key that does not fit; none without a key.
pub fn build_unsigned(
    claims: &Claims<'_>,
    header: &JoseHeader,
    key: Option<&SigningKey>,
) -> Result<UnsignedJwt> {
    let algorithm = match key {
        Some(key) => Some(key.select_algorithm_preferring(header.algorithm, &header.preferred_algorithms)?),
        None => header.algorithm,
    };
    let written = |json: &[u8]| String::from_utf8_lossy(json).into_owned();
    let header = written(&build_header(header, algorithm, key)?);
    Ok(UnsignedJwt { header, claims: written(&build_payload(claims)?.0) })
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
    let thumbprints =
        header.cert_headers.iter().filter(|wanted| !header.additional.contains_key(wanted.name()));
    for (wanted, key) in thumbprints.filter_map(|wanted| Some((wanted, key?))) {
        object.raw_field(wanted.name(), key.certificate_header(*wanted)?);
    }
    header.additional.write_to(&mut object);
    Ok(object.finish())
}

/// The payload and its exp.
fn build_payload(claims: &Claims<'_>) -> Result<(SecretBytes, i64)> {
    let own = claims.additional;
    // An assertion of a few seconds must not have ended before it is sent.
    let back =
        claims.iat_backdate_secs.map_or(IAT_BACKDATE_SECS, i64::from).min(i64::from(claims.lifetime) / 2);
    let iat = own.get_timestamp("iat").unwrap_or(claims.now.saturating_sub(back));
    let exp = own.get_timestamp("exp").unwrap_or(iat.saturating_add(i64::from(claims.lifetime)));
    let texts = [
        ("iss", Some(claims.issuer.as_ref())),
        ("sub", claims.subject),
        ("aud", claims.audience),
        ("scope", claims.scope),
    ];
    let length = texts.iter().filter_map(|(_, text)| *text).map(str::len).sum::<usize>();
    let mut object = ObjectWriter::with_capacity(
        PAYLOAD_CAPACITY.saturating_add(length).saturating_add(own.serialized_len()),
    );
    for (name, text) in texts {
        match text.filter(|_| !own.contains_key(name)) {
            Some(text) if name == "scope" && claims.scope_is_array => object.field(name, &split_scope(text)),
            Some(text) => object.field(name, text),
            None => {}
        }
    }
    for (name, seconds) in [("iat", iat), ("exp", exp)] {
        if !own.contains_key(name) {
            object.field(name, &seconds);
        }
    }
    if !own.contains_key("jti") {
        object.field("jti", &generate_jti()?);
    }
    own.write_to(&mut object);
    Ok((object.finish(), exp))
}

/// The words of a scope.
fn split_scope(scope: &str) -> Vec<&str> {
    scope.split(' ').filter(|word| !word.is_empty()).collect()
}

/// 128 random bits: a server that keeps the ids it has seen must never meet one again (RFC 7519 section 4.1.7).
fn generate_jti() -> Result<String> {
    let mut bytes = [0_u8; 16];
    crate::sys::fill_random(&mut bytes).map_err(|_| internal_error("no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn internal_error(text: &str) -> Error {
    Error::new(Status::Internal, "assertion", text)
}

#[cfg(test)]
mod tests;
