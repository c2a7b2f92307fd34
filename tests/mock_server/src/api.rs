//! A protected resource (RFC 6750): tells the bearer of a live token who it is.

use serde_json::json;

use crate::http::Request;
use crate::provider::Provider;
use crate::response::Response;
use crate::shared::SharedState;

pub(crate) fn handle_whoami(shared: &SharedState, request: &Request) -> Response {
    let Some(token) = bearer_token(request) else {
        return unauthorized("Bearer realm=\"authority\"", "no Bearer token");
    };
    let now = shared.now();
    let live = shared.state.lock().find_valid_token(token, now).map(|live| live.grant.clone());
    match live {
        Some(grant) => {
            Response::json(200, &json!({ "iss": grant.issuer, "sub": grant.subject, "scope": grant.scope }))
        }
        None if shared.state.lock().config.provider == Some(Provider::Salesforce) => {
            let ended =
                json!([{ "message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID" }]);
            Response::json(401, &ended)
        }
        None => unauthorized("Bearer error=\"invalid_token\"", "the token is unknown, revoked or over"),
    }
}

fn bearer_token(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

fn unauthorized(challenge: &str, why: &str) -> Response {
    let body = json!({ "error": "invalid_token", "error_description": why });
    Response::json(401, &body).with_header("WWW-Authenticate", challenge)
}
