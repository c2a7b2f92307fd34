//! Provider profile: requirements for assertions and requests, defaults and error patterns of one provider.

use std::hash::{Hash, Hasher};

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::{ConsentProfile, ScopeLocation};

/// The profile of one provider. Explicit options override it. By default, its token request is a POST without
/// a preceding GET.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The value of the option Provider that selects it.
    pub name: String,
    /// The token hosts that select it; `*` stands for any characters, such as `*.domain` for all subdomains.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The use of its JWT.
    pub jwt: JwtUse,
    /// Whether iss is the client ID, so that ClientID and ClaimsIssuer can replace each other.
    #[serde(default)]
    pub issuer_is_client_id: bool,
    /// The sub claim if ClaimsSubject is not set. If `None`, RFC 7523 section 3 applies: iss for client authentication;
    /// otherwise ClaimsSubject is expected.
    pub default_subject: Option<DefaultSubject>,
    /// Whether iss is `ACCOUNT.USER` in uppercase followed by the key's fingerprint, and sub the same without
    /// it.
    #[serde(default)]
    pub issuer_has_fingerprint: bool,
    /// The aud claim.
    pub audience: Audience,
    /// The supported algorithms, the default first; empty if the key determines the algorithm.
    #[serde(default)]
    pub algorithms: Vec<Algorithm>,
    /// The JWT headers that identify the key's certificate.
    #[serde(default)]
    pub cert_headers: Vec<String>,
    /// Whether the provider needs kid, or a certificate header, to select the key.
    #[serde(default)]
    pub requires_key_id: bool,
    /// Provider-specific claims that are required.
    #[serde(default)]
    pub required_claims: Vec<String>,
    /// Scopes that are required.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Seconds from iat to exp; if `None`, 300, the default of JWTLifetime.
    pub lifetime: Option<u32>,
    /// The maximum lifetime that the provider accepts, in seconds.
    pub max_lifetime: Option<u32>,
    /// Seconds by which iat is backdated; if `None`, this crate's default.
    pub iat_backdate_secs: Option<u32>,
    /// Where the scope is sent.
    pub scope_location: ScopeLocation,
    /// Whether the scope claim is an array.
    #[serde(default)]
    pub scope_is_array: bool,
    /// The scope if Scope is not set.
    pub default_scope: Option<DefaultScope>,
    /// Client credentials sent in addition to a JWT bearer assertion.
    pub client: Option<ClientAuthRule>,
    /// Additional API headers if the JWT is the token.
    #[serde(default)]
    pub api_headers: Vec<(String, String)>,
    /// The assumed token lifetime in seconds if neither the response nor the token contains one.
    pub token_lifetime: Option<u32>,
    /// Whether a response with only an id_token is accepted; the id_token is then the token.
    #[serde(default)]
    pub id_token_only: bool,
    /// Retryable HTTP statuses in addition to the general ones.
    #[serde(default)]
    pub retryable_statuses: Vec<u16>,
    /// Values of `token_type` that mean Bearer, in addition to that.
    #[serde(default)]
    pub bearer_types: Vec<String>,
    /// Patterns of its error responses.
    #[serde(default)]
    pub error_patterns: ErrorPatterns,
    /// What its errors mean: an error code, or a part of a description, and the text for the message.
    #[serde(default)]
    pub error_hints: Vec<(String, String)>,
    /// By what its error responses are recognized if the profile is not selected.
    #[serde(default)]
    pub response_marks: ResponseMarks,
    /// How users consent; `None` if the provider has no consent.
    pub consent: Option<ConsentProfile>,
    /// How reliable the information in this profile is.
    pub evidence: Evidence,
    /// Where the information was found.
    pub source: String,
    /// Notes for the documentation.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The options of a working connection string with made-up values.
    pub example: Vec<(String, String)>,
}

/// The use of a JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum JwtUse {
    /// Authorization grant that is exchanged for a token (RFC 7523 section 2.1).
    AuthorizationGrant,
    /// Client authentication (RFC 7523 section 2.2).
    ClientAuthentication,
    /// The access token itself.
    AccessToken,
}

