//! Authorization endpoint (RFC 6749 section 4.1.1): responds with a code, an error or a form, as configured.
//!
//! A client of the code grant receives a real code, and errors by redirect. For any other client the endpoint
//! is DocuSign's consent page: it requires `scope=signature%20impersonation`, shows errors as text, and
//! returns a code that cannot be redeemed.

use crate::assertion;
use crate::client::{Client, GrantType};
use crate::config::{AuthorizeBehavior, Config, NonceBehavior};
use crate::grant_store::AuthorizationCode;
use crate::http::Request;
use crate::response::Response;
use crate::shared::SharedState;
use crate::state::{State, random_hex};
use crate::urlencoded;

const CODE_LIFETIME_SECS: i64 = 60;

/// A valid authorization request.
struct AuthorizationRequest {
    client: usize,
    redirect: RedirectTarget,
    scope: Option<String>,
    grants_consent: bool,
    /// `Some` only for a client of the code grant.
    code_parameters: Option<CodeParameters>,
}

struct CodeParameters {
    challenge: Option<String>,
    nonce: Option<String>,
}

/// The redirect URI of the response, and the parameters of every response.
#[derive(Clone)]
struct RedirectTarget {
    uri: String,
    state: Option<String>,
    iss: Option<String>,
}

enum AuthorizationError {
    /// RFC 6749 section 4.1.2.1: with an invalid client or redirect URI there is no redirect.
    Page(String),
    Redirect(String),
}

impl From<String> for AuthorizationError {
    fn from(reason: String) -> Self {
        AuthorizationError::Page(reason)
    }
}

pub(crate) fn handle_authorization(shared: &SharedState, request: &Request) -> Response {
    let now = shared.now();
    let mut state = shared.state.lock();
    let is_form_post = request.method == "POST" && state.config.authorize == AuthorizeBehavior::Form;
    if request.method != "GET" && !is_form_post {
        return Response::text(405, "the authorization endpoint requires GET").with_header("Allow", "GET");
    }
    match parse_request(&state, request.query()) {
        Ok(authorization) => respond(&mut state, &authorization, request, now),
        Err(AuthorizationError::Page(reason)) => Response::text(400, &reason),
        Err(AuthorizationError::Redirect(location)) => Response::redirect(&location),
    }
}

fn respond(state: &mut State, authorization: &AuthorizationRequest, request: &Request, now: i64) -> Response {
    let decision = urlencoded::parse(&String::from_utf8_lossy(&request.body)).unwrap_or_default();
    match state.config.authorize.clone() {
        AuthorizeBehavior::Never => Response::html(200, "Sign in"),
        AuthorizeBehavior::Error(error) => {
            Response::redirect(&authorization.redirect.error_url(&error, None))
        }
        AuthorizeBehavior::Form if request.method == "GET" => {
            consent_form(&state.clients[authorization.client], authorization, request)
        }
        AuthorizeBehavior::Form if decision != [("decision".to_owned(), "allow".to_owned())] => {
            Response::redirect(
                &authorization.redirect.error_url("access_denied", Some("the user denied the request")),
            )
        }
        AuthorizeBehavior::WrongState => {
            let redirect =
                RedirectTarget { state: Some("wrong-state".to_owned()), ..authorization.redirect.clone() };
            Response::redirect(&redirect.to_url(&[("code", &approve(state, authorization, now))]))
        }
        AuthorizeBehavior::Code | AuthorizeBehavior::Form => Response::redirect(
            &authorization.redirect.to_url(&[("code", &approve(state, authorization, now))]),
        ),
    }
}

fn approve(state: &mut State, authorization: &AuthorizationRequest, now: i64) -> String {
    if authorization.grants_consent {
        state.clear_pending_consents();
    }
    let Some(parameters) = &authorization.code_parameters else {
        return "consented".to_owned();
    };
    let (value, client) = (format!("code-{}", random_hex()), &state.clients[authorization.client]);
    let code = AuthorizationCode {
        value: value.clone(),
        issuer: client.issuer.clone(),
        redirect_uri: authorization.redirect.uri.clone(),
        subject: client.login_subject().to_owned(),
        scope: authorization.scope.clone(),
        challenge: parameters.challenge.clone(),
        nonce: parameters.nonce.clone(),
        expires_at: now + CODE_LIFETIME_SECS,
        family: state.resettable.grant_store.new_family(),
        used: false,
    };
    state.resettable.grant_store.insert_code(code);
    value
}

