//! Tests of HTTP CONNECT and SOCKS5 with a fake proxy, which sends scripted replies and then relays to a
//! port.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::base::error::Status;
use crate::base::url::EndpointUrl;
use crate::net::http::testing::*;
use crate::net::http::tests::tls::{TestCa, reply_ok, unchanged_params};
use crate::net::http::*;
use crate::net::proxy::{Proxy, ProxyConfig, ProxyCredentials};

/// A fake proxy: sends one reply after each client message, then relays to a port if one is given.
struct FakeProxy {
    port: u16,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl FakeProxy {
    fn new(replies: Vec<Vec<u8>>, forward_to: Option<u16>) -> Self {
        Self::with_notifier(replies, forward_to, mpsc::channel().0)
    }

    /// Notifies `notifier` after each client message.
    fn with_notifier(replies: Vec<Vec<u8>>, forward_to: Option<u16>, notifier: mpsc::Sender<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self { port: listener.local_addr().unwrap().port(), received: Arc::default() };
        let received = Arc::clone(&fake.received);
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                for response in &replies {
                    let mut buffer = [0; 1024];
                    let Ok(length) = client.read(&mut buffer) else { break };
                    received.lock().unwrap().push(buffer[..length].to_vec());
                    let _ = notifier.send(());
                    if response.is_empty() {
                        let _ = client.read(&mut buffer);
                    }
                    let _ = client.write_all(response);
                }
                if let Some(port) = forward_to {
                    relay(&client, &TcpStream::connect(("127.0.0.1", port)).unwrap());
                }
            }
        });
        fake
    }

    fn received_message(&self, index: usize) -> Vec<u8> {
        self.received.lock().unwrap().get(index).cloned().unwrap_or_default()
    }

    fn first_message_text(&self) -> String {
        String::from_utf8(self.received_message(0)).unwrap()
    }

    fn proxy_config(&self, scheme: &str, user: Option<(&str, &str)>) -> ProxyConfig {
        let address = format!("{scheme}://127.0.0.1:{}", self.port);
        let mut proxy = Proxy::parse(&address, None, "ProxyHost").unwrap();
        proxy.credentials =
            user.map(|(name, password)| ProxyCredentials { name: name.into(), password: password.into() });
        ProxyConfig::Explicit(proxy)
    }
}

fn relay(one: &TcpStream, other: &TcpStream) {
    for (mut from, mut to) in
        [(one, other), (other, one)].map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()))
    {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    }
}

const CONNECT_OK: &str = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
const UNREACHABLE_URL: &str = "https://nowhere.example/token";

fn parse_url(text: &str) -> EndpointUrl {
    EndpointUrl::parse(text).unwrap()
}

fn send_proxy_error(proxy_config: ProxyConfig, call: &CallContext) -> Error {
    let config = TransportConfig { proxy: proxy_config, ..TransportConfig::default() };
    let failure = new_client().send(&post_request(&parse_url(UNREACHABLE_URL)), &config, call).unwrap_err();
    assert!(!failure.stale_connection && !failure.reached_server, "{failure:?}");
    let text = failure.error.message();
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
    failure.error
}

/// Returns the error for an HTTP proxy that sends `response` and closes the connection.
fn http_proxy_error(response: &str, user: Option<(&str, &str)>) -> Error {
    let fake = FakeProxy::new(vec![response.as_bytes().to_vec()], None);
    let error = send_proxy_error(fake.proxy_config("http", user), &call_with_long_timeout());
    assert_eq!(error.status(), Status::Network, "{error}");
    assert!(error.message().contains(&format!("the proxy 127.0.0.1:{} (ProxyHost) ", fake.port)), "{error}");
    error
}

#[test]
fn connect_tunnel_is_requested_and_reused() {
    let ca = TestCa::new();
    let server = ca.start_server("localhost", unchanged_params, reply_ok);
    let fake = FakeProxy::new(vec![CONNECT_OK.into()], Some(server.port));
    let config =
        TransportConfig { proxy: fake.proxy_config("http", Some(("j", "hunter2"))), ..ca.transport_config() };
    let client = new_client();
    let url = parse_url("https://localhost/token");
    let reused: Vec<_> = (0..2)
        .map(|_| client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap().reused)
        .collect();
    assert_eq!(reused, [false, true]);
    let connect_request = fake.first_message_text();
    assert!(
        connect_request.starts_with("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n"),
        "{connect_request}"
    );
    assert!(connect_request.contains("\r\nProxy-Authorization: Basic ajpodW50ZXIy\r\n"), "{connect_request}");
    assert!(
        !server.requests()[0].to_lowercase().contains("proxy-auth"),
        "the credentials are not sent to the server"
    );
}

