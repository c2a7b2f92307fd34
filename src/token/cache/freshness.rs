//! How much of a token's life is left, and whether that is enough for who asks.
//!
//! A token ends by the wall clock, since that is what the server meant; and by its age on a clock that nobody sets and that
//! counts suspended time, so that a wall clock that is set back does not prolong it.

use std::time::Duration;

use super::FetchKind;
use crate::base::clock::Clock;
use crate::base::jitter::Fraction;
use crate::token::AccessToken;

/// Seconds that a token is taken to live where nobody said.
const DEFAULT_LIFETIME_SECS: i64 = 300;

/// The longest margin that nobody asked for, in seconds.
const MAX_DEFAULT_MARGIN_SECS: i64 = 60;

/// What one caller wants of a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requirements {
    /// Seconds that it must have left, as far as any of its kind can.
    pub min_remaining: i64,
    /// Seconds before its end at which it is renewed; else a tenth of its life, 60 s at most.
    pub refresh_margin: Option<i64>,
    /// By how much the renewal starts earlier than the margin says, of a tenth of the token's life and 60 s at most: a fleet
    /// that started together does not renew together.
    pub refresh_jitter: Fraction,
    /// The longest that an early renewal keeps a caller who has a token.
    pub refresh_timeout: Duration,
    /// Whether the server is asked although it refused a moment ago.
    pub bypass_negative_cache: bool,
}

impl Requirements {
    /// How long a fetch of that kind may take in a call that has `left`.
    pub(super) fn fetch_timeout(&self, kind: FetchKind, left: Option<Duration>) -> Option<Duration> {
        match kind {
            FetchKind::EarlyRefresh => {
                Some(left.map_or(self.refresh_timeout, |left| left.min(self.refresh_timeout)))
            }
            FetchKind::Needed | FetchKind::Probe => left,
        }
    }
}

/// What a token is to who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It can be handed out.
    Fresh,
    /// It can be handed out, and one caller should see to the next one.
    RefreshDue,
    /// It cannot be handed out.
    Expired,
}

/// One moment on both clocks.
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

pub(super) fn freshness(token: &AccessToken, want: Requirements, now: Now) -> Freshness {
    if token.is_invalidated() {
        return Freshness::Expired;
    }
    let least = want.min_remaining.min(max_min_remaining(token)).max(0);
    match remaining(token, now) {
        left if left > least.max(effective_margin(token, want)) => Freshness::Fresh,
        left if left > least => Freshness::RefreshDue,
        _ => Freshness::Expired,
    }
}

/// Whether `token` can be handed out.
pub(super) fn is_usable(token: &AccessToken, want: Requirements, now: Now) -> bool {
    freshness(token, want, now) != Freshness::Expired
}

/// Whether `token` was issued for any time at all: some servers send `expires_in` 0, and a token all the same.
pub(super) fn has_lifetime(token: &AccessToken) -> bool {
    lifetime(token) > 0
}

/// Until when, by the wall clock, a token is good for who wants nothing in particular.
#[must_use]
pub fn fresh_until(token: &AccessToken, want: Requirements) -> i64 {
    effective_expires_at(token).saturating_sub(effective_margin(token, want))
}

/// When, in seconds since 1970, a token is renewed; nothing where nobody said when it expires.
#[must_use]
pub fn refresh_at(token: &AccessToken, want: Requirements) -> Option<i64> {
    token.expires_at.map(|_| fresh_until(token, want))
}

/// How long before its end a token is renewed. A margin that a fresh token reaches into would have every call renew it; one
/// of 0 is a wish for no early renewal.
fn effective_margin(token: &AccessToken, want: Requirements) -> i64 {
    let tenth = (lifetime(token) / 10).min(MAX_DEFAULT_MARGIN_SECS);
    let margin = want.refresh_margin.unwrap_or(tenth);
    let early = if margin > 0 { want.refresh_jitter.scale_seconds(tenth) } else { 0 };
    margin.saturating_add(early).min(max_min_remaining(token))
}

/// The most that can be asked of a token that was just issued.
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
    let by_age = lifetime(token).saturating_sub(i64::try_from(age).unwrap_or(i64::MAX));
    effective_expires_at(token).saturating_sub(now.unix_seconds).min(by_age)
}
