//! Requests to the redirect listener of a login: any process and any web page can send them.

use std::ffi::{CStr, c_char, c_void};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ptr::null_mut;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use authgrant::ffi::authorize::authgrant_authorize;
use authgrant::ffi::status::*;

use crate::case::{Expected, MAX_MEMORY, check_result, run_each, token_url};
use crate::memory::measure_peak;
use crate::server::Server;
use crate::support::c_api::{Connection, Failure, open, take_error_chain};

/// More than a login takes, and less than its own time limit (ConsentTimeout).
const MAX_ELAPSED: Duration = Duration::from_secs(25);

const HEALTHY: Expected = Expected::Token("healthy");

/// A request that comes before the right one.
struct RedirectCase {
    name: &'static str,
    /// `{state}` and `{port}` are replaced by those of the login.
    request: String,
    /// Connections that send the request.
    connections: usize,
    /// The beginning of the answer; empty for any, and for none.
    answer: &'static str,
    expected: Expected,
}

/// A request that is refused, and does not end the login.
fn refused(name: &'static str, request: impl Into<String>, answer: &'static str) -> RedirectCase {
    RedirectCase { name, request: request.into(), connections: 1, answer, expected: HEALTHY }
}

/// A redirect with this query.
fn redirect(query: &str) -> String {
    format!("GET /cb?{query} HTTP/1.1\r\nHost: 127.0.0.1:{{port}}\r\n\r\n")
}

/// What the browser does: its context.
struct Visit {
    request: String,
    connections: usize,
    answer: &'static str,
    problems: Sender<Option<String>>,
}

fn send(port: u16, request: &[u8], connections: usize) -> std::io::Result<String> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // The listener may answer and close before it has read all.
        let _ = stream.write_all(request);
        streams.push(stream);
    }
    let mut stream = streams.pop().unwrap();
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

impl Visit {
    /// Sends the hostile request and then the right one. Returns what is wrong with the answer to the first one.
    fn run(&self, url: &str) -> Option<String> {
        let after = |text: &str| url.split_once(text).map(|(_, rest)| rest.split(['&', '%']).next().unwrap());
        let (state, port) = (after("&state=").unwrap(), after("127.0.0.1%3A").unwrap());
        let request = self.request.replace("{state}", state).replace("{port}", port);
        // U+00FF stands for a byte that is no UTF-8.
        let bytes: Vec<u8> = request
            .chars()
            .flat_map(|c| if c == '\u{ff}' { vec![0xff] } else { c.to_string().into() })
            .collect();
        let number = port.parse().unwrap();
        let answer = send(number, &bytes, self.connections).unwrap_or_default();
        let right = redirect(&format!("code=right&state={state}")).replace("{port}", port);
        // The listener is gone if the first request has ended the login.
        let _ = send(number, right.as_bytes(), 1);
        if !answer.starts_with(self.answer) {
            return Some(format!("the answer {answer:?}; expected {}", self.answer));
        }
        let unsafe_text =
            ["<script", "\u{1b}", "hunter2", "\r\nX-Injected"].into_iter().find(|text| answer.contains(text));
        unsafe_text.map(|text| format!("{text:?} in the answer {answer}"))
    }
}

extern "C" fn visit(url: *const c_char, context: *mut c_void) -> i32 {
    // SAFETY: the library passes NUL-terminated text.
    let url = unsafe { CStr::from_ptr(url) }.to_str().unwrap().to_owned();
    // SAFETY: the context is the `Visit` of `login`, which the thread does not use: it owns a copy.
    let Visit { request, connections, answer, problems } = unsafe { &*context.cast::<Visit>() };
    let visit =
        Visit { request: request.clone(), connections: *connections, answer, problems: problems.clone() };
    std::thread::spawn(move || visit.problems.send(visit.run(&url)));
    0
}

fn login(connection: &Connection, visit_context: &Visit) -> Result<(), Box<Failure>> {
    let mut error = null_mut();
    let context = std::ptr::from_ref(visit_context).cast_mut().cast();
    authgrant_authorize(connection.handle(), Some(visit), context, &raw mut error);
    take_error_chain(error).into_iter().next().map_or(Ok(()), |failure| Err(Box::new(failure)))
}

fn run_case(case: &RedirectCase, server: &Server) -> Result<(), String> {
    let token_url = token_url(server);
    let connection = open(&format!(
        "AuthenticationMethod=56;ClientID=client;ClientSecret=hunter2;CacheScope=Connection;ConsentTimeout=20;\
         RedirectURI=http://127.0.0.1:0/cb;AuthURI={token_url}/authorize;TokenURI={token_url}"
    ))
    .map_err(|failure| failure.message)?;
    let (problems, receiver) = channel();
    let visit =
        Visit { request: case.request.clone(), connections: case.connections, answer: case.answer, problems };
    let started = Instant::now();
    let (outcome, memory) = measure_peak(|| login(&connection, &visit));
    if started.elapsed() > MAX_ELAPSED || memory > MAX_MEMORY {
        return Err(format!("took {:?} and {memory} bytes", started.elapsed()));
    }
    check_result(&outcome.and_then(|()| connection.get_token()), &case.expected)?;
    receiver.recv_timeout(MAX_ELAPSED).map_err(|error| error.to_string())?.map_or(Ok(()), Err)
}

