//! The authorization page (RFC 6749 4.1.1): a visit checked, then a code, an error or a form as configured.
//!
//! A client of the code grant gets a real code, and errors by redirect. For any other client the page is DocuSign's
//! consent: `scope=signature%20impersonation`, errors as text, and a code that is good for nothing.

use crate::answer::Answer;
use crate::assertion;
use crate::client::{Client, GrantType};
use crate::config::{Authorize, Config};
use crate::form;
use crate::http::Request;
use crate::shared::Shared;
use crate::state::{State, random};
use crate::vault::Code;

const CODE_LIFE: i64 = 60;

/// A good visit.
struct Visit {
    client: usize,
    back: Back,
    scope: Option<String>,
    consents: bool,
    /// For a client of the code grant only.
    code: Option<Wanted>,
}

struct Wanted {
    challenge: Option<String>,
    nonce: Option<String>,
}

/// Where the answer goes, and what goes with it.
#[derive(Clone)]
struct Back {
    uri: String,
    state: Option<String>,
    iss: Option<String>,
}

enum Wrong {
    /// RFC 6749 4.1.2.1: with a bad client or redirect URI nobody is sent anywhere.
    Page(String),
    Redirect(String),
}

impl From<String> for Wrong {
    fn from(why: String) -> Self {
        Wrong::Page(why)
    }
}

pub(crate) fn answer(shared: &Shared, request: &Request) -> Answer {
    let now = shared.now();
    let mut state = shared.state.lock();
    let by_form = request.method == "POST" && state.config.authorize == Authorize::Form;
    if request.method != "GET" && !by_form {
        return Answer::text(405, "the authorization page is for GET").with("Allow", "GET");
    }
    match visit(&state, request.query()) {
        Ok(visit) => decide(&mut state, &visit, request, now),
        Err(Wrong::Page(why)) => Answer::text(400, &why),
        Err(Wrong::Redirect(location)) => Answer::redirect(&location),
    }
}

fn decide(state: &mut State, visit: &Visit, request: &Request, now: i64) -> Answer {
    let decision = form::parse(&String::from_utf8_lossy(&request.body)).unwrap_or_default();
    match state.config.authorize.clone() {
        Authorize::Never => Answer::html(200, "Sign in"),
        Authorize::Error(error) => Answer::redirect(&visit.back.error(&error, None)),
        Authorize::Form if request.method == "GET" => page(&state.clients[visit.client], visit, request),
        Authorize::Form if decision != [("decision".to_owned(), "allow".to_owned())] => {
            Answer::redirect(&visit.back.error("access_denied", Some("the person said no")))
        }
        Authorize::WrongState => {
            let back = Back { state: Some("a-state-nobody-sent".to_owned()), ..visit.back.clone() };
            Answer::redirect(&back.with(&[("code", &agree(state, visit, now))]))
        }
        Authorize::Code | Authorize::Form => {
            Answer::redirect(&visit.back.with(&[("code", &agree(state, visit, now))]))
        }
    }
}

fn agree(state: &mut State, visit: &Visit, now: i64) -> String {
    if visit.consents {
        state.consent();
    }
    let Some(wanted) = &visit.code else {
        return "consented".to_owned();
    };
    let (text, client) = (format!("code-{}", random()), &state.clients[visit.client]);
    let code = Code {
        text: text.clone(),
        issuer: client.issuer.clone(),
        redirect_uri: visit.back.uri.clone(),
        subject: client.user().to_owned(),
        scope: visit.scope.clone(),
        challenge: wanted.challenge.clone(),
        nonce: wanted.nonce.clone(),
        ends: now + CODE_LIFE,
        family: state.seen.vault.new_family(),
        used: false,
    };
    state.seen.vault.keep(code);
    text
}

fn visit(state: &State, query: &str) -> Result<Visit, Wrong> {
    let client_id = form::decode(one(query, "client_id")?)?;
    let client =
        state.client_by_id(&client_id).ok_or_else(|| format!("client_id {client_id:?} is not registered"))?;
    let known = &state.clients[client];
    let for_code = known.may_use(GrantType::AuthorizationCode);
    let uri = redirect_uri(known, one(query, "redirect_uri")?, for_code)?;
    let back = Back { uri, state: optional(query, "state")?, iss: state.config.authorization_iss.clone() };
    if for_code {
        return wanted(&state.config, known, query)
            .map(|(scope, code)| Visit {
                client,
                scope,
                consents: consents(query),
                code: Some(code),
                back: back.clone(),
            })
            .map_err(|(error, why)| Wrong::Redirect(back.error(error, Some(&why))));
    }
    if one(query, "response_type")? != "code" {
        return Err(Wrong::Page("response_type is not code".to_owned()));
    }
    if !consents(query) {
        let scope = one(query, "scope")?;
        return Err(Wrong::Page(format!("scope is {scope:?}, expected signature%20impersonation")));
    }
    Ok(Visit { client, scope: None, consents: true, code: None, back })
}

