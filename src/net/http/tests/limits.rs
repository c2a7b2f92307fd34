use std::sync::{Arc, Mutex, mpsc};

use crate::base::file::ConfiguredPath;
use crate::net::http::testing::*;
use crate::net::http::*;

#[test]
fn timeout_without_response_reports_nothing_received() {
    let server = TestServer::start_plain(|_, _| ServerReply::NoResponse);
    let call = call_with_timeout_ms(300);
    let error =
        assert_completes_within(300, || send_post(&new_client(), &server.url(), &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout);
    let text = error.message();
    assert!(text.contains("no answer from 127.0.0.1 within 0.3 s (LoginTimeout); connected after"), "{text}");
    assert!(text.ends_with("then nothing was received"), "{text}");
}

#[test]
fn timeout_of_slow_response_reports_received_bytes() {
    for head in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"] {
        let server = TestServer::start_plain(move |number, _| match (number, head) {
            (_, "") => ServerReply::Drip(ok_response(&"x".repeat(5000))),
            _ => ServerReply::Drip(head.bytes().chain([b'x'; 5000]).collect()),
        });
        let call = call_with_timeout_ms(400);
        let error = assert_completes_within(400, || send_post(&new_client(), &server.url(), &call))
            .unwrap_err()
            .error;
        assert_eq!(error.status(), Status::Timeout);
        assert!(error.message().contains(" bytes were received"), "{error}");
    }
}

#[test]
fn connect_times_out_at_deadline() {
    let deaf = UnresponsiveListener::new();
    let call = call_with_timeout_ms(300);
    let error =
        assert_completes_within(300, || send_post(&new_client(), &deaf.url(), &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("could not connect to 127.0.0.1"), "{error}");
}

#[test]
fn cancel_interrupts_connect() {
    let (deaf, heard, mut call) =
        (UnresponsiveListener::new(), Arc::<LogRecorder>::default(), call_with_long_timeout());
    heard.attach(&mut call);
    let failure = cancel_after(&heard.subscribe(), &new_client(), &deaf.url(), &call);
    assert_eq!(failure.error.status(), Status::Cancelled);
}

#[test]
fn cancel_interrupts_wait_for_response() {
    let (arrived, bell) = mpsc::channel();
    let arrived = Mutex::new(arrived);
    let server = TestServer::start_plain(move |_, _| {
        arrived.lock().unwrap().send(()).unwrap();
        ServerReply::NoResponse
    });
    let failure = cancel_after(&bell, &new_client(), &server.url(), &call_with_long_timeout());
    assert_eq!(failure.error.status(), Status::Cancelled);
    assert!(!failure.stale_connection);
}

#[test]
fn cancel_leaves_other_requests_running() {
    let (arrived, bell) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let (arrived, gate) = (Mutex::new(arrived), Mutex::new(gate));
    let server = TestServer::start_plain(move |_, text| {
        arrived.lock().unwrap().send(()).unwrap();
        if text.contains("/waits") {
            gate.lock().unwrap().recv().unwrap();
            return ServerReply::KeepAlive(ok_response("{}"));
        }
        ServerReply::NoResponse
    });
    let network = new_client();
    let other = server.url_with_base("http://127.0.0.1", "/waits");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| send_post(&network, &other, &call_with_long_timeout()));
        bell.recv().unwrap();
        let failure = cancel_after(&bell, &network, &server.url(), &call_with_long_timeout());
        assert_eq!(failure.error.status(), Status::Cancelled);
        go.send(()).unwrap();
        assert_eq!(waits.join().unwrap().unwrap().status, 200);
    });
}

#[test]
fn late_cancel_spares_call_reusing_connection() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let (network, first) = (new_client(), call_with_long_timeout());
    send_post(&network, &server.url(), &first).unwrap();
    first.cancel.cancel();
    assert!(send_post(&network, &server.url(), &call_with_long_timeout()).unwrap().reused);
    let error = send_post(&network, &server.url(), &first).unwrap_err().error;
    assert_eq!(error.status(), Status::Cancelled);
}

#[test]
fn connection_is_reused_until_closed() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let network = new_client();
    let kept: Vec<bool> = [call_with_long_timeout(), call_with_timeout_ms(20_000), CallContext::unbounded()]
        .iter()
        .map(|call| send_post(&network, &server.url(), call).unwrap().reused)
        .collect();
    assert_eq!(kept, [false, true, true]);
    assert_eq!(server.accepted_connections(), 1);
    network.close_idle_connections();
    assert!(!send_post(&network, &server.url(), &call_with_long_timeout()).unwrap().reused);
    assert_eq!(server.accepted_connections(), 2);
}

