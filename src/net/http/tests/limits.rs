use std::sync::{Arc, Mutex, mpsc};

use crate::base::file::ConfiguredPath;
use crate::net::http::testing::*;
use crate::net::http::*;

#[test]
fn a_server_that_never_answers_ends_on_time_and_nothing_was_received() {
    let server = Server::plain(|_, _| Reply::Silence);
    let call = within(300);
    let error = in_time(300, || send(&network(), &server.url(), &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout);
    let text = error.message();
    assert!(text.contains("no answer from 127.0.0.1 within 0.3 s (LoginTimeout); connected after"), "{text}");
    assert!(text.ends_with("then nothing was received"), "{text}");
}

#[test]
fn a_server_that_drips_ends_on_time_and_is_said_to_have_sent_something() {
    for head in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"] {
        let server = Server::plain(move |number, _| match (number, head) {
            (_, "") => Reply::Drip(ok(&"x".repeat(5000))),
            _ => Reply::Drip(head.bytes().chain([b'x'; 5000]).collect()),
        });
        let call = within(400);
        let error = in_time(400, || send(&network(), &server.url(), &call)).unwrap_err().error;
        assert_eq!(error.status(), Status::Timeout);
        assert!(error.message().contains(" bytes were received"), "{error}");
    }
}

#[test]
fn a_connect_that_nobody_answers_ends_on_time() {
    let deaf = Deaf::new();
    let call = within(300);
    let error = in_time(300, || send(&network(), &deaf.url(), &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("could not connect to 127.0.0.1"), "{error}");
}

#[test]
fn a_cancel_ends_a_connect() {
    let (deaf, heard, mut call) = (Deaf::new(), Arc::<Heard>::default(), patient());
    heard.attach(&mut call);
    let failure = cancelled_when(&heard.bell(), &network(), &deaf.url(), &call);
    assert_eq!(failure.error.status(), Status::Cancelled);
}

#[test]
fn a_cancel_ends_the_wait_for_an_answer() {
    let (arrived, bell) = mpsc::channel();
    let arrived = Mutex::new(arrived);
    let server = Server::plain(move |_, _| {
        arrived.lock().unwrap().send(()).unwrap();
        Reply::Silence
    });
    let failure = cancelled_when(&bell, &network(), &server.url(), &patient());
    assert_eq!(failure.error.status(), Status::Cancelled);
    assert!(!failure.stale);
}

#[test]
fn a_cancel_leaves_the_other_requests_of_the_network_alone() {
    let (arrived, bell) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let (arrived, gate) = (Mutex::new(arrived), Mutex::new(gate));
    let server = Server::plain(move |_, text| {
        arrived.lock().unwrap().send(()).unwrap();
        if text.contains("/waits") {
            gate.lock().unwrap().recv().unwrap();
            return Reply::Keep(ok("{}"));
        }
        Reply::Silence
    });
    let network = network();
    let other = server.url_of("http://127.0.0.1", "/waits");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| send(&network, &other, &patient()));
        bell.recv().unwrap();
        let failure = cancelled_when(&bell, &network, &server.url(), &patient());
        assert_eq!(failure.error.status(), Status::Cancelled);
        go.send(()).unwrap();
        assert_eq!(waits.join().unwrap().unwrap().status, 200);
    });
}

#[test]
fn a_late_cancel_does_not_reach_the_call_that_took_up_the_connection() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let (network, first) = (network(), patient());
    send(&network, &server.url(), &first).unwrap();
    first.cancel.cancel();
    assert!(send(&network, &server.url(), &patient()).unwrap().kept);
    let error = send(&network, &server.url(), &first).unwrap_err().error;
    assert_eq!(error.status(), Status::Cancelled);
}

