//! Strict decoder of `application/x-www-form-urlencoded`: invalid escapes and invalid UTF-8 are errors.

/// Decodes `name=value` pairs in order.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no '='"))?;
        pairs.push((decode(name)?, decode(value)?));
    }
    Ok(pairs)
}

/// Decodes one form-encoded value.
pub(crate) fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => bytes.push(decode_escape(rest.next(), rest.next()).ok_or_else(|| escape_error(text))?),
            0x21..=0x7e => bytes.push(byte),
            _ => return Err(format!("{text:?} contains the unescaped byte {byte:#04x}")),
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("{text:?} does not decode to UTF-8"))
}

/// Encodes the value of a query parameter: all but unreserved characters (RFC 3986 section 2.3) are escaped.
pub(crate) fn encode(text: &str) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode_byte =
        |byte| if is_unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode_byte).collect()
}

fn decode_escape(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let high = char::from(high?).to_digit(16)?;
    let low = char::from(low?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

fn escape_error(text: &str) -> String {
    format!("{text:?} contains a '%' without two hexadecimal digits")
}
