//! Tokens that the API refused.

use super::*;
use crate::token::cache::Backoff;

#[test]
fn only_current_token_can_be_rejected() {
    let bench = CacheFixture::new();
    let first = bench.get(0, Some(3600));
    bench.cache.reject(&first, &bench.clock);
    let second = bench.get(0, Some(3600));
    bench.cache.reject(&first, &bench.clock);
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 2);
    assert_eq!(second.value(), c"token1");
}

#[test]
fn consecutive_rejections_back_off_exponentially() {
    let bench = CacheFixture::new();
    let mut accepted = Vec::new();
    for second in 0..200 {
        let before = bench.fetches();
        bench.cache.reject(&bench.get(0, Some(100_000)), &bench.clock);
        bench.get(0, Some(100_000));
        if bench.fetches() > before.max(1) {
            accepted.push(second);
        }
        bench.clock.advance(1);
    }
    assert_eq!(accepted, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
}

#[test]
fn rejection_after_quiet_period_is_immediate() {
    let bench = CacheFixture::new();
    for _ in 0..4 {
        bench.cache.reject(&bench.get(0, Some(100_000)), &bench.clock);
        bench.clock.advance(20);
    }
    bench.get(0, Some(100_000));
    assert_eq!(bench.fetches(), 5);
}

#[test]
fn backoff_resets_after_twice_its_delay() {
    let accepted = |seconds: &[u64]| -> Vec<bool> {
        let mut backoff = Backoff::default();
        let mut accept = |now| {
            let ready = backoff.is_ready(now);
            if ready {
                backoff.record(now, Fraction::default());
            }
            ready
        };
        seconds.iter().map(|second| accept(Duration::from_secs(*second))).collect()
    };
    assert_eq!(accepted(&[0, 1, 4, 5]), [true, true, true, false], "2 s were wanted, and 3 s went by");
    assert_eq!(accepted(&[0, 1, 5, 6]), [true, true, true, true], "2 s were wanted, and 4 s went by");
}

#[test]
fn replaced_token_cannot_be_rejected_later() {
    let bench = CacheFixture::new();
    let first = bench.get(0, Some(100_000));
    bench.cache.reject(&first, &bench.clock);
    let second = bench.get(0, Some(100_000));
    bench.clock.advance(600);
    bench.cache.reject(&first, &bench.clock);
    assert_eq!(bench.get(0, Some(100_000)).value(), second.value());
}
