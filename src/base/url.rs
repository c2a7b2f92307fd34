//! Endpoint URLs from options, model files and profiles, validated before any request is sent to them.
//!
//! The scheme must be https, or http for a loopback address. User information and fragments are not allowed
//! (RFC 6749 section 3.2). The text is kept byte for byte, because a server may compare an audience with it.
//! `Debug` and messages omit the query.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::percent_decode_str;
use ureq::http::Uri;
use ureq::http::uri::{Authority, Scheme};

use crate::base::sanitize;

/// A validated endpoint URL.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl {
    text: String,
    uri: Uri,
    host: String,
    port: u16,
    is_tls: bool,
}

impl EndpointUrl {
    /// Parses and validates `text`. The error is a predicate for a message that begins with the name of the
    /// option; it does not contain the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Self::parse_with_any_port(text)?;
        if url.port == 0 { Err(PORT_ERROR.to_owned()) } else { Ok(url) }
    }

    /// As [`Self::parse`], for a redirect URI: an http URL may have port 0, which stands for any free port of
    /// the loopback interface (RFC 8252 section 7.3).
    pub fn parse_redirect_uri(text: &str) -> Result<Self, String> {
        let url = Self::parse_with_any_port(text)?;
        if url.port == 0 && url.is_tls { Err(PORT_ERROR.to_owned()) } else { Ok(url) }
    }

    fn parse_with_any_port(text: &str) -> Result<Self, String> {
        if text.contains('#') {
            return Err("must not contain a fragment (#…)".to_owned());
        }
        let uri: Uri = text.parse().map_err(|_| invalid_url_text(text))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err("is not an absolute URL; expected https://host/path".to_owned());
        };
        if authority.as_str().contains('@') {
            return Err("must not contain a user name or password before the host".to_owned());
        }
        let host = parse_host(authority)?;
        let is_https = *scheme == Scheme::HTTPS;
        let is_http = *scheme == Scheme::HTTP;
        if !(is_https || is_http && is_loopback(&host)) {
            return Err(format!(
                "must begin with https:// (http:// for loopback addresses only), but uses {scheme} for {host}"
            ));
        }
        let port = parse_port(authority, if is_http { 80 } else { 443 })?;
        Ok(Self { text: text.to_owned(), uri, host, port, is_tls: is_https })
    }

    /// The URL as configured, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed URI, for the HTTP client.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The host in lower case; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, or the default port of the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same URL with another port.
    ///
    /// # Errors
    /// As [`Self::parse`], for port 0.
    pub fn with_port(&self, port: u16) -> Result<Self, String> {
        let authority = self.uri.authority().map_or("", Authority::as_str);
        let host = self.uri.host().unwrap_or_default();
        // Not by a search in the whole text, because the scheme may contain a host such as `h`.
        let (scheme, rest) = self.text.split_once("://").unwrap_or_default();
        Self::parse(&format!("{scheme}://{host}:{port}{}", rest.strip_prefix(authority).unwrap_or_default()))
    }

    /// Whether the scheme is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_tls
    }

    /// The origin: scheme, host and port (RFC 6454).
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}:{}", if self.is_tls { "https" } else { "http" }, self.host, self.port)
    }

    /// The URL without its query, which may contain an assertion; for messages.
    #[must_use]
    pub fn without_query(&self) -> &str {
        self.text.split('?').next().unwrap_or_default()
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.without_query())
    }
}

/// Maximum length of a host name (RFC 1035 section 2.3.4). Hosts are shown in messages in full.
pub(crate) const MAX_HOST_LEN: usize = 255;

/// The predicate for a URL that does not parse. It shows the first character that a URL must not contain (RFC
/// 3986 section 2), which is the most frequent reason.
fn invalid_url_text(text: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let reason = match text.chars().enumerate().find(|(_, c)| !is_allowed(*c)) {
        Some((offset, c)) if c.is_ascii_graphic() => format!(": it contains \"{c}\" at offset {offset}"),
        Some((offset, c)) => format!(": it contains {} at offset {offset}", sanitize::code_point(c)),
        None => String::new(),
    };
    format!("is not a valid URL{reason}; expected https://host/path")
}

