//! A store that fails: no token is lost, one warning is given, and the store is asked again after a pause.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::seconds;
use crate::base::call::CallContext;
use crate::base::error::{Status, WarningKind};
use crate::base::log::{Log, LogLevel, LogSink};
use crate::shared_cache::testing::{LIFETIME, SimulatedProcess, World, identity, value};
use crate::token_store::MAX_VALUE_LEN;
use crate::token_store::testing::Fault::{self, AfterEffect, BeforeEffect};
use crate::token_store::testing::Operation::{self, Get, Lease, Put, Release};

/// A process whose operation `number` fails once.
fn process_failing_at(world: &World, number: usize, fault: Fault, is_user_bound: bool) -> SimulatedProcess {
    let process = world.process_with(move |current, _| (current == number).then_some(fault));
    if is_user_bound { process.with_login() } else { process }
}

#[test]
fn failure_of_any_operation_costs_no_token() {
    for (is_user_bound, operations) in
        [(false, vec![Get, Lease, Get, Put]), (true, vec![Get, Lease, Get, Put, Put])]
    {
        for number in 0..operations.len() {
            for fault in [BeforeEffect, AfterEffect] {
                let what = format!("{is_user_bound} {number} {fault:?}");
                let world = World::new();
                let process = process_failing_at(&world, number, fault, is_user_bound);
                assert_eq!(process.get_value(), "at1", "{what}");
                let warnings = process.take_warnings();
                assert_eq!(warnings.len(), 1, "{what}: {warnings:?}");
                assert_eq!(*warnings[0].kind(), WarningKind::General.into());
                let asked = process.operations();
                let after = asked.iter().skip(number + 1).collect::<Vec<_>>();
                assert!(after.is_empty() || after == [&Release], "{what}: {asked:?}");
                assert!(!world.store.is_leased(&identity(1).name), "{what}: {asked:?}");

                assert_eq!(process.get_value(), "at2", "{what}");
                assert_eq!(process.operations(), [], "{what}: the store is not asked");
                world.advance(LIFETIME);
                assert_eq!(process.get_value(), "at3", "{what}");
                assert!(!process.operations().is_empty() && process.take_warnings().is_empty(), "{what}");
                let sent = world.server.sent_refresh_tokens();
                let expected: &[&str] = if is_user_bound { &["r0", "r1", "r2"] } else { &[] };
                assert_eq!(sent, expected, "{what}: no refresh token is sent twice");
            }
        }
    }
}

#[test]
fn failure_after_request_leaves_older_refresh_token_unused() {
    let world = World::new();
    // The final write fails: the store keeps r0, which was spent.
    let process = process_failing_at(&world, 4, BeforeEffect, true);
    process.get().unwrap();
    assert_eq!(world.entry().unwrap().refresh_token().unwrap().reveal(), "r0");
    world.advance(LIFETIME);
    assert_eq!(process.get_value(), "at2");
    assert_eq!(world.entry().unwrap().refresh_token().unwrap().reveal(), "r2");
    assert_eq!(world.server.sent_refresh_tokens(), ["r0", "r1"]);
}

#[test]
fn early_refresh_of_user_needs_store() {
    for (number, fault) in (1..=4).flat_map(|number| [(number, BeforeEffect), (number, AfterEffect)]) {
        let world = World::new();
        // The operations of the first request are 0 to 4.
        let process = process_failing_at(&world, 4 + number, fault, true);
        process.get().unwrap();
        world.advance(LIFETIME - seconds(30));
        for attempt in 0..2 {
            let error = process.refresh_early().unwrap_err();
            assert_eq!(error.status(), Status::NotCached, "{number} {fault:?}: {error}");
            assert!(error.message().contains("failed recently"), "{error}");
            assert_eq!(process.take_warnings().len(), usize::from(attempt == 0), "{number} {fault:?}");
        }
        assert_eq!(world.server.sent_refresh_tokens(), ["r0"], "{number} {fault:?}");
        assert!(!world.store.is_leased(&identity(1).name), "{number} {fault:?}");
        // Once the token has expired, the refresh token is sent.
        world.advance(seconds(30));
        assert_eq!(process.get_value(), "at2");
    }
}

#[test]
fn early_refresh_without_user_does_not_need_store() {
    let world = World::new();
    let process = process_failing_at(&world, 5, BeforeEffect, false);
    process.get().unwrap();
    world.advance(LIFETIME - seconds(30));
    assert_eq!(value(&process.refresh_early().unwrap()), "at2");
}

#[test]
fn failed_release_is_harmless() {
    let world = World::new();
    let other = Mutex::new(Some(world.process()));
    let process = world.process_with(move |_, operation| {
        if operation == Lease
            && let Some(other) = other.lock().unwrap().take()
        {
            other.get().unwrap();
        }
        (operation == Release).then_some(BeforeEffect)
    });
    assert_eq!(process.get_value(), "at1");
    assert_eq!((process.operations().pop(), process.take_warnings()), (Some(Release), vec![]));
}

#[test]
fn call_that_ends_during_failure_fails() {
    for is_user_bound in [false, true] {
        for number in 0..3 {
            let world = World::new();
            let call = CallContext::unbounded();
            let cancel = Arc::clone(&call.cancel);
            let process = world.process_with(move |current, _| {
                (current == number).then(|| {
                    cancel.cancel();
                    AfterEffect
                })
            });
            let process = if is_user_bound { process.with_login() } else { process };
            assert_eq!(process.get_in(&call).unwrap_err().status(), Status::Cancelled);
            assert_eq!((process.take_warnings(), world.server.request_count()), (vec![], 0));
        }
    }
}

