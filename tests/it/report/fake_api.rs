//! API server with scripted responses that records the requests.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

pub struct FakeApi {
    url: String,
    request_heads: JoinHandle<Vec<String>>,
}

impl FakeApi {
    /// A server that sends each of `responses` once, each on its own connection. `{request}` in a response is
    /// replaced with the head of the request.
    pub fn with_responses(responses: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let request_heads = std::thread::spawn(move || {
            responses.iter().map(|response| serve_one(&listener, response)).collect()
        });
        Self { url, request_heads }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The heads of the requests. Waits until all responses are sent.
    pub fn into_request_heads(self) -> Vec<String> {
        self.request_heads.join().unwrap()
    }
}

fn serve_one(listener: &TcpListener, response: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    let head = head.join("\n");
    stream.write_all(response.replace("{request}", &head).as_bytes()).unwrap();
    head
}

/// A response that ends when the connection is closed.
pub fn http_response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n{body}")
}
