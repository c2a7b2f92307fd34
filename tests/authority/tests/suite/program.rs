//! The program: its line, its files, its control surface, its end.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::{self, FORM, GRANT, Response};
use crate::signer;

struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_authority"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("ready ").unwrap().to_owned();
        Program { child, url }
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> Response {
        let host = self.url.split_once("//").unwrap().1;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n");
        let mut stream = TcpStream::connect(host).unwrap();
        client::try_exchange(&mut stream, &format!("{head}Content-Length: {length}\r\n\r\n{body}")).unwrap()
    }

    fn control(&self, name: &str, body: &Value) -> u16 {
        self.send("POST", &format!("/control/{name}"), "application/json", &body.to_string()).status
    }

    fn requests(&self) -> Value {
        self.send("GET", "/control/requests", "", "").json()
    }

    fn ask(&self) -> u16 {
        let claims = signer::good_claims(&format!("{}/oauth/token", self.url));
        let assertion = signer::sign(signer::rsa_key(), &json!({"alg": "RS256", "typ": "JWT"}), &claims);
        self.send("POST", "/oauth/token", FORM, &format!("{GRANT}&assertion={assertion}")).status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_program_serves_until_its_input_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (key, ready) = (dir.path().join("key.pem"), dir.path().join("ready"));
    std::fs::write(&key, signer::rsa_key().public_key_pem()).unwrap();
    let registration = format!("client-1={}", key.display());
    let mut program =
        Program::start(&["--http", "--register", &registration, "--ready-file", ready.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(ready).unwrap().trim(), program.url);
    assert_eq!(program.ask(), 200);
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn the_program_writes_its_ca() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let program = Program::start(&["--https", "--ca-out", ca.to_str().unwrap()]);
    assert!(program.url.starts_with("https://127.0.0.1:"));
    assert!(std::fs::read_to_string(ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn the_program_is_told_what_to_play_over_http() {
    let program = Program::start(&["--http"]);
    let registration = json!({"issuer": "client-1", "keys": [signer::rsa_key().public_key_pem()]});
    assert_eq!(program.control("register", &registration), 200);
    let busy = json!({"json": {"status": 503}});
    assert_eq!(program.control("play", &json!([busy, "normal", {"delay": 1}])), 200);
    assert_eq!([program.ask(), program.ask(), program.ask(), program.ask()], [503, 200, 200, 200]);
    assert_eq!(program.control("play", &json!({"always": {"html": {"status": 403}}})), 200);
    assert_eq!(program.ask(), 403);
    assert_eq!(program.control("play", &json!("unheard-of")), 400);
    let seen = program.requests();
    assert_eq!((seen.as_array().unwrap().len(), &seen[0]["verdict"]), (5, &json!("granted")));
    assert_eq!(
        (&seen[0]["claims"]["iss"], &seen[0]["played"]["json"]["status"]),
        (&json!("client-1"), &json!(503))
    );
    let counts = program.send("GET", "/control/counts", "", "").json();
    assert_eq!((&counts["issued"], &counts["waiting_at_gate"]), (&json!(3), &json!(0)));
    assert_eq!(program.control("reset", &json!({})), 200);
    assert_eq!((program.requests(), program.ask()), (json!([]), 200));
}
