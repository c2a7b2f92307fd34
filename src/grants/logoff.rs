//! Logoff: revokes the tokens of a login at LogoffURI before they expire (RFC 7009), or ends the session of the user
//! at the end-session endpoint (OpenID Connect RP-Initiated Logout).
//!
//! The refresh token is revoked first, because section 2.1 requires servers to support that, and because it often
//! ends the access tokens of the login as well. A client authenticates as at the token endpoint. Without a client
//! the Authorization header contains the access token, as in an API request: the documentation of LogoffURI
//! names no other format.

use std::cell::LazyCell;

use crate::base::audit::EventKind;
use crate::base::error::{Error, ErrorKind, OAuthReason, Result};
use crate::base::redact::Redactor;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::grants::audit::RequestEvent;
use crate::grants::client_assertion;
use crate::grants::context::GrantContext;
use crate::grants::token_request::{
    self, Parameter, add_client_authentication, copy_headers, encode_parameters,
};
use crate::net::http::{ConnectionReuse, HttpMethod, Request, Response};
use crate::options::OptionId;
use crate::resolve::{Config, Flow, Grant, LogoffConfig, OAuthClient, TokenEndpointConfig};
use crate::token_response::{self, ErrorResponse};

/// The tokens of the login.
#[derive(Default)]
pub struct LogoffTokens {
    /// The refresh token.
    pub refresh_token: Option<Secret>,
    /// The access token.
    pub access_token: Option<Secret>,
    /// The ID token.
    pub id_token: Option<Secret>,
}

/// The result of one revocation request.
enum Revocation {
    Done,
    /// The server does not revoke tokens of this type (RFC 7009 section 2.2.1).
    Unsupported(Error),
}

/// Revokes `tokens` at LogoffURI, or ends the session there (LogoffMode). Does nothing if LogoffURI is not set or
/// there is no token. It is a success if the server supports the revocation of at least one of the two types.
///
/// # Errors
/// Errors of the key of a client assertion and of the network; the error response of the server;
/// [`OAuthReason::BadResponse`] if the response is not that of the endpoint; [`ErrorKind::Unsupported`] if a session
/// cannot be ended without an ID token.
pub fn log_off(config: &Config, tokens: &LogoffTokens, context: &GrantContext<'_>) -> Result<()> {
    let Some(logoff) = &config.logoff else { return Ok(()) };
    if logoff.ends_session {
        return end_session(config, logoff, tokens, context);
    }
    let revoker = Revoker { config, logoff, endpoint_config: config.flow.token_endpoint(), tokens, context };
    let refresh = tokens.refresh_token.as_ref().map(|token| revoker.revoke(token, "refresh_token"));
    let access = tokens.access_token.as_ref().map(|token| revoker.revoke(token, "access_token"));
    let revocations = refresh.into_iter().chain(access).collect::<Result<Vec<_>>>()?;
    let mut unsupported = Vec::new();
    for revocation in revocations {
        match revocation {
            Revocation::Done => return Ok(()),
            Revocation::Unsupported(error) => unsupported.push(error),
        }
    }
    unsupported.into_iter().next().map_or(Ok(()), Err)
}

