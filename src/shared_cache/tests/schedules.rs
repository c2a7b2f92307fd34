//! Schedules of several processes: which of them goes on at each operation of the store and at each request, which
//! are killed or paused, and how clocks and the store fail. A model of the authorization server decides which refresh
//! tokens may be sent twice.
//!
//! Processes share nothing but the store and the server, so these points are the only ones at which their order
//! matters: [`two_processes_in_every_order`] visits all orders of two processes up to a depth, and
//! [`random_schedules`] samples those of more processes with every disturbance.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::base::call::CallContext;
use crate::base::clock::SystemClock;
use crate::base::error::{ErrorKind, OAuthReason};
use crate::base::secret::Secret;
use crate::shared_cache::testing::{
    AuthServer, LIFETIME, RequestPhase, SimulatedProcess, World, cache_key, identity, number_of, value,
};
use crate::shared_cache::{Entry, Error, Request, TokenSource, entry};
use crate::token::AccessToken;
use crate::token::cache::FetchKind;
use crate::token_store::testing::{Fault, MemoryStore, Operation, WorldTime};
use crate::token_store::{EntryName, StoredValue};

/// Where a process waits until it is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    Idle,
    Store(Operation),
    Request(RequestPhase),
}

/// What happens to a process that was waiting at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Proceed,
    Fail(Fault),
    Die,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worker {
    Running,
    Waiting(Point),
    Released(Verdict),
    Done,
}

/// Lets one process run at a time.
struct Scheduler {
    workers: Mutex<Vec<Worker>>,
    /// Notified when a process stops, and when each process is released.
    stopped: Condvar,
    released: Vec<Condvar>,
}

impl Scheduler {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            workers: Mutex::new(vec![Worker::Running; count]),
            stopped: Condvar::new(),
            released: (0..count).map(|_| Condvar::new()).collect(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.workers.lock().unwrap()
    }

    /// Called by process `number` at a point.
    fn reach(&self, number: usize, point: Point) -> Verdict {
        let mut workers = self.lock();
        workers[number] = Worker::Waiting(point);
        self.stopped.notify_one();
        loop {
            if let Worker::Released(verdict) = workers[number] {
                workers[number] = Worker::Running;
                return verdict;
            }
            workers = self.released[number].wait(workers).unwrap();
        }
    }

    fn finish(&self, number: usize) {
        self.lock()[number] = Worker::Done;
        self.stopped.notify_one();
    }

    /// Waits until no process runs, and returns those that wait.
    fn waiting(&self) -> Vec<(usize, Point)> {
        let mut workers = self.lock();
        while workers.iter().any(|worker| matches!(worker, Worker::Running | Worker::Released(_))) {
            let timeout = Duration::from_secs(60);
            let (guard, outcome) = self.stopped.wait_timeout(workers, timeout).unwrap();
            assert!(!outcome.timed_out(), "a process neither ends nor reaches a point: {guard:?}");
            workers = guard;
        }
        let waiting = workers.iter().enumerate().filter_map(|(number, worker)| match worker {
            Worker::Waiting(point) => Some((number, *point)),
            _ => None,
        });
        waiting.collect()
    }

    fn release(&self, number: usize, verdict: Verdict) {
        self.lock()[number] = Worker::Released(verdict);
        self.released[number].notify_one();
    }
}

/// One sending of a refresh token.
struct Spend {
    user: u8,
    token: u64,
    life: u64,
    /// Whether the process was killed before it had written the successor.
    was_killed: bool,
    is_written: bool,
}

/// What has happened in a schedule, and what the model permits.
#[derive(Default)]
struct Model {
    spends: Vec<Spend>,
    /// A failover, a failed operation or a step of the clock of the store: leases and writes may have been lost.
    is_store_disturbed: bool,
    has_failed_over: bool,
    is_store_clock_stepped: bool,
    /// A process was killed or paused.
    is_delayed: bool,
    /// How often a login ended because a refresh token was sent twice.
    ended_logins: u32,
    permitted_reuses: u32,
    violations: Vec<String>,
    /// By how much the store wrote each access token later than the process had measured its age, in milliseconds.
    late_by: HashMap<(u8, u64), u64>,
    /// The delay of the write in progress.
    write_delay: u64,
    /// The events of the schedule, to be shown if it fails.
    trace: Vec<String>,
}

