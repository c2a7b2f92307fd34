//! Loom tests of the protocol: loom runs each test in every interleaving of two processes with a limited number of
//! preemptions (`cargo test --lib --features model loom_tests`).

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::testing::{SimulatedProcess, World};
use crate::token_store::testing::Operation;

/// All interleavings are too many.
const PREEMPTIONS: usize = 3;

/// The stack of a thread in words. The default is too small for what a process consists of.
const STACK_WORDS: usize = 1 << 17;

/// Runs `work` in two processes, in every interleaving, and then `check`.
fn explore(work: fn(&SimulatedProcess) -> String, is_user_bound: bool, check: fn(&World)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(move || {
        let world = Arc::new(World::new());
        let start = || {
            let world = Arc::clone(&world);
            let run = move || {
                let process = process(&world);
                work(&if is_user_bound { process.with_login() } else { process })
            };
            thread::Builder::new().stack_size(STACK_WORDS).spawn(run).unwrap()
        };
        let processes = [start(), start()];
        let [first, second] = processes.map(|process| process.join().unwrap());
        assert_eq!(first, second);
        check(&world);
    });
}

/// A process each of whose operations takes 100 ms. While it reads, the other one goes on: a process that only
/// waits would otherwise do so for ever.
fn process(world: &World) -> SimulatedProcess {
    let time = world.time.clone();
    world.process_with(move |_, operation| {
        time.advance(Duration::from_millis(100));
        if operation == Operation::Get {
            thread::yield_now();
        }
        None
    })
}

#[test]
fn one_of_two_processes_requests_token() {
    explore(SimulatedProcess::get_value, false, |world| assert_eq!(world.server.request_count(), 1));
}

#[test]
fn refresh_token_is_spent_once() {
    explore(SimulatedProcess::get_value, true, |world| {
        assert_eq!(world.server.sent_refresh_tokens(), ["r0"]);
    });
}
