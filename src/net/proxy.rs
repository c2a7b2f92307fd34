//! How a server is reached: straight, or through a proxy that an option or the environment names.
//!
//! http:// goes to this machine alone and so never through a proxy, which would take its secrets elsewhere, unencrypted.
//! The environment's proxy is not asked for this machine either; one that an option names is, for https.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::percent_decode_str;

use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;
use crate::base::url::{EndpointUrl, is_loopback};

/// How a proxy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyScheme {
    /// CONNECT (RFC 9110 section 9.3.6).
    Http,
    /// RFC 1928; names are looked up by the proxy.
    Socks5,
}

/// Who may use a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProxyCredentials {
    /// ProxyUser.
    pub name: Secret,
    /// ProxyPassword.
    pub password: Secret,
}

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// How it is asked.
    pub scheme: ProxyScheme,
    /// Its name or address, an IPv6 address without its brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who may use it.
    pub credentials: Option<ProxyCredentials>,
    /// The option or variable that named it, for messages.
    pub source: &'static str,
}

impl Proxy {
    /// The proxy at `text`, a host or a URL; `port` counts where that has none. The error is the reason, to be put behind
    /// the name of the option, and holds nothing of the text, which may have a password in it.
    pub fn parse(text: &str, port: Option<u16>, named_by: &'static str) -> std::result::Result<Self, String> {
        let (kind, rest) = split_scheme(text.trim())?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        let (host, written) =
            split_host_port(address).ok_or("is not a host, nor a URL with host and port")?;
        let usual = match kind {
            ProxyScheme::Http => 80,
            ProxyScheme::Socks5 => 1080,
        };
        if written.is_some() && port.is_some() && written != port {
            return Err("has another port in it than ProxyPort; give one".to_owned());
        }
        let port = written.or(port).unwrap_or(usual);
        Ok(Self {
            scheme: kind,
            host: host.to_ascii_lowercase(),
            port,
            credentials: user.map(ProxyCredentials::from_userinfo),
            source: named_by,
        })
    }

    /// Without its user.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Socks5 => "socks5",
        };
        let bare = !self.host.contains(':');
        let host = if bare { self.host.clone() } else { format!("[{}]", self.host) };
        format!("{scheme}://{host}:{}", self.port)
    }

    /// Why a proxy of this kind cannot be told of its user, if it cannot.
    pub fn credentials_error(&self) -> Option<&'static str> {
        let user = self.credentials.as_ref()?;
        let (name, password) = (user.name.reveal(), user.password.reveal());
        match self.scheme {
            ProxyScheme::Http if name.contains(':') => {
                Some("has a \":\", which Basic authentication cannot carry")
            }
            ProxyScheme::Socks5 if name.is_empty() || name.len() > 255 || password.len() > 255 => {
                Some("and ProxyPassword have at most 255 bytes each in SOCKS5, and the user at least one")
            }
            _ => None,
        }
    }
}

/// As messages name it.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}:{} ({})", self.host, self.port, self.source)
    }
}

impl ProxyCredentials {
    /// `name:password`, percent-encoded.
    fn from_userinfo(text: &str) -> Self {
        let (name, password) = text.split_once(':').unwrap_or((text, ""));
        let plain = |text: &str| Secret::new(percent_decode_str(text).decode_utf8_lossy().into_owned());
        Self { name: plain(name), password: plain(password) }
    }
}

fn split_scheme(text: &str) -> std::result::Result<(ProxyScheme, &str), String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((ProxyScheme::Http, text));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((ProxyScheme::Http, rest)),
        "socks5" | "socks5h" => Ok((ProxyScheme::Socks5, rest)),
        "https" => {
            Err("begins with https://, and TLS to the proxy itself is not built in; what goes to the server \
                        is encrypted through an http:// proxy too"
                .to_owned())
        }
        _ => Err("begins with something other than http:// or socks5://".to_owned()),
    }
}

