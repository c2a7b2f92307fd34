//! What a JSON key file says beside its key, where nobody else says it: the JSON key of a Google service account, the
//! configuration of a Box application.
//!
//! A connection string may come from a stranger, and so may the file that it names, or the file is the host's and the
//! string is not. So a token endpoint out of it is no better than one in the string, and the client secret of a Box
//! application is not sent to where a stranger wants it.

use super::table::{self, Definition, Name};
use super::{Options, Origin, Seen, Value};
use crate::base::error::Error;
use crate::base::policy::{Permission, Policy};
use crate::base::secret::Secret;
use crate::base::url::{EndpointUrl, parse_scheme};
use crate::key::{self, BoxHints, GoogleHints, Hints, KeyOrigin, KeySource};
use crate::provider;

/// The options that a key file may say, and TokenURI, in the place of which TokenEndpoint is said.
pub const HINTED: [Name; 8] = [
    Name::ClaimsIssuer,
    Name::ClaimsSubject,
    Name::ClaimsAdditional,
    Name::ClientID,
    Name::ClientSecret,
    Name::JWTKeyID,
    Name::TokenURI,
    Name::TokenEndpoint,
];

/// What decides where a client secret goes, or who can see it on its way, beside everything that begins with Proxy.
const LEADING: [Name; 5] = [
    Name::TokenURI,
    Name::TokenEndpoint,
    Name::TrustStore,
    Name::HostNameInCertificate,
    Name::ValidateServerCertificate,
];

/// The profile of those whose files have a client secret.
const BOX: &str = "box";

impl Options {
    /// Hears what stands beside `key`, which signs; a token endpoint where it `exchanges` what it signs for a token.
    pub fn hear_key_file(&mut self, key: &KeySource, exchanges: bool, policy: Policy, seen: &mut Seen) {
        if self.outside.faults.iter().any(|fault| fault.option() == Some(key.option())) {
            return;
        }
        let hints = match key::hints(key) {
            Ok((hints, stamp)) => {
                match key.files().next().cloned().zip(stamp) {
                    Some((file, stamp)) if hints.is_some() => seen.file(file, stamp),
                    Some((file, stamp)) => seen.silent_file(file, stamp),
                    None => {}
                }
                hints
            }
            Err(error) => {
                seen.in_vain();
                self.outside.unread_key_file = Some(error);
                return;
            }
        };
        match hints {
            Some(Hints::Google(hints)) => self.hear_google(key, hints, exchanges),
            Some(Hints::Box(hints)) => self.hear_box(key, hints, exchanges, policy),
            None => {}
        }
    }

    fn hear_google(&mut self, key: &KeySource, hints: GoogleHints, exchanges: bool) {
        self.hear(key, Name::ClaimsIssuer, "client_email", hints.client_email);
        self.hear(key, Name::JWTKeyID, "private_key_id", hints.private_key_id);
        let Some(address) = hints.token_uri.filter(|_| exchanges) else { return };
        if self.says_token_endpoint() {
            let fault = self.endpoint_is_taken_away(key);
            self.outside.faults.extend(fault);
        } else {
            self.hear_token_endpoint(key, address);
        }
    }

    fn hear_token_endpoint(&mut self, key: &KeySource, address: String) {
        let by = match EndpointUrl::parse(&address) {
            Ok(url) if url.is_https() => {
                if let Some(fault) = self.key_steers(key) {
                    self.outside.faults.push(fault);
                } else {
                    self.hear(key, Name::TokenEndpoint, "token_uri", Some(address));
                }
                return;
            }
            _ => parse_scheme(&address).unwrap_or("no scheme"),
        };
        let text = format!(
            "has a token_uri that is not a URL of https:// ({by}); it was left out. Write TokenURI=POST https://…"
        );
        self.warn_of(key, &text);
    }

    /// The fault of a key file that a stranger named, and whose token endpoint is not that of the data source whose secrets
    /// are in use.
    fn key_steers(&self, key: &KeySource) -> Option<Error> {
        let option = table::find(key.option())?;
        let steers = if self.is_named_by_string(key) {
            self.guards_secrets()
        } else {
            self.is_named_by_untrusted(key) && self.guards_application_secrets()
        };
        steers.then(|| self.refused(option, &format!("token_uri of the key file {}", key.named())))
    }

    /// The fault of a connection string that has a data source's key sign for nobody, by an empty TokenURI.
    fn endpoint_is_taken_away(&self, key: &KeySource) -> Option<Error> {
        let both = [Name::TokenURI, Name::TokenEndpoint];
        let set = both.iter().any(|name| self.in_layer(Origin::SetOption, *name).is_some());
        let given = both.iter().any(|name| self.get(*name).is_some());
        if set || given || self.is_named_by_string(key) || !self.guards_secrets() {
            return None;
        }
        let empty = both.iter().find(|name| self.in_layer(Origin::ConnectionString, **name).is_some())?;
        empty.definition().map(|definition| self.refusal(definition))
    }

