//! Browser login or consent: binds the listener, opens the authorization URL and waits for the redirect (RFC
//! 8252).

use super::{
    AuthorizationResponse, Browser, ExpectedResponse, LoopbackListener, Pkce, ResultPages, add_nonce,
    add_state, build_authorization_url, expects_id_token, random_nonce, random_state,
};
use crate::base::call::CallContext;
use crate::base::error::{Error, ErrorKind, OptionError, Result};
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::provider::ConsentType;
use crate::resolve::AuthorizationRequest;

/// The caller's open-URL callback: shows the URL to the user; returns 0 on success, otherwise an error
/// number.
pub type ShowUrlFn<'a> = dyn Fn(&str) -> i32 + 'a;

/// The result of a browser login or consent.
#[derive(Debug)]
pub struct AuthorizationResult {
    /// The authorization code; `None` for administrator consent.
    pub code: Option<Secret>,
    /// The PKCE code verifier (RFC 7636).
    pub verifier: Secret,
    /// The `nonce` that the ID token must contain; `None` if none was sent or the server refused it.
    pub nonce: Option<Secret>,
    /// The redirect URI of the request, with the port of the listener.
    pub redirect_uri: String,
}

/// Runs a login or consent: shows the URL by `show_url`, or in the system browser if that is `None`, waits for
/// the redirect and calls `complete` with its result. The user then sees a page that shows whether that succeeded.
///
/// # Errors
/// [`OptionError::Invalid`] for a RedirectURI that cannot be listened at, [`ErrorKind::Unsupported`] if the
/// URL cannot be shown, `OAuthReason::Denied`, [`ErrorKind::Timeout`], [`ErrorKind::Cancelled`]; those of
/// `complete`.
pub fn authorize_in_browser<T>(
    request: &AuthorizationRequest,
    show_url: Option<&ShowUrlFn<'_>>,
    browser: &Browser,
    call: &CallContext,
    complete: &mut dyn FnMut(&AuthorizationResult) -> Result<T>,
) -> Result<T> {
    let redirect = option_url("RedirectURI", EndpointUrl::parse_redirect_uri(&request.redirect_uri))?;
    let server_host = option_url("AuthURI", EndpointUrl::parse(&request.endpoint))?.host().to_owned();
    let listener = LoopbackListener::bind(&redirect)?;
    let redirect_uri = listener.redirect_url().as_str().to_owned();
    let request = &AuthorizationRequest { redirect_uri, ..request.clone() };
    let (manual_url, pkce, state) = (build_authorization_url(request), Pkce::random()?, random_state()?);
    let nonce = if expects_id_token(request) { Some(random_nonce()?) } else { None };
    let url_without_nonce = add_state(&manual_url, &state, request.exchanges_code.then(|| pkce.challenge()));
    let (url, url_without_nonce) = match &nonce {
        Some(nonce) => (add_nonce(&url_without_nonce, nonce), Some(url_without_nonce)),
        None => (url_without_nonce, None),
    };
    let expected = ExpectedResponse {
        state,
        issuers: request.allowed_issuers.clone(),
        server_host,
        requires_code: request.consent_type != ConsentType::Admin,
        url_without_nonce,
    };
    let pages = ResultPages::new(request.application_name.as_deref());
    let is_login = request.exchanges_code && request.consent_type == ConsentType::Individual;
    let pages = if is_login { pages.for_login() } else { pages };
    let mut complete = |response: AuthorizationResponse| {
        complete(&AuthorizationResult {
            code: response.code,
            verifier: pkce.verifier().clone(),
            nonce: nonce.clone().filter(|_| !response.nonce_refused),
            redirect_uri: request.redirect_uri.clone(),
        })
    };
    match show_url {
        Some(show_url) => {
            check_shown(show_url(url.reveal()), manual_url)?;
            listener.wait_and_complete(&expected, &pages, call, &mut || Ok(()), &mut complete)
        }
        None => {
            let mut process = browser.open(&url, &manual_url)?;
            listener.wait_and_complete(&expected, &pages, call, &mut || process.check(), &mut complete)
        }
    }
}

fn option_url(option: &'static str, parsed: std::result::Result<EndpointUrl, String>) -> Result<EndpointUrl> {
    parsed.map_err(|reason| {
        Error::new(OptionError::Invalid, "consent", format!("{option} {reason}")).with_option(option)
    })
}

fn check_shown(code: i32, manual_url: String) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    let text = format!("the open-URL callback failed ({code}); open {manual_url} manually");
    Err(Error::new(ErrorKind::Unsupported, "consent", text).with_consent_url(Some(manual_url)))
}
