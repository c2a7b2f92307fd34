use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::base::error::OAuthReason;

struct ConstantClock;

impl Clock for ConstantClock {
    fn unix_seconds(&self) -> i64 {
        1_000_000
    }

    fn boot_time(&self) -> Duration {
        Duration::ZERO
    }
}

pub(super) fn http_response(status: u16, body: &str) -> Response {
    Response {
        status,
        content_type: Some("application/json; charset=utf-8".to_owned()),
        date: None,
        retry_after: None,
        location: None,
        www_authenticate: None,
        content_coding: None,
        truncated: false,
        reused: false,
        elapsed: Duration::ZERO,
        body: Zeroizing::new(body.as_bytes().to_vec()),
    }
}

fn empty_redactor() -> LazyCell<Redactor> {
    LazyCell::new(|| Redactor::new(std::iter::empty()))
}

/// Parses for a provider that calls its tokens `Application`.
fn parse_response(response: &Response) -> Result<TokenResponse, Box<ErrorResponse>> {
    parse(response, &ConstantClock, &|word| word == "Application", &empty_redactor())
}

fn parse_granted(body: &str) -> TokenResponse {
    parse_response(&http_response(200, body)).unwrap_or_else(|error| panic!("{body}: {error:?}"))
}

fn parse_rejected(status: u16, body: &str) -> Box<ErrorResponse> {
    parse_response(&http_response(status, body))
        .err()
        .unwrap_or_else(|| panic!("{body} is parsed as a token"))
}

fn shown(text: Option<&ServerText>) -> Option<&str> {
    text.map(ServerText::shown)
}

#[test]
fn response_fields_exclude_access_and_refresh_token() {
    let granted = parse_granted(
        r#"{"access_token":"at","token_type":"bEaReR","expires_in":3600,"scope":"a b",
            "instance_url":"https://x","restricted_to":[1],"refresh_token":"rt","id_token":"it"}"#,
    );
    assert_eq!(granted.access_token.as_c_str(), c"at");
    assert_eq!((granted.expires_in, granted.token_type_missing), (Some(3600), false));
    assert_eq!(granted.scope.as_deref(), Some(c"a b"));
    let field = |name| granted.fields.get(name).map(|field| field.to_str().unwrap());
    assert_eq!(field("instance_url"), Some("https://x"));
    assert_eq!(field("restricted_to"), Some("[1]"));
    assert_eq!(field("id_token"), Some("it"));
    assert_eq!((field("refresh_token"), field("access_token")), (None, None));
    assert_eq!(granted.refresh_token, Some(Secret::from("rt")));
}

