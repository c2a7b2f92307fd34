use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::base::file::ConfiguredPath;
use crate::net::http::testing::*;
use crate::net::http::*;

/// An authority of the test's own, with its certificate in a file.
pub(in crate::net::http) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub(in crate::net::http) fn new() -> Self {
        Self::named("the test's own")
    }

    pub(in crate::net::http) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        std::fs::write(authority.path(), authority.issuer.pem()).unwrap();
        authority
    }

    pub(in crate::net::http) fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(in crate::net::http) fn trust(&self) -> Trust {
        Trust {
            store: Some(ConfiguredPath::new(self.path().to_str().unwrap().to_owned())),
            ..Trust::default()
        }
    }

    pub(in crate::net::http) fn signed(&self, name: &str, key: &KeyPair) -> rcgen::Certificate {
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(key, &self.issuer).unwrap()
    }

    pub(in crate::net::http) fn server(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
        reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        Server::start(Some(Arc::new(config)), reply)
    }
}

pub(in crate::net::http) fn plainly(_: &mut CertificateParams) {}

pub(in crate::net::http) fn reply(_: usize, _: &str) -> Reply {
    Reply::Keep(ok("{}"))
}

fn https(server: &Server) -> EndpointUrl {
    server.url_of("https://localhost", "/token")
}

fn refusal(server: &Server, trust: &Trust) -> Error {
    let url = https(server);
    let failure = network().send(&post(&url), trust, &patient()).unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
    assert!(failure.error.message().contains("localhost"), "{}", failure.error);
    assert!(server.requests().is_empty(), "nothing may be sent to a server that is not trusted");
    failure.error
}

#[test]
fn a_server_of_an_authority_in_the_trust_store_is_talked_to_and_its_connection_kept() {
    let authority = Authority::new();
    let server = authority.server("localhost", plainly, reply);
    let (network, url) = (network(), https(&server));
    let kept: Vec<bool> =
        (0..3).map(|_| network.send(&post(&url), &authority.trust(), &patient()).unwrap().kept).collect();
    assert_eq!(kept, [false, true, true]);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn head_and_body_of_a_request_leave_in_one_record_and_a_long_body_in_as_few_as_hold_it() {
    let authority = Authority::new();
    let server = authority.server("localhost", plainly, reply);
    let (network, url) = (network(), https(&server));
    let records = |body: String| {
        let before = server.records();
        let request = Request { body: Some(body.as_str().into()), ..post(&url) };
        network.send(&request, &authority.trust(), &patient()).unwrap();
        assert!(server.requests().last().unwrap().ends_with(&body));
        server.records() - before
    };
    records("the first comes with the handshake".to_owned());
    assert_eq!(records("grant_type=x".to_owned()), 1);
    assert_eq!(records("x".repeat(70_000)), 5);
    assert_eq!(records(String::new()), 1);
}

#[test]
fn an_address_is_a_name_that_a_certificate_can_be_for() {
    let authority = Authority::new();
    let server = authority.server("127.0.0.1", plainly, reply);
    let url = server.url_of("https://127.0.0.1", "/token");
    let answer = network().send(&post(&url), &authority.trust(), &patient()).unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn an_unknown_issuer_is_refused_with_the_store_that_was_asked() {
    let server = Authority::new().server("localhost", plainly, reply);
    let other = Authority::named("another");
    let error = refusal(&server, &other.trust());
    let store = format!("TrustStore {}", other.path().display());
    assert!(error.message().contains("comes from an issuer that"), "{error}");
    assert!(error.message().contains(&store), "{error}");
}

#[test]
fn an_issuer_of_the_same_name_with_another_key_is_told_from_an_unknown_one() {
    let server = Authority::new().server("localhost", plainly, reply);
    let error = refusal(&server, &Authority::new().trust());
    assert!(error.message().contains("of the same name"), "{error}");
}

#[test]
fn the_operating_system_does_not_know_the_authority_of_a_test() {
    let server = Authority::new().server("localhost", plainly, reply);
    let url = https(&server);
    let failure = network().send(&post(&url), &Trust::default(), &patient()).unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
    assert!(failure.error.message().contains("TrustStore"), "{}", failure.error);
    assert!(server.requests().is_empty());
}

#[test]
fn an_expired_certificate_names_its_last_day_and_one_of_tomorrow_its_first() {
    let authority = Authority::new();
    let expired =
        authority.server("localhost", |params| params.not_after = date_time_ymd(2020, 2, 29), reply);
    let error = refusal(&expired, &authority.trust());
    assert!(error.message().contains("expired on 2020-02-29"), "{error}");
    let early = authority.server("localhost", |params| params.not_before = date_time_ymd(2090, 3, 1), reply);
    let error = refusal(&early, &authority.trust());
    assert!(error.message().contains("not valid before 2090-03-01"), "{error}");
    assert!(error.message().contains("clock"), "{error}");
}

#[test]
fn a_certificate_for_another_host_says_for_which() {
    let authority = Authority::new();
    let server = authority.server("login.example.com", plainly, reply);
    let error = refusal(&server, &authority.trust());
    assert!(error.message().contains("not for localhost: it is for login.example.com"), "{error}");
}

#[test]
fn without_validation_any_certificate_will_do_and_its_connection_serves_nobody_else() {
    let server = Authority::new().server(
        "login.example.com",
        |params| params.not_after = date_time_ymd(2020, 1, 1),
        reply,
    );
    let trust = Trust { validate: false, ..Trust::default() };
    let (network, url) = (network(), https(&server));
    assert_eq!(network.send(&post(&url), &trust, &patient()).unwrap().status, 200);
    let strict = Authority::new();
    let failure = network.send(&post(&url), &strict.trust(), &patient()).unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls);
}

#[test]
fn a_changed_trust_store_counts_at_once_also_for_kept_connections() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.server("localhost", plainly, reply);
    let (network, url, trust) = (network(), https(&server), authority.trust());
    network.send(&post(&url), &trust, &patient()).unwrap();
    std::fs::write(authority.path(), format!("changed\n{}", other.issuer.pem())).unwrap();
    let failure = network.send(&post(&url), &trust, &patient()).unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls);
}