/// The sub claim of an assertion if ClaimsSubject is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DefaultSubject {
    /// The same as iss.
    Issuer,
    /// No sub claim.
    None,
    /// No default: ClaimsSubject must be set.
    Configured,
}

/// The aud claim of an assertion.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum Audience {
    /// The token URL, byte for byte.
    TokenUrl,
    /// The host of the token URL.
    Host,
    /// The scheme and host of the token URL.
    Origin,
    /// The scheme and host of the token URL with a trailing slash.
    OriginWithSlash,
    /// A text that depends on the token host.
    ByHost {
        /// The texts with the hosts, as in [`Profile::hosts`]; the first that matches counts.
        texts: Vec<(String, Vec<String>)>,
        /// The text for other hosts.
        otherwise: String,
    },
    /// The client ID.
    ClientId,
    /// This text.
    Literal(String),
    /// No aud claim.
    None,
    /// No default: ClaimsAudience must be set.
    Configured,
    /// No aud claim if there is a scope claim; otherwise ClaimsAudience must be set.
    ConfiguredUnlessScope,
}

/// The scope of a provider if Scope is not set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultScope {
    /// The scope.
    pub text: String,
    /// Other scopes with their hosts, as in [`Profile::hosts`]; the first that matches counts.
    #[serde(default)]
    pub by_host: Vec<(String, Vec<String>)>,
    /// Whether it applies only at the profile's hosts.
    #[serde(default)]
    pub own_hosts_only: bool,
}

/// How client credentials are sent with a JWT bearer assertion.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuthRule {
    /// Whether they are required; otherwise they are sent only if ClientSecret is set.
    pub required: bool,
    /// Sent in a Basic header; otherwise in the body.
    pub basic: bool,
}

/// Substrings of `error`, the error code or the description that classify an error response.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPatterns {
    /// Consent is missing.
    #[serde(default)]
    pub consent_required: Vec<String>,
    /// The assertion's times are invalid by the server's clock.
    #[serde(default)]
    pub clock_skew: Vec<String>,
    /// The assertion was already used (jti replay).
    #[serde(default)]
    pub replay: Vec<String>,
}

/// By what the error responses of a provider are recognized.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseMarks {
    /// Prefixes of its error codes, before a digit.
    #[serde(default)]
    pub codes: Vec<String>,
    /// Members of the error body that other servers do not send.
    #[serde(default)]
    pub members: Vec<String>,
}

/// How reliable the information in a profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Evidence {
    /// The server's documentation or source code.
    Documentation,
    /// Recorded responses of the server.
    Capture,
    /// Third-party documentation.
    SecondHand,
    /// Not verified.
    Memory,
}

impl Profile {
    /// Whether `host` is a token host of this provider.
    #[must_use]
    pub fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| matches_host(pattern, host))
    }
}

impl DefaultScope {
    /// The scope at a token host.
    #[must_use]
    pub fn text_for(&self, host: &str) -> &str {
        text_for_host(&self.by_host, host).unwrap_or(&self.text)
    }
}

/// The first of `texts` with a pattern that matches `host`.
#[must_use]
pub fn text_for_host<'a>(texts: &'a [(String, Vec<String>)], host: &str) -> Option<&'a str> {
    let is_for_host = |patterns: &[String]| patterns.iter().any(|pattern| matches_host(pattern, host));
    texts.iter().find(|(_, patterns)| is_for_host(patterns)).map(|(text, _)| text.as_str())
}

/// Whether `host`, in lower case, matches a pattern in which each `*` stands for one or more characters.
fn matches_host(pattern: &str, host: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == host };
    let Some(host) = host.strip_prefix(start) else { return false };
    let ends = host.char_indices().skip(1).map(|(end, _)| end).chain([host.len()]);
    !host.is_empty() && ends.filter_map(|end| host.get(end..)).any(|tail| matches_host(rest, tail))
}

/// Hashes the name only, because names are unique.
impl Hash for Profile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Evidence {
    /// The text for the documentation.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Documentation => "the server's documentation",
            Self::Capture => "recorded server responses",
            Self::SecondHand => "second-hand sources",
            Self::Memory => "memory, not verified",
        }
    }
}
