//! Named values to one checked [`Config`] with one [`Flow`]: what is missing, wrong or in conflict is found here, all
//! of it at once, with the option's name.
//!
//! Nothing here opens a file or a connection.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use crate::error::{Error, Result, Status};
use crate::key::KeySource;
use crate::options::{Name, Options};
use crate::provider::{Profile, ScopeIn};
use crate::secret::Secret;
use crate::tls::Trust;
use crate::url::Url;

mod method;
mod reader;
mod token_endpoint;

use reader::Reader;

/// One connection's options, understood.
#[derive(Debug)]
pub struct Config {
    /// How the token is got. What it holds is the token's identity.
    pub flow: Flow,
    /// The header that AuthHeader and SecurityToken make, for requests to the API.
    pub header: Option<Header>,
    /// What the consent URL is made of.
    pub consent: Option<Consent>,
    /// The limit of a whole call, and the option that set it.
    pub login_timeout: Option<Duration>,
}

/// The grants that are built in.
#[derive(Debug, Hash)]
pub enum Flow {
    /// RFC 7523 section 2.1.
    JwtBearer(Box<JwtBearer>),
    /// The signed JWT is the token.
    SignedJwt(Box<Signing>),
}

/// An assertion exchanged for a token.
#[derive(Debug, Hash)]
pub struct JwtBearer {
    /// The assertion.
    pub signing: Signing,
    /// Where it is exchanged.
    pub endpoint: Url,
    /// By which methods.
    pub methods: Methods,
    /// The scope parameter.
    pub scope: Option<String>,
    /// The client's own credentials, where they go along.
    pub client: Option<Client>,
    /// One more header.
    pub header: Option<Header>,
    /// Whom to trust.
    pub trust: Trust,
}

/// What is signed, and with what.
#[derive(Debug, Hash)]
pub struct Signing {
    /// Where the key is.
    pub key: KeySource,
    /// The store's path, absolute: a relative one means another file after a chdir.
    pub path: PathBuf,
    /// The algorithm, if not the key's own.
    pub algorithm: Option<Algorithm>,
    /// iss.
    pub issuer: String,
    /// sub.
    pub subject: Option<String>,
    /// aud.
    pub audience: Option<String>,
    /// The scope claim.
    pub scope: Option<String>,
    /// exp − iat, in seconds.
    pub lifetime: u32,
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
    /// ClientSecret.
    pub secret: Secret,
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
    let mut reader = Reader { options, missing: Vec::new(), faults: options.faults(), warnings: Vec::new() };
    let config = reader.config();
    let config = match (reader.all_faults(), config) {
        (None, Some(config)) => Ok(config),
        (Some(faults), _) => Err(faults),
        (None, None) => Err(Error::new(Status::Internal, "options", "the options could not be understood")),
    };
    Resolution { config, warnings: reader.warnings }
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        self.check_types();
        if !self.is_jwt_bearer() {
            return None;
        }
        let endpoint = self.endpoint();
        let profile = self.profile(endpoint.as_ref().map(|(url, _)| url));
        let header = self.header();
        let trust = self.trust();
        let client = self.client(endpoint.as_ref().map(|(_, methods)| *methods), header.as_ref());
        let signing = self.signing(endpoint.as_ref().map(|(url, _)| url), profile);
        let consent = self.consent(endpoint.as_ref().map(|(url, _)| url), profile);
        let login_timeout = self.login_timeout();
        let flow = match endpoint {
            None => Flow::SignedJwt(Box::new(signing?)),
            Some((endpoint, methods)) => Flow::JwtBearer(Box::new(JwtBearer {
                methods: self.methods(methods, profile, client.is_some()),
                scope: self.scope(profile, ScopeIn::Parameter),
                signing: signing?,
                endpoint,
                client,
                header: header.clone(),
                trust,
            })),
        };
        Some(Config { flow, header, consent, login_timeout })
    }

    fn trust(&mut self) -> Trust {
        let validate = !self.is(Name::ValidateServerCertificate, "0");
        if !validate {
            self.warn(
                Name::ValidateServerCertificate,
                "is 0: ANY SERVER IS BELIEVED, so whoever is on the way can take the assertion and the token; for tests alone",
            );
        }
        Trust { store: self.text(Name::TrustStore), validate }
    }

    fn signing(&mut self, endpoint: Option<&Url>, profile: Option<&Profile>) -> Option<Signing> {
        let (issuer, store) = (self.need(Name::ClaimsIssuer), self.need(Name::JWTCertStore));
        let audience = self.text(Name::ClaimsAudience).or_else(|| default_audience(endpoint?, profile));
        let algorithm = self.text(Name::JWTAlgorithm).and_then(|name| name.to_ascii_uppercase().parse().ok());
        let lifetime = self.number(Name::JWTLifetime).and_then(|seconds| u32::try_from(seconds).ok());
        let store = store?;
        Some(Signing {
            path: absolute(&store),
            key: KeySource {
                store,
                password: self.secret(Name::JWTCertPassword),
                key_password: self.secret(Name::JWTCertKeyPassword),
                alias: self.text(Name::JWTCertAlias),
            },
            algorithm,
            issuer: issuer?,
            subject: self.text(Name::ClaimsSubject),
            audience,
            scope: self.scope(profile, ScopeIn::Claim),
            lifetime: lifetime.unwrap_or(300),
        })
    }

    /// The scope, if it goes to `place`.
    fn scope(&self, profile: Option<&Profile>, place: ScopeIn) -> Option<String> {
        let said = [ScopeIn::Claim, ScopeIn::Parameter, ScopeIn::Both]
            .into_iter()
            .find(|place| self.is(Name::ScopeIn, &format!("{place:?}")));
        let wanted = said.or(profile.map(|profile| profile.scope_in)).unwrap_or(ScopeIn::Both);
        self.text(Name::Scope).filter(|_| wanted == ScopeIn::Both || wanted == place)
    }

    fn consent(&mut self, endpoint: Option<&Url>, profile: Option<&Profile>) -> Option<Consent> {
        let (authorization, redirect) = (self.url(Name::AuthURI), self.url(Name::RedirectURI));
        let authorization = match authorization {
            Some(url) => url.as_written().to_owned(),
            None => authorization_endpoint(endpoint?, profile?),
        };
        Some(Consent {
            endpoint: authorization,
            client_id: self.text(Name::ClientID).or_else(|| self.text(Name::ClaimsIssuer))?,
            scope: self.text(Name::Scope).or_else(|| Some(profile?.consent_scope.clone()))?,
            redirect_uri: redirect?.as_written().to_owned(),
        })
    }

    fn login_timeout(&self) -> Option<Duration> {
        match self.number(Name::LoginTimeout).unwrap_or(60) {
            ..=0 => None,
            seconds => Some(Duration::from_secs(seconds.unsigned_abs())),
        }
    }
}

fn default_audience(endpoint: &Url, profile: Option<&Profile>) -> Option<String> {
    let bare = profile.is_some_and(|profile| profile.audience_is_host);
    Some(if bare { endpoint.host().to_owned() } else { endpoint.as_written().to_owned() })
}

fn authorization_endpoint(endpoint: &Url, profile: &Profile) -> String {
    let uri = endpoint.uri();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}{}", uri.scheme_str().unwrap_or("https"), profile.authorization_path)
}

/// A relative path is meant from where the process stands now.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}

#[cfg(test)]
mod tests;