#[test]
fn a_missing_trust_store_is_found_before_anybody_is_called() {
    let server = Authority::new().server("localhost", plainly, reply);
    let trust = Trust { store: Some(ConfiguredPath::new("/nowhere/ca.pem".to_owned())), ..Trust::default() };
    let failure = network().send(&post(&https(&server)), &trust, &patient()).unwrap_err();
    assert_eq!(failure.error.status(), Status::KeyStore);
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_server_that_speaks_no_tls_is_a_fault_of_tls() {
    let authority = Authority::new();
    for text in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url =
            EndpointUrl::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port()))
                .unwrap();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            // All of the greeting is read: closing over unread bytes would be a reset.
            let mut head = [0; 5];
            stream.read_exact(&mut head).unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            stream.read_exact(&mut rest).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
        });
        let failure = network().send(&post(&url), &authority.trust(), &patient()).unwrap_err();
        server.join().unwrap();
        assert_eq!(failure.error.status(), Status::Tls, "{}", failure.error);
        assert!(failure.error.message().contains("localhost"), "{}", failure.error);
    }
}

#[test]
fn a_handshake_that_is_not_answered_ends_on_time_and_with_a_cancel() {
    let authority = Authority::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url =
        EndpointUrl::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port())).unwrap();
    let (network, trust, call) = (network(), authority.trust(), within(300));
    let error = in_time(300, || network.send(&post(&url), &trust, &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("the TLS handshake did not end"), "{error}");
    let call = patient();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| network.send(&post(&url), &trust, &call));
        let _first = listener.accept().unwrap();
        let _second = listener.accept().unwrap();
        call.cancel.cancel();
        let failure = in_time(0, || sender.join().unwrap()).unwrap_err();
        assert_eq!(failure.error.status(), Status::Cancelled);
    });
}