    fn is_named_by_string(&self, key: &KeySource) -> bool {
        self.naming(key).is_some_and(|value| value.origin == Origin::ConnectionString)
    }

    fn is_named_by_untrusted(&self, key: &KeySource) -> bool {
        self.naming(key).is_some_and(|value| self.is_a_strangers(value))
    }

    /// The value that names the key.
    fn naming(&self, key: &KeySource) -> Option<&Value> {
        self.get(table::find(key.option())?.id)
    }

    fn hear_box(&mut self, key: &KeySource, hints: BoxHints, exchanges: bool, policy: Policy) {
        self.hear(key, Name::JWTKeyID, "publicKeyID", hints.public_key_id);
        let ids = [Name::ClaimsIssuer, Name::ClientID];
        let other =
            |name| self.get(name).is_some_and(|id| Some(id.text.reveal()) != hints.client_id.as_deref());
        // The secret of one client is none of another's.
        if !ids.into_iter().any(other) {
            for name in ids {
                self.hear(key, name, "clientID", hints.client_id.clone());
            }
            self.hear_client_secret(key, hints.client_secret, policy);
        }
        if !self.says(Name::ClaimsSubject)
            && !self.says(Name::ClaimsAdditional)
            && hints.enterprise_id.is_some()
        {
            self.hear(key, Name::ClaimsSubject, "enterpriseID", hints.enterprise_id);
            let kind = r#"{"box_sub_type":"enterprise"}"#.to_owned();
            self.hear(key, Name::ClaimsAdditional, "enterpriseID", Some(kind));
        }
        if exchanges && !self.says_token_endpoint() {
            let hosts = provider::find_by_name(BOX).map_or(&[][..], |profile| &profile.hosts).join(", ");
            let text = format!(
                "is the configuration of a Box application, which names no token endpoint, so that the signed JWT \
                 itself is the token; write TokenURI=POST https://… with the token endpoint at {hosts}"
            );
            self.warn_of(key, &text);
        }
    }

    /// Takes the client secret, unless that might tell it to somebody: a stranger may name the host's own file, and a
    /// token endpoint, a proxy or a trust of theirs.
    fn hear_client_secret(&mut self, key: &KeySource, secret: Option<Secret>, policy: Policy) {
        let Some(secret) = secret.filter(|_| !self.says(Name::ClientSecret)) else { return };
        let named = table::find(key.option()).and_then(|option| self.get(option.id));
        let is_a_strangers = matches!(key.origin, KeyOrigin::Store(_))
            && named.is_none_or(|named| self.is_a_strangers(named))
            && !policy.allows(Permission::References);
        let led = table::TABLE.iter().find(|definition| is_a_strangers && self.leads_elsewhere(definition));
        if let Some(by) = led {
            let text = format!(
                "holds a clientSecret, which is not taken, since {} was not said by the host program or in odbc.ini, and \
                 anybody may have named the file; write ClientSecret itself, or let the host program allow it by policy \
                 ({})",
                by.name,
                Permission::References.name(),
            );
            self.warn_of(key, &text);
            return;
        }
        self.say_beside(key, Name::ClientSecret, "clientSecret", secret);
    }

    /// Whether a stranger says it, and not what Box says itself.
    fn leads_elsewhere(&self, definition: &Definition) -> bool {
        let leads = LEADING.contains(&definition.id) || definition.name.starts_with("Proxy");
        let Some(value) = self.get(definition.id).filter(|_| leads) else { return false };
        let is_token_endpoint = matches!(definition.id, Name::TokenURI | Name::TokenEndpoint);
        let address = value.text.reveal().split_ascii_whitespace().last().unwrap_or_default();
        let host = EndpointUrl::parse(address).map(|url| url.host().to_owned()).unwrap_or_default();
        let at_home =
            is_token_endpoint && provider::find_by_host(&host).is_some_and(|profile| profile.name == BOX);
        self.is_a_strangers(value) && !at_home
    }

    /// Whether anybody says something of it, be it that there is none.
    pub(super) fn says(&self, name: Name) -> bool {
        self.layers.values().any(|layer| layer.contains_key(&name))
    }

    fn says_token_endpoint(&self) -> bool {
        self.says(Name::TokenURI) || self.says(Name::TokenEndpoint)
    }

    fn hear(&mut self, key: &KeySource, name: Name, spelling: &str, text: Option<String>) {
        if let Some(text) = text {
            self.say_beside(key, name, spelling, Secret::new(text));
        }
    }

    fn say_beside(&mut self, key: &KeySource, name: Name, spelling: &str, text: Secret) {
        let place = match &key.origin {
            KeyOrigin::Store(file) => file.as_configured().to_owned(),
            _ => key.option().to_owned(),
        };
        let value =
            Value { text, origin: Origin::KeyFile, spelling: spelling.to_owned(), place: Some(place) };
        self.layer(Origin::KeyFile).insert(name, value);
    }

    fn warn_of(&mut self, key: &KeySource, text: &str) {
        let text = format!("{} {text}", key.named());
        self.outside.warnings.push(Error::warning("01000", "key store", text).with_option(key.option()));
    }
}