/// Ends the session of the user that the ID token names (OpenID Connect RP-Initiated Logout section 2). The response
/// is for a browser, so a page and a redirect are successes.
fn end_session(
    config: &Config,
    logoff: &LogoffConfig,
    tokens: &LogoffTokens,
    context: &GrantContext<'_>,
) -> Result<()> {
    let Some(id_token) = &tokens.id_token else {
        if tokens.access_token.is_none() && tokens.refresh_token.is_none() {
            return Ok(());
        }
        let text = "LogoffMode=EndSession needs an ID token, and the login has none; add openid to Scope";
        return Err(Error::new(ErrorKind::Unsupported, "logoff", text).with_option("LogoffMode"));
    };
    let mut parameters = vec![Parameter::hidden("id_token_hint", id_token.clone(), &[])];
    let client = config.flow.token_endpoint().and_then(|endpoint_config| endpoint_config.client.as_ref());
    parameters.extend(client.map(|client| Parameter::shown("client_id", &client.id, &[OptionId::ClientID])));
    let request = Request {
        method: HttpMethod::Post,
        url: &logoff.endpoint,
        query: None,
        headers: Vec::new(),
        body: Some(encode_parameters(&parameters)),
        reuse: ConnectionReuse::Allow,
    };
    let mut event = RequestEvent::logoff(EventKind::EndSession, &logoff.endpoint, config, context);
    let response = context.process.http_client.send(&request, &logoff.transport, context.call);
    event.set_response(&response);
    let outcome = response
        .map_err(Error::from)
        .and_then(|response| check_end_session(&response, logoff, id_token, context));
    event.finish_logoff(outcome.as_ref().err());
    outcome
}

fn check_end_session(
    response: &Response,
    logoff: &LogoffConfig,
    id_token: &Secret,
    context: &GrantContext<'_>,
) -> Result<()> {
    if (200..400).contains(&response.status) {
        return Ok(());
    }
    let redactor = LazyCell::new(|| Redactor::new(std::iter::once(id_token)));
    let parsed = token_response::parse(response, context.process.clock.as_ref(), &|_| true, &redactor);
    let failure = *parsed.err().unwrap_or_default();
    let text = format!(
        "{} did not end the session ({}); check that LogoffURI is the end_session_endpoint of the server's metadata. The \
         tokens were removed from the cache",
        sanitize::excerpt(logoff.endpoint.without_query()),
        describe(&failure)
    );
    Err(logoff_error(failure, text))
}

struct Revoker<'a> {
    config: &'a Config,
    logoff: &'a LogoffConfig,
    endpoint_config: Option<&'a TokenEndpointConfig>,
    tokens: &'a LogoffTokens,
    context: &'a GrantContext<'a>,
}

impl<'a> Revoker<'a> {
    fn revoke(&self, token: &Secret, type_hint: &'static str) -> Result<Revocation> {
        let mut headers = Vec::new();
        let mut parameters = vec![
            Parameter::hidden("token", token.clone(), &[]),
            Parameter::shown("token_type_hint", type_hint, &[]),
        ];
        self.authenticate(&mut headers, &mut parameters)?;
        let request = Request {
            method: HttpMethod::Post,
            url: &self.logoff.endpoint,
            query: None,
            headers: copy_headers(&headers),
            body: Some(encode_parameters(&parameters)),
            reuse: ConnectionReuse::Allow,
        };
        let mut event = self.begin_event(type_hint, &parameters);
        let http_client = &self.context.process.http_client;
        let response = http_client.send(&request, &self.logoff.transport, self.context.call);
        event.set_response(&response);
        let redactor = LazyCell::new(|| {
            let client_secret = self.client().and_then(|client| client.secret.as_ref());
            let hidden_values = parameters.iter().chain(&headers).filter_map(Parameter::hidden_value);
            Redactor::new(hidden_values.chain(client_secret))
        });
        let outcome =
            response.map_err(Error::from).and_then(|response| self.check_response(&response, &redactor));
        event.finish_logoff(match &outcome {
            Ok(Revocation::Done) => None,
            Ok(Revocation::Unsupported(error)) | Err(error) => Some(error),
        });
        outcome
    }

