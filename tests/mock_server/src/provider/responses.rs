//! Provider-specific members and headers of token responses.

use serde_json::{Map, Value, json};

use super::Provider;
use crate::config::Config;
use crate::response::Response;

/// Adds and removes members of the token response of a server at `base_url`.
pub(crate) fn adjust_token_response(config: &Config, base_url: &str, body: &mut Map<String, Value>) {
    let extra = match config.provider {
        Some(Provider::Salesforce) => json!({
            "instance_url": base_url, "id": format!("{base_url}/id/00D000000000001/005000000000001"), "scope": "web api",
        }),
        Some(Provider::Entra) => json!({ "ext_expires_in": 3599 }),
        Some(Provider::Box) => json!({ "restricted_to": [], "token_type": "bearer" }),
        Some(Provider::Keycloak) => json!({ "refresh_expires_in": 0, "not-before-policy": 0 }),
        Some(Provider::Servicenow) => json!({ "scope": "useraccount" }),
        Some(Provider::Netsuite) => json!({ "token_type": "bearer", "expires_in": "3600" }),
        Some(Provider::Google) if body.contains_key("id_token") => {
            body.retain(|name, _| name == "id_token");
            return;
        }
        _ => return,
    };
    if let Value::Object(extra) = extra {
        body.extend(extra);
    }
}

/// Adds headers, such as Okta's rate limit.
pub(crate) fn add_headers(config: &Config, response: Response, now: i64) -> Response {
    match config.provider {
        Some(Provider::Okta) => response
            .with_header("X-Rate-Limit-Limit", "100")
            .with_header("X-Rate-Limit-Remaining", "99")
            .with_header("X-Rate-Limit-Reset", &(now + 60).to_string()),
        _ => response,
    }
}
