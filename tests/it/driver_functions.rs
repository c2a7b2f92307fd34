//! Functions for drivers: keywords of the driver, through the C API. No server is needed.

use std::ffi::{CString, c_char, c_void};
use std::ptr::null;

use crate::support::c_api::{
    CancelToken, Connection, Failure, c_str_to_string, call_options, collect_failures, poisoned_ptr,
    take_error_chain, take_headers,
};
use crate::support::stores;
use crate::support::tempdir::TestDir;
use authgrant::ffi::call_options::RawCallOptions;
use authgrant::ffi::connection::*;
use authgrant::ffi::headers::*;
use authgrant::ffi::open_options::RawOpenOptions;
use authgrant::ffi::options::*;
use authgrant::ffi::status::*;
use authgrant::ffi::text::*;

/// Options for NUL-terminated UTF-8 without keywords.
fn open_options(text: *const c_void) -> RawOpenOptions {
    RawOpenOptions {
        size: size_of::<RawOpenOptions>(),
        connection_string: text,
        length: 0,
        unit_size: 0,
        driver_keywords: null(),
        driver_keyword_count: 0,
    }
}

fn open_raw(options: &RawOpenOptions) -> Result<Connection, Vec<Failure>> {
    let mut handle = poisoned_ptr();
    let failures = collect_failures(|error| authgrant_open_with(options, &raw mut handle, error));
    if failures.is_empty() {
        return Ok(Connection::from_handle(handle));
    }
    assert!(handle.is_null());
    Err(failures)
}

fn open_with(text: &str, keywords: &[&str]) -> Result<Connection, Vec<Failure>> {
    let text = CString::new(text).unwrap();
    let keywords: Vec<_> = keywords.iter().map(|keyword| CString::new(*keyword).unwrap()).collect();
    let pointers: Vec<*const c_char> = keywords.iter().map(|keyword| keyword.as_ptr()).collect();
    open_raw(&RawOpenOptions {
        driver_keywords: pointers.as_ptr(),
        driver_keyword_count: pointers.len(),
        ..open_options(text.as_ptr().cast())
    })
}

#[test]
fn driver_keywords_are_completed_and_set() {
    let connection = open_with("Scope=a;t={x;y}", &["Schema", "Table;T"]).unwrap();
    assert_eq!(connection.warnings(), []);
    assert_eq!(connection.completed_string(0), "Scope=a;Table={x;y};");
    connection.set_option("SCHEMA", "s").unwrap();
    connection.set_option("Table", "").unwrap();
    assert_eq!(connection.completed_string(0), "Scope=a;Schema=s;");
    assert_eq!(connection.set_option("View", "v").unwrap_err().status, AUTHGRANT_INVALID_OPTION);
    let completed = connection.completed_string(0);
    let reopened = open_with(&completed, &["Schema"]).unwrap();
    assert_eq!((reopened.warnings(), reopened.completed_string(0)), (vec![], completed));
}

fn get_option(connection: &Connection, name: &str) -> Result<Option<String>, Box<Failure>> {
    let name = CString::new(name).unwrap();
    let mut value = poisoned_ptr();
    let get = |error| authgrant_get_option(connection.handle(), name.as_ptr(), &raw mut value, error);
    let failures = collect_failures(get);
    let text = c_str_to_string(value);
    authgrant_string_free(value);
    failures.into_iter().next().map_or(Ok(text), |failure| Err(Box::new(failure)))
}

#[test]
fn get_option_returns_value_in_force_of_any_origin() {
    let dir = TestDir::new();
    let dsn = dir.write(
        "a.dsn",
        "[ODBC]
Scope=dsn
ClaimsIssuer=dsn
Table=t
",
    );
    let model = dir.write("m.rest", r##"{"#tokenUri": "https://a.example/t"}"##);
    let account = serde_json::json!({
        "type": "service_account",
        "private_key_id": "1a2b3c",
        "private_key": std::fs::read_to_string(stores::path("key.pem")).unwrap(),
        "client_email": "robot@project.example",
    });
    let key = dir.write("key.json", account.to_string());
    let string = format!("FILEDSN={dsn};oas='string';RestConfigFile={model};JWTCertStore={key};Schema=s");
    let connection = open_with(&string, &["Schema", "Table;T"]).unwrap();
    connection.set_option("ClaimsSubject", " set ").unwrap();
    connection.set_option("Password", "env:NO_SUCH_VARIABLE").unwrap();
    for (name, value) in [
        ("Auth_Scope", Some("string")),
        ("SCOPE", Some("string")),
        ("cliss", Some("dsn")),
        ("pwd", Some("env:NO_SUCH_VARIABLE")),
        ("TokenURI", Some("https://a.example/t")),
        ("ClaimsSubject", Some(" set ")),
        ("JWTCertStore", Some(key.as_str())),
        ("FILEDSN", Some(dsn.as_str())),
        ("DSN", None),
        ("JWTKeyID", Some("1a2b3c")),
        ("schema", Some("s")),
        ("t", Some("t")),
        ("LoginTimeout", None),
    ] {
        assert_eq!(get_option(&connection, name).unwrap().as_deref(), value, "{name}");
    }
    connection.set_option("Scope", "").unwrap();
    assert_eq!(get_option(&connection, "Scope").unwrap(), None);
    let failure = get_option(&connection, "View").unwrap_err();
    assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_INVALID_OPTION, Some("View")));
}

