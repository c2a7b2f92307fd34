use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::base::error::Status;
use crate::base::file::ConfiguredPath;
use crate::base::url::EndpointUrl;
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
    assert!(text.contains("127.0.0.1 within 0.3 s (LoginTimeout)"), "{text}");
    assert!(text.contains("connected after") && text.contains("nothing received"), "{text}");
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
        assert!(error.message().contains(" bytes received"), "{error}");
    }
}

#[test]
fn connect_times_out_at_deadline() {
    let unresponsive = UnresponsiveListener::new();
    let call = call_with_timeout_ms(300);
    let error = assert_completes_within(300, || send_post(&new_client(), &unresponsive.url(), &call))
        .unwrap_err()
        .error;
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("connecting to 127.0.0.1"), "{error}");
}

#[test]
fn cancel_interrupts_connect() {
    let (unresponsive, recorder, mut call) =
        (UnresponsiveListener::new(), Arc::<LogRecorder>::default(), call_with_long_timeout());
    recorder.attach(&mut call);
    let failure = cancel_after(&recorder.subscribe(), &new_client(), &unresponsive.url(), &call);
    assert_eq!(failure.error.status(), Status::Cancelled);
}

#[test]
fn cancel_interrupts_wait_for_response() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let server = TestServer::start_plain(move |_, _| {
        sender.lock().unwrap().send(()).unwrap();
        ServerReply::NoResponse
    });
    let failure = cancel_after(&receiver, &new_client(), &server.url(), &call_with_long_timeout());
    assert_eq!(failure.error.status(), Status::Cancelled);
    assert!(!failure.stale_connection);
}

#[test]
fn cancel_leaves_other_requests_running() {
    let (sender, receiver) = mpsc::channel();
    let (release_sender, release_receiver) = mpsc::channel::<()>();
    let (sender, release_receiver) = (Mutex::new(sender), Mutex::new(release_receiver));
    let server = TestServer::start_plain(move |_, text| {
        sender.lock().unwrap().send(()).unwrap();
        if text.contains("/waits") {
            release_receiver.lock().unwrap().recv().unwrap();
            return ServerReply::KeepAlive(ok_response("{}"));
        }
        ServerReply::NoResponse
    });
    let client = new_client();
    let other = server.url_with_base("http://127.0.0.1", "/waits");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| send_post(&client, &other, &call_with_long_timeout()));
        receiver.recv().unwrap();
        let failure = cancel_after(&receiver, &client, &server.url(), &call_with_long_timeout());
        assert_eq!(failure.error.status(), Status::Cancelled);
        release_sender.send(()).unwrap();
        assert_eq!(waits.join().unwrap().unwrap().status, 200);
    });
}

#[test]
fn late_cancel_spares_call_reusing_connection() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let (client, first) = (new_client(), call_with_long_timeout());
    send_post(&client, &server.url(), &first).unwrap();
    first.cancel.cancel();
    assert!(send_post(&client, &server.url(), &call_with_long_timeout()).unwrap().reused);
    let error = send_post(&client, &server.url(), &first).unwrap_err().error;
    assert_eq!(error.status(), Status::Cancelled);
}

#[test]
fn connection_is_reused_until_closed() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let client = new_client();
    let reused: Vec<bool> =
        [call_with_long_timeout(), call_with_timeout_ms(20_000), CallContext::unbounded()]
            .iter()
            .map(|call| send_post(&client, &server.url(), call).unwrap().reused)
            .collect();
    assert_eq!(reused, [false, true, true]);
    assert_eq!(server.accepted_connections(), 1);
    client.close_idle_connections();
    assert!(!send_post(&client, &server.url(), &call_with_long_timeout()).unwrap().reused);
    assert_eq!(server.accepted_connections(), 2);
}

#[test]
fn plain_http_ignores_tls_settings_for_reuse() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let client = new_client();
    let url = server.url();
    for number in 0..20 {
        let store = Some(ConfiguredPath::new(format!("{number}.pem")));
        let config = TransportConfig {
            trust_store: store,
            validate_certificate: number % 2 == 0,
            ..TransportConfig::default()
        };
        client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap();
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
        let client = new_client();
        send_post(&client, &server.url(), &call_with_long_timeout()).unwrap();
        let failure = send_post(&client, &server.url(), &call_with_long_timeout()).unwrap_err();
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
    let client = new_client();
    send_post(&client, &server.url(), &call_with_long_timeout()).unwrap();
    let call = call_with_timeout_ms(200);
    let failure = assert_completes_within(200, || send_post(&client, &server.url(), &call)).unwrap_err();
    assert!(!failure.stale_connection);
    assert!(failure.error.message().contains("reused connection"), "{}", failure.error);
}

const EXAMPLE_URL: &str = "https://login.example.com/token";

#[test]
fn localhost_and_ip_literals_skip_dns() {
    let client = client_with_resolver(|host| panic!("DNS lookup of {host}"));
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    for base in ["http://localhost", "http://LOCALHOST", "http://127.0.0.1"] {
        let url = server.url_with_base(base, "/");
        assert_eq!(send_post(&client, &url, &call_with_long_timeout()).unwrap().status, 200);
    }
}

