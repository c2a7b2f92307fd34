//! Model files: both spellings, comments, relative URIs, and what a model does not say.

use crate::options::environment::testing::Made;
use crate::options::*;

fn open(model: &str, more: &str) -> Options {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.rest");
    std::fs::write(&path, model).unwrap();
    Options::open(&format!("RestConfigFile={};{more}", path.display()), &Made::default()).unwrap()
}

fn get(options: &Options, name: Name) -> Option<&str> {
    options.get(name).map(|value| value.text.reveal())
}

fn warnings(options: &Options) -> String {
    options.warnings().iter().map(|warning| format!("{warning}\n")).collect()
}

const OLDER: &str = r##"{
    // "#tokenUri": "https://commented.example/t",
    "#hostname": "https://api.example.com",
    "#authenticationMethod": "OAuth2", // the method
    "#authUri": "https://login.example.com/auth",
    "#tokenUri": "POST https://login.example.com/token?a=//b",
    "#redirectUri": "http://localhost:3000",
    "#scope": "a // b \" // c",
    "people": {"#path": "/people", "id": "Integer,#key", "deep": [1, {"#scope": "no"}]}
}"##;

#[test]
fn the_older_spelling_is_read_with_comments_outside_of_texts() {
    let options = open(OLDER, "");
    assert_eq!(warnings(&options), "");
    assert_eq!(options.faults(), []);
    assert_eq!(get(&options, Name::AuthenticationMethod), Some("OAuth2"));
    assert_eq!(get(&options, Name::AuthURI), Some("https://login.example.com/auth"));
    assert_eq!(get(&options, Name::TokenURI), Some("POST https://login.example.com/token?a=//b"));
    assert_eq!(get(&options, Name::RedirectURI), Some("http://localhost:3000"));
    assert_eq!(get(&options, Name::Scope), Some("a // b \" // c"));
    let value = options.get(Name::TokenURI).unwrap();
    assert_eq!((value.origin, value.spelling.as_str()), (Origin::Model, "#tokenUri"));
    assert!(value.place.as_ref().unwrap().ends_with("x.rest"));
}

#[test]
fn the_newer_spelling_is_read_with_choices_and_wins_over_the_older() {
    let model = r##"{"#scope": "old", "#options": {
        "authenticationmethod": {"choices": "OAuth2,BearerToken", "default": "OAuth2"},
        "tokenURI": {"choices": "https://a.example/t"}, "authURI": {"choices": "https://a/,https://b/"},
        "scope": "new"}}"##;
    let options = open(model, "");
    assert_eq!(warnings(&options), "");
    assert_eq!(get(&options, Name::AuthenticationMethod), Some("OAuth2"));
    assert_eq!(get(&options, Name::TokenURI), Some("https://a.example/t"));
    assert_eq!(get(&options, Name::AuthURI), None);
    assert_eq!(get(&options, Name::Scope), Some("new"));
    assert_eq!(options.get(Name::Scope).unwrap().spelling, "#options.scope");
}

#[test]
fn the_connection_string_wins_over_the_model_and_unsets_it() {
    assert_eq!(get(&open(OLDER, "Scope=mine"), Name::Scope), Some("mine"));
    assert_eq!(get(&open(OLDER, "Scope="), Name::Scope), None);
}

#[test]
fn relative_uris_are_meant_as_seen_from_the_hostname() {
    for (host, uri, full) in [
        ("https://a.example", "/oauth/token", "https://a.example/oauth/token"),
        ("https://a.example/v1/", "/oauth/token", "https://a.example/oauth/token"),
        ("https://a.example/v1/", "oauth/token", "https://a.example/v1/oauth/token"),
        ("a.example:8443", "POST oauth/token", "POST https://a.example:8443/oauth/token"),
        ("http://127.0.0.1:80", "get  /t?u=https://x", "get http://127.0.0.1:80/t?u=https://x"),
        ("https://a.example", "//b.example/t", "https://b.example/t"),
        ("https://a.example", "https://b.example/t", "https://b.example/t"),
    ] {
        let model = format!(r##"{{"#hostname": "{host}", "#options": {{"tokenURI": "{uri}"}}}}"##);
        assert_eq!(get(&open(&model, ""), Name::TokenURI), Some(full), "{host} {uri}");
    }
    let options = open(r##"{"#tokenUri": "/token"}"##, "");
    assert_eq!(get(&options, Name::TokenURI), Some("/token"));
    assert!(warnings(&options).contains("relative TokenURI, and no #hostname"), "{}", warnings(&options));
}

#[test]
fn secrets_client_ids_and_key_stores_in_a_model_are_ignored_with_a_warning() {
    let model = r##"{"#clientId": "hunter2", "#clientSecret": "hunter2", "#options": {"JWTCertStore": "hunter2",
        "jwtcertpassword": "hunter2", "TrustStore": "hunter2", "AllowOverride": "1", "unknown": "hunter2"},
        "#scope": 5, "#port": "80"}"##;
    let options = open(model, "");
    for (name, id) in [
        ("ClientID", Name::ClientID),
        ("ClientSecret", Name::ClientSecret),
        ("JWTCertStore", Name::JWTCertStore),
        ("JWTCertPassword", Name::JWTCertPassword),
        ("TrustStore", Name::TrustStore),
        ("AllowOverride", Name::AllowOverride),
    ] {
        assert_eq!(options.get(id), None);
        assert!(warnings(&options).contains(&format!("sets {name}, which a model does not")), "{name}");
    }
    assert!(warnings(&options).contains("sets Scope to something that is not text"));
    assert_eq!(options.warnings().len(), 7);
    assert!(!format!("{}{options:?}", warnings(&options)).contains("hunter2"));
}

