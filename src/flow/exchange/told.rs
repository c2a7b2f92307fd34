//! A server's refusal, told to whoever has to mend it: what was sent, what came back, what to do.

use super::Refused;
use crate::config::{Consent, Exchange, Grant, Methods};
use crate::consent;
use crate::endpoint::{Refusal, clean};
use crate::error::{Error, Status};
use crate::secret::Secret;

pub(super) fn error(refused: Refused, exchange: &Exchange, consent: Option<&Consent>) -> Error {
    let (what, sent) = (refused.attempt.what, refused.attempt.sent.clone());
    let refusal = without_secrets(refused, exchange);
    let status = status(&refusal, exchange);
    let consent_url = (status == Status::ConsentRequired).then_some(consent).flatten().map(consent::url);
    let said = match &refusal.description {
        Some(description) => format!("{}: {description}", refusal.found),
        None => refusal.found.clone(),
    };
    let host = exchange.endpoint.host();
    let text = match status {
        Status::Denied => format!("{host} refused {what} ({said}). {sent}{}", clock(&refusal)),
        Status::Expired => {
            format!("{host} takes {what} no longer ({said}); log in again and set another. {sent}")
        }
        Status::ConsentRequired => consent_wanted(host, &said, consent_url.as_deref()),
        Status::Throttled => throttled(host, &said, refusal.retry_after),
        Status::Server => format!("{host} has a problem of its own ({said}); try again later"),
        _ => not_an_answer(exchange, &said),
    };
    Error::new(status, "token", text)
        .with_oauth(refusal.error, refusal.description)
        .with_provider_code(refusal.provider_code)
        .with_http(refusal.http_status, refusal.retry_after)
        .with_consent_url(consent_url)
}

/// A refresh token that is refused is at its end: nobody else can renew it (ODBC 4.0: 08006).
fn status(refusal: &Refusal, exchange: &Exchange) -> Status {
    let ended = refusal.error.as_deref() == Some("invalid_grant");
    match refusal.status() {
        Status::Denied if ended && matches!(exchange.grant, Grant::RefreshToken(_)) => Status::Expired,
        status => status,
    }
}

fn consent_wanted(host: &str, said: &str, consent_url: Option<&str>) -> String {
    match consent_url {
        Some(url) => format!("{host} wants consent first ({said}); open {url}"),
        None => format!(
            "{host} wants consent first ({said}); for a URL to open set RedirectURI, and AuthURI if the provider is not known"
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

/// The server's words without what we had sent it: some repeat the whole request.
fn without_secrets(refused: Refused, exchange: &Exchange) -> Refusal {
    let Refused { mut refusal, attempt } = refused;
    let sent = attempt.parameters.iter().filter(|(name, _)| !name.ends_with("_type")).map(|(_, value)| value);
    let secrets = sent
        .chain(exchange.client.iter().filter_map(|client| client.secret.as_ref()))
        .chain(exchange.header.iter().map(|header| &header.value))
        .chain(exchange.parameters.iter().map(|(_, value)| value));
    for secret in secrets {
        refusal.found = without(&refusal.found, secret);
        refusal.error = refusal.error.map(|error| without(&error, secret));
        refusal.description = refusal.description.map(|text| without(&text, secret));
    }
    refusal
}

/// `text` with every occurrence of `secret` covered. A JWT is covered too where only its signature stands.
fn without(text: &str, secret: &Secret) -> String {
    let secret = secret.reveal();
    let signature = secret.rsplit_once('.').map_or("", |(_, signature)| signature);
    [secret, signature, &clean(secret)]
        .into_iter()
        .filter(|part| part.len() >= 4)
        .fold(text.to_owned(), |text, part| text.replace(part, "****"))
}
