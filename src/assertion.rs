//! Claims in, a signed compact JWT out (RFC 7519, RFC 7515), as RFC 7523 section 3 wants an assertion.
//!
//! An assertion is as good as a password while it lives, so its text is a [`Secret`].

use std::borrow::Cow;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;

use crate::error::{Error, Result, Status};
use crate::key::{SigningKey, Thumbprint};
use crate::secret::Secret;

mod members;
mod object;

pub use members::Members;

use object::Object;

/// How far iat lies back. A server whose clock runs behind ours refuses an assertion "from the future"; five seconds
/// cover what NTP leaves over, and take as much from the end of the assertion.
const BACKDATED: i64 = 5;

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
}

/// Signs `claims` under `header` with `key`.
///
/// exp - iat is `lifetime` exactly, as servers measure it against their limit, unless the user says one of the two.
pub fn sign(claims: &Claims<'_>, header: &Header, key: &SigningKey) -> Result<Assertion> {
    let algorithm = key.algorithm_among(header.algorithm, &header.preferred)?;
    let (payload, expires_at) = payload(claims)?;
    let mut text = header_json(header, Some(algorithm), Some(key))?.encoded();
    text.push('.');
    text.push_str(&payload.encoded());
    let signature = key.sign(algorithm, text.as_bytes())?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(Assertion { text: Secret::new(text), expires_at })
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
    let header = header_json(header, algorithm, key)?.written();
    Ok(Unsigned { header, claims: payload(claims)?.0.written() })
}

fn header_json(header: &Header, algorithm: Option<Algorithm>, key: Option<&SigningKey>) -> Result<Object> {
    let mut object = Object::default();
    if let Some(algorithm) = algorithm {
        object.text("alg", &format!("{algorithm:?}"));
    }
    if !header.additional.have("typ") {
        object.text("typ", "JWT");
    }
    let key_id = header.key_id.as_deref().or_else(|| key.and_then(SigningKey::key_id));
    if let Some(key_id) = key_id.filter(|_| !header.additional.have("kid")) {
        object.text("kid", key_id);
    }
    let thumbprints = header.thumbprints.iter().filter(|wanted| !header.additional.have(wanted.name()));
    for (wanted, key) in thumbprints.filter_map(|wanted| Some((wanted, key?))) {
        object.json(wanted.name(), key.thumbprint(*wanted)?);
    }
    header.additional.write(&mut object);
    Ok(object)
}

/// The payload and its exp.
fn payload(claims: &Claims<'_>) -> Result<(Object, i64)> {
    let own = claims.additional;
    // An assertion of a few seconds must not have ended before it is sent.
    let back = claims.backdated.map_or(BACKDATED, i64::from).min(i64::from(claims.lifetime) / 2);
    let iat = own.seconds("iat").unwrap_or(claims.now.saturating_sub(back));
    let exp = own.seconds("exp").unwrap_or(iat.saturating_add(i64::from(claims.lifetime)));
    let mut object = Object::default();
    let texts = [("iss", Some(claims.issuer.as_ref())), ("sub", claims.subject), ("aud", claims.audience)];
    for (name, text) in texts.into_iter().chain([("scope", claims.scope)]) {
        match text.filter(|_| !own.have(name)) {
            Some(text) if name == "scope" && claims.scope_is_array => object.texts(name, text.split(' ')),
            Some(text) => object.text(name, text),
            None => {}
        }
    }
    for (name, seconds) in [("iat", iat), ("exp", exp)] {
        if !own.have(name) {
            object.json(name, &seconds.to_string());
        }
    }
    if !own.have("jti") {
        object.text("jti", &unique()?);
    }
    own.write(&mut object);
    Ok((object, exp))
}

/// 128 random bits: a server that keeps the ids it has seen must never meet one again (RFC 7519 section 4.1.7).
fn unique() -> Result<String> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| internal("no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn internal(text: &str) -> Error {
    Error::new(Status::Internal, "assertion", text)
}

#[cfg(test)]
mod tests;
