//! Where a grant is exchanged, by which methods, and which credentials, parameters and headers go along.

use super::method::Method;
use super::{Client, Header, Methods, Reader};
use crate::base::error::Status;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::net::{header_value, urlencoded};
use crate::options::Name;
use crate::provider::{self, Profile};

impl Reader<'_> {
    /// The token endpoint with the methods that were written, before what a profile or a secret changes.
    pub(super) fn endpoint(&mut self) -> Option<(EndpointUrl, Methods)> {
        if self.value(Name::TokenEndpoint).is_some() {
            if self.value(Name::TokenURI).is_some() {
                self.fault(
                    Status::InvalidOption,
                    Name::TokenEndpoint,
                    "and TokenURI are both given; give one",
                );
            }
            return Some((self.url(Name::TokenEndpoint)?, Methods::Post));
        }
        let text = self.text(Name::TokenURI)?;
        let (methods, address) = match text.split_once([' ', '\t']) {
            None => (Methods::GetThenPost, text.as_str()),
            Some((word, address)) if word.eq_ignore_ascii_case("POST") => (Methods::Post, address.trim()),
            Some((word, address)) if word.eq_ignore_ascii_case("GET") => (Methods::Get, address.trim()),
            Some(_) => {
                self.fault(
                    Status::InvalidOption,
                    Name::TokenURI,
                    "has something in front of the URL that is neither POST nor GET; expected \"POST https://…\"",
                );
                return None;
            }
        };
        Some((self.checked_url(Name::TokenURI, address)?, methods))
    }

    pub(super) fn profile(&mut self, endpoint: Option<&EndpointUrl>) -> Option<&'static Profile> {
        let Some(name) = self.text(Name::Provider) else {
            return provider::find_by_host(endpoint?.host());
        };
        let profile = provider::find_by_name(&name);
        if profile.is_none() {
            let known: Vec<_> = provider::profiles().iter().map(|profile| profile.name.as_str()).collect();
            let text = format!(
                "is \"{}\", which is not a profile; there is {}",
                sanitize::value(&name),
                known.join(", ")
            );
            self.fault(Status::InvalidOption, Name::Provider, &text);
        }
        profile
    }

    /// The methods by which `written` is asked. Only an assertion ever goes by GET: a secret in a URL lives in
    /// somebody's access log.
    pub(super) fn methods(
        &mut self,
        written: Option<Methods>,
        profile: Option<&Profile>,
        carries_secret: bool,
    ) -> Methods {
        if written == Some(Methods::Get) && carries_secret {
            self.fault(
                Status::InvalidOption,
                Name::TokenURI,
                "says GET, and the request carries a secret, which must not stand in a URL; write TokenURI=POST https://…",
            );
        }
        let methods = match written {
            Some(Methods::GetThenPost) if profile.is_some() || carries_secret => Methods::Post,
            Some(written) => written,
            None => Methods::Post,
        };
        let methods = self.allowed(methods);
        if methods != Methods::Post {
            self.warn(
                Name::TokenURI,
                "asks by GET, which puts the assertion into URLs, and so into the logs of servers and proxies; write TokenURI=POST https://…, or TokenEndpoint",
            );
        }
        methods
    }

    /// The client's own credentials, as far as the grant lets them go along (RFC 6749 section 2.3.1).
    pub(super) fn client(
        &mut self,
        method: Method,
        profile: Option<&Profile>,
        header: Option<&Header>,
    ) -> Option<Client> {
        let mode = self.text(Name::ClientCredentialsMode);
        let (id, secret) = match method {
            Method::JwtBearer if mode.is_none() => return self.client_by_profile(profile, header),
            // RFC 8705 section 2: with a certificate, client_id alone.
            Method::JwtBearer | Method::ClientCredentials
                if self.value(Name::KeyStore).is_some() && self.value(Name::ClientSecret).is_none() =>
            {
                (self.need(Name::ClientID)?, None)
            }
            Method::JwtBearer | Method::ClientCredentials => {
                let (id, secret) = (self.need(Name::ClientID), self.need_secret(Name::ClientSecret));
                (id?, Some(secret?))
            }
            Method::Password | Method::RefreshToken => {
                (self.text(Name::ClientID)?, self.secret(Name::ClientSecret))
            }
            Method::AuthorizationCode => {
                let id = self.text(Name::ClientID).or_else(|| self.text(Name::ClaimsIssuer));
                (id.or_else(|| self.need(Name::ClientID))?, self.secret(Name::ClientSecret))
            }
            _ => return None,
        };
        let is = |words: [&str; 2]| {
            mode.as_ref().is_some_and(|mode| words.iter().any(|word| word.eq_ignore_ascii_case(mode)))
        };
        if is(["2", "URL"]) {
            self.warn(
                Name::ClientCredentialsMode,
                "is 2 (URL); the secret goes into the body of a POST instead",
            );
        }
        let in_body = secret.is_none() || is(["2", "URL"]) || is(["3", "Post"]);
        if !in_body && header.is_some_and(|header| header.name.eq_ignore_ascii_case("authorization")) {
            self.fault(
                Status::InvalidOption,
                Name::AuthHeader,
                "is Authorization, which ClientCredentialsMode Basic sends too; set ClientCredentialsMode=3",
            );
        }
        Some(Client { id, secret, basic: !in_body })
    }

    /// TokenParameters, as `a=b&c=d` or a JSON object.
    pub(super) fn parameters(&mut self) -> Vec<(String, Secret)> {
        let Some(text) = self.secret(Name::TokenParameters) else {
            return Vec::new();
        };
        if self.has_fault_with(Name::TokenParameters) {
            return Vec::new();
        }
        let Some(parameters) = urlencoded::parse_parameters(text.reveal()) else {
            self.fault(
                Status::InvalidOption,
                Name::TokenParameters,
                "cannot be read; expected a=b&c=d, or a JSON object",
            );
            return Vec::new();
        };
        for (name, _) in &parameters {
            if OURS.contains(&name.as_str()) {
                let text = format!("sets {name}, which the flow itself sends");
                self.fault(Status::InvalidOption, Name::TokenParameters, &text);
            }
        }
        parameters
    }

    pub(super) fn header(&mut self) -> Option<Header> {
        match (self.text(Name::AuthHeader), self.secret(Name::SecurityToken)) {
            (None, None) => None,
            (Some(_), None) => {
                self.missing.push(Name::SecurityToken);
                None
            }
            (None, Some(_)) => {
                self.missing.push(Name::AuthHeader);
                None
            }
            (Some(name), Some(value)) => self.checked_header(name, value),
        }
    }

    /// The header that AuthHeader names, or Authorization, with `value`.
    pub(super) fn named_header(&mut self, value: Secret) -> Option<Header> {
        let name = self.text(Name::AuthHeader).unwrap_or_else(|| "Authorization".to_owned());
        self.checked_header(name, value)
    }

    fn checked_header(&mut self, name: String, value: Secret) -> Option<Header> {
        if let Err(reason) = header_value::validate_header_name(&name) {
            self.fault(Status::InvalidOption, Name::AuthHeader, reason);
        }
        if !header_value::is_valid_header_value(value.reveal()) {
            self.fault(
                Status::InvalidOption,
                Name::SecurityToken,
                "has a character that no header may carry, such as a line break",
            );
        }
        Some(Header { name, value })
    }
}

/// The parameters that flows send.
const OURS: [&str; 13] = [
    "assertion",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "grant_type",
    "password",
    "redirect_uri",
    "refresh_token",
    "scope",
    "username",
];
