//! DNS lookups that end at the deadline of a call.
//!
//! getaddrinfo cannot be interrupted, so it runs on a short-lived thread with all signals blocked, which may
//! outlive its caller. At most 8 lookups run at a time, and 2 for one name, so that an unresponsive name does
//! not block lookups of other names. IP address literals and `localhost` (RFC 6761 section 6.3) are resolved
//! without DNS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use super::context::{CANCEL_POLL_INTERVAL, ConnectionPhase, SocketContext};
use crate::base::error::{Cause, Error, Result, io_error_text};
use crate::sys;
use crate::sys::sync::Monitor;

const MAX_LOOKUPS: usize = 8;
const MAX_LOOKUPS_PER_NAME: usize = 2;

/// The lookup function; tests replace it.
pub type ResolveFn = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The DNS lookups of a process.
#[derive(Clone)]
pub struct DnsResolver {
    resolve_fn: Arc<ResolveFn>,
    in_flight: Arc<Monitor<InFlightNames>>,
}

/// The names of the running lookups, once for each lookup.
type InFlightNames = Vec<String>;

/// Permission to start one lookup; released when dropped.
struct LookupPermit {
    in_flight: Arc<Monitor<InFlightNames>>,
    name: String,
}

impl Drop for LookupPermit {
    fn drop(&mut self) {
        let mut in_flight = self.in_flight.lock();
        if let Some(index) = in_flight.iter().position(|name| *name == self.name) {
            in_flight.swap_remove(index);
        }
        // All waiters, because a single one may be waiting for another name.
        self.in_flight.notify_all();
    }
}

impl DnsResolver {
    /// A resolver that calls `resolve_fn`.
    #[must_use]
    pub fn new(resolve_fn: Arc<ResolveFn>) -> Self {
        Self { resolve_fn, in_flight: Arc::default() }
    }

    /// The operating system's resolver.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(|host: &str, port: u16| Ok((host, port).to_socket_addrs()?.collect())))
    }

    /// Resolves `host` to at least one address, in the order in which to try them.
    pub(super) fn resolve(
        &self,
        host: &str,
        port: u16,
        context: &dyn SocketContext,
    ) -> Result<Vec<SocketAddr>> {
        if let Some(addresses) = resolve_locally(host, port) {
            return Ok(addresses);
        }
        let mut addresses = self.resolve_on_thread(host, port, context)?;
        addresses.dedup();
        if addresses.is_empty() {
            return Err(resolve_error(host, "the host has no address", context));
        }
        Ok(interleave_families(addresses))
    }

    fn acquire_permit(&self, host: &str, context: &dyn SocketContext) -> Result<LookupPermit> {
        context.set_phase(ConnectionPhase::DnsQueued);
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        wait_for(&self.in_flight, context, |in_flight| {
            has_free_permit(in_flight, &name).then(|| in_flight.push(name.clone()))
        })?;
        context.set_phase(ConnectionPhase::Dns);
        Ok(LookupPermit { in_flight: Arc::clone(&self.in_flight), name })
    }

    fn resolve_on_thread(
        &self,
        host: &str,
        port: u16,
        context: &dyn SocketContext,
    ) -> Result<Vec<SocketAddr>> {
        let permit = self.acquire_permit(host, context)?;
        let result = Arc::<Monitor<_>>::default();
        let (resolve_fn, name, thread_result) =
            (Arc::clone(&self.resolve_fn), host.to_owned(), Arc::clone(&result));
        let spawned = sys::with_signals_blocked(|| {
            std::thread::Builder::new().name("authgrant-dns".to_owned()).spawn(move || {
                let found = resolve_fn(&name, port);
                drop(permit);
                *thread_result.lock() = Some(found);
                thread_result.notify_all();
            })
        });
        spawned.map_err(|error| thread_error(host, &error, context))?;
        let found = wait_for(&result, context, Option::take)?;
        found.map_err(|error| resolve_error(host, &io_error_text(&error), context))
    }
}

/// Waits until `try_take` returns a value. Fails at the call's deadline or when it is cancelled.
fn wait_for<T, R>(
    monitor: &Monitor<T>,
    context: &dyn SocketContext,
    mut try_take: impl FnMut(&mut T) -> Option<R>,
) -> Result<R> {
    let mut value = monitor.lock();
    let mut found = try_take(&mut value);
    loop {
        if let Some(found) = found {
            return Ok(found);
        }
        context.check()?;
        let timeout = Some(context.remaining(CANCEL_POLL_INTERVAL));
        value = monitor.wait_while(value, timeout, |value| {
            found = try_take(value);
            found.is_none()
        });
    }
}

fn has_free_permit(in_flight: &InFlightNames, name: &str) -> bool {
    in_flight.len() < MAX_LOOKUPS
        && in_flight.iter().filter(|other| *other == name).count() < MAX_LOOKUPS_PER_NAME
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

/// Alternates IPv6 and IPv4 addresses, beginning with the family of the first address, so that a family
/// without connectivity delays the connection by one attempt only (RFC 8305 section 4). The order inside a
/// family is that of the operating system (RFC 6724).
fn interleave_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut other = other.into_iter();
    let mut interleaved: Vec<_> =
        preferred.into_iter().flat_map(|address| [Some(address), other.next()]).flatten().collect();
    interleaved.extend(other);
    interleaved
}

fn thread_error(host: &str, error: &io::Error, context: &dyn SocketContext) -> Error {
    let reason = io_error_text(error);
    let text = format!(
        "cannot resolve {host}: cannot start a thread for the DNS lookup: {reason}; check the limits of this process \
         on threads and memory"
    );
    context.resolve_error(text).with_cause(Cause::Resources)
}

fn resolve_error(host: &str, reason: &str, context: &dyn SocketContext) -> Error {
    context.resolve_error(format!(
        "cannot resolve {host}: {reason}; check the host name and the DNS configuration of this machine"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_families_alternate_from_first() {
        for (found, expected) in [
            (
                "[::1]:1 [::2]:1 [::3]:1 10.0.0.1:1 10.0.0.2:1",
                "[::1]:1 10.0.0.1:1 [::2]:1 10.0.0.2:1 [::3]:1",
            ),
            ("10.0.0.1:1 [::1]:1 [::2]:1 [::3]:1", "10.0.0.1:1 [::1]:1 [::2]:1 [::3]:1"),
            ("10.0.0.1:1 10.0.0.2:1", "10.0.0.1:1 10.0.0.2:1"),
        ] {
            let addresses = found.split(' ').map(|address| address.parse().unwrap()).collect();
            let interleaved: Vec<_> =
                interleave_families(addresses).iter().map(ToString::to_string).collect();
            assert_eq!(interleaved.join(" "), expected);
        }
    }
}
