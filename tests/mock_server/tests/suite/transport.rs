//! Connections: keep-alive, malformed requests, TLS with valid and invalid certificates.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use mock_server::{Config, MockServer, ServerCertificate};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http_client::{self, Response};

fn request_token_over_tls(server: &MockServer, name: &str) -> io::Result<Response> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.ca_pem_path()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream: StreamOwned<_, TcpStream> = StreamOwned::new(session, http_client::connect(server));
    http_client::try_send_request(
        &mut stream,
        &http_client::build_token_request(server, &http_client::valid_token_body(server)),
    )
}

#[test]
fn tls_with_test_ca_gets_token() {
    let server = http_client::start_server(Config::https());
    assert!(server.url("/oauth/token").starts_with("https://127.0.0.1:"));
    for name in ["127.0.0.1", "localhost"] {
        let response = request_token_over_tls(&server, name).unwrap();
        assert_eq!(response.status, 200, "{name}: {}", response.body);
    }
}

#[test]
fn bad_certificates_fail_distinctly() {
    let kinds = [
        (ServerCertificate::UntrustedCa, ["UnknownIssuer", "BadSignature"]),
        (ServerCertificate::Expired, ["Expired", "expired"]),
        (ServerCertificate::OtherHost, ["NotValidForName", "not valid for name"]),
    ];
    for (certificate, fragments) in kinds {
        let server = http_client::start_server(Config { certificate, ..Config::https() });
        let error = request_token_over_tls(&server, "127.0.0.1").err().unwrap().to_string();
        assert!(fragments.iter().any(|fragment| error.contains(fragment)), "{certificate:?}: {error}");
        assert_eq!((server.connection_count(), server.requests().len()), (1, 0));
    }
}

#[test]
fn keep_alive_requests_share_connection_number() {
    let server = http_client::start_server(Config::http());
    let mut stream = http_client::connect(&server);
    for _ in 0..2 {
        let request = http_client::build_token_request(&server, &http_client::valid_token_body(&server));
        assert_eq!(http_client::try_send_request(&mut stream, &request).unwrap().status, 200);
    }
    http_client::request_token(&server);
    let numbers: Vec<u64> = server.requests().iter().map(|one| one.connection).collect();
    assert_eq!((numbers, server.connection_count()), (vec![1, 1, 2], 2));
}

#[test]
fn malformed_http_closes_connection() {
    let server = http_client::start_server(Config::http());
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
        let response = http_client::send_request(&server, request);
        assert_eq!((response.status, response.header("connection")), (status, Some("close")), "{request}");
    }
}

#[test]
fn dropped_server_closes_connections() {
    let server = http_client::start_server(Config::http());
    let mut stream = http_client::connect(&server);
    let request = http_client::build_token_request(&server, &http_client::valid_token_body(&server));
    assert_eq!(http_client::try_send_request(&mut stream, &request).unwrap().status, 200);
    drop(server);
    assert!(http_client::try_send_request(&mut stream, &request).is_err());
}
