//! Resolution of options into a validated [`Config`] with one [`Flow`]. All missing, invalid and conflicting
//! options are reported together, by name.
//!
//! Does not open files or network connections: `connection` has `options` read the files to which options
//! refer first.

use std::time::Duration;

use crate::base::clock;
use crate::base::error::{Error, Result};
use crate::base::file::ConfiguredPath;
use crate::base::policy::{Policy, Restriction};
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::key::CallbackSigner;
use crate::net::tls::TransportConfig;
use crate::options::{OptionId, Options};
use crate::provider::Profile;

mod authorization;
mod grant;
mod inspect;
mod method;
mod option_resolver;
mod policy_check;
mod profile_defaults;
mod signing;
mod token_endpoint;
mod transport;

use option_resolver::OptionResolver;

pub use authorization::{
    AuthorizationRequest, ConsentGuidance, InteractiveAuthorization, resolve_authorization,
    resolve_authorization_request,
};
pub use inspect::{
    KeyRequirements, SigningKeySource, resolve_key_requirements, resolve_method, resolve_profile,
    resolve_signing_key, resolve_transport,
};
pub use signing::AssertionConfig;

/// The resolved configuration of one connection.
#[derive(Debug)]
pub struct Config {
    /// How the token is obtained. Its content is the cache key of the token.
    pub flow: Flow,
    /// The headers of API requests in addition to that of the token: from AuthHeader and SecurityToken, from
    /// the model and from the provider profile.
    pub headers: Vec<HttpHeader>,
    /// The components of the consent URL, if it can be built.
    pub authorization_request: Option<AuthorizationRequest>,
    /// How consent is given, for messages.
    pub consent_guidance: ConsentGuidance,
    /// The log-off endpoint for tokens that are no longer used.
    pub logoff: Option<LogoffConfig>,
    /// The time limit of a whole call; `None` is unlimited.
    pub login_timeout: Option<Duration>,
    /// The time limit of one HTTP request; `None` is unlimited.
    pub request_timeout: Option<Duration>,
    /// How many seconds before expiry a token is refreshed.
    pub refresh_margin: Option<i64>,
    /// The configured access token and its expiration time.
    pub preset_token: PresetToken,
    /// Whether tokens are never shared with other connections, regardless of the flow.
    pub private_cache: bool,
    /// TLS and proxy settings, also for the server of the API.
    pub transport: TransportConfig,
}

/// The log-off endpoint.
#[derive(Debug)]
pub struct LogoffConfig {
    /// LogoffURI.
    pub endpoint: EndpointUrl,
    /// TLS and proxy settings.
    pub transport: TransportConfig,
}

/// How a connection obtains its token, or its headers without a token.
#[derive(Debug, Hash)]
pub enum Flow {
    /// A token endpoint issues the token.
    TokenEndpoint(Box<TokenEndpointConfig>),
    /// The signed JWT itself is the token.
    SignedJwt(Box<AssertionConfig>),
    /// The token is configured.
    AccessToken(Secret),
    /// There is no token: API requests contain only these headers.
    Headers(Vec<HttpHeader>),
}

impl Flow {
    /// Whether its tokens belong to a single connection and must not be shared with equal ones.
    #[must_use]
    pub fn is_user_bound(&self) -> bool {
        match self {
            Self::AccessToken(_) => true,
            Self::TokenEndpoint(config) => config.grant.is_user_bound(),
            Self::SignedJwt(_) | Self::Headers(_) => false,
        }
    }

