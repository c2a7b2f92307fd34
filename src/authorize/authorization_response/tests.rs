use super::*;

const STATE: &str = "the-right-state";

fn expected() -> Expected {
    Expected {
        state: Secret::from(STATE),
        issuers: vec!["https://as.example:443".to_owned(), "https://tokens.example:8443".to_owned()],
        server: "as.example".to_owned(),
        wants_code: true,
    }
}

fn place(redirect: &str) -> Place {
    Place::of(&EndpointUrl::parse(redirect).unwrap())
}

fn judged(text: &str) -> Verdict {
    judged_at("http://localhost:3000/callback", text)
}

fn judged_at(redirect: &str, text: &str) -> Verdict {
    Request::read(text.as_bytes()).unwrap().unwrap().judge(&place(redirect), &expected())
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost:3000\r\n\r\n")
}

fn fault(text: &str) -> Option<Fault> {
    match judged(text) {
        Verdict::Away(fault) => Some(fault),
        _ => None,
    }
}

#[test]
fn the_right_visit_brings_its_code() {
    let text =
        get("/callback?code=a%2Bb+c&state=the-right-state&tenant=t%C3%A9&iss=https%3A%2F%2Fas.example");
    let Verdict::Arrived(arrival) = judged(&text) else { panic!("{text}") };
    assert_eq!(arrival.code.as_ref().unwrap().reveal(), "a+b c");
    assert!(!format!("{arrival:?}").contains("a+b c"));
}

#[test]
fn a_visit_without_exactly_the_right_state_is_turned_away() {
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
        assert_eq!(fault(&get(&format!("/callback{query}"))), Some(Fault::State), "{query}");
    }
}

#[test]
fn no_state_is_never_the_right_one() {
    let nothing = Expected { state: Secret::default(), ..expected() };
    let text = get("/callback?code=a&state=");
    let verdict = Request::read(text.as_bytes())
        .unwrap()
        .unwrap()
        .judge(&place("http://localhost:3000/callback"), &nothing);
    assert!(matches!(verdict, Verdict::Away(Fault::State)), "{verdict:?}");
}

#[test]
fn another_issuer_is_turned_away_whatever_it_says() {
    for answer in ["code=a", "error=access_denied"] {
        for issuer in
            ["https://other.example", "http://as.example", "https://as.example:8443", "as.example", ""]
        {
            let text = get(&format!("/callback?{answer}&state={STATE}&iss={issuer}"));
            assert_eq!(fault(&text), Some(Fault::Issuer), "{answer} {issuer}");
        }
    }
}

#[test]
fn an_issuer_at_home_at_a_server_that_was_asked_is_right() {
    for issuer in ["https://as.example", "https://as.example/tenant/v2.0", "https://tokens.example:8443"] {
        let text = get(&format!("/callback?code=a&state={STATE}&iss={issuer}"));
        assert!(matches!(judged(&text), Verdict::Arrived(_)), "{issuer}");
    }
}

#[test]
fn an_issuer_that_nobody_knows_is_not_compared() {
    let unknown = Expected { issuers: Vec::new(), ..expected() };
    let text = get(&format!("/callback?code=a&state={STATE}&iss=https://other.example"));
    let verdict = Request::read(text.as_bytes())
        .unwrap()
        .unwrap()
        .judge(&place("http://localhost:3000/callback"), &unknown);
    assert!(matches!(verdict, Verdict::Arrived(_)), "{verdict:?}");
}

#[test]
fn a_repeated_parameter_is_turned_away() {
    for query in [
        format!("code=a&code=b&state={STATE}"),
        format!("code=a&state={STATE}&state={STATE}"),
        format!("code=a&state={STATE}&st%61te=other"),
    ] {
        assert_eq!(fault(&get(&format!("/callback?{query}"))), Some(Fault::Repeated), "{query}");
    }
}

#[test]
fn only_the_redirects_own_path_is_answered() {
    for path in ["/", "/callback/", "/Callback", "/callback2", "//callback", "/x/../callback"] {
        let text = get(&format!("{path}?code=a&state={STATE}"));
        assert_eq!(fault(&text), Some(Fault::Path), "{path}");
    }
    assert_eq!(
        fault(&get(&format!("http://localhost:3000/callback?code=a&state={STATE}"))),
        Some(Fault::Path)
    );
    assert!(matches!(judged(&get("/favicon.ico")), Verdict::Favicon));
    let root = get(&format!("/?code=a&state={STATE}"));
    for redirect in ["http://localhost:3000", "http://localhost:3000/"] {
        assert!(matches!(judged_at(redirect, &root), Verdict::Arrived(_)), "{redirect}");
    }
}

