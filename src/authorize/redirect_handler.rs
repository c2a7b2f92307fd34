//! Where each visit to the listener is answered, the outcome is kept, and those that were turned away are counted.

use std::collections::BTreeMap;
use std::time::Instant;

use super::page::{ResultPage, ResultPages};
use crate::authorize::authorization_response::{
    AuthorizationResponse, ExpectedResponse, RedirectOutcome, RedirectRequest, RedirectTarget, RejectReason,
    denied_error, incomplete_error,
};
use crate::authorize::redirect_connection::MAX_HEAD;
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, Status};
use crate::base::log::LogLevel;

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
        place: &'a RedirectTarget,
        expected: &'a ExpectedResponse,
        pages: &'a ResultPages,
        call: &'a CallContext,
    ) -> Self {
        Self { target: place, expected, pages, call, rejected: BTreeMap::new(), outcome: None }
    }

    pub(super) fn is_completed(&self) -> bool {
        self.outcome.is_some()
    }

    pub(super) fn completed_at(&self) -> Option<Instant> {
        self.outcome.as_ref().map(|(_, since)| *since)
    }

    pub(super) fn take_outcome(&mut self) -> Option<Result<AuthorizationResponse>> {
        self.outcome.take().map(|(outcome, _)| outcome)
    }

    /// The answer to a visitor who has said `read`; nothing while more is to come.
    pub(super) fn respond(&mut self, read: &[u8]) -> Option<Vec<u8>> {
        match RedirectRequest::parse(read) {
            Err(fault) => Some(self.reject(fault).to_http(false)),
            Ok(None) if read.len() >= MAX_HEAD => Some(self.reject(RejectReason::TooLong).to_http(false)),
            Ok(None) => None,
            Ok(Some(request)) => Some(self.page_for_request(&request).to_http(request.is_head())),
        }
    }

    fn page_for_request(&mut self, request: &RedirectRequest<'_>) -> ResultPage {
        // HEAD looks, and does not bring: link checkers send it ahead of the person's own visit.
        let looks_only = request.is_head();
        let (page, outcome) = match request.evaluate(self.target, self.expected) {
            RedirectOutcome::Favicon => {
                return ResultPages::rejected("404 Not Found", "There is no icon here.");
            }
            RedirectOutcome::Rejected(fault) => return self.reject(fault),
            _ if self.is_completed() => return ResultPages::already_completed(),
            RedirectOutcome::Authorized(arrival) => (self.pages.success(), Ok(arrival)),
            RedirectOutcome::Denied(error, description) => (
                self.pages.failure(&error, description.as_deref()),
                Err(denied_error(error, description, self.expected)),
            ),
            RedirectOutcome::Incomplete => (
                self.pages.failure("no code and no error came back", None),
                Err(incomplete_error(self.expected)),
            ),
        };
        if !looks_only {
            self.outcome = Some((outcome, Instant::now()));
        }
        page
    }

    fn reject(&mut self, fault: RejectReason) -> ResultPage {
        let count = self.rejected.entry(fault).or_default();
        *count = count.saturating_add(1);
        self.call.log.log(LogLevel::Debug, || format!("turned away a visit {}", fault.log_text()));
        let (status, why) = fault.page_text();
        ResultPages::rejected(status, why)
    }

    /// The error of the deadline: who came instead.
    pub(super) fn timeout_error(&self, redirect: &str) -> Error {
        let counts: Vec<String> =
            self.rejected.iter().map(|(fault, count)| format!("{count} {}", fault.log_text())).collect();
        let found = if counts.is_empty() {
            "nobody came; was the page of the authorization server opened, and is this its redirect URI there?"
                .to_owned()
        } else {
            format!("visits were turned away: {}", counts.join(", "))
        };
        let text = format!(
            "{} did not send the browser back to RedirectURI {redirect} within {}; {found}",
            self.expected.server_host, self.call.timeout
        );
        Error::new(Status::Timeout, "consent", text)
    }
}
