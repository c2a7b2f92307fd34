//! The control surface over HTTP, for tests in other languages. The listener is on the loopback only.
//!
//! POST `/control/play` (a play, a list of them, or `{"always": play}`), `/control/release`, `/control/reset`,
//! `/control/register`, `/control/require-consent`, `/control/revoke`, `/control/config` (the members of `Config` to
//! change), `/control/refresh-token` (`{"issuer", "subject", "scope"}`; answers with one); GET `/control/requests`,
//! `/control/issued`, `/control/refresh-tokens`, `/control/counts`, `/control/config`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::client::{Client, ClientOptions};
use crate::http::Request;
use crate::play::Play;
use crate::record::Verdict;
use crate::shared::Shared;

#[derive(Deserialize)]
struct Registration {
    issuer: String,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    options: ClientOptions,
}

#[derive(Deserialize)]
struct RefreshToken {
    issuer: String,
    subject: String,
    scope: Option<String>,
}

pub(crate) fn answer(shared: &Shared, request: &Request) -> Answer {
    let done = match (request.method.as_str(), request.path()) {
        ("GET", "/control/requests") => requests(shared),
        ("GET", "/control/issued") => issued(shared),
        ("GET", "/control/counts") => Ok(counts(shared)),
        ("GET", "/control/refresh-tokens") => Ok(shared.state.lock().seen.vault.refresh_tokens().into()),
        ("GET", "/control/config") => config(shared),
        ("POST", "/control/refresh-token") => refresh_token(shared, &request.body),
        ("POST", path) => post(shared, path, &request.body).map(|()| json!({})),
        _ => Err("no such control".to_owned()),
    };
    match done {
        Ok(body) => Answer::json(200, &body),
        Err(why) => Answer::json(400, &json!({ "error": why })),
    }
}

fn post(shared: &Shared, path: &str, body: &[u8]) -> Result<(), String> {
    match path {
        "/control/play" => play(shared, parse(body)?)?,
        "/control/release" => shared.state.lock().gate.open = true,
        "/control/reset" => shared.state.lock().reset(),
        "/control/config" => reconfigure(shared, body)?,
        "/control/register" => register(shared, parse(body)?)?,
        "/control/require-consent" => shared.state.lock().require_consent(&member(body, "sub")?),
        "/control/revoke" => drop(shared.state.lock().revoke(&member(body, "token")?)),
        _ => return Err(format!("no control {path}")),
    }
    shared.signal();
    Ok(())
}

fn play(shared: &Shared, mut order: Value) -> Result<(), String> {
    if let Some(always) = order.get_mut("always") {
        let play: Option<Play> = read(always.take())?;
        shared.state.lock().play_always(play);
        return Ok(());
    }
    let script: Vec<Play> = if order.is_array() { read(order)? } else { vec![read(order)?] };
    shared.state.lock().play(script);
    Ok(())
}

fn register(shared: &Shared, wanted: Registration) -> Result<(), String> {
    let client = Client::new(&wanted.issuer, &wanted.keys, wanted.options)?;
    shared.state.lock().register(client);
    Ok(())
}

fn config(shared: &Shared) -> Result<Value, String> {
    serde_json::to_value(&shared.state.lock().config).map_err(|e| e.to_string())
}

fn reconfigure(shared: &Shared, body: &[u8]) -> Result<(), String> {
    let changes: Map<String, Value> = parse(body)?;
    if let Some(fixed) = ["https", "port", "certificate"].iter().find(|name| changes.contains_key(**name)) {
        return Err(format!("{fixed} is chosen at the start"));
    }
    let mut state = shared.state.lock();
    state.config = state.config.with(&Value::Object(changes).to_string())?;
    Ok(())
}

fn refresh_token(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    let wanted: RefreshToken = parse(body)?;
    let mut state = shared.state.lock();
    let token = state.issue_refresh_token(&wanted.issuer, &wanted.subject, wanted.scope.as_deref())?;
    Ok(json!({ "refresh_token": token }))
}

fn requests(shared: &Shared) -> Result<Value, String> {
    let state = shared.state.lock();
    let tokens = state.seen.requests.iter().filter(|one| one.verdict != Verdict::NotChecked);
    serde_json::to_value(tokens.collect::<Vec<_>>()).map_err(|e| e.to_string())
}

fn issued(shared: &Shared) -> Result<Value, String> {
    let state = shared.state.lock();
    Ok(state.seen.issued.iter().map(|one| Value::from(one.token.as_str())).collect())
}

fn counts(shared: &Shared) -> Value {
    let state = shared.state.lock();
    json!({
        "connections": state.connections,
        "issued": state.seen.issued.len(),
        "logoffs": state.seen.logoffs,
        "waiting_at_gate": state.gate.waiting,
    })
}

fn member(body: &[u8], name: &str) -> Result<String, String> {
    let object: Value = parse(body)?;
    object[name].as_str().map(str::to_owned).ok_or_else(|| format!("{name} is missing"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|e| e.to_string())
}
