//! Token endpoint: request format (RFC 6749 section 3.2), grant type, response format.

use serde_json::{Map, Value};

use crate::client::{Client, GrantType};
use crate::config::{Config, ExpiresIn, GetResponse};
use crate::error::ErrorResponse;
use crate::grant_store::NewRefreshToken;
use crate::grants;
use crate::http::Request;
use crate::provider;
use crate::response::Response;
use crate::state::State;
use crate::urlencoded;

/// Parameters of the grant and secrets, which must not appear in the query of a POST.
const BODY_ONLY_PARAMETERS: [&str; 13] = [
    "grant_type",
    "assertion",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "username",
    "password",
    "code",
    "code_verifier",
    "redirect_uri",
    "refresh_token",
];

/// What a valid request grants.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) scope: Option<String>,
    /// The family of tokens that are revoked together; `None` for grants without one-time codes or tokens.
    pub(crate) family: Option<u64>,
    /// The refresh token to issue.
    pub(crate) new_refresh_token: Option<NewRefreshToken>,
    /// The `nonce` of the ID token to issue.
    pub(crate) id_token_nonce: Option<Option<String>>,
}

impl Grant {
    pub(crate) fn new(client: &Client, subject: Option<String>, scope: Option<String>) -> Self {
        let issuer = client.issuer.clone();
        Grant { issuer, subject, scope, family: None, new_refresh_token: None, id_token_nonce: None }
    }
}

/// The tokens of a successful response.
pub(crate) struct IssuedTokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) id_token: Option<String>,
}

/// Base URL and time of the request.
pub(crate) struct EndpointContext {
    pub(crate) base_url: String,
    pub(crate) now: i64,
}

/// A well-formed token request.
pub(crate) struct TokenRequest<'a> {
    pub(crate) http: &'a Request,
    pub(crate) parameters: Parameters,
    /// The requested URL of the endpoint.
    pub(crate) url: String,
    pub(crate) now: i64,
}

/// The decoded parameters, without duplicates.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn require(&self, name: &str) -> Result<&str, ErrorResponse> {
        self.get(name).ok_or_else(|| ErrorResponse::invalid_request(format!("{name} is missing")))
    }

    fn parse(text: &str) -> Result<Self, ErrorResponse> {
        let pairs = urlencoded::parse(text).map_err(ErrorResponse::invalid_request)?;
        for (index, (name, value)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(ErrorResponse::invalid_request(format!("{name} appears more than once")));
            }
            if value.is_empty() {
                return Err(ErrorResponse::invalid_request(format!("{name} is empty")));
            }
        }
        Ok(Parameters(pairs))
    }
}

/// Checks a token request. A valid request consumes its `jti` or code.
pub(crate) fn check_token_request(
    state: &mut State,
    request: &Request,
    context: &EndpointContext,
) -> Result<Grant, ErrorResponse> {
    let parameters = read_parameters(&state.config, request)?;
    let grant_type = parse_grant_type(state, parameters.require("grant_type")?)?;
    // A secret in a URL stays in access logs. An assertion expires within minutes.
    if request.method == "GET" && grant_type != GrantType::JwtBearer {
        return Err(ErrorResponse::method_not_allowed("GET"));
    }
    let url = format!("{}{}", context.base_url, endpoint_target(request));
    grants::check_grant(state, &TokenRequest { http: request, parameters, url, now: context.now }, grant_type)
}

// A grant that no client may use counts as unsupported, except jwt-bearer.
fn parse_grant_type(state: &State, name: &str) -> Result<GrantType, ErrorResponse> {
    let is_supported = |grant: &GrantType| {
        *grant == GrantType::JwtBearer || state.clients.iter().any(|client| client.can_use(*grant))
    };
    let supported: Vec<GrantType> = GrantType::ALL.into_iter().filter(is_supported).collect();
    supported.iter().find(|grant| grant.as_str() == name).copied().ok_or_else(|| {
        let names: Vec<&str> = supported.iter().map(|grant| grant.as_str()).collect();
        ErrorResponse::unsupported_grant_type(format!("grant_type is {name:?}, expected one of {names:?}"))
    })
}

