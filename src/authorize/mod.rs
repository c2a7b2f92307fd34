//! Consent by a person: the URL that they open, the browser that opens it, and the loopback listener to which the
//! authorization server sends them back (RFC 8252 section 7.3), with the page that they then see.
//!
//! In: what the config says of consent, and a call that bounds the wait. Out: the code, or why there is none. What is
//! done with the code is the flow's business.

mod authorization_response;
mod authorization_url;
mod browser;
mod browser_login;
mod loopback_listener;
mod page;
mod pkce;
mod redirect_connection;
mod redirect_handler;

pub use authorization_response::{AuthorizationResponse, ExpectedResponse};
pub use authorization_url::{add_state, build_authorization_url};
pub use browser::{Browser, BrowserProcess};
pub use browser_login::{AuthorizationResult, ShowUrlFn, authorize_in_browser};
pub use loopback_listener::LoopbackListener;
pub use page::ResultPages;
pub use pkce::{CHALLENGE_METHOD, Pkce, random_state};
