//! The URL that a person opens to let an application act for them.
//!
//! It is the first half of an authorization request (RFC 6749 section 4.1.1) without state: the same for all users,
//! and the code that comes back is thrown away. Parameters stand in the order of DocuSign's own page.

use crate::config::Consent;
use crate::form::encode;

/// The URL, ready to open.
#[must_use]
pub fn url(consent: &Consent) -> String {
    let separator = if consent.endpoint.contains('?') { '&' } else { '?' };
    format!(
        "{}{separator}response_type=code&scope={}&client_id={}&redirect_uri={}",
        consent.endpoint,
        encode(&consent.scope),
        encode(&consent.client_id),
        encode(&consent.redirect_uri),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_the_one_of_docusigns_page() {
        let consent = Consent {
            endpoint: "https://account-d.docusign.com/oauth/auth".to_owned(),
            client_id: "1a2b3c4d5e_6f7g8h9g".to_owned(),
            scope: "signature impersonation".to_owned(),
            redirect_uri: "http://localhost:3000".to_owned(),
        };
        assert_eq!(
            url(&consent),
            "https://account-d.docusign.com/oauth/auth?response_type=code&scope=signature%20impersonation\
             &client_id=1a2b3c4d5e_6f7g8h9g&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        );
    }
}
