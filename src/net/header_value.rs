//! Validation of the names and values of user-defined HTTP header fields.

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

/// Whether only the HTTP client may set the header `name`.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// Checks the name of a user-defined header (RFC 9110 section 5.6.2). The error is the reason, to be appended
/// to the option's name.
pub fn validate_header_name(name: &str) -> Result<(), &'static str> {
    let is_token_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token_char) {
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