#[test]
fn plain_http_ignores_tls_settings_for_reuse() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let network = new_client();
    let url = server.url();
    for number in 0..20 {
        let store = Some(ConfiguredPath::new(format!("{number}.pem")));
        let trust = TransportConfig {
            trust_store: store,
            validate_certificate: number % 2 == 0,
            ..TransportConfig::default()
        };
        network.send(&post_request(&url), &trust, &call_with_long_timeout()).unwrap();
    }
    assert_eq!(server.accepted_connections(), 1);
}

#[test]
fn stale_only_if_closed_before_first_byte() {
    for (last, stale) in [("", true), ("HTTP/1.1 2", false)] {
        let server = TestServer::start_plain(move |number, _| match number {
            0 => ServerReply::KeepAlive(ok_response("{}")),
            _ => ServerReply::Close(last.into()),
        });
        let network = new_client();
        send_post(&network, &server.url(), &call_with_long_timeout()).unwrap();
        let failure = send_post(&network, &server.url(), &call_with_long_timeout()).unwrap_err();
        assert_eq!(server.accepted_connections(), 1);
        assert_eq!(failure.stale_connection, stale, "{}", failure.error);
    }
}

#[test]
fn silent_reused_connection_is_not_stale() {
    let server = TestServer::start_plain(|number, _| match number {
        0 => ServerReply::KeepAlive(ok_response("{}")),
        _ => ServerReply::NoResponse,
    });
    let network = new_client();
    send_post(&network, &server.url(), &call_with_long_timeout()).unwrap();
    let call = call_with_timeout_ms(200);
    let failure = assert_completes_within(200, || send_post(&network, &server.url(), &call)).unwrap_err();
    assert!(!failure.stale_connection);
    assert!(failure.error.message().contains("kept from before"), "{}", failure.error);
}

const EXAMPLE_URL: &str = "https://login.example.com/token";

#[test]
fn localhost_and_ip_literals_skip_dns() {
    let network = client_with_resolver(|host| panic!("asked for {host}"));
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    for base in ["http://localhost", "http://LOCALHOST", "http://127.0.0.1"] {
        let url = server.url_with_base(base, "/");
        assert_eq!(send_post(&network, &url, &call_with_long_timeout()).unwrap().status, 200);
    }
}

#[test]
fn unresolvable_host_is_network_error() {
    let url = EndpointUrl::parse(EXAMPLE_URL).unwrap();
    for network in [
        client_with_resolver(|_| Ok(Vec::new())),
        client_with_resolver(|_| Err(std::io::Error::other("no such name"))),
    ] {
        let error = send_post(&network, &url, &call_with_long_timeout()).unwrap_err().error;
        assert_eq!(error.status(), Status::Network);
        assert!(error.message().contains("login.example.com cannot be resolved"), "{error}");
    }
}

#[test]
fn dns_lookup_ends_at_deadline_or_cancel() {
    let (asked, bell) = mpsc::channel();
    let asked = Mutex::new(asked);
    let (_never, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let network = client_with_resolver(move |_| {
        asked.lock().unwrap().send(()).unwrap();
        let _ = gate.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let url = EndpointUrl::parse(EXAMPLE_URL).unwrap();
    let call = call_with_timeout_ms(200);
    let error = assert_completes_within(200, || send_post(&network, &url, &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("looking up login.example.com"), "{error}");
    bell.recv().unwrap();
    let failure = cancel_after(&bell, &network, &url, &call_with_long_timeout());
    assert_eq!(failure.error.status(), Status::Cancelled);
}

/// A network whose lookups of `stuck` names ring and then wait for the gate; nobody else has an address.
fn client_with_blocked_lookups(stuck: &'static str) -> (HttpClient, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (go, gate) = mpsc::channel::<()>();
    let (asked, bell) = mpsc::channel();
    let (gate, asked) = (Mutex::new(gate), Mutex::new(asked));
    let network = client_with_resolver(move |host| {
        if host.starts_with(stuck) {
            asked.lock().unwrap().send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        }
        Ok(Vec::new())
    });
    (network, bell, go)
}

#[test]
fn ninth_dns_lookup_queues_until_deadline() {
    let (network, bell, go) = client_with_blocked_lookups("stuck");
    let url = |number: usize| EndpointUrl::parse(&format!("https://stuck{number}.example.com/")).unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (network, url) = (&network, url(number));
            scope.spawn(move || send_post(network, &url, &call_with_long_timeout()).unwrap_err());
        }
        for _ in 0..8 {
            bell.recv().unwrap();
        }
        let ninth = assert_completes_within(200, || send_post(&network, &url(8), &call_with_timeout_ms(200)))
            .unwrap_err()
            .error;
        let asked = bell.try_recv();
        drop(go);
        assert!(asked.is_err(), "the ninth was asked");
        assert_eq!(ninth.status(), Status::Timeout);
        assert!(ninth.message().contains("other lookups of this process"), "{ninth}");
        assert!(!ninth.message().contains("DNS"), "{ninth}");
    });
}

#[test]
fn slow_dns_name_uses_two_permits() {
    let (network, bell, go) = client_with_blocked_lookups("stuck");
    let (stuck, other) =
        (EndpointUrl::parse("https://stuck.example.com/").unwrap(), EndpointUrl::parse(EXAMPLE_URL).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| send_post(&network, &stuck, &call_with_long_timeout()).unwrap_err());
        }
        for _ in 0..2 {
            bell.recv().unwrap();
        }
        let third = bell.recv_timeout(Duration::from_millis(300));
        let error = send_post(&network, &other, &call_with_timeout_ms(2000)).unwrap_err().error;
        drop(go);
        assert!(third.is_err(), "a third lookup of one name");
        assert!(error.message().contains("it has no address"), "{error}");
    });
}

