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
use crate::net::http::request_context::{Exchange, SLICE, Stage};
use crate::sys;

const AT_ONCE: usize = 8;
const OF_ONE_NAME: usize = 2;

/// Who is asked: a seam for the tests.
pub(super) type Ask = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The lookups of one process.
#[derive(Clone)]
pub(super) struct Lookups {
    ask: Arc<Ask>,
    places: Arc<Shared<Busy>>,
}

/// The names that are being looked up, each as often as it is.
type Busy = Vec<String>;

/// A value and a bell for when it changes.
struct Shared<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Shared<T> {
    fn new(value: T) -> Arc<Self> {
        Arc::new(Self { value: Mutex::new(value), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `take` finds what it wants, for as long as the call lasts.
    fn wait<R>(&self, exchange: &Exchange, mut take: impl FnMut(&mut T) -> Option<R>) -> Result<R> {
        let mut value = self.lock();
        loop {
            if let Some(found) = take(&mut value) {
                return Ok(found);
            }
            exchange.check()?;
            value = self
                .changed
                .wait_timeout(value, exchange.left(SLICE))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// One of the places for threads; free again when dropped.
struct Place {
    places: Arc<Shared<Busy>>,
    name: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut busy = self.places.lock();
        if let Some(ours) = busy.iter().position(|name| *name == self.name) {
            busy.swap_remove(ours);
        }
        // All: the one that is woken may be waiting for another name.
        self.places.changed.notify_all();
    }
}

impl Lookups {
    pub(super) fn new(ask: Arc<Ask>) -> Self {
        Self { ask, places: Shared::new(Vec::new()) }
    }

    /// The operating system's resolver.
    pub(super) fn system() -> Self {
        Self::new(Arc::new(|host: &str, port: u16| Ok((host, port).to_socket_addrs()?.collect())))
    }

    /// The addresses of `host`, at least one, in the order in which to try them.
    pub(super) fn addresses(&self, host: &str, port: u16, exchange: &Exchange) -> Result<Vec<SocketAddr>> {
        if let Some(known) = without_asking(host, port) {
            return Ok(known);
        }
        let mut addresses =
            self.asked(host, port, exchange)?.map_err(|error| unresolved(host, &error.to_string()))?;
        addresses.dedup();
        if addresses.is_empty() {
            return Err(unresolved(host, "it has no address"));
        }
        Ok(addresses)
    }

    fn place(&self, host: &str, exchange: &Exchange) -> Result<Place> {
        exchange.reached(Stage::Queueing);
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.places.wait(exchange, |busy| is_free(busy, &name).then(|| busy.push(name.clone())))?;
        exchange.reached(Stage::LookingUp);
        Ok(Place { places: Arc::clone(&self.places), name })
    }

    fn asked(&self, host: &str, port: u16, exchange: &Exchange) -> Result<io::Result<Vec<SocketAddr>>> {
        let place = self.place(host, exchange)?;
        let answer = Shared::new(None);
        let (ask, name, theirs) = (Arc::clone(&self.ask), host.to_owned(), Arc::clone(&answer));
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

fn is_free(busy: &Busy, name: &str) -> bool {
    busy.len() < AT_ONCE && busy.iter().filter(|other| *other == name).count() < OF_ONE_NAME
}

fn without_asking(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
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

fn unresolved(host: &str, why: &str) -> Error {
    Error::new(
        Status::Network,
        "network",
        format!("{host} cannot be resolved: {why}; check the host's name and the DNS of this machine"),
    )
}