fn parse_request(state: &State, query: &str) -> Result<AuthorizationRequest, AuthorizationError> {
    let client_id = urlencoded::decode(single_parameter(query, "client_id")?)?;
    let client = state
        .find_client_by_id(&client_id)
        .ok_or_else(|| format!("client_id {client_id:?} is not registered"))?;
    let registered = &state.clients[client];
    let for_code = registered.can_use(GrantType::AuthorizationCode);
    let uri = validate_redirect_uri(registered, single_parameter(query, "redirect_uri")?, for_code)?;
    let redirect = RedirectTarget {
        uri,
        state: optional_parameter(query, "state")?,
        iss: state.config.authorization_iss.clone(),
    };
    if for_code {
        return parse_code_parameters(&state.config, registered, query)
            .map(|(scope, parameters)| AuthorizationRequest {
                client,
                scope,
                grants_consent: has_consent_scopes(query),
                code_parameters: Some(parameters),
                redirect: redirect.clone(),
            })
            .map_err(|(error, reason)| {
                AuthorizationError::Redirect(redirect.error_url(error, Some(&reason)))
            });
    }
    if single_parameter(query, "response_type")? != "code" {
        return Err(AuthorizationError::Page("response_type is not code".to_owned()));
    }
    if !has_consent_scopes(query) {
        let scope = single_parameter(query, "scope")?;
        return Err(AuthorizationError::Page(format!(
            "scope is {scope:?}, expected signature%20impersonation"
        )));
    }
    Ok(AuthorizationRequest { client, scope: None, grants_consent: true, code_parameters: None, redirect })
}

