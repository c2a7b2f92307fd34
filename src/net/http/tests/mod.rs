#[cfg(test)]
mod client_auth;
#[cfg(test)]
mod connect;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod proxy_tunnel;
#[cfg(test)]
mod tls;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::testing::*;
use super::*;
use crate::base::error::Status;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::net::http::tests::tls::{reply_ok, unchanged_params};

fn response_error(reply: impl Fn(usize, &str) -> ServerReply + Send + Sync + 'static) -> Error {
    let server = TestServer::start_plain(reply);
    send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap_err().error
}

fn fetch_response(bytes: &'static str) -> Result<Response> {
    let server = TestServer::start_plain(move |_, _| ServerReply::Close(bytes.into()));
    Ok(send_post(&new_client(), &server.url(), &call_with_long_timeout())?)
}

#[test]
fn post_sends_form_and_default_headers() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let response = send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, b"{}".as_slice()));
    assert_eq!(response.content_type.as_deref(), Some("application/json"));
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "grant_type=x");
    let mut lines: Vec<String> = head.lines().map(str::to_ascii_lowercase).collect();
    assert_eq!(lines.remove(0), "post /token http/1.1");
    lines.sort();
    assert_eq!(
        lines,
        [
            "accept-encoding: identity".to_owned(),
            "accept: application/json".to_owned(),
            "content-length: 12".to_owned(),
            "content-type: application/x-www-form-urlencoded".to_owned(),
            format!("host: 127.0.0.1:{}", server.port),
            format!("user-agent: authgrant/{}", env!("CARGO_PKG_VERSION")),
        ]
    );
}

#[test]
fn get_appends_query_to_url_query() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let client = new_client();
    for (path, expected) in [
        ("/t", "GET /t?assertion=a.b HTTP/1.1"),
        ("/t?", "GET /t?assertion=a.b HTTP/1.1"),
        ("/t?tenant=a", "GET /t?tenant=a&assertion=a.b HTTP/1.1"),
    ] {
        let url = server.url_with_base("http://127.0.0.1", path);
        let request =
            Request { method: HttpMethod::Get, query: Some("assertion=a.b".into()), ..post_request(&url) };
        client.send(&request, &TransportConfig::default(), &call_with_long_timeout()).unwrap();
        let sent = server.requests().pop().unwrap();
        assert_eq!(sent.lines().next(), Some(expected));
        assert!(!sent.contains("grant_type"), "a GET has no body: {sent}");
    }
}

#[test]
fn query_of_60_kib_is_sent() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let url = server.url();
    let long = "a".repeat(60 << 10);
    let request =
        Request { method: HttpMethod::Get, query: Some(Secret::new(long.clone())), ..post_request(&url) };
    new_client().send(&request, &TransportConfig::default(), &call_with_long_timeout()).unwrap();
    assert!(server.requests().remove(0).contains(&long));
}

#[test]
fn custom_header_overrides_default_but_not_framing() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let url = server.url();
    let with = |name: &str, value: &str| Request {
        headers: vec![(name.to_owned(), value.into())],
        ..post_request(&url)
    };
    let client = new_client();
    client
        .send(&with("aCCEPT", "text/plain"), &TransportConfig::default(), &call_with_long_timeout())
        .unwrap();
    let sent = server.requests().remove(0).to_ascii_lowercase();
    assert!(sent.contains("accept: text/plain\r\n"), "{sent}");
    assert!(!sent.contains("accept: application/json"), "{sent}");
    for (name, value) in
        [("Content-Length", "3"), ("content-type", "text/plain"), ("X", "a\r\nY: b"), ("a b", "c")]
    {
        let failure = client
            .send(&with(name, value), &TransportConfig::default(), &call_with_long_timeout())
            .unwrap_err();
        assert_eq!(failure.error.status(), Status::InvalidOption);
        assert!(!failure.error.message().contains("Y: b"));
    }
}

