//! Example program for run.mjs that waits for consent once: `consent_page STATE [APPLICATION]`.
//!
//! The first line of the output is the redirect URI of the listener, the second line the result.
#![allow(clippy::print_stdout, reason = "run.mjs reads the output of this program")]

use std::net::TcpListener;
use std::time::Duration;

use authgrant::authorize::{ExpectedResponse, LoopbackListener, ResultPages};
use authgrant::base::call::CallContext;
use authgrant::base::secret::Secret;
use authgrant::base::url::EndpointUrl;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let state = arguments.next().expect("consent_page STATE [APPLICATION]");
    let application = arguments.next();
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let redirect = format!("http://localhost:{port}/callback");
    let listener =
        LoopbackListener::bind(&EndpointUrl::parse(&redirect).expect("a URL")).expect("a listener");
    println!("{redirect}");
    let expected = ExpectedResponse {
        state: Secret::new(state),
        issuers: Vec::new(),
        server_host: "as.example".to_owned(),
        requires_code: true,
        url_without_nonce: None,
    };
    let call = CallContext::with_timeout(Duration::from_secs(60), "ConsentTimeout");
    match listener.wait(&expected, &ResultPages::new(application.as_deref()), &call) {
        Ok(response) => println!("code {}", response.code.map_or(0, |code| code.reveal().len())),
        Err(error) => println!("{} {error}", error.status().name()),
    }
}
