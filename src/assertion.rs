//! Claims in, a signed compact JWT out (RFC 7519, RFC 7515), as RFC 7523 section 3 wants an assertion.
//!
//! An assertion is as good as a password while it lives, so its text is a [`Secret`].

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use signature::Signer as _;

use crate::error::{Error, Result, Status};
use crate::key::SigningKey;
use crate::secret::Secret;

/// How far iat lies back. A server whose clock runs behind ours refuses an assertion "from the future"; five seconds
/// cover what NTP leaves over, and take as much from the end of the assertion.
const BACKDATED: i64 = 5;

/// What an assertion says.
pub struct Claims<'a> {
    /// iss.
    pub issuer: &'a str,
    /// sub, the user to act for.
    pub subject: Option<&'a str>,
    /// aud, as one string.
    pub audience: Option<&'a str>,
    /// scope.
    pub scope: Option<&'a str>,
    /// exp - iat, in seconds.
    pub lifetime: u32,
    /// Now, in seconds since 1970.
    pub now: i64,
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

/// The payload, in the order in which it is written.
#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    iat: i64,
    exp: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// Signs `claims` with `key`, by `algorithm` or the key's own.
///
/// exp - iat is `lifetime` exactly, as servers measure it against their limit.
pub fn sign(claims: &Claims<'_>, algorithm: Option<Algorithm>, key: &SigningKey) -> Result<Assertion> {
    let algorithm = key.algorithm(algorithm)?;
    let payload = payload(claims)?;
    let message = format!("{}.{}", part(&Header::new(algorithm))?, part(&payload)?);
    let signature = key.signer(algorithm).try_sign(message.as_bytes());
    let signature = signature.map_err(|_| internal("the key did not sign"))?;
    let text = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    Ok(Assertion {
        text: Secret::new(text),
        expires_at: payload.exp,
    })
}

fn payload<'a>(claims: &Claims<'a>) -> Result<Payload<'a>> {
    let iat = claims.now.saturating_sub(BACKDATED);
    Ok(Payload {
        iss: claims.issuer,
        sub: claims.subject,
        aud: claims.audience,
        iat,
        exp: iat.saturating_add(i64::from(claims.lifetime)),
        jti: unique()?,
        scope: claims.scope,
    })
}

/// 128 random bits: a server that keeps the ids it has seen must never meet one again (RFC 7519 section 4.1.7).
fn unique() -> Result<String> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| internal("no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn part(value: &impl Serialize) -> Result<String> {
    let json = serde_json::to_vec(value).map_err(|_| internal("the claims do not serialize"))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

fn internal(text: &str) -> Error {
    Error::new(Status::Internal, "assertion", text)
}