#[test]
fn unresolvable_host_is_network_error() {
    let url = EndpointUrl::parse(EXAMPLE_URL).unwrap();
    for client in [
        client_with_resolver(|_| Ok(Vec::new())),
        client_with_resolver(|_| Err(std::io::Error::other("no such name"))),
    ] {
        let error = send_post(&client, &url, &call_with_long_timeout()).unwrap_err().error;
        assert_eq!(error.status(), Status::Network);
        assert!(error.message().contains("login.example.com"), "{error}");
    }
}

#[test]
fn dns_lookup_ends_at_deadline_or_cancel() {
    let (lookup_started, receiver) = mpsc::channel();
    let lookup_started = Mutex::new(lookup_started);
    let (_never, release_receiver) = mpsc::channel::<()>();
    let release_receiver = Mutex::new(release_receiver);
    let client = client_with_resolver(move |_| {
        lookup_started.lock().unwrap().send(()).unwrap();
        let _ = release_receiver.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let url = EndpointUrl::parse(EXAMPLE_URL).unwrap();
    let call = call_with_timeout_ms(200);
    let error = assert_completes_within(200, || send_post(&client, &url, &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("DNS lookup of login.example.com"), "{error}");
    receiver.recv().unwrap();
    let failure = cancel_after(&receiver, &client, &url, &call_with_long_timeout());
    assert_eq!(failure.error.status(), Status::Cancelled);
}

/// A client whose lookups of names that begin with `prefix` notify the receiver and then block until the
/// sender is dropped. All names have no address.
fn client_with_blocked_lookups(prefix: &'static str) -> (HttpClient, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (release_sender, release_receiver) = mpsc::channel::<()>();
    let (lookup_started, receiver) = mpsc::channel();
    let (release_receiver, lookup_started) = (Mutex::new(release_receiver), Mutex::new(lookup_started));
    let client = client_with_resolver(move |host| {
        if host.starts_with(prefix) {
            lookup_started.lock().unwrap().send(()).unwrap();
            let _ = release_receiver.lock().unwrap().recv();
        }
        Ok(Vec::new())
    });
    (client, receiver, release_sender)
}

#[test]
fn ninth_dns_lookup_queues_until_deadline() {
    let (client, receiver, release_sender) = client_with_blocked_lookups("stuck");
    let url = |number: usize| EndpointUrl::parse(&format!("https://stuck{number}.example.com/")).unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (client, url) = (&client, url(number));
            scope.spawn(move || send_post(client, &url, &call_with_long_timeout()).unwrap_err());
        }
        for _ in 0..8 {
            receiver.recv().unwrap();
        }
        let ninth = assert_completes_within(200, || send_post(&client, &url(8), &call_with_timeout_ms(200)))
            .unwrap_err()
            .error;
        let ninth_lookup = receiver.try_recv();
        drop(release_sender);
        assert!(ninth_lookup.is_err(), "the ninth lookup started");
        assert_eq!(ninth.status(), Status::Timeout);
        assert!(ninth.message().contains("pending lookups"), "{ninth}");
        assert!(!ninth.message().contains("check the DNS"), "{ninth}");
    });
}

#[test]
fn slow_dns_name_uses_two_permits() {
    let (client, receiver, release_sender) = client_with_blocked_lookups("stuck");
    let (prefix, other) =
        (EndpointUrl::parse("https://stuck.example.com/").unwrap(), EndpointUrl::parse(EXAMPLE_URL).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| send_post(&client, &prefix, &call_with_long_timeout()).unwrap_err());
        }
        for _ in 0..2 {
            receiver.recv().unwrap();
        }
        let third = receiver.recv_timeout(Duration::from_millis(300));
        let error = send_post(&client, &other, &call_with_timeout_ms(2000)).unwrap_err().error;
        drop(release_sender);
        assert!(third.is_err(), "a third lookup of the same name started");
        assert!(error.message().contains("no address"), "{error}");
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
    let client = new_client();
    send_post(&client, &url, &call_with_long_timeout()).unwrap();
    crate::sys::with_live_child(|| {
        client.close_idle_connections();
        server.join().unwrap();
    });
}

/// The head of a chunked response.
const CHUNKED_HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn endless_response_is_rejected() {
    for (what, head, piece) in [
        ("headers", "HTTP/1.1 200 OK\r\n".to_owned(), "X-A: b\r\n"),
        ("one header", "HTTP/1.1 200 OK\r\nX-A: ".to_owned(), "aaaaaaaa"),
        ("a reason phrase", "HTTP/1.1 200 ".to_owned(), "OK OK OK "),
        ("no line break", String::new(), "aaaaaaaa"),
        ("informational responses", String::new(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ("continue", String::new(), "HTTP/1.1 100 Continue\r\n\r\n"),
        ("processing", String::new(), "HTTP/1.1 102 Processing\r\n\r\n"),
        (
            "a body with Content-Length",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
            "aaaaaaaa",
        ),
        ("a body until close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(), "aaaaaaaa"),
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
        // The call has no deadline; only the response limit ends the request.
        let error = send_post(&new_client(), &server.url(), &CallContext::unbounded()).unwrap_err().error;
        assert_eq!(error.status(), Status::BadResponse, "{what}: {error}");
    }
}

#[test]
fn chunked_response_with_trailers_is_read() {
    let chunks = "1\r\na\r\n".repeat(100_000);
    let response = format!("{CHUNKED_HEAD}{chunks}0\r\nX-A: b\r\n\r\n");
    let server = TestServer::start_plain(move |_, _| ServerReply::Close(response.clone().into()));
    assert_eq!(
        send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap().body.len(),
        100_000
    );
}