#[test]
fn redirect_is_returned_not_followed() {
    let server = TestServer::start_plain(|_, _| {
        ServerReply::KeepAlive(
            b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\ngone".to_vec(),
        )
    });
    let response = send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap();
    assert_eq!(response.status, 302);
    assert_eq!(response.location.as_deref(), Some("/elsewhere"));
    assert_eq!(response.body.as_slice(), b"gone");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn error_status_keeps_headers_and_body() {
    let response = fetch_response(
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\
         Date: Tue, 01 Apr 2025 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nno",
    )
    .unwrap();
    assert_eq!((response.status, response.body.as_slice()), (503, b"no".as_slice()));
    assert_eq!(response.retry_after.as_deref(), Some("7"));
    assert_eq!(response.date.as_deref(), Some("Tue, 01 Apr 2025 00:00:00 GMT"));
}

#[test]
fn interim_responses_of_server_are_skipped() {
    let response = fetch_response(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    )
    .unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, b"{}".as_slice()));
}

#[test]
fn content_coding_keeps_status_and_headers() {
    for (encoding, coding) in [
        ("gzip", Some("gzip")),
        ("GZip", Some("gzip")),
        ("identity, br", Some("br")),
        ("utf-8\r\nContent-Encoding: x-gzip", Some("x-gzip")),
        ("identity", None),
        ("", None),
        ("UTF-8", None),
        ("none", None),
        ("ISO-8859-1", None),
        ("application/json", None),
    ] {
        let head = format!(
            "HTTP/1.1 503 Busy\r\nContent-Encoding: {encoding}\r\nRetry-After: 7\r\n\
             WWW-Authenticate: Bearer\r\nContent-Length: 2\r\n\r\n"
        );
        let server = TestServer::start_plain(move |_, _| {
            ServerReply::KeepAlive([head.as_bytes(), &[0x1f, 0x8b]].concat())
        });
        let response = send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap();
        assert_eq!((response.status, response.content_coding), (503, coding), "{encoding}");
        assert_eq!(response.retry_after.as_deref(), Some("7"));
        assert_eq!(response.www_authenticate.as_deref(), Some("Bearer"));
        assert_eq!(response.body.as_slice(), [0x1f, 0x8b]);
    }
}

#[test]
fn chunked_body_is_reassembled() {
    let response = fetch_response(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    )
    .unwrap();
    assert_eq!(response.body.as_slice(), b"abcde");
}

#[test]
fn long_body_is_read_without_content_length() {
    let body: String = (0..10_000).map(|number| format!("{number:05}")).collect();
    let chunks: String = [&body[..20_000], &body[20_000..]]
        .iter()
        .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
        .collect();
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    for response in [ok_response(&body), chunked.into_bytes()] {
        let server = TestServer::start_plain(move |_, _| ServerReply::KeepAlive(response.clone()));
        let response = send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap();
        assert!(response.body.as_slice() == body.as_bytes(), "{} bytes received", response.body.len());
    }
}

#[test]
fn body_over_1_mib_is_rejected() {
    let error = response_error(|_, _| ServerReply::Close(ok_response(&"x".repeat(2 << 20))));
    assert_eq!(error.status(), Status::BadResponse);
    assert!(error.message().contains("1 MiB"), "{error}");
}

#[test]
fn body_of_1_mib_is_accepted() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response(&"x".repeat(1 << 20))));
    let response = send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap();
    assert_eq!(response.body.len(), 1 << 20);
}

#[test]
fn truncated_response_reports_received_bytes() {
    for (bytes, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd", "after 4 bytes of its body"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcd", "after 4 bytes of its body"),
        ("HTTP/1.1 200 OK\r\nConte", "after 22 bytes, in its headers"),
    ] {
        let error = fetch_response(bytes).unwrap_err();
        assert_eq!(error.status(), Status::BadResponse, "{error}");
        assert!(error.message().contains(expected), "{error}");
    }
}

#[test]
fn invalid_http_is_bad_response_without_echo() {
    for bytes in [
        "SSH-2.0-canary\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: canary\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n",
    ] {
        let error = fetch_response(bytes).unwrap_err();
        assert_eq!(error.status(), Status::BadResponse, "{bytes}: {error}");
        assert!(!error.message().contains("canary"), "{error}");
        assert!(error.message().contains("127.0.0.1"), "{error}");
    }
}

#[test]
fn oversized_response_headers_are_rejected() {
    let error = response_error(|_, _| {
        let mut head = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        head.resize(60 << 10, b'x');
        ServerReply::Close(head)
    });
    assert_eq!(error.status(), Status::BadResponse);
    assert!(error.message().contains("32 KiB of headers"), "{error}");
}

