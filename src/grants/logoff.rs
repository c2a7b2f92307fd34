//! Logoff: reports a token that is no longer needed to LogoffURI before the token expires.
//!
//! No vendor documents the format of the request. It is a token revocation request (RFC 7009). Its
//! Authorization header contains the token, as in an API request, unless the client uses Basic
//! authentication.

use std::num::NonZeroU16;

use crate::base::call::CallContext;
use crate::base::error::{Error, OAuthError, OAuthReason, Result};
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::grants::client_auth::basic_authorization;
use crate::net::http::{ConnectionReuse, HttpMethod, Request};
use crate::net::urlencoded;
use crate::process::Process;
use crate::resolve::{Config, Flow, OAuthClient};
use crate::token::AccessToken;

/// Sends `token` to LogoffURI. Does nothing if LogoffURI is not set.
///
/// # Errors
/// Errors of the network; [`OAuthReason::BadResponse`] if the HTTP status is neither a success nor a
/// redirect.
pub fn log_off(config: &Config, token: &AccessToken, process: &Process, call: &CallContext) -> Result<()> {
    let Some(logoff) = &config.logoff else { return Ok(()) };
    let value = token.value().to_str().unwrap_or_default();
    let client = match &config.flow {
        Flow::TokenEndpoint(endpoint_config) => endpoint_config.client.as_ref(),
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
    let response = process.http_client.send(&request, &logoff.transport, call)?;
    if (200..400).contains(&response.status) {
        return Ok(());
    }
    let text = format!(
        "{} answered HTTP {}; the token was removed from the cache anyway",
        sanitize::excerpt(logoff.endpoint.without_query()),
        response.status
    );
    let kind =
        OAuthError { http_status: NonZeroU16::new(response.status), ..OAuthReason::BadResponse.into() };
    Err(Error::new(kind, "logoff", text).with_option("LogoffURI"))
}

fn encode_revocation_body(token: &str, client: Option<&OAuthClient>) -> Secret {
    let mut parameters = vec![("token", token), ("token_type_hint", "access_token")];
    if let Some(client) = client.filter(|client| !client.uses_basic_auth) {
        parameters.push(("client_id", &client.id));
        parameters.extend(client.secret.as_ref().map(|secret| ("client_secret", secret.reveal())));
    }
    urlencoded::serialize(&parameters)
}