/// The options of the warnings that a call takes.
fn take_warnings(connection: &Connection) -> Vec<String> {
    let mut warnings = poisoned_ptr();
    let take = |error| authgrant_take_warnings(connection.handle(), &raw mut warnings, error);
    assert_eq!(collect_failures(take), []);
    take_error_chain(warnings).into_iter().map(|warning| warning.option.unwrap()).collect()
}

#[test]
fn warning_is_taken_once_until_its_text_changes() {
    let connection = open_with("Zebra=1;Scope=a;Scope=b;ValidateServerCertificate=0", &[]).unwrap();
    let all = ["Zebra", "Scope", "ValidateServerCertificate"];
    assert_eq!(take_warnings(&connection), all);
    assert_eq!(take_warnings(&connection), [""; 0]);
    connection.set_option("RestConfigFile", "/nowhere/a").unwrap();
    assert_eq!(take_warnings(&connection), ["RestConfigFile"]);
    connection.set_option("RestConfigFile", "").unwrap();
    connection.set_option("RestConfigFile", "/nowhere/a").unwrap();
    assert_eq!(take_warnings(&connection), [""; 0], "the text is that of before");
    connection.set_option("RestConfigFile", "/nowhere/b").unwrap();
    assert_eq!(take_warnings(&connection), ["RestConfigFile"]);
    assert_eq!(connection.warnings().len(), 4, "taken warnings are still warnings");
    let other = open_with("Zebra=1", &[]).unwrap();
    assert_eq!(take_warnings(&other), ["Zebra"], "each connection has its own");
}

#[test]
fn chain_has_one_error_for_each_missing_option() {
    let connection = open_with("AuthenticationMethod=53;TokenURI=https://a.example/t", &[]).unwrap();
    let mut token = poisoned_ptr();
    let get = |error| authgrant_get_token(connection.handle(), &raw mut token, error);
    let failures = collect_failures(get);
    let found: Vec<_> =
        failures.iter().map(|failure| (failure.status, failure.option.as_deref().unwrap())).collect();
    assert_eq!(found, [(AUTHGRANT_MISSING_OPTION, "ClientID"), (AUTHGRANT_MISSING_OPTION, "ClientSecret")]);
}

fn request_headers(
    connection: &Connection,
    request: Option<(&str, &str)>,
    options: *const RawCallOptions,
) -> Result<Vec<(String, String)>, Box<Failure>> {
    let text = |text: &str| CString::new(text).unwrap();
    let request = request.map(|(method, url)| (text(method), text(url)));
    let (method, url) =
        request.as_ref().map_or((null(), null()), |(method, url)| (method.as_ptr(), url.as_ptr()));
    let mut headers = poisoned_ptr();
    let failures = collect_failures(|error| {
        authgrant_get_request_headers(connection.handle(), method, url, options, &raw mut headers, error)
    });
    if let Some(failure) = failures.into_iter().next() {
        assert!(headers.is_null());
        return Err(Box::new(failure));
    }
    Ok(take_headers(headers))
}

/// A connection whose token is signed here.
fn open_local(more: &str) -> Connection {
    let key = stores::ec_key_path();
    open_with(&format!("am=55;cliss=me;clsub=x;ClaimsAudience=a;JWTCertStore={key};{more}"), &[]).unwrap()
}

#[test]
fn request_headers_are_those_of_connection() {
    let connection = open_local("AuthHeader=X-Key;SecurityToken=k");
    let headers = connection.get_headers().unwrap();
    let options = call_options(20_000, 1, AUTHGRANT_NO_PROMPT | AUTHGRANT_NO_NETWORK);
    for request in [None, Some(("GET", "https://api.example/v1?a=b")), Some(("M-SEARCH", "http://h"))] {
        assert_eq!(request_headers(&connection, request, null()).unwrap(), headers);
        assert_eq!(request_headers(&connection, request, &raw const options).unwrap(), headers);
    }
}

#[test]
fn request_headers_obey_call_options() {
    let connection = open_with("am=53;ClientID=c;ClientSecret=s;TokenURI=https://a.example/t", &[]).unwrap();
    let without_network = call_options(0, 0, AUTHGRANT_NO_NETWORK);
    let failure = request_headers(&connection, None, &raw const without_network).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_NOT_CACHED);
    let token = CancelToken::new();
    token.cancel();
    let cancelled = RawCallOptions { cancel_token: token.handle(), ..call_options(0, 0, 0) };
    let failure = request_headers(&open_local(""), None, &raw const cancelled).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_CANCELLED);
    let negative = call_options(-1, 0, 0);
    let failure = request_headers(&open_local(""), None, &raw const negative).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY090"));
}

