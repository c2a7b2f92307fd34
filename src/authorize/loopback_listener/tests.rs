//! The loopback listener with plain TCP clients.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::*;
use crate::base::error::{ErrorKind, Status};
use crate::base::secret::Secret;

const STATE: &str = "the-right-state";
const LONG_TIMEOUT: Duration = Duration::from_secs(30);

fn expected_response() -> ExpectedResponse {
    ExpectedResponse {
        state: Secret::from(STATE),
        issuers: Vec::new(),
        server_host: "as.example".to_owned(),
        requires_code: true,
        url_without_nonce: None,
    }
}

fn call_with_timeout(limit: Duration) -> CallContext {
    CallContext::with_timeout(limit, "ConsentTimeout")
}

fn redirect_url(host: &str, port: u16) -> EndpointUrl {
    EndpointUrl::parse(&format!("http://{host}:{port}/callback")).unwrap()
}

/// Binds a free port. It retries because parallel tests may take the port between the probe and the bind.
fn bind_free_port(host: &str) -> (LoopbackListener, u16) {
    for _ in 0..50 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if let Ok(listener) = LoopbackListener::bind(&redirect_url(host, port)) {
            return (listener, port);
        }
    }
    panic!("no free port at {host}");
}

/// Binds a port that was just released. It retries because a process that another test forks may hold a copy
/// of the socket until its fork handler runs.
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

/// Sends `text` and reads the response to the end of the stream.
fn send_request(port: u16, text: &str) -> String {
    let mut stream = connect(port);
    stream.write_all(text.as_bytes()).unwrap();
    read_response(&mut stream)
}

fn read_response(stream: &mut TcpStream) -> String {
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn status_code(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("none")
}

/// Runs `client` while the listener waits at 127.0.0.1; returns both results.
fn run_with_listener<R: Send>(client: impl FnOnce(u16) -> R + Send) -> (Result<AuthorizationResponse>, R) {
    let (listener, port) = bind_free_port("127.0.0.1");
    thread::scope(|scope| {
        let client = scope.spawn(move || client(port));
        let outcome = listener.wait(
            &expected_response(),
            &ResultPages::new(Some("Reports")),
            &call_with_timeout(LONG_TIMEOUT),
        );
        drop(listener);
        (outcome, client.join().unwrap())
    })
}

fn received_code(outcome: &Result<AuthorizationResponse>) -> &str {
    outcome.as_ref().unwrap().code.as_ref().unwrap().reveal()
}

#[test]
fn valid_redirect_ends_wait_with_page() {
    let (outcome, response) = run_with_listener(|port| send_request(port, &valid_request(port)));
    assert_eq!(received_code(&outcome), "the-code");
    assert_eq!(status_code(&response), "200");
    assert!(response.contains("Thank you for granting consent to <strong>Reports</strong>"));
    assert!(response.ends_with("</html>\n"));
}

#[test]
fn error_redirect_returns_error_and_page() {
    let (outcome, response) = run_with_listener(|port| {
        let query = "error=access_denied&error_description=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
        send_request(port, &get_request(port, &format!("/callback?{query}&state={STATE}")))
    });
    let error = outcome.unwrap_err();
    assert_eq!((error.status(), error.oauth_error().as_deref()), (Status::Denied, Some("access_denied")));
    assert!(response.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !response.contains("<script"));
}

/// As [`run_with_listener`], but the login continues with `complete`.
fn run_with_completion<R: Send>(
    expected: &ExpectedResponse,
    complete: &mut CompleteFn<'_, bool>,
    client: impl FnOnce(u16) -> R + Send,
) -> (Result<bool>, R) {
    let (listener, port) = bind_free_port("127.0.0.1");
    let (pages, call) = (ResultPages::default().for_login(), call_with_timeout(LONG_TIMEOUT));
    thread::scope(|scope| {
        let client = scope.spawn(move || client(port));
        let outcome = listener.wait_and_complete(expected, &pages, &call, &mut || Ok(()), complete);
        (outcome, client.join().unwrap())
    })
}

#[test]
fn page_is_sent_after_completion() {
    let (page_received, completed) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut complete = |_| {
        assert!(!page_received.load(Ordering::SeqCst));
        completed.store(true, Ordering::SeqCst);
        Err(Error::new(ErrorKind::Unsupported, "token", "<no> token"))
    };
    let (outcome, (head, page)) = run_with_completion(&expected_response(), &mut complete, |port| {
        let head = send_request(port, &valid_request(port).replace("GET", "HEAD"));
        assert!(!completed.load(Ordering::SeqCst), "HEAD does not complete the login");
        let page = send_request(port, &valid_request(port));
        page_received.store(true, Ordering::SeqCst);
        (head, page)
    });
    assert_eq!(outcome.unwrap_err().status(), Status::Unsupported);
    assert_eq!((status_code(&head), status_code(&page)), ("200", "200"));
    assert!(page.contains("The login was not completed") && page.contains("&lt;no&gt; token"), "{page}");
}

#[test]
fn refused_nonce_redirects_browser_once() {
    let url = "https://as.example/auth?state=s";
    let expected = ExpectedResponse { url_without_nonce: Some(Secret::from(url)), ..expected_response() };
    let refusal = format!("/callback?error=invalid_request&state={STATE}");
    let mut complete = |response: AuthorizationResponse| Ok(response.nonce_refused);
    let (outcome, responses) = run_with_completion(&expected, &mut complete, |port| {
        let head = get_request(port, &refusal).replace("GET", "HEAD");
        [head, get_request(port, &refusal), valid_request(port)].map(|text| send_request(port, &text))
    });
    assert!(outcome.unwrap(), "the response belongs to the request without nonce");
    assert_eq!(responses.each_ref().map(|text| status_code(text)), ["302", "302", "200"]);
    assert!(responses[1].contains(&format!("\r\nLocation: {url}\r\n")), "{}", responses[1]);

    let (outcome, responses) = run_with_completion(&expected, &mut complete, |port| {
        [&refusal, &refusal].map(|target| send_request(port, &get_request(port, target)))
    });
    assert_eq!(outcome.unwrap_err().status(), Status::Denied, "the second refusal is final");
    assert_eq!(responses.each_ref().map(|text| status_code(text)), ["302", "200"]);

    let (outcome, _) = run_with_completion(&expected, &mut complete, |port| {
        send_request(port, &get_request(port, &format!("/callback?error=access_denied&state={STATE}")))
    });
    assert_eq!(outcome.unwrap_err().status(), Status::Denied, "another error concerns no nonce");
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
        let requests = [
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
        requests.map(|text| status_code(&send_request(port, &text)).to_owned())
    });
    assert_eq!(received_code(&outcome), "the-code");
    assert_eq!(statuses, ["400", "400", "400", "404", "400", "405", "200", "400", "431", "200"]);
}