#[test]
fn interim_responses_of_proxy_are_skipped() {
    let ca = TestCa::new();
    let server = ca.start_server("localhost", unchanged_params, reply_ok);
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.0 100 Continue\r\nProxy-Agent: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 100\n\n",
    ] {
        let response = [interim, CONNECT_OK].concat();
        let fake = FakeProxy::new(vec![response.into()], Some(server.port));
        let config = TransportConfig { proxy: fake.proxy_config("http", None), ..ca.transport_config() };
        let url = parse_url("https://localhost/token");
        let response = new_client().send(&post_request(&url), &config, &call_with_long_timeout());
        assert_eq!(response.unwrap_or_else(|failure| panic!("{interim}: {failure:?}")).status, 200);
    }
}

#[test]
fn connection_reuse_requires_same_proxy() {
    let ca = TestCa::new();
    let server = ca.start_server("localhost", unchanged_params, reply_ok);
    let fake = FakeProxy::new(vec![CONNECT_OK.into()], Some(server.port));
    let (client, url) = (new_client(), server.url_with_base("https://localhost", "/token"));
    let reused = |proxy_config: ProxyConfig| {
        client
            .send(
                &post_request(&url),
                &TransportConfig { proxy: proxy_config, ..ca.transport_config() },
                &call_with_long_timeout(),
            )
            .unwrap()
            .reused
    };
    assert!(!reused(ProxyConfig::Direct));
    for user in [None, Some(("one", "a")), Some(("one", "b"))] {
        assert!(!reused(fake.proxy_config("http", user)), "{user:?}");
        assert!(reused(fake.proxy_config("http", user)), "{user:?}");
    }
    assert!(reused(ProxyConfig::Direct));
}

#[test]
fn socks5_sends_target_address_and_credentials() {
    let ca = TestCa::new();
    let server = ca.start_server("localhost", unchanged_params, reply_ok);
    let ipv4_reply: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let name_reply: &[u8] = &[5, 0, 0, 3, 2, b'a', b'b', 0, 0];
    for (user, greeting, replies) in [
        (None, vec![5, 1, 0], vec![vec![5, 0], ipv4_reply.to_vec()]),
        (Some(("u", "hunter2")), vec![5, 2, 0, 2], vec![vec![5, 2], vec![1, 0], name_reply.to_vec()]),
    ] {
        let fake = FakeProxy::new(replies, Some(server.port));
        let config = TransportConfig { proxy: fake.proxy_config("socks5", user), ..ca.transport_config() };
        let response = new_client()
            .send(&post_request(&parse_url("https://localhost/t")), &config, &call_with_long_timeout())
            .unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(fake.received_message(0), greeting);
        let connect_request = if user.is_some() {
            assert_eq!(fake.received_message(1), b"\x01\x01u\x07hunter2");
            fake.received_message(2)
        } else {
            fake.received_message(1)
        };
        assert_eq!(connect_request, b"\x05\x01\x00\x03\x09localhost\x01\xbb");
    }
    let fake = FakeProxy::new(vec![vec![5, 0], vec![5, 4, 0, 1, 0, 0, 0, 0, 0, 0]], None);
    let config = TransportConfig { proxy: fake.proxy_config("socks5", None), ..TransportConfig::default() };
    let failure = new_client()
        .send(&post_request(&parse_url("https://[2001:db8::1]/")), &config, &call_with_long_timeout())
        .unwrap_err();
    assert!(failure.error.message().contains("SOCKS5 error 4"), "{}", failure.error);
    assert_eq!(fake.received_message(1)[..7], [5, 1, 0, 4, 0x20, 1, 0xd]);
    assert_eq!(fake.received_message(1).len(), 22);
}

#[test]
fn ipv6_target_of_connect_is_in_brackets() {
    let fake = FakeProxy::new(vec![b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec()], None);
    let config = TransportConfig { proxy: fake.proxy_config("http", None), ..TransportConfig::default() };
    let url = parse_url("https://[2001:db8::1]/");
    new_client().send(&post_request(&url), &config, &call_with_long_timeout()).unwrap_err();
    let request = fake.first_message_text();
    assert!(
        request.starts_with("CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"),
        "{request}"
    );
}

