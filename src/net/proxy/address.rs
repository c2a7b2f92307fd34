//! Host and port of a proxy, or of an entry of `no_proxy`.

use std::net::Ipv6Addr;

use crate::base::url::MAX_HOST_LEN;

/// Splits a host name or an IP address from its port, if any. Brackets of an IPv6 address are removed.
pub(super) fn split_host_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = split_port(text)?;
    (host.parse::<Ipv6Addr>().is_ok() || is_host_name(host)).then_some((host, port))
}

/// Like [`split_host_port`], but does not check the host.
pub(super) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
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
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let parse_port = |port: &str| port.parse().ok().filter(|port| *port > 0);
    match port {
        Some(port) => Some((host, Some(parse_port(port)?))),
        None => Some((host, None)),
    }
}

pub(super) fn is_host_name(text: &str) -> bool {
    (1..=MAX_HOST_LEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}
