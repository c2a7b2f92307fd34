//! `application/x-www-form-urlencoded`, decoded strictly: bad escapes and bytes that are not UTF-8 are errors.

/// Decoded `name=value` pairs in their order.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no '='"))?;
        pairs.push((decode(name)?, decode(value)?));
    }
    Ok(pairs)
}

/// One form-encoded value.
pub(crate) fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => bytes.push(decode_escape(rest.next(), rest.next()).ok_or_else(|| escape_error(text))?),
            0x21..=0x7e => bytes.push(byte),
            _ => return Err(format!("{text:?} has the byte {byte:#04x} unescaped")),
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("{text:?} is not UTF-8 once decoded"))
}

/// A text as the value of a query parameter; nothing but unreserved characters (RFC 3986 2.3) stays as it is.
pub(crate) fn encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

fn decode_escape(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let high = char::from(high?).to_digit(16)?;
    let low = char::from(low?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

fn escape_error(text: &str) -> String {
    format!("{text:?} has a '%' without two hexadecimal digits")
}
