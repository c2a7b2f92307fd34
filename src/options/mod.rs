//! Text to named values: what the user said, where, and how it was spelled.
//!
//! `grammar` splits a connection string, `table` knows the options; here the two meet. Values are not judged here
//! but where they are first used, so that a connection can be built up option by option.

use std::collections::BTreeMap;

use crate::error::{Error, Result, Status};
use crate::secret::Secret;

pub mod grammar;
pub mod table;

pub use table::{Kind, Name};

/// Where a value was said; a later one outranks an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In the connection string.
    ConnectionString,
    /// By `authgrant_set_option`.
    SetOption,
}

/// One value as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value.
    pub text: Secret,
    /// Where it was said.
    pub origin: Origin,
    /// The name by which it was said, for messages.
    pub spelling: String,
}

/// The options of one connection. An empty value stands for none, as in `Scope=;`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    values: BTreeMap<Name, Value>,
    warnings: Vec<Error>,
}

impl Options {
    /// Reads a connection string. The first of several values of an option wins; that, and every name that is not
    /// an option, is a warning (SQLSTATE 01S00).
    ///
    /// # Errors
    /// [`Status::InvalidConnectionString`] for a fault in the structure.
    pub fn parse(text: &str) -> Result<Self> {
        let mut options = Self::default();
        let mut behind_open_secret = None;
        for pair in grammar::parse(text)? {
            let Some(definition) = table::find(&pair.name) else {
                options.warnings.push(unknown(&pair, behind_open_secret));
                continue;
            };
            behind_open_secret = (definition.is_secret() && !pair.braced).then_some(definition.name);
            options.add(definition, pair);
        }
        Ok(options)
    }

    fn add(&mut self, definition: &table::Definition, pair: grammar::Pair) {
        if let Some(first) = self.values.get(&definition.id) {
            self.warnings.push(warning(
                definition.name,
                format!(
                    "{} at offset {} was ignored: {} was given before it, and the first one counts",
                    pair.name, pair.offset, first.spelling
                ),
            ));
            return;
        }
        let text = if pair.braced || definition.is_secret() {
            pair.value
        } else {
            Secret::from(without_quotes(pair.value.reveal()))
        };
        self.values
            .insert(definition.id, Value { text, origin: Origin::ConnectionString, spelling: pair.name });
    }

    /// Sets options by name, to the letter: all of them or, on an error, none. An empty value takes an option away.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a name that is not an option or a value of the wrong type; every one is named.
    pub fn set(&mut self, pairs: &[(&str, &str)]) -> Result<()> {
        let mut faults = Vec::new();
        let mut accepted = Vec::new();
        for (name, value) in pairs {
            match table::find(name) {
                None => faults.push(not_an_option(name)),
                Some(definition) if !value.is_empty() && !definition.kind.accepts(value) => {
                    faults.push(wrong_type(definition, value));
                }
                Some(definition) => accepted.push((definition.id, name, value)),
            }
        }
        if let Some(error) = Error::chain(faults) {
            return Err(error);
        }
        for (id, name, value) in accepted {
            let value =
                Value { text: Secret::from(*value), origin: Origin::SetOption, spelling: (*name).to_owned() };
            self.values.insert(id, value);
        }
        Ok(())
    }

    /// The value of an option, if it has one that is not empty.
    #[must_use]
    pub fn get(&self, name: Name) -> Option<&Value> {
        self.values.get(&name).filter(|value| !value.text.reveal().is_empty())
    }

    /// What was odd about the text.
    #[must_use]
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }
}

/// The error of a value that its option's type does not accept. A secret's value is not shown.
#[must_use]
pub fn wrong_type(definition: &table::Definition, value: &str) -> Error {
    let found = if definition.is_secret() { String::new() } else { format!(" is \"{value}\",") };
    Error::new(
        Status::InvalidOption,
        "options",
        format!("{}{found} expected {}", definition.name, definition.kind.expected()),
    )
    .with_option(definition.name)
}

fn not_an_option(name: &str) -> Error {
    Error::new(Status::InvalidOption, "options", format!("\"{name}\" is not an option{}", suggestion(name)))
        .with_option(name)
}

fn suggestion(name: &str) -> String {
    table::nearest(name).map_or_else(String::new, |near| format!("; did you mean {}?", near.name))
}

/// A name that is no option. Behind an unbraced secret it is not repeated: it may be the end of a password that
/// holds a semicolon.
fn unknown(pair: &grammar::Pair, behind_open_secret: Option<&str>) -> Error {
    match behind_open_secret {
        Some(secret) => warning(
            secret,
            format!(
                "what follows {secret} at offset {} is not an option and was ignored; if {secret} holds a \";\", write {secret}={{…}}",
                pair.offset
            ),
        ),
        None => warning(
            &pair.name,
            format!(
                "\"{}\" is not an option{} It was ignored",
                pair.name,
                match suggestion(&pair.name) {
                    empty if empty.is_empty() => ".".to_owned(),
                    near => near,
                }
            ),
        ),
    }
}

