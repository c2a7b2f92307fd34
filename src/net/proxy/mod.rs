//! Proxy configuration: direct connections, or a proxy set by an option or by the environment.
//!
//! http:// URLs never use a proxy: they are only allowed for loopback hosts, and a proxy would send their
//! secrets unencrypted to another machine. For https:// URLs with a loopback host the environment's proxy is
//! bypassed, but a proxy set by an option is used.

mod address;
mod no_proxy;

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::base::error::{Error, OptionError, Result};
use crate::base::secret::Secret;
use crate::base::url::{EndpointUrl, is_loopback};
use crate::net::proxy::address::split_host_port;

pub use self::no_proxy::NoProxyEntry;

/// Protocol between this library and a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyScheme {
    /// HTTP CONNECT (RFC 9110 section 9.3.6).
    Http,
    /// SOCKS5 (RFC 1928); the proxy resolves host names.
    Socks5,
}

/// Credentials for a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProxyCredentials {
    /// ProxyUser.
    pub name: Secret,
    /// ProxyPassword.
    pub password: Secret,
}

/// A proxy server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// Protocol of the proxy.
    pub scheme: ProxyScheme,
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Credentials, if any.
    pub credentials: Option<ProxyCredentials>,
    /// Option or environment variable that configures the proxy, for messages.
    pub source: &'static str,
}

impl Proxy {
    /// Parses `text`, a host or a URL; `port` applies if `text` contains none. The error is the reason, to be
    /// appended to the option's name. It repeats nothing of `text`, which may contain a password.
    pub fn parse(text: &str, port: Option<u16>, source: &'static str) -> std::result::Result<Self, String> {
        let (scheme, rest) = split_scheme(text.trim())?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (userinfo, address) = match rest.rsplit_once('@') {
            Some((userinfo, address)) => (Some(userinfo), address),
            None => (None, rest),
        };
        let (host, url_port) =
            split_host_port(address).ok_or("must be a host or a URL with host and port")?;
        let default_port = match scheme {
            ProxyScheme::Http => 80,
            ProxyScheme::Socks5 => 1080,
        };
        if url_port.is_some() && port.is_some() && url_port != port {
            return Err("has a port that conflicts with ProxyPort".to_owned());
        }
        let port = url_port.or(port).unwrap_or(default_port);
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            credentials: userinfo.map(ProxyCredentials::from_userinfo),
            source,
        })
    }

    /// The URL of the proxy, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Socks5 => "socks5",
        };
        let is_ipv6 = self.host.contains(':');
        let host = if is_ipv6 { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }

    /// The reason why the credentials cannot be sent by the proxy's protocol, to be appended to `ProxyUser`.
    /// None if they can be sent.
    pub fn credentials_error(&self) -> Option<&'static str> {
        let credentials = self.credentials.as_ref()?;
        let (name, password) = (credentials.name.reveal(), credentials.password.reveal());
        match self.scheme {
            ProxyScheme::Http if name.contains(':') => {
                Some("must not contain \":\" (Basic authentication, RFC 7617)")
            }
            ProxyScheme::Socks5 if name.is_empty() || name.len() > 255 || password.len() > 255 => {
                Some("must have 1 to 255 bytes and ProxyPassword at most 255 for SOCKS5 (RFC 1929)")
            }
            _ => None,
        }
    }
}

/// The form used in messages; without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}:{} ({})", self.host, self.port, self.source)
    }
}

impl ProxyCredentials {
    /// Parses `name:password`, percent-encoded.
    fn from_userinfo(text: &str) -> Self {
        let (name, password) = text.split_once(':').unwrap_or((text, ""));
        let decode = |text: &str| Secret::new(percent_decode_str(text).decode_utf8_lossy().into_owned());
        Self { name: decode(name), password: decode(password) }
    }
}

fn split_scheme(text: &str) -> std::result::Result<(ProxyScheme, &str), String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((ProxyScheme::Http, text));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((ProxyScheme::Http, rest)),
        "socks5" | "socks5h" => Ok((ProxyScheme::Socks5, rest)),
        "https" => Err(
            "begins with https://, but TLS to the proxy is not supported; use http://, TLS to the server is \
                 tunnelled through it"
                .to_owned(),
        ),
        _ => Err("must begin with http:// or socks5://".to_owned()),
    }
}

/// Proxy settings of the environment, read when the connection is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyEnv {
    /// Environment variable that sets the proxy for https, with its value.
    pub proxy: Option<(&'static str, Secret)>,
    /// Value of `no_proxy`.
    pub no_proxy: String,
}