#[test]
fn headers_are_kept_if_they_can_be_sent() {
    let model = r##"{"#headers": {"X-Tenant": "t1", "x-tenant": "t2", "Accept": "application/json", "Host": "evil",
        "authorization": "Bearer x", "A B": "1", "X-Line": "a\r\nb: c", "X-Number": 5},
        "table": {"#headers": {"X-Table": "1"}}}"##;
    let options = open(model, "");
    let headers: Vec<_> =
        options.model_headers().iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    assert_eq!(headers, [("Accept", "application/json"), ("X-Tenant", "t1")]);
    for words in
        ["frames the message", "Authorization", "no header's name", "line break", "not text", "already"]
    {
        assert!(warnings(&options).contains(words), "{words}: {}", warnings(&options));
    }
    assert!(!warnings(&options).contains("b: c"));
    assert!(warnings(&open(r##"{"#headers": []}"##, "")).contains("not an object"));
}

#[test]
fn a_model_that_is_not_json_is_a_fault_with_line_and_column_and_no_content() {
    for (model, words) in [
        ("{\n  \"hunter2\": // why\n   hunter2}", "is not JSON, from line 3, column 4 on"),
        ("{\"hunter2\": {", "ends too early, at line 1, column 13"),
        ("", "ends too early, at line 1, column 0"),
        ("[\"hunter2\"]", "is not a JSON object, from line 1"),
        ("{} hunter2", "is not JSON, from line 1, column 4"),
    ] {
        let options = open(model, "");
        let faults = options.faults();
        let [fault] = &faults[..] else { panic!("{model}: {faults:?}") };
        assert_eq!((fault.status(), fault.option()), (Status::InvalidOption, Some("RestConfigFile")));
        assert!(fault.message().contains(words), "{fault}");
        assert!(fault.message().contains("x.rest") && !fault.message().contains("hunter2"), "{fault}");
    }
}

#[test]
fn a_model_that_cannot_be_read_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("RestConfigFile={}", folder.path().display());
    let options = Options::open(&text, &Made::default()).unwrap();
    assert!(warnings(&options).contains("is a directory, not a file; it was left out"));
    assert!(options.lacks_model() && options.faults().is_empty());
}

#[test]
fn a_model_that_is_set_later_takes_the_place_of_the_first() {
    let mut options = open("nonsense", "");
    assert_eq!(options.faults().len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("y.rest");
    std::fs::write(&path, OLDER).unwrap();
    options.set(&[("RestConfigFile", path.to_str().unwrap())]).unwrap();
    assert_eq!(options.faults(), []);
    assert!(get(&options, Name::TokenURI).is_some());
    options.set(&[("RestConfigFile", "")]).unwrap();
    assert_eq!(get(&options, Name::TokenURI), None);
}

#[test]
fn odd_bytes_do_no_harm() {
    let deep = "[".repeat(100_000);
    for model in ["\u{feff}{}", "{\"#a\":\"\\", "//", "{}//", "\"\\\"//", "{\"#headers\":{\"\":\"\"}}", &deep]
    {
        let _ = open(model, "").faults();
    }
    assert_eq!(open("\u{feff}{}", "").faults(), []);
    assert_eq!(open("{} // end", "").faults(), []);
}

#[test]
fn of_the_rules_for_answers_those_count_that_want_another_token() {
    let model = r##"{"#http": [
        {"#code": 401, "#action": "REAUTHENTICATE"}, {"#code": "419", "#action": "reauthenticate"},
        {"#code": 403, "#operation": "SELECT", "#action": "REAUTHENTICATE", "#message": "{/error}"},
        {"#code": 429, "#action": "RETRY_AFTER"}, {"#code": 400, "#action": "REAUTHENTICATE", "#match": "expired"},
        {"#code": 440, "#operation": "LOGIN", "#action": "REAUTHENTICATE"}, {"#action": "REAUTHENTICATE"},
        {"#code": 70000, "#action": "REAUTHENTICATE"}, {"#code": 200, "#action": "REAUTHENTICATE"}, 7, null]}"##;
    let options = open(model, "");
    assert_eq!(options.reauthenticates(), [401, 419, 403]);
    assert_eq!(warnings(&options), "");
    for odd in ["7", "{}", "\"401\"", "[[]]"] {
        assert!(open(&format!("{{\"#http\": {odd}}}"), "").reauthenticates().is_empty(), "{odd}");
    }
}