/// The part of a schedule that all its threads use.
struct Simulation {
    scheduler: Arc<Scheduler>,
    model: Mutex<Model>,
    time: WorldTime,
    is_user_bound: bool,
    lives: AtomicU64,
}

impl Simulation {
    fn trace(&self, event: String) {
        let event = format!("{} ms: {event}", self.time.millis());
        self.model.lock().unwrap().trace.push(event);
    }

    /// Lets a process go on.
    fn release(&self, number: usize, point: Point, verdict: Verdict) {
        self.trace(format!("process {number} at {point:?}: {verdict:?}"));
        self.scheduler.release(number, verdict);
    }

    fn violation(&self, text: String) {
        self.model.lock().unwrap().violations.push(text);
    }
}

/// One life of one process: from its start until it ends or is killed.
struct Life {
    simulation: Arc<Simulation>,
    number: usize,
    user: u8,
    life: u64,
    is_dead: AtomicBool,
    /// When the entry was read or the server responded last.
    informed_at: AtomicU64,
}

impl Life {
    fn reach(&self, point: Point) -> Option<Fault> {
        if self.is_dead.load(Ordering::SeqCst) {
            // A guard is dropped while the thread of a killed process unwinds.
            return Some(Fault::BeforeEffect);
        }
        let reached_at = self.simulation.time.millis();
        let verdict = self.simulation.scheduler.reach(self.number, point);
        if point == Point::Store(Operation::Put) {
            self.simulation.model.lock().unwrap().write_delay = self.simulation.time.millis() - reached_at;
        }
        if matches!(point, Point::Store(Operation::Get) | Point::Request(RequestPhase::Send)) {
            self.informed_at.store(self.simulation.time.millis(), Ordering::SeqCst);
        }
        match verdict {
            Verdict::Proceed => None,
            Verdict::Fail(fault) => Some(fault),
            Verdict::Die => {
                self.is_dead.store(true, Ordering::SeqCst);
                resume_unwind(Box::new("killed"));
            }
        }
    }
}

/// Starts process `number`, which belongs to `user`.
fn start_process(
    simulation: &Arc<Simulation>,
    world: &World,
    number: usize,
    user: u8,
) -> (Arc<Life>, SimulatedProcess) {
    let life = Arc::new(Life {
        simulation: Arc::clone(simulation),
        number,
        user,
        life: simulation.lives.fetch_add(1, Ordering::SeqCst),
        is_dead: AtomicBool::new(false),
        informed_at: AtomicU64::new(0),
    });
    let points = Arc::clone(&life);
    let mut process = world.process_with(move |_, operation| points.reach(Point::Store(operation)));
    process.user = user;
    process.source.is_user_bound = simulation.is_user_bound;
    process.step_clock(i64::try_from(number).unwrap() * 300 - 300);
    let (points, client, server) = (Arc::clone(&life), process.client.clone(), Arc::clone(&world.server));
    let sent = Arc::clone(&process.source.refresh_token);
    process.source.during_request(move |phase| {
        points.reach(Point::Request(phase));
        if phase == RequestPhase::Send && points.simulation.is_user_bound {
            let token = number_of(sent.lock().as_ref().unwrap().reveal());
            let has_lease = client.holds_lease(&identity(user).name);
            record_spend(&points, token, has_lease, &server);
        }
        Ok(())
    });
    (life, process)
}