#[cfg(unix)]
#[test]
fn forked_child_does_not_keep_socket_open() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = EndpointUrl::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(&ok_response("{}")).unwrap();
        while stream.read(&mut [0; 4096]).unwrap() > 0 {}
    });
    let network = new_client();
    send_post(&network, &url, &call_with_long_timeout()).unwrap();
    crate::sys::with_live_child(|| {
        network.close_idle_connections();
        server.join().unwrap();
    });
}

/// The beginning of an answer in chunks.
const CHUNKED_HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn endless_response_is_rejected() {
    for (what, head, piece) in [
        ("headers", "HTTP/1.1 200 OK\r\n".to_owned(), "X-A: b\r\n"),
        ("one header", "HTTP/1.1 200 OK\r\nX-A: ".to_owned(), "aaaaaaaa"),
        ("a reason", "HTTP/1.1 200 ".to_owned(), "OK OK OK "),
        ("no line", String::new(), "aaaaaaaa"),
        ("informational answers", String::new(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ("continue", String::new(), "HTTP/1.1 100 Continue\r\n\r\n"),
        ("processing", String::new(), "HTTP/1.1 102 Processing\r\n\r\n"),
        ("a body by length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_owned(), "aaaaaaaa"),
        ("a body to the end", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(), "aaaaaaaa"),
        ("chunks", CHUNKED_HEAD.to_owned(), "8\r\naaaaaaaa\r\n"),
        ("one chunk", format!("{CHUNKED_HEAD}fffffffffff\r\n"), "aaaaaaaa"),
        ("chunks with extensions", CHUNKED_HEAD.to_owned(), "1;a=bbbbbbbbbbbbbbbbbbbbbbbbbb\r\na\r\n"),
        ("a chunk extension", format!("{CHUNKED_HEAD}1;a="), "bbbbbbbb"),
        ("a chunk length", CHUNKED_HEAD.to_owned(), "00000000"),
        ("trailers", format!("{CHUNKED_HEAD}2\r\n{{}}\r\n0\r\n"), "X-A: b\r\n"),
        ("one trailer", format!("{CHUNKED_HEAD}2\r\n{{}}\r\n0\r\nX-A: "), "aaaaaaaa"),
    ] {
        let server =
            TestServer::start_plain(move |_, _| ServerReply::Endless(head.clone().into(), piece.into()));
        // Without any limit but ours.
        let error = send_post(&new_client(), &server.url(), &CallContext::unbounded()).unwrap_err().error;
        assert_eq!(error.status(), Status::BadResponse, "{what}: {error}");
    }
}

#[test]
fn chunked_response_with_trailers_is_read() {
    let chunks = "1\r\na\r\n".repeat(100_000);
    let whole = format!("{CHUNKED_HEAD}{chunks}0\r\nX-A: b\r\n\r\n");
    let server = TestServer::start_plain(move |_, _| ServerReply::Close(whole.clone().into()));
    assert_eq!(
        send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap().body.len(),
        100_000
    );
}
