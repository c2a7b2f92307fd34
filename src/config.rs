//! Named values to one checked [`Config`] with one [`Flow`]: what is missing, wrong or in conflict is found here, all
//! of it at once, with the option's name.
//!
//! Nothing here opens a file or a connection.

use std::time::Duration;

use crate::error::{Error, Result, Status};
use crate::file::Location;
use crate::options::{Name, Options};
use crate::provider::Profile;
use crate::secret::Secret;
use crate::tls::Trust;
use crate::url::Url;

mod defaults;
mod grant;
mod method;
mod reader;
mod signing;
mod token_endpoint;

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
    /// The limit of a whole call, and the option that set it.
    pub login_timeout: Option<Duration>,
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
            Self::Exchange(exchange) => matches!(exchange.grant, Grant::RefreshToken(_)),
            Self::SignedJwt(_) | Self::Headers(_) => false,
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

/// The parts of a consent URL.
#[derive(Debug)]
pub struct Consent {
    /// The authorization endpoint.
    pub endpoint: String,
    /// client_id.
    pub client_id: String,
    /// scope.
    pub scope: String,
    /// redirect_uri.
    pub redirect_uri: String,
    /// ApplicationName, for the page that the person sees.
    pub application: Option<String>,
    /// How long the person has.
    pub timeout: Duration,
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
    let config = reader.config();
    let config = match (reader.all_faults(), config) {
        (None, Some(config)) => Ok(config),
        (Some(faults), _) => Err(faults),
        (None, None) => Err(not_understood()),
    };
    Resolution { config, warnings: reader.warnings }
}

/// Understands of `options` what a consent URL is made of, and nothing else.
///
/// # Errors
/// Every fault as one chain.
pub fn resolve_consent(options: &Options) -> Result<Consent> {
    let mut reader = Reader::new(options);
    let endpoint = reader.endpoint().map(|(url, _)| url);
    let profile = reader.profile(endpoint.as_ref());
    let consent = reader.whole_consent(endpoint.as_ref(), profile);
    match (reader.all_faults(), consent) {
        (None, Some(consent)) => Ok(consent),
        (Some(faults), _) => Err(faults),
        (None, None) => Err(not_understood()),
    }
}

fn not_understood() -> Error {
    Error::new(Status::Internal, "options", "the options could not be understood")
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        self.check_types();
        let method = self.method();
        let endpoint = self.endpoint();
        let address = endpoint.as_ref().map(|(url, _)| url);
        let profile = self.profile(address);
        let consent = self.consent(address, profile);
        let login_timeout = self.login_timeout();
        let trust = self.trust();
        let method = self.by_profile(method?, profile);
        let header = if method.has_extra_header() { self.header() } else { None };
        let flow = if method.asks_endpoint(endpoint.is_some() || self.has_fault_with(Name::TokenURI)) {
            let grant = self.grant(method, address, profile);
            self.exchange(method, grant, endpoint, profile, header.clone(), trust)
                .map(Box::new)
                .map(Flow::Exchange)
        } else {
            self.flow_without_exchange(method, profile)
        };
        let model = self.options.model_headers().iter();
        let model = model.map(|(name, value)| Header { name: name.clone(), value: value.clone() });
        let flow = flow?;
        let known = profile.filter(|_| matches!(flow, Flow::SignedJwt(_)));
        let known = known.into_iter().flat_map(|profile| &profile.api_headers);
        let known =
            known.map(|(name, value)| Header { name: name.clone(), value: Secret::from(value.as_str()) });
        Some(Config {
            headers: header.into_iter().chain(model).chain(known).collect(),
            flow,
            consent,
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
        Trust { store: self.text(Name::TrustStore).map(Location::new), validate }
    }

    /// The parts of a consent URL; what is missing of them is no fault of a token request.
    fn consent(&mut self, endpoint: Option<&Url>, profile: Option<&Profile>) -> Option<Consent> {
        let missing = std::mem::take(&mut self.missing);
        let consent = self.whole_consent(endpoint, profile);
        self.missing = missing;
        consent
    }

    fn whole_consent(&mut self, endpoint: Option<&Url>, profile: Option<&Profile>) -> Option<Consent> {
        let ways = profile.and_then(|profile| profile.consent.as_ref());
        let known =
            endpoint.zip(ways).and_then(|(endpoint, ways)| at(ways.authorization.as_deref()?, endpoint));
        let authorization = match known {
            Some(known) if self.value(Name::AuthURI).is_none() => Some(known),
            _ => self.need_url(Name::AuthURI).map(|url| url.as_written().to_owned()),
        };
        let redirect = self.need_url(Name::RedirectURI);
        let client_id = self.text(Name::ClientID).or_else(|| self.text(Name::ClaimsIssuer));
        let client_id = client_id.or_else(|| self.need(Name::ClientID));
        let scope = self.text(Name::Scope).or_else(|| ways?.scope.clone());
        let scope = scope.or_else(|| self.need(Name::Scope));
        Some(Consent {
            endpoint: authorization?,
            client_id: client_id?,
            scope: scope?,
            redirect_uri: redirect?.as_written().to_owned(),
            application: self.text(Name::ApplicationName),
            timeout: Duration::from_secs(self.number(Name::ConsentTimeout).unwrap_or(300).unsigned_abs()),
        })
    }

    fn login_timeout(&self) -> Option<Duration> {
        match self.number(Name::LoginTimeout).unwrap_or(60) {
            ..=0 => None,
            seconds => Some(Duration::from_secs(seconds.unsigned_abs())),
        }
    }
}

/// A URL of a profile at the token endpoint's own host and tenant.
fn at(url: &str, endpoint: &Url) -> Option<String> {
    let uri = endpoint.uri();
    let tenant = uri.path().split('/').nth(1).unwrap_or_default();
    let server = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    Some(url.replace("{server}", &server).replace("{tenant}", tenant))
}

#[cfg(test)]
mod tests;
