//! Request router; applies the scripted behavior to token requests.

use std::time::Duration;

use serde_json::json;

use crate::error::ErrorResponse;
use crate::http::Request;
use crate::request_log::{RecordedRequest, Verdict};
use crate::response::Response;
use crate::scenario::Behavior;
use crate::shared::{SharedState, unix_millis};
use crate::state::State;
use crate::token_endpoint::{self, EndpointContext, Grant};
use crate::{api, authorize, control, provider, urlencoded};

/// What the connection does next.
pub(crate) enum Action {
    Respond(Response),
    RespondAndClose(Response),
    Raw(Vec<u8>),
    BigBody(usize),
    RespondSlowly(Response),
    Hang,
    Reset,
}

pub(crate) fn route(shared: &SharedState, request: &Request, connection: u64) -> Action {
    if request.path().starts_with("/control/") {
        return Action::Respond(control::handle_control(shared, request));
    }
    let mut record = RecordedRequest::new(request, connection, unix_millis());
    if is_token_endpoint(&shared.state.lock(), request.path()) {
        return handle_token_request(shared, request, record);
    }
    record.verdict = Verdict::NotChecked;
    record_request(shared, record);
    Action::Respond(match request.path() {
        "/oauth/auth" => authorize::handle_authorization(shared, request),
        "/oauth/jwks" => Response::json(200, &shared.state.lock().signer.jwks()),
        "/oauth/logoff" => return handle_logoff(shared, request),
        "/api/whoami" => api::handle_whoami(shared, request),
        "/api/v2/statements" => provider::handle_statements(shared, request),
        "/login" => Response::html(200, "Sign in"),
        _ => Response::text(404, "Not Found"),
    })
}

fn is_token_endpoint(state: &State, path: &str) -> bool {
    state.config.token_paths.iter().any(|suffix| path.ends_with(suffix))
}

fn record_request(shared: &SharedState, record: RecordedRequest) {
    shared.state.lock().resettable.requests.push(record);
    shared.state_changed.notify_all();
}

fn handle_token_request(shared: &SharedState, request: &Request, mut record: RecordedRequest) -> Action {
    let host = request.header("host").unwrap_or_default();
    let context = EndpointContext { base_url: format!("{}://{host}", shared.scheme()), now: shared.now() };
    let mut state = shared.state.lock();
    let result = token_endpoint::check_token_request(&mut state, request, &context);
    let behavior = state.next_behavior();
    if let Ok(grant) = &result
        && !is_gateway_response(behavior.as_ref())
    {
        state.resettable.grant_store.mark_refresh_token_used(grant);
    }
    record.verdict = to_verdict(&result);
    record.behavior = behavior.clone();
    state.resettable.requests.push(record);
    drop(state);
    shared.state_changed.notify_all();
    apply_behavior(shared, behavior.unwrap_or(Behavior::Normal), || {
        normal_response(shared, request, &context, &result)
    })
}

// Emulates the response of a gateway: the token service has not received the refresh token.
fn is_gateway_response(behavior: Option<&Behavior>) -> bool {
    matches!(behavior, Some(Behavior::Json { .. } | Behavior::Html { .. } | Behavior::Redirect { .. }))
}

fn handle_logoff(shared: &SharedState, request: &Request) -> Action {
    if request.method != "POST" {
        return Action::Respond(Response::text(405, "logoff requires POST").with_header("Allow", "POST"));
    }
    shared.state.lock().resettable.logoff_count += 1;
    shared.state_changed.notify_all();
    let config = shared.state.lock().config.clone();
    let form = urlencoded::parse(&String::from_utf8_lossy(&request.body)).unwrap_or_default();
    let is_supported = !form
        .iter()
        .any(|(name, value)| name == "token_type_hint" && config.unsupported_revocations.contains(value));
    apply_behavior(shared, config.logoff, || {
        if is_supported {
            Response::json(200, &json!({}))
        } else {
            Response::oauth_error(400, "unsupported_token_type", None)
        }
    })
}

fn to_verdict(result: &Result<Grant, ErrorResponse>) -> Verdict {
    match result {
        Ok(_) => Verdict::Granted,
        Err(error) => {
            Verdict::Refused { error: error.error.to_owned(), description: error.description.clone() }
        }
    }
}

fn apply_behavior(shared: &SharedState, behavior: Behavior, normal: impl Fn() -> Response) -> Action {
    match behavior {
        Behavior::Normal => Action::Respond(normal()),
        Behavior::Json { status, body, headers } => {
            let response =
                if body.is_null() { Response::empty(status) } else { Response::json(status, &body) };
            Action::Respond(
                headers.iter().fold(response, |response, (name, value)| response.with_header(name, value)),
            )
        }
        Behavior::Html { status } => Action::Respond(Response::html(status, "Scripted page")),
        Behavior::Redirect { location } => Action::Respond(Response::redirect(&location)),
        Behavior::TokenAnswer(body) => Action::Respond(Response::new(200, "application/json", body)),
        Behavior::Raw(bytes) => Action::Raw(bytes),
        Behavior::BigBody(size) => Action::BigBody(size),
        Behavior::NeverAnswer => Action::Hang,
        Behavior::OneBytePerSecond => Action::RespondSlowly(normal()),
        Behavior::Reset => Action::Reset,
        Behavior::CloseAfterAnswer => Action::RespondAndClose(normal()),
        Behavior::Delay(ms) if shared.sleep(Duration::from_millis(ms)) => Action::Respond(normal()),
        Behavior::Gate if shared.wait_at_gate() => Action::Respond(normal()),
        Behavior::Delay(_) | Behavior::Gate => Action::Reset,
    }
}

fn normal_response(
    shared: &SharedState,
    request: &Request,
    context: &EndpointContext,
    result: &Result<Grant, ErrorResponse>,
) -> Response {
    let now = shared.now();
    let mut state = shared.state.lock();
    let get_response =
        if request.method == "GET" { token_endpoint::get_response(state.config.get) } else { None };
    match result {
        _ if get_response.is_some() => get_response.unwrap_or_else(|| Response::text(404, "Not Found")),
        Ok(grant) => {
            let tokens = state.issue_tokens(grant, &context.base_url, now);
            token_endpoint::token_response(&state.config, &tokens, grant, context)
        }
        Err(error) => error.to_response(state.config.wording, state.config.provider),
    }
}
