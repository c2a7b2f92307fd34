//! The options in force as one connection string, which stands alone: opening it anywhere gives the same options.
//!
//! What a data source or a model said is written out, so DSN and FILEDSN are left out, and AllowOverride with them: it
//! counts in a data source alone. RestConfigFile stays, for the model's headers, which no option can say.

use super::{KEY_FILE_OPTIONS, OptionId, OptionOrigin, Options, connection_string, secret_refs, table};
use crate::base::secret::Secret;
use crate::base::url;
use crate::key::Pkcs11Uri;

/// What only leads to values.
const EXCLUDED_OPTIONS: [OptionId; 3] = [OptionId::DSN, OptionId::FILEDSN, OptionId::AllowOverride];

/// What is written in the place of what an option says.
#[derive(Debug)]
pub struct OptionOverride {
    /// The option.
    pub id: OptionId,
    /// Which of its names is written.
    pub name_to_write: &'static str,
    /// Its value, secret or not; none leaves the option out.
    pub text: Option<Secret>,
}

impl Options {
    /// The connection string, without values of secrets unless they are wanted or stand in `instead`. Driver stands in
    /// front, where driver managers look for it.
    #[must_use]
    pub fn completed_connection_string(&self, secrets: bool, instead: &[OptionOverride]) -> Secret {
        let (driver, others): (Vec<_>, Vec<_>) =
            table::TABLE.iter().partition(|definition| definition.id == OptionId::Driver);
        let pairs: Vec<_> = driver
            .into_iter()
            .chain(others)
            .filter_map(|definition| self.completed_pair(definition, secrets, instead))
            .map(|(name, text)| (name, Secret::new(connection_string::quote(text.reveal()))))
            .collect();
        join_pairs(&pairs)
    }

    fn completed_pair(
        &self,
        definition: &'static table::OptionSpec,
        secrets: bool,
        instead: &[OptionOverride],
    ) -> Option<(&'static str, Secret)> {
        if EXCLUDED_OPTIONS.contains(&definition.id) {
            return None;
        }
        if let Some(other) = instead.iter().find(|other| other.id == definition.id) {
            let text = other.text.as_ref();
            return text.map(|text| (other.name_to_write, secret_refs::escape_literal(definition, text)));
        }
        let name = if definition.id == OptionId::Driver { "DRIVER" } else { definition.name };
        match self.get(definition.id) {
            Some(value)
                if !secrets && (definition.is_secret() || contains_secret(definition, &value.text)) =>
            {
                None
            }
            Some(value) => Some((name, value.text.clone())),
            // What was unset must not come back from the model or the key file.
            None => {
                let in_model = self.layer_value(OptionOrigin::Model, definition.id).is_some();
                let in_key_file =
                    KEY_FILE_OPTIONS.contains(&definition.id) && self.is_specified(definition.id);
                (in_model || in_key_file).then(|| (name, Secret::default()))
            }
        }
    }
}

/// Whether the value of an option that is no secret has one in it: a PIN, or the password of a URL.
fn contains_secret(definition: &table::OptionSpec, text: &Secret) -> bool {
    let address =
        matches!(definition.id, OptionId::ProxyHost | OptionId::HostName | OptionId::HostNameInCertificate);
    Pkcs11Uri::has_pin(text.reveal()) || url::contains_secret(text.reveal(), address)
}

