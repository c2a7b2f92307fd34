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
use crate::grants::token_request::{Parameter, add_client_authentication, copy_headers, encode_parameters};
use crate::net::http::{ConnectionReuse, HttpMethod, Request};
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
    let client = match &config.flow {
        Flow::TokenEndpoint(endpoint_config) => endpoint_config.client.as_ref(),
        _ => None,
    };
    let (headers, parameters) = build_revocation(token.value().to_str().unwrap_or_default(), client);
    let request = Request {
        method: HttpMethod::Post,
        url: &logoff.endpoint,
        query: None,
        headers: copy_headers(&headers),
        body: Some(encode_parameters(&parameters)),
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

/// Builds the headers and the parameters of the request.
fn build_revocation<'a>(
    token: &str,
    client: Option<&'a OAuthClient>,
) -> (Vec<Parameter<'a>>, Vec<Parameter<'a>>) {
    let mut headers = Vec::new();
    let mut parameters = vec![
        Parameter::hidden("token", Secret::from(token), &[]),
        Parameter::shown("token_type_hint", "access_token", &[]),
    ];
    if let Some(client) = client {
        add_client_authentication(client, &mut headers, &mut parameters);
    }
    if headers.is_empty() {
        let bearer = Secret::new(["Bearer ", token].concat());
        headers.push(Parameter::hidden("Authorization", bearer, &[]));
    }
    (headers, parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Authorization header and body of a request by a client with a secret.
    fn revocation(uses_basic_auth: bool) -> (String, String) {
        let client = OAuthClient { id: "c d".to_owned(), secret: Some(Secret::from("s&t")), uses_basic_auth };
        let (headers, parameters) = build_revocation("abc", Some(&client));
        let [(_, authorization)] = &copy_headers(&headers)[..] else { panic!("one header") };
        (authorization.reveal().to_owned(), encode_parameters(&parameters).reveal().to_owned())
    }

    #[test]
    fn logoff_authenticates_client_like_token_request() {
        let token = "token=abc&token_type_hint=access_token";
        assert_eq!(revocation(true), ("Basic YyUyMGQ6cyUyNnQ=".to_owned(), token.to_owned()));
        let post = format!("{token}&client_id=c%20d&client_secret=s%26t");
        assert_eq!(revocation(false), ("Bearer abc".to_owned(), post));
    }
}
