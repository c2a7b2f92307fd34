//! URLs of endpoints, and of stores (TokenCache).

#![no_main]

use authgrant::base::error::{Error, OptionError};
use authgrant::base::sanitize;
use authgrant::base::url::{self, EndpointUrl};
use authgrant::token_store::StoreLocation;
use authgrant_fuzz::{CANARY, check_error, check_secrets, check_text, has_canary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Also if it is there without the question marks, which `check_redaction` removes.
    if has_canary(text.replace('?', "")) {
        return;
    }
    for parse in [EndpointUrl::parse, EndpointUrl::parse_redirect_uri] {
        match parse(text) {
            Ok(url) => check_url(&url, text),
            Err(reason) => {
                check_error(&Error::new(OptionError::Invalid, "options", format!("TokenURI {reason}")))
            }
        }
    }
    match StoreLocation::parse(text) {
        Ok(location) => check_text(&sanitize::value(&location.describe())),
        Err(reason) => check_text(&reason),
    }
    check_redaction(text);
    let _ = (url::resolve_reference(text, "/path"), url::resolve_reference("example.com", text));
});

fn check_url(url: &EndpointUrl, text: &str) {
    assert_eq!(url.as_str(), text);
    assert!(url.is_https() || url::is_loopback(url.host()));
    assert!(
        !text.contains(['@', '#', ' ', '\r', '\n']) || text.contains('?') || url.uri().path().contains('@')
    );
    check_text(url.without_query());
    if url.port() != 0 {
        let origin = EndpointUrl::parse(&match url.host().contains(':') {
            true => url.origin().replacen(url.host(), &format!("[{}]", url.host()), 1),
            false => url.origin(),
        });
        let origin = origin.unwrap();
        assert_eq!((origin.host(), origin.port()), (url.host(), url.port()));
        let other = url.with_port(4711).unwrap();
        assert_eq!((other.host(), other.port()), (url.host(), 4711));
    }
}

/// Checks that a password and a query are redacted whatever follows them.
fn check_redaction(text: &str) {
    let with_password = format!("https://user:{CANARY}@{text}");
    assert!(url::contains_secret(&with_password, false), "{with_password}");
    for secret in [with_password, format!("https://example.com/{}?{CANARY}", text.replace('?', ""))] {
        check_secrets(&url::without_secrets(&secret));
        check_text(&sanitize::value(&secret));
        check_text(&sanitize::path(&secret));
    }
}
