use super::*;
use crate::base::error::Status;

const STATE: &str = "the-right-state";

fn expected_response() -> ExpectedResponse {
    ExpectedResponse {
        state: Secret::from(STATE),
        issuers: vec!["https://as.example:443".to_owned(), "https://tokens.example:8443".to_owned()],
        server_host: "as.example".to_owned(),
        requires_code: true,
        url_without_nonce: None,
    }
}

fn redirect_target(redirect: &str) -> RedirectTarget {
    RedirectTarget::from_url(&EndpointUrl::parse(redirect).unwrap())
}

fn evaluate_request(text: &str) -> RedirectOutcome {
    evaluate_request_at("http://localhost:3000/callback", text)
}

fn evaluate_request_at(redirect: &str, text: &str) -> RedirectOutcome {
    RedirectRequest::parse(text.as_bytes())
        .unwrap()
        .unwrap()
        .evaluate(&redirect_target(redirect), &expected_response())
}

fn get_request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost:3000\r\n\r\n")
}

fn reject_reason(text: &str) -> Option<RejectReason> {
    match evaluate_request(text) {
        RedirectOutcome::Rejected(reason) => Some(reason),
        _ => None,
    }
}

#[test]
fn authorized_redirect_yields_code() {
    let text = get_request(
        "/callback?code=a%2Bb+c&state=the-right-state&tenant=t%C3%A9&iss=https%3A%2F%2Fas.example",
    );
    let RedirectOutcome::Authorized(response) = evaluate_request(&text) else { panic!("{text}") };
    assert_eq!(response.code.as_ref().unwrap().reveal(), "a+b c");
    assert!(!format!("{response:?}").contains("a+b c"));
}

#[test]
fn wrong_state_is_rejected() {
    for query in [
        "",
        "?",
        "?code=a",
        "?code=a&state",
        "?code=a&state=",
        "?code=a&state=the-right-stat",
        "?code=a&state=the-right-state2",
        "?code=a&state=The-Right-State",
        "?error=access_denied",
        "?error=access_denied&state=no",
    ] {
        assert_eq!(
            reject_reason(&get_request(&format!("/callback{query}"))),
            Some(RejectReason::StateMismatch),
            "{query}"
        );
    }
}

#[test]
fn empty_expected_state_never_matches() {
    let without_state = ExpectedResponse { state: Secret::default(), ..expected_response() };
    let text = get_request("/callback?code=a&state=");
    let outcome = RedirectRequest::parse(text.as_bytes())
        .unwrap()
        .unwrap()
        .evaluate(&redirect_target("http://localhost:3000/callback"), &without_state);
    assert!(matches!(outcome, RedirectOutcome::Rejected(RejectReason::StateMismatch)), "{outcome:?}");
}

#[test]
fn foreign_issuer_is_rejected() {
    for parameter in ["code=a", "error=access_denied"] {
        for issuer in
            ["https://other.example", "http://as.example", "https://as.example:8443", "as.example", ""]
        {
            let text = get_request(&format!("/callback?{parameter}&state={STATE}&iss={issuer}"));
            assert_eq!(reject_reason(&text), Some(RejectReason::IssuerMismatch), "{parameter} {issuer}");
        }
    }
}

#[test]
fn issuer_at_expected_origin_is_accepted() {
    for issuer in ["https://as.example", "https://as.example/tenant/v2.0", "https://tokens.example:8443"] {
        let text = get_request(&format!("/callback?code=a&state={STATE}&iss={issuer}"));
        assert!(matches!(evaluate_request(&text), RedirectOutcome::Authorized(_)), "{issuer}");
    }
}

#[test]
fn issuer_is_unchecked_if_none_expected() {
    let without_issuers = ExpectedResponse { issuers: Vec::new(), ..expected_response() };
    let text = get_request(&format!("/callback?code=a&state={STATE}&iss=https://other.example"));
    let outcome = RedirectRequest::parse(text.as_bytes())
        .unwrap()
        .unwrap()
        .evaluate(&redirect_target("http://localhost:3000/callback"), &without_issuers);
    assert!(matches!(outcome, RedirectOutcome::Authorized(_)), "{outcome:?}");
}

