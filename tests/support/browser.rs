//! A person's browser as far as a test needs one: it goes to a URL, and then where it is sent.

use std::ffi::{CStr, c_char, c_void};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ptr::null_mut;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use authgrant::ffi::authorize::authgrant_authorize;
use authgrant::ffi::status::AUTHGRANT_OK;

use super::c_api::{Connection, Failure, take_error_chain};

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One GET of a plain http URL; status line, headers and body.
pub fn http_get(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Where an answer redirects to.
pub fn redirect_location(answer: &str) -> Option<String> {
    let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(name, _)| name.eq_ignore_ascii_case("location"));
    found.map(|(_, value)| value.to_owned())
}

extern "C" fn visit_in_background(url: *const c_char, page: *mut c_void) -> i32 {
    // SAFETY: the library hands out NUL-terminated text.
    let url = unsafe { CStr::from_ptr(url) }.to_str().unwrap().to_owned();
    // SAFETY: the context is the sender below, which lives as long as the call. The thread, which may outlive it, gets
    // one of its own.
    let heard = unsafe { &*page.cast::<Sender<String>>() }.clone();
    std::thread::spawn(move || {
        heard.send(http_get(&redirect_location(&http_get(&url)).expect("a redirect")))
    });
    0
}

/// authgrant_authorize with this browser, and the page that the person sees in the end.
pub fn authorize_with_test_browser(connection: &Connection) -> (Result<(), Box<Failure>>, Option<String>) {
    let (heard, page) = channel::<String>();
    let mut error = null_mut();
    let context = std::ptr::from_ref(&heard).cast_mut().cast();
    let status = authgrant_authorize(connection.handle(), Some(visit_in_background), context, &raw mut error);
    let seen = page.recv_timeout(Duration::from_secs(10)).ok();
    match take_error_chain(error).into_iter().next() {
        None => {
            assert_eq!(status, AUTHGRANT_OK);
            (Ok(()), seen)
        }
        Some(failure) => (Err(Box::new(failure)), seen),
    }
}
