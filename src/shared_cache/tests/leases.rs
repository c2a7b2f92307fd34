//! Waiting for the lease, holding it, and its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::seconds;
use crate::base::call::CallContext;
use crate::base::error::{ErrorKind, NetworkError, OAuthReason, Status};
use crate::base::jitter::{Fraction, Jitter};
use crate::base::secret::Secret;
use crate::shared_cache::testing::{RequestPhase, SimulatedProcess, World, identity, refusal, value};
use crate::shared_cache::{Error, MAX_LEASE, POLL_INTERVALS, SharedEntry};
use crate::token::AccessToken;
use crate::token_store::testing::Operation::{self, Get, Lease, Put, Release};

fn elapsed(world: &World, work: impl FnOnce()) -> Duration {
    let before = world.time.millis();
    work();
    Duration::from_millis(world.time.millis() - before)
}

#[test]
fn crashed_leader_delays_others_until_its_lease_ends() {
    for is_user_bound in [false, true] {
        let world = World::new();
        world.store.lease_for_crashed(&identity(1).name, MAX_LEASE);
        let processes: Vec<_> = (0..3)
            .map(|_| {
                let process = world.slow_process(100).with_wait(seconds(60));
                if is_user_bound { process.with_login() } else { process }
            })
            .collect();
        let time = elapsed(&world, || {
            std::thread::scope(|scope| {
                let threads: Vec<_> =
                    processes.iter().map(|process| scope.spawn(|| process.get_value())).collect();
                for thread in threads {
                    assert_eq!(thread.join().unwrap(), "at1");
                }
            });
        });
        assert_eq!(world.server.request_count(), 1);
        assert!(time >= MAX_LEASE && time < MAX_LEASE + seconds(8), "{time:?}");
    }
}

#[test]
fn process_requests_alone_after_wait() {
    let world = World::new();
    world.store.lease_for_crashed(&identity(1).name, MAX_LEASE);
    let process = world.slow_process(100);
    let time = elapsed(&world, || {
        let token = process.get().unwrap();
        assert!(!token.is_shared());
    });
    assert!(time >= seconds(5) && time < seconds(6), "{time:?}");
    assert!(!process.operations().contains(&Put) && world.entry().is_none());
    assert_eq!(process.take_warnings(), [], "the store works");
}

#[test]
fn waiting_leaves_half_of_call() {
    let world = World::new();
    world.store.lease_for_crashed(&identity(1).name, MAX_LEASE);
    let process = world.slow_process(100).with_wait(seconds(60));
    let call = CallContext::with_timeout(seconds(8), "a test");
    let time = elapsed(&world, || drop(process.get_in(&call).unwrap()));
    assert!(time > seconds(3) && time < seconds(5), "{time:?}");
}

#[test]
fn refresh_token_is_not_sent_while_lease_is_held() {
    let world = World::new();
    world.store.lease_for_crashed(&identity(1).name, seconds(1000));
    let process = world.slow_process(100).with_login();
    let time = elapsed(&world, || {
        let error = process.get().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error}");
        assert!(error.message().contains(process.handle.name()), "{error}");
    });
    assert!(time > MAX_LEASE, "{time:?}");
    assert_eq!((world.server.request_count(), process.take_warnings()), (0, vec![]));
}

#[test]
fn user_waits_for_successor_of_crashed_leader() {
    let world = World::new();
    let (store, time) = (Arc::clone(&world.store), world.time.clone());
    let writer = world.process();
    store.lease_for_crashed(&identity(1).name, MAX_LEASE);
    let step = Arc::new(AtomicU64::new(0));
    let writer = Mutex::new(writer.with_login());
    let process = world.process_with(move |_, _| {
        time.advance(Duration::from_millis(100));
        // At the end of the first lease, another process acquires the lease, and needs 10 s.
        if time.millis() >= 15_000 && step.fetch_max(1, Ordering::SeqCst) == 0 {
            store.lease_for_crashed(&identity(1).name, seconds(10));
        }
        if time.millis() >= 25_000 && step.fetch_max(2, Ordering::SeqCst) == 1 {
            writer.lock().unwrap().get().unwrap();
        }
        None
    });
    let process = process.with_login();
    assert_eq!(process.get_value(), "at1");
    assert_eq!(world.server.sent_refresh_tokens(), ["r0"]);
}

