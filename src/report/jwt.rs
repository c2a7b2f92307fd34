//! Explain report of the unsigned JWT: header and claims with the origin of each member, and the signing key.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{CertificateReport, OrderedMap, Problem, redact_if_url};
use crate::base::error::Error;
use crate::grants;
use crate::jwt::{self, UnsignedJwt};
use crate::key::{KeyOrigin, SigningKey};
use crate::options::OptionId;
use crate::process::Process;
use crate::report::value_origin::{OriginFinder, ValueOrigin, WithOrigin};
use crate::resolve::AssertionConfig;

/// The raw JSON of a member; `None` if only the key could determine it.
type JsonMember = WithOrigin<Option<Box<RawValue>>>;

#[derive(Serialize)]
pub(super) struct JwtReport {
    header: OrderedMap<JsonMember>,
    claims: OrderedMap<JsonMember>,
    key: SigningKeyReport,
}

#[derive(Serialize)]
struct SigningKeyReport {
    from: ValueOrigin,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// Reports the JWT that would be signed. `token_url` is the default audience.
pub(super) fn explain_jwt(
    signing: &AssertionConfig,
    token_url: Option<&str>,
    origins: &OriginFinder<'_>,
    process: &Process,
) -> JwtReport {
    let key = process.key_cache.get_or_open(&signing.key);
    let with_key = key.clone().and_then(|key| grants::build_unsigned_jwt(signing, Some(&key)));
    let (unsigned, error) = match with_key {
        Ok(unsigned) => (Some(unsigned), None),
        Err(error) => (grants::build_unsigned_jwt(signing, None).ok(), Some(error)),
    };
    let UnsignedJwt { header, claims } = unsigned.unwrap_or_default();
    let explainer = JwtExplainer { signing, token_url, origins };
    JwtReport {
        header: explainer.header(&header),
        claims: explainer.claims(&claims),
        key: explainer.key(key.ok().as_deref(), error.as_ref()),
    }
}

struct JwtExplainer<'a> {
    signing: &'a AssertionConfig,
    token_url: Option<&'a str>,
    origins: &'a OriginFinder<'a>,
}

