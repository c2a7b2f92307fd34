//! Which endpoint a request is for, and for a token request what is played instead of the answer it deserves.

use std::time::Duration;

use serde_json::json;

use crate::answer::Answer;
use crate::http::Request;
use crate::play::Play;
use crate::record::{Recorded, Verdict};
use crate::refusal::Refusal;
use crate::shared::{Shared, real_ms};
use crate::state::State;
use crate::token::{self, Call, Grant};
use crate::{api, authorize, control, provider};

/// What a connection does next.
pub(crate) enum Action {
    Answer(Answer),
    AnswerAndEnd(Answer),
    Raw(Vec<u8>),
    Big(usize),
    Trickle(Answer),
    Hang,
    Reset,
}

pub(crate) fn act(shared: &Shared, request: &Request, connection: u64) -> Action {
    if request.path().starts_with("/control/") {
        return Action::Answer(control::answer(shared, request));
    }
    let mut record = Recorded::new(request, connection, real_ms());
    if is_token_endpoint(&shared.state.lock(), request.path()) {
        return token_request(shared, request, record);
    }
    record.verdict = Verdict::NotChecked;
    remember(shared, record);
    Action::Answer(match request.path() {
        "/oauth/auth" => authorize::answer(shared, request),
        "/oauth/jwks" => Answer::json(200, &shared.state.lock().signer.jwks()),
        "/oauth/logoff" => return logoff(shared, request),
        "/api/whoami" => api::whoami(shared, request),
        "/api/v2/statements" => provider::statements(shared, request),
        "/login" => Answer::html(200, "Sign in"),
        _ => Answer::text(404, "Not Found"),
    })
}

fn is_token_endpoint(state: &State, path: &str) -> bool {
    state.config.token_paths.iter().any(|end| path.ends_with(end))
}

fn remember(shared: &Shared, record: Recorded) {
    shared.state.lock().seen.requests.push(record);
    shared.changed.notify_all();
}

fn token_request(shared: &Shared, request: &Request, mut record: Recorded) -> Action {
    let host = request.header("host").unwrap_or_default();
    let call = Call { base: format!("{}://{host}", shared.scheme()), now: shared.now() };
    let mut state = shared.state.lock();
    let checked = token::check(&mut state, request, &call);
    let play = state.next_play();
    if let Ok(grant) = &checked
        && !by_a_gateway(play.as_ref())
    {
        state.seen.vault.end_used(grant);
    }
    record.verdict = verdict(&checked);
    record.played = play.clone();
    state.seen.requests.push(record);
    drop(state);
    shared.changed.notify_all();
    perform(shared, play.unwrap_or(Play::Normal), || ordinary(shared, request, &call, &checked))
}

// Such an answer stands for one that was given in front of the token service, which never saw the refresh token.
fn by_a_gateway(play: Option<&Play>) -> bool {
    matches!(play, Some(Play::Json { .. } | Play::Html { .. } | Play::Redirect { .. }))
}

fn logoff(shared: &Shared, request: &Request) -> Action {
    if request.method != "POST" {
        return Action::Answer(Answer::text(405, "logoff is by POST").with("Allow", "POST"));
    }
    shared.state.lock().seen.logoffs += 1;
    shared.changed.notify_all();
    let play = shared.state.lock().config.logoff.clone();
    perform(shared, play, || Answer::json(200, &json!({})))
}

fn verdict(checked: &Result<Grant, Refusal>) -> Verdict {
    match checked {
        Ok(_) => Verdict::Granted,
        Err(refusal) => {
            Verdict::Refused { error: refusal.error.to_owned(), description: refusal.description.clone() }
        }
    }
}

fn perform(shared: &Shared, play: Play, ordinary: impl Fn() -> Answer) -> Action {
    match play {
        Play::Normal => Action::Answer(ordinary()),
        Play::Json { status, body, headers } => {
            let answer = if body.is_null() { Answer::empty(status) } else { Answer::json(status, &body) };
            Action::Answer(headers.iter().fold(answer, |answer, (name, value)| answer.with(name, value)))
        }
        Play::Html { status } => Action::Answer(Answer::html(status, "Something else")),
        Play::Redirect { location } => Action::Answer(Answer::redirect(&location)),
        Play::TokenAnswer(body) => Action::Answer(Answer::new(200, "application/json", body)),
        Play::Raw(bytes) => Action::Raw(bytes),
        Play::BigBody(size) => Action::Big(size),
        Play::NeverAnswer => Action::Hang,
        Play::OneBytePerSecond => Action::Trickle(ordinary()),
        Play::Reset => Action::Reset,
        Play::CloseAfterAnswer => Action::AnswerAndEnd(ordinary()),
        Play::Delay(ms) if shared.sleep(Duration::from_millis(ms)) => Action::Answer(ordinary()),
        Play::Gate if shared.pass_gate() => Action::Answer(ordinary()),
        Play::Delay(_) | Play::Gate => Action::Reset,
    }
}

fn ordinary(shared: &Shared, request: &Request, call: &Call, checked: &Result<Grant, Refusal>) -> Answer {
    let now = shared.now();
    let mut state = shared.state.lock();
    let by_get = if request.method == "GET" { token::answer_to_get(state.config.get) } else { None };
    match checked {
        _ if by_get.is_some() => by_get.unwrap_or_else(|| Answer::text(404, "Not Found")),
        Ok(grant) => {
            let tokens = state.issue(grant, &call.base, now);
            token::answer(&state.config, &tokens, grant, call)
        }
        Err(refusal) => refusal.answer(state.config.wording, state.config.provider),
    }
}
