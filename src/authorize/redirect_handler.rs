//! Where each visit to the listener is answered, the outcome is kept, and those that were turned away are counted.

use std::collections::BTreeMap;
use std::time::Instant;

use super::page::{Page, Pages};
use crate::authorize::authorization_response::{
    Arrival, Expected, Fault, Place, Request, Verdict, empty, refused,
};
use crate::authorize::redirect_connection::HEAD;
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, Status};
use crate::base::log::LogLevel;

pub(super) struct Desk<'a> {
    place: &'a Place,
    expected: &'a Expected,
    pages: &'a Pages,
    call: &'a CallContext,
    turned_away: BTreeMap<Fault, usize>,
    outcome: Option<(Result<Arrival>, Instant)>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        place: &'a Place,
        expected: &'a Expected,
        pages: &'a Pages,
        call: &'a CallContext,
    ) -> Self {
        Self { place, expected, pages, call, turned_away: BTreeMap::new(), outcome: None }
    }

    pub(super) fn is_done(&self) -> bool {
        self.outcome.is_some()
    }

    pub(super) fn done_since(&self) -> Option<Instant> {
        self.outcome.as_ref().map(|(_, since)| *since)
    }

    pub(super) fn take_outcome(&mut self) -> Option<Result<Arrival>> {
        self.outcome.take().map(|(outcome, _)| outcome)
    }

    /// The answer to a visitor who has said `read`; nothing while more is to come.
    pub(super) fn reply(&mut self, read: &[u8]) -> Option<Vec<u8>> {
        match Request::read(read) {
            Err(fault) => Some(self.away(fault).answer(false)),
            Ok(None) if read.len() >= HEAD => Some(self.away(Fault::TooLong).answer(false)),
            Ok(None) => None,
            Ok(Some(request)) => Some(self.page_for(&request).answer(request.is_head())),
        }
    }

    fn page_for(&mut self, request: &Request<'_>) -> Page {
        // HEAD looks, and does not bring: link checkers send it ahead of the person's own visit.
        let looks_only = request.is_head();
        let (page, outcome) = match request.judge(self.place, self.expected) {
            Verdict::Favicon => return Pages::turned_away("404 Not Found", "There is no icon here."),
            Verdict::Away(fault) => return self.away(fault),
            _ if self.is_done() => return Pages::already(),
            Verdict::Arrived(arrival) => (self.pages.success(), Ok(arrival)),
            Verdict::Refused(error, description) => (
                self.pages.failure(&error, description.as_deref()),
                Err(refused(error, description, self.expected)),
            ),
            Verdict::Empty => {
                (self.pages.failure("no code and no error came back", None), Err(empty(self.expected)))
            }
        };
        if !looks_only {
            self.outcome = Some((outcome, Instant::now()));
        }
        page
    }

    fn away(&mut self, fault: Fault) -> Page {
        let count = self.turned_away.entry(fault).or_default();
        *count = count.saturating_add(1);
        self.call.log.log(LogLevel::Debug, || format!("turned away a visit {}", fault.counted()));
        let (status, why) = fault.told();
        Pages::turned_away(status, why)
    }

    /// The error of the deadline: who came instead.
    pub(super) fn timeout(&self, redirect: &str) -> Error {
        let counts: Vec<String> =
            self.turned_away.iter().map(|(fault, count)| format!("{count} {}", fault.counted())).collect();
        let found = if counts.is_empty() {
            "nobody came; was the page of the authorization server opened, and is this its redirect URI there?"
                .to_owned()
        } else {
            format!("visits were turned away: {}", counts.join(", "))
        };
        let text = format!(
            "{} did not send the browser back to RedirectURI {redirect} within {}; {found}",
            self.expected.server, self.call.timeout
        );
        Error::new(Status::Timeout, "consent", text)
    }
}
