//! Reading a token that another process has shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::seconds;
use crate::base::call::CallContext;
use crate::base::error::ErrorKind;
use crate::shared_cache::Request;
use crate::shared_cache::testing::{LIFETIME, RequestPhase, SimulatedProcess, World, identity, value};
use crate::token::cache::Requirements;
use crate::token_store::testing::Operation::{Get, Lease, Put, Release};

fn stat(process: &SimulatedProcess, name: &str) -> u64 {
    let stats: serde_json::Value = serde_json::from_str(&process.process.stats_json()).unwrap();
    stats[name].as_u64().unwrap()
}

#[test]
fn second_process_reads_token_without_request() {
    let world = World::new();
    let (writer, reader) = (world.process(), world.process());
    writer.step_clock(300);
    let written = writer.get().unwrap();
    assert!(written.is_shared() && written.shared_origin().is_none());
    assert_eq!(writer.operations(), [Get, Lease, Get, Put], "the write releases the lease");
    let read = reader.get().unwrap();
    assert_eq!((value(&read), read.scope()), (value(&written), Some(c"the scope")));
    let origin = read.shared_origin().unwrap();
    assert_eq!(origin.machine, writer.process.shared_tokens.machine());
    assert_eq!(origin.written_at, writer.process.clock.unix_seconds());
    assert_eq!(reader.operations(), [Get]);
    assert_eq!(world.server.request_count(), 1);
    assert_eq!(stat(&reader, "authgrant_shared_cache_hits_total"), 1);
}

#[test]
fn expiry_follows_clock_of_store() {
    for (writer_offset, reader_offset) in [(300, -300), (-300, 300), (0, 0)] {
        let world = World::new();
        let (writer, reader) = (world.process(), world.process());
        writer.step_clock(writer_offset);
        reader.step_clock(reader_offset);
        let written = writer.get_value();
        world.advance(LIFETIME - seconds(1));
        let read = reader.get().unwrap();
        assert_eq!(value(&read), written, "it is used until its end");
        assert_eq!(read.expires_at(), Some(reader.process.clock.unix_seconds() + 1));
        world.advance(seconds(1));
        assert_ne!(reader.get_value(), written, "it is not used after its end");
        assert_eq!(world.server.request_count(), 2);
    }
}

#[test]
fn requirements_of_reader_apply_to_shared_token() {
    let world = World::new();
    let (writer, reader) = (world.process(), world.process());
    writer.get().unwrap();
    world.advance(seconds(3000));
    let call = CallContext::unbounded();
    for (min_remaining, requests) in [(599, 1), (600, 2)] {
        let requirements = Requirements { min_remaining, ..Requirements::default() };
        reader.get_for(&Request { requirements, ..reader.request(&call) }).unwrap();
        assert_eq!(world.server.request_count(), requests);
    }
}

#[test]
fn step_of_store_clock_does_not_prolong_token() {
    let world = World::new();
    let (writer, reader) = (world.process(), world.process());
    writer.get().unwrap();
    // The remaining lifetime in the store is now longer than was written.
    world.store.step_clock(-100_000);
    let read = reader.get().unwrap();
    let remaining = read.expires_at().unwrap() - reader.process.clock.unix_seconds();
    assert_eq!(remaining.unsigned_abs(), LIFETIME.as_secs(), "as if it had been written now");
    world.store.step_clock(100_000 + 60_000);
    let read = reader.get().unwrap();
    assert_eq!(read.expires_at().unwrap() - reader.process.clock.unix_seconds(), remaining - 60);
}

#[test]
fn herd_makes_one_request() {
    let world = World::new();
    let polls = Arc::new(AtomicUsize::new(0));
    let processes: Vec<_> = (0..8)
        .map(|_| {
            let polls = Arc::clone(&polls);
            world.process_with(move |number, _| {
                polls.fetch_add(usize::from(number == 3), Ordering::SeqCst);
                None
            })
        })
        .collect();
    for process in &processes {
        let polls = Arc::clone(&polls);
        process.source.during_request(move |phase| {
            // The request ends when all others have read the entry again.
            while phase == RequestPhase::Send && polls.load(Ordering::SeqCst) < 7 {
                std::thread::yield_now();
            }
            Ok(())
        });
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = processes.iter().map(|process| scope.spawn(|| process.get_value())).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), "at1");
        }
    });
    assert_eq!(world.server.request_count(), 1);
}

