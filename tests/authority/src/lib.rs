//! The strict authorization server of the tests: loopback, http or https, one thread a connection.
//!
//! It checks each token request against RFC 6749, 7523 and 7636 with implementations of its own (nothing of authgrant,
//! not the same crypto library), says precisely why it refuses, remembers what it saw, and can be told to misbehave.
//!
//! ```no_run
//! use authority::{Authority, ClientOptions, Config, Play};
//!
//! let authority = Authority::start(Config::https());
//! let certificate = std::fs::read_to_string("signer.pem").unwrap();
//! authority.register("client-1", &[certificate], ClientOptions::default());
//! authority.play(vec![Play::Reset]);
//! // … the code under test asks authority.url("/oauth/token"), trusting authority.ca_pem_path() …
//! assert_eq!(authority.token_requests().len(), 2);
//! assert_eq!(authority.issued().len(), 1);
//! ```
//!
//! The other grants need a client that may use them, see [`ClientOptions::grant_types`]:
//!
//! ```no_run
//! # use authority::{Authority, ClientOptions, Config};
//! # let authority = Authority::start(Config::http());
//! let redirect_uris = vec!["http://127.0.0.1:3000/".to_owned()];
//! authority.register::<&str>("app", &[], ClientOptions { redirect_uris, ..ClientOptions::default() });
//! let secret = Some("s3cret".to_owned());
//! authority.register::<&str>("service", &[], ClientOptions { secret, ..ClientOptions::default() });
//! ```

mod answer;
mod api;
mod assertion;
mod authorize;
mod client;
mod client_auth;
mod config;
mod connection;
mod control;
mod duty;
mod form;
mod grants;
mod http;
mod id_token;
mod jwt;
mod keys;
mod play;
mod provider;
mod record;
mod refusal;
mod server;
mod shared;
mod state;
mod strict_json;
mod tls;
mod token;
mod vault;

pub use client::{ClientAuth, ClientOptions, GrantType};
pub use config::{Authorize, Certificate, Config, ExpiresIn, GetAnswer, Wording};
pub use play::Play;
pub use provider::Provider;
pub use record::{Recorded, Verdict};
pub use server::Authority;