fn record_spend(life: &Life, token: u64, has_lease: bool, server: &AuthServer) {
    let mut model = life.simulation.model.lock().unwrap();
    let current = server.state.lock().current_refresh_token;
    // A token of a login that has ended harms nobody.
    let is_spent = token / 100 == current / 100 && token != current;
    if is_spent {
        let is_permitted = !has_lease
            || model.is_store_disturbed
            || model
                .spends
                .iter()
                .rfind(|spend| (spend.user, spend.token) == (life.user, token))
                .is_some_and(|spend| spend.was_killed || !spend.is_written);
        if !is_permitted {
            let text = format!("process {} sends r{token} again, although r{current} exists", life.number);
            model.violations.push(text);
        }
        model.permitted_reuses += 1;
        model.ended_logins += 1;
        // The server ends the whole login.
        server.state.lock().current_refresh_token += 100;
    }
    let event =
        format!("{} ms: r{token}, lease {has_lease}, current r{current}", life.simulation.time.millis());
    model.trace.push(event);
    model.spends.push(Spend {
        user: life.user,
        token,
        life: life.life,
        was_killed: false,
        is_written: false,
    });
}

/// Runs the calls of process `number`.
fn run_process(
    simulation: &Arc<Simulation>,
    world: &World,
    number: usize,
    user: u8,
    calls: u32,
    early: bool,
) {
    let (mut life, mut process) = start_process(simulation, world, number, user);
    for call_number in 0..calls {
        let is_early = early && call_number % 3 == 2;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            life.reach(Point::Idle);
            run_call(&life, &process, is_early)
        }));
        match outcome {
            Ok(()) => {}
            Err(_) if life.is_dead.load(Ordering::SeqCst) => {
                let mut model = simulation.model.lock().unwrap();
                for spend in model.spends.iter_mut().filter(|spend| spend.life == life.life) {
                    spend.was_killed |= !spend.is_written;
                }
                drop(model);
                (life, process) = start_process(simulation, world, number, user);
            }
            Err(panic) => {
                simulation.scheduler.finish(number);
                resume_unwind(panic);
            }
        }
    }
    simulation.scheduler.finish(number);
}

fn run_call(life: &Life, process: &SimulatedProcess, is_early: bool) {
    let simulation = &life.simulation;
    let call = CallContext::unbounded();
    let kind = if is_early { FetchKind::EarlyRefresh } else { FetchKind::Needed };
    let outcome = process.get_for(&Request { kind, ..process.request(&call) });
    simulation.trace(match &outcome {
        Ok(token) => format!("process {} has {}, {:?}", life.number, value(token), token.is_shared()),
        Err(error) => format!("process {}: {error}", life.number),
    });
    match outcome {
        Ok(token) => {
            check_token(life, process, &token);
            let is_written = token.is_shared() && token.shared_origin().is_none();
            let mut model = simulation.model.lock().unwrap();
            if let Some(spend) = model.spends.iter_mut().rfind(|spend| spend.life == life.life) {
                spend.is_written |= is_written;
            }
            drop(model);
            if token.value.to_bytes().last().is_some_and(|byte| byte % 8 == 0) {
                process.reject(&token);
            }
        }
        Err(error) => check_error(life, process, &error, is_early),
    }
}

fn check_token(life: &Life, process: &SimulatedProcess, token: &AccessToken) {
    let simulation = &life.simulation;
    let text = value(token);
    let state = process.source.server.state.lock();
    let informed_at = life.informed_at.load(Ordering::SeqCst);
    let number = usize::try_from(number_of(&text)).unwrap();
    let model = simulation.model.lock().unwrap();
    let is_clock_stepped = model.is_store_clock_stepped;
    let late_by = model.late_by.get(&(life.user, number_of(&text))).copied().unwrap_or_default();
    drop(model);
    match state.received_at.get(number - 1) {
        _ if !text.ends_with(&state.padding) => {
            simulation.violation(format!("process {} received {text} of another user", life.number));
        }
        None => simulation.violation(format!("{text} was never issued")),
        Some(received_at) => {
            let is_expired =
                u128::from(informed_at) >= u128::from(*received_at + late_by) + LIFETIME.as_millis();
            if is_expired && !is_clock_stepped {
                simulation.violation(format!("{text} of {received_at} ms had expired at {informed_at} ms"));
            }
        }
    }
}

