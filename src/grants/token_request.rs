//! Token request of a grant, shared by sending, by reports and by the redaction of the response.

use crate::base::cache_key::CacheKey;
use crate::base::secret::Secret;
use crate::grants::client_auth::basic_authorization;
use crate::grants::retry::RetryPolicy;
use crate::net::urlencoded;
use crate::options::OptionId;
use crate::resolve::{OAuthClient, TokenEndpointConfig};

/// Options that set additional headers.
const ADDITIONAL_HEADER_OPTIONS: &[OptionId] = &[OptionId::AuthHeader, OptionId::RestConfigFile];

/// Whether reports and error messages may contain a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    Shown,
    Hidden,
}

/// A parameter or header of a token request.
pub struct Parameter<'a> {
    /// Name of the parameter.
    pub name: &'a str,
    value: Secret,
    visibility: Visibility,
    /// Options that may set the value.
    pub options: &'static [OptionId],
}

impl<'a> Parameter<'a> {
    pub(super) fn shown(name: &'a str, value: &str, options: &'static [OptionId]) -> Self {
        Self { name, value: Secret::from(value), visibility: Visibility::Shown, options }
    }

    pub(super) fn hidden(name: &'a str, value: Secret, options: &'static [OptionId]) -> Self {
        Self { name, value, visibility: Visibility::Hidden, options }
    }

    /// The value, if it must be redacted from a response.
    pub(super) fn hidden_value(&self) -> Option<&Secret> {
        (self.visibility == Visibility::Hidden).then_some(&self.value)
    }

    /// Returns the value, unless it is hidden.
    #[must_use]
    pub fn shown_value(&self) -> Option<&str> {
        (self.visibility == Visibility::Shown).then(|| self.value.reveal())
    }
}

/// What a rejected token request contained as proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    Assertion,
    AuthorizationCode,
    Client,
    ClientAssertion,
    RefreshToken,
    User,
}

impl Credential {
    /// Name of the credential in error messages.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Assertion => "the assertion",
            Self::AuthorizationCode => "the authorization code",
            Self::Client => "the client",
            Self::ClientAssertion => "the client assertion",
            Self::RefreshToken => "the refresh token",
            Self::User => "the user",
        }
    }
}

/// One attempt of a token request.
pub struct TokenRequest<'a> {
    /// Parameters in sending order.
    pub parameters: Vec<Parameter<'a>>,
    /// Headers in sending order, without those of every request.
    pub headers: Vec<Parameter<'a>>,
    pub(super) credential: Credential,
    /// When the request may be sent again.
    pub(super) retry_policy: RetryPolicy,
    /// The digest of an assertion that must not be sent again if the server may have processed the request.
    pub(super) sent_assertion: Option<CacheKey>,
    /// Describes the shown parts of the request for error messages.
    pub(super) describe: Box<dyn Fn() -> String + 'a>,
}

impl<'a> TokenRequest<'a> {
    /// A request with `parameters` of a grant and with the scope, the client authentication and the additional
    /// parameters of `endpoint_config`.
    pub(super) fn new(
        endpoint_config: &'a TokenEndpointConfig,
        mut parameters: Vec<Parameter<'a>>,
        credential: Credential,
        retry_policy: RetryPolicy,
        describe: impl Fn() -> String + 'a,
    ) -> Self {
        let scope = endpoint_config.scope.as_deref();
        parameters.extend(scope.map(|scope| Parameter::shown("scope", scope, &[OptionId::Scope])));
        let additional = endpoint_config.headers.iter();
        let mut headers: Vec<_> = additional
            .map(|header| Parameter::hidden(&header.name, header.value.clone(), ADDITIONAL_HEADER_OPTIONS))
            .collect();
        if let Some(client) = &endpoint_config.client {
            add_client_authentication(client, &mut headers, &mut parameters);
        }
        let additional = endpoint_config.parameters.iter();
        parameters.extend(
            additional
                .map(|(name, value)| Parameter::hidden(name, value.clone(), &[OptionId::TokenParameters])),
        );
        Self {
            parameters,
            headers,
            credential,
            retry_policy,
            sent_assertion: None,
            describe: Box::new(describe),
        }
    }

    /// The `grant_type`.
    pub(super) fn grant_type(&self) -> Option<&str> {
        self.parameters.iter().find(|parameter| parameter.name == "grant_type")?.shown_value()
    }

    /// The signed assertion, as the grant or for client authentication.
    pub(super) fn assertion(&self) -> Option<&Secret> {
        find_assertion(&self.parameters)
    }

    /// Returns the values that must be redacted from the response.
    pub(super) fn hidden_values(&self) -> impl Iterator<Item = &Secret> {
        self.parameters.iter().chain(&self.headers).filter_map(Parameter::hidden_value)
    }
}

/// The signed assertion in `parameters`, as the grant or for client authentication.
pub(super) fn find_assertion<'p>(parameters: &'p [Parameter<'_>]) -> Option<&'p Secret> {
    let is_assertion =
        |parameter: &&Parameter<'_>| matches!(parameter.name, "assertion" | "client_assertion");
    parameters.iter().find(is_assertion).map(|parameter| &parameter.value)
}

/// Adds the authentication of `client` as a header or as parameters (RFC 6749 section 2.3.1).
pub(super) fn add_client_authentication<'a>(
    client: &'a OAuthClient,
    headers: &mut Vec<Parameter<'a>>,
    parameters: &mut Vec<Parameter<'a>>,
) {
    const SECRET_OPTIONS: &[OptionId] = &[OptionId::ClientSecret];
    if client.uses_basic_auth {
        headers.push(Parameter::hidden("Authorization", basic_authorization(client), SECRET_OPTIONS));
        return;
    }
    parameters.push(Parameter::shown("client_id", &client.id, &[OptionId::ClientID]));
    let secret = client.secret.clone();
    parameters.extend(secret.map(|secret| Parameter::hidden("client_secret", secret, SECRET_OPTIONS)));
}

/// Serializes `parameters` for a query or a body.
pub(super) fn encode_parameters(parameters: &[Parameter<'_>]) -> Secret {
    let pairs = parameters.iter().map(|parameter| (parameter.name, parameter.value.reveal()));
    urlencoded::serialize(&pairs.collect::<Vec<_>>())
}

/// Copies `headers` for sending.
pub(super) fn copy_headers(headers: &[Parameter<'_>]) -> Vec<(String, Secret)> {
    headers.iter().map(|header| (header.name.to_owned(), header.value.clone())).collect()
}
