//! What a JSON key file says beside its key, where nobody else says it: the JSON key of a Google service account, the
//! configuration of a Box application.
//!
//! A connection string may come from a stranger, and so may the file that it names, or the file is the host's and the
//! string is not. So a token endpoint out of it is no better than one in the string, and the client secret of a Box
//! application is not sent to where a stranger wants it.

use super::table::{self, OptionId, OptionSpec};
use super::{FileDependencies, OptionOrigin, OptionValue, Options};
use crate::base::error::Error;
use crate::base::policy::{Permission, Policy};
use crate::base::secret::Secret;
use crate::base::url::{EndpointUrl, parse_scheme};
use crate::key::{self, BoxAppSettings, GoogleServiceAccount, KeyFileMetadata, KeyOrigin, KeySource};
use crate::provider;

/// The options that a key file may say, and TokenURI, in the place of which TokenEndpoint is said.
pub const KEY_FILE_OPTIONS: [OptionId; 8] = [
    OptionId::ClaimsIssuer,
    OptionId::ClaimsSubject,
    OptionId::ClaimsAdditional,
    OptionId::ClientID,
    OptionId::ClientSecret,
    OptionId::JWTKeyID,
    OptionId::TokenURI,
    OptionId::TokenEndpoint,
];

/// What decides where a client secret goes, or who can see it on its way, beside everything that begins with Proxy.
const SECRET_DESTINATION_OPTIONS: [OptionId; 5] = [
    OptionId::TokenURI,
    OptionId::TokenEndpoint,
    OptionId::TrustStore,
    OptionId::HostNameInCertificate,
    OptionId::ValidateServerCertificate,
];

/// The profile of those whose files have a client secret.
const BOX_PROFILE: &str = "box";

impl Options {
    /// Hears what stands beside `key`, which signs; a token endpoint where it `exchanges` what it signs for a token.
    pub fn apply_key_file(
        &mut self,
        key: &KeySource,
        exchanges: bool,
        policy: Policy,
        seen: &mut FileDependencies,
    ) {
        if self.external.errors.iter().any(|fault| fault.option() == Some(key.option())) {
            return;
        }
        let hints = match key::read_metadata(key) {
            Ok((hints, stamp)) => {
                match key.files().next().cloned().zip(stamp) {
                    Some((file, stamp)) if hints.is_some() => seen.add_file(file, stamp),
                    Some((file, stamp)) => seen.add_file_without_metadata(file, stamp),
                    None => {}
                }
                hints
            }
            Err(error) => {
                seen.mark_failed();
                self.external.key_file_error = Some(error);
                return;
            }
        };
        match hints {
            Some(KeyFileMetadata::Google(hints)) => self.apply_google(key, hints, exchanges),
            Some(KeyFileMetadata::Box(hints)) => self.apply_box(key, hints, exchanges, policy),
            None => {}
        }
    }

    fn apply_google(&mut self, key: &KeySource, hints: GoogleServiceAccount, exchanges: bool) {
        self.set_text_from_key_file(key, OptionId::ClaimsIssuer, "client_email", hints.client_email);
        self.set_text_from_key_file(key, OptionId::JWTKeyID, "private_key_id", hints.private_key_id);
        let Some(address) = hints.token_uri.filter(|_| exchanges) else { return };
        if self.is_token_endpoint_specified() {
            let fault = self.cleared_endpoint_error(key);
            self.external.errors.extend(fault);
        } else {
            self.apply_token_uri(key, address);
        }
    }

    fn apply_token_uri(&mut self, key: &KeySource, address: String) {
        let by = match EndpointUrl::parse(&address) {
            Ok(url) if url.is_https() => {
                if let Some(fault) = self.key_file_redirect_error(key) {
                    self.external.errors.push(fault);
                } else {
                    self.set_text_from_key_file(key, OptionId::TokenEndpoint, "token_uri", Some(address));
                }
                return;
            }
            _ => parse_scheme(&address).unwrap_or("no scheme"),
        };
        let text = format!(
            "has a token_uri that is not a URL of https:// ({by}); it was left out. Write TokenURI=POST https://…"
        );
        self.warn_key_file(key, &text);
    }

    /// The fault of a key file that a stranger named, and whose token endpoint is not that of the data source whose secrets
    /// are in use.
    fn key_file_redirect_error(&self, key: &KeySource) -> Option<Error> {
        let option = table::find(key.option())?;
        let steers = if self.is_key_from_connection_string(key) {
            self.protects_secrets()
        } else {
            self.is_key_untrusted(key) && self.protects_caller_secrets()
        };
        steers.then(|| {
            self.blocked_error_for(option, &format!("token_uri of the key file {}", key.display_name()))
        })
    }

    /// The fault of a connection string that has a data source's key sign for nobody, by an empty TokenURI.
    fn cleared_endpoint_error(&self, key: &KeySource) -> Option<Error> {
        let both = [OptionId::TokenURI, OptionId::TokenEndpoint];
        let set = both.iter().any(|name| self.layer_value(OptionOrigin::SetOption, *name).is_some());
        let given = both.iter().any(|name| self.get(*name).is_some());
        if set || given || self.is_key_from_connection_string(key) || !self.protects_secrets() {
            return None;
        }
        let empty =
            both.iter().find(|name| self.layer_value(OptionOrigin::ConnectionString, **name).is_some())?;
        empty.spec().map(|definition| self.blocked_error(definition))
    }

    fn is_key_from_connection_string(&self, key: &KeySource) -> bool {
        self.key_option_value(key).is_some_and(|value| value.origin == OptionOrigin::ConnectionString)
    }

