//! Token freshness: remaining lifetime compared with a caller's requirements.
//!
//! A token expires by the wall clock, and also by its age on the boot-time clock. The latter cannot be set
//! and counts suspended time, so setting back the wall clock does not prolong a token.

use std::time::Duration;

use super::FetchKind;
use crate::base::clock::Clock;
use crate::base::jitter::Fraction;
use crate::token::AccessToken;

/// Assumed lifetime in seconds if the server sent none.
const DEFAULT_LIFETIME_SECS: i64 = 300;

/// Upper limit for the default refresh margin and for the refresh jitter, in seconds.
const MAX_DEFAULT_MARGIN_SECS: i64 = 60;

/// Requirements of one caller for a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requirements {
    /// Minimum remaining lifetime in seconds, capped at 90 % of the token's lifetime.
    pub min_remaining: i64,
    /// Seconds before expiry at which the token is refreshed. Default: a tenth of its lifetime, at most 60 s.
    pub refresh_margin: Option<i64>,
    /// Advances the refresh by this fraction of a tenth of the token's lifetime (at most 60 s), so that
    /// processes that started at the same time do not refresh at the same time.
    pub refresh_jitter: Fraction,
    /// Time limit of an early refresh, during which its caller waits although a usable token is cached.
    pub refresh_timeout: Duration,
    /// Whether a request is made in spite of a cached error.
    pub bypass_negative_cache: bool,
}

impl Requirements {
    /// Time limit of a fetch in a call with the `remaining` time.
    pub(super) fn fetch_timeout(&self, kind: FetchKind, remaining: Option<Duration>) -> Option<Duration> {
        match kind {
            FetchKind::EarlyRefresh => {
                Some(remaining.map_or(self.refresh_timeout, |remaining| remaining.min(self.refresh_timeout)))
            }
            FetchKind::Needed | FetchKind::Probe => remaining,
        }
    }
}

/// State of a token with respect to a caller's requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Usable.
    Fresh,
    /// Usable, and one caller should fetch its replacement.
    RefreshDue,
    /// Not usable: expired, invalidated, or with too little remaining lifetime.
    Expired,
}

/// The current time on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    unix_seconds: i64,
    pub(super) boot_time: Duration,
}

impl Now {
    pub(super) fn from_clock(clock: &dyn Clock) -> Self {
        Self { unix_seconds: clock.unix_seconds(), boot_time: clock.boot_time() }
    }
}

pub(super) fn freshness(token: &AccessToken, requirements: Requirements, now: Now) -> Freshness {
    if token.is_invalidated() {
        return Freshness::Expired;
    }
    let min_remaining = requirements.min_remaining.min(max_min_remaining(token)).max(0);
    match remaining(token, now) {
        secs if secs > min_remaining.max(effective_margin(token, requirements)) => Freshness::Fresh,
        secs if secs > min_remaining => Freshness::RefreshDue,
        _ => Freshness::Expired,
    }
}

/// Whether `token` satisfies `requirements`.
pub(super) fn is_usable(token: &AccessToken, requirements: Requirements, now: Now) -> bool {
    freshness(token, requirements, now) != Freshness::Expired
}

/// Whether `token` satisfies `requirements` at the time of `clock`.
#[must_use]
pub fn is_usable_now(token: &AccessToken, requirements: Requirements, clock: &dyn Clock) -> bool {
    is_usable(token, requirements, Now::from_clock(clock))
}

/// Whether `token` satisfies `requirements` at the time of `clock` and need not be refreshed yet.
#[must_use]
pub fn is_fresh_now(token: &AccessToken, requirements: Requirements, clock: &dyn Clock) -> bool {
    freshness(token, requirements, Now::from_clock(clock)) == Freshness::Fresh
}

/// Whether the lifetime of `token` is not zero. Some servers send `expires_in` 0 with a token that works.
pub(super) fn has_lifetime(token: &AccessToken) -> bool {
    lifetime(token) > 0
}

/// Wall-clock time at which `token` becomes due for a refresh, in seconds since 1970; `min_remaining` is
/// ignored.
#[must_use]
pub fn fresh_until(token: &AccessToken, requirements: Requirements) -> i64 {
    effective_expires_at(token).saturating_sub(effective_margin(token, requirements))
}

/// Time at which `token` is refreshed, in seconds since 1970. None if the server sent no expiry.
#[must_use]
pub fn refresh_at(token: &AccessToken, requirements: Requirements) -> Option<i64> {
    token.expires_at.map(|_| fresh_until(token, requirements))
}

/// Seconds before expiry at which a token is refreshed. Capped at [`max_min_remaining`], since with a margin
/// longer than the lifetime every call would refresh. A configured margin of 0 disables the early refresh.
fn effective_margin(token: &AccessToken, requirements: Requirements) -> i64 {
    let tenth = (lifetime(token) / 10).min(MAX_DEFAULT_MARGIN_SECS);
    let margin = requirements.refresh_margin.unwrap_or(tenth);
    let jitter = if margin > 0 { requirements.refresh_jitter.scale_seconds(tenth) } else { 0 };
    margin.saturating_add(jitter).min(max_min_remaining(token))
}

/// Upper limit for `min_remaining` and for the margin: 90 % of the lifetime, which a newly issued token
/// satisfies.
fn max_min_remaining(token: &AccessToken) -> i64 {
    (lifetime(token) / 10).saturating_mul(9)
}

fn effective_expires_at(token: &AccessToken) -> i64 {
    token.expires_at.unwrap_or(token.issued_at.saturating_add(DEFAULT_LIFETIME_SECS))
}

fn lifetime(token: &AccessToken) -> i64 {
    effective_expires_at(token).saturating_sub(token.issued_at).max(0)
}

fn remaining(token: &AccessToken, now: Now) -> i64 {
    let age = now.boot_time.saturating_sub(token.cache_state.received_at()).as_secs();
    let remaining_by_age = lifetime(token).saturating_sub(i64::try_from(age).unwrap_or(i64::MAX));
    effective_expires_at(token).saturating_sub(now.unix_seconds).min(remaining_by_age)
}