/// Written into one piece of memory: growing would leave secrets behind.
fn join_pairs(pairs: &[(&str, Secret)]) -> Secret {
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

    use super::super::environment::testing::FakeEnvironment;
    use super::*;

    fn open(text: &str) -> Options {
        Options::open(text, &FakeEnvironment::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn effective_values(options: &Options) -> Vec<(OptionId, &str)> {
        let values = table::TABLE
            .iter()
            .filter_map(|definition| options.get(definition.id).map(|value| (definition, value)));
        values.map(|(definition, value)| (definition.id, value.text.reveal())).collect()
    }

    #[test]
    fn completed_string_round_trips_every_option() {
        let awkward =
            ["plain", "{", "}", "}}", "a}b;c={d}", ";", "=", " led", "trailed ", "'quoted'", "\"q\"", "{}"];
        for (number, first) in awkward.iter().enumerate() {
            let mut options = open("");
            for (place, definition) in table::TABLE.iter().enumerate() {
                let text = if place == 0 { first } else { awkward[(place + number) % awkward.len()] };
                options.set_value(
                    definition.id,
                    Secret::from(text),
                    OptionOrigin::SetOption,
                    definition.name,
                );
            }
            let text = options.completed_connection_string(true, &[]);
            for name in EXCLUDED_OPTIONS {
                options.layer_mut(OptionOrigin::SetOption).remove(&name);
            }
            let again = open(text.reveal());
            assert_eq!(effective_values(&again), effective_values(&options));
            assert_eq!(again.completed_connection_string(true, &[]), text);
        }
    }

    #[test]
    fn completed_string_drops_empty_puts_driver_first() {
        let options = open("Scope=;cliss='me';PortNumber=7;DRIVER={The Driver};JWTCertAlias={}");
        assert_eq!(
            options.completed_connection_string(true, &[]).reveal(),
            "DRIVER={The Driver};ClaimsIssuer=me;PortNumber=7;"
        );
        assert_eq!(open("").completed_connection_string(true, &[]).reveal(), "");
    }

    #[test]
    fn completed_string_excludes_secrets_unless_requested() {
        for definition in table::TABLE.iter().filter(|definition| definition.is_secret()) {
            let options = open(&format!("{}=hunter2;ClaimsIssuer=me", definition.name));
            assert_eq!(
                options.completed_connection_string(false, &[]).reveal(),
                "ClaimsIssuer=me;",
                "{}",
                definition.name
            );
            assert!(
                options.completed_connection_string(true, &[]).reveal().contains("hunter2"),
                "{}",
                definition.name
            );
        }
    }

    #[test]
    fn option_override_replaces_or_removes_option() {
        let options = open("AccessToken=old;RefreshToken=r;Scope=a");
        let instead = [
            OptionOverride {
                id: OptionId::AccessToken,
                name_to_write: "Auth_AccessToken",
                text: Some(Secret::from("n;w")),
            },
            OptionOverride { id: OptionId::RefreshToken, name_to_write: "Auth_RefreshToken", text: None },
        ];
        let text = options.completed_connection_string(false, &instead);
        assert_eq!(text.reveal(), "Scope=a;Auth_AccessToken={n;w};");
        assert_eq!(open(text.reveal()).get(OptionId::AccessToken).unwrap().text.reveal(), "n;w");
    }

    fn write_file(folder: &TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn completed_string_expands_data_source_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let dsn = "[ODBC]\nDriver=/lib/d.so\nJWTCertStore=k.jks\nJWTCertPassword=hunter2\nTokenURI=POST https://good.example/t\nScope=dsn\nAllowOverride=1\n";
        let file = write_file(&folder, "f.dsn", dsn);
        let options = open(&format!("FILEDSN={file};Scope=;ClaimsIssuer=me"));
        let text =
            "DRIVER=/lib/d.so;ClaimsIssuer=me;JWTCertStore=k.jks;TokenURI={POST https://good.example/t};";
        assert_eq!(options.completed_connection_string(false, &[]).reveal(), text);
        let whole = options.completed_connection_string(true, &[]);
        std::fs::remove_file(file).unwrap();
        let again = open(whole.reveal());
        let of = |options: &Options| {
            let mut values: Vec<_> =
                effective_values(options).into_iter().map(|(name, text)| (name, text.to_owned())).collect();
            values.retain(|(name, _)| !EXCLUDED_OPTIONS.contains(name));
            values
        };
        assert_eq!(of(&again), of(&options));
        assert_eq!(again.errors(), []);
    }

    #[test]
    fn blocked_override_completes_with_data_source_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = write_file(
            &folder,
            "f.dsn",
            "[ODBC]\nJWTCertPassword=hunter2\nTokenURI=POST https://good.example/t\n",
        );
        let options = open(&format!("FILEDSN={file};TokenURI=POST https://evil.example/t"));
        assert_eq!(options.errors().len(), 1);
        let text = options.completed_connection_string(true, &[]);
        assert!(
            text.reveal().contains("good.example") && !text.reveal().contains("evil"),
            "{}",
            text.reveal()
        );
    }

    #[test]
    fn completed_string_preserves_unset_model_option() {
        let folder = tempfile::tempdir().unwrap();
        let model = write_file(
            &folder,
            "m.rest",
            r##"{"#scope": "model", "#tokenUri": "POST https://a.example/t"}"##,
        );
        let options = open(&format!("RestConfigFile={{{model}}};Scope="));
        let text = options.completed_connection_string(true, &[]);
        assert_eq!(effective_values(&open(text.reveal())), effective_values(&options));
        assert!(options.get(OptionId::Scope).is_none() && options.get(OptionId::TokenURI).is_some());
    }
}
