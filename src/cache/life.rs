//! How much of a token's life is left, and whether that is enough for who asks.
//!
//! A token ends by the wall clock, since that is what the server meant; and by its age on the monotonic clock, so that a
//! wall clock that is set back does not prolong it. A machine that slept finds out by the wall clock.

use std::time::Instant;

use crate::clock::Clock;
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
    /// Whether the server is asked although it refused a moment ago.
    pub anew: bool,
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
    pub(super) instant: Instant,
}

impl Moment {
    pub(super) fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.unix_seconds(), instant: clock.instant() }
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

/// Until when, by the wall clock, a token is good for who wants nothing in particular.
#[must_use]
pub fn good_until(token: &Token, want: Want) -> i64 {
    end(token).saturating_sub(margin(token, want))
}

/// A margin that a fresh token reaches into would have every call renew it.
fn margin(token: &Token, want: Want) -> i64 {
    want.margin.unwrap_or((whole(token) / 10).min(USUAL_MARGIN)).min(most(token))
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
    let age = now.instant.saturating_duration_since(token.kept.came()).as_secs();
    let by_age = whole(token).saturating_sub(i64::try_from(age).unwrap_or(i64::MAX));
    end(token).saturating_sub(now.wall).min(by_age)
}
