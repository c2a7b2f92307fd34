//! Option defaults from JSON key files: service account keys of Google, application settings of Box.
//!
//! These values rank below all others. The connection string, the file that it names, or both may come from
//! an untrusted source. So a token endpoint from the file is subject to the same checks as one in the
//! connection string, and the client secret of a Box application is not sent to a destination that an
//! untrusted source has chosen.

use super::table::{self, OptionId, OptionSpec};
use super::{FileDependencies, OptionOrigin, OptionValue, Options};
use crate::base::error::{Error, WarningKind};
use crate::base::policy::{Permission, Policy};
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::url::{EndpointUrl, parse_scheme};
use crate::key::{BoxAppSettings, GoogleServiceAccount, KeyCache, KeyFileMetadata, KeyOrigin, KeySource};
use crate::provider;

/// The options that a key file may set, and TokenURI, instead of which it sets TokenEndpoint.
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

/// Options that determine where a client secret is sent or who can intercept it, in addition to all options
/// whose names begin with Proxy.
const SECRET_DESTINATION_OPTIONS: [OptionId; 5] = [
    OptionId::TokenURI,
    OptionId::TokenEndpoint,
    OptionId::TrustStore,
    OptionId::HostNameInCertificate,
    OptionId::ValidateServerCertificate,
];

/// The profile of the provider whose key files contain a client secret.
const BOX_PROFILE: &str = "box";

impl Options {
    /// Applies the metadata of the file with the signing key `key`. The token endpoint is applied only if the
    /// authentication method uses one (`uses_token_endpoint`).
    pub fn apply_key_file(
        &mut self,
        key: &KeySource,
        key_cache: &KeyCache,
        uses_token_endpoint: bool,
        policy: Policy,
        dependencies: &mut FileDependencies,
    ) {
        if self.external.errors.iter().any(|error| error.concerns(key.option())) {
            return;
        }
        let metadata = match key_cache.read_metadata(key) {
            Ok((metadata, version)) => {
                match key.files().next().cloned().zip(version) {
                    Some((file, version)) if metadata.is_some() => dependencies.add_file(file, version),
                    Some((file, version)) => dependencies.add_file_without_metadata(file, version),
                    None => {}
                }
                metadata
            }
            Err(error) => {
                dependencies.mark_failed();
                self.external.key_file_error = Some(error);
                return;
            }
        };
        match metadata {
            Some(KeyFileMetadata::Google(account)) => self.apply_google(key, account, uses_token_endpoint),
            Some(KeyFileMetadata::Box(settings)) => {
                self.apply_box(key, settings, uses_token_endpoint, policy)
            }
            None => {}
        }
    }

    fn apply_google(&mut self, key: &KeySource, account: GoogleServiceAccount, uses_token_endpoint: bool) {
        self.set_text_from_key_file(key, OptionId::ClaimsIssuer, "client_email", account.client_email);
        self.set_text_from_key_file(key, OptionId::JWTKeyID, "private_key_id", account.private_key_id);
        let Some(token_uri) = account.token_uri.filter(|_| uses_token_endpoint) else { return };
        if self.is_token_endpoint_specified() {
            let error = self.cleared_endpoint_error(key);
            self.external.errors.extend(error);
        } else {
            self.apply_token_uri(key, token_uri);
        }
    }

    fn apply_token_uri(&mut self, key: &KeySource, token_uri: String) {
        let scheme = match EndpointUrl::parse(&token_uri) {
            Ok(url) if url.is_https() => {
                if let Some(error) = self.key_file_redirect_error(key) {
                    self.external.errors.push(error);
                } else {
                    self.set_text_from_key_file(key, OptionId::TokenEndpoint, "token_uri", Some(token_uri));
                }
                return;
            }
            _ => parse_scheme(&token_uri).unwrap_or("no scheme"),
        };
        let text = format!(
            "has a token_uri that is not an https URL ({}); it is ignored. Set TokenURI=POST https://…",
            sanitize::excerpt(scheme)
        );
        self.warn_key_file(key, &text);
    }

    /// The error if untrusted text names the key file, so that its token endpoint would redirect guarded
    /// secrets.
    fn key_file_redirect_error(&self, key: &KeySource) -> Option<Error> {
        let option = table::find(key.option())?;
        let redirects = if self.is_key_from_connection_string(key) {
            self.protects_secrets()
        } else {
            self.is_key_untrusted(key) && self.protects_caller_secrets()
        };
        redirects.then(|| {
            self.blocked_error_for(option, &format!("token_uri of the key file {}", key.display_name()))
        })
    }

    /// The error if the connection string unsets the token endpoint, so that the JWT signed with a guarded
    /// key would itself be the token.
    fn cleared_endpoint_error(&self, key: &KeySource) -> Option<Error> {
        let options = [OptionId::TokenURI, OptionId::TokenEndpoint];
        let set_by_caller =
            options.iter().any(|name| self.layer_value(OptionOrigin::SetOption, *name).is_some());
        let has_endpoint = options.iter().any(|name| self.get(*name).is_some());
        if set_by_caller
            || has_endpoint
            || self.is_key_from_connection_string(key)
            || !self.protects_secrets()
        {
            return None;
        }
        let cleared =
            options.iter().find(|name| self.layer_value(OptionOrigin::ConnectionString, **name).is_some())?;
        cleared.spec().map(|spec| self.blocked_error(spec))
    }

