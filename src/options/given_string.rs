//! The connection string as it was given, with what the caller changed: ODBC's OutConnectionString. A data source is
//! named and not copied out, and secrets are only those of the string itself.

use super::completed_string::{OptionOverride, contains_secret, join_pairs};
use super::driver_keywords::KeywordId;
use super::{
    KEY_FILE_OPTIONS, OptionId, OptionOrigin, OptionValue, Options, connection_string, secret_refs, table,
};
use crate::base::secret::Secret;

/// An option or keyword of the driver in the connection string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum GivenName {
    Option(OptionId),
    Keyword(KeywordId),
}

/// Options that only a connection string sets: they decide which driver and which data source are used.
const FIXED_OPTIONS: [OptionId; 4] =
    [OptionId::Driver, OptionId::DSN, OptionId::FILEDSN, OptionId::AllowOverride];

type Pair<'a> = (&'a str, Secret);

impl Options {
    /// The options and keywords of the connection string in their order, then those that the caller added, and
    /// `overrides`, even if they are secrets. Opened again, it yields the same options, except secrets of the caller.
    #[must_use]
    pub fn given_connection_string(&self, overrides: &[OptionOverride]) -> Secret {
        let given = self.given.iter().filter_map(|name| match name {
            GivenName::Option(id) => self.given_pair(id.spec()?, overrides),
            GivenName::Keyword(id) => self.given_keyword(*id),
        });
        let is_added = |name: GivenName| !self.given.contains(&name);
        let options = table::TABLE.iter().filter(|spec| is_added(GivenName::Option(spec.id)));
        let keywords = self.driver.keywords.named().filter(|(id, _)| is_added(GivenName::Keyword(*id)));
        let added = options.filter_map(|spec| self.added_pair(spec, overrides)).chain(keywords.filter_map(
            |(id, name)| {
                let value = self.driver.value_from(id, OptionOrigin::SetOption)?;
                Some((name, value.text.clone()))
            },
        ));
        let quote =
            |(name, text): Pair<'_>| (name.to_owned(), Secret::new(connection_string::quote(text.reveal())));
        let pairs: Vec<_> = given.chain(added).map(quote).collect();
        join_pairs(pairs.iter().map(|(name, text)| (name.as_str(), text)))
    }

    fn given_pair(&self, spec: &'static table::OptionSpec, overrides: &[OptionOverride]) -> Option<Pair<'_>> {
        let given = self.layer_value(OptionOrigin::ConnectionString, spec.id)?;
        if let Some(replacement) = overrides.iter().find(|replacement| replacement.id == spec.id) {
            return override_pair(spec, replacement);
        }
        let changed = self.layer_value(OptionOrigin::SetOption, spec.id);
        let changed = changed.filter(|value| value.text != given.text && !FIXED_OPTIONS.contains(&spec.id));
        match changed {
            None => Some((&given.name_as_written, given.text.clone())),
            Some(value) => changed_text(spec, value).map(|text| (given.name_as_written.as_str(), text)),
        }
    }

    fn given_keyword(&self, id: KeywordId) -> Option<Pair<'_>> {
        let given = self.driver.value_from(id, OptionOrigin::ConnectionString)?;
        let value = self.driver.value_from(id, OptionOrigin::SetOption).unwrap_or(given);
        Some((&given.name_as_written, value.text.clone()))
    }

