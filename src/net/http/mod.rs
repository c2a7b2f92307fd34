//! HTTP client: sends a [`Request`] according to a [`TransportConfig`] and a [`CallContext`], returns a
//! [`Response`].
//!
//! Every request of the crate goes through [`HttpClient`]. ureq implements HTTP and pools connections. DNS
//! lookup and sockets are those of [`net::socket`](crate::net::socket), and proxy tunnels and TLS are
//! implemented here, so that every phase observes the call's
//! deadline and each call can be cancelled individually. Redirects are not followed and the environment is
//! not read. Requests are not retried; [`RequestError::stale_connection`] reports when the caller may retry.

mod agent_cache;
mod buffers;
mod error;
mod message;
mod proxy_tunnel;
mod request;
mod request_context;
mod tcp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transport;

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::Agent;
use ureq::config::{AutoHeaderValue, Config};

use self::message::OversizePolicy;
use crate::base::call::CallContext;
use crate::base::clock::{Clock, SystemClock};
use crate::base::error::{Cause, Error, ErrorKind, NetworkError, Result};
use crate::base::log::LogLevel;
use crate::base::stats::{Counter, Stats};
use crate::key::KeyCache;
use crate::net::http::agent_cache::{AgentCache, AgentKey};
use crate::net::http::request_context::RequestContext;
use crate::net::http::tcp::{NoResolver, TcpConnector};
use crate::net::http::transport::TransportConnector;
use crate::net::socket::DnsResolver;
use crate::net::tls::{FileVersion, TransportConfig};
use crate::sys;

pub use self::request::{ConnectionReuse, HttpMethod, Request, RequestError, Response};

/// The HTTP client of a process: one ureq agent, with its idle connections, for each recently used
/// [`TransportConfig`], and the DNS lookups in flight.
///
/// Thread-safe. A forked child creates its own client; it neither uses nor drops that of its parent.
pub struct HttpClient {
    dns_resolver: DnsResolver,
    key_cache: Arc<KeyCache>,
    clock: Arc<dyn Clock>,
    stats: Arc<Stats>,
    agents: Mutex<AgentCache<Agent>>,
}

impl HttpClient {
    /// Creates a client without connections. Client certificates are opened through `key_cache`.
    #[must_use]
    pub fn new(key_cache: Arc<KeyCache>, clock: Arc<dyn Clock>, stats: Arc<Stats>) -> Self {
        sys::install_fork_handlers();
        Self { dns_resolver: DnsResolver::system(), key_cache, clock, stats, agents: Mutex::default() }
    }

    /// Sends `request` and reads the whole response. Ends at the request's or the call's deadline, or when
    /// the call is cancelled. A response body of more than 1 MiB is an error.
    pub fn send(
        &self,
        request: &Request<'_>,
        config: &TransportConfig,
        call: &CallContext,
    ) -> std::result::Result<Response, RequestError> {
        self.send_with_policy(request, config, call, OversizePolicy::Reject)
    }

    /// Like [`Self::send`], but truncates a body of more than 1 MiB: API responses may have any length.
    pub fn send_truncating(
        &self,
        request: &Request<'_>,
        config: &TransportConfig,
        call: &CallContext,
    ) -> std::result::Result<Response, RequestError> {
        self.send_with_policy(request, config, call, OversizePolicy::Truncate)
    }

    fn send_with_policy(
        &self,
        request: &Request<'_>,
        config: &TransportConfig,
        call: &CallContext,
        oversize: OversizePolicy,
    ) -> std::result::Result<Response, RequestError> {
        call.check()?;
        let call = call.for_request();
        let agent = self.get_or_create_agent(config, request.url.is_https())?;
        let proxy = config.proxy.proxy_for(request.url)?.cloned();
        let context = Rc::new(RequestContext::new(call, request, proxy)?);
        let guard = context.enter();
        let result = message::send_and_read(&agent, request, &context, oversize);
        drop(guard);
        self.count_connection(&context);
        let target = || format!("{} {}", request.method.as_str(), request.url.without_query());
        match result {
            Ok(response) => {
                context
                    .call
                    .log
                    .log(LogLevel::Debug, || format!("{}: {}", target(), summarize_response(&response)));
                Ok(response)
            }
            Err(error) => {
                context.call.log.log(LogLevel::Debug, || format!("{} failed: {error}", target()));
                Err(request_error(error, &context))
            }
        }
    }

