//! Snowflake's SQL API: the bearer token is a JWT whose `iss` contains the fingerprint of the key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::http::Request;
use crate::jwt::Jwt;
use crate::response::Response;
use crate::shared::SharedState;
use crate::state::State;

/// Maximum age of a JWT.
const MAX_AGE_SECS: i64 = 60;

/// `POST /api/v2/statements`.
pub(crate) fn handle_statements(shared: &SharedState, request: &Request) -> Response {
    let now = shared.now();
    match check_jwt(&shared.state.lock(), request, now) {
        Ok(()) => {
            Response::json(200, &json!({ "code": "090001", "message": "Statement executed successfully." }))
        }
        // Snowflake does not disclose the reason.
        Err(_) => {
            let message = "JWT token is invalid. [00000000-0000-4000-8000-00000000000b]";
            Response::json(401, &json!({ "code": "390144", "message": message }))
        }
    }
}

fn check_jwt(state: &State, request: &Request, now: i64) -> Result<(), String> {
    if request.header("x-snowflake-authorization-token-type") != Some("KEYPAIR_JWT") {
        return Err("the token type is not KEYPAIR_JWT".to_owned());
    }
    let token = request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
    let jwt = Jwt::parse(token.ok_or("no bearer token")?)?;
    let text = |claim: &str| jwt.claims.get(claim).and_then(Value::as_str).unwrap_or_default().to_owned();
    let time = |claim: &str| jwt.claims.get(claim).and_then(Value::as_i64).unwrap_or_default();
    let (issuer, subject) = (text("iss"), text("sub"));
    let (account, fingerprint) = issuer.split_once(".SHA256:").ok_or("iss has no fingerprint")?;
    let client = state.clients.iter().find(|client| client.issuer == account).ok_or("unknown user")?;
    let algorithm = jwt.header_str("alg").unwrap_or_default();
    let has_signed = |key: &&crate::verification_key::VerificationKey| {
        let computed = key.spki().map(|info| STANDARD.encode(Sha256::digest(info)));
        computed.as_deref() == Some(fingerprint)
            && key.is_valid_signature(algorithm, jwt.signing_input.as_bytes(), &jwt.signature)
    };
    client.keys.iter().find(has_signed).ok_or("no key with this fingerprint verifies the signature")?;
    let in_time = now < time("exp") && time("iat") <= now && now - time("iat") <= MAX_AGE_SECS;
    if subject != account || !in_time || jwt.claims.contains_key("aud") {
        return Err("sub, iat, exp or aud is invalid".to_owned());
    }
    Ok(())
}
