//! Resource owner password credentials grant (RFC 6749 section 4.3), for servers that support no other grant.

use crate::base::error::Result;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::grants::context::GrantContext;
use crate::grants::retry::RetryPolicy;
use crate::grants::token_client::{self, TokenRequest};
use crate::resolve::TokenEndpointConfig;
use crate::token::AccessToken;

pub(super) fn fetch(
    endpoint_config: &TokenEndpointConfig,
    user: &str,
    password: &Secret,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let build = |_| Ok(build_request(endpoint_config, user, password));
    Ok(token_client::request_token(endpoint_config, context, &build)?.access_token)
}

fn build_request<'a>(
    endpoint_config: &'a TokenEndpointConfig,
    user: &'a str,
    password: &Secret,
) -> TokenRequest<'a> {
    TokenRequest {
        parameters: vec![
            ("grant_type", Secret::from("password")),
            ("username", Secret::from(user)),
            ("password", password.clone()),
        ],
        credential_label: "the user",
        describe: Box::new(move || {
            format!(
                "User was \"{}\", the token URL {}",
                sanitize::excerpt(user),
                endpoint_config.endpoint.without_query()
            )
        }),
        // Repeated requests with a wrong password may lock the account.
        retry_policy: RetryPolicy::Never,
    }
}
