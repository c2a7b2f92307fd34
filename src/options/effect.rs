//! Authentication methods, and what an option changes with each of them: the column "separates tokens" of the
//! option table.

use AuthMethod as Method;

/// An authentication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Inferred from the other options.
    Infer,
    /// JWT bearer grant (RFC 7523 section 2.1).
    JwtBearer,
    /// The signed JWT itself is the token.
    SignedJwt,
    /// Client credentials grant with a client assertion (RFC 7523 section 2.2).
    ClientAssertion,
    /// Authorization code grant (RFC 6749 section 4.1).
    AuthorizationCode,
    /// Client credentials grant (RFC 6749 section 4.4).
    ClientCredentials,
    /// Password grant (RFC 6749 section 4.3).
    Password,
    /// Refresh token grant (RFC 6749 section 6).
    RefreshToken,
    /// AccessToken is the token.
    AccessToken,
    /// SecurityToken is the token.
    BearerToken,
    /// SecurityToken is the value of a header.
    HeaderToken,
    /// User and Password in a Basic header.
    Basic,
    /// No credential.
    None,
    /// Known but not supported; with the reason and the alternative.
    Unsupported(&'static str),
}

const PER_REQUEST_REASON: &str = "it signs each API request and must be implemented by the driver";

/// The numbers and names of AuthenticationMethod.
pub(crate) const AUTH_METHODS: &[(&str, &str, AuthMethod)] = &[
    ("24", "OAuth2", AuthMethod::Infer),
    ("55", "OAuth2-JWTBearer", AuthMethod::JwtBearer),
    ("JWT", "JWT", AuthMethod::SignedJwt),
    ("OAuth2-JWTClientAssertion", "OAuth2-JWTClientAssertion", AuthMethod::ClientAssertion),
    ("53", "OAuth2-ClientCredentials", AuthMethod::ClientCredentials),
    ("52", "OAuth2-Password", AuthMethod::Password),
    ("54", "OAuth2-RefreshToken", AuthMethod::RefreshToken),
    ("50", "OAuth2-AccessToken", AuthMethod::AccessToken),
    ("34", "BearerToken", AuthMethod::BearerToken),
    ("25", "HTTPHeader", AuthMethod::HeaderToken),
    ("0", "Basic", AuthMethod::Basic),
    ("15", "None", AuthMethod::None),
    ("51", "OAuth2-AuthorizationCode", AuthMethod::AuthorizationCode),
    ("56", "OAuth2-PKCE", AuthMethod::AuthorizationCode),
    ("14", "URLParameter", AuthMethod::Unsupported("tokens in URLs leak into logs; use 25 (HTTPHeader)")),
    ("29", "Custom", AuthMethod::Unsupported(PER_REQUEST_REASON)),
    ("30", "Digest", AuthMethod::Unsupported(PER_REQUEST_REASON)),
    ("43", "AWS", AuthMethod::Unsupported(PER_REQUEST_REASON)),
];

/// Groups of methods.
pub type Methods = &'static [&'static [AuthMethod]];

/// Methods that sign an assertion.
pub(crate) const SIGNING: &[AuthMethod] = &[Method::JwtBearer, Method::ClientAssertion, Method::SignedJwt];

/// Methods that send a token request.
pub(super) const TOKEN_REQUEST: &[AuthMethod] = &[
    Method::JwtBearer,
    Method::ClientAssertion,
    Method::ClientCredentials,
    Method::AuthorizationCode,
    Method::Password,
    Method::RefreshToken,
];

/// Methods that can authenticate the client with a secret.
pub(super) const CLIENT_SECRET: &[AuthMethod] = &[
    Method::JwtBearer,
    Method::ClientCredentials,
    Method::AuthorizationCode,
    Method::Password,
    Method::RefreshToken,
];

pub(super) const SIGNED_JWT: &[AuthMethod] = &[Method::SignedJwt];
pub(super) const CLIENT_ASSERTION: &[AuthMethod] = &[Method::ClientAssertion];
pub(super) const JWT_BEARER: &[AuthMethod] = &[Method::JwtBearer];
pub(super) const LOGIN: &[AuthMethod] = &[Method::AuthorizationCode];
pub(super) const REFRESH_TOKEN: &[AuthMethod] = &[Method::RefreshToken];
pub(super) const ACCESS_TOKEN: &[AuthMethod] = &[Method::AccessToken];
pub(super) const BEARER_TOKEN: &[AuthMethod] = &[Method::BearerToken];
pub(super) const HEADER_TOKEN: &[AuthMethod] = &[Method::HeaderToken];
pub(super) const BASIC: &[AuthMethod] = &[Method::Basic];
pub(super) const PASSWORD: &[AuthMethod] = &[Method::Password];

