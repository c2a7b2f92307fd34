//! Client credentials grant: the client for itself, by its secret (RFC 6749 section 4.4).

use crate::config::Exchange;
use crate::flow::exchange::{Attempt, Repeat};
use crate::sanitize;
use crate::secret::Secret;

pub(super) fn attempt(exchange: &Exchange) -> Attempt<'_> {
    let id = exchange.client.as_ref().map_or("", |client| client.id.as_str());
    Attempt {
        parameters: vec![("grant_type", Secret::from("client_credentials"))],
        what: "the client",
        sent: Box::new(move || {
            format!("ClientID was \"{}\", the token URL {}", sanitize::excerpt(id), exchange.endpoint.shown())
        }),
        repeat: Repeat::Always,
        signed: false,
    }
}