#[test]
fn entry_is_read_again_with_lease() {
    let world = World::new();
    let faster = world.process();
    let slower = Arc::new(std::sync::Mutex::new(Some(faster)));
    let process = world.process_with(move |number, _| {
        // Between the first read and the lease, another process shares a token.
        if number == 1
            && let Some(faster) = slower.lock().unwrap().take()
        {
            faster.get().unwrap();
        }
        None
    });
    assert_eq!(process.get_value(), "at1");
    assert_eq!(process.operations(), [Get, Lease, Get, Release]);
    assert_eq!(world.server.request_count(), 1);
    assert!(!world.store.is_leased(&identity(1).name));
}

#[test]
fn early_refresh_adopts_newer_token() {
    let world = World::new();
    let (early, late) = (world.process(), world.process());
    early.get().unwrap();
    world.advance(LIFETIME - seconds(30));
    assert_eq!(value(&early.refresh_early().unwrap()), "at2");
    early.operations();
    assert_eq!(value(&late.refresh_early().unwrap()), "at2");
    assert_eq!((late.operations(), world.server.request_count()), (vec![Get], 2));
}

#[test]
fn early_refresh_does_not_wait() {
    let world = World::new();
    for process in [world.process(), world.user_process()] {
        world.store.lease_for_crashed(&identity(1).name, seconds(10));
        let error = process.refresh_early().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::NotCached);
        assert_eq!((process.operations(), world.server.request_count()), (vec![Get, Lease], 0));
    }
}

#[test]
fn early_refresh_replaces_rejected_token() {
    let world = World::new();
    let process = world.process();
    let token = process.get().unwrap();
    world.advance(LIFETIME - seconds(30));
    process.reject(&token);
    assert_eq!(value(&process.refresh_early().unwrap()), "at2");
    assert_eq!(world.entry().unwrap().content.rejections, 1);
}

#[test]
fn unusable_value_is_overwritten() {
    let other_world = World::new();
    let mut other = other_world.process();
    other.user = 2;
    other.get().unwrap();
    let (foreign, _) = other_world.store.value(&identity(2).name).unwrap();
    let world = World::new();
    world.process().get().unwrap();
    let (valid, _) = world.store.value(&identity(1).name).unwrap();
    let change = |index: usize| {
        let mut value = valid.clone();
        value[index] ^= 1;
        value
    };
    for (what, value) in [
        ("another key", foreign),
        ("another version", change(0)),
        ("another generation", change(8)),
        ("another nonce", change(9)),
        ("another text", change(40)),
        ("a part", valid[..valid.len() - 1].to_vec()),
        ("the header", valid[..9].to_vec()),
        ("less than the header", valid[..8].to_vec()),
        ("nothing", Vec::new()),
    ] {
        world.store.forge(&identity(1).name, &value, seconds(1000));
        let before = world.server.request_count();
        let process = world.process();
        let token = process.get_value();
        assert_eq!(world.server.request_count(), before + 1, "{what}");
        assert_eq!(process.take_warnings(), [], "{what}");
        assert_eq!(world.process().get_value(), token, "{what} is overwritten");
    }
}

#[test]
fn moved_value_is_not_read() {
    let world = World::new();
    world.process().get().unwrap();
    let (value, _) = world.store.value(&identity(1).name).unwrap();
    // Both entries have the same key.
    let mut other = identity(1);
    other.name = identity(2).name;
    let stored = crate::token_store::StoredValue { bytes: value, ttl: seconds(1000) };
    assert!(crate::shared_cache::entry::open(&identity(1), &stored).is_some());
    assert!(crate::shared_cache::entry::open(&other, &stored).is_none());
}

#[test]
fn older_generation_is_ignored() {
    let world = World::new();
    let (process, other) = (world.process(), world.process());
    let token = process.get().unwrap();
    let (old, ttl) = world.store.value(&identity(1).name).unwrap();
    process.reject(&token);
    assert_eq!((process.get_value(), other.get_value()), ("at2".to_owned(), "at2".to_owned()));
    let generation = world.entry().unwrap().generation;
    let replay = || world.store.forge(&identity(1).name, &old, Duration::from_millis(ttl.unsigned_abs()));
    replay();
    assert_eq!(other.get_value(), "at3", "the replayed token is not used");
    assert!(world.entry().unwrap().generation > generation);
    replay();
    assert_eq!(world.process().get_value(), "at1", "a new process cannot know it");
}

#[test]
fn generation_grows_over_lost_entry() {
    let world = World::new();
    let process = world.process();
    process.get().unwrap();
    let generation = world.entry().unwrap().generation;
    world.store.remove(&identity(1).name);
    world.process().get().unwrap();
    assert!(world.entry().unwrap().generation >= generation, "the clocks are equal");
    assert_eq!(process.get_value(), "at2");
}
