//! What is asked of a token endpoint, and the ways that do without one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::method::AuthMethod;
use super::{
    AssertionSource, AuthorizationRequest, EndpointMethods, Flow, Grant, HttpHeader, Login, OptionResolver,
    TokenEndpointConfig,
};
use crate::base::error::Status;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::net::tls::TransportConfig;
use crate::options::OptionId;
use crate::provider::{Profile, ScopeLocation};

impl OptionResolver<'_> {
    /// The grant of `method`; what it lacks is found missing.
    pub(super) fn grant(
        &mut self,
        method: AuthMethod,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
        consent: Option<&AuthorizationRequest>,
    ) -> Option<Grant> {
        match method {
            AuthMethod::JwtBearer => Some(Grant::JwtBearer {
                signing: Box::new(self.assertion_config(endpoint, profile, false)?),
                grant_type: self.text(OptionId::GrantType),
            }),
            AuthMethod::ClientCredentials => Some(Grant::ClientCredentials),
            AuthMethod::ClientAssertion => Some(Grant::ClientAssertion {
                assertion: self.assertion_source(endpoint, profile)?,
                client_id: self.text(OptionId::ClientID),
            }),
            AuthMethod::Password => self.password_grant(),
            AuthMethod::AuthorizationCode => Some(Grant::AuthorizationCode(Login {
                // As the consent URL has it; a code may also come from elsewhere, by a URL without one.
                redirect_uri: consent
                    .map(|consent| consent.redirect_uri.clone())
                    .or(self.text(OptionId::RedirectURI)),
                code: self.secret(OptionId::OAuthCode),
                refresh_token: self.secret(OptionId::RefreshToken),
                may_prompt: self.has_value(OptionId::EnableLoginPrompt, "1"),
            })),
            AuthMethod::RefreshToken => {
                Some(Grant::RefreshToken(self.require_secret(OptionId::RefreshToken)?))
            }
            _ => None,
        }
    }

    /// A ready-made assertion, a file that holds one, or one that is signed here.
    fn assertion_source(
        &mut self,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
    ) -> Option<AssertionSource> {
        let given = self.secret(OptionId::ClientAssertion);
        let file = self.value(OptionId::ClientAssertionFile);
        match (given, file) {
            (Some(_), Some(_)) => {
                self.add_error(
                    Status::InvalidOption,
                    OptionId::ClientAssertion,
                    "and ClientAssertionFile are both given; give one",
                );
                None
            }
            (Some(given), None) => Some(AssertionSource::Literal(given)),
            (None, Some(_)) => Some(AssertionSource::File {
                file: self.configured_path(OptionId::ClientAssertionFile)?,
                require_private_file: self.has_value(OptionId::KeyFileCheck, "1"),
            }),
            (None, None) => {
                Some(AssertionSource::SignedHere(Box::new(self.assertion_config(endpoint, profile, true)?)))
            }
        }
    }

    fn password_grant(&mut self) -> Option<Grant> {
        self.add_warning(
            OptionId::AuthenticationMethod,
            "52 hands the user's password to the application, which RFC 9700 section 2.4 forbids; prefer any other grant",
        );
        let (user, password) = (self.require(OptionId::User), self.require_secret(OptionId::Password));
        Some(Grant::Password { user: user?, password: password? })
    }

    pub(super) fn token_endpoint_config(
        &mut self,
        method: AuthMethod,
        grant: Option<Grant>,
        endpoint: Option<(EndpointUrl, EndpointMethods)>,
        profile: Option<&'static Profile>,
        header: Option<HttpHeader>,
        trust: TransportConfig,
    ) -> Option<TokenEndpointConfig> {
        if endpoint.is_none() && !self.has_error_for(OptionId::TokenURI) {
            self.missing.push(OptionId::TokenURI);
        }
        let client = self.client(method, profile, header.as_ref());
        let is_bearer = method == AuthMethod::JwtBearer;
        let carries_secret =
            !is_bearer || client.is_some() || self.value(OptionId::ClientCredentialsMode).is_some();
        let methods =
            self.endpoint_methods(endpoint.as_ref().map(|(_, methods)| *methods), profile, carries_secret);
        let parameters = self.token_parameters();
        Some(TokenEndpointConfig {
            scope: match method {
                AuthMethod::JwtBearer | AuthMethod::ClientAssertion => {
                    self.scope_for(endpoint.as_ref().map(|(url, _)| url), profile, ScopeLocation::Parameter)
                }
                // The login has asked for it; the code and the refresh token stand for what was granted.
                AuthMethod::AuthorizationCode => None,
                AuthMethod::ClientCredentials => {
                    self.scope_or_default(endpoint.as_ref().map(|(url, _)| url), profile)
                }
                _ => self.text(OptionId::Scope),
            },
            endpoint: endpoint?.0,
            grant: grant?,
            methods,
            client,
            parameters,
            extra_header: header,
            transport: trust,
            profile,
            token_lifetime: self.token_lifetime(profile),
        })
    }

    pub(super) fn flow_without_token_endpoint(
        &mut self,
        method: AuthMethod,
        profile: Option<&Profile>,
    ) -> Option<Flow> {
        match method {
            AuthMethod::JwtBearer | AuthMethod::SignedJwt => {
                Some(Flow::SignedJwt(Box::new(self.assertion_config(None, profile, false)?)))
            }
            AuthMethod::AccessToken => Some(Flow::AccessToken(self.require_secret(OptionId::AccessToken)?)),
            AuthMethod::BearerToken => Some(Flow::AccessToken(self.require_secret(OptionId::SecurityToken)?)),
            AuthMethod::HeaderToken => {
                let value = self.require_secret(OptionId::SecurityToken)?;
                Some(Flow::Headers(vec![self.header_with_value(value)?]))
            }
            AuthMethod::Basic => {
                let (user, password) =
                    (self.require(OptionId::User), self.require_secret(OptionId::Password));
                let pair = Secret::new(format!("{}:{}", user?, password?.reveal()));
                let value = Secret::new(format!("Basic {}", STANDARD.encode(pair.reveal())));
                Some(Flow::Headers(vec![self.header_with_value(value)?]))
            }
            AuthMethod::None => Some(Flow::Headers(Vec::new())),
            _ => None,
        }
    }
}
