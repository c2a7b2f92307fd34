//! Client authentication at the token endpoint (RFC 6749 section 2.3).

use crate::base::secret::Secret;
use crate::net::{header_value, urlencoded};
use crate::resolve::{Grant, OAuthClient, TokenEndpointConfig};

/// Client authentication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthMethod {
    /// None; the grant alone is sent.
    None,
    /// Client ID without a secret, in the body.
    ClientIdOnly,
    /// Client ID and secret in an HTTP Basic header.
    ClientSecretBasic,
    /// Client ID and secret in the body.
    ClientSecretPost,
    /// JWT client assertion (RFC 7523 section 2.2).
    ClientAssertion,
}

/// Returns the client authentication method.
#[must_use]
pub fn client_auth_method(endpoint_config: &TokenEndpointConfig) -> ClientAuthMethod {
    match (&endpoint_config.grant, &endpoint_config.client) {
        (Grant::ClientAssertion { .. }, _) => ClientAuthMethod::ClientAssertion,
        (_, None) => ClientAuthMethod::None,
        (_, Some(client)) if client.uses_basic_auth => ClientAuthMethod::ClientSecretBasic,
        (_, Some(client)) if client.secret.is_some() => ClientAuthMethod::ClientSecretPost,
        _ => ClientAuthMethod::ClientIdOnly,
    }
}

/// Builds an HTTP Basic Authorization value. Client ID and secret are form-encoded first (RFC 6749 section
/// 2.3.1).
pub(super) fn basic_authorization(client: &OAuthClient) -> Secret {
    let secret = client.secret.as_ref().map_or("", Secret::reveal);
    let (id, secret) = (urlencoded::encode_secret(&client.id), urlencoded::encode_secret(secret));
    header_value::basic_authorization(id.reveal(), secret.reveal())
}