    fn is_key_untrusted(&self, key: &KeySource) -> bool {
        self.key_option_value(key).is_some_and(|value| self.is_untrusted_value(value))
    }

    /// The value that names the key.
    fn key_option_value(&self, key: &KeySource) -> Option<&OptionValue> {
        self.get(table::find(key.option())?.id)
    }

    fn apply_box(&mut self, key: &KeySource, hints: BoxAppSettings, exchanges: bool, policy: Policy) {
        self.set_text_from_key_file(key, OptionId::JWTKeyID, "publicKeyID", hints.public_key_id);
        let ids = [OptionId::ClaimsIssuer, OptionId::ClientID];
        let other =
            |name| self.get(name).is_some_and(|id| Some(id.text.reveal()) != hints.client_id.as_deref());
        // The secret of one client is none of another's.
        if !ids.into_iter().any(other) {
            for name in ids {
                self.set_text_from_key_file(key, name, "clientID", hints.client_id.clone());
            }
            self.apply_client_secret(key, hints.client_secret, policy);
        }
        if !self.is_specified(OptionId::ClaimsSubject)
            && !self.is_specified(OptionId::ClaimsAdditional)
            && hints.enterprise_id.is_some()
        {
            self.set_text_from_key_file(key, OptionId::ClaimsSubject, "enterpriseID", hints.enterprise_id);
            let kind = r#"{"box_sub_type":"enterprise"}"#.to_owned();
            self.set_text_from_key_file(key, OptionId::ClaimsAdditional, "enterpriseID", Some(kind));
        }
        if exchanges && !self.is_token_endpoint_specified() {
            let hosts =
                provider::find_by_name(BOX_PROFILE).map_or(&[][..], |profile| &profile.hosts).join(", ");
            let text = format!(
                "is the configuration of a Box application, which names no token endpoint, so that the signed JWT \
                 itself is the token; write TokenURI=POST https://… with the token endpoint at {hosts}"
            );
            self.warn_key_file(key, &text);
        }
    }

    /// Takes the client secret, unless that might tell it to somebody: a stranger may name the host's own file, and a
    /// token endpoint, a proxy or a trust of theirs.
    fn apply_client_secret(&mut self, key: &KeySource, secret: Option<Secret>, policy: Policy) {
        let Some(secret) = secret.filter(|_| !self.is_specified(OptionId::ClientSecret)) else { return };
        let named = table::find(key.option()).and_then(|option| self.get(option.id));
        let is_a_strangers = matches!(key.origin, KeyOrigin::File(_))
            && named.is_none_or(|named| self.is_untrusted_value(named))
            && !policy.allows(Permission::References);
        let led = table::TABLE.iter().find(|definition| is_a_strangers && self.redirects_secret(definition));
        if let Some(by) = led {
            let text = format!(
                "holds a clientSecret, which is not taken, since {} was not said by the host program or in odbc.ini, and \
                 anybody may have named the file; write ClientSecret itself, or let the host program allow it by policy \
                 ({})",
                by.name,
                Permission::References.name(),
            );
            self.warn_key_file(key, &text);
            return;
        }
        self.set_from_key_file(key, OptionId::ClientSecret, "clientSecret", secret);
    }

    /// Whether a stranger says it, and not what Box says itself.
    fn redirects_secret(&self, definition: &OptionSpec) -> bool {
        let leads =
            SECRET_DESTINATION_OPTIONS.contains(&definition.id) || definition.name.starts_with("Proxy");
        let Some(value) = self.get(definition.id).filter(|_| leads) else { return false };
        let is_token_endpoint = matches!(definition.id, OptionId::TokenURI | OptionId::TokenEndpoint);
        let address = value.text.reveal().split_ascii_whitespace().last().unwrap_or_default();
        let host = EndpointUrl::parse(address).map(|url| url.host().to_owned()).unwrap_or_default();
        let at_home = is_token_endpoint
            && provider::find_by_host(&host).is_some_and(|profile| profile.name == BOX_PROFILE);
        self.is_untrusted_value(value) && !at_home
    }

    /// Whether anybody says something of it, be it that there is none.
    pub(super) fn is_specified(&self, name: OptionId) -> bool {
        self.layers.values().any(|layer| layer.contains_key(&name))
    }

    fn is_token_endpoint_specified(&self) -> bool {
        self.is_specified(OptionId::TokenURI) || self.is_specified(OptionId::TokenEndpoint)
    }

    fn set_text_from_key_file(
        &mut self,
        key: &KeySource,
        name: OptionId,
        spelling: &str,
        text: Option<String>,
    ) {
        if let Some(text) = text {
            self.set_from_key_file(key, name, spelling, Secret::new(text));
        }
    }

    fn set_from_key_file(&mut self, key: &KeySource, name: OptionId, spelling: &str, text: Secret) {
        let place = match &key.origin {
            KeyOrigin::File(file) => file.as_configured().to_owned(),
            _ => key.option().to_owned(),
        };
        let value = OptionValue {
            text,
            origin: OptionOrigin::KeyFile,
            name_as_written: spelling.to_owned(),
            location: Some(place),
        };
        self.layer_mut(OptionOrigin::KeyFile).insert(name, value);
    }

    fn warn_key_file(&mut self, key: &KeySource, text: &str) {
        let text = format!("{} {text}", key.display_name());
        self.external.warnings.push(Error::warning("01000", "key store", text).with_option(key.option()));
    }
}