fn check_error(life: &Life, process: &SimulatedProcess, error: &Error, is_early: bool) {
    let simulation = &life.simulation;
    let model = simulation.model.lock().unwrap();
    let is_explained = match error.kind() {
        ErrorKind::NotCached => is_early,
        ErrorKind::Timeout(_) => simulation.is_user_bound && (model.is_delayed || model.is_store_disturbed),
        ErrorKind::OAuth(error) => error.reason == OAuthReason::ConsentRequired && model.ended_logins > 0,
        _ => false,
    };
    drop(model);
    if !is_explained {
        simulation.violation(format!("process {}: {error}", life.number));
    }
    if error.oauth_reason() == Some(OAuthReason::ConsentRequired) && !is_early {
        let (token, refresh_token) = process.source.server.log_in();
        process.source.adopt_refresh_token(Secret::from(&*refresh_token));
        let (call, token) = (CallContext::unbounded(), process.source.token(token));
        process.entry().publish(&token, Some(&Secret::from(&*refresh_token)), &process.request(&call));
    }
}

/// Checks that no write replaces a newer token by an older one.
fn check_write(simulation: &Simulation, name: &EntryName, old: Option<&[u8]>, new: &[u8]) {
    let user = if *name == identity(1).name { 1 } else { 2 };
    let open = |bytes: &[u8]| {
        let value = StoredValue { bytes: bytes.to_vec(), ttl: Duration::from_secs(1) };
        entry::open(&identity(user), &value)
    };
    let access_token =
        |entry: &Entry| entry.token(cache_key(), &SystemClock).map(|token| number_of(&value(&token)));
    let refresh_token = |entry: &Entry| entry.refresh_token().map(|token| number_of(token.reveal()));
    let Some(new) = open(new) else { return simulation.violation("a value cannot be read".to_owned()) };
    let mut model = simulation.model.lock().unwrap();
    if let Some(token) = access_token(&new) {
        let delay = model.write_delay;
        *model.late_by.entry((user, token)).or_default() += delay;
    }
    // The age of a token is measured by the clock of the store.
    let is_order_unknown = model.has_failed_over || model.is_store_clock_stepped;
    drop(model);
    let Some(old) = old.and_then(open) else { return };
    if new.generation <= old.generation {
        simulation.violation(format!("generation {} over {}", new.generation, old.generation));
    }
    for (what, old, new) in
        [("r", refresh_token(&old), refresh_token(&new)), ("at", access_token(&old), access_token(&new))]
    {
        if let (Some(old), Some(new)) = (old, new)
            && new < old
            && !is_order_unknown
        {
            simulation.violation(format!("{what}{new} over {what}{old}"));
        }
    }
}

/// Decisions of a seeded generator (xorshift64*).
struct Random(u64);

impl Random {
    /// A number below `count`.
    fn choose(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % count
    }
}

/// Which disturbances a schedule may have.
#[derive(Clone, Copy, Debug, Default)]
struct Disturbances {
    kills: bool,
    pauses: bool,
    steps: bool,
    failovers: bool,
    faults: bool,
}

struct Outcome {
    violations: Vec<String>,
    trace: String,
    reuses: u32,
    requests: usize,
}

/// The worlds of two users of one store.
fn worlds(simulation: &Arc<Simulation>) -> [World; 2] {
    let observer = Arc::clone(simulation);
    let store = MemoryStore::observed(
        &simulation.time,
        Some(Box::new(move |name, old, new| check_write(&observer, name, old, new))),
    );
    [1, 2].map(|user: u8| {
        let server = AuthServer::new(&simulation.time);
        server.state.lock().padding = format!("-user{user}");
        World { time: simulation.time.clone(), store: Arc::clone(&store), server }
    })
}

fn simulation(process_count: usize, is_user_bound: bool) -> Arc<Simulation> {
    Arc::new(Simulation {
        scheduler: Scheduler::new(process_count),
        model: Mutex::default(),
        time: WorldTime::default(),
        is_user_bound,
        lives: AtomicU64::default(),
    })
}

fn outcome(simulation: &Simulation, worlds: &[World; 2]) -> Outcome {
    let model = std::mem::take(&mut *simulation.model.lock().unwrap());
    Outcome {
        violations: model.violations,
        trace: model.trace.join("\n"),
        reuses: model.permitted_reuses,
        requests: worlds.iter().map(|world| world.server.request_count()).sum(),
    }
}

