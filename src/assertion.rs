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
    Ok(Assertion { text: Secret::new(text), expires_at: payload.exp })
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

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;
    use crate::key::fixtures::{Place, bytes};
    use crate::key::open;

    const NOW: i64 = 1_700_000_000;

    fn claims<'a>() -> Claims<'a> {
        Claims {
            issuer: "an \"issuer\"",
            subject: Some("5a9e"),
            audience: Some("account-d.docusign.com"),
            scope: Some("signature impersonation"),
            lifetime: 3600,
            now: NOW,
        }
    }

    fn signed(name: &str, claims: &Claims<'_>, algorithm: Option<Algorithm>) -> Assertion {
        let place = Place::new();
        let key = open(&place.fixture(name, None)).unwrap();
        sign(claims, algorithm, &key).unwrap()
    }

    fn parts(assertion: &Assertion) -> Vec<Vec<u8>> {
        let parts = assertion.text().reveal().split('.');
        parts.map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect()
    }

    fn payload_of(assertion: &Assertion) -> Value {
        serde_json::from_slice(&parts(assertion)[1]).unwrap()
    }

    #[test]
    fn an_assertion_is_three_parts_without_padding_and_the_signature_is_over_the_first_two() {
        let assertion = signed("rsa-pkcs1.pem", &claims(), None);
        let text = assertion.text().reveal();
        assert!(!text.contains(['=', '+', '/']));
        let parts = parts(&assertion);
        assert_eq!(parts.len(), 3);
        let pem = std::str::from_utf8(bytes("rsa-pkcs1.pem")).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
        let pair = RsaKeyPair::from_der(&der).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
        let (message, _) = text.rsplit_once('.').unwrap();
        public.verify(message.as_bytes(), &parts[2]).unwrap();
    }

    #[test]
    fn the_header_holds_the_algorithm_and_the_type_and_nothing_else() {
        for (name, wanted, alg) in [
            ("rsa.pem", None, "RS256"),
            ("rsa.pem", Some(Algorithm::PS384), "PS384"),
            ("ec.pem", None, "ES256"),
            ("ec384.pem", None, "ES384"),
        ] {
            let header: Value = serde_json::from_slice(&parts(&signed(name, &claims(), wanted))[0]).unwrap();
            assert_eq!(header, serde_json::json!({"alg": alg, "typ": "JWT"}));
        }
    }

    #[test]
    fn claims_are_strings_and_whole_numbers_and_last_exactly_their_lifetime() {
        let assertion = signed("ec.pem", &claims(), None);
        let payload = payload_of(&assertion);
        assert_eq!(payload["iss"], "an \"issuer\"");
        assert_eq!(payload["sub"], "5a9e");
        assert_eq!(payload["aud"], "account-d.docusign.com");
        assert_eq!(payload["scope"], "signature impersonation");
        assert_eq!(payload["iat"].as_i64().unwrap(), NOW - 5);
        assert_eq!(payload["exp"].as_i64().unwrap() - payload["iat"].as_i64().unwrap(), 3600);
        assert_eq!(payload["exp"].as_i64().unwrap(), assertion.expires_at);
    }

    #[test]
    fn what_is_not_asked_for_is_not_claimed() {
        let bare = Claims { subject: None, audience: None, scope: None, ..claims() };
        let payload = payload_of(&signed("ec.pem", &bare, None));
        let mut names: Vec<_> = payload.as_object().unwrap().keys().cloned().collect();
        names.sort();
        assert_eq!(names, ["exp", "iat", "iss", "jti"]);
    }

    #[test]
    fn no_two_assertions_have_the_same_id_and_each_has_128_bits() {
        let ids: std::collections::HashSet<String> = (0..20)
            .map(|_| payload_of(&signed("ec.pem", &claims(), None))["jti"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), 20);
        assert!(ids.iter().all(|id| URL_SAFE_NO_PAD.decode(id).unwrap().len() == 16));
    }

    #[test]
    fn a_clock_at_the_end_of_time_does_no_harm() {
        let last = Claims { now: i64::MAX, lifetime: u32::MAX, ..claims() };
        assert_eq!(signed("ec.pem", &last, None).expires_at, i64::MAX);
    }

    #[test]
    fn an_algorithm_that_does_not_fit_signs_nothing() {
        let place = Place::new();
        let key = open(&place.fixture("ec.pem", None)).unwrap();
        let error = sign(&claims(), Some(Algorithm::RS256), &key).unwrap_err();
        assert_eq!(error.status(), Status::KeyUnsuitable);
    }

    #[test]
    fn debug_of_an_assertion_does_not_show_it() {
        let assertion = signed("ec.pem", &claims(), None);
        assert!(!format!("{assertion:?}").contains("eyJ"));
    }
}
