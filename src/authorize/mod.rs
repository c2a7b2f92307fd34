//! Interactive authorization (consent or login) in the system browser: the authorization URL, the browser
//! launch, the loopback redirect listener (RFC 8252 section 7.3) and the result pages.
//!
//! Input: the resolved [`AuthorizationRequest`](crate::resolve::AuthorizationRequest) and a call context that
//! bounds the wait. Output: the authorization code or an error. The grants exchange the code before the user
//! sees the result page.

mod authorization_response;
mod authorization_url;
mod browser;
mod browser_login;
#[cfg(fuzzing)]
pub mod fuzzing;
mod loopback_listener;
mod page;
mod pkce;
mod redirect_connection;
mod redirect_handler;

pub use authorization_response::{AuthorizationResponse, ExpectedResponse};
pub use authorization_url::{add_nonce, add_state, build_authorization_url, consent_url, expects_id_token};
pub use browser::{Browser, BrowserProcess};
pub use browser_login::{AuthorizationResult, ShowUrlFn, authorize_in_browser};
pub use loopback_listener::LoopbackListener;
pub use page::ResultPages;
pub use pkce::{CHALLENGE_METHOD, Pkce, random_nonce, random_state};
pub use redirect_handler::CompleteFn;
