//! A server's refusal, told to whoever has to mend it: what was sent, what came back, what to do.

use super::{Attempt, Refused};
use crate::config::{Consent, ConsentWay, Exchange, Methods};
use crate::consent;
use crate::endpoint::Refusal;
use crate::error::{Error, Status};
use crate::flow::verdict::{Sense, sense};
use crate::provider::ConsentType;

pub(super) fn error(
    refused: Refused<'_>,
    exchange: &Exchange,
    consent: Option<&Consent>,
    way: ConsentWay,
) -> Error {
    let Refused { refusal, attempt } = refused;
    let status = status(&refusal, &attempt, exchange);
    let what = attempt.what;
    let consent_url = (status == Status::ConsentRequired).then_some(consent).flatten().map(consent::url);
    let said = match &refusal.description {
        Some(description) => format!("{}: {description}", refusal.found),
        None => refusal.found.clone(),
    };
    let host = exchange.endpoint.host();
    let text = match status {
        Status::Denied => format!("{host} refused {what} ({said}). {}{}", (attempt.sent)(), clock(&refusal)),
        Status::Expired => {
            format!(
                "{host} takes {what} no longer ({said}); log in again and set another. {}",
                (attempt.sent)()
            )
        }
        Status::ConsentRequired => consent_wanted(host, &said, consent_url.as_deref(), way),
        Status::Throttled => throttled(host, &said, refusal.retry_after),
        Status::Server => format!("{host} has a problem of its own ({said}); try again later"),
        _ => not_an_answer(exchange, &said),
    };
    Error::new(status, "token", text)
        .with_oauth(refusal.error, refusal.description)
        .with_provider_code(refusal.provider_code)
        .with_http(refusal.http_status, refusal.retry_after)
        .from_server()
        .with_consent_url(consent_url)
}

/// A refresh token that is refused is at its end: nobody else can renew it (ODBC 4.0: 08006).
fn status(refusal: &Refusal, attempt: &Attempt<'_>, exchange: &Exchange) -> Status {
    let ended = refusal.error.as_deref() == Some("invalid_grant");
    match refusal.status() {
        Status::Denied if sense(refusal, exchange.profile) == Some(Sense::Consent) => Status::ConsentRequired,
        Status::Denied if ended && attempt.renews() => Status::Expired,
        status => status,
    }
}

fn consent_wanted(host: &str, said: &str, consent_url: Option<&str>, way: ConsentWay) -> String {
    let needs = way.help.map_or(String::new(), |needs| format!(" ({needs})"));
    match (consent_url, way.help) {
        (Some(url), _) => format!("{host} wants consent first ({said}); open {url}{needs}"),
        (None, Some(steps)) if way.kind == ConsentType::Admin => {
            format!("{host} wants consent first ({said}): {steps}")
        }
        (None, _) => format!(
            "{host} wants consent first ({said}); for a URL to open set RedirectURI, and AuthURI if the provider is not known{needs}"
        ),
    }
}

fn throttled(host: &str, said: &str, retry_after: u32) -> String {
    match retry_after {
        0 => format!("{host} asks to send fewer requests ({said})"),
        seconds => format!("{host} asks to wait {seconds} s before the next request ({said})"),
    }
}

fn not_an_answer(exchange: &Exchange, said: &str) -> String {
    let hint =
        if exchange.methods == Methods::Get { ", or ask by POST: TokenURI=POST https://…" } else { "" };
    format!(
        "{} did not answer as a token endpoint would: {said}; check TokenURI{hint}",
        exchange.endpoint.shown()
    )
}

fn clock(refusal: &Refusal) -> String {
    match refusal.clock_ahead {
        Some(ahead) if ahead < 0 => format!("; the server's clock is {} s behind ours", ahead.unsigned_abs()),
        Some(ahead) => format!("; the server's clock is {ahead} s ahead of ours"),
        None => String::new(),
    }
}