#[test]
fn missing_token_type_is_reported_unknown_rejected() {
    assert!(parse_granted(r#"{"access_token":"at"}"#).token_type_missing);
    let error = parse_rejected(200, r#"{"access_token":"at","token_type":"DPoP"}"#);
    assert_eq!(error.reason(), OAuthReason::BadResponse);
    assert!(error.summary.contains("DPoP"), "{error:?}");
}

#[test]
fn byte_order_mark_is_skipped() {
    assert_eq!(parse_granted("\u{feff}{\"access_token\":\"at\"}").access_token.as_c_str(), c"at");
}

#[test]
fn body_without_valid_token_is_bad_response() {
    for body in [
        "",
        "<html>please log in</html>",
        "{\"access_token\":\"at\"",
        "{}",
        "[]",
        "null",
        r#"{"access_token":""}"#,
        r#"{"access_token":7}"#,
        r#"{"access_token":null}"#,
        r#"{"access_token":"a\r\nX: y"}"#,
        r#"{"access_token":"a\u0000b"}"#,
        r#"{"access_token":"aé"}"#,
        r#"{"access_token":"at","token_type":["Bearer"]}"#,
    ] {
        assert_eq!(parse_rejected(200, body).reason(), OAuthReason::BadResponse, "{body}");
        assert!(!parse_rejected(200, body).summary.contains("log in"), "the body must not be repeated");
    }
    assert_eq!(parse_rejected(302, "").reason(), OAuthReason::BadResponse);
    assert_eq!(parse_rejected(404, "Not Found").reason(), OAuthReason::BadResponse);
}

#[test]
fn summary_describes_body_without_content() {
    for (status, body, found) in [
        (404, "Not Found", "HTTP 404 with 9 bytes of application/json"),
        (404, r#"{"message":"No"}"#, "HTTP 404"),
        (404, r#"{"message":5}"#, "HTTP 404"),
        (404, r#"{"status":404}"#, "HTTP 404 with 14 bytes of application/json"),
        (302, "<html>", "HTTP 302, a redirect, which is not followed"),
        (302, "{}", "HTTP 302, a redirect, which is not followed"),
    ] {
        assert_eq!(parse_rejected(status, body).summary, found, "{status} {body}");
    }
    let untyped = Response { content_type: None, ..http_response(200, "hunter2") };
    let error = parse_response(&untyped).err().unwrap();
    assert_eq!(error.summary, "HTTP 200 with 7 bytes without Content-Type");
}

#[test]
fn oauth_error_decides_reason_before_http_status() {
    let error = |error: &str| format!(r#"{{"error":"{error}","error_description":null}}"#);
    for (status, body, expected) in [
        (400, error("invalid_grant"), OAuthReason::Denied),
        (401, error("invalid_client"), OAuthReason::Denied),
        (200, error("invalid_grant"), OAuthReason::Denied),
        (400, error("consent_required"), OAuthReason::ConsentRequired),
        (429, error("slow_down"), OAuthReason::Throttled),
        (429, String::new(), OAuthReason::Throttled),
        (500, "<html>".to_owned(), OAuthReason::Server),
        (503, String::new(), OAuthReason::Server),
        (401, error("server_error"), OAuthReason::Server),
        (401, r#"{"code":"390144","message":"JWT token is invalid"}"#.to_owned(), OAuthReason::Denied),
        (401, r#"{"message":"Bad","documentation_url":"https://x"}"#.to_owned(), OAuthReason::Denied),
        (403, r#"{"errors":[{"code":"FORBIDDEN"}]}"#.to_owned(), OAuthReason::Denied),
        (404, r#"{"message":"No","documentation_url":"https://x"}"#.to_owned(), OAuthReason::BadResponse),
        (404, error("Not Found"), OAuthReason::BadResponse),
        (405, String::new(), OAuthReason::BadResponse),
        (405, error("invalid_request"), OAuthReason::Denied),
        (401, r#"{"message":"Unauthorized"}"#.to_owned(), OAuthReason::Denied),
        (401, String::new(), OAuthReason::Denied),
        (403, "<html>blocked</html>".to_owned(), OAuthReason::Denied),
        (400, "<html>".to_owned(), OAuthReason::BadResponse),
        (422, r#"{"detail":"no"}"#.to_owned(), OAuthReason::Denied),
        (415, "{}".to_owned(), OAuthReason::BadResponse),
        (400, r#"[{"errorCode":"INVALID_SESSION_ID","message":"no"}]"#.to_owned(), OAuthReason::Denied),
        (200, r#"{"error":{"message":"no"}}"#.to_owned(), OAuthReason::Denied),
        (500, r#"{"message":"no"}"#.to_owned(), OAuthReason::Server),
        (400, error("temporarily_unavailable"), OAuthReason::Server),
    ] {
        assert_eq!(parse_rejected(status, &body).reason(), expected, "{status} {body}");
    }
}

#[test]
fn retry_after_accepts_seconds_or_date() {
    let later = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(1_000_090));
    for (text, seconds) in [("120", 120), (later.as_str(), 90), ("soon", 0)] {
        let response = Response { retry_after: Some(text.to_owned()), ..http_response(503, "") };
        let error = parse_response(&response).err().unwrap();
        assert_eq!(error.retry_after, seconds);
        assert_eq!(error.reason(), if seconds > 0 { OAuthReason::Throttled } else { OAuthReason::Server });
    }
}

#[test]
fn error_description_is_sanitized_and_truncated() {
    let body =
        format!(r#"{{"error":"invalid_grant","error_description":"one\r\ntwo\u202e{}"}}"#, "x".repeat(5000));
    let description = parse_rejected(400, &body).description.unwrap().into_shown();
    assert!(description.starts_with("one two xxx"), "{description}");
    assert!(description.len() <= 1000);
}

#[test]
fn error_member_rejects_token_unless_blank() {
    for error in ["{\"code\":1}", "5", "true", "[1]"] {
        let body = format!(r#"{{"access_token":"at","error":{error}}}"#);
        assert_eq!(parse_rejected(200, &body).reason(), OAuthReason::Denied, "{error}");
    }
    for error in ["null", "\"\"", "\" \"", "false", "0", "0.0", "[]", "{}"] {
        parse_granted(&format!(r#"{{"access_token":"at","error":{error}}}"#));
    }
}

#[test]
fn redaction_precedes_truncation_and_code_parsing() {
    let secrets = [Secret::from("TENANT12345678")];
    let redactor = LazyCell::new(|| Redactor::new(secrets.iter()));
    for description in [format!("{}TENANT12345678", "x".repeat(990)), "TENANT12345678 is unknown".to_owned()]
    {
        let body = format!(r#"{{"error":"TENANT12345678","error_description":"{description}"}}"#);
        let error = parse(&http_response(400, &body), &ConstantClock, &|_| false, &redactor).err().unwrap();
        assert!(!format!("{error:?}").contains("TENANT"), "{error:?}");
    }
}

/// Covers every part of a response whose text may appear in a message.
#[test]
fn secrets_are_redacted_in_all_server_text() {
    let secret = "hunter2/hunter2+hunter2";
    let secrets = [Secret::from(secret)];
    let redactor = LazyCell::new(|| Redactor::new(secrets.iter()));
    let echoes = [
        secret.to_owned(),
        "hunter2%2fhunter2%2bhunter2".to_owned(),
        "hunter2&#x2F;hunter2&plus;hunter2".to_owned(),
        "aHVudGVyMi9odW50ZXIyK2h1bnRlcjI".to_owned(),
        "hunter2/hunter2".to_owned(),
    ];
    for echo in echoes {
        let json = echo.replace('/', "\\/");
        let bodies = [
            format!(r#"{{"error":"{json}"}}"#),
            format!(r#"{{"error":"invalid_grant","error_description":"sent {json}"}}"#),
            format!(r#"{{"error":"invalid_grant","error_hint":"sent {json}"}}"#),
            format!(r#"{{"error":"x","error_description":"{}{json}"}}"#, "x".repeat(990)),
            format!(r#"{{"type":"error","code":"{json}","message":"{json}"}}"#),
            format!(r#"{{"code":"{json}","message":"{json}","documentation_url":""}}"#),
            format!(r#"{{"errors":[{{"code":"{json}"}}]}}"#),
            format!(r#"{{"access_token":"at","token_type":"{json}"}}"#),
            format!(r#"{{"access_token":"at","token_type":"{}{json}"}}"#, "x".repeat(990)),
            format!("<html>{echo}</html>"),
        ];
        for (status, body) in
            [200, 302, 401, 500].into_iter().flat_map(|status| bodies.iter().map(move |body| (status, body)))
        {
            for content_type in [
                None,
                Some(format!("text/{echo}; charset=utf-8")),
                Some(format!("{}{echo}", "x".repeat(990))),
            ] {
                let response = Response { content_type, ..http_response(status, body) };
                if let Err(error) = parse(&response, &ConstantClock, &|_| false, &redactor) {
                    let shown = format!("{error:?}");
                    assert!(!shown.contains("hunt") && !shown.contains("aHVu"), "{body}: {shown}");
                }
            }
        }
    }
}

#[test]
fn token_response_builds_no_redactor() {
    let redactor = LazyCell::new(|| -> Redactor { panic!("the redactor must not be built") });
    let body = r#"{"access_token":"at","token_type":"Bearer"}"#;
    assert!(parse(&http_response(200, body), &ConstantClock, &|_| false, &redactor).is_ok());
}

#[test]
fn provider_code_is_parsed_from_description() {
    for (description, code) in [
        ("AADSTS700027: The certificate is not registered.", Some("AADSTS700027")),
        ("MP-012 grant used before", Some("MP-012")),
        ("user_not_found", None),
        ("JWT is wrong", None),
        ("404 not found", None),
        ("", None),
    ] {
        let body = format!(r#"{{"error":"invalid_grant","error_description":"{description}"}}"#);
        assert_eq!(shown(parse_rejected(400, &body).provider_code.as_ref()), code, "{description}");
    }
}

#[test]
fn server_skew_is_computed_from_date() {
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(999_700));
    let response = Response { date: Some(date), ..http_response(400, r#"{"error":"invalid_grant"}"#) };
    assert_eq!(parse_response(&response).err().unwrap().server_skew_secs, Some(-300));
}

#[test]
fn token_requires_success_status() {
    let body = r#"{"access_token":"at","token_type":"Bearer"}"#;
    assert!(parse_response(&http_response(201, body)).is_ok());
    for status in [199, 300, 302, 404] {
        assert_eq!(parse_rejected(status, body).reason(), OAuthReason::BadResponse, "{status}");
    }
}

#[test]
fn control_characters_are_removed_from_errors() {
    for control in [
        "\\u0000", "\\n", "\\u001b", "\\u007f", "\\u0085", "\\u200e", "\\u200f", "\\u202a", "\\u202e",
        "\\u2066", "\\u2069",
    ] {
        let body = format!(r#"{{"error":"a{control}b","error_description":"c{control}d"}}"#);
        let error = parse_rejected(400, &body);
        assert_eq!(
            (shown(error.error.as_ref()), shown(error.description.as_ref())),
            (Some("a b"), Some("c d")),
            "{control}"
        );
        assert_eq!(error.summary, "HTTP 400, a b", "{control}");
    }
}

#[test]
fn access_token_rejects_delete_accepts_tilde() {
    assert_eq!(parse_granted(r#"{"access_token":" ~"}"#).access_token.as_c_str(), c" ~");
    assert_eq!(parse_rejected(200, r#"{"access_token":"a\u007f"}"#).reason(), OAuthReason::BadResponse);
}

#[test]
fn empty_token_type_counts_as_missing() {
    for token_type in ["null", "\"\"", "\" \\t\""] {
        let body = format!(r#"{{"access_token":"at","token_type":{token_type}}}"#);
        assert!(parse_granted(&body).token_type_missing, "{token_type}");
    }
}

#[test]
fn token_type_ignores_blanks_and_case() {
    for token_type in [" Bearer", "bearer ", "BEARER\\n", " Application "] {
        let body = format!(r#"{{"access_token":"at","token_type":"{token_type}"}}"#);
        assert!(!parse_granted(&body).token_type_missing, "{token_type}");
    }
    for (token_type, unsupported) in
        [("DPoP", Some(UnsupportedFeature::Dpop)), (" dpop ", Some(UnsupportedFeature::Dpop)), ("mac", None)]
    {
        let error = parse_rejected(200, &format!(r#"{{"access_token":"at","token_type":"{token_type}"}}"#));
        assert_eq!((error.reason(), error.unsupported), (OAuthReason::BadResponse, unsupported));
    }
}

#[test]
fn token_survives_body_that_is_not_utf8() {
    for (bytes, content_type, name) in [
        (&b"M\xfcller"[..], None, "Müller"),
        (b"M\xfcller", Some("application/json; charset=utf-8"), "Müller"),
        (b"\xcc\xfe", Some("application/json; charset=windows-1251"), "Мю"),
        (b"\x95\x5c", Some("application/json; charset=\"Shift_JIS\""), "表"),
    ] {
        let body = [&br#"{"access_token":"at","name":""#[..], bytes, b"\"}"].concat();
        let content_type = content_type.map(str::to_owned);
        let response = Response { content_type, body: Zeroizing::new(body), ..http_response(200, "") };
        let granted = parse_response(&response).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(granted.fields["name"].to_str(), Ok(name));
    }
}

#[test]
fn challenge_gives_words_that_body_lacks() {
    let respond = |status, body, header: &str| {
        let www_authenticate = Some(header.to_owned());
        let response = Response { www_authenticate, ..http_response(status, body) };
        parse_response(&response).err().unwrap()
    };
    let header = r#"Bearer realm="x", error="invalid_client", error_description="Unknown \"app\"""#;
    for body in ["", "<html>", "{}", r#"{"timestamp":1}"#] {
        let error = respond(401, body, header);
        assert_eq!(error.error_code(), Some("invalid_client"), "{body}");
        assert_eq!(shown(error.description.as_ref()), Some("Unknown \"app\""), "{body}");
        assert_eq!(error.summary, "HTTP 401, invalid_client", "{body}");
    }
    let error = respond(401, r#"{"error":"invalid_grant"}"#, header);
    assert_eq!((error.error_code(), error.description.as_ref()), (Some("invalid_grant"), None));
    assert_eq!(respond(302, "", header).error, None);
    assert_eq!(respond(401, "", "DPoP algs=\"ES256\"").unsupported, Some(UnsupportedFeature::Dpop));
}

#[test]
fn unsupported_demand_is_recognized() {
    use UnsupportedFeature::{Dpop, Par};
    for (error, description, expected) in [
        ("use_dpop_nonce", "", Some(Dpop)),
        ("invalid_request", "The DPoP proof JWT header is missing.", Some(Dpop)),
        ("invalid_request", "Pushed Authorization Request is only allowed.", Some(Par)),
        ("invalid_request", "PAR is required", Some(Par)),
        ("invalid_request", "refusé par le serveur", None),
        ("invalid_request", "PARAMETER is missing", None),
    ] {
        let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
        assert_eq!(parse_rejected(400, &body).unsupported, expected, "{description}");
    }
}

#[test]
fn decision_ignores_secret_that_is_part_of_word() {
    let secrets = ["grant", "ADSTS", "65001"].map(Secret::from);
    let redactor = LazyCell::new(|| Redactor::new(secrets.iter()));
    let body = r#"{"error":"invalid_grant","error_description":"AADSTS65001: grant"}"#;
    let error = parse(&http_response(400, body), &ConstantClock, &|_| false, &redactor).err().unwrap();
    assert_eq!(error.error_code(), Some("invalid_grant"));
    assert_eq!(error.provider_code.as_ref().map(ServerText::as_sent), Some("AADSTS65001"));
    let texts = [&error.error, &error.description, &error.provider_code].map(|text| shown(text.as_ref()));
    assert_eq!(texts, [Some("invalid_grant"), Some("A****: ****"), Some("A****")]);
    assert!(!format!("{error:?}").contains("65001"), "{error:?}");
}

#[test]
fn time_of_expiry_is_relative_to_server_clock() {
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(1_790_000_000));
    for (date, seconds) in [(Some(date), 3600), (None, 315_360_000)] {
        let body = r#"{"access_token":"at","expires_at":1790003600}"#;
        let response = Response { date, ..http_response(200, body) };
        assert_eq!(parse_response(&response).ok().unwrap().expires_in, Some(seconds));
    }
}

#[test]
fn id_token_is_used_only_without_access_token() {
    let alone = parse_id_token_only(&http_response(200, r#"{"id_token":"h.p.s","more":1}"#)).unwrap();
    assert_eq!(alone.access_token.as_c_str(), c"h.p.s");
    assert!(!alone.fields.contains_key("id_token") && alone.fields.contains_key("more"));
    for (status, body) in [
        (400, r#"{"id_token":"h.p.s"}"#),
        (200, r#"{"id_token":"h.p.s","access_token":7}"#),
        (200, r#"{"id_token":""}"#),
        (200, "{}"),
    ] {
        assert!(parse_id_token_only(&http_response(status, body)).is_none(), "{status} {body}");
    }
}

#[test]
fn description_in_challenge_makes_page_a_refusal() {
    let mut response = http_response(400, "<html>no</html>");
    let reason = |response: &Response| parse_response(response).err().unwrap().reason();
    assert_eq!(reason(&response), OAuthReason::BadResponse);
    response.www_authenticate = Some(r#"Bearer error_description="no such user""#.to_owned());
    assert_eq!(reason(&response), OAuthReason::Denied);
}

#[test]
fn error_member_outranks_other_codes() {
    let rejected = parse_rejected(400, r#"{"error": "invalid_grant", "code": "invalid_client", "x": 1}"#);
    assert_eq!(rejected.error_code(), Some("invalid_grant"));
    assert!(rejected.has_member("x") && !rejected.has_member("y"));
}

#[test]
fn unsupported_features_name_their_standard() {
    for (feature, standard) in [(UnsupportedFeature::Dpop, "RFC 9449"), (UnsupportedFeature::Par, "RFC 9126")]
    {
        assert!(feature.description().contains(standard));
    }
}

#[test]
fn error_of_redirect_keeps_its_parts() {
    let (error, description) = (Secret::from("access_denied"), Some(Secret::from("use DPoP")));
    let response = ErrorResponse::from_redirect(error, description, |text| format!("<{text}>"));
    assert_eq!(response.error_code(), Some("access_denied"));
    assert_eq!(shown(response.description.as_ref()), Some("<use DPoP>"));
    assert_eq!(response.unsupported, Some(UnsupportedFeature::Dpop));
}
