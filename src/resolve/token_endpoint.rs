//! Token endpoint options: URL, HTTP methods, client credentials, additional parameters and headers.

use super::option_resolver::OptionResolver;
use super::{EndpointMethods, HttpHeader, OAuthClient};
use crate::base::error::OptionError;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::net::{header_value, urlencoded};
use crate::options::{AuthMethod, OptionId, table};
use crate::provider::{self, Profile};

impl OptionResolver<'_> {
    /// The token endpoint with the configured methods, not yet adapted to the profile or to secrets in the
    /// request.
    pub(super) fn token_endpoint(&mut self) -> Option<(EndpointUrl, EndpointMethods)> {
        if self.value(OptionId::TokenEndpoint).is_some() {
            if self.value(OptionId::TokenURI).is_some() {
                self.add_conflict(OptionId::TokenEndpoint, OptionId::TokenURI);
            }
            return Some((self.url(OptionId::TokenEndpoint)?, EndpointMethods::Post));
        }
        let text = self.text(OptionId::TokenURI)?;
        let text = text.trim();
        let (methods, url) = match text.split_once(char::is_whitespace) {
            None => (EndpointMethods::GetThenPost, text),
            Some((method, url)) if method.eq_ignore_ascii_case("POST") => (EndpointMethods::Post, url.trim()),
            Some((method, url)) if method.eq_ignore_ascii_case("GET") => (EndpointMethods::Get, url.trim()),
            Some(_) => {
                self.add_error(
                    OptionError::Invalid,
                    OptionId::TokenURI,
                    "has an unknown HTTP method before the URL; expected \"POST https://…\"",
                );
                return None;
            }
        };
        Some((self.parse_url(OptionId::TokenURI, url)?, methods))
    }

    pub(super) fn profile(&mut self, endpoint: Option<&EndpointUrl>) -> Option<&'static Profile> {
        let Some(name) = self.text(OptionId::Provider) else {
            return provider::find_by_host(endpoint?.host());
        };
        let profile = provider::find_by_name(&name);
        if profile.is_none() {
            let names: Vec<_> = provider::profiles().iter().map(|profile| profile.name.as_str()).collect();
            let text = format!(
                "is \"{}\", which is not a profile; expected one of {}",
                sanitize::value(&name),
                names.join(", ")
            );
            self.add_error(OptionError::Invalid, OptionId::Provider, &text);
        }
        profile
    }

    /// The HTTP methods to use for the configured ones. GET is only used for assertions: a secret in a URL is
    /// written to access logs.
    pub(super) fn endpoint_methods(
        &mut self,
        configured: Option<EndpointMethods>,
        profile: Option<&Profile>,
        contains_secret: bool,
    ) -> EndpointMethods {
        if configured == Some(EndpointMethods::Get) && contains_secret {
            self.add_error(
                OptionError::Invalid,
                OptionId::TokenURI,
                "uses GET, but the request contains a secret that must not appear in a URL; use \
                 TokenURI=POST https://…",
            );
        }
        let methods = match configured {
            Some(EndpointMethods::GetThenPost) if profile.is_some() || contains_secret => {
                EndpointMethods::Post
            }
            Some(configured) => configured,
            None => EndpointMethods::Post,
        };
        let methods = self.permitted_methods(methods);
        if methods != EndpointMethods::Post {
            self.add_warning(
                OptionId::TokenURI,
                "uses GET, so that the assertion appears in URLs and in the logs of servers and proxies; use \
                 TokenURI=POST https://… or TokenEndpoint",
            );
        }
        methods
    }

    /// The client credentials, if they are part of the request (RFC 6749 section 2.3.1).
    pub(super) fn client(
        &mut self,
        method: AuthMethod,
        profile: Option<&Profile>,
        headers: &[HttpHeader],
    ) -> Option<OAuthClient> {
        let mode = self.text(OptionId::ClientCredentialsMode);
        let is_mode = |names: [&str; 2]| {
            mode.as_ref().is_some_and(|mode| names.iter().any(|name| table::is_word(mode, name)))
        };
        let has_secret = self.value(OptionId::ClientSecret).is_some();
        let (id, secret) = match method {
            AuthMethod::JwtBearer if mode.is_none() => return self.client_for_profile(profile, headers),
            // RFC 8705 section 2: with a client certificate, only client_id is sent.
            AuthMethod::JwtBearer | AuthMethod::ClientCredentials
                if self.value(OptionId::KeyStore).is_some() && !has_secret =>
            {
                (self.require(OptionId::ClientID)?, None)
            }
            // A public client, which only names itself (RFC 7521 section 4.1).
            AuthMethod::JwtBearer if is_mode(["3", "Post"]) && !has_secret => {
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
        if is_mode(["2", "URL"]) {
            self.add_warning(
                OptionId::ClientCredentialsMode,
                "is 2 (URL); the secret is sent in the POST body instead",
            );
        }
        let in_body = secret.is_none() || is_mode(["2", "URL"]) || is_mode(["3", "Post"]);
        if !in_body && headers.iter().any(HttpHeader::is_authorization) {
            let (option, finding) = self.authorization_header_setter();
            let text = format!(
                "{finding}, which conflicts with ClientCredentialsMode Basic; set ClientCredentialsMode=3"
            );
            self.add_error(OptionError::Invalid, option, &text);
        }
        Some(OAuthClient { id, secret, uses_basic_auth: !in_body })
    }

    /// TokenParameters: `a=b&c=d` or a JSON object.
    pub(super) fn token_parameters(&mut self) -> Vec<(String, Secret)> {
        let Some(text) = self.secret(OptionId::TokenParameters) else {
            return Vec::new();
        };
        if self.has_error_for(OptionId::TokenParameters) {
            return Vec::new();
        }
        let Some(parameters) = urlencoded::parse_parameters(text.reveal()) else {
            self.add_error(
                OptionError::Invalid,
                OptionId::TokenParameters,
                "is invalid; expected a=b&c=d or a JSON object",
            );
            return Vec::new();
        };
        for (name, _) in &parameters {
            if RESERVED_PARAMETERS.contains(&name.as_str()) {
                let text = format!("must not set {name}, which the grant itself sends");
                self.add_error(OptionError::Invalid, OptionId::TokenParameters, &text);
            }
        }
        parameters
    }

    pub(super) fn extra_header(&mut self) -> Option<HttpHeader> {
        match (self.text(OptionId::AuthHeader), self.secret(OptionId::SecurityToken)) {
            (None, None) => None,
            (Some(_), None) => {
                self.problems.missing.push(OptionId::SecurityToken);
                None
            }
            (None, Some(_)) => {
                self.problems.missing.push(OptionId::AuthHeader);
                None
            }
            (Some(name), Some(value)) => self.validate_header(name, value),
        }
    }

    /// The additional headers of the token request: that of AuthHeader, and those of the model. The headers of a model
    /// about content describe the requests and responses of the API.
    pub(super) fn token_request_headers(&self, header: Option<HttpHeader>) -> Vec<HttpHeader> {
        let mut headers = Vec::from_iter(header);
        for (name, value) in self.options.model_headers() {
            let is_set = headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
            if !is_set && !header_value::is_content_header(name) {
                headers.push(HttpHeader { name: name.clone(), value: value.clone() });
            }
        }
        headers
    }

    /// The option that sets an additional header Authorization, and the beginning of a text about that.
    pub(super) fn authorization_header_setter(&self) -> (OptionId, &'static str) {
        if self.text(OptionId::AuthHeader).is_some_and(|name| name.eq_ignore_ascii_case("authorization")) {
            (OptionId::AuthHeader, "is Authorization")
        } else {
            (OptionId::RestConfigFile, "sets the header Authorization")
        }
    }

    /// Warns of an additional header Authorization that is sent to no server: API requests have the credential of the
    /// method in it.
    pub(super) fn warn_about_unsent_authorization(&mut self, header: Option<&HttpHeader>) {
        if self.token_request_headers(header.cloned()).iter().any(HttpHeader::is_authorization) {
            let (option, finding) = self.authorization_header_setter();
            let text =
                format!("{finding}, which has no effect: it is for a token request, and there is none");
            self.add_warning(option, &text);
        }
    }

    /// A header with the name from AuthHeader, by default Authorization, and `value`.
    pub(super) fn header_with_value(&mut self, value: Secret) -> Option<HttpHeader> {
        let name = self.text(OptionId::AuthHeader).unwrap_or_else(|| "Authorization".to_owned());
        self.validate_header(name, value)
    }

    fn validate_header(&mut self, name: String, value: Secret) -> Option<HttpHeader> {
        if let Err(reason) = header_value::validate_header_name(&name) {
            self.add_error(OptionError::Invalid, OptionId::AuthHeader, reason);
        }
        self.check_header_value(OptionId::SecurityToken, &value);
        Some(HttpHeader { name, value })
    }

    /// Checks a value that is sent in a header: with a line break in it, it would be several headers.
    pub(super) fn check_header_value(&mut self, name: OptionId, value: &Secret) {
        if !header_value::is_valid_header_value(value.reveal()) {
            let text = "contains an invalid character for a header value, such as a line break";
            self.add_error(OptionError::Invalid, name, text);
        }
    }
}

/// The parameters that grants send, so that TokenParameters must not contain them.
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
