//! The listener with visitors of plain sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

use super::*;
use crate::base::secret::Secret;

const STATE: &str = "the-right-state";
const LONG: Duration = Duration::from_secs(30);

fn expected() -> Expected {
    Expected {
        state: Secret::from(STATE),
        issuers: Vec::new(),
        server: "as.example".to_owned(),
        wants_code: true,
    }
}

fn call(limit: Duration) -> CallContext {
    CallContext::with_timeout(limit, "ConsentTimeout")
}

fn redirect(host: &str, port: u16) -> EndpointUrl {
    EndpointUrl::parse(&format!("http://{host}:{port}/callback")).unwrap()
}

/// A port that was free a moment ago; others run their tests beside us.
fn listening(host: &str) -> (Listener, u16) {
    for _ in 0..50 {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if let Ok(listener) = Listener::bind(&redirect(host, free)) {
            return (listener, free);
        }
    }
    panic!("no port is free at {host}");
}

/// Binds again what was just let go: a process that other tests fork off may hold a copy until its first step.
fn bound_again(host: &str, port: u16) -> Listener {
    let started = Instant::now();
    loop {
        match Listener::bind(&redirect(host, port)) {
            Ok(listener) => return listener,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(5), "{error}"),
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn right(port: u16) -> String {
    get(port, &format!("/callback?code=the-code&state={STATE}"))
}

fn get(port: u16, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// What comes back for `text`, to the end.
fn said(port: u16, text: &str) -> String {
    let mut stream = connect(port);
    stream.write_all(text.as_bytes()).unwrap();
    heard(&mut stream)
}

fn heard(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

/// Waits at 127.0.0.1 while `visits` are paid; what came of both.
fn meeting<R: Send>(visits: impl FnOnce(u16) -> R + Send) -> (Result<Arrival>, R) {
    let (listener, port) = listening("127.0.0.1");
    thread::scope(|scope| {
        let visits = scope.spawn(move || visits(port));
        let outcome = listener.wait(&expected(), &Pages::new(Some("Reports")), &call(LONG));
        drop(listener);
        (outcome, visits.join().unwrap())
    })
}

fn code(outcome: &Result<Arrival>) -> &str {
    outcome.as_ref().unwrap().code.as_ref().unwrap().reveal()
}

#[test]
fn the_right_visit_ends_the_wait_and_gets_the_whole_page() {
    let (outcome, answer) = meeting(|port| said(port, &right(port)));
    assert_eq!(code(&outcome), "the-code");
    assert_eq!(status(&answer), "200");
    assert!(answer.contains("Thank you for granting consent to <strong>Reports</strong>"));
    assert!(answer.ends_with("</html>\n"));
}

#[test]
fn a_refusal_with_the_right_state_is_an_error_and_a_page() {
    let (outcome, answer) = meeting(|port| {
        let query = "error=access_denied&error_description=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
        said(port, &get(port, &format!("/callback?{query}&state={STATE}")))
    });
    let error = outcome.unwrap_err();
    assert_eq!((error.status(), error.oauth_error()), (Status::Denied, Some("access_denied")));
    assert!(answer.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !answer.contains("<script"));
}

#[test]
fn an_answer_without_a_code_is_a_bad_response() {
    let (outcome, _) = meeting(|port| said(port, &get(port, &format!("/callback?state={STATE}"))));
    assert_eq!(outcome.unwrap_err().status(), Status::BadResponse);
}

#[test]
fn visits_that_are_not_the_right_one_do_not_end_the_wait() {
    let (outcome, statuses) = meeting(|port| {
        let visits = [
            get(port, "/callback?code=wrong&state=wrong"),
            get(port, "/callback?code=wrong"),
            get(port, "/elsewhere"),
            get(port, "/favicon.ico"),
            right(port).replace("127.0.0.1", "rebound.example"),
            right(port).replace("GET", "POST"),
            right(port).replace("GET", "HEAD"),
            "\u{16}\u{3}\u{1}garbage\r\n\r\n".to_owned(),
            format!("GET /{} HTTP/1.1\r\n", "x".repeat(17 << 10)),
            right(port),
        ];
        visits.map(|text| status(&said(port, &text)).to_owned())
    });
    assert_eq!(code(&outcome), "the-code");
    assert_eq!(statuses, ["400", "400", "400", "404", "400", "405", "200", "400", "431", "200"]);
}

#[test]
fn head_gets_the_head_alone() {
    let (_, answer) = meeting(|port| {
        let answer = said(port, &right(port).replace("GET", "HEAD"));
        said(port, &right(port));
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_post_is_told_what_is_allowed() {
    let (_, answer) = meeting(|port| {
        let answer = said(port, &format!("{}body", right(port).replace("GET", "POST")));
        said(port, &right(port));
        answer
    });
    assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
}

#[test]
fn visitors_that_never_speak_keep_nobody_waiting_however_many_they_are() {
    let started = Instant::now();
    let (outcome, _) = meeting(|port| {
        let silent: Vec<TcpStream> = (0..3 * CROWD).map(|_| connect(port)).collect();
        said(port, &right(port));
        silent
    });
    assert_eq!(code(&outcome), "the-code");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_visitor_that_speaks_slowly_is_heard_to_the_end() {
    let (outcome, answer) = meeting(|port| {
        let mut stream = connect(port);
        for part in right(port).as_bytes().chunks(20) {
            stream.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        heard(&mut stream)
    });
    assert_eq!((code(&outcome), status(&answer)), ("the-code", "200"));
}

#[test]
fn a_visitor_that_says_half_is_let_go_after_its_time() {
    let started = Instant::now();
    let (_, answer) = meeting(|port| {
        let mut stream = connect(port);
        stream.write_all(b"GET /callback?").unwrap();
        let answer = heard(&mut stream);
        said(port, &right(port));
        answer
    });
    assert_eq!(answer, "");
    assert!((4..15).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[test]
fn a_visitor_that_leaves_at_once_disturbs_nobody() {
    let (outcome, ()) = meeting(|port| {
        drop(connect(port));
        let half_closed = connect(port);
        half_closed.shutdown(Shutdown::Write).unwrap();
        let mut reset = connect(port);
        reset.write_all(b"GET /").unwrap();
        socket2::SockRef::from(&reset).set_linger(Some(Duration::ZERO)).unwrap();
        drop(reset);
        said(port, &right(port));
    });
    assert_eq!(code(&outcome), "the-code");
}

#[test]
fn a_person_that_never_closes_the_connection_does_not_hold_the_caller_up() {
    let started = Instant::now();
    let (outcome, _open) = meeting(|port| {
        let mut stream = connect(port);
        stream.write_all(right(port).as_bytes()).unwrap();
        stream
    });
    assert_eq!(code(&outcome), "the-code");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn the_deadline_tells_who_came_instead() {
    let (listener, port) = listening("127.0.0.1");
    let error = thread::scope(|scope| {
        scope.spawn(move || {
            said(port, &get(port, "/callback?code=hidden&state=wrong"));
            said(port, &get(port, "/callback?state=wrong"));
            said(port, &get(port, "/"));
            said(port, &right(port).replace("127.0.0.1", "rebound.example"));
            said(port, &get(port, "/favicon.ico"));
        });
        listener.wait(&expected(), &Pages::default(), &call(Duration::from_secs(3))).unwrap_err()
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
fn the_deadline_says_so_when_nobody_came_and_comes_in_time() {
    let (listener, port) = listening("127.0.0.1");
    let _silent = connect(port);
    let started = Instant::now();
    let error = listener.wait(&expected(), &Pages::default(), &call(Duration::from_millis(300))).unwrap_err();
    assert!(error.message().contains("nobody came"), "{error}");
    assert!((300..3000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

/// From the cancel to the return.
fn cancelled_after() -> Duration {
    let (listener, port) = listening("127.0.0.1");
    let _silent = connect(port);
    let call = call(LONG);
    let cancel = call.cancel.clone();
    thread::scope(|scope| {
        let cancelled = scope.spawn(move || {
            thread::sleep(Duration::from_millis(130));
            let at = Instant::now();
            cancel.cancel();
            at
        });
        let error = listener.wait(&expected(), &Pages::default(), &call).unwrap_err();
        let ended = Instant::now();
        assert_eq!(error.status(), Status::Cancelled);
        ended.duration_since(cancelled.join().unwrap())
    })
}

#[test]
fn a_cancel_ends_the_wait_within_a_quarter_of_a_second() {
    // A machine that does much else may be late once.
    let best = (0..3).map(|_| cancelled_after()).min().unwrap();
    assert!(best < Duration::from_millis(250), "{best:?}");
}

#[test]
fn who_watches_beside_can_end_the_wait() {
    let (listener, _) = listening("127.0.0.1");
    let mut asked = 0;
    let mut beside = || {
        asked += 1;
        if asked < 3 { Ok(()) } else { Err(Error::new(Status::Unsupported, "consent", "no browser")) }
    };
    let error = listener.wait_beside(&expected(), &Pages::default(), &call(LONG), &mut beside).unwrap_err();
    assert_eq!(error.status(), Status::Unsupported);
}

#[test]
fn localhost_is_both_loopback_addresses() {
    for address in ["127.0.0.1", "::1"] {
        let (listener, port) = listening("localhost");
        let text = right(port).replace("127.0.0.1", "localhost");
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = TcpStream::connect((address, port)).unwrap();
                stream.write_all(text.as_bytes()).unwrap();
                heard(&mut stream)
            });
            listener.wait(&expected(), &Pages::default(), &call(LONG))
        });
        assert_eq!(code(&outcome), "the-code", "{address}");
    }
}

#[test]
fn a_port_that_is_taken_at_either_address_is_an_error() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let other = TcpListener::bind(address).unwrap();
        let port = other.local_addr().unwrap().port();
        let error = Listener::bind(&redirect("localhost", port)).unwrap_err();
        assert_eq!((error.status(), error.sqlstate()), (Status::Network, "08001"), "{address}");
        assert_eq!(error.option(), Some("RedirectURI"));
        assert!(error.message().contains("taken"), "{error}");
    }
}

#[test]
fn a_second_login_at_the_same_port_is_refused_until_the_first_has_ended() {
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let (first, port) = listening(host);
        assert!(Listener::bind(&redirect(host, port)).is_err(), "{host}");
        drop(first);
        bound_again(host, port);
    }
}

#[test]
fn the_port_is_free_again_right_after_a_login() {
    let (listener, port) = listening("127.0.0.1");
    thread::scope(|scope| {
        scope.spawn(move || said(port, &right(port)));
        listener.wait(&expected(), &Pages::default(), &call(LONG)).unwrap();
    });
    drop(listener);
    bound_again("127.0.0.1", port);
}

#[test]
fn any_loopback_address_can_be_listened_at_and_nothing_else_hears() {
    let (_listener, port) = listening("127.4.5.6");
    assert!(TcpStream::connect(("127.4.5.6", port)).is_ok());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_redirect_that_cannot_be_listened_at_names_its_option() {
    for (text, part) in [
        ("https://app.example/callback", "is https"),
        ("https://localhost:3000", "is https"),
        ("http://localhost", "has no port"),
        ("http://127.0.0.1/callback", "has no port"),
        ("http://[::1]/callback", "has no port"),
    ] {
        let error = Listener::bind(&EndpointUrl::parse(text).unwrap()).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("RedirectURI")), "{text}");
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn the_schemes_own_port_is_a_port_once_it_is_written() {
    assert_eq!(listenable(&EndpointUrl::parse("http://localhost:80/callback").unwrap()).unwrap(), 80);
}

#[cfg(unix)]
#[test]
fn a_forked_child_holds_no_port() {
    crate::sys::install_fork_handlers();
    let (listener, port) = listening("127.0.0.1");
    crate::sys::with_live_child(|| {
        drop(listener);
        bound_again("127.0.0.1", port);
    });
}
