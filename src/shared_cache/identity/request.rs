//! The token request: endpoint, grant, client, and what else is sent.

use super::TokenDescription;
use super::randomness::looks_random;
use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::jwt::{self, RawObject};
use crate::resolve::{
    AssertionConfig, AssertionSource, AuthorizationRequest, EndpointMethods, Grant, HttpHeader, Login,
    OAuthClient, PresignedAssertion, TokenEndpointConfig,
};
use crate::token::unverified_jwt_claim;

/// Why a text is not recognized as a random secret; to be appended to the name of its option.
pub(super) const NOT_RANDOM_TEXT: &str =
    "is not recognized as random (at least 64 hexadecimal digits or 43 characters of base64, and no words)";

/// The claims of a presigned assertion that identify the client, with the labels of their values.
const IDENTIFYING_CLAIMS: [(&str, &str); 5] = [
    ("iss", "presigned iss"),
    ("sub", "presigned sub"),
    ("aud", "presigned aud"),
    ("client_id", "presigned client_id"),
    ("azp", "presigned azp"),
];

impl TokenDescription<'_> {
    pub(super) fn add_token_request(&mut self, request: &TokenEndpointConfig) -> Result<()> {
        let TokenEndpointConfig {
            grant,
            endpoint,
            methods,
            scope,
            client,
            parameters,
            headers,
            transport,
            profile,
            token_lifetime,
        } = request;
        self.text.add("endpoint", endpoint.as_str());
        let methods = match methods {
            EndpointMethods::Get => "get",
            EndpointMethods::Post => "post",
            EndpointMethods::GetThenPost => "get, post",
        };
        self.text.add("methods", methods);
        // The settings of a profile are part of the other values.
        self.text.add_optional("profile", profile.map(|profile| &profile.name));
        self.text.add_optional("scope", scope.as_ref());
        self.text.add_optional("token lifetime", token_lifetime.map(|seconds| seconds.to_string()));
        self.add_grant(grant)?;
        if let Some(client) = client {
            self.add_client(client);
        }
        for (name, value) in parameters {
            self.text.add("parameter", name);
            self.add_secret("parameter value", value.reveal());
        }
        for HttpHeader { name, value } in headers {
            self.text.add("header", name);
            self.add_secret("header value", value.reveal());
        }
        self.add_transport(transport, endpoint)
    }

    fn add_client(&mut self, client: &OAuthClient) {
        let OAuthClient { id, secret, uses_basic_auth } = client;
        self.text.add("client id", id);
        self.text.add_flag("client uses basic authentication", *uses_basic_auth);
        if let Some(secret) = secret {
            self.add_secret("client secret", secret.reveal());
            self.judge("ClientSecret", looks_random(secret.reveal()), NOT_RANDOM_TEXT);
        }
    }

    fn add_grant(&mut self, grant: &Grant) -> Result<()> {
        match grant {
            Grant::JwtBearer { signing, grant_type } => {
                self.text.add("grant", "jwt bearer");
                self.text.add_optional("grant type", grant_type.as_ref());
                self.add_assertion(signing)
            }
            Grant::ClientCredentials => {
                self.text.add("grant", "client credentials");
                Ok(())
            }
            Grant::ClientAssertion { assertion, client_id } => {
                self.text.add("grant", "client assertion");
                self.text.add_optional("assertion client id", client_id.as_ref());
                match assertion {
                    AssertionSource::SignedHere(signing) => self.add_assertion(signing),
                    AssertionSource::Presigned(presigned) => self.add_presigned(presigned),
                }
            }
            Grant::Password { user, password } => {
                self.text.add("grant", "password");
                self.text.add("user name", user);
                self.add_secret("password", password.reveal());
                self.requires_cache_secret = Some(
                    "Password may be guessed, and a holder of the other credentials could test each guess with \
                     the names of entries",
                );
                Ok(())
            }
            Grant::RefreshToken(token) => {
                self.text.add("grant", "refresh token");
                self.add_secret("refresh token", token.reveal());
                self.insufficient.push(("RefreshToken", "is of an unknown length and form"));
                Ok(())
            }
            Grant::AuthorizationCode(login) => {
                self.text.add("grant", "authorization code");
                self.add_login(login);
                Ok(())
            }
        }
    }

    fn add_login(&mut self, login: &Login) {
        // The subject is part of the authorization request and of the configuration.
        let Login { subject: _, redirect_uri, code, refresh_token, may_prompt: _ } = login;
        self.text.add_optional("redirect uri", redirect_uri.as_ref());
        self.add_optional_secret("authorization code", code.as_ref());
        self.add_optional_secret("refresh token", refresh_token.as_ref());
        self.requires_cache_secret = Some(
            "the token belongs to a user who logged in, and no secret of the connection is known to that user alone",
        );
    }

    /// Adds what the user of a login consents to.
    pub(super) fn add_authorization_request(&mut self, request: Option<&AuthorizationRequest>) {
        let Some(request) = request else { return };
        let AuthorizationRequest {
            consent_type: _,
            endpoint,
            // That of the token request.
            client_id: _,
            scope,
            admin_scope,
            // That of the login.
            redirect_uri: _,
            has_ephemeral_port: _,
            exchanges_code: _,
            allowed_issuers: _,
            application_name: _,
            timeout: _,
        } = request;
        self.text.add("authorization endpoint", endpoint);
        self.text.add_optional("authorization scope", scope.as_ref());
        self.text.add_optional("authorization admin scope", admin_scope.as_ref());
    }

    fn add_assertion(&mut self, assertion: &AssertionConfig) -> Result<()> {
        let AssertionConfig {
            key,
            header,
            issuer,
            append_key_fingerprint,
            subject,
            audience,
            scope,
            scope_is_array,
            // Only the tolerance of the server's clock.
            iat_backdate: _,
            lifetime,
            additional_claims,
        } = assertion;
        self.text.add("iss", issuer);
        self.text.add_flag("iss has key fingerprint", *append_key_fingerprint);
        self.text.add_optional("sub", subject.as_ref());
        self.text.add_optional("aud", audience.as_ref());
        self.text.add_optional("assertion scope", scope.as_ref());
        self.text.add_flag("assertion scope is array", *scope_is_array);
        // Some servers let a token expire with its assertion.
        self.text.add("assertion lifetime", lifetime.to_string());
        self.add_members("claim", "claim value", additional_claims);
        self.add_signing_key(key, header)
    }

    /// Adds the members of a JSON object in the order of their names.
    pub(super) fn add_members(
        &mut self,
        name_label: &'static str,
        value_label: &'static str,
        object: &RawObject,
    ) {
        let mut names: Vec<_> = object.names().collect();
        names.sort_unstable();
        for name in names {
            self.text.add(name_label, name);
            self.text.add_digest(value_label, object.get_raw(name).unwrap_or_default().as_bytes());
        }
    }

    fn add_presigned(&mut self, presigned: &PresignedAssertion) -> Result<()> {
        let option = match presigned {
            PresignedAssertion::Literal(assertion) => {
                self.add_secret("presigned assertion", assertion.reveal());
                "ClientAssertion"
            }
            PresignedAssertion::File { file, require_private_file } => {
                self.text.add_flag("presigned file must be private", *require_private_file);
                // The request warns about its permissions.
                let assertion = jwt::read_assertion_file(file, *require_private_file, &|_| {})?;
                self.add_presigned_file(&assertion);
                "ClientAssertionFile"
            }
        };
        self.insufficient.push((option, "is signed by another program and changes"));
        Ok(())
    }

    /// Adds the client of an assertion in a file. Another program renews the file, so its content is not the identity;
    /// nor is its path, at which each pod of a cluster has the token of its own service account.
    fn add_presigned_file(&mut self, assertion: &Secret) {
        let mut is_identified = false;
        for (claim, label) in IDENTIFYING_CLAIMS {
            if let Some(value) = unverified_jwt_claim(assertion.reveal(), claim) {
                self.text.add(label, value.to_string());
                is_identified |= matches!(claim, "iss" | "sub");
            }
        }
        if !is_identified {
            self.add_secret("presigned assertion", assertion.reveal());
        }
    }
}