fn warning(option: &str, text: String) -> Error {
    Error::warning("01S00", "options", text).with_option(option)
}

/// DataDirect's samples write `ClaimsIssuer='…'`: one pair of quotes around a whole value is not part of it.
fn without_quotes(value: &str) -> &str {
    ['\'', '"'].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "DRIVER=DataDirect 8.0 Autonomous REST Connector; \n       RestConfigFile=C:/path/to/docusign.rest;AuthenticationMethod=55;\n       ClaimsIssuer='1a2b3c4d5e_6f7g8h9g';ClaimsSubject=jsmith@example.com;\n       JWTCertStore=jwtcert.jks;JWTCertPassword=secret;\n       TokenUri=https://account-d.docusign.com/oauth/token;\n       RedirectUri=http://localhost:3000;AuthHeader=response_type;SecurityToken=code;\n       Scope=signature impersonation;\n";

    fn get(options: &Options, name: Name) -> Option<&str> {
        options.get(name).map(|value| value.text.reveal())
    }

    #[test]
    fn the_vendors_own_sample_reads_without_a_warning() {
        let options = Options::parse(PAGE).unwrap();
        assert_eq!(options.warnings(), []);
        assert_eq!(get(&options, Name::AuthenticationMethod), Some("55"));
        assert_eq!(get(&options, Name::ClaimsIssuer), Some("1a2b3c4d5e_6f7g8h9g"));
        assert_eq!(get(&options, Name::TokenURI), Some("https://account-d.docusign.com/oauth/token"));
        assert_eq!(get(&options, Name::Scope), Some("signature impersonation"));
        assert_eq!(options.get(Name::TokenURI).unwrap().spelling, "TokenUri");
    }

    #[test]
    fn quotes_go_from_around_whole_values_but_not_from_secrets_nor_braces() {
        let options =
            Options::parse("cliss=\"a\";clsub='b;JWTCertPassword='c';Scope={'d'};ClaimsAudience='").unwrap();
        assert_eq!(get(&options, Name::ClaimsIssuer), Some("a"));
        assert_eq!(get(&options, Name::ClaimsSubject), Some("'b"));
        assert_eq!(get(&options, Name::JWTCertPassword), Some("'c'"));
        assert_eq!(get(&options, Name::Scope), Some("'d'"));
        assert_eq!(get(&options, Name::ClaimsAudience), Some("'"));
    }

    #[test]
    fn the_first_of_several_wins_under_any_of_its_names_with_a_warning() {
        let options = Options::parse("cliss=first;ClaimsIssuer=second;CLISS=third").unwrap();
        assert_eq!(get(&options, Name::ClaimsIssuer), Some("first"));
        assert_eq!(options.warnings().len(), 2);
        let message = options.warnings()[0].message();
        assert!(message.contains("ClaimsIssuer at offset 12") && message.contains("cliss"), "{message}");
    }

    #[test]
    fn an_unknown_name_is_a_warning_that_suggests_the_nearest() {
        let options = Options::parse("ClaimIssuer=a;Zebra=1").unwrap();
        let [near, far] = options.warnings() else { panic!("{options:?}") };
        assert_eq!(near.sqlstate(), "01S00");
        assert!(near.message().ends_with("did you mean ClaimsIssuer? It was ignored"), "{near}");
        assert!(far.message().ends_with("\"Zebra\" is not an option. It was ignored"), "{far}");
    }

    #[test]
    fn the_second_half_of_a_password_with_a_semicolon_is_not_repeated() {
        let options = Options::parse("JWTCertPassword=hun;ter2=x;Scope=a").unwrap();
        let [warning] = options.warnings() else { panic!("{options:?}") };
        assert!(!warning.message().contains("ter2"), "{warning}");
        assert!(warning.message().contains("JWTCertPassword={…}"), "{warning}");
    }

    #[test]
    fn set_takes_all_or_nothing_and_names_every_fault() {
        let mut options = Options::parse("ClaimsIssuer=a").unwrap();
        let error =
            options.set(&[("ClaimsIssuer", "b"), ("JWTLifetime", "abc"), ("Nonsense", "1")]).unwrap_err();
        assert_eq!(error.status(), Status::InvalidOption);
        assert_eq!(error.option(), Some("JWTLifetime"));
        assert_eq!(error.next().unwrap().option(), Some("Nonsense"));
        assert_eq!(get(&options, Name::ClaimsIssuer), Some("a"));
        options.set(&[("cliss", "'b'"), ("Scope", "s")]).unwrap();
        assert_eq!(get(&options, Name::ClaimsIssuer), Some("'b'"));
        options.set(&[("Scope", "")]).unwrap();
        assert_eq!(get(&options, Name::Scope), None);
    }

    #[test]
    fn behind_a_password_in_braces_an_unknown_name_is_told() {
        let options = Options::parse("JWTCertPassword={hun;ter2};Zebra=x").unwrap();
        let [warning] = options.warnings() else { panic!("{options:?}") };
        assert_eq!((warning.option(), warning.sqlstate()), (Some("Zebra"), "01S00"));
    }
}
