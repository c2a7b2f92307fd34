//! Errors and warnings about options: unknown names, wrong values, values that end too early or too late.

use std::borrow::Cow;

use super::{OptionValue, connection_string, table};
use crate::base::error::{Error, OptionError, WarningKind};
use crate::base::sanitize;

/// The error for a value that does not have the type of its option. The value of a secret is not shown.
#[must_use]
pub fn wrong_type_error(spec: &table::OptionSpec, value: &str) -> Error {
    let found = if spec.is_secret() {
        " is invalid;".to_owned()
    } else {
        format!(" is \"{}\";", sanitize::value(value))
    };
    type_error(spec, &found)
}

/// As [`wrong_type_error`], for a value with its origin. For a value from a file the location is shown
/// instead.
#[must_use]
pub fn wrong_value_error(spec: &table::OptionSpec, value: &OptionValue) -> Error {
    match &value.location {
        None => wrong_type_error(spec, value.text.reveal()),
        Some(location) => type_error(spec, &format!(" in {} is invalid;", sanitize::path(location))),
    }
}

fn type_error(spec: &table::OptionSpec, found: &str) -> Error {
    let text = format!("{}{found} expected {}", spec.name, spec.option_type.expected_text());
    Error::new(OptionError::Invalid, "options", text).with_option(spec.name)
}

pub(super) fn open_only_option_error(spec: &table::OptionSpec) -> Error {
    let text = format!("{} can only be set in the connection string", spec.name);
    Error::new(OptionError::Invalid, "options", text).with_option(spec.name)
}

pub(super) fn unknown_option_error(name: &str) -> Error {
    let text = format!("\"{}\" is not an option{}", sanitize::excerpt(name), suggestion(name));
    Error::new(OptionError::Invalid, "options", text).with_option(name.to_owned())
}

fn suggestion(name: &str) -> String {
    if name.len() > MAX_NAME_LEN {
        return String::new();
    }
    let is_visible = |c: &char| c.is_ascii_graphic();
    if let Some(spec) = table::find(&name.chars().filter(is_visible).collect::<String>())
        && let Some(invisible) = name.chars().find(|c| !is_visible(c))
    {
        return format!("; it contains {}; did you mean {}?", sanitize::code_point(invisible), spec.name);
    }
    table::find_similar(name).map_or_else(String::new, |similar| format!("; did you mean {}?", similar.name))
}

/// The warning for an unknown option name. After `unbraced_secret`, the unbraced value of a secret or of a
/// name that may be one, the name is not shown: it may be the rest of a password that contains a semicolon. The
/// option whose name is similar is shown in any case.
pub(super) fn unknown_option_warning(
    pair: &connection_string::KeyValue,
    unbraced_secret: Option<&str>,
) -> Error {
    match unbraced_secret {
        Some(preceding) => option_warning(
            preceding.to_owned(),
            format!(
                "unknown option at offset {} ignored{}; if {preceding} contains \";\", enclose it in {{…}}",
                pair.offset,
                suggestion(&pair.name)
            ),
        ),
        None => option_warning(
            truncate_name(&pair.name).to_owned(),
            format!(
                "\"{}\" is not an option and is ignored{}",
                truncate_name(&pair.name),
                suggestion(&pair.name)
            ),
        ),
    }
}

/// The warning for a value that most likely ends too early or too late: quotation marks do not enclose ";",
/// and a value in braces extends over the next options if its "}" is doubled.
pub(super) fn delimiter_warning(
    spec: &table::OptionSpec,
    pair: &connection_string::KeyValue,
) -> Option<Error> {
    let (name, value) = (&pair.name, pair.value.reveal());
    let text = if pair.braced {
        if !contains_option_after_brace(value) {
            return None;
        }
        format!(
            "the value of {name} in braces extends over the options after it: \"}}}}\" is a character of the \
             value and does not end it; write {name}={{…}}, with every \"}}\" of the value as \"}}}}\""
        )
    } else {
        // A secret may begin with a quotation mark; a semicolon in it is the subject of another warning.
        let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"') && !spec.is_secret())?;
        if value.len() > 1 && value.ends_with(quote) {
            return None;
        }
        format!(
            "the value of {name} begins with a quotation mark that is not closed before \";\"; quotation \
             marks do not enclose \";\": if the value contains it, write {name}={{…}}"
        )
    };
    Some(Error::new(WarningKind::General, "options", text).with_option(spec.name))
}

/// The warning for a secret whose quotation marks are kept. A value with more of them is JSON without its braces, or
/// has them on purpose. ClientAssertion is not a secret of any form: in quotation marks it is an error.
pub(super) fn quoted_secret_warning(spec: &table::OptionSpec, secret: &str) -> Option<Error> {
    let is_quoted = ['\'', '"'].into_iter().any(|quote| {
        let content = secret.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        content.is_some_and(|content| !content.contains(quote))
    });
    if !is_quoted || spec.id == table::OptionId::ClientAssertion {
        return None;
    }
    let text = format!(
        "{name} is enclosed in quotation marks, which are part of the value of a secret; remove them, or write \
         {name}=literal:'…' if they are intended",
        name = spec.name
    );
    Some(Error::new(WarningKind::General, "options", text).with_option(spec.name))
}

/// Whether a value contains `};Name=` with the name of an option.
fn contains_option_after_brace(value: &str) -> bool {
    let parts: Vec<&str> = value.split(';').collect();
    parts.windows(2).any(|pair| match pair {
        [before, after] => {
            before.trim_end().ends_with('}')
                && after.split_once('=').is_some_and(|(name, _)| table::find(name.trim()).is_some())
        }
        _ => false,
    })
}

/// Whether an unknown name may be that of a secret.
pub(super) fn looks_like_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "code", "credential"].iter().any(|part| name.contains(part))
}

/// Longer than the name of any option; unknown names are truncated to this many characters in messages.
const MAX_NAME_LEN: usize = 64;

fn truncate_name(name: &str) -> &str {
    name.char_indices().nth(MAX_NAME_LEN).map_or(name, |(end, _)| name.get(..end).unwrap_or_default())
}

/// The warning for a pair whose option or keyword has a value already.
pub(super) fn duplicate_warning(
    option: impl Into<Cow<'static, str>>,
    pair: &connection_string::KeyValue,
    first: &OptionValue,
) -> Error {
    let text =
        format!("{} at offset {} is ignored: duplicate of {}", pair.name, pair.offset, first.name_as_written);
    option_warning(option, text)
}

pub(super) fn option_warning(option: impl Into<Cow<'static, str>>, text: String) -> Error {
    Error::new(WarningKind::IgnoredAttribute, "options", text).with_option(option)
}