/// The host for DNS lookup and connect. Brackets are allowed for an IPv6 address only: `[localhost]` is
/// invalid.
fn parse_host(authority: &Authority) -> Result<String, String> {
    let host = authority.host();
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) if address.parse::<Ipv6Addr>().is_ok() => address,
        Some(_) => return Err("must contain an IPv6 address between [ and ]".to_owned()),
        None => host,
    };
    match host.len() {
        0 => Err("has no host".to_owned()),
        1..=MAX_HOST_LEN => Ok(host.to_ascii_lowercase()),
        _ => Err(format!("has a host of more than {MAX_HOST_LEN} characters")),
    }
}

/// The port: `default`, or the digits after the host and ':'. It must be equal to the port that [`Uri`]
/// finds, because the Host header is built from that.
fn parse_port(authority: &Authority, default: u16) -> Result<u16, String> {
    let Some(rest) = authority.as_str().strip_prefix(authority.host()) else {
        return Err("has a malformed host".to_owned());
    };
    if rest.is_empty() {
        return Ok(default);
    }
    rest.strip_prefix(':')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|port| authority.port_u16() == Some(*port))
        .ok_or_else(|| PORT_ERROR.to_owned())
}

const PORT_ERROR: &str = "must have nothing after the host, or ':' and a port from 1 to 65535";

/// The scheme of an absolute URI with an authority.
#[must_use]
pub fn parse_scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once("://")?;
    scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)).then_some(scheme)
}

/// Whether `text` is an absolute http or https URL with a host.
#[must_use]
pub fn is_absolute_http(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
}

/// Resolves the reference `relative` against `host`, without dot-segment removal (RFC 3986 section 5.2). The
/// default scheme of `host` is https.
#[must_use]
pub fn resolve_reference(host: &str, relative: &str) -> String {
    let base = if parse_scheme(host).is_some() { host.to_owned() } else { format!("https://{host}") };
    let (scheme, rest) = base.split_once("://").unwrap_or(("https", host));
    let authority = rest.split('/').next().unwrap_or_default();
    if relative.starts_with("//") {
        format!("{scheme}:{relative}")
    } else if relative.starts_with('/') {
        format!("{scheme}://{authority}{relative}")
    } else {
        format!("{}/{relative}", base.trim_end_matches('/'))
    }
}

/// Whether `text` contains a URL with user information, or a parameter with a secret-like name. Also searches
/// invalid URLs, because the user may have intended one. `is_address` means that `text` may be a host without
/// a scheme.
#[must_use]
pub fn contains_secret(text: &str, is_address: bool) -> bool {
    let has_no_scheme = is_address && !text.contains("://");
    find_authorities(text).chain(has_no_scheme.then_some(text)).any(|rest| userinfo_len(rest).is_some())
        || text.split(['?', '&', ';', '#']).skip(1).any(is_secret_parameter)
}

/// Redacts the user information of every URL in `text`, and everything after the first `?`, because a query
/// may contain an assertion. For messages and reports.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let (mut redacted, query) = match text.split_once('?') {
        Some((before, query)) if !query.is_empty() => (before.to_owned(), "?****"),
        _ => (text.to_owned(), ""),
    };
    // In reverse order, so that a replacement does not shift the offsets that remain.
    let offsets: Vec<usize> =
        redacted.match_indices("//").map(|(offset, slashes)| offset.saturating_add(slashes.len())).collect();
    for offset in offsets.into_iter().rev() {
        if let Some(length) = redacted.get(offset..).and_then(userinfo_len) {
            redacted.replace_range(offset..offset.saturating_add(length), "****");
        }
    }
    redacted.push_str(query);
    redacted
}

/// The text after each `//` that can begin an authority: at the start of `text` or after a ':'.
fn find_authorities(text: &str) -> impl Iterator<Item = &str> {
    let is_start =
        |offset: usize| offset == 0 || text.get(..offset).is_some_and(|scheme| scheme.ends_with(':'));
    text.match_indices("//")
        .filter(move |(offset, _)| is_start(*offset))
        .filter_map(|(offset, slashes)| text.get(offset.saturating_add(slashes.len())..))
}

/// The length of the user information before the host, if there is any. It may contain a slash that should
/// have been percent-encoded: if the text after the last ':' is not a port, the user information extends to
/// the last '@'.
fn userinfo_len(text: &str) -> Option<usize> {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let text = text.get(..end)?;
    let authority = text.split('/').next()?;
    if let Some(length) = authority.rfind('@') {
        return Some(length);
    }
    let (_, port) = authority.rsplit_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || authority.starts_with('[');
    text.rfind('@').filter(|_| !is_port)
}