/// All methods that an option can select.
pub(crate) const ALL: Methods =
    &[TOKEN_REQUEST, SIGNED_JWT, ACCESS_TOKEN, BEARER_TOKEN, HEADER_TOKEN, BASIC, &[Method::None]];

/// What an option changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectKind {
    /// The token, or the request for it.
    Token,
    /// The same, and the consent URL.
    TokenAndConsent,
    /// How a key is opened, not which key it is. A shared entry (TokenCache) is identified by the key.
    KeyAccess,
    /// TLS and proxy: which server is trusted with the request, and as whom it is asked. TLS connections are reused
    /// only between equal values.
    Transport,
    /// The shared entry (TokenCache) alone: the cache of the process does not depend on it.
    SharedEntry,
    /// Other options: it names a file or a data source with further options.
    Options,
    /// Neither the token nor its request: time limits, logs, API requests, the driver.
    Local,
}

/// What an option changes, and with which methods.
#[derive(Clone, Copy, Debug)]
pub struct OptionEffect {
    /// What it changes.
    pub kind: EffectKind,
    /// The methods with which the value is part of the identity of a token: two connections with different values
    /// never share a token, an error or a refresh token. With the other methods they may.
    pub separates: Methods,
    /// Methods with which the value has another effect.
    pub other: Methods,
}

impl OptionEffect {
    pub(super) const LOCAL: Self = Self::new(EffectKind::Local, &[]).elsewhere(ALL);
    pub(super) const OPTIONS: Self = Self::new(EffectKind::Options, &[]).elsewhere(ALL);
    pub(super) const TRANSPORT: Self = Self::new(EffectKind::Transport, &[TOKEN_REQUEST]).elsewhere(ALL);

    pub(super) const fn new(kind: EffectKind, separates: Methods) -> Self {
        Self { kind, separates, other: &[] }
    }

    pub(super) const fn token(separates: Methods) -> Self {
        Self::new(EffectKind::Token, separates)
    }

    pub(super) const fn token_and_consent(separates: Methods) -> Self {
        Self::new(EffectKind::TokenAndConsent, separates)
    }

    pub(super) const fn key_access(separates: Methods) -> Self {
        Self::new(EffectKind::KeyAccess, separates)
    }

    pub(super) const fn shared_entry(separates: Methods) -> Self {
        Self::new(EffectKind::SharedEntry, separates).elsewhere(ALL)
    }

    pub(super) const fn elsewhere(self, other: Methods) -> Self {
        Self { other, ..self }
    }

    /// Whether the option has an effect with `method`.
    #[must_use]
    pub fn is_used_by(&self, method: AuthMethod) -> bool {
        self.separates_tokens_of(method) || contains(self.other, method)
    }

    /// Whether connections with `method` and different values never share a token.
    #[must_use]
    pub fn separates_tokens_of(&self, method: AuthMethod) -> bool {
        contains(self.separates, method)
    }

    /// The methods with which it has an effect.
    pub fn methods(&self) -> impl Iterator<Item = AuthMethod> {
        self.separates.iter().chain(self.other).copied().flatten().copied()
    }

    /// The cell of `docs/options.md`.
    pub(super) fn to_markdown(self) -> String {
        let prefix = match self.kind {
            EffectKind::Local => return "no".to_owned(),
            EffectKind::Options => return "by its options".to_owned(),
            EffectKind::SharedEntry => "in TokenCache: ",
            EffectKind::Token
            | EffectKind::TokenAndConsent
            | EffectKind::KeyAccess
            | EffectKind::Transport => "",
        };
        if self.separates == ALL {
            return format!("{prefix}yes");
        }
        format!("{prefix}{}", method_numbers(self.separates.iter().copied().flatten().copied()))
    }
}

fn contains(methods: Methods, method: AuthMethod) -> bool {
    methods.iter().any(|group| group.contains(&method))
}

/// The values of AuthenticationMethod for `methods`, the first one of each.
pub(crate) fn method_numbers(methods: impl Iterator<Item = AuthMethod>) -> String {
    let rows =
        methods.filter_map(|method| AUTH_METHODS.iter().find(|(_, _, row_method)| *row_method == method));
    rows.map(|(number, ..)| *number).collect::<Vec<_>>().join(", ")
}