type Fault = (&'static str, String);

fn wanted(config: &Config, client: &Client, query: &str) -> Result<(Option<String>, Wanted), Fault> {
    let invalid = |why: String| ("invalid_request", why);
    let get = |name: &str| optional(query, name).map_err(invalid);
    match get("response_type")?.as_deref() {
        Some("code") => {}
        Some(other) => return Err(("unsupported_response_type", format!("response_type is {other:?}"))),
        None => return Err(invalid("response_type is missing".to_owned())),
    }
    let granted = |scope: Option<String>| {
        assertion::granted_scope(client, scope).map_err(|refusal| ("invalid_scope", refusal.description))
    };
    granted(get("admin_consent_scope")?)?;
    let scope = granted(get("scope")?)?;
    let challenge = get("code_challenge")?;
    challenge_is_good(config, challenge.as_deref(), get("code_challenge_method")?.as_deref())
        .map_err(invalid)?;
    Ok((scope, Wanted { challenge, nonce: get("nonce")? }))
}

// RFC 7636 4.3; without a method it is plain.
fn challenge_is_good(config: &Config, challenge: Option<&str>, method: Option<&str>) -> Result<(), String> {
    let base64url = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    match (challenge, method) {
        (None, None) if !config.require_pkce => Ok(()),
        (None, _) => Err("code_challenge is missing".to_owned()),
        (Some(hash), Some("S256")) if hash.len() == 43 && hash.bytes().all(base64url) => Ok(()),
        (Some(hash), Some("S256")) => Err(format!("code_challenge is {hash:?}, which is no SHA-256 hash")),
        (Some(_), method) => {
            Err(format!("code_challenge_method is {:?}, expected S256", method.unwrap_or("plain")))
        }
    }
}

fn redirect_uri(client: &Client, encoded: &str, for_code: bool) -> Result<String, String> {
    let (uri, registered) = (form::decode(encoded)?, &client.options.redirect_uris);
    if registered.is_empty() && !for_code {
        let absolute = uri.starts_with("http://") || uri.starts_with("https://");
        return if absolute {
            Ok(uri)
        } else {
            Err(format!("redirect_uri is {uri:?}, expected an absolute URL"))
        };
    }
    if registered.contains(&uri) {
        return Ok(uri);
    }
    Err(format!("redirect_uri is {uri:?}, expected one of {registered:?}"))
}

// Compared undecoded: DocuSign takes %20 between the scopes, and '+' is not that.
fn consents(query: &str) -> bool {
    ["scope", "admin_consent_scope"].iter().any(|name| {
        let scopes: Vec<&str> = one(query, name).unwrap_or_default().split("%20").collect();
        scopes.contains(&"signature") && scopes.contains(&"impersonation")
    })
}

impl Back {
    fn error(&self, error: &str, description: Option<&str>) -> String {
        match description {
            Some(why) => self.with(&[("error", error), ("error_description", why)]),
            None => self.with(&[("error", error)]),
        }
    }

    fn with(&self, parameters: &[(&str, &str)]) -> String {
        let also = [("state", self.state.as_deref()), ("iss", self.iss.as_deref())];
        let also = also.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let pairs = parameters.iter().copied().chain(also);
        let text: Vec<String> =
            pairs.map(|(name, value)| format!("{name}={}", form::encode(value))).collect();
        let joint = if self.uri.contains('?') { '&' } else { '?' };
        format!("{}{joint}{}", self.uri, text.join("&"))
    }
}

fn page(client: &Client, visit: &Visit, request: &Request) -> Answer {
    let scope = visit.scope.as_deref().unwrap_or("nothing in particular");
    let [who, user, scope, target] = [client.client_id(), client.user(), scope, &request.target].map(escaped);
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Consent</title></head><body>\n\
         <h1>Consent</h1><p>{user}, may {who} have {scope}?</p>\n\
         <form method=\"post\" action=\"{target}\">\n\
         <button name=\"decision\" value=\"allow\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button>\n\
         </form></body></html>\n"
    );
    Answer::new(200, "text/html; charset=utf-8", page)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn optional(query: &str, name: &str) -> Result<Option<String>, String> {
    match occurrences(query, name).count() {
        0 => Ok(None),
        _ => form::decode(one(query, name)?).map(Some),
    }
}

// The raw value of a parameter that stands exactly once.
fn one<'a>(query: &'a str, name: &str) -> Result<&'a str, String> {
    let mut found = occurrences(query, name);
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(format!("{name} is missing")),
        _ => Err(format!("{name} stands more than once")),
    }
}

fn occurrences<'a>(query: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(one, _)| *one == name).map(|(_, value)| value)
}