/// Runs three processes of one user and one of another.
fn run_random(random: &mut Random, disturbances: Disturbances) -> Outcome {
    const CALLS: u32 = 5;
    let simulation = simulation(4, random.choose(3) > 0);
    let worlds = worlds(&simulation);
    let early = random.choose(2) == 0;
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (simulation, worlds) = (&simulation, &worlds);
            let user: u8 = if number < 3 { 1 } else { 2 };
            let world = &worlds[usize::from(user - 1)];
            scope.spawn(move || run_process(simulation, world, number, user, CALLS, early));
        }
        let mut steps = 0;
        loop {
            let waiting = simulation.scheduler.waiting();
            if waiting.is_empty() {
                break;
            }
            steps += 1;
            assert!(steps < 20_000, "the schedule does not end");
            let is_idle = waiting.iter().all(|(_, point)| *point == Point::Idle);
            disturb(random, disturbances, &simulation, &worlds);
            simulation.time.advance(time_step(random, disturbances, is_idle, &simulation));
            let (number, point) = waiting[random.choose(waiting.len())];
            simulation.release(number, point, verdict(random, disturbances, point, &simulation));
        }
    });
    outcome(&simulation, &worlds)
}

fn time_step(
    random: &mut Random,
    disturbances: Disturbances,
    is_idle: bool,
    simulation: &Simulation,
) -> Duration {
    if is_idle && random.choose(3) == 0 {
        return Duration::from_secs(random.choose(4000) as u64);
    }
    match random.choose(40) {
        0 | 1 if disturbances.pauses => {
            simulation.model.lock().unwrap().is_delayed = true;
            Duration::from_millis(random.choose(25_000) as u64)
        }
        2..10 => Duration::from_millis(300),
        _ => Duration::from_millis(10),
    }
}

fn disturb(random: &mut Random, disturbances: Disturbances, simulation: &Simulation, worlds: &[World; 2]) {
    let store = &worlds[0].store;
    if disturbances.failovers && random.choose(60) == 0 {
        let mut model = simulation.model.lock().unwrap();
        (model.is_store_disturbed, model.has_failed_over) = (true, true);
        drop(model);
        store.fail_over(1 + random.choose(3));
    }
    if disturbances.steps && random.choose(80) == 0 {
        let mut model = simulation.model.lock().unwrap();
        (model.is_store_disturbed, model.is_store_clock_stepped, model.is_delayed) = (true, true, true);
        drop(model);
        store.step_clock(random.choose(600_000) as i64 - 300_000);
    }
    if disturbances.failovers && random.choose(200) == 0 {
        // The value of one user under the name of the other.
        if let Some((value, _)) = store.value(&identity(1).name) {
            simulation.model.lock().unwrap().is_store_disturbed = true;
            store.forge(&identity(2).name, &value, LIFETIME);
        }
    }
}

fn verdict(
    random: &mut Random,
    disturbances: Disturbances,
    point: Point,
    simulation: &Simulation,
) -> Verdict {
    if disturbances.kills && random.choose(30) == 0 {
        simulation.model.lock().unwrap().is_delayed = true;
        return Verdict::Die;
    }
    if disturbances.faults && matches!(point, Point::Store(_)) && random.choose(30) == 0 {
        simulation.model.lock().unwrap().is_store_disturbed = true;
        return Verdict::Fail(if random.choose(2) == 0 { Fault::BeforeEffect } else { Fault::AfterEffect });
    }
    Verdict::Proceed
}

