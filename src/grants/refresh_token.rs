//! Refresh token grant (RFC 6749 section 6): the newest one that the server sent, else the user's.

use crate::base::cache_key::CacheKey;
use crate::base::secret::Secret;
use crate::grants::Context;
use crate::grants::token_request::{Attempt, Repeat};
use crate::process::Process;
use crate::resolve::{Exchange, Grant};

/// The refresh token to go on with, if there is one.
pub(super) fn held(exchange: &Exchange, context: &Context<'_>) -> Option<Secret> {
    let newest = context.session.refresh_token(family(exchange, context.process));
    newest.or_else(|| configured(&exchange.grant).cloned())
}

/// Remembers the one that came with a token, where tokens belong to a person.
pub(super) fn keep(exchange: &Exchange, newest: Secret, context: &Context<'_>) {
    if exchange.grant.is_personal() {
        let before = held(exchange, context);
        context.session.store_refresh_token(family(exchange, context.process), before.as_ref(), newest);
    }
}

/// Refresh tokens that take the place of each other: one server's for one client, from the user's own on.
pub(super) fn family(exchange: &Exchange, process: &Process) -> CacheKey {
    let client = exchange.client.as_ref().map(|client| &client.id);
    let subject = (configured(&exchange.grant), exchange.endpoint.as_str(), client);
    CacheKey::digest(&process.cache_key_secret, &subject)
}

fn configured(grant: &Grant) -> Option<&Secret> {
    match grant {
        Grant::RefreshToken(token) => Some(token),
        Grant::AuthorizationCode(login) => login.refresh_token.as_ref(),
        _ => None,
    }
}

pub(super) fn attempt<'a>(exchange: &'a Exchange, token: &Secret) -> Attempt<'a> {
    Attempt {
        parameters: vec![("grant_type", Secret::from("refresh_token")), ("refresh_token", token.clone())],
        what: "the refresh token",
        sent: Box::new(|| format!("the token URL was {}", exchange.endpoint.without_query())),
        // Where the server has taken it although no answer came, a second try revokes the whole family.
        repeat: Repeat::WhenBusy,
        signed: false,
    }
}
