//! Client credentials grant by a JWT client assertion instead of a secret (RFC 7523 section 2.2; webMethods' third flow).

use crate::base::clock::Clock;
use crate::base::error::{Error, Result, Status};
use crate::base::file::{ConfiguredPath, LoosePermissions};
use crate::base::secret::Secret;
use crate::grants::token_request::{RetryPolicy, TokenRequest, describe_claims};
use crate::grants::{GrantContext, signed_jwt};
use crate::resolve::{AssertionSource, TokenEndpointConfig};
use crate::token::unverified_jwt_exp;

pub(super) const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) fn build_request<'a>(
    exchange: &'a TokenEndpointConfig,
    source: &'a AssertionSource,
    client_id: Option<&str>,
    ahead: i64,
    context: &GrantContext<'_>,
) -> Result<TokenRequest<'a>> {
    let assertion = match source {
        AssertionSource::SignedHere(signing) => {
            signed_jwt::sign_before_deadline(signing, ahead, context)?.into_text()
        }
        AssertionSource::Literal(assertion) => assertion.clone(),
        AssertionSource::File { file, require_private_file: guarded } => {
            read_assertion_file(file, *guarded, context.warn)?
        }
    };
    let sent = Box::new(|| match source {
        AssertionSource::SignedHere(signing) => describe_claims(signing, exchange),
        AssertionSource::Literal(_) => describe_source("ClientAssertion", exchange),
        AssertionSource::File { file, .. } => describe_source(&file.to_string(), exchange),
    });
    let signed = matches!(source, AssertionSource::SignedHere(_));
    if !signed {
        check_expiry(source, &assertion, context.process.clock.as_ref())?;
    }
    let mut parameters = vec![
        ("grant_type", Secret::from("client_credentials")),
        ("client_assertion_type", Secret::from(CLIENT_ASSERTION_TYPE)),
        ("client_assertion", assertion),
    ];
    parameters.extend(client_id.map(|id| ("client_id", Secret::from(id))));
    let repeat = if signed { RetryPolicy::OnTransientError } else { RetryPolicy::Never };
    Ok(TokenRequest {
        parameters,
        credential_label: "the client assertion",
        describe: sent,
        retry_policy: repeat,
        signed_per_attempt: signed,
    })
}

pub(super) fn load_presigned_assertion(
    source: &AssertionSource,
    clock: &dyn Clock,
    warn: &dyn Fn(Error),
) -> Result<Option<Secret>> {
    let assertion = match source {
        AssertionSource::SignedHere(_) => return Ok(None),
        AssertionSource::Literal(assertion) => assertion.clone(),
        AssertionSource::File { file, require_private_file: guarded } => {
            read_assertion_file(file, *guarded, warn)?
        }
    };
    check_expiry(source, &assertion, clock)?;
    Ok(Some(assertion))
}

fn describe_source(source: &str, exchange: &TokenEndpointConfig) -> String {
    format!("it came from {source}, the token URL was {}", exchange.endpoint.without_query())
}

/// Whoever wrote the file renews it, so it is read each time.
fn read_assertion_file(location: &ConfiguredPath, guarded: bool, warn: &dyn Fn(Error)) -> Result<Secret> {
    let error = |status, what: String| {
        let text = format!("ClientAssertionFile {location} {what}");
        Error::new(status, "client assertion", text).with_option("ClientAssertionFile")
    };
    let fault = |what| error(Status::KeyStore, what);
    let (content, metadata) =
        location.read().map_err(|why| error(why.status_or(Status::KeyStore), why.to_string()))?;
    match LoosePermissions::detect(&metadata) {
        Some(exposed) if guarded => return Err(fault(format!("{exposed} (KeyFileCheck is 1)"))),
        Some(exposed) => {
            let text =
                format!("ClientAssertionFile {location} {exposed} (KeyFileCheck=1 makes this an error)");
            warn(Error::warning("01000", "client assertion", text).with_option("ClientAssertionFile"));
        }
        None => {}
    }
    match std::str::from_utf8(&content).map(str::trim) {
        Ok("") => Err(fault("is empty; expected one JWT".to_owned())),
        Ok(jwt) if jwt.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Secret::from(jwt)),
        _ => Err(fault("holds something else than one JWT".to_owned())),
    }
}

fn check_expiry(source: &AssertionSource, assertion: &Secret, clock: &dyn Clock) -> Result<()> {
    let now = clock.unix_seconds();
    let Some(late) =
        unverified_jwt_exp(assertion.reveal()).map(|end| now.saturating_sub(end)).filter(|late| *late >= 0)
    else {
        return Ok(());
    };
    let option = if matches!(source, AssertionSource::File { .. }) {
        "ClientAssertionFile"
    } else {
        "ClientAssertion"
    };
    let text = format!("the assertion of {option} ended {late} s ago; it was not sent");
    Err(Error::new(Status::Expired, "client assertion", text).with_option(option))
}
