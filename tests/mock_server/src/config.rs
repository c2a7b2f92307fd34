//! What a test can choose about the server: transport, which requests are acceptable, what a token answer has.
//!
//! The defaults are the strict reading of RFC 7523 plus what its providers demand: a short life, a fresh `jti`.
//!
//! As JSON (`POST /control/config`) the members have the names of the fields, and what stands for a variant is its
//! name in snake case: `{"get": "html_ok", "expires_in": {"text": "60"}}`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::provider::Provider;
use crate::scenario::Behavior;

/// Everything a test can choose; `Config::default()` is plain http with strict checks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// TLS, with a certificate by an own CA.
    pub https: bool,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The certificate to show; matters with `https` only.
    pub certificate: ServerCertificate,
    /// A request whose path ends with one of these is a token request.
    pub token_paths: Vec<String>,
    /// What a GET of the token endpoint gets.
    pub get: GetResponse,
    /// The `aud` expected of every client; `None` is the token URL as called.
    pub audience: Option<String>,
    /// The `typ` an assertion must have; `None` takes any and none.
    pub typ: Option<String>,
    /// The `typ` a client assertion must have, likewise.
    pub client_typ: Option<String>,
    /// The issuer identifier: `iss` of id tokens, and an `aud` that client assertions may have instead of the token
    /// URL. `None` is the base URL as called, for id tokens only.
    pub issuer: Option<String>,
    /// The `iss` that authorization answers carry (RFC 9207), right or wrong; `None` sends none.
    pub authorization_iss: Option<String>,
    /// What the authorization page does with a good request.
    pub authorize: AuthorizeBehavior,
    /// Refuse an authorization request without an S256 `code_challenge` (RFC 7636).
    pub require_pkce: bool,
    /// Answer each use of a refresh token with a new one and end the old.
    pub rotate_refresh_tokens: bool,
    /// What `POST /oauth/logoff` plays; `Play::Normal` is 200 and an empty object.
    pub logoff: Behavior,
    /// Refuse an assertion without `iat`.
    pub require_iat: bool,
    /// Refuse an assertion without `jti`.
    pub require_jti: bool,
    /// Refuse an assertion without `sub`, also for clients that list no subjects.
    pub require_sub: bool,
    /// Ceiling of `exp - iat`, in seconds.
    pub max_lifetime: i64,
    /// How old `iat` may be, in seconds.
    pub max_age: i64,
    /// How far `iat` and `nbf` may be in the future, in seconds. `exp` has no leeway.
    pub leeway: i64,
    /// The `expires_in` of a token answer.
    pub expires_in: ExpiresIn,
    /// Seconds by which the server's clock is ahead: its checks and its Date header.
    pub clock_skew: i64,
    /// Seconds by which the Date header alone is ahead.
    pub date_skew: i64,
    /// In whose words a refusal is put.
    pub wording: ErrorWording,
    /// Whose quirks are played beside all this; `Config::of` has the rest of them too.
    pub provider: Option<Provider>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            https: false,
            port: 0,
            certificate: ServerCertificate::Good,
            token_paths: vec!["/oauth/token".to_owned()],
            get: GetResponse::MethodNotAllowed,
            audience: None,
            typ: Some("JWT".to_owned()),
            client_typ: Some("JWT".to_owned()),
            issuer: None,
            authorization_iss: None,
            authorize: AuthorizeBehavior::Code,
            require_pkce: true,
            rotate_refresh_tokens: true,
            logoff: Behavior::Normal,
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

    /// This config with the members of a JSON object changed.
    ///
    /// # Errors
    /// What is wrong with the JSON, for people.
    pub fn with_json(&self, json: &str) -> Result<Self, String> {
        let changes: Map<String, Value> = serde_json::from_str(json).map_err(|e| e.to_string())?;
        let mut whole = serde_json::to_value(self).map_err(|e| e.to_string())?;
        for (name, value) in changes {
            whole[name] = value;
        }
        serde_json::from_value(whole).map_err(|e| e.to_string())
    }
}

/// The server certificate to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerCertificate {
    /// For 127.0.0.1, ::1 and localhost, signed by the CA of `ca_pem_path`.
    Good,
    /// Signed by a CA of the same name that nobody was given.
    UntrustedCa,
    /// Ended years ago.
    Expired,
    /// For `other.example` only.
    OtherHost,
}

/// The answer to a GET of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GetResponse {
    /// 405 with `Allow: POST`.
    MethodNotAllowed,
    /// The parameters of the query are checked as those of a POST would be.
    Token,
    /// 404, text.
    NotFound,
    /// 302 to a sign-in page.
    Redirect,
    /// 200 and a sign-in page.
    HtmlOk,
    /// 403 and a page, as firewalls answer.
    HtmlForbidden,
    /// 400 `invalid_request`, JSON.
    InvalidRequest,
}

/// What the authorization page does with a good request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizeBehavior {
    /// Redirects with a code at once, as if the person had agreed before.
    Code,
    /// Shows a form with the buttons Allow and Deny.
    Form,
    /// Redirects with this `error`, such as `access_denied`.
    Error(String),
    /// Redirects with a code and a `state` that nobody sent.
    WrongState,
    /// Shows a page that leads nowhere.
    Never,
}

/// The `expires_in` member of a token answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiresIn {
    /// A JSON number; the token really ends then.
    Number(u64),
    /// A JSON string, which some servers send.
    Text(String),
    /// No such member.
    Absent,
}

/// In whose words a refusal is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorWording {
    /// What was wrong, what was expected: for reading test failures.
    Precise,
    /// `issuer_not_found`, `user_not_found`, `no_valid_keys_or_signatures`, … as DocuSign answers.
    #[serde(rename = "docusign")]
    DocuSign,
}