#[test]
fn a_connection_is_kept_until_cleared_and_by_calls_of_any_deadline() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let network = network();
    let kept: Vec<bool> = [patient(), within(20_000), CallContext::unbounded()]
        .iter()
        .map(|call| send(&network, &server.url(), call).unwrap().kept)
        .collect();
    assert_eq!(kept, [false, true, true]);
    assert_eq!(server.accepted(), 1);
    network.clear();
    assert!(!send(&network, &server.url(), &patient()).unwrap().kept);
    assert_eq!(server.accepted(), 2);
}

#[test]
fn a_trust_that_is_not_in_force_makes_no_connection_of_its_own() {
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    let network = network();
    let url = server.url();
    for number in 0..20 {
        let store = Some(ConfiguredPath::new(format!("{number}.pem")));
        let trust = Trust { store, validate: number % 2 == 0, ..Trust::default() };
        network.send(&post(&url), &trust, &patient()).unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_kept_connection_that_ends_without_a_byte_is_stale_and_one_that_began_to_answer_is_not() {
    for (last, stale) in [("", true), ("HTTP/1.1 2", false)] {
        let server = Server::plain(move |number, _| match number {
            0 => Reply::Keep(ok("{}")),
            _ => Reply::Close(last.into()),
        });
        let network = network();
        send(&network, &server.url(), &patient()).unwrap();
        let failure = send(&network, &server.url(), &patient()).unwrap_err();
        assert_eq!(server.accepted(), 1);
        assert_eq!(failure.stale, stale, "{}", failure.error);
    }
}

#[test]
fn a_kept_connection_that_falls_silent_is_no_reason_to_repeat() {
    let server = Server::plain(|number, _| match number {
        0 => Reply::Keep(ok("{}")),
        _ => Reply::Silence,
    });
    let network = network();
    send(&network, &server.url(), &patient()).unwrap();
    let call = within(200);
    let failure = in_time(200, || send(&network, &server.url(), &call)).unwrap_err();
    assert!(!failure.stale);
    assert!(failure.error.message().contains("kept from before"), "{}", failure.error);
}

const NAMED: &str = "https://login.example.com/token";

#[test]
fn localhost_and_literal_addresses_are_asked_of_nobody() {
    let network = asking(|host| panic!("asked for {host}"));
    let server = Server::plain(|_, _| Reply::Keep(ok("{}")));
    for base in ["http://localhost", "http://LOCALHOST", "http://127.0.0.1"] {
        let url = server.url_of(base, "/");
        assert_eq!(send(&network, &url, &patient()).unwrap().status, 200);
    }
}

#[test]
fn a_host_that_nobody_knows_is_the_networks_fault_by_name() {
    let url = EndpointUrl::parse(NAMED).unwrap();
    for network in [asking(|_| Ok(Vec::new())), asking(|_| Err(std::io::Error::other("no such name")))] {
        let error = send(&network, &url, &patient()).unwrap_err().error;
        assert_eq!(error.status(), Status::Network);
        assert!(error.message().contains("login.example.com cannot be resolved"), "{error}");
    }
}

#[test]
fn a_slow_lookup_ends_with_the_deadline_and_with_a_cancel() {
    let (asked, bell) = mpsc::channel();
    let asked = Mutex::new(asked);
    let (_never, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let network = asking(move |_| {
        asked.lock().unwrap().send(()).unwrap();
        let _ = gate.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let url = EndpointUrl::parse(NAMED).unwrap();
    let call = within(200);
    let error = in_time(200, || send(&network, &url, &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("looking up login.example.com"), "{error}");
    bell.recv().unwrap();
    let failure = cancelled_when(&bell, &network, &url, &patient());
    assert_eq!(failure.error.status(), Status::Cancelled);
}

/// A network whose lookups of `stuck` names ring and then wait for the gate; nobody else has an address.
fn clogged(stuck: &'static str) -> (Network, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (go, gate) = mpsc::channel::<()>();
    let (asked, bell) = mpsc::channel();
    let (gate, asked) = (Mutex::new(gate), Mutex::new(asked));
    let network = asking(move |host| {
        if host.starts_with(stuck) {
            asked.lock().unwrap().send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        }
        Ok(Vec::new())
    });
    (network, bell, go)
}

#[test]
fn a_ninth_lookup_waits_for_a_place_within_its_own_deadline_and_says_so() {
    let (network, bell, go) = clogged("stuck");
    let url = |number: usize| EndpointUrl::parse(&format!("https://stuck{number}.example.com/")).unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (network, url) = (&network, url(number));
            scope.spawn(move || send(network, &url, &patient()).unwrap_err());
        }
        for _ in 0..8 {
            bell.recv().unwrap();
        }
        let ninth = in_time(200, || send(&network, &url(8), &within(200))).unwrap_err().error;
        let asked = bell.try_recv();
        drop(go);
        assert!(asked.is_err(), "the ninth was asked");
        assert_eq!(ninth.status(), Status::Timeout);
        assert!(ninth.message().contains("other lookups of this process"), "{ninth}");
        assert!(!ninth.message().contains("DNS"), "{ninth}");
    });
}

#[test]
fn a_name_that_nobody_answers_for_takes_two_places_and_leaves_the_others_free() {
    let (network, bell, go) = clogged("stuck");
    let (stuck, other) =
        (EndpointUrl::parse("https://stuck.example.com/").unwrap(), EndpointUrl::parse(NAMED).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| send(&network, &stuck, &patient()).unwrap_err());
        }
        for _ in 0..2 {
            bell.recv().unwrap();
        }
        let third = bell.recv_timeout(Duration::from_millis(300));
        let error = send(&network, &other, &within(2000)).unwrap_err().error;
        drop(go);
        assert!(third.is_err(), "a third lookup of one name");
        assert!(error.message().contains("it has no address"), "{error}");
    });
}

