//! JWT bearer grant: a signed assertion exchanged for an access token (RFC 7523 section 2.1).
//!
//! DataDirect's TokenURI is asked by GET unless POST stands in front, and providers answer a GET in many ways: what is
//! neither a token nor a verdict on the assertion is followed by one POST with a fresh one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::assertion::Assertion;
use crate::config::{Client, Consent, JwtBearer, Methods};
use crate::consent;
use crate::endpoint::{self, Grant, Refusal, clean};
use crate::error::{Error, Result, Status};
use crate::flow::{Context, signed_jwt};
use crate::form;
use crate::http::{Answer, Method, Request};
use crate::log::Level;
use crate::secret::Secret;
use crate::token::Token;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The errors that judge the assertion, and not the way in which it came.
const VERDICTS: [&str; 5] =
    ["invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope", "consent_required"];

pub(super) fn fetch(grant: &JwtBearer, consent: Option<&Consent>, context: &Context<'_>) -> Result<Token> {
    let learnt = &context.process.learnt;
    let methods = match grant.methods {
        Methods::GetThenPost if learnt.wants_post(&grant.endpoint) => Methods::Post,
        methods => methods,
    };
    let exchange = Exchange { grant, consent, context };
    match methods {
        Methods::Post => exchange.by(Method::Post)?.map_err(|refused| exchange.error(refused)),
        Methods::Get => exchange.by(Method::Get)?.map_err(|refused| exchange.error(refused)),
        Methods::GetThenPost => match exchange.by(Method::Get)? {
            Ok(token) => Ok(token),
            Err(refused) if is_verdict(&refused.refusal) => Err(exchange.error(refused)),
            Err(refused) => {
                context.call.log.line(Level::Debug, || {
                    format!(
                        "{} answered GET with {}; asking by POST",
                        grant.endpoint.shown(),
                        refused.refusal.found
                    )
                });
                let token = exchange.by(Method::Post)?.map_err(|refused| exchange.error(refused))?;
                learnt.post_works(&grant.endpoint);
                Ok(token)
            }
        },
    }
}

fn is_verdict(refusal: &Refusal) -> bool {
    refusal.error.as_deref().is_some_and(|error| VERDICTS.contains(&error))
}

/// A refusal, with the secrets of the request that it may repeat.
struct Refused {
    refusal: Refusal,
    assertion: Assertion,
}

struct Exchange<'a> {
    grant: &'a JwtBearer,
    consent: Option<&'a Consent>,
    context: &'a Context<'a>,
}

