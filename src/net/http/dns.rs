//! A host's addresses, within the deadline of a call.
//!
//! getaddrinfo cannot be interrupted, so it runs on a short thread that may outlive its caller, all signals blocked; at
//! most 8 at once, and 2 for one name, so that a name that nobody answers for leaves room for the others. Literal
//! addresses and `localhost` (RFC 6761 section 6.3) are answered without asking anybody.
//!
//! std's locks and not parking_lot's: those queue their waiters in one table for the whole process, and another thread
//! may hold it at the moment of a fork.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::base::error::{Error, Result, Status};
use crate::net::http::request_context::{CANCEL_POLL_INTERVAL, RequestContext, RequestPhase};
use crate::sys;

const MAX_LOOKUPS: usize = 8;
const MAX_LOOKUPS_PER_NAME: usize = 2;

/// Who is asked: a seam for the tests.
pub(super) type ResolveFn = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The lookups of one process.
#[derive(Clone)]
pub(super) struct DnsResolver {
    resolve_fn: Arc<ResolveFn>,
    in_flight: Arc<CondvarMutex<InFlightNames>>,
}

/// The names that are being looked up, each as often as it is.
type InFlightNames = Vec<String>;

/// A value and a bell for when it changes.
struct CondvarMutex<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> CondvarMutex<T> {
    fn new(value: T) -> Arc<Self> {
        Arc::new(Self { value: Mutex::new(value), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `take` finds what it wants, for as long as the call lasts.
    fn wait<R>(&self, exchange: &RequestContext, mut take: impl FnMut(&mut T) -> Option<R>) -> Result<R> {
        let mut value = self.lock();
        loop {
            if let Some(found) = take(&mut value) {
                return Ok(found);
            }
            exchange.check()?;
            value = self
                .changed
                .wait_timeout(value, exchange.remaining(CANCEL_POLL_INTERVAL))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// One of the places for threads; free again when dropped.
struct LookupPermit {
    in_flight: Arc<CondvarMutex<InFlightNames>>,
    name: String,
}

impl Drop for LookupPermit {
    fn drop(&mut self) {
        let mut busy = self.in_flight.lock();
        if let Some(ours) = busy.iter().position(|name| *name == self.name) {
            busy.swap_remove(ours);
        }
        // All: the one that is woken may be waiting for another name.
        self.in_flight.changed.notify_all();
    }
}

impl DnsResolver {
    pub(super) fn new(ask: Arc<ResolveFn>) -> Self {
        Self { resolve_fn: ask, in_flight: CondvarMutex::new(Vec::new()) }
    }

    /// The operating system's resolver.
    pub(super) fn system() -> Self {
        Self::new(Arc::new(|host: &str, port: u16| Ok((host, port).to_socket_addrs()?.collect())))
    }

    /// The addresses of `host`, at least one, in the order in which to try them.
    pub(super) fn resolve(
        &self,
        host: &str,
        port: u16,
        exchange: &RequestContext,
    ) -> Result<Vec<SocketAddr>> {
        if let Some(known) = resolve_locally(host, port) {
            return Ok(known);
        }
        let mut addresses = self
            .resolve_on_thread(host, port, exchange)?
            .map_err(|error| resolve_error(host, &error.to_string()))?;
        addresses.dedup();
        if addresses.is_empty() {
            return Err(resolve_error(host, "it has no address"));
        }
        Ok(addresses)
    }

    fn acquire_permit(&self, host: &str, exchange: &RequestContext) -> Result<LookupPermit> {
        exchange.set_phase(RequestPhase::DnsQueued);
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.in_flight
            .wait(exchange, |busy| has_free_permit(busy, &name).then(|| busy.push(name.clone())))?;
        exchange.set_phase(RequestPhase::Dns);
        Ok(LookupPermit { in_flight: Arc::clone(&self.in_flight), name })
    }

    fn resolve_on_thread(
        &self,
        host: &str,
        port: u16,
        exchange: &RequestContext,
    ) -> Result<io::Result<Vec<SocketAddr>>> {
        let place = self.acquire_permit(host, exchange)?;
        let answer = CondvarMutex::new(None);
        let (ask, name, theirs) = (Arc::clone(&self.resolve_fn), host.to_owned(), Arc::clone(&answer));
        let started = sys::with_signals_blocked(|| {
            std::thread::Builder::new().name("authgrant-dns".to_owned()).spawn(move || {
                let found = ask(&name, port);
                drop(place);
                *theirs.lock() = Some(found);
                theirs.changed.notify_one();
            })
        });
        match started {
            Ok(_) => answer.wait(exchange, Option::take),
            Err(error) => Ok(Err(error)),
        }
    }
}

fn has_free_permit(busy: &InFlightNames, name: &str) -> bool {
    busy.len() < MAX_LOOKUPS && busy.iter().filter(|other| *other == name).count() < MAX_LOOKUPS_PER_NAME
}

fn resolve_locally(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(vec![SocketAddr::new(address, port)]);
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    name.eq_ignore_ascii_case("localhost").then(|| {
        vec![
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
        ]
    })
}

fn resolve_error(host: &str, why: &str) -> Error {
    Error::new(
        Status::Network,
        "network",
        format!("{host} cannot be resolved: {why}; check the host's name and the DNS of this machine"),
    )
}
