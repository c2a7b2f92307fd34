//! Request handler of the loopback listener: answers each request, keeps the outcome and counts rejected
//! requests.

use std::collections::BTreeMap;
use std::time::Instant;

use super::page::{ResultPage, ResultPages};
use crate::authorize::authorization_response::{
    AuthorizationResponse, ExpectedResponse, RedirectOutcome, RedirectRequest, RedirectTarget, RejectReason,
    denied_error, incomplete_error,
};
use crate::authorize::redirect_connection::MAX_HEAD;
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, TimeoutKind};
use crate::base::log::LogLevel;
use crate::base::sanitize;
use crate::token_response::ServerText;

/// Continues with an authorization response, such as by the exchange of its code.
pub type CompleteFn<'a, T> = dyn FnMut(AuthorizationResponse) -> Result<T> + 'a;

pub(super) struct RedirectHandler<'a, T> {
    target: &'a RedirectTarget,
    expected: &'a ExpectedResponse,
    pages: &'a ResultPages,
    call: &'a CallContext,
    complete: &'a mut CompleteFn<'a, T>,
    rejected: BTreeMap<RejectReason, usize>,
    nonce_refused: bool,
    outcome: Option<(Result<T>, Instant)>,
}

impl<'a, T> RedirectHandler<'a, T> {
    pub(super) fn new(
        target: &'a RedirectTarget,
        expected: &'a ExpectedResponse,
        pages: &'a ResultPages,
        call: &'a CallContext,
        complete: &'a mut CompleteFn<'a, T>,
    ) -> Self {
        Self {
            target,
            expected,
            pages,
            call,
            complete,
            rejected: BTreeMap::new(),
            nonce_refused: false,
            outcome: None,
        }
    }

    pub(super) fn is_completed(&self) -> bool {
        self.outcome.is_some()
    }

    pub(super) fn completed_at(&self) -> Option<Instant> {
        self.outcome.as_ref().map(|(_, completed_at)| *completed_at)
    }

    pub(super) fn take_outcome(&mut self) -> Option<Result<T>> {
        self.outcome.take().map(|(outcome, _)| outcome)
    }

    /// The HTTP response to the bytes received so far; `None` while the request head is incomplete.
    pub(super) fn respond(&mut self, received: &[u8]) -> Option<Vec<u8>> {
        match RedirectRequest::parse(received) {
            Err(reason) => Some(self.reject(reason).to_http(false)),
            Ok(None) if received.len() >= MAX_HEAD => Some(self.reject(RejectReason::TooLong).to_http(false)),
            Ok(None) => None,
            Ok(Some(request)) => Some(self.page_for_request(&request).to_http(request.is_head())),
        }
    }

    fn page_for_request(&mut self, request: &RedirectRequest<'_>) -> ResultPage {
        // HEAD must not complete the login: link checkers send it before the user's own request.
        let is_head = request.is_head();
        let (page, outcome) = match request.evaluate(self.target, self.expected) {
            RedirectOutcome::Favicon => {
                return ResultPages::rejected("404 Not Found", "This application has no icon.");
            }
            RedirectOutcome::Rejected(reason) => return self.reject(reason),
            _ if self.is_completed() => return ResultPages::already_completed(),
            RedirectOutcome::Authorized(_) if is_head => return self.pages.success(),
            RedirectOutcome::Authorized(response) => self.complete(response),
            RedirectOutcome::Denied(response)
                if response.error_code() == Some("invalid_request")
                    && !self.nonce_refused
                    && let Some(url) = &self.expected.url_without_nonce =>
            {
                self.nonce_refused = !is_head;
                self.call.log.log(LogLevel::Info, || {
                    format!("{} refused the request; trying without nonce", self.expected.server_host)
                });
                return ResultPages::redirect(url);
            }
            RedirectOutcome::Denied(response) => (
                self.pages.failure(
                    response.error.as_ref().map_or("", ServerText::shown),
                    response.description.as_ref().map(ServerText::shown),
                ),
                Err(denied_error(*response, self.expected)),
            ),
            RedirectOutcome::Incomplete => (
                self.pages.failure("the response contains neither a code nor an error", None),
                Err(incomplete_error(self.expected)),
            ),
        };
        if !is_head {
            self.outcome = Some((outcome, Instant::now()));
        }
        page
    }

    /// Continues with the response; the page shows the result.
    fn complete(&mut self, response: AuthorizationResponse) -> (ResultPage, Result<T>) {
        let outcome =
            (self.complete)(AuthorizationResponse { nonce_refused: self.nonce_refused, ..response });
        let page = match &outcome {
            Ok(_) => self.pages.success(),
            Err(error) => self.pages.incomplete(&error.message()),
        };
        (page, outcome)
    }

    fn reject(&mut self, reason: RejectReason) -> ResultPage {
        let count = self.rejected.entry(reason).or_default();
        *count = count.saturating_add(1);
        self.call.log.log(LogLevel::Debug, || format!("rejected a request {}", reason.log_text()));
        let (status, text) = reason.page_text();
        ResultPages::rejected(status, text)
    }

    /// The error at the deadline, with the number of rejected requests by reason.
    pub(super) fn timeout_error(&self, redirect: &str) -> Error {
        let counts: Vec<String> =
            self.rejected.iter().map(|(reason, count)| format!("{count} {}", reason.log_text())).collect();
        let detail = if counts.is_empty() {
            "no request was received; check that the page was opened and that this redirect URI is registered"
                .to_owned()
        } else {
            format!("rejected requests: {}", counts.join(", "))
        };
        let redirect = sanitize::excerpt(redirect);
        let text = format!(
            "{} did not send the browser back to RedirectURI {redirect} within {}; {detail}",
            self.expected.server_host, self.call.timeout
        );
        Error::new(TimeoutKind::Call, "consent", text)
    }
}
