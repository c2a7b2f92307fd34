#[cfg(test)]
mod client_auth;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod proxy_tunnel;
#[cfg(test)]
mod tls;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::testing::*;
use super::*;
use crate::net::http::tests::tls::{plainly, reply};

fn failure(reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Error {
    let server = Server::plain(reply);
    send(&network(), &server.url(), &patient()).unwrap_err().error
}

fn answer(bytes: &'static str) -> Result<Answer> {
    let server = Server::plain(move |_, _| Reply::Close(bytes.into()));
    Ok(send(&network(), &server.url(), &patient())?)
}

#[test]
fn a_post_carries_its_form_and_our_headers_and_asks_for_no_compression() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let answer = send(&network(), &server.url(), &patient()).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
    assert_eq!(answer.content_type.as_deref(), Some("application/json"));
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "grant_type=x");
    let mut lines: Vec<String> = head.lines().map(str::to_ascii_lowercase).collect();
    assert_eq!(lines.remove(0), "post /token http/1.1");
    lines.sort();
    assert_eq!(
        lines,
        [
            "accept: application/json".to_owned(),
            "content-length: 12".to_owned(),
            "content-type: application/x-www-form-urlencoded".to_owned(),
            format!("host: 127.0.0.1:{}", server.port),
            format!("user-agent: authgrant/{}", env!("CARGO_PKG_VERSION")),
        ]
    );
}

#[test]
fn a_get_appends_its_query_to_the_urls_own() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let network = network();
    for (path, wanted) in [
        ("/t", "GET /t?assertion=a.b HTTP/1.1"),
        ("/t?", "GET /t?assertion=a.b HTTP/1.1"),
        ("/t?tenant=a", "GET /t?tenant=a&assertion=a.b HTTP/1.1"),
    ] {
        let url = server.url_of("http://127.0.0.1", path);
        let request = Request { method: Method::Get, query: Some("assertion=a.b".into()), ..post(&url) };
        network.send(&request, &Trust::default(), &patient()).unwrap();
        let sent = server.requests().pop().unwrap();
        assert_eq!(sent.lines().next(), Some(wanted));
        assert!(!sent.contains("grant_type"), "a GET has no body: {sent}");
    }
}

#[test]
fn a_query_of_60_kib_is_sent_whole() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let url = server.url();
    let long = "a".repeat(60 << 10);
    let request = Request { method: Method::Get, query: Some(Secret::new(long.clone())), ..post(&url) };
    network().send(&request, &Trust::default(), &patient()).unwrap();
    assert!(server.requests().remove(0).contains(&long));
}

#[test]
fn a_header_of_the_callers_replaces_ours_and_cannot_break_the_framing() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let url = server.url();
    let with =
        |name: &str, value: &str| Request { headers: vec![(name.to_owned(), value.into())], ..post(&url) };
    let network = network();
    network.send(&with("aCCEPT", "text/plain"), &Trust::default(), &patient()).unwrap();
    let sent = server.requests().remove(0).to_ascii_lowercase();
    assert!(sent.contains("accept: text/plain\r\n"), "{sent}");
    assert!(!sent.contains("accept: application/json"), "{sent}");
    for (name, value) in [("Content-Length", "3"), ("X", "a\r\nY: b"), ("a b", "c")] {
        let failure = network.send(&with(name, value), &Trust::default(), &patient()).unwrap_err();
        assert_eq!(failure.error.status(), Status::InvalidOption);
        assert!(!failure.error.message().contains("Y: b"));
    }
}