type RedirectError = (&'static str, String);

fn parse_code_parameters(
    config: &Config,
    client: &Client,
    query: &str,
) -> Result<(Option<String>, CodeParameters), RedirectError> {
    let invalid = |reason: String| ("invalid_request", reason);
    let get = |name: &str| optional_parameter(query, name).map_err(invalid);
    match get("response_type")?.as_deref() {
        Some("code") => {}
        Some(other) => return Err(("unsupported_response_type", format!("response_type is {other:?}"))),
        None => return Err(invalid("response_type is missing".to_owned())),
    }
    let check_scope = |scope: Option<String>| {
        assertion::select_granted_scope(client, scope).map_err(|error| ("invalid_scope", error.description))
    };
    check_scope(get("admin_consent_scope")?)?;
    let scope = check_scope(get("scope")?)?;
    let challenge = get("code_challenge")?;
    validate_challenge(config, challenge.as_deref(), get("code_challenge_method")?.as_deref())
        .map_err(invalid)?;
    let nonce = apply_nonce_behavior(config.nonce, scope.as_deref(), get("nonce")?).map_err(invalid)?;
    Ok((scope, CodeParameters { challenge, nonce }))
}

/// Returns the `nonce` of the ID token.
fn apply_nonce_behavior(
    behavior: NonceBehavior,
    scope: Option<&str>,
    nonce: Option<String>,
) -> Result<Option<String>, String> {
    let is_openid = scope.unwrap_or_default().split(' ').any(|name| name == "openid");
    match (behavior, nonce) {
        (NonceBehavior::Require, None) if is_openid => Err("nonce is missing".to_owned()),
        (NonceBehavior::Refuse, Some(_)) => Err("nonce is not supported".to_owned()),
        (NonceBehavior::Ignore, _) => Ok(None),
        (NonceBehavior::Replace, _) => Ok(Some("another nonce".to_owned())),
        (_, nonce) => Ok(nonce),
    }
}

// RFC 7636 section 4.3. The default method is plain.
fn validate_challenge(config: &Config, challenge: Option<&str>, method: Option<&str>) -> Result<(), String> {
    let is_base64url = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    match (challenge, method) {
        (None, None) if !config.require_pkce => Ok(()),
        (None, _) => Err("code_challenge is missing".to_owned()),
        (Some(hash), Some("S256")) if hash.len() == 43 && hash.bytes().all(is_base64url) => Ok(()),
        (Some(hash), Some("S256")) => {
            Err(format!("code_challenge is {hash:?}, expected a SHA-256 hash in base64url"))
        }
        (Some(_), method) => {
            Err(format!("code_challenge_method is {:?}, expected S256", method.unwrap_or("plain")))
        }
    }
}

fn validate_redirect_uri(client: &Client, encoded: &str, for_code: bool) -> Result<String, String> {
    let (uri, registered) = (urlencoded::decode(encoded)?, &client.options.redirect_uris);
    if registered.is_empty() && !for_code {
        let absolute = uri.starts_with("http://") || uri.starts_with("https://");
        return if absolute {
            Ok(uri)
        } else {
            Err(format!("redirect_uri is {uri:?}, expected an absolute URL"))
        };
    }
    // RFC 8252 section 7.3: a loopback redirect URI that is registered with port 0 may have any port.
    let with_port_zero = || {
        let (host, rest) = uri.strip_prefix("http://127.0.0.1:")?.split_once('/')?;
        host.parse::<u16>().ok().map(|_| format!("http://127.0.0.1:0/{rest}"))
    };
    if registered.contains(&uri) || with_port_zero().is_some_and(|any_port| registered.contains(&any_port)) {
        return Ok(uri);
    }
    Err(format!("redirect_uri is {uri:?}, expected one of {registered:?}"))
}

// Compared without decoding: DocuSign accepts %20 between the scopes, but not '+'.
fn has_consent_scopes(query: &str) -> bool {
    ["scope", "admin_consent_scope"].iter().any(|name| {
        let scopes: Vec<&str> = single_parameter(query, name).unwrap_or_default().split("%20").collect();
        scopes.contains(&"signature") && scopes.contains(&"impersonation")
    })
}

impl RedirectTarget {
    fn error_url(&self, error: &str, description: Option<&str>) -> String {
        match description {
            Some(text) => self.to_url(&[("error", error), ("error_description", text)]),
            None => self.to_url(&[("error", error)]),
        }
    }

    fn to_url(&self, parameters: &[(&str, &str)]) -> String {
        let common = [("state", self.state.as_deref()), ("iss", self.iss.as_deref())];
        let common = common.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let pairs = parameters.iter().copied().chain(common);
        let encoded: Vec<String> =
            pairs.map(|(name, value)| format!("{name}={}", urlencoded::encode(value))).collect();
        let separator = if self.uri.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}", self.uri, encoded.join("&"))
    }
}

fn consent_form(client: &Client, authorization: &AuthorizationRequest, request: &Request) -> Response {
    let scope = authorization.scope.as_deref().unwrap_or("no scope");
    let [client_id, user, scope, target] =
        [client.client_id(), client.login_subject(), scope, &request.target].map(escape_html);
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Consent</title></head><body>\n\
         <h1>Consent</h1><p>{user}, do you allow {client_id} to use {scope}?</p>\n\
         <form method=\"post\" action=\"{target}\">\n\
         <button name=\"decision\" value=\"allow\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button>\n\
         </form></body></html>\n"
    );
    Response::new(200, "text/html; charset=utf-8", page)
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn optional_parameter(query: &str, name: &str) -> Result<Option<String>, String> {
    match raw_values(query, name).count() {
        0 => Ok(None),
        _ => urlencoded::decode(single_parameter(query, name)?).map(Some),
    }
}

// Returns the raw value of a parameter that appears exactly once.
fn single_parameter<'a>(query: &'a str, name: &str) -> Result<&'a str, String> {
    let mut found = raw_values(query, name);
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(format!("{name} is missing")),
        _ => Err(format!("{name} appears more than once")),
    }
}

fn raw_values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(one, _)| *one == name).map(|(_, value)| value)
}