#[test]
fn hostile_redirect_requests_do_not_end_login() {
    let long = "x".repeat(20 << 10);
    let with_head = |head: &str| format!("GET /cb?code=evil&state=wrong HTTP/1.1\r\n{head}\r\n\r\n");
    let denied = |name, query: &str| RedirectCase {
        expected: Expected::Failure(AUTHGRANT_DENIED, ""),
        ..refused(name, redirect(query), "HTTP/1.1 ")
    };
    let cases = [
        refused("no query", "GET /cb HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", "HTTP/1.1 400"),
        refused("no state", redirect("code=evil"), "HTTP/1.1 400"),
        refused("empty state", redirect("code=evil&state="), "HTTP/1.1 400"),
        refused("wrong state", redirect("code=evil&state=wrong"), "HTTP/1.1 400"),
        refused("longer state", redirect("code=evil&state={state}x"), "HTTP/1.1 400"),
        refused("two states", redirect("code=evil&state=wrong&state={state}"), "HTTP/1.1 400"),
        refused("error with wrong state", redirect("error=access_denied&state=wrong"), "HTTP/1.1 400"),
        refused(
            "markup with wrong state",
            redirect("error=<script>alert(1)</script>&state=%3Cscript%3E"),
            "HTTP/1.1 400",
        ),
        refused(
            "line break in the path",
            "GET /cb%0d%0aX-Injected:%20a HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
            "HTTP/1.1 4",
        ),
        refused(
            "another path",
            "GET /other?code=evil&state={state} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
            "HTTP/1.1 400",
        ),
        refused(
            "path with dots",
            "GET /x/../cb?code=evil&state=wrong HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
            "HTTP/1.1 4",
        ),
        refused(
            "POST",
            "POST /cb?code=evil&state={state} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 405",
        ),
        refused("OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", "HTTP/1.1 4"),
        refused("CONNECT", "CONNECT attacker.example:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 4"),
        refused(
            "another host",
            "GET /cb?code=evil&state={state} HTTP/1.1\r\nHost: attacker.example\r\n\r\n",
            "HTTP/1.1 4",
        ),
        refused(
            "another port",
            "GET /cb?code=evil&state={state} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
            "HTTP/1.1 4",
        ),
        refused("no host", "GET /cb?code=evil&state={state} HTTP/1.1\r\n\r\n", "HTTP/1.1 4"),
        refused(
            "two hosts",
            "GET /cb?code=evil&state={state} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: attacker.example\r\n\r\n",
            "HTTP/1.1 4",
        ),
        refused("HTTP/0.9", "GET /cb?code=evil&state={state}\r\n\r\n", "HTTP/1.1 400"),
        refused("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400"),
        refused("TLS", "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\u{3}", "HTTP/1.1 400"),
        refused("NUL bytes", "\0".repeat(1000), "HTTP/1.1 400"),
        refused("no UTF-8", redirect("code=\u{ff}\u{ff}&state=wrong"), "HTTP/1.1 400"),
        refused("escapes without digits", redirect("code=%zz%&state=%"), "HTTP/1.1 400"),
        refused("header without colon", with_head("Nonsense"), "HTTP/1.1 400"),
        refused("header with escape", with_head("Host: 127.0.0.1:{port}\r\nA: \u{1b}[0m"), "HTTP/1.1 400"),
        refused("1000 headers", with_head("A: b\r\n".repeat(1000).trim_end()), "HTTP/1.1 4"),
        refused("header of 20 KiB", with_head(&format!("A: {long}")), ""),
        refused("request line of 20 KiB", redirect(&long), ""),
        refused("request of 4 MiB", redirect(&long.repeat(200)), ""),
        refused("nothing", "", ""),
        refused("half a request", "GET /cb?code=evil&state=", ""),
        RedirectCase { connections: 100, ..refused("100 silent connections", "", "") },
        RedirectCase { connections: 100, ..refused("100 half requests", "GET /cb?code=", "") },
        RedirectCase {
            connections: 50,
            ..refused("50 wrong states", redirect("code=evil&state=wrong"), "HTTP/1.1 400")
        },
        RedirectCase {
            expected: Expected::Failure(AUTHGRANT_BAD_RESPONSE, "neither a code nor an error"),
            ..refused("neither code nor error", redirect("state={state}"), "HTTP/1.1 ")
        },
        denied("denied", "error=access_denied&state={state}"),
        denied(
            "markup",
            "error=%3Cscript%3Ealert(1)%3C/script%3E&error_description=%3Cscript%3E&state={state}",
        ),
        denied(
            "escape sequence",
            "error=access_denied&error_description=%1b%5b2J%0d%0aX-Injected:%20a&state={state}",
        ),
        denied("direction of text", "error=%e2%80%ae&error_description=%e2%80%ae&state={state}"),
        RedirectCase {
            expected: Expected::Failure(AUTHGRANT_DENIED, "****"),
            ..refused(
                "the state",
                redirect("error=access_denied&error_description={state}&state={state}"),
                "HTTP/1.1 ",
            )
        },
        denied(
            "description of 14 KiB",
            &format!("error=access_denied&error_description={}&state={{state}}", &long[..14 << 10]),
        ),
        denied(
            "no UTF-8 in the description",
            "error=access_denied&error_description=%ff%fe%c0%80&state={state}",
        ),
    ];
    let server = Server::start_healthy();
    run_each(&cases, |case| case.name, |case| run_case(case, &server));
}
