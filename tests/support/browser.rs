//! Minimal browser for tests: requests a URL and follows its redirects.

use std::ffi::{CStr, c_char, c_void};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ptr::null_mut;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use authgrant::ffi::authorize::authgrant_authorize;
use authgrant::ffi::callback::authgrant_open_url_fn;
use authgrant::ffi::error::ErrorObject;
use authgrant::ffi::status::AUTHGRANT_OK;

use super::c_api::{Connection, Failure, take_error_chain};

/// Returns a port that is currently free.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends a GET to a plain http URL; returns status line, headers and body.
pub fn http_get(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// The `Location` header of a response.
pub fn redirect_location(response: &str) -> Option<String> {
    let mut lines = response.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(name, _)| name.eq_ignore_ascii_case("location"));
    found.map(|(_, value)| value.to_owned())
}

extern "C" fn visit_in_background(url: *const c_char, page: *mut c_void) -> i32 {
    // SAFETY: the library passes NUL-terminated text.
    let url = unsafe { CStr::from_ptr(url) }.to_str().unwrap().to_owned();
    // SAFETY: the context is the sender of `authorize_with_test_browser`, which outlives the call. The thread
    // may outlive it and so owns a clone.
    let sender = unsafe { &*page.cast::<Sender<String>>() }.clone();
    std::thread::spawn(move || {
        let first = http_get(&url);
        assert!(redirect_location(&first).is_some(), "expected a redirect: {first}");
        sender.send(follow_redirects(first))
    });
    0
}

/// Follows redirects, at most ten, and returns the last page.
fn follow_redirects(mut page: String) -> String {
    for _ in 0..10 {
        let Some(location) = redirect_location(&page) else { break };
        page = http_get(&location);
    }
    page
}

/// Calls authgrant_authorize with this browser. Also returns the last page that the user sees.
pub fn authorize_with_test_browser(connection: &Connection) -> (Result<(), Box<Failure>>, Option<String>) {
    run_with_test_browser(|show, context, error| {
        authgrant_authorize(connection.handle(), show, context, error)
    })
}

/// As [`authorize_with_test_browser`], for a call that has the function that shows a URL, with its context.
pub fn run_with_test_browser(
    call: impl FnOnce(authgrant_open_url_fn, *mut c_void, *mut *mut ErrorObject) -> i32,
) -> (Result<(), Box<Failure>>, Option<String>) {
    let (sender, receiver) = channel::<String>();
    let mut error = null_mut();
    let context = std::ptr::from_ref(&sender).cast_mut().cast();
    let status = call(Some(visit_in_background), context, &raw mut error);
    let last_page = receiver.recv_timeout(Duration::from_secs(10)).ok();
    match take_error_chain(error).into_iter().next() {
        None => {
            assert_eq!(status, AUTHGRANT_OK);
            (Ok(()), last_page)
        }
        Some(failure) => (Err(Box::new(failure)), last_page),
    }
}
