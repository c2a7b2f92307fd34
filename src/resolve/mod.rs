//! Named values to one checked [`Config`] with one [`Flow`]: what is missing, wrong or in conflict is found here, all
//! of it at once, with the option's name.
//!
//! Nothing here opens a file or a connection: what options refer to was read before (`options`, asked by `connection`).

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

/// One connection's options, understood.
#[derive(Debug)]
pub struct Config {
    /// How the token is got. What it holds is the token's identity.
    pub flow: Flow,
    /// The headers of requests to the API beside the token's: that of AuthHeader and SecurityToken, and the model's.
    pub headers: Vec<HttpHeader>,
    /// What the consent URL is made of.
    pub authorization_request: Option<AuthorizationRequest>,
    /// How consent is given.
    pub consent_guidance: ConsentGuidance,
    /// Who is told at the end of a token's use.
    pub logoff: Option<LogoffConfig>,
    /// The limit of a whole call, and the option that set it.
    pub login_timeout: Option<Duration>,
    /// The limit of one request.
    pub request_timeout: Option<Duration>,
    /// Seconds before a token's end at which it is renewed.
    pub refresh_margin: Option<i64>,
    /// The token to begin with.
    pub preset_token: PresetToken,
    /// Whether its tokens are kept from other connections, whatever the flow.
    pub private_cache: bool,
    /// Whom to trust, the API's server included.
    pub transport: TransportConfig,
}

/// Where a token is logged off.
#[derive(Debug)]
pub struct LogoffConfig {
    /// LogoffURI.
    pub endpoint: EndpointUrl,
    /// Whom to trust.
    pub transport: TransportConfig,
}

/// How a connection comes to its token, or to headers without one.
#[derive(Debug, Hash)]
pub enum Flow {
    /// A token endpoint is asked.
    TokenEndpoint(Box<TokenEndpointConfig>),
    /// The signed JWT is the token.
    SignedJwt(Box<AssertionConfig>),
    /// The user gave the token.
    AccessToken(Secret),
    /// There is no token: requests to the API carry these headers alone.
    Headers(Vec<HttpHeader>),
}

impl Flow {
    /// Whether its tokens belong to the one connection that has them.
    #[must_use]
    pub fn is_user_bound(&self) -> bool {
        match self {
            Self::AccessToken(_) => true,
            Self::TokenEndpoint(exchange) => exchange.grant.is_user_bound(),
            Self::SignedJwt(_) | Self::Headers(_) => false,
        }
    }

