//! The way through a proxy: CONNECT to an HTTP proxy, or SOCKS5, on a line that is connected to it.
//!
//! Inside the deadline and cancel of the call like everything else, and never more than a few KiB are read. Nothing that a
//! proxy sends is repeated but numbers and the names of the authentication schemes that it offers.

use std::io::{self, Read, Write};
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::base::error::{Error, Result, Status};
use crate::base::redact::Redactor;
use crate::base::secret::Secret;
use crate::net::http::request_context::{RequestContext, RequestPhase, SharedStream};
use crate::net::http::tcp::poll_io;
use crate::net::proxy::{Proxy, ProxyCredentials, ProxyScheme};
use crate::sys;

/// No proxy answers CONNECT with more than this.
const MAX_CONNECT_RESPONSE_HEAD: usize = 16 << 10;

/// More headers than these no proxy sends.
const MAX_CONNECT_RESPONSE_HEADERS: usize = 64;

/// Opens the way to the exchange's host through `proxy`, to which `line` leads.
pub(super) fn open_tunnel(proxy: &Proxy, line: &SharedStream, exchange: &RequestContext) -> Result<()> {
    exchange.set_phase(RequestPhase::ProxyTunnel);
    let tunnel = ProxyTunnel { proxy, stream: line, context: exchange };
    match proxy.scheme {
        ProxyScheme::Http => tunnel.connect_http(),
        ProxyScheme::Socks5 => tunnel.connect_socks5(),
    }
}

struct ProxyTunnel<'a> {
    proxy: &'a Proxy,
    stream: &'a SharedStream,
    context: &'a RequestContext,
}

impl ProxyTunnel<'_> {
    fn error(&self, text: &str) -> Error {
        Error::new(Status::Network, "network", format!("{} {text}", self.proxy))
    }

    fn refused_error(&self, text: &str) -> Error {
        self.error(&format!("{text} {}:{}", self.context.host, self.context.port))
    }

    /// An error that is about the user of the proxy.
    fn auth_error(&self, text: &str) -> Error {
        self.error(text).with_option("ProxyUser")
    }

    /// How to tell this proxy who is asking.
    fn credential_option_names(&self) -> String {
        match self.proxy.source {
            "ProxyHost" => "ProxyUser and ProxyPassword".to_owned(),
            variable => format!("the user and password in {variable}, http://user:password@host"),
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent =
                poll_io(self.stream, self.context, |mut stream| stream.write(rest), sys::wait_writable)?;
            let sent = sent.map_err(|error| self.io_error(&error))?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// At least one byte.
    fn receive(&self, space: &mut [u8]) -> Result<usize> {
        let amount = poll_io(self.stream, self.context, |mut stream| stream.read(space), sys::wait_readable)?;
        match amount {
            Ok(0) => {
                Err(self
                    .error("closed the connection instead of opening the way; check its port and its log"))
            }
            Ok(amount) => Ok(amount),
            Err(error) => Err(self.io_error(&error)),
        }
    }

    fn receive_exact(&self, mut space: &mut [u8]) -> Result<()> {
        while !space.is_empty() {
            let amount = self.receive(space)?;
            space = space.get_mut(amount..).unwrap_or_default();
        }
        Ok(())
    }

    fn io_error(&self, error: &io::Error) -> Error {
        self.error(&format!("ended the connection instead of opening the way: {error}"))
    }

    /// RFC 9110 section 9.3.6.
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

    /// The head of the proxy's answer. To a CONNECT that succeeded nothing may follow before we speak.
    fn read_response_head(&self) -> Result<Vec<u8>> {
        let mut head = Vec::new();
        let mut space = [0; 1024];
        loop {
            let amount = self.receive(&mut space)?;
            head.extend_from_slice(space.get(..amount).unwrap_or_default());
            if !b"HTTP/1.".starts_with(head.get(..7).unwrap_or(&head)) {
                return Err(self.error("does not speak HTTP there; check ProxyPort, or write socks5://host"));
            }
            // The end may have begun in what came before.
            let fresh = head.len().saturating_sub(amount.saturating_add(3));
            if head.get(fresh..).is_some_and(|fresh| fresh.windows(4).any(|window| window == b"\r\n\r\n")) {
                return Ok(head);
            }
            if head.len() > MAX_CONNECT_RESPONSE_HEAD {
                return Err(self.error("answered with more than 16 KiB of headers"));
            }
        }
    }

    fn check_response(&self, head: &[u8]) -> Result<()> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_CONNECT_RESPONSE_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let length = match answer.parse(head) {
            Ok(httparse::Status::Complete(length)) => length,
            _ => return Err(self.error("answered with something that is not HTTP")),
        };
        match answer.code.unwrap_or_default() {
            200..300 if length < head.len() => {
                Err(self.error("sent more than its answer; what listens there is no proxy"))
            }
            200..300 => Ok(()),
            // tinyproxy says 401 of a wrong password.
            status @ (401 | 407) => {
                Err(self.auth_required_error(status, &offered_auth_schemes(answer.headers, &self.redactor())))
            }
            status => {
                Err(self.refused_error(&format!("answered HTTP {status}, so there is no way through it to")))
            }
        }
    }

    /// Everything secret that the proxy was sent.
    fn redactor(&self) -> Redactor {
        let user = self.proxy.credentials.iter();
        let sent = user.flat_map(|user| [user.password.clone(), proxy_basic_credentials(user)]);
        Redactor::new(sent.collect::<Vec<_>>().iter())
    }

    fn auth_required_error(&self, status: u16, offered: &[String]) -> Error {
        let credentials = self.credential_option_names();
        let basic = offered.is_empty() || offered.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
        if !basic {
            let offered = offered.join(", ");
            return self.auth_error(&format!(
                "demands authentication by {offered} (HTTP {status}), and only Basic is built in"
            ));
        }
        match &self.proxy.credentials {
            Some(_) => self.auth_error(&format!("did not accept {credentials} (HTTP {status})")),
            None => {
                self.auth_error(&format!("demands a user and password (HTTP {status}): set {credentials}"))
            }
        }
    }

    /// RFC 1928, with RFC 1929 where there is a user.
    fn connect_socks5(&self) -> Result<()> {
        let greeting: &[u8] = if self.proxy.credentials.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
        self.send(greeting)?;
        let mut choice = [0; 2];
        self.receive_exact(&mut choice)?;
        match (choice, &self.proxy.credentials) {
            ([5, 0], _) => {}
            ([5, 2], Some(user)) => self.authenticate_socks5(user)?,
            ([5, 0xff], Some(_)) => {
                return Err(self.auth_error("takes neither a user with a password nor none (SOCKS5)"));
            }
            ([5, _], _) => {
                let text =
                    format!("demands a user and password (SOCKS5): set {}", self.credential_option_names());
                return Err(self.auth_error(&text));
            }
            _ => return Err(self.error("does not speak SOCKS5 there; check ProxyPort, or write http://host")),
        }
        self.send(&socks5_connect_request(&self.context.host, self.context.port))?;
        self.read_socks5_reply()
    }

    fn authenticate_socks5(&self, user: &ProxyCredentials) -> Result<()> {
        let (name, password) = (user.name.reveal().as_bytes(), user.password.reveal().as_bytes());
        // The options were checked; nothing longer comes here.
        let length = |field: &[u8]| [u8::try_from(field.len()).unwrap_or_default()];
        let request = Zeroizing::new([&[1], &length(name)[..], name, &length(password), password].concat());
        self.send(&request)?;
        let mut answer = [0; 2];
        self.receive_exact(&mut answer)?;
        match answer {
            [_, 0] => Ok(()),
            _ => Err(self.auth_error(&format!("did not accept {} (SOCKS5)", self.credential_option_names()))),
        }
    }

    fn read_socks5_reply(&self) -> Result<()> {
        let mut head = [0; 5];
        self.receive_exact(&mut head)?;
        let [version, code, _, kind, first] = head;
        if version != 5 {
            return Err(self.error("answered with something that is not SOCKS5"));
        }
        if code != 0 {
            return Err(self.refused_error(&format!(
                "says that {}, so there is no way through it to",
                socks5_reply_text(code)
            )));
        }
        // One byte of the address is in the head already, and two are the port.
        let rest = match kind {
            1 => 5,
            4 => 17,
            3 => usize::from(first).saturating_add(2),
            _ => return Err(self.error("answered with an address of no known kind")),
        };
        let mut address = [0; 257];
        self.receive_exact(address.get_mut(..rest).unwrap_or_default())
    }
}