impl Exchange<'_> {
    /// One exchange; the outer error is one of the key, the network or the caller.
    fn by(&self, method: Method) -> Result<std::result::Result<Token, Refused>> {
        let (assertion, answer) = match self.send(method)? {
            (assertion, Ok(answer)) => (assertion, answer),
            // The server closed a kept connection before it answered: the assertion may have been seen, so another goes.
            (_, Err(failure)) if failure.stale => {
                let (assertion, second) = self.send(method)?;
                (assertion, second.map_err(|failure| failure.error)?)
            }
            (_, Err(failure)) => return Err(failure.error),
        };
        Ok(match endpoint::read(&answer, self.context.process.clock.as_ref()) {
            Ok(granted) => Ok(self.token(granted)),
            Err(refusal) => Err(Refused { refusal, assertion }),
        })
    }

    fn send(&self, method: Method) -> Result<(Assertion, std::result::Result<Answer, crate::http::Failure>)> {
        let Self { grant, context, .. } = self;
        let assertion = signed_jwt::sign(&grant.signing, context)?;
        let parameters = self.parameters(&assertion);
        let (query, body) = match method {
            Method::Get => (Some(parameters), None),
            Method::Post => (None, Some(parameters)),
        };
        let request = Request { method, url: &grant.endpoint, query, headers: self.headers(), body };
        let answer = context.process.network.send(&request, &grant.trust, context.call);
        Ok((assertion, answer))
    }

    fn parameters(&self, assertion: &Assertion) -> Secret {
        let mut parameters = vec![("grant_type", GRANT_TYPE), ("assertion", assertion.text().reveal())];
        if let Some(scope) = &self.grant.scope {
            parameters.push(("scope", scope));
        }
        if let Some(client) = self.grant.client.as_ref().filter(|client| !client.basic) {
            parameters.extend([("client_id", client.id.as_str()), ("client_secret", client.secret.reveal())]);
        }
        form::pairs(&parameters)
    }

    fn headers(&self) -> Vec<(String, Secret)> {
        let own = self.grant.header.iter().map(|header| (header.name.clone(), header.value.clone()));
        let client = self.grant.client.as_ref().filter(|client| client.basic);
        own.chain(client.map(|client| ("Authorization".to_owned(), basic(client)))).collect()
    }

    fn token(&self, granted: Grant) -> Token {
        if granted.type_missing {
            let text = format!("{} sent no token_type; Bearer is assumed", self.grant.endpoint.host());
            (self.context.warn)(Error::warning("01000", "token", text));
        }
        let issued_at = self.context.process.clock.unix_seconds();
        Token {
            value: granted.access_token,
            scope: granted.scope,
            fields: granted.fields,
            issued_at,
            expires_at: granted.expires_in.map(|seconds| issued_at.saturating_add(seconds)),
            identity: self.context.identity,
        }
    }

    fn error(&self, refused: Refused) -> Error {
        let refusal = self.without_secrets(refused);
        let status = refusal.status();
        let consent_url =
            (status == Status::ConsentRequired).then_some(self.consent).flatten().map(consent::url);
        let text = self.message(status, &refusal, consent_url.as_deref());
        Error::new(status, "token", text)
            .with_oauth(refusal.error, refusal.description)
            .with_provider_code(refusal.provider_code)
            .with_http(refusal.http_status, refusal.retry_after)
            .with_consent_url(consent_url)
    }

    fn message(&self, status: Status, refusal: &Refusal, consent_url: Option<&str>) -> String {
        let Self { grant, .. } = self;
        let host = grant.endpoint.host();
        let mut said = refusal.found.clone();
        if let Some(description) = &refusal.description {
            said = format!("{said}: {description}");
        }
        match status {
            Status::Denied => {
                format!("{host} refused the assertion ({said}). {}", self.what_was_sent(refusal))
            }
            Status::ConsentRequired => match consent_url {
                Some(url) => format!("{host} wants consent first ({said}); open {url}"),
                None => format!(
                    "{host} wants consent first ({said}); for a URL to open set RedirectURI, and AuthURI if the provider is not known"
                ),
            },
            Status::Throttled if refusal.retry_after > 0 => {
                format!("{host} asks to wait {} s before the next request ({said})", refusal.retry_after)
            }
            Status::Throttled => format!("{host} asks to send fewer requests ({said})"),
            Status::Server => format!("{host} has a problem of its own ({said}); try again later"),
            _ => format!(
                "{} did not answer as a token endpoint would: {said}; check TokenURI{}",
                grant.endpoint.shown(),
                if grant.methods == Methods::Get {
                    ", or ask by POST: TokenURI=POST https://…"
                } else {
                    ""
                },
            ),
        }
    }

    /// What a refused assertion said, next to what it may have been expected to say.
    fn what_was_sent(&self, refusal: &Refusal) -> String {
        let signing = &self.grant.signing;
        let shown =
            |claim: &Option<String>| claim.as_ref().map_or("absent".to_owned(), |text| format!("\"{text}\""));
        let clock = match refusal.clock_ahead {
            Some(ahead) if ahead < 0 => {
                format!("; the server's clock is {} s behind ours", ahead.unsigned_abs())
            }
            Some(ahead) => format!("; the server's clock is {ahead} s ahead of ours"),
            None => String::new(),
        };
        format!(
            "iss was \"{}\", sub {}, aud {}, the token URL {}{clock}",
            signing.issuer,
            shown(&signing.subject),
            shown(&signing.audience),
            self.grant.endpoint.shown(),
        )
    }

    /// The server's words without what we had sent it: some repeat the whole request.
    fn without_secrets(&self, refused: Refused) -> Refusal {
        let Refused { mut refusal, assertion } = refused;
        let grant = self.grant;
        let secrets = std::iter::once(assertion.text())
            .chain(grant.client.iter().map(|client| &client.secret))
            .chain(grant.header.iter().map(|header| &header.value));
        for secret in secrets {
            refusal.found = without(&refusal.found, secret.reveal());
            refusal.error = refusal.error.map(|error| without(&error, secret.reveal()));
            refusal.description = refusal.description.map(|text| without(&text, secret.reveal()));
        }
        refusal
    }
}

/// `text` with every occurrence of `secret` covered. A JWT is covered too where only its signature stands.
fn without(text: &str, secret: &str) -> String {
    let signature = secret.rsplit_once('.').map_or("", |(_, signature)| signature);
    [secret, signature, &clean(secret)]
        .into_iter()
        .filter(|part| part.len() >= 4)
        .fold(text.to_owned(), |text, part| text.replace(part, "****"))
}

/// RFC 6749 section 2.3.1: both are form-encoded before they are joined.
fn basic(client: &Client) -> Secret {
    let pair = Secret::new(format!("{}:{}", form::encode(&client.id), form::encode(client.secret.reveal())));
    Secret::new(format!("Basic {}", STANDARD.encode(pair.reveal())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_covered_whole_or_by_its_signature_and_as_it_was_cleaned() {
        assert_eq!(without("sent head.body.signature!", "head.body.signature"), "sent ****!");
        assert_eq!(without("bad signature", "head.body.signature"), "bad ****");
        assert_eq!(without("sent two words", "two\twords"), "sent ****");
        assert_eq!(without("a word", "word"), "a ****");
    }

    #[test]
    fn what_is_too_short_to_be_a_secret_does_not_cover_the_servers_words() {
        assert_eq!(without("a bad cat", "cat"), "a bad cat");
    }
}
