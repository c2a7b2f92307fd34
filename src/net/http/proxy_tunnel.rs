//! Proxy tunnels: HTTP CONNECT and SOCKS5, on a connection to the proxy.
//!
//! The handshake observes the deadline and cancel of the call and reads at most a few KiB. Messages contain
//! nothing that the proxy sent except numbers and the names of the authentication schemes that it offers.

use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::base::error::{Error, NetworkError, Result, io_error_text};
use crate::base::redact::Redactor;
use crate::base::secret::Secret;
use crate::net::header_value::basic_authorization;
use crate::net::http::request_context::RequestContext;
use crate::net::proxy::{Proxy, ProxyCredentials, ProxyScheme};
use crate::net::socket::{self, ConnectionPhase, SharedSocket, SocketContext, SocketError};

/// Maximum length of the response headers of CONNECT, with those of interim responses.
const MAX_CONNECT_RESPONSE_HEAD: usize = 16 << 10;

/// Maximum number of response headers of CONNECT.
const MAX_CONNECT_RESPONSE_HEADERS: usize = 64;

/// Establishes a tunnel to the host of the request on `stream`, which is connected to `proxy`.
pub(super) fn open_tunnel(proxy: &Proxy, stream: &SharedSocket, context: &RequestContext) -> Result<()> {
    context.set_phase(ConnectionPhase::ProxyTunnel);
    let tunnel = ProxyTunnel { proxy, stream, context };
    match proxy.scheme {
        ProxyScheme::Http => tunnel.connect_http(),
        ProxyScheme::Socks5 => tunnel.connect_socks5(),
    }
}

struct ProxyTunnel<'a> {
    proxy: &'a Proxy,
    stream: &'a SharedSocket,
    context: &'a RequestContext,
}

