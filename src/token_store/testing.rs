//! A store in memory for tests, shared by simulated processes.
#![cfg_attr(feature = "model", allow(dead_code, reason = "loom tests use a part of it"))]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::{EntryName, Owner, Put, StoredValue, TokenStore, generation};
use crate::base::call::CallContext;
use crate::base::error::{Error, NetworkError, Result};
use crate::sys::sync::Mutex;

/// The time of a simulated world in milliseconds. All clocks of the world run at its rate.
#[derive(Clone, Default)]
pub(crate) struct WorldTime(Arc<AtomicU64>);

impl WorldTime {
    pub(crate) fn millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.0.fetch_add(u64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

/// An operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Get,
    Lease,
    Put,
    Release,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    BeforeEffect,
    /// The caller cannot know whether the operation took effect.
    AfterEffect,
}

/// Called before each operation of a process with the number of its earlier ones; the lock of the store is not
/// held.
pub(crate) type Hook = dyn Fn(usize, Operation) -> Option<Fault> + Send + Sync;

/// Called after a value was written, with the value that it replaced.
pub(crate) type WriteObserver = dyn Fn(&EntryName, Option<&[u8]>, &[u8]) + Send + Sync;

/// The server of a store.
pub(crate) struct MemoryStore {
    time: WorldTime,
    /// By how much the clock of the store is ahead of the time of the world, in milliseconds.
    offset: AtomicI64,
    state: Mutex<State>,
    observer: Option<Box<WriteObserver>>,
}

#[derive(Default)]
struct State {
    content: Content,
    /// The content before each change, for a failover that loses the last ones.
    history: Vec<Content>,
}

#[derive(Clone, Default)]
struct Content {
    values: HashMap<EntryName, (Vec<u8>, i64)>,
    leases: HashMap<EntryName, (Owner, i64)>,
}

impl Content {
    fn value(&self, name: &EntryName, now: i64) -> Option<(&[u8], i64)> {
        self.values.get(name).filter(|(_, ends_at)| *ends_at > now).map(|(value, end)| (&value[..], *end))
    }

    fn owner(&self, name: &EntryName, now: i64) -> Option<Owner> {
        self.leases.get(name).filter(|(_, ends_at)| *ends_at > now).map(|(owner, _)| *owner)
    }
}

impl MemoryStore {
    pub(crate) fn new(time: &WorldTime) -> Arc<Self> {
        Self::observed(time, None)
    }

    pub(crate) fn observed(time: &WorldTime, observer: Option<Box<WriteObserver>>) -> Arc<Self> {
        Arc::new(Self { time: time.clone(), offset: AtomicI64::default(), state: Mutex::default(), observer })
    }

    /// The store as a process uses it that runs `hook` before each operation.
    pub(crate) fn client(
        self: &Arc<Self>,
        hook: impl Fn(usize, Operation) -> Option<Fault> + Send + Sync + 'static,
    ) -> MemoryClient {
        MemoryClient {
            store: Arc::clone(self),
            operations: Arc::default(),
            count: Arc::default(),
            owner: Arc::default(),
            hook: Arc::new(hook),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        i64::try_from(self.time.millis()).unwrap() + self.offset.load(Ordering::SeqCst)
    }

    /// Sets the clock of the store forward or back.
    pub(crate) fn step_clock(&self, millis: i64) {
        self.offset.fetch_add(millis, Ordering::SeqCst);
    }

    /// Loses the last `count` changes, leases included.
    pub(crate) fn fail_over(&self, count: usize) {
        let mut state = self.state.lock();
        for _ in 0..count {
            if let Some(earlier) = state.history.pop() {
                state.content = earlier;
            }
        }
    }

    /// The bytes of a value, and the milliseconds until it ends.
    pub(crate) fn value(&self, name: &EntryName) -> Option<(Vec<u8>, i64)> {
        let now = self.now();
        self.state.lock().content.value(name, now).map(|(value, ends_at)| (value.to_vec(), ends_at - now))
    }

    /// Replaces the bytes of a value without a lease.
    pub(crate) fn forge(&self, name: &EntryName, value: &[u8], ttl: Duration) {
        let ends_at = self.now() + i64::try_from(ttl.as_millis()).unwrap();
        self.state.lock().content.values.insert(name.clone(), (value.to_vec(), ends_at));
    }

    pub(crate) fn remove(&self, name: &EntryName) {
        self.state.lock().content.values.remove(name);
    }

    /// Whether a process holds the lease.
    pub(crate) fn is_leased(&self, name: &EntryName) -> bool {
        self.state.lock().content.owner(name, self.now()).is_some()
    }

    /// Acquires the lease for a process that will never release it.
    pub(crate) fn lease_for_crashed(&self, name: &EntryName, ttl: Duration) {
        let ends_at = self.now() + i64::try_from(ttl.as_millis()).unwrap();
        self.state.lock().content.leases.insert(name.clone(), (Owner([0xff; 16]), ends_at));
    }
}

impl State {
    fn change(&mut self, change: impl FnOnce(&mut Content)) {
        self.history.push(self.content.clone());
        change(&mut self.content);
    }
}

/// The store as one process uses it. Clones count their operations together.
#[derive(Clone)]
pub(crate) struct MemoryClient {
    store: Arc<MemoryStore>,
    operations: Arc<Mutex<Vec<Operation>>>,
    count: Arc<AtomicUsize>,
    /// Of the lease that was acquired last.
    owner: Arc<Mutex<Option<Owner>>>,
    hook: Arc<Hook>,
}

impl MemoryClient {
    /// Whether this process holds the lease.
    pub(crate) fn holds_lease(&self, name: &EntryName) -> bool {
        let owner = *self.owner.lock();
        let now = self.store.now();
        owner.is_some() && self.store.state.lock().content.owner(name, now) == owner
    }

