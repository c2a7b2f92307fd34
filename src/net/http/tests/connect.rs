//! Tests of connecting to hosts with several addresses (RFC 8305).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::error::Status;
use crate::base::url::EndpointUrl;
use crate::net::http::testing::*;
use crate::net::http::*;
use crate::net::socket::SharedSocket;

fn local_address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Connects to a host that has these addresses.
fn connect_to(addresses: &[SocketAddr], call: &CallContext) -> Result<SharedSocket> {
    let addresses = addresses.to_vec();
    let url = EndpointUrl::parse("https://login.example.com/").unwrap();
    let context = RequestContext::new(call.clone(), &post_request(&url), None).unwrap();
    TcpConnector(DnsResolver::new(Arc::new(move |_: &str, _| Ok(addresses.clone())))).connect(&context)
}

fn peer(socket: &SharedSocket) -> SocketAddr {
    socket.peer_addr().unwrap().as_socket().unwrap()
}

fn start_listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn dead_addresses_cost_attempt_delay_each() {
    let (first, second) = (UnresponsiveListener::new(), UnresponsiveListener::new());
    let (_listener, live) = start_listener();
    let addresses = [local_address(first.port()), local_address(second.port()), live];
    for call in [call_with_long_timeout(), CallContext::unbounded()] {
        let started = Instant::now();
        let stream = connect_to(&addresses, &call).unwrap();
        assert_eq!(peer(&stream), live);
        // Expected are 0.5 s. If the addresses shared the time of the call, it would be 22 s.
        let elapsed = started.elapsed();
        assert!((Duration::from_millis(500)..Duration::from_secs(5)).contains(&elapsed), "{elapsed:?}");
    }
}

#[test]
fn short_deadline_shortens_attempt_delay() {
    let dead = [(); 3].map(|()| UnresponsiveListener::new());
    let (_listener, live) = start_listener();
    let addresses: Vec<_> = dead.iter().map(|dead| local_address(dead.port())).chain([live]).collect();
    // Three times 250 ms would exceed the deadline.
    let stream = connect_to(&addresses, &call_with_timeout_ms(700)).unwrap();
    assert_eq!(peer(&stream), live);
}

#[test]
fn refused_address_is_followed_at_once() {
    let (_listener, live) = start_listener();
    let addresses: Vec<_> = (0..20).map(|_| local_address(unused_port())).chain([live]).collect();
    let stream = connect_to(&addresses, &call_with_timeout_ms(1_900)).unwrap();
    assert_eq!(peer(&stream), live);
}

#[test]
fn earlier_attempt_continues_and_may_win() {
    let (slow, dead) = (UnresponsiveListener::new(), UnresponsiveListener::new());
    let (recorder, mut call) = (Arc::<LogRecorder>::default(), call_with_long_timeout());
    recorder.attach(&mut call);
    let log_lines = recorder.subscribe();
    let (slow_address, dead_address) = (local_address(slow.port()), local_address(dead.port()));
    std::thread::scope(|scope| {
        let connected = scope.spawn(|| connect_to(&[slow_address, dead_address], &call));
        for _ in 0..2 {
            log_lines.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        slow.start_accepting();
        assert_eq!(peer(&connected.join().unwrap().unwrap()), slow_address);
    });
}

#[test]
fn unresponsive_addresses_end_at_deadline_or_cancel() {
    let dead = [(); 3].map(|()| UnresponsiveListener::new());
    let addresses: Vec<_> = dead.iter().map(|dead| local_address(dead.port())).collect();
    let error =
        assert_completes_within(300, || connect_to(&addresses, &call_with_timeout_ms(300))).unwrap_err();
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("connecting to login.example.com:443 timed out"), "{error}");
    let (recorder, mut call) = (Arc::<LogRecorder>::default(), call_with_long_timeout());
    recorder.attach(&mut call);
    let log_lines = recorder.subscribe();
    std::thread::scope(|scope| {
        let connected = scope.spawn(|| connect_to(&addresses, &call));
        for _ in 0..2 {
            log_lines.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        call.cancel.cancel();
        let error = assert_completes_within(0, || connected.join().unwrap()).unwrap_err();
        assert_eq!(error.status(), Status::Cancelled);
    });
}

#[test]
fn failure_of_all_addresses_names_each() {
    let addresses = [(); 3].map(|()| local_address(unused_port()));
    let error = connect_to(&addresses, &call_with_long_timeout()).unwrap_err();
    assert_eq!(error.status(), Status::Network);
    for address in addresses {
        assert!(error.message().contains(&format!("{address}: ")), "{error}");
    }
}
