//! One provider as data: what it wants of an assertion and a request, and how it says what.

use std::hash::{Hash, Hasher};

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::{ConsentProfile, ScopeLocation};

/// One provider. A profile's token endpoint is asked by POST at once. What it says ranks below whatever the user said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// By which the option Provider names it.
    pub name: String,
    /// The token hosts by which it is recognised: `host`, or `*.domain` for all below a domain.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// What its JWT is good for.
    pub jwt: JwtUse,
    /// Whether iss is the client id, so that ClientID and ClaimsIssuer can stand for each other.
    #[serde(default)]
    pub issuer_is_client_id: bool,
    /// Whether sub is iss where nobody says another, if not as RFC 7523 section 3 has it: for a client alone.
    pub subject_is_issuer: Option<bool>,
    /// Whether iss is `ACCOUNT.USER` in capitals with the fingerprint of the key behind it, and sub without.
    #[serde(default)]
    pub issuer_has_fingerprint: bool,
    /// aud.
    pub audience: Audience,
    /// The algorithms that it takes, the usual one first; empty where any key's own will do.
    #[serde(default)]
    pub algorithms: Vec<Algorithm>,
    /// The headers that name the key's certificate.
    #[serde(default)]
    pub cert_headers: Vec<String>,
    /// Whether it finds the key by kid, or by the certificate that a header names.
    #[serde(default)]
    pub requires_key_id: bool,
    /// Claims of its own, without which it refuses.
    #[serde(default)]
    pub required_claims: Vec<String>,
    /// Scopes without which a JWT is of no use to it.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Seconds from iat to exp, if not the 300 of JWTLifetime.
    pub lifetime: Option<u32>,
    /// The longest that it takes.
    pub max_lifetime: Option<u32>,
    /// Seconds by which iat lies back, if not ours.
    pub iat_backdate_secs: Option<u32>,
    /// Where it reads the scope.
    pub scope_location: ScopeLocation,
    /// Whether the scope claim is an array.
    #[serde(default)]
    pub scope_is_array: bool,
    /// The scope where the user gives none.
    pub default_scope: Option<DefaultScope>,
    /// The client's own credentials beside a JWT bearer assertion.
    pub client: Option<ClientAuthRule>,
    /// Headers for the API where the JWT is the token.
    #[serde(default)]
    pub api_headers: Vec<(String, String)>,
    /// Seconds that a token lives where neither the answer nor the token says.
    pub token_lifetime: Option<u32>,
    /// Whether an answer with an id_token alone is one with a token.
    #[serde(default)]
    pub id_token_only: bool,
    /// HTTP statuses that pass, beside those that always do.
    #[serde(default)]
    pub retryable_statuses: Vec<u16>,
    /// How it says what is wrong.
    #[serde(default)]
    pub error_patterns: ErrorPatterns,
    /// How people consent, where it takes consent at all.
    pub consent: Option<ConsentProfile>,
    /// How this row is known.
    pub evidence: Evidence,
    /// Where it stands.
    pub source: String,
    /// What to know beside all of this.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The options of a connection string that works, with the user's own values made up.
    pub example: Vec<(String, String)>,
}

/// What a JWT is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum JwtUse {
    /// Exchanged for a token (RFC 7523 section 2.1).
    AuthorizationGrant,
    /// The client's authentication (RFC 7523 section 2.2).
    ClientAuthentication,
    /// The token itself.
    AccessToken,
}

/// The aud of an assertion.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum Audience {
    /// The token URL to the letter.
    TokenUrl,
    /// Its host alone.
    Host,
    /// Its scheme and host.
    Origin,
    /// Its scheme and host with a slash behind.
    OriginWithSlash,
    /// Its scheme and host where that is one of these, else the first.
    OriginAmong(Vec<String>),
    /// The client id.
    ClientId,
    /// These words.
    Literal(String),
    /// None.
    None,
    /// Only the user knows: ClaimsAudience.
    Configured,
    /// None where there is a scope claim; else only the user knows.
    ConfiguredUnlessScope,
}

/// The scope of a provider where the user gives none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultScope {
    /// The scope.
    pub text: String,
    /// Whether it means something at the profile's own hosts alone.
    #[serde(default)]
    pub own_hosts_only: bool,
}

/// How a client's credentials go along with a JWT bearer assertion.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuthRule {
    /// Whether it does not go without; else they go where ClientSecret is given.
    pub required: bool,
    /// In a Basic header; in the body otherwise.
    pub basic: bool,
}

/// What a refusal says, by words of its `error`, its code or its description.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPatterns {
    /// Consent is missing.
    #[serde(default)]
    pub consent_required: Vec<String>,
    /// The times of the assertion do not suit the server's clock.
    #[serde(default)]
    pub clock_skew: Vec<String>,
    /// The assertion was used before.
    #[serde(default)]
    pub replay: Vec<String>,
}

/// How a row is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Evidence {
    /// The server's own documentation or source.
    Documentation,
    /// Answers of the server that somebody recorded.
    Capture,
    /// Others write so.
    SecondHand,
    /// Nobody has looked it up.
    Memory,
}

impl Profile {
    /// Whether a token host is this provider's.
    #[must_use]
    pub fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| match known.strip_prefix('*') {
            Some(domain) => host.strip_suffix(domain).is_some_and(|label| !label.is_empty()),
            None => known == host,
        })
    }
}

/// A name belongs to one profile.
impl Hash for Profile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Evidence {
    /// In words.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Documentation => "the server's own documentation",
            Self::Capture => "recorded answers of the server",
            Self::SecondHand => "second-hand",
            Self::Memory => "memory, not looked up",
        }
    }
}
