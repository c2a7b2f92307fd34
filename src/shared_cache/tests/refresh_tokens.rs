//! Refresh tokens that are valid once, and logins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::seconds;
use crate::base::call::CallContext;
use crate::base::error::{Cause, Error, NetworkError, OAuthReason, Status};
use crate::base::secret::Secret;
use crate::shared_cache::testing::{
    LIFETIME, RequestPhase, SimulatedProcess, World, identity, refusal, value,
};
use crate::shared_cache::{MAX_LEASE, TokenSource};
use crate::token_store::testing::Fault::BeforeEffect;
use crate::token_store::testing::Operation::{Get, Lease, Put, Release};

fn shared_refresh_token(world: &World) -> Option<String> {
    Some(world.entry()?.refresh_token()?.reveal().to_owned())
}

#[test]
fn successor_sends_refresh_token_of_entry() {
    let world = World::new();
    let (first, second) = (world.user_process(), world.user_process());
    assert_eq!(first.get_value(), "at1");
    assert_eq!(first.operations(), [Get, Lease, Get, Put, Put]);
    assert_eq!(second.get_value(), "at1");
    for round in 1..5 {
        world.advance(LIFETIME);
        let (one, other) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
        assert_eq!(one.get_value(), other.get_value());
    }
    assert_eq!(world.server.sent_refresh_tokens(), ["r0", "r1", "r2", "r3", "r4"]);
    assert_eq!(shared_refresh_token(&world).unwrap(), "r5");
}

#[test]
fn intent_is_written_before_refresh_token_is_sent() {
    let world = Arc::new(World::new());
    let process = world.user_process();
    let seen = Arc::clone(&world);
    process.source.before_next_request(move || {
        let content = seen.entry().unwrap().content;
        assert!(content.is_spending && content.token.is_none());
        assert_eq!(content.refresh_token.unwrap().to_secret().reveal(), "r0");
        assert_eq!(seen.server.request_count(), 0);
    });
    process.get().unwrap();
    assert!(!world.entry().unwrap().content.is_spending);
}

#[test]
fn refresh_token_is_not_sent_after_lease_was_lost() {
    let world = World::new();
    let store = Arc::clone(&world.store);
    // The lease ends between the read inside it and the announcement.
    let process = world.process_with(move |number, _| {
        if number == 3 {
            store.step_clock(20_000);
        }
        None
    });
    let process = process.with_login();
    assert_eq!(process.get_value(), "at1");
    assert_eq!(process.operations()[..7], [Get, Lease, Get, Put, Release, Get, Lease]);
    assert_eq!(world.server.sent_refresh_tokens(), ["r0"]);
}

#[test]
fn late_leader_does_not_send_refresh_token() {
    let world = World::new();
    let time = world.time.clone();
    let process = world.process_with(move |number, _| {
        if number == 2 {
            time.advance(seconds(11));
        }
        None
    });
    let process = process.with_login();
    assert_eq!(process.get_value(), "at1");
    let operations = process.operations();
    assert_eq!(operations.iter().filter(|operation| **operation == Lease).count(), 2, "{operations:?}");
    assert_eq!(world.server.sent_refresh_tokens(), ["r0"]);
}

/// A process that is killed after the server has processed its request.
fn crash_after_send(world: &World) {
    let is_dead = Arc::new(AtomicBool::new(false));
    let dead = Arc::clone(&is_dead);
    let process = world.process_with(move |_, _| dead.load(Ordering::SeqCst).then_some(BeforeEffect));
    let process = process.with_login();
    process.source.during_request(move |phase| {
        if phase == RequestPhase::Receive {
            is_dead.store(true, Ordering::SeqCst);
            std::panic::resume_unwind(Box::new("killed"));
        }
        Ok(())
    });
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(process.get())));
    assert!(outcome.is_err() && world.store.is_leased(&identity(1).name));
}

#[test]
fn successor_of_crashed_leader_sends_refresh_token_once_more() {
    let world = World::new();
    world.server.state.lock().accepts_reuse = true;
    crash_after_send(&world);
    assert!(world.entry().unwrap().content.is_spending);
    let process = world.slow_process(100).with_login();
    assert_eq!(process.get_value(), "at2");
    assert!(world.time.millis() >= 15_000, "after the lease of the crashed leader");
    assert_eq!(world.user_process().get_value(), "at2");
    assert_eq!(world.server.sent_refresh_tokens(), ["r0", "r0"]);
}

#[test]
fn login_lost_in_crash_is_reported_once() {
    let world = World::new();
    crash_after_send(&world);
    let process = world.slow_process(100).with_login();
    assert_eq!(process.get().unwrap_err().status(), Status::ConsentRequired);
    assert_eq!(world.server.sent_refresh_tokens(), ["r0", "r0"]);
    assert_eq!(shared_refresh_token(&world), None);
    let other = world.user_process();
    assert_eq!(other.get().unwrap_err().status(), Status::ConsentRequired);
    assert_eq!(world.server.request_count(), 2, "the refusal is shared");
}