#[test]
fn repeated_parameter_is_rejected() {
    for query in [
        format!("code=a&code=b&state={STATE}"),
        format!("code=a&state={STATE}&state={STATE}"),
        format!("code=a&state={STATE}&st%61te=other"),
    ] {
        assert_eq!(
            reject_reason(&get_request(&format!("/callback?{query}"))),
            Some(RejectReason::RepeatedParameter),
            "{query}"
        );
    }
}

#[test]
fn only_redirect_path_is_accepted() {
    for path in ["/", "/callback/", "/Callback", "/callback2", "//callback", "/x/../callback"] {
        let text = get_request(&format!("{path}?code=a&state={STATE}"));
        assert_eq!(reject_reason(&text), Some(RejectReason::WrongPath), "{path}");
    }
    assert_eq!(
        reject_reason(&get_request(&format!("http://localhost:3000/callback?code=a&state={STATE}"))),
        Some(RejectReason::WrongPath)
    );
    assert!(matches!(evaluate_request(&get_request("/favicon.ico")), RedirectOutcome::Favicon));
    let root = get_request(&format!("/?code=a&state={STATE}"));
    for redirect in ["http://localhost:3000", "http://localhost:3000/"] {
        assert!(matches!(evaluate_request_at(redirect, &root), RedirectOutcome::Authorized(_)), "{redirect}");
    }
}

#[test]
fn redirect_uri_query_is_accepted() {
    let text = get_request(&format!("/callback?app=1&code=a&state={STATE}"));
    let RedirectOutcome::Authorized(response) =
        evaluate_request_at("http://localhost:3000/callback?app=1", &text)
    else {
        panic!()
    };
    assert_eq!(response.code.unwrap().reveal(), "a");
}

#[test]
fn only_redirect_host_is_accepted() {
    let request =
        |host_header: &str| format!("GET /callback?code=a&state={STATE} HTTP/1.1\r\n{host_header}\r\n");
    for host in [
        "",
        "Host: \r\n",
        "Host: localhost\r\n",
        "Host: localhost:3001\r\n",
        "Host: 127.0.0.1:3000\r\n",
        "Host: rebound.example:3000\r\n",
        "Host: localhost:3000.rebound.example\r\n",
        "Host: localhost:3000\r\nHost: localhost:3000\r\n",
        "Host: localhost:3000, localhost:3000\r\n",
    ] {
        assert_eq!(reject_reason(&request(host)), Some(RejectReason::WrongHost), "{host}");
    }
    assert!(matches!(evaluate_request(&request("hOST: LocalHost:3000\r\n")), RedirectOutcome::Authorized(_)));
}

#[test]
fn canonical_host_header_is_accepted() {
    for (redirect, host) in [
        ("http://127.0.0.1:3000/callback", "127.0.0.1:3000"),
        ("http://[::1]:3000/callback", "[::1]:3000"),
        ("http://[0:0:0:0:0:0:0:1]:3000/callback", "[::1]:3000"),
        ("http://localhost:80/callback", "localhost"),
        ("http://[::1]:80/callback", "[::1]"),
        ("http://localhost:80/callback", "localhost:80"),
    ] {
        let text = format!("GET /callback?code=a&state={STATE} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(
            matches!(evaluate_request_at(redirect, &text), RedirectOutcome::Authorized(_)),
            "{redirect} {host}"
        );
    }
}

#[test]
fn methods_except_get_and_head_are_rejected() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"] {
        let text =
            format!("{method} /callback?code=a&state={STATE} HTTP/1.1\r\nHost: localhost:3000\r\n\r\n");
        assert_eq!(reject_reason(&text), Some(RejectReason::UnsupportedMethod), "{method}");
    }
}

