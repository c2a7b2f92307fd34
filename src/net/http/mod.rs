//! The one place that sends a request: a [`Request`], a [`Trust`] and a [`Call`] in, an [`Answer`] out.
//!
//! ureq speaks HTTP and keeps connections; the lookup, the socket and TLS under it are ours, so that everything ends
//! by the call's deadline and each call can be cancelled alone. Redirects are not followed, the environment is not
//! read, and there is no repeating: [`Failure::stale`] says when the caller may.

mod agent_cache;
mod buffers;
mod dns;
mod error;
mod message;
mod proxy_tunnel;
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
use std::time::Duration;

use ureq::Agent;
use ureq::config::{AutoHeaderValue, Config};
use zeroize::Zeroizing;

use self::message::OversizePolicy;
use crate::base::call::CallContext;
use crate::base::clock::{Clock, SystemClock};
use crate::base::error::{Error, Result, Status};
use crate::base::log::LogLevel;
use crate::base::secret::Secret;
use crate::base::stats::{Counter, Stats};
use crate::base::url::EndpointUrl;
use crate::key::KeyCache;
use crate::net::http::agent_cache::{AgentCache, AgentKey};
use crate::net::http::dns::DnsResolver;
use crate::net::http::request_context::RequestContext;
use crate::net::http::tcp::{NoResolver, TcpConnector};
use crate::net::http::transport::TransportConnector;
use crate::net::tls::{FileVersion, TransportConfig};
use crate::sys;

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// With everything in the query.
    Get,
    /// With a form in the body.
    Post,
}

impl HttpMethod {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One request.
#[derive(Debug)]
pub struct Request<'a> {
    /// GET or POST.
    pub method: HttpMethod,
    /// Where to; its own query is kept.
    pub url: &'a EndpointUrl,
    /// More for the query: percent-encoded pairs, joined by `&`.
    pub query: Option<Secret>,
    /// More headers. One of the name of ours (Accept, User-Agent, Content-Type) takes its place.
    pub headers: Vec<(String, Secret)>,
    /// The form of a POST, encoded; not sent with a GET.
    pub body: Option<Secret>,
    /// Whether it may go out on a connection that is there already.
    pub reuse: ConnectionReuse,
}

/// What a request does with an idle connection. The server, or a firewall on the way, may have forgotten that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionReuse {
    /// It takes one, and waits for the answer as long as the call lasts.
    Allow,
    /// It takes one, and gives up after a short silence ([`Failure::stale`]): it may be sent again on a new one.
    AllowWithRetry,
    /// It has a new connection made.
    Never,
}

/// What came back, whatever its status.
pub struct Response {
    /// 200, 302, 400, …
    pub status: u16,
    /// Content-Type as sent.
    pub content_type: Option<String>,
    /// Date as sent: the server's clock.
    pub date: Option<String>,
    /// Retry-After as sent.
    pub retry_after: Option<String>,
    /// Location as sent: where a redirect, which is not followed, leads.
    pub location: Option<String>,
    /// WWW-Authenticate as sent: what a protected resource wants.
    pub www_authenticate: Option<String>,
    /// At most 1 MiB, wiped when dropped; whole unless `cut`.
    pub body: Zeroizing<Vec<u8>>,
    /// Whether there was more of the body than was read.
    pub truncated: bool,
    /// Whether the connection was one kept from before.
    pub reused: bool,
    /// From the beginning of the request to the end of the answer.
    pub elapsed: Duration,
}

/// Without what may be secret: the body holds a token, Location may hold a code.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("kept", &self.reused)
            .field("elapsed", &self.elapsed)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub struct RequestError {
    /// What to tell the caller if it is not tried again.
    pub error: Error,
    /// The connection was one kept from before and ended, or stayed silent, without one byte of an answer: most likely it
    /// was dead already, so the request may be repeated on a new one (with a fresh assertion, in case it was not).
    pub stale_connection: bool,
    /// The server has had the request, or at least its beginning, and answered with something that is no use
    /// ([`Status::BadResponse`]) or ended the connection on it ([`Status::Network`]): asked in another way it may do
    /// better. Not so after a failed lookup, connect or handshake, a passed deadline or a cancel, which say nothing of
    /// the way of asking.
    pub reached_server: bool,
}

impl From<RequestError> for Error {
    fn from(failure: RequestError) -> Self {
        failure.error
    }
}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        Self { error, stale_connection: false, reached_server: false }
    }
}

/// What one process shares of the network: an agent with its kept connections for each [`Trust`] of late, and the
/// lookups in flight. A forked child makes its own and never touches, nor drops, its parent's.
pub struct HttpClient {
    dns_resolver: DnsResolver,
    key_cache: Arc<KeyCache>,
    clock: Arc<dyn Clock>,
    stats: Arc<Stats>,
    agents: Mutex<AgentCache<Agent>>,
}

impl HttpClient {
    /// One without connections, whose client certificates come through `keys`.
    #[must_use]
    pub fn new(keys: Arc<KeyCache>, clock: Arc<dyn Clock>, stats: Arc<Stats>) -> Self {
        sys::install_fork_handlers();
        Self { dns_resolver: DnsResolver::system(), key_cache: keys, clock, stats, agents: Mutex::default() }
    }

