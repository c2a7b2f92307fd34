//! The options in force as one connection string, which stands alone: opening it anywhere gives the same options.
//!
//! What a data source or a model said is written out, so DSN and FILEDSN are left out, and AllowOverride with them: it
//! counts in a data source alone. RestConfigFile stays, for the model's headers, which no option can say.

use super::{HINTED, Name, Options, Origin, connection_string, secret_refs, table};
use crate::base::secret::Secret;
use crate::base::url;
use crate::key::Uri;

/// What only leads to values.
const LEFT_OUT: [Name; 3] = [Name::DSN, Name::FILEDSN, Name::AllowOverride];

/// What is written in the place of what an option says.
#[derive(Debug)]
pub struct Instead {
    /// The option.
    pub name: Name,
    /// Which of its names is written.
    pub spelling: &'static str,
    /// Its value, secret or not; none leaves the option out.
    pub text: Option<Secret>,
}

impl Options {
    /// The connection string, without values of secrets unless they are wanted or stand in `instead`. Driver stands in
    /// front, where driver managers look for it.
    #[must_use]
    pub fn completed(&self, secrets: bool, instead: &[Instead]) -> Secret {
        let (driver, others): (Vec<_>, Vec<_>) =
            table::TABLE.iter().partition(|definition| definition.id == Name::Driver);
        let pairs: Vec<_> = driver
            .into_iter()
            .chain(others)
            .filter_map(|definition| self.completed_pair(definition, secrets, instead))
            .map(|(name, text)| (name, Secret::new(connection_string::quote(text.reveal()))))
            .collect();
        joined(&pairs)
    }

    fn completed_pair(
        &self,
        definition: &'static table::Definition,
        secrets: bool,
        instead: &[Instead],
    ) -> Option<(&'static str, Secret)> {
        if LEFT_OUT.contains(&definition.id) {
            return None;
        }
        if let Some(other) = instead.iter().find(|other| other.name == definition.id) {
            let text = other.text.as_ref();
            return text.map(|text| (other.spelling, secret_refs::to_the_letter(definition, text)));
        }
        let name = if definition.id == Name::Driver { "DRIVER" } else { definition.name };
        match self.get(definition.id) {
            Some(value) if !secrets && (definition.is_secret() || holds_secret(definition, &value.text)) => {
                None
            }
            Some(value) => Some((name, value.text.clone())),
            // What was unset must not come back from the model or the key file.
            None => {
                let in_model = self.in_layer(Origin::Model, definition.id).is_some();
                let in_key_file = HINTED.contains(&definition.id) && self.says(definition.id);
                (in_model || in_key_file).then(|| (name, Secret::default()))
            }
        }
    }
}

/// Whether the value of an option that is no secret has one in it: a PIN, or the password of a URL.
fn holds_secret(definition: &table::Definition, text: &Secret) -> bool {
    let address = matches!(definition.id, Name::ProxyHost | Name::HostName | Name::HostNameInCertificate);
    Uri::holds_pin(text.reveal()) || url::contains_secret(text.reveal(), address)
}

