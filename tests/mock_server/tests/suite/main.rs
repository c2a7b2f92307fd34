//! Tests of the mock server with handwritten requests. A request with a single error must be rejected for
//! that error.

mod accepted_requests;
mod access_token;
mod authorization_code;
mod command_line;
mod grants;
mod http_client;
mod providers;
mod refresh_token;
mod refused_requests;
mod scenarios;
mod signer;
mod transport;