#[test]
fn a_redirect_comes_back_and_is_not_followed() {
    let server = Server::plain(|_, _| {
        Reply::Keep(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\ngone".to_vec())
    });
    let answer = send(&network(), &server.url(), &patient()).unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(answer.location.as_deref(), Some("/elsewhere"));
    assert_eq!(answer.body.as_slice(), b"gone");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_error_status_is_an_answer_with_its_headers_and_body() {
    let answer = answer(
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nDate: Tue, 01 Apr 2025 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nno",
    )
    .unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (503, b"no".as_slice()));
    assert_eq!(answer.retry_after.as_deref(), Some("7"));
    assert_eq!(answer.date.as_deref(), Some("Tue, 01 Apr 2025 00:00:00 GMT"));
}

#[test]
fn a_chunked_body_is_put_together() {
    let answer =
        answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            .unwrap();
    assert_eq!(answer.body.as_slice(), b"abcde");
}

#[test]
fn a_long_body_comes_whole_whether_its_length_is_said_or_not() {
    let body: String = (0..10_000).map(|number| format!("{number:05}")).collect();
    let chunks: String = [&body[..20_000], &body[20_000..]]
        .iter()
        .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
        .collect();
    let unsaid = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    for whole in [ok(&body), unsaid.into_bytes()] {
        let server = Server::plain(move |_, _| Reply::Keep(whole.clone()));
        let answer = send(&network(), &server.url(), &patient()).unwrap();
        assert!(answer.body.as_slice() == body.as_bytes(), "{} bytes came", answer.body.len());
    }
}

#[test]
fn a_body_of_more_than_a_mebibyte_is_refused() {
    let error = failure(|_, _| Reply::Close(ok(&"x".repeat(2 << 20))));
    assert_eq!(error.status(), Status::BadResponse);
    assert!(error.message().contains("127.0.0.1 is longer than 1 MiB"), "{error}");
}

#[test]
fn a_body_of_a_mebibyte_is_taken() {
    let server = Server::plain(|_, _| Reply::Keep(ok(&"x".repeat(1 << 20))));
    let answer = send(&network(), &server.url(), &patient()).unwrap();
    assert_eq!(answer.body.len(), 1 << 20);
}

#[test]
fn an_answer_that_ends_too_early_says_after_how_much() {
    for (bytes, wanted) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd", "cut off after 4 bytes of its body"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcd",
            "cut off after 4 bytes of its body",
        ),
        ("HTTP/1.1 200 OK\r\nConte", "cut off after 22 bytes, within its headers"),
    ] {
        let error = answer(bytes).unwrap_err();
        assert_eq!(error.status(), Status::BadResponse, "{error}");
        assert!(error.message().contains(wanted), "{error}");
    }
}

#[test]
fn what_is_not_http_is_a_bad_response_and_is_not_repeated() {
    for bytes in [
        "SSH-2.0-canary\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: canary\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\ncanary",
    ] {
        let error = answer(bytes).unwrap_err();
        assert_eq!(error.status(), Status::BadResponse, "{bytes}: {error}");
        assert!(!error.message().contains("canary"), "{error}");
        assert!(error.message().contains("127.0.0.1"), "{error}");
    }
}

#[test]
fn too_many_headers_are_a_bad_response() {
    let error = failure(|_, _| {
        let mut head = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        head.resize(60 << 10, b'x');
        Reply::Close(head)
    });
    assert_eq!(error.status(), Status::BadResponse);
    assert!(error.message().contains("32 KiB of headers"), "{error}");
}

#[test]
fn a_closed_connection_is_the_networks_fault_and_a_new_one_is_not_stale() {
    let server = Server::plain(|_, _| Reply::Close(Vec::new()));
    let failure = send(&network(), &server.url(), &patient()).unwrap_err();
    assert_eq!(failure.error.status(), Status::Network);
    assert!(!failure.stale);
}

#[test]
fn a_refused_connection_names_host_port_and_the_systems_reason() {
    let url = EndpointUrl::parse(&format!("http://127.0.0.1:{}/", unused_port())).unwrap();
    let error = send(&network(), &url, &patient()).unwrap_err().error;
    assert_eq!(error.status(), Status::Network);
    assert!(error.message().contains(&format!("127.0.0.1:{}", url.port())), "{error}");
    assert!(error.message().contains("refused"), "{error}");
}

#[test]
fn the_callers_log_names_the_request_and_what_came_of_it_without_its_query() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let (heard, mut call) = (Arc::<Heard>::default(), patient());
    heard.attach(&mut call);
    let url = server.url_of("http://127.0.0.1", "/t?a=canary");
    let request = Request { method: Method::Get, query: Some("b=canary".into()), ..post(&url) };
    network().send(&request, &Trust::default(), &call).unwrap();
    let lines = heard.0.lock().unwrap().join("\n");
    assert!(lines.contains(&format!("GET http://127.0.0.1:{}/t: 200, 2 bytes in", server.port)), "{lines}");
    assert!(lines.contains("on a new connection"), "{lines}");
    assert!(!lines.contains("canary"), "{lines}");
}

/// A program that links the rlib may have a logger, and ureq speaks to it.
struct Everything(Mutex<String>);

impl ::log::Log for Everything {
    fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &::log::Record<'_>) {
        let mut all = self.0.lock().unwrap();
        all.push_str(&format!("{} {}\n", record.target(), record.args()));
    }

    fn flush(&self) {}
}

static EVERYTHING: Everything = Everything(Mutex::new(String::new()));