/// Whether `name=value` has a value and a secret-like name.
fn is_secret_parameter(parameter: &str) -> bool {
    const SECRET_PARAMETER_SUFFIXES: &[&str] = &[
        "password",
        "passwd",
        "passphrase",
        "pass",
        "pwd",
        "secret",
        "token",
        "key",
        "credential",
        "credentials",
        "signature",
        "sig",
        "assertion",
    ];
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let name = percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    !value.is_empty()
        && (name == "code" || SECRET_PARAMETER_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)))
}

/// Whether `host` is `localhost` (RFC 6761 section 6.3; the resolver of this library answers it without a DNS
/// query) or a loopback address in canonical notation.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_allowed_to_loopback_only() {
        for valid in [
            "https://account-d.docusign.com/oauth/token",
            "https://example.com",
            "https://example.com:8443/t?tenant=a",
            "http://127.0.0.1:8080/token",
            "http://127.9.9.9/token",
            "http://[::1]:8080/token",
            "http://LOCALHOST:3000",
        ] {
            assert!(EndpointUrl::parse(valid).is_ok(), "{valid}: {:?}", EndpointUrl::parse(valid));
        }
        for invalid in [
            "",
            "example.com/token",
            "/token",
            "ftp://127.0.0.1/t",
            "http://192.0.2.1/t",
            "http://localhost.evil.example/t",
            "http://127.0.0.1.evil.example/t",
            "http://2130706433/t",
            "http://127.1/t",
            "http://[::ffff:127.0.0.1]/t",
            "http://0.0.0.0/t",
            "https://user:secret@example.com/t",
            "http://localhost@evil.example/t",
            "https://example.com/t#f",
            "https://exa mple.com/t",
            "https://example.com/\r\nX: y",
            "https://example.com:/t",
            "https://example.com:0/t",
            "https://example.com:99999/t",
            "https://example.com::443/t",
            "https://127.0.0.1:+1/",
            "http://[::1]80/",
            "http://[::1]:+80/",
            "http://[localhost]/",
            "http://[127.0.0.1]:80/",
            "https:///t",
        ] {
            assert!(EndpointUrl::parse(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn parse_error_omits_url_text() {
        let reason = EndpointUrl::parse("https://user:hunter2@example.com/t").unwrap_err();
        assert!(!reason.contains("hunter2") && reason.contains("user name"), "{reason}");
    }

    #[test]
    fn redirect_uri_may_have_port_zero() {
        let url = EndpointUrl::parse_redirect_uri("http://127.0.0.1:0/cb?a=http://127.0.0.1:0").unwrap();
        let with_port = url.with_port(4711).unwrap();
        assert_eq!(with_port.as_str(), "http://127.0.0.1:4711/cb?a=http://127.0.0.1:0");
        let short_host = EndpointUrl::parse("https://h/h").unwrap().with_port(4711).unwrap();
        assert_eq!(short_host.as_str(), "https://h:4711/h");
        assert_eq!(EndpointUrl::parse_redirect_uri("http://[::1]:0").unwrap().port(), 0);
        for invalid in ["https://127.0.0.1:0/", "http://192.0.2.1:0/", "http://127.0.0.1:/"] {
            assert!(EndpointUrl::parse_redirect_uri(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn parse_error_shows_invalid_character() {
        for (text, shown) in [
            ("https://exa mple.com/t", "U+0020 (space) at offset 11"),
            ("https://example.com/<tenant>/t", "\"<\" at offset 20"),
            ("https://{tenant}.example.com/t", "\"{\" at offset 8"),
            ("https://example\u{2013}a.com/t", "U+2013 (dash) at offset 15"),
            ("\u{201c}https://example.com\u{201d}", "U+201C (typographic quotation mark) at offset 0"),
            ("https://example.com/\r\n", "U+000D (line break) at offset 20"),
            ("https://b\u{fc}ro.example/t", "U+00FC at offset 9"),
        ] {
            let reason = EndpointUrl::parse(text).unwrap_err();
            let expected = format!("is not a valid URL: it contains {shown}; expected https://host/path");
            assert_eq!(reason, expected, "{text}");
        }
        assert_eq!(EndpointUrl::parse("").unwrap_err(), "is not a valid URL; expected https://host/path");
    }

    #[test]
    fn userinfo_and_secret_parameters_are_redacted() {
        for (text, redacted) in [
            ("https://jo:hunter2@h/p", "https://****@h/p"),
            ("POST https://jo@h", "POST https://****@h"),
            ("socks5://jo:p@ss@h:1", "socks5://****@h:1"),
            ("https://jo:hunter2/x@h/p", "https://****@h/p"),
            ("//jo:hunter2@h/p", "//****@h/p"),
            ("https://h/p?client_secret=x", "https://h/p?****"),
            ("https://h/p?a=b&API%2DKey=x", "https://h/p?****"),
            ("https://h/p?a=b;sig=x", "https://h/p?****"),
        ] {
            assert!(contains_secret(text, false), "{text}");
            assert_eq!(without_secrets(text), redacted);
        }
        for text in [
            "",
            "jo@h.example",
            "https://h",
            "https://h:8443/users/@me",
            "https://[::1]:80/@me",
            "https://h/p?tenant=jo@h",
            "https://h/p?token_access_type=offline&key=",
            "a//b@c",
            "éé//é",
        ] {
            assert!(!contains_secret(text, false), "{text}");
        }
        assert!(contains_secret("jo:hunter2@h", true) && !contains_secret("h:80", true));
        assert_eq!(without_secrets("https://h:8443/users/@me?"), "https://h:8443/users/@me?");
    }

    #[test]
    fn host_length_is_limited() {
        let parse = |length| EndpointUrl::parse(&format!("https://{}:443/", "x".repeat(length)));
        assert_eq!(parse(0).unwrap_err(), "has no host");
        assert!(parse(1).is_ok() && parse(MAX_HOST_LEN).is_ok());
        assert_eq!(parse(MAX_HOST_LEN + 1).unwrap_err(), "has a host of more than 255 characters");
    }

    #[test]
    fn absolute_http_url_has_scheme_and_host() {
        for text in ["https://h", "http://192.0.2.1:8080/a?b=c", "HTTPS://[::1]/"] {
            assert!(is_absolute_http(text), "{text}");
        }
        for text in
            ["", "/a", "h", "h:443", "ftp://h/a", "https://", "https://:443/a", "https:///a", "https://h/a b"]
        {
            assert!(!is_absolute_http(text), "{text}");
        }
    }

    #[test]
    fn url_is_verbatim_and_query_is_hidden() {
        let url = EndpointUrl::parse("https://Example.com/T?assertion=x").unwrap();
        assert_eq!((url.host(), url.port(), url.is_https()), ("example.com", 443, true));
        assert_eq!(url.as_str(), "https://Example.com/T?assertion=x");
        assert_eq!(url.without_query(), "https://Example.com/T");
        let http = EndpointUrl::parse("http://[::1]/t").unwrap();
        assert_eq!((http.host(), http.port(), http.is_https()), ("::1", 80, false));
    }

    #[test]
    fn debug_omits_query() {
        let url = EndpointUrl::parse("https://example.com/t?assertion=hunter2").unwrap();
        assert_eq!(format!("{url:?}"), "https://example.com/t");
    }

    #[test]
    fn uri_contains_full_url() {
        let url = EndpointUrl::parse("https://Example.com/T?tenant=a").unwrap();
        assert_eq!(url.uri().to_string(), "https://Example.com/T?tenant=a");
    }

    #[test]
    fn origin_is_scheme_host_and_port() {
        let origin = |text: &str| EndpointUrl::parse(text).unwrap().origin();
        assert_eq!(origin("https://Example.com/t?a=b"), "https://example.com:443");
        assert_eq!(origin("http://127.0.0.1:8080/t"), "http://127.0.0.1:8080");
    }

    #[test]
    fn scheme_of_full_uri_is_found() {
        for (uri, expected) in [
            ("https://example.com", Some("https")),
            ("coap+tcp-1.0://example.com", Some("coap+tcp-1.0")),
            ("example.com/a", None),
            ("a b://example.com", None),
            ("example.com?next=https://b", None),
        ] {
            assert_eq!(parse_scheme(uri), expected, "{uri}");
        }
    }

    #[test]
    fn relative_reference_is_resolved_against_host() {
        for (host, relative, expected) in [
            ("example.com", "/token", "https://example.com/token"),
            ("https://example.com/api/v1", "/token", "https://example.com/token"),
            ("http://127.0.0.1:8080/api", "/token", "http://127.0.0.1:8080/token"),
            ("https://example.com/api/", "token", "https://example.com/api/token"),
            ("example.com", "token", "https://example.com/token"),
            ("http://127.0.0.1", "//login.example.com/token", "http://login.example.com/token"),
        ] {
            assert_eq!(resolve_reference(host, relative), expected, "{host} {relative}");
        }
    }
}