fn proxy_authorization_header(user: &ProxyCredentials) -> Zeroizing<String> {
    Zeroizing::new(["Proxy-Authorization: Basic ", proxy_basic_credentials(user).reveal(), "\r\n"].concat())
}

fn proxy_basic_credentials(user: &ProxyCredentials) -> Secret {
    let pair = Zeroizing::new([user.name.reveal(), ":", user.password.reveal()].concat());
    Secret::new(STANDARD.encode(pair.as_bytes()))
}

/// The schemes that are offered, each as far as it is a word and no secret.
fn offered_auth_schemes(headers: &[httparse::Header<'_>], redactor: &Redactor) -> Vec<String> {
    let names = ["proxy-authenticate", "www-authenticate"];
    let offers =
        headers.iter().filter(|header| names.iter().any(|name| header.name.eq_ignore_ascii_case(name)));
    let word = |value: &[u8]| -> String {
        let value = redactor.redact(&String::from_utf8_lossy(value));
        value.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').take(20).collect()
    };
    offers.map(|offer| word(offer.value)).filter(|word| !word.is_empty()).take(8).collect()
}

/// The request to connect. A name is sent as it is, for the proxy to look up.
fn socks5_connect_request(host: &str, port: u16) -> Vec<u8> {
    let address = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => [&[1], &address.octets()[..]].concat(),
        Ok(IpAddr::V6(address)) => [&[4], &address.octets()[..]].concat(),
        // DNS has no longer names.
        Err(_) => {
            let name = host.get(..host.len().min(255)).unwrap_or_default();
            [&[3, u8::try_from(name.len()).unwrap_or_default()], name.as_bytes()].concat()
        }
    };
    [&[5, 1, 0], address.as_slice(), &port.to_be_bytes()].concat()
}

/// RFC 1928 section 6.
fn socks5_reply_text(code: u8) -> &'static str {
    match code {
        1 => "it failed",
        2 => "its rules do not allow this",
        3 => "the network cannot be reached",
        4 => "the host cannot be reached or has no address",
        5 => "the connection was refused",
        6 => "the connection took too long",
        8 => "it knows no addresses of this kind",
        _ => "it does not want to",
    }
}
