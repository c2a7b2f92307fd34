//! The listener with visitors of plain sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

use super::*;
use crate::base::secret::Secret;

const STATE: &str = "the-right-state";
const LONG_TIMEOUT: Duration = Duration::from_secs(30);

fn expected_response() -> ExpectedResponse {
    ExpectedResponse {
        state: Secret::from(STATE),
        issuers: Vec::new(),
        server_host: "as.example".to_owned(),
        requires_code: true,
    }
}

fn call_with_timeout(limit: Duration) -> CallContext {
    CallContext::with_timeout(limit, "ConsentTimeout")
}

fn redirect_url(host: &str, port: u16) -> EndpointUrl {
    EndpointUrl::parse(&format!("http://{host}:{port}/callback")).unwrap()
}

/// A port that was free a moment ago; others run their tests beside us.
fn bind_free_port(host: &str) -> (LoopbackListener, u16) {
    for _ in 0..50 {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if let Ok(listener) = LoopbackListener::bind(&redirect_url(host, free)) {
            return (listener, free);
        }
    }
    panic!("no port is free at {host}");
}

/// Binds again what was just let go: a process that other tests fork off may hold a copy until its first step.
fn bind_with_retry(host: &str, port: u16) -> LoopbackListener {
    let started = Instant::now();
    loop {
        match LoopbackListener::bind(&redirect_url(host, port)) {
            Ok(listener) => return listener,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(5), "{error}"),
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn valid_request(port: u16) -> String {
    get_request(port, &format!("/callback?code=the-code&state={STATE}"))
}

fn get_request(port: u16, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG_TIMEOUT)).unwrap();
    stream
}

/// What comes back for `text`, to the end.
fn send_request(port: u16, text: &str) -> String {
    let mut stream = connect(port);
    stream.write_all(text.as_bytes()).unwrap();
    read_response(&mut stream)
}

