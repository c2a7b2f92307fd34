//! Configuration of the server: transport, checks of requests, content of token responses.
//!
//! The defaults are a strict interpretation of RFC 7523 plus common requirements of providers: a short
//! lifetime and a new `jti` per assertion.
//!
//! In JSON (`POST /control/config`) the members have the names of the fields, and variants are written in
//! snake case: `{"get": "html_ok", "expires_in": {"text": "60"}}`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::provider::Provider;
use crate::scenario::Behavior;

/// Configuration of the server; `Config::default()` is plain http with strict checks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Serves TLS with a certificate of a generated CA.
    pub https: bool,
    /// Port on 127.0.0.1; 0 selects a free one.
    pub port: u16,
    /// The server certificate; ignored unless `https`.
    pub certificate: ServerCertificate,
    /// Whether the server lacks TLS 1.3.
    pub tls12_only: bool,
    /// Path suffixes of the token endpoint.
    pub token_paths: Vec<String>,
    /// Response to a GET of the token endpoint.
    pub get: GetResponse,
    /// The expected `aud` for all clients; `None` expects the requested token URL.
    pub audience: Option<String>,
    /// The required `typ` of assertions; `None` accepts any or no value.
    pub typ: Option<String>,
    /// The required `typ` of client assertions; `None` accepts any or no value.
    pub client_typ: Option<String>,
    /// The issuer identifier: `iss` of ID tokens, and an alternative to the token URL as `aud` of client
    /// assertions. `None` uses the requested base URL for ID tokens and allows no alternative `aud`.
    pub issuer: Option<String>,
    /// The `iss` of authorization responses (RFC 9207), which may be wrong; `None` omits it.
    pub authorization_iss: Option<String>,
    /// Response of the authorization endpoint to a valid request.
    pub authorize: AuthorizeBehavior,
    /// Reject authorization requests without an S256 `code_challenge` (RFC 7636).
    pub require_pkce: bool,
    /// Treatment of the `nonce` of authorization requests.
    pub nonce: NonceBehavior,
    /// Issue a new refresh token on each use, and invalidate the old one.
    pub rotate_refresh_tokens: bool,
    /// Behavior of `POST /oauth/logoff`; `Behavior::Normal` is 200 with an empty object.
    pub logoff: Behavior,
    /// The values of `token_type_hint` to which `POST /oauth/logoff` responds with `unsupported_token_type`
    /// (RFC 7009 section 2.2.1).
    pub unsupported_revocations: Vec<String>,
    /// Reject assertions without `iat`.
    pub require_iat: bool,
    /// Reject assertions without `jti`.
    pub require_jti: bool,
    /// Reject assertions without `sub`, even for clients without registered subjects.
    pub require_sub: bool,
    /// Maximum of `exp - iat` in seconds.
    pub max_lifetime: i64,
    /// Maximum age of `iat` in seconds.
    pub max_age: i64,
    /// Leeway in seconds for `iat` and `nbf` in the future. `exp` has no leeway.
    pub leeway: i64,
    /// The `expires_in` of token responses.
    pub expires_in: ExpiresIn,
    /// Clock skew of the server in seconds, for its checks and its Date header.
    pub clock_skew: i64,
    /// Additional clock skew of the Date header in seconds.
    pub date_skew: i64,
    /// Wording of error responses.
    pub wording: ErrorWording,
    /// Provider whose peculiarities are emulated; `Config::for_provider` also sets the other fields to match.
    pub provider: Option<Provider>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            https: false,
            port: 0,
            certificate: ServerCertificate::Good,
            tls12_only: false,
            token_paths: vec!["/oauth/token".to_owned()],
            get: GetResponse::MethodNotAllowed,
            audience: None,
            typ: Some("JWT".to_owned()),
            client_typ: Some("JWT".to_owned()),
            issuer: None,
            authorization_iss: None,
            authorize: AuthorizeBehavior::Code,
            require_pkce: true,
            nonce: NonceBehavior::Return,
            rotate_refresh_tokens: true,
            logoff: Behavior::Normal,
            unsupported_revocations: Vec::new(),
            require_iat: true,
            require_jti: true,
            require_sub: true,
            max_lifetime: 3600,
            max_age: 300,
            leeway: 2,
            expires_in: ExpiresIn::Number(3600),
            clock_skew: 0,
            date_skew: 0,
            wording: ErrorWording::Precise,
            provider: None,
        }
    }
}

impl Config {
    /// The default over TLS.
    pub fn https() -> Self {
        Config { https: true, ..Config::default() }
    }

    /// The default over plain http.
    pub fn http() -> Self {
        Config::default()
    }

    /// Returns this configuration with the members of a JSON object changed.
    ///
    /// # Errors
    /// A description of what is invalid in the JSON.
    pub fn with_json(&self, json: &str) -> Result<Self, String> {
        let changes: Map<String, Value> = serde_json::from_str(json).map_err(|e| e.to_string())?;
        let mut config = serde_json::to_value(self).map_err(|e| e.to_string())?;
        for (name, value) in changes {
            config[name] = value;
        }
        serde_json::from_value(config).map_err(|e| e.to_string())
    }
}

/// The certificate of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerCertificate {
    /// For 127.0.0.1, ::1 and localhost, signed by the CA of `ca_pem_path`.
    Good,
    /// Signed by another CA with the same name.
    UntrustedCa,
    /// Expired.
    Expired,
    /// For `other.example` only.
    OtherHost,
    /// A self-signed CA certificate, as `openssl req -x509` creates it. It is also the file of `ca_pem_path`.
    SelfSigned,
}

/// Response to a GET of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GetResponse {
    /// 405 with `Allow: POST`.
    MethodNotAllowed,
    /// The query is checked like the body of a POST.
    Token,
    /// 404 with text.
    NotFound,
    /// 302 to a login page.
    Redirect,
    /// 200 with a login page.
    HtmlOk,
    /// 403 with a page, as firewalls send it.
    HtmlForbidden,
    /// 400 with `invalid_request` in JSON.
    InvalidRequest,
}

/// Response of the authorization endpoint to a valid request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizeBehavior {
    /// Redirects with a code immediately, as if the user had consented before.
    Code,
    /// A form with the buttons Allow and Deny.
    Form,
    /// Redirects with this `error`, such as `access_denied`.
    Error(String),
    /// Redirects with a code and a wrong `state`.
    WrongState,
    /// A page that never redirects.
    Never,
}

/// Treatment of the `nonce` of authorization requests (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonceBehavior {
    /// The ID token contains it.
    Return,
    /// As `Return`; a request with the scope `openid` and without it is refused by `invalid_request`.
    Require,
    /// A request with it is refused by `invalid_request`.
    Refuse,
    /// It is ignored: the ID token contains none.
    Ignore,
    /// The ID token contains another one.
    Replace,
}

/// The `expires_in` member of a token response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiresIn {
    /// A JSON number; the token really expires then.
    Number(u64),
    /// A JSON string, as some servers send it.
    Text(String),
    /// No such member.
    Absent,
}

/// Wording of error responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorWording {
    /// The found and the expected value, so that a test failure explains itself.
    Precise,
    /// `issuer_not_found`, `user_not_found`, `no_valid_keys_or_signatures`, … as DocuSign sends them.
    #[serde(rename = "docusign")]
    DocuSign,
}