/// Written into one piece of memory: growing would leave secrets behind.
fn joined(pairs: &[(&str, Secret)]) -> Secret {
    let lengths = pairs.iter().map(|(name, text)| name.len().saturating_add(text.reveal().len()));
    let room = lengths.fold(0_usize, |sum, length| sum.saturating_add(length).saturating_add(2));
    let mut text = String::with_capacity(room);
    for (name, value) in pairs {
        text.push_str(name);
        text.push('=');
        text.push_str(value.reveal());
        text.push(';');
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::environment::testing::Made;
    use super::*;

    fn opened(text: &str) -> Options {
        Options::open(text, &Made::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn in_force(options: &Options) -> Vec<(Name, &str)> {
        let values = table::TABLE
            .iter()
            .filter_map(|definition| options.get(definition.id).map(|value| (definition, value)));
        values.map(|(definition, value)| (definition.id, value.text.reveal())).collect()
    }

    #[test]
    fn opening_it_gives_every_option_of_the_table_to_the_letter() {
        let awkward =
            ["plain", "{", "}", "}}", "a}b;c={d}", ";", "=", " led", "trailed ", "'quoted'", "\"q\"", "{}"];
        for (number, first) in awkward.iter().enumerate() {
            let mut options = opened("");
            for (place, definition) in table::TABLE.iter().enumerate() {
                let text = if place == 0 { first } else { awkward[(place + number) % awkward.len()] };
                options.say(definition.id, Secret::from(text), Origin::SetOption, definition.name);
            }
            let text = options.completed(true, &[]);
            for name in LEFT_OUT {
                options.layer(Origin::SetOption).remove(&name);
            }
            let again = opened(text.reveal());
            assert_eq!(in_force(&again), in_force(&options));
            assert_eq!(again.completed(true, &[]), text);
        }
    }

    #[test]
    fn an_empty_value_is_no_option_and_the_driver_stands_in_front() {
        let options = opened("Scope=;cliss='me';PortNumber=7;DRIVER={The Driver};JWTCertAlias={}");
        assert_eq!(
            options.completed(true, &[]).reveal(),
            "DRIVER={The Driver};ClaimsIssuer=me;PortNumber=7;"
        );
        assert_eq!(opened("").completed(true, &[]).reveal(), "");
    }

    #[test]
    fn secrets_are_left_out_unless_they_are_wanted() {
        for definition in table::TABLE.iter().filter(|definition| definition.is_secret()) {
            let options = opened(&format!("{}=hunter2;ClaimsIssuer=me", definition.name));
            assert_eq!(options.completed(false, &[]).reveal(), "ClaimsIssuer=me;", "{}", definition.name);
            assert!(options.completed(true, &[]).reveal().contains("hunter2"), "{}", definition.name);
        }
    }

    #[test]
    fn what_stands_instead_is_written_under_its_name_or_leaves_the_option_out() {
        let options = opened("AccessToken=old;RefreshToken=r;Scope=a");
        let instead = [
            Instead {
                name: Name::AccessToken,
                spelling: "Auth_AccessToken",
                text: Some(Secret::from("n;w")),
            },
            Instead { name: Name::RefreshToken, spelling: "Auth_RefreshToken", text: None },
        ];
        let text = options.completed(false, &instead);
        assert_eq!(text.reveal(), "Scope=a;Auth_AccessToken={n;w};");
        assert_eq!(opened(text.reveal()).get(Name::AccessToken).unwrap().text.reveal(), "n;w");
    }

    fn write(folder: &TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn what_a_data_source_said_is_written_out_but_for_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let dsn = "[ODBC]\nDriver=/lib/d.so\nJWTCertStore=k.jks\nJWTCertPassword=hunter2\nTokenURI=POST https://good.example/t\nScope=dsn\nAllowOverride=1\n";
        let file = write(&folder, "f.dsn", dsn);
        let options = opened(&format!("FILEDSN={file};Scope=;ClaimsIssuer=me"));
        let text =
            "DRIVER=/lib/d.so;ClaimsIssuer=me;JWTCertStore=k.jks;TokenURI={POST https://good.example/t};";
        assert_eq!(options.completed(false, &[]).reveal(), text);
        let whole = options.completed(true, &[]);
        std::fs::remove_file(file).unwrap();
        let again = opened(whole.reveal());
        let of = |options: &Options| {
            let mut values: Vec<_> =
                in_force(options).into_iter().map(|(name, text)| (name, text.to_owned())).collect();
            values.retain(|(name, _)| !LEFT_OUT.contains(name));
            values
        };
        assert_eq!(of(&again), of(&options));
        assert_eq!(again.faults(), []);
    }

    #[test]
    fn where_a_string_may_not_steer_the_data_sources_own_word_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(
            &folder,
            "f.dsn",
            "[ODBC]\nJWTCertPassword=hunter2\nTokenURI=POST https://good.example/t\n",
        );
        let options = opened(&format!("FILEDSN={file};TokenURI=POST https://evil.example/t"));
        assert_eq!(options.faults().len(), 1);
        let text = options.completed(true, &[]);
        assert!(
            text.reveal().contains("good.example") && !text.reveal().contains("evil"),
            "{}",
            text.reveal()
        );
    }

    #[test]
    fn what_was_unset_does_not_come_back_from_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let model =
            write(&folder, "m.rest", r##"{"#scope": "model", "#tokenUri": "POST https://a.example/t"}"##);
        let options = opened(&format!("RestConfigFile={{{model}}};Scope="));
        let text = options.completed(true, &[]);
        assert_eq!(in_force(&opened(text.reveal())), in_force(&options));
        assert!(options.get(Name::Scope).is_none() && options.get(Name::TokenURI).is_some());
    }
}
