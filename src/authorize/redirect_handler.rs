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

pub(super) struct RedirectHandler<'a> {
    target: &'a RedirectTarget,
    expected: &'a ExpectedResponse,
    pages: &'a ResultPages,
    call: &'a CallContext,
    rejected: BTreeMap<RejectReason, usize>,
    outcome: Option<(Result<AuthorizationResponse>, Instant)>,
}

impl<'a> RedirectHandler<'a> {
    pub(super) fn new(
        target: &'a RedirectTarget,
        expected: &'a ExpectedResponse,
        pages: &'a ResultPages,
        call: &'a CallContext,
    ) -> Self {
        Self { target, expected, pages, call, rejected: BTreeMap::new(), outcome: None }
    }

    pub(super) fn is_completed(&self) -> bool {
        self.outcome.is_some()
    }

    pub(super) fn completed_at(&self) -> Option<Instant> {
        self.outcome.as_ref().map(|(_, completed_at)| *completed_at)
    }

    pub(super) fn take_outcome(&mut self) -> Option<Result<AuthorizationResponse>> {
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
            RedirectOutcome::Authorized(response) => (self.pages.success(), Ok(response)),
            RedirectOutcome::Denied(error, description) => (
                self.pages.failure(&error, description.as_deref()),
                Err(denied_error(error, description, self.expected)),
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
