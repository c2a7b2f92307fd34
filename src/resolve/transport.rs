//! How servers are reached and believed, and as whom we come: proxy, versions of TLS, names, client certificate.

use rustls::pki_types::ServerName;

use super::Reader;
use crate::base::error::Status;
use crate::base::policy::Restriction;
use crate::base::sanitize;
use crate::key::{KeySource, Purpose};
use crate::net::proxy::{Proxy, ProxyConfig, ProxyCredentials};
use crate::net::tls::{Trust, Versions};
use crate::options::Name;

/// The vendor's word for the host of the URL.
const SERVER_NAME: &str = "#SERVERNAME#";

/// Versions that are known, and so old that nobody may offer them any more (RFC 8996, RFC 7568, RFC 6176).
const OLD: [&str; 5] = ["TLSv1.1", "TLSv1", "TLSv1.0", "SSLv3", "SSLv2"];

/// What counts beside ProxyHost alone.
const OF_PROXY_HOST: [Name; 3] = [Name::ProxyPort, Name::ProxyUser, Name::ProxyPassword];

impl Reader<'_> {
    /// All of the trust but whether servers are believed without being checked, and TrustStore itself.
    pub(super) fn means(&mut self, validate: bool) -> Trust {
        Trust {
            store_password: self.secret(Name::TrustStorePassword),
            name: self.name_in_certificate(validate),
            versions: self.versions(),
            client: self.client_certificate(),
            route: self.route(),
            ..Trust::default()
        }
    }

    fn name_in_certificate(&mut self, validate: bool) -> Option<ServerName<'static>> {
        let text = self.text(Name::HostNameInCertificate)?;
        if !validate {
            self.warn(Name::HostNameInCertificate, "does not count, as ValidateServerCertificate is 0");
        }
        if text.eq_ignore_ascii_case(SERVER_NAME) {
            return None;
        }
        let name = ServerName::try_from(text).ok();
        if name.is_none() {
            self.fault(
                Status::InvalidOption,
                Name::HostNameInCertificate,
                "is not a name that a certificate can be for; expected a host's name or address, or #SERVERNAME#",
            );
        }
        name
    }

    fn versions(&mut self) -> Versions {
        let text = self.text(Name::CryptoProtocolVersion).unwrap_or_default();
        let words: Vec<_> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        let has = |wanted: &str| words.iter().any(|word| word.eq_ignore_ascii_case(wanted));
        let is_known = |word: &str| {
            ["TLSv1.2", "TLSv1.3"].iter().chain(&OLD).any(|known| known.eq_ignore_ascii_case(word))
        };
        if let Some(unknown) = words.iter().find(|word| !is_known(word)) {
            let unknown = sanitize::value(unknown);
            let text = format!("has \"{unknown}\"; expected TLSv1.3, TLSv1.2, or both, separated by a comma");
            self.fault(Status::InvalidOption, Name::CryptoProtocolVersion, &text);
            return Versions::Both;
        }
        let old = OLD.into_iter().find(|old| has(old));
        match (has("TLSv1.2"), has("TLSv1.3"), old) {
            (false, false, Some(old)) => {
                let text = format!("is {old}, which is broken and not built in; expected TLSv1.3 or TLSv1.2");
                self.fault(Status::Unsupported, Name::CryptoProtocolVersion, &text);
            }
            (_, _, Some(old)) => {
                let text = format!("has {old}, which is broken and not built in; it is not offered");
                self.warn(Name::CryptoProtocolVersion, &text);
            }
            (_, _, None) => {}
        }
        match (has("TLSv1.2"), has("TLSv1.3")) {
            (true, false) => Versions::Tls12,
            (false, true) => Versions::Tls13,
            _ => Versions::Both,
        }
    }

    fn client_certificate(&mut self) -> Option<KeySource> {
        let Some(store) = self.text(Name::KeyStore) else {
            for name in [Name::KeyStorePassword, Name::KeyPassword, Name::KeyStoreAlias] {
                if self.value(name).is_some() {
                    self.warn(name, "does not count without KeyStore");
                }
            }
            return None;
        };
        Some(KeySource {
            purpose: Purpose::ClientCertificate,
            origin: self.store(Name::KeyStore, store)?,
            password: self.secret(Name::KeyStorePassword),
            key_password: self.secret(Name::KeyPassword),
            alias: self.text(Name::KeyStoreAlias),
            certificate: None,
            strong: self.policy.forbids(Restriction::WeakStores),
            guarded: self.is(Name::KeyFileCheck, "1"),
        })
    }

    fn route(&mut self) -> ProxyConfig {
        let off = self.is(Name::ProxyMode, "0");
        let Some(host) = self.text(Name::ProxyHost).filter(|_| !off) else {
            if self.is(Name::ProxyMode, "1") {
                self.missing.push(Name::ProxyHost);
            }
            for name in OF_PROXY_HOST.into_iter().filter(|_| !off) {
                if self.value(name).is_some() {
                    self.warn(name, "does not count without ProxyHost");
                }
            }
            return if off { ProxyConfig::Direct } else { ProxyConfig::from_env(self.options.proxies()) };
        };
        let port = self.number(Name::ProxyPort).and_then(|port| u16::try_from(port).ok());
        match Proxy::parse(&host, port.filter(|port| *port > 0), Name::ProxyHost.text()) {
            Ok(proxy) => self.with_user(proxy).map_or(ProxyConfig::Direct, ProxyConfig::Explicit),
            Err(reason) => {
                self.fault(Status::InvalidOption, Name::ProxyHost, &reason);
                ProxyConfig::Direct
            }
        }
    }

    fn with_user(&mut self, mut proxy: Proxy) -> Option<Proxy> {
        if proxy.credentials.is_some() {
            let text =
                "has a user in front of the host, where it would be seen; use ProxyUser and ProxyPassword";
            self.fault(Status::InvalidOption, Name::ProxyHost, text);
            return None;
        }
        let (name, password) = (self.secret(Name::ProxyUser), self.secret(Name::ProxyPassword));
        if name.is_none() && password.is_some() {
            self.warn(Name::ProxyPassword, "does not count without ProxyUser");
        }
        proxy.credentials =
            name.map(|name| ProxyCredentials { name, password: password.unwrap_or_default() });
        if let Some(fault) = proxy.credentials_error() {
            self.fault(Status::InvalidOption, Name::ProxyUser, fault);
        }
        Some(proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Flow, resolve};
    use super::*;
    use crate::options::environment::testing::Made;
    use crate::options::{Environment, Options};

    const BASE: &str = "AuthenticationMethod=53;ClientID=c;ClientSecret=s;TokenURI=https://example.com/t;";

    fn trust_in(text: &str, environment: &dyn Environment) -> (Trust, Vec<String>) {
        let resolution = resolve(&Options::open(&format!("{text};{BASE}"), environment).unwrap());
        let warnings = resolution.warnings.iter().map(|warning| warning.message().to_owned()).collect();
        match resolution.config.unwrap_or_else(|error| panic!("{text}: {error}")).flow {
            Flow::Exchange(exchange) => (exchange.trust, warnings),
            other => panic!("{other:?}"),
        }
    }

    fn trust(text: &str) -> Trust {
        trust_in(text, &Made::default()).0
    }

    fn fault(text: &str) -> crate::base::error::Error {
        let options = Options::open(&format!("{text};{BASE}"), &Made::default()).unwrap();
        resolve(&options).config.unwrap_err()
    }

    fn proxy(text: &str) -> Proxy {
        match trust(text).route {
            ProxyConfig::Explicit(proxy) => proxy,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn versions_are_those_that_are_named() {
        for (text, versions) in [
            ("", Versions::Both),
            ("CryptoProtocolVersion=TLSv1.3", Versions::Tls13),
            ("cpv=tlsv1.2", Versions::Tls12),
            ("CryptoProtocolVersion=TLSv1.3, TLSv1.2", Versions::Both),
        ] {
            assert_eq!(trust(text).versions, versions, "{text}");
        }
        let (old, warnings) = trust_in("CryptoProtocolVersion=TLSv1.2,TLSv1.1,SSLv3", &Made::default());
        assert_eq!(old.versions, Versions::Tls12);
        assert!(warnings.iter().any(|text| text.contains("TLSv1.1")), "{warnings:?}");
        let error = fault("CryptoProtocolVersion=TLSv1,SSLv3");
        assert_eq!(error.status(), Status::Unsupported);
        assert!(error.message().contains("is TLSv1, which"), "{error}");
        let error = fault("CryptoProtocolVersion=TLSv1.4");
        assert!(error.message().contains("has \"TLSv1.4\""), "{error}");
        assert_eq!(error.option(), Some("CryptoProtocolVersion"));
    }

    #[test]
    fn the_name_in_the_certificate_is_a_name_an_address_or_the_urls_own() {
        let name = |text| trust(text).name.map(|name| name.to_str().into_owned());
        assert_eq!(name("HostNameInCertificate=inner.example").as_deref(), Some("inner.example"));
        assert_eq!(name("hnic=10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(name("HostNameInCertificate=#SERVERNAME#"), None);
        assert_eq!(fault("HostNameInCertificate=a b").option(), Some("HostNameInCertificate"));
        let (_, warnings) = trust_in("hnic=a;ValidateServerCertificate=0", &Made::default());
        assert!(warnings.iter().any(|text| text.contains("HostNameInCertificate does")), "{warnings:?}");
    }

    #[test]
    fn a_proxy_is_inferred_from_its_host_and_switched_off_by_the_mode() {
        let found = proxy("ProxyHost=p.example;ProxyPort=3128;ProxyUser=u;ProxyPassword=\"x\"");
        assert_eq!((found.host.as_str(), found.port), ("p.example", 3128));
        assert_eq!(found.credentials.unwrap().password.reveal(), "\"x\"");
        assert_eq!(proxy("pxhn=p;pxpt=0;pxm=1").port, 80);
        assert_eq!(proxy("pxhn=socks5://p").port, 1080);
        assert_eq!(trust("ProxyHost=p;ProxyMode=0").route, ProxyConfig::Direct);
        let error = fault("ProxyMode=1");
        assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("ProxyHost")));
    }

    #[test]
    fn what_a_proxy_cannot_be_told_is_a_fault_without_the_secret() {
        for (text, option) in [
            ("ProxyHost=http://u:hunter2@p", "ProxyHost"),
            ("ProxyHost=https://hunter2", "ProxyHost"),
            ("ProxyHost=p:80;ProxyPort=81", "ProxyHost"),
            ("ProxyHost=p;ProxyPort=70000", "ProxyPort"),
            ("ProxyHost=p;ProxyUser=a:b;ProxyPassword=hunter2", "ProxyUser"),
        ] {
            let error = fault(text);
            assert_eq!(error.option(), Some(option), "{text}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
        let long = format!("ProxyHost=socks5://p;ProxyUser=u;ProxyPassword={}", "x".repeat(256));
        assert_eq!(fault(&long).option(), Some("ProxyUser"));
    }

    #[test]
    fn the_environment_counts_where_no_option_says() {
        let made =
            || Made::default().with("HTTPS_PROXY", "http://u:p@upper:1").with("no_proxy", "a, b.example");
        let environment = |text: &str, made: &Made| match trust_in(text, made).0.route {
            ProxyConfig::FromEnv { proxy: Ok(proxy), no_proxy: except } => {
                (proxy.host, proxy.source, except.len())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(environment("", &made()), ("upper".to_owned(), "HTTPS_PROXY", 2));
        let lower = made().with("https_proxy", "lower");
        assert_eq!(environment("", &lower), ("lower".to_owned(), "https_proxy", 2));
        let all = Made::default().with("all_proxy", "socks5://all").with("HTTP_PROXY", "x");
        assert_eq!(environment("", &all), ("all".to_owned(), "all_proxy", 0));
        assert_eq!(trust_in("ProxyMode=0", &made()).0.route, ProxyConfig::Direct);
        assert!(
            matches!(trust_in("ProxyHost=p", &made()).0.route, ProxyConfig::Explicit(proxy) if proxy.host == "p")
        );
        let (_, warnings) = trust_in("ProxyUser=x", &made());
        assert!(warnings.iter().any(|text| text.contains("ProxyUser does not count")), "{warnings:?}");
    }

    #[test]
    fn a_client_certificate_has_a_store_of_its_own() {
        let client = trust("KeyStore=c.p12;KeyStorePassword=a;KeyPassword=b;KeyStoreAlias=d").client.unwrap();
        assert_eq!(client.purpose, Purpose::ClientCertificate);
        assert_eq!(client.password.unwrap().reveal(), "a");
        assert_eq!(client.key_password.unwrap().reveal(), "b");
        assert_eq!(client.alias.as_deref(), Some("d"));
        let (without, warnings) = trust_in("KeyPassword=x", &Made::default());
        assert!(without.client.is_none() && warnings.iter().any(|text| text.contains("KeyPassword does")));
    }
}
