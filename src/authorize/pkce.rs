//! PKCE (RFC 7636), the `state` parameter (RFC 6749 section 10.12) and the `nonce` of OpenID Connect.
//!
//! `state` binds the authorization response to its request. PKCE binds the authorization code to the client
//! that requested it.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::secret::Secret;

/// The only supported `code_challenge_method`: `plain` would expose the verifier in the URL.
pub const CHALLENGE_METHOD: &str = "S256";

/// A code verifier, sent to the token endpoint, and its challenge, sent in the authorization URL.
#[derive(Debug)]
pub struct Pkce {
    verifier: Secret,
    challenge: String,
}

impl Pkce {
    /// A new verifier of 256 random bits (RFC 7636 section 7.1).
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the random number generator fails.
    pub fn random() -> Result<Self> {
        Ok(Self::from_verifier(random_token()?))
    }

    fn from_verifier(verifier: Secret) -> Self {
        let hash = digest::digest(&digest::SHA256, verifier.reveal().as_bytes());
        Self { challenge: URL_SAFE_NO_PAD.encode(hash), verifier }
    }

    /// The verifier; only for the token request.
    #[must_use]
    pub fn verifier(&self) -> &Secret {
        &self.verifier
    }

    /// The challenge for the authorization URL.
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.challenge
    }
}

/// A new `state` of 256 random bits.
///
/// # Errors
/// [`ErrorKind::Internal`] if the random number generator fails.
pub fn random_state() -> Result<Secret> {
    random_token()
}

/// A new `nonce` of 256 random bits (OpenID Connect Core section 15.5.2).
///
/// # Errors
/// [`ErrorKind::Internal`] if the random number generator fails.
pub fn random_nonce() -> Result<Secret> {
    random_token()
}

/// 43 random characters that need no percent-encoding.
fn random_token() -> Result<Secret> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    crate::sys::fill_random(bytes.as_mut_slice())
        .map_err(|_| Error::new(ErrorKind::Internal, "consent", "the random number generator failed"))?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_matches_rfc_7636_appendix_b() {
        let pkce = Pkce::from_verifier(Secret::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn verifiers_states_and_nonces_are_unique_256_bits() {
        let (one, other) = (Pkce::random().unwrap(), Pkce::random().unwrap());
        assert_ne!(one.verifier(), other.verifier());
        assert_ne!(random_state().unwrap(), random_state().unwrap());
        assert_ne!(random_nonce().unwrap(), random_nonce().unwrap());
        for text in [one.verifier().clone(), random_state().unwrap(), random_nonce().unwrap()] {
            assert_eq!(URL_SAFE_NO_PAD.decode(text.reveal()).unwrap().len(), 32);
        }
    }

    #[test]
    fn debug_output_omits_verifier() {
        let pkce = Pkce::random().unwrap();
        let debug = format!("{pkce:?}");
        assert!(debug.contains(pkce.challenge()) && !debug.contains(pkce.verifier().reveal()));
    }
}
