//! The end of a token before its time: LogoffURI is told that nobody needs it any more.
//!
//! No vendor's page says in which words. The request is one that a revocation endpoint (RFC 7009) understands, and that
//! carries the token as a request to the API does where no other credential takes that place.

use crate::base::call::CallContext;
use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;
use crate::grants::token_request::basic_authorization;
use crate::net::http::{ConnectionReuse, HttpMethod, Request};
use crate::net::urlencoded;
use crate::process::Process;
use crate::resolve::{Config, Flow, OAuthClient};
use crate::token::AccessToken;

/// Tells LogoffURI of `token`; nothing is sent where there is none.
///
/// # Errors
/// The network's; [`Status::BadResponse`] for an answer that is neither a success nor a redirect.
pub fn log_off(config: &Config, token: &AccessToken, process: &Process, call: &CallContext) -> Result<()> {
    let Some(logoff) = &config.logoff else { return Ok(()) };
    let value = token.value().to_str().unwrap_or_default();
    let client = match &config.flow {
        Flow::TokenEndpoint(exchange) => exchange.client.as_ref(),
        _ => None,
    };
    let authorization = match client.filter(|client| client.uses_basic_auth) {
        Some(client) => basic_authorization(client),
        None => Secret::new(format!("Bearer {value}")),
    };
    let request = Request {
        method: HttpMethod::Post,
        url: &logoff.endpoint,
        query: None,
        headers: vec![("Authorization".to_owned(), authorization)],
        body: Some(encode_revocation_body(value, client)),
        reuse: ConnectionReuse::Allow,
    };
    let answer = process.http_client.send(&request, &logoff.transport, call)?;
    if (200..400).contains(&answer.status) {
        return Ok(());
    }
    let text = format!(
        "{} answered HTTP {}; the token is not used here any more all the same",
        logoff.endpoint.without_query(),
        answer.status
    );
    let error = Error::new(Status::BadResponse, "logoff", text).with_option("LogoffURI");
    Err(error.with_http(answer.status, 0))
}

fn encode_revocation_body(token: &str, client: Option<&OAuthClient>) -> Secret {
    let mut parameters = vec![("token", token), ("token_type_hint", "access_token")];
    if let Some(client) = client.filter(|client| !client.uses_basic_auth) {
        parameters.push(("client_id", &client.id));
        parameters.extend(client.secret.as_ref().map(|secret| ("client_secret", secret.reveal())));
    }
    urlencoded::serialize(&parameters)
}
