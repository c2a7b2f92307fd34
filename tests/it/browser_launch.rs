//! Browser launch through `xdg-open`, replaced by a script of the test: the script receives the URL, and the
//! test follows the redirect. There is no authorization server.

#![cfg(all(unix, not(target_os = "macos")))]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::fake_xdg_open::{
    RECORDING_SCRIPT, install_fake_xdg_open, is_subprocess, rerun_with_path, wait_for_recorded_arguments,
};
use authgrant::authorize::{
    Browser, ExpectedResponse, LoopbackListener, Pkce, ResultPages, add_state, random_state,
};
use authgrant::base::call::CallContext;
use authgrant::base::error::Status;
use authgrant::base::url::EndpointUrl;

fn follow_redirect(url: &str, redirect: &EndpointUrl) {
    let state = url.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", redirect.port())).unwrap();
    let host = format!("localhost:{}", redirect.port());
    write!(stream, "GET /callback?code=the-code&state={state} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
}

#[test]
fn browser_redirect_delivers_code() {
    const NAME: &str = "browser_launch::browser_redirect_delivers_code";
    if !is_subprocess(NAME) {
        return rerun_with_path(NAME, install_fake_xdg_open(RECORDING_SCRIPT).path());
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let redirect = EndpointUrl::parse(&format!("http://localhost:{port}/callback")).unwrap();
    let listener = LoopbackListener::bind(&redirect).unwrap();
    let (pkce, state) = (Pkce::random().unwrap(), random_state().unwrap());
    let plain = "https://as.example/auth?response_type=code";
    let url = add_state(plain, &state, Some(pkce.challenge()));
    let browser = Browser::system();
    let mut opened = browser.open(&url, plain).unwrap();
    let browser_thread = std::thread::spawn(move || {
        let arguments = wait_for_recorded_arguments();
        follow_redirect(&arguments, &redirect);
        arguments
    });
    let expected = ExpectedResponse {
        state,
        issuers: Vec::new(),
        server_host: "as.example".to_owned(),
        requires_code: true,
        url_without_nonce: None,
    };
    let call = CallContext::with_timeout(Duration::from_secs(30), "ConsentTimeout");
    let response = listener
        .wait_and_complete(&expected, &ResultPages::default(), &call, &mut || opened.check(), &mut Ok)
        .unwrap();

    assert_eq!(response.code.unwrap().reveal(), "the-code");
    assert_eq!(browser_thread.join().unwrap(), format!("1\n{}\n", url.reveal()));
}

#[test]
fn missing_xdg_open_reports_consent_url() {
    const NAME: &str = "browser_launch::missing_xdg_open_reports_consent_url";
    if !is_subprocess(NAME) {
        return rerun_with_path(NAME, tempfile::tempdir().unwrap().path());
    }
    let plain = "https://as.example/auth?response_type=code";
    let url = add_state(plain, &random_state().unwrap(), None);
    let error = Browser::system().open(&url, plain).unwrap_err();
    assert_eq!((error.status(), error.consent_url()), (Status::Unsupported, Some(plain)));
}

#[test]
fn failed_browser_launch_ends_wait_early() {
    const NAME: &str = "browser_launch::failed_browser_launch_ends_wait_early";
    if !is_subprocess(NAME) {
        let dir = install_fake_xdg_open("exit 3");
        return rerun_with_path(NAME, dir.path());
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listener =
        LoopbackListener::bind(&EndpointUrl::parse(&format!("http://localhost:{port}")).unwrap()).unwrap();
    let browser = Browser::system();
    let plain = "https://as.example/auth?response_type=code";
    let state = random_state().unwrap();
    let mut opened = browser.open(&add_state(plain, &state, None), plain).unwrap();
    let expected = ExpectedResponse {
        state,
        issuers: Vec::new(),
        server_host: "as.example".to_owned(),
        requires_code: true,
        url_without_nonce: None,
    };
    let call = CallContext::with_timeout(Duration::from_secs(60), "ConsentTimeout");
    let error = listener
        .wait_and_complete(&expected, &ResultPages::default(), &call, &mut || opened.check(), &mut Ok)
        .unwrap_err();
    assert_eq!((error.status(), error.consent_url()), (Status::Unsupported, Some(plain)));
}
