//! Registered clients: what proves that it is they, which grants they may use, for whom and for what.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::verification_key::VerificationKey;

/// What is known of a client beyond its issuer name and keys. Empty lists mean "any", unless said otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientOptions {
    /// The grants it may use. Empty is what the rest suits: jwt-bearer with keys, client credentials with a secret and
    /// no keys, password with users, authorization code with redirect URIs, and with one of these two refresh token.
    pub grant_types: Vec<GrantType>,
    /// How it authenticates. `None` is by secret if it has one, else by assertion if it has keys, else not at all;
    /// but beside a jwt-bearer assertion, keys alone demand nothing more.
    pub client_auth: Option<ClientAuth>,
    /// Subjects it may act for; if there are any, `sub` is required. The first is who signs in at the authorization
    /// page; without one it is `user-1`.
    pub subjects: Vec<String>,
    /// Scopes it may ask for; also what it gets when it asks for none.
    pub scopes: Vec<String>,
    /// The `aud` expected of this client instead of the server's.
    pub audience: Option<String>,
    /// The client secret it must present, by Basic or in the body.
    pub secret: Option<String>,
    /// Its client id if not the issuer name.
    pub client_id: Option<String>,
    /// The `alg` values it registered; empty is whatever fits its keys.
    pub algorithms: Vec<String>,
    /// The `kid` its assertions must carry.
    pub kid: Option<String>,
    /// Shared secret of HS256, HS384 and HS512. Without it these are refused.
    pub hmac_secret: Option<String>,
    /// Names and passwords of the password grant.
    pub users: BTreeMap<String, String>,
    /// The subject of its certificate, as `X-Client-Subject` has it.
    pub certificate_subject: Option<String>,
    /// Where the authorization page may send its answers, compared byte for byte. Empty is none, except for a visit
    /// that only gives consent, which may be sent anywhere.
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
    /// By its secret, either way.
    Secret,
    /// By its secret as Basic.
    Basic,
    /// By its secret in the body.
    Post,
    /// By a `client_assertion` (RFC 7523 2.2).
    Assertion,
    /// Not at all: it names itself by `client_id`.
    Public,
    /// By its certificate (RFC 8705 2.1), of which whoever ends TLS in front of the server tells.
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
            ClientOptions { client_auth: Some(chosen), .. } => *chosen,
            ClientOptions { secret: Some(_), .. } => ClientAuth::Secret,
            _ if grant == GrantType::JwtBearer || self.keys.is_empty() => ClientAuth::Public,
            _ => ClientAuth::Assertion,
        }
    }

    /// Who signs in at the authorization page.
    pub(crate) fn login_subject(&self) -> &str {
        self.options.subjects.first().map_or("user-1", String::as_str)
    }
}
