//! What a provider demands of an assertion and its request beyond the RFCs.

use serde_json::Value;

use super::Provider;
use crate::config::Config;
use crate::jwt::Jwt;
use crate::refusal::{Fault, Refusal};
use crate::token::Asked;

type Outcome = Result<(), Refusal>;

/// Checks what is particular to the provider that is played.
pub(crate) fn check(config: &Config, jwt: &Jwt, asked: &Asked<'_>) -> Outcome {
    match config.provider {
        Some(Provider::Docusign) => docusign(jwt),
        Some(Provider::Salesforce | Provider::Servicenow) => no_scope(jwt, asked),
        Some(Provider::Entra) => entra(jwt, asked),
        Some(Provider::Google) => google(jwt, asked),
        Some(Provider::Box) => no_scope(jwt, asked).and_then(|()| is_box(jwt)),
        Some(Provider::Netsuite) => netsuite(jwt, asked),
        Some(Provider::Maskinporten) => maskinporten(jwt, asked),
        Some(Provider::Okta | Provider::Keycloak) => scope_is_a_parameter(jwt),
        Some(Provider::Snowflake) | None => Ok(()),
    }
}

/// The claims in which a client's own assertion has to name it; NetSuite's samples have no sub.
pub(crate) fn claims_of_a_client(config: &Config) -> &'static [&'static str] {
    if config.provider == Some(Provider::Netsuite) { &["iss"] } else { &["iss", "sub"] }
}

/// Whether the assertion asks for an id token in place of an access token.
pub(crate) fn wants_id_token(config: &Config, assertion: &str) -> bool {
    let jwt = Jwt::parse(assertion);
    config.provider == Some(Provider::Google)
        && jwt.is_ok_and(|jwt| jwt.claims.contains_key("target_audience"))
}

fn bad(why: impl Into<String>) -> Refusal {
    Refusal::grant(Fault::Other, why)
}

fn docusign(jwt: &Jwt) -> Outcome {
    let subject = jwt.claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let lengths: Vec<usize> = subject.split('-').map(str::len).collect();
    let hexadecimal = subject.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if lengths == [8, 4, 4, 4, 12] && hexadecimal {
        return Ok(());
    }
    Err(Refusal::grant(Fault::Subject, format!("sub is {subject:?}, expected a user's GUID")))
}

fn entra(jwt: &Jwt, asked: &Asked<'_>) -> Outcome {
    match (jwt.header_text("alg"), jwt.header_text("x5t#S256"), jwt.header_text("x5t")) {
        (Some("PS256"), Some(_), _) | (Some("RS256"), _, Some(_)) => {}
        (algorithm, ..) => {
            return Err(bad(format!(
                "{algorithm:?} without its thumbprint: PS256 and x5t#S256, or RS256 and x5t"
            )));
        }
    }
    let scope = asked.parameters.get("scope").unwrap_or_default();
    if !scope.ends_with("/.default") || scope.contains(' ') || jwt.claims.contains_key("scope") {
        return Err(Refusal::scope(format!("scope is {scope:?}, expected the .default of one resource")));
    }
    asked.parameters.needed("client_id").map(drop)
}

fn google(jwt: &Jwt, asked: &Asked<'_>) -> Outcome {
    let one = jwt.claims.contains_key("scope") != jwt.claims.contains_key("target_audience");
    if !one || asked.parameters.get("scope").is_some() {
        return Err(Refusal::scope("expected one of the claims scope and target_audience, and no parameter"));
    }
    Ok(())
}

fn no_scope(jwt: &Jwt, asked: &Asked<'_>) -> Outcome {
    if jwt.claims.contains_key("scope") || asked.parameters.get("scope").is_some() {
        return Err(Refusal::scope("there is no place for a scope here"));
    }
    Ok(())
}

fn is_box(jwt: &Jwt) -> Outcome {
    match jwt.claims.get("box_sub_type").and_then(Value::as_str) {
        Some("enterprise" | "user") => Ok(()),
        found => Err(bad(format!("box_sub_type is {found:?}, expected enterprise or user"))),
    }
}

fn netsuite(jwt: &Jwt, asked: &Asked<'_>) -> Outcome {
    let algorithm = jwt.header_text("alg").unwrap_or_default();
    if algorithm.starts_with("RS") {
        return Err(bad(format!("alg is {algorithm}, expected PS256 or stronger, or ES256 or stronger")));
    }
    if !jwt.claims.get("scope").is_some_and(Value::is_array) || asked.parameters.get("scope").is_some() {
        return Err(Refusal::scope("expected an array in the claim scope, and no parameter"));
    }
    Ok(())
}

fn maskinporten(jwt: &Jwt, asked: &Asked<'_>) -> Outcome {
    if !(jwt.header.contains_key("kid") || jwt.header.get("x5c").is_some_and(Value::is_array)) {
        return Err(bad("neither kid nor an array x5c names the key"));
    }
    if !jwt.claims.contains_key("scope") || asked.parameters.get("scope").is_some() {
        return Err(Refusal::scope("expected the claim scope, and no parameter"));
    }
    Ok(())
}

fn scope_is_a_parameter(jwt: &Jwt) -> Outcome {
    if jwt.claims.contains_key("scope") {
        return Err(Refusal::scope("the scope is a parameter of the request here, and no claim"));
    }
    Ok(())
}