#[test]
fn an_answer_over_tls_that_only_its_end_delimits_must_end_properly() {
    let authority = Authority::new();
    // The connection is dropped without TLS's own goodbye: anybody on the way could have cut it here.
    let server = authority
        .server("localhost", plainly, |_, _| Reply::Close(b"HTTP/1.1 200 OK\r\n\r\n{\"a\":1}".to_vec()));
    let failure = network().send(&post(&https(&server)), &authority.trust(), &patient()).unwrap_err();
    assert_eq!(failure.error.status(), Status::BadResponse);
    assert!(failure.error.message().contains("cut off after 7 bytes"), "{}", failure.error);
}

#[test]
fn a_server_that_is_silent_over_tls_ends_on_time_and_a_stale_one_is_told() {
    let authority = Authority::new();
    let server = authority.server("localhost", plainly, |number, _| match number {
        0 => Reply::Keep(ok("{}")),
        1 => Reply::Close(Vec::new()),
        _ => Reply::Silence,
    });
    let (network, url, trust) = (network(), https(&server), authority.trust());
    network.send(&post(&url), &trust, &patient()).unwrap();
    assert!(network.send(&post(&url), &trust, &patient()).unwrap_err().stale);
    let call = within(400);
    let error = in_time(400, || network.send(&post(&url), &trust, &call)).unwrap_err().error;
    assert_eq!(error.status(), Status::Timeout, "{error}");
    assert!(error.message().ends_with("then nothing was received"), "{error}");
}

#[test]
fn an_address_that_does_not_answer_or_refuses_leaves_time_for_the_next() {
    let authority = Authority::new();
    let server = authority.server("login.example.com", plainly, reply);
    let (deaf, port) = (Deaf::new(), server.port);
    let silent = deaf.port();
    let network = asking(move |_| {
        let at = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        Ok(vec![at(unused_port()), at(silent), at(port)])
    });
    let url = EndpointUrl::parse("https://login.example.com/token").unwrap();
    let answer = network.send(&post(&url), &authority.trust(), &within(1_500)).unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn a_ca_certificate_in_the_place_of_a_servers_is_told_from_an_unknown_one() {
    let authority = Authority::new();
    let server = authority.server(
        "localhost",
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        reply,
    );
    let error = refusal(&server, &authority.trust());
    assert!(error.message().contains("is that of a CA"), "{error}");
}

#[test]
fn of_many_trust_stores_the_least_recently_used_loses_its_connection() {
    let authority = Authority::new();
    let server = authority.server("localhost", plainly, reply);
    let (network, url) = (network(), https(&server));
    let kept = |number: usize| {
        let path = authority.folder.path().join(format!("{number}.pem"));
        if !path.exists() {
            std::fs::write(&path, authority.issuer.pem()).unwrap();
        }
        let trust =
            Trust { store: Some(ConfiguredPath::new(path.to_str().unwrap().to_owned())), ..Trust::default() };
        network.send(&post(&url), &trust, &patient()).unwrap().kept
    };
    assert!(!(0..32).any(kept));
    assert!(kept(0));
    assert!(!kept(32));
    assert!(kept(0));
    assert!(!kept(1));
}

#[test]
fn a_trust_store_that_nothing_is_checked_with_makes_no_connection_of_its_own() {
    let server = Authority::new().server("localhost", plainly, reply);
    let (network, url) = (network(), https(&server));
    for number in 0..5 {
        let trust = Trust {
            store: Some(ConfiguredPath::new(format!("x{number}"))),
            validate: false,
            ..Trust::default()
        };
        network.send(&post(&url), &trust, &patient()).unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_server_that_is_not_trusted_has_not_answered() {
    let server = Authority::new().server("localhost", plainly, reply);
    let failure = network().send(&post(&https(&server)), &Authority::new().trust(), &patient()).unwrap_err();
    assert_eq!(failure.error.status(), Status::Tls);
    assert!(!failure.answered);
}