#[test]
fn a_logger_of_the_host_program_hears_no_secret_at_any_level() {
    ::log::set_logger(&EVERYTHING).unwrap();
    ::log::set_max_level(::log::LevelFilter::Trace);
    // ureq-proto prints rows of 16 bytes: eight letters in a row would fall into one of two rows.
    let canary = "zqzqzqzq".repeat(4);
    let reply = ok(&format!("{{\"t\":\"{canary}\"}}"));
    let server = Server::plain(move |_, _| Reply::Keep(reply.clone()));
    let url = server.url_of("http://127.0.0.1", &format!("/heard?own={canary}"));
    let secret = || Some(Secret::new(format!("b={canary}")));
    for (method, query) in [(Method::Get, secret()), (Method::Post, None)] {
        let request = Request {
            method,
            url: &url,
            query,
            headers: vec![("Authorization".to_owned(), Secret::new(canary.clone()))],
            body: secret(),
            reuse: Reuse::Yes,
        };
        network().send(&request, &Trust::default(), &patient()).unwrap();
    }
    let all = EVERYTHING.0.lock().unwrap();
    assert!(all.contains("ureq"), "the test hears nothing at all");
    assert!(!all.contains("zqzq"), "{}", all.lines().find(|line| line.contains("zqzq")).unwrap());
}

#[test]
fn debug_shows_of_an_answer_neither_its_body_nor_where_it_leads() {
    let answer =
        answer("HTTP/1.1 302 Found\r\nLocation: /?code=canary\r\nContent-Length: 6\r\n\r\ncanary").unwrap();
    let shown = format!("{answer:?}");
    assert!(shown.contains("status: 302"), "{shown}");
    assert!(shown.contains("body: 6 bytes"), "{shown}");
    assert!(!shown.contains("canary") && !shown.contains("99, 97, 110"), "{shown}");
}

#[test]
fn a_request_of_too_many_bytes_is_an_option_to_mend_and_calls_nobody() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let url = server.url();
    let long = || Secret::new("a".repeat(100 << 10));
    let query = Request { method: Method::Get, query: Some(long()), ..post(&url) };
    let header = Request { headers: vec![("X-Token".to_owned(), long())], ..post(&url) };
    let many = (0..10).map(|i| (format!("X-{i}"), Secret::new("a".repeat(10 << 10)))).collect();
    let headers = Request { headers: many, ..post(&url) };
    for request in [query, header, headers] {
        let failure = network().send(&request, &Trust::default(), &patient()).unwrap_err();
        assert_eq!(failure.error.status(), Status::InvalidOption, "{}", failure.error);
        assert!(failure.error.message().contains("64 KiB"), "{}", failure.error);
        assert!(!failure.answered);
    }
    assert_eq!(server.accepted(), 0);
}

#[test]
fn an_answer_of_two_hundred_headers_is_said_to_have_too_many() {
    let error = failure(|_, _| {
        let fields: String = (0..200).map(|number| format!("X-{number}: a\r\n")).collect();
        Reply::Close(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes())
    });
    assert_eq!(error.status(), Status::BadResponse);
    assert!(error.message().contains("127.0.0.1 has more than 128 headers"), "{error}");
}

#[test]
fn a_failure_says_whether_the_server_had_seen_the_request() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", 2 << 20, "x".repeat(2 << 20));
    for (bytes, why) in [
        (String::new(), "closed without an answer"),
        ("HTTP/1.1 2".to_owned(), "cut off"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd".to_owned(), "cut off"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx".to_owned(), "compressed"),
        (long, "longer than 1 MiB"),
    ] {
        let server = Server::plain(move |_, _| Reply::Close(bytes.clone().into()));
        let failure = send(&network(), &server.url(), &patient()).unwrap_err();
        assert!(failure.error.message().contains(why), "{}", failure.error);
        assert!(failure.answered, "{}", failure.error);
    }
}

#[test]
fn a_server_that_was_not_reached_or_did_not_answer_in_time_has_not_answered() {
    let nobody = EndpointUrl::parse(&format!("http://127.0.0.1:{}/", unused_port())).unwrap();
    assert!(!send(&network(), &nobody, &patient()).unwrap_err().answered);
    let unknown = EndpointUrl::parse("https://login.example.com/token").unwrap();
    assert!(!send(&asking(|_| Ok(Vec::new())), &unknown, &patient()).unwrap_err().answered);
    for reply in [|| Reply::Silence, || Reply::Drip(ok("{}"))] {
        let server = Server::plain(move |_, _| reply());
        let failure = send(&network(), &server.url(), &within(200)).unwrap_err();
        assert_eq!(failure.error.status(), Status::Timeout);
        assert!(!failure.answered);
    }
}