    /// The settings of the interactive login, if the flow has one.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        match self {
            Self::TokenEndpoint(config) => match &config.grant {
                Grant::AuthorizationCode(login) => Some(login),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The settings of the token request.
#[derive(Debug, Hash)]
pub struct TokenEndpointConfig {
    /// The grant.
    pub grant: Grant,
    /// The token endpoint.
    pub endpoint: EndpointUrl,
    /// The HTTP methods.
    pub methods: EndpointMethods,
    /// The scope parameter.
    pub scope: Option<String>,
    /// The client credentials, if they are sent.
    pub client: Option<OAuthClient>,
    /// Additional parameters, from TokenParameters.
    pub parameters: Vec<(String, Secret)>,
    /// An additional header.
    pub extra_header: Option<HttpHeader>,
    /// TLS and proxy settings.
    pub transport: TransportConfig,
    /// The provider profile.
    pub profile: Option<&'static Profile>,
    /// The assumed lifetime in seconds, if neither the response nor the token states one.
    pub token_lifetime: Option<u32>,
}

/// The supported grants.
#[derive(Debug, Hash)]
pub enum Grant {
    /// JWT bearer grant (RFC 7523 section 2.1).
    JwtBearer {
        /// The assertion.
        signing: Box<AssertionConfig>,
        /// grant_type, if it differs from RFC 7523.
        grant_type: Option<String>,
    },
    /// Client credentials grant (RFC 6749 section 4.4) with a client secret or a client certificate.
    ClientCredentials,
    /// Client credentials grant with a client assertion (RFC 7523 section 2.2).
    ClientAssertion {
        /// The source of the assertion.
        assertion: AssertionSource,
        /// client_id, if configured.
        client_id: Option<String>,
    },
    /// Password grant (RFC 6749 section 4.3).
    Password {
        /// username.
        user: String,
        /// password.
        password: Secret,
    },
    /// Refresh token grant (RFC 6749 section 6).
    RefreshToken(Secret),
    /// Authorization code grant (RFC 6749 section 4.1), with refresh tokens of an earlier login.
    AuthorizationCode(Login),
}

impl Grant {
    /// Whether its tokens belong to a user whom the options do not identify.
    #[must_use]
    pub fn is_user_bound(&self) -> bool {
        matches!(self, Self::RefreshToken(_) | Self::AuthorizationCode(_))
    }
}

/// The settings of an interactive login.
#[derive(Debug, Hash)]
pub struct Login {
    /// redirect_uri, identical to that of the authorization request.
    pub redirect_uri: Option<String>,
    /// OAuthCode: an authorization code that the user obtained.
    pub code: Option<Secret>,
    /// RefreshToken: from an earlier login.
    pub refresh_token: Option<Secret>,
    /// EnableLoginPrompt: whether a call that needs a token may open the browser.
    pub may_prompt: bool,
}

/// The source of a client assertion.
#[derive(Debug, Hash)]
pub enum AssertionSource {
    /// Signed by this process.
    SignedHere(Box<AssertionConfig>),
    /// ClientAssertion.
    Literal(Secret),
    /// ClientAssertionFile. Another program renews the file, so it is read for each request.
    File {
        /// The file.
        file: ConfiguredPath,
        /// KeyFileCheck: whether it is an error if others can read or write the file.
        require_private_file: bool,
    },
}

/// The HTTP methods for the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointMethods {
    /// Only GET, as configured explicitly.
    Get,
    /// Only POST.
    Post,
    /// GET first; POST if the response to GET is neither a token nor a definitive OAuth error.
    GetThenPost,
}

/// ClientID and ClientSecret, and how they are sent (RFC 6749 section 2.3.1).
#[derive(Debug, Hash)]
pub struct OAuthClient {
    /// ClientID.
    pub id: String,
    /// ClientSecret; `None` for a public client or with a client certificate.
    pub secret: Option<Secret>,
    /// Whether they are sent in a Basic authorization header, not in the body.
    pub uses_basic_auth: bool,
}

/// An HTTP header, sent unchanged.
#[derive(Clone, Debug, Hash)]
pub struct HttpHeader {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Secret,
}

/// A configured access token.
#[derive(Debug, Hash)]
pub struct PresetToken {
    /// AccessToken, if the flow can renew it.
    pub token: Option<Secret>,
    /// The expiration time of AccessToken, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// The result of resolving options; warnings are present even with an error.
#[derive(Debug)]
pub struct Resolution {
    /// The configuration, or all errors combined into one.
    pub config: Result<Config>,
    /// Problems that do not prevent operation.
    pub warnings: Vec<Error>,
}

/// Resolves `options` under the process policy.
#[must_use]
pub fn resolve(options: &Options) -> Resolution {
    resolve_with(options, None, Policy::current())
}

/// Resolves `options` under `policy`; `signer` replaces the key in the options.
#[must_use]
pub fn resolve_with(options: &Options, signer: Option<&CallbackSigner>, policy: Policy) -> Resolution {
    let mut resolver = OptionResolver::new(options, policy).with_signer(signer);
    let config = resolver.finish(OptionResolver::resolve_config);
    Resolution { config, warnings: resolver.warnings }
}

impl OptionResolver<'_> {
    fn resolve_config(&mut self) -> Option<Config> {
        self.check_types();
        self.check_policy();
        let method = self.auth_method();
        let endpoint = self.token_endpoint();
        let url = endpoint.as_ref().map(|(url, _)| url);
        let profile = self.profile(url);
        let transport = self.transport_config();
        let logoff = self
            .url(OptionId::LogoffURI)
            .map(|endpoint| LogoffConfig { endpoint, transport: transport.clone() });
        let method = self.method_for_profile(method?, profile);
        let authorization_request = self.optional_authorization_request(method, url, profile);
        let header = if method.has_extra_header() { self.extra_header() } else { None };
        let flow = if method.uses_token_endpoint(endpoint.is_some() || self.has_error_for(OptionId::TokenURI))
        {
            let grant = self.grant(method, url, profile, authorization_request.as_ref());
            self.token_endpoint_config(method, grant, endpoint, profile, header.clone(), transport.clone())
                .map(Box::new)
                .map(Flow::TokenEndpoint)
        } else {
            self.flow_without_token_endpoint(method, profile)
        };
        let model = self.options.model_headers().iter();
        let model = model.map(|(name, value)| HttpHeader { name: name.clone(), value: value.clone() });
        let flow = flow?;
        let api_headers = profile.filter(|_| matches!(flow, Flow::SignedJwt(_)));
        let api_headers = api_headers.into_iter().flat_map(|profile| &profile.api_headers);
        let api_headers = api_headers
            .map(|(name, value)| HttpHeader { name: name.clone(), value: Secret::from(value.as_str()) });
        Some(Config {
            preset_token: self.preset_token(&flow),
            headers: header.into_iter().chain(model).chain(api_headers).collect(),
            flow,
            authorization_request,
            consent_guidance: self.consent_guidance(method, profile),
            logoff,
            login_timeout: self.timeout(OptionId::LoginTimeout, 60),
            request_timeout: self.timeout(OptionId::WSTimeout, 120),
            refresh_margin: self.number(OptionId::RefreshMargin),
            private_cache: self.has_value(OptionId::CacheScope, "Connection")
                || self.policy.forbids(Restriction::Sharing),
            transport,
        })
    }