    /// Sends `request` and waits for the whole answer, until the request's or the call's deadline, or its cancel.
    pub fn send(
        &self,
        request: &Request<'_>,
        trust: &TransportConfig,
        call: &CallContext,
    ) -> std::result::Result<Response, RequestError> {
        self.send_with_policy(request, trust, call, OversizePolicy::Reject)
    }

    /// As [`Self::send`], to an API, whose answers may be of any length: only the beginning of a long one is read.
    pub fn send_truncating(
        &self,
        request: &Request<'_>,
        trust: &TransportConfig,
        call: &CallContext,
    ) -> std::result::Result<Response, RequestError> {
        self.send_with_policy(request, trust, call, OversizePolicy::Truncate)
    }

    fn send_with_policy(
        &self,
        request: &Request<'_>,
        trust: &TransportConfig,
        call: &CallContext,
        longer: OversizePolicy,
    ) -> std::result::Result<Response, RequestError> {
        call.check()?;
        let call = call.for_request();
        let agent = self.get_or_create_agent(trust, request.url.is_https())?;
        let proxy = trust.proxy.proxy_for(request.url)?.cloned();
        let exchange = Rc::new(RequestContext::new(call, request, proxy)?);
        let entered = exchange.enter();
        let result = message::send_and_read(&agent, request, &exchange, longer);
        drop(entered);
        self.count_connection(&exchange);
        let what = || format!("{} {}", request.method.as_str(), request.url.without_query());
        match result {
            Ok(answer) => {
                exchange
                    .call
                    .log
                    .log(LogLevel::Debug, || format!("{}: {}", what(), summarize_response(&answer)));
                Ok(answer)
            }
            Err(error) => {
                exchange.call.log.log(LogLevel::Debug, || format!("{} failed: {error}", what()));
                Err(request_error(error, &exchange))
            }
        }
    }

    fn count_connection(&self, exchange: &RequestContext) {
        if exchange.is_reused() {
            self.stats.count(Counter::ConnectionsReused);
        } else if exchange.has_opened_connection() {
            self.stats.count(Counter::ConnectionsOpened);
        }
    }

    /// Closes the connections at rest; those in use close when they are done.
    pub fn close_idle_connections(&self) {
        let agents = std::mem::take(&mut *self.lock_agents());
        drop(agents);
    }

    fn lock_agents(&self) -> MutexGuard<'_, AgentCache<Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent for `trust`, made anew where one of its files has changed: what was trusted before may not be now.
    fn get_or_create_agent(&self, trust: &TransportConfig, https: bool) -> Result<Agent> {
        let stamps = if https { trust.file_versions()? } else { Vec::new() };
        let key = agent_cache::agent_key(trust, https);
        if let Some(agent) = self.cached_agent(&key, &stamps) {
            return Ok(agent);
        }
        // Certificates are read without the lock; should two threads do so, one of the agents is used no more.
        let dialer = TcpConnector(self.dns_resolver.clone());
        let clock = Arc::clone(&self.clock);
        let opener = match &key {
            Some((trust, _)) => {
                let config = Some(trust.build_client_config(&self.key_cache)?);
                TransportConnector {
                    tcp_connector: dialer,
                    clock,
                    transport_config: trust.clone().into_owned(),
                    tls_config: config,
                }
            }
            None => TransportConnector {
                tcp_connector: dialer,
                clock,
                transport_config: TransportConfig::default(),
                tls_config: None,
            },
        };
        let agent = Agent::with_parts(agent_config(), opener, NoResolver);
        let gone = self.lock_agents().insert(key, stamps, agent.clone(), self.clock.boot_time());
        drop(gone);
        Ok(agent)
    }

    /// The agent that there is already. Those at rest for long are closed, without the lock.
    fn cached_agent(&self, key: &AgentKey<'_>, stamps: &[FileVersion]) -> Option<Agent> {
        let mut agents = self.lock_agents();
        let now = self.clock.boot_time();
        let (found, gone) = (agents.get(key, stamps, now), agents.take_idle(key, now));
        drop(agents);
        drop(gone);
        found
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

fn request_error(error: Error, exchange: &RequestContext) -> RequestError {
    let ended = error.status() == Status::Network && exchange.is_current_process();
    let stale = ended && exchange.is_reused() && exchange.received_bytes() == 0;
    let answered = error.status() == Status::BadResponse || ended && exchange.has_sent();
    let is_from_server =
        exchange.is_current_process() && !matches!(error.status(), Status::Cancelled | Status::Internal);
    let error = if is_from_server { error.caused_by_server() } else { error };
    RequestError { error, stale_connection: stale, reached_server: answered }
}

fn summarize_response(answer: &Response) -> String {
    format!(
        "{}, {} bytes in {} ms on a {} connection",
        answer.status,
        answer.body.len(),
        answer.elapsed.as_millis(),
        if answer.reused { "kept" } else { "new" }
    )
}

/// Has AWS-LC and ureq make ready what they would at their first use.
pub fn prewarm() {
    aws_lc_rs::init();
    let (dialer, clock) = (TcpConnector(DnsResolver::system()), Arc::new(SystemClock));
    let opener = TransportConnector {
        tcp_connector: dialer,
        clock,
        transport_config: TransportConfig::default(),
        tls_config: None,
    };
    // It ends where it would connect, as nobody has asked for it.
    let _ = Agent::with_parts(agent_config(), opener, NoResolver).get("http://127.0.0.1/").call();
}

/// No timeouts here: the transport asks the call itself, so that one agent serves calls of any deadline.
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