#[test]
fn failed_leader_releases_lease() {
    for error in [
        Error::new(NetworkError::Connection, "network", "no"),
        Error::new(ErrorKind::Cancelled, "call", "no"),
        refusal(OAuthReason::Denied, "invalid_grant"),
    ] {
        let world = World::new();
        let process = world.process();
        world.server.refuse_next(error);
        process.get().unwrap_err();
        assert!(!world.store.is_leased(&identity(1).name));
        let last = *process.operations().last().unwrap();
        assert!(last == Release || last == Put, "{last:?}");
    }
}

#[test]
fn panicking_leader_releases_lease() {
    let world = World::new();
    let process = world.process();
    process.source.during_request(|_| std::panic::resume_unwind(Box::new("a test")));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(process.get())));
    assert!(outcome.is_err() && !world.store.is_leased(&identity(1).name));
}

/// Runs a process whose call is cancelled before its `cancelled`-th operation; returns the outcome and the number
/// of operations.
fn cancel_before(
    cancelled: usize,
    is_user_bound: bool,
) -> (World, crate::base::error::Result<AccessToken>, Vec<Operation>) {
    let world = World::new();
    let call = CallContext::unbounded();
    let cancel = Arc::clone(&call.cancel);
    let process = world.process_with(move |number, _| {
        if number == cancelled {
            cancel.cancel();
        }
        None
    });
    let process = if is_user_bound { process.with_login() } else { process };
    let outcome = process.get_in(&call);
    assert_eq!(process.take_warnings(), [], "{cancelled}: the store has not failed");
    (world, outcome, process.operations())
}

#[test]
fn cancelled_call_ends_and_holds_no_lease() {
    for (is_user_bound, last) in [(false, 3), (true, 4)] {
        for number in 0..=last {
            let (world, outcome, operations) = cancel_before(number, is_user_bound);
            if number == last {
                assert_eq!(operations[number], Put);
                assert!(outcome.unwrap().is_shared(), "a token that was received is shared");
            } else if operations.get(number) == Some(&Put) {
                // The announcement is written, and the request is not sent.
                assert_eq!(outcome.unwrap_err().status(), Status::Cancelled);
                assert_eq!(world.server.request_count(), 0);
            } else {
                assert_eq!(outcome.unwrap_err().status(), Status::Cancelled, "{number} {operations:?}");
            }
            assert!(!world.store.is_leased(&identity(1).name), "{number}: {operations:?}");
        }
    }
}

#[test]
fn deadline_of_call_ends_wait() {
    for is_user_bound in [false, true] {
        let world = World::new();
        world.store.lease_for_crashed(&identity(1).name, seconds(1000));
        let process = world.process().with_wait(seconds(60));
        let process = if is_user_bound { process.with_login() } else { process };
        let call = CallContext::with_timeout(Duration::from_millis(20), "a test");
        let error = process.get_in(&call).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error}");
        assert_eq!(process.take_warnings(), []);
    }
}

#[test]
fn lease_covers_short_call_of_user() {
    for timeout in [1, 3, 30] {
        let world = World::new();
        let process = world.user_process();
        let call = CallContext::with_timeout(seconds(timeout), "a test");
        assert_eq!(value(&process.get_in(&call).unwrap()), "at1", "{timeout} s");
    }
}

/// A process whose request takes 20 s, more than its lease; `meanwhile` runs before the response.
fn get_slowly(world: &World, meanwhile: impl Fn() + Send + 'static) -> (AccessToken, Vec<Operation>) {
    let process = world.process();
    let server = Arc::clone(&process.source.server);
    process.source.during_request(move |phase| {
        if phase == RequestPhase::Receive {
            server.advance(seconds(20));
            meanwhile();
        }
        Ok(())
    });
    (process.get().unwrap(), process.operations())
}

#[test]
fn leader_without_lease_overwrites_nothing() {
    let world = World::new();
    let successor = world.process();
    let (token, _) = get_slowly(&world, move || assert_eq!(successor.get_value(), "at2"));
    assert!(value(&token) == "at1" && !token.is_shared());
    assert_eq!(world.process().get_value(), "at2");
    let (token, _) = get_slowly(&World::new(), || {});
    assert!(!token.is_shared(), "the lease has ended, although nobody else holds it");
}

