//! Hostile and broken peers: catalogues of what a token endpoint, a proxy, a TLS server or a browser may send.
//!
//! Each row is data: the bytes, and the status that they lead to. The checks are the same for all rows (`case`): the
//! status, an end within the time limit of the call, a bound on what is read and on memory, texts without control
//! characters and secrets, and a token from a correct server with the same connection afterwards.

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod case;
mod framing;
mod memory;
mod proxies;
mod redirects;
mod server;
mod statuses;
mod stores;
mod tls_certificates;
mod tls_handshakes;
mod tls_server;

#[global_allocator]
static ALLOCATOR: memory::CountingAllocator = memory::CountingAllocator;