    fn begin_event(&self, type_hint: &'static str, parameters: &[Parameter<'_>]) -> RequestEvent {
        let endpoint = &self.logoff.endpoint;
        let mut event = RequestEvent::logoff(EventKind::Revocation, endpoint, self.config, self.context);
        event.describe(|event| event.token_type = Some(type_hint));
        if let Some(assertion) = token_request::find_assertion(parameters) {
            event.set_assertion(assertion.reveal());
        }
        event
    }

    fn client(&self) -> Option<&'a OAuthClient> {
        self.endpoint_config.and_then(|endpoint_config| endpoint_config.client.as_ref())
    }

    /// Adds the client authentication, or else the access token, as in an API request.
    fn authenticate(
        &self,
        headers: &mut Vec<Parameter<'a>>,
        parameters: &mut Vec<Parameter<'a>>,
    ) -> Result<()> {
        match (self.endpoint_config, self.client()) {
            (Some(endpoint_config), _) if matches!(endpoint_config.grant, Grant::ClientAssertion { .. }) => {
                parameters.extend(client_assertion::authentication(endpoint_config, self.context)?);
            }
            (_, Some(client)) => add_client_authentication(client, headers, parameters),
            (_, None) => headers.extend(self.tokens.access_token.as_ref().map(|token| {
                let bearer = Secret::new(["Bearer ", token.reveal()].concat());
                Parameter::hidden("Authorization", bearer, &[])
            })),
        }
        Ok(())
    }

    /// Checks that the response is that of a revocation endpoint: a success has no defined content (RFC 7009
    /// section 2.2), but a page or a redirect comes from an endpoint for browsers.
    fn check_response(
        &self,
        response: &Response,
        redactor: &LazyCell<Redactor, impl FnOnce() -> Redactor>,
    ) -> Result<Revocation> {
        let is_success = (200..300).contains(&response.status);
        let clock = self.context.process.clock.as_ref();
        match token_response::parse(response, clock, &|_| true, redactor) {
            // The revocation of the refresh token has ended the access token as well. Keycloak responds with HTTP 200
            // and this error, other servers with HTTP 400. HTTP 401 concerns the Authorization header.
            Err(failure) if failure.error_code() == Some("invalid_token") && failure.http_status != 401 => {
                Ok(Revocation::Done)
            }
            Err(failure) if !is_success || failure.error.is_some() => {
                let is_unsupported = failure.error_code() == Some("unsupported_token_type");
                let error = self.error(*failure, is_redirect(response) || response.is_html());
                if is_unsupported { Ok(Revocation::Unsupported(error)) } else { Err(error) }
            }
            Err(failure) if response.is_html() => Err(self.error(*failure, true)),
            _ => Ok(Revocation::Done),
        }
    }

    fn error(&self, failure: ErrorResponse, is_for_browsers: bool) -> Error {
        let hint = if is_for_browsers {
            ". An end-session endpoint revokes no token; set LogoffURI to the revocation_endpoint of the server's metadata, \
             or LogoffMode=EndSession"
        } else {
            ""
        };
        let text = format!(
            "{} did not revoke the token ({}); expected HTTP 200 of a revocation endpoint (RFC 7009){hint}. The \
             tokens were removed from the cache",
            sanitize::excerpt(self.logoff.endpoint.without_query()),
            describe(&failure)
        );
        logoff_error(failure, text)
    }
}

fn describe(failure: &ErrorResponse) -> String {
    match &failure.description {
        Some(description) => format!("{}: {}", failure.summary, description.shown()),
        None => failure.summary.clone(),
    }
}

fn logoff_error(failure: ErrorResponse, text: String) -> Error {
    let reason = if failure.error.is_some() { failure.reason() } else { OAuthReason::BadResponse };
    Error::new(failure.into_oauth_error(reason), "logoff", text).with_option("LogoffURI")
}

fn is_redirect(response: &Response) -> bool {
    (300..400).contains(&response.status)
}

/// Whether tokens of `config` were given by the caller, who or another process may use them further.
#[must_use]
pub fn has_given_tokens(config: &Config) -> bool {
    match &config.flow {
        Flow::AccessToken(_) => true,
        Flow::TokenEndpoint(endpoint_config) => match &endpoint_config.grant {
            Grant::RefreshToken(_) => true,
            Grant::AuthorizationCode(login) => {
                login.refresh_token.is_some() || config.preset_token.token.is_some()
            }
            _ => false,
        },
        _ => false,
    }
}
