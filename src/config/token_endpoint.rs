//! Where an assertion is exchanged, by which methods, and which credentials and headers go along.

use super::{Client, Header, Methods, Reader};
use crate::error::Status;
use crate::field;
use crate::options::Name;
use crate::provider::{self, Profile};
use crate::url::Url;

impl Reader<'_> {
    /// The token endpoint with the methods that were written, before what a profile or a secret changes.
    pub(super) fn endpoint(&mut self) -> Option<(Url, Methods)> {
        if self.value(Name::TokenEndpoint).is_some() {
            if self.value(Name::TokenURI).is_some() {
                self.fault(
                    Status::InvalidOption,
                    Name::TokenEndpoint,
                    "and TokenURI are both given; give one",
                );
            }
            return Some((self.url(Name::TokenEndpoint)?, Methods::Post));
        }
        let text = self.text(Name::TokenURI)?;
        let (methods, address) = match text.split_once([' ', '\t']) {
            None => (Methods::GetThenPost, text.as_str()),
            Some((word, address)) if word.eq_ignore_ascii_case("POST") => (Methods::Post, address.trim()),
            Some((word, address)) if word.eq_ignore_ascii_case("GET") => (Methods::Get, address.trim()),
            Some(_) => {
                self.fault(
                    Status::InvalidOption,
                    Name::TokenURI,
                    "has something in front of the URL that is neither POST nor GET; expected \"POST https://…\"",
                );
                return None;
            }
        };
        Some((self.checked_url(Name::TokenURI, address)?, methods))
    }

    pub(super) fn profile(&mut self, endpoint: Option<&Url>) -> Option<&'static Profile> {
        let Some(name) = self.text(Name::Provider) else {
            return provider::by_host(endpoint?.host());
        };
        let profile = provider::by_name(&name);
        if profile.is_none() {
            let known: Vec<_> = provider::profiles().iter().map(|profile| profile.name.as_str()).collect();
            let text = format!("is \"{name}\", which is not a profile; there is {}", known.join(", "));
            self.fault(Status::InvalidOption, Name::Provider, &text);
        }
        profile
    }

    pub(super) fn methods(
        &mut self,
        written: Methods,
        profile: Option<&Profile>,
        carries_secret: bool,
    ) -> Methods {
        let methods = match written {
            Methods::GetThenPost if profile.is_some() || carries_secret => Methods::Post,
            written => written,
        };
        if methods != Methods::Post {
            self.warn(
                Name::TokenURI,
                "asks by GET, which puts the assertion into URLs, and so into the logs of servers and proxies; write TokenURI=POST https://…, or TokenEndpoint",
            );
        }
        methods
    }

    pub(super) fn client(&mut self, methods: Option<Methods>, header: Option<&Header>) -> Option<Client> {
        let mode = self.text(Name::ClientCredentialsMode)?;
        let (id, secret) = (self.need(Name::ClientID), self.secret(Name::ClientSecret));
        if secret.is_none() {
            self.missing.push(Name::ClientSecret);
        }
        let basic = ["0", "1", "Default", "Basic"].iter().any(|basic| basic.eq_ignore_ascii_case(&mode));
        if ["2", "URL"].iter().any(|url| url.eq_ignore_ascii_case(&mode)) {
            self.warn(
                Name::ClientCredentialsMode,
                "is 2 (URL); the secret goes into the body of a POST instead",
            );
        }
        if methods == Some(Methods::Get) {
            self.fault(
                Status::InvalidOption,
                Name::TokenURI,
                "says GET, and the request carries ClientSecret, which must not stand in a URL; write TokenURI=POST https://…",
            );
        }
        if basic && header.is_some_and(|header| header.name.eq_ignore_ascii_case("authorization")) {
            self.fault(
                Status::InvalidOption,
                Name::AuthHeader,
                "is Authorization, which ClientCredentialsMode Basic sends too; set ClientCredentialsMode=3",
            );
        }
        Some(Client { id: id?, secret: secret?, basic })
    }

    pub(super) fn header(&mut self) -> Option<Header> {
        match (self.text(Name::AuthHeader), self.secret(Name::SecurityToken)) {
            (None, None) => None,
            (Some(_), None) => {
                self.missing.push(Name::SecurityToken);
                None
            }
            (None, Some(_)) => {
                self.missing.push(Name::AuthHeader);
                None
            }
            (Some(name), Some(value)) => {
                if let Err(reason) = field::sendable_name(&name) {
                    self.fault(Status::InvalidOption, Name::AuthHeader, reason);
                }
                if !field::is_sendable_value(value.reveal()) {
                    self.fault(
                        Status::InvalidOption,
                        Name::SecurityToken,
                        "has a character that no header may carry, such as a line break",
                    );
                }
                Some(Header { name, value })
            }
        }
    }
}
