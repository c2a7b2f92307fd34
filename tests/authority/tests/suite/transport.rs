//! Connections: kept, malformed, over TLS with good and bad certificates.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use authority::{Authority, Certificate, Config};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{self, Response};

fn ask_over_tls(authority: &Authority, name: &str) -> io::Result<Response> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca_pem_path()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream: StreamOwned<_, TcpStream> = StreamOwned::new(session, client::connect(authority));
    client::try_exchange(&mut stream, &client::token_request(authority, &client::good_body(authority)))
}

#[test]
fn tls_with_the_given_ca_gets_a_token() {
    let authority = client::started(Config::https());
    assert!(authority.url("/oauth/token").starts_with("https://127.0.0.1:"));
    for name in ["127.0.0.1", "localhost"] {
        let response = ask_over_tls(&authority, name).unwrap();
        assert_eq!(response.status, 200, "{name}: {}", response.body);
    }
}

#[test]
fn each_bad_certificate_is_bad_in_its_own_way() {
    let kinds = [
        (Certificate::UntrustedCa, ["UnknownIssuer", "BadSignature"]),
        (Certificate::Expired, ["Expired", "expired"]),
        (Certificate::OtherHost, ["NotValidForName", "not valid for name"]),
    ];
    for (certificate, words) in kinds {
        let authority = client::started(Config { certificate, ..Config::https() });
        let error = ask_over_tls(&authority, "127.0.0.1").err().unwrap().to_string();
        assert!(words.iter().any(|word| error.contains(word)), "{certificate:?}: {error}");
        assert_eq!((authority.connections(), authority.requests().len()), (1, 0));
    }
}

#[test]
fn a_connection_is_kept_between_requests_and_both_carry_its_number() {
    let authority = client::started(Config::http());
    let mut stream = client::connect(&authority);
    for _ in 0..2 {
        let request = client::token_request(&authority, &client::good_body(&authority));
        assert_eq!(client::try_exchange(&mut stream, &request).unwrap().status, 200);
    }
    client::ask_for_token(&authority);
    let numbers: Vec<u64> = authority.requests().iter().map(|one| one.connection).collect();
    assert_eq!((numbers, authority.connections()), (vec![1, 1, 2], 2));
}

#[test]
fn malformed_http_is_refused_and_ends_the_connection() {
    let authority = client::started(Config::http());
    let cases = [
        ("POST /oauth/token HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /oauth/token HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /oauth/token HTTP/1.0\r\nHost: a\r\n\r\n", 400),
        ("POST /oauth/token HTTP/1.1\r\nHost: a\r\n\r\n", 411),
        ("POST /oauth/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        ("POST http://a/oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 400),
    ];
    for (request, status) in cases {
        let response = client::exchange(&authority, request);
        assert_eq!((response.status, response.header("connection")), (status, Some("close")), "{request}");
    }
}

#[test]
fn a_dropped_server_ends_its_connections() {
    let authority = client::started(Config::http());
    let mut kept = client::connect(&authority);
    let request = client::token_request(&authority, &client::good_body(&authority));
    assert_eq!(client::try_exchange(&mut kept, &request).unwrap().status, 200);
    drop(authority);
    assert!(client::try_exchange(&mut kept, &request).is_err());
}
