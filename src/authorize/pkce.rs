//! What proves that an answer belongs to its question: the `state` that a visit must bring back (RFC 6749
//! section 10.12), and PKCE, which binds the code to whoever asked for it (RFC 7636).

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;

/// The only `code_challenge_method` that there is here: `plain` shows the verifier to whoever sees the URL.
pub const CHALLENGE_METHOD: &str = "S256";

/// A verifier, which goes to the token endpoint, and the challenge made of it, which goes through the browser.
#[derive(Debug)]
pub struct Pkce {
    verifier: Secret,
    challenge: String,
}

impl Pkce {
    /// A fresh one, of 256 random bits as RFC 7636 section 7.1 wants it.
    ///
    /// # Errors
    /// The machine has no randomness to give.
    pub fn random() -> Result<Self> {
        Ok(Self::from_verifier(random_token()?))
    }

    fn from_verifier(verifier: Secret) -> Self {
        let hash = digest::digest(&digest::SHA256, verifier.reveal().as_bytes());
        Self { challenge: URL_SAFE_NO_PAD.encode(hash), verifier }
    }

    /// For the token request alone.
    #[must_use]
    pub fn verifier(&self) -> &Secret {
        &self.verifier
    }

    /// For the URL.
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.challenge
    }
}

/// A fresh `state` of 256 random bits.
///
/// # Errors
/// The machine has no randomness to give.
pub fn random_state() -> Result<Secret> {
    random_token()
}

/// 43 characters that stand in a URL as they are.
fn random_token() -> Result<Secret> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    crate::sys::fill_random(bytes.as_mut_slice()).map_err(|_| {
        Error::new(Status::Internal, "consent", "the random generator of this machine does not work")
    })?;
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
    fn verifiers_and_states_are_unique_256_bits() {
        let (one, other) = (Pkce::random().unwrap(), Pkce::random().unwrap());
        assert_ne!(one.verifier(), other.verifier());
        assert_ne!(random_state().unwrap(), random_state().unwrap());
        for text in [one.verifier().clone(), random_state().unwrap()] {
            assert_eq!(URL_SAFE_NO_PAD.decode(text.reveal()).unwrap().len(), 32);
        }
    }

    #[test]
    fn debug_output_omits_verifier() {
        let pkce = Pkce::random().unwrap();
        let shown = format!("{pkce:?}");
        assert!(shown.contains(pkce.challenge()) && !shown.contains(pkce.verifier().reveal()));
    }
}