#[test]
fn lease_that_outlives_its_time_is_used() {
    let world = World::new();
    let store = Arc::clone(&world.store);
    // As a store whose leases end with their holder.
    let (token, _) = get_slowly(&world, move || store.step_clock(-20_000));
    assert!(token.is_shared());
    assert_eq!(world.process().get_value(), "at1");
}

#[test]
fn removal_and_publication_release_lease() {
    for failing in [None, Some(1), Some(2)] {
        let world = World::new();
        let lost = Arc::new(AtomicBool::new(false));
        let (store, is_lost) = (Arc::clone(&world.store), Arc::clone(&lost));
        let process = world.process_with(move |number, operation| {
            if Some(number) == failing && operation == Put {
                // Another value appears, which only a store that loses values can have.
                store.forge(&identity(1).name, &crate::token_store::header(7), seconds(100));
                is_lost.store(true, Ordering::SeqCst);
            }
            None
        });
        let call = CallContext::unbounded();
        let token = process.source.token("at9".to_owned());
        process.entry().publish(&token, Some(&Secret::from("r9")), &process.request(&call));
        let expected =
            if lost.load(Ordering::SeqCst) { vec![Lease, Get, Put, Release] } else { vec![Lease, Get, Put] };
        assert_eq!((process.operations(), token.is_shared()), (expected, failing != Some(2)));
        assert!(!world.store.is_leased(&identity(1).name));
    }
}

/// Publishes a token, and returns whether it is shared.
fn publish(process: &SimulatedProcess, entry: &SharedEntry<'_>, call: &CallContext) -> bool {
    let token = process.source.token("at9".to_owned());
    entry.publish(&token, None, &process.request(call));
    token.is_shared()
}

#[test]
fn publication_waits_for_lease() {
    for (lease, is_shared) in [(seconds(3), true), (seconds(60), false)] {
        let world = World::new();
        world.store.lease_for_crashed(&identity(1).name, lease);
        let process = world.slow_process(100);
        let time = elapsed(&world, || {
            assert_eq!(publish(&process, &process.entry(), &CallContext::unbounded()), is_shared);
        });
        let (shortest, longest) = if is_shared { (3000, 4000) } else { (5000, 5200) };
        assert!((shortest..longest).contains(&time.as_millis()), "{time:?}");
        assert_eq!(process.take_warnings(), []);
    }
}

#[test]
fn wait_of_publication_ends_with_call() {
    let world = World::new();
    world.store.lease_for_crashed(&identity(1).name, seconds(60));
    let (sender, attempts) = channel();
    let sender = Mutex::new(sender);
    let process = world.process_with(move |_, _| {
        let _ = sender.lock().unwrap().send(());
        None
    });
    let call = CallContext::unbounded();
    let cancel = Arc::clone(&call.cancel);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            attempts.recv().unwrap();
            // There is no second attempt.
            let _ = attempts.recv_timeout(Duration::from_millis(200));
            cancel.cancel();
        });
        let mut entry = process.entry();
        entry.poll_intervals = (seconds(3600), seconds(3600));
        assert!(!publish(&process, &entry, &call));
    });
    assert_eq!(process.operations(), [Lease], "it sleeps between two attempts");
}

#[test]
fn first_polls_have_shortest_interval() {
    let world = World::new();
    for (jitter, first, later) in [(0, 20.0, 25.0), (u16::MAX, 50.0, 50.0)] {
        let mut process = world.process();
        process.process.jitter = Jitter::pinned(Fraction::new(jitter));
        let mut entry = process.entry();
        entry.poll_intervals = POLL_INTERVALS;
        for polls in 0..20 {
            let expected = if polls < 8 { first } else { later };
            let millis = entry.poll_interval(polls).as_secs_f64() * 1000.0;
            assert!(millis <= expected && millis > expected - 0.01, "{polls}: {millis} ms");
        }
    }
}

#[test]
fn cancelled_removal_is_not_failure_of_store() {
    let world = World::new();
    let process = world.process();
    let call = CallContext::unbounded();
    call.cancel.cancel();
    assert!(process.entry().remove(&process.request(&call)).is_none());
    assert_eq!(process.take_warnings(), []);
    process.operations();
    process.get().unwrap();
    assert_eq!(process.operations(), [Get, Lease, Get, Put], "the store is asked");
}