impl ProxyEnv {
    /// The entries of `no_proxy` that can match no host. They are ignored.
    #[must_use]
    pub fn unusable_no_proxy_entries(&self) -> Vec<&str> {
        no_proxy::split_entries(&self.no_proxy).filter(|entry| NoProxyEntry::parse(entry).is_none()).collect()
    }
}

/// Proxy configuration of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProxyConfig {
    /// No proxy.
    #[default]
    Direct,
    /// Proxy set by an option.
    Explicit(Proxy),
    /// Proxy set by the environment.
    FromEnv {
        /// The proxy, or the error in the environment variable.
        proxy: std::result::Result<Proxy, String>,
        /// Entries of `no_proxy`.
        no_proxy: Vec<NoProxyEntry>,
    },
}

impl ProxyConfig {
    /// Parses the environment's settings. Errors are reported on use, by [`Self::proxy_for`].
    #[must_use]
    pub fn from_env(env: &ProxyEnv) -> Self {
        let Some((name, value)) = &env.proxy else { return Self::Direct };
        let proxy = Proxy::parse(value.reveal(), None, name);
        let proxy = proxy.and_then(|proxy| match proxy.credentials_error() {
            Some(_) => {
                Err("has a user name or password that the proxy's protocol does not support".to_owned())
            }
            None => Ok(proxy),
        });
        let proxy = proxy.map_err(|reason| format!("the environment variable {name} {reason}"));
        let no_proxy = no_proxy::split_entries(&env.no_proxy).filter_map(NoProxyEntry::parse).collect();
        Self::FromEnv { proxy, no_proxy }
    }

    /// Returns the proxy for `url`, or None for a direct connection.
    ///
    /// # Errors
    /// [`OptionError::Invalid`] if the environment's proxy is invalid. A direct connection instead might
    /// violate the administrator's intent.
    pub fn proxy_for(&self, url: &EndpointUrl) -> Result<Option<&Proxy>> {
        match self {
            _ if !url.is_https() => Ok(None),
            Self::Direct => Ok(None),
            Self::Explicit(proxy) => Ok(Some(proxy)),
            Self::FromEnv { no_proxy, .. } if is_bypassed(url, no_proxy) => Ok(None),
            Self::FromEnv { proxy: Ok(proxy), .. } => Ok(Some(proxy)),
            Self::FromEnv { proxy: Err(reason), .. } => {
                let text = format!("{reason}; fix it, set ProxyHost, or set ProxyMode=0");
                Err(Error::new(OptionError::Invalid, "network", text).with_option("ProxyMode"))
            }
        }
    }
}

