//! What is asked of a token endpoint, and the ways that do without one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::method::Method;
use super::{AssertionSource, Consent, Exchange, Flow, Grant, Header, Login, Methods, Reader};
use crate::base::error::Status;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::net::tls::Trust;
use crate::options::Name;
use crate::provider::{Profile, ScopeLocation};

impl Reader<'_> {
    /// The grant of `method`; what it lacks is found missing.
    pub(super) fn grant(
        &mut self,
        method: Method,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
        consent: Option<&Consent>,
    ) -> Option<Grant> {
        match method {
            Method::JwtBearer => Some(Grant::JwtBearer {
                signing: Box::new(self.signing(endpoint, profile, false)?),
                grant_type: self.text(Name::GrantType),
            }),
            Method::ClientCredentials => Some(Grant::ClientCredentials),
            Method::ClientAssertion => Some(Grant::ClientAssertion {
                assertion: self.assertion_source(endpoint, profile)?,
                client_id: self.text(Name::ClientID),
            }),
            Method::Password => self.password(),
            Method::AuthorizationCode => Some(Grant::AuthorizationCode(Login {
                // As the consent URL has it; a code may also come from elsewhere, by a URL without one.
                redirect_uri: consent
                    .map(|consent| consent.redirect_uri.clone())
                    .or(self.text(Name::RedirectURI)),
                code: self.secret(Name::OAuthCode),
                refresh_token: self.secret(Name::RefreshToken),
                prompts: self.is(Name::EnableLoginPrompt, "1"),
            })),
            Method::RefreshToken => Some(Grant::RefreshToken(self.need_secret(Name::RefreshToken)?)),
            _ => None,
        }
    }

    /// A ready-made assertion, a file that holds one, or one that is signed here.
    fn assertion_source(
        &mut self,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
    ) -> Option<AssertionSource> {
        let given = self.secret(Name::ClientAssertion);
        let file = self.value(Name::ClientAssertionFile);
        match (given, file) {
            (Some(_), Some(_)) => {
                self.fault(
                    Status::InvalidOption,
                    Name::ClientAssertion,
                    "and ClientAssertionFile are both given; give one",
                );
                None
            }
            (Some(given), None) => Some(AssertionSource::Given(given)),
            (None, Some(_)) => Some(AssertionSource::File {
                file: self.location(Name::ClientAssertionFile)?,
                guarded: self.is(Name::KeyFileCheck, "1"),
            }),
            (None, None) => Some(AssertionSource::Signed(Box::new(self.signing(endpoint, profile, true)?))),
        }
    }

    fn password(&mut self) -> Option<Grant> {
        self.warn(
            Name::AuthenticationMethod,
            "52 hands the user's password to the application, which RFC 9700 section 2.4 forbids; prefer any other grant",
        );
        let (user, password) = (self.need(Name::User), self.need_secret(Name::Password));
        Some(Grant::Password { user: user?, password: password? })
    }

    pub(super) fn exchange(
        &mut self,
        method: Method,
        grant: Option<Grant>,
        endpoint: Option<(EndpointUrl, Methods)>,
        profile: Option<&'static Profile>,
        header: Option<Header>,
        trust: Trust,
    ) -> Option<Exchange> {
        if endpoint.is_none() && !self.has_fault_with(Name::TokenURI) {
            self.missing.push(Name::TokenURI);
        }
        let client = self.client(method, profile, header.as_ref());
        let is_bearer = method == Method::JwtBearer;
        let carries_secret =
            !is_bearer || client.is_some() || self.value(Name::ClientCredentialsMode).is_some();
        let methods = self.methods(endpoint.as_ref().map(|(_, methods)| *methods), profile, carries_secret);
        let parameters = self.parameters();
        Some(Exchange {
            scope: match method {
                Method::JwtBearer | Method::ClientAssertion => {
                    self.scope(endpoint.as_ref().map(|(url, _)| url), profile, ScopeLocation::Parameter)
                }
                // The login has asked for it; the code and the refresh token stand for what was granted.
                Method::AuthorizationCode => None,
                Method::ClientCredentials => self.usual_scope(endpoint.as_ref().map(|(url, _)| url), profile),
                _ => self.text(Name::Scope),
            },
            endpoint: endpoint?.0,
            grant: grant?,
            methods,
            client,
            parameters,
            header,
            trust,
            profile,
            token_lifetime: self.token_lifetime(profile),
        })
    }

    pub(super) fn flow_without_exchange(
        &mut self,
        method: Method,
        profile: Option<&Profile>,
    ) -> Option<Flow> {
        match method {
            Method::JwtBearer | Method::SignedJwt => {
                Some(Flow::SignedJwt(Box::new(self.signing(None, profile, false)?)))
            }
            Method::AccessToken => Some(Flow::AccessToken(self.need_secret(Name::AccessToken)?)),
            Method::BearerToken => Some(Flow::AccessToken(self.need_secret(Name::SecurityToken)?)),
            Method::HeaderToken => {
                let value = self.need_secret(Name::SecurityToken)?;
                Some(Flow::Headers(vec![self.named_header(value)?]))
            }
            Method::Basic => {
                let (user, password) = (self.need(Name::User), self.need_secret(Name::Password));
                let pair = Secret::new(format!("{}:{}", user?, password?.reveal()));
                let value = Secret::new(format!("Basic {}", STANDARD.encode(pair.reveal())));
                Some(Flow::Headers(vec![self.named_header(value)?]))
            }
            Method::None => Some(Flow::Headers(Vec::new())),
            _ => None,
        }
    }
}