fn read_response(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status_code(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

/// Waits at 127.0.0.1 while `visits` are paid; what came of both.
fn run_with_listener<R: Send>(visits: impl FnOnce(u16) -> R + Send) -> (Result<AuthorizationResponse>, R) {
    let (listener, port) = bind_free_port("127.0.0.1");
    thread::scope(|scope| {
        let visits = scope.spawn(move || visits(port));
        let outcome = listener.wait(
            &expected_response(),
            &ResultPages::new(Some("Reports")),
            &call_with_timeout(LONG_TIMEOUT),
        );
        drop(listener);
        (outcome, visits.join().unwrap())
    })
}

fn received_code(outcome: &Result<AuthorizationResponse>) -> &str {
    outcome.as_ref().unwrap().code.as_ref().unwrap().reveal()
}

#[test]
fn valid_redirect_ends_wait_with_page() {
    let (outcome, answer) = run_with_listener(|port| send_request(port, &valid_request(port)));
    assert_eq!(received_code(&outcome), "the-code");
    assert_eq!(status_code(&answer), "200");
    assert!(answer.contains("Thank you for granting consent to <strong>Reports</strong>"));
    assert!(answer.ends_with("</html>\n"));
}

#[test]
fn error_redirect_returns_error_and_page() {
    let (outcome, answer) = run_with_listener(|port| {
        let query = "error=access_denied&error_description=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
        send_request(port, &get_request(port, &format!("/callback?{query}&state={STATE}")))
    });
    let error = outcome.unwrap_err();
    assert_eq!((error.status(), error.oauth_error()), (Status::Denied, Some("access_denied")));
    assert!(answer.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !answer.contains("<script"));
}

#[test]
fn redirect_without_code_is_bad_response() {
    let (outcome, _) =
        run_with_listener(|port| send_request(port, &get_request(port, &format!("/callback?state={STATE}"))));
    assert_eq!(outcome.unwrap_err().status(), Status::BadResponse);
}

#[test]
fn rejected_requests_do_not_end_wait() {
    let (outcome, statuses) = run_with_listener(|port| {
        let visits = [
            get_request(port, "/callback?code=wrong&state=wrong"),
            get_request(port, "/callback?code=wrong"),
            get_request(port, "/elsewhere"),
            get_request(port, "/favicon.ico"),
            valid_request(port).replace("127.0.0.1", "rebound.example"),
            valid_request(port).replace("GET", "POST"),
            valid_request(port).replace("GET", "HEAD"),
            "\u{16}\u{3}\u{1}garbage\r\n\r\n".to_owned(),
            format!("GET /{} HTTP/1.1\r\n", "x".repeat(17 << 10)),
            valid_request(port),
        ];
        visits.map(|text| status_code(&send_request(port, &text)).to_owned())
    });
    assert_eq!(received_code(&outcome), "the-code");
    assert_eq!(statuses, ["400", "400", "400", "404", "400", "405", "200", "400", "431", "200"]);
}

#[test]
fn head_request_gets_no_body() {
    let (_, answer) = run_with_listener(|port| {
        let answer = send_request(port, &valid_request(port).replace("GET", "HEAD"));
        send_request(port, &valid_request(port));
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn post_response_has_allow_header() {
    let (_, answer) = run_with_listener(|port| {
        let answer = send_request(port, &format!("{}body", valid_request(port).replace("GET", "POST")));
        send_request(port, &valid_request(port));
        answer
    });
    assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
}

#[test]
fn silent_connections_do_not_block_redirect() {
    let started = Instant::now();
    let (outcome, _) = run_with_listener(|port| {
        let silent: Vec<TcpStream> = (0..3 * MAX_CONNECTIONS).map(|_| connect(port)).collect();
        send_request(port, &valid_request(port));
        silent
    });
    assert_eq!(received_code(&outcome), "the-code");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn slow_request_is_read_completely() {
    let (outcome, answer) = run_with_listener(|port| {
        let mut stream = connect(port);
        for part in valid_request(port).as_bytes().chunks(20) {
            stream.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        read_response(&mut stream)
    });
    assert_eq!((received_code(&outcome), status_code(&answer)), ("the-code", "200"));
}

#[test]
fn incomplete_request_times_out() {
    let started = Instant::now();
    let (_, answer) = run_with_listener(|port| {
        let mut stream = connect(port);
        stream.write_all(b"GET /callback?").unwrap();
        let answer = read_response(&mut stream);
        send_request(port, &valid_request(port));
        answer
    });
    assert_eq!(answer, "");
    assert!((4..15).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[test]
fn closed_connections_do_not_disturb_wait() {
    let (outcome, ()) = run_with_listener(|port| {
        drop(connect(port));
        let half_closed = connect(port);
        half_closed.shutdown(Shutdown::Write).unwrap();
        let mut reset = connect(port);
        reset.write_all(b"GET /").unwrap();
        socket2::SockRef::from(&reset).set_linger(Some(Duration::ZERO)).unwrap();
        drop(reset);
        send_request(port, &valid_request(port));
    });
    assert_eq!(received_code(&outcome), "the-code");
}

#[test]
fn unclosed_connection_does_not_delay_result() {
    let started = Instant::now();
    let (outcome, _open) = run_with_listener(|port| {
        let mut stream = connect(port);
        stream.write_all(valid_request(port).as_bytes()).unwrap();
        stream
    });
    assert_eq!(received_code(&outcome), "the-code");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn timeout_error_counts_rejected_requests() {
    let (listener, port) = bind_free_port("127.0.0.1");
    let error = thread::scope(|scope| {
        scope.spawn(move || {
            send_request(port, &get_request(port, "/callback?code=hidden&state=wrong"));
            send_request(port, &get_request(port, "/callback?state=wrong"));
            send_request(port, &get_request(port, "/"));
            send_request(port, &valid_request(port).replace("127.0.0.1", "rebound.example"));
            send_request(port, &get_request(port, "/favicon.ico"));
        });
        listener
            .wait(&expected_response(), &ResultPages::default(), &call_with_timeout(Duration::from_secs(3)))
            .unwrap_err()
    });
    assert_eq!(error.status(), Status::Timeout);
    let text = error.message();
    assert!(text.contains("within 3 s (ConsentTimeout)"), "{text}");
    assert!(
        text.contains("turned away: 2 with a wrong state, 1 with a wrong path, 1 with a wrong Host"),
        "{text}"
    );
    assert!(!text.contains("hidden") && !text.contains(STATE), "{text}");
}

#[test]
fn timeout_without_requests_is_punctual() {
    let (listener, port) = bind_free_port("127.0.0.1");
    let _silent = connect(port);
    let started = Instant::now();
    let error = listener
        .wait(&expected_response(), &ResultPages::default(), &call_with_timeout(Duration::from_millis(300)))
        .unwrap_err();
    assert!(error.message().contains("nobody came"), "{error}");
    assert!((300..3000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

/// From the cancel to the return.
fn cancel_latency() -> Duration {
    let (listener, port) = bind_free_port("127.0.0.1");
    let _silent = connect(port);
    let call = call_with_timeout(LONG_TIMEOUT);
    let cancel = call.cancel.clone();
    thread::scope(|scope| {
        let cancelled = scope.spawn(move || {
            thread::sleep(Duration::from_millis(130));
            let at = Instant::now();
            cancel.cancel();
            at
        });
        let error = listener.wait(&expected_response(), &ResultPages::default(), &call).unwrap_err();
        let ended = Instant::now();
        assert_eq!(error.status(), Status::Cancelled);
        ended.duration_since(cancelled.join().unwrap())
    })
}

#[test]
fn cancel_ends_wait_within_250_ms() {
    // A machine that does much else may be late once.
    let best = (0..3).map(|_| cancel_latency()).min().unwrap();
    assert!(best < Duration::from_millis(250), "{best:?}");
}

#[test]
fn check_error_ends_wait() {
    let (listener, _) = bind_free_port("127.0.0.1");
    let mut asked = 0;
    let mut beside = || {
        asked += 1;
        if asked < 3 { Ok(()) } else { Err(Error::new(Status::Unsupported, "consent", "no browser")) }
    };
    let error = listener
        .wait_with_check(
            &expected_response(),
            &ResultPages::default(),
            &call_with_timeout(LONG_TIMEOUT),
            &mut beside,
        )
        .unwrap_err();
    assert_eq!(error.status(), Status::Unsupported);
}

#[test]
fn localhost_listens_on_both_loopback_addresses() {
    for address in ["127.0.0.1", "::1"] {
        let (listener, port) = bind_free_port("localhost");
        let text = valid_request(port).replace("127.0.0.1", "localhost");
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = TcpStream::connect((address, port)).unwrap();
                stream.write_all(text.as_bytes()).unwrap();
                read_response(&mut stream)
            });
            listener.wait(&expected_response(), &ResultPages::default(), &call_with_timeout(LONG_TIMEOUT))
        });
        assert_eq!(received_code(&outcome), "the-code", "{address}");
    }
}

#[test]
fn occupied_port_is_network_error() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let other = TcpListener::bind(address).unwrap();
        let port = other.local_addr().unwrap().port();
        let error = LoopbackListener::bind(&redirect_url("localhost", port)).unwrap_err();
        assert_eq!((error.status(), error.sqlstate()), (Status::Network, "08001"), "{address}");
        assert_eq!(error.option(), Some("RedirectURI"));
        assert!(error.message().contains("taken"), "{error}");
    }
}

#[test]
fn port_is_exclusive_until_listener_drops() {
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let (first, port) = bind_free_port(host);
        assert!(LoopbackListener::bind(&redirect_url(host, port)).is_err(), "{host}");
        drop(first);
        bind_with_retry(host, port);
    }
}

#[test]
fn port_is_reusable_after_login() {
    let (listener, port) = bind_free_port("127.0.0.1");
    thread::scope(|scope| {
        scope.spawn(move || send_request(port, &valid_request(port)));
        listener
            .wait(&expected_response(), &ResultPages::default(), &call_with_timeout(LONG_TIMEOUT))
            .unwrap();
    });
    drop(listener);
    bind_with_retry("127.0.0.1", port);
}

#[test]
fn listener_binds_only_given_loopback_address() {
    let (_listener, port) = bind_free_port("127.4.5.6");
    assert!(TcpStream::connect(("127.4.5.6", port)).is_ok());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn unusable_redirect_uri_error_names_option() {
    for (text, part) in [
        ("https://app.example/callback", "is https"),
        ("https://localhost:3000", "is https"),
        ("http://localhost", "has no port"),
        ("http://127.0.0.1/callback", "has no port"),
        ("http://[::1]/callback", "has no port"),
    ] {
        let error = LoopbackListener::bind(&EndpointUrl::parse(text).unwrap()).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("RedirectURI")), "{text}");
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn explicit_default_port_is_accepted() {
    assert_eq!(listen_port(&EndpointUrl::parse("http://localhost:80/callback").unwrap()).unwrap(), 80);
}

#[cfg(unix)]
#[test]
fn forked_child_does_not_hold_port() {
    crate::sys::install_fork_handlers();
    let (listener, port) = bind_free_port("127.0.0.1");
    crate::sys::with_live_child(|| {
        drop(listener);
        bind_with_retry("127.0.0.1", port);
    });
}
