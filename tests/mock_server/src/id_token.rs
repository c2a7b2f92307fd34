//! ID tokens (OpenID Connect Core section 2) of fictitious users, signed by ES256 with a key generated at
//! each start.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use rustls::crypto::aws_lc_rs;
use serde_json::{Value, json};

const KEY_ID: &str = "mock-server-1";

pub(crate) struct IdTokenSigner(SigningKey);

impl IdTokenSigner {
    pub(crate) fn new() -> Self {
        let source = aws_lc_rs::default_provider().secure_random;
        loop {
            let mut scalar = [0_u8; 32];
            source.fill(&mut scalar).expect("random bytes");
            // About one of 2^32 random scalars is not below the order of the group.
            if let Ok(key) = SigningKey::from_slice(&scalar) {
                return IdTokenSigner(key);
            }
        }
    }

    pub(crate) fn sign_id_token(
        &self,
        issuer: &str,
        subject: &str,
        client_id: &str,
        nonce: Option<&str>,
        now: i64,
    ) -> String {
        let mut claims = json!({
            "iss": issuer, "sub": subject, "aud": client_id, "iat": now, "exp": now + 3600,
            "name": "Jo Smith", "email": "jo.smith@example.com",
            "organizations": [{ "id": "00000000-0000-4000-8000-000000000001", "name": "Example" }],
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": KEY_ID });
        let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
        let signature: Signature = self.0.sign(message.as_bytes());
        format!("{message}.{}", base64url(signature.to_bytes()))
    }

    /// The verification key (RFC 7517).
    pub(crate) fn jwks(&self) -> Value {
        let point = self.0.verifying_key().to_encoded_point(false);
        let coordinate =
            |value: Option<&_>| value.map(|bytes: &p256::FieldBytes| base64url(bytes)).unwrap_or_default();
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
            "x": coordinate(point.x()), "y": coordinate(point.y()),
        }] })
    }
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