#[test]
fn late_sender_adopts_token_of_its_successor() {
    let world = World::new();
    let process = world.user_process();
    let successor = world.user_process();
    let server = Arc::clone(&world.server);
    // A pause between the announcement and the request, longer than the lease.
    process.source.before_next_request(move || {
        server.advance(MAX_LEASE);
        assert_eq!(successor.get_value(), "at1");
    });
    assert_eq!(process.get_value(), "at1");
    assert_eq!(world.server.sent_refresh_tokens(), ["r0", "r0"]);
    assert_eq!(shared_refresh_token(&world).unwrap(), "r1");
    world.advance(LIFETIME);
    assert_eq!(process.get_value(), "at2");
}

fn revoke_login(world: &World) {
    world.server.state.lock().current_refresh_token = 1000;
}

#[test]
fn revoked_refresh_token_is_removed_and_sent_once() {
    for can_log_in in [false, true] {
        let world = World::new();
        let mut process = world.user_process();
        process.get().unwrap();
        world.advance(LIFETIME);
        revoke_login(&world);
        process.source.can_log_in = can_log_in;
        let outcome = process.get();
        assert_eq!(world.server.sent_refresh_tokens(), ["r0", "r1"], "once");
        if can_log_in {
            assert_eq!(
                (value(&outcome.unwrap()).as_str(), shared_refresh_token(&world).unwrap().as_str()),
                ("at2", "r1100")
            );
        } else {
            assert_eq!(outcome.unwrap_err().status(), Status::ConsentRequired);
            assert_eq!(shared_refresh_token(&world), None);
        }
    }
}

#[test]
fn refresh_token_survives_other_refusals() {
    for error in [
        refusal(OAuthReason::Server, "server_error"),
        refusal(OAuthReason::ConsentRequired, "interaction_required"),
    ] {
        let world = World::new();
        let process = world.user_process();
        process.get().unwrap();
        world.advance(LIFETIME);
        world.server.refuse_next(error);
        process.get().unwrap_err();
        assert_eq!(shared_refresh_token(&world).unwrap(), "r1");
        assert!(!world.entry().unwrap().content.is_spending);
        world.advance(seconds(2));
        assert_eq!(world.user_process().get_value(), "at2");
    }
}

/// A process whose user can log in.
fn interactive_process(world: &World) -> SimulatedProcess {
    let mut process = world.user_process();
    process.source.can_log_in = true;
    process
}

#[test]
fn login_holds_no_lease_and_is_shared() {
    for first_refresh_token in [None, Some("revoked")] {
        let world = Arc::new(World::new());
        let process = interactive_process(&world);
        *process.source.refresh_token.lock() = first_refresh_token.map(Secret::from);
        let seen = Arc::clone(&world);
        process.source.during_request(move |phase| {
            if phase == RequestPhase::LogIn {
                assert!(!seen.store.is_leased(&identity(1).name));
                assert_eq!(shared_refresh_token(&seen), None);
                seen.advance(seconds(300));
            }
            Ok(())
        });
        let token = process.get().unwrap();
        assert!(token.is_shared());
        assert_eq!(shared_refresh_token(&world).unwrap(), "r100");
        let other = world.user_process();
        assert_eq!(other.get_value(), value(&token));
        world.advance(LIFETIME);
        assert_eq!(other.get_value(), "at2");
        let sent = world.server.sent_refresh_tokens();
        assert_eq!(
            sent[..sent.len() - 1],
            first_refresh_token.map(str::to_owned).into_iter().collect::<Vec<_>>()
        );
    }
}

#[test]
fn refusal_does_not_keep_user_from_login() {
    let world = World::new();
    revoke_login(&world);
    world.user_process().get().unwrap_err();
    let process = interactive_process(&world);
    assert_eq!(process.get_value(), "at1");
}

#[test]
fn only_refused_login_is_read_again_and_repeated() {
    let denied = || refusal(OAuthReason::Denied, "invalid_grant");
    let consent_required = || refusal(OAuthReason::ConsentRequired, "consent_required");
    let refused_code = || consent_required().with_cause(Cause::Caller);
    let network = || Error::new(NetworkError::Connection, "network", "no");
    let (request, spending) = ([Get, Lease, Get], [Get, Lease, Get, Put]);
    for (is_user_bound, error, operations) in [
        (false, denied(), [&request[..], &[Put]].concat()),
        (false, consent_required(), [&request[..], &[Put]].concat()),
        (false, network(), [&request[..], &[Release]].concat()),
        (true, denied(), [&spending[..], &[Put]].concat()),
        (true, refused_code(), [&spending[..], &[Release]].concat()),
        (true, network(), [&spending[..], &[Release]].concat()),
        // The store is read again, and has the token of the login.
        (true, consent_required(), [&spending[..], &[Get, Put, Lease, Get, Put]].concat()),
    ] {
        let world = World::new();
        let mut process = interactive_process(&world);
        process.source.is_user_bound = is_user_bound;
        world.server.refuse_next(error.clone());
        let has_logged_in = process.get().is_ok();
        let what = format!("{is_user_bound} {error}");
        assert_eq!(process.operations(), operations, "{what}");
        assert_eq!((has_logged_in, world.server.request_count()), (operations.len() > 5, 1), "{what}");
        if is_user_bound && !has_logged_in {
            assert_eq!(shared_refresh_token(&world).unwrap(), "r0", "{what}");
        }
    }
}