#[test]
fn closed_new_connection_is_not_stale() {
    let server = TestServer::start_plain(|_, _| ServerReply::Close(Vec::new()));
    let failure = send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap_err();
    assert_eq!(failure.error.status(), Status::Network);
    assert!(!failure.stale_connection);
}

#[test]
fn refused_connection_names_host_and_port() {
    let url = EndpointUrl::parse(&format!("http://127.0.0.1:{}/", unused_port())).unwrap();
    let error = send_post(&new_client(), &url, &call_with_long_timeout()).unwrap_err().error;
    assert_eq!(error.status(), Status::Network);
    assert!(error.message().contains(&format!("127.0.0.1:{}", url.port())), "{error}");
    assert!(error.message().contains("refused"), "{error}");
}

#[test]
fn log_summarizes_request_without_query() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let (recorder, mut call) = (Arc::<LogRecorder>::default(), call_with_long_timeout());
    recorder.attach(&mut call);
    let url = server.url_with_base("http://127.0.0.1", "/t?a=canary");
    let request = Request { method: HttpMethod::Get, query: Some("b=canary".into()), ..post_request(&url) };
    new_client().send(&request, &TransportConfig::default(), &call).unwrap();
    let lines = recorder.0.lock().unwrap().join("\n");
    assert!(lines.contains(&format!("GET http://127.0.0.1:{}/t: 200, 2 bytes in", server.port)), "{lines}");
    assert!(lines.contains("on a new connection"), "{lines}");
    assert!(!lines.contains("canary"), "{lines}");
}

/// A global logger. A program that links the rlib may set one, and ureq logs to it.
struct GlobalLogCapture(Mutex<String>);

impl ::log::Log for GlobalLogCapture {
    fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &::log::Record<'_>) {
        let mut all = self.0.lock().unwrap();
        all.push_str(&format!("{} {}\n", record.target(), record.args()));
    }

    fn flush(&self) {}
}

static GLOBAL_LOG_CAPTURE: GlobalLogCapture = GlobalLogCapture(Mutex::new(String::new()));

#[test]
fn global_logger_receives_no_secrets() {
    ::log::set_logger(&GLOBAL_LOG_CAPTURE).unwrap();
    ::log::set_max_level(::log::LevelFilter::Trace);
    // ureq-proto logs rows of 16 bytes. The canary is long enough that each row contains a part of it.
    let canary = "zqzqzqzq".repeat(4);
    let reply = ok_response(&format!("{{\"t\":\"{canary}\"}}"));
    let server = TestServer::start_plain(move |_, _| ServerReply::KeepAlive(reply.clone()));
    let url = server.url_with_base("http://127.0.0.1", &format!("/token?own={canary}"));
    let secret = || Some(Secret::new(format!("b={canary}")));
    for (method, query) in [(HttpMethod::Get, secret()), (HttpMethod::Post, None)] {
        let request = Request {
            method,
            url: &url,
            query,
            headers: vec![("Authorization".to_owned(), Secret::new(canary.clone()))],
            body: secret(),
            reuse: ConnectionReuse::Allow,
        };
        new_client().send(&request, &TransportConfig::default(), &call_with_long_timeout()).unwrap();
    }
    let all = GLOBAL_LOG_CAPTURE.0.lock().unwrap();
    assert!(all.contains("ureq"), "the logger received nothing");
    assert!(!all.contains("zqzq"), "{}", all.lines().find(|line| line.contains("zqzq")).unwrap());
}

#[test]
fn response_debug_hides_body_and_location() {
    let response =
        fetch_response("HTTP/1.1 302 Found\r\nLocation: /?code=canary\r\nContent-Length: 6\r\n\r\ncanary")
            .unwrap();
    let debug_text = format!("{response:?}");
    assert!(debug_text.contains("status: 302"), "{debug_text}");
    assert!(debug_text.contains("body: 6 bytes"), "{debug_text}");
    assert!(!debug_text.contains("canary") && !debug_text.contains("99, 97, 110"), "{debug_text}");
}

