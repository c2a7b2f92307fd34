//! Emulation of real providers, as described in `docs/providers.md`: requirements beyond the RFCs, error
//! responses, and members of token responses.

use serde::{Deserialize, Serialize};

use crate::config::{Config, ErrorWording, ExpiresIn};

mod errors;
mod requirements;
mod responses;
mod snowflake;

pub(crate) use errors::provider_error_response;
pub(crate) use requirements::{check_requirements, client_identity_claims, requests_id_token};
pub(crate) use responses::{add_headers, adjust_token_response};
pub(crate) use snowflake::handle_statements;

/// The emulated provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Docusign,
    Salesforce,
    Entra,
    Google,
    Box,
    Snowflake,
    Okta,
    Keycloak,
    Servicenow,
    Netsuite,
    Maskinporten,
}

impl Provider {
    /// Whether a `jti` counts as used when it is received, even if no token is issued.
    pub(crate) fn consumes_jti_on_receipt(self) -> bool {
        self == Provider::Box
    }
}

impl Config {
    /// Configuration that emulates this provider over plain http. The test must set what depends on the port
    /// or the client: `audience` of Maskinporten; `kid`, `secret` and `audience` of clients.
    pub fn for_provider(provider: Provider) -> Self {
        let config = Config { provider: Some(provider), ..Config::default() };
        match provider {
            Provider::Docusign => Config {
                audience: Some("127.0.0.1".to_owned()),
                wording: ErrorWording::DocuSign,
                max_lifetime: 3600,
                ..config
            },
            Provider::Salesforce => Config {
                audience: Some("https://login.salesforce.com".to_owned()),
                token_paths: vec!["/services/oauth2/token".to_owned()],
                expires_in: ExpiresIn::Absent,
                max_lifetime: 300,
                ..config
            },
            Provider::Entra => Config {
                token_paths: vec!["/contoso.onmicrosoft.com/oauth2/v2.0/token".to_owned()],
                expires_in: ExpiresIn::Number(3599),
                ..config
            },
            Provider::Google => Config {
                expires_in: ExpiresIn::Text("3599".to_owned()),
                require_sub: false,
                require_jti: false,
                ..config
            },
            // Emulates a clock skew of five minutes.
            Provider::Box => {
                Config { clock_skew: 300, max_lifetime: 60, expires_in: ExpiresIn::Number(4169), ..config }
            }
            Provider::Keycloak => Config { leeway: 0, ..config },
            Provider::Servicenow => Config { expires_in: ExpiresIn::Number(1799), ..config },
            Provider::Maskinporten => Config {
                max_lifetime: 120,
                max_age: 10,
                leeway: 10,
                expires_in: ExpiresIn::Number(599),
                require_sub: false,
                ..config
            },
            Provider::Snowflake | Provider::Okta | Provider::Netsuite => config,
        }
    }
}
