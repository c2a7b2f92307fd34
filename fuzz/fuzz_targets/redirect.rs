//! A request to the listener at the redirect URI, and the page that answers it.

#![no_main]

use std::sync::LazyLock;

use authgrant::authorize::fuzzing::{Reaction, react};
use authgrant::authorize::{ExpectedResponse, ResultPages};
use authgrant::base::secret::Secret;
use authgrant::base::url::EndpointUrl;
use authgrant_fuzz::{CANARY, CANARY_MARK, check_error, check_secrets, has_canary};
use libfuzzer_sys::fuzz_target;

/// The state that a request must have.
const STATE: &str = "sTaTe8Rw3Nb";

static REDIRECT: LazyLock<EndpointUrl> =
    LazyLock::new(|| EndpointUrl::parse_redirect_uri("http://localhost:3000/callback").unwrap());

fuzz_target!(|request: &[u8]| {
    if has_canary(request) {
        return;
    }
    respond(request);
    if let Ok(text) = str::from_utf8(request)
        && has_marked_code(text)
    {
        respond(text.replace(CANARY_MARK, CANARY).as_bytes());
    }
});

/// Whether the query of the request has the parameter `code` with the mark as its value.
fn has_marked_code(request: &str) -> bool {
    let target = request.split(['\r', '\n', ' ', '#']).nth(1).unwrap_or_default();
    let query = target.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|parameter| parameter.strip_prefix("code=") == Some(CANARY_MARK))
}

fn respond(request: &[u8]) {
    for with_nonce in [false, true] {
        let expected = ExpectedResponse {
            state: Secret::from(STATE),
            issuers: vec!["https://id.example:443".to_owned()],
            server_host: "id.example".to_owned(),
            requires_code: true,
            url_without_nonce: with_nonce.then(|| Secret::from("https://id.example/authorize?state=x")),
        };
        let pages = ResultPages::new(Some("<Application>"));
        let pages = if with_nonce { pages.for_login() } else { pages };
        check_reaction(&react(&REDIRECT, &expected, &pages, request));
    }
}

fn check_reaction(reaction: &Reaction) {
    check_error(&reaction.timeout);
    match &reaction.outcome {
        Some(Err(error)) => {
            check_error(error);
            assert!(!error.message().contains(STATE));
        }
        Some(Ok(response)) => assert!(response.code.as_ref().is_some_and(|code| !code.reveal().is_empty())),
        None => {}
    }
    if let Some(response) = &reaction.response {
        let text = str::from_utf8(response).unwrap();
        let (head, page) = text.split_once("\r\n\r\n").unwrap();
        check_head(head);
        check_page(page);
        check_secrets(text);
        assert!(!text.contains(STATE));
    }
}

/// Checks that the response has no other headers than those of the library.
fn check_head(head: &str) {
    let mut lines = head.split("\r\n");
    assert!(lines.next().is_some_and(|line| line.starts_with("HTTP/1.1 ")));
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let names = [
            "Allow",
            "Cache-Control",
            "Connection",
            "Content-Length",
            "Content-Security-Policy",
            "Content-Type",
            "Location",
            "Referrer-Policy",
            "X-Content-Type-Options",
        ];
        assert!(names.contains(&name) && value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
    }
}

/// Checks that the page has no other elements than those of the library.
fn check_page(page: &str) {
    const ELEMENTS: [&str; 20] = [
        "!DOCTYPE html",
        "html lang",
        "head",
        "meta ",
        "title",
        "style",
        "body",
        "main class",
        "svg ",
        "circle ",
        "blockquote",
        "code",
        "p dir",
        "path ",
        "h1",
        "div role",
        "p",
        "strong",
        "div",
        "p class",
    ];
    let style_end = page.find("</style>").unwrap_or(0);
    for element in page[style_end..].split('<').skip(1) {
        let name = element.trim_start_matches('/');
        let known = ELEMENTS.iter().any(|known| {
            name.strip_prefix(known).is_some_and(|rest| rest.starts_with(['>', '=']) || known.ends_with(' '))
        }) || ["html>", "main>", "svg>"].iter().any(|end| name.starts_with(end));
        assert!(known, "<{element}");
    }
}
