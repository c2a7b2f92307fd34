//! What a fuzz target uses of the loopback listener.

use super::authorization_response::{AuthorizationResponse, ExpectedResponse, RedirectTarget};
use super::page::ResultPages;
use super::redirect_handler::RedirectHandler;
use crate::base::call::CallContext;
use crate::base::error::{Error, Result};
use crate::base::url::EndpointUrl;

/// The reaction of a listener to a request.
pub struct Reaction {
    /// The HTTP response; `None` while the request is incomplete.
    pub response: Option<Vec<u8>>,
    /// The result of the login, if the request completes it.
    pub outcome: Option<Result<AuthorizationResponse>>,
    /// The error of a login that is not completed before its deadline.
    pub timeout: Error,
}

/// Passes `received` to the request handler of a listener at `redirect`.
pub fn react(
    redirect: &EndpointUrl,
    expected: &ExpectedResponse,
    pages: &ResultPages,
    received: &[u8],
) -> Reaction {
    let target = RedirectTarget::from_url(redirect);
    let call = CallContext::unbounded();
    let mut complete = Ok;
    let mut handler = RedirectHandler::new(&target, expected, pages, &call, &mut complete);
    let response = handler.respond(received);
    let timeout = handler.timeout_error(redirect.without_query());
    Reaction { response, outcome: handler.take_outcome(), timeout }
}
