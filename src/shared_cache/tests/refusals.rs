//! Refusals of the server and rejections of the API, of which other processes learn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::seconds;
use crate::base::call::CallContext;
use crate::base::error::{
    Cause, Error, ErrorKind, NetworkError, OAuthError, OAuthReason, Status, TimeoutKind,
};
use crate::shared_cache::Request;
use crate::shared_cache::testing::{LIFETIME, RequestPhase, World, identity, refusal, value};
use crate::token::cache::Requirements;
use crate::token_store::testing::Operation::{Get, Lease, Put, Release};

fn denied() -> Error {
    refusal(OAuthReason::Denied, "invalid_grant")
}

#[test]
fn other_process_receives_refusal_without_request() {
    let world = World::new();
    let (first, second) = (world.process(), world.process());
    second.step_clock(300);
    world.server.refuse_next(denied());
    assert_eq!(first.get().unwrap_err(), denied());
    world.advance(Duration::from_millis(400));
    let error = second.get().unwrap_err();
    assert_eq!((error.status(), error.oauth_error().as_deref()), (Status::Denied, Some("invalid_grant")));
    assert_eq!(error.http_status(), 400);
    assert_eq!(error.cause(), Cause::NegativeCache { age_secs: 0, retry_in_secs: 1 });
    assert_eq!(second.operations(), [Get]);
    world.advance(Duration::from_millis(600));
    assert_eq!(second.get_value(), "at1");
}

#[test]
fn refusal_lasts_by_clock_of_store() {
    let world = World::new();
    world.server.refuse_next(refusal(OAuthReason::ConsentRequired, "consent_required"));
    world.process().get().unwrap_err();
    let process = world.process();
    process.step_clock(3600);
    assert!(process.get().is_err(), "the wall clock of the machine does not matter");
    world.store.step_clock(2000);
    assert!(process.get().is_ok());
}

#[test]
fn consecutive_refusals_last_longer() {
    let world = World::new();
    let processes = [world.process(), world.process()];
    for (number, duration) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        world.server.refuse_next(denied());
        let [first, second] = &processes;
        let (leader, other) = if number % 2 == 0 { (first, second) } else { (second, first) };
        assert_eq!(leader.get().unwrap_err().cause(), Cause::Server, "{number}");
        world.advance(seconds(duration) - Duration::from_millis(1));
        assert!(matches!(other.get().unwrap_err().cause(), Cause::NegativeCache { .. }), "{number}");
        world.advance(Duration::from_millis(1));
    }
    assert_eq!(world.server.request_count(), 8);
    assert_eq!(processes[0].get_value(), "at1");
    assert_eq!(world.entry().unwrap().content.failures, 0, "a token ends the count");
}

#[test]
fn retry_after_is_capped() {
    for (retry_after, duration) in [(7, 7), (60, 60), (100_000, 60)] {
        let world = World::new();
        let kind = OAuthError { retry_after, ..OAuthReason::Throttled.into() };
        world.server.refuse_next(Error::new(kind, "token", "busy").with_cause(Cause::Server));
        world.process().get().unwrap_err();
        world.advance(seconds(duration) - Duration::from_millis(1));
        assert_eq!(world.process().get().unwrap_err().status(), Status::Throttled);
        world.advance(Duration::from_millis(1));
        assert!(world.process().get().is_ok());
    }
}

#[test]
fn caller_can_bypass_refusal() {
    let world = World::new();
    world.server.refuse_next(denied());
    world.process().get().unwrap_err();
    let process = world.process();
    let call = CallContext::unbounded();
    let requirements = Requirements { bypass_negative_cache: true, ..Requirements::default() };
    let token = process.get_for(&Request { requirements, ..process.request(&call) }).unwrap();
    assert_eq!((value(&token).as_str(), world.process().get_value().as_str()), ("at1", "at1"));
}

#[test]
fn errors_without_response_do_not_travel() {
    for error in [
        Error::new(NetworkError::Connection, "network", "no").with_cause(Cause::Server),
        Error::new(TimeoutKind::Request, "network", "no").with_cause(Cause::Server),
        Error::new(TimeoutKind::Call, "network", "no"),
        Error::new(ErrorKind::Cancelled, "call", "no"),
        Error::new(OAuthReason::Throttled, "token", "no")
            .with_cause(Cause::NegativeCache { age_secs: 1, retry_in_secs: 1 }),
        Error::new(OAuthReason::Denied, "token", "the code of one caller").with_cause(Cause::Caller),
    ] {
        let world = World::new();
        world.server.refuse_next(error.clone());
        assert_eq!(world.process().get().unwrap_err(), error);
        assert!(world.entry().is_none(), "{error}");
        assert_eq!(world.process().get_value(), "at1");
    }
}

