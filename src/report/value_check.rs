//! Warnings for option values that are valid but most likely not intended: invisible and typographic characters,
//! whitespace at an end, and placeholders of an example.
//!
//! Names the characters, never the content of a secret.

use crate::base::error::{Error, WarningKind};
use crate::base::sanitize;
use crate::options::{OptionId, OptionType, Options, table};

/// Options that people read or that the driver interprets: any character may be intended.
const FREE_TEXT: [OptionId; 1] = [OptionId::ApplicationName];

/// Options in whose value whitespace at an end has no effect.
const MAY_END_IN_WHITESPACE: [OptionId; 5] = [
    OptionId::JWTPrivateKey,
    OptionId::JWTHeaders,
    OptionId::ClaimsAdditional,
    OptionId::TokenParameters,
    OptionId::CryptoProtocolVersion,
];

/// The warnings about the effective values of `options`.
pub(super) fn check_values(options: &Options) -> Vec<Error> {
    let is_checked = |spec: &&table::OptionSpec| {
        spec.option_type != OptionType::Passthrough && !FREE_TEXT.contains(&spec.id)
    };
    let specs = table::TABLE.iter().filter(is_checked);
    specs
        .filter_map(|spec| Some((spec, options.get(spec.id)?.text.reveal())))
        .flat_map(|(spec, value)| findings(spec, value).into_iter().map(move |text| warning(spec, &text)))
        .collect()
}

fn warning(spec: &table::OptionSpec, text: &str) -> Error {
    Error::new(WarningKind::General, "options", format!("{} {text}", spec.name)).with_option(spec.name)
}

fn findings(spec: &table::OptionSpec, value: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if let Some((offset, c)) = value.chars().enumerate().find(|(_, c)| is_suspicious(*c)) {
        // In a secret, the position would be part of its content.
        let position = if spec.is_secret() { String::new() } else { format!(" at offset {offset}") };
        findings.push(format!(
            "contains {}{position}, which is easily pasted by mistake; retype the value unless it is intended",
            sanitize::code_point(c)
        ));
    }
    if !MAY_END_IN_WHITESPACE.contains(&spec.id) && value.trim_ascii() != value {
        let text = "begins or ends with whitespace or a line break; remove it unless it is intended";
        findings.push(text.to_owned());
    }
    if let Some(placeholder) = find_placeholder(value) {
        if !spec.is_secret() {
            let placeholder = sanitize::excerpt(placeholder);
            findings.push(format!("contains the placeholder {placeholder}; replace it by a value"));
        } else if placeholder == value {
            findings.push("is a placeholder such as <name>; replace it by a value".to_owned());
        }
    }
    findings
}

/// Whether `c` is invisible, a space other than U+0020, or one of the quotation marks and dashes that word
/// processors substitute. Control characters of ASCII are visible in what they break.
fn is_suspicious(c: char) -> bool {
    !c.is_ascii()
        && (sanitize::is_unsafe(c)
            || c.is_whitespace()
            || matches!(c, '\u{2010}'..='\u{2015}' | '\u{2018}'..='\u{201f}' | '\u{2212}'))
}

/// The first `<name>`, `{name}` or `${name}` of a value.
fn find_placeholder(value: &str) -> Option<&str> {
    value.char_indices().find_map(|(start, c)| {
        let close = match c {
            '<' => '>',
            '{' => '}',
            _ => return None,
        };
        let rest = value.get(start..)?;
        let name = rest.get(1..rest.find(close)?)?;
        let start = start.saturating_sub(usize::from(value.get(..start)?.ends_with('$')));
        let end = start.saturating_add(value.get(start..)?.find(close)?).saturating_add(1);
        value.get(start..end).filter(|_| is_placeholder_name(name))
    })
}

/// Whether a placeholder may have this name: words, but no GUID, which Windows encloses in braces.
fn is_placeholder_name(name: &str) -> bool {
    let is_word_char = |c: char| c.is_alphanumeric() || " _-.:".contains(c);
    let is_guid = name.len() == 36 && name.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    name.len() <= 64 && name.starts_with(char::is_alphabetic) && name.chars().all(is_word_char) && !is_guid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholder_is_name_in_angle_brackets_or_braces() {
        for (value, placeholder) in [
            ("https://login.example/{tenant}/token", Some("{tenant}")),
            ("<client-id>", Some("<client-id>")),
            ("a/${TENANT_ID}/b", Some("${TENANT_ID}")),
            ("<your client ID>x", Some("<your client ID>")),
            ("{\"a\":{\"b\":1}}", None),
            ("{{first}", Some("{first}")),
            ("{a1b2c3d4-0000-0000-0000-00000000000f}", None),
            ("a < b > c", None),
            ("<>{}", None),
            ("<a", None),
            ("{1}", None),
        ] {
            assert_eq!(find_placeholder(value), placeholder, "{value}");
        }
    }
}
