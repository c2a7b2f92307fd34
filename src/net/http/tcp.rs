//! The TCP connections of requests.

use std::io::{self, Read, Write};

use ureq::unversioned::transport::NextTimeout;

use crate::base::error::Result;
use crate::net::http::error::wrap_error;
use crate::net::http::request_context::RequestContext;
use crate::net::socket::{self, DnsResolver, SharedSocket, SocketError};

/// Opens TCP connections. It resolves host names itself, because ureq calls its resolver even if an idle
/// connection is available.
pub(super) struct TcpConnector(pub(super) DnsResolver);

impl TcpConnector {
    /// Connects to the host of the request, or to its proxy if there is one.
    pub(super) fn connect(&self, context: &RequestContext) -> Result<SharedSocket> {
        let socket = socket::connect_tcp(&self.0, context)?;
        context.mark_connected();
        Ok(socket)
    }
}

/// A stream whose reads and writes observe the deadline and cancel of the current thread's
/// [`RequestContext`]. The crate's own error, such as a timeout, is boxed in the `io::Error`.
pub(super) struct TimedStream(pub(super) SharedSocket);

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let context = RequestContext::current()?;
        socket::receive(&self.0, &*context, buffer).map_err(|error| to_io_error(error, &context))
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let context = RequestContext::current()?;
        socket::send(&self.0, &*context, bytes).map_err(|error| to_io_error(error, &context))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn to_io_error(error: SocketError, context: &RequestContext) -> io::Error {
    match error {
        SocketError::Call(error) => wrap_error(error).into_io(),
        SocketError::Socket(error) => {
            context.unclean_close.set(true);
            error
        }
    }
}

/// An implementation of ureq's resolver trait that returns no addresses: [`TcpConnector`] resolves host
/// names.
#[derive(Debug)]
pub(super) struct NoResolver;

impl ureq::unversioned::resolver::Resolver for NoResolver {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> std::result::Result<ureq::unversioned::resolver::ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}
