//! Claims in, a signed compact JWT out (RFC 7519, RFC 7515), as RFC 7523 section 3 wants an assertion.
//!
//! An assertion is as good as a password while it lives, so its text is a [`Secret`].

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;

use crate::base::error::{Error, Result, Status};
use crate::base::secret::{Secret, SecretBytes};
use crate::key::{SigningKey, Thumbprint};

mod object_writer;
mod raw_object;

use object_writer::Object;

pub use raw_object::Members;

/// How far iat lies back. A server whose clock runs behind ours refuses an assertion "from the future"; five seconds
/// cover what NTP leaves over, and take as much from the end of the assertion.
const BACKDATED: i64 = 5;

/// The bytes of a header with a key's name.
const USUAL_HEADER: usize = 128;

/// The bytes of all that is not text in the claims, and of their names.
const BARE_PAYLOAD: usize = 128;

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
    pub backdated: Option<u32>,
    /// exp - iat, in seconds.
    pub lifetime: u32,
    /// Now, in seconds since 1970.
    pub now: i64,
    /// Claims of the user's own, which win over all of these.
    pub additional: &'a Members,
}

/// What stands in front of the claims.
#[derive(Clone, Debug, Default, Hash)]
pub struct Header {
    /// alg, if not the key's own.
    pub algorithm: Option<Algorithm>,
    /// Without alg, the first of these that the key can; if it can none, its own.
    pub preferred: Vec<Algorithm>,
    /// kid.
    pub key_id: Option<String>,
    /// By what the key's certificate is named.
    pub thumbprints: Vec<Thumbprint>,
    /// Members of the user's own, which win over all but alg.
    pub additional: Members,
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
pub fn sign(claims: &Claims<'_>, header: &Header, key: &SigningKey) -> Result<Assertion> {
    let algorithm = key.algorithm_among(header.algorithm, &header.preferred)?;
    let (payload, expires_at) = payload(claims)?;
    let header = header_json(header, Some(algorithm), Some(key))?;
    // No room beyond what it needs: what is not there need not be wiped.
    let mut text = String::with_capacity(encoded(&header).saturating_add(encoded(&payload)));
    URL_SAFE_NO_PAD.encode_string(&*header, &mut text);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(&*payload, &mut text);
    let signature = key.sign(algorithm, text.as_bytes())?;
    text.reserve_exact(encoded(&signature));
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(Assertion { text: Secret::new(text), expires_at })
}

/// The length of a part in base64, with a dot.
fn encoded(part: &[u8]) -> usize {
    base64::encoded_len(part.len(), false).unwrap_or_default().saturating_add(1)
}

/// Header and claims as JSON, without a signature: for those who want to see them.
#[derive(Default)]
pub struct Unsigned {
    /// The header; without what only the key can say, where there is none.
    pub header: String,
    /// The claims, with a jti that nobody uses.
    pub claims: String,
}

/// What [`sign`] would sign. Nothing is signed.
///
/// # Errors
/// Those of a key that does not fit; none without a key.
pub fn unsigned(claims: &Claims<'_>, header: &Header, key: Option<&SigningKey>) -> Result<Unsigned> {
    let algorithm = match key {
        Some(key) => Some(key.algorithm_among(header.algorithm, &header.preferred)?),
        None => header.algorithm,
    };
    let written = |json: &[u8]| String::from_utf8_lossy(json).into_owned();
    let header = written(&header_json(header, algorithm, key)?);
    Ok(Unsigned { header, claims: written(&payload(claims)?.0) })
}

fn header_json(
    header: &Header,
    algorithm: Option<Algorithm>,
    key: Option<&SigningKey>,
) -> Result<SecretBytes> {
    let mut object = Object::with_room(USUAL_HEADER.saturating_add(header.additional.length()));
    if let Some(algorithm) = algorithm {
        object.member("alg", &algorithm);
    }
    if !header.additional.have("typ") {
        object.member("typ", "JWT");
    }
    let key_id = header.key_id.as_deref().or_else(|| key.and_then(SigningKey::key_id));
    if let Some(key_id) = key_id.filter(|_| !header.additional.have("kid")) {
        object.member("kid", key_id);
    }
    let thumbprints = header.thumbprints.iter().filter(|wanted| !header.additional.have(wanted.name()));
    for (wanted, key) in thumbprints.filter_map(|wanted| Some((wanted, key?))) {
        object.json(wanted.name(), key.thumbprint(*wanted)?);
    }
    header.additional.write(&mut object);
    Ok(object.closed())
}

/// The payload and its exp.
fn payload(claims: &Claims<'_>) -> Result<(SecretBytes, i64)> {
    let own = claims.additional;
    // An assertion of a few seconds must not have ended before it is sent.
    let back = claims.backdated.map_or(BACKDATED, i64::from).min(i64::from(claims.lifetime) / 2);
    let iat = own.seconds("iat").unwrap_or(claims.now.saturating_sub(back));
    let exp = own.seconds("exp").unwrap_or(iat.saturating_add(i64::from(claims.lifetime)));
    let texts = [
        ("iss", Some(claims.issuer.as_ref())),
        ("sub", claims.subject),
        ("aud", claims.audience),
        ("scope", claims.scope),
    ];
    let length = texts.iter().filter_map(|(_, text)| *text).map(str::len).sum::<usize>();
    let mut object = Object::with_room(BARE_PAYLOAD.saturating_add(length).saturating_add(own.length()));
    for (name, text) in texts {
        match text.filter(|_| !own.have(name)) {
            Some(text) if name == "scope" && claims.scope_is_array => object.member(name, &words(text)),
            Some(text) => object.member(name, text),
            None => {}
        }
    }
    for (name, seconds) in [("iat", iat), ("exp", exp)] {
        if !own.have(name) {
            object.member(name, &seconds);
        }
    }
    if !own.have("jti") {
        object.member("jti", &unique()?);
    }
    own.write(&mut object);
    Ok((object.closed(), exp))
}

/// The words of a scope.
fn words(scope: &str) -> Vec<&str> {
    scope.split(' ').filter(|word| !word.is_empty()).collect()
}

/// 128 random bits: a server that keeps the ids it has seen must never meet one again (RFC 7519 section 4.1.7).
fn unique() -> Result<String> {
    let mut bytes = [0_u8; 16];
    crate::sys::fill_random(&mut bytes).map_err(|_| internal("no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn internal(text: &str) -> Error {
    Error::new(Status::Internal, "assertion", text)
}

#[cfg(test)]
mod tests;