#[test]
fn failed_store_is_not_read_again_after_refusal() {
    let world = World::new();
    let process = world.process_with(|number, _| (number == 3).then_some(BeforeEffect)).with_login();
    revoke_login(&world);
    assert_eq!(process.get().unwrap_err().status(), Status::ConsentRequired);
    assert_eq!(process.operations(), [Get, Lease, Get, Put, Release]);
}

#[test]
fn login_is_possible_although_store_fails() {
    for failing in 0..7 {
        let world = World::new();
        let mut process =
            world.process_with(move |number, _| (number == failing).then_some(BeforeEffect)).with_login();
        process.source.can_log_in = true;
        revoke_login(&world);
        assert_eq!(process.get_value(), "at1", "{failing}");
        assert_eq!(world.server.sent_refresh_tokens(), ["r0"], "{failing}");
        assert_eq!(process.take_warnings().len(), 1, "{failing}");
    }
}

#[test]
fn failed_read_after_refusal_sends_nothing_again() {
    let world = World::new();
    let process = world.process_with(|number, _| (number == 4).then_some(BeforeEffect)).with_login();
    revoke_login(&world);
    assert_eq!(process.get().unwrap_err().status(), Status::ConsentRequired);
    assert_eq!(world.server.sent_refresh_tokens(), ["r0"]);
    assert_eq!(process.take_warnings().len(), 1);
}

#[test]
fn lost_response_leaves_announcement() {
    let world = World::new();
    let process = world.user_process();
    let is_first = Mutex::new(true);
    process.source.during_request(move |phase| {
        if phase == RequestPhase::Receive && std::mem::take(&mut *is_first.lock().unwrap()) {
            return Err(Error::new(NetworkError::Connection, "network", "closed"));
        }
        Ok(())
    });
    process.get().unwrap_err();
    let content = world.entry().unwrap().content;
    assert!(content.is_spending && content.refusal.is_none());
}

#[test]
fn removal_returns_refresh_token() {
    let world = World::new();
    let (process, other) = (world.user_process(), world.user_process());
    process.get().unwrap();
    let call = CallContext::unbounded();
    let latest = other.entry().remove(&other.request(&call)).unwrap();
    assert_eq!(latest.reveal(), "r1");
    let content = world.entry().unwrap().content;
    assert!(content.token.is_none() && content.refresh_token.is_none());
    assert_eq!(other.entry().remove(&other.request(&call)), None);
    process.operations();
    process.get().unwrap();
    assert_eq!(process.operations(), [Get, Lease, Get, Put, Put], "the token is not in the store");
}

#[test]
fn published_login_is_shared() {
    let world = World::new();
    let (process, other) = (world.user_process(), world.user_process());
    other.get().unwrap();
    let generation = world.entry().unwrap().generation;
    let token = process.source.token("published".to_owned());
    let call = CallContext::unbounded();
    process.entry().publish(&token, Some(&Secret::from("r9")), &process.request(&call));
    assert!(token.is_shared() && world.entry().unwrap().generation > generation);
    assert_eq!(world.user_process().get_value(), "published");
    assert_eq!(shared_refresh_token(&world).unwrap(), "r9");
}

#[test]
fn early_refresh_of_user_sends_refresh_token_once() {
    let world = World::new();
    let (first, second) = (world.user_process(), world.user_process());
    first.get().unwrap();
    second.get().unwrap();
    world.advance(LIFETIME - seconds(30));
    assert_eq!(value(&first.refresh_early().unwrap()), "at2");
    assert_eq!(value(&second.refresh_early().unwrap()), "at2");
    assert_eq!(world.server.sent_refresh_tokens(), ["r0", "r1"]);
    assert_eq!(second.source.refresh_token().unwrap().reveal(), "r0", "only a leader needs it");
}

#[test]
fn late_login_does_not_replace_newer_token() {
    let world = World::new();
    let (late, other) = (world.user_process(), world.user_process());
    let token = late.source.token("late".to_owned());
    world.advance(seconds(1));
    let newer = other.get_value();
    let call = CallContext::unbounded();
    late.entry().publish(&token, Some(&Secret::from("r9")), &late.request(&call));
    assert!(!token.is_shared() && !world.store.is_leased(&identity(1).name));
    assert_eq!((late.operations(), world.user_process().get_value()), (vec![Lease, Get, Release], newer));
    world.advance(LIFETIME);
    let token = late.source.token("new".to_owned());
    late.entry().publish(&token, Some(&Secret::from("r9")), &late.request(&call));
    assert!(token.is_shared(), "the other token is older");
}
