//! Where a grant is exchanged, by which methods, and which credentials, parameters and headers go along.

use super::method::AuthMethod;
use super::{EndpointMethods, HttpHeader, OAuthClient, OptionResolver};
use crate::base::error::Status;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::net::{header_value, urlencoded};
use crate::options::OptionId;
use crate::provider::{self, Profile};

impl OptionResolver<'_> {
    /// The token endpoint with the methods that were written, before what a profile or a secret changes.
    pub(super) fn token_endpoint(&mut self) -> Option<(EndpointUrl, EndpointMethods)> {
        if self.value(OptionId::TokenEndpoint).is_some() {
            if self.value(OptionId::TokenURI).is_some() {
                self.add_error(
                    Status::InvalidOption,
                    OptionId::TokenEndpoint,
                    "and TokenURI are both given; give one",
                );
            }
            return Some((self.url(OptionId::TokenEndpoint)?, EndpointMethods::Post));
        }
        let text = self.text(OptionId::TokenURI)?;
        let (methods, address) = match text.split_once([' ', '\t']) {
            None => (EndpointMethods::GetThenPost, text.as_str()),
            Some((word, address)) if word.eq_ignore_ascii_case("POST") => {
                (EndpointMethods::Post, address.trim())
            }
            Some((word, address)) if word.eq_ignore_ascii_case("GET") => {
                (EndpointMethods::Get, address.trim())
            }
            Some(_) => {
                self.add_error(
                    Status::InvalidOption,
                    OptionId::TokenURI,
                    "has something in front of the URL that is neither POST nor GET; expected \"POST https://…\"",
                );
                return None;
            }
        };
        Some((self.parse_url(OptionId::TokenURI, address)?, methods))
    }

    pub(super) fn profile(&mut self, endpoint: Option<&EndpointUrl>) -> Option<&'static Profile> {
        let Some(name) = self.text(OptionId::Provider) else {
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
            self.add_error(Status::InvalidOption, OptionId::Provider, &text);
        }
        profile
    }

    /// The methods by which `written` is asked. Only an assertion ever goes by GET: a secret in a URL lives in
    /// somebody's access log.
    pub(super) fn endpoint_methods(
        &mut self,
        written: Option<EndpointMethods>,
        profile: Option<&Profile>,
        carries_secret: bool,
    ) -> EndpointMethods {
        if written == Some(EndpointMethods::Get) && carries_secret {
            self.add_error(
                Status::InvalidOption,
                OptionId::TokenURI,
                "says GET, and the request carries a secret, which must not stand in a URL; write TokenURI=POST https://…",
            );
        }
        let methods = match written {
            Some(EndpointMethods::GetThenPost) if profile.is_some() || carries_secret => {
                EndpointMethods::Post
            }
            Some(written) => written,
            None => EndpointMethods::Post,
        };
        let methods = self.permitted_methods(methods);
        if methods != EndpointMethods::Post {
            self.add_warning(
                OptionId::TokenURI,
                "asks by GET, which puts the assertion into URLs, and so into the logs of servers and proxies; write TokenURI=POST https://…, or TokenEndpoint",
            );
        }
        methods
    }

    /// The client's own credentials, as far as the grant lets them go along (RFC 6749 section 2.3.1).
    pub(super) fn client(
        &mut self,
        method: AuthMethod,
        profile: Option<&Profile>,
        header: Option<&HttpHeader>,
    ) -> Option<OAuthClient> {
        let mode = self.text(OptionId::ClientCredentialsMode);
        let (id, secret) = match method {
            AuthMethod::JwtBearer if mode.is_none() => return self.client_for_profile(profile, header),
            // RFC 8705 section 2: with a certificate, client_id alone.
            AuthMethod::JwtBearer | AuthMethod::ClientCredentials
                if self.value(OptionId::KeyStore).is_some()
                    && self.value(OptionId::ClientSecret).is_none() =>
            {
                (self.require(OptionId::ClientID)?, None)
            }
            AuthMethod::JwtBearer | AuthMethod::ClientCredentials => {
                let (id, secret) =
                    (self.require(OptionId::ClientID), self.require_secret(OptionId::ClientSecret));
                (id?, Some(secret?))
            }
            AuthMethod::Password | AuthMethod::RefreshToken => {
                (self.text(OptionId::ClientID)?, self.secret(OptionId::ClientSecret))
            }
            AuthMethod::AuthorizationCode => {
                let id = self.text(OptionId::ClientID).or_else(|| self.text(OptionId::ClaimsIssuer));
                (id.or_else(|| self.require(OptionId::ClientID))?, self.secret(OptionId::ClientSecret))
            }
            _ => return None,
        };
        let is = |words: [&str; 2]| {
            mode.as_ref().is_some_and(|mode| words.iter().any(|word| word.eq_ignore_ascii_case(mode)))
        };
        if is(["2", "URL"]) {
            self.add_warning(
                OptionId::ClientCredentialsMode,
                "is 2 (URL); the secret goes into the body of a POST instead",
            );
        }
        let in_body = secret.is_none() || is(["2", "URL"]) || is(["3", "Post"]);
        if !in_body && header.is_some_and(|header| header.name.eq_ignore_ascii_case("authorization")) {
            self.add_error(
                Status::InvalidOption,
                OptionId::AuthHeader,
                "is Authorization, which ClientCredentialsMode Basic sends too; set ClientCredentialsMode=3",
            );
        }
        Some(OAuthClient { id, secret, uses_basic_auth: !in_body })
    }

    /// TokenParameters, as `a=b&c=d` or a JSON object.
    pub(super) fn token_parameters(&mut self) -> Vec<(String, Secret)> {
        let Some(text) = self.secret(OptionId::TokenParameters) else {
            return Vec::new();
        };
        if self.has_error_for(OptionId::TokenParameters) {
            return Vec::new();
        }
        let Some(parameters) = urlencoded::parse_parameters(text.reveal()) else {
            self.add_error(
                Status::InvalidOption,
                OptionId::TokenParameters,
                "cannot be read; expected a=b&c=d, or a JSON object",
            );
            return Vec::new();
        };
        for (name, _) in &parameters {
            if RESERVED_PARAMETERS.contains(&name.as_str()) {
                let text = format!("sets {name}, which the flow itself sends");
                self.add_error(Status::InvalidOption, OptionId::TokenParameters, &text);
            }
        }
        parameters
    }

    pub(super) fn extra_header(&mut self) -> Option<HttpHeader> {
        match (self.text(OptionId::AuthHeader), self.secret(OptionId::SecurityToken)) {
            (None, None) => None,
            (Some(_), None) => {
                self.missing.push(OptionId::SecurityToken);
                None
            }
            (None, Some(_)) => {
                self.missing.push(OptionId::AuthHeader);
                None
            }
            (Some(name), Some(value)) => self.validate_header(name, value),
        }
    }

    /// The header that AuthHeader names, or Authorization, with `value`.
    pub(super) fn header_with_value(&mut self, value: Secret) -> Option<HttpHeader> {
        let name = self.text(OptionId::AuthHeader).unwrap_or_else(|| "Authorization".to_owned());
        self.validate_header(name, value)
    }

    fn validate_header(&mut self, name: String, value: Secret) -> Option<HttpHeader> {
        if let Err(reason) = header_value::validate_header_name(&name) {
            self.add_error(Status::InvalidOption, OptionId::AuthHeader, reason);
        }
        if !header_value::is_valid_header_value(value.reveal()) {
            self.add_error(
                Status::InvalidOption,
                OptionId::SecurityToken,
                "has a character that no header may carry, such as a line break",
            );
        }
        Some(HttpHeader { name, value })
    }
}

/// The parameters that flows send.
const RESERVED_PARAMETERS: [&str; 13] = [
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