fn is_bypassed(url: &EndpointUrl, no_proxy: &[NoProxyEntry]) -> bool {
    is_loopback(url.host()) || no_proxy.iter().any(|entry| entry.matches(url.host(), url.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Status;

    fn parse_parts(text: &str) -> (ProxyScheme, String, u16) {
        let proxy = Proxy::parse(text, None, "ProxyHost").unwrap_or_else(|reason| panic!("{text}: {reason}"));
        (proxy.scheme, proxy.host, proxy.port)
    }

    #[test]
    fn proxy_parses_from_host_or_url() {
        for (text, scheme, host, port) in [
            ("Proxy.example", ProxyScheme::Http, "proxy.example", 80),
            ("proxy.example:3128", ProxyScheme::Http, "proxy.example", 3128),
            ("http://proxy.example:3128/", ProxyScheme::Http, "proxy.example", 3128),
            ("HTTP://10.0.0.1", ProxyScheme::Http, "10.0.0.1", 80),
            ("socks5://p_1", ProxyScheme::Socks5, "p_1", 1080),
            ("socks5h://p:9", ProxyScheme::Socks5, "p", 9),
            ("::1", ProxyScheme::Http, "::1", 80),
            ("http://[::1]:3128", ProxyScheme::Http, "::1", 3128),
        ] {
            assert_eq!(parse_parts(text), (scheme, host.to_owned(), port), "{text}");
        }
    }

    #[test]
    fn invalid_proxy_error_omits_input() {
        for text in [
            "",
            "http://",
            "ftp://hunter2",
            "https://hunter2",
            "hunter2/path",
            "hunter2:0",
            "hunter2:99999",
            "hunter2:x",
            "[hunter2]",
            "[::1]hunter2",
            "http://u:hunter2@/",
            "hunter2\r\nX: y",
            "hunter 2",
            &"hunter2".repeat(40),
        ] {
            let reason = Proxy::parse(text, None, "ProxyHost").unwrap_err();
            assert!(!reason.contains("hunter"), "{reason}");
        }
    }

    #[test]
    fn port_option_applies_if_host_has_none() {
        let port = |text, port| Proxy::parse(text, port, "ProxyHost").map(|proxy| proxy.port);
        assert_eq!(port("p", Some(3128)), Ok(3128));
        assert_eq!(port("p:3128", Some(3128)), Ok(3128));
        assert!(port("p:80", Some(3128)).unwrap_err().contains("ProxyPort"));
    }

    #[test]
    fn userinfo_is_decoded_and_never_displayed() {
        let proxy = Proxy::parse("http://j%40x:hunter%3a2@p", None, "https_proxy").unwrap();
        let credentials = proxy.credentials.clone().unwrap();
        assert_eq!((credentials.name.reveal(), credentials.password.reveal()), ("j@x", "hunter:2"));
        assert!(!format!("{proxy} {proxy:?}").contains("hunter"));
    }

    #[test]
    fn https_proxy_is_rejected_with_specific_reason() {
        let reason = |text| Proxy::parse(text, None, "ProxyHost").unwrap_err();
        assert!(reason("https://p").contains("TLS to the proxy"), "{}", reason("https://p"));
        assert!(!reason("ftp://p").contains("TLS to the proxy"), "{}", reason("ftp://p"));
    }

    #[test]
    fn proxy_url_omits_userinfo_and_brackets_ipv6() {
        for (text, url) in [
            ("j:hunter2@Proxy.example", "http://proxy.example:80"),
            ("socks5://10.0.0.1:9", "socks5://10.0.0.1:9"),
            ("::1", "http://[::1]:80"),
        ] {
            assert_eq!(Proxy::parse(text, None, "ProxyHost").unwrap().url(), url, "{text}");
        }
    }

    #[test]
    fn display_shows_host_port_and_source() {
        let proxy = Proxy::parse("j:hunter2@p:3128", None, "ProxyHost").unwrap();
        assert_eq!(proxy.to_string(), "the proxy p:3128 (ProxyHost)");
    }

    #[test]
    fn credentials_unsupported_by_scheme_are_rejected() {
        let (longest, too_long) = ("u".repeat(255), "u".repeat(256));
        for (scheme, name, password, expected) in [
            ("http", "j", "a:b", None),
            ("http", "", &too_long, None),
            ("http", "j:x", "b", Some("Basic authentication")),
            ("socks5", "j:x", "", None),
            ("socks5", &longest, &longest, None),
            ("socks5", "", "b", Some("SOCKS5")),
            ("socks5", &too_long, "b", Some("SOCKS5")),
            ("socks5", "j", &too_long, Some("SOCKS5")),
        ] {
            let mut proxy = Proxy::parse(&format!("{scheme}://p"), None, "ProxyHost").unwrap();
            assert_eq!(proxy.credentials_error(), None, "a proxy without credentials");
            proxy.credentials =
                Some(ProxyCredentials { name: Secret::from(name), password: Secret::from(password) });
            let error = proxy.credentials_error();
            assert_eq!(error.is_some(), expected.is_some(), "{scheme} {name} {password}: {error:?}");
            assert!(expected.is_none_or(|text| error.unwrap().contains(text)), "{error:?}");
        }
        let config = env_config("http://j%3ax@p", "");
        assert!(config.proxy_for(&EndpointUrl::parse("https://example.com").unwrap()).is_err());
    }

    fn env_config(proxy: &str, no_proxy: &str) -> ProxyConfig {
        let proxy = Some(("https_proxy", Secret::from(proxy)));
        ProxyConfig::from_env(&ProxyEnv { proxy, no_proxy: no_proxy.to_owned() })
    }

    fn uses_proxy(config: &ProxyConfig, url: &str) -> bool {
        config.proxy_for(&EndpointUrl::parse(url).unwrap()).unwrap().is_some()
    }

    #[test]
    fn env_proxy_skips_plain_http_and_loopback() {
        let config = env_config("p", "");
        assert!(uses_proxy(&config, "https://example.com"));
        for url in ["http://127.0.0.1:1", "https://127.0.0.1", "https://LOCALHOST:1", "https://[::1]/t"] {
            assert!(!uses_proxy(&config, url), "{url}");
        }
        let explicit = ProxyConfig::Explicit(Proxy::parse("p", None, "ProxyHost").unwrap());
        assert!(uses_proxy(&explicit, "https://localhost") && !uses_proxy(&explicit, "http://localhost"));
        assert!(!uses_proxy(&ProxyConfig::from_env(&ProxyEnv::default()), "https://example.com"));
    }

    #[test]
    fn no_proxy_matches_host_domain_port_cidr() {
        for (no_proxy, url, proxied) in [
            ("example.com", "https://example.com", false),
            ("example.com", "https://a.example.com", false),
            (".Example.com", "https://A.example.com", false),
            ("*.example.com", "https://a.example.com", false),
            ("example.com", "https://badexample.com", true),
            ("other, example.com", "https://example.com", false),
            ("other example.com", "https://example.com", false),
            ("example.com:8443", "https://example.com", true),
            ("example.com:443", "https://example.com", false),
            ("*", "https://example.com", false),
            ("10.1.2.3", "https://10.1.2.3", false),
            ("2.3", "https://10.1.2.3", true),
            ("10.0.0.0/8", "https://10.1.2.3", false),
            ("10.0.0.0/8", "https://11.1.2.3", true),
            ("0.0.0.0/0", "https://11.1.2.3", false),
            ("0.0.0.0/0", "https://[fd00::1]", true),
            ("fd00::/8", "https://[fd00::1]", false),
            ("[fd00::1]:443", "https://[fd00::1]", false),
            ("10.0.0.0/40", "https://10.0.0.0", true),
            ("10.0.0.0/8", "https://example.com", true),
            ("example.com.", "https://example.com", false),
            ("example.com.", "https://a.example.com.", false),
            (".example.com.:443", "https://a.example.com", false),
            ("other;example.com", "https://example.com", false),
            ("other|*.example.com", "https://a.example.com", false),
            ("other\nexample.com\r\n", "https://example.com", false),
            ("a , ; example.com", "https://example.com", false),
            ("10.", "https://10.1.2.3", false),
            ("10.*", "https://10.1.2.3", false),
            ("10.*.*.*", "https://10.1.2.3", false),
            ("192.168.", "https://192.168.7.1", false),
            ("192.168.*", "https://192.169.7.1", true),
            ("192.168.7.*:443", "https://192.168.7.1", false),
            ("192.168.7.*:444", "https://192.168.7.1", true),
            ("10.", "https://101.1.2.3", true),
            ("10.*", "https://10.example.com", true),
            ("10.1.2.3.", "https://10.1.2.3", false),
            ("10.1.2.3", "https://[::ffff:10.1.2.3]", false),
            ("FD00:0::1", "https://[fd00::1]", false),
            ("[fd00::]/8", "https://[fd00::1]", false),
            ("*:443", "https://example.com", false),
            ("*:444", "https://example.com", true),
            ("com", "https://example.com", false),
        ] {
            assert_eq!(uses_proxy(&env_config("p", no_proxy), url), proxied, "{no_proxy} {url}");
        }
    }

    #[test]
    fn unusable_no_proxy_entries_are_listed() {
        let unusable = |no_proxy: &str| {
            let env = ProxyEnv { proxy: None, no_proxy: no_proxy.to_owned() };
            env.unusable_no_proxy_entries().join(" ")
        };
        let usable = "*, example.com;.example.com.|*.example.com:443 localhost 10. 10.* 192.168.1.*:1 10.0.0.1 \
                      10.0.0.0/8 ::1 [::1]:443 fd00::/8 a_b.example 3com.example *example.com";
        assert_eq!(unusable(usable), "");
        assert_eq!(unusable(""), "");
        for entry in [
            "10",
            "10.1",
            "2.3",
            "10.*.2",
            "*.10",
            "10.1.2.3.4.",
            "10.0.0.0/33",
            "10/8",
            "10.0.0.0/255.0.0.0",
            "example.*",
            "a.*.example.com",
            "a..b",
            "..",
            "https://example.com",
            "<local>",
            "example.com:0",
            "example.com:x",
            "[::1",
            "fe80::1%eth0",
            "\"example.com\"",
            "b\u{fc}ro.example",
            "256.*",
            "1.2.3.4.*",
        ] {
            assert_eq!(unusable(&format!("a.example,{entry};b.example")), entry);
        }
    }

    #[test]
    fn invalid_env_proxy_fails_when_used() {
        let config = env_config("https://u:hunter2@p", "inside");
        assert!(!uses_proxy(&config, "https://inside"));
        let error = config.proxy_for(&EndpointUrl::parse("https://outside").unwrap()).unwrap_err();
        assert_eq!(error.status(), Status::InvalidOption);
        assert_eq!(error.option(), Some("ProxyMode"));
        assert!(error.message().contains("https_proxy"), "{error}");
        assert!(!error.message().contains("hunter2"), "{error}");
    }
}