#[test]
fn a_query_of_the_redirects_own_comes_back_with_the_answer() {
    let text = get(&format!("/callback?app=1&code=a&state={STATE}"));
    let Verdict::Arrived(arrival) = judged_at("http://localhost:3000/callback?app=1", &text) else {
        panic!()
    };
    assert_eq!(arrival.code.unwrap().reveal(), "a");
}

#[test]
fn only_the_redirects_own_host_is_answered() {
    let visit = |host: &str| format!("GET /callback?code=a&state={STATE} HTTP/1.1\r\n{host}\r\n");
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
        assert_eq!(fault(&visit(host)), Some(Fault::Host), "{host}");
    }
    assert!(matches!(judged(&visit("hOST: LocalHost:3000\r\n")), Verdict::Arrived(_)));
}

#[test]
fn a_browser_names_an_address_in_its_own_way() {
    for (redirect, host) in [
        ("http://127.0.0.1:3000/callback", "127.0.0.1:3000"),
        ("http://[::1]:3000/callback", "[::1]:3000"),
        ("http://[0:0:0:0:0:0:0:1]:3000/callback", "[::1]:3000"),
        ("http://localhost:80/callback", "localhost"),
        ("http://[::1]:80/callback", "[::1]"),
        ("http://localhost:80/callback", "localhost:80"),
    ] {
        let text = format!("GET /callback?code=a&state={STATE} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(matches!(judged_at(redirect, &text), Verdict::Arrived(_)), "{redirect} {host}");
    }
}

#[test]
fn other_methods_than_get_and_head_are_turned_away() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"] {
        let text =
            format!("{method} /callback?code=a&state={STATE} HTTP/1.1\r\nHost: localhost:3000\r\n\r\n");
        assert_eq!(fault(&text), Some(Fault::Method), "{method}");
    }
}

#[test]
fn what_is_no_http_is_known_from_its_first_bytes() {
    for garbage in [&b"\x16\x03\x01\x02\x00"[..], b"\0\0\0\0", b"GET / HTTP/9.9\r\n", b"SSH-2.0-x\r\n"] {
        assert!(matches!(Request::read(garbage), Err(Fault::Unreadable)), "{garbage:?}");
    }
    assert!(matches!(Request::read(b"GET /callback?co"), Ok(None)));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
    assert!(matches!(Request::read(many.as_bytes()), Err(Fault::TooLong)));
}

#[test]
fn neither_code_nor_error_is_an_answer_only_where_no_code_is_wanted() {
    let text = get(&format!("/callback?admin_consent=True&code=&state={STATE}"));
    assert!(matches!(judged(&text), Verdict::Empty));
    let consent_alone = Expected { wants_code: false, ..expected() };
    let request = Request::read(text.as_bytes()).unwrap().unwrap();
    let Verdict::Arrived(arrival) = request.judge(&place("http://localhost:3000/callback"), &consent_alone)
    else {
        panic!()
    };
    assert!(arrival.code.is_none());
}

#[test]
fn the_servers_words_become_the_error_without_the_state() {
    let text = get(&format!(
        "/callback?error=access_denied&error_description=The+user%0D%0Asaid+no+to+{STATE}&state={STATE}"
    ));
    let Verdict::Refused(error, description) = judged(&text) else { panic!() };
    let error = refused(error, description, &expected());
    assert_eq!(error.status(), Status::Denied);
    assert_eq!(error.oauth_error(), Some("access_denied"));
    assert_eq!(error.oauth_description(), Some("The user said no to ****"));
    assert!(
        error.message().contains("as.example sent the browser back with access_denied: The user said no")
    );
    let encoded: String = STATE.bytes().map(|byte| format!("%25{byte:02x}")).collect();
    for echo in [encoded.as_str(), &STATE[..12], "the-code-that-came"] {
        let text = get(&format!(
            "/callback?error={echo}&error_description={echo}&code=the-code-that-came&state={STATE}"
        ));
        let Verdict::Refused(error, description) = judged(&text) else { panic!("{echo}") };
        let error = refused(error, description, &expected());
        assert_eq!((error.oauth_error(), error.oauth_description()), (Some("****"), Some("****")), "{error}");
    }
    for (word, status) in [
        ("consent_required", Status::ConsentRequired),
        ("temporarily_unavailable", Status::Server),
        ("server_error", Status::Server),
        ("invalid_scope", Status::Denied),
    ] {
        assert_eq!(refused(word.to_owned(), None, &expected()).status(), status, "{word}");
    }
}
