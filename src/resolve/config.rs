//! The resolved configuration of a connection.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::{AssertionConfig, AuthorizationRequest, ConsentGuidance, SharedCacheConfig};
use crate::base::file::ConfiguredPath;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::net::tls::TransportConfig;
use crate::provider::Profile;

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
    /// The store that shares tokens with other processes.
    pub shared_cache: Option<SharedCacheConfig>,
    /// TLS and proxy settings, also for the server of the API.
    pub transport: TransportConfig,
}

impl Config {
    /// TokenCacheUser, if the tokens belong to a user who logged in and are shared with other processes.
    #[must_use]
    pub fn prompted_user(&self) -> Option<&str> {
        self.flow.token_endpoint().filter(|config| config.grant.is_user_bound())?;
        self.shared_cache.as_ref()?.prompted_user.as_deref()
    }
}

/// The log-off endpoint.
#[derive(Debug)]
pub struct LogoffConfig {
    /// LogoffURI.
    pub endpoint: EndpointUrl,
    /// Whether it is the end-session endpoint; otherwise it is the revocation endpoint.
    pub ends_session: bool,
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

    /// The settings of the token request, if the flow has one.
    #[must_use]
    pub fn token_endpoint(&self) -> Option<&TokenEndpointConfig> {
        match self {
            Self::TokenEndpoint(config) => Some(config),
            Self::SignedJwt(_) | Self::AccessToken(_) | Self::Headers(_) => None,
        }
    }

    /// The settings of the interactive login, if the flow has one.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        match &self.token_endpoint()?.grant {
            Grant::AuthorizationCode(login) => Some(login),
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
    /// The additional headers: from AuthHeader and SecurityToken, and from the model.
    pub headers: Vec<HttpHeader>,
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
#[derive(Clone, Debug)]
pub struct Login {
    /// Whose login it is, and to what.
    pub subject: LoginSubject,
    /// redirect_uri, identical to that of the authorization request.
    pub redirect_uri: Option<String>,
    /// OAuthCode: an authorization code that the user obtained.
    pub code: Option<Secret>,
    /// RefreshToken: from an earlier login.
    pub refresh_token: Option<Secret>,
    /// EnableLoginPrompt: whether a call that needs a token may open the browser.
    pub may_prompt: bool,
}

impl Hash for Login {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A login remains valid if further ones are forbidden.
        let Self { subject, redirect_uri, code, refresh_token, may_prompt: _ } = self;
        (subject, redirect_uri, code, refresh_token).hash(state);
    }
}

/// Whose login it is, and to what the user consents. The tokens of a login are used only while it is the same.
#[derive(Clone, Debug, Default, Hash)]
pub struct LoginSubject {
    /// TokenCacheUser, with TokenCachePrompted.
    pub user: Option<String>,
    /// The authorization endpoint, if it is known.
    pub authorization_endpoint: Option<String>,
    /// The scope of the authorization request.
    pub scope: Option<String>,
    /// admin_consent_scope.
    pub admin_scope: Option<String>,
}

impl LoginSubject {
    /// The subject of a login of `user` with `request`.
    pub(super) fn new(user: Option<String>, request: Option<&AuthorizationRequest>) -> Self {
        let Some(request) = request else { return Self { user, ..Self::default() } };
        Self {
            user,
            authorization_endpoint: Some(request.endpoint.clone()),
            scope: request.scope.clone(),
            admin_scope: request.admin_scope.clone(),
        }
    }
}

/// The source of a client assertion.
#[derive(Debug, Hash)]
pub enum AssertionSource {
    /// Signed by this process.
    SignedHere(Box<AssertionConfig>),
    /// Signed by another program.
    Presigned(PresignedAssertion),
}

/// A client assertion that another program has signed.
#[derive(Clone, Debug, Hash)]
pub enum PresignedAssertion {
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

impl HttpHeader {
    /// Whether it is Authorization, by which the client may authenticate itself at the token endpoint.
    #[must_use]
    pub fn is_authorization(&self) -> bool {
        self.name.eq_ignore_ascii_case("authorization")
    }
}

/// A configured access token.
#[derive(Debug, Hash)]
pub struct PresetToken {
    /// AccessToken, if the flow can renew it.
    pub token: Option<Secret>,
    /// The expiration time of AccessToken, in seconds since 1970.
    pub expires_at: Option<i64>,
}