#[test]
fn oversized_request_fails_before_connecting() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let url = server.url();
    let long = || Secret::new("a".repeat(100 << 10));
    let query = Request { method: HttpMethod::Get, query: Some(long()), ..post_request(&url) };
    let header = Request { headers: vec![("X-Token".to_owned(), long())], ..post_request(&url) };
    let many = (0..10).map(|i| (format!("X-{i}"), Secret::new("a".repeat(10 << 10)))).collect();
    let headers = Request { headers: many, ..post_request(&url) };
    for request in [query, header, headers] {
        let failure =
            new_client().send(&request, &TransportConfig::default(), &call_with_long_timeout()).unwrap_err();
        assert_eq!(failure.error.status(), Status::InvalidOption, "{}", failure.error);
        assert!(failure.error.message().contains("64 KiB"), "{}", failure.error);
        assert!(!failure.reached_server);
    }
    assert_eq!(server.accepted_connections(), 0);
}

#[test]
fn response_with_200_headers_is_rejected() {
    let error = response_error(|_, _| {
        let fields: String = (0..200).map(|number| format!("X-{number}: a\r\n")).collect();
        ServerReply::Close(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes())
    });
    assert_eq!(error.status(), Status::BadResponse);
    assert!(error.message().contains("128 headers"), "{error}");
}

#[test]
fn reached_server_set_for_unusable_response() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", 2 << 20, "x".repeat(2 << 20));
    for (bytes, status) in [
        (String::new(), Status::Network),
        ("HTTP/1.1 2".to_owned(), Status::BadResponse),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd".to_owned(), Status::BadResponse),
        (long, Status::BadResponse),
    ] {
        let server = TestServer::start_plain(move |_, _| ServerReply::Close(bytes.clone().into()));
        let failure = send_post(&new_client(), &server.url(), &call_with_long_timeout()).unwrap_err();
        assert_eq!(failure.error.status(), status, "{}", failure.error);
        assert!(failure.reached_server, "{}", failure.error);
    }
}

#[test]
fn reached_server_unset_if_unreachable_or_timeout() {
    let unused = EndpointUrl::parse(&format!("http://127.0.0.1:{}/", unused_port())).unwrap();
    let refused = send_post(&new_client(), &unused, &call_with_long_timeout()).unwrap_err();
    assert!(!refused.reached_server && !refused.was_sent, "{}", refused.error);
    let unknown = EndpointUrl::parse("https://login.example.com/token").unwrap();
    assert!(
        !send_post(&client_with_resolver(|_| Ok(Vec::new())), &unknown, &call_with_long_timeout())
            .unwrap_err()
            .reached_server
    );
    for reply in [|| ServerReply::NoResponse, || ServerReply::Drip(ok_response("{}"))] {
        let server = TestServer::start_plain(move |_, _| reply());
        let failure = send_post(&new_client(), &server.url(), &call_with_timeout_ms(200)).unwrap_err();
        assert_eq!(failure.error.status(), Status::Timeout);
        assert!(!failure.reached_server && failure.was_sent, "the server may have processed it");
    }
}

#[test]
fn reached_server_set_if_closed_while_sending() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = EndpointUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let body = Some(Secret::new("a".repeat(8 << 20)));
    let failure = new_client()
        .send(&Request { body, ..post_request(&url) }, &TransportConfig::default(), &call_with_long_timeout())
        .unwrap_err();
    server.join().unwrap();
    assert_eq!(failure.error.status(), Status::Network);
    assert!(failure.reached_server, "{}", failure.error);
}

/// A clock that tests set.
#[derive(Default)]
struct FakeBootClock(AtomicU64);