    /// The rule of ODBC 4.0: an access token is used until it expires, then it is renewed by the other
    /// credentials.
    fn preset_token(&self, flow: &Flow) -> PresetToken {
        let is_renewable = matches!(flow, Flow::TokenEndpoint(_)) && flow.is_user_bound();
        let is_used = is_renewable || matches!(flow, Flow::AccessToken(_));
        let expires = self.text(OptionId::AccessTokenExpires).filter(|_| is_used);
        PresetToken {
            token: self.secret(OptionId::AccessToken).filter(|_| is_renewable),
            expires_at: expires.and_then(|text| clock::parse_rfc3339(&text)),
        }
    }

    fn transport_config(&mut self) -> TransportConfig {
        let validate = !self.has_value(OptionId::ValidateServerCertificate, "0");
        if !validate {
            self.add_warning(
                OptionId::ValidateServerCertificate,
                "is 0: server certificates are NOT verified, so the assertion and the token can be \
                 intercepted; use for testing only",
            );
            self.check_restriction(OptionId::ValidateServerCertificate, "is 0", Restriction::InsecureTls);
        }
        TransportConfig {
            trust_store: self.configured_path(OptionId::TrustStore),
            validate_certificate: validate,
            ..self.base_transport(validate)
        }
    }

    fn timeout(&self, name: OptionId, default: i64) -> Option<Duration> {
        match self.number(name).unwrap_or(default) {
            ..=0 => None,
            seconds => Some(Duration::from_secs(seconds.unsigned_abs())),
        }
    }
}

#[cfg(test)]
mod tests;
