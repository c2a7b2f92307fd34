//! Grants: the token request settings of each method, and the methods without a token endpoint.

use super::option_resolver::OptionResolver;
use super::problems::Part;
use super::signing::SigningKey;
use super::{
    AssertionSource, AuthorizationRequest, EndpointMethods, Flow, Grant, HttpHeader, Login, LoginSubject,
    PresignedAssertion, TokenEndpointConfig,
};
use crate::base::error::OptionError;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::jwt;
use crate::net::header_value::basic_authorization;
use crate::net::tls::TransportConfig;
use crate::options::{AuthMethod, OptionId};
use crate::provider::{Profile, ScopeLocation};

/// What is resolved before the grant.
pub(super) struct GrantInputs<'a> {
    pub(super) method: AuthMethod,
    /// The token endpoint, if the flow uses one.
    pub(super) endpoint: Option<&'a EndpointUrl>,
    pub(super) profile: Option<&'static Profile>,
    pub(super) key: &'a Part<SigningKey>,
    pub(super) presigned_assertion: &'a Part<Option<PresignedAssertion>>,
    pub(super) authorization_request: Option<&'a AuthorizationRequest>,
}

impl OptionResolver<'_> {
    /// The grant; records missing options.
    pub(super) fn grant(&mut self, inputs: &GrantInputs<'_>) -> Option<Grant> {
        match inputs.method {
            AuthMethod::JwtBearer => Some(Grant::JwtBearer {
                signing: Box::new(self.assertion_config(inputs, false)?),
                grant_type: self.text(OptionId::GrantType),
            }),
            AuthMethod::ClientCredentials => Some(Grant::ClientCredentials),
            AuthMethod::ClientAssertion => Some(Grant::ClientAssertion {
                assertion: self.assertion_source(inputs)?,
                client_id: self.text(OptionId::ClientID),
            }),
            AuthMethod::Password => self.password_grant(),
            AuthMethod::AuthorizationCode => Some(Grant::AuthorizationCode(self.login(inputs))),
            AuthMethod::RefreshToken => {
                Some(Grant::RefreshToken(self.require_secret(OptionId::RefreshToken)?))
            }
            _ => None,
        }
    }

    fn login(&mut self, inputs: &GrantInputs<'_>) -> Login {
        let (request, code) = (inputs.authorization_request, self.secret(OptionId::OAuthCode));
        if code.is_some() && request.is_some_and(|request| request.has_ephemeral_port) {
            let text = "has port 0, but OAuthCode is redeemed with the redirect URI to which it was sent; set \
                        its port";
            self.add_error(OptionError::Invalid, OptionId::RedirectURI, text);
        }
        let is_shared = self.has_value(OptionId::TokenCachePrompted, "1");
        let user = self.text(OptionId::TokenCacheUser).filter(|_| is_shared);
        Login {
            subject: LoginSubject::new(user, request),
            // As in the consent URL. A code may also come from a URL that the caller built without a redirect
            // URI.
            redirect_uri: request
                .map(|request| request.redirect_uri.clone())
                .or(self.text(OptionId::RedirectURI)),
            code,
            refresh_token: self.secret(OptionId::RefreshToken),
            may_prompt: self.has_value(OptionId::EnableLoginPrompt, "1"),
        }
    }

    /// A presigned assertion, or an assertion that is signed by this process.
    fn assertion_source(&mut self, inputs: &GrantInputs<'_>) -> Option<AssertionSource> {
        let is_set = |name| self.value(name).is_some();
        match (is_set(OptionId::ClientAssertion), is_set(OptionId::ClientAssertionFile)) {
            (true, true) => {
                self.add_conflict(OptionId::ClientAssertion, OptionId::ClientAssertionFile);
                None
            }
            (false, false) => {
                Some(AssertionSource::SignedHere(Box::new(self.assertion_config(inputs, true)?)))
            }
            _ => self.accept(inputs.presigned_assertion).clone().map(AssertionSource::Presigned),
        }
    }

    /// ClientAssertion, else the file in ClientAssertionFile.
    pub(super) fn presigned_assertion(&mut self) -> Option<PresignedAssertion> {
        if let Some(assertion) = self.secret(OptionId::ClientAssertion) {
            if let Err(found) = jwt::check_compact(assertion.reveal()) {
                let text =
                    format!("is {found}; expected one JWT alone, three parts in base64url separated by dots");
                self.add_error(OptionError::Invalid, OptionId::ClientAssertion, &text);
            }
            return Some(PresignedAssertion::Literal(assertion));
        }
        Some(PresignedAssertion::File {
            file: self.configured_path(OptionId::ClientAssertionFile)?,
            require_private_file: self.has_value(OptionId::KeyFileCheck, "1"),
        })
    }

    fn password_grant(&mut self) -> Option<Grant> {
        self.add_warning(
            OptionId::AuthenticationMethod,
            "52 (password grant) must not be used (RFC 9700 section 2.4); use another grant if possible",
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
        transport: TransportConfig,
    ) -> Option<TokenEndpointConfig> {
        if endpoint.is_none() && !self.has_error_for(OptionId::TokenURI) {
            self.problems.missing.push(OptionId::TokenURI);
        }
        let headers = self.token_request_headers(header);
        let client = self.client(method, profile, &headers);
        let is_jwt_bearer = method == AuthMethod::JwtBearer;
        let contains_secret =
            !is_jwt_bearer || client.is_some() || self.value(OptionId::ClientCredentialsMode).is_some();
        let methods =
            self.endpoint_methods(endpoint.as_ref().map(|(_, methods)| *methods), profile, contains_secret);
        let parameters = self.token_parameters();
        Some(TokenEndpointConfig {
            scope: match method {
                AuthMethod::JwtBearer | AuthMethod::ClientAssertion => {
                    self.scope_for(endpoint.as_ref().map(|(url, _)| url), profile, ScopeLocation::Parameter)
                }
                // The authorization request contains the scope; the code and the refresh token imply what was
                // granted.
                AuthMethod::AuthorizationCode => None,
                AuthMethod::ClientCredentials => {
                    self.scope_or_default(endpoint.as_ref().map(|(url, _)| url), profile)
                }
                _ => self.scopes(OptionId::Scope),
            },
            endpoint: endpoint?.0,
            grant: grant?,
            methods,
            client,
            parameters,
            headers,
            transport,
            profile,
            token_lifetime: self.token_lifetime(profile),
        })
    }

    pub(super) fn flow_without_token_endpoint(&mut self, inputs: &GrantInputs<'_>) -> Option<Flow> {
        match inputs.method {
            AuthMethod::JwtBearer | AuthMethod::SignedJwt => {
                let inputs = GrantInputs { endpoint: None, ..*inputs };
                let jwt = self.assertion_config(&inputs, false)?;
                self.check_token_audience(&jwt, inputs.profile);
                Some(Flow::SignedJwt(Box::new(jwt)))
            }
            AuthMethod::AccessToken => Some(Flow::AccessToken(self.require_token(OptionId::AccessToken)?)),
            AuthMethod::BearerToken => Some(Flow::AccessToken(self.require_token(OptionId::SecurityToken)?)),
            AuthMethod::HeaderToken => {
                let value = self.require_secret(OptionId::SecurityToken)?;
                Some(Flow::Headers(vec![self.header_with_value(value)?]))
            }
            AuthMethod::Basic => {
                let (user, password) =
                    (self.require(OptionId::User), self.require_secret(OptionId::Password));
                let value = basic_authorization(&user?, password?.reveal());
                Some(Flow::Headers(vec![self.header_with_value(value)?]))
            }
            AuthMethod::None => Some(Flow::Headers(Vec::new())),
            _ => None,
        }
    }

    fn require_token(&mut self, name: OptionId) -> Option<Secret> {
        let token = self.require_secret(name)?;
        self.check_header_value(name, &token);
        Some(token)
    }
}
