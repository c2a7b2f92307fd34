//! Tests of tokens that the API rejected.

use super::*;

#[test]
fn only_current_token_can_be_rejected() {
    let fixture = CacheFixture::new();
    let first = fixture.get(0, Some(3600));
    fixture.cache.reject(&first, &fixture.clock);
    let second = fixture.get(0, Some(3600));
    fixture.cache.reject(&first, &fixture.clock);
    fixture.get(0, Some(3600));
    assert_eq!(fixture.fetches(), 2);
    assert_eq!(second.value(), c"token1");
}

#[test]
fn consecutive_rejections_back_off_exponentially() {
    let fixture = CacheFixture::new();
    let mut accepted = Vec::new();
    for second in 0..200 {
        let before = fixture.fetches();
        fixture.cache.reject(&fixture.get(0, Some(100_000)), &fixture.clock);
        fixture.get(0, Some(100_000));
        if fixture.fetches() > before.max(1) {
            accepted.push(second);
        }
        fixture.clock.advance(1);
    }
    assert_eq!(accepted, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
}

#[test]
fn rejection_after_quiet_period_is_immediate() {
    let fixture = CacheFixture::new();
    for _ in 0..4 {
        fixture.cache.reject(&fixture.get(0, Some(100_000)), &fixture.clock);
        fixture.clock.advance(20);
    }
    fixture.get(0, Some(100_000));
    assert_eq!(fixture.fetches(), 5);
}

#[test]
fn replaced_token_cannot_be_rejected_later() {
    let fixture = CacheFixture::new();
    let first = fixture.get(0, Some(100_000));
    fixture.cache.reject(&first, &fixture.clock);
    let second = fixture.get(0, Some(100_000));
    fixture.clock.advance(600);
    fixture.cache.reject(&first, &fixture.clock);
    assert_eq!(fixture.get(0, Some(100_000)).value(), second.value());
}
