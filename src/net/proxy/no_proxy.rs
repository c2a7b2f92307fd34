//! The environment variable `no_proxy`: hosts to which connections are direct.
//!
//! No standard defines its syntax. All forms are accepted that curl, Go, Python and wget accept, and the
//! separators and wildcards of Java and Windows; other entries are reported, because a host that its
//! administrator exempts would silently be connected through the proxy.

use std::net::IpAddr;

use crate::net::proxy::address::{is_host_name, split_port};

/// An entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NoProxyEntry {
    hosts: HostPattern,
    /// The port to which the entry is limited, if any.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum HostPattern {
    /// All hosts: `*`.
    Any,
    /// A domain, in lower case, and its subdomains.
    Domain(String),
    /// The addresses that begin with the first `prefix_len` bits of `address`.
    Network { address: IpAddr, prefix_len: u32 },
}

/// Splits the value of `no_proxy` into its entries.
pub(super) fn split_entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| matches!(c, ',' | ';' | '|') || c.is_whitespace()).filter(|entry| !entry.is_empty())
}

impl NoProxyEntry {
    /// Parses an entry: `*`, a domain, an IP address, the first octets of IPv4 addresses (`10.` or `10.*`), or
    /// a CIDR range. All but a range may have a port. `None` if it can match no host.
    pub(super) fn parse(entry: &str) -> Option<Self> {
        if let Some((network, prefix_len)) = entry.split_once('/') {
            return Some(Self { hosts: parse_cidr(network, prefix_len)?, port: None });
        }
        let (host, port) = split_port(entry)?;
        let hosts = if host == "*" {
            HostPattern::Any
        } else {
            parse_address(host).or_else(|| parse_first_octets(host)).or_else(|| parse_domain(host))?
        };
        Some(Self { hosts, port })
    }

    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.port.is_none_or(|own| own == port)
            && match &self.hosts {
                HostPattern::Any => true,
                HostPattern::Domain(domain) => host
                    .strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
                HostPattern::Network { address, prefix_len } => {
                    host.parse().is_ok_and(|host| has_same_prefix(host, *address, *prefix_len))
                }
            }
    }
}

fn parse_cidr(network: &str, prefix_len: &str) -> Option<HostPattern> {
    let network = network.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(network);
    let (address, prefix_len) = (network.parse().ok()?, prefix_len.parse().ok()?);
    (prefix_len <= address_bits(address).1).then_some(HostPattern::Network { address, prefix_len })
}

fn parse_address(host: &str) -> Option<HostPattern> {
    let address: IpAddr = host.strip_suffix('.').unwrap_or(host).parse().ok()?;
    let address = address.to_canonical();
    Some(HostPattern::Network { address, prefix_len: address_bits(address).1 })
}

/// Parses one to three octets of an IPv4 address that are followed by a dot or by wildcards: `192.168.`,
/// `192.168.*` and `192.168.*.*` are `192.168.0.0/16`.
fn parse_first_octets(host: &str) -> Option<HostPattern> {
    let labels: Vec<&str> = host.split('.').collect();
    let given: Vec<u8> = labels.iter().map_while(|label| label.parse().ok()).collect();
    let rest = labels.get(given.len()..)?;
    if given.is_empty() || rest.is_empty() || labels.len() > 4 {
        return None;
    }
    if !(rest == [""] || rest.iter().all(|label| *label == "*")) {
        return None;
    }
    let mut octets = [0; 4];
    octets.iter_mut().zip(&given).for_each(|(octet, given)| *octet = *given);
    let prefix_len = u32::try_from(given.len()).ok()?.checked_mul(8)?;
    Some(HostPattern::Network { address: IpAddr::from(octets), prefix_len })
}

/// Parses a domain, which may begin with a dot or a wildcard and end with the dot of an absolute name.
fn parse_domain(host: &str) -> Option<HostPattern> {
    let name = host.strip_prefix('*').unwrap_or(host);
    let name = name.strip_prefix('.').unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut labels = name.rsplit('.');
    // A top-level domain is not a number, so `10` and `2.3` match no host.
    let is_number = labels.next().is_none_or(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    let is_domain = is_host_name(name) && !is_number && labels.all(|label| !label.is_empty());
    is_domain.then(|| HostPattern::Domain(name.to_ascii_lowercase()))
}

/// The bits of an address, and their number.
fn address_bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn has_same_prefix(one: IpAddr, other: IpAddr, prefix_len: u32) -> bool {
    // An IPv4 address in IPv6 notation is the IPv4 address, unless the range is one of IPv6.
    let one = if other.is_ipv4() { one.to_canonical() } else { one };
    let ((one, width), (other, other_width)) = (address_bits(one), address_bits(other));
    let prefix = |bits: u128| bits.checked_shr(width.saturating_sub(prefix_len)).unwrap_or(0);
    width == other_width && prefix(one) == prefix(other)
}
