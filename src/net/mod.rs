//! Requests to servers: encoding, header checks, proxies, sockets, HTTP and TLS.

pub mod header_value;
pub mod http;
pub mod proxy;
pub mod socket;
pub mod tls;
pub mod urlencoded;
