//! The JWT that a flow would sign: header and claims, each member with who said it, and the key.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Certificate, Members, Problem, shown_value};
use crate::base::error::Error;
use crate::grants;
use crate::jwt::{self, UnsignedJwt};
use crate::key::{KeyOrigin, SigningKey};
use crate::options::Name;
use crate::process::Process;
use crate::report::value_origin::{Said, Source, Sources};
use crate::resolve::Signing;

/// A member as JSON.
type Member = Said<Option<Box<RawValue>>>;

#[derive(Serialize)]
pub(super) struct Jwt {
    header: Members<Member>,
    claims: Members<Member>,
    key: Key,
}

#[derive(Serialize)]
struct Key {
    from: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Certificate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// What would be signed. `token_url` is the usual audience.
pub(super) fn jwt(
    signing: &Signing,
    token_url: Option<&str>,
    sources: &Sources<'_>,
    process: &Process,
) -> Jwt {
    let opened = process.key_cache.key(&signing.key);
    let whole = opened.clone().and_then(|key| grants::preview_jwt(signing, Some(&key)));
    let (unsigned, error) = match whole {
        Ok(unsigned) => (Some(unsigned), None),
        Err(error) => (grants::preview_jwt(signing, None).ok(), Some(error)),
    };
    let UnsignedJwt { header, claims } = unsigned.unwrap_or_default();
    let speaker = Speaker { signing, token_url, sources };
    Jwt {
        header: speaker.header(&header),
        claims: speaker.claims(&claims),
        key: speaker.key(opened.ok().as_deref(), error.as_ref()),
    }
}

struct Speaker<'a> {
    signing: &'a Signing,
    token_url: Option<&'a str>,
    sources: &'a Sources<'a>,
}

impl Speaker<'_> {
    fn header(&self, json: &str) -> Members<Member> {
        let mut members = members(json);
        // What only a key can say has its place all the same.
        let wanted = self.signing.header.cert_headers.iter().map(|wanted| wanted.name());
        for name in ["alg"].into_iter().chain(wanted) {
            if !members.iter().any(|(known, _)| known == name) {
                members.push((name.to_owned(), None));
            }
        }
        let said = members.into_iter().map(|(name, value)| {
            let from = self.header_from(&name);
            let own = self.signing.header.additional.contains_key(&name);
            let value = value.map(|value| if own { value } else { shown_text(&value).unwrap_or(value) });
            (name, Said { value, from })
        });
        Members(said.collect())
    }

    fn header_from(&self, name: &str) -> Source {
        let header = &self.signing.header;
        if header.additional.contains_key(name) {
            return self.sources.of(&[Name::JWTHeaders], false);
        }
        match name {
            "alg" if header.algorithm.is_none() && header.preferred_algorithms.is_empty() => {
                Source::of("key")
            }
            "alg" if self.sources.option(Name::JWTAlgorithm).is_some() => {
                self.sources.of(&[Name::JWTAlgorithm], false)
            }
            "alg" if self.headers_name_an_algorithm() => self.sources.of(&[Name::JWTHeaders], false),
            "kid" => self.sources.of(&[Name::JWTKeyID], false),
            "x5t" | "x5t#S256" | "x5c" => self.sources.of(&[Name::JWTThumbprint], false),
            "typ" => Source::of("default"),
            _ => self.sources.of(&[], false),
        }
    }

    /// The alg of JWTHeaders is a synonym of JWTAlgorithm, and no member of its own any more.
    fn headers_name_an_algorithm(&self) -> bool {
        let headers = self.sources.options.get(Name::JWTHeaders);
        headers.is_some_and(|headers| headers.text.reveal().contains("\"alg\""))
    }

    fn claims(&self, json: &str) -> Members<Member> {
        let said = members(json).into_iter().map(|(name, value)| {
            let from = self.claim_from(&name);
            let value = value.map(|value| self.claim(&name, value));
            (name, Said { value, from })
        });
        Members(said.collect())
    }

    fn claim_from(&self, name: &str) -> Source {
        if self.signing.additional.contains_key(name) {
            return self.sources.of(&[Name::ClaimsAdditional], false);
        }
        let signing = self.signing;
        match name {
            "iss" => self.sources.of(&[Name::ClaimsIssuer, Name::ClientID], false),
            // A client's own assertion has its issuer there too.
            "sub" => self.sources.of(&[Name::ClaimsSubject, Name::ClaimsIssuer, Name::ClientID], false),
            "aud" => self.sources.of(&[Name::ClaimsAudience], signing.audience.as_deref() == self.token_url),
            "scope" => self.sources.of(&[Name::Scope], false),
            "exp" => self.sources.of(&[Name::JWTLifetime, Name::JWTLifetimeMinutes], signing.lifetime == 300),
            "iat" | "jti" => Source::of("default"),
            _ => self.sources.of(&[], false),
        }
    }

    /// The claim as it is shown: times as they lie from now, and no query of a URL.
    fn claim(&self, name: &str, value: Box<RawValue>) -> Box<RawValue> {
        let own = &self.signing.additional;
        let shown = match name {
            _ if own.contains_key(name) => None,
            "jti" => Some("new for each assertion".to_owned()),
            "iat" => value.get().parse().ok().map(from_now),
            "exp" if !own.contains_key("iat") => value.get().parse().ok().map(from_now),
            _ => return shown_text(&value).unwrap_or(value),
        };
        shown.and_then(|text| to_raw_value(&text).ok()).unwrap_or(value)
    }

    fn key(&self, key: Option<&SigningKey>, error: Option<&Error>) -> Key {
        let source = &self.signing.key;
        let option = match &source.origin {
            KeyOrigin::Store(_) | KeyOrigin::Pkcs11(_) | KeyOrigin::Signer(_) => Name::JWTCertStore,
            KeyOrigin::Text(_) => Name::JWTPrivateKey,
            KeyOrigin::Shared(_) => Name::JWTSecret,
        };
        Key {
            from: self.sources.of(&[option], false),
            store: source.typed().map(shown_value),
            alias: key.and_then(SigningKey::alias).map(str::to_owned),
            kind: key.map(SigningKey::kind),
            certificate: key.and_then(SigningKey::certificate).cloned().map(Certificate::from),
            error: error.map(Problem::from),
        }
    }
}

/// A text as it may be shown; nothing for other values.
fn shown_text(value: &RawValue) -> Option<Box<RawValue>> {
    to_raw_value(&shown_value(&serde_json::from_str::<String>(value.get()).ok()?)).ok()
}

/// `now`, `now + 295`, `now - 5`.
fn from_now(seconds: i64) -> String {
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("now + {seconds}"),
        _ => format!("now - {}", seconds.unsigned_abs()),
    }
}

/// The members of an object in their order, each as it is written.
fn members(json: &str) -> Vec<(String, Option<Box<RawValue>>)> {
    let members = jwt::RawObject::parse(json).unwrap_or_default();
    let raw = |name: &str| RawValue::from_string(members.get_raw(name)?.to_owned()).ok();
    members.names().map(|name| (name.to_owned(), raw(name))).collect()
}
