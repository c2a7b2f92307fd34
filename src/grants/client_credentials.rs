//! Client credentials grant: the client for itself, by its secret (RFC 6749 section 4.4).

use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::grants::token_request::{Attempt, Repeat};
use crate::resolve::Exchange;

pub(super) fn attempt(exchange: &Exchange) -> Attempt<'_> {
    let id = exchange.client.as_ref().map_or("", |client| client.id.as_str());
    Attempt {
        parameters: vec![("grant_type", Secret::from("client_credentials"))],
        what: "the client",
        sent: Box::new(move || {
            format!(
                "ClientID was \"{}\", the token URL {}",
                sanitize::excerpt(id),
                exchange.endpoint.without_query()
            )
        }),
        repeat: Repeat::Always,
        signed: false,
    }
}
