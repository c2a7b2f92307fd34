//! How servers are reached and believed, and as whom we come: proxy, versions of TLS, names, client certificate.

use rustls::pki_types::ServerName;

use super::OptionResolver;
use crate::base::error::Status;
use crate::base::policy::Restriction;
use crate::base::sanitize;
use crate::key::{KeySource, StorePurpose};
use crate::net::proxy::{Proxy, ProxyConfig, ProxyCredentials};
use crate::net::tls::{TlsVersions, TransportConfig};
use crate::options::OptionId;

/// The vendor's word for the host of the URL.
const SERVER_NAME_PLACEHOLDER: &str = "#SERVERNAME#";

/// Versions that are known, and so old that nobody may offer them any more (RFC 8996, RFC 7568, RFC 6176).
const OBSOLETE_VERSIONS: [&str; 5] = ["TLSv1.1", "TLSv1", "TLSv1.0", "SSLv3", "SSLv2"];

/// What counts beside ProxyHost alone.
const PROXY_DETAIL_OPTIONS: [OptionId; 3] =
    [OptionId::ProxyPort, OptionId::ProxyUser, OptionId::ProxyPassword];

impl OptionResolver<'_> {
    /// All of the trust but whether servers are believed without being checked, and TrustStore itself.
    pub(super) fn base_transport(&mut self, validate: bool) -> TransportConfig {
        TransportConfig {
            trust_store_password: self.secret(OptionId::TrustStorePassword),
            host_name_in_certificate: self.host_name_in_certificate(validate),
            tls_versions: self.tls_versions(),
            client_key_source: self.client_certificate(),
            proxy: self.proxy_config(),
            ..TransportConfig::default()
        }
    }

    fn host_name_in_certificate(&mut self, validate: bool) -> Option<ServerName<'static>> {
        let text = self.text(OptionId::HostNameInCertificate)?;
        if !validate {
            self.add_warning(
                OptionId::HostNameInCertificate,
                "does not count, as ValidateServerCertificate is 0",
            );
        }
        if text.eq_ignore_ascii_case(SERVER_NAME_PLACEHOLDER) {
            return None;
        }
        let name = ServerName::try_from(text).ok();
        if name.is_none() {
            self.add_error(
                Status::InvalidOption,
                OptionId::HostNameInCertificate,
                "is not a name that a certificate can be for; expected a host's name or address, or #SERVERNAME#",
            );
        }
        name
    }

    fn tls_versions(&mut self) -> TlsVersions {
        let text = self.text(OptionId::CryptoProtocolVersion).unwrap_or_default();
        let words: Vec<_> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        let has = |wanted: &str| words.iter().any(|word| word.eq_ignore_ascii_case(wanted));
        let is_known = |word: &str| {
            ["TLSv1.2", "TLSv1.3"]
                .iter()
                .chain(&OBSOLETE_VERSIONS)
                .any(|known| known.eq_ignore_ascii_case(word))
        };
        if let Some(unknown) = words.iter().find(|word| !is_known(word)) {
            let unknown = sanitize::value(unknown);
            let text = format!("has \"{unknown}\"; expected TLSv1.3, TLSv1.2, or both, separated by a comma");
            self.add_error(Status::InvalidOption, OptionId::CryptoProtocolVersion, &text);
            return TlsVersions::Tls12And13;
        }
        let old = OBSOLETE_VERSIONS.into_iter().find(|old| has(old));
        match (has("TLSv1.2"), has("TLSv1.3"), old) {
            (false, false, Some(old)) => {
                let text = format!("is {old}, which is broken and not built in; expected TLSv1.3 or TLSv1.2");
                self.add_error(Status::Unsupported, OptionId::CryptoProtocolVersion, &text);
            }
            (_, _, Some(old)) => {
                let text = format!("has {old}, which is broken and not built in; it is not offered");
                self.add_warning(OptionId::CryptoProtocolVersion, &text);
            }
            (_, _, None) => {}
        }
        match (has("TLSv1.2"), has("TLSv1.3")) {
            (true, false) => TlsVersions::Tls12,
            (false, true) => TlsVersions::Tls13,
            _ => TlsVersions::Tls12And13,
        }
    }

    fn client_certificate(&mut self) -> Option<KeySource> {
        let Some(store) = self.text(OptionId::KeyStore) else {
            for name in [OptionId::KeyStorePassword, OptionId::KeyPassword, OptionId::KeyStoreAlias] {
                if self.value(name).is_some() {
                    self.add_warning(name, "does not count without KeyStore");
                }
            }
            return None;
        };
        Some(KeySource {
            purpose: StorePurpose::ClientCertificate,
            origin: self.key_store_origin(OptionId::KeyStore, store)?,
            password: self.secret(OptionId::KeyStorePassword),
            key_password: self.secret(OptionId::KeyPassword),
            alias: self.text(OptionId::KeyStoreAlias),
            certificate: None,
            forbid_weak_encryption: self.policy.forbids(Restriction::WeakStores),
            require_private_file: self.has_value(OptionId::KeyFileCheck, "1"),
        })
    }

    fn proxy_config(&mut self) -> ProxyConfig {
        let off = self.has_value(OptionId::ProxyMode, "0");
        let Some(host) = self.text(OptionId::ProxyHost).filter(|_| !off) else {
            if self.has_value(OptionId::ProxyMode, "1") {
                self.missing.push(OptionId::ProxyHost);
            }
            for name in PROXY_DETAIL_OPTIONS.into_iter().filter(|_| !off) {
                if self.value(name).is_some() {
                    self.add_warning(name, "does not count without ProxyHost");
                }
            }
            return if off { ProxyConfig::Direct } else { ProxyConfig::from_env(self.options.proxy_env()) };
        };
        let port = self.number(OptionId::ProxyPort).and_then(|port| u16::try_from(port).ok());
        match Proxy::parse(&host, port.filter(|port| *port > 0), OptionId::ProxyHost.as_str()) {
            Ok(proxy) => {
                self.with_proxy_credentials(proxy).map_or(ProxyConfig::Direct, ProxyConfig::Explicit)
            }
            Err(reason) => {
                self.add_error(Status::InvalidOption, OptionId::ProxyHost, &reason);
                ProxyConfig::Direct
            }
        }
    }

    fn with_proxy_credentials(&mut self, mut proxy: Proxy) -> Option<Proxy> {
        if proxy.credentials.is_some() {
            let text =
                "has a user in front of the host, where it would be seen; use ProxyUser and ProxyPassword";
            self.add_error(Status::InvalidOption, OptionId::ProxyHost, text);
            return None;
        }
        let (name, password) = (self.secret(OptionId::ProxyUser), self.secret(OptionId::ProxyPassword));
        if name.is_none() && password.is_some() {
            self.add_warning(OptionId::ProxyPassword, "does not count without ProxyUser");
        }
        proxy.credentials =
            name.map(|name| ProxyCredentials { name, password: password.unwrap_or_default() });
        if let Some(fault) = proxy.credentials_error() {
            self.add_error(Status::InvalidOption, OptionId::ProxyUser, fault);
        }
        Some(proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Flow, resolve};
    use super::*;
    use crate::options::environment::testing::FakeEnvironment;
    use crate::options::{Environment, Options};

    const BASE: &str = "AuthenticationMethod=53;ClientID=c;ClientSecret=s;TokenURI=https://example.com/t;";

    fn transport_in(text: &str, environment: &dyn Environment) -> (TransportConfig, Vec<String>) {
        let resolution = resolve(&Options::open(&format!("{text};{BASE}"), environment).unwrap());
        let warnings = resolution.warnings.iter().map(|warning| warning.message().to_owned()).collect();
        match resolution.config.unwrap_or_else(|error| panic!("{text}: {error}")).flow {
            Flow::TokenEndpoint(exchange) => (exchange.transport, warnings),
            other => panic!("{other:?}"),
        }
    }

    fn transport(text: &str) -> TransportConfig {
        transport_in(text, &FakeEnvironment::default()).0
    }

    fn resolve_error(text: &str) -> crate::base::error::Error {
        let options = Options::open(&format!("{text};{BASE}"), &FakeEnvironment::default()).unwrap();
        resolve(&options).config.unwrap_err()
    }

    fn proxy(text: &str) -> Proxy {
        match transport(text).proxy {
            ProxyConfig::Explicit(proxy) => proxy,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn tls_versions_follow_crypto_protocol_version() {
        for (text, versions) in [
            ("", TlsVersions::Tls12And13),
            ("CryptoProtocolVersion=TLSv1.3", TlsVersions::Tls13),
            ("cpv=tlsv1.2", TlsVersions::Tls12),
            ("CryptoProtocolVersion=TLSv1.3, TLSv1.2", TlsVersions::Tls12And13),
        ] {
            assert_eq!(transport(text).tls_versions, versions, "{text}");
        }
        let (old, warnings) =
            transport_in("CryptoProtocolVersion=TLSv1.2,TLSv1.1,SSLv3", &FakeEnvironment::default());
        assert_eq!(old.tls_versions, TlsVersions::Tls12);
        assert!(warnings.iter().any(|text| text.contains("TLSv1.1")), "{warnings:?}");
        let error = resolve_error("CryptoProtocolVersion=TLSv1,SSLv3");
        assert_eq!(error.status(), Status::Unsupported);
        assert!(error.message().contains("is TLSv1, which"), "{error}");
        let error = resolve_error("CryptoProtocolVersion=TLSv1.4");
        assert!(error.message().contains("has \"TLSv1.4\""), "{error}");
        assert_eq!(error.option(), Some("CryptoProtocolVersion"));
    }

    #[test]
    fn certificate_host_name_accepts_name_address_placeholder() {
        let name = |text| transport(text).host_name_in_certificate.map(|name| name.to_str().into_owned());
        assert_eq!(name("HostNameInCertificate=inner.example").as_deref(), Some("inner.example"));
        assert_eq!(name("hnic=10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(name("HostNameInCertificate=#SERVERNAME#"), None);
        assert_eq!(resolve_error("HostNameInCertificate=a b").option(), Some("HostNameInCertificate"));
        let (_, warnings) = transport_in("hnic=a;ValidateServerCertificate=0", &FakeEnvironment::default());
        assert!(warnings.iter().any(|text| text.contains("HostNameInCertificate does")), "{warnings:?}");
    }

    #[test]
    fn proxy_host_enables_proxy_unless_mode_off() {
        let found = proxy("ProxyHost=p.example;ProxyPort=3128;ProxyUser=u;ProxyPassword=\"x\"");
        assert_eq!((found.host.as_str(), found.port), ("p.example", 3128));
        assert_eq!(found.credentials.unwrap().password.reveal(), "\"x\"");
        assert_eq!(proxy("pxhn=p;pxpt=0;pxm=1").port, 80);
        assert_eq!(proxy("pxhn=socks5://p").port, 1080);
        assert_eq!(transport("ProxyHost=p;ProxyMode=0").proxy, ProxyConfig::Direct);
        let error = resolve_error("ProxyMode=1");
        assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("ProxyHost")));
    }

    #[test]
    fn invalid_proxy_option_error_hides_secret() {
        for (text, option) in [
            ("ProxyHost=http://u:hunter2@p", "ProxyHost"),
            ("ProxyHost=https://hunter2", "ProxyHost"),
            ("ProxyHost=p:80;ProxyPort=81", "ProxyHost"),
            ("ProxyHost=p;ProxyPort=70000", "ProxyPort"),
            ("ProxyHost=p;ProxyUser=a:b;ProxyPassword=hunter2", "ProxyUser"),
        ] {
            let error = resolve_error(text);
            assert_eq!(error.option(), Some(option), "{text}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
        let long = format!("ProxyHost=socks5://p;ProxyUser=u;ProxyPassword={}", "x".repeat(256));
        assert_eq!(resolve_error(&long).option(), Some("ProxyUser"));
    }

    #[test]
    fn proxy_environment_applies_without_proxy_options() {
        let made = || {
            FakeEnvironment::default()
                .with_variable("HTTPS_PROXY", "http://u:p@upper:1")
                .with_variable("no_proxy", "a, b.example")
        };
        let environment = |text: &str, made: &FakeEnvironment| match transport_in(text, made).0.proxy {
            ProxyConfig::FromEnv { proxy: Ok(proxy), no_proxy: except } => {
                (proxy.host, proxy.source, except.len())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(environment("", &made()), ("upper".to_owned(), "HTTPS_PROXY", 2));
        let lower = made().with_variable("https_proxy", "lower");
        assert_eq!(environment("", &lower), ("lower".to_owned(), "https_proxy", 2));
        let all = FakeEnvironment::default()
            .with_variable("all_proxy", "socks5://all")
            .with_variable("HTTP_PROXY", "x");
        assert_eq!(environment("", &all), ("all".to_owned(), "all_proxy", 0));
        assert_eq!(transport_in("ProxyMode=0", &made()).0.proxy, ProxyConfig::Direct);
        assert!(
            matches!(transport_in("ProxyHost=p", &made()).0.proxy, ProxyConfig::Explicit(proxy) if proxy.host == "p")
        );
        let (_, warnings) = transport_in("ProxyUser=x", &made());
        assert!(warnings.iter().any(|text| text.contains("ProxyUser does not count")), "{warnings:?}");
    }

    #[test]
    fn client_certificate_uses_key_store_options() {
        let client = transport("KeyStore=c.p12;KeyStorePassword=a;KeyPassword=b;KeyStoreAlias=d")
            .client_key_source
            .unwrap();
        assert_eq!(client.purpose, StorePurpose::ClientCertificate);
        assert_eq!(client.password.unwrap().reveal(), "a");
        assert_eq!(client.key_password.unwrap().reveal(), "b");
        assert_eq!(client.alias.as_deref(), Some("d"));
        let (without, warnings) = transport_in("KeyPassword=x", &FakeEnvironment::default());
        assert!(
            without.client_key_source.is_none()
                && warnings.iter().any(|text| text.contains("KeyPassword does"))
        );
    }
}
