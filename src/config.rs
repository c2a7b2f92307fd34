//! Named values to one checked [`Config`] with one [`Flow`]: what is missing, wrong or in conflict is found here, all
//! of it at once, with the option's name.
//!
//! Nothing here opens a file or a connection.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::file::Location;
use crate::options::{Name, Options};
use crate::provider::{Profile, ScopeIn};
use crate::secret::Secret;
use crate::tls::Trust;
use crate::url::Url;

mod consent;
mod grant;
mod method;
mod reader;
mod signing;
mod token_endpoint;
mod trust;

pub use consent::{Authorization, Consent, resolve_authorization, resolve_consent};
pub use signing::Signing;

use reader::Reader;

/// One connection's options, understood.
#[derive(Debug)]
pub struct Config {
    /// How the token is got. What it holds is the token's identity.
    pub flow: Flow,
    /// The headers of requests to the API beside the token's: that of AuthHeader and SecurityToken, and the model's.
    pub headers: Vec<Header>,
    /// What the consent URL is made of.
    pub consent: Option<Consent>,
    /// Who is told at the end of a token's use.
    pub logoff: Option<Logoff>,
    /// The limit of a whole call, and the option that set it.
    pub login_timeout: Option<Duration>,
}

/// Where a token is logged off.
#[derive(Debug)]
pub struct Logoff {
    /// LogoffURI.
    pub endpoint: Url,
    /// Whom to trust.
    pub trust: Trust,
}

/// How a connection comes to its token, or to headers without one.
#[derive(Debug, Hash)]
pub enum Flow {
    /// A token endpoint is asked.
    Exchange(Box<Exchange>),
    /// The signed JWT is the token.
    SignedJwt(Box<Signing>),
    /// The user gave the token.
    AccessToken(Secret),
    /// There is no token: requests to the API carry these headers alone.
    Headers(Vec<Header>),
}

impl Flow {
    /// Whether its tokens belong to the one connection that has them.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        match self {
            Self::AccessToken(_) => true,
            Self::Exchange(exchange) => exchange.grant.is_personal(),
            Self::SignedJwt(_) | Self::Headers(_) => false,
        }
    }

    /// How its tokens come from a person's login, if they do.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        match self {
            Self::Exchange(exchange) => match &exchange.grant {
                Grant::AuthorizationCode(login) => Some(login),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What is asked of a token endpoint.
#[derive(Debug, Hash)]
pub struct Exchange {
    /// By which grant.
    pub grant: Grant,
    /// Where.
    pub endpoint: Url,
    /// By which methods.
    pub methods: Methods,
    /// The scope parameter.
    pub scope: Option<String>,
    /// The client's own credentials, where they go along.
    pub client: Option<Client>,
    /// More parameters, as TokenParameters says.
    pub parameters: Vec<(String, Secret)>,
    /// One more header.
    pub header: Option<Header>,
    /// Whom to trust.
    pub trust: Trust,
}

/// The grants that are built in.
#[derive(Debug, Hash)]
pub enum Grant {
    /// An assertion for a token (RFC 7523 section 2.1), under that grant_type.
    JwtBearer {
        /// The assertion.
        signing: Box<Signing>,
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
    pub fn is_personal(&self) -> bool {
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
    pub prompts: bool,
}

/// Where a client assertion comes from.
#[derive(Debug, Hash)]
pub enum AssertionSource {
    /// It is signed here.
    Signed(Box<Signing>),
    /// The user gave it.
    Given(Secret),
    /// A file holds it, which others renew: it is read each time.
    File(Location),
}

/// By which methods a token endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Methods {
    /// GET alone, because the user wrote it.
    Get,
    /// POST alone.
    Post,
    /// GET, and POST if that is not answered as a token endpoint would.
    GetThenPost,
}

/// ClientID and ClientSecret, and how they are sent (RFC 6749 section 2.3.1).
#[derive(Debug, Hash)]
pub struct Client {
    /// ClientID.
    pub id: String,
    /// ClientSecret; a public client has none.
    pub secret: Option<Secret>,
    /// In a Basic header; in the body otherwise.
    pub basic: bool,
}

/// A header to send as it is.
#[derive(Clone, Debug, Hash)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// The outcome of reading options: warnings there are in any case.
#[derive(Debug)]
pub struct Resolution {
    /// The config, or every fault as one chain.
    pub config: Result<Config>,
    /// What is allowed and not as it should be.
    pub warnings: Vec<Error>,
}

/// Understands `options`.
#[must_use]
pub fn resolve(options: &Options) -> Resolution {
    let mut reader = Reader::new(options);
    let config = reader.outcome(Reader::config);
    Resolution { config, warnings: reader.warnings }
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        self.check_types();
        let method = self.method();
        let endpoint = self.endpoint();
        let address = endpoint.as_ref().map(|(url, _)| url);
        let profile = self.profile(address);
        let login_timeout = self.login_timeout();
        let trust = self.trust();
        let logoff = self.url(Name::LogoffURI).map(|endpoint| Logoff { endpoint, trust: trust.clone() });
        let method = method?;
        let consent = self.consent(method, address, profile);
        let header = if method.has_extra_header() { self.header() } else { None };
        let flow = if method.asks_endpoint(endpoint.is_some() || self.has_fault_with(Name::TokenURI)) {
            let grant = self.grant(method, address, profile, consent.as_ref());
            self.exchange(method, grant, endpoint, profile, header.clone(), trust)
                .map(Box::new)
                .map(Flow::Exchange)
        } else {
            self.flow_without_exchange(method)
        };
        let model = self.options.model_headers().iter();
        let model = model.map(|(name, value)| Header { name: name.clone(), value: value.clone() });
        Some(Config {
            flow: flow?,
            headers: header.into_iter().chain(model).collect(),
            consent,
            logoff,
            login_timeout,
        })
    }

    fn trust(&mut self) -> Trust {
        let validate = !self.is(Name::ValidateServerCertificate, "0");
        if !validate {
            self.warn(
                Name::ValidateServerCertificate,
                "is 0: ANY SERVER IS BELIEVED, so whoever is on the way can take the assertion and the token; for tests alone",
            );
        }
        Trust { store: self.text(Name::TrustStore).map(Location::new), validate, ..self.means(validate) }
    }

    /// The scope, if it goes to `place`.
    pub(super) fn scope(&self, profile: Option<&Profile>, place: ScopeIn) -> Option<String> {
        let said = [ScopeIn::Claim, ScopeIn::Parameter, ScopeIn::Both]
            .into_iter()
            .find(|place| self.is(Name::ScopeIn, &format!("{place:?}")));
        let wanted = said.or(profile.map(|profile| profile.scope_in)).unwrap_or(ScopeIn::Both);
        self.text(Name::Scope).filter(|_| wanted == ScopeIn::Both || wanted == place)
    }

    fn login_timeout(&self) -> Option<Duration> {
        match self.number(Name::LoginTimeout).unwrap_or(60) {
            ..=0 => None,
            seconds => Some(Duration::from_secs(seconds.unsigned_abs())),
        }
    }
}

#[cfg(test)]
mod tests;
