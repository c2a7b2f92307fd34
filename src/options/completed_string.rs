//! Completed connection string (the term of ODBC's SQLDriverConnect): the effective options as one string
//! that does not depend on a data source.
//!
//! Values of a data source or model are written out, so DSN and FILEDSN are omitted, and so is AllowOverride,
//! which is effective only in a data source. RestConfigFile is kept, because the headers of the model cannot
//! be set by an option. Keywords of the driver follow the options; which of them are secret is not known here.

use super::paths::is_key_text;
use super::{KEY_FILE_OPTIONS, OptionId, OptionOrigin, Options, connection_string, secret_refs, table};
use crate::base::secret::Secret;
use crate::base::url;
use crate::key::Pkcs11Uri;

/// Options that only locate or qualify a data source.
const EXCLUDED_OPTIONS: [OptionId; 3] = [OptionId::DSN, OptionId::FILEDSN, OptionId::AllowOverride];

/// Replaces the value of an option in the completed string.
#[derive(Debug)]
pub struct OptionOverride {
    /// The option.
    pub id: OptionId,
    /// The name or alias to write.
    pub name_to_write: &'static str,
    /// The value, even if it is a secret; `None` omits the option.
    pub text: Option<Secret>,
}

impl Options {
    /// The completed connection string. Secrets are omitted unless `include_secrets` is set or they are in
    /// `overrides`. Driver comes first, where driver managers expect it.
    #[must_use]
    pub fn completed_connection_string(&self, include_secrets: bool, overrides: &[OptionOverride]) -> Secret {
        let (driver, others): (Vec<_>, Vec<_>) =
            table::TABLE.iter().partition(|spec| spec.id == OptionId::Driver);
        let pairs: Vec<_> = driver
            .into_iter()
            .chain(others)
            .filter_map(|spec| self.completed_pair(spec, include_secrets, overrides))
            .chain(self.driver.effective().map(|(name, value)| (name, value.text.clone())))
            .map(|(name, text)| (name, Secret::new(connection_string::quote(text.reveal()))))
            .collect();
        join_pairs(pairs.iter().map(|(name, text)| (*name, text)))
    }

    fn completed_pair(
        &self,
        spec: &'static table::OptionSpec,
        include_secrets: bool,
        overrides: &[OptionOverride],
    ) -> Option<(&str, Secret)> {
        if EXCLUDED_OPTIONS.contains(&spec.id) {
            return None;
        }
        if let Some(replacement) = overrides.iter().find(|replacement| replacement.id == spec.id) {
            let text = replacement.text.as_ref();
            return text.map(|text| (replacement.name_to_write, secret_refs::escape_literal(spec, text)));
        }
        let name = if spec.id == OptionId::Driver { "DRIVER" } else { spec.name };
        match self.get(spec.id) {
            Some(value) if !include_secrets && (spec.is_secret() || contains_secret(spec, &value.text)) => {
                None
            }
            Some(value) => Some((name, value.text.clone())),
            // An unset option must not be set again by the model or the key file.
            None => {
                let in_model = self.layer_value(OptionOrigin::Model, spec.id).is_some();
                let in_key_file = KEY_FILE_OPTIONS.contains(&spec.id) && self.is_specified(spec.id);
                (in_model || in_key_file).then(|| (name, Secret::default()))
            }
        }
    }
}

/// Whether the value of a non-secret option contains a secret: a PIN, the password in a URL, or a key.
pub(super) fn contains_secret(spec: &table::OptionSpec, text: &Secret) -> bool {
    let is_address =
        matches!(spec.id, OptionId::ProxyHost | OptionId::HostName | OptionId::HostNameInCertificate);
    Pkcs11Uri::has_pin(text.reveal())
        || is_key_text(text.reveal())
        || url::contains_secret(text.reveal(), is_address)
}

/// Allocates once: reallocation would leave copies of secrets in freed memory.
pub(super) fn join_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a Secret)> + Clone) -> Secret {
    let lengths = pairs.clone().map(|(name, text)| name.len().saturating_add(text.reveal().len()));
    let capacity = lengths.fold(0_usize, |sum, length| sum.saturating_add(length).saturating_add(2));
    let mut text = String::with_capacity(capacity);
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
        let values = table::TABLE.iter().filter_map(|spec| options.get(spec.id).map(|value| (spec, value)));
        values.map(|(spec, value)| (spec.id, value.text.reveal())).collect()
    }

    #[test]
    fn completed_string_round_trips_every_option() {
        let awkward =
            ["plain", "{", "}", "}}", "a}b;c={d}", ";", "=", " led", "trailed ", "'quoted'", "\"q\"", "{}"];
        for (number, first) in awkward.iter().enumerate() {
            let mut options = open("");
            for (index, spec) in table::TABLE.iter().enumerate() {
                let text = if index == 0 { first } else { awkward[(index + number) % awkward.len()] };
                options.set_value(spec.id, Secret::from(text), OptionOrigin::SetOption, spec.name);
            }
            let text = options.completed_connection_string(true, &[]);
            for name in EXCLUDED_OPTIONS {
                options.layer_mut(OptionOrigin::SetOption).remove(&name);
            }
            let reopened = open(text.reveal());
            assert_eq!(effective_values(&reopened), effective_values(&options));
            assert_eq!(reopened.completed_connection_string(true, &[]), text);
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
        for spec in table::TABLE.iter().filter(|spec| spec.is_secret()) {
            let options = open(&format!("{}=hunter2;ClaimsIssuer=me", spec.name));
            assert_eq!(
                options.completed_connection_string(false, &[]).reveal(),
                "ClaimsIssuer=me;",
                "{}",
                spec.name
            );
            assert!(
                options.completed_connection_string(true, &[]).reveal().contains("hunter2"),
                "{}",
                spec.name
            );
        }
    }

    #[test]
    fn completed_string_excludes_secret_in_other_option() {
        for secret in [
            "pkcs11:object=a?pin-value=hunter2",
            "-----BEGIN PRIVATE KEY-----hunter2",
            "{\"kty\":\"oct\",\"k\":\"hunter2\"}",
            "https://me:hunter2@a.example/",
        ] {
            let mut options = open("ClaimsIssuer=me");
            options.set(&[("JWTCertStore", secret)]).unwrap();
            assert_eq!(options.completed_connection_string(false, &[]).reveal(), "ClaimsIssuer=me;");
            assert!(options.completed_connection_string(true, &[]).reveal().contains("hunter2"), "{secret}");
        }
    }

    #[test]
    fn option_override_replaces_or_removes_option() {
        let options = open("AccessToken=old;RefreshToken=r;Scope=a");
        let overrides = [
            OptionOverride {
                id: OptionId::AccessToken,
                name_to_write: "Auth_AccessToken",
                text: Some(Secret::from("n;w")),
            },
            OptionOverride { id: OptionId::RefreshToken, name_to_write: "Auth_RefreshToken", text: None },
        ];
        let text = options.completed_connection_string(false, &overrides);
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
        let completed = options.completed_connection_string(true, &[]);
        std::fs::remove_file(file).unwrap();
        let reopened = open(completed.reveal());
        let written_values = |options: &Options| {
            let mut values: Vec<_> =
                effective_values(options).into_iter().map(|(name, text)| (name, text.to_owned())).collect();
            values.retain(|(name, _)| !EXCLUDED_OPTIONS.contains(name));
            values
        };
        assert_eq!(written_values(&reopened), written_values(&options));
        assert_eq!(reopened.errors(), []);
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
