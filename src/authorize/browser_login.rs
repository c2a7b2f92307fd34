//! The whole way of a person's visit: listen, show the URL, wait until the browser comes back.

use super::{Browser, Expected, Listener, Pages, Pkce, state, url, with_state};
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::provider::ConsentType;
use crate::resolve::Consent;

/// Shows a URL to the person; anything but 0 is the number of a failure.
pub type ShowUrl<'a> = dyn Fn(&str) -> i32 + 'a;

/// What a person's visit brought.
#[derive(Debug)]
pub struct Visit {
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
pub fn visit(
    consent: &Consent,
    show: Option<&ShowUrl<'_>>,
    browser: &Browser,
    call: &CallContext,
) -> Result<Visit> {
    let redirect = address("RedirectURI", &consent.redirect_uri)?;
    let server = address("AuthURI", &consent.endpoint)?.host().to_owned();
    let listener = Listener::bind(&redirect)?;
    let (by_hand, proof) = (url(consent), Pkce::random()?);
    let wants_code = consent.kind != ConsentType::Admin;
    let expected = Expected { state: state()?, issuers: consent.issuers.clone(), server, wants_code };
    let challenge = consent.redeems.then(|| proof.challenge());
    let full = with_state(&by_hand, &expected.state, challenge);
    let pages = Pages::new(consent.application.as_deref());
    let logs_in = consent.redeems && consent.kind == ConsentType::Individual;
    let pages = if logs_in { pages.for_a_login() } else { pages };
    let arrival = match show {
        Some(show) => {
            shown(show(full.reveal()), by_hand)?;
            listener.wait(&expected, &pages, call)
        }
        None => {
            let mut opened = browser.open(&full, &by_hand)?;
            listener.wait_beside(&expected, &pages, call, &mut || opened.check())
        }
    }?;
    Ok(Visit { code: arrival.code, verifier: proof.verifier().clone() })
}

fn address(option: &str, text: &str) -> Result<EndpointUrl> {
    EndpointUrl::parse(text).map_err(|why| {
        Error::new(Status::InvalidOption, "consent", format!("{option} {why}")).with_option(option)
    })
}

fn shown(answer: i32, by_hand: String) -> Result<()> {
    if answer == 0 {
        return Ok(());
    }
    let text = format!("the host program could not show the URL (it said {answer}); open {by_hand}");
    Err(Error::new(Status::Unsupported, "consent", text).with_consent_url(Some(by_hand)))
}
