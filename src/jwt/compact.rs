//! Compact serialization of a JWT that another program has signed.

/// Checks that `text` has the parts of a signed (RFC 7515) or encrypted (RFC 7516) JWT in compact serialization.
///
/// # Errors
/// What the text is instead, without its content.
pub fn check_compact(text: &str) -> Result<(), &'static str> {
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_compact = matches!(text.split('.').count(), 3 | 5)
        && text.bytes().all(|byte| byte == b'.' || is_base64url(byte))
        && !text.starts_with('.');
    if is_compact { Ok(()) } else { Err(describe_non_jwt(text)) }
}

fn describe_non_jwt(text: &str) -> &'static str {
    let has_bearer_prefix =
        text.split_once(' ').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
    match text.chars().next() {
        Some('{' | '[') => "JSON",
        Some('"' | '\'' | '`' | '\u{201c}' | '\u{2018}') => "text in quotes",
        _ if has_bearer_prefix => "text with the prefix Bearer",
        _ => "text",
    }
}