fn split_host_port(text: &str) -> Option<(&str, Option<u16>)> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, rest)) => {
            address.parse::<Ipv6Addr>().ok()?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
            (address, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (is_host_name(host).then_some(host)?, Some(port)),
            None => (is_host_name(text).then_some(text)?, None),
        },
    };
    let number = |port: &str| port.parse().ok().filter(|port| *port > 0);
    match port {
        Some(port) => Some((host, Some(number(port)?))),
        None => Some((host, None)),
    }
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// What the environment says of proxies, as it was when the connection was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyEnv {
    /// The variable that names a proxy for https, and its value.
    pub proxy: Option<(&'static str, Secret)>,
    /// no_proxy.
    pub no_proxy: String,
}

/// How the servers of one connection are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProxyConfig {
    /// Straight.
    #[default]
    Direct,
    /// Through the proxy that an option names.
    Explicit(Proxy),
    /// Through the environment's proxy, which may turn out to be none that can be used.
    FromEnv {
        /// The proxy, or what is wrong with the variable.
        proxy: std::result::Result<Proxy, String>,
        /// The entries of no_proxy.
        no_proxy: Vec<String>,
    },
}

impl ProxyConfig {
    /// What `variables` come to.
    #[must_use]
    pub fn from_env(variables: &ProxyEnv) -> Self {
        let Some((name, value)) = &variables.proxy else { return Self::Direct };
        let proxy = Proxy::parse(value.reveal(), None, name);
        let proxy = proxy.and_then(|proxy| match proxy.credentials_error() {
            Some(_) => Err("has a user name or password that this kind of proxy cannot be told".to_owned()),
            None => Ok(proxy),
        });
        let entries = variables.no_proxy.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        let proxy = proxy.map_err(|reason| format!("the environment variable {name} {reason}"));
        Self::FromEnv { proxy, no_proxy: entries.map(str::to_ascii_lowercase).collect() }
    }

    /// The proxy on the way to `url`.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] where the environment names one that cannot be used: going straight instead might be
    /// what nobody wants.
    pub fn proxy_for(&self, url: &EndpointUrl) -> Result<Option<&Proxy>> {
        match self {
            _ if !url.is_https() => Ok(None),
            Self::Direct => Ok(None),
            Self::Explicit(proxy) => Ok(Some(proxy)),
            Self::FromEnv { no_proxy: except, .. } if is_bypassed(url, except) => Ok(None),
            Self::FromEnv { proxy: Ok(proxy), .. } => Ok(Some(proxy)),
            Self::FromEnv { proxy: Err(fault), .. } => {
                let text = format!("{fault}; mend it, name a proxy by ProxyHost, or set ProxyMode=0");
                Err(Error::new(Status::InvalidOption, "network", text).with_option("ProxyMode"))
            }
        }
    }
}

fn is_bypassed(url: &EndpointUrl, except: &[String]) -> bool {
    is_loopback(url.host()) || except.iter().any(|entry| no_proxy_matches(entry, url.host(), url.port()))
}

/// Whether an entry of no_proxy means that host: `*`, a name with those below it, an address, or a range of addresses;
/// all but the range with a port or without.
fn no_proxy_matches(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, length)) = entry.split_once('/') {
        return cidr_contains(host, network, length).unwrap_or(false);
    }
    let domain = entry.strip_prefix('*').unwrap_or(entry);
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let Some((name, wanted)) = split_host_port(domain) else { return false };
    let host = host.strip_suffix('.').unwrap_or(host);
    let below = || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    let is_name = host.parse::<IpAddr>().is_err();
    wanted.is_none_or(|wanted| wanted == port) && (host == name || is_name && below())
}

