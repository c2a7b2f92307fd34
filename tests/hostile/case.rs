//! One row of a catalogue, and the checks that each row must pass.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use authgrant::base::sanitize::is_unsafe;
use authgrant::ffi::status::AUTHGRANT_THROTTLED;

use crate::memory::measure_peak;
use crate::server::{Server, Step};
use crate::support::c_api::{Connection, Failure, Token, open};

/// Time limit of the calls that must not reach it.
pub const LONG_TIMEOUT_MS: i32 = 15_000;

/// How much longer than its time limit a call may take. It is a bound on hangs and no measurement of speed.
const TIME_TOLERANCE: Duration = Duration::from_secs(5);

/// What the library reads of a response, headers and framing included.
const MAX_RESPONSE: u64 = 2 << 20;

/// What the operating system may buffer between the server and the library: the largest receive buffer of Linux
/// (`net.ipv4.tcp_rmem`), the send buffer, and a piece that is being sent.
const MAX_SYSTEM_BUFFERS: u64 = (6 << 20) + (1 << 20);

/// What a call may allocate: several copies of a body, or as many JSON values as are parsed.
pub const MAX_MEMORY: usize = 8 << 20;

/// What was sent to the server and must not be in a message.
const SECRETS: [&str; 4] = ["hunter2", "Omh1bnRlcjI", "swordfish", "pzd29yZGZpc2g"];

