//! The whole way of a person's visit: listen, show the URL, wait until the browser comes back.

use super::{
    Browser, ExpectedResponse, LoopbackListener, Pkce, ResultPages, add_state, build_authorization_url,
    random_state,
};
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::provider::ConsentType;
use crate::resolve::AuthorizationRequest;

/// Shows a URL to the person; anything but 0 is the number of a failure.
pub type ShowUrlFn<'a> = dyn Fn(&str) -> i32 + 'a;

/// What a person's visit brought.
#[derive(Debug)]
pub struct AuthorizationResult {
    /// The authorization code; an administrator's consent has none.
    pub code: Option<Secret>,
    /// What proves that it was we who asked for the code (RFC 7636).
    pub verifier: Secret,
}

/// Lets a person consent or log in: `show` shows the URL, or else the system's browser.
///
/// # Errors
/// [`Status::InvalidOption`] for a RedirectURI that cannot be listened to, [`Status::Unsupported`] where nothing shows the
/// URL, [`Status::Denied`], [`Status::Timeout`], [`Status::Cancelled`].
pub fn authorize_in_browser(
    consent: &AuthorizationRequest,
    show: Option<&ShowUrlFn<'_>>,
    browser: &Browser,
    call: &CallContext,
) -> Result<AuthorizationResult> {
    let redirect = parse_option_url("RedirectURI", &consent.redirect_uri)?;
    let server = parse_option_url("AuthURI", &consent.endpoint)?.host().to_owned();
    let listener = LoopbackListener::bind(&redirect)?;
    let (by_hand, proof) = (build_authorization_url(consent), Pkce::random()?);
    let wants_code = consent.consent_type != ConsentType::Admin;
    let expected = ExpectedResponse {
        state: random_state()?,
        issuers: consent.allowed_issuers.clone(),
        server_host: server,
        requires_code: wants_code,
    };
    let challenge = consent.exchanges_code.then(|| proof.challenge());
    let full = add_state(&by_hand, &expected.state, challenge);
    let pages = ResultPages::new(consent.application_name.as_deref());
    let logs_in = consent.exchanges_code && consent.consent_type == ConsentType::Individual;
    let pages = if logs_in { pages.for_login() } else { pages };
    let arrival = match show {
        Some(show) => {
            check_shown(show(full.reveal()), by_hand)?;
            listener.wait(&expected, &pages, call)
        }
        None => {
            let mut opened = browser.open(&full, &by_hand)?;
            listener.wait_with_check(&expected, &pages, call, &mut || opened.check())
        }
    }?;
    Ok(AuthorizationResult { code: arrival.code, verifier: proof.verifier().clone() })
}

fn parse_option_url(option: &str, text: &str) -> Result<EndpointUrl> {
    EndpointUrl::parse(text).map_err(|why| {
        Error::new(Status::InvalidOption, "consent", format!("{option} {why}")).with_option(option)
    })
}

fn check_shown(answer: i32, by_hand: String) -> Result<()> {
    if answer == 0 {
        return Ok(());
    }
    let text = format!("the host program could not show the URL (it said {answer}); open {by_hand}");
    Err(Error::new(Status::Unsupported, "consent", text).with_consent_url(Some(by_hand)))
}
