//! The leader: the process that holds the lease of an entry, requests a token and writes the outcome.

use std::cell::RefCell;
use std::time::Duration;

use super::entry::{self, Content, Entry, Refusal, token_digest};
use super::stored_entry::{Current, Lease, StoreResult};
use super::{LEASE_MARGIN, Request, Round, SharedEntry, TokenSource, contended_error};
use crate::base::error::{Cause, ErrorKind, OAuthReason, Result};
use crate::base::log::LogLevel;
use crate::token::AccessToken;

/// The minimum rest of the lease when a refresh token is sent.
pub(super) const MIN_SPENDING_TIME: Duration = Duration::from_secs(5);

/// What the leader has written.
struct Leadership<'l> {
    lease: &'l Lease<'l>,
    stored_generation: u64,
    /// The content that the next write is based on.
    content: Content,
    /// Whether the lease was lost, or another process has written.
    is_lost: bool,
}

impl SharedEntry<'_> {
    /// Requests a token as the holder of the lease, and writes the outcome.
    pub(super) fn lead(
        &self,
        lease: &Lease<'_>,
        request: &Request<'_>,
        source: &dyn TokenSource,
    ) -> StoreResult<Round> {
        let Current { entry, stored_generation } = self.stored.read(request.call)?;
        if let Some(outcome) = self.outcome(entry.as_ref(), request) {
            return Ok(Round::Done(outcome));
        }
        let clock = self.stored.process.clock.as_ref();
        let content = entry.as_ref().map(|entry| entry.carry_over(clock)).unwrap_or_default();
        let mut leadership = Leadership { lease, stored_generation, content, is_lost: false };
        if entry.as_ref().is_some_and(|entry| self.is_rejected(entry)) {
            leadership.content.reject_token();
            if !self.advance(&mut leadership, request)? {
                return Ok(Round::Again);
            }
        } else if leadership.content.token.is_some() {
            leadership.content.rejections = 0;
        }
        if let Some(token) = entry.as_ref().and_then(Entry::refresh_token).filter(|_| request.is_user_bound)
            && !self.stored.process.shared_tokens.is_replaced(&token_digest(token.reveal().as_bytes()))
        {
            source.adopt_refresh_token(token);
        }
        let leadership = RefCell::new(leadership);
        let call = request.call.capped(self.time_for_request(lease), "the lease of TokenCache");
        let before_refresh = || self.announce_spending(&leadership, request, source);
        let outcome = self.fetch(&call, false, &before_refresh, source);
        self.conclude(leadership.into_inner(), outcome, request, source)
    }

    fn time_for_request(&self, lease: &Lease<'_>) -> Duration {
        lease.ends_at.saturating_sub(self.stored.now()).saturating_sub(LEASE_MARGIN)
    }

    /// Writes that the refresh token is about to be sent. An error prevents that.
    fn announce_spending(
        &self,
        leadership: &RefCell<Leadership<'_>>,
        request: &Request<'_>,
        source: &dyn TokenSource,
    ) -> Result<()> {
        let mut leadership = leadership.borrow_mut();
        if !request.is_user_bound {
            return Ok(());
        }
        if self.stored.has_failed() {
            return self.check_may_fetch_alone(request);
        }
        leadership.content.refresh_token = source.refresh_token().as_ref().map(entry::Text::from);
        leadership.content.is_spending = true;
        let is_held = leadership.lease.ends_at.saturating_sub(self.stored.now()) >= MIN_SPENDING_TIME;
        match is_held.then(|| self.advance(&mut leadership, request)) {
            Some(Ok(true)) => Ok(()),
            Some(Err(failure)) => {
                request.call.check()?;
                // As without a store. The lease still keeps the others away, if the store has it.
                self.stored.report_failure(&failure);
                self.check_may_fetch_alone(request)
            }
            Some(Ok(false)) | None => {
                leadership.is_lost = true;
                Err(contended_error(self.stored.store_name()))
            }
        }
    }

    /// Writes the outcome of the leader's request.
    fn conclude(
        &self,
        mut leadership: Leadership<'_>,
        outcome: Result<AccessToken>,
        request: &Request<'_>,
        source: &dyn TokenSource,
    ) -> StoreResult<Round> {
        let error = match outcome {
            Ok(token) => {
                let refresh_token = source.refresh_token().filter(|_| request.is_user_bound);
                let rejections = leadership.content.rejections;
                leadership.content =
                    Content { rejections, ..self.token_content(&token, refresh_token.as_ref()) };
                if self.finish(leadership, request) {
                    token.mark_shared(None);
                }
                return Ok(Round::Done(Ok(token)));
            }
            Err(_) if leadership.is_lost => return Ok(Round::Again),
            Err(error) => error,
        };
        let is_cut_off = matches!(error.kind(), ErrorKind::Timeout(_))
            && self.time_for_request(leadership.lease).is_zero();
        if is_cut_off && !request.is_user_bound && request.call.check().is_ok() {
            return Ok(Round::Alone);
        }
        let must_log_in = request.is_user_bound
            && error.cause() != Cause::Caller
            && matches!(error.oauth_reason(), Some(OAuthReason::ConsentRequired | OAuthReason::Expired));
        if must_log_in && error.cause() == Cause::Server && !self.stored.has_failed() {
            // The refresh token may have been replaced by a process that had lost the lease.
            match self.stored.read(request.call) {
                Ok(current) if current.stored_generation != leadership.stored_generation => {
                    return Ok(Round::Again);
                }
                Ok(_) => {}
                Err(failure) => self.stored.report_failure(&failure),
            }
            if error.oauth_error().as_deref() == Some("invalid_grant") {
                leadership.content.refresh_token = None;
            }
        }
        if let Some(refusal) = Refusal::new(&error, leadership.content.failures) {
            leadership.content.is_spending = false;
            leadership.content.failures = leadership.content.failures.saturating_add(1);
            leadership.content.refusal = Some(refusal);
            self.finish(leadership, request);
        }
        Ok(if must_log_in && request.may_prompt { Round::Login(error) } else { Round::Done(Err(error)) })
    }

    /// Writes the content of `leadership`, and keeps the lease. Returns whether it was written.
    fn advance(&self, leadership: &mut Leadership<'_>, request: &Request<'_>) -> StoreResult<bool> {
        let Leadership { lease, stored_generation, content, .. } = &*leadership;
        let written = self.stored.write(lease, *stored_generation, content.clone(), false, request.call)?;
        if let Some(generation) = written {
            leadership.stored_generation = generation;
        }
        Ok(written.is_some())
    }

    /// Writes the content of `leadership`, and releases the lease. Returns whether it was written; a failure is a
    /// warning. Also after the time of the lease, since it may be longer in the store, and a refresh token that is not
    /// written is lost for the others: the store decides.
    fn finish(&self, leadership: Leadership<'_>, request: &Request<'_>) -> bool {
        if self.stored.has_failed() {
            return false;
        }
        let Leadership { lease, stored_generation, content, .. } = leadership;
        match self.stored.write(lease, stored_generation, content, true, request.call) {
            Ok(Some(_)) => true,
            Ok(None) => {
                let log = &request.call.log;
                log.log(LogLevel::Info, || {
                    format!("another process has written to {}", self.stored.store_name())
                });
                false
            }
            Err(failure) => {
                self.stored.report_failure(&failure);
                false
            }
        }
    }
}