    fn is_key_from_connection_string(&self, key: &KeySource) -> bool {
        self.key_option_value(key).is_some_and(|value| value.origin == OptionOrigin::ConnectionString)
    }

    fn is_key_untrusted(&self, key: &KeySource) -> bool {
        self.key_option_value(key).is_some_and(|value| self.is_untrusted_value(value))
    }

    /// The value of the option that names the key.
    fn key_option_value(&self, key: &KeySource) -> Option<&OptionValue> {
        self.get(table::find(key.option())?.id)
    }

    fn apply_box(
        &mut self,
        key: &KeySource,
        settings: BoxAppSettings,
        uses_token_endpoint: bool,
        policy: Policy,
    ) {
        self.set_text_from_key_file(key, OptionId::JWTKeyID, "publicKeyID", settings.public_key_id);
        let ids = [OptionId::ClaimsIssuer, OptionId::ClientID];
        let differs =
            |name| self.get(name).is_some_and(|id| Some(id.text.reveal()) != settings.client_id.as_deref());
        // The client secret in the file belongs to the client ID in the file.
        if !ids.into_iter().any(differs) {
            for name in ids {
                self.set_text_from_key_file(key, name, "clientID", settings.client_id.clone());
            }
            self.apply_client_secret(key, settings.client_secret, policy);
        }
        if !self.is_specified(OptionId::ClaimsSubject)
            && !self.is_specified(OptionId::ClaimsAdditional)
            && settings.enterprise_id.is_some()
        {
            self.set_text_from_key_file(key, OptionId::ClaimsSubject, "enterpriseID", settings.enterprise_id);
            let sub_type = r#"{"box_sub_type":"enterprise"}"#.to_owned();
            self.set_text_from_key_file(key, OptionId::ClaimsAdditional, "enterpriseID", Some(sub_type));
        }
        if uses_token_endpoint && !self.is_token_endpoint_specified() {
            let hosts =
                provider::find_by_name(BOX_PROFILE).map_or(&[][..], |profile| &profile.hosts).join(", ");
            let text = format!(
                "contains the settings of a Box application, which have no token endpoint, so that the \
                 signed JWT itself is the token; set TokenURI=POST https://… with the token endpoint at \
                 {hosts}"
            );
            self.warn_key_file(key, &text);
        }
    }

    /// Applies the client secret, unless that could disclose it: an untrusted connection string may name a
    /// key file of the caller together with its own token endpoint, proxy or trust store.
    fn apply_client_secret(&mut self, key: &KeySource, secret: Option<Secret>, policy: Policy) {
        let Some(secret) = secret.filter(|_| !self.is_specified(OptionId::ClientSecret)) else { return };
        let key_value = table::find(key.option()).and_then(|option| self.get(option.id));
        let is_untrusted = matches!(key.origin, KeyOrigin::File(_))
            && key_value.is_none_or(|value| self.is_untrusted_value(value))
            && !policy.allows(Permission::References);
        let redirecting = table::TABLE.iter().find(|spec| is_untrusted && self.redirects_secret(spec));
        if let Some(option) = redirecting {
            let text = format!(
                "contains a clientSecret that is ignored because {} comes from an untrusted source; set \
                 ClientSecret, or allow it with {}",
                option.name,
                Permission::References.name(),
            );
            self.warn_key_file(key, &text);
            return;
        }
        self.set_from_key_file(key, OptionId::ClientSecret, "clientSecret", secret);
    }

    /// Whether an untrusted value of the option could redirect the client secret, other than to Box itself.
    fn redirects_secret(&self, spec: &OptionSpec) -> bool {
        let controls = SECRET_DESTINATION_OPTIONS.contains(&spec.id) || spec.name.starts_with("Proxy");
        let Some(value) = self.get(spec.id).filter(|_| controls) else { return false };
        let is_token_endpoint = matches!(spec.id, OptionId::TokenURI | OptionId::TokenEndpoint);
        let url = value.text.reveal().split_ascii_whitespace().last().unwrap_or_default();
        let host = EndpointUrl::parse(url).map(|url| url.host().to_owned()).unwrap_or_default();
        let is_box_host = is_token_endpoint
            && provider::find_by_host(&host).is_some_and(|profile| profile.name == BOX_PROFILE);
        self.is_untrusted_value(value) && !is_box_host
    }

    /// Whether any origin sets the option, even to an empty value.
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
        member: &str,
        text: Option<String>,
    ) {
        if let Some(text) = text {
            self.set_from_key_file(key, name, member, Secret::new(text));
        }
    }

    fn set_from_key_file(&mut self, key: &KeySource, name: OptionId, member: &str, text: Secret) {
        let location = match &key.origin {
            KeyOrigin::File(file) => file.as_configured().to_owned(),
            _ => key.option().to_owned(),
        };
        let value = OptionValue {
            text,
            origin: OptionOrigin::KeyFile,
            name_as_written: member.to_owned(),
            location: Some(location),
        };
        self.layer_mut(OptionOrigin::KeyFile).insert(name, value);
    }

    fn warn_key_file(&mut self, key: &KeySource, text: &str) {
        let text = format!("{} {text}", key.display_name());
        self.external
            .warnings
            .push(Error::new(WarningKind::General, "key store", text).with_option(key.option()));
    }
}