#[cfg(unix)]
#[test]
fn a_connection_that_the_parent_closes_is_not_held_open_by_its_child() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = EndpointUrl::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(&ok("{}")).unwrap();
        while stream.read(&mut [0; 4096]).unwrap() > 0 {}
    });
    let network = network();
    send(&network, &url, &patient()).unwrap();
    crate::sys::with_live_child(|| {
        network.clear();
        server.join().unwrap();
    });
}

/// The beginning of an answer in chunks.
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn answer_that_never_ends_is_refused_whatever_it_is_made_of() {
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
        ("chunks", CHUNKED.to_owned(), "8\r\naaaaaaaa\r\n"),
        ("one chunk", format!("{CHUNKED}fffffffffff\r\n"), "aaaaaaaa"),
        ("chunks with extensions", CHUNKED.to_owned(), "1;a=bbbbbbbbbbbbbbbbbbbbbbbbbb\r\na\r\n"),
        ("a chunk extension", format!("{CHUNKED}1;a="), "bbbbbbbb"),
        ("a chunk length", CHUNKED.to_owned(), "00000000"),
        ("trailers", format!("{CHUNKED}2\r\n{{}}\r\n0\r\n"), "X-A: b\r\n"),
        ("one trailer", format!("{CHUNKED}2\r\n{{}}\r\n0\r\nX-A: "), "aaaaaaaa"),
    ] {
        let server = Server::plain(move |_, _| Reply::Endless(head.clone().into(), piece.into()));
        // Without any limit but ours.
        let error = send(&network(), &server.url(), &CallContext::unbounded()).unwrap_err().error;
        assert_eq!(error.status(), Status::BadResponse, "{what}: {error}");
    }
}

#[test]
fn answer_in_many_small_chunks_with_trailers_is_read() {
    let chunks = "1\r\na\r\n".repeat(100_000);
    let whole = format!("{CHUNKED}{chunks}0\r\nX-A: b\r\n\r\n");
    let server = Server::plain(move |_, _| Reply::Close(whole.clone().into()));
    assert_eq!(send(&network(), &server.url(), &patient()).unwrap().body.len(), 100_000);
}
