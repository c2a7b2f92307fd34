//! Audit events of requests to an authorization server.

use crate::base::audit::{self, Event, EventKind};
use crate::base::error::{Error, ErrorKind};
use crate::base::url::EndpointUrl;
use crate::grants::context::GrantContext;
use crate::net::http::{RequestError, Response};
use crate::resolve::{AssertionSource, Config, Flow, Grant, TokenEndpointConfig};
use crate::token::unverified_jwt_jti;

/// The client and the user for whom a token is requested, as far as the options say.
#[derive(Clone, Copy, Default)]
struct Identity<'a> {
    client: Option<&'a str>,
    subject: Option<&'a str>,
}

impl<'a> Identity<'a> {
    fn from_flow(flow: &'a Flow) -> Self {
        match flow {
            Flow::TokenEndpoint(endpoint_config) => Self::from_endpoint(endpoint_config),
            Flow::SignedJwt(signing) => {
                Self { client: Some(&signing.issuer), subject: signing.subject.as_deref() }
            }
            Flow::AccessToken(_) | Flow::Headers(_) => Self::default(),
        }
    }

    fn from_endpoint(endpoint_config: &'a TokenEndpointConfig) -> Self {
        let client = endpoint_config.client.as_ref().map(|client| client.id.as_str());
        match &endpoint_config.grant {
            Grant::JwtBearer { signing, .. } => {
                Self { client: Some(&signing.issuer), subject: signing.subject.as_deref() }
            }
            Grant::ClientAssertion { assertion, client_id } => {
                let issuer = match assertion {
                    AssertionSource::SignedHere(signing) => Some(signing.issuer.as_str()),
                    AssertionSource::Presigned(_) => None,
                };
                Self { client: client_id.as_deref().or(issuer), subject: None }
            }
            Grant::Password { user, .. } => Self { client, subject: Some(user) },
            Grant::ClientCredentials | Grant::RefreshToken(_) | Grant::AuthorizationCode(_) => {
                Self { client, subject: None }
            }
        }
    }
}

/// An event about the token of `context`, with the identity of `config`, if the options are valid. It begins now.
#[must_use]
pub fn token_event(kind: EventKind, config: Option<&Config>, context: &GrantContext<'_>) -> Event {
    let identity = config.map_or_else(Identity::default, |config| Identity::from_flow(&config.flow));
    let mut event = identified_event(kind, identity, context);
    let shared = config.and_then(|config| config.shared_cache.as_ref());
    let prompted_user = shared.and_then(|shared| shared.prompted_user.as_deref());
    event.subject = event.subject.or(prompted_user.map(Into::into));
    event
}

fn identified_event(kind: EventKind, identity: Identity<'_>, context: &GrantContext<'_>) -> Event {
    let mut event = Event::new(kind, context.cache_key);
    event.client = identity.client.map(Into::into);
    event.subject = identity.subject.map(Into::into);
    event.data_source = context.data_source.map(Into::into);
    event
}

/// The event of a request in progress; without content if there is no audit.
pub(super) struct RequestEvent(Option<Event>);

impl RequestEvent {
    /// The event of a token request that begins now.
    pub(super) fn token_request(endpoint_config: &TokenEndpointConfig, context: &GrantContext<'_>) -> Self {
        Self::begin(&endpoint_config.endpoint, || {
            identified_event(EventKind::TokenRequest, Identity::from_endpoint(endpoint_config), context)
        })
    }

    /// The event of a request to LogoffURI that begins now.
    pub(super) fn logoff(
        kind: EventKind,
        endpoint: &EndpointUrl,
        config: &Config,
        context: &GrantContext<'_>,
    ) -> Self {
        Self::begin(endpoint, || token_event(kind, Some(config), context))
    }

    fn begin(endpoint: &EndpointUrl, event: impl FnOnce() -> Event) -> Self {
        let mut event = Self(audit::is_enabled().then(event));
        event.describe(|event| event.endpoint = Some(endpoint.without_query().into()));
        event
    }

    /// Adds what the request contains.
    pub(super) fn describe(&mut self, change: impl FnOnce(&mut Event)) {
        if let Some(event) = &mut self.0 {
            change(event);
        }
    }

    /// Adds the `jti` of an assertion.
    pub(super) fn set_assertion(&mut self, assertion: &str) {
        self.describe(|event| event.jti = unverified_jwt_jti(assertion).as_deref().map(Into::into));
    }

    /// Adds whether and how the server responded.
    pub(super) fn set_response(&mut self, response: &Result<Response, RequestError>) {
        self.describe(|event| {
            event.sent = Some(response.as_ref().map_or_else(|failure| failure.was_sent, |_| true));
            event.http_status = response.as_ref().ok().map(|response| response.status);
        });
    }

    /// Delivers the event of a request. `failure` is the error of one that failed.
    pub(super) fn finish(self, failure: impl FnOnce() -> Option<ErrorKind>) {
        if let Some(mut event) = self.0 {
            event.finish(failure().as_ref());
            audit::record(&event);
        }
    }

    /// Delivers the event of a request to LogoffURI that succeeded or failed.
    pub(super) fn finish_logoff(mut self, failure: Option<&Error>) {
        let oauth_error = failure.and_then(Error::oauth_error);
        self.describe(|event| event.oauth_error = oauth_error.as_deref().map(Into::into));
        self.finish(|| failure.map(|error| error.kind().clone()));
    }
}