/// The response to a GET if GET does not return a token.
pub(crate) fn get_response(kind: GetResponse) -> Option<Response> {
    match kind {
        GetResponse::Token | GetResponse::MethodNotAllowed => None,
        GetResponse::NotFound => Some(Response::text(404, "Not Found")),
        GetResponse::Redirect => Some(Response::redirect("/login")),
        GetResponse::HtmlOk => Some(Response::html(200, "Sign in")),
        GetResponse::HtmlForbidden => Some(Response::html(403, "Request blocked")),
        GetResponse::InvalidRequest => Some(Response::oauth_error(400, "invalid_request", Some("use POST"))),
    }
}

/// The successful response (RFC 6749 section 5.1).
pub(crate) fn token_response(
    config: &Config,
    tokens: &IssuedTokens,
    grant: &Grant,
    context: &EndpointContext,
) -> Response {
    let mut body = Map::new();
    body.insert("access_token".to_owned(), tokens.access_token.as_str().into());
    body.insert("token_type".to_owned(), "Bearer".into());
    match &config.expires_in {
        ExpiresIn::Number(seconds) => drop(body.insert("expires_in".to_owned(), (*seconds).into())),
        ExpiresIn::Text(text) => drop(body.insert("expires_in".to_owned(), text.as_str().into())),
        ExpiresIn::Absent => {}
    }
    if let Some(scope) = &grant.scope {
        body.insert("scope".to_owned(), scope.as_str().into());
    }
    for (name, token) in [("refresh_token", &tokens.refresh_token), ("id_token", &tokens.id_token)] {
        if let Some(token) = token {
            body.insert(name.to_owned(), token.as_str().into());
        }
    }
    provider::adjust_token_response(config, &context.base_url, &mut body);
    let response = Response::json(200, &Value::Object(body));
    provider::add_headers(
        config,
        response.with_header("Cache-Control", "no-store").with_header("Pragma", "no-cache"),
        context.now,
    )
}

fn read_parameters(config: &Config, request: &Request) -> Result<Parameters, ErrorResponse> {
    match (request.method.as_str(), config.get) {
        ("POST", _) => read_posted_parameters(request),
        ("GET", GetResponse::Token) if request.body.is_empty() => Parameters::parse(request.query()),
        ("GET", GetResponse::Token) => {
            Err(ErrorResponse::invalid_request("a GET request must not have a body"))
        }
        (method, _) => Err(ErrorResponse::method_not_allowed(method)),
    }
}

fn read_posted_parameters(request: &Request) -> Result<Parameters, ErrorResponse> {
    let query = urlencoded::parse(request.query()).map_err(ErrorResponse::invalid_request)?;
    if let Some((name, _)) = query.iter().find(|(name, _)| BODY_ONLY_PARAMETERS.contains(&name.as_str())) {
        return Err(ErrorResponse::invalid_request(format!(
            "{name} is in the query of a POST, expected in the body"
        )));
    }
    let found = request.header("content-type").unwrap_or("missing or duplicate");
    if !is_form_content_type(found) {
        let expected = "application/x-www-form-urlencoded";
        return Err(ErrorResponse::invalid_request(format!("Content-Type is {found}, expected {expected}")));
    }
    let body = std::str::from_utf8(&request.body)
        .map_err(|_| ErrorResponse::invalid_request("the body is not UTF-8"))?;
    Parameters::parse(body)
}

fn is_form_content_type(content_type: &str) -> bool {
    let (media_type, parameter) = content_type.split_once(';').unwrap_or((content_type, "charset=utf-8"));
    media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && parameter.trim().eq_ignore_ascii_case("charset=utf-8")
}

// The query of a GET contains the grant and is not part of the endpoint's URL.
fn endpoint_target(request: &Request) -> &str {
    if request.method == "GET" { request.path() } else { &request.target }
}