    /// An option that the connection string does not have.
    fn added_pair(&self, spec: &'static table::OptionSpec, overrides: &[OptionOverride]) -> Option<Pair<'_>> {
        if let Some(replacement) = overrides.iter().find(|replacement| replacement.id == spec.id) {
            return override_pair(spec, replacement);
        }
        let value = self.layer_value(OptionOrigin::SetOption, spec.id)?;
        // An option is unset only where the data source, the model or the key file would set it.
        let has_effect = || {
            KEY_FILE_OPTIONS.contains(&spec.id)
                || self.highest_ranked(spec.id, |origin| origin != OptionOrigin::SetOption).is_some()
        };
        if FIXED_OPTIONS.contains(&spec.id) || value.text.reveal().is_empty() && !has_effect() {
            return None;
        }
        Some((spec.name, changed_text(spec, value)?))
    }
}

fn override_pair<'a>(spec: &table::OptionSpec, replacement: &OptionOverride) -> Option<Pair<'a>> {
    let text = replacement.text.as_ref()?;
    Some((replacement.name_to_write, secret_refs::escape_literal(spec, text)))
}

/// The value that the caller has set, unless it is a secret.
fn changed_text(spec: &table::OptionSpec, value: &OptionValue) -> Option<Secret> {
    let is_secret = || spec.is_secret() || contains_secret(spec, &value.text);
    (value.text.reveal().is_empty() || !is_secret()).then(|| value.text.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::super::environment::testing::FakeEnvironment;
    use super::*;
    use crate::options::DriverKeywords;

    /// Data source `a`, which has secrets and a keyword of the driver.
    struct Fixture {
        _folder: TempDir,
        environment: FakeEnvironment,
        keywords: DriverKeywords,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let section =
                "[a]\nDriver=/lib/d.so\nScope=dsn\nClientSecret=hunter2\nAllowOverride=1\nTable=t\n";
            std::fs::write(folder.path().join("odbc.ini"), section).unwrap();
            let system_folders = vec![folder.path().to_owned()];
            let environment = FakeEnvironment { system_folders, ..FakeEnvironment::default() };
            let keywords = DriverKeywords::parse(&["Schema", "Table;T"]).unwrap();
            Self { _folder: folder, environment, keywords }
        }

        fn open(&self, text: &str) -> Options {
            Options::open_with(text, &self.keywords, &self.environment)
                .unwrap_or_else(|error| panic!("{text}: {error}"))
        }

        /// The string of a connection that was opened with `text`, after `changes`.
        fn given(&self, text: &str, changes: &[(&str, &str)]) -> String {
            let mut options = self.open(text);
            options.set(changes).unwrap();
            options.given_connection_string(&[]).reveal().to_owned()
        }
    }

    #[test]
    fn given_string_keeps_order_names_and_secrets() {
        let fixture = Fixture::new();
        for (text, given) in [
            ("DSN=a;pwd={p;w};cliss='me';T=x;Zebra=1", "DSN=a;pwd={p;w};cliss=me;T=x;"),
            ("scope=;Driver={The Driver};Scope=b", "scope={};Driver={The Driver};"),
            ("clsub={'x'};DRIVER=d;DSN=a", "clsub={'x'};DRIVER=d;DSN=a;"),
            (
                "ProxyHost=http://u:p@proxy:80;AllowOverride=1",
                "ProxyHost={http://u:p@proxy:80};AllowOverride=1;",
            ),
            ("", ""),
        ] {
            assert_eq!(fixture.given(text, &[]), given);
        }
    }

    #[test]
    fn given_string_has_changes_in_place_and_at_end() {
        let fixture = Fixture::new();
        let changes =
            [("oas", "new"), ("ClaimsIssuer", "i"), ("T", "t;t"), ("Schema", "s"), ("PortNumber", "")];
        assert_eq!(
            fixture.given("Scope=a;T=x;DSN=a", &changes),
            "Scope=new;T={t;t};DSN=a;ClaimsIssuer=i;Schema=s;"
        );
        assert_eq!(fixture.given("DSN=a", &[("Scope", ""), ("Table", "")]), "DSN=a;Scope={};Table={};");
    }

    #[test]
    fn given_string_omits_secrets_of_caller() {
        let fixture = Fixture::new();
        let changes = [("Password", "set"), ("ClientSecret", "set"), ("ProxyHost", "http://u:set@proxy")];
        assert_eq!(fixture.given("UID=u;PWD=string;DSN=a", &changes), "UID=u;DSN=a;");
        assert_eq!(fixture.given("PWD=same", &[("Password", "same")]), "PWD=same;");
        assert_eq!(
            fixture.given("PWD=string;DSN=a", &[("pwd", ""), ("clse", "")]),
            "PWD={};DSN=a;ClientSecret={};"
        );
    }

    #[test]
    fn given_string_has_overrides() {
        let fixture = Fixture::new();
        let token = |id, name_to_write, text| OptionOverride { id, name_to_write, text };
        let overrides = [
            token(OptionId::RefreshToken, "Auth_RefreshToken", Some(Secret::from("env:new"))),
            token(OptionId::AccessToken, "Auth_AccessToken", Some(Secret::from("at"))),
            token(OptionId::AccessTokenExpires, "Auth_Expires", None),
        ];
        let options = fixture.open("rtok=old;Auth_Expires=2999-01-01T00:00:00Z;Scope=a");
        assert_eq!(
            options.given_connection_string(&overrides).reveal(),
            "Auth_RefreshToken=literal:env:new;Scope=a;Auth_AccessToken=at;"
        );
    }

    /// The values in force, except secrets that only the caller has set.
    fn effective_values(options: &Options) -> Vec<(String, String)> {
        let is_of_caller = |spec: &table::OptionSpec, value: &OptionValue| {
            value.origin == OptionOrigin::SetOption
                && (spec.is_secret() || contains_secret(spec, &value.text))
        };
        let values = table::TABLE.iter().filter_map(|spec| {
            let value = options.get(spec.id).filter(|value| !is_of_caller(spec, value))?;
            Some((spec.name.to_owned(), value.text.reveal().to_owned()))
        });
        let keywords = options.driver.effective();
        values
            .chain(keywords.map(|(name, value)| (name.to_owned(), value.text.reveal().to_owned())))
            .collect()
    }

    const NAMES: [&str; 12] = [
        "Scope",
        "oas",
        "cliss",
        "pwd",
        "ClientSecret",
        "ProxyHost",
        "ClaimsAdditional",
        "Table",
        "t",
        "Schema",
        "TokenURI",
        "Description",
    ];

    fn pairs() -> impl Strategy<Value = Vec<(usize, String)>> {
        let text = prop_oneof!["[a-z';={}\" ]{0,6}", Just("http://u:p@h".to_owned()), Just(String::new())];
        proptest::collection::vec((0..NAMES.len(), text), 0..8)
    }

    proptest! {
        #[test]
        fn given_string_opens_to_same_options(given in pairs(), changes in pairs(), source in 0..3_usize) {
            let fixture = Fixture::new();
            let write = |(index, text): &(usize, String)| {
                format!("{}={};", NAMES[*index], connection_string::quote(text))
            };
            let given: String = given.iter().map(write).collect();
            let text = format!("{}{given}", ["", "DSN=a;", "DRIVER=d;DSN=a;"][source]);
            let mut options = fixture.open(&text);
            let changes: Vec<_> = changes.iter().map(|(index, text)| (NAMES[*index], text.as_str())).collect();
            options.set(&changes).unwrap();
            let reopened = fixture.open(options.given_connection_string(&[]).reveal());
            let set_by_caller = |name: &str| table::find(name).is_some_and(|spec| {
                options.layer_value(OptionOrigin::SetOption, spec.id).is_some_and(|value| {
                    !value.text.reveal().is_empty() && (spec.is_secret() || contains_secret(spec, &value.text))
                })
            });
            let mut values = effective_values(&reopened);
            // A data source may have another value of an option whose value by the caller is omitted.
            values.retain(|(name, _)| !set_by_caller(name));
            let mut expected = effective_values(&options);
            expected.retain(|(name, _)| !set_by_caller(name));
            prop_assert_eq!(values, expected);
        }
    }
}
