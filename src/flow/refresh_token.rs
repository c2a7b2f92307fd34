//! Refresh token grant (RFC 6749 section 6): the newest one that the server sent, else the user's.

use crate::config::Exchange;
use crate::flow::Context;
use crate::flow::exchange::{Attempt, Repeat};
use crate::secret::Secret;

pub(super) fn attempt(exchange: &Exchange, configured: &Secret, context: &Context<'_>) -> Attempt {
    Attempt {
        parameters: vec![
            ("grant_type", Secret::from("refresh_token")),
            ("refresh_token", context.session.refresh_token(configured)),
        ],
        what: "the refresh token",
        sent: format!("the token URL was {}", exchange.endpoint.shown()),
        // Where the server has taken it although no answer came, a second try revokes the whole family.
        repeat: Repeat::WhenBusy,
        signed: false,
    }
}