impl Clock for FakeBootClock {
    fn unix_seconds(&self) -> i64 {
        0
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn idle_timeout_includes_suspended_time() {
    for tls in [false, true] {
        let clock: Arc<FakeBootClock> = Arc::default();
        let client = HttpClient { clock: Arc::<FakeBootClock>::clone(&clock), ..new_client() };
        let ca = tls::TestCa::new();
        let (server, base) = match tls {
            true => (ca.start_server("localhost", unchanged_params, reply_ok), "https://localhost"),
            false => (TestServer::start_plain(reply_ok), "http://127.0.0.1"),
        };
        let (url, config) = (server.url_with_base(base, "/"), ca.transport_config());
        let mut reused = Vec::new();
        for second in [0, 59, 118, 178] {
            clock.0.store(second, Ordering::SeqCst);
            reused.push(client.send(&post_request(&url), &config, &call_with_long_timeout()).unwrap().reused);
        }
        assert_eq!(reused, [false, true, true, false], "tls: {tls}");
    }
}

/// Sends a request on a reused connection whose server does not respond. Returns the error and the number of
/// connections.
fn send_on_silent_connection(reuse: ConnectionReuse) -> (RequestError, usize) {
    let server = TestServer::start_plain(|number, _| {
        if number == 0 { ServerReply::KeepAlive(ok_response("{}")) } else { ServerReply::NoResponse }
    });
    let (client, url) = (new_client(), server.url_with_base("http://127.0.0.1", "/"));
    client.send(&post_request(&url), &TransportConfig::default(), &call_with_long_timeout()).unwrap();
    let request = Request { reuse, ..post_request(&url) };
    let call = CallContext::with_timeout(Duration::from_millis(800), "LoginTimeout");
    let failure = client.send(&request, &TransportConfig::default(), &call).unwrap_err();
    assert_eq!(
        failure.stale_connection,
        call.deadline.remaining() > Some(Duration::ZERO),
        "fails after half of the call's time"
    );
    (failure, server.accepted_connections())
}

#[test]
fn retryable_request_abandons_silent_idle_connection() {
    let (failure, connections) = send_on_silent_connection(ConnectionReuse::AllowWithRetry);
    assert!(failure.stale_connection && connections == 1);
    assert_eq!(failure.error.status(), Status::Network);
}

#[test]
fn non_retryable_request_waits_until_deadline() {
    let (failure, connections) = send_on_silent_connection(ConnectionReuse::Allow);
    assert!(!failure.stale_connection && connections == 1);
    assert_eq!(failure.error.status(), Status::Timeout);
}

#[test]
fn new_connection_waits_until_deadline() {
    let server = TestServer::start_plain(|_, _| ServerReply::NoResponse);
    let url = server.url_with_base("http://127.0.0.1", "/");
    let request = Request { reuse: ConnectionReuse::AllowWithRetry, ..post_request(&url) };
    let call = CallContext::with_timeout(Duration::from_millis(200), "LoginTimeout");
    let failure = new_client().send(&request, &TransportConfig::default(), &call).unwrap_err();
    assert_eq!(failure.error.status(), Status::Timeout);
}

#[test]
fn reuse_never_replaces_idle_connection() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let (client, url) = (new_client(), server.url_with_base("http://127.0.0.1", "/"));
    let mut connections = Vec::new();
    for reuse in [ConnectionReuse::Allow, ConnectionReuse::Never, ConnectionReuse::AllowWithRetry] {
        let request = Request { reuse, ..post_request(&url) };
        client.send(&request, &TransportConfig::default(), &call_with_long_timeout()).unwrap();
        connections.push(server.accepted_connections());
    }
    assert_eq!(connections, [1, 2, 2], "a connection opened with Never is reused later");
}

#[test]
fn opened_and_reused_connections_are_counted() {
    let server = TestServer::start_plain(|_, _| ServerReply::KeepAlive(ok_response("{}")));
    let (client, url) = (new_client(), server.url_with_base("http://127.0.0.1", "/"));
    for _ in 0..3 {
        client.send(&post_request(&url), &TransportConfig::default(), &call_with_long_timeout()).unwrap();
    }
    let json: serde_json::Value = serde_json::from_str(&client.stats.to_json(&[], &[])).unwrap();
    let count = |name: &str| json[format!("authgrant_connections_{name}_total")].as_u64();
    assert_eq!((count("opened"), count("reused")), (Some(1), Some(2)));
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn tcp_user_timeout_is_ten_seconds() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = EndpointUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let context = RequestContext::new(call_with_long_timeout(), &post_request(&url), None).unwrap();
    let stream = TcpConnector(DnsResolver::system()).connect(&context).unwrap();
    let timeout = stream.tcp_user_timeout().unwrap();
    assert_eq!(timeout, Some(Duration::from_secs(10)));
}
