//! The authorization page as far as a consent needs it: DocuSign's `scope=signature%20impersonation`.

use crate::answer::Answer;
use crate::form;
use crate::http::Request;
use crate::shared::Shared;

/// Records the consent and goes on to the redirect URI with a code, as if the user had agreed at once.
pub(crate) fn answer(shared: &Shared, request: &Request) -> Answer {
    if request.method != "GET" {
        return Answer::text(405, "the authorization page is for GET").with("Allow", "GET");
    }
    match check(shared, request.query()) {
        Ok(location) => Answer::redirect(&location),
        Err(why) => Answer::text(400, &why),
    }
}

fn check(shared: &Shared, query: &str) -> Result<String, String> {
    if one(query, "response_type")? != "code" {
        return Err("response_type is not code".to_owned());
    }
    let client_id = form::decode(one(query, "client_id")?)?;
    let mut state = shared.state.lock();
    if !state.clients.iter().any(|client| client.client_id() == client_id) {
        return Err(format!("client_id {client_id:?} is not registered"));
    }
    // Compared undecoded: DocuSign takes %20 between the scopes, and '+' is not that.
    let scope = one(query, "scope")?;
    let scopes: Vec<&str> = scope.split("%20").collect();
    if !scopes.contains(&"signature") || !scopes.contains(&"impersonation") {
        return Err(format!("scope is {scope:?}, expected signature%20impersonation"));
    }
    let back = form::decode(one(query, "redirect_uri")?)?;
    if !back.starts_with("http://") && !back.starts_with("https://") {
        return Err(format!("redirect_uri is {back:?}, expected an absolute URL"));
    }
    state.consent();
    Ok(location(&back, one(query, "state").ok()))
}

fn location(back: &str, state: Option<&str>) -> String {
    let joint = if back.contains('?') { '&' } else { '?' };
    let state = state.map(|state| format!("&state={state}")).unwrap_or_default();
    format!("{back}{joint}code=consented{state}")
}

// The raw value of a parameter that stands exactly once.
fn one<'a>(query: &'a str, name: &str) -> Result<&'a str, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(one, _)| *one == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(value),
        (None, _) => Err(format!("{name} is missing")),
        _ => Err(format!("{name} stands more than once")),
    }
}
