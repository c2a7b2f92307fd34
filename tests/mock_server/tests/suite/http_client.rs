//! Minimal HTTP client: sends a request as text, parses status, headers and body.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mock_server::{ClientOptions, Config, MockServer};
use serde_json::Value;

use crate::signer;

pub const FORM_CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
pub const JWT_BEARER_GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";

pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Starts a server with one RSA client, `client-1`, that may act for `user-1`.
pub fn start_server(config: Config) -> MockServer {
    let server = MockServer::start(config);
    let options = ClientOptions { subjects: vec!["user-1".to_owned()], ..ClientOptions::default() };
    server.register("client-1", &[signer::rsa_key().public_key_pem()], options);
    server
}

pub fn valid_assertion(server: &MockServer) -> String {
    let claims = signer::valid_claims(&server.url("/oauth/token"));
    signer::sign_jwt(signer::rsa_key(), &serde_json::json!({"alg": "RS256", "typ": "JWT"}), &claims)
}

pub fn valid_token_body(server: &MockServer) -> String {
    format!("{JWT_BEARER_GRANT}&assertion={}", valid_assertion(server))
}

pub fn build_request(server: &MockServer, method: &str, target: &str, headers: &str, body: &str) -> String {
    let (port, length) = (server.port(), body.len());
    let head = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}");
    format!("{head}Content-Length: {length}\r\n\r\n{body}")
}

pub fn build_token_request(server: &MockServer, body: &str) -> String {
    build_request(server, "POST", "/oauth/token", &format!("Content-Type: {FORM_CONTENT_TYPE}\r\n"), body)
}

pub fn connect(server: &MockServer) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

pub fn send_request(server: &MockServer, request: &str) -> Response {
    try_send_request(&mut connect(server), request).unwrap()
}

pub fn request_token(server: &MockServer) -> Response {
    send_request(server, &build_token_request(server, &valid_token_body(server)))
}

pub fn try_send_request<S: Read + Write>(stream: &mut S, request: &str) -> io::Result<Response> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let head = read_head(stream)?;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let mut response = Response { status, head, body: String::new() };
    let length: usize = response.header("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    response.body = String::from_utf8(body).unwrap();
    Ok(response)
}

fn read_head<S: Read>(stream: &mut S) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0_u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}