type NestedCall = Box<dyn FnOnce() + Send>;

#[test]
fn concurrent_failures_count_as_one() {
    let world = World::new();
    let mut process = world.process_with(|_, _| None);
    // While one thread waits for the store, another one does, too.
    let nested: Arc<Mutex<Option<NestedCall>>> = Arc::default();
    let (time, run_nested) = (world.time.clone(), Arc::clone(&nested));
    let client = world.store.client(move |_, _| {
        let work = run_nested.lock().unwrap().take();
        if let Some(work) = work {
            work();
        }
        time.advance(Duration::from_millis(500));
        Some(BeforeEffect)
    });
    process.handle = crate::token_store::StoreHandle::for_test(client.clone());
    let process: &'static SimulatedProcess = Box::leak(Box::new(process));
    *nested.lock().unwrap() = Some(Box::new(|| drop(process.get().unwrap())));
    process.get().unwrap();
    assert_eq!((process.take_warnings().len(), client.take_operations().len()), (1, 2));
    world.advance(seconds(1));
    process.get().unwrap();
    assert_eq!(client.take_operations().len(), 1, "the pause is that of one failure");
}

#[test]
fn dead_store_is_asked_after_growing_pauses() {
    let world = World::new();
    let process = world.process_with(|_, _| Some(BeforeEffect));
    let mut times = Vec::new();
    for second in 0..200 {
        process.get().unwrap();
        if !process.operations().is_empty() {
            times.push(second);
        }
        world.advance(seconds(1));
    }
    assert_eq!(times, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    assert_eq!(process.take_warnings().len(), 1);
}

#[test]
fn readable_store_that_cannot_be_written_gives_one_warning() {
    for failing in [Lease, Put] {
        let world = World::new();
        let process = world.process_with(move |_, operation| (operation == failing).then_some(BeforeEffect));
        let mut times = Vec::new();
        for second in 0..20 {
            process.get().unwrap();
            if !process.operations().is_empty() {
                times.push(second);
            }
            // A lease that was not released ends.
            world.advance(seconds(1));
        }
        assert_eq!(times, [0, 1, 3, 7, 15], "{failing:?}");
        assert_eq!(process.take_warnings().len(), 1, "{failing:?}");
    }
}

#[derive(Default)]
struct RecordedLog(Mutex<Vec<String>>);

impl LogSink for RecordedLog {
    fn log(&self, _: LogLevel, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn store_that_answers_again_is_used() {
    for operation in [Get, Lease, Put] {
        let world = World::new();
        let is_down = Arc::new(AtomicBool::new(true));
        let down = Arc::clone(&is_down);
        let process = world.process_with(move |_, current| {
            (current == operation && down.load(Ordering::SeqCst)).then_some(BeforeEffect)
        });
        process.get().unwrap();
        is_down.store(false, Ordering::SeqCst);
        world.advance(seconds(20));
        let log: Arc<RecordedLog> = Arc::default();
        let sink = Arc::<RecordedLog>::clone(&log);
        let call = CallContext { log: Log::new(sink, LogLevel::Info), ..CallContext::unbounded() };
        assert!(process.get_in(&call).unwrap().is_shared());
        assert_eq!(*log.0.lock().unwrap(), ["application: answers again"], "{operation:?}");
        is_down.store(true, Ordering::SeqCst);
        world.advance(LIFETIME);
        process.get().unwrap();
        assert_eq!(process.take_warnings().len(), 2, "{operation:?}: a new failure gives a new warning");
    }
}

#[test]
fn one_process_has_one_pause_for_all_entries() {
    let world = World::new();
    let failures = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failures);
    let mut process = world.process_with(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Some(BeforeEffect)
    });
    for user in 1..=100 {
        process.user = user;
        process.get().unwrap();
    }
    assert_eq!(failures.load(Ordering::SeqCst), 1);
}

#[test]
fn too_long_token_is_not_shared() {
    let world = World::new();
    world.server.state.lock().padding = "x".repeat(MAX_VALUE_LEN);
    let process = world.process();
    let token = process.get().unwrap();
    assert!(token.value.to_bytes().len() > MAX_VALUE_LEN && !token.is_shared());
    assert_eq!((world.entry().is_none(), process.take_warnings()), (true, vec![]));
    assert_eq!(process.operations(), [Get, Lease, Get, Release]);
}

#[test]
fn too_long_token_does_not_keep_refresh_token_back() {
    let world = World::new();
    world.server.state.lock().padding = "x".repeat(MAX_VALUE_LEN);
    let (process, other) = (world.user_process(), world.user_process());
    process.get().unwrap();
    assert!(world.entry().unwrap().content.token.is_none());
    assert_eq!(world.entry().unwrap().refresh_token().unwrap().reveal(), "r1");
    assert!(value(&other.get().unwrap()).starts_with("at2"));
    assert_eq!(world.server.sent_refresh_tokens(), ["r0", "r1"]);
}

#[test]
fn lease_is_released_if_entry_cannot_be_read() {
    let world = World::new();
    let process = world.process_with(|number, _| (number == 1).then_some(BeforeEffect));
    let call = CallContext::unbounded();
    assert!(process.entry().remove(&process.request(&call)).is_none());
    assert_eq!(process.operations(), [Lease, Get, Release]);
    assert_eq!(process.take_warnings().len(), 1);
    assert_eq!(process.entry().remove(&process.request(&call)), None);
    assert_eq!(process.operations(), [] as [Operation; 0], "the store is not asked");
}