impl ProxyTunnel<'_> {
    fn error(&self, text: &str) -> Error {
        Error::new(NetworkError::Connection, "network", format!("{} {text}", self.proxy))
    }

    fn refused_error(&self, reason: &str) -> Error {
        self.error(&format!("refused CONNECT to {}:{} ({reason})", self.context.host, self.context.port))
    }

    /// Returns an error that concerns the proxy's credentials.
    fn auth_error(&self, text: &str) -> Error {
        self.error(text).with_option("ProxyUser")
    }

    /// Names the options, or the environment variable, that hold the credentials.
    fn credential_option_names(&self) -> String {
        match self.proxy.source {
            "ProxyHost" => "ProxyUser and ProxyPassword".to_owned(),
            variable => format!("the user and password in {variable} (http://user:password@host)"),
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        let mut unsent = bytes;
        while !unsent.is_empty() {
            let sent =
                socket::send(self.stream, self.context, unsent).map_err(|error| self.stream_error(error))?;
            unsent = unsent.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Receives at least one byte.
    fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        let amount =
            socket::receive(self.stream, self.context, buffer).map_err(|error| self.stream_error(error))?;
        if amount == 0 {
            return Err(self.error("closed the connection during the handshake; check its port and its log"));
        }
        Ok(amount)
    }

    fn receive_exact(&self, mut buffer: &mut [u8]) -> Result<()> {
        while !buffer.is_empty() {
            let amount = self.receive(buffer)?;
            buffer = buffer.get_mut(amount..).unwrap_or_default();
        }
        Ok(())
    }

    fn stream_error(&self, error: SocketError) -> Error {
        match error {
            SocketError::Call(error) => error,
            SocketError::Socket(error) => {
                self.error(&format!("failed during the handshake: {}", io_error_text(&error)))
            }
        }
    }

    /// Sends CONNECT (RFC 9110 section 9.3.6).
    fn connect_http(&self) -> Result<()> {
        let host = match self.context.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.context.host.clone(),
        };
        let authority = format!("{host}:{}", self.context.port);
        let agent = concat!("authgrant/", env!("CARGO_PKG_VERSION"));
        let authorization =
            self.proxy.credentials.as_ref().map(proxy_authorization_header).unwrap_or_default();
        let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\n");
        let request = Zeroizing::new([head.as_str(), authorization.as_str(), "\r\n"].concat());
        self.send(request.as_bytes())?;
        let head = self.read_response_head()?;
        self.check_response(&head)
    }

    /// Reads the head of the proxy's final response; the interim responses (1xx) before it are skipped (RFC
    /// 9110 section 15.2). Nothing may follow the head of a successful response before the client sends data.
    fn read_response_head(&self) -> Result<Vec<u8>> {
        let (mut head, mut received) = (Vec::new(), 0_usize);
        let mut buffer = [0; 1024];
        loop {
            let amount = self.receive(&mut buffer)?;
            received = received.saturating_add(amount);
            head.extend_from_slice(buffer.get(..amount).unwrap_or_default());
            self.check_is_http(&head)?;
            while let Some(end) = find_end_of_head(&head) {
                if !is_interim_response(&head) {
                    return Ok(head);
                }
                head.drain(..end);
                self.check_is_http(&head)?;
            }
            if received > MAX_CONNECT_RESPONSE_HEAD {
                return Err(self.error("sent more than 16 KiB of response headers"));
            }
        }
    }

    /// Fails if `head`, which may be incomplete, is not the beginning of an HTTP response.
    fn check_is_http(&self, head: &[u8]) -> Result<()> {
        if b"HTTP/1.".starts_with(head.get(..7).unwrap_or(head)) {
            return Ok(());
        }
        Err(self.error("sent a response that is not HTTP; check ProxyPort, or use socks5://host"))
    }

    fn check_response(&self, head: &[u8]) -> Result<()> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_CONNECT_RESPONSE_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(head) {
            Ok(httparse::Status::Complete(length)) => length,
            _ => return Err(self.error("sent a malformed HTTP response")),
        };
        match response.code.unwrap_or_default() {
            200..300 if length < head.len() => {
                Err(self.error("sent unexpected data after its response; it is probably not a proxy"))
            }
            200..300 => Ok(()),
            // tinyproxy responds with 401 to a wrong password.
            status @ (401 | 407) => {
                Err(self
                    .auth_required_error(status, &offered_auth_schemes(response.headers, &self.redactor())))
            }
            status => Err(self.refused_error(&format!("HTTP {status}"))),
        }
    }

    /// Redactor for the secrets that were sent to the proxy.
    fn redactor(&self) -> Redactor {
        let sent = self
            .proxy
            .credentials
            .iter()
            .flat_map(|credentials| [credentials.password.clone(), proxy_authorization(credentials)]);
        Redactor::new(sent.collect::<Vec<_>>().iter())
    }

    fn auth_required_error(&self, status: u16, offered: &[String]) -> Error {
        let credentials = self.credential_option_names();
        let basic = offered.is_empty() || offered.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
        if !basic {
            let offered = offered.join(", ");
            return self.auth_error(&format!(
                "requires authentication by {offered} (HTTP {status}), but only Basic is supported"
            ));
        }
        match &self.proxy.credentials {
            Some(_) => self.auth_error(&format!("rejected {credentials} (HTTP {status})")),
            None => {
                self.auth_error(&format!("requires a user and password (HTTP {status}); set {credentials}"))
            }
        }
    }

    /// Performs the SOCKS5 handshake (RFC 1928), with credentials as in RFC 1929.
    fn connect_socks5(&self) -> Result<()> {
        let greeting: &[u8] = if self.proxy.credentials.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
        self.send(greeting)?;
        let mut selection = [0; 2];
        self.receive_exact(&mut selection)?;
        match (selection, &self.proxy.credentials) {
            ([5, 0], _) => {}
            ([5, 2], Some(credentials)) => self.authenticate_socks5(credentials)?,
            ([5, 0xff], Some(_)) => {
                return Err(self.auth_error("supports no acceptable SOCKS5 authentication method"));
            }
            ([5, _], _) => {
                let text =
                    format!("requires a user and password (SOCKS5); set {}", self.credential_option_names());
                return Err(self.auth_error(&text));
            }
            _ => {
                return Err(
                    self.error("sent a response that is not SOCKS5; check ProxyPort, or use http://host")
                );
            }
        }
        self.send(&socks5_connect_request(&self.context.host, self.context.port))?;
        self.read_socks5_reply()
    }

    fn authenticate_socks5(&self, credentials: &ProxyCredentials) -> Result<()> {
        let (name, password) =
            (credentials.name.reveal().as_bytes(), credentials.password.reveal().as_bytes());
        // Longer credentials were rejected when the options were read.
        let length = |field: &[u8]| [u8::try_from(field.len()).unwrap_or_default()];
        let request = Zeroizing::new([&[1], &length(name)[..], name, &length(password), password].concat());
        self.send(&request)?;
        let mut response = [0; 2];
        self.receive_exact(&mut response)?;
        match response {
            [_, 0] => Ok(()),
            _ => Err(self.auth_error(&format!("rejected {} (SOCKS5)", self.credential_option_names()))),
        }
    }

    fn read_socks5_reply(&self) -> Result<()> {
        let mut head = [0; 5];
        self.receive_exact(&mut head)?;
        let [version, code, _, address_type, first] = head;
        if version != 5 {
            return Err(self.error("sent a malformed SOCKS5 reply"));
        }
        if code != 0 {
            return Err(self.refused_error(&format!("SOCKS5 error {code}: {}", socks5_reply_text(code))));
        }
        // The head already contains one byte of the address; the port has two bytes.
        let rest = match address_type {
            1 => 5,
            4 => 17,
            3 => usize::from(first).saturating_add(2),
            _ => return Err(self.error("sent a SOCKS5 reply with an unknown address type")),
        };
        let mut address = [0; 257];
        self.receive_exact(address.get_mut(..rest).unwrap_or_default())
    }
}

