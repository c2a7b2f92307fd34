//! Control API over HTTP, for tests in other languages. The server listens on loopback only.
//!
//! POST:
//! * `/control/behavior`: a [`Behavior`], a list of them as script, or `{"always": behavior}`
//! * `/control/release`: opens the gate
//! * `/control/reset`, `/control/register`, `/control/require-consent`, `/control/revoke`
//! * `/control/config`: the members of `Config` to change
//! * `/control/refresh-token`: issues a refresh token for `{"issuer", "subject", "scope"}`
//!
//! GET: `/control/requests`, `/control/issued`, `/control/refresh-tokens`, `/control/counts`,
//! `/control/config`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::client::{Client, ClientOptions};
use crate::http::Request;
use crate::request_log::Verdict;
use crate::response::Response;
use crate::scenario::Behavior;
use crate::shared::SharedState;

#[derive(Deserialize)]
struct Registration {
    issuer: String,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    options: ClientOptions,
}

#[derive(Deserialize)]
struct RefreshTokenParams {
    issuer: String,
    subject: String,
    scope: Option<String>,
}

pub(crate) fn handle_control(shared: &SharedState, request: &Request) -> Response {
    let result = match (request.method.as_str(), request.path()) {
        ("GET", "/control/requests") => token_requests_json(shared),
        ("GET", "/control/issued") => issued_tokens_json(shared),
        ("GET", "/control/counts") => Ok(counts_json(shared)),
        ("GET", "/control/refresh-tokens") => {
            Ok(shared.state.lock().resettable.grant_store.refresh_tokens().into())
        }
        ("GET", "/control/config") => config_json(shared),
        ("POST", "/control/refresh-token") => issue_refresh_token(shared, &request.body),
        ("POST", path) => handle_post(shared, path, &request.body).map(|()| json!({})),
        _ => Err("unknown control request".to_owned()),
    };
    match result {
        Ok(body) => Response::json(200, &body),
        Err(reason) => Response::json(400, &json!({ "error": reason })),
    }
}

fn handle_post(shared: &SharedState, path: &str, body: &[u8]) -> Result<(), String> {
    match path {
        "/control/behavior" => set_behaviors(shared, parse_json(body)?)?,
        "/control/release" => shared.state.lock().gate.open = true,
        "/control/reset" => shared.state.lock().reset(),
        "/control/config" => change_config(shared, body)?,
        "/control/register" => register_client(shared, parse_json(body)?)?,
        "/control/require-consent" => shared.state.lock().require_consent(&string_member(body, "sub")?),
        "/control/revoke" => drop(shared.state.lock().revoke(&string_member(body, "token")?)),
        _ => return Err(format!("unknown control path {path}")),
    }
    shared.notify_waiters();
    Ok(())
}

fn set_behaviors(shared: &SharedState, mut body: Value) -> Result<(), String> {
    if let Some(always) = body.get_mut("always") {
        let behavior: Option<Behavior> = from_json_value(always.take())?;
        shared.state.lock().set_default_behavior(behavior);
        return Ok(());
    }
    let script: Vec<Behavior> =
        if body.is_array() { from_json_value(body)? } else { vec![from_json_value(body)?] };
    shared.state.lock().set_script(script);
    Ok(())
}

fn register_client(shared: &SharedState, registration: Registration) -> Result<(), String> {
    let client = Client::new(&registration.issuer, &registration.keys, registration.options)?;
    shared.state.lock().register(client);
    Ok(())
}

fn config_json(shared: &SharedState) -> Result<Value, String> {
    serde_json::to_value(&shared.state.lock().config).map_err(|e| e.to_string())
}

fn change_config(shared: &SharedState, body: &[u8]) -> Result<(), String> {
    let changes: Map<String, Value> = parse_json(body)?;
    if let Some(fixed) = ["https", "port", "certificate"].iter().find(|name| changes.contains_key(**name)) {
        return Err(format!("{fixed} cannot be changed while the server runs"));
    }
    let mut state = shared.state.lock();
    state.config = state.config.with_json(&Value::Object(changes).to_string())?;
    Ok(())
}

fn issue_refresh_token(shared: &SharedState, body: &[u8]) -> Result<Value, String> {
    let params: RefreshTokenParams = parse_json(body)?;
    let mut state = shared.state.lock();
    let token = state.issue_refresh_token(&params.issuer, &params.subject, params.scope.as_deref())?;
    Ok(json!({ "refresh_token": token }))
}

fn token_requests_json(shared: &SharedState) -> Result<Value, String> {
    let state = shared.state.lock();
    let tokens = state.resettable.requests.iter().filter(|one| one.verdict != Verdict::NotChecked);
    serde_json::to_value(tokens.collect::<Vec<_>>()).map_err(|e| e.to_string())
}

fn issued_tokens_json(shared: &SharedState) -> Result<Value, String> {
    let state = shared.state.lock();
    Ok(state.resettable.issued_tokens.iter().map(|one| Value::from(one.token.as_str())).collect())
}

fn counts_json(shared: &SharedState) -> Value {
    let state = shared.state.lock();
    json!({
        "connections": state.connection_count,
        "issued": state.resettable.issued_tokens.len(),
        "logoffs": state.resettable.logoff_count,
        "waiting_at_gate": state.gate.waiting,
    })
}

fn string_member(body: &[u8], name: &str) -> Result<String, String> {
    let object: Value = parse_json(body)?;
    object[name].as_str().map(str::to_owned).ok_or_else(|| format!("{name} is missing"))
}

fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

fn from_json_value<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|e| e.to_string())
}
