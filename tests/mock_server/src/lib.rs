//! Strict mock authorization server for tests: loopback, http or https, one thread per connection.
//!
//! It checks each token request against RFC 6749, 7523 and 7636. The implementation is independent: no code
//! of authgrant, and a different crypto library. It reports precisely why it rejects a request, records all
//! requests, and can be configured to misbehave.
//!
//! ```no_run
//! use mock_server::{MockServer, ClientOptions, Config, Behavior};
//!
//! let server = MockServer::start(Config::https());
//! let certificate = std::fs::read_to_string("signer.pem").unwrap();
//! server.register("client-1", &[certificate], ClientOptions::default());
//! server.set_script(vec![Behavior::Reset]);
//! // … the code under test sends requests to server.url("/oauth/token") and trusts server.ca_pem_path() …
//! assert_eq!(server.token_requests().len(), 2);
//! assert_eq!(server.issued_tokens().len(), 1);
//! ```
//!
//! The other grants require a client that may use them, see [`ClientOptions::grant_types`]:
//!
//! ```no_run
//! # use mock_server::{MockServer, ClientOptions, Config};
//! # let server = MockServer::start(Config::http());
//! let redirect_uris = vec!["http://127.0.0.1:3000/".to_owned()];
//! server.register::<&str>("app", &[], ClientOptions { redirect_uris, ..ClientOptions::default() });
//! let secret = Some("s3cret".to_owned());
//! server.register::<&str>("service", &[], ClientOptions { secret, ..ClientOptions::default() });
//! ```

mod api;
mod assertion;
mod authorize;
mod client;
mod client_auth;
mod config;
mod connection;
mod control;
mod error;
mod grant_store;
mod grants;
mod http;
mod id_token;
mod jwt;
mod provider;
mod request_log;
mod response;
mod router;
mod scenario;
mod server;
mod shared;
mod state;
mod strict_json;
mod tls;
mod token_endpoint;
mod urlencoded;
mod verification_key;

pub use client::{ClientAuth, ClientOptions, GrantType};
pub use config::{
    AuthorizeBehavior, Config, ErrorWording, ExpiresIn, GetResponse, NonceBehavior, ServerCertificate,
};
pub use provider::Provider;
pub use request_log::{RecordedRequest, Verdict};
pub use scenario::Behavior;
pub use server::MockServer;
