//! Error for a connection string that does not parse: the option before the error, the offset, and how to write
//! the value of that option.
//!
//! Shows no text of the connection string but names of known options: misplaced text may be the second half of
//! a password.

use super::connection_string::{BracedContent, KeyValue, MAX_STRING_LEN, SyntaxError, SyntaxErrorKind};
use super::table::{self, OptionSpec};
use crate::base::error::{Error, ErrorKind};

/// The option before a syntax error.
#[derive(Clone, Copy)]
struct PrecedingOption<'a> {
    spec: &'static OptionSpec,
    name_as_written: &'a str,
    /// Its value, if the error is after it.
    pair: Option<&'a KeyValue>,
}

impl<'a> PrecedingOption<'a> {
    fn find(error: &'a SyntaxError) -> Option<Self> {
        if let Some(name) = &error.name {
            return table::find(name).map(|spec| Self { spec, name_as_written: name, pair: None });
        }
        error.preceding.iter().rev().find_map(|pair| {
            let spec = table::find(&pair.name)?;
            Some(Self { spec, name_as_written: &pair.name, pair: Some(pair) })
        })
    }
}

impl From<SyntaxError> for Error {
    fn from(error: SyntaxError) -> Self {
        let preceding = PrecedingOption::find(&error);
        let advice = advice(error.kind, preceding);
        let text = match (error.kind, preceding) {
            (SyntaxErrorKind::TooLong(_), _) => advice,
            (_, None) => format!("at offset {}: {advice}", error.offset),
            (_, Some(option)) => {
                let position = if option.pair.is_none() { "in the value of" } else { "after" };
                format!("{position} {}, at offset {}: {advice}", option.name_as_written, error.offset)
            }
        };
        let kind = ErrorKind::ConnectionString { offset: error.offset };
        let error = Self::new(kind, "connection string", text);
        match preceding {
            Some(option) => error.with_option(option.spec.name),
            None => error,
        }
    }
}

fn advice(kind: SyntaxErrorKind, preceding: Option<PrecedingOption<'_>>) -> String {
    let name = preceding.map_or("Name", |option| option.name_as_written);
    match kind {
        SyntaxErrorKind::TooLong(length) => {
            format!("connection string too long ({length} bytes, limit {MAX_STRING_LEN})")
        }
        SyntaxErrorKind::MissingEqualsSign => {
            format!("expected \"=\" after the option name{}", semicolon_advice(preceding))
        }
        SyntaxErrorKind::MissingName => {
            let advice = preceding.map_or(String::new(), |option| semicolon_advice(Some(option)));
            format!("expected an option name before \"=\"{advice}")
        }
        SyntaxErrorKind::UnclosedBrace(content) => {
            format!("\"{{\" is not closed; {}", brace_advice(content, name))
        }
        SyntaxErrorKind::TextAfterBrace(content) => {
            format!("expected \";\" after \"}}\"; {}", brace_advice(content, name))
        }
    }
}

/// How to write a value that was cut at ";".
fn semicolon_advice(preceding: Option<PrecedingOption<'_>>) -> String {
    let Some(PrecedingOption { name_as_written: name, pair: Some(pair), .. }) = preceding else {
        return "; enclose values that contain \";\" in {…}".to_owned();
    };
    if pair.value.reveal().starts_with(['"', '\'']) && !pair.braced {
        format!(
            "; quotation marks do not enclose \";\": if the value of {name} contains it, write {name}={{…}}"
        )
    } else {
        format!("; if the value of {name} contains \";\", write {name}={{…}}")
    }
}

/// How to write a value in braces.
fn brace_advice(content: BracedContent, name: &str) -> String {
    match content {
        BracedContent::Json => format!(
            "write JSON as {name}={{{{\"name\":{{\"name\":1}}}}}}}}}}: in {{ and }}, with every }} of the JSON doubled"
        ),
        BracedContent::Brace => format!(
            "write a value that has braces itself as {name}={{{{…}}}}}}, with every }} of the value doubled, and \
             one without as {name}={{…}}"
        ),
        BracedContent::Other => {
            format!("write {name}={{…}}, with every \"}}\" of the value as \"}}}}\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection_string;
    use super::*;
    use crate::base::error::Status;

    fn error_for(text: &str) -> Error {
        connection_string::parse(text).unwrap_err().into()
    }

    #[test]
    fn syntax_error_shows_spelling_of_option() {
        for (text, option, spelling) in [
            ("Password={{hello}}", "Password", "Password={{…}}}"),
            ("pwd={{hello}};Scope=a", "Password", "pwd={{…}}}"),
            ("Password={hello}x", "Password", "Password={…}"),
            (
                "ClaimsAdditional={\"hello\":{\"a\":1}}",
                "ClaimsAdditional",
                "ClaimsAdditional={{\"name\":{\"name\":1}}}}}",
            ),
            (
                "JWTHeaders={\"hello\":{\"a\":1},\"b\":2}",
                "JWTHeaders",
                "JWTHeaders={{\"name\":{\"name\":1}}}}}",
            ),
            ("Scope='hello;world'", "Scope", "quotation marks do not enclose \";\""),
            ("Password=\"hello;wo=x;rld\"", "Password", "write Password={…}"),
            ("Password=hello;=world", "Password", "write Password={…}"),
        ] {
            let error = error_for(text);
            assert_eq!(error.status(), Status::InvalidConnectionString);
            assert_eq!(error.option(), Some(option), "{text}");
            let message = error.message();
            assert!(message.contains(spelling), "{text}: {message}");
            for content in ["hello", "rld", "wo=", "Scope=a"] {
                assert!(!message.contains(content), "{text}: {message}");
            }
        }
    }

    /// The JSON of the message is valid in that spelling.
    #[test]
    fn advised_json_spelling_parses() {
        let pairs = connection_string::parse("A={{\"name\":{\"name\":1}}}}}").unwrap();
        assert_eq!(pairs[0].value.reveal(), "{\"name\":{\"name\":1}}");
    }

    #[test]
    fn option_is_named_before_offset() {
        for (text, start) in [
            ("Scope=a;ClaimsIssuer={abc", "in the value of ClaimsIssuer, at offset 21:"),
            ("Ä=1;Password=se;cret", "after Password, at offset 16:"),
            ("Password=se;cret=a;b", "after Password, at offset 19:"),
            ("Unknown={abc", "at offset 8:"),
            ("abc", "at offset 0:"),
            (&"a".repeat(MAX_STRING_LEN + 1), "connection string too long"),
        ] {
            let message = error_for(text).message();
            let shown = message.strip_prefix("[authgrant][connection string] ").unwrap();
            assert!(shown.starts_with(start) && !shown.contains("cret"), "{message}");
        }
    }
}
