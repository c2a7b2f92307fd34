//! Transport options: proxy, TLS versions, server name and client certificate.

use rustls::pki_types::ServerName;

use super::option_resolver::OptionResolver;
use crate::base::error::{Error, ErrorKind, OptionError, WarningKind};
use crate::base::policy::Restriction;
use crate::base::sanitize;
use crate::base::url::EndpointUrl;
use crate::key::{KeySource, StorePurpose};
use crate::net::proxy::{Proxy, ProxyConfig, ProxyCredentials};
use crate::net::tls::{TlsVersions, TransportConfig};
use crate::options::OptionId;

/// The vendor's placeholder for the host of the URL.
const SERVER_NAME_PLACEHOLDER: &str = "#SERVERNAME#";

/// Known versions that must not be offered (RFC 8996, RFC 7568, RFC 6176).
const OBSOLETE_VERSIONS: [&str; 5] = ["TLSv1.1", "TLSv1", "TLSv1.0", "SSLv3", "SSLv2"];

/// Options that are effective only with ProxyHost.
const PROXY_DETAIL_OPTIONS: [OptionId; 3] =
    [OptionId::ProxyPort, OptionId::ProxyUser, OptionId::ProxyPassword];

impl OptionResolver<'_> {
    pub(super) fn transport_config(&mut self) -> TransportConfig {
        let validate = !self.has_value(OptionId::ValidateServerCertificate, "0");
        if !validate {
            self.add_warning(
                OptionId::ValidateServerCertificate,
                "is 0: server certificates are NOT verified, so the assertion and the token can be \
                 intercepted; use for testing only",
            );
            self.check_restriction(OptionId::ValidateServerCertificate, "is 0", Restriction::InsecureTls);
        }
        let tls_versions = self.tls_versions();
        let tls_versions = self.permitted_tls_versions(tls_versions);
        TransportConfig {
            option_prefix: "",
            trust_store: self.configured_path(OptionId::TrustStore),
            validate_certificate: validate,
            trust_store_password: self.secret(OptionId::TrustStorePassword),
            host_name_in_certificate: self.host_name_in_certificate(validate),
            tls_versions,
            client_key_source: self.client_certificate(),
            proxy: self.proxy_config(),
        }
    }

    fn host_name_in_certificate(&mut self, validate: bool) -> Option<ServerName<'static>> {
        let text = self.text(OptionId::HostNameInCertificate)?;
        if !validate {
            self.add_warning(
                OptionId::HostNameInCertificate,
                "is ignored because ValidateServerCertificate=0",
            );
        }
        if text.eq_ignore_ascii_case(SERVER_NAME_PLACEHOLDER) {
            return None;
        }
        let name = ServerName::try_from(text).ok();
        if name.is_none() {
            self.add_error(
                OptionError::Invalid,
                OptionId::HostNameInCertificate,
                "is not a valid server name; expected a host name, an IP address or #SERVERNAME#",
            );
        }
        name
    }

    fn tls_versions(&mut self) -> TlsVersions {
        let text = self.text(OptionId::CryptoProtocolVersion).unwrap_or_default();
        let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let has = |version: &str| names.iter().any(|name| name.eq_ignore_ascii_case(version));
        let is_known = |name: &str| {
            ["TLSv1.2", "TLSv1.3"]
                .iter()
                .chain(&OBSOLETE_VERSIONS)
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
            let unknown = sanitize::value(unknown);
            let text =
                format!("contains \"{unknown}\"; expected TLSv1.3, TLSv1.2, or both, separated by a comma");
            self.add_error(OptionError::Invalid, OptionId::CryptoProtocolVersion, &text);
            return TlsVersions::Tls12And13;
        }
        let obsolete = OBSOLETE_VERSIONS.into_iter().find(|version| has(version));
        match (has("TLSv1.2"), has("TLSv1.3"), obsolete) {
            (false, false, Some(obsolete)) => {
                let text = format!(
                    "is {obsolete}, which is insecure and not supported; expected TLSv1.3 or TLSv1.2"
                );
                self.add_error(ErrorKind::Unsupported, OptionId::CryptoProtocolVersion, &text);
            }
            (_, _, Some(obsolete)) => {
                let text = format!("lists {obsolete}, which is insecure and not supported; it is ignored");
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
                    self.add_warning(name, "is ignored unless KeyStore is set");
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
            key_id: None,
            algorithm: None,
            certificate: None,
            forbid_weak_encryption: self.policy.forbids(Restriction::WeakStores),
            require_private_file: self.has_value(OptionId::KeyFileCheck, "1"),
        })
    }

    /// Warns if the token request cannot present the client certificate.
    pub(super) fn check_client_certificate(&mut self, token_url: Option<&EndpointUrl>) {
        if self.value(OptionId::KeyStore).is_some() && token_url.is_some_and(|url| !url.is_https()) {
            let text = "is not used for the token request: the token URL is http://, and a client certificate \
                        requires https";
            self.add_warning(OptionId::KeyStore, text);
        }
    }

    fn proxy_config(&mut self) -> ProxyConfig {
        let is_disabled = self.has_value(OptionId::ProxyMode, "0");
        let Some(host) = self.text(OptionId::ProxyHost).filter(|_| !is_disabled) else {
            if self.has_value(OptionId::ProxyMode, "1") {
                self.problems.missing.push(OptionId::ProxyHost);
            }
            for name in PROXY_DETAIL_OPTIONS.into_iter().filter(|_| !is_disabled) {
                if self.value(name).is_some() {
                    self.add_warning(name, "is ignored unless ProxyHost is set");
                }
            }
            return if is_disabled { ProxyConfig::Direct } else { self.proxy_from_environment() };
        };
        let port = self.number(OptionId::ProxyPort).and_then(|port| u16::try_from(port).ok());
        match Proxy::parse(&host, port.filter(|port| *port > 0), OptionId::ProxyHost.as_str()) {
            Ok(proxy) => {
                self.with_proxy_credentials(proxy).map_or(ProxyConfig::Direct, ProxyConfig::Explicit)
            }
            Err(reason) => {
                self.add_error(OptionError::Invalid, OptionId::ProxyHost, &reason);
                ProxyConfig::Direct
            }
        }
    }

    fn proxy_from_environment(&mut self) -> ProxyConfig {
        let environment = self.options.proxy_env();
        let ignored = environment.unusable_no_proxy_entries();
        if environment.proxy.is_some() && !ignored.is_empty() {
            // Without user and password, if an administrator wrote the URL of a proxy.
            let shown = |entry: &str| sanitize::value(entry.rsplit('@').next().unwrap_or_default());
            let ignored: Vec<_> =
                ignored.into_iter().take(5).map(|entry| format!("\"{}\"", shown(entry))).collect();
            let text = format!(
                "the environment variable no_proxy contains {}, which is ignored; expected host names, domains, \
                 IP addresses or CIDR ranges, separated by commas",
                ignored.join(", ")
            );
            let warning = Error::new(WarningKind::General, "options", text).with_option("ProxyMode");
            self.problems.warnings.push(warning);
        }
        ProxyConfig::from_env(environment)
    }

    fn with_proxy_credentials(&mut self, mut proxy: Proxy) -> Option<Proxy> {
        if proxy.credentials.is_some() {
            let text = "must not contain credentials; use ProxyUser and ProxyPassword";
            self.add_error(OptionError::Invalid, OptionId::ProxyHost, text);
            return None;
        }
        let (name, password) = (self.secret(OptionId::ProxyUser), self.secret(OptionId::ProxyPassword));
        if name.is_none() && password.is_some() {
            self.add_warning(OptionId::ProxyPassword, "is ignored unless ProxyUser is set");
        }
        proxy.credentials =
            name.map(|name| ProxyCredentials { name, password: password.unwrap_or_default() });
        if let Some(reason) = proxy.credentials_error() {
            self.add_error(OptionError::Invalid, OptionId::ProxyUser, reason);
        }
        Some(proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Flow, resolve};
    use super::*;
    use crate::base::error::Status;
    use crate::options::environment::testing::FakeEnvironment;
    use crate::options::{Environment, Options};

    const BASE: &str = "AuthenticationMethod=53;ClientID=c;ClientSecret=s;TokenURI=https://example.com/t;";

    fn transport_in(text: &str, environment: &dyn Environment) -> (TransportConfig, Vec<Error>) {
        let resolution = resolve(&Options::open(&format!("{text};{BASE}"), environment).unwrap());
        let warnings = resolution.warnings();
        match resolution.config.unwrap_or_else(|error| panic!("{text}: {error}")).flow {
            Flow::TokenEndpoint(config) => (config.transport, warnings),
            other => panic!("{other:?}"),
        }
    }

    fn transport(text: &str) -> TransportConfig {
        transport_in(text, &FakeEnvironment::default()).0
    }

    fn warns_about(warnings: &[Error], option: &str) -> bool {
        warnings.iter().any(|warning| warning.option() == Some(option))
    }

    fn resolve_error(text: &str) -> Error {
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
        let (transport, warnings) =
            transport_in("CryptoProtocolVersion=TLSv1.2,TLSv1.1,SSLv3", &FakeEnvironment::default());
        assert_eq!(transport.tls_versions, TlsVersions::Tls12);
        assert!(warnings.iter().any(|warning| warning.message().contains("TLSv1.1")), "{warnings:?}");
        let error = resolve_error("CryptoProtocolVersion=TLSv1,SSLv3");
        assert_eq!(error.status(), Status::Unsupported);
        assert!(error.message().contains("TLSv1,"), "{error}");
        let error = resolve_error("CryptoProtocolVersion=TLSv1.4");
        assert!(error.message().contains("\"TLSv1.4\""), "{error}");
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
        assert!(warns_about(&warnings, "HostNameInCertificate"), "{warnings:?}");
    }

    #[test]
    fn proxy_host_enables_proxy_unless_mode_off() {
        let parsed = proxy("ProxyHost=p.example;ProxyPort=3128;ProxyUser=u;ProxyPassword=\"x\"");
        assert_eq!((parsed.host.as_str(), parsed.port), ("p.example", 3128));
        assert_eq!(parsed.credentials.unwrap().password.reveal(), "\"x\"");
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
        let upper = || {
            FakeEnvironment::default()
                .with_variable("HTTPS_PROXY", "http://u:p@upper:1")
                .with_variable("no_proxy", "a, b.example")
        };
        let proxy_from = |text: &str, environment: &FakeEnvironment| match transport_in(text, environment)
            .0
            .proxy
        {
            ProxyConfig::FromEnv { proxy: Ok(proxy), no_proxy } => (proxy.host, proxy.source, no_proxy.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!(proxy_from("", &upper()), ("upper".to_owned(), "HTTPS_PROXY", 2));
        let lower = upper().with_variable("https_proxy", "lower");
        assert_eq!(proxy_from("", &lower), ("lower".to_owned(), "https_proxy", 2));
        let all = FakeEnvironment::default()
            .with_variable("all_proxy", "socks5://all")
            .with_variable("HTTP_PROXY", "x");
        assert_eq!(proxy_from("", &all), ("all".to_owned(), "all_proxy", 0));
        assert_eq!(transport_in("ProxyMode=0", &upper()).0.proxy, ProxyConfig::Direct);
        assert!(
            matches!(transport_in("ProxyHost=p", &upper()).0.proxy, ProxyConfig::Explicit(proxy) if proxy.host == "p")
        );
        let (_, warnings) = transport_in("ProxyUser=x", &upper());
        assert!(warns_about(&warnings, "ProxyUser"), "{warnings:?}");
    }

    #[test]
    fn unusable_no_proxy_entry_warns() {
        let environment = |no_proxy: &str| {
            FakeEnvironment::default().with_variable("https_proxy", "p").with_variable("no_proxy", no_proxy)
        };
        let (_, warnings) = transport_in("", &environment("a.example;http://u:hunter2@b.example/ 10"));
        let warning = warnings.iter().find(|warning| warning.option() == Some("ProxyMode")).unwrap();
        assert!(warning.message().contains("\"10\""), "{warning}");
        assert!(!warning.message().contains("hunter2"), "{warning}");
        for (text, no_proxy) in [("", "a.example;10."), ("ProxyMode=0", "10"), ("ProxyHost=p", "10")] {
            let (_, warnings) = transport_in(text, &environment(no_proxy));
            assert!(!warns_about(&warnings, "ProxyMode"), "{text} {no_proxy}: {warnings:?}");
        }
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
        assert!(without.client_key_source.is_none() && warns_about(&warnings, "KeyPassword"));
    }

    #[test]
    fn client_certificate_without_https_warns() {
        for (more, warned) in [
            ("KeyStore=c.p12;TokenEndpoint=http://127.0.0.1/t", true),
            ("KeyStore=c.p12;TokenEndpoint=https://example.com/t", false),
            ("ClientSecret=s;TokenEndpoint=http://127.0.0.1/t", false),
        ] {
            let options = Options::parse(&format!("am=53;ClientID=c;{more}")).unwrap();
            assert_eq!(warns_about(&resolve(&options).warnings(), "KeyStore"), warned, "{more}");
        }
    }

    #[test]
    fn proxy_password_without_user_warns() {
        for (more, warned) in [
            ("ProxyPassword=x", true),
            ("ProxyUser=u;ProxyPassword=x", false),
            ("ProxyUser=u", false),
            ("", false),
        ] {
            let (_, warnings) = transport_in(&format!("ProxyHost=p;{more}"), &FakeEnvironment::default());
            assert_eq!(warns_about(&warnings, "ProxyPassword"), warned, "{more}");
        }
    }
}
