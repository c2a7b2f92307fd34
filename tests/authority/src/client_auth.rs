//! Client authentication beside the assertion (RFC 6749 2.3.1): Basic with form-encoded halves, or in the body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::Client;
use crate::form;
use crate::http::Request;
use crate::refusal::Refusal;
use crate::token::Parameters;

/// A client with a secret must present it in exactly one way, a client without one must not present any.
pub(crate) fn check(client: &Client, request: &Request, parameters: &Parameters) -> Result<(), Refusal> {
    let basic = match request.count("authorization") {
        0 => None,
        1 => Some(basic(request.header("authorization").unwrap_or_default())?),
        _ => return Err(Refusal::request("Authorization stands more than once")),
    };
    let (id, secret) = (parameters.get("client_id"), parameters.get("client_secret"));
    if basic.is_some() && secret.is_some() {
        return Err(Refusal::request("the client authenticates twice, by Basic and in the body"));
    }
    if let Some(id) = id.filter(|id| *id != client.client_id()) {
        return Err(wrong_id(false, id, client));
    }
    match basic {
        Some((id, _)) if id != client.client_id() => Err(wrong_id(true, &id, client)),
        Some((_, secret)) => compare(client, Some(&secret), true),
        None if secret.is_some() && id.is_none() => Err(Refusal::request("client_secret without client_id")),
        None => compare(client, secret, false),
    }
}

fn compare(client: &Client, found: Option<&str>, by_basic: bool) -> Result<(), Refusal> {
    match (client.options.secret.as_deref(), found) {
        (None, None) => Ok(()),
        (Some(expected), Some(found)) if expected == found => Ok(()),
        (Some(expected), Some(found)) => {
            Err(Refusal::client(by_basic, format!("the client secret is {found:?}, expected {expected:?}")))
        }
        (Some(_), None) => Err(Refusal::client(by_basic, "the client secret is missing")),
        (None, Some(_)) => Err(Refusal::client(by_basic, "a secret came from a client that has none")),
    }
}

fn wrong_id(by_basic: bool, found: &str, client: &Client) -> Refusal {
    Refusal::client(by_basic, format!("the client id is {found:?}, expected {:?}", client.client_id()))
}

fn basic(value: &str) -> Result<(String, String), Refusal> {
    let refuse = |reason: &str| Refusal::client(true, format!("Authorization {reason}"));
    let (scheme, encoded) = value.split_once(' ').ok_or_else(|| refuse("is not a scheme and a value"))?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Err(refuse("is not Basic"));
    }
    let bytes = STANDARD.decode(encoded).map_err(|_| refuse("is not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8"))?;
    let (id, secret) = text.split_once(':').ok_or_else(|| refuse("has no colon"))?;
    let decoded = |half| form::decode(half).map_err(|e| refuse(&e));
    Ok((decoded(id)?, decoded(secret)?))
}
