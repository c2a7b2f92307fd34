//! The whole way of a person's visit: listen, show the URL, wait until the browser comes back.

use super::{Arrival, Browser, Expected, Listener, Pages, state, url, with_state};
use crate::call::Call;
use crate::config::Consent;
use crate::error::{Error, Result, Status};
use crate::url::Url;

/// Shows a URL to the person; anything but 0 is the number of a failure.
pub type ShowUrl<'a> = dyn Fn(&str) -> i32 + 'a;

/// Lets a person consent: `show` shows the URL, or else the system's browser. What comes back is for the caller to
/// use or to throw away.
///
/// # Errors
/// [`Status::InvalidOption`] for a RedirectURI that cannot be listened to, [`Status::Unsupported`] where nothing shows the
/// URL, [`Status::Denied`], [`Status::Timeout`], [`Status::Cancelled`].
pub fn consent(
    consent: &Consent,
    application: Option<&str>,
    show: Option<&ShowUrl<'_>>,
    browser: &Browser,
    call: &Call,
) -> Result<Arrival> {
    let redirect = address("RedirectURI", &consent.redirect_uri)?;
    let server = address("AuthURI", &consent.endpoint)?.host().to_owned();
    let listener = Listener::bind(&redirect)?;
    let by_hand = url(consent);
    let expected = Expected { state: state()?, issuer: None, server, wants_code: true };
    let full = with_state(&by_hand, &expected.state, None);
    let pages = Pages::new(application);
    match show {
        Some(show) => {
            shown(show(full.reveal()), by_hand)?;
            listener.wait(&expected, &pages, call)
        }
        None => {
            let mut opened = browser.open(&full, &by_hand)?;
            listener.wait_beside(&expected, &pages, call, &mut || opened.check())
        }
    }
}

fn address(option: &str, text: &str) -> Result<Url> {
    Url::parse(text).map_err(|why| {
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