fn cidr_contains(host: &str, network: &str, length: &str) -> Option<bool> {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let (host, width) = bits(host.parse().ok()?);
    let (network, same) = bits(network.parse().ok()?);
    let rest = width.checked_sub(length.parse().ok()?)?;
    let prefix = |address: u128| address.checked_shr(rest).unwrap_or(0);
    Some(width == same && prefix(host) == prefix(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_parts(text: &str) -> (ProxyScheme, String, u16) {
        let proxy = Proxy::parse(text, None, "ProxyHost").unwrap_or_else(|why| panic!("{text}: {why}"));
        (proxy.scheme, proxy.host, proxy.port)
    }

    #[test]
    fn proxy_parses_from_host_or_url() {
        for (text, kind, host, port) in [
            ("Proxy.example", ProxyScheme::Http, "proxy.example", 80),
            ("proxy.example:3128", ProxyScheme::Http, "proxy.example", 3128),
            ("http://proxy.example:3128/", ProxyScheme::Http, "proxy.example", 3128),
            ("HTTP://10.0.0.1", ProxyScheme::Http, "10.0.0.1", 80),
            ("socks5://p_1", ProxyScheme::Socks5, "p_1", 1080),
            ("socks5h://p:9", ProxyScheme::Socks5, "p", 9),
            ("::1", ProxyScheme::Http, "::1", 80),
            ("http://[::1]:3128", ProxyScheme::Http, "::1", 3128),
        ] {
            assert_eq!(parse_parts(text), (kind, host.to_owned(), port), "{text}");
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
        let user = proxy.credentials.clone().unwrap();
        assert_eq!((user.name.reveal(), user.password.reveal()), ("j@x", "hunter:2"));
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
        let (most, more) = ("u".repeat(255), "u".repeat(256));
        for (scheme, name, password, fault) in [
            ("http", "j", "a:b", None),
            ("http", "", &more, None),
            ("http", "j:x", "b", Some("Basic authentication")),
            ("socks5", "j:x", "", None),
            ("socks5", &most, &most, None),
            ("socks5", "", "b", Some("SOCKS5")),
            ("socks5", &more, "b", Some("SOCKS5")),
            ("socks5", "j", &more, Some("SOCKS5")),
        ] {
            let mut proxy = Proxy::parse(&format!("{scheme}://p"), None, "ProxyHost").unwrap();
            assert_eq!(proxy.credentials_error(), None, "a proxy without a user");
            proxy.credentials =
                Some(ProxyCredentials { name: Secret::from(name), password: Secret::from(password) });
            let found = proxy.credentials_error();
            assert_eq!(found.is_some(), fault.is_some(), "{scheme} {name} {password}: {found:?}");
            assert!(fault.is_none_or(|text| found.unwrap().contains(text)), "{found:?}");
        }
        let route = env_config("http://j%3ax@p", "");
        assert!(route.proxy_for(&EndpointUrl::parse("https://example.com").unwrap()).is_err());
    }

    fn env_config(proxy: &str, except: &str) -> ProxyConfig {
        let proxy = Some(("https_proxy", Secret::from(proxy)));
        ProxyConfig::from_env(&ProxyEnv { proxy, no_proxy: except.to_owned() })
    }

    fn uses_proxy(route: &ProxyConfig, url: &str) -> bool {
        route.proxy_for(&EndpointUrl::parse(url).unwrap()).unwrap().is_some()
    }

    #[test]
    fn env_proxy_skips_plain_http_and_loopback() {
        let route = env_config("p", "");
        assert!(uses_proxy(&route, "https://example.com"));
        for url in ["http://127.0.0.1:1", "https://127.0.0.1", "https://LOCALHOST:1", "https://[::1]/t"] {
            assert!(!uses_proxy(&route, url), "{url}");
        }
        let said = ProxyConfig::Explicit(Proxy::parse("p", None, "ProxyHost").unwrap());
        assert!(uses_proxy(&said, "https://localhost") && !uses_proxy(&said, "http://localhost"));
        assert!(!uses_proxy(&ProxyConfig::from_env(&ProxyEnv::default()), "https://example.com"));
    }

    #[test]
    fn no_proxy_matches_host_domain_port_cidr() {
        for (except, url, through) in [
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
        ] {
            assert_eq!(uses_proxy(&env_config("p", except), url), through, "{except} {url}");
        }
    }

    #[test]
    fn invalid_env_proxy_fails_when_used() {
        let route = env_config("https://u:hunter2@p", "inside");
        assert!(!uses_proxy(&route, "https://inside"));
        let error = route.proxy_for(&EndpointUrl::parse("https://outside").unwrap()).unwrap_err();
        assert_eq!(error.status(), Status::InvalidOption);
        assert!(
            error.message().contains("https_proxy") && error.message().contains("ProxyMode=0"),
            "{error}"
        );
        assert!(!error.message().contains("hunter2"), "{error}");
    }
}