    fn count_connection(&self, context: &RequestContext) {
        if context.is_reused() {
            self.stats.count(Counter::ConnectionsReused);
        } else if context.has_opened_connection() {
            self.stats.count(Counter::ConnectionsOpened);
        }
    }

    /// Closes the idle connections; those in use are closed after their request.
    pub fn close_idle_connections(&self) {
        let agents = std::mem::take(&mut *self.lock_agents());
        drop(agents);
    }

    fn lock_agents(&self) -> MutexGuard<'_, AgentCache<Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the agent for `config`, or creates a new one if one of its files has changed: a server or key
    /// that was valid with the old files may not be valid any more.
    fn get_or_create_agent(&self, config: &TransportConfig, https: bool) -> Result<Agent> {
        let file_versions = if https { config.file_versions()? } else { Vec::new() };
        let key = agent_cache::agent_key(config, https);
        if let Some(agent) = self.cached_agent(&key, &file_versions) {
            return Ok(agent);
        }
        // Certificates are read without the lock. If two threads do so, the cache keeps one of the two
        // agents.
        let tcp_connector = TcpConnector(self.dns_resolver.clone());
        let clock = Arc::clone(&self.clock);
        let connector = match &key {
            Some((config, _)) => {
                let tls_config = Some(config.build_client_config(&self.key_cache)?);
                TransportConnector {
                    tcp_connector,
                    clock,
                    transport_config: config.clone().into_owned(),
                    tls_config,
                }
            }
            None => TransportConnector {
                tcp_connector,
                clock,
                transport_config: TransportConfig::default(),
                tls_config: None,
            },
        };
        let agent = Agent::with_parts(agent_config(), connector, NoResolver);
        let evicted = self.lock_agents().insert(key, file_versions, agent.clone(), self.clock.boot_time());
        drop(evicted);
        Ok(agent)
    }

    /// Returns the cached agent, if any. Drops idle agents after unlocking, because that closes sockets.
    fn cached_agent(&self, key: &AgentKey<'_>, file_versions: &[FileVersion]) -> Option<Agent> {
        let mut agents = self.lock_agents();
        let now = self.clock.boot_time();
        let (found, evicted) = (agents.get(key, file_versions, now), agents.take_idle(key, now));
        drop(agents);
        drop(evicted);
        found
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

fn request_error(error: Error, context: &RequestContext) -> RequestError {
    let connection_failed =
        matches!(error.kind(), ErrorKind::Network(NetworkError::Connection)) && context.is_current_process();
    let stale_connection = connection_failed && context.is_reused() && context.received_bytes() == 0;
    let reached_server = matches!(error.kind(), ErrorKind::Network(NetworkError::BadResponse))
        || connection_failed && context.has_sent();
    let is_from_server = context.is_current_process()
        && error.cause() != Cause::Resources
        && !matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Internal);
    let error = if is_from_server { error.with_cause(Cause::Server) } else { error };
    RequestError { error, stale_connection, reached_server, was_sent: context.has_sent() }
}

fn summarize_response(response: &Response) -> String {
    format!(
        "{}, {} bytes in {} ms on a {} connection",
        response.status,
        response.body.len(),
        response.elapsed.as_millis(),
        if response.reused { "reused" } else { "new" }
    )
}

/// Initializes what AWS-LC and ureq initialize on first use, so that a forked child does not find it half
/// initialized.
pub fn prewarm() {
    aws_lc_rs::init();
    let (tcp_connector, clock) = (TcpConnector(DnsResolver::system()), Arc::new(SystemClock));
    let connector = TransportConnector {
        tcp_connector,
        clock,
        transport_config: TransportConfig::default(),
        tls_config: None,
    };
    // Fails before it connects, because no request context is set on this thread.
    let _ = Agent::with_parts(agent_config(), connector, NoResolver).get("http://127.0.0.1/").call();
}

/// Sets no timeouts: the transport checks the call's deadline, so that one agent serves calls of any timeout.
fn agent_config() -> Config {
    Config::builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(None)
        .accept_encoding(AutoHeaderValue::None)
        .max_response_header_size(32 << 10)
        .max_idle_connections(32)
        .max_idle_connections_per_host(4)
        .max_idle_age(agent_cache::IDLE_TIMEOUT)
        .build()
}
