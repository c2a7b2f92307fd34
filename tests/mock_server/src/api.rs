//! Protected resource (RFC 6750): returns the grant of a valid bearer token.

use serde_json::json;

use crate::http::Request;
use crate::provider::Provider;
use crate::response::Response;
use crate::shared::SharedState;

pub(crate) fn handle_whoami(shared: &SharedState, request: &Request) -> Response {
    let Some(token) = bearer_token(request) else {
        return unauthorized("Bearer realm=\"mock_server\"", "no bearer token");
    };
    let now = shared.now();
    let grant = shared.state.lock().find_valid_token(token, now).map(|issued| issued.grant.clone());
    match grant {
        Some(grant) => {
            Response::json(200, &json!({ "iss": grant.issuer, "sub": grant.subject, "scope": grant.scope }))
        }
        None if shared.state.lock().config.provider == Some(Provider::Salesforce) => {
            let expired =
                json!([{ "message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID" }]);
            Response::json(401, &expired)
        }
        None => unauthorized("Bearer error=\"invalid_token\"", "the token is unknown, revoked or expired"),
    }
}

fn bearer_token(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

fn unauthorized(challenge: &str, reason: &str) -> Response {
    let body = json!({ "error": "invalid_token", "error_description": reason });
    Response::json(401, &body).with_header("WWW-Authenticate", challenge)
}