#[test]
fn proxy_auth_error_names_options() {
    let challenge =
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let error = http_proxy_error(challenge, None);
    assert_eq!(error.option(), Some("ProxyUser"));
    assert!(error.message().contains("set ProxyUser and ProxyPassword"), "{error}");
    let error = http_proxy_error(challenge, Some(("u", "hunter2")));
    assert_eq!(error.option(), Some("ProxyUser"));
    assert!(error.message().contains("ProxyUser and ProxyPassword (HTTP 407)"), "{error}");
    let error = http_proxy_error(&challenge.replace("407", "401"), Some(("u", "hunter2")));
    assert!(error.message().contains("ProxyUser and ProxyPassword (HTTP 401)"), "{error}");
    let other = "HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM hunter2\r\n\r\n";
    let error = http_proxy_error(other, Some(("u", "p")));
    assert!(error.message().contains("by Negotiate, NTLM (HTTP 407)"), "{error}");
    for echo in ["hunter2-hunter2", "hunter2-", "aHVudGVyMi1odW50ZXIy", "dTpodW50ZXIyLWh1bnRlcjI="] {
        let echo =
            format!("HTTP/1.1 407 x\r\nProxy-Authenticate: Digest\r\nProxy-Authenticate: {echo}\r\n\r\n");
        let error = http_proxy_error(&echo, Some(("u", "hunter2-hunter2")));
        assert!(error.message().contains("by Digest (HTTP 407)"), "{error}");
    }
    for (replies, user, expected) in [
        (vec![vec![5, 0xff]], None, "(SOCKS5); set ProxyUser"),
        (vec![vec![5, 0xff]], Some(("u", "hunter2")), "no acceptable SOCKS5"),
        (
            vec![vec![5, 2], vec![1, 1]],
            Some(("u", "hunter2")),
            "rejected ProxyUser and ProxyPassword (SOCKS5)",
        ),
    ] {
        let fake = FakeProxy::new(replies, None);
        let error = send_proxy_error(fake.proxy_config("socks5", user), &call_with_long_timeout());
        assert_eq!(error.option(), Some("ProxyUser"));
        assert!(error.message().contains(expected), "{error}");
    }
}

#[test]
fn env_proxy_auth_error_names_variable() {
    let fake = FakeProxy::new(vec![b"HTTP/1.1 407 x\r\n\r\n".to_vec()], None);
    let value = format!("http://127.0.0.1:{}", fake.port);
    let proxy = Proxy::parse(&value, None, "https_proxy");
    let error =
        send_proxy_error(ProxyConfig::FromEnv { proxy, no_proxy: Vec::new() }, &call_with_long_timeout());
    assert!(error.message().contains("(https_proxy)"), "{error}");
    assert!(error.message().contains("set the user and password in https_proxy"), "{error}");
}