    /// How its tokens come from a person's login, if they do.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        match self {
            Self::TokenEndpoint(exchange) => match &exchange.grant {
                Grant::AuthorizationCode(login) => Some(login),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What is asked of a token endpoint.
#[derive(Debug, Hash)]
pub struct TokenEndpointConfig {
    /// By which grant.
    pub grant: Grant,
    /// Where.
    pub endpoint: EndpointUrl,
    /// By which methods.
    pub methods: EndpointMethods,
    /// The scope parameter.
    pub scope: Option<String>,
    /// The client's own credentials, where they go along.
    pub client: Option<OAuthClient>,
    /// More parameters, as TokenParameters says.
    pub parameters: Vec<(String, Secret)>,
    /// One more header.
    pub extra_header: Option<HttpHeader>,
    /// Whom to trust.
    pub transport: TransportConfig,
    /// What is known of the provider.
    pub profile: Option<&'static Profile>,
    /// Seconds that a token lives where neither the answer nor the token says.
    pub token_lifetime: Option<u32>,
}

/// The grants that are built in.
#[derive(Debug, Hash)]
pub enum Grant {
    /// An assertion for a token (RFC 7523 section 2.1), under that grant_type.
    JwtBearer {
        /// The assertion.
        signing: Box<AssertionConfig>,
        /// grant_type, if not the RFC's.
        grant_type: Option<String>,
    },
    /// The client for itself (RFC 6749 section 4.4), by its secret.
    ClientCredentials,
    /// The client for itself, by an assertion (RFC 7523 section 2.2).
    ClientAssertion {
        /// Where the assertion comes from.
        assertion: AssertionSource,
        /// client_id, where it is given.
        client_id: Option<String>,
    },
    /// A user by name and password (RFC 6749 section 4.3).
    Password {
        /// username.
        user: String,
        /// password.
        password: Secret,
    },
    /// A refresh token (RFC 6749 section 6).
    RefreshToken(Secret),
    /// A code that a person's login brings (RFC 6749 section 4.1), and what came of it.
    AuthorizationCode(Login),
}

impl Grant {
    /// Whether its tokens are those of a person whom equal options do not name.
    #[must_use]
    pub fn is_user_bound(&self) -> bool {
        matches!(self, Self::RefreshToken(_) | Self::AuthorizationCode(_))
    }
}

/// What a connection with logins begins with.
#[derive(Debug, Hash)]
pub struct Login {
    /// redirect_uri, as the authorization request has it.
    pub redirect_uri: Option<String>,
    /// A code that the user brought, OAuthCode.
    pub code: Option<Secret>,
    /// A refresh token of an earlier login.
    pub refresh_token: Option<Secret>,
    /// Whether a call that needs a token may open the browser, EnableLoginPrompt.
    pub may_prompt: bool,
}

/// Where a client assertion comes from.
#[derive(Debug, Hash)]
pub enum AssertionSource {
    /// It is signed here.
    SignedHere(Box<AssertionConfig>),
    /// The user gave it.
    Literal(Secret),
    /// A file holds it, which others renew: it is read each time.
    File {
        /// Where it is.
        file: ConfiguredPath,
        /// KeyFileCheck: whether it is an error that others may read or write it.
        require_private_file: bool,
    },
}

/// By which methods a token endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointMethods {
    /// GET alone, because the user wrote it.
    Get,
    /// POST alone.
    Post,
    /// GET, and POST if that is not answered as a token endpoint would.
    GetThenPost,
}

/// ClientID and ClientSecret, and how they are sent (RFC 6749 section 2.3.1).
#[derive(Debug, Hash)]
pub struct OAuthClient {
    /// ClientID.
    pub id: String,
    /// ClientSecret; a public client has none.
    pub secret: Option<Secret>,
    /// In a Basic header; in the body otherwise.
    pub uses_basic_auth: bool,
}

/// A header to send as it is.
#[derive(Clone, Debug, Hash)]
pub struct HttpHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// What the options say of an access token that there is already.
#[derive(Debug, Hash)]
pub struct PresetToken {
    /// AccessToken, where it stands beside something that can renew it.
    pub token: Option<Secret>,
    /// When AccessToken ends, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// The outcome of reading options: warnings there are in any case.
#[derive(Debug)]
pub struct Resolution {
    /// The config, or every fault as one chain.
    pub config: Result<Config>,
    /// What is allowed and not as it should be.
    pub warnings: Vec<Error>,
}

/// Understands `options` under the policy of the process.
#[must_use]
pub fn resolve(options: &Options) -> Resolution {
    resolve_with(options, None, Policy::current())
}

/// Understands `options` under `policy`, where `signer` outranks the key that they name.
#[must_use]
pub fn resolve_with(options: &Options, signer: Option<&CallbackSigner>, policy: Policy) -> Resolution {
    let mut reader = OptionResolver::new(options, policy).with_signer(signer);
    let config = reader.finish(OptionResolver::resolve_config);
    Resolution { config, warnings: reader.warnings }
}

impl OptionResolver<'_> {
    fn resolve_config(&mut self) -> Option<Config> {
        self.check_types();
        self.check_policy();
        let method = self.auth_method();
        let endpoint = self.token_endpoint();
        let address = endpoint.as_ref().map(|(url, _)| url);
        let profile = self.profile(address);
        let trust = self.transport_config();
        let logoff =
            self.url(OptionId::LogoffURI).map(|endpoint| LogoffConfig { endpoint, transport: trust.clone() });
        let method = self.method_for_profile(method?, profile);
        let consent = self.optional_authorization_request(method, address, profile);
        let header = if method.has_extra_header() { self.extra_header() } else { None };
        let flow = if method.uses_token_endpoint(endpoint.is_some() || self.has_error_for(OptionId::TokenURI))
        {
            let grant = self.grant(method, address, profile, consent.as_ref());
            self.token_endpoint_config(method, grant, endpoint, profile, header.clone(), trust.clone())
                .map(Box::new)
                .map(Flow::TokenEndpoint)
        } else {
            self.flow_without_token_endpoint(method, profile)
        };
        let model = self.options.model_headers().iter();
        let model = model.map(|(name, value)| HttpHeader { name: name.clone(), value: value.clone() });
        let flow = flow?;
        let known = profile.filter(|_| matches!(flow, Flow::SignedJwt(_)));
        let known = known.into_iter().flat_map(|profile| &profile.api_headers);
        let known =
            known.map(|(name, value)| HttpHeader { name: name.clone(), value: Secret::from(value.as_str()) });
        Some(Config {
            preset_token: self.preset_token(&flow),
            headers: header.into_iter().chain(model).chain(known).collect(),
            flow,
            authorization_request: consent,
            consent_guidance: self.consent_guidance(method, profile),
            logoff,
            login_timeout: self.timeout(OptionId::LoginTimeout, 60),
            request_timeout: self.timeout(OptionId::WSTimeout, 120),
            refresh_margin: self.number(OptionId::RefreshMargin),
            private_cache: self.has_value(OptionId::CacheScope, "Connection")
                || self.policy.forbids(Restriction::Sharing),
            transport: trust,
        })
    }

    /// ODBC 4.0's rule: an access token is used until it ends, and then what else there is.
    fn preset_token(&self, flow: &Flow) -> PresetToken {
        let renewed = matches!(flow, Flow::TokenEndpoint(_)) && flow.is_user_bound();
        let used = renewed || matches!(flow, Flow::AccessToken(_));
        let end = self.text(OptionId::AccessTokenExpires).filter(|_| used);
        PresetToken {
            token: self.secret(OptionId::AccessToken).filter(|_| renewed),
            expires_at: end.and_then(|text| clock::parse_rfc3339(&text)),
        }
    }

    fn transport_config(&mut self) -> TransportConfig {
        let validate = !self.has_value(OptionId::ValidateServerCertificate, "0");
        if !validate {
            self.add_warning(
                OptionId::ValidateServerCertificate,
                "is 0: ANY SERVER IS BELIEVED, so whoever is on the way can take the assertion and the token; for tests alone",
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