/// Returns the length of a response head with its empty line. A line may end without CR (RFC 9112 section
/// 2.2).
fn find_end_of_head(bytes: &[u8]) -> Option<usize> {
    let line_ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(index, _)| index);
    line_ends.map(|index| index.saturating_add(1)).find_map(|start| {
        let rest = bytes.get(start..)?;
        let empty_line = [b"\r\n".as_slice(), b"\n"].into_iter().find(|line| rest.starts_with(line))?;
        Some(start.saturating_add(empty_line.len()))
    })
}

/// Whether the status is 1xx. 101 is final (RFC 9110 section 15.2.2).
fn is_interim_response(head: &[u8]) -> bool {
    let status = head.get("HTTP/1.1 ".len()..).and_then(|rest| rest.get(..3));
    status.is_some_and(|status| status.starts_with(b"1") && status != b"101")
}

fn proxy_authorization_header(credentials: &ProxyCredentials) -> Zeroizing<String> {
    Zeroizing::new(["Proxy-Authorization: ", proxy_authorization(credentials).reveal(), "\r\n"].concat())
}

fn proxy_authorization(credentials: &ProxyCredentials) -> Secret {
    basic_authorization(credentials.name.reveal(), credentials.password.reveal())
}

/// Returns the names of the offered authentication schemes, with secrets redacted.
fn offered_auth_schemes(headers: &[httparse::Header<'_>], redactor: &Redactor) -> Vec<String> {
    let header_names = ["proxy-authenticate", "www-authenticate"];
    let offers = headers
        .iter()
        .filter(|header| header_names.iter().any(|name| header.name.eq_ignore_ascii_case(name)));
    let scheme_name = |value: &[u8]| -> String {
        let value = redactor.redact(&String::from_utf8_lossy(value));
        value.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').take(20).collect()
    };
    offers.map(|offer| scheme_name(offer.value)).filter(|name| !name.is_empty()).take(8).collect()
}

/// Builds the CONNECT request. A host name is sent unresolved: the proxy resolves it.
fn socks5_connect_request(host: &str, port: u16) -> Vec<u8> {
    let address = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => [&[1], &address.octets()[..]].concat(),
        Ok(IpAddr::V6(address)) => [&[4], &address.octets()[..]].concat(),
        // DNS names have at most 255 bytes.
        Err(_) => {
            let name = host.get(..host.len().min(255)).unwrap_or_default();
            [&[3, u8::try_from(name.len()).unwrap_or_default()], name.as_bytes()].concat()
        }
    };
    [&[5, 1, 0], address.as_slice(), &port.to_be_bytes()].concat()
}

/// Describes a reply code (RFC 1928 section 6).
fn socks5_reply_text(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by the ruleset",
        3 => "network unreachable",
        4 => "host unreachable or unknown",
        5 => "connection refused",
        6 => "TTL expired",
        8 => "address type not supported",
        _ => "unspecified error",
    }
}
