//! HTTP header fields: validation of the names and values that users define, and the value for Basic
//! authentication.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::base::secret::Secret;

/// Headers that frame the message, describe its body or control the connection. A wrong value would allow
/// request smuggling (RFC 9112 section 11.2).
const RESERVED_HEADERS: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Headers about the content of a request, or about the content that a response should have (RFC 9110 sections 8
/// and 12.5).
const CONTENT_HEADERS: [&str; 6] =
    ["accept", "accept-charset", "accept-encoding", "accept-language", "content-encoding", "content-type"];

/// Whether the header `name` is about the content of a request or response.
#[must_use]
pub fn is_content_header(name: &str) -> bool {
    CONTENT_HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name))
}

/// Whether only the HTTP client may set the header `name`.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// Whether `text` is a token of HTTP (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    let is_token_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_char)
}

/// Checks the name of a user-defined header (RFC 9110 section 5.6.2). The error is the reason, to be appended
/// to the option's name.
pub fn validate_header_name(name: &str) -> Result<(), &'static str> {
    if !is_token(name) {
        return Err("contains an invalid character for a header name");
    }
    if is_reserved_header(name) {
        return Err("is a reserved header");
    }
    Ok(())
}

/// Whether a header value consists of visible ASCII characters, spaces and tabs.
#[must_use]
pub fn is_valid_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

/// The value of an Authorization or Proxy-Authorization header for Basic authentication (RFC 7617).
#[must_use]
pub fn basic_authorization(user: &str, password: &str) -> Secret {
    let pair = Zeroizing::new([user, ":", password].concat());
    let credentials = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    Secret::new(["Basic ", credentials.as_str()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_authorization_matches_rfc_7617() {
        let value = basic_authorization("Aladdin", "open sesame");
        assert_eq!(value.reveal(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
