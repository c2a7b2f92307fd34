//! Header fields that a user names: which names and values may be sent as they are.

/// Whether a user may name that header (RFC 9110 section 5.6.2), which must not be one that frames the message. The
/// error is the reason, to be put behind the name of the option.
pub fn validate_header_name(name: &str) -> Result<(), &'static str> {
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
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err("has a character that no header's name may have");
    }
    if RESERVED_HEADERS.iter().any(|framing| framing.eq_ignore_ascii_case(name)) {
        return Err("names a header that frames the message and cannot be replaced");
    }
    Ok(())
}

/// Whether a header may carry that value: visible ASCII, blanks and tabs.
#[must_use]
pub fn is_valid_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}