#[test]
fn a_server_that_closes_on_a_request_that_is_still_going_out_has_answered() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = EndpointUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let body = Some(Secret::new("a".repeat(8 << 20)));
    let failure = network().send(&Request { body, ..post(&url) }, &Trust::default(), &patient()).unwrap_err();
    server.join().unwrap();
    assert_eq!(failure.error.status(), Status::Network);
    assert!(failure.answered, "{}", failure.error);
}

/// A clock that a test sets.
#[derive(Default)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn unix_seconds(&self) -> i64 {
        0
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn idle_connection_is_not_reused_after_a_minute_that_counts_suspended_time() {
    for tls in [false, true] {
        let clock: Arc<TestClock> = Arc::default();
        let network = Network { clock: Arc::<TestClock>::clone(&clock), ..network() };
        let authority = tls::Authority::new();
        let (server, base) = match tls {
            true => (authority.server("localhost", plainly, reply), "https://localhost"),
            false => (Server::plain(reply), "http://127.0.0.1"),
        };
        let (url, trust) = (server.url_of(base, "/"), authority.trust());
        let mut kept = Vec::new();
        for second in [0, 59, 118, 178] {
            clock.0.store(second, Ordering::SeqCst);
            kept.push(network.send(&post(&url), &trust, &patient()).unwrap().kept);
        }
        assert_eq!(kept, [false, true, true, false], "tls: {tls}");
    }
}

/// What a request comes to on a connection whose other side says nothing any more.
fn after_silence(reuse: Reuse) -> (Failure, usize) {
    let server = Server::plain(|number, _| if number == 0 { Reply::Keep(ok("{}")) } else { Reply::Silence });
    let (network, url) = (network(), server.url_of("http://127.0.0.1", "/"));
    network.send(&post(&url), &Trust::default(), &patient()).unwrap();
    let request = Request { reuse, ..post(&url) };
    let call = CallContext::with_timeout(Duration::from_millis(800), "LoginTimeout");
    let failure = network.send(&request, &Trust::default(), &call).unwrap_err();
    assert_eq!(failure.stale, call.deadline.remaining() > Some(Duration::ZERO), "half of the call is left");
    (failure, server.accepted())
}

#[test]
fn repeatable_request_gives_up_on_silent_idle_connection() {
    let (failure, connections) = after_silence(Reuse::Repeatable);
    assert!(failure.stale && connections == 1);
    assert_eq!(failure.error.status(), Status::Network);
}

#[test]
fn other_request_waits_on_silent_idle_connection_as_long_as_call_lasts() {
    let (failure, connections) = after_silence(Reuse::Yes);
    assert!(!failure.stale && connections == 1);
    assert_eq!(failure.error.status(), Status::Timeout);
}

#[test]
fn repeatable_request_waits_on_new_connection_as_long_as_call_lasts() {
    let server = Server::plain(|_, _| Reply::Silence);
    let url = server.url_of("http://127.0.0.1", "/");
    let request = Request { reuse: Reuse::Repeatable, ..post(&url) };
    let call = CallContext::with_timeout(Duration::from_millis(200), "LoginTimeout");
    let failure = network().send(&request, &Trust::default(), &call).unwrap_err();
    assert_eq!(failure.error.status(), Status::Timeout);
}

#[test]
fn request_that_may_not_reuse_connection_gets_new_one_and_drops_idle_ones() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let (network, url) = (network(), server.url_of("http://127.0.0.1", "/"));
    let mut connections = Vec::new();
    for reuse in [Reuse::Yes, Reuse::No, Reuse::Repeatable] {
        let request = Request { reuse, ..post(&url) };
        network.send(&request, &Trust::default(), &patient()).unwrap();
        connections.push(server.accepted());
    }
    assert_eq!(connections, [1, 2, 2], "what it opened is kept for others");
}

#[test]
fn connections_are_counted() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let (network, url) = (network(), server.url_of("http://127.0.0.1", "/"));
    for _ in 0..3 {
        network.send(&post(&url), &Trust::default(), &patient()).unwrap();
    }
    let json: serde_json::Value = serde_json::from_str(&network.stats.to_json(&[], &[])).unwrap();
    let count = |name: &str| json[format!("authgrant_connections_{name}_total")].as_u64();
    assert_eq!((count("opened"), count("reused")), (Some(1), Some(2)));
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn connection_ends_when_nothing_is_acknowledged_for_ten_seconds() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = EndpointUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let exchange = Exchange::new(patient(), &post(&url), None).unwrap();
    let line = Dialer(Lookups::system()).dial(&exchange).unwrap();
    let timeout = socket2::SockRef::from(&**line).tcp_user_timeout().unwrap();
    assert_eq!(timeout, Some(Duration::from_secs(10)));
}