impl JwtExplainer<'_> {
    fn header(&self, json: &str) -> OrderedMap<JsonMember> {
        let mut members = parse_members(json);
        // Members that only the key determines are listed even if the key does not open.
        let cert_headers = self.signing.header.cert_headers.iter().map(|header| header.name());
        for name in ["alg"].into_iter().chain(cert_headers) {
            if !members.iter().any(|(known, _)| known == name) {
                members.push((name.to_owned(), None));
            }
        }
        let reported = members.into_iter().map(|(name, value)| {
            let from = self.header_origin(&name);
            let is_additional = self.signing.header.additional.contains_key(&name);
            let value = value
                .map(|value| if is_additional { value } else { redact_json_string(&value).unwrap_or(value) });
            (name, WithOrigin { value, from })
        });
        OrderedMap(reported.collect())
    }

    fn header_origin(&self, name: &str) -> ValueOrigin {
        let header = &self.signing.header;
        if header.additional.contains_key(name) {
            return self.origins.find_origin(&[OptionId::JWTHeaders], false);
        }
        match name {
            "alg" if header.algorithm.is_none() && header.preferred_algorithms.is_empty() => {
                ValueOrigin::new("key")
            }
            "alg" if self.origins.option_origin(OptionId::JWTAlgorithm).is_some() => {
                self.origins.find_origin(&[OptionId::JWTAlgorithm], false)
            }
            "alg" if self.has_algorithm_in_jwt_headers() => {
                self.origins.find_origin(&[OptionId::JWTHeaders], false)
            }
            "kid" => self.origins.find_origin(&[OptionId::JWTKeyID], false),
            "x5t" | "x5t#S256" | "x5c" => self.origins.find_origin(&[OptionId::JWTThumbprint], false),
            "typ" => ValueOrigin::new("default"),
            _ => self.origins.find_origin(&[], false),
        }
    }

    /// The alg in JWTHeaders is a synonym of JWTAlgorithm and has already been removed from the additional
    /// headers.
    fn has_algorithm_in_jwt_headers(&self) -> bool {
        let headers = self.origins.options.get(OptionId::JWTHeaders);
        headers.is_some_and(|headers| headers.text.reveal().contains("\"alg\""))
    }

    fn claims(&self, json: &str) -> OrderedMap<JsonMember> {
        let reported = parse_members(json).into_iter().map(|(name, value)| {
            let from = self.claim_origin(&name);
            let value = value.map(|value| self.display_claim(&name, value));
            (name, WithOrigin { value, from })
        });
        OrderedMap(reported.collect())
    }

    fn claim_origin(&self, name: &str) -> ValueOrigin {
        if self.signing.additional_claims.contains_key(name) {
            return self.origins.find_origin(&[OptionId::ClaimsAdditional], false);
        }
        let signing = self.signing;
        match name {
            "iss" => self.origins.find_origin(&[OptionId::ClaimsIssuer, OptionId::ClientID], false),
            // In a client assertion sub equals iss.
            "sub" => self
                .origins
                .find_origin(&[OptionId::ClaimsSubject, OptionId::ClaimsIssuer, OptionId::ClientID], false),
            "aud" => self
                .origins
                .find_origin(&[OptionId::ClaimsAudience], signing.audience.as_deref() == self.token_url),
            "scope" => self.origins.find_origin(&[OptionId::Scope], false),
            "exp" => self
                .origins
                .find_origin(&[OptionId::JWTLifetime, OptionId::JWTLifetimeMinutes], signing.lifetime == 300),
            "iat" | "jti" => ValueOrigin::new("default"),
            _ => self.origins.find_origin(&[], false),
        }
    }

    /// The claim for display: times relative to now, URLs without query.
    fn display_claim(&self, name: &str, value: Box<RawValue>) -> Box<RawValue> {
        let additional = &self.signing.additional_claims;
        let display = match name {
            _ if additional.contains_key(name) => None,
            "jti" => Some("new for each assertion".to_owned()),
            "iat" => value.get().parse().ok().map(relative_to_now),
            "exp" if !additional.contains_key("iat") => value.get().parse().ok().map(relative_to_now),
            _ => return redact_json_string(&value).unwrap_or(value),
        };
        display.and_then(|text| to_raw_value(&text).ok()).unwrap_or(value)
    }

    fn key(&self, key: Option<&SigningKey>, error: Option<&Error>) -> SigningKeyReport {
        let source = &self.signing.key;
        let option = match &source.origin {
            KeyOrigin::File(_) | KeyOrigin::Pkcs11(_) | KeyOrigin::Callback(_) => OptionId::JWTCertStore,
            KeyOrigin::Inline(_) => OptionId::JWTPrivateKey,
            KeyOrigin::HmacSecret(_) => OptionId::JWTSecret,
        };
        SigningKeyReport {
            from: self.origins.find_origin(&[option], false),
            store: source.as_configured().map(redact_if_url),
            alias: key.and_then(SigningKey::alias).map(str::to_owned),
            kind: key.map(SigningKey::type_and_size),
            certificate: key.and_then(SigningKey::certificate_info).cloned().map(CertificateReport::from),
            error: error.map(Problem::from),
        }
    }
}

/// A JSON string redacted for display; `None` for other values.
fn redact_json_string(value: &RawValue) -> Option<Box<RawValue>> {
    to_raw_value(&redact_if_url(&serde_json::from_str::<String>(value.get()).ok()?)).ok()
}

/// `now`, `now + 295`, `now - 5`.
fn relative_to_now(seconds: i64) -> String {
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("now + {seconds}"),
        _ => format!("now - {}", seconds.unsigned_abs()),
    }
}

/// The members of an object in their order, each as raw JSON.
fn parse_members(json: &str) -> Vec<(String, Option<Box<RawValue>>)> {
    let members = jwt::RawObject::parse(json).unwrap_or_default();
    let raw = |name: &str| RawValue::from_string(members.get_raw(name)?.to_owned()).ok();
    members.names().map(|name| (name.to_owned(), raw(name))).collect()
}