#[test]
fn head_request_gets_no_body() {
    let (_, response) = run_with_listener(|port| {
        let response = send_request(port, &valid_request(port).replace("GET", "HEAD"));
        send_request(port, &valid_request(port));
        response
    });
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\n"), "{response}");
}

#[test]
fn post_response_has_allow_header() {
    let (_, response) = run_with_listener(|port| {
        let response = send_request(port, &format!("{}body", valid_request(port).replace("GET", "POST")));
        send_request(port, &valid_request(port));
        response
    });
    assert!(response.contains("\r\nAllow: GET, HEAD\r\n"), "{response}");
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
    let (outcome, response) = run_with_listener(|port| {
        let mut stream = connect(port);
        for part in valid_request(port).as_bytes().chunks(20) {
            stream.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        read_response(&mut stream)
    });
    assert_eq!((received_code(&outcome), status_code(&response)), ("the-code", "200"));
}

#[test]
fn incomplete_request_times_out() {
    let started = Instant::now();
    let (_, response) = run_with_listener(|port| {
        let mut stream = connect(port);
        stream.write_all(b"GET /callback?").unwrap();
        let response = read_response(&mut stream);
        send_request(port, &valid_request(port));
        response
    });
    assert_eq!(response, "");
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
    assert!(text.contains("2 with a wrong state, 1 with a wrong path, 1 with a wrong Host"), "{text}");
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
    assert_eq!(error.status(), Status::Timeout, "{error}");
    assert!((300..3000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

/// The time from the cancel to the return of the wait.
fn cancel_latency() -> Duration {
    let (listener, port) = bind_free_port("127.0.0.1");
    let _silent = connect(port);
    let call = call_with_timeout(LONG_TIMEOUT);
    let cancel = call.cancel.clone();
    thread::scope(|scope| {
        let canceller = scope.spawn(move || {
            thread::sleep(Duration::from_millis(130));
            let cancelled_at = Instant::now();
            cancel.cancel();
            cancelled_at
        });
        let error = listener.wait(&expected_response(), &ResultPages::default(), &call).unwrap_err();
        let returned_at = Instant::now();
        assert_eq!(error.status(), Status::Cancelled);
        returned_at.duration_since(canceller.join().unwrap())
    })
}

#[test]
fn cancel_ends_wait_within_250_ms() {
    // The best of three, because a loaded machine may be late.
    let best = (0..3).map(|_| cancel_latency()).min().unwrap();
    assert!(best < Duration::from_millis(250), "{best:?}");
}

#[test]
fn check_error_ends_wait() {
    let (listener, _) = bind_free_port("127.0.0.1");
    let mut checks = 0;
    let mut check = || {
        checks += 1;
        if checks < 3 { Ok(()) } else { Err(Error::new(ErrorKind::Unsupported, "consent", "no browser")) }
    };
    let error = listener
        .wait_and_complete(
            &expected_response(),
            &ResultPages::default(),
            &call_with_timeout(LONG_TIMEOUT),
            &mut check,
            &mut Ok,
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
    for text in [
        "https://app.example/callback",
        "https://localhost:3000",
        "http://localhost",
        "http://127.0.0.1/callback",
        "http://[::1]/callback",
    ] {
        let error = LoopbackListener::bind(&EndpointUrl::parse(text).unwrap()).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("RedirectURI")), "{text}");
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

#[test]
fn port_zero_listens_at_same_free_port_of_all_addresses() {
    for host in ["localhost", "127.0.0.1", "LOCALHOST"] {
        let redirect = EndpointUrl::parse_redirect_uri(&format!("http://{host}:0/cb")).unwrap();
        let listener = LoopbackListener::bind(&redirect).unwrap();
        let port = listener.redirect_url().port();
        assert_ne!(port, 0);
        assert_eq!(listener.redirect_url().as_str(), format!("http://{host}:{port}/cb"));
        assert!(
            listener.sockets.iter().all(|socket| socket.local_addr().unwrap().port() == port),
            "{:?}",
            listener.sockets
        );
    }
}
