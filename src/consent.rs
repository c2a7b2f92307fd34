//! Consent by a person: the URL that they open, the browser that opens it, and the loopback listener to which the
//! authorization server sends them back (RFC 8252 section 7.3), with the page that they then see.
//!
//! In: what the config says of consent, and a call that bounds the wait. Out: the code, or why there is none. What is
//! done with the code is the flow's business.

mod browser;
mod desk;
mod listener;
mod login;
mod page;
mod pkce;
mod request;
mod url;
mod visitor;

pub use browser::{Browser, Opened};
pub use listener::Listener;
pub use login::{ShowUrl, Visit, visit};
pub use page::Pages;
pub use pkce::{CHALLENGE_METHOD, Pkce, state};
pub use request::{Arrival, Expected};
pub use url::{url, with_state};