#[test]
fn http_proxy_failures_are_distinguished() {
    let long = format!("HTTP/1.1 200 x\r\nX: {}", "x".repeat(20_000));
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000);
    for (response, expected) in [
        ("HTTP/1.1 502 hunter2\r\n\r\n", "CONNECT to nowhere.example:443 (HTTP 502)"),
        ("HTTP/1.0 403 Forbidden\r\n\r\n<html>", "(HTTP 403)"),
        ("HTTP/1.1 301 x\r\nLocation: hunter2\r\n\r\n", "(HTTP 301)"),
        ("HTTP/1.1 200 OK\r\n\r\nhunter2", "unexpected data"),
        ("HTTP/1.1 20x hunter2\r\n\r\n", "malformed HTTP"),
        ("SSH-2.0-hunter2\r\n", "not HTTP; check ProxyPort, or use socks5://"),
        ("\x05\x00", "not HTTP; check"),
        ("HTT", "closed the connection"),
        ("HTTP/1.1 200 OK\r\n", "closed the connection"),
        (&long, "more than 16 KiB"),
        (&endless, "more than 16 KiB"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "closed the connection"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\r\n\r\n", "(HTTP 503)"),
        ("HTTP/1.1 100 Continue\r\n\r\nhunter2", "not HTTP"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhunter2", "unexpected data"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "(HTTP 101)"),
        ("HTTP/1.1 403 x\n\n", "(HTTP 403)"),
    ] {
        let error = http_proxy_error(response, None);
        assert!(error.message().contains(expected), "{expected}: {error}");
    }
}

#[test]
fn socks5_proxy_failures_are_distinguished() {
    for (replies, expected) in [
        (vec![b"HTTP/1.1 400 x\r\n\r\n".to_vec()], "not SOCKS5; check ProxyPort, or use http://"),
        (vec![vec![4, 0]], "not SOCKS5; check"),
        (vec![vec![5]], "closed the connection"),
        (vec![vec![5, 2]], "requires a user"),
        (vec![vec![5, 0], vec![5, 2, 0, 1, 0]], "SOCKS5 error 2"),
        (vec![vec![5, 0], vec![5, 1, 0, 1, 0]], "SOCKS5 error 1: general failure"),
        (vec![vec![5, 0], vec![5, 3, 0, 1, 0]], "SOCKS5 error 3: network unreachable"),
        (vec![vec![5, 0], vec![5, 5, 0, 1, 0]], "SOCKS5 error 5"),
        (vec![vec![5, 0], vec![5, 6, 0, 1, 0]], "SOCKS5 error 6: TTL expired"),
        (vec![vec![5, 0], vec![5, 8, 0, 1, 0]], "SOCKS5 error 8: address type not supported"),
        (vec![vec![5, 0], vec![5, 200, 0, 1, 0]], "SOCKS5 error 200: unspecified error"),
        // An IPv6 address of 16 bytes and a port, of which one byte is missing.
        (vec![vec![5, 0], [&[5, 0, 0, 4][..], &[0; 17]].concat()], "closed the connection"),
        (vec![vec![5, 0], vec![4, 0, 0, 1, 0]], "malformed SOCKS5"),
        (vec![vec![5, 0], vec![5, 0, 0, 9, 0]], "unknown address type"),
        (vec![vec![5, 0], vec![5, 0, 0, 3, 200, 1, 2, 3]], "closed the connection"),
    ] {
        let fake = FakeProxy::new(replies, None);
        let error = send_proxy_error(fake.proxy_config("socks5", None), &call_with_long_timeout());
        assert_eq!(error.status(), Status::Network);
        assert!(error.message().contains(expected), "{expected}: {error}");
    }
}

#[test]
fn silent_proxy_times_out_and_is_named() {
    for (scheme, replies) in [("http", vec![vec![]]), ("socks5", vec![vec![5, 0], vec![]])] {
        let fake = FakeProxy::new(replies, None);
        let call = call_with_timeout_ms(300);
        let error = assert_completes_within(300, || send_proxy_error(fake.proxy_config(scheme, None), &call));
        assert_eq!(error.status(), Status::Timeout);
        let expected = "nowhere.example within 0.3 s (LoginTimeout); connected after";
        assert!(error.message().contains(expected), "{error}");
        assert!(error.message().contains(&format!("the proxy 127.0.0.1:{} ", fake.port)), "{error}");
    }
}

#[test]
fn cancel_interrupts_wait_for_proxy() {
    for (scheme, replies, messages) in [("http", vec![vec![]], 1), ("socks5", vec![vec![5, 0], vec![]], 2)] {
        let (notifier, received) = mpsc::channel();
        let fake = FakeProxy::with_notifier(replies, None, notifier);
        let (proxy_config, call, client) =
            (fake.proxy_config(scheme, None), call_with_long_timeout(), new_client());
        let config = TransportConfig { proxy: proxy_config, ..TransportConfig::default() };
        std::thread::scope(|scope| {
            let sender =
                scope.spawn(|| client.send(&post_request(&parse_url(UNREACHABLE_URL)), &config, &call));
            for _ in 0..messages {
                received.recv_timeout(Duration::from_secs(20)).unwrap();
            }
            call.cancel.cancel();
            let failure = assert_completes_within(0, || sender.join().unwrap()).unwrap_err();
            assert_eq!(failure.error.status(), Status::Cancelled);
        });
    }
}

#[test]
fn unreachable_proxy_is_named_in_error() {
    let port = unused_port();
    let proxy = Proxy::parse(&format!("127.0.0.1:{port}"), None, "ProxyHost").unwrap();
    let error = send_proxy_error(ProxyConfig::Explicit(proxy), &call_with_long_timeout());
    assert_eq!(error.status(), Status::Network);
    assert!(error.message().contains(&format!("the proxy 127.0.0.1:{port} (ProxyHost): ")), "{error}");
    let unresponsive = UnresponsiveListener::new();
    let proxy = Proxy::parse(&format!("127.0.0.1:{}", unresponsive.port()), None, "ProxyHost").unwrap();
    let error = assert_completes_within(300, || {
        send_proxy_error(ProxyConfig::Explicit(proxy), &call_with_timeout_ms(300))
    });
    assert!(error.message().contains(&format!("connecting to 127.0.0.1:{}", unresponsive.port())), "{error}");
}

#[test]
fn proxied_host_is_resolved_by_proxy_only() {
    let fake = FakeProxy::new(vec![b"HTTP/1.1 503 x\r\n\r\n".to_vec()], None);
    let resolved = Arc::<Mutex<Vec<String>>>::default();
    let names = Arc::clone(&resolved);
    let client = client_with_resolver(move |name| {
        names.lock().unwrap().push(name.to_owned());
        Ok(vec!["127.0.0.1:1".parse().unwrap()])
    });
    let config = TransportConfig { proxy: fake.proxy_config("http", None), ..TransportConfig::default() };
    client.send(&post_request(&parse_url(UNREACHABLE_URL)), &config, &call_with_long_timeout()).unwrap_err();
    assert!(resolved.lock().unwrap().is_empty());
}
