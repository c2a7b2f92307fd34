//! The program: command line, files, control API, shutdown.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::http_client::{self, FORM_CONTENT_TYPE, JWT_BEARER_GRANT, Response};
use crate::signer;

struct ServerProgram {
    child: Child,
    url: String,
}

impl ServerProgram {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mock_server"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("ready ").unwrap().to_owned();
        ServerProgram { child, url }
    }

    fn send_request(&self, method: &str, path: &str, content_type: &str, body: &str) -> Response {
        let host = self.url.split_once("//").unwrap().1;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n");
        let mut stream = TcpStream::connect(host).unwrap();
        http_client::try_send_request(&mut stream, &format!("{head}Content-Length: {length}\r\n\r\n{body}"))
            .unwrap()
    }

    fn post_control(&self, name: &str, body: &Value) -> u16 {
        self.send_request("POST", &format!("/control/{name}"), "application/json", &body.to_string()).status
    }

    fn recorded_requests(&self) -> Value {
        self.send_request("GET", "/control/requests", "", "").json()
    }

    fn request_token(&self) -> u16 {
        let claims = signer::valid_claims(&format!("{}/oauth/token", self.url));
        let assertion = signer::sign_jwt(signer::rsa_key(), &json!({"alg": "RS256", "typ": "JWT"}), &claims);
        self.send_request(
            "POST",
            "/oauth/token",
            FORM_CONTENT_TYPE,
            &format!("{JWT_BEARER_GRANT}&assertion={assertion}"),
        )
        .status
    }
}

impl Drop for ServerProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn program_serves_until_stdin_closes() {
    let dir = tempfile::tempdir().unwrap();
    let (key, ready) = (dir.path().join("key.pem"), dir.path().join("ready"));
    std::fs::write(&key, signer::rsa_key().public_key_pem()).unwrap();
    let registration = format!("client-1={}", key.display());
    let mut program = ServerProgram::start(&[
        "--http",
        "--register",
        &registration,
        "--ready-file",
        ready.to_str().unwrap(),
    ]);
    assert_eq!(std::fs::read_to_string(ready).unwrap().trim(), program.url);
    assert_eq!(program.request_token(), 200);
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn busy_port_is_error_without_backtrace() {
    let first = ServerProgram::start(&["--http"]);
    let port = first.url.rsplit_once(':').unwrap().1;
    let output = Command::new(env!("CARGO_BIN_EXE_mock_server")).args(["--port", port]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let expected = format!("mock_server: cannot listen at 127.0.0.1:{port}: ");
    assert!(text.starts_with(&expected) && text.lines().count() == 1, "{text}");
    assert!(output.stdout.is_empty(), "not ready");
}

#[test]
fn program_writes_ca_file() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let program = ServerProgram::start(&["--https", "--ca-out", ca.to_str().unwrap()]);
    assert!(program.url.starts_with("https://127.0.0.1:"));
    assert!(std::fs::read_to_string(ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn control_api_sets_behaviors() {
    let program = ServerProgram::start(&["--http"]);
    let registration = json!({"issuer": "client-1", "keys": [signer::rsa_key().public_key_pem()]});
    assert_eq!(program.post_control("register", &registration), 200);
    let busy = json!({"json": {"status": 503}});
    assert_eq!(program.post_control("behavior", &json!([busy, "normal", {"delay": 1}])), 200);
    assert_eq!(
        [program.request_token(), program.request_token(), program.request_token(), program.request_token()],
        [503, 200, 200, 200]
    );
    assert_eq!(program.post_control("behavior", &json!({"always": {"html": {"status": 403}}})), 200);
    assert_eq!(program.request_token(), 403);
    assert_eq!(program.post_control("behavior", &json!("unknown")), 400);
    let requests = program.recorded_requests();
    assert_eq!((requests.as_array().unwrap().len(), &requests[0]["verdict"]), (5, &json!("granted")));
    assert_eq!(
        (&requests[0]["claims"]["iss"], &requests[0]["behavior"]["json"]["status"]),
        (&json!("client-1"), &json!(503))
    );
    let counts = program.send_request("GET", "/control/counts", "", "").json();
    assert_eq!((&counts["issued"], &counts["waiting_at_gate"]), (&json!(3), &json!(0)));
    assert_eq!(program.post_control("reset", &json!({})), 200);
    assert_eq!((program.recorded_requests(), program.request_token()), (json!([]), 200));
}

#[test]
fn command_line_registers_clients_and_config() {
    let program = ServerProgram::start(&[
        "--client",
        "service:s:1",
        "--public-client",
        "app",
        "--user",
        "jo:p:w",
        "--redirect-uri",
        "http://127.0.0.1:3000/",
        "--config",
        r#"{"get": "not_found"}"#,
    ]);
    let form = |body: &str| program.send_request("POST", "/oauth/token", FORM_CONTENT_TYPE, body);
    let service = "&client_id=service&client_secret=s%3A1";
    assert_eq!(form(&format!("grant_type=client_credentials{service}")).status, 200);
    let response = form("grant_type=password&username=jo&password=p%3Aw&client_id=app");
    let token = response.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(form(&format!("grant_type=refresh_token&refresh_token={token}&client_id=app")).status, 200);
    let authorization =
        "/oauth/auth?response_type=token&client_id=app&redirect_uri=http%3A%2F%2F127.0.0.1%3A3000%2F";
    assert_eq!(program.send_request("GET", authorization, "", "").status, 302);
    assert_eq!(program.send_request("GET", "/oauth/token", "", "").status, 404);
}

#[test]
fn control_api_changes_clients_and_config() {
    let program = ServerProgram::start(&["--http"]);
    let options = json!({"grant_types": ["refresh_token"], "client_auth": "public"});
    assert_eq!(program.post_control("register", &json!({"issuer": "app", "options": options})), 200);
    let params = json!({"issuer": "app", "subject": "jo"}).to_string();
    let issued = program.send_request("POST", "/control/refresh-token", "application/json", &params).json();
    let listed = program.send_request("GET", "/control/refresh-tokens", "", "").json();
    assert_eq!(listed, json!([issued["refresh_token"]]));
    let changes = json!({"get": "html_forbidden", "clock_skew": 600, "expires_in": {"text": "60"}});
    assert_eq!(program.post_control("config", &changes), 200);
    let config = program.send_request("GET", "/control/config", "", "").json();
    assert_eq!((&config["clock_skew"], &config["wording"]), (&json!(600), &json!("precise")));
    assert_eq!(program.send_request("GET", "/oauth/token", "", "").status, 403);
    assert_eq!(program.post_control("config", &json!({"https": true})), 400);
    assert_eq!(program.post_control("config", &json!({"unknown": 1})), 400);
    assert_eq!(program.send_request("POST", "/oauth/logoff", "", "").status, 200);
    assert_eq!(program.send_request("GET", "/control/counts", "", "").json()["logoffs"], 1);
}