#[test]
fn random_schedules() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seed = number("SCHEDULE_SEED");
    let seeds = seed.map_or(1..=number("SCHEDULES").unwrap_or(2000), |seed| seed..=seed);
    let (mut reuses, mut requests) = (0, 0);
    for seed in seeds {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // A sixteenth of the schedules has no disturbance.
        let bits = seed % 32;
        let disturbances = Disturbances {
            kills: bits & 1 != 0,
            pauses: bits & 2 != 0,
            steps: bits & 4 != 0,
            failovers: bits & 8 != 0,
            faults: bits & 16 != 0,
        };
        let outcome = run_random(&mut random, disturbances);
        let trace = outcome.trace;
        assert_eq!(outcome.violations, [""; 0], "SCHEDULE_SEED={seed}, {disturbances:?}\n{trace}");
        if bits == 0 {
            assert_eq!(outcome.reuses, 0, "SCHEDULE_SEED={seed}");
        }
        reuses += outcome.reuses;
        requests += outcome.requests;
    }
    assert!(seed.is_some() || reuses > 10, "the schedules are too calm: {reuses} of {requests} requests");
}

/// Visits all orders of two processes with a limited number of switches at their first points, depth first.
/// Afterwards they take turns.
#[derive(Default)]
struct AllOrders {
    /// The decisions of the current order: whether the other process goes on.
    switches: Vec<bool>,
    depth: usize,
    current: usize,
}

impl AllOrders {
    const MAX_DEPTH: usize = 12;
    const MAX_SWITCHES: usize = 3;

    /// Goes on to the next order; false if there is none.
    fn advance(&mut self) -> bool {
        (self.depth, self.current) = (0, 0);
        while let Some(is_switch) = self.switches.pop() {
            let count = self.switches.iter().filter(|is_switch| **is_switch).count();
            if !is_switch && count < Self::MAX_SWITCHES {
                self.switches.push(true);
                return true;
            }
        }
        false
    }

    /// The next of the processes that wait.
    fn choose<'w>(&mut self, waiting: &'w [(usize, Point)]) -> &'w (usize, Point) {
        let depth = self.depth;
        self.depth += 1;
        if depth == self.switches.len() && depth < Self::MAX_DEPTH {
            self.switches.push(false);
        }
        if self.switches.get(depth).copied().unwrap_or(true) {
            self.current = 1 - self.current;
        }
        waiting.iter().find(|(number, _)| *number == self.current).unwrap_or(&waiting[0])
    }
}

/// Runs one call of each of two processes. One of them is killed at the `kill`-th point of the first one.
fn run_path(paths: &mut AllOrders, is_user_bound: bool, kill: Option<usize>) -> Outcome {
    let simulation = simulation(2, is_user_bound);
    let worlds = worlds(&simulation);
    std::thread::scope(|scope| {
        for number in 0..2 {
            let (simulation, world) = (&simulation, &worlds[0]);
            scope.spawn(move || run_process(simulation, world, number, 1, 1, false));
        }
        let mut points_of_first = 0;
        loop {
            let waiting = simulation.scheduler.waiting();
            if waiting.is_empty() {
                break;
            }
            let (number, point) = *paths.choose(&waiting);
            // A process that waits for a lease alone is not worth many steps.
            let step = if waiting.len() == 1 { 1000 } else { 10 };
            simulation.time.advance(Duration::from_millis(step));
            points_of_first += usize::from(number == 0);
            let is_killed = number == 0 && kill == Some(points_of_first);
            if is_killed {
                simulation.model.lock().unwrap().is_delayed = true;
            }
            simulation.release(number, point, if is_killed { Verdict::Die } else { Verdict::Proceed });
        }
    });
    outcome(&simulation, &worlds)
}

#[test]
fn two_processes_in_every_order() {
    for is_user_bound in [false, true] {
        for kill in [None, Some(3), Some(4), Some(5), Some(6), Some(7), Some(8)] {
            let (mut paths, mut count) = (AllOrders::default(), 0);
            loop {
                let outcome = run_path(&mut paths, is_user_bound, kill);
                let what = format!("{is_user_bound} {kill:?} {:?}", paths.switches);
                assert_eq!(outcome.violations, [""; 0], "{what}\n{}", outcome.trace);
                match kill {
                    None => assert_eq!((outcome.requests, outcome.reuses), (1, 0), "{what}"),
                    Some(_) => assert!(outcome.requests <= 2 && outcome.reuses <= 1, "{what}"),
                }
                count += 1;
                if !paths.advance() {
                    break;
                }
            }
            assert!(count > 100, "{is_user_bound} {kill:?}: {count} orders");
        }
    }
}
