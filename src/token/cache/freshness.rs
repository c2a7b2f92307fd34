//! How much of a token's life is left, and whether that is enough for who asks.
//!
//! A token ends by the wall clock, since that is what the server meant; and by its age on a clock that nobody sets and that
//! counts suspended time, so that a wall clock that is set back does not prolong it.

use std::time::Duration;

use super::FetchKind;
use crate::base::clock::Clock;
use crate::base::jitter::Fraction;
use crate::token::Token;

/// Seconds that a token is taken to live where nobody said.
const ASSUMED_LIFE: i64 = 300;

/// The longest margin that nobody asked for, in seconds.
const USUAL_MARGIN: i64 = 60;

/// What one caller wants of a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Want {
    /// Seconds that it must have left, as far as any of its kind can.
    pub min_life: i64,
    /// Seconds before its end at which it is renewed; else a tenth of its life, 60 s at most.
    pub margin: Option<i64>,
    /// By how much the renewal starts earlier than the margin says, of a tenth of the token's life and 60 s at most: a fleet
    /// that started together does not renew together.
    pub jitter: Fraction,
    /// The longest that an early renewal keeps a caller who has a token.
    pub renewal_limit: Duration,
    /// Whether the server is asked although it refused a moment ago.
    pub anew: bool,
}

impl Want {
    /// How long a fetch of that kind may take in a call that has `left`.
    pub(super) fn time_for(&self, kind: FetchKind, left: Option<Duration>) -> Option<Duration> {
        match kind {
            FetchKind::EarlyRenewal => {
                Some(left.map_or(self.renewal_limit, |left| left.min(self.renewal_limit)))
            }
            FetchKind::Needed | FetchKind::Probe => left,
        }
    }
}

/// What a token is to who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It can be handed out.
    Good,
    /// It can be handed out, and one caller should see to the next one.
    Ending,
    /// It cannot be handed out.
    Over,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    wall: i64,
    pub(super) boot_time: Duration,
}

impl Moment {
    pub(super) fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.unix_seconds(), boot_time: clock.boot_time() }
    }
}

pub(super) fn life(token: &Token, want: Want, now: Moment) -> Life {
    if token.is_retired() {
        return Life::Over;
    }
    let least = want.min_life.min(most(token)).max(0);
    match left(token, now) {
        left if left > least.max(margin(token, want)) => Life::Good,
        left if left > least => Life::Ending,
        _ => Life::Over,
    }
}

/// Whether `token` can be handed out.
pub(super) fn is_usable(token: &Token, want: Want, now: Moment) -> bool {
    life(token, want, now) != Life::Over
}

/// Whether `token` was issued for any time at all: some servers send `expires_in` 0, and a token all the same.
pub(super) fn lives(token: &Token) -> bool {
    whole(token) > 0
}

/// Until when, by the wall clock, a token is good for who wants nothing in particular.
#[must_use]
pub fn good_until(token: &Token, want: Want) -> i64 {
    end(token).saturating_sub(margin(token, want))
}

/// When, in seconds since 1970, a token is renewed; nothing where nobody said when it expires.
#[must_use]
pub fn renewal_at(token: &Token, want: Want) -> Option<i64> {
    token.expires_at.map(|_| good_until(token, want))
}

/// How long before its end a token is renewed. A margin that a fresh token reaches into would have every call renew it; one
/// of 0 is a wish for no early renewal.
fn margin(token: &Token, want: Want) -> i64 {
    let tenth = (whole(token) / 10).min(USUAL_MARGIN);
    let margin = want.margin.unwrap_or(tenth);
    let early = if margin > 0 { want.jitter.scale_seconds(tenth) } else { 0 };
    margin.saturating_add(early).min(most(token))
}

/// The most that can be asked of a token that was just issued.
fn most(token: &Token) -> i64 {
    (whole(token) / 10).saturating_mul(9)
}

fn end(token: &Token) -> i64 {
    token.expires_at.unwrap_or(token.issued_at.saturating_add(ASSUMED_LIFE))
}

fn whole(token: &Token) -> i64 {
    end(token).saturating_sub(token.issued_at).max(0)
}

fn left(token: &Token, now: Moment) -> i64 {
    let age = now.boot_time.saturating_sub(token.kept.received_at()).as_secs();
    let by_age = whole(token).saturating_sub(i64::try_from(age).unwrap_or(i64::MAX));
    end(token).saturating_sub(now.wall).min(by_age)
}