#[test]
fn invalid_request_is_rejected() {
    let connection = open_local("");
    for (method, url) in [
        ("", "https://a.example"),
        ("GE T", "https://a.example"),
        ("GET\r\n", "https://a.example"),
        ("GET", ""),
        ("GET", "/v1"),
        ("GET", "a.example/v1"),
        ("GET", "ftp://a.example"),
        ("GET", "https://"),
        ("GET", "https://a.example/ b"),
    ] {
        let failure = request_headers(&connection, Some((method, url)), null()).unwrap_err();
        assert_eq!(
            (failure.status, failure.sqlstate.as_str()),
            (AUTHGRANT_INVALID_ARGUMENT, "HY009"),
            "{url}"
        );
    }
}

#[test]
fn browse_requests_missing_options_until_complete() {
    let browse = |text: &str| {
        let connection = open_with(text, &["Schema"]).unwrap();
        let mut request = poisoned_ptr();
        let call = |error| authgrant_browse(connection.handle(), &raw mut request, error);
        assert_eq!(collect_failures(call), []);
        let text = c_str_to_string(request);
        authgrant_string_free(request);
        text
    };
    let first = browse("Schema=s").unwrap();
    assert!(first.starts_with("AuthenticationMethod:Authentication Method={OAuth2-JWTBearer,"), "{first}");
    let second = browse("Schema=s;AuthenticationMethod=BearerToken").unwrap();
    assert_eq!(second, "SecurityToken:Token=?");
    assert_eq!(browse("Schema=s;AuthenticationMethod=BearerToken;SecurityToken=t"), None);
}

#[test]
fn open_with_accepts_each_unit_size() {
    const TEXT: &str = "Scope=é😀";
    let utf16: Vec<u16> = TEXT.encode_utf16().chain([0]).collect();
    let utf32: Vec<u32> = TEXT.chars().map(u32::from).chain([0]).collect();
    let utf8 = CString::new(TEXT).unwrap();
    let units = |length: usize| isize::try_from(length).unwrap();
    for (text, unit_size, length) in [
        (utf8.as_ptr().cast::<c_void>(), 1, units(TEXT.len())),
        (utf16.as_ptr().cast(), 2, units(utf16.len() - 1)),
        (utf32.as_ptr().cast(), 4, units(utf32.len() - 1)),
    ] {
        for length in [length, -1, -3] {
            let connection = open_raw(&RawOpenOptions { length, unit_size, ..open_options(text) }).unwrap();
            assert_eq!(connection.completed_string(0), "Scope={é😀};", "{unit_size} {length}");
        }
    }
    // Without a unit size, the length is ignored.
    let connection = open_raw(&RawOpenOptions { length: 1, ..open_options(utf8.as_ptr().cast()) }).unwrap();
    assert_eq!(connection.completed_string(0), "Scope={é😀};");
}

#[test]
fn length_of_utf8_bounds_read() {
    let text = b"Scope=ab\xff";
    let options = |length| RawOpenOptions { length, unit_size: 1, ..open_options(text.as_ptr().cast()) };
    assert_eq!(open_raw(&options(7)).unwrap().completed_string(0), "Scope=a;");
    let failure = open_raw(&options(9)).unwrap_err().remove(0);
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
    assert!(failure.message.contains("is not valid UTF-8: invalid byte at offset 8"), "{failure:?}");
}

#[test]
fn invalid_driver_keyword_is_rejected_by_name() {
    for keyword in ["", "a=b", "{a", "[a]", "a;", "a\tb"] {
        let failure = open_with("Scope=a", &["Good", keyword]).unwrap_err().remove(0);
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
        assert!(failure.message.contains("driver keyword"), "{failure:?}");
    }
}

#[test]
fn larger_open_options_struct_must_end_with_zeros() {
    #[repr(C)]
    struct Newer {
        known: RawOpenOptions,
        added: usize,
    }
    let open = |added| {
        let known = RawOpenOptions { size: size_of::<Newer>(), ..open_options(c"Scope=a".as_ptr().cast()) };
        let newer = Newer { known, added };
        let mut handle = poisoned_ptr();
        let failures =
            collect_failures(|error| authgrant_open_with((&raw const newer).cast(), &raw mut handle, error));
        authgrant_close(handle);
        failures.first().map(|failure| failure.status)
    };
    assert_eq!((open(0), open(1)), (None, Some(AUTHGRANT_INVALID_ARGUMENT)));
}

#[test]
fn open_errors_are_those_of_open() {
    assert_eq!(open_with("A={", &["A"]).unwrap_err()[0].status, AUTHGRANT_INVALID_CONNECTION_STRING);
    let failures = open_with("DSN=authgrant no such DSN", &["A"]).unwrap_err();
    assert_eq!(failures[0].status, AUTHGRANT_DATA_SOURCE_NOT_FOUND);
}
