//! Keywords of the driver: names in a connection string or a data source that belong to the driver and not to this
//! library. They are kept with the options, so that a driver needs no parser of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{OptionOrigin, OptionValue, table};
use crate::base::error::{ArgumentError, Error, Result};
use crate::base::sanitize;

/// Declared keywords: the names of each, of which the first is written. Shared by all versions of the options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DriverKeywords(Arc<[Vec<String>]>);

/// A keyword by its position among the declared ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeywordId(usize);

impl DriverKeywords {
    /// Parses declarations such as `Schema` or `Table;T`, whose names after the first one are aliases. A name that is
    /// also an option stays that option.
    ///
    /// # Errors
    /// [`ArgumentError::Invalid`] for a name that a connection string or an odbc.ini cannot contain.
    pub fn parse(declarations: &[&str]) -> Result<Self> {
        let mut keywords = Vec::with_capacity(declarations.len());
        for declaration in declarations {
            let names: Vec<_> = declaration.split(';').map(str::trim).collect();
            if let Some(invalid) = names.iter().find(|name| !is_valid_name(name)) {
                let text = format!(
                    "the driver keyword \"{}\" is invalid; expected a name without = {{ }} [ ] and control \
                     characters, and aliases after \";\"",
                    sanitize::excerpt(invalid)
                );
                return Err(Error::new(ArgumentError::Invalid, "argument", text));
            }
            let own = names.into_iter().filter(|name| table::find(name).is_none()).map(str::to_owned);
            keywords.push(own.collect());
        }
        Ok(Self(keywords.into()))
    }

    /// Finds a keyword by any of its names, case-insensitive.
    pub(super) fn find(&self, name: &str) -> Option<KeywordId> {
        let has_name = |names: &Vec<String>| names.iter().any(|own| own.eq_ignore_ascii_case(name));
        self.0.iter().position(has_name).map(KeywordId)
    }

    /// The keywords that have a name, with the name to write.
    pub(super) fn named(&self) -> impl Iterator<Item = (KeywordId, &str)> {
        let names = self.0.iter().enumerate();
        names.filter_map(|(index, names)| Some((KeywordId(index), names.first()?.as_str())))
    }
}

fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '{', '}', '[', ']']) && !name.contains(char::is_control)
}

/// The declared keywords and their values.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct DriverOptions {
    pub(super) keywords: DriverKeywords,
    values: BTreeMap<(KeywordId, OptionOrigin), OptionValue>,
}

impl DriverOptions {
    pub(super) fn new(keywords: DriverKeywords) -> Self {
        Self { keywords, values: BTreeMap::new() }
    }

    /// Sets the value from `value.origin`.
    pub(super) fn set(&mut self, id: KeywordId, value: OptionValue) {
        self.values.insert((id, value.origin), value);
    }

    /// The value from `origin`, even if it is empty or overridden.
    pub(super) fn value_from(&self, id: KeywordId, origin: OptionOrigin) -> Option<&OptionValue> {
        self.values.get(&(id, origin))
    }

    /// The value in force, if it is not empty.
    pub(super) fn get(&self, id: KeywordId) -> Option<&OptionValue> {
        let mut values = self.values.range((id, OptionOrigin::KeyFile)..=(id, OptionOrigin::SetOption));
        values.next_back().map(|(_, value)| value).filter(|value| !value.text.reveal().is_empty())
    }

    /// The values in force with their names, in the order of the declarations.
    pub(super) fn effective(&self) -> impl Iterator<Item = (&str, &OptionValue)> {
        self.keywords.named().filter_map(|(id, name)| Some((name, self.get(id)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::testing::FakeEnvironment;
    use super::*;
    use crate::base::error::Status;
    use crate::options::{OptionId, Options};

    fn open(text: &str, declarations: &[&str]) -> Options {
        let keywords = DriverKeywords::parse(declarations).unwrap();
        Options::open_with(text, &keywords, &FakeEnvironment::default()).unwrap()
    }

    fn effective(options: &Options) -> Vec<(&str, &str)> {
        options.driver.effective().map(|(name, value)| (name, value.text.reveal())).collect()
    }

    #[test]
    fn driver_keyword_is_kept_without_warning() {
        let options = open("t={a;b};SCHEMA='x';Scope=s", &["Schema", "Table;T"]);
        assert_eq!(effective(&options), [("Schema", "'x'"), ("Table", "a;b")]);
        assert_eq!(options.warnings(), []);
    }

    #[test]
    fn duplicate_driver_keyword_keeps_first_with_warning() {
        let options = open("Table=1;t=2", &["Table;T"]);
        assert_eq!(effective(&options), [("Table", "1")]);
        let warnings = options.warnings();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert_eq!((warning.sqlstate(), warning.option()), ("01S00", Some("Table")));
        assert!(warning.message().contains("t at offset 8 is ignored: duplicate of Table"), "{warning}");
    }

    #[test]
    fn option_name_as_driver_keyword_stays_option() {
        let options = open("Scope=s;cid=c;Own=o", &["scope", "Own;ClientID;cid"]);
        assert_eq!(options.get(OptionId::Scope).unwrap().text.reveal(), "s");
        assert_eq!(options.get(OptionId::ClientID).unwrap().text.reveal(), "c");
        assert_eq!(effective(&options), [("Own", "o")]);
    }

    #[test]
    fn driver_keyword_of_data_source_is_overridden_and_unset() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("odbc.ini"), "[a]\nSchema=s\nTable=t\nSCHEMA=no\nScope=x\n")
            .unwrap();
        let environment =
            FakeEnvironment { system_folders: vec![folder.path().to_owned()], ..FakeEnvironment::default() };
        let keywords = DriverKeywords::parse(&["Schema", "Table"]).unwrap();
        let open = |text: &str| Options::open_with(text, &keywords, &environment).unwrap();
        let options = open("DSN=a");
        assert_eq!(effective(&options), [("Schema", "s"), ("Table", "t")]);
        let warnings = options.warnings();
        assert!(warnings.len() == 1 && warnings[0].message().contains("duplicate of Schema"), "{warnings:?}");
        let mut options = open("DSN=a;Table=;Schema=own");
        assert_eq!(effective(&options), [("Schema", "own")]);
        options.set(&[("TABLE", "set"), ("Scope", "y")]).unwrap();
        assert_eq!(effective(&options), [("Schema", "own"), ("Table", "set")]);
    }

    #[test]
    fn invalid_driver_keyword_is_rejected() {
        for invalid in ["", "a=b", "{a", "a}", "[a", "a]", "a\nb", "a;", ";a", " ", "a;;b"] {
            let error = DriverKeywords::parse(&["Good", invalid]).unwrap_err();
            assert_eq!((error.status(), error.sqlstate()), (Status::InvalidArgument, "HY009"), "{invalid:?}");
        }
        assert!(DriverKeywords::parse(&["Größe; Table Name"]).is_ok());
    }

    /// A semicolon in an unbraced password of the driver makes a name of its rest.
    #[test]
    fn name_after_unbraced_secret_of_driver_is_not_shown() {
        let warnings = open("ApiKey=hun;ter2=1", &["ApiKey"]).warnings();
        assert!(warnings.len() == 1 && !warnings[0].message().contains("ter2"), "{warnings:?}");
    }
}