#[test]
fn non_http_is_rejected_at_first_bytes() {
    for garbage in [&b"\x16\x03\x01\x02\x00"[..], b"\0\0\0\0", b"GET / HTTP/9.9\r\n", b"SSH-2.0-x\r\n"] {
        assert!(matches!(RedirectRequest::parse(garbage), Err(RejectReason::InvalidHttp)), "{garbage:?}");
    }
    assert!(matches!(RedirectRequest::parse(b"GET /callback?co"), Ok(None)));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
    assert!(matches!(RedirectRequest::parse(many_headers.as_bytes()), Err(RejectReason::TooLong)));
}

#[test]
fn missing_code_is_incomplete_if_required() {
    let text = get_request(&format!("/callback?admin_consent=True&code=&state={STATE}"));
    assert!(matches!(evaluate_request(&text), RedirectOutcome::Incomplete));
    let admin_consent = ExpectedResponse { requires_code: false, ..expected_response() };
    let request = RedirectRequest::parse(text.as_bytes()).unwrap().unwrap();
    let RedirectOutcome::Authorized(response) =
        request.evaluate(&redirect_target("http://localhost:3000/callback"), &admin_consent)
    else {
        panic!()
    };
    assert!(response.code.is_none());
}

#[test]
fn error_response_is_classified_and_redacted() {
    let text = get_request(&format!(
        "/callback?error=access_denied&error_description=The+user%0D%0Asaid+no+to+{STATE}&state={STATE}"
    ));
    let RedirectOutcome::Denied(response) = evaluate_request(&text) else { panic!() };
    let error = denied_error(*response, &expected_response());
    assert_eq!(error.status(), Status::Denied);
    assert_eq!(error.oauth_error().as_deref(), Some("access_denied"));
    assert_eq!(error.oauth_description().as_deref(), Some("The user said no to ****"));
    assert!(error.message().contains("access_denied: The user said no to ****"), "{error}");
    let encoded: String = STATE.bytes().map(|byte| format!("%25{byte:02x}")).collect();
    for echo in [encoded.as_str(), &STATE[..12], "the-code-that-came"] {
        let text = get_request(&format!(
            "/callback?error={echo}&error_description={echo}&code=the-code-that-came&state={STATE}"
        ));
        let RedirectOutcome::Denied(response) = evaluate_request(&text) else { panic!("{echo}") };
        let error = denied_error(*response, &expected_response());
        assert_eq!(
            (error.oauth_error().as_deref(), error.oauth_description().as_deref()),
            (Some("****"), Some("****")),
            "{error}"
        );
    }
    for (code, status, hint) in [
        ("access_denied", Status::Denied, "; the user declined or is not permitted to consent"),
        ("consent_required", Status::ConsentRequired, "; the user or an administrator must consent first"),
        ("temporarily_unavailable", Status::Server, ""),
        ("server_error", Status::Server, ""),
        ("invalid_scope", Status::Denied, ""),
    ] {
        let response = ErrorResponse::from_redirect(Secret::from(code), None, str::to_owned);
        let error = denied_error(response, &expected_response());
        assert_eq!(error.status(), status, "{code}");
        assert!(error.message().ends_with(&format!(" returned the error {code}{hint}")), "{error}");
    }
}

#[test]
fn unsupported_demand_is_named() {
    for (description, rfc) in
        [("Pushed Authorization Request is only allowed.", "RFC 9126"), ("dpop_jkt is required", "RFC 9449")]
    {
        let (error, description) = (Secret::from("invalid_request"), Some(Secret::from(description)));
        let response = ErrorResponse::from_redirect(error, description, str::to_owned);
        let error = denied_error(response, &expected_response());
        assert_eq!(error.status(), Status::Denied);
        assert!(error.message().contains(rfc), "{error}");
    }
}

/// A secret that is part of a registered code must not change the decision.
#[test]
fn redirect_error_is_decided_before_redaction() {
    let redact = |text: &str| text.replace("consent", "****");
    let response = ErrorResponse::from_redirect(Secret::from("consent_required"), None, redact);
    assert_eq!(denied_error(response, &expected_response()).status(), Status::ConsentRequired);
}