/// What the library makes of an answer.
#[derive(Clone, Debug)]
pub enum Expected {
    /// This token.
    Token(&'static str),
    /// A token, whatever it is.
    AnyToken,
    /// This status, and a message that contains this text.
    Failure(i32, &'static str),
}

/// A hostile or broken answer.
pub struct Case {
    pub name: String,
    script: Vec<Step>,
    expected: Expected,
    timeout_ms: i32,
    options: String,
    token_cache: Option<&'static str>,
    follows_token: bool,
}

impl Case {
    /// A server that follows `script`.
    pub fn new(name: impl Into<String>, script: Vec<Step>, expected: Expected) -> Self {
        Self {
            name: name.into(),
            script,
            expected,
            timeout_ms: LONG_TIMEOUT_MS,
            options: String::new(),
            token_cache: None,
            follows_token: false,
        }
    }

    /// A server that sends `bytes` after each request and then closes the connection.
    pub fn sends(name: impl Into<String>, bytes: impl Into<Vec<u8>>, expected: Expected) -> Self {
        Self::new(name, vec![Step::ReadRequest, Step::Send(bytes.into()), Step::Close], expected)
    }

    /// A server that sends `head` and then `piece` without end.
    pub fn endless(
        name: impl Into<String>,
        head: impl Into<Vec<u8>>,
        piece: impl Into<Vec<u8>>,
        expected: Expected,
    ) -> Self {
        let script = vec![Step::ReadRequest, Step::Send(head.into()), Step::Endless(piece.into())];
        Self::new(name, script, expected)
    }

    /// The call has this time limit, which the answer makes it reach.
    pub fn timeout_ms(mut self, timeout_ms: i32) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }

    /// The connection string has these options, too. `{port}` is replaced by the port of the server, `{healthy}` by that
    /// of a correct token endpoint.
    pub fn options(mut self, options: impl Into<String>) -> Self {
        self.options = options.into();
        self
    }

    /// The store of shared tokens, which a connection string must not name.
    pub fn token_cache(mut self, location: &'static str) -> Self {
        self.token_cache = Some(location);
        self
    }

    /// The answer comes on a connection on which a token was obtained before.
    pub fn after_token(mut self) -> Self {
        self.follows_token = true;
        self
    }

    fn run(&self, healthy: &Server) -> Result<(), String> {
        let server = Server::start(self.script.clone(), self.follows_token);
        let with_ports = |text: &str| {
            text.replace("{port}", &server.port.to_string()).replace("{healthy}", &healthy.port.to_string())
        };
        let connection = open(&format!(
            "{};AuthenticationMethod=53;ClientID=client;ClientSecret=hunter2;CacheScope=Connection;TokenURI={}",
            with_ports(&self.options),
            token_url(&server),
        ))
        .map_err(|failure| failure.message)?;
        if let Some(location) = self.token_cache {
            set_option(&connection, "TokenCacheSecret", "9fK3mQ8xZ1bV7tR5wY2cL6pD4sG0jHaEuN3kXoBqWvI=")?;
            set_option(&connection, "TokenCacheTimeout", "1000")?;
            set_option(&connection, "TokenCache", &with_ports(location))?;
        }
        if self.follows_token {
            expect_healthy_token(&connection)?;
            server.set_healthy(false);
            set_option(&connection, "Scope", "second")?;
        }
        let status = check_call(&connection, self.timeout_ms, &self.expected)?;
        for warning in connection.warnings() {
            check_texts(&warning)?;
        }
        if server.accepted_connections() == 0 {
            return Err("the library did not connect to the server".to_owned());
        }
        check_sent(&server)?;
        server.set_healthy(true);
        set_option(&connection, "Scope", "recovered")?;
        // Retry-After applies to the endpoint, and a server that is no token endpoint does not become one.
        if status == AUTHGRANT_THROTTLED || self.options.contains("TokenURI") {
            set_option(&connection, "ProxyMode", "0")?;
            set_option(&connection, "TokenURI", &token_url(healthy))?;
        }
        expect_healthy_token(&connection)
    }
}

/// Sets an option, which also ends the backoff after a failure.
pub fn set_option(connection: &Connection, name: &str, value: &str) -> Result<(), String> {
    connection.set_option(name, value).map_err(|failure| failure.message)
}

pub fn token_url(server: &Server) -> String {
    format!("http://127.0.0.1:{}/token", server.port)
}

pub fn expect_healthy_token(connection: &Connection) -> Result<(), String> {
    match connection.get_token_with(LONG_TIMEOUT_MS, 0, 0) {
        Ok(token) if token.value() == "healthy" => Ok(()),
        Ok(token) => Err(format!("the next call returned the token {}", token.value())),
        Err(failure) => Err(format!("the next call failed: {}", failure.message)),
    }
}

/// Gets a token and checks the result, the time and the memory. Returns the status.
pub fn check_call(connection: &Connection, timeout_ms: i32, expected: &Expected) -> Result<i32, String> {
    let started = Instant::now();
    let (result, memory) = measure_peak(|| connection.get_token_with(timeout_ms, 0, 0));
    let elapsed = started.elapsed();
    if elapsed > Duration::from_millis(timeout_ms.unsigned_abs().into()) + TIME_TOLERANCE {
        return Err(format!("took {elapsed:?} with a time limit of {timeout_ms} ms"));
    }
    if memory > MAX_MEMORY {
        return Err(format!("allocated {memory} bytes (limit {MAX_MEMORY})"));
    }
    check_result(&result, expected)
}

/// Checks how much the library lets the server send. A response without end is not requested again.
pub fn check_sent(server: &Server) -> Result<(), String> {
    let (sent, limit) = (server.sent_bytes(), MAX_RESPONSE + MAX_SYSTEM_BUFFERS);
    if sent > limit {
        return Err(format!("the library let the server send {sent} bytes (limit {limit})"));
    }
    Ok(())
}

/// Checks the result of a call. Returns its status.
pub fn check_result(result: &Result<Token, Box<Failure>>, expected: &Expected) -> Result<i32, String> {
    match (result, expected) {
        (Ok(_), Expected::AnyToken) => Ok(0),
        (Ok(token), Expected::Token(value)) if token.value() == *value => Ok(0),
        (Ok(token), _) => {
            let start: String = token.value().chars().take(80).collect();
            Err(format!("the token {start}; expected {expected:?}"))
        }
        (Err(failure), Expected::Failure(status, text))
            if failure.status == *status && failure.message.contains(text) =>
        {
            check_texts(failure).map(|()| *status)
        }
        (Err(failure), _) => {
            Err(format!("status {}, {}; expected {expected:?}", failure.status, failure.message))
        }
    }
}

/// Checks that no text of a failure has a control character or a secret, and that each is bounded.
fn check_texts(failure: &Failure) -> Result<(), String> {
    let Failure { message, oauth_error, oauth_description, provider_code, option, .. } = failure;
    for text in [Some(message), oauth_error.as_ref(), oauth_description.as_ref(), provider_code.as_ref()]
        .into_iter()
        .flatten()
        .chain(option)
    {
        if let Some(c) = text.chars().find(|c| is_unsafe(*c)) {
            return Err(format!("the unsafe character {c:?} in {text:?}"));
        }
        if let Some(secret) = SECRETS.into_iter().find(|secret| text.contains(secret)) {
            return Err(format!("the secret {secret} in {text}"));
        }
        if text.len() > 8400 {
            return Err(format!("a text of {} bytes", text.len()));
        }
    }
    Ok(())
}

/// Runs all cases, a few at a time, and fails with the list of those that failed.
#[track_caller]
pub fn run_all(cases: &[Case]) {
    let healthy = Server::start_healthy();
    run_each(cases, |case| &case.name, |case| case.run(&healthy));
}

/// Runs `run` for each of `cases`, a few at a time, and fails with the list of those that failed.
#[track_caller]
pub fn run_each<C: Sync>(
    cases: &[C],
    name: impl Fn(&C) -> &str + Sync,
    run: impl Fn(&C) -> Result<(), String> + Sync,
) {
    const THREADS: usize = 8;
    let names: BTreeSet<&str> = cases.iter().map(&name).collect();
    assert_eq!(names.len(), cases.len(), "the names are unique");
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(problem) = run(case) {
                        failures.lock().unwrap().push(format!("{}: {problem}", name(case)));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
