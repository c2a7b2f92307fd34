//! The token endpoint: the shape of the request (RFC 6749 3.2), the grant it asks for, the shape of the answer.

use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::client::{Client, GrantType};
use crate::config::{Config, ExpiresIn, GetAnswer};
use crate::form;
use crate::grants;
use crate::http::Request;
use crate::provider;
use crate::refusal::Refusal;
use crate::state::State;
use crate::vault::Renewal;

/// Parameters that carry the grant or a secret, and so must not come in the query of a POST.
const NOT_IN_QUERY: [&str; 13] = [
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

/// What a good request is worth.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) scope: Option<String>,
    /// The family of tokens that end together; none where nothing can be used twice by mistake.
    pub(crate) family: Option<u64>,
    /// The refresh token to give along.
    pub(crate) renewal: Option<Renewal>,
    /// The `nonce` of the id token to give along.
    pub(crate) id_token: Option<Option<String>>,
}

impl Grant {
    pub(crate) fn plain(client: &Client, subject: Option<String>, scope: Option<String>) -> Self {
        let issuer = client.issuer.clone();
        Grant { issuer, subject, scope, family: None, renewal: None, id_token: None }
    }
}

/// What a good request is given.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    pub(crate) id: Option<String>,
}

/// Where and when the endpoint was called.
pub(crate) struct Call {
    pub(crate) base: String,
    pub(crate) now: i64,
}

/// A token request whose shape is good.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request,
    pub(crate) parameters: Parameters,
    /// The URL of the endpoint as it was called.
    pub(crate) url: String,
    pub(crate) now: i64,
}

/// The decoded parameters, each of them once.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn needed(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::request(format!("{name} is missing")))
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let pairs = form::parse(text).map_err(Refusal::request)?;
        for (index, (name, value)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Refusal::request(format!("{name} stands more than once")));
            }
            if value.is_empty() {
                return Err(Refusal::request(format!("{name} is empty")));
            }
        }
        Ok(Parameters(pairs))
    }
}

/// Checks a token request in full; a good one uses its `jti` or code up.
pub(crate) fn check(state: &mut State, request: &Request, call: &Call) -> Result<Grant, Refusal> {
    let parameters = parameters(&state.config, request)?;
    let grant_type = grant_type(state, parameters.needed("grant_type")?)?;
    // A secret in a URL lives in somebody's access log; an assertion there lives for minutes.
    if request.method == "GET" && grant_type != GrantType::JwtBearer {
        return Err(Refusal::method("GET"));
    }
    let url = format!("{}{}", call.base, called_target(request));
    grants::check(state, &Asked { request, parameters, url, now: call.now }, grant_type)
}

// A grant that no client may use is one that this server does not have, but for the one it is here for.
fn grant_type(state: &State, name: &str) -> Result<GrantType, Refusal> {
    let offered = |grant: &GrantType| {
        *grant == GrantType::JwtBearer || state.clients.iter().any(|client| client.may_use(*grant))
    };
    let offered: Vec<GrantType> = GrantType::ALL.into_iter().filter(offered).collect();
    offered.iter().find(|grant| grant.name() == name).copied().ok_or_else(|| {
        let names: Vec<&str> = offered.iter().map(|grant| grant.name()).collect();
        Refusal::grant_type(format!("grant_type is {name:?}, expected one of {names:?}"))
    })
}

/// The answer to a GET where GET is not a way to a token.
pub(crate) fn answer_to_get(kind: GetAnswer) -> Option<Answer> {
    match kind {
        GetAnswer::Token | GetAnswer::MethodNotAllowed => None,
        GetAnswer::NotFound => Some(Answer::text(404, "Not Found")),
        GetAnswer::Redirect => Some(Answer::redirect("/login")),
        GetAnswer::HtmlOk => Some(Answer::html(200, "Sign in")),
        GetAnswer::HtmlForbidden => Some(Answer::html(403, "Request blocked")),
        GetAnswer::InvalidRequest => Some(Answer::oauth_error(400, "invalid_request", Some("use POST"))),
    }
}

/// The answer with a token (RFC 6749 5.1).
pub(crate) fn answer(config: &Config, tokens: &Tokens, grant: &Grant, call: &Call) -> Answer {
    let mut body = Map::new();
    body.insert("access_token".to_owned(), tokens.access.as_str().into());
    body.insert("token_type".to_owned(), "Bearer".into());
    match &config.expires_in {
        ExpiresIn::Number(seconds) => drop(body.insert("expires_in".to_owned(), (*seconds).into())),
        ExpiresIn::Text(text) => drop(body.insert("expires_in".to_owned(), text.as_str().into())),
        ExpiresIn::Absent => {}
    }
    if let Some(scope) = &grant.scope {
        body.insert("scope".to_owned(), scope.as_str().into());
    }
    for (name, token) in [("refresh_token", &tokens.refresh), ("id_token", &tokens.id)] {
        if let Some(token) = token {
            body.insert(name.to_owned(), token.as_str().into());
        }
    }
    provider::dress(config, &call.base, &mut body);
    let answer = Answer::json(200, &Value::Object(body));
    provider::header(config, answer.with("Cache-Control", "no-store").with("Pragma", "no-cache"), call.now)
}

fn parameters(config: &Config, request: &Request) -> Result<Parameters, Refusal> {
    match (request.method.as_str(), config.get) {
        ("POST", _) => posted(request),
        ("GET", GetAnswer::Token) if request.body.is_empty() => Parameters::parse(request.query()),
        ("GET", GetAnswer::Token) => Err(Refusal::request("a GET with a body")),
        (method, _) => Err(Refusal::method(method)),
    }
}

fn posted(request: &Request) -> Result<Parameters, Refusal> {
    let query = form::parse(request.query()).map_err(Refusal::request)?;
    if let Some((name, _)) = query.iter().find(|(name, _)| NOT_IN_QUERY.contains(&name.as_str())) {
        return Err(Refusal::request(format!("{name} is in the query of a POST, expected in the body only")));
    }
    let found = request.header("content-type").unwrap_or("missing, or there twice");
    if !is_form(found) {
        let expected = "application/x-www-form-urlencoded";
        return Err(Refusal::request(format!("Content-Type is {found}, expected {expected}")));
    }
    let body = std::str::from_utf8(&request.body).map_err(|_| Refusal::request("the body is not ASCII"))?;
    Parameters::parse(body)
}

fn is_form(content_type: &str) -> bool {
    let (media, parameter) = content_type.split_once(';').unwrap_or((content_type, "charset=utf-8"));
    media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && parameter.trim().eq_ignore_ascii_case("charset=utf-8")
}

// The query of a GET is the grant itself and no part of the endpoint's URL.
fn called_target(request: &Request) -> &str {
    if request.method == "GET" { request.path() } else { &request.target }
}