    /// The operations since the last call.
    pub(crate) fn take_operations(&self) -> Vec<Operation> {
        std::mem::take(&mut *self.operations.lock())
    }

    fn operate<T>(
        &self,
        operation: Operation,
        call: &CallContext,
        effect: impl FnOnce(&mut State, i64) -> T,
    ) -> Result<T> {
        self.operations.lock().push(operation);
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        let fault = (self.hook)(number, operation);
        call.check()?;
        if fault == Some(Fault::BeforeEffect) {
            return Err(failure());
        }
        let outcome = effect(&mut self.store.state.lock(), self.store.now());
        if fault == Some(Fault::AfterEffect) { Err(failure()) } else { Ok(outcome) }
    }
}

fn failure() -> Error {
    Error::new(NetworkError::Connection, "token cache", "the store in memory failed")
}

impl TokenStore for MemoryClient {
    fn get(&self, name: &EntryName, call: &CallContext) -> Result<Option<StoredValue>> {
        self.operate(Operation::Get, call, |state, now| {
            let (value, ends_at) = state.content.value(name, now)?;
            let ttl = Duration::from_millis(u64::try_from(ends_at - now).unwrap());
            Some(StoredValue { bytes: value.to_vec(), ttl })
        })
    }

    fn lease(&self, name: &EntryName, owner: &Owner, ttl: Duration, call: &CallContext) -> Result<bool> {
        self.operate(Operation::Lease, call, |state, now| {
            if state.content.owner(name, now).is_some_and(|holder| holder != *owner) {
                return false;
            }
            let ends_at = now + i64::try_from(ttl.as_millis()).unwrap();
            state.change(|content| {
                content.leases.insert(name.clone(), (*owner, ends_at));
            });
            *self.owner.lock() = Some(*owner);
            true
        })
    }

    fn put(&self, put: &Put<'_>, call: &CallContext) -> Result<bool> {
        self.operate(Operation::Put, call, |state, now| {
            let current = state.content.value(put.name, now).map(|(value, _)| value.to_vec());
            let current_generation = current.as_deref().and_then(generation).unwrap_or_default();
            if state.content.owner(put.name, now) != Some(*put.owner)
                || current_generation != put.expected_generation
            {
                return false;
            }
            let ends_at = now + i64::try_from(put.ttl.as_millis()).unwrap();
            state.change(|content| {
                content.values.insert(put.name.clone(), (put.value.to_vec(), ends_at));
                if put.releases_lease {
                    content.leases.remove(put.name);
                }
            });
            if let Some(observer) = &self.store.observer {
                observer(put.name, current.as_deref(), put.value);
            }
            true
        })
    }

    fn release(&self, name: &EntryName, owner: &Owner, call: &CallContext) -> Result<()> {
        self.operate(Operation::Release, call, |state, now| {
            if state.content.owner(name, now) == Some(*owner) {
                state.change(|content| {
                    content.leases.remove(name);
                });
            }
        })
    }
}
