//! An API that answers as it is told, and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

pub struct FakeApi {
    url: String,
    request_heads: JoinHandle<Vec<String>>,
}

impl FakeApi {
    /// One that gives each of these answers once, to one connection each; `{request}` in an answer is the whole head that
    /// was sent.
    pub fn with_responses(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked =
            std::thread::spawn(move || answers.iter().map(|answer| serve_one(&listener, answer)).collect());
        Self { url, request_heads: asked }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The heads of the requests. Waits for as many as there were answers.
    pub fn into_request_heads(self) -> Vec<String> {
        self.request_heads.join().unwrap()
    }
}

fn serve_one(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    let head = head.join("\n");
    stream.write_all(answer.replace("{request}", &head).as_bytes()).unwrap();
    head
}

/// An answer whose end is that of the connection.
pub fn http_response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n{body}")
}
