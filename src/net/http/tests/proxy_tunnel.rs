//! Proxies that fail in every way, and ones that work: a fake that says what a test tells it to, and then is a tunnel.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};

use crate::net::http::testing::*;
use crate::net::http::tests::tls::{TestCa, reply_ok, unchanged_params};
use crate::net::http::*;
use crate::net::proxy::{Proxy, ProxyConfig, ProxyCredentials};

/// Says these, one after what the client has said each time, then leads to the port if there is one.
struct FakeProxy {
    port: u16,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl FakeProxy {
    fn new(says: Vec<Vec<u8>>, leads_to: Option<u16>) -> Self {
        Self::with_notifier(says, leads_to, mpsc::channel().0)
    }

    /// Rings `bell` when the client has said something.
    fn with_notifier(says: Vec<Vec<u8>>, leads_to: Option<u16>, bell: mpsc::Sender<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self { port: listener.local_addr().unwrap().port(), received: Arc::default() };
        let heard = Arc::clone(&fake.received);
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                for answer in &says {
                    let mut space = [0; 1024];
                    let Ok(length) = client.read(&mut space) else { break };
                    heard.lock().unwrap().push(space[..length].to_vec());
                    let _ = bell.send(());
                    if answer.is_empty() {
                        let _ = client.read(&mut space);
                    }
                    let _ = client.write_all(answer);
                }
                if let Some(port) = leads_to {
                    relay(&client, &TcpStream::connect(("127.0.0.1", port)).unwrap());
                }
            }
        });
        fake
    }

    fn received_message(&self, place: usize) -> Vec<u8> {
        self.received.lock().unwrap().get(place).cloned().unwrap_or_default()
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

fn send_proxy_error(route: ProxyConfig, call: &CallContext) -> Error {
    let trust = TransportConfig { proxy: route, ..TransportConfig::default() };
    let failure = new_client().send(&post_request(&parse_url(UNREACHABLE_URL)), &trust, call).unwrap_err();
    assert!(!failure.stale_connection && !failure.reached_server, "{failure:?}");
    let text = failure.error.message().to_owned();
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
    failure.error
}

/// The error of an HTTP proxy that says `answer` and hangs up.
fn http_proxy_error(answer: &str, user: Option<(&str, &str)>) -> Error {
    let fake = FakeProxy::new(vec![answer.as_bytes().to_vec()], None);
    let error = send_proxy_error(fake.proxy_config("http", user), &call_with_long_timeout());
    assert_eq!(error.status(), Status::Network, "{error}");
    assert!(error.message().contains(&format!("the proxy 127.0.0.1:{} (ProxyHost) ", fake.port)), "{error}");
    error
}

#[test]
fn connect_tunnel_is_requested_and_reused() {
    let authority = TestCa::new();
    let server = authority.start_server("localhost", unchanged_params, reply_ok);
    let fake = FakeProxy::new(vec![CONNECT_OK.into()], Some(server.port));
    let trust = TransportConfig {
        proxy: fake.proxy_config("http", Some(("j", "hunter2"))),
        ..authority.transport_config()
    };
    let network = new_client();
    let sent = parse_url("https://localhost/token");
    let kept: Vec<_> = (0..2)
        .map(|_| network.send(&post_request(&sent), &trust, &call_with_long_timeout()).unwrap().reused)
        .collect();
    assert_eq!(kept, [false, true]);
    let said = fake.first_message_text();
    assert!(said.starts_with("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n"), "{said}");
    assert!(said.contains("\r\nProxy-Authorization: Basic ajpodW50ZXIy\r\n"), "{said}");
    assert!(!server.requests()[0].to_lowercase().contains("proxy-auth"), "what is for the proxy stays there");
}

#[test]
fn connection_reuse_requires_same_proxy() {
    let authority = TestCa::new();
    let server = authority.start_server("localhost", unchanged_params, reply_ok);
    let fake = FakeProxy::new(vec![CONNECT_OK.into()], Some(server.port));
    let (network, sent) = (new_client(), server.url_with_base("https://localhost", "/token"));
    let kept = |route: ProxyConfig| {
        network
            .send(
                &post_request(&sent),
                &TransportConfig { proxy: route, ..authority.transport_config() },
                &call_with_long_timeout(),
            )
            .unwrap()
            .reused
    };
    assert!(!kept(ProxyConfig::Direct));
    for user in [None, Some(("one", "a")), Some(("one", "b"))] {
        assert!(!kept(fake.proxy_config("http", user)), "{user:?}");
        assert!(kept(fake.proxy_config("http", user)), "{user:?}");
    }
    assert!(kept(ProxyConfig::Direct));
}

#[test]
fn socks5_sends_target_address_and_credentials() {
    let authority = TestCa::new();
    let server = authority.start_server("localhost", unchanged_params, reply_ok);
    let done: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let named: &[u8] = &[5, 0, 0, 3, 2, b'a', b'b', 0, 0];
    for (user, greeting, answers) in [
        (None, vec![5, 1, 0], vec![vec![5, 0], done.to_vec()]),
        (Some(("u", "hunter2")), vec![5, 2, 0, 2], vec![vec![5, 2], vec![1, 0], named.to_vec()]),
    ] {
        let fake = FakeProxy::new(answers, Some(server.port));
        let trust =
            TransportConfig { proxy: fake.proxy_config("socks5", user), ..authority.transport_config() };
        let answer = new_client()
            .send(&post_request(&parse_url("https://localhost/t")), &trust, &call_with_long_timeout())
            .unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(fake.received_message(0), greeting);
        let asked = if user.is_some() {
            assert_eq!(fake.received_message(1), b"\x01\x01u\x07hunter2");
            fake.received_message(2)
        } else {
            fake.received_message(1)
        };
        assert_eq!(asked, b"\x05\x01\x00\x03\x09localhost\x01\xbb");
    }
    let fake = FakeProxy::new(vec![vec![5, 0], vec![5, 4, 0, 1, 0, 0, 0, 0, 0, 0]], None);
    let trust = TransportConfig { proxy: fake.proxy_config("socks5", None), ..TransportConfig::default() };
    let failure = new_client()
        .send(&post_request(&parse_url("https://[2001:db8::1]/")), &trust, &call_with_long_timeout())
        .unwrap_err();
    assert!(failure.error.message().contains("says that the host cannot be reached"), "{}", failure.error);
    assert_eq!(fake.received_message(1)[..7], [5, 1, 0, 4, 0x20, 1, 0xd]);
    assert_eq!(fake.received_message(1).len(), 22);
}

#[test]
fn proxy_auth_error_names_options() {
    let demand =
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let error = http_proxy_error(demand, None);
    assert_eq!(error.option(), Some("ProxyUser"));
    assert!(error.message().contains("demands a user and password (HTTP 407): set ProxyUser and"), "{error}");
    let error = http_proxy_error(demand, Some(("u", "hunter2")));
    assert_eq!(error.option(), Some("ProxyUser"));
    assert!(error.message().contains("did not accept ProxyUser and ProxyPassword (HTTP 407)"), "{error}");
    let error = http_proxy_error(&demand.replace("407", "401"), Some(("u", "hunter2")));
    assert!(error.message().contains("did not accept ProxyUser and ProxyPassword (HTTP 401)"), "{error}");
    let other = "HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM hunter2\r\n\r\n";
    let error = http_proxy_error(other, Some(("u", "p")));
    assert!(
        error.message().contains("authentication by Negotiate, NTLM (HTTP 407), and only Basic"),
        "{error}"
    );
    for echo in ["hunter2-hunter2", "hunter2-", "aHVudGVyMi1odW50ZXIy", "dTpodW50ZXIyLWh1bnRlcjI="] {
        let echo =
            format!("HTTP/1.1 407 x\r\nProxy-Authenticate: Digest\r\nProxy-Authenticate: {echo}\r\n\r\n");
        let error = http_proxy_error(&echo, Some(("u", "hunter2-hunter2")));
        assert!(error.message().contains("authentication by Digest (HTTP 407)"), "{error}");
    }
    for (says, user, words) in [
        (vec![vec![5, 0xff]], None, "demands a user and password (SOCKS5): set ProxyUser"),
        (vec![vec![5, 0xff]], Some(("u", "hunter2")), "takes neither a user"),
        (vec![vec![5, 2], vec![1, 1]], Some(("u", "hunter2")), "did not accept ProxyUser and ProxyPassword"),
    ] {
        let fake = FakeProxy::new(says, None);
        let error = send_proxy_error(fake.proxy_config("socks5", user), &call_with_long_timeout());
        assert_eq!(error.option(), Some("ProxyUser"));
        assert!(error.message().contains(words), "{error}");
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
    for (answer, words) in [
        (
            "HTTP/1.1 502 hunter2\r\n\r\n",
            "answered HTTP 502, so there is no way through it to nowhere.example:443",
        ),
        ("HTTP/1.0 403 Forbidden\r\n\r\n<html>", "answered HTTP 403"),
        ("HTTP/1.1 301 x\r\nLocation: hunter2\r\n\r\n", "answered HTTP 301"),
        ("HTTP/1.1 200 OK\r\n\r\nhunter2", "sent more than its answer"),
        ("HTTP/1.1 20x hunter2\r\n\r\n", "something that is not HTTP"),
        ("SSH-2.0-hunter2\r\n", "does not speak HTTP there; check ProxyPort, or write socks5://"),
        ("\x05\x00", "does not speak HTTP there"),
        ("HTT", "closed the connection"),
        ("HTTP/1.1 200 OK\r\n", "closed the connection"),
        (&long, "more than 16 KiB"),
    ] {
        let error = http_proxy_error(answer, None);
        assert!(error.message().contains(words), "{words}: {error}");
    }
}

#[test]
fn socks5_proxy_failures_are_distinguished() {
    for (says, words) in [
        (
            vec![b"HTTP/1.1 400 x\r\n\r\n".to_vec()],
            "does not speak SOCKS5 there; check ProxyPort, or write http://",
        ),
        (vec![vec![4, 0]], "does not speak SOCKS5"),
        (vec![vec![5]], "closed the connection"),
        (vec![vec![5, 2]], "demands a user"),
        (vec![vec![5, 0], vec![5, 2, 0, 1, 0]], "its rules do not allow this, so there is no way"),
        (vec![vec![5, 0], vec![5, 5, 0, 1, 0]], "the connection was refused"),
        (vec![vec![5, 0], vec![4, 0, 0, 1, 0]], "not SOCKS5"),
        (vec![vec![5, 0], vec![5, 0, 0, 9, 0]], "address of no known kind"),
        (vec![vec![5, 0], vec![5, 0, 0, 3, 200, 1, 2, 3]], "closed the connection"),
    ] {
        let fake = FakeProxy::new(says, None);
        let error = send_proxy_error(fake.proxy_config("socks5", None), &call_with_long_timeout());
        assert_eq!(error.status(), Status::Network);
        assert!(error.message().contains(words), "{words}: {error}");
    }
}

#[test]
fn silent_proxy_times_out_and_is_named() {
    for (scheme, says) in [("http", vec![vec![]]), ("socks5", vec![vec![5, 0], vec![]])] {
        let fake = FakeProxy::new(says, None);
        let call = call_with_timeout_ms(300);
        let error = assert_completes_within(300, || send_proxy_error(fake.proxy_config(scheme, None), &call));
        assert_eq!(error.status(), Status::Timeout);
        let words = "no way to nowhere.example within 0.3 s (LoginTimeout); connected after";
        assert!(error.message().contains(words), "{error}");
        assert!(
            error.message().contains(&format!("the proxy 127.0.0.1:{} did not open it", fake.port)),
            "{error}"
        );
    }
}

#[test]
fn cancel_interrupts_wait_for_proxy() {
    for (scheme, says, rings) in [("http", vec![vec![]], 1), ("socks5", vec![vec![5, 0], vec![]], 2)] {
        let (ring, bell) = mpsc::channel();
        let fake = FakeProxy::with_notifier(says, None, ring);
        let (route, call, network) =
            (fake.proxy_config(scheme, None), call_with_long_timeout(), new_client());
        let trust = TransportConfig { proxy: route, ..TransportConfig::default() };
        std::thread::scope(|scope| {
            let sender =
                scope.spawn(|| network.send(&post_request(&parse_url(UNREACHABLE_URL)), &trust, &call));
            for _ in 0..rings {
                bell.recv_timeout(Duration::from_secs(20)).unwrap();
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
    assert!(
        error.message().contains(&format!("the proxy 127.0.0.1:{port} (ProxyHost): could not")),
        "{error}"
    );
    let deaf = UnresponsiveListener::new();
    let proxy = Proxy::parse(&format!("127.0.0.1:{}", deaf.port()), None, "ProxyHost").unwrap();
    let error = assert_completes_within(300, || {
        send_proxy_error(ProxyConfig::Explicit(proxy), &call_with_timeout_ms(300))
    });
    assert!(error.message().contains(&format!("could not connect to 127.0.0.1:{}", deaf.port())), "{error}");
}

#[test]
fn proxied_host_is_resolved_by_proxy_only() {
    let fake = FakeProxy::new(vec![b"HTTP/1.1 503 x\r\n\r\n".to_vec()], None);
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let names = Arc::clone(&asked);
    let network = client_with_resolver(move |name| {
        names.lock().unwrap().push(name.to_owned());
        Ok(vec!["127.0.0.1:1".parse().unwrap()])
    });
    let trust = TransportConfig { proxy: fake.proxy_config("http", None), ..TransportConfig::default() };
    network.send(&post_request(&parse_url(UNREACHABLE_URL)), &trust, &call_with_long_timeout()).unwrap_err();
    assert!(asked.lock().unwrap().is_empty());
}
