//! Registered clients: authentication method, allowed grants, subjects and scopes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::verification_key::VerificationKey;

/// Registration of a client in addition to its issuer name and keys.
///
/// Unless a field is documented differently, an empty list allows any value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientOptions {
    /// Allowed grants. If empty, they follow from the other fields: jwt-bearer with keys; client credentials
    /// with a secret and no keys; password with users; authorization code with redirect URIs; refresh token
    /// with users or redirect URIs.
    pub grant_types: Vec<GrantType>,
    /// Authentication method. `None` selects the secret if there is one, otherwise an assertion if there are
    /// keys, otherwise no authentication. Keys alone do not require client authentication for the jwt-bearer
    /// grant.
    pub client_auth: Option<ClientAuth>,
    /// Subjects that the client may act for. If there are any, `sub` is required. The first one is the user
    /// who signs in at the authorization endpoint; the default is `user-1`.
    pub subjects: Vec<String>,
    /// Allowed scopes, granted as a whole if a request has no scope.
    pub scopes: Vec<String>,
    /// The expected `aud`; overrides `Config::audience`.
    pub audience: Option<String>,
    /// The client secret, expected in a Basic header or in the body.
    pub secret: Option<String>,
    /// The client ID; the default is the issuer name.
    pub client_id: Option<String>,
    /// The registered `alg` values; if empty, all that the keys support.
    pub algorithms: Vec<String>,
    /// The `kid` that assertions must contain.
    pub kid: Option<String>,
    /// Shared secret for HS256, HS384 and HS512, which are rejected without it.
    pub hmac_secret: Option<String>,
    /// User names and passwords for the password grant.
    pub users: BTreeMap<String, String>,
    /// The subject of the TLS client certificate, as in the header `X-Client-Subject`.
    pub certificate_subject: Option<String>,
    /// Registered redirect URIs, compared byte for byte. An empty list allows none, but a request that only
    /// gives consent may then use any.
    pub redirect_uris: Vec<String>,
}

/// A grant of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    #[serde(rename = "urn:ietf:params:oauth:grant-type:jwt-bearer", alias = "jwt_bearer")]
    JwtBearer,
    ClientCredentials,
    Password,
    AuthorizationCode,
    RefreshToken,
}

/// How a client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// By the secret, as Basic or in the body.
    Secret,
    /// By the secret as Basic.
    Basic,
    /// By the secret in the body.
    Post,
    /// By a `client_assertion` (RFC 7523 section 2.2).
    Assertion,
    /// No authentication: the request contains only `client_id`.
    Public,
    /// By a TLS client certificate (RFC 8705 section 2.1). The TLS-terminating proxy sends its subject in a
    /// header.
    Certificate,
}

impl ClientAuth {
    pub(crate) fn is_public(self) -> bool {
        self == ClientAuth::Public
    }
}

impl GrantType {
    pub(crate) const ALL: [GrantType; 5] = [
        GrantType::JwtBearer,
        GrantType::ClientCredentials,
        GrantType::Password,
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
    ];

    /// The value of `grant_type`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            GrantType::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            GrantType::ClientCredentials => "client_credentials",
            GrantType::Password => "password",
            GrantType::AuthorizationCode => "authorization_code",
            GrantType::RefreshToken => "refresh_token",
        }
    }
}

pub(crate) struct Client {
    pub(crate) issuer: String,
    pub(crate) keys: Vec<VerificationKey>,
    pub(crate) options: ClientOptions,
}

impl Client {
    pub(crate) fn new<K: AsRef<str>>(
        issuer: &str,
        pems: &[K],
        options: ClientOptions,
    ) -> Result<Self, String> {
        let mut keys = Vec::new();
        for pem in pems {
            keys.push(VerificationKey::from_pem(pem.as_ref())?);
        }
        if let Some(secret) = &options.hmac_secret {
            keys.push(VerificationKey::from_hmac_secret(secret.as_bytes()));
        }
        Ok(Client { issuer: issuer.to_owned(), keys, options })
    }

    pub(crate) fn client_id(&self) -> &str {
        self.options.client_id.as_deref().unwrap_or(&self.issuer)
    }

    pub(crate) fn accepts_algorithm(&self, algorithm: &str) -> bool {
        let listed = &self.options.algorithms;
        if listed.is_empty() {
            return self.keys.iter().any(|key| key.supports(algorithm));
        }
        algorithm != "none" && listed.iter().any(|one| one == algorithm)
    }

    pub(crate) fn can_use(&self, grant: GrantType) -> bool {
        let options = &self.options;
        if !options.grant_types.is_empty() {
            return options.grant_types.contains(&grant);
        }
        match grant {
            GrantType::JwtBearer => !self.keys.is_empty(),
            GrantType::ClientCredentials => self.keys.is_empty() && options.secret.is_some(),
            GrantType::Password => !options.users.is_empty(),
            GrantType::AuthorizationCode => !options.redirect_uris.is_empty(),
            GrantType::RefreshToken => !options.users.is_empty() || !options.redirect_uris.is_empty(),
        }
    }

    pub(crate) fn auth_method(&self, grant: GrantType) -> ClientAuth {
        match &self.options {
            ClientOptions { client_auth: Some(method), .. } => *method,
            ClientOptions { secret: Some(_), .. } => ClientAuth::Secret,
            _ if grant == GrantType::JwtBearer || self.keys.is_empty() => ClientAuth::Public,
            _ => ClientAuth::Assertion,
        }
    }

    /// The user who signs in at the authorization endpoint.
    pub(crate) fn login_subject(&self) -> &str {
        self.options.subjects.first().map_or("user-1", String::as_str)
    }
}
