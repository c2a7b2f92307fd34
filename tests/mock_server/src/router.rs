//! Which endpoint a request is for, and for a token request what is played instead of the answer it deserves.

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
use crate::{api, authorize, control, provider};

/// What a connection does next.
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
    state.config.token_paths.iter().any(|end| path.ends_with(end))
}

fn record_request(shared: &SharedState, record: RecordedRequest) {
    shared.state.lock().resettable.requests.push(record);
    shared.state_changed.notify_all();
}

fn handle_token_request(shared: &SharedState, request: &Request, mut record: RecordedRequest) -> Action {
    let host = request.header("host").unwrap_or_default();
    let call = EndpointContext { base_url: format!("{}://{host}", shared.scheme()), now: shared.now() };
    let mut state = shared.state.lock();
    let checked = token_endpoint::check_token_request(&mut state, request, &call);
    let play = state.next_behavior();
    if let Ok(grant) = &checked
        && !is_gateway_response(play.as_ref())
    {
        state.resettable.grant_store.mark_refresh_token_used(grant);
    }
    record.verdict = to_verdict(&checked);
    record.played = play.clone();
    state.resettable.requests.push(record);
    drop(state);
    shared.state_changed.notify_all();
    apply_behavior(shared, play.unwrap_or(Behavior::Normal), || {
        normal_response(shared, request, &call, &checked)
    })
}

// Such an answer stands for one that was given in front of the token service, which never saw the refresh token.
fn is_gateway_response(play: Option<&Behavior>) -> bool {
    matches!(play, Some(Behavior::Json { .. } | Behavior::Html { .. } | Behavior::Redirect { .. }))
}

fn handle_logoff(shared: &SharedState, request: &Request) -> Action {
    if request.method != "POST" {
        return Action::Respond(Response::text(405, "logoff is by POST").with_header("Allow", "POST"));
    }
    shared.state.lock().resettable.logoff_count += 1;
    shared.state_changed.notify_all();
    let play = shared.state.lock().config.logoff.clone();
    apply_behavior(shared, play, || Response::json(200, &json!({})))
}

fn to_verdict(checked: &Result<Grant, ErrorResponse>) -> Verdict {
    match checked {
        Ok(_) => Verdict::Granted,
        Err(refusal) => {
            Verdict::Refused { error: refusal.error.to_owned(), description: refusal.description.clone() }
        }
    }
}

fn apply_behavior(shared: &SharedState, play: Behavior, ordinary: impl Fn() -> Response) -> Action {
    match play {
        Behavior::Normal => Action::Respond(ordinary()),
        Behavior::Json { status, body, headers } => {
            let answer = if body.is_null() { Response::empty(status) } else { Response::json(status, &body) };
            Action::Respond(
                headers.iter().fold(answer, |answer, (name, value)| answer.with_header(name, value)),
            )
        }
        Behavior::Html { status } => Action::Respond(Response::html(status, "Something else")),
        Behavior::Redirect { location } => Action::Respond(Response::redirect(&location)),
        Behavior::TokenAnswer(body) => Action::Respond(Response::new(200, "application/json", body)),
        Behavior::Raw(bytes) => Action::Raw(bytes),
        Behavior::BigBody(size) => Action::BigBody(size),
        Behavior::NeverAnswer => Action::Hang,
        Behavior::OneBytePerSecond => Action::RespondSlowly(ordinary()),
        Behavior::Reset => Action::Reset,
        Behavior::CloseAfterAnswer => Action::RespondAndClose(ordinary()),
        Behavior::Delay(ms) if shared.sleep(Duration::from_millis(ms)) => Action::Respond(ordinary()),
        Behavior::Gate if shared.wait_at_gate() => Action::Respond(ordinary()),
        Behavior::Delay(_) | Behavior::Gate => Action::Reset,
    }
}

fn normal_response(
    shared: &SharedState,
    request: &Request,
    call: &EndpointContext,
    checked: &Result<Grant, ErrorResponse>,
) -> Response {
    let now = shared.now();
    let mut state = shared.state.lock();
    let by_get = if request.method == "GET" { token_endpoint::get_response(state.config.get) } else { None };
    match checked {
        _ if by_get.is_some() => by_get.unwrap_or_else(|| Response::text(404, "Not Found")),
        Ok(grant) => {
            let tokens = state.issue_tokens(grant, &call.base_url, now);
            token_endpoint::token_response(&state.config, &tokens, grant, call)
        }
        Err(refusal) => refusal.to_response(state.config.wording, state.config.provider),
    }
}