#[test]
fn refusal_keeps_token_of_early_refresh() {
    let world = World::new();
    let process = world.process();
    process.get().unwrap();
    world.advance(LIFETIME - seconds(30));
    world.server.refuse_next(denied());
    let server = Arc::clone(&world.server);
    process.source.before_next_request(move || server.advance(seconds(5)));
    process.refresh_early().unwrap_err();
    assert_eq!(world.process().get_value(), "at1", "it is still valid");
    let remaining =
        world.process().get().unwrap().expires_at().unwrap() - process.process.clock.unix_seconds();
    assert_eq!(remaining, 25, "the token is not younger");
}

#[test]
fn announcement_does_not_prolong_refusal() {
    let world = World::new();
    world.server.refuse_next(denied());
    world.user_process().get().unwrap_err();
    world.advance(Duration::from_millis(900));
    let process = world.user_process();
    process.source.during_request(|_| Err(Error::new(NetworkError::Connection, "network", "no")));
    let call = CallContext::unbounded();
    let requirements = Requirements { bypass_negative_cache: true, ..Requirements::default() };
    process.get_for(&Request { requirements, ..process.request(&call) }).unwrap_err();
    assert_eq!(process.operations(), [Get, Lease, Get, Put, Release]);
    world.advance(Duration::from_millis(100));
    assert_eq!(world.user_process().get_value(), "at1");
}

#[test]
fn rejected_token_is_replaced_once() {
    let world = World::new();
    let processes: Vec<_> = (0..5).map(|_| world.process()).collect();
    for process in &processes {
        process.reject(&process.get().unwrap());
    }
    for process in &processes {
        assert_eq!(process.get_value(), "at2");
    }
    assert_eq!(world.server.request_count(), 2);
}

#[test]
fn new_process_learns_of_rejection_during_request() {
    let world = World::new();
    let process = world.process();
    let token = process.get().unwrap();
    process.reject(&token);
    process.operations();
    let newcomer = world.slow_process(100);
    let has_read = Arc::new(AtomicBool::new(false));
    let read = Arc::clone(&has_read);
    process.source.before_next_request(move || {
        // The newcomer waits for the lease and then requests a token of its own, since this request takes long.
        assert_eq!(newcomer.get_value(), "at2");
        read.store(true, Ordering::SeqCst);
    });
    assert_eq!(process.get_value(), "at3");
    assert!(has_read.load(Ordering::SeqCst));
    assert_eq!(process.operations(), [Get, Lease, Get, Put, Put]);
}

#[test]
fn rejections_are_spaced() {
    let world = World::new();
    let process = world.process();
    let mut token = process.get().unwrap();
    for (number, pause) in [0, 1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        process.reject(&token);
        if pause > 0 {
            world.advance(seconds(pause) - Duration::from_millis(1));
            assert_eq!(process.get_value(), value(&token), "{number}");
            assert_eq!(world.process().get_value(), value(&token), "{number}");
            world.advance(Duration::from_millis(1));
        }
        let next = process.get().unwrap();
        assert_ne!(value(&next), value(&token), "{number}");
        token = next;
    }
    world.advance(LIFETIME);
    token = process.get().unwrap();
    process.reject(&token);
    assert_ne!(process.get_value(), value(&token), "a token that expired ends the count");
}

#[test]
fn crash_while_replacing_rejected_token_keeps_spacing() {
    let world = World::new();
    let process = world.process();
    process.reject(&process.get().unwrap());
    process.source.during_request(|phase| match phase {
        RequestPhase::Send => Err(Error::new(NetworkError::Connection, "network", "no")),
        _ => Ok(()),
    });
    process.get().unwrap_err();
    assert!(world.entry().unwrap().content.token.is_none(), "the rejection is known");
    let other = world.process();
    let token = other.get().unwrap();
    other.reject(&token);
    assert_eq!(other.get_value(), value(&token), "the second rejection waits for a second");
}

#[test]
fn contention_never_fails_repeatable_request() {
    let world = World::new();
    let token = world.process().get().unwrap();
    let store = Arc::clone(&world.store);
    // Each write of the process finds another value.
    let process = world.process_with(move |_, operation| {
        if operation == Put {
            let (value, _) = store.value(&identity(1).name).unwrap();
            let mut other = value.clone();
            other[8] ^= 0x40;
            store.forge(&identity(1).name, &other, seconds(100));
            store.forge(&identity(2).name, &value, seconds(100));
        }
        if operation == Get
            && let Some((value, ttl)) = store.value(&identity(2).name)
        {
            store.forge(&identity(1).name, &value, Duration::from_millis(ttl.unsigned_abs()));
        }
        None
    });
    process.reject(&token);
    assert_eq!(process.get_value(), "at2");
}
